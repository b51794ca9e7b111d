//! How an acquaintance ends here: declined, blocked, refused.

use restante_crypto::SigningKey;
use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, PublicKey};
use zeroize::Zeroizing;

use super::Work;
use crate::error::Error;
use crate::events::Notice;
use crate::store::{
    ContactRow, ContentKind, ConversationRow, ConversationState, JobKind, NewJob, Want,
};
use crate::types::{ContactId, ContactState, MessageId};

impl Work<'_> {
    /// Refuses a contact request. Nobody is told; the way it came is closed if it was for one.
    pub(super) fn decline_contact(&mut self, mut contact: ContactRow) -> Result<ContactRow, Error> {
        if contact.state != ContactState::Incoming {
            return Err(Error::WrongState { state: contact.state });
        }
        contact.state = ContactState::Declined;
        self.end_contact(&mut contact)?;
        Ok(contact)
    }

    /// The relay refuses the contact from now on: his key to the inbox is struck, and a commit
    /// removes his leaves and readers from the conversation, which is then closed.
    pub(super) fn block(&mut self, mut contact: ContactRow) -> Result<ContactRow, Error> {
        if contact.state == ContactState::Blocked {
            return Ok(contact);
        }
        contact.state = ContactState::Blocked;
        self.end_contact(&mut contact)?;
        self.revoke_contact_key(&mut contact)?;
        self.db.drop_letters(contact.id)?;
        self.refuse_outbox(contact.id, Code::Revoked)?;
        for mut row in self.db.conversations_of(contact.id)? {
            match row.state {
                ConversationState::Live => row.want = Want::Remove,
                ConversationState::Creating => {
                    self.db.drop_jobs_of(&row.mailbox)?;
                    row.state = ConversationState::Closed;
                }
                ConversationState::Closed
                | ConversationState::Captured
                | ConversationState::Lost
                | ConversationState::Gone => continue,
            }
            self.db.put_conversation(&row)?;
        }
        Ok(contact)
    }

    fn end_contact(&mut self, contact: &mut ContactRow) -> Result<(), Error> {
        contact.ended_at = self.now;
        contact.request = None;
        contact.invite = None;
        self.db.drop_receipts(contact.id)?;
        if let Some(key) = contact.came_by.take() {
            let invite = self.db.invites()?.into_iter().find(|invite| invite.key == key);
            // An invite for several people stays open for the others.
            if invite.is_some_and(|invite| invite.uses == 1) {
                self.revoke(&key)?;
            }
        }
        Ok(())
    }

    /// Strikes the key a contact writes letters with.
    pub(super) fn revoke_contact_key(&mut self, contact: &mut ContactRow) -> Result<(), Error> {
        match contact.own_key.take() {
            Some(seed) => self.revoke(&SigningKey::from_seed(&seed).public()),
            None => Ok(()),
        }
    }

    fn revoke(&mut self, key: &PublicKey) -> Result<(), Error> {
        let key = Some(Zeroizing::new(*key.as_bytes()));
        self.db.put_job(&NewJob { key, ..self.own_job(JobKind::Revoke) })?;
        Ok(())
    }

    /// A conversation has ended for this device: closed by the other side, or it cannot be read on.
    pub(super) fn end_conversation(
        &mut self,
        mailbox: &MailboxId,
        state: ConversationState,
        code: Code,
    ) -> Result<(), Error> {
        let mut row = self.db.need_conversation(mailbox)?;
        self.end(&mut row, state, code)?;
        self.db.put_conversation(&row)
    }

    /// The same, for a row that its holder writes. If messages went there, the acquaintance has
    /// ended with it.
    pub(super) fn end(
        &mut self,
        row: &mut ConversationRow,
        state: ConversationState,
        code: Code,
    ) -> Result<(), Error> {
        if let Some(lost) = row.commit.take() {
            self.db.drop_held_jobs(&lost.id)?;
        }
        (row.state, row.want) = (state, Want::Nothing);
        let mut contact = self.db.need_contact(row.contact)?;
        if contact.conversation != Some(row.mailbox) || contact.state != ContactState::Active {
            return Ok(());
        }
        let id = contact.id;
        self.notice(match state {
            ConversationState::Captured => Notice::Captured { contact: id },
            ConversationState::Lost => Notice::ConversationLost { contact: id },
            ConversationState::Gone => Notice::Gone { contact: id },
            ConversationState::Closed | ConversationState::Creating | ConversationState::Live => {
                Notice::ConversationClosed { contact: id }
            }
        });
        contact.state = ContactState::Ended;
        self.put_contact(&contact)?;
        self.refuse_outbox(id, code)
    }

    /// What waits for a contact will not be sent.
    pub(super) fn refuse_outbox(&mut self, contact: ContactId, code: Code) -> Result<(), Error> {
        loop {
            let rows = self.db.outbox(contact, 0, crate::limits::DELIVERY_BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.db.take_outbox(&row.id)?;
                let id = MessageId::new(*row.id.as_bytes());
                if row.kind == ContentKind::Text && self.db.refuse_message(contact, &id, code)? {
                    self.tell_fate(contact, &row.id)?;
                }
            }
        }
    }
}
