//! The buffer's index in memory: where each envelope stands, and every judgement about it.
//!
//! Sans-IO. Knows numbers, places, ids and times; must not know redb, rows' meaning or threads.
//! It is rebuilt from the chunks at start. While a batch is being written it runs ahead of the
//! disk; readers see only what is at or below `visible`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};

use super::chunks::Chunks;
pub(super) use super::chunks::{ChunkId, HELD};
use super::log::Log;
use super::{AppendAct, BufferError, Level, Span, Stored};

/// All mailboxes and chunks.
#[derive(Default)]
pub(super) struct Index {
    mailboxes: HashMap<MailboxId, Mailbox>,
    chunks: Chunks,
    /// Mailboxes with live entries, by when the first of these expires.
    expiring: BTreeSet<(UnixTime, MailboxId)>,
    /// Everything up to here is durable.
    visible: Seq,
    /// The last number given.
    last: Seq,
}

/// What of a mailbox outlives its chunks; a row of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of its creation: older entries belong to an earlier mailbox of this id.
    pub(super) born: Seq,
    /// Everything up to here was let go.
    pub(super) floor: Seq,
    /// The newest envelope's number, as far as known when the row was written.
    pub(super) head: Seq,
    /// The current epoch: the revision of the epoch row; `Seq::START` for none.
    pub(super) epoch: Seq,
}

/// A mailbox: its log, and what is known beside it.
#[derive(Default)]
struct Mailbox {
    mark: Mark,
    log: Log,
    /// The newest durable number while `mark.head` is not durable yet.
    settled: Seq,
    /// The newest number that is written, and its chunk; 0 for none.
    written: Seq,
    newest: ChunkId,
    /// Its time in [`Index::expiring`].
    expiring: Option<UnixTime>,
}

impl Mailbox {
    /// An entry stands in this chunk. Not the last chunk has the newest: what was moved when it was
    /// old stands behind what came later.
    fn note_written(&mut self, seq: Seq, chunk: ChunkId) {
        if seq >= self.written {
            (self.written, self.newest) = (seq, chunk);
        }
    }

    /// LIM-3: what has expired takes no room, the last of it is for commits.
    fn has_room(&self, act: &AppendAct) -> bool {
        let AppendAct { quota, body, commit, .. } = act;
        let (entries, bytes) = if *commit {
            (quota.entries, quota.bytes)
        } else {
            (
                quota.entries.saturating_sub(quota.reserve_entries),
                quota.bytes.saturating_sub(quota.reserve_bytes),
            )
        };
        self.log.live() < entries && self.log.bytes() + body.len() as u64 <= bytes
    }

    /// Takes expired entries out of its account.
    fn purge(&mut self, chunks: &mut Chunks, now: UnixTime) {
        self.log.purge(now, &mut |chunk| chunks.bury(chunk, now));
    }
}

/// An envelope that stands in a chunk: what the index keeps of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) id: EnvelopeId,
    pub(super) stored: Stored,
    /// Of its body, bytes.
    pub(super) size: usize,
    pub(super) chunk: ChunkId,
    pub(super) offset: u32,
}

/// An entry that was copied to another chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) mailbox: MailboxId,
    pub(super) seq: Seq,
    pub(super) expires_at: UnixTime,
    pub(super) from: ChunkId,
    pub(super) to: ChunkId,
    pub(super) offset: u32,
}

/// Where an envelope is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) seq: Seq,
    pub(super) chunk: ChunkId,
    pub(super) offset: u32,
}

impl Index {
    /// An index whose next number is above `last`.
    pub(super) fn new(last: Seq) -> Self {
        Self { visible: last, last, ..Self::default() }
    }

    /// Everything there was is added: from here on numbers come in their order.
    pub(super) fn index_ids(&mut self) {
        self.mailboxes.values_mut().for_each(|found| found.log.index_ids());
    }

    /// Whether every mailbox finds its ids without a look at every entry.
    #[cfg(test)]
    pub(super) fn has_tables(&self) -> bool {
        self.mailboxes.values().all(|found| found.log.has_table())
    }

    /// The number for the next act (MBX-3).
    pub(super) const fn next_number(&mut self) -> Seq {
        self.last = Seq::new(self.last.get() + 1);
        self.last
    }

    /// The last number given.
    pub(super) const fn last_number(&self) -> Seq {
        self.last
    }

    /// Everything given so far is durable.
    pub(super) const fn publish(&mut self) {
        self.visible = self.last;
    }

    /// How many mailboxes there are.
    pub(super) fn mailboxes(&self) -> u64 {
        self.mailboxes.len() as u64
    }

    /// How many envelopes are remembered: stored, or with an id that is still known.
    pub(super) const fn envelopes(&self) -> u64 {
        self.chunks.entries()
    }

    /// The key of the newest chunk; 0 for none.
    pub(super) fn newest_chunk(&self) -> ChunkId {
        self.chunks.newest()
    }

    /// The mark of a mailbox, if it exists.
    pub(super) fn mark(&self, mailbox: MailboxId) -> Option<Mark> {
        self.mailboxes.get(&mailbox).map(|found| found.mark)
    }

    /// A mailbox begins, or is read back from the store.
    pub(super) fn insert(&mut self, mailbox: MailboxId, mark: Mark) {
        self.mailboxes.insert(mailbox, Mailbox { mark, written: mark.head, ..Mailbox::default() });
    }

    /// Another epoch begins, or none.
    pub(super) fn set_epoch(&mut self, mailbox: MailboxId, epoch: Seq) {
        if let Some(found) = self.mailboxes.get_mut(&mailbox) {
            found.mark.epoch = epoch;
        }
    }

    /// The mailbox ends; its ids are forgotten.
    pub(super) fn remove(&mut self, mailbox: MailboxId, now: UnixTime) {
        let Some(mut found) = self.mailboxes.remove(&mailbox) else { return };
        if let Some(time) = found.expiring {
            self.expiring.remove(&(time, mailbox));
        }
        found.log.trim(Seq::new(u64::MAX), &mut |chunk| self.chunks.bury(chunk, now));
    }

    /// Judges an append, in the order of the contract; `Ok(None)`: it may be stored.
    ///
    /// # Errors
    /// `Aborted`, `NoMailbox`, `StaleEpoch`, `Full`.
    pub(super) fn judge(
        &mut self,
        mailbox: MailboxId,
        act: &AppendAct,
    ) -> Result<Option<Stored>, BufferError> {
        let found = self.mailboxes.get_mut(&mailbox);
        // MBX-5: a known id first, whatever else has changed.
        let known = found.as_ref().and_then(|found| found.log.find_id(&act.id));
        if known.is_some() {
            return Ok(known);
        }
        // MBX-6
        if act.link.is_aborted() {
            return Err(BufferError::Aborted);
        }
        let found = found.ok_or(BufferError::NoMailbox)?;
        let epoch = found.mark.epoch;
        // MBX-7: the one place where an epoch decides over an append. `START` is no epoch.
        let current = (epoch != Seq::START).then_some(epoch);
        if act.epoch.is_some() && act.epoch != current {
            return Err(BufferError::StaleEpoch);
        }
        found.purge(&mut self.chunks, act.now);
        if found.has_room(act) { Ok(None) } else { Err(BufferError::Full) }
    }

    /// The number before the next envelope of a mailbox (DLV-1).
    pub(super) fn head(&self, mailbox: MailboxId) -> Seq {
        self.mailboxes.get(&mailbox).map_or(Seq::START, |found| found.mark.head)
    }

    /// Notes an envelope that stands in a chunk. One that was let go before, or belongs to an
    /// earlier mailbox, counts as dead from `now` on.
    pub(super) fn add(&mut self, mailbox: MailboxId, placed: Placed, now: UnixTime) {
        let Placed { stored, chunk, .. } = placed;
        let Stored { seq, expires_at, .. } = stored;
        self.chunks.add(chunk, expires_at);
        let visible = self.visible;
        let found = self.mailboxes.get_mut(&mailbox).filter(|found| seq > found.mark.born);
        let Some(found) = found else { return self.chunks.bury(chunk, now) };
        if found.mark.head <= visible {
            found.settled = found.mark.head;
        }
        found.mark.head = found.mark.head.max(seq);
        if chunk < HELD {
            found.note_written(seq, chunk);
        }
        let is_live = seq > found.mark.floor;
        found.log.add(&placed, is_live);
        if !is_live {
            return self.chunks.bury(chunk, now);
        }
        if found.expiring.is_none_or(|time| expires_at < time) {
            if let Some(time) = found.expiring.replace(expires_at) {
                self.expiring.remove(&(time, mailbox));
            }
            self.expiring.insert((expires_at, mailbox));
        }
    }

    /// Lets go of everything up to `upto`. Returns whether all of it was in memory only.
    pub(super) fn trim(&mut self, mailbox: MailboxId, upto: Seq, now: UnixTime) -> bool {
        let Some(found) = self.mailboxes.get_mut(&mailbox) else { return true };
        // Beyond the newest there is nothing to let go, and nothing to come may be lost.
        let upto = upto.min(found.mark.head);
        found.mark.floor = found.mark.floor.max(upto);
        let mut was_held = true;
        found.log.trim(upto, &mut |chunk| {
            was_held &= chunk >= HELD;
            self.chunks.bury(chunk, now);
        });
        was_held
    }

    /// How full a mailbox is.
    pub(super) fn level(&mut self, mailbox: MailboxId, now: UnixTime) -> Level {
        let Some(found) = self.mailboxes.get_mut(&mailbox) else { return Level::default() };
        found.purge(&mut self.chunks, now);
        let Mailbox { mark, log, settled, .. } = found;
        let head = if mark.head <= self.visible { mark.head } else { *settled };
        Level { entries: log.live(), bytes: log.bytes(), head }
    }

    /// The answer once given to an id, if it is durable and remembered (MBX-5).
    pub(super) fn lookup(&self, mailbox: MailboxId, id: EnvelopeId) -> Option<Stored> {
        let found = self.mailboxes.get(&mailbox)?.log.find_id(&id)?;
        (found.seq <= self.visible).then_some(found)
    }

    /// Where the envelopes of a span stand, and whether there are more (MBX-11).
    pub(super) fn find(&self, mailbox: MailboxId, span: Span, now: UnixTime) -> (Vec<Place>, bool) {
        let Some(found) = self.mailboxes.get(&mailbox) else { return (Vec::new(), false) };
        let upto = span.upto.min(self.visible);
        let mut places = Vec::new();
        let mut bytes = 0;
        for entry in found.log.live_behind(span.after) {
            if entry.seq > upto {
                break;
            }
            if entry.expires_at() <= now {
                continue;
            }
            bytes += entry.size();
            let fits = places.is_empty() || bytes <= span.max_bytes;
            if places.len() >= span.max || !fits {
                return (places, true);
            }
            places.push(Place { seq: entry.seq, chunk: entry.chunk, offset: entry.offset() });
        }
        (places, false)
    }

    /// Chunks that may go now, at most `max`.
    pub(super) fn due(&self, now: UnixTime, max: usize) -> Vec<ChunkId> {
        self.chunks.due(now, max)
    }

    /// A chunk goes, with the entries it held. Returns the marks that must be written with it:
    /// those of mailboxes whose newest number nothing else would tell.
    pub(super) fn drop_chunk(
        &mut self,
        chunk: ChunkId,
        entries: &[(MailboxId, Seq)],
    ) -> Vec<(MailboxId, Mark)> {
        let mut marks = BTreeMap::new();
        for (mailbox, seq) in entries {
            let Some(found) = self.mailboxes.get_mut(mailbox) else { continue };
            found.log.forget(*seq, chunk);
            if found.newest == chunk {
                marks.insert(*mailbox, Mark { head: found.written, ..found.mark });
            }
        }
        self.chunks.remove(chunk);
        marks.into_iter().collect()
    }

    /// Chunks with few live entries whose dead ones need not be remembered any more (MBX-5), oldest
    /// first, at most `max`.
    pub(super) fn sparse(&self, now: UnixTime, max: usize) -> Vec<ChunkId> {
        self.chunks.sparse(now, max)
    }

    /// Whether an entry is live and stands in this chunk.
    pub(super) fn is_live_in(&self, mailbox: MailboxId, seq: Seq, chunk: ChunkId) -> bool {
        let found = self.mailboxes.get(&mailbox);
        found.is_some_and(|found| found.log.is_live_in(seq, chunk))
    }

    /// Whether an entry was let go by its readers, or its mailbox is gone: nobody will miss it.
    pub(super) fn is_let_go(&self, mailbox: MailboxId, seq: Seq) -> bool {
        let mark = self.mark(mailbox);
        mark.is_none_or(|mark| seq <= mark.floor.max(mark.born))
    }

    /// An entry stands in another chunk now, which is durable.
    pub(super) fn relocate(&mut self, moved: &Moved, now: UnixTime) {
        let Moved { mailbox, seq, expires_at, from, to, offset } = *moved;
        let found = self.mailboxes.get_mut(&mailbox);
        let was_live = found.and_then(|found| {
            // Whatever is left of it: the chunk tells that it was there.
            found.note_written(seq, to);
            found.log.relocate(seq, from, to, offset)
        });
        self.chunks.add(to, expires_at);
        // One that has died meanwhile is dead in both.
        self.chunks.bury(if was_live == Some(true) { from } else { to }, now);
    }

    /// Takes what has expired out of the accounts of mailboxes, used or not, at most `max` of them,
    /// so that its chunks may go.
    pub(super) fn purge_some(&mut self, now: UnixTime, max: usize) {
        for _ in 0..max {
            let Some((time, mailbox)) = self.expiring.pop_first() else { return };
            if time > now {
                self.expiring.insert((time, mailbox));
                return;
            }
            let Some(found) = self.mailboxes.get_mut(&mailbox) else { continue };
            found.purge(&mut self.chunks, now);
            found.expiring = found.log.next_expiry();
            self.expiring.extend(found.expiring.map(|time| (time, mailbox)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: UnixTime = UnixTime::new(10_000);
    const NOW: UnixTime = UnixTime::new(1_000);

    fn mailbox() -> MailboxId {
        MailboxId::new([1; 16])
    }

    fn index() -> Index {
        let mut index = Index::new(Seq::new(100));
        index.insert(mailbox(), Mark::default());
        index
    }

    fn add(index: &mut Index, chunk: ChunkId, expires_at: UnixTime) -> Seq {
        let (seq, prev) = (index.next_number(), index.head(mailbox()));
        let id = EnvelopeId::new([u8::try_from(seq.get()).unwrap(); 16]);
        let stored = Stored { seq, prev, expires_at, commit: false };
        index.add(mailbox(), Placed { id, stored, size: 10, chunk, offset: 13 }, NOW);
        seq
    }

    /// MBX-4: what is not durable yet is neither read nor told, and the head never falls back.
    #[test]
    fn head_and_reads_follow_what_is_durable() {
        let all =
            Span { after: Seq::START, upto: Seq::new(u64::MAX), max: 9, max_bytes: usize::MAX };
        let mut index = index();
        let first = add(&mut index, 1, UnixTime::new(1_001));
        assert_eq!(index.level(mailbox(), NOW).head, Seq::START);
        assert_eq!(index.lookup(mailbox(), EnvelopeId::new([101; 16])), None);
        assert!(index.find(mailbox(), all, NOW).0.is_empty());
        index.publish();
        assert_eq!(index.level(mailbox(), NOW).head, first);
        assert_eq!(index.find(mailbox(), all, NOW).0.len(), 1);
        add(&mut index, 2, LONG);
        let last = add(&mut index, 2, LONG);
        let later = UnixTime::new(1_001);
        assert_eq!(index.level(mailbox(), later).head, first, "expired, and still the newest");
        index.trim(mailbox(), last, later);
        assert_eq!(index.level(mailbox(), later).head, first, "let go before it was durable");
        index.publish();
        assert_eq!(index.level(mailbox(), later).head, last);
    }

    /// MBX-5: a chunk may go 120 s after the last of its entries died, or would have.
    #[test]
    fn chunks_are_due_a_window_after_their_last_death() {
        let mut index = index();
        let first = add(&mut index, 1, LONG);
        let second = add(&mut index, 1, UnixTime::new(5_000));
        add(&mut index, 2, UnixTime::new(2_000));
        index.publish();
        index.trim(mailbox(), first, NOW);
        assert!(index.due(UnixTime::new(2_119), 9).is_empty());
        assert_eq!(index.due(UnixTime::new(2_120), 9), [2], "expired 120 s ago");
        index.trim(mailbox(), second, UnixTime::new(1_500));
        assert!(index.due(UnixTime::new(1_619), 9).is_empty());
        assert_eq!(index.due(UnixTime::new(1_620), 9), [1], "let go 120 s ago");
        assert_eq!(index.due(UnixTime::new(9_999), 1), [1], "bounded, the earliest first");
    }
}
