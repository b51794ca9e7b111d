//! Readers: what each of them holds back, as far as the outside can be sure of it.

use restante_spec::ids::{ReaderHash, Seq};

use super::{Ledger, Log, Moment, Place, Reading, Record, SLACK, tag};

/// The place of a reader that may stand at any number given so far.
const ANYWHERE: Seq = Seq::new(u64::MAX);

/// What is known of a reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// It stands here or before; where that is not known, at the highest number there may be.
    base: Seq,
    /// The event at which it was certainly registered.
    since: u64,
    /// It has said that it has everything up to here.
    told: Seq,
    /// It was certainly seen then, seconds.
    seen: u64,
    /// The same, as far as it is certainly written down.
    noted: u64,
    /// It may be struck.
    striking: bool,
    /// It is certainly struck, since this event.
    struck: Option<u64>,
}

impl Reader {
    pub(super) const fn new(base: Seq, since: u64, seen: u64) -> Self {
        Self { base, since, told: Seq::START, seen, noted: seen, striking: false, struck: None }
    }

    /// The relay may believe that it has everything up to here.
    fn upto(&self) -> Seq {
        self.base.max(self.told)
    }

    /// Whether it may not be registered any more.
    pub(super) const fn is_leaving(&self) -> bool {
        self.striking
    }
}

impl Ledger {
    /// A reader is certainly registered, by a commit or, without one, at some number that was the
    /// newest one.
    pub(crate) fn registered(
        &mut self,
        place: Place,
        reader: ReaderHash,
        commit: Option<Seq>,
        sent: Moment,
    ) {
        self.tell(|| format!("{place:?}: {} is registered at {commit:?}", tag(&reader)));
        let (latest, event) = (self.latest, self.event);
        let at = commit.unwrap_or(ANYWHERE);
        let log = self.log(place);
        log.note_droppable(latest, event);
        log.readers.entry(reader).or_insert_with(|| Reader::new(at, event, sent.time));
        // The same commit may strike all that counted: then nobody does but this one.
        log.note_droppable(latest, event);
    }

    /// A reader says what it has.
    pub(crate) fn acknowledging(&mut self, place: Place, reader: ReaderHash, upto: Seq) {
        self.tell(|| format!("{place:?}: {} has {upto}", tag(&reader)));
        let (latest, event) = (self.latest, self.event);
        let log = self.log(place);
        if let Some(found) = log.readers.get_mut(&reader) {
            found.told = found.told.max(upto);
        }
        log.note_droppable(latest, event);
    }

    /// A reader has certainly been seen (MBX-10).
    pub(crate) fn saw(&mut self, place: Place, reader: ReaderHash, now: Moment) {
        if now.event <= self.forgot {
            return;
        }
        if let Some(found) = self.log(place).readers.get_mut(&reader) {
            found.seen = found.seen.max(now.time);
        }
    }

    /// A reader whose subscription is open was seen, unless its key may be over (MBX-9): then the
    /// subscription is as well, and it may not have been told yet.
    pub(crate) fn saw_online(&mut self, reading: &Reading, now: Moment) {
        let Reading { place, reader, epoch, .. } = *reading;
        let may_have_ended = |record: &Record| {
            let of_this = record.sealed.is_commit && record.epochs.contains(&epoch);
            of_this && (record.open > 0 || record.stored.is_some())
        };
        if epoch.is_none() || !self.log(place).records.values().any(may_have_ended) {
            self.saw(place, reader, now);
        }
    }

    /// Nothing waits to be written: whoever was seen is noted.
    pub(crate) fn is_noted(&mut self) {
        for reader in self.logs.values_mut().flat_map(|log| log.readers.values_mut()) {
            reader.noted = reader.seen;
        }
    }

    /// The longest any mailbox keeps envelopes, seconds.
    pub(crate) fn longest_ttl(&self) -> u64 {
        self.logs.values().map(|log| log.rule.ttl).max().unwrap_or_default()
    }

    /// Nothing is on its way, and nobody was seen for too long. MBX-10: nothing is let go before
    /// somebody comes back, and then all count again.
    pub(crate) fn nobody_counts(&mut self) {
        let latest = self.latest;
        for reader in self.logs.values_mut().flat_map(|log| log.readers.values_mut()) {
            (reader.seen, reader.noted) = (latest, latest);
        }
    }

    /// The store, or the process, fails: that somebody was seen may be lost.
    pub(crate) fn may_forget(&mut self) {
        self.forgot = self.event;
        self.forget_paces();
        self.forget_held();
        for reader in self.logs.values_mut().flat_map(|log| log.readers.values_mut()) {
            reader.seen = reader.noted;
        }
    }

    /// A commit that strikes a reader is sent: from now on it may hold nothing back.
    pub(crate) fn striking(&mut self, place: Place, reader: ReaderHash) {
        self.tell(|| format!("{place:?}: {} is to be struck", tag(&reader)));
        let (latest, event) = (self.latest, self.event);
        let log = self.log(place);
        log.readers.entry(reader).or_insert(Reader::new(Seq::START, 0, 0)).striking = true;
        log.note_droppable(latest, event);
    }

    /// The commit that strikes a reader is certainly stored.
    pub(crate) fn struck(&mut self, place: Place, reader: ReaderHash) {
        let event = self.event;
        if let Some(found) = self.log(place).readers.get_mut(&reader) {
            found.struck.get_or_insert(event);
        }
    }

    /// Whether a reader was certainly struck before `event`.
    pub(super) fn is_struck(&mut self, place: Place, reader: ReaderHash, event: u64) -> bool {
        let found = self.log(place).readers.get(&reader);
        found.and_then(|found| found.struck).is_some_and(|struck| struck < event)
    }
}

impl Log {
    /// Whether a reader may hold nothing back, having been absent for too long (MBX-10).
    pub(super) fn is_absent(&self, reader: ReaderHash, now: u64) -> bool {
        self.readers.get(&reader).is_none_or(|reader| reader.seen + self.rule.ttl < now + SLACK)
    }

    /// What was sent behind a reader's registration has a number behind its place.
    pub(super) fn note_places(&mut self, sent: Moment, seq: Seq) {
        let before = Seq::new(seq.get() - 1);
        for reader in self.readers.values_mut().filter(|reader| reader.since < sent.event) {
            reader.base = reader.base.min(before);
        }
    }

    /// Notes what may be let go at this moment, because all that count have it (MBX-10).
    pub(super) fn note_droppable(&mut self, now: u64, event: u64) {
        let counts =
            |reader: &&Reader| !reader.striking && reader.seen + self.rule.ttl >= now + SLACK;
        let certain = self.readers.values().filter(counts).map(Reader::upto).min();
        let all = self.readers.values().map(Reader::upto).max();
        let upto = certain.or(all).unwrap_or(Seq::START);
        if upto == ANYWHERE {
            self.droppable_before = event;
        } else {
            self.droppable = self.droppable.max(upto);
        }
    }
}
