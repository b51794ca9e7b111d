//! The tables of gaps: contents that are missing here and whom to ask when; and contents others
//! miss, which this device may have to give.

use restante_spec::ids::{MailboxId, PublicKey, Seq, UnixTime};
use rusqlite::{Row, params};

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId, MessageId};

/// Contents of one device that are missing, in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GapRow {
    /// 0: not in the table yet.
    pub(crate) id: i64,
    pub(crate) conversation: ConversationId,
    pub(crate) mailbox: MailboxId,
    pub(crate) generation: u32,
    pub(crate) device: PublicKey,
    pub(crate) account: PublicKey,
    /// The counter of the first.
    pub(crate) first: u64,
    /// The counter of the last.
    pub(crate) last: u64,
    /// Hash of the last one, as its author named it.
    pub(crate) hash: [u8; 32],
    /// They stand behind this place ...
    pub(crate) after: Seq,
    /// ... and before this one.
    pub(crate) before: Seq,
    /// How often they were asked for since something came.
    pub(crate) asks: u32,
    pub(crate) due: UnixTime,
    /// Nobody has them.
    pub(crate) lost: bool,
    /// By hearsay: the device that has counted them. Else their author has named counter and hash.
    pub(crate) teller: Option<PublicKey>,
}

/// Contents somebody has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwedRow {
    pub(crate) id: i64,
    /// The log they were asked for in.
    pub(crate) asked_in: MailboxId,
    /// Who asked.
    pub(crate) account: PublicKey,
    pub(crate) mailbox: MailboxId,
    pub(crate) device: PublicKey,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) due: UnixTime,
}

impl GapRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            conversation: ConversationId::new(fixed(row, "conversation")?),
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            generation: row.get("generation")?,
            device: PublicKey::new(fixed(row, "device")?),
            account: PublicKey::new(fixed(row, "account")?),
            first: from_sql(row.get("first")?),
            last: from_sql(row.get("last")?),
            hash: fixed(row, "hash")?,
            after: Seq::new(from_sql(row.get("after")?)),
            before: Seq::new(from_sql(row.get("before")?)),
            asks: row.get("asks")?,
            due: UnixTime::new(from_sql(row.get("due")?)),
            lost: row.get("lost")?,
            teller: maybe(row, "teller")?.map(PublicKey::new),
        })
    }
}

impl OwedRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            asked_in: MailboxId::new(fixed(row, "asked_in")?),
            account: PublicKey::new(fixed(row, "account")?),
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            device: PublicKey::new(fixed(row, "device")?),
            first: from_sql(row.get("first")?),
            last: from_sql(row.get("last")?),
            due: UnixTime::new(from_sql(row.get("due")?)),
        })
    }
}

impl Db<'_> {
    /// Writes a gap, new or changed.
    pub(crate) fn put_gap(self, gap: &GapRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO gaps (id, conversation, mailbox, generation, device,
                account, first, last, hash, after, before, asks, due, lost, teller)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        self.sql.prepare_cached(sql)?.execute(params![
            (gap.id != 0).then_some(gap.id),
            gap.conversation.as_bytes(),
            gap.mailbox.as_bytes(),
            gap.generation,
            gap.device.as_bytes(),
            gap.account.as_bytes(),
            to_sql(gap.first),
            to_sql(gap.last),
            gap.hash,
            to_sql(gap.after.get()),
            to_sql(gap.before.get()),
            gap.asks,
            to_sql(gap.due.get()),
            gap.lost,
            gap.teller.as_ref().map(PublicKey::as_bytes),
        ])?;
        Ok(())
    }

    /// The gap is closed.
    pub(crate) fn drop_gap(self, id: i64) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM gaps WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// What others have counted of a device counts no more: it says so itself.
    pub(crate) fn drop_hearsay(
        self,
        mailbox: &MailboxId,
        device: &PublicKey,
    ) -> Result<bool, Error> {
        let sql = "DELETE FROM gaps WHERE mailbox = ?1 AND device = ?2 AND teller IS NOT NULL";
        let mut delete = self.sql.prepare_cached(sql)?;
        Ok(delete.execute((mailbox.as_bytes(), device.as_bytes()))? > 0)
    }

    /// The gaps of a conversation, in its order.
    pub(crate) fn gaps(self, of: ConversationId) -> Result<Vec<GapRow>, Error> {
        let sql = "SELECT * FROM gaps WHERE conversation = ?1 ORDER BY generation, before, id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([of.as_bytes()], GapRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The gaps in which this content of a device is missing: of several accounts each may be told
    /// otherwise.
    pub(crate) fn gaps_of(
        self,
        mailbox: &MailboxId,
        device: &PublicKey,
        counter: u64,
    ) -> Result<Vec<GapRow>, Error> {
        let sql = "SELECT * FROM gaps WHERE mailbox = ?1 AND device = ?2
            AND ?3 BETWEEN first AND last ORDER BY teller IS NOT NULL, id";
        let mut query = self.sql.prepare_cached(sql)?;
        let place = (mailbox.as_bytes(), device.as_bytes(), to_sql(counter));
        let rows = query.query_map(place, GapRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Gaps that are to be asked for, or given up.
    pub(crate) fn gaps_due(self, now: UnixTime) -> Result<Vec<GapRow>, Error> {
        let sql = "SELECT * FROM gaps WHERE lost = 0 AND due <= ?1 ORDER BY id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([to_sql(now.get())], GapRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes that contents were asked for, unless the same is noted already.
    pub(crate) fn owe(self, row: &OwedRow) -> Result<(), Error> {
        let sql =
            "INSERT OR IGNORE INTO owed (asked_in, account, mailbox, device, first, last, due)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.sql.prepare_cached(sql)?.execute(params![
            row.asked_in.as_bytes(),
            row.account.as_bytes(),
            row.mailbox.as_bytes(),
            row.device.as_bytes(),
            to_sql(row.first),
            to_sql(row.last),
            to_sql(row.due.get()),
        ])?;
        Ok(())
    }

    /// Everything that was asked for in a log.
    pub(crate) fn owed_in(self, asked_in: &MailboxId) -> Result<Vec<OwedRow>, Error> {
        let mut query =
            self.sql.prepare_cached("SELECT * FROM owed WHERE asked_in = ?1 ORDER BY id")?;
        let rows = query.query_map([asked_in.as_bytes()], OwedRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What this device's turn to give has come for.
    pub(crate) fn owed_due(self, now: UnixTime) -> Result<Vec<OwedRow>, Error> {
        let mut query =
            self.sql.prepare_cached("SELECT * FROM owed WHERE due <= ?1 ORDER BY id")?;
        let rows = query.query_map([to_sql(now.get())], OwedRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Less is owed now, and later; of nothing the row goes.
    pub(crate) fn change_owed(self, row: &OwedRow) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM owed WHERE id = ?1")?.execute([row.id])?;
        if row.first > row.last { Ok(()) } else { self.owe(row) }
    }

    /// The oldest goes of what is owed in a log to the account that is owed the most.
    pub(crate) fn owe_most_less(self, asked_in: &MailboxId) -> Result<(), Error> {
        let sql = "DELETE FROM owed WHERE id = (SELECT min(id) FROM owed WHERE asked_in = ?1
            GROUP BY account ORDER BY count(*) DESC, min(id) LIMIT 1)";
        self.sql.prepare_cached(sql)?.execute([asked_in.as_bytes()])?;
        Ok(())
    }

    /// Counts what is given to an account in a conversation; says how much it was since then.
    pub(crate) fn count_given(
        self,
        of: ConversationId,
        account: &PublicKey,
        since: UnixTime,
        now: UnixTime,
    ) -> Result<u32, Error> {
        let sql = "INSERT INTO given (conversation, account, since, count) VALUES (?1, ?2, ?4, 1)
            ON CONFLICT (conversation, account) DO UPDATE SET
                count = CASE WHEN since < ?3 THEN 1 ELSE count + 1 END,
                since = CASE WHEN since < ?3 THEN ?4 ELSE since END
            RETURNING count";
        let mut query = self.sql.prepare_cached(sql)?;
        let what = (of.as_bytes(), account.as_bytes(), to_sql(since.get()), to_sql(now.get()));
        Ok(query.query_row(what, |row| row.get(0))?)
    }

    /// Whether a content of this kind waits to be sent.
    pub(crate) fn waits_in_outbox(self, of: ConversationId, kind: u32) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM outbox WHERE conversation = ?1 AND kind = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((of.as_bytes(), kind))?)
    }

    /// When the next gap is to be asked for, or the next content to be given.
    pub(crate) fn next_repair(self) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT min(due) FROM
            (SELECT due FROM gaps WHERE lost = 0 UNION ALL SELECT due FROM owed)";
        let due: Option<i64> = self.sql.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(due.map(|due| UnixTime::new(from_sql(due))))
    }

    /// Nothing proves that its author wrote this message.
    pub(crate) fn set_unconfirmed(self, of: ConversationId, id: &MessageId) -> Result<(), Error> {
        let sql = "UPDATE messages SET unconfirmed = 1 WHERE conversation = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), id.as_bytes()))?;
        Ok(())
    }

    /// The message itself is here: what somebody else gave for this author's goes, and that it
    /// could not be read (layout: 0 and 2 are the kinds of those; a tombstone stays).
    pub(crate) fn drop_unconfirmed(
        self,
        of: ConversationId,
        id: &MessageId,
        author: Option<&ContactId>,
    ) -> Result<(), Error> {
        let sql = "SELECT 1 FROM messages WHERE conversation = ?1 AND id = ?2
            AND (unconfirmed = 1 AND kind = 0 AND author IS ?3 OR kind = 2)";
        let (of_bytes, author) = (of.as_bytes(), author.map(ContactId::as_bytes));
        if self.sql.prepare_cached(sql)?.exists((of_bytes, id.as_bytes(), author))? {
            self.unindex_text(of, id)?;
            let sql = "DELETE FROM messages WHERE conversation = ?1 AND id = ?2";
            self.sql.prepare_cached(sql)?.execute((of_bytes, id.as_bytes()))?;
        }
        Ok(())
    }
}
