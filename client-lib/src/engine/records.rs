//! Logs: the records of a conversation in their order, each envelope once.

use bytes::Bytes;
use restante_crypto::{Member, Processed};
use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, PublicKey, Seq};
use restante_spec::message::Deliver;

use super::Work;
use super::asked::Taken;
use super::commands::{account_of, id_of_key};
use super::contents::Speaker;
use super::large::Fetched;
use super::membership::{Merged, account};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::store::{LogRow, LogState, Meta, NewMessage, Place};
use crate::types::{ContactState, Fate, MessageKind};

/// Whether the log goes on under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    SameEpoch,
    EpochOver,
    /// It has not been taken: its blob must come first.
    Wait,
}

impl Work<'_> {
    /// Takes a batch of a log, in its order, up to the end of its epoch.
    pub(super) fn receive_records(
        &mut self,
        mailbox: &MailboxId,
        batch: Vec<(Deliver, Bytes)>,
    ) -> Result<Taken, Error> {
        let mut log = self.db.need_log(mailbox)?;
        let mut reopen = log.state != LogState::Live;
        let mut is_wanted = false;
        for (envelope, body) in batch {
            if reopen {
                break;
            }
            if envelope.seq <= log.cursor {
                continue;
            }
            if envelope.prev > log.cursor && log.cursor > Seq::START {
                let (after, before) = (log.cursor, envelope.seq);
                let conversation = Some(log.conversation);
                self.notice(Notice::Gap { conversation, after, before });
                self.db.note_absence(mailbox, after)?;
                self.note_seen(&log, envelope.seq)?;
                self.ask_how_far(&log, after)?;
                if !is_wanted {
                    self.want_history(log.conversation, log.read_upto())?;
                    is_wanted = true;
                }
            }
            let step = self.take_record(&mut log, &envelope, &body)?;
            if step == Step::Wait {
                reopen = true;
                break;
            }
            self.extend_chain(&mut log, &envelope, step == Step::EpochOver)?;
            log.cursor = envelope.seq;
            reopen = step == Step::EpochOver || log.state != LogState::Live;
        }
        self.want_update_if_due(&log)?;
        self.db.put_log(&log)?;
        if log.conversation.contact() == id_of_key(self.account.id().key()) {
            self.settle_claims(log.cursor)?;
        }
        Ok(Taken { upto: log.cursor, reopen })
    }

    fn take_record(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        body: &[u8],
    ) -> Result<Step, Error> {
        if let Some(commit) = log.commit.clone().filter(|commit| commit.id == envelope.id) {
            self.take_commit_echo(log, envelope, &commit)?;
            return Ok(Step::EpochOver);
        }
        // The own content, by its id: MLS cannot open it, and need not.
        if self.db.is_own_id(&log.mailbox, &envelope.id)? {
            log.since_update = log.since_update.saturating_add(1);
            self.take_own(log.conversation, &envelope.id, &place_of(log, envelope))?;
            return Ok(Step::SameEpoch);
        }
        if envelope.own {
            // Without body there is nothing to take.
            return Ok(Step::SameEpoch);
        }
        log.epoch = log.epoch.or(envelope.epoch);
        let opened = match self.open_record(log, envelope, body, None)? {
            Processed::Large(_) if !envelope.commit => {
                self.keep_unreadable(log, envelope)?;
                return Ok(Step::SameEpoch);
            }
            Processed::Large(large) => match self.fetch_large(log, &large)? {
                Fetched::Here(blob) => self.open_record(log, envelope, body, Some(&blob))?,
                Fetched::Waiting => return Ok(Step::Wait),
                Fetched::Gone => {
                    self.lose(log, Code::Gone)?;
                    return Ok(Step::EpochOver);
                }
            },
            other => other,
        };
        log.since_update = log.since_update.saturating_add(1);
        self.take_opened(log, envelope, opened)
    }

    fn take_opened(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        opened: Processed,
    ) -> Result<Step, Error> {
        match opened {
            Processed::Application { sender, content } => {
                self.take_application(log, envelope, &sender, &content)
            }
            Processed::Commit { committer, added, removed, state, .. } if envelope.commit => {
                let committer = account(&committer);
                self.take_other_commit(log)?;
                let merged = Merged { committer, added, removed, state };
                self.take_change(log, envelope, &merged)?;
                if self.is_first_of_account(log, &merged)? {
                    self.owe_what_was_said(log, &merged)?;
                }
                Ok(Step::EpochOver)
            }
            Processed::Removed { again: true } if envelope.commit => {
                // CNV-19
                self.await_welcome(log)?;
                Ok(Step::EpochOver)
            }
            Processed::Removed { .. } if envelope.commit => {
                self.end(log, LogState::Closed, Code::Revoked)?;
                Ok(Step::EpochOver)
            }
            // MLS moved on and the relay did not: nobody can follow both.
            Processed::Commit { .. } | Processed::Removed { .. } => self.take_capture(log),
            Processed::OwnMessage | Processed::OwnCommit => {
                self.take_cloned()?;
                Ok(if envelope.commit { Step::EpochOver } else { Step::SameEpoch })
            }
            Processed::Refused(_) if envelope.commit => self.take_capture(log),
            // CNV-8: its sender has not heard that it is stored, and said it again.
            Processed::Refused(restante_crypto::Error::OldMessage) => Ok(Step::SameEpoch),
            Processed::Refused(_) | Processed::Large(_) => {
                self.keep_unreadable(log, envelope)?;
                Ok(Step::SameEpoch)
            }
        }
    }

    /// A content came. If the relay took its envelope as a commit, it was the last one.
    fn take_application(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        sender: &Member,
        content: &[u8],
    ) -> Result<Step, Error> {
        match (self.speaker(log, envelope.seq, sender)?, &sender.device) {
            (Some(author), Some(device)) => {
                let device = device.device();
                let speaker = Speaker { account: &author, device, told: None };
                self.note_content(log, speaker.device, &author, envelope, content)?;
                self.take_content(log, speaker, envelope, content)?;
            }
            _ => self.notice(Notice::Junk { conversation: Some(log.conversation) }),
        }
        if envelope.commit {
            self.end(log, LogState::Closed, Code::Revoked)?;
            return Ok(Step::EpochOver);
        }
        Ok(Step::SameEpoch)
    }

    /// The account a device speaks for at a place of a log; `None`: it is not heard, because it has
    /// no certificate, was not let in properly, was removed from its account, or is of an account
    /// that has no say here.
    pub(super) fn speaker(
        &self,
        log: &LogRow,
        at: Seq,
        sender: &Member,
    ) -> Result<Option<PublicKey>, Error> {
        let (Some(author), Some(device)) = (account(sender), &sender.device) else {
            return Ok(None);
        };
        // DEV-14
        if self.db.muted(&log.mailbox, at)?.contains(device.device()) {
            return Ok(None);
        }
        let conversation = self.db.need_conversation(log.conversation)?;
        if conversation.is_group() || author == *self.account.id().key() {
            return Ok(Some(author));
        }
        let contact = self.db.need_contact(conversation.id.contact())?;
        let theirs = *account_of(&contact)?.key() == author;
        Ok((theirs && contact.state == ContactState::Active).then_some(author))
    }

    /// What cannot be opened is kept as such, so that its absence is not silent.
    pub(super) fn keep_unreadable(
        &mut self,
        log: &LogRow,
        envelope: &Deliver,
    ) -> Result<(), Error> {
        let kept = self.db.put_message(&NewMessage {
            id: envelope.id,
            conversation: log.conversation,
            place: Some(place_of(log, envelope)),
            author: Some(log.conversation.contact()),
            kind: MessageKind::Unreadable,
            text: "",
            content: &[],
            at: self.now,
            fate: Fate::Received,
            reply_to: None,
            timer: None,
        })?;
        if let Some(message) = kept {
            self.events.push(Event::Message(message));
        }
        Ok(())
    }

    /// The relay holds a commit that members cannot follow.
    fn take_capture(&mut self, log: &mut LogRow) -> Result<Step, Error> {
        self.end(log, LogState::Captured, Code::Conflict)?;
        Ok(Step::EpochOver)
    }

    /// This device's own signature under an id it does not know: its state was copied.
    fn take_cloned(&mut self) -> Result<(), Error> {
        if !self.is_cloned()? {
            self.db.set_meta(Meta::Cloned, &[1])?;
            self.notice(Notice::Cloned);
        }
        Ok(())
    }
}

/// The place an envelope gives what is in it.
pub(super) const fn place_of(log: &LogRow, envelope: &Deliver) -> Place {
    Place {
        mailbox: Some(log.mailbox),
        generation: log.generation,
        seq: envelope.seq,
        expires_at: envelope.expires_at,
    }
}
