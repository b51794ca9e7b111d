//! The answer to an invitation of a group, on this device or another of the account.

use super::{Engine, Work};
use crate::error::Error;
use crate::store::{ConversationRow, LogState};
use crate::types::{Conversation, ConversationId, Standing};

impl Engine {
    pub(crate) fn accept_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| work.accept_group(id))
    }

    pub(crate) fn decline_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| work.decline_group(id))
    }
}

impl Work<'_> {
    pub(super) fn accept_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        let mut row = self.invitation(id)?;
        self.take_part(&mut row)?;
        self.answer(&row)?;
        self.show_conversation(&row)
    }

    /// A person has answered an invitation, here or on another device. Without a log, the letter
    /// came to another device, which hears of it.
    pub(super) fn answer(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let Some(mailbox) = row.log else { return Ok(()) };
        let mut log = self.db.need_log(&mailbox)?;
        log.state = match row.standing {
            Standing::Open => LogState::Live,
            // DEV-18: another device may have agreed.
            Standing::Left => LogState::Invited,
            _ => LogState::Closed,
        };
        self.db.put_log(&log)?;
        if row.standing == Standing::Open {
            // Whichever agreed may not be in it yet.
            self.add_own_devices(row.id, &mailbox)?;
            let members = self.members(&mailbox)?;
            return self.remove_again(&log, &members);
        }
        self.db.drop_wishes(&mailbox)
    }

    /// Nobody is told: whoever is not there is not read to, and can be removed.
    fn decline_group(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        let mut row = self.invitation(id)?;
        row.standing = Standing::Left;
        self.db.put_conversation(&row)?;
        self.answer(&row)?;
        self.tell_conversation(&row)?;
        self.show_conversation(&row)
    }

    fn invitation(&self, id: ConversationId) -> Result<ConversationRow, Error> {
        let row = self.db.need_conversation(id)?;
        match row.standing {
            Standing::Invited => Ok(row),
            standing => Err(Error::WrongStanding { standing }),
        }
    }

    /// Whether a person has declined an invitation, and nothing else has happened in its log.
    pub(super) fn was_declined(&self, row: &ConversationRow) -> Result<bool, Error> {
        let log = row.log.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        let unread = log.is_none_or(|log| log.state == LogState::Invited);
        Ok(row.standing == Standing::Left && unread)
    }
}
