//! Commits: made one at a time, durable before they leave, and decided by their echo.
//!
//! The relay takes one commit for each epoch. Whether it was ours, the log says: our id comes back,
//! or somebody else's commit does. Nothing is merged or thrown away before that.

use restante_crypto::{DeviceList, Recipient, prove_possession, random_bytes};
use restante_spec::content::{FirstLetter, LetterContent, WelcomeLetter, WelcomePart};
use restante_spec::ids::{EnvelopeId, MailboxId};
use restante_spec::message::{Commit, EnvelopeClass, NextKey};

use super::{Engine, Outgoing, Work};
use crate::error::Error;
use crate::limits::UPDATE_EVERY;
use crate::store::{
    ConversationRow, ConversationState, JobKind, Meta, NewJob, PendingCommit, Want,
};

impl Engine {
    /// The commit that must leave next, durable when this returns.
    pub(crate) fn commit(&mut self, mailbox: &MailboxId) -> Result<Option<Outgoing>, Error> {
        self.transact(|work| {
            let mut row = work.db.need_conversation(mailbox)?;
            let Some(epoch) = row.epoch else { return Ok(None) };
            if work.is_cloned()? {
                return Ok(None);
            }
            if row.commit.is_none() {
                row.commit = Some(work.make_commit(&mut row)?);
                work.db.put_conversation(&row)?;
            }
            Ok(row.commit.map(|commit| Outgoing {
                id: commit.id,
                row: None,
                class: EnvelopeClass::Normal,
                epoch,
                body: commit.body,
                commit: Some(Commit {
                    next: commit.next,
                    add_readers: commit.add_readers,
                    strike_readers: commit.strike_readers,
                    blobs: Vec::new(),
                }),
            }))
        })
    }
}

impl Work<'_> {
    fn make_commit(&mut self, row: &mut ConversationRow) -> Result<PendingCommit, Error> {
        let id = EnvelopeId::new(random_bytes()?);
        if row.want == Want::Remove && self.is_alone(&row.mailbox)? {
            row.want = Want::Close;
        }
        let does = row.want;
        let made = match does {
            Want::Add => {
                let first = self.request_of(row)?;
                self.commit_add(row, &id, &first.key_packages)?
            }
            Want::Nothing | Want::Update => self.commit_update(row, &id)?,
            Want::Remove => self.commit_remove(row, &id)?,
            Want::Close => return self.closing_commit(row, id),
        };
        if let Some(welcome) = &made.welcome {
            self.queue_welcome(row, &id, welcome)?;
        }
        self.db.note_own_id(&row.mailbox, &id)?;
        let possession = prove_possession(&made.next_key, &row.mailbox);
        Ok(PendingCommit {
            id,
            does,
            body: made.record,
            next: Some(NextKey { key: made.next_key.public(), possession }),
            add_readers: made.add_readers,
            strike_readers: made.strike_readers,
        })
    }

    /// A commit without a next key: the relay takes nothing after it.
    fn closing_commit(
        &mut self,
        row: &ConversationRow,
        id: EnvelopeId,
    ) -> Result<PendingCommit, Error> {
        let content = super::outbox::closing_content(row, id, self.now)?;
        let body = self.seal_record(row, &id, EnvelopeClass::Normal, &content)?;
        self.db.note_own_id(&row.mailbox, &id)?;
        let (add_readers, strike_readers) = (Vec::new(), Vec::new());
        Ok(PendingCommit { id, does: Want::Close, body, next: None, add_readers, strike_readers })
    }

    fn request_of(&self, row: &ConversationRow) -> Result<FirstLetter, Error> {
        let contact = self.db.need_contact(row.contact)?;
        let request = contact.request.ok_or(Error::Damaged("a contact's first letter"))?;
        match LetterContent::decode(&request) {
            Ok(LetterContent::First(first)) => Ok(first),
            _ => Err(Error::Damaged("a contact's first letter is none")),
        }
    }

    /// The letter that lets the contact in: released by the commit's echo, dropped if it lost.
    fn queue_welcome(
        &mut self,
        row: &ConversationRow,
        commit: &EnvelopeId,
        welcome: &[u8],
    ) -> Result<(), Error> {
        let contact = self.db.need_contact(row.contact)?;
        let inbox = contact.inbox.clone().ok_or(Error::Damaged("a contact without inbox"))?;
        let devices = contact.devices.as_deref().ok_or(Error::Damaged("a contact's devices"))?;
        let list = DeviceList::parse(devices)?;
        let content = LetterContent::Welcome(WelcomeLetter {
            devices: self.account.list.as_bytes().to_vec(),
            nick: self.db.need_text(Meta::Nickname)?,
            relay: row.relay.parse()?,
            mailbox: row.mailbox,
            welcome: WelcomePart::Here(welcome.to_vec()),
            inbox: self.grant(&contact)?,
        });
        let envelope = EnvelopeId::new(random_bytes()?);
        let recipient = Recipient::Account(&list);
        let body = self.seal_letter(inbox.mailbox, Some(envelope), recipient, &content)?;
        self.db.put_job(&NewJob {
            contact: Some(contact.id),
            key: Some(inbox.key),
            envelope: Some(envelope),
            body: Some(body),
            after: self.db.job_for(contact.id, JobKind::AllowContact)?,
            held_by: Some(*commit),
            ..NewJob::new(inbox.relay, inbox.mailbox, JobKind::Letter)
        })?;
        Ok(())
    }

    /// Our commit came back: it holds.
    pub(super) fn take_commit_echo(
        &mut self,
        row: &mut ConversationRow,
        commit: &PendingCommit,
    ) -> Result<(), Error> {
        row.commit = None;
        self.db.release_jobs(&commit.id)?;
        if commit.does == Want::Add {
            let mut contact = self.db.need_contact(row.contact)?;
            contact.request = None;
            self.db.put_contact(&contact)?;
        }
        // Meanwhile something else may be wanted.
        if row.want == commit.does {
            row.want = if commit.does == Want::Remove { Want::Close } else { Want::Nothing };
        }
        if commit.next.is_none() {
            row.want = Want::Nothing;
            row.state = ConversationState::Closed;
            return Ok(());
        }
        self.merge_pending(&row.mailbox)?;
        self.begin_epoch(row, 0)
    }

    /// Somebody else's commit holds; ours, if there was one, is made anew in the next epoch.
    pub(super) fn take_other_commit(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        if let Some(lost) = row.commit.take() {
            self.db.drop_held_jobs(&lost.id)?;
        }
        // Whoever did not make the last commit is the next to.
        self.begin_epoch(row, UPDATE_EVERY)
    }

    fn begin_epoch(&mut self, row: &mut ConversationRow, since_update: u32) -> Result<(), Error> {
        row.epoch = None;
        row.since_update = since_update;
        self.db.forget_own_ids(&row.mailbox)
    }

    /// After many messages the leaf whose key is oldest is renewed.
    pub(super) fn want_update_if_due(&self, row: &mut ConversationRow) {
        if row.want == Want::Nothing && row.since_update >= 2 * UPDATE_EVERY {
            row.want = Want::Update;
        }
    }
}
