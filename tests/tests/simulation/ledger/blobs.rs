//! Blobs: what is safe stays safe, what is complete never changes, and what has ended is not there.

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, EnvelopeId, Epoch, PublicKey};
use restante_spec::limits;
use restante_spec::message::{Appended, BlobPart, BlobState};

use super::{Attempt, Ledger, Moment, Place, SLACK, Stored};

/// Bytes of a whole part.
pub(crate) const PART: u64 = limits::BLOB_PART_BYTES as u64;

/// What its creator has said of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) place: Place,
    pub(crate) size: u64,
    /// The wish, seconds.
    pub(crate) ttl: Option<u32>,
}

/// Something asked by who writes a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) blob: BlobId,
    pub(crate) key: PublicKey,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) sent: Moment,
    pub(crate) what: Work,
}

/// What is done to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Create,
    /// Of the tries to write this part, counted from 0, this one.
    Write {
        part: usize,
        number: usize,
    },
    Delete,
}

/// Some bytes of a blob are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) blob: BlobId,
    /// With its read key.
    pub(crate) is_lawful: bool,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) sent: Moment,
}

/// What is known of a blob.
pub(super) struct Blob {
    announced: Announced,
    first_sent: Moment,
    /// Of each part everything that was sent for it.
    parts: Vec<Vec<Try>>,
    told: Option<Told>,
    /// Deletions that were not certainly refused.
    deletions: u32,
    /// When a deletion was refused last: until then it may not have been there.
    spared: Option<Moment>,
    /// When its deletion was told; nobody begins it anew behind that.
    deleted: Option<Moment>,
    /// When it was read last.
    read: Option<Moment>,
}

/// The most that was said of it, which is durable.
#[derive(Clone, Copy, Debug)]
struct Told {
    stored: u64,
    complete: bool,
    expires_at: u64,
    said: Moment,
}

/// Something sent for a part.
struct Try {
    fill: u64,
    sent: Moment,
    answered: Option<Moment>,
    /// Whether a reader may find it.
    may_count: bool,
}

/// The bytes of a part from one place on: no two tries have the same.
pub(crate) fn content(fill: u64, from: usize, len: usize) -> Bytes {
    let fill = fill.to_le_bytes();
    (from..from + len).map(|at| fill[at % 8] ^ (at >> 3).to_le_bytes()[0]).collect()
}

impl Announced {
    /// The bytes that a part has.
    pub(crate) fn part_bytes(&self, part: usize) -> usize {
        usize::try_from(PART.min(self.size - part as u64 * PART)).unwrap()
    }

    pub(crate) fn parts(&self) -> usize {
        usize::try_from(self.size.div_ceil(PART)).unwrap()
    }
}

impl Blob {
    /// Whether something was sent for each of the first parts that may be there.
    fn may_have(&self, bytes: u64) -> bool {
        let parts = usize::try_from(bytes.div_ceil(PART)).unwrap();
        self.parts[..parts].iter().all(|tries| tries.iter().any(|one| one.may_count))
    }

    /// Its time was over, and it was begun anew: nothing is known of what is there.
    fn begin_anew(&mut self) {
        self.parts.iter_mut().flatten().for_each(|one| one.may_count = true);
    }

    /// A part was certainly kept: what was answered before it was sent is not there any more.
    fn kept(&mut self, part: usize, number: usize) {
        let sent = self.parts[part][number].sent;
        for older in &mut self.parts[part][..number] {
            older.may_count &= older.answered.is_none_or(|said| said.event >= sent.event);
        }
    }
}

impl Ledger {
    /// A blob is begun.
    pub(crate) fn announcing(&mut self, id: BlobId, announced: Announced, first_sent: Moment) {
        let parts = (0..announced.parts()).map(|_| Vec::new()).collect();
        let blob = Blob {
            announced,
            first_sent,
            parts,
            told: None,
            deletions: 0,
            spared: None,
            deleted: None,
            read: None,
        };
        self.blobs.insert(id, blob);
    }

    /// A part is sent; which try to write it that is.
    pub(crate) fn writing(&mut self, id: BlobId, part: usize, fill: u64, sent: Moment) -> usize {
        let tries = &mut self.blob(id).parts[part];
        tries.push(Try { fill, sent, answered: None, may_count: true });
        tries.len() - 1
    }

    /// A blob is to be deleted.
    pub(crate) fn ending(&mut self, id: BlobId) {
        self.blob(id).deletions += 1;
    }

    /// A commit that needs blobs is sent.
    pub(crate) fn needing(&mut self, commit: EnvelopeId, blobs: &[BlobId]) {
        for blob in blobs {
            self.needs.push((*blob, commit));
        }
    }

    /// What was asked of a blob is done, and this is its state.
    pub(crate) fn blob_told(&mut self, asked: &Asked, state: &BlobState, said: Moment) {
        self.tell(|| format!("{asked:?}: {state:?}"));
        self.check_writer(asked);
        let may_have_ended = self.may_have_ended(asked.blob);
        let (latest, place) = (self.latest, self.blob(asked.blob).announced.place);
        let ttl = self.log(place).rule.ttl;
        let blob = self.blob(asked.blob);
        let (stored, complete) = (state.stored.get(), state.complete);
        let (size, expires_at) = (blob.announced.size, state.expires_at.get());
        let is_lawful = stored == size || (stored < size && stored % PART == 0 && !complete);
        assert!(is_lawful, "BLB-3: of {size} bytes {state:?}");
        assert!(blob.may_have(stored), "BLB-3: {stored} bytes are safe that nobody sent");
        check_time(expires_at, asked.sent, said);
        let before = blob.told.filter(|told| told.expires_at == expires_at);
        if before.is_none() {
            assert!(blob.told.is_none() || may_have_ended, "BLB-3: a blob is begun twice");
            if blob.told.is_some() {
                blob.begin_anew();
            }
            // BLB-5
            let most = ttl + u64::from(limits::BLOB_TTL_MORE.get());
            let begun = expires_at - blob.announced.ttl.map_or(ttl, u64::from).min(most);
            let span = blob.first_sent.time - SLACK..=latest + SLACK;
            assert!(span.contains(&begun), "BLB-5: begun at {begun}, not in {span:?}");
        }
        let was_known = before.filter(|told| told.said.event < asked.sent.event && !may_have_ended);
        let is_less = was_known.filter(|told| stored < told.stored || (told.complete && !complete));
        assert!(is_less.is_none(), "BLB-3: {is_less:?}, and then {state:?}");
        if before.is_none_or(|told| (stored, complete) > (told.stored, told.complete)) {
            blob.told = Some(Told { stored, complete, expires_at, said });
        }
        if let Work::Write { part, number } = asked.what {
            blob.parts[part][number].answered = Some(said);
            // BLB-3: of a complete one it is not looked at.
            if stored < size && !may_have_ended {
                blob.kept(part, number);
            }
        }
        let is_news = complete && before.is_none_or(|told| !told.complete);
        self.seen.blobs += u64::from(is_news);
    }

    /// What was asked of a blob is refused.
    pub(crate) fn blob_refused(&mut self, asked: &Asked, code: Code, said: Moment) {
        self.tell(|| format!("{asked:?}: {code:?}"));
        let log = &self.logs[&self.blobs[&asked.blob].announced.place];
        let commits = self.needs.iter().filter(|need| need.0 == asked.blob);
        let is_needed = commits.filter_map(|need| log.records.get(&need.1)).any(|record| {
            // Until it was refused it kept the blob.
            record.open > 0 || record.stored.is_some() || record.refused >= asked.sent.event
        });
        let blob = self.blob(asked.blob);
        match asked.what {
            Work::Create => assert_ne!(code, Code::Conflict, "BLB-3: the same is begun"),
            Work::Write { part, number } => {
                let one = &mut blob.parts[part][number];
                one.answered = Some(said);
                let before_any = [Code::Rate, Code::Denied, Code::Revoked, Code::StaleEpoch];
                one.may_count &= !before_any.contains(&code);
            }
            Work::Delete => {
                assert!(code != Code::Conflict || is_needed, "BLB-6: no commit needs this blob");
                if code != Code::Unknown {
                    blob.deletions -= 1;
                    blob.spared = Some(said);
                }
            }
        }
    }

    /// A blob is deleted (CMD-21).
    pub(crate) fn blob_deleted(&mut self, asked: &Asked, said: Moment) {
        self.tell(|| format!("{asked:?}: deleted"));
        self.check_writer(asked);
        let place = self.blob(asked.blob).announced.place;
        let log = &self.logs[&place];
        let stored = |commit: &EnvelopeId| -> Option<Stored> { log.records.get(commit)?.stored };
        let commits = self.needs.iter().filter(|need| need.0 == asked.blob).map(|need| need.1);
        let newest =
            commits.filter(|id| stored(id).is_some()).max_by_key(|id| stored(id).unwrap().seq);
        let needed = newest.is_some_and(|id| {
            let was_known = log.records[&id].known < asked.sent.event;
            // The clock may have gone back before a newer one that was not heard of.
            was_known && !log.may_be_gone(&id, self.latest + SLACK)
        });
        assert!(!needed, "BLB-6: a blob is deleted that a commit needs");
        self.blob(asked.blob).deleted = Some(said);
        self.seen.blobs_deleted += 1;
    }

    /// Some bytes of a blob have come.
    pub(crate) fn blob_read(&mut self, look: &Look, part: &BlobPart, bytes: &Bytes, said: Moment) {
        self.tell(|| format!("{look:?}: {part:?}, {} bytes", bytes.len()));
        assert!(look.is_lawful, "BLB-4: a blob is read with another key");
        let may_have_ended = self.may_have_ended(look.blob);
        let blob = self.blob(look.blob);
        let was_over = blob.deleted.is_some_and(|deleted| deleted.event < look.sent.event);
        assert!(!was_over, "CMD-21: a deleted blob is read");
        let size = blob.announced.size;
        assert_eq!(part.size.get(), size, "BLB-1");
        assert!(blob.may_have(size), "BLB-4: a blob is read that is not complete");
        check_time(part.expires_at.get(), look.sent, said);
        let known = blob.told.filter(|_| !may_have_ended).map(|told| told.expires_at);
        assert!(known.is_none_or(|known| known == part.expires_at.get()), "BLB-5: {known:?}");
        blob.read = Some(said);
        let within = look.offset % PART;
        let left = (PART - within).min(size.saturating_sub(look.offset)).min(look.length);
        assert_eq!(bytes.len() as u64, left, "CMD-20: {look:?} of {size}");
        if left > 0 {
            let tries = &mut blob.parts[usize::try_from(look.offset / PART).unwrap()];
            let from = usize::try_from(within).unwrap();
            let is_this = |one: &Try| content(one.fill, from, bytes.len()) == bytes;
            let found = tries.iter().any(|one| (one.may_count || may_have_ended) && is_this(one));
            assert!(found, "BLB-1: other bytes than were written, or than were read before");
            // A few bytes may be those of several.
            if !may_have_ended && left > 8 {
                tries.iter_mut().for_each(|one| one.may_count &= is_this(one));
            }
        }
        self.seen.blob_reads += 1;
    }

    /// A blob is not given.
    pub(crate) fn blob_not_read(&mut self, look: &Look, code: Code) {
        self.tell(|| format!("{look:?}: {code:?}"));
        let may_have_ended = self.may_have_ended(look.blob);
        let blob = self.blob(look.blob);
        let told = blob.told.filter(|told| told.said.event < look.sent.event);
        let is_spared = blob.spared.is_none_or(|spared| spared.event < look.sent.event);
        let is_there = told.is_some_and(|told| told.complete) && is_spared && !may_have_ended;
        let is_lost = is_there && look.is_lawful && code == Code::NotFound;
        assert!(!is_lost, "BLB-3: a complete blob is not there: {told:?}");
    }

    /// A commit was accepted: what it needs is there for as long as itself (BLB-6).
    pub(super) fn check_needs(&mut self, attempt: &Attempt, said: &Appended) {
        let mut is_needy = false;
        for (id, _) in self.needs.iter().filter(|(_, commit)| *commit == attempt.id) {
            is_needy = true;
            let blob = &self.blobs[id];
            let was_over = blob.deleted.is_some_and(|it| it.event < attempt.sent.event);
            assert!(!was_over && blob.may_have(blob.announced.size), "BLB-6: a blob is missing");
            let lives = blob.told.is_none_or(|told| told.expires_at >= said.expires_at.get());
            assert!(lives || self.may_have_ended(*id), "BLB-6: {:?} until {said:?}", blob.told);
        }
        self.seen.needy += u64::from(is_needy);
    }

    /// Fails if a blob that is certainly there was not read since an event.
    pub(crate) fn check_blobs_read(&self, since: u64) {
        for (id, blob) in &self.blobs {
            let is_there = blob.told.is_some_and(|told| told.complete) && !self.may_have_ended(*id);
            let is_read = blob.read.is_some_and(|read| read.event >= since);
            assert!(!is_there || is_read, "BLB-4: a complete blob cannot be read");
        }
    }

    /// How many blobs there may be.
    pub(crate) fn blobs_left(&self) -> usize {
        self.blobs.values().filter(|blob| blob.deleted.is_none()).count()
    }

    fn blob(&mut self, id: BlobId) -> &mut Blob {
        self.blobs.get_mut(&id).expect("a blob that was begun")
    }

    /// Whether a blob need not be there any more, or not be what it was.
    fn may_have_ended(&self, id: BlobId) -> bool {
        let blob = &self.blobs[&id];
        let log = &self.logs[&blob.announced.place];
        let is_over = blob.told.is_none_or(|told| told.expires_at <= self.latest);
        log.deleting || log.closing || blob.deletions > 0 || is_over
    }

    /// Fails if a key may certainly not write what it has written (BLB-2).
    fn check_writer(&mut self, asked: &Asked) {
        let place = self.blob(asked.blob).announced.place;
        let is_revoked = self.is_revoked(place, asked.key, asked.sent);
        assert!(!is_revoked, "BLB-2: a blob is written with a key that was revoked");
        let was_over = self.log(place).was_over(asked.epoch, asked.sent);
        assert!(!was_over, "BLB-2: a blob is written in an epoch that is over");
    }
}

/// Fails if a blob's time was certainly over when it was answered (BLB-5).
fn check_time(expires_at: u64, sent: Moment, said: Moment) {
    let earliest = sent.time.min(said.time).saturating_sub(SLACK);
    assert!(expires_at > earliest, "BLB-5: a blob is there until {expires_at}, at {earliest}");
}
