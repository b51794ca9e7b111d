//! The whole store as a row of records: taken while the relay runs, looked through, and made a
//! store again.
//!
//! ```text
//!  reserved (number 8) | bucket keys (the file) | marks (16, 32) | rows (u16, key, value)
//!  | chunks (id 8, packed envelopes)
//! ```
//!
//! Rows of blobs are left out: their parts are elsewhere (BLB-7).
//! What was let go before the snapshot is marked as such in it, and what expires until it is
//! restored has lost its key by then: neither comes back.

use std::io;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use restante_spec::ids::{MailboxId, Seq, UnixTime};
use zeroize::Zeroizing;

use super::RedbBuffer;
use super::open::{self, FORMAT_NUMBER, begin};
use super::tables::{CHUNKS, FORMAT, MARKS, META, RESERVED, RESTORED, ROWS};
use crate::buffer::Part;
use crate::buffer::chunk;
use crate::buffer::keys::{KeyFile, Keys, OnDisk};
use crate::limits::{RESTORE_BATCH, RESTORE_RATE, RESTORE_RESERVE};

/// A part of the store.
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// What a record holds, by its number in backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Reserved = 1,
    Keys = 2,
    Mark = 3,
    Row = 4,
    Chunk = 5,
}

/// Why a snapshot cannot be taken, read or restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The store cannot be read or written.
    #[error("the store fails: {0}")]
    Store(String),
    /// The other side of the snapshot fails.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A record does not hold what it should.
    #[error("a record of the store is damaged")]
    Damaged,
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) mailboxes: u64,
    /// Envelopes that can still be opened.
    pub(crate) envelopes: u64,
    /// Envelopes whose time is over, or was by a clock that was ahead: their keys are gone.
    pub(crate) expired: u64,
}

impl Kind {
    /// The kind of this number.
    pub(crate) fn of(number: u8) -> Option<Self> {
        [Self::Reserved, Self::Keys, Self::Mark, Self::Row, Self::Chunk]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

impl RedbBuffer {
    /// Hands the store as it is at this moment to `sink`, record by record, beside the writer.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn snapshot(
        &self,
        sink: &mut dyn FnMut(Record) -> io::Result<()>,
    ) -> Result<(), SnapshotError> {
        let database = self.store.database().map_err(store)?;
        let transaction = database.begin_read().map_err(store)?;
        let mut put =
            |kind, parts: &[&[u8]]| sink(Record { kind, bytes: Zeroizing::new(parts.concat()) });
        let meta = transaction.open_table(META).map_err(store)?;
        let reserved = meta.get(RESERVED).map_err(store)?.map_or(0, |found| found.value());
        put(Kind::Reserved, &[&reserved.to_be_bytes()])?;
        // Those of everything in the transaction: keys are made before what they seal is written.
        // Read before they are put: whoever takes them slowly must not hold up who makes keys.
        let keys = self.store.keys().bytes()?;
        put(Kind::Keys, &[&keys])?;
        for entry in transaction.open_table(MARKS).map_err(store)?.iter().map_err(store)? {
            let (mailbox, mark) = entry.map_err(store)?;
            put(Kind::Mark, &[mailbox.value(), mark.value()])?;
        }
        for entry in transaction.open_table(ROWS).map_err(store)?.iter().map_err(store)? {
            let (key, value) = entry.map_err(store)?;
            // BLB-7: the blobs themselves are not in it.
            if key.value().get(MailboxId::SIZE) == Some(&Part::BLOB) {
                continue;
            }
            let size = u16::try_from(key.value().len()).map_err(|_| SnapshotError::Damaged)?;
            put(Kind::Row, &[&size.to_be_bytes(), key.value(), value.value()])?;
        }
        for entry in transaction.open_table(CHUNKS).map_err(store)?.iter().map_err(store)? {
            let (id, bytes) = entry.map_err(store)?;
            put(Kind::Chunk, &[&id.value().to_be_bytes(), bytes.value()])?;
        }
        Ok(())
    }
}

/// Looks through a snapshot: every envelope's checksum, and whether it opens with its key.
#[derive(Default)]
pub(crate) struct Verifier {
    keys: Option<Keys>,
    has_reserved: bool,
    found: Summary,
}

impl Verifier {
    /// Looks at the next record.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`].
    pub(crate) fn take(&mut self, record: Record) -> Result<(), SnapshotError> {
        match record.kind {
            Kind::Reserved => self.has_reserved = true,
            Kind::Row => {}
            Kind::Keys => {
                let keys = Keys::of_backup(record.bytes);
                self.keys = Some(keys.ok_or(SnapshotError::Damaged)?);
            }
            Kind::Mark => self.found.mailboxes += 1,
            Kind::Chunk => {
                let keys = self.keys.as_ref().ok_or(SnapshotError::Damaged)?;
                let bytes = record.bytes.get(8..).ok_or(SnapshotError::Damaged)?;
                for entry in chunk::read_all(bytes).map_err(|_| SnapshotError::Damaged)? {
                    // Its checksum is right: what does not open has lost its key, by a clock that
                    // was ahead.
                    match keys.get(entry.expires_at).map(|key| entry.open(key)) {
                        Some(Ok(_)) => self.found.envelopes += 1,
                        Some(Err(_)) | None => self.found.expired += 1,
                    }
                }
            }
        }
        Ok(())
    }

    /// What there was, if nothing is missing that every store has.
    pub(crate) fn finish(self) -> Option<Summary> {
        (self.has_reserved && self.keys.is_some()).then_some(self.found)
    }
}

/// Makes a store of a snapshot.
pub(crate) struct Restorer<'p> {
    path: &'p Path,
    now: UnixTime,
    database: Database,
    open: Option<WriteTransaction>,
    records: usize,
}

impl<'p> Restorer<'p> {
    /// A new store at a path where there is none, that begins now.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn create(path: &'p Path, now: UnixTime) -> Result<Self, SnapshotError> {
        std::fs::File::create_new(path)?;
        let database = Database::create(path).map_err(store)?;
        // Until the form is written, at the end, nobody takes it for a store.
        let transaction = begin(&database).map_err(store)?;
        transaction
            .open_table(META)
            .and_then(|mut meta| Ok(meta.insert(RESTORED, u64::MAX).map(drop)?))
            .map_err(store)?;
        transaction.commit().map_err(store)?;
        Ok(Self { path, now, database, open: None, records: 0 })
    }

    /// Takes the next record in.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), SnapshotError> {
        let transaction = match self.open.take() {
            Some(open) => open,
            None => begin(&self.database).map_err(store)?,
        };
        write(&transaction, self.path, self.now, record)?;
        self.records += 1;
        if self.records.is_multiple_of(RESTORE_BATCH) {
            transaction.commit().map_err(store)?;
        } else {
            self.open = Some(transaction);
        }
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn finish(mut self) -> Result<(), SnapshotError> {
        let transaction = match self.open.take() {
            Some(open) => open,
            None => begin(&self.database).map_err(store)?,
        };
        {
            // A snapshot of an empty relay makes an empty store.
            transaction.open_table(CHUNKS).map_err(store)?;
            transaction.open_table(ROWS).map_err(store)?;
            transaction.open_table(MARKS).map_err(store)?;
            let mut meta = transaction.open_table(META).map_err(store)?;
            meta.insert(FORMAT, FORMAT_NUMBER).map_err(store)?;
        }
        transaction.commit().map_err(store)
    }
}

fn write(
    transaction: &WriteTransaction,
    path: &Path,
    now: UnixTime,
    record: &Record,
) -> Result<(), SnapshotError> {
    let (bytes, damaged) = (record.bytes.as_slice(), || SnapshotError::Damaged);
    match record.kind {
        Kind::Reserved => {
            let reserved = u64::from_be_bytes(bytes.try_into().map_err(|_| damaged())?);
            let mut meta = transaction.open_table(META).map_err(store)?;
            // MBX-20: everything up to here is of before.
            meta.insert(RESTORED, reserved).map_err(store)?;
            let above = above(Seq::new(reserved), now).ok_or_else(damaged)?;
            meta.insert(RESERVED, above.get()).map_err(store)?;
        }
        Kind::Keys => {
            let keys = OnDisk::open(&path.with_extension("keys"))?;
            keys.write(0, bytes)?;
            keys.sync()?;
        }
        Kind::Mark => {
            let (mailbox, mark) = bytes.split_first_chunk::<16>().ok_or_else(damaged)?;
            let mark: &[u8; 32] = mark.try_into().map_err(|_| damaged())?;
            transaction.open_table(MARKS).map_err(store)?.insert(mailbox, mark).map_err(store)?;
        }
        Kind::Row => {
            let (size, rest) = bytes.split_first_chunk::<2>().ok_or_else(damaged)?;
            let size = usize::from(u16::from_be_bytes(*size));
            let (key, value) = rest.split_at_checked(size).ok_or_else(damaged)?;
            transaction.open_table(ROWS).map_err(store)?.insert(key, value).map_err(store)?;
        }
        Kind::Chunk => {
            let (id, chunk) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
            let id = u64::from_be_bytes(*id);
            transaction.open_table(CHUNKS).map_err(store)?.insert(id, chunk).map_err(store)?;
        }
    }
    Ok(())
}

/// MBX-3: above all that was given since the backup was taken, by a relay that was restored from it
/// too: the time is another for each restore, what the backup says is not.
fn above(reserved: Seq, now: UnixTime) -> Option<Seq> {
    let by_time = now.get().checked_mul(RESTORE_RATE).filter(|number| *number > reserved.get());
    by_time.or_else(|| reserved.get().checked_add(RESTORE_RESERVE)).map(Seq::new)
}

fn store(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError::Store(open::storage(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::conformance::{self, Rig, append, id};
    use crate::buffer::{Act, AppendAct, Buffer, Settings};
    use crate::ops::tasks::Tasks;

    const NOW: UnixTime = UnixTime::new(1_800_000_000);

    /// The last number of a relay that is restored then from a backup with this one.
    fn restored(reserved: u64, now: UnixTime) -> u64 {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("buffer.redb");
        let mut restorer = Restorer::create(&path, now).unwrap();
        let bytes = Zeroizing::new(reserved.to_be_bytes().to_vec());
        restorer.take(&Record { kind: Kind::Reserved, bytes }).unwrap();
        restorer.finish().unwrap();
        std::fs::write(path.with_extension("keys"), b"").unwrap();
        let (buffer, _writer) = RedbBuffer::open(&path, Settings::default(), now).unwrap();
        assert_eq!(buffer.restored(), Seq::new(reserved));
        buffer.last().get()
    }

    /// MBX-3, MBX-20. Once each restore of a backup went on with the numbers of the one before.
    #[test]
    fn each_restore_begins_above_the_last() {
        let later = UnixTime::new(NOW.get() + 1);
        let (first, second) = (restored(9, NOW), restored(9, later));
        assert_eq!((first, second - first), (NOW.get() * RESTORE_RATE, RESTORE_RATE));
        // A backup of the restored one, which has given some.
        let again = [first, first + RESTORE_RATE - 1].map(|given| restored(given, later));
        assert_eq!(again, [second, second]);
        // By a clock that is behind.
        assert_eq!(restored(second, later), second + RESTORE_RESERVE);
        assert_eq!(restored(second, UnixTime::new(0)), second + RESTORE_RESERVE);
    }

    /// MBX-16: what was let go before a backup was taken does not come back with it, nor what has
    /// expired since, whose key goes with the restored relay's start.
    #[test]
    fn what_is_over_does_not_come_back() {
        let (buffer, writer) = RedbBuffer::in_memory();
        Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        let rig = Rig::new(buffer.clone());
        let expires_at = append(2).expires_at;
        let let_go = rig.store(1, append(1)).seq;
        rig.act(1, Act::Write { rows: Vec::new(), trim: Some(let_go) }).unwrap();
        rig.store(1, append(2));
        let late = UnixTime::new(expires_at.get() + 3_600);
        rig.store(1, AppendAct { expires_at: late, ..append(3) });

        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("buffer.redb");
        let mut restorer = Restorer::create(&path, NOW).unwrap();
        let sink = &mut |record: Record| restorer.take(&record).map_err(io::Error::other);
        buffer.snapshot(sink).unwrap();
        restorer.finish().unwrap();
        let keys = || {
            let file = std::fs::read(path.with_extension("keys")).unwrap();
            file.chunks(48).filter(|slot| slot.iter().any(|byte| *byte != 0)).count()
        };
        assert_eq!(keys(), 2);
        let now = UnixTime::new(expires_at.get() + 900);
        let (restored, _writer) = RedbBuffer::open(&path, Settings::default(), now).unwrap();
        let restored = Rig { buffer: restored, epoch: rig.epoch };
        assert_eq!((restored.ids(1, now), keys()), (vec![id(3)], 1));
        // By a clock that goes back too.
        assert_eq!(restored.ids(1, conformance::NOW), [id(3)]);
    }

    /// Once whoever took a backup slowly held up everyone that needed a new key.
    #[test]
    fn keys_can_be_made_while_they_are_taken() {
        let (buffer, _writer) = RedbBuffer::in_memory();
        let mut taken = false;
        let sink = &mut |record: Record| {
            taken |= record.kind == Kind::Keys && buffer.store.keys.try_write().is_ok();
            Ok(())
        };
        buffer.snapshot(sink).unwrap();
        assert!(taken);
    }

    /// Once a relay took what a killed restore had left for a store, and lost the rest.
    #[test]
    fn half_a_restore_is_no_store() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("buffer.redb");
        let open = || RedbBuffer::open(&path, Settings::default(), UnixTime::new(1)).map(drop);
        drop(Restorer::create(&path, NOW).unwrap());
        assert!(matches!(open(), Err(open::OpenError::Half)));
        std::fs::remove_file(&path).unwrap();
        let mut restorer = Restorer::create(&path, NOW).unwrap();
        let bytes = Zeroizing::new(9_u64.to_be_bytes().to_vec());
        restorer.take(&Record { kind: Kind::Reserved, bytes }).unwrap();
        restorer.finish().unwrap();
        // Once keys were made anew for what had lost them, without a word.
        assert!(matches!(open(), Err(open::OpenError::NoKeys(_))));
        std::fs::write(path.with_extension("keys"), b"").unwrap();
        open().unwrap();
    }
}
