//! Joining: what a Welcome lets this device into, and which of two conversations is kept.

use restante_spec::content::{GroupKind, GroupState, WelcomeLetter, WelcomePart};
use restante_spec::ids::MailboxId;

use super::Work;
use super::commands::account_of;
use crate::error::Error;
use crate::store::{ContactRow, ConversationRow, LogRow, LogState, Wish};
use crate::types::{ConversationId, Standing};

impl Work<'_> {
    /// Joins the conversation a contact has let this device into. A direct one was agreed to with
    /// the acquaintance; a group waits until the person agrees.
    pub(super) fn join(
        &mut self,
        contact: &mut ContactRow,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        if self.db.log(&welcome.mailbox)?.is_some() {
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
        let mut log = LogRow::new(
            welcome.mailbox,
            id,
            welcome.relay.to_string(),
            state.generation,
            log_state,
            reader,
        );
        log.chain = Some(self.begun_chain(&log.mailbox)?);
        self.db.put_log(&log)?;
        // Whoever joins renews its leaf soon: that keeps later commits small.
        self.db.put_wish(&log.mailbox, &Wish::Update, self.now)?;
        match state.kind {
            GroupKind::Direct => {
                self.choose_log(contact, &welcome.mailbox)?;
                self.add_own_devices(id, &welcome.mailbox)
            }
            GroupKind::Group(_) | GroupKind::Own => {
                self.take_invitation(id, state, &log)?;
                // INV-6
                if contact.joins.as_ref().is_some_and(|asked| asked.group == id) {
                    contact.joins = None;
                    self.db.put_contact(contact)?;
                    self.accept_group(id)?;
                }
                Ok(())
            }
        }
    }

    /// A contact has added this account to a group.
    fn take_invitation(
        &mut self,
        id: ConversationId,
        state: GroupState,
        log: &LogRow,
    ) -> Result<(), Error> {
        let mut row = match self.db.conversation(id)? {
            // Who is in it cannot be let in again.
            Some(row)
                if !row.is_group() || (row.standing == Standing::Open && row.log.is_some()) =>
            {
                return Err(not_a_member());
            }
            Some(row) => row,
            None => ConversationRow::new(id, state.clone()),
        };
        row.state = state;
        row.standing = Standing::Invited;
        row.log = Some(log.mailbox);
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)
    }

    /// Of two logs with one contact (both had invited each other) both sides keep the one with the
    /// lower id; whoever made the other closes it.
    pub(super) fn choose_log(
        &mut self,
        contact: &ContactRow,
        joined: &MailboxId,
    ) -> Result<(), Error> {
        let mut row = self.db.need_conversation(contact.id.into())?;
        row.state = self.agreed(joined)?;
        let before = row.log.map(|before| self.db.need_log(&before));
        let in_use = [LogState::Live, LogState::Creating];
        let before = before.transpose()?.filter(|before| in_use.contains(&before.state));
        let Some(mut before) = before else {
            row.log = Some(*joined);
            self.db.put_conversation(&row)?;
            return self.db.forget_contents(row.id, 0);
        };
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

fn not_a_member() -> Error {
    Error::Crypto(restante_crypto::Error::NotAMember)
}
