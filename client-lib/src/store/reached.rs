//! Receipts: those that are owed to others, and what others have said of messages of this account.

use restante_spec::content::Receipts;
use restante_spec::ids::{EnvelopeId, UnixTime};
use rusqlite::params;

use super::{Db, from_sql, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId, MessageId, Reach, Recipient};

impl Db<'_> {
    /// A receipt is owed. One that a person has read it says that it arrived, too.
    pub(crate) fn owe_receipt(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
        read: bool,
        due: UnixTime,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO receipts (conversation, id, read, due) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET read = max(read, ?3)";
        let receipt = (conversation.as_bytes(), id.as_bytes(), read, to_sql(due.get()));
        self.sql.prepare_cached(sql)?.execute(receipt)?;
        Ok(())
    }

    /// When the first receipt of each conversation is due.
    pub(crate) fn receipts_due(self) -> Result<Vec<(ConversationId, UnixTime)>, Error> {
        let sql = "SELECT conversation, min(due) FROM receipts GROUP BY conversation";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], |row| {
            Ok((ConversationId::new(row.get(0)?), UnixTime::new(from_sql(row.get(1)?))))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the first receipt of a conversation is due.
    pub(crate) fn receipt_due(self, of: ConversationId) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT min(due) FROM receipts WHERE conversation = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let due: Option<i64> = query.query_row([of.as_bytes()], |row| row.get(0))?;
        Ok(due.map(|due| UnixTime::new(from_sql(due))))
    }

    /// Receipts owed to this conversation cannot be sent before then.
    pub(crate) fn put_off_receipts(
        self,
        conversation: ConversationId,
        due: UnixTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE receipts SET due = ?2 WHERE conversation = ?1 AND due < ?2";
        self.sql.execute(sql, (conversation.as_bytes(), to_sql(due.get())))?;
        Ok(())
    }

    /// Takes up to `limit` receipts owed to this conversation.
    pub(crate) fn take_receipts(
        self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Receipts, Error> {
        let sql = "DELETE FROM receipts WHERE conversation = ?1 AND id IN
            (SELECT id FROM receipts WHERE conversation = ?1 ORDER BY due LIMIT ?2)
            RETURNING id, read";
        let mut query = self.sql.prepare_cached(sql)?;
        let mut rows = query.query((conversation.as_bytes(), limit))?;
        let mut receipts = Receipts::default();
        while let Some(row) = rows.next()? {
            let id = EnvelopeId::new(row.get(0)?);
            let read: bool = row.get(1)?;
            if read { &mut receipts.read } else { &mut receipts.delivered }.push(id);
        }
        Ok(receipts)
    }

    /// No receipts are owed to this conversation any more.
    pub(crate) fn drop_receipts(self, conversation: ConversationId) -> Result<(), Error> {
        self.sql
            .execute("DELETE FROM receipts WHERE conversation = ?1", [conversation.as_bytes()])?;
        Ok(())
    }

    /// A message of this account goes to these others; it did not go to those named before.
    /// Layout: 0, 1 and 8 are kinds that a person wrote.
    pub(crate) fn set_recipients(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
        accounts: &[ContactId],
        now: UnixTime,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM reached WHERE conversation = ?1 AND id = ?2 AND how = 0";
        self.sql.prepare_cached(sql)?.execute((conversation.as_bytes(), id.as_bytes()))?;
        let sql = "INSERT OR IGNORE INTO reached (conversation, id, account, how, at)
            SELECT ?1, ?2, ?3, 0, ?4 WHERE EXISTS (SELECT 1 FROM messages
                WHERE conversation = ?1 AND id = ?2 AND author IS NULL AND kind IN (0, 1, 8))";
        let mut insert = self.sql.prepare_cached(sql)?;
        for account in accounts {
            let (of, who) = (conversation.as_bytes(), account.as_bytes());
            insert.execute((of, id.as_bytes(), who, to_sql(now.get())))?;
        }
        Ok(())
    }

    /// A message of this account that went to nobody so far went to this account.
    pub(crate) fn add_recipient(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
        account: ContactId,
        now: UnixTime,
    ) -> Result<(), Error> {
        let sql = "SELECT 1 FROM reached WHERE conversation = ?1 AND id = ?2";
        let of = (conversation.as_bytes(), id.as_bytes());
        if self.sql.prepare_cached(sql)?.exists(of)? {
            return Ok(());
        }
        self.set_recipients(conversation, id, &[account], now)
    }

    /// An account has a message, or a person there has read it; says whether that is new. Whom it
    /// did not go to is not asked.
    pub(crate) fn reach(
        self,
        conversation: ConversationId,
        id: &EnvelopeId,
        account: ContactId,
        how: Reach,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let sql = "UPDATE reached SET how = ?4, at = ?5
            WHERE conversation = ?1 AND id = ?2 AND account = ?3 AND how < ?4";
        let changed = self.sql.prepare_cached(sql)?.execute(params![
            conversation.as_bytes(),
            id.as_bytes(),
            account.as_bytes(),
            reach_number(how),
            to_sql(now.get()),
        ])?;
        Ok(changed > 0)
    }

    /// A receipt of a message that is not here waits for it; of those that wait the oldest are
    /// dropped beyond `most`. Of one that is here nothing is noted.
    pub(crate) fn put_early_receipt(
        self,
        of: ConversationId,
        id: &EnvelopeId,
        account: ContactId,
        read: bool,
        most: u32,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO early_receipts (conversation, id, account, read)
            SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
                SELECT 1 FROM messages WHERE conversation = ?1 AND id = ?2)
            ON CONFLICT (conversation, id, account) DO UPDATE SET read = max(read, ?4)";
        let receipt = (of.as_bytes(), id.as_bytes(), account.as_bytes(), read);
        if self.sql.prepare_cached(sql)?.execute(receipt)? > 0 {
            let sql = "DELETE FROM early_receipts WHERE row <= (SELECT row FROM early_receipts
                ORDER BY row DESC LIMIT 1 OFFSET ?1)";
            self.sql.prepare_cached(sql)?.execute([most])?;
        }
        Ok(())
    }

    /// Takes the receipts that have waited for a message: whose, and whether it was read there.
    pub(crate) fn take_early_receipts(
        self,
        of: ConversationId,
        id: &EnvelopeId,
    ) -> Result<Vec<(ContactId, Reach)>, Error> {
        let sql = "DELETE FROM early_receipts WHERE conversation = ?1 AND id = ?2
            RETURNING account, read";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map((of.as_bytes(), id.as_bytes()), |row| {
            let how = if row.get(1)? { Reach::Read } else { Reach::Delivered };
            Ok((ContactId::new(row.get(0)?), how))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A message's fate is that of the recipient who has come least far; says whether it has
    /// changed.
    pub(crate) fn settle_fate(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<bool, Error> {
        let sql = "UPDATE messages SET fate = goal.fate FROM (
                SELECT CASE min(how) WHEN 1 THEN 2 WHEN 2 THEN 6 END AS fate FROM reached
                WHERE conversation = ?1 AND id = ?2) AS goal
            WHERE conversation = ?1 AND id = ?2 AND author IS NULL AND goal.fate IS NOT NULL
                AND messages.fate IN (0, 1, 2, 3) AND messages.fate <> goal.fate";
        let mut update = self.sql.prepare_cached(sql)?;
        Ok(update.execute((conversation.as_bytes(), id.as_bytes()))? > 0)
    }

    /// How far a message has come with each account it went to.
    pub(crate) fn recipients(
        self,
        conversation: ConversationId,
        id: &MessageId,
    ) -> Result<Vec<Recipient>, Error> {
        let sql = "SELECT account, how, at FROM reached WHERE conversation = ?1 AND id = ?2
            ORDER BY account";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map((conversation.as_bytes(), id.as_bytes()), |row| {
            let account = ContactId::new(row.get(0)?);
            let (how, at) = (reach_of(row.get(1)?), UnixTime::new(from_sql(row.get(2)?)));
            Ok(Recipient { account, how, at: (how != Reach::Sent).then_some(at) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An account will take nothing any more: it is not waited for. Gives the messages that was so
    /// far waited for it with.
    pub(crate) fn drop_recipient(
        self,
        conversation: ConversationId,
        account: ContactId,
    ) -> Result<Vec<MessageId>, Error> {
        let sql = "DELETE FROM reached WHERE conversation = ?1 AND account = ?2 AND how = 0
            RETURNING id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map((conversation.as_bytes(), account.as_bytes()), |row| {
            row.get(0).map(MessageId::new)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Who has a message is not asked any more after so long.
    pub(crate) fn forget_recipients(self, before: UnixTime) -> Result<(), Error> {
        self.sql.execute("DELETE FROM reached WHERE at < ?1", [to_sql(before.get())])?;
        Ok(())
    }
}

/// Layout: the number of each step in the table.
pub(super) const fn reach_number(how: Reach) -> u8 {
    match how {
        Reach::Sent => 0,
        Reach::Delivered => 1,
        Reach::Read => 2,
    }
}

pub(super) const fn reach_of(number: u8) -> Reach {
    match number {
        0 => Reach::Sent,
        1 => Reach::Delivered,
        _ => Reach::Read,
    }
}
