//! What a person does with messages: answers, reacts, edits, takes back, reads, asks who has them.

use restante_spec::content::{Body, Delete, Edit, Reaction, Role, Text};
use restante_spec::ids::EnvelopeId;
use restante_spec::limits::{DELETE_IDS, EMOJI_BYTES};

use crate::engine::commands::checked_text;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::limits::OUTBOX;
use crate::store::{ActKind, ActRow};
use crate::types::{ConversationId, Fate, Message, MessageId, Reach, Recipient};

impl Engine {
    pub(crate) fn send(&mut self, to: ConversationId, text: &str) -> Result<Message, Error> {
        let text = checked_text(text)?.to_owned();
        self.transact(|work| work.queue_text(to, Text { text, reply_to: None }))
    }

    pub(crate) fn send_reply(
        &mut self,
        to: ConversationId,
        answered: MessageId,
        text: &str,
    ) -> Result<Message, Error> {
        let text = checked_text(text)?.to_owned();
        self.transact(|work| {
            work.shown_message(to, &answered)?;
            let reply_to = Some(EnvelopeId::new(*answered.as_bytes()));
            work.queue_text(to, Text { text, reply_to })
        })
    }

    pub(crate) fn react(
        &mut self,
        of: ConversationId,
        id: MessageId,
        emoji: Option<&str>,
    ) -> Result<Message, Error> {
        let to = EnvelopeId::new(*id.as_bytes());
        let emoji = emoji.unwrap_or_default().to_owned();
        let body = Body::Reaction(Reaction { to, emoji: emoji.clone() });
        if body.encode().is_err() {
            return Err(Error::BadReaction { max: EMOJI_BYTES });
        }
        self.transact(|work| {
            work.shown_message(of, &id)?;
            work.queue_act(of, &body, ActKind::Reaction, &[id], &emoji)?;
            work.db.message_of(of, &id)?.ok_or(Error::NoSuchMessage)
        })
    }

    pub(crate) fn edit(
        &mut self,
        of: ConversationId,
        id: MessageId,
        text: &str,
    ) -> Result<Message, Error> {
        let text = checked_text(text)?.to_owned();
        let body = Body::Edit(Edit { of: EnvelopeId::new(*id.as_bytes()), text: text.clone() });
        self.transact(|work| {
            let message = work.shown_message(of, &id)?;
            if !message.from_me() || !message.kind.has_words() {
                return Err(Error::NotAllowed);
            }
            work.queue_act(of, &body, ActKind::Edit, &[id], &text)?;
            work.db.message_of(of, &id)?.ok_or(Error::NoSuchMessage)
        })
    }

    pub(crate) fn delete(&mut self, of: ConversationId, ids: &[MessageId]) -> Result<(), Error> {
        if ids.len() > DELETE_IDS {
            return Err(Error::TooMany { what: "messages to delete at once", max: DELETE_IDS });
        }
        self.transact(|work| work.delete(of, ids))
    }

    pub(crate) fn mark_read(&mut self, id: ConversationId) -> Result<(), Error> {
        self.transact(|work| {
            let conversation = work.db.need_conversation(id)?;
            let read = work.db.mark_read(id, work.now)?;
            work.note_read(id)?;
            if read.is_empty() {
                return Ok(());
            }
            if work.privacy()?.read_receipts {
                for (message, _) in read.iter().filter(|(_, kind)| kind.is_said()) {
                    let message = EnvelopeId::new(*message.as_bytes());
                    work.owe_receipt(&conversation, &message, Reach::Read)?;
                }
            }
            work.tell_unread(id)
        })
    }

    pub(crate) fn recipients(
        &self,
        of: ConversationId,
        id: MessageId,
    ) -> Result<Vec<Recipient>, Error> {
        let db = self.store.read();
        let message = db.message_of(of, &id)?.ok_or(Error::NoSuchMessage)?;
        if !message.from_me() {
            return Err(Error::NotAllowed);
        }
        db.recipients(of, &id)
    }
}

impl Work<'_> {
    /// A message that something can be done with: others can have it, and it is not gone.
    pub(in crate::engine) fn shown_message(
        &self,
        of: ConversationId,
        id: &MessageId,
    ) -> Result<Message, Error> {
        let message = self.db.message_of(of, id)?.ok_or(Error::NoSuchMessage)?;
        let refused = matches!(message.fate, Fate::Refused(_));
        if !message.kind.is_said() || refused || message.is_uploading() {
            return Err(Error::NoSuchMessage);
        }
        Ok(message)
    }

    /// Queues an act, and shows it as it will be.
    fn queue_act(
        &mut self,
        of: ConversationId,
        body: &Body,
        kind: ActKind,
        targets: &[MessageId],
        text: &str,
    ) -> Result<(), Error> {
        self.check_can_queue(of, kind != ActKind::Delete)?;
        let id = self.queue_body(of, body)?;
        for target in targets {
            self.db.put_act(&ActRow {
                id,
                conversation: of,
                target: *target,
                author: self.own_contact(),
                kind,
                text: text.to_owned(),
                officer: false,
                at: None,
            })?;
            self.tell_changed(of, target)?;
        }
        Ok(())
    }

    /// Refuses what cannot be sent here. Who may not write may still take back.
    pub(in crate::engine) fn check_can_queue(
        &self,
        to: ConversationId,
        writes: bool,
    ) -> Result<(), Error> {
        if self.is_cloned()? {
            return Err(Error::Cloned);
        }
        match self.check_writable(to) {
            Err(Error::NotAllowed) if !writes => {}
            checked => checked?,
        }
        if self.db.outbox_count(to)? >= OUTBOX {
            return Err(Error::TooMany { what: "unsent messages here", max: OUTBOX });
        }
        Ok(())
    }

    fn delete(&mut self, of: ConversationId, ids: &[MessageId]) -> Result<(), Error> {
        let conversation = self.db.need_conversation(of)?;
        let role = conversation.state.role(self.account.id().key());
        let officer = conversation.is_shared() && role >= Role::Administrator;
        let mut sent = Vec::new();
        for id in ids {
            let message = self.db.message_of(of, id)?.ok_or(Error::NoSuchMessage)?;
            if message.is_gone() || sent.contains(id) {
                continue;
            }
            if !message.kind.is_said() || !(message.from_me() || officer) {
                return Err(Error::NotAllowed);
            }
            if self.withdraw(of, &message)? {
                let own = self.own_contact();
                self.bury(of, id, Some(own))?;
            } else {
                sent.push(*id);
            }
        }
        if sent.is_empty() {
            return Ok(());
        }
        let targets = sent.iter().map(|id| EnvelopeId::new(*id.as_bytes())).collect();
        self.queue_act(of, &Body::Delete(Delete { of: targets }), ActKind::Delete, &sent, "")
    }

    /// Takes a message back that never left this device; says whether that was so.
    fn withdraw(&mut self, of: ConversationId, message: &Message) -> Result<bool, Error> {
        if matches!(message.fate, Fate::Refused(_)) {
            return Ok(true);
        }
        let id = EnvelopeId::new(*message.id.as_bytes());
        // What was made ready to be sent may have been.
        let waits = self.db.outbox_row(&id)?.is_some_and(|row| row.content.is_none());
        let unsent = waits || message.is_uploading();
        if !unsent || !message.from_me() {
            return Ok(false);
        }
        // What was done to it stands behind it, and never left either.
        for act in self.db.acts_on(of, &message.id)?.iter().filter(|act| act.at.is_none()) {
            self.db.take_outbox(&act.id)?;
        }
        self.db.take_outbox(&id)?;
        Ok(true)
    }
}
