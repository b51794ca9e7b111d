//! The checkers: what was asked, what was said, and whether that may be.
//!
//! Knows the specification and what clients have sent and got, byte for byte. Must not know the
//! relay's inside, why clients do what they do, or which faults there were: whatever happens, the
//! promises hold. Every check is sound: where the outside cannot tell what the relay did, all that
//! it may have done is allowed.

mod append;
mod blobs;
mod chain;
mod delivery;
mod keys;
mod live;
mod prekeys;
mod readers;
mod rooms;

use std::collections::BTreeMap;

use restante_spec::ids::{BlobId, EnvelopeId, Epoch, PublicKey, ReaderHash, Seq};

pub(crate) use self::append::{Attempt, Sealed};
use self::blobs::Blob;
pub(crate) use self::blobs::{Announced, Asked, Look, PART, Work, content};
pub(crate) use self::chain::Chains;
pub(crate) use self::delivery::Reading;
pub(crate) use self::keys::Change;
use self::keys::History;
use self::live::Live;
use self::prekeys::Prekeys;
use self::readers::Reader;
pub(crate) use self::rooms::Rule;

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Which event of the run; what rises is later.
    pub(crate) event: u64,
    /// The relay's clock, seconds; may go back.
    pub(crate) time: u64,
}

/// A mailbox's number in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) usize);

/// Everything that was seen of all relays of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    logs: BTreeMap<Place, Log>,
    blobs: BTreeMap<BlobId, Blob>,
    /// Which commits need which blobs.
    needs: Vec<(BlobId, EnvelopeId)>,
    /// Which envelope has a number: numbers are drawn from one counter (MBX-3).
    numbers: BTreeMap<Seq, (Place, EnvelopeId)>,
    /// The latest time the relay's clock has shown.
    latest: u64,
    /// The event under way.
    event: u64,
    /// The last event at which what was only in memory may have been lost.
    forgot: u64,
    pub(crate) seen: Seen,
    /// Tells what happens, for who repeats a run to understand it.
    pub(crate) is_telling: bool,
}

/// How often things happened that a run is there for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) accepted: u64,
    pub(crate) repeated: u64,
    pub(crate) delivered: u64,
    pub(crate) commits: u64,
    pub(crate) stale: u64,
    pub(crate) aborted: u64,
    pub(crate) unknown: u64,
    pub(crate) prekeys: u64,
    /// Live envelopes that were passed on.
    pub(crate) live: u64,
    /// Envelopes that were not delivered, and may have been pushed out of a room's tail.
    pub(crate) let_go: u64,
    pub(crate) revoked: u64,
    pub(crate) gone: u64,
    /// Blobs that are complete.
    pub(crate) blobs: u64,
    pub(crate) blob_reads: u64,
    pub(crate) blobs_deleted: u64,
    /// Commits that need blobs.
    pub(crate) needy: u64,
}

/// What is known of a mailbox.
#[derive(Default)]
struct Log {
    rule: Rule,
    lives: BTreeMap<EnvelopeId, Live>,
    records: BTreeMap<EnvelopeId, Record>,
    /// Envelopes that are certainly stored or were.
    order: BTreeMap<Seq, EnvelopeId>,
    /// The commit that ended an epoch.
    ended: BTreeMap<Epoch, (EnvelopeId, Seq)>,
    readers: BTreeMap<ReaderHash, Reader>,
    keys: BTreeMap<PublicKey, History>,
    prekeys: Prekeys,
    /// Everything up to here may have been let go because its readers had it (MBX-10).
    droppable: Seq,
    /// The same of everything that was sent before this event.
    droppable_before: u64,
    /// Its deletion was asked for.
    deleting: bool,
    /// A commit without a next key was sent: it goes when nothing is left to read (MBX-13).
    closing: bool,
}

/// What is known of an envelope.
struct Record {
    sealed: Sealed,
    /// Under which epochs it was sent.
    epochs: Vec<Option<Epoch>>,
    /// Under which keys.
    keys: Vec<PublicKey>,
    first_sent: Moment,
    /// The highest number of this mailbox that was known when it was first sent.
    floor: Seq,
    /// Attempts that were not certainly refused.
    open: u32,
    /// The event at which a refusal was heard last.
    refused: u64,
    stored: Option<Stored>,
    /// Since which event that is known.
    known: u64,
    /// Whether it was answered with success.
    accepted: bool,
}

/// The relay's clock goes back by less than this, seconds.
const SLACK: u64 = 10;

/// What was said of a stored envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    seq: Seq,
    expires_at: u64,
}

impl Ledger {
    /// Says something of a run that is told.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_telling {
            eprintln!("{:6} {:10} {}", self.event, self.latest, what());
        }
    }

    /// The clock shows another time: some readers may be absent for too long now.
    pub(crate) fn passes(&mut self, now: Moment) {
        self.event = now.event;
        if now.time <= self.latest {
            return;
        }
        self.latest = now.time;
        for log in self.logs.values_mut() {
            log.note_droppable(self.latest, self.event);
        }
    }

    /// The latest time the relay's clock has shown, seconds.
    pub(crate) const fn latest(&self) -> u64 {
        self.latest
    }

    /// A mailbox was made.
    pub(crate) fn created(&mut self, place: Place, rule: Rule, reader: ReaderHash, sent: Moment) {
        self.tell(|| format!("{place:?}: made by {} with {rule:?}", tag(&reader)));
        let log = self.logs.entry(place).or_insert_with(|| {
            let mut log = Log { rule, ..Log::default() };
            // MBX-17: a room has no readers.
            if rule.tail.is_none() {
                log.readers.insert(reader, Reader::new(Seq::START, 0, sent.time));
            }
            log
        });
        assert_eq!(log.rule, rule, "MBX-14: create is answered as before");
    }

    /// A mailbox may go from now on.
    pub(crate) fn deleting(&mut self, place: Place) {
        self.log(place).deleting = true;
    }

    /// A conversation may be closed from now on.
    pub(crate) fn closing(&mut self, place: Place) {
        self.log(place).closing = true;
    }

    fn log(&mut self, place: Place) -> &mut Log {
        self.logs.get_mut(&place).expect("a mailbox that was made")
    }
}

impl Log {
    /// Whether a stored envelope need not be there any more.
    fn may_be_gone(&self, id: &EnvelopeId, latest: u64) -> bool {
        let record = &self.records[id];
        let let_go = record.first_sent.event < self.droppable_before;
        let over = |stored: Stored| stored.seq <= self.droppable || stored.expires_at <= latest;
        self.deleting || let_go || record.stored.is_none_or(over) || self.may_be_pushed_out(id)
    }

    /// Whether an epoch was certainly over when something was sent.
    fn was_over(&self, epoch: Option<Epoch>, sent: Moment) -> bool {
        let end = epoch.and_then(|epoch| self.ended.get(&epoch));
        end.is_some_and(|(id, _)| self.records[id].known < sent.event)
    }

    /// Fails if something accepted is missing between two numbers, both excluded.
    fn check_complete(&self, epoch: Option<Epoch>, after: Seq, before: Seq, latest: u64) {
        // Behind its epoch's end there is nothing for this key, whatever was sent again under it.
        let end = epoch.and_then(|epoch| self.ended.get(&epoch)).map(|(_, end)| next(*end));
        let before = end.map_or(before, |end| before.min(end));
        let between = self.order.range(next(after)..before.max(next(after)));
        for (seq, id) in between {
            let record = &self.records[id];
            let was_repeated = record.stored.is_some_and(|stored| stored.seq != *seq);
            let other_epoch = epoch.is_some() && !record.epochs.contains(&epoch);
            assert!(
                was_repeated || other_epoch || self.may_be_gone(id, latest),
                "MBX-4: {} was accepted as {seq}, and is missing between {after} and {before}",
                short(id),
            );
        }
    }
}

/// The beginning of a name, for messages.
pub(crate) fn short(id: &EnvelopeId) -> String {
    let [a, b, c, d, ..] = id.as_bytes();
    format!("envelope {a:02x}{b:02x}{c:02x}{d:02x}")
}

/// The same of a reader.
fn tag(reader: &ReaderHash) -> String {
    let [a, b, ..] = reader.as_bytes();
    format!("reader {a:02x}{b:02x}")
}

fn next(seq: Seq) -> Seq {
    Seq::new(seq.get() + 1)
}
