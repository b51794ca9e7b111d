//! Joining: what a Welcome lets this device into, and which of two conversations is kept.

use restante_crypto::OpenedLetter;
use restante_spec::content::{
    GroupKind, GroupState, LetterContent, Role, WelcomeLetter, WelcomePart,
};
use restante_spec::ids::{MailboxId, PublicKey, ReaderSecret};

use super::Work;
use super::commands::{account_of, id_of, id_of_key};
use super::membership::accounts;
use super::policy::moved;
use crate::error::Error;
use crate::limits::{EARLY_WELCOMES, MOVES_MISSED};
use crate::store::{ContactRow, ConversationRow, LogRow, LogState, Wish};
use crate::types::{ContactId, ContactState, ConversationId, Standing};

impl Work<'_> {
    /// Joins the conversation a contact has let this device into. A direct one was agreed to with
    /// the acquaintance; a group waits until the person agrees.
    pub(super) fn join(
        &mut self,
        contact: &mut ContactRow,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        if !self.may_join(&welcome.mailbox)? {
            return Ok(());
        }
        if let WelcomePart::Blob(at) = &welcome.welcome {
            return self.keep_welcome(contact.id, welcome, at);
        }
        let reader = self.join_group(welcome)?;
        if !self.has_member(&welcome.mailbox, account_of(contact)?)? {
            return Err(Error::Crypto(restante_crypto::Error::NotAMember));
        }
        let state = self.agreed(&welcome.mailbox)?;
        let (id, log_state) = match state.kind {
            GroupKind::Direct => (contact.id.into(), LogState::Live),
            GroupKind::Group(id) => (ConversationId::new(id), LogState::Invited),
            // Only the own account lets its devices in there.
            GroupKind::Own => return Err(not_a_member()),
        };
        let log = self.joined_log(id, welcome, &state, log_state, reader)?;
        match state.kind {
            GroupKind::Direct => {
                self.choose_log(contact, &welcome.mailbox)?;
                self.add_own_devices(id, &welcome.mailbox)
            }
            GroupKind::Group(_) | GroupKind::Own => {
                self.take_invitation(id, state, log, contact.id)?;
                self.take_unheard(welcome)?;
                self.agree_if_asked_for(id, contact)
            }
        }
    }

    /// A Welcome from somebody only another device of this account knows by now: it is kept until
    /// the own conversation tells of them too. One in a blob would be looked for at any relay.
    pub(super) fn keep_early_welcome(
        &mut self,
        writer: ContactId,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        if matches!(welcome.welcome, WelcomePart::Blob(_)) {
            return Ok(());
        }
        let mut early = Vec::new();
        for (mailbox, who, _) in self.db.welcomes()? {
            if who != id_of(self.account.id()) && self.db.contact(who)?.is_none() {
                early.push(mailbox);
            }
        }
        // DEV-21
        if early.len() >= EARLY_WELCOMES {
            early.iter().try_for_each(|mailbox| self.db.take_welcome(mailbox))?;
        }
        let letter = LetterContent::Welcome(welcome.clone());
        let letter = letter.encode().map_err(|_| Error::Damaged("a letter's content"))?;
        self.db.put_welcome(&welcome.mailbox, writer, &letter)
    }

    /// Joins with a Welcome that came before its writer was known.
    pub(super) fn take_early_welcome(
        &mut self,
        id: ContactId,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        let Some(mut contact) = self.db.contact(id)? else { return Ok(()) };
        if matches!(contact.state, ContactState::Invited | ContactState::Requested) {
            // Another device reads the answer, and tells.
            return Ok(());
        }
        self.db.take_welcome(&welcome.mailbox)?;
        if contact.state == ContactState::Active {
            // It may let only others of this account's devices in.
            self.attempt_letter(|work| work.join(&mut contact, welcome))?;
        }
        Ok(())
    }

    /// Whether a Welcome leads into a log this device does not read. Who was removed, or has
    /// declined, may be let in again: what was known of the log before is forgotten.
    pub(super) fn may_join(&mut self, mailbox: &MailboxId) -> Result<bool, Error> {
        let Some(log) = self.db.log(mailbox)? else { return Ok(true) };
        let row = self.db.need_conversation(log.conversation)?;
        let declined = row.log == Some(*mailbox) && self.was_declined(&row)?;
        if log.state != LogState::Closed && !declined {
            return Ok(false);
        }
        self.forget_group(mailbox)?;
        self.db.forget_authors(mailbox)?;
        Ok(true)
    }

    /// Agrees to an invitation that answers what was asked for by a link (INV-6).
    fn agree_if_asked_for(
        &mut self,
        id: ConversationId,
        contact: &mut ContactRow,
    ) -> Result<(), Error> {
        // INV-6
        if contact.joins.as_ref().is_none_or(|asked| asked.group != id) {
            return Ok(());
        }
        contact.joins = None;
        self.db.put_contact(contact)?;
        if self.db.need_conversation(id)?.standing == Standing::Invited {
            self.accept_group(id)?;
        }
        Ok(())
    }

    /// Whether the writer of a letter may say where a group of this account goes on (CNV-20).
    pub(super) fn may_move(&mut self, letter: &OpenedLetter) -> Result<bool, Error> {
        for row in self.db.conversations()? {
            if row.is_group()
                && row.state.role(letter.sender.account().key()) >= Role::Administrator
                && self.is_listed(row.id, &letter.sender)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Joins where a group goes on that somebody who is no contact has begun anew (CNV-20).
    pub(super) fn join_moved(
        &mut self,
        writer: ContactId,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        if self.db.log(&welcome.mailbox)?.is_some() {
            return Ok(());
        }
        if let WelcomePart::Blob(at) = &welcome.welcome {
            return self.keep_welcome(writer, welcome, at);
        }
        let reader = self.join_group(welcome)?;
        let state = self.agreed(&welcome.mailbox)?;
        let known = self.db.conversations()?;
        let row = known.into_iter().find(|row| row.state.kind == state.kind && row.is_group());
        let row = row.filter(|row| is_move(row, &state, &welcome.mailbox, writer));
        let row = row.ok_or_else(not_a_member)?;
        let members = accounts(&self.members(&welcome.mailbox)?);
        if !members.iter().any(|account| id_of_key(account) == writer) {
            return Err(not_a_member());
        }
        let log = self.joined_log(row.id, welcome, &state, LogState::Invited, reader)?;
        self.take_invitation(row.id, state, log, writer)?;
        self.take_unheard(welcome)
    }

    /// The log a Welcome has let this device into. Whoever joins renews its leaf soon: that keeps
    /// later commits small.
    pub(super) fn joined_log(
        &mut self,
        id: ConversationId,
        welcome: &WelcomeLetter,
        agreed: &GroupState,
        state: LogState,
        reader: ReaderSecret,
    ) -> Result<LogRow, Error> {
        if matches!(agreed.kind, GroupKind::Group(_)) && self.is_taken(id, false)? {
            return Err(not_a_member());
        }
        let (mailbox, relay) = (welcome.mailbox, welcome.relay.to_string());
        // Which mailbox it is, its writer has chosen too.
        let is_other = |log: LogRow| log.conversation != id;
        if mailbox == self.account.inbox || self.db.log(&mailbox)?.is_some_and(is_other) {
            return Err(not_a_member());
        }
        let mut log = LogRow::new(mailbox, id, relay, agreed.generation, state, reader);
        log.chain = Some(self.begun_chain(&mailbox)?);
        self.db.put_log(&log)?;
        self.db.put_wish(&mailbox, &Wish::Update, self.now)?;
        Ok(log)
    }

    /// Whether the id of a group or room, which its maker has chosen, is that of another
    /// conversation of this account: it would take that one's place.
    pub(super) fn is_taken(&self, id: ConversationId, is_room: bool) -> Result<bool, Error> {
        let is_other = |row: ConversationRow| !row.is_shared() || row.is_room != is_room;
        // CNV-13
        Ok(id == self.own_conversation_id() || self.db.conversation(id)?.is_some_and(is_other))
    }

    /// A contact has added this account to a group.
    fn take_invitation(
        &mut self,
        id: ConversationId,
        state: GroupState,
        mut log: LogRow,
        writer: ContactId,
    ) -> Result<(), Error> {
        let mut row = match self.db.conversation(id)? {
            Some(mut row) if is_move(&row, &state, &log.mailbox, writer) => {
                let old = row.log.ok_or_else(not_a_member)?;
                let leaves = self.members(&log.mailbox)?;
                let by = officer(&row, writer).ok_or_else(not_a_member)?;
                if !self.is_weaker(&log.mailbox, &old)?
                    && let Some(state) = moved(&row.state, &state, by, &leaves)
                {
                    log.state = LogState::Live;
                    self.db.put_log(&log)?;
                    return self.go_on_in(&mut row, state, &log);
                }
                row
            }
            // Who is in it cannot be let in again.
            Some(row)
                if !row.is_group() || (row.standing == Standing::Open && row.log.is_some()) =>
            {
                return Err(not_a_member());
            }
            Some(row) if !self.may_let_in_anew(&row, writer)? => return Err(not_a_member()),
            Some(row) => row,
            None => ConversationRow {
                standing: Standing::Invited,
                ..ConversationRow::new(id, state.clone())
            },
        };
        // The person has agreed on another device before the letter came to this one.
        let is_agreed = row.standing == Standing::Open && row.log.is_none();
        row.state = state;
        row.log = Some(log.mailbox);
        if is_agreed {
            log.state = LogState::Live;
            self.db.put_log(&log)?;
        } else {
            row.standing = Standing::Invited;
        }
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)
    }

    /// Whether somebody may take the place of an invitation, or of a group that does not go on: as
    /// far as this device knows it, and who may add others there. The id alone is no right.
    fn may_let_in_anew(&mut self, row: &ConversationRow, who: ContactId) -> Result<bool, Error> {
        let Some(old) = row.log.filter(|_| !row.standing.is_out()) else { return Ok(true) };
        let mut known = self.known_accounts(row, &old)?;
        known.extend(row.state.officers.keys().copied());
        let may_add = |it: &PublicKey| row.state.policy.adders.includes(row.state.role(it));
        // CNV-13
        Ok(known.iter().any(|account| id_of_key(account) == who && may_add(account)))
    }

    /// Of two logs with one contact (both had invited each other) both sides keep the one with the
    /// lower id; whoever made the other closes it.
    pub(super) fn choose_log(
        &mut self,
        contact: &ContactRow,
        joined: &MailboxId,
    ) -> Result<(), Error> {
        let mut row = self.db.need_conversation(contact.id.into())?;
        let (was, state) = (row.state.generation, self.agreed(joined)?);
        if let Some(old) = row.log.filter(|_| state.generation > was && was > 0) {
            // CNV-20
            if self.is_weaker(joined, &old)? {
                return Err(not_a_member());
            }
            let log = self.db.need_log(joined)?;
            return self.go_on_in(&mut row, state, &log);
        }
        let older = state.generation < was;
        row.state = state;
        let before = row.log.map(|before| self.db.need_log(&before));
        let in_use = [LogState::Live, LogState::Creating];
        let before = before.transpose()?.filter(|before| in_use.contains(&before.state));
        let Some(mut before) = before else {
            row.log = Some(*joined);
            row.reopen();
            self.db.put_conversation(&row)?;
            return self.db.forget_contents(row.id, 0);
        };
        if older {
            return Err(not_a_member());
        }
        if *joined < before.mailbox {
            // Made here: nobody else will close it.
            if before.state == LogState::Creating {
                before.state = LogState::Closed;
                self.db.drop_jobs_of(&before.mailbox)?;
                self.db.put_log(&before)?;
            } else {
                let close = Wish::Close { removes: false };
                self.db.put_wish(&before.mailbox, &close, self.now)?;
            }
            row.log = Some(*joined);
        }
        self.db.put_conversation(&row)?;
        self.db.forget_contents(row.id, 0)
    }

    /// What the members of a group have agreed on, as its context says.
    pub(super) fn agreed(&mut self, mailbox: &MailboxId) -> Result<GroupState, Error> {
        let malformed = || restante_crypto::Error::Malformed { what: "group state" };
        Ok(GroupState::decode(&self.group_context(mailbox)?).map_err(|_| malformed())?)
    }
}

/// Whether a new log is where a conversation goes on: a later one, or of two the lower; made by who
/// may (CNV-20).
fn is_move(
    row: &ConversationRow,
    state: &GroupState,
    mailbox: &MailboxId,
    writer: ContactId,
) -> bool {
    let (now, new) = (row.state.generation, state.generation);
    let lower = row.log.is_none_or(|log| *mailbox < log);
    let here = row.standing != Standing::Invited && !row.standing.is_out();
    let later = new > now && new - now <= MOVES_MISSED;
    // CNV-20
    here && officer(row, writer).is_some() && (later || (new == now && now > 1 && lower))
}

/// The account of somebody who may move a group, as this device knows it.
fn officer(row: &ConversationRow, who: ContactId) -> Option<PublicKey> {
    let able = row.state.officers.iter().filter(|(_, role)| **role >= Role::Administrator);
    able.map(|(account, _)| *account).find(|account| id_of_key(account) == who)
}

pub(super) fn not_a_member() -> Error {
    Error::Crypto(restante_crypto::Error::NotAMember)
}
