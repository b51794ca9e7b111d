//! First contact, this side's acts: inviting, taking an invite, writing the first letter, agreeing.

use restante_crypto::{
    Card, CardGroup, Invite, KemSecret, Letter, LetterPlace, Recipient, SigningKey, Suite,
    random_bytes,
};
use restante_spec::codes::Code;
use restante_spec::content::{
    FirstLetter, FirstMessage, GroupKind, GroupState, InboxGrant, LetterContent, Text,
};
use restante_spec::ids::{EnvelopeId, MailboxId};
use restante_spec::limits::GROUP_NAME_BYTES;
use zeroize::Zeroizing;

use super::Work;
use super::commands::{account_of, cleaned_name, id_of};
use crate::error::Error;
use crate::limits::INVITES;
use crate::store::{
    ContactRow, ConversationRow, InboxRef, InviteRow, Job, JobId, JobKind, LogState, Meta, NewJob,
    NewMessage, Wish,
};
use crate::types::{
    ContactId, ContactState, ConversationId, InviteLink, InviteOptions, Joins, MessageKind,
    Standing,
};

impl Work<'_> {
    /// A job of the own inbox.
    pub(super) fn own_job(&self, kind: JobKind) -> NewJob {
        NewJob::new(self.account.relay.to_string(), self.account.inbox, kind)
    }

    pub(super) fn invite(&mut self, options: InviteOptions) -> Result<InviteLink, Error> {
        self.check_may_act()?;
        let open = self.db.invites()?.into_iter().filter(|invite| invite.expires_at > self.now);
        if open.count() >= INVITES {
            return Err(Error::TooMany { what: "open invites", max: INVITES });
        }
        if let Some(group) = options.group {
            self.check_may_add(group)?;
        }
        let account = self.account;
        let invite = Invite::generate(account.relay.clone(), account.inbox, account.id())?;
        let row = InviteRow {
            key: invite.write_key()?.public(),
            invite: Zeroizing::new(invite.link().as_bytes().to_vec()),
            secret: Zeroizing::new(KemSecret::generate()?.seed().to_vec()),
            uses: options.uses.max(1),
            expires_at: self.now.after(options.expires_in),
            created_at: self.now,
            group: options.group,
            accepts: options.accepts,
        };
        self.db.put_invite(&row)?;
        self.allow_invite(&row)?;
        Ok(InviteLink::from_text(invite.link().to_string()))
    }

    /// Notes that the relay must let the invite's key in, and what it keeps with it.
    pub(super) fn allow_invite(&mut self, row: &InviteRow) -> Result<(), Error> {
        let invite = row.parse()?;
        let account = self.account;
        let group = row.group.map(|group| self.db.conversation(group)).transpose()?.flatten();
        let card = Card {
            certificate: account.certificate()?.clone(),
            letter_key: row.kem()?.public(),
            nick: self.db.need_text(Meta::Nickname)?,
            group: group.map(|it| CardGroup { id: *it.id.as_bytes(), name: it.state.name }),
        };
        let card = invite.seal_card(&account.device, &card)?;
        let job = NewJob {
            key: Some(invite.write_key()?.seed()),
            body: Some(card),
            uses: row.uses,
            expires_at: row.expires_at,
            ..self.own_job(JobKind::AllowInvite)
        };
        self.db.put_job(&job)?;
        Ok(())
    }

    /// Takes somebody's invite: notes the contact and the first letter.
    pub(super) fn accept_invite(
        &mut self,
        link: &str,
        text: Option<&str>,
    ) -> Result<ContactRow, Error> {
        self.check_may_act()?;
        let invite = Invite::parse(link.trim()).map_err(|_| Error::BadInvite)?;
        let id = ContactId::new(*invite.account().as_bytes());
        if id == id_of(self.account.id()) {
            return Err(Error::OwnInvite);
        }
        let mut contact = match self.db.contact(id)? {
            Some(known) if known.state == ContactState::Active => {
                return self.take_contacts_link(known, &invite, text);
            }
            Some(known) => self.known_inviter(known)?,
            None => {
                self.check_contact_count()?;
                self.new_contact(id, ContactState::Invited)?
            }
        };
        if contact.state == ContactState::Incoming {
            // They wrote first: taking their invite is agreeing.
            let contact = self.accept_contact(contact)?;
            self.put_contact(&contact)?;
            if let Some(text) = text {
                let text = Text { text: text.to_owned(), reply_to: None };
                self.queue_text(id.into(), text)?;
            }
            return Ok(contact);
        }
        contact.state = ContactState::Invited;
        contact.invite = Some(invite.link().to_string());
        let write_key = invite.write_key()?;
        let relay = invite.relay().to_string();
        contact.inbox = Some(InboxRef {
            relay: relay.clone(),
            mailbox: *invite.inbox(),
            key: write_key.seed(),
        });
        let own_key = SigningKey::generate()?.seed();
        let allowed = self.allow_contact_key(id, own_key.clone())?;
        contact.own_key = Some(own_key);
        self.put_contact(&contact)?;
        let first_message = text.map(|text| self.put_first_message(id, text)).transpose()?;
        self.db.put_job(&NewJob {
            contact: Some(id),
            key: Some(write_key.seed()),
            envelope: Some(EnvelopeId::new(random_bytes()?)),
            first_message,
            after: Some(allowed),
            ..NewJob::new(relay, *invite.inbox(), JobKind::FirstLetter)
        })?;
        Ok(contact)
    }

    /// Of a contact an invite can only be a link to a group: the first letter asks for that, and
    /// nothing else changes between the two (INV-6).
    fn take_contacts_link(
        &mut self,
        mut contact: ContactRow,
        invite: &Invite,
        text: Option<&str>,
    ) -> Result<ContactRow, Error> {
        if contact.own_key.is_none() || contact.invite.is_some() {
            return Err(Error::WrongState { state: contact.state });
        }
        contact.invite = Some(invite.link().to_string());
        self.put_contact(&contact)?;
        self.db.put_job(&NewJob {
            contact: Some(contact.id),
            key: Some(invite.write_key()?.seed()),
            envelope: Some(EnvelopeId::new(random_bytes()?)),
            ..NewJob::new(invite.relay().to_string(), *invite.inbox(), JobKind::FirstLetter)
        })?;
        if let Some(text) = text {
            let text = Text { text: text.to_owned(), reply_to: None };
            self.queue_text(contact.id.into(), text)?;
        }
        Ok(contact)
    }

    /// Whether an invite of somebody known can be taken: not while there is a way to them.
    fn known_inviter(&mut self, mut known: ContactRow) -> Result<ContactRow, Error> {
        match known.state {
            ContactState::Declined | ContactState::Blocked | ContactState::Incoming => Ok(known),
            ContactState::Ended => {
                self.revoke_contact_key(&mut known)?;
                Ok(known)
            }
            state @ (ContactState::Invited | ContactState::Requested | ContactState::Active) => {
                Err(Error::WrongState { state })
            }
        }
    }

    fn put_first_message(&mut self, contact: ContactId, text: &str) -> Result<EnvelopeId, Error> {
        let id = EnvelopeId::new(random_bytes()?);
        self.db.put_message(&NewMessage {
            text,
            ..NewMessage::queued(id, contact.into(), MessageKind::Text, self.now)
        })?;
        Ok(id)
    }

    /// Notes that the relay must let a contact's key in.
    pub(super) fn allow_contact_key(
        &mut self,
        contact: ContactId,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<JobId, Error> {
        let job = NewJob {
            contact: Some(contact),
            key: Some(seed),
            ..self.own_job(JobKind::AllowContact)
        };
        self.db.put_job(&job)
    }

    /// Seals the first letter to the key on the card.
    pub(super) fn seal_first_letter(&mut self, job: &Job, card: &[u8]) -> Result<Vec<u8>, Error> {
        let id = job.what.contact.ok_or(Error::Damaged("a first letter to nobody"))?;
        let mut contact = self.db.need_contact(id)?;
        let link = contact.invite.as_deref().ok_or(Error::Damaged("the invite is missing"))?;
        let card = Invite::parse(link)?.open_card(card)?;
        // INV-6: without a group there is nothing that a contact could be asked for.
        if contact.state == ContactState::Active && card.group.is_none() {
            return Err(Error::WrongState { state: contact.state });
        }
        contact.account = Some(*card.certificate.account().key());
        contact.nickname = card.nick.clone();
        // INV-6
        contact.joins = card.group.map(|group| Joins {
            group: ConversationId::new(group.id),
            name: cleaned_name(&group.name, GROUP_NAME_BYTES),
        });
        self.put_contact(&contact)?;
        let message = match job.what.first_message {
            None => None,
            Some(id) => Some(self.first_message(&contact, id)?),
        };
        let content = LetterContent::First(FirstLetter {
            devices: self.account.list.as_bytes().to_vec(),
            nick: self.db.need_text(Meta::Nickname)?,
            key_packages: vec![self.make_key_package(Suite::Hybrid, false)?],
            inbox: self.grant(&contact)?,
            message,
        });
        self.seal_letter(
            job.what.mailbox,
            job.what.envelope,
            Recipient::Invite(&card.letter_key),
            &content,
        )
    }

    fn first_message(
        &mut self,
        contact: &ContactRow,
        id: EnvelopeId,
    ) -> Result<FirstMessage, Error> {
        let message = crate::types::MessageId::new(*id.as_bytes());
        let message = self.db.message_of(contact.id.into(), &message)?;
        let message = message.ok_or(Error::Damaged("the first message is missing"))?;
        let content = super::outbox::first_content(&message)?;
        Ok(FirstMessage { id, content })
    }

    /// The way into the own inbox that this contact is given.
    pub(super) fn grant(&self, contact: &ContactRow) -> Result<InboxGrant, Error> {
        let key = contact.own_key.clone().ok_or(Error::Damaged("a contact without a key"))?;
        Ok(InboxGrant { relay: self.account.relay.clone(), inbox: self.account.inbox, key })
    }

    /// Seals a letter of this device; each has a higher number than the one before.
    pub(super) fn seal_letter(
        &mut self,
        inbox: MailboxId,
        envelope: Option<EnvelopeId>,
        recipient: Recipient<'_>,
        content: &LetterContent,
    ) -> Result<Vec<u8>, Error> {
        let envelope = envelope.ok_or(Error::Damaged("a letter without id"))?;
        let number = self.db.meta_number(Meta::LetterNumber)? + 1;
        self.db.set_meta_number(Meta::LetterNumber, number)?;
        let letter = Letter {
            sender: &self.account.device,
            certificate: self.account.certificate()?,
            number,
            recipient,
            place: LetterPlace { inbox, envelope },
            content: &content.encode().map_err(|_| Error::Damaged("a letter's content"))?,
        };
        Ok(letter.seal()?)
    }

    /// Agrees to a contact request: makes the conversation here; the relay hears of it by a job,
    /// and the contact when its first commit was echoed.
    pub(super) fn accept_contact(&mut self, mut contact: ContactRow) -> Result<ContactRow, Error> {
        if self.asks_to_join(&contact)?
            && let Some(joins) = contact.joins.take()
        {
            self.db.put_contact(&contact)?;
            self.admit(joins.group, &contact)?;
            return Ok(contact);
        }
        if contact.state != ContactState::Incoming {
            return Err(Error::WrongState { state: contact.state });
        }
        self.check_may_act()?;
        if contact.own_key.is_none() {
            let seed = SigningKey::generate()?.seed();
            self.allow_contact_key(contact.id, seed.clone())?;
            contact.own_key = Some(seed);
        }
        contact.state = ContactState::Active;
        contact.came_by = None;
        let joins = contact.joins.take();
        self.db.put_contact(&contact)?;
        if let Some(joins) = joins {
            self.admit(joins.group, &contact)?;
        }
        if self.shares_state()? {
            self.claim_contact(contact.id)?;
            return Ok(contact);
        }
        self.make_direct(contact)
    }

    /// Whether a contact asks to be in a group of this account (INV-6).
    pub(super) fn asks_to_join(&self, contact: &ContactRow) -> Result<bool, Error> {
        let joins = contact.joins.as_ref().filter(|_| contact.state == ContactState::Active);
        let group = joins.map(|joins| self.db.conversation(joins.group)).transpose()?.flatten();
        Ok(group.is_some_and(|group| group.standing == Standing::Open))
    }

    /// Makes the conversation with a contact that was agreed to.
    pub(super) fn make_direct(&mut self, contact: ContactRow) -> Result<ContactRow, Error> {
        let mut row = self.db.need_conversation(contact.id.into())?;
        row.state = GroupState::new(GroupKind::Direct, self.next_generation(row.id)?);
        let mailbox = self.create_log(&row, Suite::Hybrid)?;
        row.log = Some(mailbox);
        row.reopen();
        self.db.put_conversation(&row)?;
        if contact.request.is_some() {
            let packages = self.request_of(&contact)?.key_packages;
            let account = *account_of(&contact)?.key().as_bytes();
            let wish = Wish::Add { account, packages, missing: 0 };
            self.db.put_wish(&mailbox, &wish, self.now)?;
        } else {
            // The letter did not come to this device: packages lie in the contact's inbox.
            self.wish_contact(row.id, &mailbox, &contact)?;
        }
        self.db.forget_contents(row.id, 0)?;
        Ok(contact)
    }

    fn request_of(&self, contact: &ContactRow) -> Result<FirstLetter, Error> {
        let request = contact.request.as_ref().ok_or(Error::Damaged("a contact's first letter"))?;
        match LetterContent::decode(request) {
            Ok(LetterContent::First(first)) => Ok(first),
            _ => Err(Error::Damaged("a contact's first letter is none")),
        }
    }

    /// Somebody new, and the direct conversation with them.
    pub(super) fn new_contact(
        &mut self,
        id: ContactId,
        state: ContactState,
    ) -> Result<ContactRow, Error> {
        self.end_what_is_named(id.into())?;
        let direct = GroupState::new(GroupKind::Direct, 1);
        self.db.put_conversation(&ConversationRow::new(id.into(), direct))?;
        Ok(ContactRow::new(id, state))
    }

    /// A group or room whose maker has named it as somebody ends when that one becomes a contact:
    /// what came in it would go on as theirs (CNV-13).
    fn end_what_is_named(&mut self, id: ConversationId) -> Result<(), Error> {
        if self.db.conversation(id)?.is_none_or(|row| !row.is_shared()) {
            return Ok(());
        }
        for log in self.db.logs_of(id)? {
            self.end_log(&log.mailbox, LogState::Closed, Code::Conflict)?;
        }
        self.refuse_outbox(id, Code::Conflict)
    }

    /// A new log stands behind all others of its conversation; letters stand before them.
    pub(super) fn next_generation(&self, of: ConversationId) -> Result<u32, Error> {
        let all = self.db.logs_of(of)?;
        Ok(all.iter().map(|log| log.generation).max().unwrap_or(0).saturating_add(1))
    }
}

impl InviteRow {
    /// The invite itself.
    pub(super) fn parse(&self) -> Result<Invite, Error> {
        let link = std::str::from_utf8(&self.invite).map_err(|_| Error::Damaged("an invite"))?;
        Ok(Invite::parse(link)?)
    }

    /// The secret its card names the public half of.
    pub(super) fn kem(&self) -> Result<KemSecret, Error> {
        let seed = self.secret.as_slice().try_into();
        Ok(KemSecret::from_seed(&seed.map_err(|_| Error::Damaged("an invite's key"))?))
    }
}
