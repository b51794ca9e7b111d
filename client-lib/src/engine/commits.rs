//! Commits: made one at a time, durable before they leave, and decided by their echo.
//!
//! The relay takes one commit for each epoch. Whether it was ours, the log says: our id comes back,
//! or somebody else's commit does. Nothing is merged or thrown away before that. What a commit
//! should do stands as wishes, and who lost makes the next one of those that are left.

use restante_crypto::{prove_possession, random_bytes, random_secret};
use restante_spec::content::{GroupKind, InboxGrant, LetterContent, WelcomeLetter, WelcomePart};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, Seconds};
use restante_spec::message::{Commit, Deliver, EnvelopeClass, NextKey};

use super::commands::id_of_key;
use super::letting::Way;
use super::membership::{Merged, accounts};
use super::plan::{ChangePlan, Plan};
use super::{Engine, Outgoing, Work};
use crate::error::Error;
use crate::limits::{RENEW_PAUSE, RENEW_SPREAD, UPDATE_EVERY};
use crate::store::{JobKind, LogRow, LogState, Meta, NewJob, PendingCommit, Wish};
use crate::types::Standing;

impl Engine {
    /// The commit that must leave next, durable when this returns.
    pub(crate) fn commit(&mut self, mailbox: &MailboxId) -> Result<Option<Outgoing>, Error> {
        self.transact(|work| {
            if let Some(room) = work.db.room(mailbox)? {
                return work.room_change(&room);
            }
            let mut log = work.db.need_log(mailbox)?;
            let Some(epoch) = log.epoch else { return Ok(None) };
            if work.is_cloned()? {
                return Ok(None);
            }
            if log.commit.is_none() {
                log.commit = work.make_commit(&log)?;
                work.db.put_log(&log)?;
            }
            if !work.blobs_are_there(&mut log)? {
                return Ok(None);
            }
            Ok(log.commit.map(|commit| Outgoing {
                id: commit.id,
                row: None,
                class: EnvelopeClass::Normal,
                epoch: Some(epoch),
                body: commit.body,
                commit: Some(Commit {
                    next: commit.next,
                    add_readers: commit.add_readers,
                    strike_readers: commit.strike_readers,
                    blobs: commit.blobs,
                }),
            }))
        })
    }
}

impl Work<'_> {
    /// `None`: nothing of what was wished is left to do.
    fn make_commit(&mut self, log: &LogRow) -> Result<Option<PendingCommit>, Error> {
        let id = EnvelopeId::new(random_bytes()?);
        let mut most = usize::MAX;
        let (plan, made) = loop {
            let plan = match self.plan(log, most)? {
                Some(Plan::Close(wish)) => {
                    return Ok(Some(self.closing_commit(log, id, vec![wish])?));
                }
                Some(Plan::Change(plan)) => plan,
                None => return Ok(None),
            };
            if let Some(made) = self.try_change(log, &id, &plan)? {
                break (plan, made);
            }
            // Whose package it was shows when each is alone in a commit.
            most = 1;
        };
        let mut blobs = Vec::new();
        if let Some(large) = &made.large {
            blobs.push(self.upload_large(log, &large.at, &large.file)?);
        }
        if let Some(welcome) = &made.welcome {
            let part = self.welcome_part(log, welcome, &mut blobs)?;
            for account in &plan.accounts {
                let queued =
                    self.attempt(|work| work.queue_welcome(log, &id, account, part.clone()))?;
                if queued.is_none() {
                    // No letter can be written to this one, and the others are let in.
                    let row = self.db.need_conversation(log.conversation)?;
                    self.notice_unaddable(&row, account)?;
                }
            }
        }
        self.db.note_own_id(&log.mailbox, &id)?;
        let possession = prove_possession(&made.next_key, &log.mailbox);
        Ok(Some(PendingCommit {
            id,
            wishes: plan.wishes,
            body: made.record,
            next: Some(NextKey { key: made.next_key.public(), possession }),
            add_readers: made.add_readers,
            strike_readers: made.strike_readers,
            blobs,
        }))
    }

    /// Prepares a commit; `None`: MLS takes a package into no group, or not beside another one. If
    /// it was wished for alone, it is wished for no more.
    fn try_change(
        &mut self,
        log: &LogRow,
        id: &EnvelopeId,
        plan: &ChangePlan,
    ) -> Result<Option<restante_crypto::PendingCommit>, Error> {
        if plan.change.add.is_empty() {
            return self.commit_change(log, id, &plan.change).map(Some);
        }
        let made = self.attempt(|work| work.commit_change(log, id, &plan.change))?;
        if let (None, [wish]) = (&made, plan.wishes.as_slice()) {
            // CNV-4
            self.db.take_wish(*wish)?;
            let conversation = self.db.need_conversation(log.conversation)?;
            for account in &plan.accounts {
                self.notice_unaddable(&conversation, account)?;
            }
        }
        Ok(made)
    }

    /// A commit without a next key: the relay takes nothing after it.
    fn closing_commit(
        &mut self,
        log: &LogRow,
        id: EnvelopeId,
        wishes: Vec<crate::store::WishId>,
    ) -> Result<PendingCommit, Error> {
        let content = super::outbox::closing_content(log, id, self.now)?;
        let body = self.seal_record(log, &id, EnvelopeClass::Normal, &content)?;
        self.db.note_own_id(&log.mailbox, &id)?;
        Ok(PendingCommit {
            id,
            wishes,
            body,
            next: None,
            add_readers: Vec::new(),
            strike_readers: Vec::new(),
            blobs: Vec::new(),
        })
    }

    /// The letter that lets a contact in: released by the commit's echo, dropped if it lost.
    fn queue_welcome(
        &mut self,
        log: &LogRow,
        commit: &EnvelopeId,
        account: &PublicKey,
        welcome: WelcomePart,
    ) -> Result<(), Error> {
        if account == self.account.id().key() {
            return self.queue_own_welcome(log, commit, welcome);
        }
        let row = self.db.need_conversation(log.conversation)?;
        let Some(way) = self.way_to(&row, account)? else {
            return self.notice_unaddable(&row, account);
        };
        let Way { inbox, list, grant, contact } = way;
        let allowed = contact.map(|id| self.db.job_for(id, JobKind::AllowContact));
        let content = LetterContent::Welcome(WelcomeLetter {
            devices: self.account.list.as_bytes().to_vec(),
            nick: self.db.need_text(Meta::Nickname)?,
            relay: log.relay.parse()?,
            mailbox: log.mailbox,
            welcome,
            inbox: grant,
            unheard: self.unheard(log)?,
        });
        let job = self.letter_job(JobKind::Letter, &inbox, &list, &content)?;
        self.db.put_job(&NewJob {
            contact,
            conversation: Some(log.conversation),
            after: allowed.transpose()?.flatten(),
            held_by: Some(*commit),
            ..job
        })?;
        Ok(())
    }

    /// The letter that lets other devices of this account in.
    fn queue_own_welcome(
        &mut self,
        log: &LogRow,
        commit: &EnvelopeId,
        welcome: WelcomePart,
    ) -> Result<(), Error> {
        let (relay, inbox) = (self.account.relay.clone(), self.account.inbox);
        let content = LetterContent::Welcome(WelcomeLetter {
            devices: self.account.list.as_bytes().to_vec(),
            nick: self.db.need_text(Meta::Nickname)?,
            relay: log.relay.parse()?,
            mailbox: log.mailbox,
            welcome,
            // Its own devices have a way in: this key is allowed nowhere.
            inbox: InboxGrant { relay, inbox, key: random_secret()? },
            unheard: self.unheard(log)?,
        });
        let (inbox, list) = (self.own_inbox()?, &self.account.list);
        let job = self.letter_job(JobKind::Letter, &inbox, list, &content)?;
        self.db.put_job(&NewJob { held_by: Some(*commit), ..job })?;
        Ok(())
    }

    /// Our commit came back: it holds.
    pub(super) fn take_commit_echo(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        commit: &PendingCommit,
    ) -> Result<(), Error> {
        log.commit = None;
        self.db.release_jobs(&commit.id)?;
        self.forget_large(&commit.blobs);
        self.fulfil(log, commit)?;
        if commit.next.is_none() {
            self.db.drop_wishes(&log.mailbox)?;
            log.state = LogState::Closed;
            let row = self.db.need_conversation(log.conversation)?;
            // CNV-21
            let left = row.standing == Standing::Leaving && row.log == Some(log.mailbox);
            return if left { self.take_removal(log) } else { Ok(()) };
        }
        let before = self.members(&log.mailbox)?;
        let context = self.group_context(&log.mailbox)?;
        self.merge_pending(&log.mailbox)?;
        for wish in self.db.wishes(&log.mailbox)?.iter().filter(|it| it.what == Wish::Renew) {
            // Whatever the commit was for.
            self.db.take_wish(wish.id)?;
        }
        let after = self.members(&log.mailbox)?;
        let state = self.group_context(&log.mailbox)?;
        self.begin_epoch(log, 0)?;
        // A leaf freed by the commit may be taken again by it, by the same device even: its reader
        // tells them apart.
        let without = |all: &[_], others: &[restante_crypto::Member]| {
            all.iter().filter(|member| !others.contains(member)).cloned().collect::<Vec<_>>()
        };
        let merged = Merged {
            committer: Some(*self.account.id().key()),
            added: without(&after, &before),
            removed: without(&before, &after),
            state: (state != context).then_some(state),
        };
        self.take_change(log, envelope, &merged)?;
        let own = self.db.need_conversation(log.conversation)?.state.kind == GroupKind::Own;
        if own && !merged.added.is_empty() {
            // DEV-9
            self.tell_everything()?;
            // DEV-16
            self.owe_history(&merged.added)?;
            // DEV-7
            self.add_own_devices_everywhere()?;
        }
        if !own {
            self.owe_what_was_said(log, &merged)?;
        }
        self.tell_roster(log, &merged)
    }

    /// What the commit was made for is done.
    fn fulfil(&mut self, log: &LogRow, commit: &PendingCommit) -> Result<(), Error> {
        for wish in self.db.wishes(&log.mailbox)? {
            if !commit.wishes.contains(&wish.id) {
                continue;
            }
            // Removing the others was the first half of an end.
            if matches!(wish.what, Wish::Close { .. }) && commit.next.is_some() {
                self.db.change_wish(wish.id, &Wish::Close { removes: false })?;
                continue;
            }
            self.db.take_wish(wish.id)?;
            if let Wish::Add { account, .. } = wish.what
                && let Some(mut contact) = self.db.contact(id_of_key(&PublicKey::new(account)))?
                && log.conversation == contact.id.into()
            {
                contact.request = None;
                self.db.put_contact(&contact)?;
            }
        }
        Ok(())
    }

    /// Somebody else's commit holds; ours, if there was one, is made anew in the next epoch.
    pub(super) fn take_other_commit(&mut self, log: &mut LogRow) -> Result<(), Error> {
        if let Some(lost) = log.commit.take() {
            self.drop_commit(&lost)?;
        }
        // All that have counted as many messages wish the same: one after the other.
        for wish in self.db.wishes(&log.mailbox)?.iter().filter(|it| it.what == Wish::Renew) {
            self.db.put_off_wish(wish.id, self.later(RENEW_PAUSE, RENEW_SPREAD)?)?;
        }
        // Whoever did not make the last commit is the next to.
        self.begin_epoch(log, UPDATE_EVERY)
    }

    fn begin_epoch(&mut self, log: &mut LogRow, since_update: u32) -> Result<(), Error> {
        log.epoch = None;
        log.since_update = since_update;
        self.db.forget_own_ids(&log.mailbox)
    }

    /// After many messages the leaf whose key is oldest is renewed: in a small conversation.
    pub(super) fn want_update_if_due(&mut self, log: &LogRow) -> Result<(), Error> {
        if log.since_update < 2 * UPDATE_EVERY || log.state != LogState::Live {
            return Ok(());
        }
        if accounts(&self.members(&log.mailbox)?).len() > crate::limits::UPDATE_MEMBERS {
            return Ok(());
        }
        // Whoever is fastest is not always the first.
        let due = self.later(Seconds::default(), RENEW_SPREAD)?;
        self.db.put_wish(&log.mailbox, &Wish::Renew, due)
    }
}
