//! Readers: where they stand, what they hold back, what is let go (CMD-12, CMD-17; MBX-9, MBX-10,
//! MBX-18).

use std::sync::Arc;

use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, ReaderHash, Seq, UnixTime};
use restante_spec::message::{MailboxClass, Refusal};

use super::api::{Access, Notices, Range};
use super::authorise::{Grant, Need, authorise, not_now};
use super::rows::{self, ReaderRow};
use super::service::{Cell, Service, lock, refusal};
use super::state::{Acks, Mailbox, Reader, Replaced};
use super::tail::{Kept, Tail, TailBound};
use crate::buffer::{Act, Buffer, Envelope, Page, Span};
use crate::limits::SEEN_EVERY;

impl<B: Buffer, N: Notices> Service<B, N> {
    /// Begins deliveries behind `after`, which counts as acknowledgement (CMD-12).
    pub(super) fn subscribe(
        self: &Arc<Self>,
        access: Access,
        reader: ReaderHash,
        after: Seq,
        now: UnixTime,
    ) -> Result<Range, Refusal> {
        let cell = self.get(access)?;
        let mut mailbox = lock(&cell);
        let ((), _, grant) = authorise(&mailbox, access.key, Need::Read, (), now)?.into_parts();
        let head = self.newest(&mailbox, now);
        // DLV-3
        if after > head {
            let detail = format!("after is {after}, but the newest number is {head}");
            return Err(Refusal::new(Code::AckAhead, detail));
        }
        let range = match grant {
            Grant::Replaced(old) => {
                self.check_complete(&mailbox, old, after, now)?;
                let upto = Some(old.upto);
                Range { after: after.max(old.from), upto, epoch: old.from, expires_at: None }
            }
            Grant::Epoch { number } => {
                registered(&mailbox, &reader, head)?;
                Range { after: after.max(number), upto: None, epoch: number, expires_at: None }
            }
            // MBX-17: nobody is registered. What is about to be let go is not begun with.
            Grant::Terms { expires_at, .. } if mailbox.class == MailboxClass::Room => {
                let after = after.max(self.tail(&mut mailbox, now)?.floor());
                Range { after, upto: None, epoch: Seq::START, expires_at }
            }
            Grant::Terms { expires_at, .. } => {
                registered(&mailbox, &reader, head)?;
                Range { after, upto: None, epoch: Seq::START, expires_at }
            }
        };
        self.advance(&cell, &mut mailbox, reader, after, now);
        Ok(range)
    }

    /// A reader has everything up to here (CMD-17). That it was delivered, the caller has checked.
    pub(super) fn ack(
        self: &Arc<Self>,
        access: Access,
        reader: ReaderHash,
        upto: Seq,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let cell = self.get(access)?;
        let mut mailbox = lock(&cell);
        authorise(&mailbox, access.key, Need::Read, (), now)?;
        self.advance(&cell, &mut mailbox, reader, upto, now);
        Ok(())
    }

    /// A room's tail, read from the buffer when it is first needed: while nothing is in flight.
    pub(super) fn tail<'m>(
        &self,
        mailbox: &'m mut Mailbox,
        now: UnixTime,
    ) -> Result<&'m mut Tail, Refusal> {
        let bound = self.settings.tail();
        let found = match mailbox.tail.take() {
            Some(tail) => tail,
            None => Box::new(self.read_tail(mailbox.id, bound, now)?),
        };
        Ok(mailbox.tail.insert(found))
    }

    fn read_tail(
        &self,
        mailbox: MailboxId,
        bound: TailBound,
        now: UnixTime,
    ) -> Result<Tail, Refusal> {
        let mut tail = Tail::default();
        let max_bytes = usize::try_from(bound.bytes).unwrap_or(usize::MAX);
        let mut span =
            Span { after: Seq::START, upto: Seq::new(u64::MAX), max: bound.entries, max_bytes };
        loop {
            let page = self.buffer.read(mailbox, span, now).map_err(refusal)?;
            for Envelope { seq, body, expires_at, .. } in page.envelopes {
                tail.add(Kept { seq, size: body.len(), expires_at }, bound, now);
                span.after = seq;
            }
            if !page.more {
                return Ok(tail);
            }
        }
    }

    /// An envelope was stored in a room: lets go of what has no room beside it (MBX-18).
    pub(super) fn keep_tail(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mailbox: &mut Mailbox,
        newest: Kept,
        now: UnixTime,
    ) {
        let Some(tail) = &mut mailbox.tail else { return };
        tail.add(newest, self.settings.tail(), now);
        if mailbox.trim(now).is_some() && !mailbox.acks.writing {
            self.write_cursors(cell, mailbox, now);
        }
    }

    /// Whether a subscription's key may still read this (DLV-10), and until when by its own terms.
    pub(super) fn may_read(
        &self,
        access: Access,
        page: &Page,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, Refusal> {
        let cell = self.get(access)?;
        let mailbox = lock(&cell);
        // MBX-8: who reads a commit opens the next key; it is stored, and about to be taken in.
        let is_ahead =
            |envelope: &Envelope| envelope.commit && mailbox.in_flight.contains_key(&envelope.id);
        if page.envelopes.iter().any(is_ahead) {
            return Err(not_now());
        }
        let judged = authorise(&mailbox, access.key, Need::Read, (), now);
        match judged.map(|authorised| authorised.into_parts().2) {
            Ok(Grant::Terms { expires_at, .. }) => Ok(expires_at),
            Ok(Grant::Epoch { .. } | Grant::Replaced(_)) => Ok(None),
            // MBX-9: nobody strikes an epoch's key, it is forgotten with the end of its range.
            Err(Refusal { code: Code::Revoked, .. })
                if mailbox.class == MailboxClass::Conversation =>
            {
                Err(Refusal::new(Code::Gone, "this key's range is not kept any more"))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The newest number a position may name: the head, or where the mailbox or epoch began.
    fn newest(&self, mailbox: &Mailbox, now: UnixTime) -> Seq {
        // MBX-21: what a reader has may have been in memory only.
        if mailbox.memory_first {
            return self.buffer.last();
        }
        let head = self.buffer.level(mailbox.id, now).head;
        let epoch = mailbox.epoch.as_ref().map_or(Seq::START, |epoch| epoch.number);
        let replaced = mailbox.replaced.values().map(|old| old.upto).max();
        let readers = mailbox.readers.values().map(|reader| reader.cursor).max();
        let known = head.max(epoch).max(mailbox.created);
        known.max(replaced.unwrap_or(Seq::START)).max(readers.unwrap_or(Seq::START))
    }

    /// A replaced key's range is complete while the commit that ends it is stored (MBX-9).
    fn check_complete(
        &self,
        mailbox: &Mailbox,
        old: Replaced,
        after: Seq,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let before = Seq::new(old.upto.get().saturating_sub(1));
        let span = Span { after: before, upto: old.upto, max: 1, max_bytes: 0 };
        let page = self.buffer.read(mailbox.id, span, now).map_err(refusal)?;
        if after < old.upto && page.envelopes.is_empty() {
            return Err(Refusal::new(
                Code::Gone,
                "the end of this key's range is not kept any more",
            )
            .upto(old.upto));
        }
        Ok(())
    }

    /// Moves a reader's cursor, and lets go of what nobody needs. Cursors are written one act at
    /// a time; those that move meanwhile go with the next (DLV-3: older positions change nothing).
    fn advance(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mailbox: &mut Mailbox,
        reader: ReaderHash,
        upto: Seq,
        now: UnixTime,
    ) {
        let Some(Reader { cursor, seen, .. }) = mailbox.readers.get(&reader).copied() else {
            return;
        };
        if upto <= cursor && seen.after(SEEN_EVERY) > now {
            return;
        }
        if mailbox.renew(now) {
            mailbox.acks.dirty = mailbox.readers.keys().copied().collect();
        }
        let Some(found) = mailbox.readers.get_mut(&reader) else { return };
        found.cursor = found.cursor.max(upto);
        found.seen = now;
        let must_note = found.noted.after(SEEN_EVERY) <= now;
        if !mailbox.acks.dirty.contains(&reader) {
            mailbox.acks.dirty.push(reader);
        }
        if !mailbox.memory_first || must_note || self.lets_go_of_written(mailbox, now) {
            self.write_cursors(cell, mailbox, now);
        }
    }

    /// MBX-21: lets go of what every reader there is has confirmed. Returns whether something of it
    /// was written: else the cursors need not be either, until the mailbox leaves the memory.
    fn lets_go_of_written(&self, mailbox: &Mailbox, now: UnixTime) -> bool {
        let upto = mailbox.readers.values().map(|reader| reader.cursor).min();
        upto.is_some_and(|upto| !self.buffer.confirm(mailbox.id, upto, now))
    }

    /// Writes the cursors that have moved, and lets go of what nobody needs, unless that has to
    /// wait.
    pub(super) fn write_cursors(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mailbox: &mut Mailbox,
        now: UnixTime,
    ) {
        let trim = mailbox.trim(now);
        // MBX-8: a row written behind the commit that strikes its reader would bring it back.
        let Acks { writing, striking, dirty } = &mailbox.acks;
        let is_nothing = dirty.is_empty() && trim.is_none();
        if !mailbox.is_current() || *writing || *striking > 0 || is_nothing {
            return;
        }
        let mut rows = Vec::new();
        for reader in &mailbox.acks.dirty {
            let Some(found) = mailbox.readers.get_mut(reader) else { continue };
            found.noted = found.seen;
            let row = ReaderRow { cursor: Some(found.cursor.get()), seen: found.seen.get() };
            rows.extend(rows::put(rows::of_reader(reader), &row));
        }
        let again = Arc::clone(cell);
        let act = Act::Write { rows, trim };
        let submitted = self.submit(cell, mailbox.id, act, move |service, mailbox, outcome| {
            mailbox.acks.writing = false;
            if outcome.is_ok() {
                service.write_cursors(&again, mailbox, now);
            }
        });
        match submitted {
            Ok(()) => {
                mailbox.acks.writing = true;
                mailbox.acks.dirty.clear();
                mailbox.trimmed = trim.unwrap_or(mailbox.trimmed);
            }
            // A full queue loses nothing: the state is read anew, `after` tells positions again.
            Err(_) => mailbox.stale = true,
        }
    }
}

/// A reader that is not registered is told so (DLV-8).
fn registered(mailbox: &Mailbox, reader: &ReaderHash, head: Seq) -> Result<(), Refusal> {
    if mailbox.readers.contains_key(reader) {
        return Ok(());
    }
    Err(Refusal::new(Code::Gone, "this reader is not registered (any more)").upto(head))
}
