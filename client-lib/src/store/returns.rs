//! The tables of returns: logs this device asks to be added to again, devices of others that ask
//! for it and wait for a person's consent, conversations this device has no log of, and those that
//! are begun anew.

use restante_spec::ids::{MailboxId, PublicKey, UnixTime};
use rusqlite::params;
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::ConversationId;

/// A log this device asks to be added to again; the own inbox: that of the account's devices, which
/// it does not know yet (DEV-6).
#[derive(Clone, Debug)]
pub(crate) struct ReturnRow {
    pub(crate) mailbox: MailboxId,
    /// How many letters were written.
    pub(crate) asked: u32,
    pub(crate) due: UnixTime,
    /// A member who could not do that has said that the account was removed.
    pub(crate) is_denied: bool,
}

impl ReturnRow {
    /// Nobody was asked yet.
    pub(crate) const fn new(mailbox: MailboxId, due: UnixTime) -> Self {
        Self { mailbox, asked: 0, due, is_denied: false }
    }
}

/// A conversation the account is in, and of which this device has no log.
#[derive(Clone, Debug)]
pub(crate) struct AwaitedRow {
    pub(crate) conversation: ConversationId,
    /// How often other devices were asked for it.
    pub(crate) asked: u32,
    pub(crate) due: UnixTime,
    /// Its log, once another device has named it.
    pub(crate) log: Option<AwaitedLog>,
}

/// Where a conversation is.
#[derive(Clone, Debug)]
pub(crate) struct AwaitedLog {
    pub(crate) mailbox: MailboxId,
    pub(crate) relay: String,
    pub(crate) generation: u32,
}

/// A device that is in the group no more, of an account that is.
#[derive(Clone, Debug)]
pub(crate) struct CallerRow {
    pub(crate) conversation: ConversationId,
    pub(crate) device: PublicKey,
    pub(crate) account: PublicKey,
    /// The letter it asks by: its account's list, and what it can be added with.
    pub(crate) letter: Zeroizing<Vec<u8>>,
}

impl Db<'_> {
    /// Writes a return, new or changed.
    pub(crate) fn put_return(self, row: &ReturnRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO returns (mailbox, asked, due, denied)
            VALUES (?1, ?2, ?3, ?4)";
        let row = (row.mailbox.as_bytes(), row.asked, to_sql(row.due.get()), row.is_denied);
        self.sql.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Returns that are to be asked for, or given up.
    pub(crate) fn returns_due(self, now: UnixTime) -> Result<Vec<ReturnRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM returns WHERE due <= ?1")?;
        let rows = query.query_map([to_sql(now.get())], |row| {
            Ok(ReturnRow {
                mailbox: MailboxId::new(fixed(row, "mailbox")?),
                asked: row.get("asked")?,
                due: UnixTime::new(from_sql(row.get("due")?)),
                is_denied: row.get("denied")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Somebody has said that there is no way back; others may let it in all the same.
    pub(crate) fn deny_return(self, mailbox: &MailboxId) -> Result<(), Error> {
        let sql = "UPDATE returns SET denied = TRUE WHERE mailbox = ?1";
        self.sql.execute(sql, [mailbox.as_bytes()])?;
        Ok(())
    }

    /// When the next one is due, or the next conversation to be begun anew.
    pub(crate) fn next_return(self) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT min(due) FROM
            (SELECT due FROM returns UNION ALL SELECT due FROM awaited
                UNION ALL SELECT due FROM restarts WHERE due IS NOT NULL)";
        let due: Option<i64> = self.sql.prepare_cached(sql)?.query_row([], |r| r.get(0))?;
        Ok(due.map(|due| UnixTime::new(from_sql(due))))
    }

    /// Whoever was asked to has said no: the next one is asked at once.
    pub(crate) fn hasten_return(self, of: ConversationId, now: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE returns SET due = ?2 WHERE mailbox IN
            (SELECT mailbox FROM logs WHERE conversation = ?1)";
        self.sql.execute(sql, (of.as_bytes(), to_sql(now.get())))?;
        Ok(())
    }

    /// It is there again, or gives up.
    pub(crate) fn drop_return(self, mailbox: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM returns WHERE mailbox = ?1", [mailbox.as_bytes()])?;
        Ok(())
    }

    /// Writes a conversation that is waited for, new or changed.
    pub(crate) fn put_awaited(self, row: &AwaitedRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO awaited
                (conversation, asked, due, mailbox, relay, generation)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let log = row.log.as_ref();
        self.sql.prepare_cached(sql)?.execute(params![
            row.conversation.as_bytes(),
            row.asked,
            to_sql(row.due.get()),
            log.map(|log| log.mailbox.as_bytes()),
            log.map(|log| &log.relay),
            log.map(|log| log.generation),
        ])?;
        Ok(())
    }

    /// Whether a conversation is waited for.
    pub(crate) fn is_awaited(self, of: ConversationId) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM awaited WHERE conversation = ?1";
        Ok(self.sql.prepare_cached(sql)?.exists([of.as_bytes()])?)
    }

    /// Conversations that were waited for long enough.
    pub(crate) fn awaited_due(self, now: UnixTime) -> Result<Vec<AwaitedRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM awaited WHERE due <= ?1")?;
        let rows = query.query_map([to_sql(now.get())], |row| {
            let log = match maybe(row, "mailbox")? {
                Some(mailbox) => Some(AwaitedLog {
                    mailbox: MailboxId::new(mailbox),
                    relay: row.get("relay")?,
                    generation: row.get("generation")?,
                }),
                None => None,
            };
            Ok(AwaitedRow {
                conversation: ConversationId::new(fixed(row, "conversation")?),
                asked: row.get("asked")?,
                due: UnixTime::new(from_sql(row.get("due")?)),
                log,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whoever was asked will not answer: the next one is asked at once.
    pub(crate) fn hasten_awaited(self, now: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE awaited SET due = ?1 WHERE asked > 0 AND mailbox IS NULL";
        self.sql.execute(sql, [to_sql(now.get())])?;
        Ok(())
    }

    /// It is waited for no more.
    pub(crate) fn drop_awaited(self, of: ConversationId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM awaited WHERE conversation = ?1", [of.as_bytes()])?;
        Ok(())
    }

    /// A conversation is to be begun anew then, unless it is planned already.
    pub(crate) fn plan_restart(self, of: ConversationId, due: UnixTime) -> Result<(), Error> {
        let sql = "INSERT INTO restarts (conversation, due) VALUES (?1, ?2)
            ON CONFLICT (conversation) DO UPDATE SET due = coalesce(due, ?2)";
        self.sql.execute(sql, (of.as_bytes(), to_sql(due.get())))?;
        Ok(())
    }

    /// Its time has come.
    pub(crate) fn clear_restart(self, of: ConversationId) -> Result<(), Error> {
        let sql = "UPDATE restarts SET due = NULL WHERE conversation = ?1";
        self.sql.execute(sql, [of.as_bytes()])?;
        Ok(())
    }

    /// It is done by this device itself.
    pub(crate) fn note_restart(self, of: ConversationId, now: UnixTime) -> Result<(), Error> {
        let sql = "UPDATE restarts SET last = ?2 WHERE conversation = ?1";
        self.sql.execute(sql, (of.as_bytes(), to_sql(now.get())))?;
        Ok(())
    }

    /// When a conversation was last begun anew by itself.
    pub(crate) fn last_restart(self, of: ConversationId) -> Result<Option<UnixTime>, Error> {
        let sql = "SELECT max(last) FROM restarts WHERE conversation = ?1";
        let last: Option<i64> = self.sql.query_row(sql, [of.as_bytes()], |row| row.get(0))?;
        Ok(last.map(|last| UnixTime::new(from_sql(last))))
    }

    /// Conversations that are to be begun anew now.
    pub(crate) fn restarts_due(self, now: UnixTime) -> Result<Vec<ConversationId>, Error> {
        let mut query =
            self.sql.prepare_cached("SELECT conversation FROM restarts WHERE due <= ?1")?;
        let rows = query.query_map([to_sql(now.get())], |row| row.get(0))?;
        Ok(rows.map(|id| id.map(ConversationId::new)).collect::<Result<_, _>>()?)
    }

    /// Notes a device that waits for consent, with its newest letter.
    pub(crate) fn put_caller(self, row: &CallerRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO callers (conversation, device, account, letter)
            VALUES (?1, ?2, ?3, ?4)";
        self.sql.prepare_cached(sql)?.execute(params![
            row.conversation.as_bytes(),
            row.device.as_bytes(),
            row.account.as_bytes(),
            *row.letter,
        ])?;
        Ok(())
    }

    /// The devices that wait for consent in a conversation.
    pub(crate) fn callers(self, of: ConversationId) -> Result<Vec<CallerRow>, Error> {
        let sql = "SELECT * FROM callers WHERE conversation = ?1 ORDER BY device";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([of.as_bytes()], |row| {
            Ok(CallerRow {
                conversation: of,
                device: PublicKey::new(fixed(row, "device")?),
                account: PublicKey::new(fixed(row, "account")?),
                letter: Zeroizing::new(row.get("letter")?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A person has decided.
    pub(crate) fn drop_caller(self, of: ConversationId, device: &PublicKey) -> Result<(), Error> {
        let sql = "DELETE FROM callers WHERE conversation = ?1 AND device = ?2";
        self.sql.execute(sql, (of.as_bytes(), device.as_bytes()))?;
        Ok(())
    }
}
