//! A log as the relay's answers show it: what stands where, and who could read when.

use std::collections::{BTreeMap, BTreeSet};

use restante_spec::ids::{EnvelopeId, ReaderHash, Seq};
use restante_spec::message::Commit;

/// A conversation's log.
#[derive(Default)]
pub(super) struct Log {
    pub(super) number: usize,
    /// What stands where.
    pub(super) entries: BTreeMap<Seq, EnvelopeId>,
    pub(super) commits: BTreeMap<EnvelopeId, Commit>,
    /// The reader of whoever made it.
    pub(super) first: Option<ReaderHash>,
}

/// A time in which a device could read a log: behind its beginning, up to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) from: Seq,
    pub(super) upto: Option<Seq>,
}

impl Log {
    pub(super) fn place_of(&self, id: &EnvelopeId) -> Option<Seq> {
        self.entries.iter().find(|(_, entry)| *entry == id).map(|(seq, _)| *seq)
    }

    /// Commits in their order.
    pub(super) fn changes(&self) -> impl Iterator<Item = (Seq, &Commit)> {
        self.entries.iter().filter_map(|(seq, id)| Some((*seq, self.commits.get(id)?)))
    }

    /// The readers that were not struck.
    pub(super) fn current(&self) -> BTreeSet<ReaderHash> {
        let mut readers: BTreeSet<ReaderHash> = self.first.into_iter().collect();
        for (_, commit) in self.changes() {
            readers.extend(&commit.add_readers);
            readers.retain(|reader| !commit.strike_readers.contains(reader));
        }
        readers
    }

    /// Whether a device is in the log.
    pub(super) fn has(&self, seat: usize, readers: &BTreeMap<ReaderHash, usize>) -> bool {
        self.current().iter().any(|reader| readers.get(reader) == Some(&seat))
    }

    /// When a device was in the log.
    pub(super) fn memberships(
        &self,
        seat: usize,
        readers: &BTreeMap<ReaderHash, usize>,
    ) -> Vec<Membership> {
        let is_of = |reader: &ReaderHash| readers.get(reader) == Some(&seat);
        let mut times = Vec::new();
        if self.first.as_ref().is_some_and(is_of) {
            times.push(Membership { from: Seq::START, upto: None });
        }
        for (seq, commit) in self.changes() {
            if commit.strike_readers.iter().any(is_of)
                && let Some(time) = times.last_mut()
            {
                time.upto = Some(seq);
            }
            if commit.add_readers.iter().any(is_of) {
                times.push(Membership { from: seq, upto: None });
            }
        }
        times
    }
}

impl Membership {
    pub(super) fn holds(&self, seq: Seq) -> bool {
        seq > self.from && self.upto.is_none_or(|upto| seq < upto)
    }
}
