//! What is live: typing and presence. It is sent when it can be sent at once and never again, and
//! what comes is told and kept nowhere; somebody who writes ceases by himself.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use restante_crypto::random_bytes;
use restante_spec::content::{Body, Content, ContentHash};
use restante_spec::ids::{EnvelopeId, MailboxId, UnixTime};
use restante_spec::message::{Deliver, EnvelopeClass};

use crate::engine::commands::id_of_key;
use crate::engine::inbox::is_theirs;
use crate::engine::{Engine, Outgoing, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::{LIVE_QUEUE, TYPING_AGAIN, TYPING_ENDS, TYPING_PEOPLE};
use crate::store::{LogRow, LogState};
use crate::types::{ContactId, ConversationId};

/// What is live at the moment. Nothing of it outlives the process.
#[derive(Debug, Default)]
pub(in crate::engine) struct Live {
    /// Waiting for this step of the driver.
    queue: VecDeque<(ConversationId, Body)>,
    /// The last counter that was used (LIV-4).
    counter: u64,
    /// Who is writing, and until when without hearing of it again.
    typing: BTreeMap<(ConversationId, ContactId), UnixTime>,
    /// Where this person writes, and when that was last said.
    told: BTreeMap<ConversationId, UnixTime>,
}

impl Engine {
    /// This person writes something, or not any more.
    pub(crate) fn typing(&mut self, of: ConversationId, active: bool) -> Result<(), Error> {
        if !self.privacy()?.typing {
            return Ok(());
        }
        self.transact(|work| work.check_writable(of))?;
        let now = self.now;
        let said = self.live.told.get(&of).copied();
        match said {
            Some(at) if active && now < at.after(TYPING_AGAIN) => return Ok(()),
            None if !active => return Ok(()),
            Some(_) | None => {}
        }
        if active {
            self.live.told.insert(of, now);
        } else {
            self.live.told.remove(&of);
        }
        self.live.queue(of, Body::Typing { active });
        Ok(())
    }

    /// This person is there, or not any more: told in every conversation that is open.
    pub(crate) fn presence(&mut self, online: bool) -> Result<(), Error> {
        if !self.privacy()?.presence {
            return Ok(());
        }
        for log in self.store.read().live_logs()? {
            if self.transact(|work| work.takes_part(log.conversation))? {
                self.live.queue(log.conversation, Body::Presence { online });
            }
        }
        Ok(())
    }

    /// What is live for this log, sealed.
    pub(crate) fn outgoing_live(&mut self, mailbox: &MailboxId) -> Result<Vec<Outgoing>, Error> {
        if self.live.queue.is_empty() {
            return Ok(Vec::new());
        }
        let db = self.store.read();
        let log = db.need_log(mailbox)?;
        let current = db.need_conversation(log.conversation)?.log == Some(*mailbox);
        if log.state != LogState::Live || !current || log.epoch.is_none() {
            return Ok(Vec::new());
        }
        let mut sealed = Vec::new();
        for body in self.live.take(log.conversation) {
            let counter = self.live.next_counter(self.now);
            sealed.push(self.transact(|work| work.seal_live(&log, counter, body))?);
        }
        Ok(sealed)
    }

    /// What could not be sent at once is not sent.
    pub(crate) fn forget_live(&mut self) {
        self.live.queue.clear();
    }

    /// Takes live envelopes; what does not open or does not fit is dropped in silence.
    pub(in crate::engine) fn take_live(
        &mut self,
        mailbox: &MailboxId,
        batch: Vec<(Deliver, Bytes)>,
    ) -> Result<(), Error> {
        for (envelope, body) in batch {
            let opened = self.transact(|work| {
                let log = work.db.need_log(mailbox)?;
                match work.open_live(&log, &envelope, &body) {
                    // Nothing was written, and what is known of counters (LIV-4) stays.
                    Err(error) if is_theirs(&error) => Ok(None),
                    opened => opened,
                }
            })?;
            match opened {
                Some((of, who, Body::Typing { active })) => self.hear_typing(of, who, active),
                Some((conversation, who, Body::Presence { online })) => {
                    self.events.push(Event::Presence { conversation, who, online });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Somebody writes, or not any more.
    pub(in crate::engine) fn hear_typing(
        &mut self,
        conversation: ConversationId,
        who: ContactId,
        active: bool,
    ) {
        let key = (conversation, who);
        let known = self.live.typing.contains_key(&key);
        if active && !known && self.live.typing.len() >= TYPING_PEOPLE {
            return;
        }
        if active {
            self.live.typing.insert(key, self.now.after(TYPING_ENDS));
        } else {
            self.live.typing.remove(&key);
        }
        if active != known {
            self.events.push(Event::Typing { conversation, who, active });
        }
    }

    /// Who has not been heard of for a while is not writing any more.
    pub(in crate::engine) fn end_typing(&mut self) {
        let now = self.now;
        let over: Vec<_> = self.live.typing.extract_if(.., |_, until| *until <= now).collect();
        for ((conversation, who), _) in over {
            self.events.push(Event::Typing { conversation, who, active: false });
        }
    }

    /// When the first of those who write is not heard of any more.
    pub(in crate::engine) fn next_typing_end(&self) -> Option<UnixTime> {
        self.live.typing.values().copied().min()
    }
}

impl Live {
    /// Something is to be sent now; only the last word of its kind counts.
    pub(in crate::engine) fn queue(&mut self, of: ConversationId, body: Body) {
        self.queue.retain(|(to, before)| *to != of || before.kind() != body.kind());
        if self.queue.len() < LIVE_QUEUE {
            self.queue.push_back((of, body));
        }
    }

    /// What is to be sent in a conversation.
    pub(in crate::engine) fn take(&mut self, of: ConversationId) -> Vec<Body> {
        let (taken, left) =
            std::mem::take(&mut self.queue).into_iter().partition(|(to, _)| *to == of);
        self.queue = left;
        let taken: VecDeque<(ConversationId, Body)> = taken;
        taken.into_iter().map(|(_, body)| body).collect()
    }

    /// Rises over restarts too, without being stored: it begins with the time. Layout: seconds,
    /// then 16 bits.
    fn next_counter(&mut self, now: UnixTime) -> u64 {
        self.counter = (self.counter + 1).max(now.get() << 16);
        self.counter
    }
}

impl Work<'_> {
    pub(in crate::engine) fn seal_live(
        &mut self,
        log: &LogRow,
        counter: u64,
        body: Body,
    ) -> Result<Outgoing, Error> {
        let id = EnvelopeId::new(random_bytes()?);
        let content = Content {
            id,
            counter: log.counter,
            previous: log.previous.map(ContentHash::new),
            random: random_bytes()?,
            seen: log.read_upto(),
            log: None,
            at: self.now.into(),
            body,
        };
        let content = content.encode().map_err(crate::engine::outbox::unwritable)?;
        let body = self.seal_live_record(log, &id, counter, &content)?;
        let epoch = log.epoch;
        Ok(Outgoing { id, row: None, class: EnvelopeClass::Live, epoch, body, commit: None })
    }

    /// What somebody else says live; `None`: nobody who is heard here.
    fn open_live(
        &mut self,
        log: &LogRow,
        envelope: &Deliver,
        record: &[u8],
    ) -> Result<Option<(ConversationId, ContactId, Body)>, Error> {
        if log.epoch.is_none() || log.state != LogState::Live || envelope.epoch != log.epoch {
            return Ok(None);
        }
        let (sender, content) = self.open_live_record(log, envelope, record)?;
        let Some(author) = self.speaker(log, log.cursor, &sender)? else { return Ok(None) };
        let Ok(content) = Content::decode(&content) else { return Ok(None) };
        // CNT-13
        let fits = content.body.may_stand_in(EnvelopeClass::Live) && content.id == envelope.id;
        if !fits || author == *self.account.id().key() {
            return Ok(None);
        }
        Ok(Some((log.conversation, id_of_key(&author), content.body)))
    }
}
