//! How fast: a token bucket in one number (the generic cell rate algorithm, ITU-T I.371).
//!
//! Sans-IO: time comes in. A library's limiter would bring its own clock.

use restante_spec::ids::{Seconds, UnixTime};
use restante_spec::message::Rate;

/// The state of one limit, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When the bucket would be full again.
    full_at: u64,
}

/// Microseconds of a second: the resolution of the bucket.
const MICROS: u64 = 1_000_000;

impl Pace {
    /// Takes one; at most `rate.count` at once and in the long run `rate.count` in `rate.per`.
    ///
    /// # Errors
    /// The time until one may be taken; nothing is taken then.
    pub(crate) fn take(&mut self, rate: Rate, now: UnixTime) -> Result<(), Seconds> {
        self.full_at = self.after(rate, now)?;
        Ok(())
    }

    /// Whether one may be taken; nothing is.
    ///
    /// # Errors
    /// The time until one may be taken.
    pub(crate) fn look(&self, rate: Rate, now: UnixTime) -> Result<(), Seconds> {
        self.after(rate, now).map(|_| ())
    }

    /// When the bucket would be full again after one more.
    fn after(&self, rate: Rate, now: UnixTime) -> Result<u64, Seconds> {
        let per = u64::from(rate.per.get()) * MICROS;
        let step = (per / u64::from(rate.count.max(1))).max(1);
        let now = now.get() * MICROS;
        let latest = now + per.max(step);
        // An empty bucket is full within its time: more is of a clock that was set back since.
        let full_at = self.full_at.clamp(now, latest) + step;
        let excess = full_at.saturating_sub(latest);
        if excess > 0 {
            let wait = u32::try_from(excess.div_ceil(MICROS)).unwrap_or(u32::MAX);
            return Err(Seconds::new(wait));
        }
        Ok(full_at)
    }

    /// Whether the bucket is full, so that a new one is the same.
    pub(crate) const fn is_full(&self, now: UnixTime) -> bool {
        self.full_at <= now.get() * MICROS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, per: u32) -> Rate {
        Rate { count, per: Seconds::new(per) }
    }

    /// LIM-13: a burst of 16 passes, the 17th waits, and each second gives one back.
    #[test]
    fn burst_passes_and_one_more_waits() {
        let mut pace = Pace::default();
        let now = UnixTime::new(1_000);
        for _ in 0..16 {
            assert_eq!(pace.take(rate(16, 16), now), Ok(()));
        }
        assert_eq!(pace.take(rate(16, 16), now), Err(Seconds::new(1)));
        assert_eq!(pace.take(rate(16, 16), UnixTime::new(1_001)), Ok(()));
        assert_eq!(pace.take(rate(16, 16), UnixTime::new(1_001)), Err(Seconds::new(1)));
    }

    /// ADM-7, MBX-12: what is told is the least whole number of seconds after which one passes.
    #[test]
    fn the_time_that_is_told_is_exact() {
        for (count, per) in [(1, 1), (1, 60), (3, 10), (7, 60), (60, 3_600), (1_000, 1), (7, 7)] {
            let (mut pace, mut now) = (Pace::default(), UnixTime::new(1_000));
            for _ in 0..50 {
                while pace.take(rate(count, per), now).is_ok() {}
                let wait = pace.look(rate(count, per), now).unwrap_err();
                let at = |seconds: u32| UnixTime::new(now.get() + u64::from(seconds));
                let sooner = at(wait.get() - 1);
                assert!(pace.look(rate(count, per), sooner).is_err(), "{count} in {per}");
                now = at(wait.get());
                assert_eq!(pace.take(rate(count, per), now), Ok(()), "{count} in {per}");
            }
        }
    }

    #[test]
    fn looking_takes_nothing_and_tells_the_time() {
        let mut pace = Pace::default();
        let now = UnixTime::new(1_000);
        for _ in 0..9 {
            assert_eq!(pace.look(rate(1, 60), now), Ok(()));
        }
        assert_eq!(pace.take(rate(1, 60), now), Ok(()));
        assert_eq!(pace.look(rate(1, 60), now), Err(Seconds::new(60)));
    }

    #[test]
    fn a_clock_set_back_closes_nothing_for_longer_than_the_time_of_the_rate() {
        let mut pace = Pace::default();
        assert_eq!(pace.take(rate(1, 60), UnixTime::new(9_000_000)), Ok(()));
        assert_eq!(pace.take(rate(1, 60), UnixTime::new(1_000)), Err(Seconds::new(60)));
    }

    #[test]
    fn a_rest_fills_the_bucket_and_no_more() {
        let mut pace = Pace::default();
        let later = UnixTime::new(100_000);
        assert_eq!(pace.take(rate(2, 60), UnixTime::new(1)), Ok(()));
        assert_eq!(pace.take(rate(2, 60), later), Ok(()));
        assert_eq!(pace.take(rate(2, 60), later), Ok(()));
        assert_eq!(pace.take(rate(2, 60), later), Err(Seconds::new(30)));
    }
}
