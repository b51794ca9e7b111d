//! Conversations: the log in its order, each envelope once; what is in it becomes rows.

use bytes::Bytes;
use restante_crypto::{DeviceList, Member, Processed};
use restante_spec::codes::Code;
use restante_spec::content::{Body, Content, Profile, WelcomeLetter};
use restante_spec::ids::{MailboxId, Seq};
use restante_spec::message::Deliver;

use super::asked::Taken;
use super::commands::{account_of, cleaned_nickname};
use super::{Work, outbox};
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::store::{ContactRow, ConversationRow, ConversationState, Meta, NewMessage, Place, Want};
use crate::types::{ContactState, Fate, MessageId, MessageKind};

/// Whether the log goes on under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    SameEpoch,
    EpochOver,
}

impl Work<'_> {
    /// Takes a batch of a conversation's log, in its order, up to the end of its epoch.
    pub(super) fn receive_records(
        &mut self,
        mailbox: &MailboxId,
        batch: Vec<(Deliver, Bytes)>,
    ) -> Result<Taken, Error> {
        let mut row = self.db.need_conversation(mailbox)?;
        let mut reopen = row.state != ConversationState::Live;
        for (envelope, body) in batch {
            if reopen {
                break;
            }
            if envelope.seq <= row.cursor {
                continue;
            }
            if envelope.prev > row.cursor && row.cursor > Seq::START {
                let (after, before) = (row.cursor, envelope.seq);
                self.notice(Notice::Gap { contact: Some(row.contact), after, before });
            }
            let step = self.take_record(&mut row, &envelope, &body)?;
            row.cursor = envelope.seq;
            reopen = step == Step::EpochOver || row.state != ConversationState::Live;
        }
        self.want_update_if_due(&mut row);
        self.db.put_conversation(&row)?;
        Ok(Taken { upto: row.cursor, reopen })
    }

    fn take_record(
        &mut self,
        row: &mut ConversationRow,
        envelope: &Deliver,
        body: &[u8],
    ) -> Result<Step, Error> {
        if let Some(commit) = row.commit.clone().filter(|commit| commit.id == envelope.id) {
            self.take_commit_echo(row, &commit)?;
            return Ok(Step::EpochOver);
        }
        row.since_update = row.since_update.saturating_add(1);
        // The own content, by its id: MLS cannot open it, and need not.
        if self.db.is_own_id(&row.mailbox, &envelope.id)? {
            self.take_own(row.contact, &envelope.id, &place_of(row, envelope))?;
            return Ok(Step::SameEpoch);
        }
        if envelope.own {
            // Without body there is nothing to take.
            return Ok(Step::SameEpoch);
        }
        row.epoch = row.epoch.or(envelope.epoch);
        match self.open_record(row, envelope, body)? {
            Processed::Application { sender, content } => {
                self.take_application(row, envelope, &sender, &content)
            }
            Processed::Commit { next_key: Some(_), .. } if envelope.commit => {
                self.take_other_commit(row)?;
                Ok(Step::EpochOver)
            }
            Processed::Commit { next_key: None, .. } if envelope.commit => {
                self.end(row, ConversationState::Closed, Code::Revoked)?;
                Ok(Step::EpochOver)
            }
            // MLS moved on and the relay did not: nobody can follow both.
            Processed::Commit { .. } => self.take_capture(row),
            Processed::OwnMessage | Processed::OwnCommit => {
                self.take_cloned()?;
                Ok(if envelope.commit { Step::EpochOver } else { Step::SameEpoch })
            }
            Processed::Refused(_) if envelope.commit => self.take_capture(row),
            Processed::Refused(_) => {
                self.keep_unreadable(row, envelope)?;
                Ok(Step::SameEpoch)
            }
        }
    }

    /// A content came. If the relay took its envelope as a commit, it was the last one.
    fn take_application(
        &mut self,
        row: &mut ConversationRow,
        envelope: &Deliver,
        sender: &Member,
        content: &[u8],
    ) -> Result<Step, Error> {
        let contact = self.db.need_contact(row.contact)?;
        let account = account_of(&contact)?;
        let theirs = sender.device.as_ref().is_some_and(|device| device.account() == account);
        if theirs && contact.state == ContactState::Active {
            self.take_content(row, contact, envelope, content)?;
        } else if !theirs {
            // A member without certificate, or of another account: muted.
            self.notice(Notice::Junk { contact: Some(row.contact) });
        }
        if envelope.commit {
            self.end(row, ConversationState::Closed, Code::Revoked)?;
            return Ok(Step::EpochOver);
        }
        Ok(Step::SameEpoch)
    }

    fn take_content(
        &mut self,
        row: &mut ConversationRow,
        mut contact: ContactRow,
        envelope: &Deliver,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let content = match Content::decode(bytes) {
            Ok(content) if content.id == envelope.id => content,
            Ok(_) | Err(_) => return self.keep_unreadable(row, envelope),
        };
        row.peer_counter = row.peer_counter.max(content.counter);
        match content.body {
            Body::Receipts(receipts) => {
                for id in receipts.delivered {
                    let message = MessageId::new(*id.as_bytes());
                    if self.db.deliver_message(contact.id, &message)? {
                        self.tell_fate(contact.id, &id)?;
                    }
                    // What was delivered need not be sent again, whatever the relay answered.
                    self.db.take_outbox_of(contact.id, &id)?;
                }
                Ok(())
            }
            Body::Profile(Profile { nick, devices, .. }) => {
                contact.nickname = cleaned_nickname(&nick);
                if let (Ok(list), Some(before)) = (DeviceList::parse(&devices), &contact.devices) {
                    // IDN-7
                    if list.may_follow(&DeviceList::parse(before)?).is_ok() {
                        contact.devices = Some(devices);
                    }
                }
                self.put_contact(&contact)
            }
            // What ends with it, the commit it stands in says.
            Body::Leave => Ok(()),
            // CNT-2
            ref body if !body.is_kept() => Ok(()),
            _ => self.keep_message(row, envelope, &content, bytes),
        }
    }

    fn keep_message(
        &mut self,
        row: &ConversationRow,
        envelope: &Deliver,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let shown = outbox::shown(content);
        let kept = self.db.put_message(&NewMessage {
            id: envelope.id,
            contact: row.contact,
            place: Some(place_of(row, envelope)),
            from_me: false,
            kind: shown.kind,
            text: &shown.text,
            content: bytes,
            at: shown.at,
            fate: Fate::Received,
        })?;
        // A copy under the same id is dropped, and its sender told all the same.
        self.owe_receipt(row.contact, &envelope.id)?;
        if let Some(message) = kept {
            self.events.push(Event::Message(message));
        }
        Ok(())
    }

    /// What cannot be opened is kept as such, so that its absence is not silent.
    fn keep_unreadable(&mut self, row: &ConversationRow, envelope: &Deliver) -> Result<(), Error> {
        let kept = self.db.put_message(&NewMessage {
            id: envelope.id,
            contact: row.contact,
            place: Some(place_of(row, envelope)),
            from_me: false,
            kind: MessageKind::Unreadable,
            text: "",
            content: &[],
            at: self.now,
            fate: Fate::Received,
        })?;
        if let Some(message) = kept {
            self.events.push(Event::Message(message));
        }
        Ok(())
    }

    /// The relay holds a commit that members cannot follow.
    fn take_capture(&mut self, row: &mut ConversationRow) -> Result<Step, Error> {
        self.end(row, ConversationState::Captured, Code::Conflict)?;
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

    /// Joins the conversation a contact has made.
    pub(super) fn join(
        &mut self,
        contact: &mut ContactRow,
        welcome: &WelcomeLetter,
    ) -> Result<(), Error> {
        if self.db.conversation(&welcome.mailbox)?.is_some() {
            return Ok(());
        }
        let reader = self.join_group(welcome)?;
        if !self.has_member(&welcome.mailbox, account_of(contact)?)? {
            return Err(Error::Crypto(restante_crypto::Error::NotAMember));
        }
        let mut row = ConversationRow::new(
            welcome.mailbox,
            contact.id,
            welcome.relay.to_string(),
            self.next_generation(contact.id)?,
            ConversationState::Live,
            reader,
        );
        // Whoever joins renews its leaf soon: that keeps later commits small.
        row.want = Want::Update;
        self.db.put_conversation(&row)?;
        self.choose_conversation(contact, &welcome.mailbox)
    }

    /// Of two conversations with one contact (both had invited each other) both sides keep the one
    /// with the lower id; whoever made the other closes it.
    fn choose_conversation(
        &mut self,
        contact: &mut ContactRow,
        joined: &MailboxId,
    ) -> Result<(), Error> {
        let before = contact.conversation.map(|before| self.db.need_conversation(&before));
        let in_use = [ConversationState::Live, ConversationState::Creating];
        let before = before.transpose()?.filter(|before| in_use.contains(&before.state));
        let Some(before) = before.map(|before| before.mailbox) else {
            contact.conversation = Some(*joined);
            return self.db.forget_contents(contact.id, 0);
        };
        let (kept, other) = if *joined < before { (*joined, before) } else { (before, *joined) };
        if other == before {
            // Made here: nobody else will close it.
            let mut row = self.db.need_conversation(&other)?;
            match row.state {
                ConversationState::Creating => {
                    row.state = ConversationState::Closed;
                    self.db.drop_jobs_of(&other)?;
                }
                _ => row.want = Want::Close,
            }
            self.db.put_conversation(&row)?;
        }
        let mut row = self.db.need_conversation(&kept)?;
        row.generation = self.next_generation(contact.id)?;
        self.db.put_conversation(&row)?;
        self.db.move_generation(&kept, row.generation)?;
        contact.conversation = Some(kept);
        self.db.forget_contents(contact.id, 0)
    }
}

fn place_of(row: &ConversationRow, envelope: &Deliver) -> Place {
    Place {
        conversation: Some(row.mailbox),
        generation: row.generation,
        seq: envelope.seq,
        expires_at: envelope.expires_at,
    }
}
