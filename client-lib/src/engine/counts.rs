//! How far others have counted: who reads on behind something that was let go unread asks for that,
//! and hears of those too who say nothing more (CNV-16).

use restante_crypto::content_hash;
use restante_spec::content::{Body, Count, Counts, RepairRequest};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq};
use restante_spec::limits::COUNTS;

use super::Work;
use super::authors::Missed;
use super::membership::accounts;
use crate::error::Error;
use crate::limits::{COUNT_TELLERS, UPDATE_MEMBERS};
use crate::store::LogRow;

impl Work<'_> {
    /// Something of a log behind a place was let go unread: whoever said it may say nothing more
    /// by itself.
    pub(super) fn ask_how_far(&mut self, log: &LogRow, behind: Seq) -> Result<(), Error> {
        let of = log.conversation;
        let current = self.db.need_conversation(of)?.log == Some(log.mailbox);
        if current && self.can_ask(of)? {
            let (conversation, ranges) = (log.mailbox, Vec::new());
            let request = RepairRequest { conversation, ranges, behind };
            // CNV-16
            self.queue_body(of, &Body::RepairRequest(request))?;
        }
        Ok(())
    }

    /// Somebody may have missed what this device has said: its next content names the counter, and
    /// that it leaves it says again. Of the others the first in the tree tell.
    pub(super) fn tell_how_far(
        &mut self,
        log: &LogRow,
        asker: &PublicKey,
        behind: Seq,
    ) -> Result<(), Error> {
        let (of, members) = (log.conversation, self.members(&log.mailbox)?);
        let devices = members.iter().filter_map(|member| member.device.as_ref());
        let mut tellers = devices.map(|found| *found.device()).filter(|device| device != asker);
        let own = self.account.device.public();
        let is_teller = tellers.by_ref().take(COUNT_TELLERS).any(|device| device == own);
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

    fn tell_counts(&mut self, log: &LogRow, asker: &PublicKey, behind: Seq) -> Result<(), Error> {
        let mut counts = self.db.counts_behind(&log.mailbox, behind, COUNTS)?;
        counts.retain(|count| count.device != *asker);
        if !counts.is_empty() {
            let counts = Counts { asker: *asker, counts };
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
        self.note_gap(log, (&device, &account), missed, false)
    }

    /// Another device tells what it has counted of others.
    pub(super) fn take_counts(&mut self, log: &LogRow, told: &Counts) -> Result<(), Error> {
        let own = self.account.device.public();
        let Some(since) = self.db.absent_since(&log.mailbox)?.filter(|_| told.asker == own) else {
            return Ok(());
        };
        for count in told.counts.iter().filter(|count| count.device != own && count.seq > since) {
            self.take_count(log, since, count)?;
        }
        Ok(())
    }

    fn take_count(&mut self, log: &LogRow, since: Seq, told: &Count) -> Result<(), Error> {
        let known = self.db.author(&log.mailbox, &told.device)?;
        let (counter, seq) = known.map_or((0, Seq::START), |known| (known.counter, known.seq));
        let hash = *told.hash.as_bytes();
        if told.last <= counter || self.has_kept(log, &told.device, told.last, &hash)? {
            return Ok(());
        }
        let gap = self.db.gap_of(&log.mailbox, &told.device, told.last)?;
        if gap.is_some_and(|gap| gap.last > told.last || gap.hash == hash) {
            return Ok(());
        }
        self.db.drop_hearsay(&log.mailbox, &told.device)?;
        let (first, last) = (told.first.max(counter + 1), told.last);
        let before = Seq::new(told.seq.get().saturating_add(1));
        let missed = Missed { first, last, hash, after: seq.max(since), before };
        // CNV-17
        self.note_gap(log, (&told.device, &told.account), missed, true)
    }
}
