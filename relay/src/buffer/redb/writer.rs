//! The storage thread: many acts, one transaction, then their answers.
//!
//! It commits when the commit before has returned; a batch is what queued meanwhile. Two-phase
//! commits with quick-repair: strangers' bytes lie in the file, and it reopens at once.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use redb::{Database, Table, WriteTransaction};
use restante_spec::ids::{MailboxId, Seq, UnixTime};
use tracing::{error, info};

use super::open::{self, Opener, begin};
use super::tables::{self, CHUNKS, MARKS, META, RESERVED, ROWS};
use super::{Job, Reply, Store};
use crate::buffer::chunk::ChunkWriter;
use crate::buffer::index::{ChunkId, Mark, Placed};
use crate::buffer::settings::Settings;
use crate::buffer::{Act, AppendAct, BufferError, Envelope, Outcome, Part, RowWrite, Stored};
use crate::error::advice;
use crate::limits::{REOPEN_FIRST, REOPEN_LAST};
use crate::ops::metrics;

/// The storage thread's work.
pub(crate) struct Writer {
    pub(super) store: Arc<Store>,
    jobs: Receiver<Job>,
    queued_bytes: Arc<AtomicUsize>,
    opener: Opener,
    pub(super) settings: Settings,
    /// The latest time an act or tick has brought.
    pub(super) now: UnixTime,
    /// Above all that the store has held since it was opened: a reader may still look for one, and
    /// the newest of a mailbox is known by it.
    pub(super) next_chunk: ChunkId,
    /// Numbers up to here are reserved on disk.
    reserved: Seq,
    /// It was told to end.
    stopping: bool,
}

/// What waits for an answer, with the answer it gets if the commit succeeds.
type Answers = Vec<(Reply, Result<Outcome, BufferError>)>;

/// A job of a batch.
type Queued = (MailboxId, Act, Reply);

/// Why a batch failed.
enum Failure {
    /// Nothing of it is stored.
    Before(redb::Error),
    /// It may be stored or not.
    Commit(redb::Error),
}

/// The tables of one transaction, and the chunk being filled.
struct Batch<'t> {
    chunks: Table<'t, u64, &'static [u8]>,
    rows: Table<'t, &'static [u8], &'static [u8]>,
    marks: Table<'t, &'static [u8; 16], &'static [u8; 32]>,
    open: ChunkWriter,
    open_id: ChunkId,
    /// Marks to write: the last of each mailbox counts.
    dirty: BTreeMap<MailboxId, Option<Mark>>,
}

impl Writer {
    pub(super) fn new(
        store: Arc<Store>,
        jobs: Receiver<Job>,
        queued_bytes: Arc<AtomicUsize>,
        opener: Opener,
        settings: Settings,
        now: UnixTime,
    ) -> Self {
        let reserved = store.index().last_number();
        let (next_chunk, stopping) = (store.index().newest_chunk() + 1, false);
        Self { store, jobs, queued_bytes, opener, settings, now, next_chunk, reserved, stopping }
    }

    /// Works until told to stop; what was queued behind that is refused.
    pub(crate) fn run(mut self) {
        let mut wait = REOPEN_FIRST;
        while !self.stopping {
            let received = if self.is_open() {
                wait = REOPEN_FIRST;
                self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.jobs.recv_timeout(wait)
            };
            match received {
                Ok(job) => self.turn(job),
                Err(RecvTimeoutError::Timeout) => wait = REOPEN_LAST.min(wait * 2),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        self.refuse_queued();
    }

    /// Works off one batch of what is queued, if anything is; whether it goes on after that. So a
    /// simulation is the writer's thread.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn step(&mut self) -> bool {
        if self.is_open()
            && let Ok(job) = self.jobs.try_recv()
        {
            self.turn(job);
        }
        if self.stopping {
            self.refuse_queued();
        }
        !self.stopping
    }

    /// Works off a job and what is queued behind it, as far as it fits into a batch.
    fn turn(&mut self, first: Job) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let (mut check, mut ticked) = (false, false);
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Act { mailbox, act, done } => {
                    bytes += act.size();
                    batch.push((mailbox, act, done));
                }
                Job::Tick(now) => {
                    self.now = self.now.max(now);
                    ticked = true;
                }
                Job::Check => check = true,
                Job::Stop => self.stopping = true,
            }
            let full =
                batch.len() >= self.settings.batch_acts || bytes >= self.settings.batch_bytes;
            next = if self.stopping || full { None } else { self.jobs.try_recv().ok() };
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        metrics::QUEUE_ACTS.sub(batch.len());
        self.write(batch);
        self.expire();
        if ticked {
            self.clean();
        }
        if check {
            self.check();
        }
    }

    /// Writes a batch and answers it, or takes the store for failed.
    fn write(&mut self, batch: Vec<Queued>) {
        if batch.is_empty() {
            return;
        }
        let Ok(database) = self.store.database() else {
            return refuse(batch, BufferError::Unavailable);
        };
        let mut answers = Answers::with_capacity(batch.len());
        let written = self.try_write(&database, batch, &mut answers);
        drop(database);
        match written {
            Ok(()) => {
                metrics::COMMITS.count();
                metrics::COMMITTED_ACTS.add(answers.len());
                self.store.index().publish();
                for (reply, answer) in answers {
                    reply.answer(answer);
                }
            }
            Err(failure) => {
                let (told, cause) = match failure {
                    Failure::Before(cause) => (BufferError::Unavailable, cause),
                    Failure::Commit(cause) => (BufferError::Unknown, cause),
                };
                self.close(&cause);
                for (reply, _) in answers {
                    reply.answer(Err(told));
                }
            }
        }
    }

    fn try_write(
        &mut self,
        database: &Database,
        batch: Vec<Queued>,
        answers: &mut Answers,
    ) -> Result<(), Failure> {
        let mut batch = batch.into_iter();
        let prepared = self.prepare(database, &mut batch, answers);
        // Acts behind a failure get the batch's answer too.
        let rest = batch.map(|(_, _, reply)| (reply, Err(BufferError::Unavailable)));
        answers.extend(rest);
        let transaction = prepared.map_err(Failure::Before)?;
        transaction.commit().map_err(|error| Failure::Commit(error.into()))
    }

    fn prepare(
        &mut self,
        database: &Database,
        acts: &mut std::vec::IntoIter<Queued>,
        answers: &mut Answers,
    ) -> Result<WriteTransaction, redb::Error> {
        let transaction = begin(database)?;
        {
            let mut meta = transaction.open_table(META)?;
            let chunks = transaction.open_table(CHUNKS)?;
            self.reserve(&mut meta, acts.len())?;
            let open_id = self.next_chunk;
            let mut batch = Batch {
                chunks,
                rows: transaction.open_table(ROWS)?,
                marks: transaction.open_table(MARKS)?,
                open: ChunkWriter::new(self.now),
                open_id,
                dirty: BTreeMap::new(),
            };
            for (mailbox, act, reply) in acts {
                // Whatever happens from here on, this act is answered.
                let place = answers.len();
                answers.push((reply, Err(BufferError::Unavailable)));
                let answer = self.act(&mut batch, mailbox, act)?;
                if let Some(waiting) = answers.get_mut(place) {
                    waiting.1 = answer;
                }
            }
            batch.finish()?;
            self.next_chunk = batch.open_id;
            // What cannot be opened after a crash would be lost.
            self.store.keys_mut().sync()?;
        }
        Ok(transaction)
    }

    /// Reserves numbers for a batch of so many acts (MBX-3), in the batch's own transaction: none
    /// of them is seen before it is durable.
    fn reserve(
        &mut self,
        meta: &mut Table<'_, &'static str, u64>,
        acts: usize,
    ) -> Result<(), redb::Error> {
        let needed = self.store.index().last_number().get() + acts as u64;
        if needed > self.reserved.get() {
            self.reserved = Seq::new(needed + self.settings.reserve);
            meta.insert(RESERVED, self.reserved.get())?;
        }
        Ok(())
    }

    fn act(
        &mut self,
        batch: &mut Batch<'_>,
        mailbox: MailboxId,
        act: Act,
    ) -> Result<Result<Outcome, BufferError>, redb::Error> {
        let store = Arc::clone(&self.store);
        match act {
            Act::Create { rows, max_mailboxes } => {
                let mut index = store.index();
                if index.mark(mailbox).is_some() {
                    return Ok(Err(BufferError::Exists));
                }
                // LIM-14
                if index.mailboxes() >= max_mailboxes {
                    return Ok(Err(BufferError::TooManyMailboxes));
                }
                let number = index.next_number();
                index.insert(mailbox, Mark { born: number, ..Mark::default() });
                drop(index);
                batch.write_rows(&store, mailbox, &rows, number)?;
                batch.mark(&store, mailbox);
                Ok(Ok(Outcome::Written(number)))
            }
            Act::Write { rows, trim } => {
                let mut index = store.index();
                if index.mark(mailbox).is_none() {
                    return Ok(Err(BufferError::NoMailbox));
                }
                let number = index.next_number();
                if let Some(upto) = trim {
                    index.trim(mailbox, upto, self.now);
                }
                drop(index);
                batch.write_rows(&store, mailbox, &rows, number)?;
                if trim.is_some() {
                    batch.mark(&store, mailbox);
                }
                Ok(Ok(Outcome::Written(number)))
            }
            Act::Append(append) => self.append(batch, mailbox, append),
            Act::Delete => {
                let mut index = store.index();
                if index.mark(mailbox).is_none() {
                    return Ok(Err(BufferError::NoMailbox));
                }
                let number = index.next_number();
                index.remove(mailbox, self.now);
                drop(index);
                tables::remove_rows(&mut batch.rows, mailbox)?;
                batch.dirty.insert(mailbox, None);
                Ok(Ok(Outcome::Written(number)))
            }
        }
    }

    fn append(
        &mut self,
        batch: &mut Batch<'_>,
        mailbox: MailboxId,
        append: AppendAct,
    ) -> Result<Result<Outcome, BufferError>, redb::Error> {
        self.now = self.now.max(append.now);
        let store = Arc::clone(&self.store);
        let mut index = store.index();
        match index.judge(mailbox, &append) {
            // LIM-30
            Ok(None) if index.envelopes() >= self.settings.envelopes => {
                append.link.break_here();
                return Ok(Err(BufferError::TooManyEnvelopes));
            }
            Ok(None) => {}
            Ok(Some(stored)) => return Ok(Ok(Outcome::Already(stored))),
            Err(refused) => {
                append.link.break_here();
                return Ok(Err(refused));
            }
        }
        if store.keys().get(append.expires_at).is_none() {
            store.keys_mut().prepare(append.expires_at)?;
        }
        if !batch.open.fits(append.body.len()) {
            batch.next_chunk(self.now)?;
        }
        let (seq, prev) = (index.next_number(), index.head(mailbox));
        let AppendAct { id, class, expires_at, body, commit, epoch, rows, .. } = append;
        let epoch = epoch.unwrap_or(Seq::START);
        let envelope = Envelope { seq, prev, epoch, id, class, expires_at, commit, body };
        let keys = store.keys();
        let key = keys.get(expires_at).ok_or_else(|| io::Error::other("a key went missing"))?;
        let offset = batch.open.push(mailbox, &envelope, key, keys.salt());
        let offset = offset.map_err(io::Error::other)?;
        drop(keys);
        let (chunk, size) = (batch.open_id, envelope.body.len());
        let stored = Stored { seq, prev, expires_at, commit };
        index.add(mailbox, Placed { id, stored, size, chunk, offset }, self.now);
        drop(index);
        batch.write_rows(&store, mailbox, &rows, seq)?;
        Ok(Ok(Outcome::Stored(stored)))
    }

    /// After a failed read: redb refuses everything once the disk has failed, until it is opened
    /// anew.
    fn check(&mut self) {
        let Ok(database) = self.store.database() else { return };
        let works = begin(&database).and_then(|transaction| Ok(transaction.abort()?));
        drop(database);
        if let Err(cause) = works {
            self.close(&cause);
        }
    }

    /// From here on readers are told that the store is not available.
    pub(super) fn close(&self, cause: &redb::Error) {
        metrics::STORE_FAILURES.count();
        let advice = if let redb::Error::Io(cause) = cause { advice(cause) } else { "" };
        error!(error = %cause, "the store failed{advice}");
        self.store.set_database(None);
    }

    /// Whether the store is open; one that failed is opened anew, unless the writer is told to
    /// end. What was queued until then is refused: it was judged on a state that may not be what
    /// is stored.
    fn is_open(&mut self) -> bool {
        if self.store.database().is_ok() {
            return true;
        }
        self.refuse_queued();
        if self.stopping {
            return false;
        }
        let opened = open::open(&self.opener, self.now).and_then(|opened| {
            self.store.keys_mut().reload()?;
            Ok(opened)
        });
        match opened {
            Ok((database, index)) => {
                self.reserved = index.last_number();
                self.next_chunk = self.next_chunk.max(index.newest_chunk() + 1);
                *self.store.index() = index;
                self.store.set_database(Some(Arc::new(database)));
                info!("the store is open again");
                true
            }
            Err(cause) => {
                error!(error = %cause, "cannot open the store again yet");
                false
            }
        }
    }

    fn refuse_queued(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.refuse(job);
        }
    }

    fn refuse(&mut self, job: Job) {
        match job {
            Job::Act { act, done, .. } => {
                self.queued_bytes.fetch_sub(act.size(), Ordering::Relaxed);
                metrics::QUEUE_ACTS.sub(1);
                done.answer(Err(BufferError::Unavailable));
            }
            Job::Tick(now) => self.now = self.now.max(now),
            Job::Check => {}
            Job::Stop => self.stopping = true,
        }
    }
}

impl Batch<'_> {
    fn write_rows(
        &mut self,
        store: &Store,
        mailbox: MailboxId,
        writes: &[RowWrite],
        number: Seq,
    ) -> Result<(), redb::Error> {
        for write in writes {
            tables::write_row(&mut self.rows, mailbox, write, number)?;
            if write.part.tag == Part::EPOCH {
                let epoch = if write.value.is_some() { number } else { Seq::START };
                store.index().set_epoch(mailbox, epoch);
                self.mark(store, mailbox);
            }
        }
        Ok(())
    }

    fn mark(&mut self, store: &Store, mailbox: MailboxId) {
        self.dirty.insert(mailbox, store.index().mark(mailbox));
    }

    fn next_chunk(&mut self, now: UnixTime) -> Result<(), redb::Error> {
        self.chunks.insert(self.open_id, self.open.bytes())?;
        self.open_id += 1;
        self.open = ChunkWriter::new(now);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), redb::Error> {
        if !self.open.is_empty() {
            self.chunks.insert(self.open_id, self.open.bytes())?;
            self.open_id += 1;
        }
        for (mailbox, mark) in std::mem::take(&mut self.dirty) {
            match mark {
                Some(mark) => {
                    self.marks.insert(mailbox.as_bytes(), &tables::mark_bytes(mark))?;
                }
                None => drop(self.marks.remove(mailbox.as_bytes())?),
            }
        }
        Ok(())
    }
}

fn refuse(batch: Vec<Queued>, error: BufferError) {
    for (_, _, reply) in batch {
        reply.answer(Err(error));
    }
}
