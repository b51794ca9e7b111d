//! How far others have counted: who reads on behind something that was let go unread asks for that,
//! and hears of those too who say nothing more (CNV-16).

use restante_crypto::{Member, content_hash};
use restante_spec::content::{Body, Content, Count, Counts, RepairRequest};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq};
use restante_spec::limits::COUNTS;

use super::Work;
use super::authors::Missed;
use super::commands::id_of_key;
use super::contents::Speaker;
use super::membership::{account, accounts, member_of};
use crate::error::Error;
use crate::limits::{COUNT_TELLERS, COUNTED_BACK, UPDATE_MEMBERS};
use crate::store::{AuthorRow, GapRow, LogRow};
use crate::types::{ConversationId, Message, MessageId};

impl Work<'_> {
    /// Something of a log behind a place was let go unread: whoever said it may say nothing more
    /// by itself.
    pub(super) fn ask_how_far(&mut self, log: &LogRow, behind: Seq) -> Result<(), Error> {
        let of = log.conversation;
        let current = self.db.need_conversation(of)?.log == Some(log.mailbox);
        if !current || !self.may_ask(of)? || self.asks_how_far(of)? {
            return Ok(());
        }
        let behind = self.db.asked_behind(&log.mailbox, behind)?;
        let request = RepairRequest { conversation: log.mailbox, ranges: Vec::new(), behind };
        // CNV-16
        self.queue_body(of, &Body::RepairRequest(request))?;
        Ok(())
    }

    /// Whether that is on its way.
    fn asks_how_far(&self, of: ConversationId) -> Result<bool, Error> {
        for row in self.db.whole_outbox(of) {
            let row = row?;
            let said = Body::decode(row.kind, &row.body);
            if matches!(said, Ok(Body::RepairRequest(request)) if request.ranges.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Somebody may have missed what this device has said: its next content names the counter, and
    /// that it leaves it says again. Of the others the tellers tell.
    pub(super) fn tell_how_far(
        &mut self,
        log: &LogRow,
        asker: Speaker<'_>,
        behind: Seq,
    ) -> Result<(), Error> {
        let (of, members) = (log.conversation, self.members(&log.mailbox)?);
        let is_teller = is_teller(&members, asker.device, &self.account.device.public());
        let row = self.db.need_conversation(of)?;
        // CNV-16
        let speaks = is_teller || accounts(&members).len() <= UPDATE_MEMBERS;
        let is_said = self.db.waits_in_outbox(of, Body::PROFILE)?;
        if log.counter > 0 && row.standing.is_in() && speaks && !is_said {
            self.queue_profile_to(of)?;
        }
        if is_teller && of != self.own_conversation_id() {
            self.tell_counts(log, asker, behind)?;
        }
        self.leave_again(&row)
    }

    fn tell_counts(&mut self, log: &LogRow, asker: Speaker<'_>, behind: Seq) -> Result<(), Error> {
        // CNV-18: of what was said before an account came nobody tells it.
        let behind = behind.max(self.db.joined(&log.mailbox, asker.account)?);
        let mut counts = self.db.counts_behind(&log.mailbox, behind, COUNTED_BACK, COUNTS)?;
        // What an own device handed on may lie behind all that was counted.
        counts.retain(|count| count.device != *asker.device && count.first <= count.last);
        if !counts.is_empty() {
            let counts = Counts { asker: *asker.device, counts };
            self.queue_body(log.conversation, &Body::Counts(counts))?;
        }
        Ok(())
    }

    /// Others have a content of this device that it has no answer for: where it stands they can say
    /// as with one that is missing here.
    pub(super) fn miss_place(
        &mut self,
        log: &LogRow,
        id: &EnvelopeId,
        before: Seq,
    ) -> Result<(), Error> {
        let Some(row) = self.db.outbox_row(id)? else { return Ok(()) };
        let Some(content) = row.content.filter(|_| row.mailbox == Some(log.mailbox)) else {
            return Ok(());
        };
        let hash = *content_hash(&content).as_bytes();
        let (first, last, after) = (row.counter, row.counter, Seq::START);
        let (device, account) = (self.account.device.public(), *self.account.id().key());
        // CNV-17
        let missed = Missed { first, last, hash, after, before };
        self.note_gap(log, (&device, &account), missed, None)
    }

    /// Another device tells what it has counted of others.
    pub(super) fn take_counts(
        &mut self,
        log: &LogRow,
        teller: &PublicKey,
        at: Seq,
        told: &Counts,
    ) -> Result<(), Error> {
        let (own, members) = (self.account.device.public(), self.members(&log.mailbox)?);
        let asked = self.db.absent_since(&log.mailbox)?.filter(|_| told.asker == own);
        // CNV-16
        let Some(behind) = asked.filter(|_| is_teller(&members, &own, teller)) else {
            return Ok(());
        };
        self.db.note_answered(&log.mailbox)?;
        let may_be = |count: &&Count| count.device != own && count.seq > behind && count.seq < at;
        for count in told.counts.iter().filter(may_be) {
            // Whose device it is others cannot say of one that is known, nor of an own one.
            let is_his = match self.account_of(log, &members, &count.device)? {
                Some(named) => named == count.account,
                None => count.account != *self.account.id().key(),
            };
            if is_his {
                self.take_count(log, behind, teller, count)?;
            }
        }
        Ok(())
    }

    /// Whose a device is, as far as this one has seen or heard it itself.
    pub(super) fn account_of(
        &self,
        log: &LogRow,
        members: &[Member],
        device: &PublicKey,
    ) -> Result<Option<PublicKey>, Error> {
        let heard = self.db.author(&log.mailbox, device)?;
        let there = member_of(members, device).and_then(account);
        Ok(there.or(heard.map(|heard| heard.account)))
    }

    fn take_count(
        &mut self,
        log: &LogRow,
        behind: Seq,
        teller: &PublicKey,
        told: &Count,
    ) -> Result<(), Error> {
        let known = self.db.author(&log.mailbox, &told.device)?;
        let (counter, seq) = known.map_or((0, Seq::START), |known| (known.counter, known.seq));
        let (hash, last) = (*told.hash.as_bytes(), told.last);
        let first = told.first.max(counter + 1);
        let is_here = last == first && self.has_kept(log, &told.device, last, &hash)?;
        if last <= counter || is_here {
            return Ok(());
        }
        let before = Seq::new(told.seq.get().saturating_add(1));
        let is_in = |gap: &GapRow| {
            let same = gap.hash == hash && gap.account == told.account;
            same && gap.first <= first && gap.before >= before
        };
        if self.db.gaps_of(&log.mailbox, &told.device, last)?.iter().any(is_in) {
            return Ok(());
        }
        let missed = Missed { first, last, hash, after: seq.max(behind), before };
        // CNV-17
        self.note_gap(log, (&told.device, &told.account), missed, Some(*teller))
    }

    /// What others have counted is confirmed up to here.
    pub(super) fn count_heard(
        &self,
        gap: &GapRow,
        seq: Seq,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let (counter, known) = (content.counter, self.db.author(&gap.mailbox, &gap.device)?);
        // Behind a hole nobody told of it says so itself.
        let Some(known) = known.filter(|known| known.counter + 1 == gap.first) else {
            return Ok(());
        };
        let hash = Some(*content_hash(bytes).as_bytes());
        self.db.put_author(&AuthorRow { counter, hash, seq, ..known })
    }

    /// Whether more of what others have counted is not to be had: these words are shown already, or
    /// their author's account is gone, and they are shown as unconfirmed or mean nothing any more.
    pub(super) fn is_settled(
        &mut self,
        of: &LogRow,
        gap: &GapRow,
        said: &Content,
    ) -> Result<bool, Error> {
        if let Body::Text(text) = &said.body {
            let id = MessageId::new(*said.id.as_bytes());
            let here = self.db.bare_message(of.conversation, &id)?;
            let own = id_of_key(self.account.id().key());
            let is_same = |it: Message| {
                it.author.unwrap_or(own) == id_of_key(&gap.account) && it.text == text.text
            };
            if here.filter(|it| !it.is_unconfirmed).is_some_and(is_same) {
                return Ok(true);
            }
        }
        let members = self.members_if_in(&of.mailbox)?;
        let is_gone = !accounts(&members).contains(&gap.account);
        Ok(is_gone && matches!(said.body, Body::Text(_) | Body::Leave | Body::Roster(_)))
    }
}

/// Whether a device is one of those that tell another one how far they have counted.
fn is_teller(members: &[Member], asker: &PublicKey, device: &PublicKey) -> bool {
    let devices = members.iter().filter_map(|member| member.device.as_ref());
    let others = devices.map(|found| found.device()).filter(|found| *found != asker);
    // CNV-16
    others.take(COUNT_TELLERS).any(|found| found == device)
}
