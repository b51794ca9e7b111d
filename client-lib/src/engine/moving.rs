//! What is known of a transfer under way beyond what the store knows: its open file, and which
//! parts have come. Lost with the process, at no more cost than the parts since the last note.
//!
//! Sans-IO: counts; the file is only held here.

use std::collections::{BTreeMap, BTreeSet};

use restante_spec::limits::BLOB_PART_BYTES;

use crate::files::{Files, OpenFile};
use crate::limits::TRANSFER_SYNC_BYTES;
use crate::types::TransferId;

/// The home's files, and the transfers under way.
#[derive(Debug)]
pub(super) struct Transfers {
    pub(super) files: Files,
    pub(super) moving: BTreeMap<TransferId, Moving>,
}

impl Transfers {
    pub(super) const fn of(files: Files) -> Self {
        Self { files, moving: BTreeMap::new() }
    }
}

/// One transfer under way.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) file: OpenFile,
    /// Bytes from the blob's beginning that are there, without a hole.
    pub(super) done: u64,
    size: u64,
    /// Where parts begin that are there, behind a hole: no more than are under way at once.
    ahead: BTreeSet<u64>,
    /// So much of it is noted in the store.
    noted: u64,
    /// So much of it was told.
    told: u64,
}

impl Moving {
    /// A transfer that goes on at `done`, which is where a part begins, or the end.
    pub(super) const fn at(file: OpenFile, done: u64, size: u64) -> Self {
        Self { file, done, size, ahead: BTreeSet::new(), noted: done, told: done }
    }

    /// The part that begins at `offset` is there.
    pub(super) fn handle_part(&mut self, offset: u64) {
        if offset >= self.done {
            self.ahead.insert(offset);
        }
        while self.ahead.remove(&self.done) {
            self.done += part_size(self.done, self.size);
        }
    }

    /// The other side has everything up to `stored`.
    pub(super) fn handle_stored(&mut self, stored: u64) {
        self.done = self.done.max(stored);
    }

    /// Whether so much has come since the last note that it is worth one.
    pub(super) const fn wants_note(&self) -> bool {
        self.done >= self.noted.saturating_add(TRANSFER_SYNC_BYTES)
    }

    /// What has come is noted.
    pub(super) const fn handle_noted(&mut self) {
        self.noted = self.done;
    }

    /// Whether more has come than was told when this was last asked.
    pub(super) const fn take_news(&mut self) -> bool {
        let news = self.done > self.told;
        self.told = self.done;
        news
    }
}

/// How many bytes the part has that begins there (BLB-1).
pub(crate) const fn part_size(offset: u64, size: u64) -> u64 {
    let left = size.saturating_sub(offset);
    if left < BLOB_PART_BYTES as u64 { left } else { BLOB_PART_BYTES as u64 }
}

/// Where the part begins in which a transfer goes on that has come so far; the end is the end.
pub(crate) const fn part_start(done: u64, size: u64) -> u64 {
    if done >= size { size } else { done - done % BLOB_PART_BYTES as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = BLOB_PART_BYTES as u64;

    fn file() -> OpenFile {
        Files::of(tempfile::tempdir().unwrap().path()).open_part("f").unwrap()
    }

    /// BLB-1: parts may come in any order and again; what is there ends where the first hole is.
    #[test]
    fn holes_are_not_counted() {
        let size = 4 * PART + 7;
        let mut moving = Moving::at(file(), PART, size);
        for (part, done) in [(3, PART), (1, 2 * PART), (0, 2 * PART), (1, 2 * PART), (2, 4 * PART)]
        {
            moving.handle_part(part * PART);
            assert_eq!(moving.done, done);
        }
        moving.handle_part(4 * PART);
        assert_eq!((moving.done, moving.ahead.len()), (size, 0));
    }

    /// A note is due when so many bytes have come, and not one before.
    #[test]
    fn notes_are_due_by_bytes() {
        let size = 3 * TRANSFER_SYNC_BYTES;
        let mut moving = Moving::at(file(), 0, size);
        moving.handle_stored(TRANSFER_SYNC_BYTES - 1);
        assert!(!moving.wants_note());
        moving.handle_stored(TRANSFER_SYNC_BYTES);
        assert!(moving.wants_note());
        moving.handle_noted();
        assert!(!moving.wants_note());
    }

    /// BLB-1: a transfer goes on at the beginning of a part, or is at its end.
    #[test]
    fn transfers_go_on_where_parts_begin() {
        let size = 2 * PART + 7;
        for (done, start) in
            [(0, 0), (PART - 1, 0), (PART, PART), (size - 1, 2 * PART), (size, size)]
        {
            assert_eq!(part_start(done, size), start);
        }
        assert_eq!((part_size(0, size), part_size(2 * PART, size), part_size(size, size)), {
            (PART, 7, 0)
        });
    }
}
