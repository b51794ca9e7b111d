//! Mailboxes and transfers that are left alone for a while, because the relay has refused something
//! of them.
//!
//! Sans-IO: the time comes in. What the relay named is a promise (ADM-7): nothing shortens it but
//! success. What this client chose by itself ends when a person asks for everything at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use restante_spec::ids::Seconds;

use crate::limits::{RETRY_CAP, RETRY_FIRST};
use crate::net::Backoff;

/// The pauses at one relay, each of something with a name.
#[derive(Debug)]
pub(super) struct Pauses<K>(BTreeMap<K, Pause>);

#[derive(Debug)]
struct Pause {
    until: Instant,
    /// The relay has named it.
    is_named: bool,
    backoff: Backoff,
}

impl<K: Ord> Pauses<K> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Nothing is asked of this one for at least as long as the relay said, or else for a
    /// while.
    pub(super) fn begin(&mut self, whose: K, named: Option<Seconds>, now: Instant) {
        let pause = self.0.entry(whose).or_insert_with(|| Pause {
            until: now,
            is_named: false,
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
        });
        let named = named.map(|wait| Duration::from_secs(u64::from(wait.get())));
        let until = now + pause.backoff.next_delay_after(named);
        // Of two answers the later time counts.
        if until > pause.until {
            (pause.until, pause.is_named) = (until, named.is_some());
        }
    }

    /// Something of this one succeeded.
    pub(super) fn end(&mut self, whose: &K) {
        self.0.remove(whose);
    }

    /// Everything is tried at once, but what the relay wants later.
    pub(super) fn shorten(&mut self, now: Instant) {
        self.0.retain(|_, pause| pause.is_named && pause.until > now);
    }

    /// What was refused before is another question now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether this one is to be left alone for now.
    pub(super) fn has(&self, whose: &K, now: Instant) -> bool {
        self.0.get(whose).is_some_and(|pause| pause.until > now)
    }

    /// When the next of those ends that were left alone at this time.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.0.values().map(|pause| pause.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::MailboxId;

    use super::*;

    const MAILBOX: MailboxId = MailboxId::new([1; 16]);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// ADM-7: never sooner than the relay said, and not much later.
    #[test]
    fn what_the_relay_named_is_waited_for() {
        let now = Instant::now();
        for wait in [1, 60, 3_600] {
            let mut pauses = Pauses::new();
            pauses.begin(MAILBOX, Some(Seconds::new(wait)), now);
            let wait = u64::from(wait);
            assert!(pauses.has(&MAILBOX, now + seconds(wait) - Duration::from_nanos(1)));
            let end = pauses.next_end(now).unwrap();
            let latest = now + seconds(wait) + seconds(wait) / 4 + RETRY_FIRST;
            assert!((now + seconds(wait)..=latest).contains(&end));
            assert!(!pauses.has(&MAILBOX, end));
            assert_eq!(pauses.next_end(end), None);
        }
    }

    /// ADM-7: a person who asks for everything at once does not break what the relay asked for.
    #[test]
    fn a_new_round_ends_what_this_client_chose_and_nothing_else() {
        let now = Instant::now();
        let (named, chosen) = (MAILBOX, MailboxId::new([2; 16]));
        let mut pauses = Pauses::new();
        pauses.begin(named, Some(Seconds::new(60)), now);
        for _ in 0..20 {
            pauses.begin(chosen, None, now);
        }
        pauses.shorten(now);
        assert!(pauses.has(&named, now) && !pauses.has(&chosen, now));
        pauses.shorten(now + seconds(600));
        assert_eq!(pauses.next_end(now), None);
        pauses.begin(named, Some(Seconds::new(60)), now);
        pauses.end(&named);
        assert!(!pauses.has(&named, now));
    }

    /// ADM-7: an answer without a time does not shorten one that had it.
    #[test]
    fn the_later_of_two_times_counts() {
        let now = Instant::now();
        let mut pauses = Pauses::new();
        pauses.begin(MAILBOX, Some(Seconds::new(600)), now);
        pauses.begin(MAILBOX, None, now);
        pauses.shorten(now);
        assert!(pauses.has(&MAILBOX, now + seconds(599)));
    }
}
