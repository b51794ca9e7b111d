//! The storage thread: many acts, one transaction, then their answers.
//!
//! It commits when the commit before has returned; a batch is what queued meanwhile. Two-phase
//! commits with quick-repair: strangers' bytes lie in the file, and it reopens at once.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use redb::{Database, WriteTransaction};
use restante_spec::ids::{MailboxId, Seq, UnixTime};

use super::batch::Batch;
use super::hold::Hold;
use super::open::{Opener, begin};
use super::tables;
use super::{Job, Load, Reply, Store};
use crate::buffer::index::{ChunkId, Mark, Moved, Placed};
use crate::buffer::settings::Settings;
use crate::buffer::{Act, AppendAct, BufferError, Envelope, Outcome, RELAY, Seen, Stored};
use crate::limits::{EXPIRY_MAILBOXES, REOPEN_FIRST, REOPEN_LAST};
use crate::ops::metrics;

/// The storage thread's work.
pub(crate) struct Writer {
    pub(super) store: Arc<Store>,
    pub(super) jobs: Receiver<Job>,
    pub(super) queued: Arc<Load>,
    pub(super) opener: Opener,
    pub(super) settings: Settings,
    /// The time of the last tick, or a later one that an act has brought since.
    pub(super) now: UnixTime,
    /// Above all that the store has held since it was opened: a reader may still look for one, and
    /// the newest of a mailbox is known by it.
    pub(super) next_chunk: ChunkId,
    /// Numbers up to here are reserved on disk.
    pub(super) reserved: Seq,
    /// It was told to end.
    pub(super) stopping: bool,
    pub(super) hold: Hold,
    /// Failures since a batch was last made durable.
    pub(super) failures: u32,
    /// Ticks until something is written again; until then the store is only read.
    pub(super) rests: u32,
}

/// What is said if the commit succeeds.
pub(super) enum Told {
    Seen(Seen, Stored),
    Done(Reply, Result<Outcome, BufferError>),
}

/// A job of a batch.
type Queued = (MailboxId, Act, Reply);

/// A batch to commit.
struct Prepared {
    /// `None` if nothing of it is to be written.
    transaction: Option<WriteTransaction>,
    moves: Vec<Moved>,
}

/// Why a batch failed.
enum Failure {
    /// Nothing of it is stored.
    Before(redb::Error),
    /// It may be stored or not.
    Commit(redb::Error),
}

impl Writer {
    pub(super) fn new(
        store: Arc<Store>,
        jobs: Receiver<Job>,
        queued: Arc<Load>,
        opener: Opener,
        settings: Settings,
        now: UnixTime,
    ) -> Self {
        let reserved = store.index().last_number();
        let (next_chunk, stopping, hold) =
            (store.index().newest_chunk() + 1, false, Hold::default());
        let (failures, rests) = (0, 0);
        Self {
            store,
            jobs,
            queued,
            opener,
            settings,
            now,
            next_chunk,
            reserved,
            stopping,
            hold,
            failures,
            rests,
        }
    }

    /// Works until told to stop; what was queued behind that is refused.
    pub(crate) fn run(mut self) {
        let mut wait = REOPEN_FIRST;
        while !self.stopping {
            if !self.is_open() {
                if !self.refuse_until(Instant::now() + wait) {
                    return;
                }
                wait = REOPEN_LAST.min(wait * 2);
                continue;
            }
            wait = REOPEN_FIRST;
            match self.next_job() {
                Ok(job) => self.turn(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.hold.rest().is_some_and(|rest| rest.is_zero()) {
                self.turn_hold();
            }
        }
        self.end_hold();
        self.refuse_queued();
    }

    /// Waits for a job, until the next turn of what is held.
    fn next_job(&self) -> Result<Job, RecvTimeoutError> {
        match self.hold.rest() {
            Some(rest) => self.jobs.recv_timeout(rest),
            None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
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
            self.end_hold();
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
                    self.tick(now);
                    ticked = true;
                }
                Job::Check => check = true,
                Job::Stop => self.stopping = true,
            }
            let full =
                batch.len() >= self.settings.batch_acts || bytes >= self.settings.batch_bytes;
            next = if self.stopping || full { None } else { self.jobs.try_recv().ok() };
        }
        self.queued.take(batch.len(), bytes);
        self.write(batch);
        if ticked {
            self.store.index().purge_some(self.now, EXPIRY_MAILBOXES);
        }
        self.expire();
        if ticked {
            self.clean();
        }
        if check {
            self.check();
        }
    }

    /// A tick leads, back too: a clock that was ahead takes what it took then, and no more.
    pub(super) fn tick(&mut self, now: UnixTime) {
        self.now = now;
        self.rests = self.rests.saturating_sub(1);
    }

    /// Writes a batch and answers it, or takes the store for failed.
    fn write(&mut self, batch: Vec<Queued>) {
        if batch.is_empty() {
            return;
        }
        let Some(database) = self.writable() else {
            return refuse(batch, BufferError::Unavailable);
        };
        let mut told = Vec::with_capacity(batch.len());
        let written = self.try_write(&database, batch, &mut told);
        drop(database);
        match written {
            Ok(moves) => {
                self.hold.note_written();
                let mut index = self.store.index();
                moves.iter().for_each(|moved| index.relocate(moved, self.now));
                index.publish();
                drop(index);
                for told in told {
                    match told {
                        Told::Seen(seen, stored) => seen(stored),
                        Told::Done(reply, answer) => reply.answer(answer),
                    }
                }
            }
            Err(failure) => {
                let (error, cause) = match failure {
                    Failure::Before(cause) => (BufferError::Unavailable, cause),
                    Failure::Commit(cause) => (BufferError::Unknown, cause),
                };
                self.close(&cause);
                for told in told {
                    let Told::Done(reply, _) = told else { continue };
                    reply.answer(Err(error));
                }
            }
        }
    }

    fn try_write(
        &mut self,
        database: &Database,
        batch: Vec<Queued>,
        told: &mut Vec<Told>,
    ) -> Result<Vec<Moved>, Failure> {
        let acts = batch.len();
        let mut batch = batch.into_iter();
        let prepared = self.prepare(database, &mut batch, told);
        // Acts behind a failure get the batch's answer too.
        let rest = batch.map(|(_, _, reply)| Told::Done(reply, Err(BufferError::Unavailable)));
        told.extend(rest);
        let Prepared { transaction, moves } = prepared.map_err(Failure::Before)?;
        if let Some(transaction) = transaction {
            transaction.commit().map_err(|error| Failure::Commit(error.into()))?;
            metrics::COMMITS.count();
            metrics::COMMITTED_ACTS.add(acts);
            self.failures = 0;
        }
        Ok(moves)
    }

    fn prepare(
        &mut self,
        database: &Database,
        acts: &mut std::vec::IntoIter<Queued>,
        told: &mut Vec<Told>,
    ) -> Result<Prepared, redb::Error> {
        let transaction = OnceCell::new();
        let begin = || -> Result<&WriteTransaction, redb::Error> {
            let begun = begin(database)?;
            Ok(transaction.get_or_init(|| begun))
        };
        let count = acts.len();
        let mut batch = None;
        if self.must_reserve(count) {
            batch = Some(self.begin_batch(begin()?, count)?);
        }
        for (mailbox, act, reply) in acts {
            // Whatever happens from here on, this act is answered.
            let Some((act, reply)) = self.hold(mailbox, act, reply, told) else { continue };
            told.push(Told::Done(reply, Err(BufferError::Unavailable)));
            let batch = match &mut batch {
                Some(batch) => batch,
                None => batch.insert(self.begin_batch(begin()?, count)?),
            };
            self.settle(batch, mailbox)?;
            let answered = self.act(batch, mailbox, act)?;
            if let Some(Told::Done(_, answer)) = told.last_mut() {
                *answer = answered;
            }
        }
        let moves = batch.map_or_else(|| Ok(Vec::new()), |batch| self.finish(batch))?;
        Ok(Prepared { transaction: transaction.into_inner(), moves })
    }

    fn act(
        &mut self,
        batch: &mut Batch<'_>,
        mailbox: MailboxId,
        act: Act,
    ) -> Result<Result<Outcome, BufferError>, redb::Error> {
        let store = Arc::clone(&self.store);
        match act {
            Act::Create { rows, max_mailboxes, toll } => {
                let (exists, mailboxes) = {
                    let index = store.index();
                    (index.mark(mailbox).is_some(), index.mailboxes())
                };
                if exists || mailbox == RELAY {
                    return Ok(Err(BufferError::Exists));
                }
                // LIM-14
                if mailboxes >= max_mailboxes {
                    return Ok(Err(BufferError::TooManyMailboxes));
                }
                let paid = match toll {
                    None => None,
                    Some(toll) => match tables::pay(&batch.rows, toll)? {
                        None => return Ok(Err(BufferError::Unpaid)),
                        paid => paid,
                    },
                };
                let mut index = store.index();
                let number = index.next_number();
                index.insert(mailbox, Mark { born: number, ..Mark::default() });
                drop(index);
                if let Some(paid) = paid {
                    // ADM-3: the use and the mailbox are durable together.
                    tables::write_row(&mut batch.rows, RELAY, &paid, number)?;
                }
                batch.write_rows(&store, mailbox, &rows, number)?;
                batch.mark(&store, mailbox);
                Ok(Ok(Outcome::Written(number)))
            }
            Act::Write { rows, trim } => {
                let mut index = store.index();
                if index.mark(mailbox).is_none() && mailbox != RELAY {
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
        let store = &self.store;
        let mut index = store.index();
        let refused = match index.judge(mailbox, &append) {
            Ok(Some(stored)) => return Ok(Ok(Outcome::Already(stored))),
            // LIM-30
            Ok(None) if index.envelopes() >= self.settings.envelopes => {
                Some(BufferError::TooManyEnvelopes)
            }
            // MBX-16: its key would go in this very turn.
            Ok(None) if !store.keys().admits(append.expires_at, self.now) => {
                Some(BufferError::Unavailable)
            }
            judged => judged.err(),
        };
        if let Some(refused) = refused {
            append.link.break_here();
            return Ok(Err(refused));
        }
        let (seq, prev) = (index.next_number(), index.head(mailbox));
        // Nobody waits for the index while a body is sealed.
        drop(index);
        let AppendAct { id, class, expires_at, body, commit, epoch, rows, .. } = append;
        let epoch = epoch.unwrap_or(Seq::START);
        let envelope = Envelope { seq, prev, epoch, id, class, expires_at, commit, body };
        let (chunk, offset) = self.pack(batch, mailbox, &envelope)?;
        let size = envelope.body.len();
        let stored = Stored { seq, prev, expires_at, commit };
        store.index().add(mailbox, Placed { id, stored, size, chunk, offset }, self.now);
        batch.write_rows(store, mailbox, &rows, seq)?;
        Ok(Ok(Outcome::Stored(stored)))
    }
}

fn refuse(batch: Vec<Queued>, error: BufferError) {
    for (_, _, reply) in batch {
        reply.answer(Err(error));
    }
}
