//! The shell around the rules: finds the mailbox, holds its lock, submits acts, answers.
//!
//! A mailbox's lock is held from the judgement of a call to the submission of its act, never
//! longer and never over a wait: so acts stand in the buffer's queue in the order in which they
//! were judged. What an act changed is put into memory when it is durable, on the buffer's thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, PublicKey, Seq, UnixTime};
use restante_spec::message::Refusal;

use super::Settings;
use super::api::{Access, Answer, Ask, Call, Mailboxes, Notice, Notices, Reading, Respond};
use super::authorise::{not_found, not_now};
use super::blobs::Blobs;
use super::pressure::Pressure;
use super::rows;
use super::state::Mailbox;
use crate::buffer::{Act, Buffer, BufferError, Done, Outcome, Span};
use crate::limits::{ADMISSION_RETRY, SHARDS, STORE_RETRY};

/// The mailboxes of this process.
pub(crate) struct Service<B, N> {
    pub(super) buffer: Arc<B>,
    pub(super) notices: Arc<N>,
    pub(super) settings: Settings,
    pub(super) pressure: Pressure,
    /// The relay's identity key: proofs are bound to it (CMD-4).
    pub(super) identity: PublicKey,
    /// `None`: a relay without blobs.
    pub(super) blobs: Option<Arc<Blobs>>,
    shards: [Mutex<HashMap<MailboxId, Arc<Cell>>>; SHARDS],
}

/// A mailbox in memory.
pub(super) type Cell = Mutex<Mailbox>;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// A service over a buffer, without blobs; what happens is told to `notices`.
    #[cfg(test)]
    pub(crate) fn new(
        buffer: Arc<B>,
        notices: Arc<N>,
        identity: PublicKey,
        settings: Settings,
    ) -> Arc<Self> {
        Self::with_blobs(buffer, notices, identity, settings, None)
    }

    /// A service over a buffer and blobs; what happens is told to `notices`.
    pub(crate) fn with_blobs(
        buffer: Arc<B>,
        notices: Arc<N>,
        identity: PublicKey,
        settings: Settings,
        blobs: Option<Arc<Blobs>>,
    ) -> Arc<Self> {
        let shards = std::array::from_fn(|_| Mutex::new(HashMap::new()));
        let pressure = Pressure::new();
        Arc::new(Self { buffer, notices, settings, pressure, identity, blobs, shards })
    }

    /// The mailbox, read from the buffer if it is not in memory.
    pub(super) fn find(&self, id: MailboxId) -> Result<Option<Arc<Cell>>, Refusal> {
        // The shard stays locked while the rows are read: two states of one mailbox never exist.
        let mut shard = self.shard(id);
        let mut is_in_use = false;
        if let Some(cell) = shard.get(&id) {
            let mailbox = lock(cell);
            if mailbox.is_current() {
                return Ok(Some(Arc::clone(cell)));
            }
            is_in_use = Arc::strong_count(cell) > 1;
            // Acts that are still queued change the state they were judged by when they are done,
            // not another one that was read before: until then nothing is judged.
            if is_in_use && !mailbox.deleted {
                return Err(refusal(BufferError::Unavailable));
            }
        }
        let rows = self.buffer.rows(id, rows::STATE).map_err(refusal)?;
        let Some(mailbox) = Mailbox::from_rows(id, &rows).map_err(|_| damaged())? else {
            if !is_in_use {
                shard.remove(&id);
            }
            return Ok(None);
        };
        // Made anew under its name.
        if is_in_use {
            return Err(refusal(BufferError::Unavailable));
        }
        let cell = Arc::new(Mutex::new(mailbox));
        shard.insert(id, Arc::clone(&cell));
        Ok(Some(cell))
    }

    /// The mailbox of an access, or `not_found`.
    pub(super) fn get(&self, access: Access) -> Result<Arc<Cell>, Refusal> {
        self.find(access.mailbox)?.ok_or_else(not_found)
    }

    /// Lets go of mailboxes in memory that nothing refers to; they are read again when needed.
    pub(crate) fn shrink(self: &Arc<Self>, now: UnixTime) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // MBX-21: cursors that were not worth writing until now.
            for cell in shard.values() {
                let mut mailbox = lock(cell);
                if mailbox.memory_first && !mailbox.acks.dirty.is_empty() {
                    self.write_cursors(cell, &mut mailbox, now);
                }
            }
            shard.retain(|_, cell| Arc::strong_count(cell) > 1 || is_warm(cell, now));
        }
    }

    /// What waits in memory for an outcome, over all mailboxes.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |cell: &Arc<Cell>| {
            let mailbox = lock(cell);
            let Mailbox { in_flight, taking, acks, .. } = &*mailbox;
            let asked = in_flight.len() + taking.len();
            // The acknowledgements of a state that is not used any more go with it.
            let acks = acks.dirty.len() + usize::from(acks.writing);
            asked + if mailbox.is_current() { acks } else { 0 }
        };
        self.sum(waiting)
    }

    /// Mailboxes whose state in memory is not used any more: what only that held is lost.
    #[cfg(feature = "simulation")]
    pub(crate) fn stale(&self) -> usize {
        self.sum(|cell| usize::from(!lock(cell).is_current()))
    }

    #[cfg(feature = "simulation")]
    fn sum(&self, of: impl Fn(&Arc<Cell>) -> usize) -> usize {
        let shards = self.shards.iter();
        let shards = shards.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        shards.map(|shard| shard.values().map(&of).sum::<usize>()).sum()
    }

    /// Submits an act; `done` gets the locked mailbox and the outcome when it is durable or
    /// refused. An outcome that leaves doubt marks the state as stale, and who is online looks.
    pub(super) fn submit<F>(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        id: MailboxId,
        act: Act,
        done: F,
    ) -> Result<(), Done>
    where
        F: FnOnce(&Arc<Self>, &mut Mailbox, Result<Outcome, BufferError>) + Send + 'static,
    {
        let service = Arc::clone(self);
        let cell = Arc::clone(cell);
        let done: Done = Box::new(move |outcome| {
            let mut mailbox = lock(&cell);
            if matches!(outcome, Err(BufferError::Unavailable | BufferError::Unknown)) {
                mailbox.stale = true;
            }
            // MBX-4, CMD-16: it may be done, and nobody else would tell those who are online.
            if matches!(outcome, Err(BufferError::Unknown)) {
                service.notices.notice(id, Notice::Unknown);
            }
            done(&service, &mut mailbox, outcome);
        });
        self.buffer.submit(id, act, done)
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of the array's length")]
    fn shard(&self, id: MailboxId) -> MutexGuard<'_, HashMap<MailboxId, Arc<Cell>>> {
        let [first, ..] = *id.as_bytes();
        self.shards[usize::from(first) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Buffer, N: Notices> Mailboxes for Arc<Service<B, N>> {
    fn call(&self, call: Call, now: UnixTime, respond: Respond) {
        let (access, ask) = match call {
            Call::Create(create) => return self.create(create, now, respond),
            Call::Open { mailbox, key, nonce, proof } => {
                return respond(self.open(mailbox, key, nonce, &proof, now));
            }
            Call::BlobRead { read, nonce, shown } => {
                return self.read_blob(&read, nonce, shown, now, respond);
            }
            Call::With(access, ask) => (access, ask),
        };
        match ask {
            Ask::Append(ask) => self.append(access, ask, now, respond),
            Ask::Subscribe { reader, after } => {
                respond(self.subscribe(access, reader, after, now).map(Answer::Subscribed));
            }
            Ask::Ack { reader, upto } => {
                respond(self.ack(access, reader, upto, now).map(|()| Answer::Done));
            }
            Ask::Allow { key, possession, terms, card } => {
                self.allow(access, key, &possession, terms, card, now, respond);
            }
            Ask::Revoke { key } => self.revoke(access, key, now, respond),
            Ask::AddReader { reader } => self.add_reader(access, reader, now, respond),
            Ask::PutPrekeys { slot, packages, last_resort } => {
                self.put_prekeys(access, slot, packages, last_resort, now, respond);
            }
            Ask::TakePrekeys { slot, request } => {
                self.take_prekey(access, slot, request, now, respond);
            }
            Ask::CountPrekeys => {
                respond(self.count_prekeys(access, now).map(Answer::PrekeyCounts));
            }
            Ask::Delete => self.delete(access, now, respond),
            Ask::BlobCreate(ask) => self.create_blob(access, ask, now, respond),
            Ask::BlobWrite { blob, offset, body } => {
                self.write_blob(access, blob, offset, &body, now, respond);
            }
            Ask::BlobDelete { blob } => self.delete_blob(access, blob, now, respond),
        }
    }

    fn page(&self, access: Access, span: Span, now: UnixTime) -> Result<Reading, Refusal> {
        let page = self.buffer.read(access.mailbox, span, now).map_err(refusal)?;
        let expires_at = self.may_read(access, &page, now)?;
        Ok(Reading { page, expires_at })
    }

    fn head(&self, mailbox: MailboxId, now: UnixTime) -> Seq {
        self.buffer.level(mailbox, now).head
    }
}

/// Locks a mailbox. A panic elsewhere ends its task only; the state under the lock is whole
/// between calls, so it is used on.
pub(super) fn lock(cell: &Cell) -> MutexGuard<'_, Mailbox> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a mailbox holds something that its rows do not: pace, or acknowledgements to write.
fn is_warm(cell: &Cell, now: UnixTime) -> bool {
    let mailbox = lock(cell);
    if !mailbox.is_current() {
        // Whatever it holds, it is read again.
        return false;
    }
    // MBX-12, LIM-13: a bucket that is read again would be full.
    let paces = mailbox.keys.values().map(|key| &key.pace).chain([&mailbox.commit_pace]);
    let is_paced = !paces.into_iter().all(|pace| pace.is_full(now));
    is_paced || !mailbox.acks.dirty.is_empty() || !mailbox.in_flight.is_empty()
}

/// The one translation of the buffer's errors into answers (ERR-1).
pub(super) fn refusal(error: BufferError) -> Refusal {
    match error {
        BufferError::Exists => Refusal::new(Code::Conflict, "the mailbox exists"),
        BufferError::NoMailbox => not_found(),
        BufferError::TooManyMailboxes => {
            Refusal::new(Code::Admission, "this relay takes no more mailboxes")
                .retry_after(ADMISSION_RETRY)
        }
        // ADM-1: the same whatever is wrong with the token.
        BufferError::Unpaid => {
            Refusal::new(Code::Admission, "this relay asks for a token of its operator")
                .retry_after(ADMISSION_RETRY)
        }
        BufferError::StaleEpoch => Refusal::new(Code::StaleEpoch, "another epoch is current"),
        BufferError::Full => Refusal::new(Code::Quota, "the mailbox is full"),
        BufferError::TooManyEnvelopes => {
            Refusal::new(Code::Unavailable, "this relay keeps no more envelopes at the moment")
                .retry_after(STORE_RETRY)
        }
        BufferError::Aborted => {
            Refusal::new(Code::Aborted, "an append before it in its chain was refused")
        }
        BufferError::Unavailable => not_now(),
        BufferError::Unknown => {
            Refusal::new(Code::Unknown, "the store failed, ask again with the same id")
                .retry_after(STORE_RETRY)
        }
    }
}

/// A stored row does not decode: nothing about this mailbox can be trusted.
pub(super) fn damaged() -> Refusal {
    Refusal::new(Code::Internal, "the relay's store is damaged, its operator must restore it")
}

/// Gives the uncalled `done` of a full queue its answer, once no lock is held.
pub(super) fn give_back(submitted: Result<(), Done>) {
    if let Err(done) = submitted {
        done(Err(BufferError::Unavailable));
    }
}
