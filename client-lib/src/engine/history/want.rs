//! History a device came too late for, and conversations it has no log of: it asks another device
//! of its account (DEV-23).

use restante_crypto::generate_reader;
use restante_spec::archive::Log;
use restante_spec::content::{GroupKind, HistoryWanted, LogPosition, StateRecord, SyncRecord};
use restante_spec::ids::{MailboxId, PublicKey, UnixTime};
use restante_spec::limits::SYNC_RECORDS;

use crate::engine::outbox::unwritable;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{AWAITED_ASKS, RETURN_DELAY, RETURN_SPREAD, RETURN_WAITS};
use crate::store::{
    AwaitedLog, AwaitedRow, ConversationRow, LogRow, LogState, Meta, ReturnRow, Wish, WishRow,
};
use crate::types::{ContactState, ConversationId, Standing};

impl Engine {
    /// Asks for conversations that were waited for long enough.
    pub(in crate::engine) fn ask_for_awaited(&mut self) -> Result<(), Error> {
        let due = self.store.read().awaited_due(self.now)?;
        if due.is_empty() {
            return Ok(());
        }
        self.transact(|work| {
            let mut records = Vec::new();
            for row in due {
                records.extend(work.ask_for_log(row)?);
            }
            // A device that was just linked may wait for many.
            while !records.is_empty() {
                let some = records.drain(..records.len().min(SYNC_RECORDS));
                work.queue_records(some.collect())?;
            }
            Ok(())
        })
    }
}

impl Work<'_> {
    /// What stands behind a place was let go before this device had read it: another one of the
    /// account may have it.
    pub(in crate::engine) fn want_history(
        &mut self,
        of: ConversationId,
        behind: LogPosition,
    ) -> Result<(), Error> {
        match self.other_devices()?.first() {
            // DEV-23
            Some(other) if of != self.own_conversation_id() => {
                self.tell_record(&wanted(of, other, behind))
            }
            _ => Ok(()),
        }
    }

    /// The other devices that hear what is said in the own conversation; none while this one cannot
    /// say anything there.
    fn other_devices(&mut self) -> Result<Vec<PublicKey>, Error> {
        let Some(log) = self.own_log()? else { return Ok(Vec::new()) };
        let list = self.lists.read(&self.db.need_meta(Meta::DeviceList)?)?;
        let (own, members) = (self.account.device.public(), self.members(&log.mailbox)?);
        let all = members.iter().filter_map(|member| member.device.as_ref());
        let all = all.map(|certificate| *certificate.device());
        Ok(all.filter(|device| *device != own && list.device(device).is_some()).collect())
    }

    /// Another device misses something.
    pub(in crate::engine) fn take_wanted(
        &mut self,
        asker: &PublicKey,
        of: ConversationId,
        wanted: &HistoryWanted,
    ) -> Result<(), Error> {
        let row = self.db.conversation(of)?.filter(|row| row.state.kind != GroupKind::Own);
        let Some(row) = row.filter(|row| !row.is_room) else { return Ok(()) };
        let list = self.lists.read(&self.db.need_meta(Meta::DeviceList)?)?;
        // DEV-14: one that was removed gets nothing, even if it has asked before.
        if wanted.of != self.account.device.public() || list.device(asker).is_none() {
            return Ok(());
        }
        if let Some(mailbox) = row.log.filter(|_| row.standing.is_in())
            && self.db.need_log(&mailbox)?.state == LogState::Live
            && !self.adds_own(&mailbox)?
        {
            self.add_own_devices(of, &mailbox)?;
        }
        // DEV-23
        self.db.put_share(asker, of, wanted.behind, self.now)
    }

    /// Whether devices of this account are about to be added to a group.
    fn adds_own(&self, mailbox: &MailboxId) -> Result<bool, Error> {
        let own = *self.account.id().key().as_bytes();
        let is_own =
            |wish: &WishRow| matches!(&wish.what, Wish::Add { account, .. } if *account == own);
        Ok(self.db.wishes(mailbox)?.iter().any(is_own))
    }

    /// A record says that the account is in a conversation, and this device is not: it waits to be
    /// let in.
    pub(in crate::engine) fn await_log(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if row.log.is_some() || !row.standing.is_in() || self.db.is_awaited(row.id)? {
            return Ok(());
        }
        self.wait_for(row.id, None)
    }

    /// Another device has named the log of a conversation this one has none of.
    pub(super) fn learn_log(&mut self, row: &ConversationRow, log: &Log) -> Result<(), Error> {
        if !row.standing.is_in() || row.is_room || self.db.log(&log.mailbox)?.is_some() {
            return Ok(());
        }
        let (relay, generation) = (log.relay.to_string(), log.generation);
        self.wait_for(row.id, Some(AwaitedLog { mailbox: log.mailbox, relay, generation }))
    }

    fn wait_for(&self, conversation: ConversationId, log: Option<AwaitedLog>) -> Result<(), Error> {
        self.db.put_awaited(&AwaitedRow { conversation, asked: 0, due: self.wait_of(0)?, log })
    }

    /// How long an answer is waited for in a round.
    fn wait_of(&self, round: usize) -> Result<UnixTime, Error> {
        let wait = RETURN_WAITS.get(round).or(RETURN_WAITS.last());
        self.later(wait.copied().unwrap_or(RETURN_DELAY), RETURN_SPREAD)
    }

    /// Asks for a conversation, if the account is in it and this device still is not; gives back
    /// what is to be told.
    fn ask_for_log(&mut self, awaited: AwaitedRow) -> Result<Option<SyncRecord>, Error> {
        let of = awaited.conversation;
        let row = self.db.conversation(of)?.filter(|row| row.log.is_none());
        let Some(row) = row.filter(|row| row.standing.is_in()) else {
            return self.db.drop_awaited(of).map(|()| None);
        };
        let contact = self.db.contact(of.contact())?.map(|contact| contact.state);
        if !row.is_group() && contact != Some(ContactState::Active) {
            return self.db.drop_awaited(of).map(|()| None);
        }
        if let Some(log) = awaited.log {
            self.db.drop_awaited(of)?;
            return self.ask_to_come_in(row, log).map(|()| None);
        }
        if self.own_log()?.is_none() {
            // It can be asked for when this device is let into the own conversation.
            let due = self.wait_of(0)?;
            return self.db.put_awaited(&AwaitedRow { due, ..awaited }).map(|()| None);
        }
        let (others, asked) = (self.other_devices()?, awaited.asked as usize);
        let turn = asked.checked_rem(others.len()).unwrap_or(0);
        let Some(other) = others.get(turn).filter(|_| awaited.asked < AWAITED_ASKS) else {
            self.db.drop_awaited(of)?;
            return self.give_up(row).map(|()| None);
        };
        let due = self.wait_of(asked / others.len())?;
        self.db.put_awaited(&AwaitedRow { asked: awaited.asked + 1, due, ..awaited })?;
        let record = wanted(of, other, LogPosition::default()).to_record();
        record.map(Some).map_err(unwritable)
    }

    /// This device stands before the log as one that cannot read on (CNV-19).
    fn ask_to_come_in(&mut self, mut row: ConversationRow, log: AwaitedLog) -> Result<(), Error> {
        let AwaitedLog { mailbox, relay, generation } = log;
        let mut log =
            LogRow::new(mailbox, row.id, relay, generation, LogState::Gone, generate_reader()?);
        let last = self.db.last_place(row.id)?.unwrap_or_default();
        if last.0 == generation {
            log.cursor = last.1;
        }
        self.db.put_log(&log)?;
        row.log = Some(mailbox);
        self.db.put_conversation(&row)?;
        let due = self.later(RETURN_DELAY, RETURN_SPREAD)?;
        self.db.put_return(&ReturnRow::new(mailbox, due))
    }

    /// Nobody could say where it is, or let this device in, which is its lot alone. What waits to
    /// be sent goes on when the conversation does.
    pub(in crate::engine) fn give_up(&mut self, mut row: ConversationRow) -> Result<(), Error> {
        row.standing = Standing::Broken;
        self.db.put_conversation(&row)?;
        self.forget_changes(StateRecord::CONVERSATION, row.id.as_bytes())?;
        self.notice(Notice::ConversationLost { conversation: row.id });
        self.tell_conversation(&row)
    }
}

fn wanted(of: ConversationId, other: &PublicKey, behind: LogPosition) -> StateRecord {
    StateRecord::Wanted(*of.as_bytes(), HistoryWanted { of: *other, behind })
}
