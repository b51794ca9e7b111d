//! One mailbox in the index: its entries in their order, and which ids they have.
//!
//! An entry takes 56 bytes, and about 6 more in logs that are long enough for a table of ids.
//! Sans-IO: knows numbers, places, ids and times; must not know chunks' fate or other mailboxes.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use restante_spec::ids::{EnvelopeId, Seq, UnixTime};

use super::Stored;
use super::index::{ChunkId, Placed};

/// The entries of a mailbox.
#[derive(Default)]
pub(super) struct Log {
    /// In the order of their numbers; those that are gone stay until they are at the front, or
    /// are too many.
    entries: VecDeque<Entry>,
    live: u32,
    gone: usize,
    /// No entry before this place is live.
    first_live: usize,
    /// Sum of the bodies of live entries.
    bytes: u64,
    /// No live entry expires before this.
    next_expiry: u32,
    /// Live entries expire in the order of their numbers.
    in_order: bool,
    /// Beside it: most logs are short, and there is one for each mailbox.
    ids: Option<Box<Ids>>,
    /// How many entries have left at the front: what `ids` counts from.
    left: u32,
}

/// Places of ids in `entries`, counted from the first entry there ever was.
struct Ids {
    table: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    prev: Seq,
    id: EnvelopeId,
    pub(super) chunk: ChunkId,
    /// Seconds since 1970; they fit until 2106.
    expires_at: u32,
    offset: u16,
    size: u16,
    commit: bool,
    state: State,
}

/// How much of an entry is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be delivered.
    Live,
    /// Let go or expired; its id is remembered (MBX-5).
    Dead,
    /// Its chunk is gone.
    Gone,
}

impl Entry {
    /// Where it stands in its chunk.
    pub(super) fn offset(&self) -> u32 {
        u32::from(self.offset)
    }

    /// Bytes of its body.
    pub(super) fn size(&self) -> usize {
        usize::from(self.size)
    }

    /// When it expires.
    pub(super) fn expires_at(&self) -> UnixTime {
        UnixTime::new(u64::from(self.expires_at))
    }

    fn stored(&self) -> Stored {
        let Self { seq, prev, commit, .. } = *self;
        Stored { seq, prev, expires_at: self.expires_at(), commit }
    }
}

impl Log {
    /// How many live entries there are.
    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    /// Sum of the bodies of live entries.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// No live entry expires before this; `None` if there is none.
    pub(super) fn next_expiry(&self) -> Option<UnixTime> {
        (self.live > 0).then(|| UnixTime::new(u64::from(self.next_expiry)))
    }

    /// Adds an entry; dead from the beginning if `is_live` is not set. Numbers come in any order
    /// while the index is rebuilt, until [`Log::index_ids`], else rising.
    pub(super) fn add(&mut self, placed: &Placed, is_live: bool) {
        let Placed { id, stored, size, chunk, offset } = *placed;
        let entry = Entry {
            seq: stored.seq,
            prev: stored.prev,
            id,
            chunk,
            expires_at: seconds(stored.expires_at),
            offset: u16::try_from(offset).unwrap_or(u16::MAX),
            size: u16::try_from(size).unwrap_or(u16::MAX),
            commit: stored.commit,
            state: if is_live { State::Live } else { State::Dead },
        };
        let newest = self.entries.back();
        let is_last = newest.is_none_or(|newest| newest.seq < entry.seq);
        let is_later = newest.is_none_or(|newest| newest.expires_at <= entry.expires_at);
        let place = if is_last {
            self.entries.len()
        } else {
            self.entries.partition_point(|other| other.seq < entry.seq)
        };
        let is_only = self.live == 0;
        self.in_order = is_last && (is_only || (self.in_order && is_later));
        if is_live {
            self.next_expiry =
                if is_only { entry.expires_at } else { self.next_expiry.min(entry.expires_at) };
            self.live += 1;
            self.bytes += u64::from(entry.size);
        }
        if place < self.first_live {
            self.first_live = if is_live { place } else { self.first_live + 1 };
        }
        self.entries.insert(place, entry);
        if is_last {
            self.note_id(place);
        } else {
            // Only while the index is rebuilt: at its end the table is made, not for each entry.
            self.ids = None;
        }
    }

    /// Makes the table of ids, if the log is long enough for one and has none.
    pub(super) fn index_ids(&mut self) {
        if self.ids.is_some() || self.entries.len() <= SCAN_MAX {
            return;
        }
        let (table, hasher) = (HashTable::new(), RandomState::new());
        self.ids = Some(Box::new(Ids { table, hasher }));
        for place in 0..self.entries.len() {
            self.insert_id(place);
        }
    }

    /// Whether ids are found without a look at every entry.
    #[cfg(test)]
    pub(super) fn has_table(&self) -> bool {
        self.ids.is_some()
    }

    /// What was said of this id, while it is remembered.
    pub(super) fn find_id(&self, id: &EnvelopeId) -> Option<Stored> {
        let is_it = |entry: &&Entry| entry.id == *id && entry.state != State::Gone;
        match &self.ids {
            Some(ids) => {
                let hash = ids.hasher.hash_one(id);
                let found = ids.table.find(hash, |place| self.id_at(*place) == Some(*id))?;
                self.entries.get(self.index_of(*found)).filter(is_it).map(Entry::stored)
            }
            None => self.entries.iter().find(is_it).map(Entry::stored),
        }
    }

    /// Live entries behind `after`, oldest first.
    pub(super) fn live_behind(&self, after: Seq) -> impl Iterator<Item = &Entry> {
        let begin = self.entries.partition_point(|entry| entry.seq <= after);
        self.entries.range(begin..).filter(|entry| entry.state == State::Live)
    }

    /// Lets go of live entries up to `upto`; `bury` is told the chunk of each.
    pub(super) fn trim(&mut self, upto: Seq, bury: &mut impl FnMut(ChunkId)) {
        let end = self.entries.partition_point(|entry| entry.seq <= upto);
        for entry in self.entries.range_mut(self.first_live.min(end)..end) {
            if entry.state == State::Live {
                entry.state = State::Dead;
                self.live -= 1;
                self.bytes -= u64::from(entry.size);
                bury(entry.chunk);
            }
        }
        self.first_live = self.first_live.max(end);
    }

    /// Lets go of what has expired; `bury` is told the chunk of each.
    pub(super) fn purge(&mut self, now: UnixTime, bury: &mut impl FnMut(ChunkId)) {
        let now = seconds(now);
        if self.live == 0 || self.next_expiry > now {
            return;
        }
        let mut next = u32::MAX;
        let (mut stays, from) = (None, self.first_live.min(self.entries.len()));
        for (place, entry) in (from..).zip(self.entries.range_mut(from..)) {
            if entry.state != State::Live {
                continue;
            }
            if entry.expires_at <= now {
                entry.state = State::Dead;
                self.live -= 1;
                self.bytes -= u64::from(entry.size);
                bury(entry.chunk);
                continue;
            }
            stays.get_or_insert(place);
            next = next.min(entry.expires_at);
            if self.in_order {
                break;
            }
        }
        self.first_live = stays.unwrap_or(self.entries.len());
        self.next_expiry = next;
    }

    /// The chunk of this entry is gone, and the entry with it.
    pub(super) fn forget(&mut self, seq: Seq, chunk: ChunkId) {
        // Chunks go in the order in which they came, mostly.
        let is_first = self.entries.front().is_some_and(|first| first.seq == seq);
        let found = if is_first { Ok(0) } else { self.place_of(seq) };
        let Ok(place) = found else { return };
        let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.chunk == chunk) else {
            return;
        };
        match entry.state {
            State::Gone => return,
            State::Dead => {}
            State::Live => {
                self.live -= 1;
                self.bytes -= u64::from(entry.size);
            }
        }
        entry.state = State::Gone;
        self.gone += 1;
        let id = entry.id;
        self.forget_id(&id, place);
        while self.entries.front().is_some_and(|first| first.state == State::Gone) {
            self.entries.pop_front();
            self.gone -= 1;
            self.left = self.left.wrapping_add(1);
            self.first_live = self.first_live.saturating_sub(1);
        }
        if self.gone > GONE_MIN && self.gone > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.state != State::Gone);
            self.entries.shrink_to_fit();
            (self.gone, self.first_live, self.ids) = (0, 0, None);
            self.index_ids();
        }
    }

    /// Whether an entry is live and stands in this chunk.
    pub(super) fn is_live_in(&self, seq: Seq, chunk: ChunkId) -> bool {
        let place = self.place_of(seq);
        let found = place.ok().and_then(|place| self.entries.get(place));
        found.is_some_and(|entry| entry.chunk == chunk && entry.state == State::Live)
    }

    /// An entry now stands in another chunk; whether it is live, if it is there at all.
    pub(super) fn relocate(
        &mut self,
        seq: Seq,
        from: ChunkId,
        to: ChunkId,
        offset: u32,
    ) -> Option<bool> {
        let place = self.place_of(seq).ok()?;
        let found = self.entries.get_mut(place).filter(|entry| entry.chunk == from);
        let entry = found.filter(|entry| entry.state != State::Gone)?;
        entry.chunk = to;
        entry.offset = u16::try_from(offset).unwrap_or(u16::MAX);
        Some(entry.state == State::Live)
    }

    fn place_of(&self, seq: Seq) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&seq, |entry| entry.seq)
    }

    /// Notes the id of an entry; short logs need no table, and one is made when they grow.
    fn note_id(&mut self, place: usize) {
        if self.ids.is_some() {
            self.insert_id(place);
        } else if self.entries.len() == SCAN_MAX + 1 {
            self.index_ids();
        }
    }

    fn insert_id(&mut self, place: usize) {
        let Some(mut ids) = self.ids.take() else { return };
        if let Some(entry) = self.entries.get(place).filter(|entry| entry.state != State::Gone) {
            let hash = ids.hasher.hash_one(entry.id);
            let place = self.left.wrapping_add(u32::try_from(place).unwrap_or(u32::MAX));
            let rehash = |place: &u32| self.id_at(*place).map_or(0, |id| ids.hasher.hash_one(id));
            ids.table.insert_unique(hash, place, rehash);
        }
        self.ids = Some(ids);
    }

    fn forget_id(&mut self, id: &EnvelopeId, place: usize) {
        let place = self.left.wrapping_add(u32::try_from(place).unwrap_or(u32::MAX));
        if let Some(ids) = &mut self.ids {
            let hash = ids.hasher.hash_one(id);
            if let Ok(found) = ids.table.find_entry(hash, |other| *other == place) {
                found.remove();
            }
        }
    }

    fn index_of(&self, place: u32) -> usize {
        usize::try_from(place.wrapping_sub(self.left)).unwrap_or(usize::MAX)
    }

    fn id_at(&self, place: u32) -> Option<EnvelopeId> {
        self.entries.get(self.index_of(place)).map(|entry| entry.id)
    }
}

/// Unit: as many ids are looked through faster than a table is asked.
const SCAN_MAX: usize = 16;
/// Unit: below so many, entries that are gone are not worth the work of taking them out.
const GONE_MIN: usize = 32;

fn seconds(time: UnixTime) -> u32 {
    u32::try_from(time.get()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(seq: u64, chunk: ChunkId, expires_at: u64) -> Placed {
        let stored = Stored {
            seq: Seq::new(seq),
            prev: Seq::new(seq - 1),
            expires_at: UnixTime::new(expires_at),
            commit: seq.is_multiple_of(3),
        };
        Placed { id: id(seq), stored, size: 10, chunk, offset: 13 }
    }

    fn id(seq: u64) -> EnvelopeId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seq.to_be_bytes());
        EnvelopeId::new(bytes)
    }

    /// What an entry takes decides how many envelopes a machine's memory can index.
    #[test]
    fn entries_are_small() {
        assert_eq!(size_of::<Entry>(), 56);
    }

    /// Short and long logs know their ids alike, and forget them with the chunk, not before.
    #[test]
    fn ids_are_known_until_their_chunk_goes() {
        for count in [3, SCAN_MAX as u64 + 1, 500] {
            let mut log = Log::default();
            for seq in 1..=count {
                log.add(&placed(seq, seq / 10, 100), true);
            }
            let mut dead = Vec::new();
            log.trim(Seq::new(count), &mut |chunk| dead.push(chunk));
            assert_eq!((log.live(), log.bytes(), dead.len()), (0, 0, count as usize));
            for seq in 1..=count {
                assert_eq!(log.find_id(&id(seq)), Some(placed(seq, 0, 100).stored));
            }
            for seq in 1..=count {
                log.forget(Seq::new(seq), seq / 10);
                assert_eq!(log.find_id(&id(seq)), None);
                assert_eq!(log.find_id(&id(seq + 1)).is_some(), seq < count);
            }
            assert!(log.entries.is_empty());
        }
    }

    /// Once each entry that came out of order, as cleaning leaves them, had the table made anew for
    /// the next: quadratic in the length of the log.
    #[test]
    fn the_table_of_ids_is_made_once_when_all_is_read() {
        let mut log = Log::default();
        for seq in (2..=400).step_by(2) {
            log.add(&placed(seq, seq, 100), true);
        }
        for (old, new) in (1..=399).step_by(2).zip(401..) {
            log.add(&placed(old, 1_000, 100), true);
            log.add(&placed(new, 1_000, 100), true);
            assert!(log.ids.is_none(), "made while more is read");
        }
        log.index_ids();
        assert_eq!(log.ids.as_ref().unwrap().table.len(), log.entries.len());
        for entry in &log.entries {
            assert_eq!(log.find_id(&entry.id), Some(entry.stored()));
        }
    }

    /// One entry that lives long does not keep the places of all that came and went behind it.
    #[test]
    fn what_is_gone_takes_no_room_behind_what_lives() {
        let mut log = Log::default();
        log.add(&placed(1, 0, 10_000), true);
        for seq in 2..5_000 {
            log.add(&placed(seq, seq, 100), true);
            let mut dead = Vec::new();
            log.purge(UnixTime::new(200), &mut |chunk| dead.push(chunk));
            assert_eq!(dead, [seq]);
            log.forget(Seq::new(seq), seq);
            assert!(log.entries.len() <= 2 * GONE_MIN + 2);
        }
        assert_eq!(log.live(), 1);
        assert!(log.find_id(&id(1)).is_some());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add {
            ttl: u64,
            live: bool,
        },
        /// Between others, as while the index is rebuilt.
        Insert {
            back: u64,
            ttl: u64,
            live: bool,
        },
        Trim {
            back: u64,
        },
        Purge {
            forward: u64,
        },
        Forget {
            back: u64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1..50_u64, proptest::bool::weighted(0.9))
                .prop_map(|(ttl, live)| Step::Add { ttl, live }),
            1 => (0..20_u64, 1..50_u64, proptest::bool::ANY)
                .prop_map(|(back, ttl, live)| Step::Insert { back, ttl, live }),
            1 => (0..20_u64).prop_map(|back| Step::Trim { back }),
            1 => (0..20_u64).prop_map(|forward| Step::Purge { forward }),
            2 => (0..60_u64).prop_map(|back| Step::Forget { back }),
        ];
        proptest::collection::vec(step, 1..300)
    }

    proptest! {
        /// The log does what a plain list does.
        #[test]
        fn follows_a_plain_list(steps in steps()) {
            let mut log = Log::default();
            let mut list: Vec<(u64, u64, bool)> = Vec::new();
            let (mut seq, mut now) = (1, 0);
            let mut inserted = std::collections::BTreeSet::new();
            for step in steps {
                match step {
                    Step::Add { ttl, live } => {
                        seq += 2;
                        log.add(&placed(seq, seq, now + ttl), live);
                        list.push((seq, now + ttl, live));
                    }
                    Step::Insert { back, ttl, live } => {
                        // Those that are added have odd numbers; none is ever given twice.
                        let number = seq.saturating_sub(2 * back + 1);
                        if number > 0 && inserted.insert(number) {
                            log.add(&placed(number, number, now + ttl), live);
                            list.push((number, now + ttl, live));
                            list.sort_unstable();
                        }
                    }
                    Step::Trim { back } => {
                        let upto = seq.saturating_sub(back);
                        log.trim(Seq::new(upto), &mut |_| ());
                        list.iter_mut().filter(|e| e.0 <= upto).for_each(|e| e.2 = false);
                    }
                    Step::Purge { forward } => {
                        now += forward;
                        log.purge(UnixTime::new(now), &mut |_| ());
                        list.iter_mut().filter(|e| e.1 <= now).for_each(|e| e.2 = false);
                    }
                    Step::Forget { back } => {
                        let which = seq.saturating_sub(back);
                        log.forget(Seq::new(which), which);
                        list.retain(|e| e.0 != which);
                    }
                }
                let live: Vec<u64> = list.iter().filter(|e| e.2).map(|e| e.0).collect();
                let found: Vec<u64> = log.live_behind(Seq::START).map(|e| e.seq.get()).collect();
                prop_assert_eq!(&found, &live);
                prop_assert_eq!(log.live() as usize, live.len());
                prop_assert_eq!(log.bytes(), 10 * live.len() as u64);
                for number in 1..=seq {
                    let known = list.iter().any(|e| e.0 == number);
                    prop_assert_eq!(log.find_id(&id(number)).is_some(), known);
                }
            }
        }
    }
}
