//! Records of the account's state: what the tables say as a record, and what a record changes in
//! them (DEV-8).

use restante_spec::codes::Code;
use restante_spec::content::{
    AccountState, ContactState as ContactFacts, ConversationState, GroupKind, GroupState,
    InboxGrant, InviteState, StateRecord, SyncRecord,
};
use restante_spec::ids::{MailboxId, PublicKey};
use zeroize::Zeroizing;

use super::Work;
use super::commands::cleaned_nickname;
use super::outbox::unwritable;
use crate::error::Error;
use crate::store::{
    ContactRow, ConversationRow, InboxRef, InviteRow, LogRow, LogState, Meta, RecordName,
};
use crate::types::{ContactId, ContactState, ConversationId, Standing};

impl Work<'_> {
    /// What a record says now; `None`: there is nothing to say.
    pub(super) fn state_record(&self, name: &RecordName) -> Result<Option<SyncRecord>, Error> {
        let id = || <[u8; 16]>::try_from(name.key.as_slice()).ok();
        let state = match name.kind {
            StateRecord::ACCOUNT => Some(self.account_record()?),
            StateRecord::CONTACT => match id() {
                Some(id) => self.contact_record(ContactId::new(id))?,
                None => None,
            },
            StateRecord::INVITE => self.invite_record(&name.key)?,
            StateRecord::CONVERSATION => match id() {
                Some(id) => self.conversation_record(ConversationId::new(id))?,
                None => None,
            },
            StateRecord::READ => match id() {
                Some(id) => self.read_record(id)?,
                None => None,
            },
            StateRecord::ROOM => match id() {
                Some(id) => self.room_record(&MailboxId::new(id))?,
                None => None,
            },
            kind => {
                let (key, value) = (name.key.clone(), self.db.note(name)?.unwrap_or_default());
                return Ok(Some(SyncRecord { kind, key, value: Zeroizing::new(value) }));
            }
        };
        let Some(state) = state else { return Ok(None) };
        match (state.to_record(), state) {
            (Ok(record), _) => Ok(Some(record)),
            // The others have the letter too, or take key packages from the contact's inbox.
            (Err(_), StateRecord::Contact(id, facts)) => {
                let facts = Box::new(ContactFacts { request: Vec::new(), ..*facts });
                StateRecord::Contact(id, facts).to_record().map(Some).map_err(unwritable)
            }
            (Err(error), _) => Err(unwritable(error)),
        }
    }

    fn account_record(&self) -> Result<StateRecord, Error> {
        let number = self.db.meta_number(Meta::NextDevice)?;
        Ok(StateRecord::Account(AccountState {
            nick: self.db.need_text(Meta::Nickname)?,
            devices: self.db.need_meta(Meta::DeviceList)?.to_vec(),
            next_number: u32::try_from(number).unwrap_or(u32::MAX),
        }))
    }

    fn contact_record(&self, id: ContactId) -> Result<Option<StateRecord>, Error> {
        let Some(row) = self.db.contact(id)? else { return Ok(None) };
        // DEV-8: known from the conversation only; the others know better.
        if row.state == ContactState::Active && row.own_key.is_none() {
            return Ok(None);
        }
        let inbox = row.inbox.map(|inbox| -> Result<_, Error> {
            let relay = inbox.relay.parse()?;
            Ok(InboxGrant { relay, inbox: inbox.mailbox, key: inbox.key })
        });
        let facts = ContactFacts {
            account: row.account,
            nick: row.nickname,
            state: state_number(row.state),
            verified: row.verified,
            devices: row.devices.unwrap_or_default(),
            inbox: inbox.transpose()?,
            own_key: row.own_key,
            invite: Zeroizing::new(row.invite.unwrap_or_default()),
            came_by: row.came_by,
            request: row.request.unwrap_or_default(),
            ended_at: row.ended_at,
        };
        Ok(Some(StateRecord::Contact(*id.as_bytes(), Box::new(facts))))
    }

    fn invite_record(&self, key: &[u8]) -> Result<Option<StateRecord>, Error> {
        let rows = self.db.invites()?;
        let found = rows.into_iter().find(|row| row.key.as_bytes().as_slice() == key);
        let Some(row) = found else { return Ok(None) };
        let damaged = || Error::Damaged("an invite");
        let link = String::from_utf8(row.invite.to_vec()).map_err(|_| damaged())?;
        let secret = row.secret.as_slice().try_into().map_err(|_| damaged())?;
        let (uses, expires_at, created_at) = (row.uses, row.expires_at, row.created_at);
        let (link, secret) = (Zeroizing::new(link), Zeroizing::new(secret));
        let (group, accepts) = (row.group.map(|group| *group.as_bytes()), row.accepts);
        let state = InviteState { link, secret, uses, expires_at, created_at, group, accepts };
        Ok(Some(StateRecord::Invite(row.key, state)))
    }

    fn conversation_record(&self, id: ConversationId) -> Result<Option<StateRecord>, Error> {
        let Some(row) = self.db.conversation(id)? else { return Ok(None) };
        let state = ConversationState {
            group: row.is_group(),
            standing: standing_number(row.standing),
            name: row.state.name,
            own_key: row.own_key,
        };
        Ok(Some(StateRecord::Conversation(*id.as_bytes(), state)))
    }

    /// Takes over what a record says.
    pub(super) fn apply(&mut self, state: StateRecord) -> Result<(), Error> {
        match state {
            StateRecord::Account(account) => self.apply_account(&account),
            StateRecord::Contact(id, facts) => self.apply_contact(ContactId::new(id), *facts),
            StateRecord::Invite(key, state) => self.apply_invite(key, state),
            StateRecord::Conversation(id, state) => {
                self.apply_conversation(ConversationId::new(id), state)
            }
            StateRecord::Read(id, upto) => self.apply_read(ConversationId::new(id), upto),
            StateRecord::Setting(name, value) => {
                let name = RecordName { kind: StateRecord::SETTING, key: name.into_bytes() };
                self.db.set_note(&name, &value.unwrap_or_default())
            }
            StateRecord::Draft(id, text) => {
                let name = RecordName { kind: StateRecord::DRAFT, key: id.to_vec() };
                self.db.set_note(&name, text.as_bytes())
            }
            StateRecord::Room(id, state) => self.apply_room(&MailboxId::new(id), *state),
            // A claim, which is no state; or a newer version's.
            _ => Ok(()),
        }
    }

    fn apply_account(&mut self, account: &AccountState) -> Result<(), Error> {
        self.db.set_meta(Meta::Nickname, cleaned_nickname(&account.nick).as_bytes())?;
        let number = u64::from(account.next_number);
        // IDN-4
        if number > self.db.meta_number(Meta::NextDevice)? {
            self.db.set_meta_number(Meta::NextDevice, number)?;
        }
        self.learn_own_list(&account.devices)
    }

    fn apply_contact(&mut self, id: ContactId, facts: ContactFacts) -> Result<(), Error> {
        let state = state_of(facts.state);
        let mut row = match self.db.contact(id)? {
            Some(row) => row,
            None => {
                let fresh = self.new_contact(id, state)?;
                self.forget_changes(StateRecord::CONVERSATION, id.as_bytes())?;
                fresh
            }
        };
        let goes_on = row.state == ContactState::Active
            && state == ContactState::Ended
            && self.reads_log_with(id)?;
        let state = match (row.state, state) {
            // DEV-10: that the log has ended is no word against a person's, nor against the log.
            (ContactState::Blocked, ContactState::Ended) => ContactState::Blocked,
            _ if goes_on => ContactState::Active,
            (_, told) => told,
        };
        let known = row.devices.clone();
        let inbox = facts.inbox.map(|inbox| InboxRef {
            relay: inbox.relay.to_string(),
            mailbox: inbox.inbox,
            key: inbox.key,
        });
        let text = |text: Zeroizing<String>| (!text.is_empty()).then(|| text.to_string());
        let bytes = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
        row = ContactRow {
            id,
            account: facts.account.or(row.account),
            nickname: cleaned_nickname(&facts.nick),
            state,
            verified: facts.verified,
            // Another device may not have read the newest list yet.
            devices: self
                .lists
                .newest(bytes(facts.devices), row.devices)
                .map(|list| list.as_bytes().to_vec()),
            inbox: inbox.or(row.inbox),
            own_key: facts.own_key,
            invite: text(facts.invite),
            came_by: facts.came_by,
            request: bytes(facts.request),
            ended_at: facts.ended_at,
            joins: row.joins,
        };
        if let Some(devices) = &row.devices {
            self.note_struck(known.as_deref(), devices)?;
        }
        if state == ContactState::Blocked {
            self.refuse_outbox(id.into(), Code::Revoked)?;
        }
        self.put_contact(&row)?;
        if goes_on && let Some(record) = self.contact_record(id)? {
            self.tell_record(&record)?;
        }
        match self.db.conversation(id.into())? {
            Some(conversation) if state == ContactState::Active => {
                self.ask_again_to_return(&conversation)?;
                self.await_log(&conversation)
            }
            _ => Ok(()),
        }
    }

    /// Whether this device reads the log it shares with a contact.
    fn reads_log_with(&self, id: ContactId) -> Result<bool, Error> {
        let mailbox = self.db.conversation(id.into())?.and_then(|row| row.log);
        let log = mailbox.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        Ok(log.is_some_and(|log| log.state == LogState::Live))
    }

    fn apply_invite(&mut self, key: PublicKey, state: InviteState) -> Result<(), Error> {
        if self.db.invites()?.iter().any(|invite| invite.key == key) {
            return Ok(());
        }
        self.db.put_invite(&InviteRow {
            key,
            invite: Zeroizing::new(state.link.as_bytes().to_vec()),
            secret: Zeroizing::new(state.secret.to_vec()),
            uses: state.uses,
            expires_at: state.expires_at,
            created_at: state.created_at,
            group: state.group.map(ConversationId::new),
            accepts: state.accepts,
        })
    }

    /// What the log of a conversation says of it, each device reads there by itself; from here come
    /// a person's decisions.
    fn apply_conversation(
        &mut self,
        id: ConversationId,
        state: ConversationState,
    ) -> Result<(), Error> {
        let told = standing_of(state.standing);
        let Some(mut row) = self.db.conversation(id)? else {
            return self.hear_of_conversation(id, state);
        };
        if told.is_out() && row.standing == Standing::Open && self.says_open(id)? {
            // DEV-10: taken and given back, it would have refused what was written meanwhile.
            return Ok(());
        }
        row.own_key = state.own_key.or(row.own_key);
        let log = row.log.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        let read = log.as_ref().map(|log| log.state);
        // It was away from where it takes part, and the account was invited again meanwhile.
        let is_back = told == Standing::Invited
            && row.standing.is_in()
            && matches!(read, Some(LogState::Live | LogState::Gone));
        // DEV-18
        let is_agreed = is_back || (told == Standing::Open && self.was_declined(&row)?);
        // DEV-20: said by a device that has not read to the end.
        let has_left = told == Standing::Leaving && read == Some(LogState::Closed);
        match (bearing(&row, read, told), log) {
            (Bearing::Ends, Some(log)) => return self.end_outside(row, told, log),
            (Bearing::Stands, _) => self.stand(&mut row, read, told)?,
            _ => {}
        }
        self.db.put_conversation(&row)?;
        if (is_agreed || has_left)
            && let Some(record) = self.conversation_record(id)?
        {
            // Who has heard that it was declined, is asked still or leaves still, hears this too.
            self.tell_record(&record)?;
        }
        self.await_log(&row)?;
        self.tell_conversation(&row)
    }

    /// Whether the last word of this device on a conversation, that the account is in it, is still
    /// on its way to the others.
    fn says_open(&self, id: ConversationId) -> Result<bool, Error> {
        let name = RecordName { kind: StateRecord::CONVERSATION, key: id.as_bytes().to_vec() };
        Ok(match self.word_on_its_way(&name)? {
            Some(StateRecord::Conversation(_, said)) => {
                standing_of(said.standing) == Standing::Open
            }
            _ => false,
        })
    }

    fn hear_of_conversation(
        &mut self,
        id: ConversationId,
        state: ConversationState,
    ) -> Result<(), Error> {
        let kind = if state.group { GroupKind::Group(*id.as_bytes()) } else { GroupKind::Direct };
        let mut agreed = GroupState::new(kind, 1);
        agreed.name.clone_from(&state.name);
        let mut row = ConversationRow::new(id, agreed);
        (row.standing, row.own_key) = (standing_of(state.standing), state.own_key);
        self.db.put_conversation(&row)?;
        self.await_log(&row)?;
        self.tell_conversation(&row)
    }

    /// The account stands in a conversation as another device has told.
    fn stand(
        &mut self,
        row: &mut ConversationRow,
        read: Option<LogState>,
        told: Standing,
    ) -> Result<(), Error> {
        row.standing = told;
        if told.is_out() {
            // What was written while it waited to be let in.
            self.refuse_outbox(row.id, Code::Revoked)?;
        }
        match read {
            // Invited again, by a letter to another device.
            Some(LogState::Closed) if !told.is_out() => row.log = None,
            Some(LogState::Invited) if told != Standing::Invited => self.answer(row)?,
            _ => {}
        }
        Ok(())
    }

    /// Another device has read that the account is in a group no more, and this one waits to be let
    /// into its log.
    fn end_outside(
        &mut self,
        mut row: ConversationRow,
        standing: Standing,
        log: LogRow,
    ) -> Result<(), Error> {
        row.standing = standing;
        self.db.put_conversation(&row)?;
        self.end_told(log)
    }

    fn apply_read(
        &mut self,
        of: ConversationId,
        upto: restante_spec::content::LogPosition,
    ) -> Result<(), Error> {
        if !self.db.set_read_mark(of, upto.generation, upto.seq, self.now)? {
            return Ok(());
        }
        match self.db.conversation(of)? {
            Some(row) if row.is_shared() => self.tell_conversation(&row),
            Some(_) => match self.db.contact(of.contact())? {
                Some(contact) => self.tell_contact(&contact),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

/// What a standing that another device has told means for this one.
enum Bearing {
    /// The log this one waits for is over.
    Ends,
    /// It holds.
    Stands,
    /// The log says how the account stands.
    Stays,
}

/// The same, where the log is in this state; `None`: there is none here.
fn bearing(row: &ConversationRow, read: Option<LogState>, told: Standing) -> Bearing {
    match read {
        Some(LogState::Gone | LogState::Lost) if told.is_out() => Bearing::Ends,
        // DEV-20: of a log it does not read a device hears by records alone.
        None => Bearing::Stands,
        Some(LogState::Closed) if told == Standing::Leaving => Bearing::Stays,
        Some(LogState::Closed | LogState::Invited) if row.is_group() => Bearing::Stands,
        // DEV-19: it may have come into the log after that was said there, and again since.
        Some(_) if row.is_group() && row.standing.is_in() && told.is_in() => Bearing::Stands,
        Some(_) => Bearing::Stays,
    }
}

/// Layout: the number of each state in records (DEV-8).
const fn state_number(state: ContactState) -> u32 {
    match state {
        ContactState::Invited => 1,
        ContactState::Requested => 2,
        ContactState::Incoming => 3,
        ContactState::Active => 4,
        ContactState::Ended => 5,
        ContactState::Declined => 6,
        ContactState::Blocked => 7,
    }
}

/// Others were refused when the record was read.
const fn state_of(number: u32) -> ContactState {
    match number {
        1 => ContactState::Invited,
        2 => ContactState::Requested,
        3 => ContactState::Incoming,
        4 => ContactState::Active,
        5 => ContactState::Ended,
        6 => ContactState::Declined,
        _ => ContactState::Blocked,
    }
}

/// Layout: the number of each standing in records (DEV-8).
pub(super) const fn standing_number(standing: Standing) -> u32 {
    match standing {
        Standing::Invited => 1,
        Standing::Open => 2,
        Standing::Leaving => 3,
        Standing::Left => 4,
        Standing::Removed => 5,
        // Another device is no more in it than this one.
        Standing::Broken | Standing::Restored => 6,
    }
}

/// Others were refused when the record was read.
pub(super) const fn standing_of(number: u32) -> Standing {
    match number {
        1 => Standing::Invited,
        2 => Standing::Open,
        3 => Standing::Leaving,
        4 => Standing::Left,
        5 => Standing::Removed,
        _ => Standing::Broken,
    }
}
