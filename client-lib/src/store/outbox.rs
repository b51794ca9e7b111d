//! The outbox: contents for conversations, from being written until the relay has them.

use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, UnixTime};
use rusqlite::{OptionalExtension, Row, params};

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::limits::DELIVERY_BATCH;
use crate::types::ConversationId;

/// A content on its way.
#[derive(Clone)]
pub(crate) struct OutboxRow {
    pub(crate) row: i64,
    pub(crate) id: EnvelopeId,
    /// What it says, as contents name and write it (CNT-1).
    pub(crate) kind: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) at: UnixTime,
    /// The log `counter`, `previous` and `content` were made for.
    pub(crate) mailbox: Option<MailboxId>,
    pub(crate) counter: u64,
    pub(crate) previous: Option<[u8; 32]>,
    /// The exact bytes, the same at every sealing.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) sealed: Option<Sealed>,
}

/// A sealed content: these very bytes are sent, as long as the epoch lasts.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) epoch: Epoch,
    pub(crate) body: Vec<u8>,
}

impl OutboxRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let sealed = match (maybe(row, "sealed_epoch")?, row.get("sealed")?) {
            (Some(epoch), Some(body)) => Some(Sealed { epoch: Epoch::new(epoch), body }),
            _ => None,
        };
        Ok(Self {
            row: row.get("row")?,
            id: EnvelopeId::new(fixed(row, "id")?),
            kind: row.get("kind")?,
            body: row.get("body")?,
            at: UnixTime::new(from_sql(row.get("at")?)),
            mailbox: maybe(row, "mailbox")?.map(MailboxId::new),
            counter: from_sql(row.get("counter")?),
            previous: maybe(row, "previous")?,
            content: row.get("content")?,
            sealed,
        })
    }
}

impl Db<'_> {
    /// Puts a content at the end.
    pub(crate) fn put_outbox(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
        kind: u32,
        body: &[u8],
        at: UnixTime,
    ) -> Result<(), Error> {
        let sql =
            "INSERT INTO outbox (conversation, id, kind, body, at) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.sql.prepare_cached(sql)?.execute(params![
            conversation.as_bytes(),
            id.as_bytes(),
            kind,
            body,
            to_sql(at.get()),
        ])?;
        Ok(())
    }

    /// The first contents of this conversation behind a row, in order.
    pub(crate) fn outbox(
        self,
        conversation: ConversationId,
        behind: i64,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, Error> {
        let sql = "SELECT * FROM outbox WHERE conversation = ?1 AND row > ?2 ORDER BY row LIMIT ?3";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map(
            params![conversation.as_bytes(), behind, i64::try_from(limit).unwrap_or(i64::MAX)],
            OutboxRow::read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All contents of this conversation in order, read as they are looked at.
    pub(crate) fn whole_outbox(
        self,
        conversation: ConversationId,
    ) -> impl Iterator<Item = Result<OutboxRow, Error>> {
        let (mut page, mut behind) = (Vec::new().into_iter(), 0);
        std::iter::from_fn(move || {
            if page.len() == 0 {
                match self.outbox(conversation, behind, DELIVERY_BATCH) {
                    Ok(rows) => page = rows.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
            }
            let row = page.next()?;
            behind = row.row;
            Some(Ok(row))
        })
    }

    /// The content with this id.
    pub(crate) fn outbox_row(self, id: &EnvelopeId) -> Result<Option<OutboxRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM outbox WHERE id = ?1")?;
        Ok(query.query_row([id.as_bytes()], OutboxRow::read).optional()?)
    }

    /// How many contents wait for this conversation.
    pub(crate) fn outbox_count(self, conversation: ConversationId) -> Result<usize, Error> {
        let sql = "SELECT count(*) FROM outbox WHERE conversation = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([conversation.as_bytes()], |row| row.get(0))?)
    }

    /// Keeps the exact bytes of a content and what they were made of.
    pub(crate) fn set_content(self, row: &OutboxRow) -> Result<(), Error> {
        let sql = "UPDATE outbox SET mailbox = ?2, counter = ?3, previous = ?4, content = ?5,
                sealed = ?6, sealed_epoch = ?7 WHERE row = ?1";
        self.sql.prepare_cached(sql)?.execute(params![
            row.row,
            row.mailbox.as_ref().map(MailboxId::as_bytes),
            to_sql(row.counter),
            row.previous,
            row.content,
            row.sealed.as_ref().map(|sealed| sealed.body.as_slice()),
            row.sealed.as_ref().map(|sealed| sealed.epoch.as_bytes()),
        ])?;
        Ok(())
    }

    /// This content and what stands behind it is made anew before it is sent: it was not stored.
    pub(crate) fn forget_contents(
        self,
        conversation: ConversationId,
        from: i64,
    ) -> Result<(), Error> {
        let sql = "UPDATE outbox SET mailbox = NULL, content = NULL, sealed = NULL,
            sealed_epoch = NULL WHERE conversation = ?1 AND row >= ?2";
        self.sql.execute(sql, (conversation.as_bytes(), from))?;
        Ok(())
    }

    /// The relay has it, or it will not be sent.
    pub(crate) fn take_outbox(self, id: &EnvelopeId) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id.as_bytes()])?;
        Ok(())
    }

    /// Somebody has it.
    pub(crate) fn take_outbox_of(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM outbox WHERE conversation = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute((conversation.as_bytes(), id.as_bytes()))?;
        Ok(())
    }

    /// Remembers an id this device used in its epoch.
    pub(crate) fn note_own_id(self, of: &MailboxId, id: &EnvelopeId) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO own_ids (mailbox, id) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), id.as_bytes()))?;
        Ok(())
    }

    /// Whether this device used this id in its epoch.
    pub(crate) fn is_own_id(self, of: &MailboxId, id: &EnvelopeId) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM own_ids WHERE mailbox = ?1 AND id = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((of.as_bytes(), id.as_bytes()))?)
    }

    /// The epoch was left: nothing of it can come any more.
    pub(crate) fn forget_own_ids(self, of: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM own_ids WHERE mailbox = ?1", [of.as_bytes()])?;
        Ok(())
    }
}
