//! Contents: what members say becomes rows.

use restante_crypto::DeviceList;
use restante_spec::content::{Body, Content, Delete, Edit, Profile, Reaction, Verified};
use restante_spec::ids::{PublicKey, Seq};
use restante_spec::message::Deliver;

use super::commands::{cleaned_nickname, id_of_key};
use super::kinds::Act;
use super::records::place_of;
use super::{Work, outbox};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::store::{ActKind, ConversationRow, InboxRef, LogRow, NewMessage, pack_changes};
use crate::types::{Fate, GroupChange, MessageId, MessageKind};

/// Who says something: an account, by one of its devices.
#[derive(Clone, Copy)]
pub(super) struct Speaker<'a> {
    pub(super) account: &'a PublicKey,
    pub(super) device: &'a PublicKey,
    /// Of what comes as a repair: how far it has spoken. It may name any place before that.
    pub(super) told: Option<Seq>,
}

impl Work<'_> {
    /// Takes what an account has said in a log.
    pub(super) fn take_content(
        &mut self,
        log: &mut LogRow,
        speaker: Speaker<'_>,
        envelope: &Deliver,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let content = match Content::decode(bytes) {
            Ok(content) if content.id == envelope.id => content,
            Ok(_) | Err(_) => return self.keep_unreadable(log, envelope),
        };
        self.compare_logs(log, &content)?;
        self.take_said(log, speaker, envelope, &content, bytes)
    }

    /// Does what a content says, whether it came in its order or was missing here.
    pub(super) fn take_said(
        &mut self,
        log: &LogRow,
        speaker: Speaker<'_>,
        envelope: &Deliver,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let author = speaker.account;
        match &content.body {
            Body::Receipts(receipts) => self.take_receipts(log, author, envelope.seq, receipts),
            Body::Profile(profile) => {
                self.take_profile(log, author, profile)?;
                self.mute_unlisted((&log.mailbox, envelope.seq), author, &profile.devices)
            }
            Body::RepairRequest(request) => self.take_repair_request(log, speaker, request),
            Body::Repair(repair) => self.take_repair(log, author, repair),
            Body::Counts(counts) => self.take_counts(log, speaker.device, envelope.seq, counts),
            Body::Sync(sync) => {
                self.take_sync(log.conversation, speaker, &place_of(log, envelope), sync)
            }
            Body::Leave => self.take_leave(log, author),
            Body::Roster(roster) => self.take_roster(log, roster),
            Body::Verified(said) => self.take_verified(log, speaker, envelope, content, said),
            Body::Room(grant) => self.take_room_grant(log, author, grant),
            Body::Reaction(Reaction { to, emoji }) => {
                let act = Act { kind: ActKind::Reaction, targets: &[*to], text: emoji };
                self.take_act(log, speaker, envelope, act)
            }
            Body::Edit(Edit { of, text }) => {
                let act = Act { kind: ActKind::Edit, targets: &[*of], text };
                self.take_act(log, speaker, envelope, act)
            }
            Body::Delete(Delete { of }) => {
                let act = Act { kind: ActKind::Delete, targets: of, text: "" };
                self.take_act(log, speaker, envelope, act)
            }
            body if body.is_kept() => self.keep_message(log, speaker, envelope, content, bytes),
            // It has done its work, or is of a newer version, or should have been live (CNT-13).
            _ => Ok(()),
        }
    }

    /// Who an account is to be called, and which devices it has.
    pub(super) fn take_profile(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        profile: &Profile,
    ) -> Result<(), Error> {
        let devices = profile.devices.as_slice();
        let nickname = cleaned_nickname(&profile.nick);
        let conversation = self.db.need_conversation(log.conversation)?;
        if author == self.account.id().key() {
            // DEV-13
            self.learn_own_list(devices)?;
        }
        self.learn_devices(&conversation, author, devices)?;
        if let Some(mut contact) = self.db.contact(id_of_key(author))? {
            contact.nickname.clone_from(&nickname);
            self.put_contact(&contact)?;
        }
        if !conversation.is_shared() {
            return Ok(());
        }
        let mut member = self.db.member(conversation.id, author)?;
        member.nickname = nickname;
        if let Some(inbox) = &profile.inbox {
            member.inbox = Some(InboxRef::from(inbox));
        }
        self.db.put_member(conversation.id, &member)?;
        self.tell_conversation(&conversation)
    }

    /// Takes over a newer list of an account's devices, as a contact and as a member (IDN-7).
    pub(super) fn learn_devices(
        &mut self,
        conversation: &ConversationRow,
        account: &PublicKey,
        devices: &[u8],
    ) -> Result<(), Error> {
        if let Some(mut contact) = self.db.contact(id_of_key(account))?
            && follows(account, devices, contact.devices.as_deref())
        {
            self.note_struck(contact.devices.as_deref(), devices)?;
            contact.devices = Some(devices.to_vec());
            self.db.put_contact(&contact)?;
        }
        let mut member = self.db.member(conversation.id, account)?;
        if conversation.is_shared() && follows(account, devices, member.devices.as_deref()) {
            self.note_struck(member.devices.as_deref(), devices)?;
            member.devices = Some(devices.to_vec());
            self.db.put_member(conversation.id, &member)?;
        }
        Ok(())
    }

    fn keep_message(
        &mut self,
        log: &LogRow,
        speaker: Speaker<'_>,
        envelope: &Deliver,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let author = speaker.account;
        let conversation = self.db.need_conversation(log.conversation)?;
        let state = self.state_at(log, envelope.seq)?;
        if !self.may_act(log, speaker, envelope.seq)?.0 {
            // CNV-15
            self.notice(Notice::Junk { conversation: Some(conversation.id) });
            return Ok(());
        }
        let mine = *author == *self.account.id().key();
        let shown = outbox::shown(content);
        let place = place_of(log, envelope);
        let kept = self.db.put_message(&NewMessage {
            id: envelope.id,
            conversation: log.conversation,
            place: Some(place),
            author: (!mine).then(|| id_of_key(author)),
            kind: shown.kind,
            text: &shown.text,
            content: bytes,
            at: shown.at,
            fate: if mine { Fate::Accepted } else { Fate::Received },
            reply_to: shown.reply_to,
            // CNT-18
            timer: state.timer,
        })?;
        let Some(message) = kept else {
            // A copy under the same id is dropped, and its sender told all the same.
            return if mine { Ok(()) } else { self.owe_delivered(&conversation, &envelope.id) };
        };
        if mine {
            self.begin_own_timer(message.kind, conversation.id, &message.id, &place)?;
            let others = self.others(&log.mailbox)?;
            self.db.set_recipients(conversation.id, &envelope.id, &others, self.now)?;
        } else {
            self.owe_delivered(&conversation, &envelope.id)?;
            // It may stand before what was read already.
            self.db.begin_timer_if_read(conversation.id, &message.id, self.now)?;
        }
        let message = match &content.body {
            Body::Attachment(said) => self.keep_attachment(message, said)?,
            _ => message,
        };
        self.events.push(Event::Message(message));
        // What came before it has waited for it.
        self.settle_acts(log.conversation, &MessageId::new(*envelope.id.as_bytes()))
    }

    /// Somebody compared safety numbers.
    fn take_verified(
        &mut self,
        log: &LogRow,
        speaker: Speaker<'_>,
        envelope: &Deliver,
        content: &Content,
        said: &Verified,
    ) -> Result<(), Error> {
        let author = speaker.account;
        if !self.may_act(log, speaker, envelope.seq)?.0 {
            // CNV-15
            self.notice(Notice::Junk { conversation: Some(log.conversation) });
            return Ok(());
        }
        let mine = *author == *self.account.id().key();
        let change = GroupChange::Verified(id_of_key(&said.account), said.verified);
        let event = self.db.put_message(&NewMessage {
            id: envelope.id,
            conversation: log.conversation,
            place: Some(place_of(log, envelope)),
            author: (!mine).then(|| id_of_key(author)),
            kind: MessageKind::Event,
            text: "",
            content: &pack_changes(&[change])?,
            at: content.at.seconds(),
            fate: if mine { Fate::Accepted } else { Fate::Received },
            reply_to: None,
            timer: None,
        })?;
        self.events.extend(event.map(Event::Message));
        Ok(())
    }
}

/// Whether a device list is the account's and may follow the one that is known (IDN-7).
fn follows(author: &PublicKey, devices: &[u8], known: Option<&[u8]>) -> bool {
    let Ok(list) = DeviceList::parse(devices) else { return false };
    // LET-7: a list that was taken and is refused by now is none.
    let known = known.and_then(|known| DeviceList::parse(known).ok());
    // IDN-7
    list.account().key() == author && known.is_none_or(|known| list.may_follow(&known).is_ok())
}
