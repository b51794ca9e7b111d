//! A mailbox as the specification describes it, as far as answers and deliveries depend on it.
//!
//! What the specification leaves open is known as open here: an envelope that may be let go, a
//! bucket that may have filled again.

use std::collections::{BTreeMap, VecDeque};

use restante_spec::ids::Epoch;
use restante_spec::limits;
use restante_spec::message::{EnvelopeClass, MailboxClass, Rights};

/// The most envelopes of a mailbox in a run: few, so that it is reached.
pub const ENTRIES: u32 = limits::COMMIT_RESERVE_ENTRIES + 8;

/// One mailbox.
#[derive(Debug)]
pub struct Mailbox {
    pub birth: u64,
    pub class: MailboxClass,
    pub ttl: u64,
    pub first: u8,
    pub first_epoch: Option<Epoch>,
    pub epoch: Option<Current>,
    pub keys: BTreeMap<u8, Terms>,
    pub replaced: BTreeMap<u8, Replaced>,
    pub readers: BTreeMap<u8, Reader>,
    pub log: Vec<Entry>,
    pub commits: Bucket,
    pub live: Bucket,
    pub slots: BTreeMap<u8, Slot>,
    pub takes: BTreeMap<u8, Taken>,
}

/// The current epoch.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    pub name: Epoch,
    pub key: u8,
    /// Its first key has the whole beginning.
    pub from: u64,
}

/// A key that was allowed.
#[derive(Debug)]
pub struct Terms {
    pub rights: Rights,
    pub until: Option<u64>,
    pub uses: Option<u32>,
    pub used: u32,
    pub rate: Option<Bucket>,
    pub card: Vec<u8>,
}

/// A replaced epoch key.
#[derive(Clone, Copy, Debug)]
pub struct Replaced {
    pub name: Epoch,
    pub from: u64,
    pub upto: u64,
    pub until: u64,
}

/// A reader that is registered.
#[derive(Debug)]
pub struct Reader {
    pub cursor: u64,
    pub seen: u64,
}

/// An envelope that was accepted.
#[derive(Debug)]
pub struct Entry {
    pub id: u8,
    pub seq: u64,
    pub prev: u64,
    pub epoch: Option<Epoch>,
    pub class: EnvelopeClass,
    pub at: u64,
    pub until: u64,
    pub begun: Option<Epoch>,
    pub is_commit: bool,
    pub body: Vec<u8>,
    /// The connection that brought it.
    pub line: u64,
    /// Since when it may be gone.
    pub left: Option<u64>,
}

/// Prekeys of a slot.
#[derive(Debug, Default)]
pub struct Slot {
    pub packages: VecDeque<Vec<u8>>,
    pub last_resort: Option<Vec<u8>>,
}

/// A package that was given.
#[derive(Clone, Debug)]
pub struct Taken {
    pub slot: u8,
    pub at: u64,
    pub package: Vec<u8>,
    pub last_resort: bool,
}

/// A rate; of what is in it the least and the most are known.
#[derive(Debug)]
pub struct Bucket {
    count: f64,
    per: f64,
    least: f64,
    most: f64,
    at: u64,
}

impl Entry {
    /// Whether it is certainly there.
    pub fn is_kept(&self, now: u64) -> bool {
        self.left.is_none() && now < self.until
    }

    /// Until when its id is certainly known (MBX-5).
    pub fn known_until(&self) -> u64 {
        let left = self.left.map_or(self.until, |left| left.min(self.until));
        left + u64::from(limits::DEDUP_WINDOW.get())
    }
}

impl Mailbox {
    /// The newest number it has given.
    pub fn newest(&self) -> u64 {
        self.log.last().map_or(0, |entry| entry.seq)
    }

    /// Notes what may be let go from now on (MBX-10, MBX-18).
    pub fn pass(&mut self, now: u64) {
        let ttl = self.ttl;
        let holds = |reader: &Reader, seq| reader.cursor < seq && now <= reader.seen + ttl;
        let is_room = self.class == MailboxClass::Room;
        let tail = (ENTRIES / 2).min(limits::TAIL_ENTRIES) as usize;
        let too_many = self.log.len().saturating_sub(tail);
        for (index, entry) in self.log.iter_mut().enumerate() {
            let is_held = self.readers.is_empty()
                || self.readers.values().any(|reader| holds(reader, entry.seq));
            if if is_room { index < too_many } else { !is_held } {
                entry.left.get_or_insert(now);
            }
        }
        self.replaced.retain(|_, old| now < old.until);
    }

    /// Every moment at which something changes by itself: nothing is to happen just then.
    pub fn moments(&self) -> impl Iterator<Item = u64> {
        let entries = self.log.iter().flat_map(|entry| [entry.until, entry.known_until()]);
        let keys = self.keys.values().filter_map(|terms| terms.until);
        let seen = self.readers.values().map(|reader| reader.seen + self.ttl);
        let repeat = u64::from(limits::TAKE_REPEAT.get());
        let takes = self.takes.values().map(move |taken| taken.at + repeat);
        let replaced = self.replaced.values().map(|old| old.until);
        entries.chain(keys).chain(seen).chain(takes).chain(replaced)
    }

    /// Whether it is at an end by itself (MBX-13).
    pub fn is_over(&self) -> bool {
        let closed = self.epoch.is_none() && self.replaced.is_empty();
        self.class == MailboxClass::Conversation && closed
    }

    /// Whether it is full for this: certainly, perhaps (LIM-3).
    pub fn is_full(&self, is_commit: bool, now: u64) -> (bool, bool) {
        let is_room = self.class == MailboxClass::Room;
        let reserve = if is_commit || is_room { 0 } else { limits::COMMIT_RESERVE_ENTRIES };
        let most = (ENTRIES - reserve) as usize;
        let kept = self.log.iter().filter(|entry| entry.is_kept(now)).count();
        (kept >= most && !is_room, self.log.len() >= most)
    }
}

impl Bucket {
    pub fn new(count: u32, per: u32, now: u64) -> Self {
        let (count, per) = (f64::from(count), f64::from(per));
        Self { count, per, least: count, most: count, at: now }
    }

    /// Whether one more is certainly too fast, perhaps too fast.
    pub fn is_empty(&mut self, now: u64) -> (bool, bool) {
        let passed = (now - self.at) as f64;
        if passed > 0.0 {
            self.least = if passed > self.per { self.count } else { self.least };
            self.most = (self.most + 1.0 + passed * self.count / self.per).min(self.count);
            self.at = now;
        }
        (self.most < 1.0, self.least < 1.0)
    }

    /// One more was taken.
    pub fn take(&mut self) {
        self.most -= 1.0;
        self.least = (self.least - 1.0).max(0.0);
    }

    /// One more may have been taken.
    pub fn take_perhaps(&mut self) {
        self.least = (self.least - 1.0).max(0.0);
    }

    /// It took the place of another: what was in that one may have been kept.
    pub fn was_replaced(&mut self) {
        self.least = 0.0;
    }

    /// There was certainly none.
    pub fn was_empty(&mut self) {
        self.most = self.most.min(0.99);
    }

    /// It may have been forgotten.
    pub fn forget(&mut self) {
        self.most = self.count;
    }
}
