//! Memory-first: envelopes held in memory for a moment, in case every reader confirms them before
//! they are written (MBX-21).
//!
//! ```text
//!  append -> seen ... a turn ... a turn: what is not confirmed is written ... a turn: answered
//! ```
//!
//! Turns come at fixed times, and every answer with its own, whether its envelope was written or
//! not: so its time does not tell who is online. Whatever else happens to a mailbox first writes
//! what is held of it, in the same transaction: a crash never keeps one thing and loses what came
//! before. The answer waits for its turn all the same: what happened may be a reader's return.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redb::Database;
use restante_spec::ids::{MailboxId, Seq};

use super::batch::Batch;
use super::writer::Told;
use super::{Reply, Writer};
use crate::buffer::index::{ChunkId, HELD, Moved, Placed};
use crate::buffer::{Act, BufferError, Envelope, Outcome, Stored};
use crate::ops::metrics;

/// What is held, and what waits to be told.
pub(super) struct Hold {
    /// Held since the last turn.
    young: Turn,
    /// Held since the turn before.
    old: Turn,
    /// Written or confirmed; told with the next turn.
    decided: Vec<Held>,
    /// How many of each mailbox are in `young` and `old` and not written.
    of: HashMap<MailboxId, u32>,
    /// Bytes of bodies in `young` and `old`.
    bytes: usize,
    /// What stood in chunks that were never written, until their ids may be forgotten (MBX-5).
    remembered: HashMap<ChunkId, Vec<(MailboxId, Seq)>>,
    remembered_entries: usize,
    /// The batch that is being made writes some of it.
    settles: bool,
    next_chunk: ChunkId,
    /// When the next turn is due; `None` while nothing is held.
    due: Option<Instant>,
}

/// What was held between two turns: a chunk in memory.
#[derive(Default)]
struct Turn {
    chunk: ChunkId,
    held: Vec<Held>,
}

/// One envelope.
pub(super) struct Held {
    mailbox: MailboxId,
    stored: Stored,
    chunk: ChunkId,
    offset: u32,
    reply: Reply,
    written: Written,
}

/// Whether it was written before its turn, with something else that happened to the mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    No,
    /// In the batch that is being made.
    Now,
    /// It is durable.
    Yes,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            young: Turn { chunk: HELD, held: Vec::new() },
            old: Turn::default(),
            decided: Vec::new(),
            of: HashMap::new(),
            bytes: 0,
            remembered: HashMap::new(),
            remembered_entries: 0,
            settles: false,
            next_chunk: HELD + 1,
            due: None,
        }
    }
}

impl Hold {
    /// How long until the next turn; `None` while nothing is held.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn is_empty(&self) -> bool {
        self.young.held.is_empty() && self.old.held.is_empty() && self.decided.is_empty()
    }

    /// The batch is durable.
    pub(super) fn note_written(&mut self) {
        if std::mem::take(&mut self.settles) {
            let all = self.old.held.iter_mut().chain(&mut self.young.held);
            all.filter(|held| held.written == Written::Now)
                .for_each(|held| held.written = Written::Yes);
        }
    }

    /// What was held is decided.
    fn note_decided(&mut self, held: &[Held]) {
        for Held { mailbox, .. } in held.iter().filter(|held| held.written == Written::No) {
            if let Some(count) = self.of.get_mut(mailbox) {
                *count -= 1;
                if *count == 0 {
                    self.of.remove(mailbox);
                }
            }
        }
    }
}

/// When the turn after one that was due comes: whole holds later, however long the turn itself took
/// (MBX-21). A write that takes longer than a hold delays it all the same.
fn next_turn(due: Instant, hold: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due);
    let missed = late.as_nanos().checked_div(hold.as_nanos()).unwrap_or(0);
    due + hold * u32::try_from(missed + 1).unwrap_or(u32::MAX)
}

impl Writer {
    /// Holds an act that may be held, if there is room (LIM-21) and nothing is to be said against
    /// it; gives it back otherwise.
    pub(super) fn hold(
        &mut self,
        mailbox: MailboxId,
        act: Act,
        reply: Reply,
        told: &mut Vec<Told>,
    ) -> Option<(Act, Reply)> {
        // Most acts: nothing is asked of the index for them.
        let Act::Append(mut append) = act else { return Some((act, reply)) };
        if append.hold.is_none() {
            return Some((Act::Append(append), reply));
        }
        let size = append.body.len();
        let mut index = self.store.index();
        let is_held = self.hold.bytes + size <= self.settings.hold_bytes
            && self.hold.remembered_entries < self.settings.hold_entries
            && index.envelopes() < self.settings.envelopes
            && self.hold.young.held.len() < usize::from(u16::MAX)
            && self.store.keys().admits(append.expires_at, self.now.max(append.now))
            && matches!(index.judge(mailbox, &append), Ok(None));
        let Some(seen) = append.hold.take_if(|_| is_held) else {
            drop(index);
            return Some((Act::Append(append), reply));
        };
        self.now = self.now.max(append.now);
        let (seq, prev) = (index.next_number(), index.head(mailbox));
        let (id, expires_at, commit) = (append.id, append.expires_at, false);
        let stored = Stored { seq, prev, expires_at, commit };
        let (class, body) = (append.class, append.body);
        let epoch = append.epoch.unwrap_or(Seq::START);
        let envelope = Envelope { seq, prev, epoch, id, class, expires_at, commit, body };
        let chunk = self.hold.young.chunk;
        let mut bodies = self.store.held_mut();
        let bodies = bodies.entry(chunk).or_default();
        let offset = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        bodies.push(envelope);
        index.add(mailbox, Placed { id, stored, size, chunk, offset }, self.now);
        told.push(Told::Seen(seen, stored));
        let written = Written::No;
        self.hold.young.held.push(Held { mailbox, stored, chunk, offset, reply, written });
        *self.hold.of.entry(mailbox).or_default() += 1;
        self.hold.bytes += size;
        self.hold.remembered_entries += 1;
        self.hold.remembered.entry(chunk).or_default().push((mailbox, seq));
        self.hold.due.get_or_insert_with(|| Instant::now() + self.settings.hold);
        None
    }

    /// Writes what is held of a mailbox: something else happens to it. The answers come with their
    /// turns.
    pub(super) fn settle(
        &mut self,
        batch: &mut Batch<'_>,
        mailbox: MailboxId,
    ) -> Result<(), redb::Error> {
        if self.hold.of.remove(&mailbox).is_none() {
            return Ok(());
        }
        self.hold.settles = true;
        let Hold { old, young, .. } = &mut self.hold;
        let mut all = [std::mem::take(&mut old.held), std::mem::take(&mut young.held)];
        let is_its = |held: &&mut Held| held.mailbox == mailbox && held.written == Written::No;
        let written = all.iter_mut().flatten().filter(is_its).try_for_each(|held| {
            held.written = Written::Now;
            self.write_held(batch, held)
        });
        [self.hold.old.held, self.hold.young.held] = all;
        written
    }

    /// Tells what is decided, and decides over what was held for a whole turn.
    pub(crate) fn turn_hold(&mut self) {
        for held in std::mem::take(&mut self.hold.decided) {
            held.reply.answer(Ok(Outcome::Settled(held.stored)));
        }
        let next = Turn { chunk: self.hold.next_chunk, held: Vec::new() };
        self.hold.next_chunk += 1;
        let young = std::mem::replace(&mut self.hold.young, next);
        let old = std::mem::replace(&mut self.hold.old, young);
        if let Err(cause) = self.write_old(&old.held) {
            self.hold.old.held.extend(old.held);
            return self.close(&cause);
        }
        if let Some(bodies) = self.store.held_mut().remove(&old.chunk) {
            self.hold.bytes -= bodies.iter().map(|envelope| envelope.body.len()).sum::<usize>();
        }
        self.hold.note_decided(&old.held);
        self.hold.decided = old.held;
        let (now, rests) = (Instant::now(), self.hold.is_empty());
        let due = self.hold.due.filter(|_| !rests);
        self.hold.due = due.map(|due| next_turn(due, self.settings.hold, now));
    }

    /// When another turn comes, if one does.
    #[cfg(test)]
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        self.hold.due
    }

    /// Lets nothing be held any more: all is written and told.
    pub(super) fn end_hold(&mut self) {
        while !self.hold.is_empty() {
            self.turn_hold();
        }
    }

    /// The store has failed: what was held is forgotten, and may have been seen. What is decided or
    /// durable stays so: more may have been accepted behind it (MBX-6).
    pub(super) fn fail_hold(&mut self) {
        let Hold { decided, old, young, .. } = std::mem::take(&mut self.hold);
        self.store.held_mut().clear();
        let is_sure = |held: &Held| held.written == Written::Yes;
        let (sure, lost): (Vec<_>, Vec<_>) =
            old.held.into_iter().chain(young.held).partition(is_sure);
        for held in decided.into_iter().chain(sure) {
            held.reply.answer(Ok(Outcome::Settled(held.stored)));
        }
        lost.into_iter().for_each(|held| held.reply.answer(Err(BufferError::Unknown)));
    }

    /// The ids of what was never written need not be remembered any more.
    pub(super) fn forget_held(&mut self, chunks: &[ChunkId]) {
        for chunk in chunks {
            let entries = self.hold.remembered.remove(chunk).unwrap_or_default();
            self.hold.remembered_entries -= entries.len();
            // No marks: whoever reads has had what nobody wrote.
            self.store.index().drop_chunk(*chunk, &entries);
        }
    }

    fn write_old(&mut self, old: &[Held]) -> Result<(), redb::Error> {
        let open: Vec<_> = old.iter().filter(|held| held.written == Written::No).collect();
        let kept: Vec<_> = {
            let index = self.store.index();
            let is_kept = |held: &&Held| !index.is_let_go(held.mailbox, held.stored.seq);
            open.iter().copied().filter(is_kept).collect()
        };
        metrics::UNWRITTEN.add(open.len() - kept.len());
        if kept.is_empty() {
            return Ok(());
        }
        let Ok(database) = self.store.database() else { return Ok(()) };
        self.write_all(&database, &kept)
    }

    fn write_all(&mut self, database: &Database, held: &[&Held]) -> Result<(), redb::Error> {
        let transaction = super::open::begin(database)?;
        let moves = {
            let mut batch = self.begin_batch(&transaction, 0)?;
            for held in held {
                self.write_held(&mut batch, held)?;
            }
            self.finish(batch)?
        };
        transaction.commit()?;
        metrics::COMMITS.count();
        let mut index = self.store.index();
        moves.iter().for_each(|moved| index.relocate(moved, self.now));
        Ok(())
    }

    /// Writes one, unless it was confirmed meanwhile; also one that has expired, so that it is
    /// known later that it was there (`prev`).
    fn write_held(&mut self, batch: &mut Batch<'_>, held: &Held) -> Result<(), redb::Error> {
        let Held { mailbox, stored, chunk: from, offset, .. } = *held;
        let Stored { seq, expires_at, .. } = stored;
        if self.store.index().is_let_go(mailbox, seq) {
            return Ok(());
        }
        let Some(envelope) = self.store.held_at(from, offset) else { return Ok(()) };
        let (to, offset) = self.pack(batch, mailbox, &envelope)?;
        batch.moves.push(Moved { mailbox, seq, expires_at, from, to, offset });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MBX-21: late, a turn is left out and none moves.
    #[test]
    fn turns_come_at_fixed_times() {
        let (due, hold) = (Instant::now(), Duration::from_millis(20));
        let after = |late| next_turn(due, hold, due + Duration::from_millis(late)) - due;
        assert_eq!([0, 19, 20, 59].map(after), [1, 1, 2, 3].map(|turns| hold * turns));
    }
}
