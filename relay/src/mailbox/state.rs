//! A mailbox in memory: what its rows say, ready to judge by.
//!
//! Sans-IO. Knows class, keys, epoch, readers and prekey stock; must not know locks, the buffer's
//! queue or connections. It holds exactly what is durable plus what was submitted and reserved.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use litemap::LiteMap;
use restante_spec::codes::Code;
use restante_spec::ids::{
    EnvelopeId, MailboxId, PublicKey, ReaderHash, RequestId, Seconds, Seq, Slot, UnixTime,
};
use restante_spec::message::{MailboxClass, Rate, Refusal, Rights, Terms};

use super::api::{ChainLink, Respond};
use super::rows::{
    self, BadRow, CONTROL, ControlRow, EPOCH, EpochRow, KEY, KeyRow, OPENED, OpenedRow, READER,
    REPLACED, ReaderRow, ReplacedRow,
};
use super::tail::Tail;
use crate::buffer::{Row, RowWrite};
use crate::limits::SEEN_GRACE;
use crate::rate::Pace;

/// One mailbox.
pub(super) struct Mailbox {
    pub(super) id: MailboxId,
    pub(super) class: MailboxClass,
    pub(super) ttl: Seconds,
    pub(super) first_key: PublicKey,
    /// Whether what all readers confirm at once is never written (MBX-21).
    pub(super) memory_first: bool,
    /// The number of its creation: the first epoch's name.
    pub(super) created: Seq,
    pub(super) opened_day: u32,
    /// Conversations: the current epoch; `None` once closed.
    pub(super) epoch: Option<CurrentEpoch>,
    pub(super) keys: LiteMap<PublicKey, Key>,
    /// The last key's.
    pub(super) given: Given,
    pub(super) replaced: BTreeMap<PublicKey, Replaced>,
    pub(super) readers: LiteMap<ReaderHash, Reader>,
    /// Prekey numbers in stock; `None` until first asked for.
    pub(super) prekeys: Option<BTreeMap<Slot, Stock>>,
    /// Requests for prekeys submitted and not yet answered.
    pub(super) taking: BTreeSet<RequestId>,
    /// Appends submitted and not yet answered, with who waits for the same answer.
    pub(super) in_flight: HashMap<EnvelopeId, Vec<Waiting>>,
    /// Everything up to here was let go because its readers have it.
    pub(super) trimmed: Seq,
    pub(super) commit_pace: Pace,
    pub(super) live_pace: Pace,
    pub(super) acks: Acks,
    /// Rooms: what is kept; `None` until first needed.
    pub(super) tail: Option<Box<Tail>>,
    /// The store failed under an act: this state may be ahead of it and must be read again.
    pub(super) stale: bool,
    /// Its deletion was submitted: nothing is judged by this state any more, nor written.
    pub(super) deleted: bool,
}

/// Who waits for the answer to an append, and its place in its chain.
pub(super) struct Waiting {
    pub(super) respond: Respond,
    pub(super) link: ChainLink,
}

/// The epoch under which appends are accepted (MBX-7).
pub(super) struct CurrentEpoch {
    pub(super) key: PublicKey,
    /// Its name, and the commit that began it.
    pub(super) number: Seq,
}

/// A key with rights.
pub(super) struct Key {
    pub(super) terms: Terms,
    pub(super) used: u32,
    pub(super) pace: Pace,
    pub(super) given: Given,
}

/// Tells a key from one that is given under the same name after it was struck: they count up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given(u32);

/// An epoch key that was replaced (MBX-9): it reads `from < seq <= upto`.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    pub(super) from: Seq,
    pub(super) upto: Seq,
    /// When the commit that replaced it expires, and the key with it.
    pub(super) expires_at: UnixTime,
}

/// A reader (MBX-10).
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) cursor: Seq,
    pub(super) seen: UnixTime,
    /// The same, as it is written down.
    pub(super) noted: UnixTime,
}

impl Reader {
    /// One that is registered, standing at `cursor`.
    pub(super) const fn new(cursor: Seq, now: UnixTime) -> Self {
        Self { cursor, seen: now, noted: now }
    }
}

/// The prekeys of one slot.
#[derive(Default)]
pub(super) struct Stock {
    /// Row numbers, oldest first.
    pub(super) numbers: VecDeque<u32>,
    /// The next package's.
    pub(super) next: u32,
    pub(super) last_resort: bool,
}

/// Acknowledgements are written one act at a time; what comes meanwhile waits for the next.
#[derive(Default)]
pub(super) struct Acks {
    pub(super) writing: bool,
    pub(super) dirty: Vec<ReaderHash>,
    /// Commits under way that strike readers: what has moved waits for them.
    pub(super) striking: u32,
}

impl Mailbox {
    /// Builds the state from a mailbox's rows; `None` when there are none.
    pub(super) fn from_rows(id: MailboxId, rows: &[Row]) -> Result<Option<Self>, BadRow> {
        let Some(control) = rows.iter().find(|row| row.part.tag == CONTROL) else {
            return Ok(None);
        };
        let head: ControlRow = rows::decode(&control.value)?;
        let readers = rows.iter().filter(|row| row.part.tag == READER);
        let mut mailbox = Self {
            id,
            class: class_of(head.class)?,
            ttl: Seconds::new(head.ttl),
            first_key: PublicKey::new(head.first_key),
            memory_first: head.memory_first,
            created: control.revision,
            opened_day: 0,
            epoch: None,
            keys: LiteMap::new(),
            given: Given::default(),
            replaced: BTreeMap::new(),
            readers: LiteMap::with_capacity(readers.count()),
            prekeys: None,
            taking: BTreeSet::new(),
            in_flight: HashMap::new(),
            trimmed: Seq::START,
            commit_pace: Pace::default(),
            live_pace: Pace::default(),
            acks: Acks::default(),
            tail: None,
            stale: false,
            deleted: false,
        };
        for row in rows {
            mailbox.add_row(row)?;
        }
        Ok(Some(mailbox))
    }

    fn add_row(&mut self, row: &Row) -> Result<(), BadRow> {
        match row.part.tag {
            EPOCH => {
                let value: EpochRow = rows::decode(&row.value)?;
                let key = PublicKey::new(value.key);
                self.epoch = Some(CurrentEpoch { key, number: row.revision });
            }
            KEY => {
                let key = PublicKey::from_slice(&row.part.key).ok_or(BadRow)?;
                let value: KeyRow = rows::decode(&row.value)?;
                let (terms, used) = value.into();
                let given = self.next_given();
                self.keys.insert(key, Key { terms, used, pace: Pace::default(), given });
            }
            REPLACED => {
                let key = PublicKey::from_slice(&row.part.key).ok_or(BadRow)?;
                let value: ReplacedRow = rows::decode(&row.value)?;
                let from = Seq::new(value.from);
                let expires_at = UnixTime::new(value.expires_at);
                self.replaced.insert(key, Replaced { from, upto: row.revision, expires_at });
            }
            READER => {
                let hash = ReaderHash::from_slice(&row.part.key).ok_or(BadRow)?;
                let value: ReaderRow = rows::decode(&row.value)?;
                // MBX-10: a reader added by a commit stands at that commit.
                let cursor = value.cursor.map_or(row.revision, Seq::new);
                let seen = UnixTime::new(value.seen);
                self.readers.insert(hash, Reader { cursor, seen, noted: seen });
            }
            OPENED => self.opened_day = rows::decode::<OpenedRow>(&row.value)?.day,
            _ => {}
        }
        Ok(())
    }

    /// The number of a key that is being given.
    pub(super) fn next_given(&mut self) -> Given {
        self.given = Given(self.given.0.wrapping_add(1));
        self.given
    }

    /// Whether what is judged by this state may be written.
    pub(super) const fn is_current(&self) -> bool {
        !self.stale && !self.deleted
    }

    /// Up to where envelopes are to be let go, if that is further than it was.
    pub(super) fn trim(&self, now: UnixTime) -> Option<Seq> {
        let upto = match self.class {
            MailboxClass::Inbox | MailboxClass::Conversation => self.confirmed(now),
            // MBX-18
            MailboxClass::Room => self.tail.as_ref().map(|tail| tail.floor()),
        };
        upto.filter(|upto| *upto > self.trimmed)
    }

    /// Up to where every reader that counts has everything; `None` when none counts (MBX-10).
    fn confirmed(&self, now: UnixTime) -> Option<Seq> {
        let counting = self.readers.values().filter(|reader| self.counts(reader, now));
        counting.map(|reader| reader.cursor).min()
    }

    fn counts(&self, reader: &Reader, now: UnixTime) -> bool {
        reader.seen.after(self.ttl).after(SEEN_GRACE) >= now
    }

    /// A reader is about to be seen, or registered. MBX-10: when none counts, it may have been the
    /// relay that could not be reached, and the absence of all begins anew. Returns whether it did.
    pub(super) fn renew(&mut self, now: UnixTime) -> bool {
        let is_due = self.is_deserted(now);
        if is_due {
            for (_, reader) in &mut self.readers {
                reader.seen = now;
            }
        }
        is_due
    }

    /// Whether no reader counts.
    fn is_deserted(&self, now: UnixTime) -> bool {
        !self.readers.values().any(|reader| self.counts(reader, now))
    }

    /// The same as rows, to be written with what registers a reader.
    pub(super) fn renewal(&self, now: UnixTime) -> Result<Vec<RowWrite>, BadRow> {
        if !self.is_deserted(now) {
            return Ok(Vec::new());
        }
        let row = |(hash, reader): (&ReaderHash, &Reader)| {
            let row = ReaderRow { cursor: Some(reader.cursor.get()), seen: now.get() };
            rows::put(rows::of_reader(hash), &row)
        };
        self.readers.iter().map(row).collect()
    }

    /// Time, uses and rate of a key with terms, at this moment; spends of the rate (MBX-12).
    pub(super) fn may_append(
        &mut self,
        key: PublicKey,
        over: bool,
        now: UnixTime,
    ) -> Result<&mut Key, Refusal> {
        let Some(found) = self.keys.get_mut(&key) else {
            return Err(Refusal::new(Code::Revoked, "this key was struck"));
        };
        if over || found.terms.uses.is_some_and(|uses| found.used >= uses) {
            return Err(Refusal::new(Code::Expired, "this key's time or uses are over"));
        }
        if let Some(rate) = found.terms.rate {
            found.pace.take(rate, now).map_err(|wait| {
                Refusal::new(Code::Rate, "this key appends too fast").retry_after(wait)
            })?;
        }
        Ok(found)
    }

    /// The readers furthest behind, at most as many as an answer names (ERR-4).
    pub(super) fn lagging(&self) -> Vec<ReaderHash> {
        let mut readers: Vec<_> = self.readers.iter().collect();
        readers.sort_by_key(|(_, reader)| reader.cursor);
        let furthest = readers.into_iter().take(restante_spec::limits::LAGGING_READERS);
        furthest.map(|(hash, _)| *hash).collect()
    }
}

/// The class of a stored number.
fn class_of(number: u8) -> Result<MailboxClass, BadRow> {
    match number {
        1 => Ok(MailboxClass::Inbox),
        2 => Ok(MailboxClass::Conversation),
        3 => Ok(MailboxClass::Room),
        _ => Err(BadRow),
    }
}

/// The stored number of a class.
pub(super) const fn class_number(class: MailboxClass) -> u8 {
    match class {
        MailboxClass::Inbox => 1,
        MailboxClass::Conversation => 2,
        MailboxClass::Room => 3,
    }
}

impl From<KeyRow> for (Terms, u32) {
    fn from(row: KeyRow) -> Self {
        let bit = |bit: u8| row.rights & bit != 0;
        let rights = Rights { read: bit(1), write: bit(2), take: bit(4), manage: bit(8) };
        let rate = (row.rate_count != 0)
            .then(|| Rate { count: row.rate_count, per: Seconds::new(row.rate_per) });
        let terms = Terms {
            rights,
            expires_at: (row.expires_at != 0).then(|| UnixTime::new(row.expires_at)),
            uses: (row.uses != 0).then_some(row.uses),
            rate,
        };
        (terms, row.used)
    }
}

impl From<(&Terms, u32)> for KeyRow {
    fn from((terms, used): (&Terms, u32)) -> Self {
        let Rights { read, write, take, manage } = terms.rights;
        let bits = [read, write, take, manage];
        Self {
            rights: bits.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit)),
            expires_at: terms.expires_at.map_or(0, UnixTime::get),
            uses: terms.uses.unwrap_or(0),
            used,
            rate_count: terms.rate.map_or(0, |rate| rate.count),
            rate_per: terms.rate.map_or(0, |rate| rate.per.get()),
        }
    }
}
