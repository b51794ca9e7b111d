//! What the index knows of chunks: how much of each lives, and when it may go.
//!
//! Sans-IO. Knows counts and times; must not know mailboxes, or what stands in a chunk.

use std::collections::{BTreeSet, HashMap};

use restante_spec::ids::UnixTime;
use restante_spec::limits;

/// A chunk's key in the store: rising in the order of arrival.
pub(super) type ChunkId = u64;

/// Chunks from here on are in memory only (MBX-21). Layout: the store's own never get so far.
pub(super) const HELD: ChunkId = 1 << 63;

/// Unit: a chunk is sparse when at most one in so many of its entries is live.
const SPARSE: u32 = 4;

/// All chunks.
#[derive(Default)]
pub(super) struct Chunks {
    states: HashMap<ChunkId, Chunk>,
    /// When each may go, earliest first.
    due: BTreeSet<(UnixTime, ChunkId)>,
    /// Those with few live entries left.
    sparse: BTreeSet<ChunkId>,
    /// Entries of all of them, live and dead.
    entries: u64,
}

#[derive(Default)]
struct Chunk {
    live: u32,
    /// Live and dead.
    entries: u32,
    /// When the last entry died so far.
    last_death: UnixTime,
    /// When the last of its entries expires.
    max_expiry: UnixTime,
    due: UnixTime,
}

impl Chunks {
    /// Entries, live and dead.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// The key of the newest; 0 for none.
    pub(super) fn newest(&self) -> ChunkId {
        self.states.keys().max().copied().unwrap_or(0)
    }

    /// A live entry stands in a chunk, until it is buried.
    pub(super) fn add(&mut self, chunk: ChunkId, expires_at: UnixTime) {
        let state = self.states.entry(chunk).or_default();
        state.live += 1;
        state.entries += 1;
        self.entries += 1;
        if state.live > state.entries / SPARSE {
            self.sparse.remove(&chunk);
        }
        state.max_expiry = state.max_expiry.max(expires_at);
        let due = state.max_expiry.after(limits::DEDUP_WINDOW);
        state.put_off(&mut self.due, chunk, due);
    }

    /// One entry of a chunk is dead; with the last of them the chunk may go, once its ids need
    /// not be remembered any more (MBX-5).
    pub(super) fn bury(&mut self, chunk: ChunkId, now: UnixTime) {
        let Some(state) = self.states.get_mut(&chunk) else { return };
        state.live = state.live.saturating_sub(1);
        state.last_death = state.last_death.max(now);
        if state.live > 0 && state.live <= state.entries / SPARSE {
            self.sparse.insert(chunk);
        }
        if state.live == 0 {
            self.sparse.remove(&chunk);
            let due = now.min(state.max_expiry).after(limits::DEDUP_WINDOW);
            state.put_off(&mut self.due, chunk, due);
        }
    }

    /// Those that may go now, at most `max`.
    pub(super) fn due(&self, now: UnixTime, max: usize) -> Vec<ChunkId> {
        let due = self.due.iter().take_while(|(time, _)| *time <= now);
        due.map(|(_, chunk)| *chunk).take(max).collect()
    }

    /// Those with few live entries whose dead ones need not be remembered any more (MBX-5), oldest
    /// first, at most `max`.
    pub(super) fn sparse(&self, now: UnixTime, max: usize) -> Vec<ChunkId> {
        let is_over = |chunk: &&ChunkId| {
            let state = self.states.get(chunk);
            state.is_some_and(|state| state.last_death.after(limits::DEDUP_WINDOW) <= now)
        };
        self.sparse.range(..HELD).filter(is_over).take(max).copied().collect()
    }

    /// A chunk is gone.
    pub(super) fn remove(&mut self, chunk: ChunkId) {
        let Some(state) = self.states.remove(&chunk) else { return };
        self.entries -= u64::from(state.entries);
        self.due.remove(&(state.due, chunk));
        self.sparse.remove(&chunk);
    }
}

impl Chunk {
    /// It may go then.
    fn put_off(&mut self, all: &mut BTreeSet<(UnixTime, ChunkId)>, chunk: ChunkId, due: UnixTime) {
        if self.due != due {
            all.remove(&(self.due, chunk));
            self.due = due;
            all.insert((due, chunk));
        }
    }
}
