//! What a room keeps for those who join later (MBX-18): the newest, within a bound.
//!
//! Sans-IO. Knows numbers, sizes and expiry of what is stored; must not know bodies or the buffer.

use std::collections::VecDeque;

use restante_spec::ids::{Seq, UnixTime};

/// How long a tail may be (LIM-17).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailBound {
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
}

/// The envelopes of a room that are not let go, oldest first.
///
/// Invariant: `bytes` is the sum of the sizes in `kept`, and all of them stand above `floor`.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: VecDeque<Kept>,
    bytes: u64,
    floor: Seq,
}

/// A stored envelope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) seq: Seq,
    pub(super) size: usize,
    pub(super) expires_at: UnixTime,
}

impl Tail {
    /// Up to here everything was let go.
    pub(super) const fn floor(&self) -> Seq {
        self.floor
    }

    /// An envelope was stored behind the others; what does not fit beside it goes, oldest first.
    pub(super) fn add(&mut self, newest: Kept, bound: TailBound, now: UnixTime) {
        self.bytes += newest.size as u64;
        self.kept.push_back(newest);
        if self.is_over(bound) {
            // What has expired takes no room.
            self.kept.retain(|kept| kept.expires_at > now);
            self.bytes = self.kept.iter().map(|kept| kept.size as u64).sum();
        }
        while self.is_over(bound)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.size as u64;
            self.floor = oldest.seq;
        }
    }

    fn is_over(&self, bound: TailBound) -> bool {
        self.kept.len() > bound.entries || self.bytes > bound.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: TailBound = TailBound { entries: 3, bytes: 100 };
    const NOW: UnixTime = UnixTime::new(1_000);

    fn kept(seq: u64, size: usize, seconds: u64) -> Kept {
        let expires_at = UnixTime::new(NOW.get() + seconds);
        Kept { seq: Seq::new(seq), size, expires_at }
    }

    fn seqs(tail: &Tail) -> Vec<u64> {
        tail.kept.iter().map(|kept| kept.seq.get()).collect()
    }

    /// LIM-17, MBX-18: at the bound everything is kept, one past it the oldest goes.
    #[test]
    fn the_oldest_go_first_by_entries_and_by_bytes() {
        let mut tail = Tail::default();
        for seq in [5, 7, 9] {
            tail.add(kept(seq, 30, 60), BOUND, NOW);
        }
        assert_eq!((seqs(&tail), tail.floor()), (vec![5, 7, 9], Seq::START));
        tail.add(kept(12, 40, 60), BOUND, NOW);
        assert_eq!((seqs(&tail), tail.floor()), (vec![7, 9, 12], Seq::new(5)));
        tail.add(kept(13, 61, 60), BOUND, NOW);
        assert_eq!((seqs(&tail), tail.floor(), tail.bytes), (vec![13], Seq::new(12), 61));
    }

    /// LIM-17, MBX-11: what has expired takes no room from what has not.
    #[test]
    fn expired_ones_push_nothing_out() {
        let mut tail = Tail::default();
        for (seq, seconds) in [(1, 60), (2, 5), (3, 60)] {
            tail.add(kept(seq, 1, seconds), BOUND, NOW);
        }
        tail.add(kept(4, 1, 60), BOUND, UnixTime::new(NOW.get() + 5));
        assert_eq!((seqs(&tail), tail.floor()), (vec![1, 3, 4], Seq::START));
    }
}
