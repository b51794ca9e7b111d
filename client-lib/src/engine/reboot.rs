//! Beginning anew: a conversation whose log cannot go on, or that is to lie elsewhere, goes on in a
//! new log with the same people, state and history (CNV-20).

use std::cmp::Reverse;

use restante_crypto::{DeviceList, Suite, random_bytes};
use restante_spec::address::RelayAddress;
use restante_spec::content::{GroupState, Role, WelcomeLetter};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, Seq, UnixTime};
use restante_spec::limits::WELCOME_UNHEARD;

use super::commands::id_of_key;
use super::group_acts::slot;
use super::membership::accounts;
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::{MOVED_CLOSE, RESTART_DELAY, RESTART_EVERY, RESTART_SPREAD};
use crate::store::{
    ConversationRow, InboxRef, JobKind, LogRow, LogState, NewJob, NewMessage, Place, Wish,
    pack_changes,
};
use crate::types::{
    ContactState, Conversation, ConversationId, Fate, GroupChange, MessageKind, Standing,
};

impl Engine {
    pub(crate) fn move_conversation(
        &mut self,
        id: ConversationId,
        relay: Option<&RelayAddress>,
        large: bool,
    ) -> Result<Conversation, Error> {
        let relay = relay.map(ToString::to_string);
        self.transact(|work| {
            let mut row = work.db.need_conversation(id)?;
            if !work.may_restart(&row)? {
                return Err(Error::NotAllowed);
            }
            if work.is_cloned()? {
                return Err(Error::Cloned);
            }
            if large && !row.is_group() {
                return Err(Error::NotAGroup);
            }
            let suite = work.suite_anew(&row, large)?;
            work.restart(&mut row, relay, suite)?;
            work.show_conversation(&row)
        })
    }

    /// Begins anew what cannot go on, if it is time.
    pub(crate) fn restarts(&mut self) -> Result<(), Error> {
        let due = self.store.read().restarts_due(self.now)?;
        if due.is_empty() {
            return Ok(());
        }
        self.transact(|work| due.into_iter().try_for_each(|id| work.restart_by_itself(id)))
    }
}

impl Work<'_> {
    /// Whether this account may begin a conversation anew: an administrator, or either of two.
    fn may_restart(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        let Some(mailbox) = row.log.filter(|_| !row.is_room) else { return Ok(false) };
        let state = self.db.need_log(&mailbox)?.state;
        if matches!(state, LogState::Creating | LogState::Closed | LogState::Invited) {
            return Ok(false);
        }
        if row.is_group() {
            let able = row.state.role(self.account.id().key()) >= Role::Administrator;
            let here = [Standing::Open, Standing::Broken, Standing::Restored];
            return Ok(able && here.contains(&row.standing));
        }
        // REV-7: the other one must let it in.
        if !self.has_group(&mailbox)? {
            return Ok(false);
        }
        let contact = self.db.contact(row.id.contact())?;
        let states = [ContactState::Active, ContactState::Ended];
        Ok(contact.is_some_and(|contact| states.contains(&contact.state)))
    }

    /// Nobody can go on in this log: it is begun anew a little later, at most once a day. Says
    /// whether this device will.
    pub(super) fn plan_restart(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        let last = self.db.last_restart(row.id)?;
        let again = last.is_none_or(|last| last.after(RESTART_EVERY) <= self.now);
        // CNV-20
        if !again || !self.may_restart(row)? {
            return Ok(false);
        }
        let due = self.later(RESTART_DELAY, RESTART_SPREAD)?;
        self.db.plan_restart(row.id, due)?;
        Ok(true)
    }

    /// The safest suite that has room for all who are there, unless a person wants more room.
    fn suite_anew(&mut self, row: &ConversationRow, large: bool) -> Result<Suite, Error> {
        let Some(mailbox) = row.log.filter(|_| !large) else { return Ok(Suite::Classical) };
        // How many there are a recovery file does not say.
        let leaves = if self.has_group(&mailbox)? { self.members(&mailbox)?.len() } else { 0 };
        let room = Suite::Hybrid.max_leaves();
        Ok(if leaves <= room { Suite::Hybrid } else { Suite::Classical })
    }

    fn restart_by_itself(&mut self, id: ConversationId) -> Result<(), Error> {
        self.db.clear_restart(id)?;
        let mut row = self.db.need_conversation(id)?;
        let Some(mailbox) = row.log else { return Ok(()) };
        let over = [LogState::Captured, LogState::Gone, LogState::Lost];
        // Somebody else may have been quicker.
        if !over.contains(&self.db.need_log(&mailbox)?.state) || !self.may_restart(&row)? {
            return Ok(());
        }
        self.db.note_restart(id, self.now)?;
        let suite = self.suite_of(&mailbox)?;
        self.restart(&mut row, None, suite)
    }

    /// Makes the new log, and goes on there.
    pub(super) fn restart(
        &mut self,
        row: &mut ConversationRow,
        relay: Option<String>,
        suite: Suite,
    ) -> Result<(), Error> {
        let old = row.log.ok_or(Error::WrongStanding { standing: row.standing })?;
        if !row.is_group() {
            let mut contact = self.db.need_contact(row.id.contact())?;
            contact.state = ContactState::Active;
            self.db.put_contact(&contact)?;
        }
        let mut people = self.known_accounts(row, &old)?;
        let roles = row.state.officers.clone();
        // CNV-20: where an owner is not yet, the others are asked.
        people.sort_by_key(|account| Reverse(row.state.role(account)));
        row.state.generation = self.next_generation(row.id)?;
        let relay = relay.unwrap_or_else(|| self.account.relay.to_string());
        let mailbox = self.create_log_on(row, suite, relay)?;
        let own = *self.account.id().key();
        for account in people.iter().filter(|account| **account != own) {
            self.wish_anew(row, &mailbox, account, suite)?;
            if let Some(role) = roles.get(account) {
                self.db.put_wish(&mailbox, &Wish::role(account, *role), self.now)?;
            }
        }
        if let Some(role) = roles.get(&own) {
            // Whoever is alone in a group owns it: until the others are there.
            self.db.put_wish(&mailbox, &Wish::role(&own, *role), self.now)?;
        }
        let log = self.db.need_log(&mailbox)?;
        let state = row.state.clone();
        self.go_on_in(row, state, &log)
    }

    /// Fetches the key packages of an account that goes along.
    fn wish_anew(
        &mut self,
        row: &ConversationRow,
        mailbox: &MailboxId,
        account: &PublicKey,
        suite: Suite,
    ) -> Result<(), Error> {
        let Some(way) = self.way_to(row, account)? else {
            return self.notice_unaddable(row, account);
        };
        self.take_packages(row.id, mailbox, account, suite, (&way.inbox, &way.list))
    }

    /// Notes that an account is to be added with all devices, once their packages are here.
    pub(super) fn take_packages(
        &mut self,
        of: ConversationId,
        mailbox: &MailboxId,
        account: &PublicKey,
        suite: Suite,
        (inbox, list): (&InboxRef, &DeviceList),
    ) -> Result<(), Error> {
        let missing = u8::try_from(list.devices().len()).unwrap_or(u8::MAX);
        let wish = Wish::Add { account: *account.as_bytes(), packages: Vec::new(), missing };
        self.db.put_wish(mailbox, &wish, self.now)?;
        for device in list.devices() {
            let number = device.certificate.number().get();
            self.db.put_job(&NewJob {
                contact: Some(id_of_key(account)),
                conversation: Some(of),
                slot: slot(number, suite),
                key: Some(inbox.key.clone()),
                envelope: Some(EnvelopeId::new(random_bytes()?)),
                ..NewJob::new(inbox.relay.clone(), inbox.mailbox, JobKind::TakePrekey)
            })?;
        }
        Ok(())
    }

    /// Whether a log is safer than another one may be: from a hybrid suite to a classical one a
    /// person must agree. What is not known of a recovery file's counts as hybrid.
    pub(super) fn is_weaker(&mut self, new: &MailboxId, old: &MailboxId) -> Result<bool, Error> {
        let old = if self.has_group(old)? { self.suite_of(old)? } else { Suite::Hybrid };
        Ok(self.suite_of(new)? == Suite::Classical && old == Suite::Hybrid)
    }

    /// From here on a conversation's messages go to this log; the one before is read for as long as
    /// others may still write to it.
    pub(super) fn go_on_in(
        &mut self,
        row: &mut ConversationRow,
        state: GroupState,
        log: &LogRow,
    ) -> Result<(), Error> {
        if let Some(old) = row.log {
            self.leave_behind(&old)?;
        }
        row.log = Some(log.mailbox);
        row.state = state;
        row.reopen();
        self.db.put_conversation(row)?;
        self.db.forget_contents(row.id, 0)?;
        self.put_restarted(log)?;
        if row.is_group() {
            self.queue_profile_to(row.id)?;
            return self.tell_conversation(row);
        }
        let mut contact = self.db.need_contact(row.id.contact())?;
        contact.state = ContactState::Active;
        self.put_contact(&contact)
    }

    fn leave_behind(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let mut old = self.db.need_log(mailbox)?;
        self.db.drop_return(mailbox)?;
        match old.state {
            LogState::Creating => {
                old.state = LogState::Closed;
                self.db.drop_jobs_of(mailbox)?;
                self.db.put_log(&old)
            }
            LogState::Live => {
                let (close, due) = (Wish::Close { removes: false }, self.now.after(MOVED_CLOSE));
                self.db.put_wish(mailbox, &close, due)
            }
            LogState::Closed
            | LogState::Captured
            | LogState::Lost
            | LogState::Gone
            | LogState::Invited => self.db.drop_wishes(mailbox),
        }
    }

    /// The devices this one hears no more in logs a group has left, as many as a Welcome names.
    pub(super) fn unheard(&mut self, log: &LogRow) -> Result<Vec<PublicKey>, Error> {
        let mut unheard = Vec::new();
        for (left, cursor, device) in self.only_in_left_logs(log)? {
            if self.db.muted(&left, cursor)?.contains(&device) && !unheard.contains(&device) {
                unheard.push(device);
            }
        }
        unheard.truncate(WELCOME_UNHEARD);
        Ok(unheard)
    }

    /// Who is let in later has not seen whom a commit removed, and does not hear them either.
    pub(super) fn take_unheard(&mut self, welcome: &WelcomeLetter) -> Result<(), Error> {
        let log = self.db.need_log(&welcome.mailbox)?;
        for (left, cursor, device) in self.only_in_left_logs(&log)? {
            // CNV-20
            if welcome.unheard.contains(&device) {
                self.db.mute(&left, &device, cursor)?;
            }
        }
        Ok(())
    }

    /// The devices in logs a group has left, with how far those were read, whose accounts are not
    /// in the log it goes on in.
    fn only_in_left_logs(
        &mut self,
        log: &LogRow,
    ) -> Result<Vec<(MailboxId, Seq, PublicKey)>, Error> {
        let row = self.db.need_conversation(log.conversation)?;
        // What is not agreed to ends nothing.
        let goes_on = row.log == Some(log.mailbox) && row.standing != Standing::Invited;
        if !row.is_group() || !goes_on {
            return Ok(Vec::new());
        }
        let (here, mut only) = (accounts(&self.members(&log.mailbox)?), Vec::new());
        for left in self.db.logs_of(row.id)?.iter().filter(|left| left.mailbox != log.mailbox) {
            for member in self.members_if_in(&left.mailbox)? {
                let Some(device) = &member.device else { continue };
                if !here.contains(device.account().key()) {
                    only.push((left.mailbox, left.cursor, *device.device()));
                }
            }
        }
        Ok(only)
    }

    /// Shows where the new log begins.
    fn put_restarted(&mut self, log: &LogRow) -> Result<(), Error> {
        let (mailbox, generation) = (Some(log.mailbox), log.generation);
        let expires_at = UnixTime::new(0);
        let event = self.db.put_message(&NewMessage {
            id: EnvelopeId::new(random_bytes()?),
            conversation: log.conversation,
            place: Some(Place { mailbox, generation, seq: Seq::START, expires_at }),
            author: None,
            kind: MessageKind::Event,
            text: "",
            content: &pack_changes(&[GroupChange::Restarted])?,
            at: self.now,
            fate: Fate::Received,
            reply_to: None,
            timer: None,
        })?;
        self.events.extend(event.map(Event::Message));
        Ok(())
    }
}
