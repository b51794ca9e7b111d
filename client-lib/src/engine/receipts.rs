//! Receipts: for every message taken one is owed; they are batched, quiet, and never receipted
//! themselves.

use std::time::Duration;

use restante_crypto::random_bytes;
use restante_spec::ids::{EnvelopeId, UnixTime};
use restante_spec::limits::RECEIPT_IDS;

use super::{Engine, Work};
use crate::error::Error;
use crate::limits::{RECEIPT_DELAY, RECEIPT_SPREAD};
use crate::store::{ContentKind, ConversationState};
use crate::types::ContactId;

impl Engine {
    /// What time alone changes: messages expire, receipts become due, old letters are forgotten.
    pub(crate) fn housekeeping(&mut self, online: bool) -> Result<(), Error> {
        if self.now >= self.next_tidy {
            self.next_tidy = self.now.after(crate::limits::TIDY_EVERY);
            self.transact(|work| work.tidy())?;
        }
        let now = self.now;
        let due = self.store.read().receipts_due()?;
        self.next_receipt = due.iter().map(|(_, due)| *due).min();
        if online && self.next_receipt.is_some_and(|due| due <= now) {
            let due: Vec<ContactId> = due
                .into_iter()
                .filter(|(_, due)| *due <= now)
                .map(|(contact, _)| contact)
                .collect();
            self.transact(|work| due.iter().try_for_each(|contact| work.send_receipts(*contact)))?;
            let left = self.store.read().receipts_due()?;
            self.next_receipt = left.into_iter().map(|(_, due)| due).min();
        }
        Ok(())
    }

    /// Every receipt that is owed is due: the client is about to close.
    pub(crate) fn hasten_receipts(&mut self) -> Result<(), Error> {
        let due = self.store.read().receipts_due()?;
        self.transact(|work| due.iter().try_for_each(|(contact, _)| work.send_receipts(*contact)))
    }

    /// How long until a receipt is due.
    pub(crate) fn until_next_receipt(&self) -> Option<Duration> {
        let due = self.next_receipt?;
        Some(Duration::from_secs(due.get().saturating_sub(self.now.get()).max(1)))
    }
}

impl Work<'_> {
    /// A message was taken: its sender is told, but not at once, so that the time of reading says
    /// little and several go together.
    pub(super) fn owe_receipt(&mut self, contact: ContactId, id: &EnvelopeId) -> Result<(), Error> {
        let [spread] = random_bytes::<1>()?;
        let spread = u64::from(spread) % u64::from(RECEIPT_SPREAD.get());
        let due = UnixTime::new(self.now.after(RECEIPT_DELAY).get() + spread);
        self.db.owe_receipt(contact, id, due)
    }

    /// Puts the receipts owed to a contact into the outbox, if there is where to send them.
    pub(super) fn send_receipts(&mut self, contact: ContactId) -> Result<(), Error> {
        let current = self.db.need_contact(contact)?.conversation;
        let Some(mailbox) = current else { return self.put_off_receipts(contact) };
        match self.db.need_conversation(&mailbox)?.state {
            ConversationState::Live => {}
            ConversationState::Creating => return self.put_off_receipts(contact),
            ConversationState::Closed
            | ConversationState::Captured
            | ConversationState::Lost
            | ConversationState::Gone => return self.db.drop_receipts(contact),
        }
        loop {
            let limit = u32::try_from(RECEIPT_IDS).unwrap_or(u32::MAX);
            let ids = self.db.take_receipts(contact, limit)?;
            if ids.is_empty() {
                return Ok(());
            }
            let body: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
            let id = EnvelopeId::new(random_bytes()?);
            self.db.put_outbox(contact, &id, ContentKind::Receipts, &body, self.now)?;
        }
    }

    fn put_off_receipts(&mut self, contact: ContactId) -> Result<(), Error> {
        self.db.put_off_receipts(contact, self.now.after(RECEIPT_DELAY))
    }

    fn tidy(&mut self) -> Result<(), Error> {
        for message in self.db.expire_messages(self.now)? {
            self.tell_fate(message.contact, &EnvelopeId::new(*message.id.as_bytes()))?;
        }
        self.db.forget_letters(self.now)?;
        // A letter to an invite may wait in the inbox for as long as a relay keeps letters.
        let wait = u64::from(restante_spec::limits::TTL_MAX.get());
        self.db.forget_invites(UnixTime::new(self.now.get().saturating_sub(wait)))
    }
}
