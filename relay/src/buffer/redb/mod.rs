//! The embedded buffer: one redb file, one storage thread, an index in memory.
//!
//! ```text
//!  submit --> queue --> writer: judge in the index, seal, pack into chunks, one two-phase commit
//!  read   --> index (places) --> read transaction beside the writer, open
//! ```
//!
//! Knows redb. When the store fails, everything under way is answered `unknown` or `unavailable`,
//! the file is opened anew and the index rebuilt from what is really there.

mod batch;
mod clean;
mod expire;
mod hold;
mod open;
mod reopen;
pub(crate) mod snapshot;
mod tables;
mod writer;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, ReadableDatabase};
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};

pub(crate) use open::OpenError;
pub(crate) use writer::Writer;

use self::open::Opener;
use self::tables::{CHUNKS, MARKS, ROWS};
use super::index::{ChunkId, HELD, Index, Place};
use super::keys::{KeyFile, Keys, OnDisk};
use super::settings::Settings;
use super::{
    Act, Buffer, BufferError, Done, Envelope, Level, Outcome, Page, Part, Row, Span, Stored, chunk,
};
use crate::ops::metrics;

/// A buffer in a redb file.
pub(crate) struct RedbBuffer {
    store: Arc<Store>,
    queue: SyncSender<Job>,
    queued: Arc<Load>,
    settings: Settings,
    restored: Seq,
}

/// What waits for the writer.
#[derive(Default)]
struct Load {
    acts: AtomicUsize,
    /// Of bodies and rows.
    bytes: AtomicUsize,
}

impl Load {
    /// One act more of so many bytes; gives the bytes before it.
    fn put(&self, bytes: usize) -> usize {
        metrics::QUEUE_ACTS.add(1);
        self.acts.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed)
    }

    fn take(&self, acts: usize, bytes: usize) {
        metrics::QUEUE_ACTS.sub(acts);
        self.acts.fetch_sub(acts, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What readers and the writer share.
struct Store {
    /// `None` while the file is being opened anew.
    database: RwLock<Option<Arc<Database>>>,
    index: Mutex<Index>,
    keys: RwLock<Keys>,
    /// Chunks in memory (MBX-21).
    held: RwLock<HashMap<ChunkId, Vec<Envelope>>>,
}

/// What the writer is asked.
enum Job {
    Act {
        mailbox: MailboxId,
        act: Act,
        done: Reply,
    },
    Tick(UnixTime),
    /// A read failed: see whether the store still works.
    Check,
    Stop,
}

/// An answer that is owed. Dropped without one, it says that nothing is known: a thread that
/// panics or ends leaves nobody waiting.
struct Reply(Option<Done>);

impl Reply {
    fn answer(mut self, answer: Result<Outcome, BufferError>) {
        if let Some(done) = self.0.take() {
            done(answer);
        }
    }

    fn give_back(mut self) -> Option<Done> {
        self.0.take()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(BufferError::Unknown));
        }
    }
}

impl RedbBuffer {
    /// Opens the file and the one with its keys, or makes them, and rebuilds the index. The writer
    /// is to be run on a thread.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(
        path: &Path,
        settings: Settings,
        now: UnixTime,
    ) -> Result<(Arc<Self>, Writer), OpenError> {
        let (opener, keys) = (open::file(path, settings.cache_bytes), path.with_extension("keys"));
        if path.exists() && !keys.exists() {
            // Unless there is more to say of it: half a restore may have none yet.
            open::open(&opener, now)?;
            return Err(OpenError::NoKeys(keys));
        }
        Self::open_with(opener, Box::new(OnDisk::open(&keys)?), settings, now)
    }

    /// Opens a simulated disk.
    ///
    /// # Errors
    /// [`OpenError`].
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn open_on(
        disk: &super::disk::Disk,
        settings: Settings,
        now: UnixTime,
    ) -> Result<(Arc<Self>, Writer), OpenError> {
        let (disk, keys) = (disk.clone(), Box::new(disk.clone()));
        let opener: Opener = Box::new(move || {
            let mut builder = Database::builder();
            builder.set_cache_size(settings.cache_bytes).create_with_backend(disk.reopened())
        });
        Self::open_with(opener, keys, settings, now)
    }

    /// A buffer that ends with the test.
    #[cfg(test)]
    pub(crate) fn in_memory() -> (Arc<Self>, Writer) {
        let backend = || redb::backends::InMemoryBackend::new();
        let opener: Opener = Box::new(move || Database::builder().create_with_backend(backend()));
        let keys = Box::new(super::keys::InMemory::default());
        Self::open_with(opener, keys, Settings::default(), UnixTime::default()).unwrap()
    }

    /// Opens whatever `opener` gives, now and after a failure.
    pub(super) fn open_with(
        opener: Opener,
        keys: Box<dyn KeyFile>,
        settings: Settings,
        now: UnixTime,
    ) -> Result<(Arc<Self>, Writer), OpenError> {
        let (database, index) = open::open(&opener, now)?;
        let keys = Keys::load(keys, now)?;
        let restored = open::restored(&database)?;
        let store = Arc::new(Store {
            database: RwLock::new(Some(Arc::new(database))),
            index: Mutex::new(index),
            keys: RwLock::new(keys),
            held: RwLock::default(),
        });
        let (queue, jobs) = sync_channel(settings.queue_acts);
        let queued = Arc::new(Load::default());
        let load = Arc::clone(&queued);
        let writer = Writer::new(Arc::clone(&store), jobs, load, opener, settings, now);
        Ok((Arc::new(Self { store, queue, queued, settings, restored }), writer))
    }

    /// Bytes of bodies and rows that wait for the writer.
    #[cfg(feature = "simulation")]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued.bytes.load(Ordering::Relaxed)
    }

    /// Envelopes in the index, let go or not.
    #[cfg(feature = "simulation")]
    pub(crate) fn remembered(&self) -> u64 {
        self.store.index().envelopes()
    }

    /// What a reader is told of a failure; the operator is told why, and the writer looks after
    /// the store.
    fn report(&self, error: ReadError) -> BufferError {
        if let ReadError::Buffer(told) = error {
            return told;
        }
        tracing::error!(%error, "cannot read from the store");
        // A full queue brings writes, which fail as well.
        let _ = self.queue.try_send(Job::Check);
        BufferError::Unavailable
    }

    /// Whether the store is open: it is not while it is being opened anew after a failure.
    pub(crate) fn is_open(&self) -> bool {
        self.store.database().is_ok()
    }

    /// Tells the metrics how full it is.
    pub(crate) fn measure(&self) {
        metrics::QUEUE_BYTES.set(self.queued.bytes.load(Ordering::Relaxed) as u64);
        metrics::MAILBOXES.set(self.store.index().mailboxes());
    }

    /// Lets the writer end, behind everything queued before.
    pub(crate) fn stop(&self) {
        // It fails only when the writer has ended already.
        let _ = self.queue.send(Job::Stop);
    }
}

impl Store {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_mut(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, HashMap<ChunkId, Vec<Envelope>>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// An envelope in memory, if it is still there.
    fn held_at(&self, chunk: ChunkId, offset: u32) -> Option<Envelope> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(&chunk)?.get(usize::try_from(offset).ok()?).cloned()
    }

    fn database(&self) -> Result<Arc<Database>, BufferError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(BufferError::Unavailable)
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = database;
    }

    fn read_rows(
        &self,
        mailbox: MailboxId,
        tags: RangeInclusive<u8>,
    ) -> Result<Vec<Row>, ReadError> {
        let transaction = self.database()?.begin_read()?;
        let rows = transaction.open_table(ROWS)?;
        let first = tables::rows_from(mailbox, *tags.start());
        let mut found = Vec::new();
        for entry in rows.range(first.as_slice()..)? {
            let (key, value) = entry?;
            let row = tables::row(key.value(), value.value()).ok_or(ReadError::Damaged)?;
            if !key.value().starts_with(mailbox.as_bytes()) || row.part.tag > *tags.end() {
                break;
            }
            found.push(row);
        }
        Ok(found)
    }

    fn read_row(&self, mailbox: MailboxId, part: &Part) -> Result<Option<Row>, ReadError> {
        let transaction = self.database()?.begin_read()?;
        let rows = transaction.open_table(ROWS)?;
        let key = tables::row_key(mailbox, part);
        let Some(value) = rows.get(key.as_slice())? else { return Ok(None) };
        tables::row(&key, value.value()).map(Some).ok_or(ReadError::Damaged)
    }

    fn read_all_rows(
        &self,
        tag: u8,
        each: &mut dyn FnMut(MailboxId, Row),
    ) -> Result<(), ReadError> {
        let transaction = self.database()?.begin_read()?;
        for entry in transaction.open_table(ROWS)?.range::<&[u8]>(..)? {
            let (key, value) = entry?;
            let (mailbox, part) =
                key.value().split_first_chunk::<{ MailboxId::SIZE }>().ok_or(ReadError::Damaged)?;
            if part.first() == Some(&tag) {
                let row = tables::row(key.value(), value.value()).ok_or(ReadError::Damaged)?;
                each(MailboxId::new(*mailbox), row);
            }
        }
        Ok(())
    }

    fn list(&self, after: Option<MailboxId>, max: usize) -> Result<Vec<MailboxId>, ReadError> {
        use std::ops::Bound;
        let transaction = self.database()?.begin_read()?;
        let marks = transaction.open_table(MARKS)?;
        let after = after.as_ref().map(MailboxId::as_bytes);
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = Vec::new();
        for entry in marks.range::<&[u8; 16]>((first, Bound::Unbounded))?.take(max) {
            found.push(MailboxId::new(*entry?.0.value()));
        }
        Ok(found)
    }

    fn read_envelopes(
        &self,
        mailbox: MailboxId,
        span: Span,
        now: UnixTime,
    ) -> Result<Page, ReadError> {
        // A chunk that went between the look at the index and the look at the store has expired, or
        // its envelopes have moved: the index knows where to by now.
        for _ in 0..LOOKS {
            if let Some(page) = self.look(mailbox, span, now)? {
                return Ok(page);
            }
        }
        Err(ReadError::Damaged)
    }

    /// What the index says is there, read; `None` if a chunk of it is gone. It goes on behind what
    /// does not open: a page that says that there is more is never empty.
    fn look(
        &self,
        mailbox: MailboxId,
        mut span: Span,
        now: UnixTime,
    ) -> Result<Option<Page>, ReadError> {
        loop {
            // Asked first: the index of a store that has failed does not know what is stored.
            let database = self.database()?;
            let (places, more) = self.index().find(mailbox, span, now);
            let last = places.last().map(|place| place.seq);
            let Some(envelopes) = self.open_all(&database, mailbox, places)? else {
                return Ok(None);
            };
            match last {
                Some(last) if envelopes.is_empty() && more => span.after = last,
                _ => return Ok(Some(Page { envelopes, more })),
            }
        }
    }

    /// What stands in these places, but for what does not open; `None` if a chunk is gone.
    fn open_all(
        &self,
        database: &Database,
        mailbox: MailboxId,
        places: Vec<Place>,
    ) -> Result<Option<Vec<Envelope>>, ReadError> {
        let mut envelopes = Vec::with_capacity(places.len());
        if places.is_empty() {
            return Ok(Some(envelopes));
        }
        let transaction = database.begin_read()?;
        let chunks = transaction.open_table(CHUNKS)?;
        let keys = self.keys();
        let mut open = None;
        for place in places {
            if place.chunk >= HELD {
                let Some(envelope) = self.held_at(place.chunk, place.offset) else {
                    return Ok(None);
                };
                envelopes.push(envelope);
                continue;
            }
            if open.as_ref().is_none_or(|(id, _)| *id != place.chunk) {
                open = chunks.get(place.chunk)?.map(|bytes| (place.chunk, bytes));
            }
            let Some((_, bytes)) = &open else { return Ok(None) };
            let entry = chunk::read_at(bytes.value(), place.offset)?;
            if entry.mailbox != mailbox || entry.seq != place.seq {
                return Err(ReadError::Damaged);
            }
            // Without its key, or under one made since, it has expired by a clock that was ahead.
            match keys.get(entry.expires_at).map(|key| entry.open(key)) {
                Some(Ok(envelope)) => envelopes.push(envelope),
                Some(Err(_)) | None => metrics::UNOPENED.count(),
            }
        }
        Ok(Some(envelopes))
    }
}

/// Unit: a chunk whose envelopes move in the very moment of a look has moved once, at most twice.
const LOOKS: usize = 8;

impl Buffer for RedbBuffer {
    fn submit(&self, mailbox: MailboxId, act: Act, done: Done) -> Result<(), Done> {
        let size = act.size();
        let queued = self.queued.put(size);
        let full = queued + size > self.settings.queue_bytes && queued > 0;
        let job = Job::Act { mailbox, act, done: Reply(Some(done)) };
        let sent = if full { Err(TrySendError::Full(job)) } else { self.queue.try_send(job) };
        let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = sent else {
            return Ok(());
        };
        self.queued.take(1, size);
        match job {
            Job::Act { done, .. } => Err(done.give_back().unwrap_or_else(|| Box::new(|_| ()))),
            Job::Tick(_) | Job::Check | Job::Stop => Ok(()),
        }
    }

    fn rows(&self, mailbox: MailboxId, tags: RangeInclusive<u8>) -> Result<Vec<Row>, BufferError> {
        self.store.read_rows(mailbox, tags).map_err(|error| self.report(error))
    }

    fn row(&self, mailbox: MailboxId, part: &Part) -> Result<Option<Row>, BufferError> {
        self.store.read_row(mailbox, part).map_err(|error| self.report(error))
    }

    fn all_rows(&self, tag: u8, each: &mut dyn FnMut(MailboxId, Row)) -> Result<(), BufferError> {
        self.store.read_all_rows(tag, each).map_err(|error| self.report(error))
    }

    fn mailboxes(
        &self,
        after: Option<MailboxId>,
        max: usize,
    ) -> Result<Vec<MailboxId>, BufferError> {
        self.store.list(after, max).map_err(|error| self.report(error))
    }

    fn read(&self, mailbox: MailboxId, span: Span, now: UnixTime) -> Result<Page, BufferError> {
        self.store.read_envelopes(mailbox, span, now).map_err(|error| self.report(error))
    }

    fn lookup(&self, mailbox: MailboxId, id: EnvelopeId) -> Option<Stored> {
        self.store.index().lookup(mailbox, id)
    }

    fn confirm(&self, mailbox: MailboxId, upto: Seq, now: UnixTime) -> bool {
        self.store.index().trim(mailbox, upto, now)
    }

    fn level(&self, mailbox: MailboxId, now: UnixTime) -> Level {
        self.store.index().level(mailbox, now)
    }

    fn last(&self) -> Seq {
        self.store.index().last_number()
    }

    fn restored(&self) -> Seq {
        self.restored
    }

    fn queued(&self) -> usize {
        let Load { acts, bytes } = &*self.queued;
        let part = |load: &AtomicUsize, bound: usize| {
            load.load(Ordering::Relaxed).saturating_mul(100) / bound.max(1)
        };
        part(acts, self.settings.queue_acts).max(part(bytes, self.settings.queue_bytes))
    }

    fn tick(&self, now: UnixTime) {
        // A full queue ticks by itself: every act brings the time.
        let _ = self.queue.try_send(Job::Tick(now));
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Buffer(#[from] BufferError),
    #[error(transparent)]
    Storage(#[from] redb::StorageError),
    #[error(transparent)]
    Table(#[from] redb::TableError),
    #[error(transparent)]
    Transaction(#[from] redb::TransactionError),
    #[error(transparent)]
    Chunk(#[from] chunk::Damaged),
    #[error("the store is damaged")]
    Damaged,
}
