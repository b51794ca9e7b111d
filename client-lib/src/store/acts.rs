//! The table of acts: reactions, edits and deletes, each on one message. What an act changes for
//! good stands in the message; here stand reactions, what is still queued, and what waits for its
//! message.

use std::collections::BTreeMap;

use restante_spec::content::LogPosition;
use restante_spec::ids::{EnvelopeId, Seq};
use rusqlite::{Row, params, params_from_iter};

use super::{Db, fixed, from_sql, to_sql};
use crate::error::Error;
use crate::limits::REACTIONS_SHOWN;
use crate::types::{ContactId, ConversationId, Message, MessageId, MessageKind, Reaction};

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActKind {
    /// `text` stands beside it; empty: nothing does any more.
    Reaction,
    /// It says `text`.
    Edit,
    /// It is taken back.
    Delete,
}

/// Something an account did to a message.
#[derive(Clone, Debug)]
pub(crate) struct ActRow {
    /// The content it came in.
    pub(crate) id: EnvelopeId,
    pub(crate) conversation: ConversationId,
    pub(crate) target: MessageId,
    pub(crate) author: ContactId,
    pub(crate) kind: ActKind,
    pub(crate) text: String,
    /// Whether the author was an administrator or owner there and then.
    pub(crate) officer: bool,
    /// Where it stands; `None`: it is queued here.
    pub(crate) at: Option<LogPosition>,
}

/// Layout: a position behind every log, as queued messages have it.
const QUEUED: (u32, i64) = (u32::MAX, i64::MAX);
/// Layout: ids that are asked for in one statement.
const CHUNK: usize = 500;

impl ActRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (generation, seq) = (row.get("generation")?, row.get("seq")?);
        let at = LogPosition { generation, seq: Seq::new(from_sql(seq)) };
        Ok(Self {
            id: EnvelopeId::new(fixed(row, "id")?),
            conversation: ConversationId::new(fixed(row, "conversation")?),
            target: MessageId::new(fixed(row, "target")?),
            author: ContactId::new(fixed(row, "author")?),
            kind: kind_of(row.get("kind")?),
            text: row.get("text")?,
            officer: row.get("officer")?,
            at: ((generation, seq) != QUEUED).then_some(at),
        })
    }
}

impl Db<'_> {
    /// Keeps an act; a copy of one that is here changes nothing.
    pub(crate) fn put_act(self, act: &ActRow) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO acts (id, conversation, target, author, kind, text,
                officer, generation, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let place = |at: LogPosition| (at.generation, to_sql(at.seq.get()));
        let (generation, seq) = act.at.map_or(QUEUED, place);
        self.sql.prepare_cached(sql)?.execute(params![
            act.id.as_bytes(),
            act.conversation.as_bytes(),
            act.target.as_bytes(),
            act.author.as_bytes(),
            kind_number(act.kind),
            act.text,
            act.officer,
            generation,
            seq,
        ])?;
        Ok(())
    }

    /// The acts on a message, in the order of the log, queued ones behind.
    pub(crate) fn acts_on(
        self,
        of: ConversationId,
        target: &MessageId,
    ) -> Result<Vec<ActRow>, Error> {
        let sql = "SELECT * FROM acts WHERE conversation = ?1 AND target = ?2
            ORDER BY generation, seq, row";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map((of.as_bytes(), target.as_bytes()), ActRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Queued acts of this device that came in one content have their place; gives the messages
    /// they are on.
    pub(crate) fn place_acts(
        self,
        of: ConversationId,
        id: &EnvelopeId,
        at: LogPosition,
        officer: bool,
    ) -> Result<Vec<MessageId>, Error> {
        let sql = "UPDATE acts SET generation = ?3, seq = ?4, officer = ?6
            WHERE conversation = ?1 AND id = ?2 AND seq = ?5 RETURNING target";
        let mut update = self.sql.prepare_cached(sql)?;
        let place = (at.generation, to_sql(at.seq.get()));
        let row = params![of.as_bytes(), id.as_bytes(), place.0, place.1, QUEUED.1, officer];
        let rows = update.query_map(row, |row| row.get(0).map(MessageId::new))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Acts that came in one content do not count, or no more; gives the messages they were on.
    pub(crate) fn drop_act(
        self,
        of: ConversationId,
        id: &EnvelopeId,
        on: Option<&MessageId>,
    ) -> Result<Vec<MessageId>, Error> {
        let sql = "DELETE FROM acts WHERE conversation = ?1 AND id = ?2
            AND (?3 IS NULL OR target = ?3) RETURNING target";
        let mut delete = self.sql.prepare_cached(sql)?;
        let row = (of.as_bytes(), id.as_bytes(), on.map(MessageId::as_bytes));
        let rows = delete.query_map(row, |row| row.get(0).map(MessageId::new))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An act does not stand, or no more; of an edit nothing is kept either.
    pub(crate) fn overrule(self, act: &ActRow) -> Result<(), Error> {
        if act.kind == ActKind::Edit {
            // CNT-14
            self.forget_kept(act.conversation, act.id.as_bytes())?;
        }
        self.drop_act(act.conversation, &act.id, Some(&act.target))?;
        Ok(())
    }

    /// Nothing stands on a message any more.
    pub(crate) fn drop_acts_on(self, of: ConversationId, target: &MessageId) -> Result<(), Error> {
        let sql = "DELETE FROM acts WHERE conversation = ?1 AND target = ?2";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), target.as_bytes()))?;
        Ok(())
    }

    /// The message says what an edit says; of the act only its place is kept.
    pub(crate) fn apply_edit(self, act: &ActRow) -> Result<(), Error> {
        self.set_text(act.conversation, &act.target, &act.text)?;
        // CNT-14
        self.forget_kept(act.conversation, act.target.as_bytes())?;
        let sql = "UPDATE acts SET text = '', waits = 0
            WHERE conversation = ?1 AND id = ?2 AND target = ?3";
        let row = (act.conversation.as_bytes(), act.id.as_bytes(), act.target.as_bytes());
        self.sql.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Acts on a message that is not here wait for it, and on one that is here no more; of those
    /// that wait in a conversation the oldest are dropped beyond `most`.
    pub(crate) fn set_waiting(
        self,
        of: ConversationId,
        target: &MessageId,
        waits: bool,
        most: u32,
    ) -> Result<(), Error> {
        let sql = "UPDATE acts SET waits = ?3
            WHERE conversation = ?1 AND target = ?2 AND waits <> ?3";
        let row = (of.as_bytes(), target.as_bytes(), waits);
        if self.sql.prepare_cached(sql)?.execute(row)? > 0 && waits {
            let sql = "DELETE FROM acts WHERE conversation = ?1 AND waits = 1 AND row <=
                (SELECT row FROM acts WHERE conversation = ?1 AND waits = 1
                    ORDER BY row DESC LIMIT 1 OFFSET ?2)";
            self.sql.prepare_cached(sql)?.execute((of.as_bytes(), most))?;
        }
        Ok(())
    }

    /// Gives messages their reactions and files, and shows them as acts that are still queued
    /// will.
    pub(super) fn dress(self, messages: &mut [Message]) -> Result<(), Error> {
        for chunk in messages.chunks_mut(CHUNK) {
            let mut found = self.acts_of(chunk)?;
            for message in chunk {
                if let Some(acts) = found.remove(&(message.conversation, message.id)) {
                    apply(message, acts);
                }
                message.attachment = self.shown_attachment(message)?;
            }
        }
        Ok(())
    }

    fn acts_of(
        self,
        messages: &[Message],
    ) -> Result<BTreeMap<(ConversationId, MessageId), Vec<ActRow>>, Error> {
        let marks = vec!["?"; messages.len()].join(", ");
        let sql =
            format!("SELECT * FROM acts WHERE target IN ({marks}) ORDER BY generation, seq, row");
        let mut query = self.sql.prepare(&sql)?;
        let ids = messages.iter().map(|message| message.id.as_bytes());
        let mut found: BTreeMap<_, Vec<ActRow>> = BTreeMap::new();
        for act in query.query_map(params_from_iter(ids), ActRow::read)? {
            let act = act?;
            found.entry((act.conversation, act.target)).or_default().push(act);
        }
        Ok(found)
    }
}

/// Shows acts on a message: settled ones and those that are queued.
fn apply(message: &mut Message, acts: Vec<ActRow>) {
    let mut last: Vec<(ContactId, String)> = Vec::new();
    for act in acts {
        match act.kind {
            ActKind::Reaction => {
                last.retain(|(author, _)| *author != act.author);
                last.push((act.author, act.text));
            }
            ActKind::Edit if act.at.is_none() => (message.text, message.edited) = (act.text, true),
            ActKind::Delete if act.at.is_none() => {
                message.text = String::new();
                message.kind = MessageKind::Deleted;
                message.deleted_by = Some(act.author);
            }
            ActKind::Edit | ActKind::Delete => {}
        }
    }
    if message.kind == MessageKind::Deleted {
        return;
    }
    for (author, emoji) in last.into_iter().filter(|(_, emoji)| !emoji.is_empty()) {
        let shown = &mut message.reactions;
        match shown.iter().position(|reaction| reaction.emoji == emoji) {
            Some(n) => shown.iter_mut().skip(n).take(1).for_each(|found| found.by.push(author)),
            None if shown.len() < REACTIONS_SHOWN => {
                shown.push(Reaction { emoji, by: vec![author] });
            }
            None => {}
        }
    }
}

/// Layout: the number of each kind in the table, that of its content.
const fn kind_number(kind: ActKind) -> u8 {
    match kind {
        ActKind::Reaction => 3,
        ActKind::Edit => 4,
        ActKind::Delete => 5,
    }
}

const fn kind_of(number: u8) -> ActKind {
    match number {
        3 => ActKind::Reaction,
        4 => ActKind::Edit,
        _ => ActKind::Delete,
    }
}
