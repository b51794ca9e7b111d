//! Receipts: for every message taken one is owed, and one for what was read if the person agrees;
//! they are batched, quiet, and never receipted themselves.

use std::time::Duration;

use restante_crypto::Member;
use restante_spec::content::{Body, GroupKind, Receipts};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, Seconds, Seq, UnixTime};
use restante_spec::limits::RECEIPT_IDS;

use super::commands::id_of_key;
use super::membership::accounts;
use super::{Engine, Work};
use crate::error::Error;
use crate::limits::{
    EARLY_RECEIPTS, RECEIPT_DELAY, RECEIPT_SPREAD, RECEIPT_SPREAD_MAX, RECEIPT_SPREAD_PER_MEMBER,
    RECIPIENTS_KEPT,
};
use crate::store::{ConversationRow, LogRow, LogState, Meta};
use crate::types::{ContactId, ContactState, ConversationId, MessageId, Reach, Standing};

impl Engine {
    /// What time alone changes: messages expire and disappear, receipts become due, typing ends,
    /// old letters are forgotten, and an old letter key is replaced.
    pub(crate) fn housekeeping(&mut self, online: bool) -> Result<(), Error> {
        if self.now >= self.next_tidy {
            self.next_tidy = self.now.after(crate::limits::TIDY_EVERY);
            self.transact(|work| work.tidy())?;
        }
        self.let_go()?;
        self.end_typing();
        let mut next = vec![self.store.read().next_to_disappear()?, self.next_typing_end()];
        // DEV-13, REC-5: a removed device, or a copied home, does nothing more by itself.
        if online && self.store.read().meta(Meta::Cloned)?.is_none() {
            self.renew_letter_key()?;
            self.send_due_receipts()?;
            self.repairs()?;
            self.returns()?;
            self.restarts()?;
            let left = self.store.read().receipts_due()?;
            next.push(left.into_iter().map(|(_, due)| due).min());
            next.push(self.store.read().next_wish(self.now)?);
            next.push(self.store.read().next_repair()?);
            next.push(self.store.read().next_return()?);
            next.push(self.work_on_history()?);
        }
        self.take_fetched()?;
        self.next_due = next.into_iter().flatten().min();
        Ok(())
    }

    fn send_due_receipts(&mut self) -> Result<(), Error> {
        let now = self.now;
        let mut due = self.store.read().receipts_due()?;
        due.retain(|(_, at)| *at <= now);
        if due.is_empty() {
            return Ok(());
        }
        self.transact(|work| due.iter().try_for_each(|(of, _)| work.send_receipts(*of)))
    }

    /// Every receipt that is owed is due: the client is about to close.
    pub(crate) fn hasten_receipts(&mut self) -> Result<(), Error> {
        let due = self.store.read().receipts_due()?;
        self.transact(|work| due.iter().try_for_each(|(of, _)| work.send_receipts(*of)))
    }

    /// How long until something is due.
    pub(crate) fn until_next_due(&self) -> Option<Duration> {
        let due = self.next_due?;
        Some(Duration::from_secs(due.get().saturating_sub(self.now.get()).max(1)))
    }
}

impl Work<'_> {
    /// A message was taken: its sender is told, always.
    pub(super) fn owe_delivered(
        &mut self,
        of: &ConversationRow,
        id: &EnvelopeId,
    ) -> Result<(), Error> {
        self.owe_receipt(of, id, Reach::Delivered)
    }

    /// The sender of a message is told how far it has come, but not at once, so that the time of
    /// reading says little and several go together: in a group the later the more members it has.
    pub(super) fn owe_receipt(
        &mut self,
        of: &ConversationRow,
        id: &EnvelopeId,
        how: Reach,
    ) -> Result<(), Error> {
        // ROM-13
        if of.is_room {
            return Ok(());
        }
        // What is owed already takes this one along.
        let due = match self.db.receipt_due(of.id)? {
            Some(due) => due,
            None => {
                let spread = self.spread(of)?;
                self.later(RECEIPT_DELAY, spread)?
            }
        };
        self.db.owe_receipt(of.id, id, how == Reach::Read, due)
    }

    fn spread(&mut self, of: &ConversationRow) -> Result<Seconds, Error> {
        let Some(mailbox) = of.log.filter(|_| of.is_group()) else { return Ok(RECEIPT_SPREAD) };
        let others = u32::try_from(self.others(&mailbox)?.len()).unwrap_or(u32::MAX);
        let more = RECEIPT_SPREAD_PER_MEMBER.get().saturating_mul(others);
        let spread = RECEIPT_SPREAD.get().saturating_add(more);
        Ok(Seconds::new(spread.min(RECEIPT_SPREAD_MAX.get())))
    }

    /// Puts the receipts owed to a conversation into the outbox, if there is where to send them.
    pub(super) fn send_receipts(&mut self, id: ConversationId) -> Result<(), Error> {
        let conversation = self.db.need_conversation(id)?;
        let Some(mailbox) = conversation.log else { return self.put_off_receipts(id) };
        match self.db.need_log(&mailbox)?.state {
            LogState::Live if self.takes_part(id)? => {}
            LogState::Creating | LogState::Invited | LogState::Gone => {
                return self.put_off_receipts(id);
            }
            LogState::Live | LogState::Closed | LogState::Captured | LogState::Lost => {
                return self.db.drop_receipts(id);
            }
        }
        loop {
            let limit = u32::try_from(RECEIPT_IDS).unwrap_or(u32::MAX);
            let receipts = self.db.take_receipts(id, limit)?;
            if receipts == Receipts::default() {
                return Ok(());
            }
            self.queue_body(id, &Body::Receipts(receipts))?;
        }
    }

    /// Whether this account still has to do with those who are in a conversation.
    pub(super) fn takes_part(&self, id: ConversationId) -> Result<bool, Error> {
        let conversation = self.db.need_conversation(id)?;
        Ok(match conversation.state.kind {
            GroupKind::Direct => self.db.need_contact(id.contact())?.state == ContactState::Active,
            GroupKind::Group(_) | GroupKind::Own => conversation.standing == Standing::Open,
        })
    }

    /// An account says which messages it has, and which of them were read there.
    pub(super) fn take_receipts(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        seq: Seq,
        receipts: &Receipts,
    ) -> Result<(), Error> {
        let (of, who) = (log.conversation, id_of_key(author));
        let delivered = receipts.delivered.iter().map(|id| (id, Reach::Delivered));
        let read = receipts.read.iter().map(|id| (id, Reach::Read));
        for (id, how) in delivered.chain(read) {
            let message = MessageId::new(*id.as_bytes());
            if who == of.contact() {
                // A first message went in a letter, to one account.
                self.db.add_recipient(of, id, who, self.now)?;
            }
            if self.db.reach(of, id, who, how, self.now)? {
                // What was delivered need not be sent again, whatever the relay answered.
                self.miss_place(log, id, seq)?;
                self.db.take_outbox_of(of, id)?;
                if self.db.settle_fate(of, &message)? {
                    self.tell_fate(of, id)?;
                }
            } else if self.account.key.is_none() {
                // DEV-16: its message may still come from the account's first device.
                let read = how == Reach::Read;
                self.db.put_early_receipt(of, id, who, read, EARLY_RECEIPTS)?;
            }
        }
        Ok(())
    }

    /// Accounts that are in a conversation no more are not waited for.
    pub(super) fn forget_recipients(
        &mut self,
        of: ConversationId,
        gone: &[PublicKey],
        members: &[Member],
    ) -> Result<(), Error> {
        let here = accounts(members);
        for account in gone.iter().filter(|account| !here.contains(account)) {
            for message in self.db.drop_recipient(of, id_of_key(account))? {
                if self.db.settle_fate(of, &message)? {
                    self.tell_fate(of, &EnvelopeId::new(*message.as_bytes()))?;
                }
            }
        }
        Ok(())
    }

    /// The other accounts of a group; of a room nobody knows them.
    pub(super) fn others(&mut self, mailbox: &MailboxId) -> Result<Vec<ContactId>, Error> {
        if self.db.is_room(mailbox)? {
            return Ok(Vec::new());
        }
        let own = *self.account.id().key();
        let all = accounts(&self.members(mailbox)?);
        Ok(all.iter().filter(|account| **account != own).map(id_of_key).collect())
    }

    fn put_off_receipts(&mut self, conversation: ConversationId) -> Result<(), Error> {
        self.db.put_off_receipts(conversation, self.now.after(RECEIPT_DELAY))
    }

    fn tidy(&mut self) -> Result<(), Error> {
        for (of, message) in self.db.expire_messages(self.now)? {
            self.tell_fate(of, &EnvelopeId::new(*message.as_bytes()))?;
        }
        let kept = u64::from(RECIPIENTS_KEPT.get());
        self.db.forget_recipients(UnixTime::new(self.now.get().saturating_sub(kept)))?;
        self.renew_claims()?;
        self.forget_letter_keys()?;
        self.db.forget_letters(self.now)?;
        // A letter to an invite may wait in the inbox for as long as a relay keeps letters.
        let wait = u64::from(restante_spec::limits::TTL_MAX.get());
        self.db.forget_invites(UnixTime::new(self.now.get().saturating_sub(wait)))
    }
}
