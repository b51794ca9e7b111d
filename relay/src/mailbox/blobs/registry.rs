//! Every blob of the relay in memory: facts, progress, and what mailboxes and the relay hold.
//!
//! Sans-IO. Bounded by LIM-24: a blob counts with the size of one part at least. Must not know
//! rights, rows' fate or where parts are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use restante_spec::ids::{BlobId, BlobOffset, BlobSize, MailboxId, PublicKey, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::BlobState;

use crate::buffer::Row;
use crate::buffer::blobs::{Found, ObjectId, PartNumber};
use crate::mailbox::rows::{self, BadRow, BlobRow};
use crate::rate::Pace;

/// The blobs there are.
///
/// Invariant: `held`, `by_time` and `bytes` are those of `blobs`.
#[derive(Default)]
pub(in crate::mailbox) struct Registry {
    blobs: HashMap<BlobId, Blob>,
    held: HashMap<MailboxId, Held>,
    /// How fast parts came lately, whatever has become of their blobs (LIM-25).
    paces: HashMap<MailboxId, Pace>,
    by_time: BTreeSet<(UnixTime, BlobId)>,
    bytes: u64,
    /// Those of which the start knew no more than that they are not complete.
    unread: Vec<BlobId>,
}

/// What never changes of a blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) mailbox: MailboxId,
    /// The read key.
    pub(super) key: PublicKey,
    /// The key that created it.
    pub(super) creator: PublicKey,
    pub(super) object: ObjectId,
    pub(super) size: BlobSize,
    pub(super) expires_at: UnixTime,
}

/// A blob.
pub(super) struct Blob {
    pub(super) facts: Facts,
    pub(super) stage: Stage,
    pub(super) standing: Standing,
    /// The newest commit that needs it (BLB-6).
    pub(super) kept_by: Option<Seq>,
    /// Commits under way that need it.
    pub(super) keeping: u32,
    /// Bytes it counts for in the relay, as last looked at.
    counted: u64,
}

/// How far a blob has come.
pub(super) enum Stage {
    /// Its row is not durable yet.
    Beginning,
    /// Some parts may be there since before the start: nobody has looked.
    Unread,
    /// Parts are being written.
    Writing(Progress),
    /// Every part is there, and the row says so.
    Complete,
}

/// Whether what memory says is what the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is.
    Sure,
    /// Its end is under way: for others it is not there.
    Ending,
    /// The store failed under an act: the row is to be read again.
    Doubtful,
}

/// Which parts are there.
#[derive(Default)]
pub(super) struct Progress {
    /// All before this one are.
    stored: u32,
    /// Those behind a hole.
    beyond: BTreeSet<PartNumber>,
    /// Writes under way: with one, the bytes may still change.
    writing: u32,
    /// The row that says that it is complete is under way.
    pub(super) completing: bool,
}

/// What a mailbox holds.
#[derive(Default)]
struct Held {
    blobs: BTreeMap<BlobId, u64>,
    bytes: u64,
}

impl Registry {
    /// A blob from its row.
    pub(in crate::mailbox) fn load(&mut self, mailbox: MailboxId, row: &Row) -> Result<(), BadRow> {
        let id = BlobId::from_slice(&row.part.key).ok_or(BadRow)?;
        let value: BlobRow = rows::decode(&row.value)?;
        if value.size > limits::MAILBOX_BLOB_BYTES {
            // LIM-23: none was ever taken; sums of such sizes have no room in a number.
            return Err(BadRow);
        }
        let facts = Facts {
            mailbox,
            key: PublicKey::new(value.key),
            creator: PublicKey::new(value.creator),
            object: ObjectId::new(value.object),
            size: BlobSize::new(value.size),
            expires_at: UnixTime::new(value.expires_at),
        };
        let stage = if value.complete { Stage::Complete } else { Stage::Unread };
        if !value.complete {
            self.unread.push(id);
        }
        self.insert(id, facts, stage);
        if let Some(blob) = self.blobs.get_mut(&id).filter(|_| value.kept) {
            blob.kept_by = Some(row.revision);
        }
        Ok(())
    }

    /// A blob from its row, which was in doubt. What the row does not say is known still: commits
    /// under way that need it, and which parts are there or being written.
    pub(super) fn reload(
        &mut self,
        id: BlobId,
        mailbox: MailboxId,
        row: &Row,
    ) -> Result<(), BadRow> {
        let before = self.remove(id);
        self.load(mailbox, row)?;
        if let Some((blob, before)) = self.blobs.get_mut(&id).zip(before) {
            blob.keeping = before.keeping;
            let is_written = matches!(before.stage, Stage::Writing(_));
            if is_written && matches!(blob.stage, Stage::Unread) {
                blob.stage = before.stage;
            }
        }
        self.recount(id);
        Ok(())
    }

    /// A new blob.
    pub(super) fn insert(&mut self, id: BlobId, facts: Facts, stage: Stage) {
        self.remove(id);
        let counts = facts.counts();
        let held = self.held.entry(facts.mailbox).or_default();
        held.blobs.insert(id, counts);
        held.bytes += counts;
        self.by_time.insert((facts.expires_at, id));
        let standing = Standing::Sure;
        let blob = Blob { facts, stage, standing, kept_by: None, keeping: 0, counted: 0 };
        self.blobs.insert(id, blob);
        self.recount(id);
    }

    /// Forgets a blob; what there was of it.
    pub(super) fn remove(&mut self, id: BlobId) -> Option<Blob> {
        let blob = self.blobs.remove(&id)?;
        let Blob { facts, counted, .. } = &blob;
        self.bytes -= counted;
        self.by_time.remove(&(facts.expires_at, id));
        if let Some(held) = self.held.get_mut(&facts.mailbox)
            && let Some(counts) = held.blobs.remove(&id)
        {
            held.bytes -= counts;
            if held.blobs.is_empty() {
                self.held.remove(&facts.mailbox);
            }
        }
        Some(blob)
    }

    /// Whatever is known under this id.
    pub(super) fn get(&self, id: BlobId) -> Option<&Blob> {
        self.blobs.get(&id)
    }

    /// Whatever is known under this id, to change it.
    pub(super) fn get_mut(&mut self, id: BlobId) -> Option<&mut Blob> {
        self.blobs.get_mut(&id)
    }

    /// A blob that can be used at this moment (BLB-5).
    pub(super) fn live(&mut self, id: BlobId, now: UnixTime) -> Option<&mut Blob> {
        let blob = self.blobs.get_mut(&id)?;
        (blob.standing == Standing::Sure && blob.facts.expires_at > now).then_some(blob)
    }

    /// A blob with these parts, unless it is gone or another one has its id by now.
    pub(super) fn same(&mut self, id: BlobId, object: ObjectId) -> Option<&mut Blob> {
        self.blobs.get_mut(&id).filter(|blob| blob.facts.object == object)
    }

    /// The blobs of a mailbox.
    pub(super) fn of(&self, mailbox: MailboxId) -> Vec<BlobId> {
        self.held.get(&mailbox).map_or_else(Vec::new, |held| held.blobs.keys().copied().collect())
    }

    /// The write of one more part begins, if the relay's bound leaves room for it (LIM-24).
    pub(super) fn begin_part(&mut self, id: BlobId, max_bytes: u64) -> bool {
        let Some(blob) = self.blobs.get_mut(&id) else { return false };
        let more = blob.counts_with(1) - blob.counts_with(0);
        if more > 0 && self.bytes + more > max_bytes {
            return false;
        }
        if let Stage::Writing(progress) = &mut blob.stage {
            progress.writing += 1;
        }
        self.recount(id);
        true
    }

    /// Some blobs of which nobody knows yet which parts are there: until then they count whole.
    pub(super) fn take_unread(&mut self, max: usize) -> Vec<(BlobId, ObjectId)> {
        let rest = self.unread.len().saturating_sub(max);
        let some = self.unread.split_off(rest);
        let left = some.into_iter().filter_map(|id| Some((id, self.blobs.get(&id)?)));
        let is_unread = |blob: &Blob| matches!(blob.stage, Stage::Unread);
        left.filter(|(_, blob)| is_unread(blob)).map(|(id, blob)| (id, blob.facts.object)).collect()
    }

    /// The write of a part has ended, well or not.
    pub(super) fn written(
        &mut self,
        (id, object): (BlobId, ObjectId),
        number: PartNumber,
        well: bool,
    ) {
        if let Some(blob) = self.same(id, object) {
            blob.written(number, well);
            self.recount(id);
        }
    }

    /// Somebody has looked which parts there are.
    pub(super) fn found(&mut self, (id, object): (BlobId, ObjectId), found: &[Found]) {
        if let Some(blob) = self.same(id, object) {
            blob.found(found);
            self.recount(id);
        }
    }

    /// Brings what a blob counts for up to date.
    fn recount(&mut self, id: BlobId) {
        if let Some(blob) = self.blobs.get_mut(&id) {
            let counts = blob.counts_with(0);
            let before = std::mem::replace(&mut blob.counted, counts);
            self.bytes = self.bytes - before + counts;
        }
    }

    /// How fast parts come to a mailbox (LIM-25).
    pub(super) fn pace(&mut self, mailbox: MailboxId) -> &mut Pace {
        self.paces.entry(mailbox).or_default()
    }

    /// Forgets the paces of mailboxes that have rested.
    pub(super) fn rest(&mut self, now: UnixTime) {
        self.paces.retain(|_, pace| !pace.is_full(now));
    }

    /// At most so many blobs that are in doubt.
    pub(super) fn doubtful(&self, max: usize) -> Vec<BlobId> {
        let doubtful = self.blobs.iter().filter(|(_, blob)| blob.standing == Standing::Doubtful);
        doubtful.map(|(id, _)| *id).take(max).collect()
    }

    /// Whether a mailbox has room for one more of this size (LIM-23).
    pub(super) fn has_room(&self, facts: &Facts) -> bool {
        let held = self.held.get(&facts.mailbox);
        let (blobs, bytes) = held.map_or((0, 0), |held| (held.blobs.len(), held.bytes));
        blobs < limits::BLOBS && bytes + facts.counts() <= limits::MAILBOX_BLOB_BYTES
    }

    /// At most so many blobs whose time is over and whose end has not begun.
    pub(super) fn over(&self, now: UnixTime, max: usize) -> Vec<BlobId> {
        let over = self.by_time.iter().take_while(|(expires_at, _)| *expires_at <= now);
        let is_left = |id: &BlobId| {
            let standing = self.blobs.get(id).map(|blob| blob.standing);
            standing.is_some_and(|standing| standing != Standing::Ending)
        };
        over.map(|(_, id)| *id).filter(is_left).take(max).collect()
    }

    /// Every object, and whether all of its parts should be there.
    pub(super) fn objects(&self) -> BTreeMap<ObjectId, (BlobId, bool)> {
        let objects = self
            .blobs
            .iter()
            .map(|(id, blob)| (blob.facts.object, (*id, matches!(blob.stage, Stage::Complete))));
        objects.collect()
    }

    /// Bytes that all count for.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }
}

impl Facts {
    /// The bytes it counts for in its mailbox (BLB-7).
    pub(super) fn counts(&self) -> u64 {
        self.size.get().max(limits::BLOB_PART_BYTES as u64)
    }

    /// The part that begins at an offset, if one does and has so many bytes (BLB-1).
    pub(super) fn part(&self, offset: BlobOffset, bytes: usize) -> Option<PartNumber> {
        let (number, within) = place(offset)?;
        (within == 0 && self.part_bytes(number) == Some(bytes)).then_some(number)
    }

    /// How many bytes a part has; `None` beyond the last.
    fn part_bytes(&self, number: PartNumber) -> Option<usize> {
        let begin = u64::from(number.0) * limits::BLOB_PART_BYTES as u64;
        let rest = self.size.get().checked_sub(begin).filter(|rest| *rest > 0)?;
        Some(usize::try_from(rest).unwrap_or(usize::MAX).min(limits::BLOB_PART_BYTES))
    }

    /// How many parts it has.
    fn parts(&self) -> u32 {
        let parts = self.size.get().div_ceil(limits::BLOB_PART_BYTES as u64);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }
}

/// The part in which an offset lies, and where in it.
pub(super) fn place(offset: BlobOffset) -> Option<(PartNumber, usize)> {
    let part = limits::BLOB_PART_BYTES as u64;
    let number = u32::try_from(offset.get() / part).ok()?;
    Some((PartNumber(number), usize::try_from(offset.get() % part).ok()?))
}

impl Blob {
    /// What its creator is told (BLB-3).
    pub(super) fn state(&self) -> BlobState {
        let whole = self.facts.size;
        let (stored, complete) = match &self.stage {
            Stage::Beginning | Stage::Unread => (BlobSize::new(0), false),
            Stage::Writing(progress) => {
                let bytes = u64::from(progress.stored) * limits::BLOB_PART_BYTES as u64;
                (BlobSize::new(bytes).min(whole), false)
            }
            Stage::Complete => (whole, true),
        };
        BlobState { stored, complete, expires_at: self.facts.expires_at }
    }

    /// The bytes it counts for in the relay (BLB-7), with so many more parts being written.
    fn counts_with(&self, more: u64) -> u64 {
        let part = limits::BLOB_PART_BYTES as u64;
        match &self.stage {
            Stage::Beginning => part,
            Stage::Unread | Stage::Complete => self.facts.counts(),
            Stage::Writing(progress) => {
                let parts = u64::from(progress.stored) + u64::from(progress.writing);
                let parts = parts + progress.beyond.len() as u64 + more;
                (parts * part).clamp(part, self.facts.counts())
            }
        }
    }

    /// Those of another size than theirs are none.
    fn found(&mut self, found: &[Found]) {
        if !matches!(self.stage, Stage::Unread) {
            return;
        }
        let mut progress = Progress::default();
        for part in found {
            if self.facts.part_bytes(part.number) == Some(part.bytes) {
                progress.add(part.number);
            }
        }
        self.stage = Stage::Writing(progress);
    }

    fn written(&mut self, number: PartNumber, well: bool) {
        if let Stage::Writing(progress) = &mut self.stage {
            progress.writing = progress.writing.saturating_sub(1);
            if well {
                progress.add(number);
            }
        }
    }

    /// Whether every part is there, nothing can change any more, and the row does not say so yet.
    pub(super) fn completes(&mut self) -> Option<&mut Progress> {
        let (parts, sure) = (self.facts.parts(), self.standing == Standing::Sure);
        match &mut self.stage {
            Stage::Writing(progress) => {
                let full = progress.stored == parts && progress.writing == 0;
                (sure && full && !progress.completing).then_some(progress)
            }
            Stage::Beginning | Stage::Unread | Stage::Complete => None,
        }
    }
}

impl Progress {
    fn add(&mut self, number: PartNumber) {
        if number.0 >= self.stored {
            self.beyond.insert(number);
        }
        while self.beyond.remove(&PartNumber(self.stored)) {
            self.stored += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = limits::BLOB_PART_BYTES as u64;

    fn facts(mailbox: u8, size: u64, expires_at: u64) -> Facts {
        Facts {
            mailbox: MailboxId::new([mailbox; 16]),
            key: PublicKey::new([1; 32]),
            creator: PublicKey::new([2; 32]),
            object: ObjectId::new([mailbox; 16]),
            size: BlobSize::new(size),
            expires_at: UnixTime::new(expires_at),
        }
    }

    fn blob(size: u64) -> Blob {
        let (stage, standing) = (Stage::Writing(Progress::default()), Standing::Sure);
        let facts = facts(1, size, 9);
        Blob { facts, stage, standing, kept_by: None, keeping: 0, counted: 0 }
    }

    fn id(n: u64) -> BlobId {
        BlobId::new(u128::from(n).to_be_bytes())
    }

    /// BLB-1: parts begin at multiples and have their exact size.
    #[test]
    fn parts_have_their_places_and_sizes() {
        let facts = facts(1, 2 * PART + 5, 9);
        let part = |offset, bytes| facts.part(BlobOffset::new(offset), bytes).map(|part| part.0);
        let whole = limits::BLOB_PART_BYTES;
        assert_eq!(
            (part(0, whole), part(PART, whole), part(2 * PART, 5)),
            (Some(0), Some(1), Some(2))
        );
        for (offset, bytes) in
            [(1, whole), (0, whole - 1), (2 * PART, 6), (2 * PART, 4), (3 * PART, 0)]
        {
            assert_eq!(part(offset, bytes), None, "{offset} {bytes}");
        }
        assert_eq!(part(u64::MAX, 1), None);
    }

    /// BLB-3: what is told has no hole; parts of a size that is not theirs are not there.
    #[test]
    fn progress_is_told_up_to_the_first_hole() {
        let mut blob = blob(3 * PART);
        let stored = |blob: &Blob| blob.state().stored.get();
        for (number, expected) in [(2, 0), (0, PART), (0, PART), (1, 3 * PART)] {
            assert!(blob.completes().is_none());
            blob.written(PartNumber(number), true);
            assert_eq!(stored(&blob), expected);
        }
        assert!(blob.completes().is_some());
        let found = |number, bytes| Found { number: PartNumber(number), bytes };
        blob.stage = Stage::Unread;
        let whole = limits::BLOB_PART_BYTES;
        blob.found(&[found(0, whole), found(1, 7), found(2, whole), found(9, whole)]);
        assert_eq!(stored(&blob), PART);
    }

    /// BLB-1, BLB-3. Once a store that failed had the parts that were there told as none, and one
    /// that was being written forgotten: a blob could be complete before its last bytes came.
    #[test]
    fn what_is_known_of_parts_outlives_a_doubt() {
        let mut registry = Registry::default();
        let (known, facts) = ((id(1), ObjectId::new([1; 16])), facts(1, 2 * PART, 9));
        registry.insert(id(1), facts, Stage::Writing(Progress::default()));
        for number in [0, 1] {
            assert!(registry.begin_part(id(1), u64::MAX));
            registry.written(known, PartNumber(number), true);
        }
        assert!(registry.begin_part(id(1), u64::MAX), "the first once more");
        registry.get_mut(id(1)).unwrap().standing = Standing::Doubtful;
        let written = crate::mailbox::blobs::row(id(1), &facts, false, false).unwrap();
        let (part, value) = (written.part, written.value.unwrap());
        let row = Row { part, revision: Seq::new(7), value };
        registry.reload(id(1), facts.mailbox, &row).map_err(|BadRow| "a bad row").unwrap();
        let blob = registry.get_mut(id(1)).unwrap();
        assert_eq!((blob.standing, blob.state().stored.get()), (Standing::Sure, 2 * PART));
        assert!(blob.completes().is_none(), "a part is still being written");
        registry.written(known, PartNumber(0), true);
        assert!(registry.get_mut(id(1)).unwrap().completes().is_some());
    }

    /// BLB-1: while a part is written again nothing is complete, however much is there.
    #[test]
    fn a_write_under_way_holds_completion_back() {
        let mut blob = blob(5);
        if let Stage::Writing(progress) = &mut blob.stage {
            progress.writing = 2;
        }
        blob.written(PartNumber(0), true);
        assert!(blob.completes().is_none());
        blob.written(PartNumber(0), false);
        assert!(blob.completes().is_some());
    }

    /// LIM-23, BLB-7: at the bound there is room, one past it there is none, by count and by bytes.
    #[test]
    fn a_mailbox_has_room_up_to_its_bounds() {
        let mut registry = Registry::default();
        for n in 0..limits::BLOBS as u64 {
            assert!(registry.has_room(&facts(1, 1, 9)));
            registry.insert(id(n), facts(1, 1, 9), Stage::Unread);
        }
        assert!(!registry.has_room(&facts(1, 1, 9)) && registry.has_room(&facts(2, 1, 9)));
        assert_eq!(registry.bytes(), limits::BLOBS as u64 * PART);
        let largest = limits::MAILBOX_BLOB_BYTES / limits::BLOB_BYTES;
        for n in 0..largest {
            let facts = facts(2, limits::BLOB_BYTES, 9);
            assert!(registry.has_room(&facts));
            registry.insert(id(100 + n), facts, Stage::Unread);
        }
        assert!(!registry.has_room(&facts(2, 1, 9)));
        registry.remove(id(100));
        assert!(registry.has_room(&facts(2, limits::BLOB_BYTES, 9)));
        assert!(!registry.has_room(&facts(2, limits::BLOB_BYTES + 1, 9)));
    }

    /// LIM-24, BLB-7: what is written counts, one part at least; once what was announced did, and
    /// nobody else had room, though nothing was there.
    #[test]
    fn the_relay_counts_what_is_there() {
        let mut registry = Registry::default();
        let (id, known) = (id(1), (id(1), ObjectId::new([1; 16])));
        let stage = || Stage::Writing(Progress::default());
        registry.insert(id, facts(1, 2 * PART + 5, 9), stage());
        assert_eq!(registry.bytes(), PART);
        assert!(registry.begin_part(id, PART), "one part is counted already");
        assert!(!registry.begin_part(id, 2 * PART - 1) && registry.bytes() == PART);
        assert!(registry.begin_part(id, 2 * PART) && registry.bytes() == 2 * PART);
        registry.written(known, PartNumber(0), true);
        registry.written(known, PartNumber(2), false);
        assert_eq!(registry.bytes(), PART);
        assert!(registry.begin_part(id, u64::MAX));
        registry.written(known, PartNumber(2), true);
        assert!(registry.begin_part(id, u64::MAX) && registry.bytes() == 2 * PART + 5);
        assert!(registry.begin_part(id, 0), "no more than the blob has");
        registry.insert(id, facts(1, 2 * PART + 5, 9), Stage::Unread);
        assert_eq!(registry.bytes(), 2 * PART + 5, "nobody has looked yet");
        registry.found(known, &[]);
        assert_eq!(registry.bytes(), PART);
        registry.remove(id);
        assert_eq!(registry.bytes(), 0);
    }

    /// BLB-5: what is over is found in its order, and not what is ending already.
    #[test]
    fn what_is_over_is_found_and_nothing_else() {
        let mut registry = Registry::default();
        for n in 1..=4 {
            registry.insert(id(n), facts(1, 1, 10 * n), Stage::Unread);
        }
        assert!(registry.live(id(2), UnixTime::new(19)).is_some());
        assert!(registry.live(id(2), UnixTime::new(20)).is_none());
        let over = |registry: &Registry| registry.over(UnixTime::new(30), 2);
        assert_eq!(over(&registry), [id(1), id(2)]);
        registry.same(id(1), ObjectId::new([1; 16])).unwrap().standing = Standing::Ending;
        assert_eq!(over(&registry), [id(2), id(3)]);
        registry.remove(id(2));
        assert_eq!(over(&registry), [id(3)]);
    }
}
