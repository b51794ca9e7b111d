//! The own inbox: letters, in their order, each once.

use bytes::Bytes;
use restante_crypto::{DeviceList, DeviceNumber, LetterKeys, LetterPlace, OpenedLetter};
use restante_spec::content::{
    Content, ContentError, FirstLetter, InboxGrant, LetterContent, LinkedLetter, ReaddLetter,
    WelcomeLetter,
};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq};
use restante_spec::message::Deliver;

use super::asked::Taken;
use super::commands::id_of;
use super::{Work, outbox};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::store::{ContactRow, InboxRef, InviteRow, Meta, NewMessage, Place};
use crate::types::{ContactState, ConversationId, Fate, Joins};

/// An opened letter and the way it came.
pub(super) struct Arrived {
    pub(super) letter: OpenedLetter,
    /// `None`: sealed to the account.
    invite: Option<InviteRow>,
    envelope: Deliver,
}

impl Work<'_> {
    /// Takes a batch of letters, in their order.
    pub(super) fn receive_letters(&mut self, batch: Vec<(Deliver, Bytes)>) -> Result<Taken, Error> {
        let mut cursor = Seq::new(self.db.meta_number(Meta::InboxCursor)?);
        for (envelope, body) in batch {
            if envelope.seq <= cursor {
                continue;
            }
            if envelope.prev > cursor && cursor > Seq::START {
                let (after, before) = (cursor, envelope.seq);
                self.notice(Notice::Gap { conversation: None, after, before });
            }
            cursor = envelope.seq;
            if envelope.own {
                // Of this device: it comes back without its body.
                continue;
            }
            if self.db.letter_seen(&envelope.id)? {
                continue;
            }
            self.db.note_letter(&envelope.id, envelope.expires_at)?;
            if self.attempt_letter(|work| work.take_letter(envelope, &body))?.is_none() {
                self.notice(Notice::Junk { conversation: None });
            }
        }
        self.db.set_meta_number(Meta::InboxCursor, cursor.get())?;
        Ok(Taken { upto: cursor, reopen: false })
    }

    fn take_letter(&mut self, envelope: Deliver, body: &Bytes) -> Result<(), Error> {
        let arrived = match self.open_letter(envelope, body) {
            // Sealed before the writer knew of this device: it is for the others.
            Err(Error::Crypto(restante_crypto::Error::NotForUs)) if self.had_others()? => {
                return Ok(());
            }
            opened => opened?,
        };
        let sender = &arrived.letter.sender;
        if sender.device() == &self.account.device.public() {
            return Ok(());
        }
        let device = *sender.device();
        // LET-6
        let taken = self.db.letters_taken(&device)?.take(arrived.letter.number)?;
        self.read_letter(&arrived)?;
        self.db.set_letters_taken(&device, taken)
    }

    fn read_letter(&mut self, arrived: &Arrived) -> Result<(), Error> {
        let account = arrived.letter.sender.account();
        // DEV-2
        if self.db.meta(Meta::LinkCode)?.is_some() {
            return self.take_link(arrived);
        }
        if account == self.account.id() {
            return self.read_own_letter(arrived);
        }
        let known = self.db.contact(id_of(account))?;
        match LetterContent::decode(&arrived.letter.content).map_err(unreadable)? {
            LetterContent::First(first) => match &arrived.invite {
                Some(invite) => self.take_first_letter(arrived, invite, known, first),
                None => Ok(()),
            },
            LetterContent::Welcome(welcome) if self.is_awaited(&welcome)? => {
                self.check_listed(&arrived.letter, &welcome.mailbox)?;
                let writer = id_of(account);
                if self.account.has_others() {
                    // It may let only others of this account's devices in.
                    self.attempt(|work| work.take_welcome_back(writer, &welcome))?;
                    return Ok(());
                }
                self.take_welcome_back(writer, &welcome)
            }
            LetterContent::Readd(readd) => self.take_readd(&arrived.letter, &readd),
            LetterContent::Removed(removed) => self.take_removed(&arrived.letter, &removed),
            LetterContent::Welcome(welcome) => match (known, &arrived.invite) {
                (Some(contact), None) => self.take_welcome(arrived, contact, welcome),
                (None, None) if self.may_move(&arrived.letter)? => {
                    self.join_moved(id_of(account), &welcome)
                }
                (None, None) if self.had_others()? => {
                    self.keep_early_welcome(id_of(account), &welcome)
                }
                _ => Ok(()),
            },
            // A newer version's; what it would have done here is not known.
            _ => Ok(()),
        }
    }

    /// What another device of this account writes (LET-5).
    fn read_own_letter(&mut self, arrived: &Arrived) -> Result<(), Error> {
        let content = LetterContent::decode(&arrived.letter.content).map_err(unreadable)?;
        match &content {
            LetterContent::Linked(LinkedLetter { devices, .. })
            | LetterContent::Welcome(WelcomeLetter { devices, .. })
            | LetterContent::Readd(ReaddLetter { devices, .. }) => self.learn_own_list(devices)?,
            _ => return Ok(()),
        }
        let list = DeviceList::parse(&self.db.need_meta(Meta::DeviceList)?)?;
        // DEV-14
        if list.device(arrived.letter.sender.device()).is_none() {
            return Ok(());
        }
        match content {
            LetterContent::Linked(linked) => self.take_linked(&arrived.letter, linked),
            LetterContent::Welcome(welcome) => self.join_own(&welcome),
            LetterContent::Readd(readd) => self.take_readd(&arrived.letter, &readd),
            _ => Ok(()),
        }
    }

    /// Whether the account has other devices, or had some before this one.
    fn had_others(&self) -> Result<bool, Error> {
        let is_first = self.account.certificate()?.number() == DeviceNumber::new(1);
        Ok(!is_first || self.account.has_others())
    }

    /// Opens a letter with the account's key, or with that of the invite it came by.
    fn open_letter(&self, envelope: Deliver, body: &Bytes) -> Result<Arrived, Error> {
        let account = self.account;
        let place = LetterPlace { inbox: account.inbox, envelope: envelope.id };
        // IDN-8
        let past = account.past_letter_keys.iter().map(|past| &past.key);
        let own = Vec::from_iter(std::iter::once(&account.letter_key).chain(past));
        let keys = LetterKeys::Account(account.id(), &own);
        let mut refused = match OpenedLetter::open(body, keys, &place) {
            Ok(letter) => return Ok(Arrived { letter, invite: None, envelope }),
            Err(error) => error,
        };
        for invite in self.db.invites()? {
            match OpenedLetter::open(body, LetterKeys::Invite(&invite.kem()?), &place) {
                Ok(letter) => return Ok(Arrived { letter, invite: Some(invite), envelope }),
                Err(error) => refused = error,
            }
        }
        Err(Error::Crypto(refused))
    }

    /// Somebody took an invite.
    fn take_first_letter(
        &mut self,
        arrived: &Arrived,
        invite: &InviteRow,
        known: Option<ContactRow>,
        first: FirstLetter,
    ) -> Result<(), Error> {
        let account = arrived.letter.sender.account();
        let mut contact = match known {
            None => {
                self.check_contact_count()?;
                self.new_contact(id_of(account), ContactState::Incoming)?
            }
            Some(known) if known.state == ContactState::Active => {
                return self.take_contacts_wish(known, invite);
            }
            Some(known) if Self::may_ask_again(&known, invite) => known,
            Some(_) => return Ok(()),
        };
        // Both asked: both agreed.
        let both = matches!(contact.state, ContactState::Invited | ContactState::Requested);
        let theirs = contact.joins.take().filter(|_| both);
        // INV-6
        contact.joins = invite.group.map(|group| self.joins(group)).transpose()?.flatten();
        self.learn(&mut contact, arrived, &first.devices, &first.nick, first.inbox.clone())?;
        contact.state = ContactState::Incoming;
        contact.came_by = Some(invite.key);
        contact.request = Some(arrived.letter.content.to_vec());
        self.db.put_contact(&contact)?;
        if let Some(message) = &first.message {
            self.take_first_message(&contact, arrived, &message.id, &message.content)?;
        }
        // A copied home agrees to nothing: whoever asks waits.
        if (both || invite.accepts) && !self.is_cloned()? {
            contact = self.accept_contact(contact)?;
            contact.joins = theirs;
        }
        self.put_contact(&contact)
    }

    /// A contact took a link to a group (INV-6).
    fn take_contacts_wish(
        &mut self,
        mut contact: ContactRow,
        invite: &InviteRow,
    ) -> Result<(), Error> {
        let Some(group) = invite.group else { return Ok(()) };
        contact.joins = self.joins(group)?;
        if invite.accepts && self.asks_to_join(&contact)? {
            contact = self.accept_contact(contact)?;
        }
        self.put_contact(&contact)
    }

    /// A group somebody asks to be in, as it is called now.
    fn joins(&self, group: ConversationId) -> Result<Option<Joins>, Error> {
        let row = self.db.conversation(group)?;
        Ok(row.map(|row| Joins { group, name: row.state.name }))
    }

    /// Whether somebody known may ask (again) with this invite: who was declined or blocked only
    /// with one made after that.
    fn may_ask_again(known: &ContactRow, invite: &InviteRow) -> bool {
        match known.state {
            ContactState::Incoming | ContactState::Active => false,
            ContactState::Invited | ContactState::Requested | ContactState::Ended => true,
            ContactState::Declined | ContactState::Blocked => invite.created_at >= known.ended_at,
        }
    }

    fn take_first_message(
        &mut self,
        contact: &ContactRow,
        arrived: &Arrived,
        id: &EnvelopeId,
        content: &[u8],
    ) -> Result<(), Error> {
        let decoded = Content::decode(content).map_err(unreadable)?;
        if decoded.id != *id {
            return Err(restante_crypto::Error::Malformed { what: "first message" }.into());
        }
        let shown = outbox::shown(&decoded);
        let place = Place {
            mailbox: None,
            generation: 0,
            seq: Seq::START,
            expires_at: arrived.envelope.expires_at,
        };
        let message = self.db.put_message(&NewMessage {
            id: *id,
            conversation: contact.id.into(),
            place: Some(place),
            author: Some(contact.id),
            kind: shown.kind,
            text: &shown.text,
            content,
            at: shown.at,
            fate: Fate::Received,
            reply_to: shown.reply_to,
            timer: None,
        })?;
        if let Some(message) = message {
            let conversation = self.db.need_conversation(contact.id.into())?;
            self.owe_delivered(&conversation, id)?;
            self.events.push(Event::Message(message));
        }
        Ok(())
    }

    /// Somebody whose invite was taken has agreed.
    fn take_welcome(
        &mut self,
        arrived: &Arrived,
        mut contact: ContactRow,
        welcome: WelcomeLetter,
    ) -> Result<(), Error> {
        match contact.state {
            ContactState::Invited
            | ContactState::Requested
            | ContactState::Active
            | ContactState::Ended => {}
            ContactState::Incoming | ContactState::Declined | ContactState::Blocked => {
                return Ok(());
            }
        }
        self.learn(&mut contact, arrived, &welcome.devices, &welcome.nick, welcome.inbox.clone())?;
        contact.state = ContactState::Active;
        contact.invite = None;
        self.db.put_contact(&contact)?;
        if self.account.has_others() {
            // It may let only others of this account's devices in: they add this one.
            let mut joined = contact.clone();
            if self.attempt_letter(|work| work.join(&mut joined, &welcome))?.is_some() {
                contact = joined;
            }
        } else {
            self.join(&mut contact, &welcome)?;
        }
        self.put_contact(&contact)
    }

    /// Takes over what a letter says of its writer, checked.
    fn learn(
        &mut self,
        contact: &mut ContactRow,
        arrived: &Arrived,
        devices: &[u8],
        nickname: &str,
        inbox: InboxGrant,
    ) -> Result<(), Error> {
        let sender = &arrived.letter.sender;
        let list = DeviceList::parse(devices)?;
        if list.account() != sender.account() || list.device(sender.device()).is_none() {
            return Err(Error::Crypto(restante_crypto::Error::WrongAccount));
        }
        // LET-7: a list that was taken and is refused by now is none.
        let known = contact.devices.as_deref().and_then(|known| self.lists.read(known).ok());
        match known {
            // Written before the newest list, by a device that still is in that.
            Some(known)
                if list.version() < known.version() && known.device(sender.device()).is_some() => {}
            known => {
                if let Some(known) = known {
                    // IDN-7
                    list.may_follow(&known)?;
                    self.note_struck(Some(known.as_bytes()), devices)?;
                }
                contact.devices = Some(list.as_bytes().to_vec());
            }
        }
        let key: PublicKey = *sender.account().key();
        contact.account = Some(key);
        contact.nickname = super::commands::cleaned_nickname(nickname);
        contact.inbox = Some(InboxRef::from(&inbox));
        Ok(())
    }

    /// Does `work`; if what came does not hold what it claims, everything it did is undone and
    /// `None` is given back. A failing store is an error as ever.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.attempt_unless(|error| !is_theirs(error), work)
    }

    /// The same for a letter, which must not keep those behind it from being read: only what
    /// another try may heal is an error.
    pub(super) fn attempt_letter<T>(
        &mut self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // LET-6
        self.attempt_unless(may_heal, work)
    }

    fn attempt_unless<T>(
        &mut self,
        stands: fn(&Error) -> bool,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let told = self.events.len();
        self.db.savepoint()?;
        match work(self) {
            Ok(done) => {
                self.db.release()?;
                Ok(Some(done))
            }
            Err(error) => {
                // In any case: it may be within an attempt that goes on.
                let undone = self.db.undo();
                self.events.truncate(told);
                self.groups.forget_all();
                if stands(&error) { Err(error) } else { undone.map(|()| None) }
            }
        }
    }
}

/// What came is no content.
fn unreadable(error: ContentError) -> Error {
    match error {
        ContentError::Malformed { what } => restante_crypto::Error::Malformed { what }.into(),
        ContentError::TooLarge { what, size, max } => {
            restante_crypto::Error::TooLarge { what, size, max }.into()
        }
        _ => restante_crypto::Error::Malformed { what: "content" }.into(),
    }
}

/// Whether the store or the system failed, which may do at another try what was asked of it.
fn may_heal(error: &Error) -> bool {
    use restante_crypto::Error as E;
    matches!(error, Error::Storage(_) | Error::Crypto(E::Storage { .. } | E::Randomness))
}

/// Whether an error says something of what came, and not of this side.
pub(crate) fn is_theirs(error: &Error) -> bool {
    use restante_crypto::Error as E;
    match error {
        Error::Crypto(error) => {
            !matches!(error, E::Storage { .. } | E::Randomness | E::Internal { .. })
        }
        // One stranger too many; an archive that is none.
        Error::TooMany { .. } | Error::Archive(_) => true,
        _ => false,
    }
}
