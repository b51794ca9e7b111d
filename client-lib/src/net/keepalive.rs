//! When to say something so that a link lives, and when it is dead (TRN-8).
//!
//! Sans-IO: knows moments given to it; must not know sockets or the clock.

use std::time::{Duration, Instant};

/// The silence of one link.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// After this long without a word of ours, `ping` is said: half of what the relay allows.
    quiet: Duration,
    /// After this long without a word of theirs, though one is owed, the link is dead.
    patience: Duration,
    last_sent: Instant,
    /// Since when an answer is owed and nothing has been heard.
    owed_since: Option<Instant>,
}

/// What silence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// Say `ping`.
    Ping,
    /// Nobody is there any more.
    Dead,
}

impl KeepAlive {
    /// For a link that the relay closes after `idle` without a frame of ours.
    pub(super) fn new(idle: Duration, patience: Duration, now: Instant) -> Self {
        Self { quiet: idle / 2, patience: patience.min(idle), last_sent: now, owed_since: None }
    }

    /// A frame was sent.
    pub(super) const fn handle_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Bytes have arrived: patience begins anew.
    pub(super) fn handle_heard(&mut self, now: Instant) {
        self.owed_since = self.owed_since.map(|_| now);
    }

    /// When to look again.
    pub(super) fn wake(&self) -> Instant {
        let ping = self.last_sent + self.quiet;
        self.owed_since.map_or(ping, |since| ping.min(since + self.patience))
    }

    /// What the silence asks for now, where answers are `owed` or not. `listening` is false while
    /// we do not read: then nobody can be heard, and nobody is dead.
    pub(super) fn poll(&mut self, owed: bool, listening: bool, now: Instant) -> Due {
        let since = self.owed_since.filter(|_| listening).unwrap_or(now);
        self.owed_since = owed.then_some(since);
        if owed && now >= since + self.patience {
            return Due::Dead;
        }
        if now >= self.last_sent + self.quiet { Due::Ping } else { Due::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(120);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// TRN-8: `ping` is said at half of the silence that is allowed, counted from our last frame.
    #[test]
    fn silence_is_broken_in_time() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(IDLE, PATIENCE, start);
        assert_eq!(alive.poll(false, true, at(start, 59)), Due::Nothing);
        assert_eq!(alive.wake(), at(start, 60));
        assert_eq!(alive.poll(false, true, at(start, 60)), Due::Ping);
        alive.handle_sent(at(start, 60));
        assert_eq!(alive.poll(false, true, at(start, 119)), Due::Nothing);
    }

    /// A link is dead when an answer is owed and nothing at all is heard.
    #[test]
    fn silence_of_the_other_side_is_death() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(IDLE, PATIENCE, start);
        assert_eq!(alive.poll(true, true, start), Due::Nothing);
        alive.handle_sent(at(start, 15));
        assert_eq!(alive.poll(true, true, at(start, 19)), Due::Nothing);
        assert_eq!(alive.wake(), at(start, 20));
        assert_eq!(alive.poll(true, true, at(start, 20)), Due::Dead);
        alive.handle_heard(at(start, 20));
        assert_eq!(alive.poll(true, true, at(start, 39)), Due::Nothing);
        assert_eq!(alive.poll(false, true, at(start, 40)), Due::Nothing);
        assert_eq!(alive.poll(true, true, at(start, 74)), Due::Nothing);
    }

    /// While the application is slow and we do not read, nobody is dead.
    #[test]
    fn nobody_is_dead_while_we_do_not_listen() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(IDLE, PATIENCE, start);
        assert_eq!(alive.poll(true, true, start), Due::Nothing);
        assert_eq!(alive.poll(true, false, at(start, 30)), Due::Nothing);
        assert_eq!(alive.poll(true, true, at(start, 31)), Due::Nothing);
        assert_eq!(alive.poll(true, true, at(start, 50)), Due::Dead);
    }
}
