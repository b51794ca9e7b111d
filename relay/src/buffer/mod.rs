//! Step 3, buffer: keeps envelopes until every reader has them or their time is over.
//!
//! ```text
//!  mailbox/ --submit(Act, done)--> [ queue ] --> storage thread: one transaction for many acts
//!           <---- done(Outcome) ---------------- after the commit is durable, in order
//!           ----- read, rows, lookup ----------> beside the writer, never waiting for it
//! ```
//!
//! Knows: mailboxes as logs of envelopes with small *rows* beside them, sequence numbers, epochs,
//! quotas, expiry, ids. Must not know: what rows mean, keys, rights, connections, subscriptions.
//! The contract below is kept alike by the memory model, redb, and later a cluster's engine;
//! `conformance.rs` is its test, run against each of them.
//!
//! The contract in short:
//! - Acts of one mailbox take effect in the order in which they were submitted, each whole or not
//!   at all; `done` is called exactly once for each, in that order, and with success only when
//!   the act is durable (MBX-4).
//! - Every act gets a sequence number, rising over all mailboxes and never used twice, whatever
//!   crashes (MBX-3). A row remembers the number of the act that wrote it: its revision.
//! - Readers see only what is durable and not expired (MBX-11), and what is held in memory for a
//!   moment (MBX-21): that is told by `seen`. Its `done` follows at a fixed time, also if acts
//!   behind it are done before, when it is durable, or is confirmed and need not be any more.

#[cfg(feature = "simulation")]
pub(crate) mod alone;
pub(crate) mod blobs;
mod chunk;
mod chunks;
#[cfg(test)]
mod cleaning;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod crash;
#[cfg(any(test, feature = "simulation"))]
#[cfg_attr(not(feature = "simulation"), expect(unreachable_pub, reason = "for simulations"))]
pub(crate) mod disk;
#[cfg(test)]
mod fault;
pub(crate) mod files;
#[cfg(test)]
mod held;
mod index;
pub(crate) mod keys;
mod log;
#[cfg(test)]
mod memory;
#[cfg(feature = "simulation")]
pub(crate) mod parsers;
#[cfg(test)]
mod play;
pub(crate) mod redb;
mod seal;
#[cfg(test)]
mod sealed;
mod settings;

pub(crate) use settings::Settings;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};
use restante_spec::message::EnvelopeClass;

/// Where envelopes are kept. All methods may be called from any thread at any time.
pub(crate) trait Buffer: Send + Sync + 'static {
    /// Queues an act; `done` is called on the buffer's own thread once it is durable or refused,
    /// so it must be short and must not block. It is never called inside `submit`: the caller may
    /// hold a lock that `done` takes.
    ///
    /// When the store fails, everything queued at that moment is refused before anything queued
    /// later is looked at, so that what is decided on old state is never done on new.
    ///
    /// # Errors
    /// The queue is full or stopped: nothing is done, and `done` is given back uncalled.
    fn submit(&self, mailbox: MailboxId, act: Act, done: Done) -> Result<(), Done>;

    /// The rows of a mailbox whose tags are in `tags`, in order of their parts.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`].
    fn rows(&self, mailbox: MailboxId, tags: RangeInclusive<u8>) -> Result<Vec<Row>, BufferError>;

    /// One row.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`].
    fn row(&self, mailbox: MailboxId, part: &Part) -> Result<Option<Row>, BufferError>;

    /// Hands over every row with this tag, whichever mailbox it is of: one look at all rows.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`].
    fn all_rows(&self, tag: u8, each: &mut dyn FnMut(MailboxId, Row)) -> Result<(), BufferError>;

    /// Mailboxes that exist, in the order of their ids, at most `max` above `after`.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`].
    fn mailboxes(
        &self,
        after: Option<MailboxId>,
        max: usize,
    ) -> Result<Vec<MailboxId>, BufferError>;

    /// Durable, unexpired envelopes with `after < seq <= upto`, oldest first, at most `max` and,
    /// from the second on, at most `max_bytes` of bodies.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`].
    fn read(&self, mailbox: MailboxId, span: Span, now: UnixTime) -> Result<Page, BufferError>;

    /// The answer given to this id, while it is remembered: as long as the envelope is stored,
    /// and at least [`restante_spec::limits::DEDUP_WINDOW`] after (MBX-5).
    fn lookup(&self, mailbox: MailboxId, id: EnvelopeId) -> Option<Stored>;

    /// Every reader has everything up to here: what of it is held in memory only is let go without
    /// being written (MBX-21). Returns whether nothing else was there to be let go; otherwise an
    /// [`Act::Write`] must let go of it.
    fn confirm(&self, mailbox: MailboxId, upto: Seq, now: UnixTime) -> bool;

    /// How full a mailbox is, and its newest number.
    fn level(&self, mailbox: MailboxId, now: UnixTime) -> Level;

    /// No number above this one was given before the store was last opened, and none below will be
    /// given again, whatever was held in memory when the process before ended (MBX-3).
    fn last(&self) -> Seq;

    /// What has this number or a lower one comes from a backup (MBX-20); `Seq::START` if nothing.
    fn restored(&self) -> Seq;

    /// How full the queue is, in hundredths of the bound that is nearer.
    fn queued(&self) -> usize;

    /// Lets go of what has expired; called about once a second. Returns at once; the work is
    /// done in bounded steps between the acts.
    fn tick(&self, now: UnixTime);
}

/// Called once with what became of an act.
pub(crate) type Done = Box<dyn FnOnce(Result<Outcome, BufferError>) + Send>;

/// Called on the buffer's thread when an envelope is held in memory: readers may have it from now
/// on, and [`Done`] follows.
pub(crate) type Seen = Box<dyn FnOnce(Stored) + Send>;

/// One atomic change of one mailbox.
pub(crate) enum Act {
    /// A mailbox begins with these rows; refused with `Exists` when it has any already, then with
    /// `TooManyMailboxes`, then with `Unpaid`.
    Create { rows: Vec<RowWrite>, max_mailboxes: u64, toll: Option<Toll> },
    /// Rows change; envelopes up to and including `trim` are let go. Refused with `NoMailbox`
    /// when there are no rows, but rows of [`RELAY`] are always there.
    Write { rows: Vec<RowWrite>, trim: Option<Seq> },
    /// An envelope is added, with rows that change in the same step.
    Append(AppendAct),
    /// The mailbox ends: its rows and envelopes go; ids are forgotten.
    Delete,
}

/// An envelope to add. Judged in this order (MBX-5, MBX-6, MBX-7, LIM-3): id known -> `Already`;
/// chain broken before -> `Aborted`; no rows -> `NoMailbox`; epoch not current -> `StaleEpoch`;
/// no room -> `Full`.
pub(crate) struct AppendAct {
    pub(crate) id: EnvelopeId,
    pub(crate) class: EnvelopeClass,
    pub(crate) expires_at: UnixTime,
    pub(crate) body: Bytes,
    /// The place in the chain of the connection; refusals break the chain behind it.
    pub(crate) link: ChainLink,
    /// Conversations: the epoch row's revision must be this (MBX-7).
    pub(crate) epoch: Option<Seq>,
    /// A commit: may use the reserve of the quota, is marked in deliveries.
    pub(crate) commit: bool,
    /// Written in the same step; each gets the envelope's number as its revision.
    pub(crate) rows: Vec<RowWrite>,
    pub(crate) quota: Quota,
    pub(crate) now: UnixTime,
    /// It may be held in memory for a moment before it is written (MBX-21); only without rows, and
    /// never a commit. Left uncalled when it is not held: then it is stored as any other.
    pub(crate) hold: Option<Seen>,
}

/// The rows of the relay itself stand under this name, which no mailbox has: it is refused as the
/// name of one with `Exists`.
pub(crate) const RELAY: MailboxId = MailboxId::new([0; MailboxId::SIZE]);

/// What a new mailbox costs: a row of [`RELAY`] that changes in the same step, or refuses it.
pub(crate) struct Toll {
    pub(crate) part: Part,
    /// Gives the row's next value; `None`: not enough, nothing is done.
    pub(crate) pay: Pay,
}

/// Judges a row's value, and gives the next one.
pub(crate) type Pay = Box<dyn FnOnce(&[u8]) -> Option<Bytes> + Send>;

impl Act {
    /// Bytes of bodies and rows it brings, for the bounds of the queue.
    pub(crate) fn size(&self) -> usize {
        let bytes = |rows: &[RowWrite]| -> usize {
            rows.iter().filter_map(|row| row.value.as_ref()).map(Bytes::len).sum()
        };
        match self {
            Self::Append(append) => append.body.len() + bytes(&append.rows),
            Self::Create { rows, .. } | Self::Write { rows, .. } => bytes(rows),
            Self::Delete => 0,
        }
    }
}

/// How much a mailbox may hold (LIM-3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) entries: u32,
    pub(crate) bytes: u64,
    /// Of the entries, those only commits may use.
    pub(crate) reserve_entries: u32,
    /// Of the bytes, those only commits may use.
    pub(crate) reserve_bytes: u64,
}

/// A change of one row; `value: None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowWrite {
    pub(crate) part: Part,
    pub(crate) value: Option<Bytes>,
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) part: Part,
    /// The number of the act that wrote it.
    pub(crate) revision: Seq,
    pub(crate) value: Bytes,
}

/// The name of a row within its mailbox: a tag and a key of at most 40 bytes. What they mean is
/// the mailbox rules' business, but for [`Part::EPOCH`]
/// and [`Part::BLOB`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Part {
    pub(crate) tag: u8,
    pub(crate) key: Vec<u8>,
}

impl Part {
    /// The tag of the row whose revision is the mailbox's current epoch; its key is empty.
    pub(crate) const EPOCH: u8 = 1;
    /// The tag of rows that speak of blobs, which backups leave out (BLB-7).
    pub(crate) const BLOB: u8 = 6;
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Rows are written; the number is their revision.
    Written(Seq),
    /// The envelope is stored.
    Stored(Stored),
    /// The envelope, seen before, is stored now or was confirmed by all (MBX-21).
    Settled(Stored),
    /// The id was there: what was said then.
    Already(Stored),
}

/// A stored envelope's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) seq: Seq,
    /// The number before it in its mailbox, stored or not any more.
    pub(crate) prev: Seq,
    pub(crate) expires_at: UnixTime,
    pub(crate) commit: bool,
}

/// Why an act, or a read, was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BufferError {
    /// `Create` of a mailbox that exists.
    #[error("the mailbox exists")]
    Exists,
    /// There is no such mailbox.
    #[error("no such mailbox")]
    NoMailbox,
    /// The relay has as many mailboxes as it may.
    #[error("as many mailboxes as there may be")]
    TooManyMailboxes,
    /// The row that is to pay for a mailbox is not there, or has not enough.
    #[error("nothing pays for the mailbox")]
    Unpaid,
    /// Another epoch is current, or none.
    #[error("the epoch is not the current one")]
    StaleEpoch,
    /// No room in the mailbox (LIM-3).
    #[error("the mailbox is full")]
    Full,
    /// The relay remembers as many envelopes as it may (LIM-30).
    #[error("as many envelopes as there may be")]
    TooManyEnvelopes,
    /// An append before it in its chain was refused.
    #[error("an append before it in the chain was refused")]
    Aborted,
    /// Certainly not done: the queue is full or the store is being reopened.
    #[error("the store is not available at the moment")]
    Unavailable,
    /// Done or not: the store failed while committing. Ask again with the same id.
    #[error("the store failed while committing")]
    Unknown,
}

/// Which envelopes to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Exclusive.
    pub(crate) after: Seq,
    /// Inclusive.
    pub(crate) upto: Seq,
    pub(crate) max: usize,
    pub(crate) max_bytes: usize,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) envelopes: Vec<Envelope>,
    /// Whether more of the span is stored behind these.
    pub(crate) more: bool,
}

/// A stored envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) seq: Seq,
    pub(crate) prev: Seq,
    /// The epoch row's revision when it was appended; `Seq::START` where there are no epochs.
    pub(crate) epoch: Seq,
    pub(crate) id: EnvelopeId,
    pub(crate) class: EnvelopeClass,
    pub(crate) expires_at: UnixTime,
    pub(crate) commit: bool,
    pub(crate) body: Bytes,
}

/// How full a mailbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) entries: u32,
    pub(crate) bytes: u64,
    /// The newest durable number, stored or not any more; `Seq::START` for none known.
    pub(crate) head: Seq,
}

/// The appends of one connection to one mailbox under one chain number (MBX-6).
#[derive(Debug)]
pub(crate) struct Chain {
    /// The first place that was refused; `u64::MAX` for none.
    broken_at: AtomicU64,
    /// The next place.
    next: AtomicU64,
    /// Appends of other chains that wait for the answer of one of this, by its place.
    followers: Mutex<Vec<(u64, ChainLink)>>,
}

/// One append's place in its chain.
#[derive(Clone, Debug)]
pub(crate) struct ChainLink {
    chain: Arc<Chain>,
    place: u64,
}

impl Chain {
    /// A chain without appends.
    pub(crate) fn new() -> Arc<Self> {
        let (broken_at, next) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Arc::new(Self { broken_at, next, followers: Mutex::default() })
    }

    /// The next place in the chain; taken in the order of the frames.
    pub(crate) fn link(self: &Arc<Self>) -> ChainLink {
        ChainLink { chain: Arc::clone(self), place: self.next.fetch_add(1, Ordering::SeqCst) }
    }
}

impl ChainLink {
    /// Whether an append before this one was refused.
    pub(crate) fn is_aborted(&self) -> bool {
        self.chain.broken_at.load(Ordering::SeqCst) < self.place
    }

    /// This append was refused: those behind it in the chain are not stored, nor those behind
    /// whoever waits for its answer.
    pub(crate) fn break_here(&self) {
        self.chain.broken_at.fetch_min(self.place, Ordering::SeqCst);
        self.release().iter().for_each(Self::break_here);
    }

    /// From now on, until [`ChainLink::release`], `other` breaks with this append. `false`: this
    /// one may be refused already.
    pub(crate) fn carry(&self, other: &Self) -> bool {
        let mut followers = self.followers();
        // Whoever breaks the chain looks at the followers afterwards.
        let is_whole = self.chain.broken_at.load(Ordering::SeqCst) > self.place;
        if is_whole {
            followers.push((self.place, other.clone()));
        }
        is_whole
    }

    /// Nobody waits for this append's answer any more; gives back who did.
    pub(crate) fn release(&self) -> Vec<Self> {
        let mut followers = self.followers();
        let own = followers.extract_if(.., |(place, _)| *place == self.place);
        own.map(|(_, link)| link).collect()
    }

    fn followers(&self) -> MutexGuard<'_, Vec<(u64, Self)>> {
        self.chain.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
