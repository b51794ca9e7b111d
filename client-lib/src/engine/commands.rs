//! What an app asks: wishes that change something, and questions. Each is one transaction.

use restante_crypto::{AccountId, SafetyNumber, random_bytes};
use restante_spec::content::{Body, GroupKind, InboxGrant, Profile, Text, Verified};
use restante_spec::ids::{EnvelopeId, PublicKey};
use restante_spec::limits::{NICK_BYTES, TEXT_BYTES};
use restante_spec::text::{is_misleading, misleads};

use super::{Engine, Work, outbox};
use crate::error::Error;
use crate::events::Event;
use crate::limits::CONTACTS;
use crate::store::{ContactRow, ConversationRow, Meta, NewMessage, pack_changes};
use crate::types::{
    Contact, ContactId, ContactState, ConversationId, GroupChange, InviteLink, InviteOptions,
    Message, MessageId, MessageKind, Position, Standing,
};

impl Engine {
    pub(crate) fn invite(&mut self, options: InviteOptions) -> Result<InviteLink, Error> {
        self.transact(|work| work.invite(options))
    }

    pub(crate) fn accept_invite(
        &mut self,
        link: &str,
        text: Option<&str>,
    ) -> Result<Contact, Error> {
        let text = text.map(checked_text).transpose()?;
        self.transact(|work| {
            let contact = work.accept_invite(link, text)?;
            work.db.show(&contact)
        })
    }

    pub(crate) fn accept_contact(&mut self, id: ContactId) -> Result<Contact, Error> {
        self.change(id, |work, contact| work.accept_contact(contact))
    }

    pub(crate) fn decline_contact(&mut self, id: ContactId) -> Result<Contact, Error> {
        self.change(id, |work, contact| work.decline_contact(contact))
    }

    pub(crate) fn block(&mut self, id: ContactId) -> Result<Contact, Error> {
        self.change(id, |work, contact| work.block(contact))
    }

    pub(crate) fn set_nickname(&mut self, nickname: &str) -> Result<(), Error> {
        let nickname = checked_nickname(nickname)?;
        self.transact(|work| {
            work.check_may_act()?;
            work.db.set_meta(Meta::Nickname, nickname.as_bytes())?;
            work.queue_profile()
        })
    }

    pub(crate) fn set_verified(&mut self, id: ContactId, verified: bool) -> Result<(), Error> {
        self.transact(|work| {
            let mut contact = work.db.need_contact(id)?;
            let account = account_of(&contact)?;
            if contact.verified == verified {
                return Ok(());
            }
            contact.verified = verified;
            work.put_contact(&contact)?;
            work.tell_verified(&contact, *account.key())
        })
    }

    pub(crate) fn contacts(&self) -> Result<Vec<Contact>, Error> {
        let db = self.store.read();
        db.contacts()?.iter().map(|contact| db.show(contact)).collect()
    }

    pub(crate) fn contact(&self, id: ContactId) -> Result<Contact, Error> {
        let db = self.store.read();
        db.show(&db.need_contact(id)?)
    }

    pub(crate) fn message(&self, id: MessageId) -> Result<Message, Error> {
        self.store.read().message(&id)?.ok_or(Error::NoSuchMessage)
    }

    pub(crate) fn history(
        &self,
        conversation: ConversationId,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let db = self.store.read();
        db.need_conversation(conversation)?;
        db.history(conversation, before, limit)
    }

    pub(crate) fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>, Error> {
        self.store.read().search(words, limit)
    }

    pub(crate) fn unread(&self) -> Result<u32, Error> {
        self.store.read().unread()
    }

    pub(crate) fn nickname(&self) -> Result<String, Error> {
        self.store.read().need_text(Meta::Nickname)
    }

    pub(crate) fn own_id(&self) -> Result<ContactId, Error> {
        Ok(id_of(self.account.id()))
    }

    pub(crate) fn safety_number(&self, id: ContactId) -> Result<SafetyNumber, Error> {
        let contact = self.store.read().need_contact(id)?;
        Ok(SafetyNumber::of(self.account.id(), account_of(&contact)?))
    }

    fn change(
        &mut self,
        id: ContactId,
        change: impl FnOnce(&mut Work<'_>, ContactRow) -> Result<ContactRow, Error>,
    ) -> Result<Contact, Error> {
        self.transact(|work| {
            let contact = work.db.need_contact(id)?;
            let contact = change(work, contact)?;
            work.put_contact(&contact)?;
            work.db.show(&contact)
        })
    }
}

impl Work<'_> {
    pub(super) fn queue_text(&mut self, to: ConversationId, text: Text) -> Result<Message, Error> {
        self.check_may_act()?;
        self.check_can_queue(to, true)?;
        let reply_to = text.reply_to;
        let words = text.text.clone();
        let id = self.queue_body(to, &Body::Text(text))?;
        let message = self.db.put_message(&NewMessage {
            text: &words,
            reply_to,
            ..NewMessage::queued(id, to, MessageKind::Text, self.now)
        })?;
        message.ok_or(Error::NoSuchMessage)
    }

    /// Whether this account may write here.
    pub(super) fn check_writable(&self, to: ConversationId) -> Result<(), Error> {
        let conversation = self.db.need_conversation(to)?;
        // REV-6
        if conversation.standing == Standing::Restored {
            return Err(Error::WrongStanding { standing: Standing::Restored });
        }
        match conversation.state.kind {
            GroupKind::Direct => match self.db.need_contact(to.contact())?.state {
                ContactState::Invited | ContactState::Requested | ContactState::Active => Ok(()),
                state @ (ContactState::Incoming
                | ContactState::Ended
                | ContactState::Declined
                | ContactState::Blocked) => Err(Error::WrongState { state }),
            },
            GroupKind::Group(_) | GroupKind::Own => {
                let standing = conversation.standing;
                if standing != Standing::Open {
                    return Err(Error::WrongStanding { standing });
                }
                let role = conversation.state.role(self.account.id().key());
                // CNV-15
                if conversation.is_group() && !conversation.state.policy.writers.includes(role) {
                    return Err(Error::NotAllowed);
                }
                if conversation.is_room {
                    return self.check_room_writable(&conversation);
                }
                Ok(())
            }
        }
    }

    /// Puts something into the outbox of a conversation.
    pub(super) fn queue_body(
        &mut self,
        to: ConversationId,
        body: &Body,
    ) -> Result<EnvelopeId, Error> {
        self.introduce_in_room(to, body.kind())?;
        let id = EnvelopeId::new(random_bytes()?);
        let bytes = body.encode().map_err(outbox::unwritable)?;
        self.db.put_outbox(to, &id, body.kind(), &bytes, self.now)?;
        Ok(id)
    }

    /// Tells a contact that safety numbers were compared, or that this is taken back.
    fn tell_verified(&mut self, contact: &ContactRow, account: PublicKey) -> Result<(), Error> {
        let (to, verified) = (contact.id.into(), contact.verified);
        if contact.state != ContactState::Active || self.check_can_queue(to, true).is_err() {
            return Ok(());
        }
        let id = self.queue_body(to, &Body::Verified(Verified { account, verified }))?;
        let event = self.db.put_message(&NewMessage {
            content: &pack_changes(&[GroupChange::Verified(contact.id, verified)])?,
            ..NewMessage::queued(id, to, MessageKind::Event, self.now)
        })?;
        self.events.extend(event.map(Event::Message));
        Ok(())
    }

    /// Tells everybody who can hear it what this account is called now.
    pub(super) fn queue_profile(&mut self) -> Result<(), Error> {
        for contact in self.db.contacts()? {
            if contact.state == ContactState::Active {
                self.queue_profile_to(contact.id.into())?;
            }
        }
        for conversation in self.db.conversations()? {
            let told = conversation.is_group() || self.is_introduced(&conversation)?;
            if told && conversation.standing == Standing::Open {
                self.queue_profile_to(conversation.id)?;
            }
        }
        Ok(())
    }

    /// Tells a conversation what this account is called and which devices it has.
    pub(super) fn queue_profile_to(&mut self, id: ConversationId) -> Result<(), Error> {
        let nick = self.db.need_text(Meta::Nickname)?;
        let devices = self.db.need_meta(Meta::DeviceList)?.to_vec();
        let inbox = self.members_grant(&self.db.need_conversation(id)?);
        self.queue_body(id, &Body::Profile(Profile { nick, devices, inbox }))?;
        Ok(())
    }

    /// How the members of a group write to this account: a contact has a key of its own.
    pub(super) fn members_grant(&self, row: &ConversationRow) -> Option<InboxGrant> {
        let (relay, inbox) = (self.account.relay.clone(), self.account.inbox);
        row.own_key.clone().map(|key| InboxGrant { relay, inbox, key })
    }

    /// Refuses one contact too many.
    pub(super) fn check_contact_count(&self) -> Result<(), Error> {
        if self.db.contact_count()? >= CONTACTS {
            return Err(Error::TooMany { what: "contacts", max: CONTACTS as usize });
        }
        Ok(())
    }
}

/// How the contact with this account is named here.
pub(super) fn id_of_key(account: &PublicKey) -> ContactId {
    id_of(AccountId::new(*account))
}

/// How a contact is named here.
pub(super) fn id_of(account: AccountId) -> ContactId {
    ContactId::new(*account.fingerprint().as_bytes())
}

/// The contact's account, once it is known.
pub(super) fn account_of(contact: &ContactRow) -> Result<AccountId, Error> {
    contact.account.map(AccountId::new).ok_or(Error::WrongState { state: contact.state })
}

/// A nickname is there, not too long, and shown as what it is (CNT-5).
pub(super) fn checked_nickname(nickname: &str) -> Result<&str, Error> {
    checked_name("nickname", nickname, NICK_BYTES)
        .map_err(|_| Error::BadNickname { max: NICK_BYTES })
}

/// The same for any name.
pub(super) fn checked_name<'a>(
    what: &'static str,
    name: &'a str,
    max: usize,
) -> Result<&'a str, Error> {
    let (name, bytes) = (name.trim(), name.trim().len());
    if name.is_empty() {
        return Err(Error::EmptyText);
    }
    if bytes > max {
        return Err(Error::TooLong { what, bytes, max });
    }
    if misleads(name) { Err(Error::Misleading { what }) } else { Ok(name) }
}

/// A nickname somebody else chose, fit to be shown.
pub(super) fn cleaned_nickname(nickname: &str) -> String {
    cleaned_name(nickname, NICK_BYTES)
}

/// The same for a name of at most so many bytes.
pub(super) fn cleaned_name(name: &str, max: usize) -> String {
    let line: String = name.chars().filter(|c| !is_misleading(*c)).collect();
    let mut end = line.len().min(max);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default().trim().to_owned()
}

pub(super) fn checked_text(text: &str) -> Result<&str, Error> {
    if text.trim().is_empty() {
        return Err(Error::EmptyText);
    }
    if text.len() > TEXT_BYTES {
        return Err(Error::TextTooLong { bytes: text.len(), max: TEXT_BYTES });
    }
    Ok(text)
}
