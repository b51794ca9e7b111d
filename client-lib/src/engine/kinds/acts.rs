//! Reactions, edits and deletes: kept in the order of the log, and settled on their message once it
//! is here.

use restante_spec::codes::Code;
use restante_spec::content::{LogPosition, Role};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq};
use restante_spec::message::Deliver;

use crate::engine::Work;
use crate::engine::commands::{id_of, id_of_key};
use crate::engine::contents::Speaker;
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::limits::ACTS_WAITING;
use crate::store::{ActKind, ActRow, LogRow, Place};
use crate::types::{ContactId, ConversationId, Message, MessageId, MessageKind};

/// What a content does to messages.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Act<'a> {
    pub(in crate::engine) kind: ActKind,
    pub(in crate::engine) targets: &'a [EnvelopeId],
    /// The reaction, or the other words.
    pub(in crate::engine) text: &'a str,
}

impl Work<'_> {
    /// An account has done something to messages.
    pub(in crate::engine) fn take_act(
        &mut self,
        log: &LogRow,
        speaker: Speaker<'_>,
        envelope: &Deliver,
        act: Act<'_>,
    ) -> Result<(), Error> {
        let (of, author) = (log.conversation, speaker.account);
        let (writes, officer) = self.may_act(log, speaker, envelope.seq)?;
        // CNT-14
        if !writes && act.kind != ActKind::Delete {
            self.notice(Notice::Junk { conversation: Some(of) });
            return Ok(());
        }
        let at = LogPosition { generation: log.generation, seq: envelope.seq };
        for target in act.targets {
            let target = MessageId::new(*target.as_bytes());
            self.db.put_act(&ActRow {
                id: envelope.id,
                conversation: of,
                target,
                author: id_of_key(author),
                kind: act.kind,
                text: act.text.to_owned(),
                officer,
                at: Some(at),
            })?;
            self.settle_acts(of, &target)?;
        }
        Ok(())
    }

    /// Whether an account may write at a position, and whether it may take back what others wrote:
    /// of what comes as a repair also where it has spoken since (CNV-17).
    pub(in crate::engine) fn may_act(
        &self,
        log: &LogRow,
        speaker: Speaker<'_>,
        seq: Seq,
    ) -> Result<(bool, bool), Error> {
        let (writes, officer) = self.may_at(log, speaker.account, seq)?;
        let Some(told) = speaker.told else { return Ok((writes, officer)) };
        let (wrote, was) = self.may_at(log, speaker.account, told)?;
        Ok((writes && wrote, officer && was))
    }

    fn may_at(&self, log: &LogRow, author: &PublicKey, seq: Seq) -> Result<(bool, bool), Error> {
        if !self.db.need_conversation(log.conversation)?.is_shared() {
            return Ok((true, false));
        }
        let state = self.state_at(log, seq)?;
        let role = state.role(author);
        // ROM-13: in a room the relay judges who may write.
        if self.db.is_room(&log.mailbox)? {
            return Ok((true, role >= Role::Administrator));
        }
        Ok((state.policy.writers.includes(role), role >= Role::Administrator))
    }

    /// What this device did to messages has its place.
    pub(in crate::engine) fn place_acts(
        &mut self,
        of: ConversationId,
        id: &EnvelopeId,
        place: &Place,
    ) -> Result<(), Error> {
        let Some(mailbox) = &place.mailbox else { return Ok(()) };
        let log = self.db.need_log(mailbox)?;
        let (_, officer) = self.may_at(&log, self.account.id().key(), place.seq)?;
        let at = LogPosition { generation: place.generation, seq: place.seq };
        for target in self.db.place_acts(of, id, at, officer)? {
            self.settle_acts(of, &target)?;
        }
        Ok(())
    }

    /// A content of this device will not be sent: what it did is undone, and the message in it has
    /// its fate.
    pub(in crate::engine) fn refuse_content(
        &mut self,
        of: ConversationId,
        id: &EnvelopeId,
        code: Code,
    ) -> Result<(), Error> {
        self.db.take_outbox(id)?;
        let message = MessageId::new(*id.as_bytes());
        if self.db.refuse_message(of, &message, code)? {
            self.tell_fate(of, id)?;
        }
        for target in self.db.drop_act(of, id, None)? {
            self.tell_changed(of, &target)?;
        }
        Ok(())
    }

    /// Does what the placed acts on a message come to (CNT-14 to CNT-17), in the log's order.
    pub(in crate::engine) fn settle_acts(
        &mut self,
        of: ConversationId,
        target: &MessageId,
    ) -> Result<(), Error> {
        let here = self.db.bare_message(of, target)?;
        // What could not be read may still come, and then has an author.
        let here = here.filter(|message| message.kind != MessageKind::Unreadable);
        let Some(message) = here else {
            // CNT-17
            return self.db.set_waiting(of, target, true, ACTS_WAITING);
        };
        // CNT-16
        if message.is_gone() || message.kind == MessageKind::Event {
            return self.db.drop_acts_on(of, target);
        }
        self.db.set_waiting(of, target, false, ACTS_WAITING)?;
        let mut acts = self.db.acts_on(of, target)?;
        acts.retain(|act| act.at.is_some());
        if acts.is_empty() {
            return Ok(());
        }
        let author = message.author.unwrap_or_else(|| self.own_contact());
        // CNT-15
        let deletes = |act: &&ActRow| act.kind == ActKind::Delete;
        if let Some(act) = acts.iter().filter(deletes).find(|act| may_delete(act, author)) {
            return self.bury(of, target, Some(act.author));
        }
        self.settle_others(&message, author, &acts)?;
        self.tell_changed(of, target)
    }

    /// Of the edits the last one holds, of the reactions the last one of each account (CNT-14).
    fn settle_others(
        &mut self,
        message: &Message,
        author: ContactId,
        acts: &[ActRow],
    ) -> Result<(), Error> {
        let stands = |act: &ActRow| match act.kind {
            ActKind::Reaction => true,
            ActKind::Edit => act.author == author && message.kind.has_words(),
            ActKind::Delete => false,
        };
        for (n, act) in acts.iter().enumerate() {
            let same = |later: &ActRow| later.kind == act.kind && later.author == act.author;
            // CNT-14
            if !stands(act) || acts.iter().skip(n + 1).any(same) {
                self.db.overrule(act)?;
            } else if act.kind == ActKind::Edit && !act.text.is_empty() {
                self.db.apply_edit(act)?;
            }
        }
        Ok(())
    }

    /// Tells that a message looks different.
    pub(in crate::engine) fn tell_changed(
        &mut self,
        of: ConversationId,
        id: &MessageId,
    ) -> Result<(), Error> {
        if let Some(message) = self.db.message_of(of, id)? {
            self.events.push(Event::Changed(message));
        }
        Ok(())
    }

    /// This account, as contacts are named.
    pub(in crate::engine) fn own_contact(&self) -> ContactId {
        id_of(self.account.id())
    }
}

/// Who wrote a message may take it back, and in a group who was more than a member (CNT-15).
fn may_delete(act: &ActRow, author: ContactId) -> bool {
    act.author == author || act.officer
}
