//! A disk in memory that fails when told to, and forgets what was not synced: for tests.
//!
//! Knows redb's calls and what a crash makes of them; must not know what is stored.

use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use zeroize::Zeroizing;

use super::keys::KeyFile;

/// The disk, which outlives the processes that open it. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default, Debug)]
struct State {
    /// What a crash leaves for certain.
    synced: Vec<u8>,
    /// What the running process sees.
    current: Vec<u8>,
    /// Writes since the last sync: a crash leaves any of them, and any part.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Calls until one fails; `None`: none does.
    fuse: Option<u32>,
    /// Once the fuse has burnt, everything fails.
    dies: bool,
    /// The next read fails.
    fails_to_read: bool,
    /// The most bytes it holds; `None`: no bound.
    capacity: Option<u64>,
    /// A sync that fails has written any part of what it should; chosen by this.
    partial: Option<u64>,
    /// Calls that have failed.
    failures: u32,
    /// Syncs that were asked for, and bytes written.
    #[cfg(test)]
    cost: super::cost::Cost,
    /// The file of the keys beside the store as the system's cache has it, which outlives processes
    /// and failed syncs.
    keys: Vec<u8>,
    /// What a crash leaves of it: never torn.
    synced_keys: Vec<u8>,
    /// Where it was written since the last sync, failed or not: a sync writes no more than that.
    dirty_keys: Vec<Range<usize>>,
}

impl Disk {
    /// The disk as a machine finds it that starts after a crash; the old one's process may go on
    /// writing to the old one. Of what was not synced a part is there, chosen by `seed`.
    #[must_use]
    pub fn after_crash(&self, seed: u64) -> Self {
        let disk = self.state();
        let found = disk.partly_synced(seed);
        let keys = disk.synced_keys.clone();
        let found = State {
            current: found.clone(),
            synced: found,
            keys: keys.clone(),
            synced_keys: keys,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(found)))
    }

    /// The next `calls` calls that change something work, and the one behind them fails.
    pub fn fails_at(&self, calls: u32) {
        self.state().fuse = Some(calls);
    }

    /// The next `calls` calls that change something work, and then nothing does.
    pub fn dies_after(&self, calls: u32) {
        let mut disk = self.state();
        (disk.dies, disk.fuse) = (true, Some(calls));
    }

    /// From now on a sync that fails has written a part of what it should, chosen by `seed`.
    pub fn syncs_partly(&self, seed: u64) {
        self.state().partial = Some(seed);
    }

    /// The next read fails.
    pub fn fails_to_read(&self) {
        self.state().fails_to_read = true;
    }

    /// From now on it holds `more` bytes more at most.
    pub fn fills_up(&self, more: u64) {
        let mut disk = self.state();
        disk.capacity = Some(disk.current.len() as u64 + more);
    }

    /// Nothing fails from now on.
    pub fn heal(&self) {
        let mut disk = self.state();
        (disk.fuse, disk.dies, disk.fails_to_read, disk.capacity) = (None, false, false, None);
    }

    /// How many calls have failed until now.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.state().failures
    }

    /// What it was asked for so far.
    #[cfg(test)]
    pub(super) fn cost(&self) -> super::cost::Cost {
        self.state().cost
    }

    /// Whether a crash now would find writes half done.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        !self.state().unsynced.is_empty()
    }

    /// A process begins: it finds what was synced of the store. A dead disk stays as it is, for the
    /// crash.
    pub(super) fn reopened(&self) -> Self {
        let mut disk = self.state();
        if !disk.is_dead() {
            disk.current = disk.synced.clone();
            disk.unsynced.clear();
        }
        drop(disk);
        self.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was synced, with some of what was written since.
    fn partly_synced(&self, seed: u64) -> Vec<u8> {
        let mut found = self.synced.clone();
        let mut state = seed;
        for (offset, data) in &self.unsynced {
            // SplitMix64's step: which writes came through is any pattern, the same each time.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let part = match mixed >> 62 {
                0 => 0,
                1 => data.len() / 2,
                _ => data.len(),
            };
            put(&mut found, *offset, data.get(..part).unwrap_or_default());
        }
        // The length is written with the first sync after it changed.
        found.resize(self.current.len().max(self.synced.len()), 0);
        found
    }

    fn is_dead(&self) -> bool {
        self.dies && self.fuse == Some(0)
    }

    fn burn(&mut self) -> Result<(), Error> {
        match &mut self.fuse {
            Some(0) => {
                if !self.dies {
                    self.fuse = None;
                }
                self.failures += 1;
                Err(Error::new(ErrorKind::StorageFull, "the disk fails here"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl KeyFile for Disk {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(self.state().keys.clone()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut disk = self.state();
        disk.burn()?;
        #[cfg(test)]
        disk.cost.writes(bytes.len());
        let start = place(offset)?;
        put(&mut disk.keys, start, bytes);
        disk.dirty_keys.push(start..start + bytes.len());
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut disk = self.state();
        // As Linux does: a sync that fails is told once, and what it should have written is clean.
        let dirty = std::mem::take(&mut disk.dirty_keys);
        disk.burn()?;
        #[cfg(test)]
        disk.cost.syncs();
        let State { keys, synced_keys, .. } = &mut *disk;
        for range in dirty {
            put(synced_keys, range.start, keys.get(range).unwrap_or_default());
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.state().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let mut disk = self.state();
        if std::mem::take(&mut disk.fails_to_read) || disk.is_dead() {
            disk.failures += 1;
            return Err(Error::other("the disk cannot be read here"));
        }
        let start = place(offset)?;
        let found = disk.current.get(start..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut disk = self.state();
        disk.burn()?;
        if disk.capacity.is_some_and(|capacity| len > capacity) {
            disk.failures += 1;
            return Err(Error::new(ErrorKind::StorageFull, "the disk is full"));
        }
        disk.current.resize(place(len)?, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut disk = self.state();
        #[cfg(test)]
        disk.cost.syncs();
        if let Err(error) = disk.burn() {
            if let Some(seed) = disk.partial {
                disk.synced = disk.partly_synced(seed);
            }
            return Err(error);
        }
        let State { synced, current, unsynced, .. } = &mut *disk;
        for (offset, data) in unsynced.drain(..) {
            put(synced, offset, &data);
        }
        synced.resize(current.len(), 0);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut disk = self.state();
        disk.burn()?;
        #[cfg(test)]
        disk.cost.writes(data.len());
        let start = place(offset)?;
        put(&mut disk.current, start, data);
        disk.unsynced.push((start, data.to_vec()));
        Ok(())
    }
}

/// Writes at a place, as files grow.
fn put(bytes: &mut Vec<u8>, start: usize, data: &[u8]) {
    let end = start + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(found) = bytes.get_mut(start..end) {
        found.copy_from_slice(data);
    }
}

fn place(offset: u64) -> Result<usize, Error> {
    usize::try_from(offset).map_err(Error::other)
}
