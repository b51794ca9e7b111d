//! The table of messages: the history, its order and the fates.

use openmls_sqlite_storage::Codec;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};
use rusqlite::{OptionalExtension, Row, params};

use super::mls::MessagePack;
use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{
    ContactId, ConversationId, Fate, GroupChange, Message, MessageId, MessageKind, Position,
};

/// A message to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage<'a> {
    pub(crate) id: EnvelopeId,
    pub(crate) conversation: ConversationId,
    pub(crate) place: Option<Place>,
    /// Who wrote it; `None`: this account.
    pub(crate) author: Option<ContactId>,
    pub(crate) kind: MessageKind,
    pub(crate) text: &'a str,
    /// The exact bytes, for kinds a newer version will know.
    pub(crate) content: &'a [u8],
    pub(crate) at: UnixTime,
    pub(crate) fate: Fate,
}

/// The place a log gave a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// `None`: a letter.
    pub(crate) mailbox: Option<MailboxId>,
    pub(crate) generation: u32,
    pub(crate) seq: Seq,
    pub(crate) expires_at: UnixTime,
}

impl Db<'_> {
    /// Keeps a message; `None` if this id is here already.
    pub(crate) fn put_message(self, new: &NewMessage<'_>) -> Result<Option<Message>, Error> {
        let sql = "INSERT OR IGNORE INTO messages (id, conversation, mailbox, generation, seq,
                author, kind, text, content, at, fate, code, expires_at, unread)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let (fate, code) = fate_numbers(new.fate);
        let place = new.place.as_ref();
        let mailbox = place.and_then(|place| place.mailbox.as_ref());
        let kept = self.sql.prepare_cached(sql)?.execute(params![
            new.id.as_bytes(),
            new.conversation.as_bytes(),
            mailbox.map(MailboxId::as_bytes),
            place.map_or(u32::MAX, |place| place.generation),
            place.map_or(i64::MAX, |place| to_sql(place.seq.get())),
            new.author.as_ref().map(ContactId::as_bytes),
            kind_number(new.kind),
            new.text,
            new.content,
            to_sql(new.at.get()),
            fate,
            code,
            place.map_or(0, |place| to_sql(place.expires_at.get())),
            new.author.is_some() && new.kind != MessageKind::Event,
        ])?;
        if kept == 0 {
            return Ok(None);
        }
        self.index_text(self.sql.last_insert_rowid(), new.text)?;
        self.message_of(new.conversation, &MessageId::new(*new.id.as_bytes()))
    }

    /// The message with this id.
    pub(crate) fn message(self, id: &MessageId) -> Result<Option<Message>, Error> {
        let sql = "SELECT * FROM messages WHERE id = ?1 ORDER BY author IS NULL DESC LIMIT 1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([id.as_bytes()], read_message).optional()?)
    }

    /// The message with this id in this conversation.
    pub(crate) fn message_of(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>, Error> {
        let sql = "SELECT * FROM messages WHERE conversation = ?1 AND id = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row((conversation.as_bytes(), id.as_bytes()), read_message).optional()?)
    }

    /// A message of this side got its place; gives it if that is new.
    pub(crate) fn place_message(
        self,
        conversation: ConversationId,
        id: &MessageId,
        place: &Place,
    ) -> Result<Option<Message>, Error> {
        let sql = "UPDATE messages SET mailbox = ?3, generation = ?4, seq = ?5,
                expires_at = ?6, fate = CASE fate WHEN 0 THEN 1 WHEN 4 THEN 1 ELSE fate END
            WHERE conversation = ?1 AND id = ?2 AND author IS NULL AND (seq = ?7 OR fate = 4)";
        let changed = self.sql.prepare_cached(sql)?.execute(params![
            conversation.as_bytes(),
            id.as_bytes(),
            place.mailbox.as_ref().map(MailboxId::as_bytes),
            place.generation,
            to_sql(place.seq.get()),
            to_sql(place.expires_at.get()),
            i64::MAX,
        ])?;
        if changed == 0 { Ok(None) } else { self.message_of(conversation, id) }
    }

    /// The other side has it; says whether that is new.
    pub(crate) fn deliver_message(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<bool, Error> {
        let sql = "UPDATE messages SET fate = 2
            WHERE conversation = ?1 AND id = ?2 AND author IS NULL AND fate IN (0, 1, 3)";
        Ok(self.sql.prepare_cached(sql)?.execute((conversation.as_bytes(), id.as_bytes()))? > 0)
    }

    /// It will not be sent; says whether that is new.
    pub(crate) fn refuse_message(
        self,
        conversation: ConversationId,
        id: &MessageId,
        code: Code,
    ) -> Result<bool, Error> {
        // It keeps the place it has now, behind everything that is here already.
        let sql = "UPDATE messages SET fate = 4, code = ?3, (generation, seq) = (
                SELECT coalesce(max(generation), 0), coalesce(max(seq), 0) FROM (
                    SELECT generation, seq FROM messages WHERE conversation = ?1 AND seq < ?4
                    ORDER BY generation DESC, seq DESC LIMIT 1))
            WHERE conversation = ?1 AND id = ?2 AND author IS NULL AND fate = 0";
        let mut update = self.sql.prepare_cached(sql)?;
        let refused = (conversation.as_bytes(), id.as_bytes(), code.number(), i64::MAX);
        Ok(update.execute(refused)? > 0)
    }

    /// Messages whose time passed without a sign that they were delivered.
    pub(crate) fn expire_messages(self, now: UnixTime) -> Result<Vec<Message>, Error> {
        let sql = "UPDATE messages SET fate = 3 WHERE fate = 1 AND expires_at < ?1 RETURNING *";
        let mut update = self.sql.prepare_cached(sql)?;
        let rows = update.query_map([to_sql(now.get())], read_message)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A page of a conversation, oldest first.
    pub(crate) fn history(
        self,
        conversation: ConversationId,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let sql = "SELECT * FROM messages
            WHERE conversation = ?1 AND (generation, seq, row) < (?2, ?3, ?4)
            ORDER BY generation DESC, seq DESC, row DESC LIMIT ?5";
        let (generation, seq, row) = before.map_or((i64::MAX, i64::MAX, i64::MAX), |before| {
            (i64::from(before.generation), to_sql(before.seq), before.row)
        });
        let mut query = self.sql.prepare_cached(sql)?;
        let page = (conversation.as_bytes(), generation, seq, row, limit);
        let rows = query.query_map(page, read_message)?;
        let mut messages: Vec<Message> = rows.collect::<Result<_, _>>()?;
        messages.reverse();
        Ok(messages)
    }

    /// Everything of this conversation has been read; says whether anything had not.
    pub(crate) fn mark_read(self, conversation: ConversationId) -> Result<bool, Error> {
        let sql = "UPDATE messages SET unread = 0 WHERE conversation = ?1 AND unread = 1";
        Ok(self.sql.execute(sql, [conversation.as_bytes()])? > 0)
    }

    /// Messages not read.
    pub(crate) fn unread(self) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM messages WHERE unread = 1";
        Ok(self.sql.query_row(sql, [], |row| row.get(0))?)
    }

    /// Messages of this side that are still queued.
    pub(crate) fn queued(self) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM messages WHERE fate = 0";
        Ok(self.sql.query_row(sql, [], |row| row.get(0))?)
    }
}

/// Reads a row of `messages`.
pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let seq: i64 = row.get("seq")?;
    let fate = fate_of(row.get("fate")?, row.get("code")?);
    let kind = kind_of(row.get("kind")?);
    let placed = seq != i64::MAX && !matches!(fate, Fate::Refused(_));
    Ok(Message {
        id: MessageId::new(fixed(row, "id")?),
        conversation: ConversationId::new(fixed(row, "conversation")?),
        author: maybe(row, "author")?.map(ContactId::new),
        text: row.get("text")?,
        kind,
        changes: changes_of(row, kind)?,
        seq: placed.then(|| Seq::new(from_sql(seq))),
        at: UnixTime::new(from_sql(row.get("at")?)),
        fate,
        is_unconfirmed: row.get("unconfirmed")?,
        position: Position {
            generation: row.get("generation")?,
            seq: from_sql(seq),
            row: row.get("row")?,
        },
    })
}

/// What an event says, as it is kept.
pub(crate) fn pack_changes(changes: &[GroupChange]) -> Result<Vec<u8>, Error> {
    MessagePack::to_vec(&changes).map_err(|_| Error::Damaged("an event that cannot be written"))
}

/// What an event says; it is kept where a message's content is.
fn changes_of(row: &Row<'_>, kind: MessageKind) -> rusqlite::Result<Vec<GroupChange>> {
    if kind != MessageKind::Event {
        return Ok(Vec::new());
    }
    let packed: Vec<u8> = row.get("content")?;
    MessagePack::from_slice(&packed).map_err(|_| rusqlite::Error::InvalidQuery)
}

/// Layout: the number of each fate in the table, and the code beside it.
const fn fate_numbers(fate: Fate) -> (u8, u32) {
    match fate {
        Fate::Queued => (0, 0),
        Fate::Accepted => (1, 0),
        Fate::Delivered => (2, 0),
        Fate::Expired => (3, 0),
        Fate::Refused(code) => (4, code.number()),
        Fate::Received => (5, 0),
    }
}

fn fate_of(number: u8, code: u32) -> Fate {
    match number {
        0 => Fate::Queued,
        1 => Fate::Accepted,
        2 => Fate::Delivered,
        3 => Fate::Expired,
        4 => Fate::Refused(Code::from_number(code).unwrap_or(Code::Internal)),
        _ => Fate::Received,
    }
}

/// Layout: the number of each kind in the table.
const fn kind_number(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0,
        MessageKind::Unknown => 1,
        MessageKind::Unreadable => 2,
        MessageKind::Event => 3,
    }
}

const fn kind_of(number: u8) -> MessageKind {
    match number {
        0 => MessageKind::Text,
        1 => MessageKind::Unknown,
        3 => MessageKind::Event,
        _ => MessageKind::Unreadable,
    }
}
