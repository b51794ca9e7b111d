//! How much all connections hold together (LIM-29).
//!
//! A connection may always hold a little, so that everyone gets on; what all hold beyond that is
//! bounded. At the bound those that hold more than the little wait until they hold less, or the
//! others do. Sans-IO: counts only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use restante_spec::limits;

use crate::limits::{OWN_BYTES, READ_BYTES};
use crate::ops::metrics;

/// What all connections hold beyond their own.
pub(crate) struct Pool {
    max: usize,
    used: AtomicUsize,
}

/// What one connection holds; dropped, it is given back.
pub(super) struct Share {
    pool: Arc<Pool>,
    /// Beyond its own.
    over: usize,
    /// Whether all held as much as they may when it last looked.
    is_full: bool,
}

impl Pool {
    /// Nothing is held yet.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0) })
    }

    /// The share of a new connection.
    pub(super) fn join(self: &Arc<Self>) -> Share {
        Share { pool: Arc::clone(self), over: 0, is_full: false }
    }

    /// Bytes held beyond what each may hold anyway.
    #[cfg(feature = "simulation")]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// LIM-29: whether connections hold as much as they may.
    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }
}

impl Share {
    /// The connection holds so much now, bytes.
    pub(super) fn holds(&mut self, bytes: usize) {
        let over = bytes.saturating_sub(OWN_BYTES);
        if over > self.over {
            self.pool.used.fetch_add(over - self.over, Ordering::Relaxed);
            metrics::HELD_BYTES.add(over - self.over);
        } else if over < self.over {
            self.pool.used.fetch_sub(self.over - over, Ordering::Relaxed);
            metrics::HELD_BYTES.sub(self.over - over);
        }
        self.over = over;
    }

    /// Whether it held more than its own when it last said.
    pub(super) const fn is_over(&self) -> bool {
        self.over > 0
    }

    /// Looks what all hold, and goes by that until it looks again: others may give back and take
    /// at any time, and one step must not see both.
    pub(super) fn look(&mut self) {
        self.is_full = self.pool.is_full();
    }

    /// Whether a connection that holds so much may take a step: read, or be read from.
    pub(super) const fn allows(&self, bytes: usize) -> bool {
        !self.is_full || bytes + READ_BYTES <= OWN_BYTES
    }

    /// How much may wait to be sent (LIM-10); at the bound a frame, if none is waiting.
    pub(super) const fn output_bytes(&self, bytes: usize) -> usize {
        match (self.is_full, self.allows(bytes)) {
            (false, _) => limits::PENDING_OUTPUT_BYTES,
            (true, true) => 1,
            (true, false) => 0,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.holds(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it may take a step, by what all hold now.
    fn allows(share: &mut Share, bytes: usize) -> bool {
        share.look();
        share.allows(bytes)
    }

    /// LIM-29: one byte below the bound nobody waits, at it those do that hold more than their own;
    /// whoever gives back, or leaves, makes room.
    #[test]
    fn at_the_bound_those_wait_who_hold_more_than_their_own() {
        let pool = Pool::new(10);
        let (light, heavy) = (OWN_BYTES - READ_BYTES, OWN_BYTES + 8);
        let [mut one, mut other] = [pool.join(), pool.join()];
        one.holds(heavy);
        other.holds(OWN_BYTES + 1);
        assert!(allows(&mut one, heavy));
        assert_eq!(one.output_bytes(heavy), limits::PENDING_OUTPUT_BYTES);
        other.holds(OWN_BYTES + 2);
        assert!(one.allows(heavy), "not before it looks again");
        assert!(!allows(&mut one, heavy) && !one.allows(light + 1) && one.allows(light));
        assert_eq!((one.output_bytes(heavy), one.output_bytes(light)), (0, 1));
        one.holds(OWN_BYTES + 7);
        assert!(allows(&mut one, heavy));
        other.holds(OWN_BYTES + 3);
        assert!(!allows(&mut one, heavy));
        drop(other);
        assert!(allows(&mut one, heavy));
    }
}
