//! History a device came too late for, and conversations it has no log of: it asks another device
//! of its account (DEV-23).

use restante_crypto::generate_reader;
use restante_spec::archive::Log;
use restante_spec::content::{GroupKind, HistoryWanted, LogPosition, StateRecord};
use restante_spec::ids::{PublicKey, UnixTime};

use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{RETURN_DELAY, RETURN_SPREAD, RETURN_WAITS};
use crate::store::{AwaitedLog, AwaitedRow, ConversationRow, LogRow, LogState, ReturnRow};
use crate::types::{ConversationId, Standing};

impl Engine {
    /// Asks for conversations that were waited for long enough.
    pub(in crate::engine) fn ask_for_awaited(&mut self) -> Result<(), Error> {
        let due = self.store.read().awaited_due(self.now)?;
        if due.is_empty() {
            return Ok(());
        }
        self.transact(|work| due.into_iter().try_for_each(|row| work.ask_for_log(row)))
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
        match self.other_devices().first() {
            Some(other) if of != self.own_conversation_id() => self.tell_wanted(of, other, behind),
            _ => Ok(()),
        }
    }

    fn tell_wanted(
        &mut self,
        of: ConversationId,
        other: &PublicKey,
        behind: LogPosition,
    ) -> Result<(), Error> {
        let wanted = HistoryWanted { of: *other, behind };
        // DEV-23
        self.tell_record(&StateRecord::Wanted(*of.as_bytes(), wanted))
    }

    fn other_devices(&self) -> Vec<PublicKey> {
        let own = self.account.device.public();
        let all = self.account.list.devices().iter().map(|listed| *listed.certificate.device());
        all.filter(|device| *device != own).collect()
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
        if wanted.of != self.account.device.public() {
            return Ok(());
        }
        if let Some(mailbox) = row.log.filter(|_| row.standing.is_in())
            && self.db.need_log(&mailbox)?.state == LogState::Live
        {
            self.add_own_devices(of, &mailbox)?;
        }
        // DEV-23
        self.db.put_share(asker, of, wanted.behind, self.now)
    }

    /// A record says that the account is in a conversation, and this device is not: it waits to be
    /// let in.
    pub(in crate::engine) fn await_log(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if row.log.is_some() || !row.standing.is_in() || self.db.is_awaited(row.id)? {
            return Ok(());
        }
        self.db.put_awaited(&AwaitedRow {
            conversation: row.id,
            asked: 0,
            due: self.first_wait()?,
            log: None,
        })
    }

    /// Another device has named the log of a conversation this one has none of.
    pub(super) fn learn_log(&mut self, row: &ConversationRow, log: &Log) -> Result<(), Error> {
        if !row.standing.is_in() || row.is_room || self.db.log(&log.mailbox)?.is_some() {
            return Ok(());
        }
        self.db.put_awaited(&AwaitedRow {
            conversation: row.id,
            asked: 0,
            due: self.first_wait()?,
            log: Some(AwaitedLog {
                mailbox: log.mailbox,
                relay: log.relay.to_string(),
                generation: log.generation,
            }),
        })
    }

    fn first_wait(&self) -> Result<UnixTime, Error> {
        Ok(self.wait_of(0)?.unwrap_or(self.now))
    }

    /// How long an answer is waited for in a round; `None`: there is no such round.
    fn wait_of(&self, round: usize) -> Result<Option<UnixTime>, Error> {
        RETURN_WAITS.get(round).map(|wait| self.later(*wait, RETURN_SPREAD)).transpose()
    }

    fn ask_for_log(&mut self, awaited: AwaitedRow) -> Result<(), Error> {
        let of = awaited.conversation;
        let row = self.db.conversation(of)?.filter(|row| row.log.is_none());
        let Some(row) = row.filter(|row| row.standing.is_in()) else {
            return self.db.drop_awaited(of);
        };
        if let Some(log) = awaited.log {
            self.db.drop_awaited(of)?;
            return self.ask_to_come_in(row, log);
        }
        let (others, asked) = (self.other_devices(), awaited.asked as usize);
        let round = asked.checked_div(others.len()).unwrap_or(RETURN_WAITS.len());
        let turn = asked.checked_rem(others.len()).unwrap_or(0);
        let Some((other, due)) = others.get(turn).zip(self.wait_of(round)?) else {
            self.db.drop_awaited(of)?;
            return self.give_up(row);
        };
        self.tell_wanted(of, other, LogPosition::default())?;
        self.db.put_awaited(&AwaitedRow { asked: awaited.asked + 1, due, ..awaited })
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
        self.db.put_return(&ReturnRow { mailbox, asked: 0, due })
    }

    /// Nobody could say where it is. What waits to be sent goes on when the conversation does.
    fn give_up(&mut self, mut row: ConversationRow) -> Result<(), Error> {
        row.standing = Standing::Broken;
        self.db.put_conversation(&row)?;
        self.forget_changes(StateRecord::CONVERSATION, row.id.as_bytes())?;
        self.notice(Notice::ConversationLost { conversation: row.id });
        self.tell_conversation(&row)
    }
}
