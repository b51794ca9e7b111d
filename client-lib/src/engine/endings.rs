//! How an acquaintance ends here: declined, blocked, refused.

use restante_crypto::SigningKey;
use restante_spec::codes::Code;
use restante_spec::content::GroupKind;
use restante_spec::ids::{MailboxId, PublicKey};
use zeroize::Zeroizing;

use super::Work;
use crate::error::Error;
use crate::events::Notice;
use crate::store::{ContactRow, JobKind, LogRow, LogState, NewJob, Wish};
use crate::types::{ContactState, ConversationId, Standing};

impl Work<'_> {
    /// Refuses a contact request. Nobody is told; the way it came is closed if it was for one.
    pub(super) fn decline_contact(&mut self, mut contact: ContactRow) -> Result<ContactRow, Error> {
        if self.asks_to_join(&contact)? {
            contact.joins = None;
            return Ok(contact);
        }
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
        self.refuse_outbox(contact.id.into(), Code::Revoked)?;
        for mut row in self.db.logs_of(contact.id.into())? {
            match row.state {
                LogState::Live => {
                    let close = Wish::Close { removes: true };
                    self.db.put_wish(&row.mailbox, &close, self.now)?;
                }
                LogState::Creating | LogState::Invited => {
                    self.db.drop_jobs_of(&row.mailbox)?;
                    row.state = LogState::Closed;
                }
                LogState::Closed | LogState::Captured | LogState::Lost | LogState::Gone => continue,
            }
            self.db.put_log(&row)?;
        }
        Ok(contact)
    }

    fn end_contact(&mut self, contact: &mut ContactRow) -> Result<(), Error> {
        contact.ended_at = self.now;
        contact.request = None;
        contact.invite = None;
        self.db.drop_receipts(contact.id.into())?;
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

    pub(super) fn revoke(&mut self, key: &PublicKey) -> Result<(), Error> {
        let key = Some(Zeroizing::new(*key.as_bytes()));
        self.db.put_job(&NewJob { key, ..self.own_job(JobKind::Revoke) })?;
        Ok(())
    }

    /// A log has ended for this device: closed by the other side, or it cannot be read on.
    pub(super) fn end_log(
        &mut self,
        mailbox: &MailboxId,
        state: LogState,
        code: Code,
    ) -> Result<(), Error> {
        let mut log = self.db.need_log(mailbox)?;
        self.end(&mut log, state, code)?;
        self.db.put_log(&log)
    }

    /// The same, for a log that its holder writes. If messages went there, the conversation has
    /// ended with it.
    pub(super) fn end(
        &mut self,
        log: &mut LogRow,
        state: LogState,
        code: Code,
    ) -> Result<(), Error> {
        if let Some(lost) = log.commit.take() {
            self.drop_commit(&lost)?;
        }
        log.state = state;
        self.db.drop_wishes(&log.mailbox)?;
        let mut conversation = self.db.need_conversation(log.conversation)?;
        if conversation.log != Some(log.mailbox) {
            return Ok(());
        }
        if conversation.is_group() && state == LogState::Closed {
            return self.take_removal(log);
        }
        if conversation.is_room {
            return self.end_room(conversation, &log.mailbox, code);
        }
        let id = conversation.id;
        if conversation.state.kind == GroupKind::Own {
            conversation.standing = Standing::Removed;
            self.db.put_conversation(&conversation)?;
            // DEV-13
            return if state == LogState::Closed { self.take_unlinked() } else { Ok(()) };
        }
        let notice = match state {
            LogState::Captured => Notice::Captured { conversation: id },
            LogState::Lost => Notice::ConversationLost { conversation: id },
            LogState::Gone => Notice::Gone { conversation: id },
            LogState::Closed | LogState::Creating | LogState::Live | LogState::Invited => {
                Notice::ConversationClosed { conversation: id }
            }
        };
        if state == LogState::Captured && self.plan_restart(&conversation)? {
            self.notice(notice);
            return Ok(());
        }
        if conversation.is_group() {
            self.notice(notice);
            conversation.standing = Standing::Broken;
            self.db.put_conversation(&conversation)?;
            // What waits goes on when the conversation does.
            return self.tell_conversation(&conversation);
        }
        let mut contact = self.db.need_contact(id.contact())?;
        if contact.state != ContactState::Active {
            return Ok(());
        }
        self.notice(notice);
        contact.state = ContactState::Ended;
        self.put_contact(&contact)?;
        self.refuse_outbox(id, code)
    }

    /// What waits in a conversation will not be sent.
    pub(super) fn refuse_outbox(&mut self, of: ConversationId, code: Code) -> Result<(), Error> {
        loop {
            let rows = self.db.outbox(of, 0, crate::limits::DELIVERY_BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.refuse_content(of, &row.id, code)?;
            }
        }
    }
}
