//! Messages as archives hold them: read from the tables row by row, newest first, and put into
//! them.
//!
//! What comes from an archive stands before everything that was here: its rows count down from -1.
//! So the order in which the account had its messages is the order of rows on every device.

use restante_spec::archive::{
    KeptAct, KeptFate, KeptKind, KeptMessage, KeptReach, Reached, Record, Tombstone,
};
use restante_spec::content::{LogPosition, UnixMillis};
use restante_spec::ids::{ArchiveId, ContactName, ConversationId as Name, EnvelopeId};
use restante_spec::ids::{Seconds, Seq, UnixTime};
use restante_spec::limits::RECORD_ACTS;
use rusqlite::{OptionalExtension, Row, params};

use super::acts::{ActKind, ActRow};
use super::messages::{fate_numbers, fate_of, kind_number, kind_of};
use super::reached::{reach_number, reach_of};
use super::{Db, Mark, Stage, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId, Fate, MessageId, MessageKind, Reach};

/// The columns of a message's own row, but for what stands in other tables.
struct Kept {
    conversation: Name,
    id: EnvelopeId,
    position: LogPosition,
    author: Option<ContactName>,
    kind: MessageKind,
    at: UnixMillis,
    deleted_by: Option<ContactName>,
    gone_at: u64,
}

impl Kept {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let seq = Seq::new(from_sql(row.get("seq")?));
        Ok(Self {
            conversation: Name::new(fixed(row, "conversation")?),
            id: EnvelopeId::new(fixed(row, "id")?),
            position: LogPosition { generation: row.get("generation")?, seq },
            author: maybe(row, "author")?.map(ContactName::new),
            kind: kind_of(row.get("kind")?),
            at: UnixTime::new(from_sql(row.get("at")?)).into(),
            deleted_by: maybe(row, "deleted_by")?.map(ContactName::new),
            gone_at: from_sql(row.get("gone_at")?),
        })
    }

    fn message(self, row: &Row<'_>) -> rusqlite::Result<KeptMessage> {
        let fate = fate_of(row.get("fate")?, row.get("code")?);
        let until = from_sql(row.get("expires_at")?);
        let timer = row.get("timer")?;
        let content = row.get::<_, Option<Vec<u8>>>("content")?.unwrap_or_default();
        let text: String = row.get("text")?;
        // ARC-4: of a text the content says it.
        let is_said = self.kind == MessageKind::Text && !content.is_empty();
        Ok(KeptMessage {
            kind: match self.kind {
                MessageKind::Text => KeptKind::Text,
                MessageKind::Event => KeptKind::Event,
                MessageKind::Unreadable => KeptKind::Unreadable,
                MessageKind::Attachment => KeptKind::File,
                MessageKind::Unknown | MessageKind::Deleted | MessageKind::Disappeared => {
                    KeptKind::Unknown
                }
            },
            conversation: self.conversation,
            id: self.id,
            position: self.position,
            author: self.author,
            text: if is_said { String::new() } else { text },
            content,
            at: self.at,
            fate: kept_fate(fate, row.get("unread")?),
            relay_until: (until > 0).then(|| UnixTime::new(until).into()),
            reply_to: maybe(row, "reply_to")?.map(EnvelopeId::new),
            edited: row.get("edited")?,
            timer: (timer > 0).then(|| Seconds::new(timer)),
            expires: (self.gone_at > 0).then(|| UnixTime::new(self.gone_at).into()),
            reached: Vec::new(),
            acts: Vec::new(),
        })
    }

    const fn tombstone(self) -> Tombstone {
        Tombstone {
            conversation: self.conversation,
            id: self.id,
            position: self.position,
            author: self.author,
            by: self.deleted_by,
            at: self.at,
        }
    }
}

/// What becomes of a message from an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is here now.
    New,
    /// It was here, or is gone.
    Known,
    /// A tombstone of a message that is here.
    Bury,
}

/// A statement about messages, of an archive (`?1`) only those it is to hold: what stands at a
/// share's place or behind it, and what is left of those that were taken back (kind 4).
macro_rules! concat_in_archive {
    ($before:literal, $behind:literal) => {
        concat!(
            $before,
            "(?1 IS NULL OR EXISTS (SELECT 1 FROM shares
                WHERE archive = ?1 AND shares.conversation = messages.conversation
                    AND (messages.kind = 4 OR (messages.generation, messages.seq)
                        >= (shares.generation, shares.seq))))",
            $behind
        )
    };
}

impl Db<'_> {
    /// The names of the next records of a stage behind a mark; of history for a device only those
    /// of the conversations in its archive, and of their messages those behind its place, and those
    /// that were taken back (kind 4), which it may still show.
    pub(crate) fn names_behind(
        self,
        mark: &Mark,
        archive: Option<&ArchiveId>,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let archive = archive.map(ArchiveId::as_bytes);
        let (first, second) = halves(mark);
        let sql = match mark.stage {
            Stage::States => {
                "SELECT kind, key FROM (SELECT 2 AS kind, id AS key FROM contacts
                    UNION ALL SELECT 3, key FROM invites
                    UNION ALL SELECT 4, id FROM conversations WHERE kind < 3
                    UNION ALL SELECT 5, conversation FROM read_marks
                    UNION ALL SELECT kind, key FROM notes
                    UNION ALL SELECT 11, mailbox FROM rooms)
                WHERE (kind, key) > (?2, ?3) AND ?1 IS NULL ORDER BY kind, key LIMIT ?4"
            }
            Stage::Conversations => {
                "SELECT id, x'' FROM conversations WHERE kind < 3 AND id > ?2 AND ?3 = x''
                    AND (?1 IS NULL OR id IN (SELECT conversation FROM shares WHERE archive = ?1))
                ORDER BY id LIMIT ?4"
            }
            Stage::Members => {
                "SELECT conversation, account FROM members
                WHERE (conversation, account) > (?2, ?3) AND (?1 IS NULL
                    OR conversation IN (SELECT conversation FROM shares WHERE archive = ?1))
                ORDER BY conversation, account LIMIT ?4"
            }
            Stage::Messages => {
                concat_in_archive!(
                    "SELECT row, x'' FROM messages WHERE row < ?2 AND ?3 = x'' AND fate <> 0 AND ",
                    " ORDER BY row DESC LIMIT ?4"
                )
            }
        };
        let mut query = self.sql.prepare_cached(sql)?;
        let mut rows = match mark.stage {
            Stage::States => query.query(params![archive, number(&first), second, limit])?,
            Stage::Messages => {
                let behind = if first.is_empty() { i64::MAX } else { number(&first) };
                query.query(params![archive, behind, second, limit])?
            }
            Stage::Conversations | Stage::Members => {
                query.query(params![archive, first, second, limit])?
            }
        };
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let first = match mark.stage {
                Stage::States | Stage::Messages => row.get::<_, i64>(0)?.to_be_bytes().to_vec(),
                Stage::Conversations | Stage::Members => row.get(0)?,
            };
            names.push([first, row.get(1)?].concat());
        }
        Ok(names)
    }

    /// How many conversations, and how many messages and tombstones, an archive has.
    pub(crate) fn archive_counts(self, archive: Option<&ArchiveId>) -> Result<(u64, u64), Error> {
        let archive = archive.map(ArchiveId::as_bytes);
        let count = |sql: &str| self.sql.query_row(sql, [archive], |row| row.get(0).map(from_sql));
        Ok((
            count(
                "SELECT count(*) FROM conversations WHERE kind < 3 AND (?1 IS NULL
                    OR id IN (SELECT conversation FROM shares WHERE archive = ?1))",
            )?,
            count(concat_in_archive!("SELECT count(*) FROM messages WHERE fate <> 0 AND ", ""))?,
        ))
    }

    /// Whether something that was said in a log of a conversation is here, or what is left of it.
    pub(crate) fn has_said(self, of: ConversationId, generation: u32) -> Result<bool, Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM messages
            WHERE conversation = ?1 AND generation = ?2 AND fate <> 0 AND kind <> ?3)";
        let (of, event) = (of.as_bytes(), kind_number(MessageKind::Event));
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row((of, generation, event), |row| row.get(0))?)
    }

    /// A message of a row, or what is left of it; `None`: it is not there any more.
    pub(crate) fn kept_record(self, row: i64, now: UnixTime) -> Result<Option<Record>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM messages WHERE row = ?1")?;
        let found = query.query_row([row], |row| {
            let kept = Kept::read(row)?;
            let over = kept.gone_at > 0 && kept.gone_at <= now.get();
            // ARC-5
            if over || matches!(kept.kind, MessageKind::Deleted | MessageKind::Disappeared) {
                return Ok(Record::Tombstone(kept.tombstone()));
            }
            Ok(Record::Message(Box::new(kept.message(row)?)))
        });
        let mut found = found.optional()?;
        if let Some(Record::Message(message)) = &mut found {
            if message.kind == KeptKind::File {
                let of = ConversationId::new(*message.conversation.as_bytes());
                let file = self.attachment(of, &MessageId::new(*message.id.as_bytes()))?;
                message.content = file.map_or_else(Vec::new, |file| file.body.to_vec());
            }
            message.reached = self.kept_reached(message)?;
            message.acts = self.kept_acts(message)?;
        }
        Ok(found)
    }

    fn kept_reached(self, of: &KeptMessage) -> Result<Vec<Reached>, Error> {
        let sql = "SELECT account, how, at FROM reached WHERE conversation = ?1 AND id = ?2
            ORDER BY account";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map((of.conversation.as_bytes(), of.id.as_bytes()), |row| {
            let how = match reach_of(row.get(1)?) {
                Reach::Sent => KeptReach::Sent,
                Reach::Delivered => KeptReach::Delivered,
                Reach::Read => KeptReach::Read,
            };
            let at = UnixTime::new(from_sql(row.get(2)?)).into();
            Ok(Reached { account: ContactName::new(row.get(0)?), how, at })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reactions and edits that have their place.
    fn kept_acts(self, of: &KeptMessage) -> Result<Vec<KeptAct>, Error> {
        let target = MessageId::new(*of.id.as_bytes());
        let acts = self.acts_on(ConversationId::new(*of.conversation.as_bytes()), &target)?;
        let kept = acts.into_iter().filter(|act| act.kind != ActKind::Delete);
        let kept = kept.filter_map(|act| {
            Some(KeptAct {
                id: act.id,
                author: ContactName::new(*act.author.as_bytes()),
                is_edit: act.kind == ActKind::Edit,
                // The message says it.
                text: if act.kind == ActKind::Edit { String::new() } else { act.text },
                position: act.at?,
            })
        });
        Ok(kept.take(RECORD_ACTS).collect())
    }

    /// Puts a message from an archive before everything that is here, `text` as it is shown.
    pub(crate) fn put_kept(
        self,
        message: &KeptMessage,
        text: &str,
        now: UnixTime,
    ) -> Result<Put, Error> {
        let of = ConversationId::new(*message.conversation.as_bytes());
        let readable = message.kind != KeptKind::Unreadable;
        if !self.make_room(of, &message.id, readable)? {
            return Ok(Put::Known);
        }
        let (fate, unread) = fate_numbers_of(message.fate);
        let sql = "INSERT INTO messages (row, id, conversation, generation, seq, author, kind,
                text, content, at, fate, code, expires_at, unread, reply_to, edited, timer, gone_at)
            VALUES ((SELECT min(0, coalesce(min(row), 0)) - 1 FROM messages),
                ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
            RETURNING row";
        let row: i64 = self.sql.prepare_cached(sql)?.query_row(
            params![
                message.id.as_bytes(),
                of.as_bytes(),
                message.position.generation,
                to_sql(message.position.seq.get()),
                message.author.as_ref().map(ContactName::as_bytes),
                kind_number(match message.kind {
                    KeptKind::Text => MessageKind::Text,
                    KeptKind::Unknown => MessageKind::Unknown,
                    KeptKind::Unreadable => MessageKind::Unreadable,
                    KeptKind::Event => MessageKind::Event,
                    KeptKind::File => MessageKind::Attachment,
                }),
                text,
                // What is said of a file stands beside the message.
                (message.kind != KeptKind::File).then_some(&message.content),
                to_sql(message.at.seconds().get()),
                fate.0,
                fate.1,
                message.relay_until.map_or(0, |until| to_sql(until.seconds().get())),
                unread,
                message.reply_to.as_ref().map(EnvelopeId::as_bytes),
                message.edited,
                message.timer.map_or(0, Seconds::get),
                message.expires.map_or(0, |at| to_sql(at.seconds().get())),
            ],
            |row| row.get(0),
        )?;
        self.index_text(row, text)?;
        self.begin_kept_timer(row, now)?;
        self.put_kept_others(of, message)?;
        Ok(Put::New)
    }

    /// The newest place of a generation that came with an archive.
    pub(crate) fn archived_up_to(self, of: ConversationId, generation: u32) -> Result<Seq, Error> {
        let sql = "SELECT coalesce(max(seq), 0) FROM messages
            WHERE conversation = ?1 AND generation = ?2 AND row < 0 AND seq < ?3";
        let mut query = self.sql.prepare_cached(sql)?;
        let seq = query.query_row((of.as_bytes(), generation, i64::MAX), |row| row.get(0))?;
        Ok(Seq::new(from_sql(seq)))
    }

    /// CNT-18: a read mark of another device came before its message.
    fn begin_kept_timer(self, row: i64, now: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE messages SET gone_at = timer + ?2 WHERE row = ?1 AND timer > 0
            AND unread = 0 AND gone_at = 0 AND author IS NOT NULL";
        self.sql.prepare_cached(sql)?.execute((row, to_sql(now.get())))?;
        Ok(())
    }

    fn put_kept_others(self, of: ConversationId, message: &KeptMessage) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO reached (conversation, id, account, how, at)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        for reached in &message.reached {
            let how = reach_number(match reached.how {
                KeptReach::Sent => Reach::Sent,
                KeptReach::Delivered => Reach::Delivered,
                KeptReach::Read => Reach::Read,
            });
            let at = to_sql(reached.at.seconds().get());
            let (id, account) = (message.id.as_bytes(), reached.account.as_bytes());
            self.sql.prepare_cached(sql)?.execute((of.as_bytes(), id, account, how, at))?;
        }
        for act in &message.acts {
            self.put_act(&ActRow {
                id: act.id,
                conversation: of,
                target: MessageId::new(*message.id.as_bytes()),
                author: ContactId::new(*act.author.as_bytes()),
                kind: if act.is_edit { ActKind::Edit } else { ActKind::Reaction },
                text: act.text.clone(),
                officer: false,
                at: Some(act.position),
            })?;
        }
        Ok(())
    }

    /// Puts what is left of a message before everything that is here.
    pub(crate) fn put_tombstone(self, gone: &Tombstone) -> Result<Put, Error> {
        let of = ConversationId::new(*gone.conversation.as_bytes());
        let id = MessageId::new(*gone.id.as_bytes());
        if !self.make_room(of, &gone.id, true)? {
            let here = self.bare_message(of, &id)?;
            let gone = here.is_none_or(|message| message.is_gone());
            return Ok(if gone { Put::Known } else { Put::Bury });
        }
        let sql = "INSERT INTO messages (row, id, conversation, generation, seq, author, kind,
                text, at, fate, deleted_by)
            VALUES ((SELECT min(0, coalesce(min(row), 0)) - 1 FROM messages),
                ?1, ?2, ?3, ?4, ?5, ?6, '', ?7, ?8, ?9)";
        let by = gone.by.as_ref().map(ContactName::as_bytes);
        let kind = if by.is_some() { MessageKind::Deleted } else { MessageKind::Disappeared };
        let fate = if gone.author.is_some() { Fate::Received } else { Fate::Accepted };
        self.sql.prepare_cached(sql)?.execute(params![
            gone.id.as_bytes(),
            of.as_bytes(),
            gone.position.generation,
            to_sql(gone.position.seq.get()),
            gone.author.as_ref().map(ContactName::as_bytes),
            kind_number(kind),
            to_sql(gone.at.seconds().get()),
            fate_numbers(fate).0,
            by,
        ])?;
        self.drop_acts_on(of, &id)?;
        Ok(Put::New)
    }

    /// Whether there is nothing of this id; what could not be read goes if it is here now.
    fn make_room(self, of: ConversationId, id: &EnvelopeId, readable: bool) -> Result<bool, Error> {
        let sql = "DELETE FROM messages WHERE conversation = ?1 AND id = ?2 AND kind = ?3 AND ?4";
        let unreadable = kind_number(MessageKind::Unreadable);
        let which = (of.as_bytes(), id.as_bytes(), unreadable, readable);
        self.sql.prepare_cached(sql)?.execute(which)?;
        let sql = "SELECT 1 FROM messages WHERE conversation = ?1 AND id = ?2";
        Ok(!self.sql.prepare_cached(sql)?.exists((of.as_bytes(), id.as_bytes()))?)
    }
}

/// The two parts of a mark's key, as the tables name their records.
fn halves(mark: &Mark) -> (Vec<u8>, Vec<u8>) {
    let at = match mark.stage {
        // A number of 8 bytes.
        Stage::States | Stage::Messages => 8,
        Stage::Conversations | Stage::Members => Name::SIZE,
    };
    let (first, second) = mark.key.split_at(at.min(mark.key.len()));
    (first.to_vec(), second.to_vec())
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_be_bytes)
}

const fn kept_fate(fate: Fate, unread: bool) -> KeptFate {
    match fate {
        Fate::Received if unread => KeptFate::Received,
        Fate::Received => KeptFate::ReceivedRead,
        // What is queued is in no archive.
        Fate::Accepted | Fate::Queued => KeptFate::Accepted,
        Fate::Delivered => KeptFate::Delivered,
        Fate::Read => KeptFate::Read,
        Fate::Expired => KeptFate::Expired,
        Fate::Refused(code) => KeptFate::Refused(code),
    }
}

/// The numbers of a fate in the table, and whether it is unread.
const fn fate_numbers_of(fate: KeptFate) -> ((u8, u32), bool) {
    let (fate, unread) = match fate {
        KeptFate::Received => (Fate::Received, true),
        KeptFate::ReceivedRead => (Fate::Received, false),
        KeptFate::Accepted => (Fate::Accepted, false),
        KeptFate::Delivered => (Fate::Delivered, false),
        KeptFate::Read => (Fate::Read, false),
        KeptFate::Expired => (Fate::Expired, false),
        KeptFate::Refused(code) => (Fate::Refused(code), false),
    };
    (fate_numbers(fate), unread)
}
