//! Who has said how much: counters and hashes of devices in a log tell what is missing here
//! (CNV-16), and what is kept can be given to others.

use std::collections::BTreeMap;

use restante_crypto::{Member, content_hash};
use restante_spec::content::{Body, Content, ContentHash, GroupKind};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq};
use restante_spec::message::Deliver;

use super::Work;
use super::membership::{Merged, account, accounts};
use crate::error::Error;
use crate::limits::{GAPS, HEARSAY_GAPS, OWN_KEPT, REPAIR_DELAY, REPAIR_SPREAD};
use crate::store::{AuthorRow, GapRow, KeptRow, LogRow, Place};

/// Contents of one device that are missing: their counters, the hash of the last, and the places
/// they stand between.
pub(super) struct Missed {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) hash: [u8; 32],
    pub(super) after: Seq,
    pub(super) before: Seq,
}

impl Work<'_> {
    /// Counts what a device has said; what it must have said before and is not here is a gap.
    pub(super) fn note_content(
        &mut self,
        log: &LogRow,
        device: &PublicKey,
        author: &PublicKey,
        envelope: &Deliver,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let content = match Content::decode(bytes) {
            Ok(content) if content.id == envelope.id => content,
            Ok(_) | Err(_) => return Ok(()),
        };
        let kept = content.body.is_kept();
        let told = content.counter.saturating_sub(u64::from(kept));
        let previous = previous_of(&content);
        let row = |counter, hash, seq| {
            let (mailbox, device) = (log.mailbox, *device);
            AuthorRow { mailbox, device, account: *author, counter, hash, seq }
        };
        let known = match self.db.author(&log.mailbox, device)? {
            Some(known) => known,
            // REV-7: what came with an archive does not lie behind it.
            None if self.db.absent_since(&log.mailbox)?.is_some() => {
                row(0, None, self.db.archived_up_to(log.conversation, log.generation)?)
            }
            // It may have spoken before this device came.
            None => row(told, previous, envelope.seq),
        };
        if self.db.drop_hearsay(&log.mailbox, device)? {
            // It speaks for itself.
            self.tell_gaps(log.conversation);
        }
        // CNV-16
        let differs = told == known.counter && previous != known.hash;
        let is_gap = told > known.counter + 1 || differs;
        let is_next = told == known.counter + 1;
        if let Some(hash) = previous
            && (is_gap || (is_next && !self.has_kept(log, device, told, &hash)?))
        {
            let (first, after) =
                if differs { (told, Seq::START) } else { (known.counter + 1, known.seq) };
            let missed = Missed { first, last: told, hash, after, before: envelope.seq };
            self.note_gap(log, (device, author), missed, None)?;
        }
        let hash = if kept { Some(*content_hash(bytes).as_bytes()) } else { previous };
        // CNV-16: what lies behind a lower one could not be told to others.
        if content.counter >= known.counter {
            self.db.put_author(&row(content.counter, hash, envelope.seq))?;
        }
        if kept {
            self.keep(log, device, envelope.seq, &content, bytes)?;
        }
        Ok(())
    }

    /// Whether a content is here already: an own device has handed it on (DEV-22).
    pub(super) fn has_kept(
        &self,
        log: &LogRow,
        device: &PublicKey,
        counter: u64,
        hash: &[u8; 32],
    ) -> Result<bool, Error> {
        let kept = self.db.kept(&log.mailbox, device, (counter, counter), 1)?;
        Ok(kept.iter().any(|row| content_hash(&row.content).as_bytes() == hash))
    }

    /// Keeps a content of a device for members that miss it.
    pub(super) fn keep(
        &mut self,
        log: &LogRow,
        device: &PublicKey,
        seq: Seq,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let about = match &content.body {
            Body::Edit(edit) => Some(edit.of),
            Body::Reaction(reaction) => Some(reaction.to),
            _ => None,
        };
        self.db.keep(&KeptRow {
            mailbox: log.mailbox,
            device: *device,
            counter: content.counter,
            conversation: log.conversation,
            id: content.id,
            about,
            seq,
            content: bytes.to_vec(),
        })?;
        if self.db.need_conversation(log.conversation)?.state.kind == GroupKind::Own {
            return self.db.bound_kept(log.conversation, OWN_KEPT);
        }
        Ok(())
    }

    /// A content of this device has its place: it can be given from now on.
    pub(super) fn keep_own(&mut self, id: &EnvelopeId, place: &Place) -> Result<(), Error> {
        let (Some(row), Some(mailbox)) = (self.db.outbox_row(id)?, place.mailbox) else {
            return Ok(());
        };
        // In a room nobody asks for what is missing: late readers have its tail.
        let given = row.kind < Body::PASSING && !self.db.is_room(&mailbox)?;
        let Some(bytes) = row.content.filter(|_| given) else { return Ok(()) };
        let Ok(content) = Content::decode(&bytes) else { return Ok(()) };
        let log = self.db.need_log(&mailbox)?;
        let device = self.account.device.public();
        self.keep(&log, &device, place.seq, &content, &bytes)
    }

    pub(super) fn note_gap(
        &mut self,
        log: &LogRow,
        (device, author): (&PublicKey, &PublicKey),
        Missed { first, last, hash, after, before }: Missed,
        teller: Option<PublicKey>,
    ) -> Result<(), Error> {
        self.put_new_gap(&GapRow {
            id: 0,
            conversation: log.conversation,
            mailbox: log.mailbox,
            generation: log.generation,
            device: *device,
            account: *author,
            first,
            last,
            hash,
            after,
            before,
            asks: 0,
            due: self.later(REPAIR_DELAY, REPAIR_SPREAD)?,
            lost: false,
            teller,
        })?;
        self.tell_gaps(log.conversation);
        Ok(())
    }

    /// Notes one more, within the bounds: what one device tells displaces only what it told itself
    /// and nobody has, and who makes many gaps displaces his own.
    pub(super) fn put_new_gap(&self, gap: &GapRow) -> Result<(), Error> {
        let mut known = self.db.gaps(gap.conversation)?;
        known.retain(|it| it.teller == gap.teller);
        let is_told = gap.teller.is_some();
        if known.len() >= if is_told { HEARSAY_GAPS } else { GAPS } {
            let goes =
                if is_told { known.iter().find(|it| it.lost) } else { oldest_of_most(&known) };
            let Some(goes) = goes else { return Ok(()) };
            self.db.drop_gap(goes.id)?;
        }
        self.db.put_gap(gap)
    }

    /// Notes since when accounts are members, and that devices that come in now begin to count.
    pub(super) fn note_joined(
        &mut self,
        log: &LogRow,
        seq: Seq,
        merged: &Merged,
        members: &[Member],
    ) -> Result<(), Error> {
        let gone = accounts(&merged.removed);
        for member in &merged.added {
            let (Some(account), Some(device)) = (account(member), &member.device) else { continue };
            let others = |m: &&Member| self::account(m) == Some(account);
            let fresh = members.iter().filter(others).all(|m| merged.added.contains(m));
            // CNV-18
            if fresh && !gone.contains(&account) {
                self.db.note_joined(&log.mailbox, &account, seq)?;
            }
            let again = merged.removed.iter().any(|m| m.device.as_ref() == Some(device));
            if !again && self.db.author(&log.mailbox, device.device())?.is_none() {
                let (mailbox, device, hash) = (log.mailbox, *device.device(), None);
                let row = AuthorRow { mailbox, device, account, counter: 0, hash, seq };
                self.db.put_author(&row)?;
            }
        }
        Ok(())
    }
}

/// The first gap of the account that has the most of them.
fn oldest_of_most(gaps: &[GapRow]) -> Option<&GapRow> {
    let mut counts: BTreeMap<PublicKey, usize> = BTreeMap::new();
    for gap in gaps {
        *counts.entry(gap.account).or_default() += 1;
    }
    let (account, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    gaps.iter().find(|gap| gap.account == account)
}

/// The hash a content names, as it is kept in rows.
pub(super) fn previous_of(content: &Content) -> Option<[u8; 32]> {
    content.previous.as_ref().map(ContentHash::as_bytes).copied()
}
