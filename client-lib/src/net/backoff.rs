//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Knows two bounds and a random sequence; must not know the clock or what is attempted.

use std::time::Duration;

/// Pauses between attempts, random between nothing and a bound that doubles, so that clients that
/// lost their relay at the same moment do not come back at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    /// Attempts that failed since the last success.
    failed: u32,
    /// State of a splitmix64 generator: spread is wanted here, not secrecy.
    random: u64,
}

impl Backoff {
    /// Pauses up to `first`, doubling up to `cap`.
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        // Without randomness pauses are still within their bounds.
        let seed = restante_crypto::random_bytes().map_or(0, u64::from_le_bytes);
        Self::seeded(first, cap, seed)
    }

    fn seeded(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, failed: 0, random: seed }
    }

    /// An attempt has failed: how long to wait before the next one.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let bound = self.bound();
        self.failed = self.failed.saturating_add(1);
        self.jitter(bound)
    }

    /// The same, where the other side has named a time: never sooner, and up to a quarter later, so
    /// that those who were told the same do not come back at the same moment (ADM-7).
    pub(crate) fn next_delay_after(&mut self, named: Option<Duration>) -> Duration {
        let Some(named) = named else { return self.next_delay() };
        let spread = self.bound().max(named / 4);
        self.failed = self.failed.saturating_add(1);
        named.saturating_add(self.jitter(spread))
    }

    /// An attempt has succeeded: the next failure begins anew.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// A random part of `whole`.
    pub(crate) fn jitter(&mut self, whole: Duration) -> Duration {
        // 32 random bits are a fraction fine enough.
        let part = u32::try_from(self.next_random() >> 32).unwrap_or(u32::MAX);
        whole.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    fn bound(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failed.min(31));
        self.first.saturating_mul(factor).min(self.cap)
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const CAP: Duration = Duration::from_secs(60);

    /// The bound doubles up to the cap and never above, however often attempts fail.
    #[test]
    fn bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::seeded(FIRST, CAP, 1);
        for n in 0..100_u32 {
            let bound = backoff.bound();
            let expected = FIRST.saturating_mul(2_u32.saturating_pow(n.min(20))).min(CAP);
            assert_eq!(bound, expected);
            assert!(backoff.next_delay() <= bound);
        }
        assert_eq!(backoff.bound(), CAP);
    }

    /// After a success the next failure waits as the first one did.
    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::seeded(FIRST, CAP, 2);
        for _ in 0..9 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= FIRST);
    }

    /// ADM-7: what was named is the least, and not everybody comes at the same moment.
    #[test]
    fn a_named_time_is_never_cut_short() {
        let mut backoff = Backoff::seeded(FIRST, CAP, 4);
        let named = Duration::from_secs(600);
        let pauses: Vec<_> = (0..1_000).map(|_| backoff.next_delay_after(Some(named))).collect();
        assert!(pauses.iter().all(|pause| (named..=named * 5 / 4).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause > named * 6 / 5));
        assert!(backoff.next_delay_after(None) <= CAP);
    }

    /// Pauses fill the whole range: two clients rarely choose the same.
    #[test]
    fn jitter_is_full() {
        let mut backoff = Backoff::seeded(FIRST, CAP, 3);
        let pauses: Vec<Duration> = (0..1_000).map(|_| backoff.jitter(CAP)).collect();
        assert!(pauses.iter().any(|pause| *pause < CAP / 10));
        assert!(pauses.iter().any(|pause| *pause > CAP * 9 / 10));
        assert!(pauses.iter().all(|pause| *pause <= CAP));
    }
}
