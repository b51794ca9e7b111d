//! The table of messages: the history, its order and the fates.

use openmls_sqlite_storage::Codec;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, MailboxId, Seconds, Seq, UnixTime};
use rusqlite::{OptionalExtension, Row, params};

use super::mls::MessagePack;
use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{
    ContactId, ConversationId, Fate, GroupChange, Message, MessageId, MessageKind, Position,
    ReplyTo,
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
    /// The message it answers.
    pub(crate) reply_to: Option<EnvelopeId>,
    /// How long it stays after it was read; `None`: without end.
    pub(crate) timer: Option<Seconds>,
}

impl NewMessage<'_> {
    /// One of this account that is still to be sent.
    pub(crate) const fn queued(
        id: EnvelopeId,
        conversation: ConversationId,
        kind: MessageKind,
        at: UnixTime,
    ) -> Self {
        Self {
            id,
            conversation,
            place: None,
            author: None,
            kind,
            text: "",
            content: &[],
            at,
            fate: Fate::Queued,
            reply_to: None,
            timer: None,
        }
    }
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

/// Reads messages, and whether what they answer is here. Layout: 4 and 5 are kinds that are gone.
pub(super) const MESSAGES: &str = "SELECT messages.*, EXISTS (SELECT 1 FROM messages AS other
        WHERE other.conversation = messages.conversation AND other.id = messages.reply_to
            AND other.kind NOT IN (4, 5)) AS reply_here
    FROM messages";

impl Db<'_> {
    /// Keeps a message; `None` if this id is here already, and not as something nobody could read.
    pub(crate) fn put_message(self, new: &NewMessage<'_>) -> Result<Option<Message>, Error> {
        let sql = "INSERT INTO messages (id, conversation, mailbox, generation, seq,
                author, kind, text, content, at, fate, code, expires_at, unread, reply_to, timer)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
            ON CONFLICT (conversation, id) DO UPDATE SET mailbox = ?3, generation = ?4, seq = ?5,
                author = ?6, kind = ?7, text = ?8, content = ?9, at = ?10, fate = ?11, code = ?12,
                expires_at = ?13, unread = ?14, reply_to = ?15, timer = ?16
                WHERE messages.kind = ?17 AND ?7 <> ?17
            RETURNING row";
        let (fate, code) = fate_numbers(new.fate);
        let place = new.place.as_ref();
        let mailbox = place.and_then(|place| place.mailbox.as_ref());
        let mut insert = self.sql.prepare_cached(sql)?;
        let row = params![
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
            new.reply_to.as_ref().map(EnvelopeId::as_bytes),
            new.timer.map_or(0, Seconds::get),
            kind_number(MessageKind::Unreadable),
        ];
        let kept: Option<i64> = insert.query_row(row, |row| row.get(0)).optional()?;
        let Some(row) = kept else { return Ok(None) };
        self.index_text(row, new.text)?;
        self.message_of(new.conversation, &MessageId::new(*new.id.as_bytes()))
    }

    /// The message with this id.
    pub(crate) fn message(self, id: &MessageId) -> Result<Option<Message>, Error> {
        let sql = format!("{MESSAGES} WHERE id = ?1 ORDER BY author IS NULL DESC LIMIT 1");
        self.one(&sql, [id.as_bytes()])
    }

    /// The message with this id in this conversation.
    pub(crate) fn message_of(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>, Error> {
        let sql = format!("{MESSAGES} WHERE conversation = ?1 AND id = ?2");
        self.one(&sql, (conversation.as_bytes(), id.as_bytes()))
    }

    fn one(self, sql: &str, of: impl rusqlite::Params) -> Result<Option<Message>, Error> {
        let mut query = self.sql.prepare_cached(sql)?;
        let mut found = query.query_row(of, read_message).optional()?;
        self.dress(found.as_mut_slice())?;
        Ok(found)
    }

    /// The same as it stands in the table, without what is done to it.
    pub(crate) fn bare_message(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<Option<Message>, Error> {
        let sql = format!("{MESSAGES} WHERE conversation = ?1 AND id = ?2");
        let mut query = self.sql.prepare_cached(&sql)?;
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
    pub(crate) fn expire_messages(
        self,
        now: UnixTime,
    ) -> Result<Vec<(ConversationId, MessageId)>, Error> {
        // Layout: 0, 1 and 8 are kinds that a person wrote; in a room (4) nobody gives such a sign.
        let sql = "UPDATE messages SET fate = 3
            WHERE fate = 1 AND expires_at < ?1 AND kind IN (0, 1, 8)
                AND conversation NOT IN (SELECT id FROM conversations WHERE kind = 4)
            RETURNING conversation, id";
        let mut update = self.sql.prepare_cached(sql)?;
        let rows = update.query_map([to_sql(now.get())], read_name)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A page of a conversation, oldest first.
    pub(crate) fn history(
        self,
        conversation: ConversationId,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let sql = format!(
            "{MESSAGES} WHERE conversation = ?1 AND (generation, seq, row) < (?2, ?3, ?4)
                AND kind <> ?6 ORDER BY generation DESC, seq DESC, row DESC LIMIT ?5"
        );
        let (generation, seq, row) = before.map_or((i64::MAX, i64::MAX, i64::MAX), |before| {
            (i64::from(before.generation), to_sql(before.seq), before.row)
        });
        let mut query = self.sql.prepare_cached(&sql)?;
        let gone = kind_number(MessageKind::Disappeared);
        let page = (conversation.as_bytes(), generation, seq, row, limit, gone);
        let rows = query.query_map(page, read_message)?;
        let mut messages: Vec<Message> = rows.collect::<Result<_, _>>()?;
        messages.reverse();
        self.dress(&mut messages)?;
        Ok(messages)
    }

    /// Everything of this conversation has been read; gives what had not. The time of those that
    /// disappear begins.
    pub(crate) fn mark_read(
        self,
        conversation: ConversationId,
        now: UnixTime,
    ) -> Result<Vec<(MessageId, MessageKind)>, Error> {
        let sql = "UPDATE messages SET unread = 0,
                gone_at = CASE timer WHEN 0 THEN 0 ELSE timer + ?2 END
            WHERE conversation = ?1 AND unread = 1 RETURNING id, kind";
        let mut update = self.sql.prepare_cached(sql)?;
        let rows = update.query_map((conversation.as_bytes(), to_sql(now.get())), |row| {
            Ok((MessageId::new(row.get(0)?), kind_of(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A message of this account disappears so long from now on; again it changes nothing.
    pub(crate) fn begin_timer(
        self,
        conversation: ConversationId,
        id: &MessageId,
        timer: Seconds,
        now: UnixTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE messages SET timer = ?3, gone_at = ?4
            WHERE conversation = ?1 AND id = ?2 AND gone_at = 0";
        self.sql.prepare_cached(sql)?.execute(params![
            conversation.as_bytes(),
            id.as_bytes(),
            timer.get(),
            to_sql(now.after(timer).get()),
        ])?;
        Ok(())
    }

    /// A message that was read when it came disappears so long from now on as it says.
    pub(crate) fn begin_timer_if_read(
        self,
        conversation: ConversationId,
        id: &MessageId,
        now: UnixTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE messages SET gone_at = timer + ?3
            WHERE conversation = ?1 AND id = ?2 AND timer > 0 AND unread = 0 AND gone_at = 0";
        let of = (conversation.as_bytes(), id.as_bytes(), to_sql(now.get()));
        self.sql.prepare_cached(sql)?.execute(of)?;
        Ok(())
    }

    /// Messages whose time to disappear has come.
    pub(crate) fn to_disappear(
        self,
        now: UnixTime,
    ) -> Result<Vec<(ConversationId, MessageId)>, Error> {
        let sql = "SELECT conversation, id FROM messages WHERE gone_at > 0 AND gone_at <= ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([to_sql(now.get())], read_name)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next message disappears.
    pub(crate) fn next_to_disappear(self) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT min(gone_at) FROM messages WHERE gone_at > 0";
        let at: Option<i64> = self.sql.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(at.map(|at| UnixTime::new(from_sql(at))))
    }

    /// Leaves a tombstone of a message: its id, its place and who wrote it. Everything else is
    /// wiped (the store has `secure_delete`): text, content, words to be found by, what stood on
    /// it, who has it. `by`: who took it back; `None`: its time has passed.
    pub(crate) fn bury(
        self,
        conversation: ConversationId,
        id: &MessageId,
        by: Option<ContactId>,
    ) -> Result<(), Error> {
        let of = (conversation.as_bytes(), id.as_bytes());
        self.unindex_text(conversation, id)?;
        let sql = "DELETE FROM reached WHERE conversation = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute(of)?;
        self.drop_acts_on(conversation, id)?;
        self.drop_kept(conversation, id)?;
        let kind = if by.is_some() { MessageKind::Deleted } else { MessageKind::Disappeared };
        let sql = "UPDATE messages SET kind = ?3, text = '', content = NULL, unread = 0,
                reply_to = NULL, edited = 0, unconfirmed = 0, timer = 0, gone_at = 0,
                deleted_by = ?4
            WHERE conversation = ?1 AND id = ?2";
        let by = by.as_ref().map(ContactId::as_bytes);
        self.sql.prepare_cached(sql)?.execute((of.0, of.1, kind_number(kind), by))?;
        Ok(())
    }

    /// A message says something else now; what it said before is not kept.
    pub(super) fn set_text(
        self,
        conversation: ConversationId,
        id: &MessageId,
        text: &str,
    ) -> Result<(), Error> {
        self.unindex_text(conversation, id)?;
        let sql = "UPDATE messages SET text = ?3, content = NULL, edited = 1
            WHERE conversation = ?1 AND id = ?2 RETURNING row";
        let of = (conversation.as_bytes(), id.as_bytes(), text);
        let row: i64 = self.sql.prepare_cached(sql)?.query_row(of, |row| row.get(0))?;
        self.index_text(row, text)
    }

    /// Messages not read.
    pub(crate) fn unread(self) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM messages WHERE unread = 1";
        Ok(self.sql.query_row(sql, [], |row| row.get(0))?)
    }

    /// Messages of this side that are still queued.
    pub(crate) fn queued(self) -> Result<u32, Error> {
        // Layout: 4 and 5 are kinds that are gone.
        let sql = "SELECT count(*) FROM messages WHERE fate = 0 AND kind NOT IN (4, 5)";
        Ok(self.sql.query_row(sql, [], |row| row.get(0))?)
    }
}

/// Reads a row of `messages`.
pub(super) fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let seq: i64 = row.get("seq")?;
    let fate = fate_of(row.get("fate")?, row.get("code")?);
    let kind = kind_of(row.get("kind")?);
    let placed = seq != i64::MAX && !matches!(fate, Fate::Refused(_));
    let is_here = row.get("reply_here")?;
    let reply_to = maybe(row, "reply_to")?.map(MessageId::new);
    let gone_at: i64 = row.get("gone_at")?;
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
        reply_to: reply_to.map(|message| ReplyTo { message, is_here }),
        edited: row.get("edited")?,
        deleted_by: maybe(row, "deleted_by")?.map(ContactId::new),
        reactions: Vec::new(),
        expires_at: (gone_at > 0).then(|| UnixTime::new(from_sql(gone_at))),
        attachment: None,
    })
}

/// Reads which message it is.
pub(super) fn read_name(row: &Row<'_>) -> rusqlite::Result<(ConversationId, MessageId)> {
    Ok((ConversationId::new(row.get(0)?), MessageId::new(row.get(1)?)))
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
pub(super) const fn fate_numbers(fate: Fate) -> (u8, u32) {
    match fate {
        Fate::Queued => (0, 0),
        Fate::Accepted => (1, 0),
        Fate::Delivered => (2, 0),
        Fate::Expired => (3, 0),
        Fate::Refused(code) => (4, code.number()),
        Fate::Received => (5, 0),
        Fate::Read => (6, 0),
    }
}

pub(super) fn fate_of(number: u8, code: u32) -> Fate {
    match number {
        0 => Fate::Queued,
        1 => Fate::Accepted,
        2 => Fate::Delivered,
        3 => Fate::Expired,
        4 => Fate::Refused(Code::from_number(code).unwrap_or(Code::Internal)),
        6 => Fate::Read,
        _ => Fate::Received,
    }
}

/// Layout: the number of each kind in the table.
pub(super) const fn kind_number(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0,
        MessageKind::Unknown => 1,
        MessageKind::Unreadable => 2,
        MessageKind::Event => 3,
        MessageKind::Deleted => 4,
        MessageKind::Disappeared => 5,
        MessageKind::Attachment => 8,
    }
}

pub(super) const fn kind_of(number: u8) -> MessageKind {
    match number {
        0 => MessageKind::Text,
        1 => MessageKind::Unknown,
        3 => MessageKind::Event,
        4 => MessageKind::Deleted,
        5 => MessageKind::Disappeared,
        8 => MessageKind::Attachment,
        _ => MessageKind::Unreadable,
    }
}
