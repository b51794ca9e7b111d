//! The table of attachments: what a message says of its file, with the keys, and where the file is;
//! and the names of files that are to be removed from the home.

use restante_spec::content::{Attachment as Said, Body};
use rusqlite::{OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::messages::read_name;
use super::transfers::{failure_numbers, failure_of};
use super::{Db, maybe, to_sql};
use crate::attachment::{Attachment, AttachmentState};
use crate::error::Error;
use crate::transfer::TransferFailure;
use crate::types::{ConversationId, Message, MessageId, MessageKind, TransferId};

/// The file of a message.
pub(crate) struct AttachmentRow {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    /// What the message says of it, as contents write it (CNT-8): its keys are in there.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// The relay it may be fetched from, by the address this device knows; `None`: from none.
    pub(crate) relay: Option<String>,
    /// Its name among the home's files.
    pub(crate) file: String,
    /// All of it is here.
    pub(crate) whole: bool,
    /// It is to be fetched by itself.
    pub(crate) wanted: bool,
    pub(crate) transfer: Option<TransferId>,
    pub(crate) failure: Option<TransferFailure>,
}

impl AttachmentRow {
    /// What the message says of it.
    pub(crate) fn said(&self) -> Result<Said, Error> {
        match Body::decode(Body::ATTACHMENT, &self.body) {
            Ok(Body::Attachment(said)) => Ok(*said),
            Ok(_) | Err(_) => Err(Error::Damaged("an attachment that cannot be read")),
        }
    }

    fn shown(&self) -> Result<Attachment, Error> {
        let Said { name, media_type, size, width, height, duration_ms, thumbnail, .. } =
            self.said()?;
        let state = self.state();
        Ok(Attachment { name, media_type, size, width, height, duration_ms, thumbnail, state })
    }

    const fn state(&self) -> AttachmentState {
        match (self.transfer, self.failure) {
            (Some(transfer), _) => AttachmentState::Moving(transfer),
            (None, Some(failure)) => AttachmentState::Failed(failure),
            (None, None) if self.whole => AttachmentState::Here,
            (None, None) if self.relay.is_none() => AttachmentState::Unfetchable,
            (None, None) => AttachmentState::AtRelay,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (failure, code): (Option<u8>, u32) = (row.get("failure")?, row.get("code")?);
        Ok(Self {
            conversation: ConversationId::new(super::fixed(row, "conversation")?),
            message: MessageId::new(super::fixed(row, "message")?),
            body: Zeroizing::new(row.get("body")?),
            relay: row.get("relay")?,
            file: row.get("file")?,
            whole: row.get("whole")?,
            wanted: row.get("wanted")?,
            transfer: maybe(row, "transfer")?.map(TransferId::new),
            failure: failure.map(|failure| failure_of(failure, code)),
        })
    }
}

impl Db<'_> {
    /// Keeps what is known of the file of a message, in place of what was.
    pub(crate) fn put_attachment(self, kept: &AttachmentRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO attachments (conversation, message, body, relay, file,
                whole, wanted, transfer, failure, code)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let numbers = kept.failure.map(failure_numbers);
        self.sql.prepare_cached(sql)?.execute(params![
            kept.conversation.as_bytes(),
            kept.message.as_bytes(),
            kept.body.as_slice(),
            kept.relay,
            kept.file,
            kept.whole,
            kept.wanted,
            kept.transfer.as_ref().map(TransferId::as_bytes),
            numbers.map(|(failure, _)| failure),
            numbers.map_or(0, |(_, code)| code),
        ])?;
        Ok(())
    }

    /// The file of a message.
    pub(crate) fn attachment(
        self,
        of: ConversationId,
        message: &MessageId,
    ) -> Result<Option<AttachmentRow>, Error> {
        let sql = "SELECT * FROM attachments WHERE conversation = ?1 AND message = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let found = query.query_row((of.as_bytes(), message.as_bytes()), AttachmentRow::read);
        Ok(found.optional()?)
    }

    /// Every message with a file.
    pub(crate) fn attachments(self) -> Result<Vec<(ConversationId, MessageId)>, Error> {
        let sql = "SELECT conversation, message FROM attachments";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], read_name)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The file a transfer moves.
    pub(crate) fn attachment_moved_by(
        self,
        transfer: &TransferId,
    ) -> Result<Option<AttachmentRow>, Error> {
        let sql = "SELECT * FROM attachments WHERE transfer = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([transfer.as_bytes()], AttachmentRow::read).optional()?)
    }

    /// Files that are to be fetched by themselves.
    pub(crate) fn wanted_attachments(self, limit: usize) -> Result<Vec<AttachmentRow>, Error> {
        let sql = "SELECT * FROM attachments WHERE wanted = 1 LIMIT ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([to_sql(limit as u64)], AttachmentRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Nothing is known of the file of this message any more, its keys neither.
    pub(crate) fn drop_attachment(
        self,
        of: ConversationId,
        message: &MessageId,
    ) -> Result<(), Error> {
        let which = (of.as_bytes(), message.as_bytes());
        let sql = "DELETE FROM attachments WHERE conversation = ?1 AND message = ?2";
        self.sql.prepare_cached(sql)?.execute(which)?;
        let sql = "UPDATE messages SET content = NULL WHERE conversation = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute(which)?;
        Ok(())
    }

    /// Forgets contents that name files: what is kept for others, and what waits to be sent.
    pub(crate) fn forget_attachment_contents(self) -> Result<(), Error> {
        self.sql.execute("DELETE FROM kept", [])?;
        self.sql.execute("DELETE FROM outbox WHERE kind = ?1", [Body::ATTACHMENT])?;
        Ok(())
    }

    /// Whether the exact bytes of a message are kept.
    #[cfg(test)]
    pub(crate) fn keeps_content(self, of: ConversationId, id: &MessageId) -> Result<bool, Error> {
        let sql = "SELECT content IS NOT NULL FROM messages WHERE conversation = ?1 AND id = ?2";
        Ok(self.sql.query_row(sql, (of.as_bytes(), id.as_bytes()), |row| row.get(0))?)
    }

    /// What is known of the file of a message.
    pub(super) fn shown_attachment(
        self,
        message: &Message,
    ) -> Result<Option<Box<Attachment>>, Error> {
        if message.kind != MessageKind::Attachment {
            return Ok(None);
        }
        let kept = self.attachment(message.conversation, &message.id)?;
        kept.map(|kept| kept.shown().map(Box::new)).transpose()
    }

    /// A file of the home is to be removed: at once, or, if it is `held`, once this process has
    /// ended.
    pub(crate) fn put_litter(self, file: &str, held: bool) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO litter (file, held) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((file, held))?;
        Ok(())
    }

    /// A file of the home is kept, or is not there any more.
    pub(crate) fn take_litter(self, file: &str) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM litter WHERE file = ?1")?.execute([file])?;
        Ok(())
    }

    /// What an earlier process held is held by nobody.
    pub(crate) fn release_litter(self) -> Result<(), Error> {
        self.sql.execute("UPDATE litter SET held = 0", [])?;
        Ok(())
    }

    /// Files that are to be removed.
    pub(crate) fn litter(self) -> Result<Vec<String>, Error> {
        let mut query = self.sql.prepare_cached("SELECT file FROM litter WHERE held = 0")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
