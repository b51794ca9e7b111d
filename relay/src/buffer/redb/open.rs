//! Opening the store: the file, its form, and the index rebuilt by one scan.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, WriteTransaction,
};
use restante_spec::ids::{MailboxId, Seq, UnixTime};
use tracing::info;

use super::super::Stored;
use super::super::chunk;
use super::super::files::sync_name;
use super::super::index::{ChunkId, Index, Placed};
use super::tables::{CHUNKS, FORMAT, MARKS, META, RESERVED, RESTORED, ROWS, mark_of};
use crate::error::advice;
use crate::limits::{READ_AHEAD, READING_TOLD};
use crate::ops::tasks;

/// Layout: the form of the tables this relay reads and writes.
pub(super) const FORMAT_NUMBER: u64 = 3;

/// Opens the database, again and again if need be.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has the file open.
    #[error("another process has the store open: stop it first")]
    Locked,
    /// The file was written by another version of the relay.
    #[error(
        "the store has form {0}, this relay knows form {FORMAT_NUMBER}: use the relay that wrote \
         it, or begin anew in another directory with --data, under another address"
    )]
    Format(u64),
    /// The keys of what is in the store are gone.
    #[error(
        "{} is gone, and without it no envelope in the store can be read: put it back, or make an \
         empty one to go on without those envelopes", .0.display()
    )]
    NoKeys(PathBuf),
    /// A restore was broken off: only a part of it is there.
    #[error("its restore was broken off: remove the directory and restore the backup again")]
    Half,
    /// A chunk or row does not read: nothing is dropped in silence.
    #[error("the store is damaged ({0}): restore it from a backup")]
    Damaged(String),
    /// The system refuses.
    #[error("{0}{advice}", advice = advice(.0))]
    System(#[from] io::Error),
    /// redb refuses.
    #[error("{0}")]
    Storage(String),
}

/// Opens a file with a bounded cache.
pub(super) fn file(path: &Path, cache_bytes: usize) -> Opener {
    let path: PathBuf = path.to_owned();
    Box::new(move || {
        let database = Database::builder().set_cache_size(cache_bytes).create(&path)?;
        // MBX-4: a new file's name must outlive a power cut as well as its content.
        sync_name(&path)?;
        Ok(database)
    })
}

/// Begins a transaction whose commit is durable, safe from strangers' bytes and quick to reopen.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Opens the store and rebuilds the index.
pub(super) fn open(opener: &Opener, now: UnixTime) -> Result<(Database, Index), OpenError> {
    let begun = Instant::now();
    let database = opener().map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked,
        DatabaseError::Storage(StorageError::Io(error)) => OpenError::System(error),
        other => storage(other),
    })?;
    prepare(&database)?;
    let opening_ms = begun.elapsed().as_millis();
    let index = rebuild(&database, now, &mut |done, of| info!(done, of, "reading the store"))?;
    let reading_ms = begun.elapsed().as_millis() - opening_ms;
    let (mailboxes, envelopes) = (index.mailboxes(), index.envelopes());
    info!(mailboxes, envelopes, opening_ms, reading_ms, "store opened");
    Ok((database, index))
}

/// Makes the tables at first, and refuses those of another form.
fn prepare(database: &Database) -> Result<(), OpenError> {
    let transaction = begin(database).map_err(storage)?;
    let format = {
        let mut meta = transaction.open_table(META).map_err(storage)?;
        let format = meta.get(FORMAT).map_err(storage)?.map(|found| found.value());
        match format {
            Some(FORMAT_NUMBER) => {}
            Some(other) => return Err(OpenError::Format(other)),
            None if meta.get(RESTORED).map_err(storage)?.is_some() => return Err(OpenError::Half),
            None => {
                meta.insert(FORMAT, FORMAT_NUMBER).map_err(storage)?;
                transaction.open_table(CHUNKS).map_err(storage)?;
                transaction.open_table(ROWS).map_err(storage)?;
                transaction.open_table(MARKS).map_err(storage)?;
            }
        }
        format
    };
    match format {
        None => transaction.commit().map_err(storage),
        Some(_) => transaction.abort().map_err(storage),
    }
}

/// Up to which number everything comes from a backup (MBX-20).
pub(super) fn restored(database: &Database) -> Result<Seq, OpenError> {
    let transaction = database.begin_read().map_err(storage)?;
    let meta = transaction.open_table(META).map_err(storage)?;
    let restored = meta.get(RESTORED).map_err(storage)?;
    Ok(Seq::new(restored.map_or(0, |found| found.value())))
}

/// One sequential scan. What was let go before counts as dead from now on, so that its ids are
/// remembered long enough (MBX-5); numbers go on above the last block (MBX-3). `tell` gets how many
/// chunks are done of how many, as a large store takes its time.
fn rebuild(
    database: &Database,
    now: UnixTime,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Index, OpenError> {
    let transaction = database.begin_read().map_err(storage)?;
    let meta = transaction.open_table(META).map_err(storage)?;
    let reserved = meta.get(RESERVED).map_err(storage)?.map_or(0, |found| found.value());
    let mut index = Index::new(Seq::new(reserved));
    let marks = transaction.open_table(MARKS).map_err(storage)?;
    for entry in marks.iter().map_err(storage)? {
        let (mailbox, mark) = entry.map_err(storage)?;
        index.insert(MailboxId::new(*mailbox.value()), mark_of(mark.value()));
    }
    let table = transaction.open_table(CHUNKS).map_err(storage)?;
    let chunks = table.len().map_err(storage)?;
    let (sender, read) = sync_channel(READ_AHEAD);
    let add_all = || {
        for (entries, done) in read.iter().zip(1..) {
            for (mailbox, placed) in entries {
                index.add(mailbox, placed, now);
            }
            if done % READING_TOLD == 0 {
                tell(done, chunks);
            }
        }
    };
    let worked = tasks::beside("reader", move || read_chunks(&table, &sender), add_all);
    worked.map_err(OpenError::System)?.0?;
    index.index_ids();
    Ok(index)
}

/// Reads and checks every chunk, in order, and hands on what stands in each.
fn read_chunks(
    table: &impl ReadableTable<ChunkId, &'static [u8]>,
    sender: &SyncSender<Vec<(MailboxId, Placed)>>,
) -> Result<(), OpenError> {
    for entry in table.iter().map_err(storage)? {
        let (chunk, bytes) = entry.map_err(storage)?;
        let entries = chunk::read_all(bytes.value())
            .map_err(|damage| OpenError::Damaged(damage.to_string()))?;
        let placed = |entry: chunk::Entry<'_>| {
            let chunk::Entry { mailbox, id, seq, prev, expires_at, commit, offset, .. } = entry;
            let stored = Stored { seq, prev, expires_at, commit };
            let (chunk, size) = (chunk.value(), entry.size());
            (mailbox, Placed { id, stored, size, chunk, offset })
        };
        if sender.send(entries.into_iter().map(placed).collect()).is_err() {
            break;
        }
    }
    Ok(())
}

pub(super) fn storage(error: impl std::fmt::Display) -> OpenError {
    OpenError::Storage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::chunk::ChunkWriter;
    use crate::buffer::conformance::{NOW, append, mailbox};
    use crate::buffer::index::Mark;
    use crate::buffer::seal::{BucketKey, Salt};
    use crate::buffer::{AppendAct, Envelope};

    fn envelope(number: u32) -> Envelope {
        let AppendAct { id, class, expires_at, body, commit, .. } = append(number);
        let (seq, prev, epoch) = (Seq::new(u64::from(number)), Seq::START, Seq::START);
        Envelope { seq, prev, epoch, id, class, expires_at, commit, body }
    }

    /// Once chunks with old entries behind newer ones, as cleaning leaves them, had the tables of
    /// ids made anew with each entry; now they are made at the end, and must be.
    #[test]
    fn what_is_read_out_of_order_has_its_ids_in_tables() {
        let opener: Opener = Box::new(|| {
            Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())
        });
        let (database, _) = open(&opener, NOW).unwrap();
        let key = BucketKey::new(&[8; 32]).unwrap();
        let transaction = begin(&database).unwrap();
        {
            let mark = super::super::tables::mark_bytes(Mark::default());
            let mut marks = transaction.open_table(MARKS).unwrap();
            marks.insert(mailbox(1).as_bytes(), &mark).unwrap();
            let mut chunks = transaction.open_table(CHUNKS).unwrap();
            for (id, first) in [(1, 200), (2, 100)] {
                let mut chunk = ChunkWriter::new(NOW);
                for number in first..first + 50 {
                    chunk.push(mailbox(1), &envelope(number), &key, Salt(1)).unwrap();
                }
                chunks.insert(id, chunk.bytes()).unwrap();
            }
        }
        transaction.commit().unwrap();
        let index = rebuild(&database, NOW, &mut |_, _| ()).unwrap();
        assert_eq!(index.envelopes(), 100);
        assert!(index.has_tables());
    }

    #[test]
    fn reading_a_large_store_tells_how_far_it_is() {
        let opener: Opener = Box::new(|| {
            Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())
        });
        let (database, _) = open(&opener, NOW).unwrap();
        let (empty, all) = (ChunkWriter::new(NOW), 2 * READING_TOLD + 1);
        let transaction = begin(&database).unwrap();
        {
            let mut chunks = transaction.open_table(CHUNKS).unwrap();
            (1..=all).for_each(|id| drop(chunks.insert(id, empty.bytes()).unwrap()));
        }
        transaction.commit().unwrap();
        let mut told = Vec::new();
        rebuild(&database, NOW, &mut |done, of| told.push((done, of))).unwrap();
        assert_eq!(told, [(READING_TOLD, all), (2 * READING_TOLD, all)]);
    }
}
