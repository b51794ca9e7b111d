//! Receipts: for every message taken one is owed; they are batched, quiet, and never receipted
//! themselves.

use std::time::Duration;

use restante_spec::content::{Body, Receipts};
use restante_spec::ids::{EnvelopeId, UnixTime};
use restante_spec::limits::RECEIPT_IDS;

use super::{Engine, Work};
use crate::error::Error;
use crate::limits::{RECEIPT_DELAY, RECEIPT_SPREAD};
use crate::store::LogState;
use crate::types::ConversationId;

impl Engine {
    /// What time alone changes: messages expire, receipts become due, old letters are forgotten.
    pub(crate) fn housekeeping(&mut self, online: bool) -> Result<(), Error> {
        if self.now >= self.next_tidy {
            self.next_tidy = self.now.after(crate::limits::TIDY_EVERY);
            self.transact(|work| work.tidy())?;
        }
        let now = self.now;
        if online {
            self.repairs()?;
            self.returns()?;
            self.restarts()?;
        }
        let due = self.store.read().receipts_due()?;
        self.next_due = due.iter().map(|(_, due)| *due).min();
        if online && self.next_due.is_some_and(|due| due <= now) {
            let due: Vec<ConversationId> = due
                .into_iter()
                .filter(|(_, due)| *due <= now)
                .map(|(conversation, _)| conversation)
                .collect();
            self.transact(|work| due.iter().try_for_each(|of| work.send_receipts(*of)))?;
            let left = self.store.read().receipts_due()?;
            self.next_due = left.into_iter().map(|(_, due)| due).min();
        }
        let wish = self.store.read().next_wish(now)?;
        let (repair, back) = (self.store.read().next_repair()?, self.store.read().next_return()?);
        self.next_due = self.next_due.into_iter().chain(wish).chain(repair).chain(back).min();
        Ok(())
    }

    /// Every receipt that is owed is due: the client is about to close.
    pub(crate) fn hasten_receipts(&mut self) -> Result<(), Error> {
        let due = self.store.read().receipts_due()?;
        self.transact(|work| due.iter().try_for_each(|(of, _)| work.send_receipts(*of)))
    }

    /// How long until a receipt is due, or a wish that waits for its time.
    pub(crate) fn until_next_due(&self) -> Option<Duration> {
        let due = self.next_due?;
        Some(Duration::from_secs(due.get().saturating_sub(self.now.get()).max(1)))
    }
}

impl Work<'_> {
    /// A message was taken: its sender is told, but not at once, so that the time of reading says
    /// little and several go together.
    pub(super) fn owe_receipt(
        &mut self,
        conversation: ConversationId,
        id: &EnvelopeId,
    ) -> Result<(), Error> {
        let due = self.later(RECEIPT_DELAY, RECEIPT_SPREAD)?;
        self.db.owe_receipt(conversation, id, due)
    }

    /// Puts the receipts owed to a contact into the outbox, if there is where to send them.
    pub(super) fn send_receipts(&mut self, conversation: ConversationId) -> Result<(), Error> {
        let current = self.db.need_conversation(conversation)?.log;
        let Some(mailbox) = current else { return self.put_off_receipts(conversation) };
        match self.db.need_log(&mailbox)?.state {
            LogState::Live => {}
            LogState::Creating | LogState::Invited | LogState::Gone => {
                return self.put_off_receipts(conversation);
            }
            LogState::Closed | LogState::Captured | LogState::Lost => {
                return self.db.drop_receipts(conversation);
            }
        }
        loop {
            let limit = u32::try_from(RECEIPT_IDS).unwrap_or(u32::MAX);
            let ids = self.db.take_receipts(conversation, limit)?;
            if ids.is_empty() {
                return Ok(());
            }
            let receipts = Receipts { delivered: ids, read: Vec::new() };
            self.queue_body(conversation, &Body::Receipts(receipts))?;
        }
    }

    fn put_off_receipts(&mut self, conversation: ConversationId) -> Result<(), Error> {
        self.db.put_off_receipts(conversation, self.now.after(RECEIPT_DELAY))
    }

    fn tidy(&mut self) -> Result<(), Error> {
        for message in self.db.expire_messages(self.now)? {
            self.tell_fate(message.conversation, &EnvelopeId::new(*message.id.as_bytes()))?;
        }
        self.db.forget_letters(self.now)?;
        // A letter to an invite may wait in the inbox for as long as a relay keeps letters.
        let wait = u64::from(restante_spec::limits::TTL_MAX.get());
        self.db.forget_invites(UnixTime::new(self.now.get().saturating_sub(wait)))
    }
}
