//! Coming back: a device that cannot read a log on asks a member by letter to remove and add it
//! again in one commit, and joins anew (CNV-19).

use std::collections::BTreeSet;

use restante_crypto::{DeviceList, Member, OpenedLetter, Suite};
use restante_spec::codes::Code;
use restante_spec::content::{
    Body, GroupKind, LetterContent, ReaddLetter, RemovedLetter, Role, WelcomeLetter, WelcomePart,
};
use restante_spec::ids::{MailboxId, PublicKey, Seq, UnixTime};

use super::commands::id_of_key;
use super::joining::not_a_member;
use super::membership::{account, accounts};
use super::policy::passed_on;
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{RESTORED_HELPERS, RETURN_DELAY, RETURN_SPREAD, RETURN_WAITS};
use crate::store::{ConversationRow, InboxRef, JobKind, LogRow, LogState, NewJob, ReturnRow, Wish};
use crate::types::{ContactId, ContactState, Standing};

impl Engine {
    /// Asks to be added again where this device cannot read on, if it is time.
    pub(crate) fn returns(&mut self) -> Result<(), Error> {
        self.ask_for_awaited()?;
        let due = self.store.read().returns_due(self.now)?;
        if due.is_empty() {
            return Ok(());
        }
        self.transact(|work| due.iter().try_for_each(|row| work.ask_to_return(row)))
    }
}

impl Work<'_> {
    /// The relay does not deliver what this device would read next: it asks to be added again. What
    /// waits to be sent waits on.
    pub(super) fn lose_track(&mut self, mailbox: &MailboxId, code: Code) -> Result<(), Error> {
        let mut log = self.db.need_log(mailbox)?;
        if log.state == LogState::Live {
            self.lose(&mut log, code)?;
            self.db.put_log(&log)?;
        }
        Ok(())
    }

    /// The same, for a log that its holder writes.
    pub(super) fn lose(&mut self, log: &mut LogRow, code: Code) -> Result<(), Error> {
        let row = self.db.need_conversation(log.conversation)?;
        if row.log == Some(log.mailbox) && row.is_group() && row.standing.is_out() {
            // DEV-20: another device has read to the end.
            return self.end_unread(log);
        }
        // Whoever reads a room is let in by its link alone.
        if row.log != Some(log.mailbox) || row.is_room || !self.reads_on(&row)? {
            return self.end(log, LogState::Lost, code);
        }
        self.notice(Notice::Gone { conversation: row.id });
        let due = self.later(RETURN_DELAY, RETURN_SPREAD)?;
        self.wait_outside(log, due)
    }

    /// This device was taken out and added again by one commit: the way in comes by letter. If it
    /// does not, it is asked for.
    pub(super) fn await_welcome(&mut self, log: &mut LogRow) -> Result<(), Error> {
        let wait = RETURN_WAITS.first().copied().unwrap_or(RETURN_DELAY);
        let due = self.later(wait, RETURN_SPREAD)?;
        self.wait_outside(log, due)
    }

    /// A conversation goes on for another own device that this one has given up.
    pub(super) fn ask_again_to_return(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let log = row.log.map(|mailbox| self.db.need_log(&mailbox)).transpose()?;
        let Some(mut log) = log.filter(|log| log.state == LogState::Lost) else { return Ok(()) };
        let due = self.later(RETURN_DELAY, RETURN_SPREAD)?;
        self.wait_outside(&mut log, due)?;
        self.db.put_log(&log)
    }

    fn wait_outside(&mut self, log: &mut LogRow, due: UnixTime) -> Result<(), Error> {
        if let Some(lost) = log.commit.take() {
            self.drop_commit(&lost)?;
        }
        log.state = LogState::Gone;
        log.epoch = None;
        self.db.put_return(&ReturnRow::new(log.mailbox, due))
    }

    /// Whether this account wants to hear more of a conversation.
    fn reads_on(&self, row: &ConversationRow) -> Result<bool, Error> {
        let restored = row.is_group() && row.standing == Standing::Restored;
        Ok(restored || row.standing == Standing::Leaving || self.takes_part(row.id)?)
    }

    fn ask_to_return(&mut self, row: &ReturnRow) -> Result<(), Error> {
        let mailbox = row.mailbox;
        if mailbox == self.account.inbox {
            return self.say_linked_again();
        }
        let log = self.db.log(&mailbox)?.filter(|log| log.state == LogState::Gone);
        let Some(log) = log else { return self.db.drop_return(&mailbox) };
        let conversation = self.db.need_conversation(log.conversation)?;
        if self.db.has_job_of(conversation.id, JobKind::Readd)? {
            // The last letter has not left yet.
            let due = self.later(RETURN_DELAY, RETURN_SPREAD)?;
            return self.db.put_return(&ReturnRow { due, ..row.clone() });
        }
        let wanted = self.reads_on(&conversation)?;
        let helpers = if wanted { self.helpers(&conversation, &log)? } else { Vec::new() };
        let asked = row.asked as usize;
        let round = asked.checked_div(helpers.len()).unwrap_or(RETURN_WAITS.len());
        let turn = asked.checked_rem(helpers.len()).unwrap_or(0);
        let next = RETURN_WAITS.get(round).zip(helpers.get(turn));
        let Some((wait, (inbox, list))) = next else {
            self.db.drop_return(&mailbox)?;
            if row.is_denied {
                return self.end_told(log);
            }
            // REV-7
            if conversation.standing == Standing::Restored {
                return Ok(());
            }
            if !self.has_group(&mailbox)? {
                // DEV-23: it never was in it; the others of the account are.
                self.db.put_log(&LogRow { state: LogState::Lost, ..log })?;
                return self.give_up(conversation);
            }
            return self.end_log(&mailbox, LogState::Lost, Code::Gone);
        };
        // Whoever no letter can be written to was asked as if he did not answer.
        self.attempt(|work| work.write_readd(&conversation, &log, inbox, list))?;
        let due = self.later(*wait, RETURN_SPREAD)?;
        self.db.put_return(&ReturnRow { asked: row.asked + 1, due, ..row.clone() })
    }

    /// Who can be asked to add this device again, in the order they are asked: the own devices,
    /// then members this device can write letters to, from the left.
    fn helpers(
        &mut self,
        row: &ConversationRow,
        log: &LogRow,
    ) -> Result<Vec<(InboxRef, DeviceList)>, Error> {
        let mut helpers = Vec::new();
        // CNV-19
        if self.account.has_others() {
            helpers.push((self.own_inbox()?, self.account.list.clone()));
        }
        for account in self.known_accounts(row, &log.mailbox)? {
            if account != *self.account.id().key()
                && let Some(way) = self.way_to(row, &account)?
            {
                helpers.push((way.inbox, way.list));
            }
        }
        if row.standing == Standing::Restored {
            // REV-7: each is a person who is disturbed.
            helpers.truncate(RESTORED_HELPERS);
        }
        Ok(helpers)
    }

    /// The accounts of a conversation as this device knows them: as the tree has them; where it is
    /// in none, as the recovery file has them, first those who may add a device.
    pub(super) fn known_accounts(
        &mut self,
        row: &ConversationRow,
        mailbox: &MailboxId,
    ) -> Result<Vec<PublicKey>, Error> {
        if self.has_group(mailbox)? {
            return Ok(accounts(&self.members(mailbox)?));
        }
        if !row.is_group() {
            return self.parties(row);
        }
        // REV-7
        let own = *self.account.id().key();
        let known = self.db.members(row.id)?.into_iter().map(|member| member.account);
        let mut known: Vec<PublicKey> = known.filter(|account| *account != own).collect();
        let may_add = |who: &PublicKey| row.state.policy.adders.includes(row.state.role(who));
        known.sort_by_key(|account| !may_add(account));
        known.push(own);
        Ok(known)
    }

    fn write_readd(
        &mut self,
        row: &ConversationRow,
        log: &LogRow,
        inbox: &InboxRef,
        list: &DeviceList,
    ) -> Result<(), Error> {
        let suites = match self.has_group(&log.mailbox)? {
            true => vec![self.suite_of(&log.mailbox)?],
            // REV-7: a recovery file does not say which it is.
            false => Suite::ALL.to_vec(),
        };
        let packages = suites.into_iter().map(|suite| self.make_key_package(suite, false));
        let content = LetterContent::Readd(ReaddLetter {
            mailbox: log.mailbox,
            key_packages: packages.collect::<Result<_, _>>()?,
            devices: self.account.list.as_bytes().to_vec(),
            after: log.read_upto(),
            inbox: self.members_grant(row),
        });
        let job = self.letter_job(JobKind::Readd, inbox, list, &content)?;
        self.db.put_job(&NewJob { conversation: Some(log.conversation), ..job })?;
        Ok(())
    }

    /// A member says that this account is in a group no more: this device was away when that was
    /// done. Who could not have done it is believed if nobody lets this device in.
    pub(super) fn take_removed(
        &mut self,
        letter: &OpenedLetter,
        removed: &RemovedLetter,
    ) -> Result<(), Error> {
        let Some(log) = self.db.log(&removed.mailbox)? else { return Ok(()) };
        if !matches!(log.state, LogState::Gone | LogState::Lost) {
            return Ok(());
        }
        self.check_listed(letter, &log.mailbox)?;
        let row = self.db.need_conversation(log.conversation)?;
        let writer = *letter.sender.account().key();
        let is_member = self.known_accounts(&row, &log.mailbox)?.contains(&writer);
        // CNV-19
        if !row.is_group() || !is_member || row.log != Some(log.mailbox) {
            return Err(not_a_member());
        }
        if row.state.role(&writer) < Role::Administrator {
            return self.db.deny_return(&log.mailbox);
        }
        self.end_told(log)
    }

    /// The account is out of a log that this device has not read to the end.
    pub(super) fn end_unread(&mut self, log: &mut LogRow) -> Result<(), Error> {
        log.epoch = None;
        self.db.drop_return(&log.mailbox)?;
        self.want_history(log.conversation, log.read_upto())?;
        self.end(log, LogState::Closed, Code::Revoked)
    }

    /// The same, of a log that nobody holds.
    pub(super) fn end_told(&mut self, mut log: LogRow) -> Result<(), Error> {
        self.end_unread(&mut log)?;
        self.db.put_log(&log)
    }

    /// Whether a Welcome leads back into a log this device is in and cannot read.
    pub(super) fn is_awaited(&self, welcome: &WelcomeLetter) -> Result<bool, Error> {
        let log = self.db.log(&welcome.mailbox)?;
        let outside = [LogState::Gone, LogState::Lost, LogState::Captured];
        let outside = log.is_some_and(|log| outside.contains(&log.state));
        Ok(outside && !self.db.is_room(&welcome.mailbox)?)
    }

    /// DEV-14, of the writer of a letter about a log.
    pub(super) fn check_listed(
        &mut self,
        letter: &OpenedLetter,
        mailbox: &MailboxId,
    ) -> Result<(), Error> {
        let of = self.db.need_log(mailbox)?.conversation;
        // DEV-14
        if self.is_listed(of, &letter.sender)? { Ok(()) } else { Err(not_a_member()) }
    }

    /// A member, contact or not, has added this device again: nobody need be asked.
    pub(super) fn take_welcome_back(
        &mut self,
        writer: ContactId,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        let mut log = self.db.need_log(&welcome.mailbox)?;
        let mut row = self.db.need_conversation(log.conversation)?;
        let knows_order = self.has_group(&log.mailbox)?;
        let before = self.known_accounts(&row, &log.mailbox)?;
        let by = before.iter().copied().find(|account| id_of_key(account) == writer);
        // CNV-19
        let by = by.filter(|_| row.log == Some(log.mailbox)).ok_or_else(not_a_member)?;
        // Own devices are believed.
        let is_judged = row.is_group() && by != *self.account.id().key();
        let is_captured = is_judged && log.state == LogState::Captured;
        // Whoever captured the log would lead everybody into a group of his own.
        if is_captured && row.state.role(&by) < Role::Administrator {
            return Err(not_a_member());
        }
        if let WelcomePart::Blob(at) = &welcome.welcome {
            return self.keep_welcome(writer, welcome, at);
        }
        self.forget_group(&log.mailbox)?;
        log.reader = self.join_group(welcome)?;
        let state = self.agreed(&log.mailbox)?;
        let members = accounts(&self.members(&log.mailbox)?);
        let same = (state.kind, state.generation) == (row.state.kind, row.state.generation);
        // The role of an owner who has left passes on, by the leaves there were: this device has
        // come back at another.
        let mut heirs = before.clone();
        heirs.retain(|account| members.contains(account));
        if !knows_order {
            // REV-7: anybody may have stood leftmost.
            heirs.sort_by_key(|account| *account != by);
        }
        let most = passed_on(row.state.clone(), &heirs).role(&by);
        // An own device may have told of the group alone, which has no roles then.
        let is_raised = is_judged && !row.state.officers.is_empty() && state.role(&by) > most;
        if !same || is_raised || !members.contains(&by) {
            return Err(not_a_member());
        }
        self.read_on(&mut log, &before, &members)?;
        self.note_unseen(&log, &row.state, &state)?;
        row.state = state;
        self.be_back(row, &log.mailbox)?;
        self.take_unheard(welcome)
    }

    /// The log is read on from where this device was added again; it goes on counting where it
    /// stood.
    fn read_on(
        &mut self,
        log: &mut LogRow,
        before: &[PublicKey],
        now: &[PublicKey],
    ) -> Result<(), Error> {
        (log.state, log.epoch, log.since_update, log.waits) = (LogState::Live, None, 0, None);
        (log.chain, log.forked) = (Some(self.begun_chain(&log.mailbox)?), false);
        self.db.forget_log_hashes(&log.mailbox)?;
        self.db.put_log(log)?;
        self.db.forget_own_ids(&log.mailbox)?;
        self.db.drop_return(&log.mailbox)?;
        self.db.note_absence(&log.mailbox, log.cursor)?;
        self.note_new_members(log, before, now)?;
        self.db.put_wish(&log.mailbox, &Wish::Update, self.now)
    }

    fn be_back(&mut self, mut row: ConversationRow, mailbox: &MailboxId) -> Result<(), Error> {
        let is_new = row.standing == Standing::Restored;
        row.reopen();
        self.db.put_conversation(&row)?;
        if is_new {
            // REV-7
            self.queue_profile_to(row.id)?;
        }
        // CNV-19: it may have been removed as it wished, and invited again while it was away.
        self.leave_again(&row)?;
        self.remove_unlisted(mailbox)?;
        if row.state.kind != GroupKind::Own {
            // DEV-7: those that were linked while this one could not add them.
            self.add_own_devices(row.id, mailbox)?;
            let log = self.db.need_log(mailbox)?;
            self.ask_how_far(&log, log.cursor)?;
            self.want_history(row.id, log.read_upto())?;
        }
        if is_new || row.state.kind != GroupKind::Direct {
            self.tell_conversation(&row)?;
        }
        if row.state.kind != GroupKind::Direct {
            return Ok(());
        }
        let mut contact = self.db.need_contact(row.id.contact())?;
        if contact.state == ContactState::Ended {
            contact.state = ContactState::Active;
            self.put_contact(&contact)?;
        }
        Ok(())
    }

    /// Whoever came in meanwhile came somewhere before the commit that added this device again.
    fn note_new_members(
        &mut self,
        log: &LogRow,
        before: &[PublicKey],
        now: &[PublicKey],
    ) -> Result<(), Error> {
        for account in now.iter().filter(|account| !before.contains(account)) {
            // CNV-18
            self.db.note_joined(&log.mailbox, account, Seq::new(u64::MAX))?;
        }
        Ok(())
    }

    /// What a re-adding commit means for the others: it need not be made again.
    pub(super) fn take_returned(
        &mut self,
        log: &LogRow,
        merged: &super::membership::Merged,
        members: &[Member],
    ) -> Result<(), Error> {
        // Added again, or by another account, which lets further devices in after consent only.
        let is_back = |m: &&Member| {
            let is_other = |other: &&Member| account(other) == account(m);
            merged.removed.iter().any(|removed| removed.device == m.device)
                || (merged.committer != account(m)
                    && members.iter().filter(is_other).any(|it| !merged.added.contains(it)))
        };
        let back: BTreeSet<PublicKey> = merged
            .added
            .iter()
            .filter(is_back)
            .filter_map(|m| m.device.as_ref().map(|device| *device.device()))
            .collect();
        if back.is_empty() || back.contains(&self.account.device.public()) {
            return Ok(());
        }
        for wish in self.db.wishes(&log.mailbox)? {
            if let Wish::Readd { device, .. } = &wish.what
                && back.contains(&PublicKey::new(*device))
            {
                self.db.take_wish(wish.id)?;
            }
        }
        Ok(())
    }

    /// Who leaves says so once more.
    pub(super) fn leave_again(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let is_said = self.db.waits_in_outbox(row.id, Body::Leave.kind())?;
        if row.standing == Standing::Leaving && !is_said {
            self.queue_body(row.id, &Body::Leave)?;
        }
        Ok(())
    }
}
