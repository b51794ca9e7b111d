//! Contents: what members say becomes rows.

use restante_crypto::DeviceList;
use restante_spec::content::{Body, Content, Profile, Receipts};
use restante_spec::ids::PublicKey;
use restante_spec::message::Deliver;

use super::commands::{cleaned_nickname, id_of_key};
use super::records::place_of;
use super::{Work, outbox};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::store::{InboxRef, LogRow, NewMessage};
use crate::types::{Fate, MessageId};

impl Work<'_> {
    /// Takes what an account has said in a log.
    pub(super) fn take_content(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        envelope: &Deliver,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let content = match Content::decode(bytes) {
            Ok(content) if content.id == envelope.id => content,
            Ok(_) | Err(_) => return self.keep_unreadable(log, envelope),
        };
        match &content.body {
            Body::Receipts(receipts) => self.take_receipts(log, author, receipts),
            Body::Profile(profile) => self.take_profile(log, author, profile),
            Body::RepairRequest(request) => self.take_repair_request(log, author, request),
            Body::Repair(repair) => self.take_repair(log, author, repair),
            Body::Leave => self.take_leave(log, author),
            body if body.is_kept() => self.keep_message(log, author, envelope, &content, bytes),
            // It has done its work, or is of a newer version.
            _ => Ok(()),
        }
    }

    fn take_receipts(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        receipts: &Receipts,
    ) -> Result<(), Error> {
        // In a group one member's word is not everybody's.
        if id_of_key(author) != log.conversation.contact() {
            return Ok(());
        }
        for id in &receipts.delivered {
            let message = MessageId::new(*id.as_bytes());
            if self.db.deliver_message(log.conversation, &message)? {
                self.tell_fate(log.conversation, id)?;
            }
            // What was delivered need not be sent again, whatever the relay answered.
            self.db.take_outbox_of(log.conversation, id)?;
        }
        Ok(())
    }

    /// Who an account is to be called, and which devices it has.
    fn take_profile(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        profile: &Profile,
    ) -> Result<(), Error> {
        let devices = profile.devices.as_slice();
        let nickname = cleaned_nickname(&profile.nick);
        if let Some(mut contact) = self.db.contact(id_of_key(author))? {
            contact.nickname.clone_from(&nickname);
            if follows(author, devices, contact.devices.as_deref())? {
                contact.devices = Some(devices.to_vec());
            }
            self.put_contact(&contact)?;
        }
        let conversation = self.db.need_conversation(log.conversation)?;
        if !conversation.is_group() {
            return Ok(());
        }
        let mut member = self.db.member(conversation.id, author)?;
        member.nickname = nickname;
        if follows(author, devices, member.devices.as_deref())? {
            member.devices = Some(devices.to_vec());
        }
        if let Some(inbox) = &profile.inbox {
            let (relay, mailbox) = (inbox.relay.to_string(), inbox.inbox);
            member.inbox = Some(InboxRef { relay, mailbox, key: inbox.key.clone() });
        }
        self.db.put_member(conversation.id, &member)?;
        self.tell_conversation(&conversation)
    }

    fn keep_message(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        envelope: &Deliver,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let conversation = self.db.need_conversation(log.conversation)?;
        if conversation.is_group()
            && !conversation.state.policy.writers.includes(conversation.state.role(author))
        {
            // CNV-15
            self.notice(Notice::Junk { conversation: Some(conversation.id) });
            return Ok(());
        }
        let mine = *author == *self.account.id().key();
        let shown = outbox::shown(content);
        let kept = self.db.put_message(&NewMessage {
            id: envelope.id,
            conversation: log.conversation,
            place: Some(place_of(log, envelope)),
            author: (!mine).then(|| id_of_key(author)),
            kind: shown.kind,
            text: &shown.text,
            content: bytes,
            at: shown.at,
            fate: if mine { Fate::Accepted } else { Fate::Received },
        })?;
        if !mine && !conversation.is_group() {
            // A copy under the same id is dropped, and its sender told all the same.
            self.owe_receipt(log.conversation, &envelope.id)?;
        }
        if let Some(message) = kept {
            self.events.push(Event::Message(message));
        }
        Ok(())
    }
}

/// Whether a device list is the account's and may follow the one that is known (IDN-7).
fn follows(author: &PublicKey, devices: &[u8], known: Option<&[u8]>) -> Result<bool, Error> {
    let Ok(list) = DeviceList::parse(devices) else { return Ok(false) };
    // IDN-7
    Ok(list.account().key() == author
        && match known {
            Some(known) => list.may_follow(&DeviceList::parse(known)?).is_ok(),
            None => true,
        })
}
