//! The outbox: contents are numbered and chained in their order, sealed when sending is possible,
//! durable before the first byte leaves, and the same bytes for as long as the epoch lasts.

use restante_crypto::{LogChain, content_hash, random_bytes};
use restante_spec::codes::Code;
use restante_spec::content::{Body, Content, ContentError, ContentHash, LogPosition, Text};
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, UnixTime};
use restante_spec::message::{Appended, Commit, EnvelopeClass};

use super::{Engine, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::OWN_DEVICES_WAIT;
use crate::store::{LogRow, LogState, Meta, OutboxRow, Place, Sealed, Wish, WishRow};
use crate::types::{ConversationId, Message, MessageId, MessageKind};

/// An envelope that may leave.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: EnvelopeId,
    /// Its row in the outbox; `None`: a commit.
    pub(crate) row: Option<i64>,
    pub(crate) class: EnvelopeClass,
    /// The relay's name of the epoch; `None` in a room.
    pub(crate) epoch: Option<Epoch>,
    pub(crate) body: Vec<u8>,
    pub(crate) commit: Option<Commit>,
}

/// How a content is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) kind: MessageKind,
    pub(super) text: String,
    /// The message it answers.
    pub(super) reply_to: Option<EnvelopeId>,
    /// When it was written, by the sender's clock.
    pub(super) at: UnixTime,
}

impl Engine {
    /// The next contents of a conversation behind a row, sealed; durable when this returns.
    pub(crate) fn outgoing(
        &mut self,
        mailbox: &MailboxId,
        behind: i64,
        limit: usize,
    ) -> Result<Vec<Outgoing>, Error> {
        let db = self.store.read();
        if db.is_room(mailbox)? {
            return self.outgoing_posts(mailbox, behind, limit);
        }
        let row = db.need_log(mailbox)?;
        let Some(epoch) = row.epoch.filter(|_| row.state == LogState::Live) else {
            return Ok(Vec::new());
        };
        let current = db.need_conversation(row.conversation)?.log == Some(*mailbox);
        if current && self.owes_states(&row)? {
            // DEV-9: what stands in the log by now has been read.
            self.transact(|work| {
                work.db.drop_meta(Meta::OwesStates)?;
                work.tell_everything()
            })?;
        }
        let db = self.store.read();
        let waiting = db.outbox(row.conversation, behind, limit)?;
        if !current || waiting.is_empty() || db.meta(Meta::Cloned)?.is_some() {
            return Ok(Vec::new());
        }
        if self.adds_own_devices(&row)? {
            return Ok(Vec::new());
        }
        self.transact(|work| {
            if waiting.iter().any(|row| class_of(row.kind) == EnvelopeClass::Normal) {
                // Receipts that are owed go along.
                work.send_receipts(row.conversation)?;
            }
            work.seal_all(row, epoch, waiting)
        })
    }

    /// Whether devices of this account are about to be added, which would miss what is said now.
    /// What they are added with comes from the own relay: if that is another one, it may be away.
    fn adds_own_devices(&self, log: &LogRow) -> Result<bool, Error> {
        let (own, is_near) = (*self.account.id().key(), self.is_own_relay(&log.relay));
        // DEV-7
        let is_awaited = |row: &WishRow| match &row.what {
            Wish::Add { account, missing: 1.., .. } => {
                let until = row.not_before.after(OWN_DEVICES_WAIT);
                account == own.as_bytes() && (is_near || self.now < until)
            }
            _ => false,
        };
        Ok(self.store.read().wishes(&log.mailbox)?.iter().any(is_awaited))
    }

    /// The relay has stored it. What a commit changes, its echo decides.
    pub(crate) fn accepted(
        &mut self,
        mailbox: &MailboxId,
        id: &EnvelopeId,
        appended: &Appended,
    ) -> Result<(), Error> {
        self.transact(|work| {
            let row = work.db.need_log(mailbox)?;
            // ROM-12: of a post the log says that it counts.
            if row.commit.as_ref().is_some_and(|commit| commit.id == *id)
                || work.db.is_room(mailbox)?
            {
                return Ok(());
            }
            let (seq, expires_at) = (appended.seq, appended.expires_at);
            let generation = row.generation;
            let place = Place { mailbox: Some(*mailbox), generation, seq, expires_at };
            work.take_own(row.conversation, id, &place)
        })
    }
}

impl Work<'_> {
    fn seal_all(
        &mut self,
        mut log: LogRow,
        epoch: Epoch,
        rows: Vec<OutboxRow>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut outgoing = Vec::with_capacity(rows.len());
        let others = self.others(&log.mailbox)?;
        for mut row in rows {
            let content = match row.content.take() {
                Some(content) if row.mailbox == Some(log.mailbox) => content,
                Some(_) | None => self.chain(&mut log, &mut row)?,
            };
            let class = class_of(row.kind);
            let body = match row.sealed.take() {
                Some(sealed) if sealed.epoch == epoch => sealed.body,
                Some(_) | None => {
                    let body = self.seal_record(&log, &row.id, class, &content)?;
                    self.db.note_own_id(&log.mailbox, &row.id)?;
                    // It goes to those who are in this epoch.
                    self.db.set_recipients(log.conversation, &row.id, &others, self.now)?;
                    log.since_update = log.since_update.saturating_add(1);
                    row.content = Some(content);
                    row.sealed = Some(Sealed { epoch, body: body.clone() });
                    self.db.set_content(&row)?;
                    body
                }
            };
            let (id, row) = (row.id, Some(row.row));
            let epoch = Some(epoch);
            outgoing.push(Outgoing { id, row, class, epoch, body, commit: None });
        }
        self.db.put_log(&log)?;
        Ok(outgoing)
    }

    /// Gives a content its number and the hash of the kept one before it.
    pub(super) fn chain(
        &mut self,
        log: &mut LogRow,
        row: &mut OutboxRow,
    ) -> Result<Vec<u8>, Error> {
        row.mailbox = Some(log.mailbox);
        row.previous = log.previous;
        let body = Body::decode(row.kind, &row.body).map_err(unwritable)?;
        let kept = body.is_kept();
        row.counter = log.counter + u64::from(kept);
        let seen = log.read_upto();
        let content = Content {
            id: row.id,
            counter: row.counter,
            previous: row.previous.map(ContentHash::new),
            random: random_bytes()?,
            seen,
            log: log.chain.map(|chain| LogChain::stored(chain).hash()),
            at: row.at.into(),
            body,
        };
        let content = content.encode().map_err(unwritable)?;
        if kept {
            log.counter = row.counter;
            log.previous = Some(*content_hash(&content).as_bytes());
        }
        Ok(content)
    }

    /// A content of this side has its place: it need not be sent any more.
    pub(super) fn take_own(
        &mut self,
        conversation: ConversationId,
        id: &EnvelopeId,
        place: &Place,
    ) -> Result<(), Error> {
        self.keep_own(id, place)?;
        if let Some(row) = self.db.outbox_row(id)? {
            match Body::decode(row.kind, &row.body) {
                Ok(Body::Sync(sync)) => self.take_own_sync(place, &sync)?,
                Ok(Body::Profile(profile)) => {
                    if let Some(log) = &place.mailbox {
                        let own = *self.account.id().key();
                        self.mute_unlisted((log, place.seq), &own, &profile.devices)?;
                    }
                }
                _ => {}
            }
        }
        self.db.take_outbox(id)?;
        self.place_own(conversation, id, place)
    }

    /// A message of this side has its place.
    pub(super) fn place_own(
        &mut self,
        conversation: ConversationId,
        id: &EnvelopeId,
        place: &Place,
    ) -> Result<(), Error> {
        let message = MessageId::new(*id.as_bytes());
        if let Some(placed) = self.db.place_message(conversation, &message, place)? {
            self.begin_own_timer(placed.kind, conversation, &message, place)?;
            self.events.push(Event::Fate { conversation, message, fate: placed.fate });
            self.settle_acts(conversation, &message)?;
        }
        self.place_acts(conversation, id, place)
    }

    /// A relay refused an append for good.
    pub(super) fn append_refused(
        &mut self,
        mailbox: &MailboxId,
        id: &EnvelopeId,
        code: Code,
    ) -> Result<(), Error> {
        if self.db.is_room(mailbox)? {
            return self.post_refused(mailbox, id, code);
        }
        let mut row = self.db.need_log(mailbox)?;
        if row.commit.as_ref().is_some_and(|commit| commit.id == *id) {
            return self.end_log(mailbox, LogState::Lost, code);
        }
        if !matches!(code, Code::TooLarge | Code::Unsupported | Code::Malformed) {
            // Not this content is refused, but this device.
            return self.end_log(mailbox, LogState::Lost, code);
        }
        let Some(content) = self.db.outbox_row(id)? else { return Ok(()) };
        self.refuse_content(row.conversation, id, code)?;
        let kept = content.kind < Body::PASSING;
        if kept && content.mailbox == Some(*mailbox) && content.counter > 0 {
            // What stands behind it was not stored either and takes its number.
            row.counter = content.counter - 1;
            row.previous = content.previous;
            self.db.put_log(&row)?;
            self.db.forget_contents(row.conversation, content.row)?;
        }
        Ok(())
    }
}

/// The content of a message that goes with the first letter: before every log.
pub(super) fn first_content(message: &Message) -> Result<Vec<u8>, Error> {
    let content = Content {
        id: EnvelopeId::new(*message.id.as_bytes()),
        counter: 1,
        previous: None,
        random: random_bytes()?,
        seen: LogPosition::default(),
        log: None,
        at: message.at.into(),
        body: Body::Text(Text { text: message.text.clone(), reply_to: None }),
    };
    content.encode().map_err(unwritable)
}

/// The content of a commit that closes a conversation: the sender leaves.
pub(super) fn closing_content(
    row: &LogRow,
    id: EnvelopeId,
    at: UnixTime,
) -> Result<Vec<u8>, Error> {
    let content = Content {
        id,
        counter: row.counter + 1,
        previous: row.previous.map(ContentHash::new),
        random: random_bytes()?,
        seen: row.read_upto(),
        log: row.chain.map(|chain| LogChain::stored(chain).hash()),
        at: at.into(),
        body: Body::Leave,
    };
    content.encode().map_err(unwritable)
}

/// How a content of somebody else is shown.
pub(super) fn shown(content: &Content) -> Shown {
    let (kind, text, reply_to) = match &content.body {
        Body::Text(text) => (MessageKind::Text, text.text.clone(), text.reply_to),
        Body::Attachment(file) => (MessageKind::Attachment, file.caption.clone(), file.reply_to),
        _ => (MessageKind::Unknown, String::new(), None),
    };
    Shown { kind, text, reply_to, at: content.at.seconds() }
}

/// A content this side made that no reader would take: what it was made of was checked.
pub(super) fn unwritable(_: ContentError) -> Error {
    Error::Damaged("a content that cannot be written")
}

/// What a person has written wakes the others, the rest does not.
pub(super) const fn class_of(kind: u32) -> EnvelopeClass {
    if Body::wakes(kind) { EnvelopeClass::Normal } else { EnvelopeClass::Quiet }
}
