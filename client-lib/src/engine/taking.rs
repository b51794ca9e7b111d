//! What others give of what is missing here is judged, and takes its place (CNV-17).

use std::cmp::Reverse;

use restante_crypto::content_hash;
use restante_spec::content::{
    Body, Content, GroupKind, LogPosition, Repair, RepairEntry, RepairRange,
};
use restante_spec::ids::{Handle, MailboxId, PublicKey, Seq, UnixTime};
use restante_spec::limits::{REPAIR_ENTRIES, TTL_MAX};
use restante_spec::message::{Deliver, EnvelopeClass};

use super::Work;
use super::authors::previous_of;
use super::commands::id_of_key;
use super::contents::Speaker;
use super::giving::ENTRY_BYTES;
use super::membership::{account, member_of};
use super::records::place_of;
use crate::error::Error;
use crate::events::Event;
use crate::limits::{HANDED_ON_ACTS, REPAIR_BYTES, REPAIR_DELAY, REPAIR_SPREAD, REPAIR_WAITS};
use crate::store::{GapRow, LogRow, Place};
use crate::types::{ConversationId, Message, MessageId, Position};

/// A content somebody has given.
struct Given {
    device: PublicKey,
    seq: Seq,
    content: Content,
    bytes: Vec<u8>,
    /// Whose it is, said by an own device.
    account: Option<PublicKey>,
}

/// How far a content that somebody has given can be believed (CNV-17).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Its author has said it.
    Confirmed,
    /// It has the hash that others told of.
    Fits,
    /// It may stand before one whose hash is known.
    Between,
    Nothing,
}

impl Work<'_> {
    /// Somebody gives what was missed here, or by another.
    pub(super) fn take_repair(
        &mut self,
        log: &LogRow,
        giver: &PublicKey,
        repair: &Repair,
    ) -> Result<(), Error> {
        let Some(of) = self.repaired_log(log, &repair.conversation)? else { return Ok(()) };
        let mut given: Vec<Given> = Vec::new();
        for entry in repair.entries.iter().filter(|entry| entry.generation == of.generation) {
            let Ok(content) = Content::decode(&entry.content) else { continue };
            let (device, seq, bytes) = (entry.device, entry.seq, entry.content.clone());
            given.push(Given { device, seq, content, bytes, account: entry.account });
        }
        // From the newest down each names the hash of the one before it.
        given.sort_by_key(|given| (given.device, Reverse(given.content.counter)));
        let mut taken = Vec::new();
        for content in &given {
            let gaps = self.db.gaps_of(&of.mailbox, &content.device, content.content.counter)?;
            let is_told = gaps.iter().any(|gap| gap.teller.is_none());
            for gap in gaps {
                if self.take_given(&of, giver, &gap, content)? {
                    taken.push((gap.account, content));
                    break;
                }
            }
            if !is_told && log.mailbox != of.mailbox {
                self.take_handed_on(log, &of, content)?;
            }
        }
        self.share_repaired(&of, &taken)?;
        if giver != self.account.id().key() {
            self.hand_on(&of, &taken)?;
        }
        for range in repair.missing.iter().filter(|range| range.generation == of.generation) {
            self.take_missing(&of, giver, range)?;
        }
        let given: Vec<(PublicKey, u64)> =
            given.iter().map(|given| (given.device, given.content.counter)).collect();
        self.owe_less(log, &of, &given)
    }

    /// The log a repair in this one is about: of the same conversation, or any in that of the own
    /// devices.
    pub(super) fn repaired_log(
        &self,
        here: &LogRow,
        mailbox: &MailboxId,
    ) -> Result<Option<LogRow>, Error> {
        let own = self.db.need_conversation(here.conversation)?.state.kind == GroupKind::Own;
        if *mailbox == here.mailbox {
            // It knows how far it was read.
            return Ok(Some(here.clone()));
        }
        let of = self.db.log(mailbox)?;
        Ok(of.filter(|of| own || of.conversation == here.conversation))
    }

    /// Takes what fits into a gap; says whether it is confirmed.
    fn take_given(
        &mut self,
        of: &LogRow,
        giver: &PublicKey,
        gap: &GapRow,
        given: &Given,
    ) -> Result<bool, Error> {
        let seen = given.content.seen;
        let is_early = seen.generation == of.generation && given.seq <= seen.seq;
        if given.seq >= gap.before || is_early || !given.content.body.is_kept() {
            return Ok(false);
        }
        if gap.teller.is_some() && self.is_of_another(of, gap)? {
            self.tell_gaps(of.conversation);
            self.db.drop_gap(gap.id)?;
            return Ok(false);
        }
        let weight = self.weigh(giver, gap, given);
        let told = self.told_at(of, giver, gap)?;
        let speaker = Speaker { account: &gap.account, device: &gap.device, told };
        if given.seq <= gap.after {
            self.take_from_behind(of, giver, gap, given, weight)?;
            return Ok(false);
        }
        match weight {
            Weight::Confirmed => self.take_confirmed(of, speaker, gap, given),
            Weight::Fits | Weight::Between => {
                self.take_unconfirmed(of, speaker, gap, given, weight)?;
                Ok(false)
            }
            Weight::Nothing => Ok(false),
        }
    }

    /// Whether a device that others told of was heard of since, as another account's.
    fn is_of_another(&mut self, of: &LogRow, gap: &GapRow) -> Result<bool, Error> {
        let members = self.members_if_in(&of.mailbox)?;
        let named = self.account_of(of, &members, &gap.device)?;
        Ok(named.is_some_and(|named| named != gap.account))
    }

    fn weigh(&self, giver: &PublicKey, gap: &GapRow, given: &Given) -> Weight {
        let is_last = given.content.counter == gap.last;
        let fits = is_last && *content_hash(&given.bytes).as_bytes() == gap.hash;
        let is_authors = *giver == gap.account;
        // Said in the own conversation alone.
        let is_own = giver == self.account.id().key() && given.account == Some(gap.account);
        // CNV-17
        let is_confirmed = match gap.teller {
            Some(_) => is_authors || (is_own && (fits || !is_last)),
            None => fits || (!is_last && is_authors),
        };
        match (is_confirmed, fits) {
            (true, _) => Weight::Confirmed,
            (false, true) => Weight::Fits,
            (false, false) if gap.teller.is_none() && !is_last => Weight::Between,
            (false, false) => Weight::Nothing,
        }
    }

    /// What stands where an archive reaches is no gap.
    fn take_from_behind(
        &mut self,
        of: &LogRow,
        giver: &PublicKey,
        gap: &GapRow,
        given: &Given,
        weight: Weight,
    ) -> Result<(), Error> {
        let archived = self.db.archived_up_to(of.conversation, of.generation)?;
        if weight != Weight::Confirmed || given.seq > archived {
            return Ok(());
        }
        let id = MessageId::new(*given.content.id.as_bytes());
        if *giver == gap.account || self.db.bare_message(of.conversation, &id)?.is_some() {
            self.begin_behind(gap, given.content.counter)?;
        }
        Ok(())
    }

    /// How far the device of a gap has spoken, unless an own device gives what is missing, which
    /// has judged it.
    fn told_at(&self, of: &LogRow, giver: &PublicKey, gap: &GapRow) -> Result<Option<Seq>, Error> {
        if giver == self.account.id().key() {
            return Ok(None);
        }
        let known = self.db.author(&of.mailbox, &gap.device)?;
        Ok(Some(known.map_or(gap.before, |known| known.seq.max(gap.before))))
    }

    fn take_confirmed(
        &mut self,
        of: &LogRow,
        speaker: Speaker<'_>,
        gap: &GapRow,
        given: &Given,
    ) -> Result<bool, Error> {
        let (own, envelope) = (*self.account.id().key(), envelope_of(given));
        let author = (gap.account != own).then(|| id_of_key(&gap.account));
        let id = MessageId::new(*given.content.id.as_bytes());
        self.db.drop_unconfirmed(of.conversation, &id, author.as_ref())?;
        self.keep(of, &given.device, given.seq, &given.content, &given.bytes)?;
        self.narrow(gap.clone(), given, true)?;
        if given.device == self.account.device.public() {
            // The relay's answer is lost: it keeps nothing for longer.
            let expires_at = self.now.after(TTL_MAX);
            let place = Place { expires_at, ..place_of(of, &envelope) };
            self.place_own(of.conversation, &given.content.id, &place)?;
            return Ok(false);
        }
        self.take_said(of, speaker, &envelope, &given.content, &given.bytes)?;
        Ok(true)
    }

    /// It can be shown, but changes nothing.
    fn take_unconfirmed(
        &mut self,
        of: &LogRow,
        speaker: Speaker<'_>,
        gap: &GapRow,
        given: &Given,
        weight: Weight,
    ) -> Result<(), Error> {
        if matches!(given.content.body, Body::Text(_)) {
            let (id, told) = (MessageId::new(*given.content.id.as_bytes()), self.events.len());
            self.take_said(of, speaker, &envelope_of(given), &given.content, &given.bytes)?;
            self.mark_unconfirmed(of, &id, told)?;
        }
        if gap.teller.is_some()
            && weight == Weight::Fits
            && self.is_settled(of, gap, &given.content)?
        {
            self.narrow(gap.clone(), given, false)?;
        }
        Ok(())
    }

    /// What another account gave here may be missed by own devices without their knowing: they came
    /// into the log behind it.
    fn hand_on(&mut self, of: &LogRow, taken: &[(PublicKey, &Given)]) -> Result<(), Error> {
        let Some(own) = self.own_devices()?.filter(|_| !taken.is_empty()) else { return Ok(()) };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in self.entries_with_acts(of, taken)? {
            let size = entry.content.len() + ENTRY_BYTES;
            let is_full = bytes + size > REPAIR_BYTES || entries.len() == REPAIR_ENTRIES;
            if is_full && !entries.is_empty() {
                self.queue_handed_on(own, of, std::mem::take(&mut entries))?;
                bytes = 0;
            }
            bytes += size;
            entries.push(entry);
        }
        self.queue_handed_on(own, of, entries)
    }

    /// What was taken, and what was done with it that had waited for it.
    fn entries_with_acts(
        &mut self,
        of: &LogRow,
        taken: &[(PublicKey, &Given)],
    ) -> Result<Vec<RepairEntry>, Error> {
        let entry = |device, seq, content, account| {
            let generation = of.generation;
            RepairEntry { device, generation, seq, content, account: Some(account) }
        };
        let (mut entries, members) = (Vec::new(), self.members_if_in(&of.mailbox)?);
        for (author, given) in taken {
            entries.push(entry(given.device, given.seq, given.bytes.clone(), *author));
            for act in self.db.kept_about(of.conversation, &given.content.id, HANDED_ON_ACTS)? {
                if let Some(account) = member_of(&members, &act.device).and_then(account) {
                    entries.push(entry(act.device, act.seq, act.content, account));
                }
            }
        }
        Ok(entries)
    }

    /// Who is given history of this conversation may not be in its group yet, and can take nothing
    /// there: it is given this with the rest.
    fn share_repaired(&self, of: &LogRow, taken: &[(PublicKey, &Given)]) -> Result<(), Error> {
        let places = taken.iter().map(|(_, given)| self.shown_at(of, given));
        let places: Vec<LogPosition> = places.collect::<Result<_, _>>()?;
        let Some(behind) = places.into_iter().min() else { return Ok(()) };
        for (device, is_given) in self.db.shared_with(of.conversation)? {
            if !is_given {
                // DEV-22
                self.db.put_share(&device, of.conversation, behind, self.now)?;
            }
        }
        Ok(())
    }

    /// Where a content shows: with the message it is of, or at its own place.
    fn shown_at(&self, of: &LogRow, given: &Given) -> Result<LogPosition, Error> {
        let about = match &given.content.body {
            Body::Edit(edit) => Some(edit.of),
            Body::Reaction(reaction) => Some(reaction.to),
            _ => None,
        };
        let about = about.map(|id| MessageId::new(*id.as_bytes()));
        let about = about.map(|id| self.db.bare_message(of.conversation, &id)).transpose()?;
        Ok(match about.flatten() {
            Some(Message { position: Position { generation, seq, .. }, .. }) => {
                LogPosition { generation, seq: Seq::new(seq) }
            }
            None => LogPosition { generation: of.generation, seq: given.seq },
        })
    }

    fn queue_handed_on(
        &mut self,
        own: ConversationId,
        of: &LogRow,
        entries: Vec<RepairEntry>,
    ) -> Result<(), Error> {
        let repair = Repair { conversation: of.mailbox, entries, missing: Vec::new() };
        // DEV-22
        self.queue_body(own, &Body::Repair(repair))?;
        Ok(())
    }

    /// Takes what an own device has handed on, if it is not here: its word is enough.
    fn take_handed_on(&mut self, own: &LogRow, of: &LogRow, given: &Given) -> Result<(), Error> {
        let Some(account) = given.account.filter(|_| given.content.body.is_kept()) else {
            return Ok(());
        };
        let id = MessageId::new(*given.content.id.as_bytes());
        let counter = given.content.counter;
        let kept = self.db.kept(&of.mailbox, &given.device, (counter, counter), 1)?;
        let is_here = !kept.is_empty() || self.db.bare_message(of.conversation, &id)?.is_some();
        // Without a group an archive comes with what stands before the way in (DEV-23).
        let is_in = self.has_group(&of.mailbox)?;
        if own.conversation != self.own_conversation_id() || is_here || !is_in {
            return Ok(());
        }
        let speaker = Speaker { account: &account, device: &given.device, told: None };
        self.keep(of, &given.device, given.seq, &given.content, &given.bytes)?;
        self.take_said(of, speaker, &envelope_of(given), &given.content, &given.bytes)
    }

    /// What a device said up to here came with an archive (REV-7).
    fn begin_behind(&mut self, gap: &GapRow, counter: u64) -> Result<(), Error> {
        self.db.drop_gap(gap.id)?;
        if counter < gap.last {
            self.db.put_gap(&GapRow { id: 0, first: counter + 1, ..gap.clone() })?;
        }
        self.tell_gaps(gap.conversation);
        Ok(())
    }

    fn mark_unconfirmed(&mut self, of: &LogRow, id: &MessageId, told: usize) -> Result<(), Error> {
        for event in self.events.iter_mut().skip(told) {
            if let Event::Message(message) = event
                && message.id == *id
            {
                message.is_unconfirmed = true;
                self.db.set_unconfirmed(of.conversation, id)?;
            }
        }
        Ok(())
    }

    /// One of a gap is here: what stands before and behind it is still missing.
    fn narrow(&mut self, gap: GapRow, given: &Given, is_confirmed: bool) -> Result<(), Error> {
        if gap.teller.is_some() && is_confirmed {
            self.count_heard(&gap, given.seq, &given.content, &given.bytes)?;
        }
        let (counter, seq) = (given.content.counter, given.seq);
        self.db.drop_gap(gap.id)?;
        let wait = REPAIR_WAITS.first().copied().unwrap_or(REPAIR_DELAY);
        let due = self.later(wait, REPAIR_SPREAD)?;
        let left = GapRow { id: 0, asks: 1, due, lost: false, ..gap };
        if gap.first < counter
            && let Some(hash) = previous_of(&given.content)
        {
            let (last, teller) = (counter - 1, left.teller.filter(|_| !is_confirmed));
            self.put_new_gap(&GapRow { last, hash, before: seq, teller, ..left.clone() })?;
        }
        if counter < gap.last {
            self.put_new_gap(&GapRow { first: counter + 1, after: seq, ..left })?;
        }
        self.tell_gaps(gap.conversation);
        Ok(())
    }

    /// The author does not have them any more: others may, but it need not be waited for.
    fn take_missing(
        &mut self,
        of: &LogRow,
        giver: &PublicKey,
        range: &RepairRange,
    ) -> Result<(), Error> {
        for gap in self.db.gaps(of.conversation)? {
            let about = gap.mailbox == of.mailbox && gap.device == range.device && !gap.lost;
            let whole = range.from <= gap.first && range.to >= gap.last;
            if about && whole && *giver == gap.account {
                self.db.put_gap(&GapRow { lost: true, ..gap })?;
                self.tell_gaps(of.conversation);
            }
        }
        Ok(())
    }
}

/// The envelope a content came in the first time, as far as it matters.
const fn envelope_of(given: &Given) -> Deliver {
    Deliver {
        handle: Handle::new(0),
        seq: given.seq,
        prev: Seq::START,
        epoch: None,
        id: given.content.id,
        class: EnvelopeClass::Normal,
        expires_at: UnixTime::new(0),
        commit: false,
        own: false,
    }
}
