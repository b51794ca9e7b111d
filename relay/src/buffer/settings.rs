//! What bounds the buffer, beside the quotas that come with each act.

use std::time::Duration;

/// Bounds and sizes of the embedded buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Acts waiting for the storage thread; one more is refused as `unavailable`.
    pub(crate) queue_acts: usize,
    /// Bytes of bodies and rows waiting for the storage thread; more are refused as `unavailable`,
    /// but an act that waits alone never is.
    pub(crate) queue_bytes: usize,
    /// Acts of one transaction at most.
    pub(crate) batch_acts: usize,
    /// Bytes of bodies and rows of one transaction; it ends with the act that reaches them.
    pub(crate) batch_bytes: usize,
    /// redb's page cache, bytes: the layout touches the newest pages only.
    pub(crate) cache_bytes: usize,
    /// Chunks let go in one transaction at most, so that expiry never holds appends up for long.
    pub(crate) expiry_step: usize,
    /// Sparse chunks packed together in one transaction at most, once in a tick.
    pub(crate) clean_step: usize,
    /// Sequence numbers reserved at a time (MBX-3).
    pub(crate) reserve: u64,
    /// An envelope is held so long at least, and at most twice as long (MBX-21).
    pub(crate) hold: Duration,
    /// Bytes of bodies held in memory at most (MBX-21, LIM-21); more are stored as any other.
    pub(crate) hold_bytes: usize,
    /// Envelopes remembered that were never written, at most (MBX-5, LIM-21).
    pub(crate) hold_entries: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_acts: 65_536,
            queue_bytes: 64 * 1024 * 1024,
            batch_acts: 10_000,
            batch_bytes: 4 * 1024 * 1024,
            cache_bytes: 128 * 1024 * 1024,
            expiry_step: 1_024,
            clean_step: 256,
            reserve: 1 << 20,
            hold: Duration::from_millis(20),
            hold_bytes: 16 * 1024 * 1024,
            hold_entries: 4_000_000,
        }
    }
}
