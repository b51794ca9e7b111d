//! The tables of what devices have said in a log: how far each has counted, the exact bytes of what
//! is kept, for members that miss it; and since when accounts are members.

use restante_spec::content::{ContentHash, Count};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, Seq};
use rusqlite::{OptionalExtension, Row, params};

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{ConversationId, MessageId};

/// How far a device has counted its kept contents in a log (CNT-1).
#[derive(Clone, Debug)]
pub(crate) struct AuthorRow {
    pub(crate) mailbox: MailboxId,
    pub(crate) device: PublicKey,
    pub(crate) account: PublicKey,
    pub(crate) counter: u64,
    /// Of the content with that counter; `None` before there is one.
    pub(crate) hash: Option<[u8; 32]>,
    /// Where that was learned.
    pub(crate) seq: Seq,
}

/// A content that can be given again.
#[derive(Clone)]
pub(crate) struct KeptRow {
    pub(crate) mailbox: MailboxId,
    pub(crate) device: PublicKey,
    pub(crate) counter: u64,
    pub(crate) conversation: ConversationId,
    pub(crate) id: EnvelopeId,
    /// The message it is an edit of, or a reaction to.
    pub(crate) about: Option<EnvelopeId>,
    pub(crate) seq: Seq,
    /// The exact bytes.
    pub(crate) content: Vec<u8>,
}

/// Layout: 4 and 5 are kinds that are gone. Both ids are looked up: it is done for each content.
// CNT-16
const KEEP: &str = "INSERT OR REPLACE INTO kept
        (mailbox, device, counter, conversation, id, seq, content, about)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (
        SELECT 1 FROM messages WHERE conversation = ?4 AND id IN (?5, ?8)
            AND (kind IN (4, 5) OR id = ?5 AND edited = 1))";
const KEPT_ABOUT: &str =
    "SELECT * FROM kept WHERE conversation = ?1 AND about = ?2 ORDER BY seq DESC LIMIT ?3";
/// Of each device only so many (?4) of the newest are looked at. The last may have been heard of
/// later than it was said.
const COUNTS_BEHIND: &str = "SELECT *, coalesce(
        (SELECT min(counter) FROM (SELECT counter, seq FROM kept
            WHERE kept.mailbox = ?1 AND kept.device = authors.device
            ORDER BY counter DESC LIMIT ?4) WHERE seq > ?2), counter) AS first,
        coalesce((SELECT seq FROM kept WHERE kept.mailbox = ?1 AND kept.device = authors.device
            AND kept.counter = authors.counter), seq) AS said
    FROM authors WHERE mailbox = ?1 AND seq > ?2 AND hash IS NOT NULL AND said > ?2
    ORDER BY said DESC LIMIT ?3";
/// Each half has its index.
const DROP_KEPT: &str = "DELETE FROM kept WHERE rowid IN (
    SELECT rowid FROM kept WHERE conversation = ?1 AND id = ?2
    UNION ALL SELECT rowid FROM kept WHERE conversation = ?1 AND about = ?2)";

impl KeptRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            device: PublicKey::new(fixed(row, "device")?),
            counter: from_sql(row.get("counter")?),
            conversation: ConversationId::new(fixed(row, "conversation")?),
            id: EnvelopeId::new(fixed(row, "id")?),
            about: maybe(row, "about")?.map(EnvelopeId::new),
            seq: Seq::new(from_sql(row.get("seq")?)),
            content: row.get("content")?,
        })
    }
}

impl Db<'_> {
    /// How far a device has counted; `None`: nothing was heard of it.
    pub(crate) fn author(
        self,
        mailbox: &MailboxId,
        device: &PublicKey,
    ) -> Result<Option<AuthorRow>, Error> {
        let sql = "SELECT * FROM authors WHERE mailbox = ?1 AND device = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let found = query.query_row((mailbox.as_bytes(), device.as_bytes()), |row| {
            Ok(AuthorRow {
                mailbox: *mailbox,
                device: *device,
                account: PublicKey::new(fixed(row, "account")?),
                counter: from_sql(row.get("counter")?),
                hash: maybe(row, "hash")?,
                seq: Seq::new(from_sql(row.get("seq")?)),
            })
        });
        Ok(found.optional()?)
    }

    /// Writes how far a device has counted.
    pub(crate) fn put_author(self, row: &AuthorRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO authors (mailbox, device, account, counter, hash, seq)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.sql.prepare_cached(sql)?.execute(params![
            row.mailbox.as_bytes(),
            row.device.as_bytes(),
            row.account.as_bytes(),
            to_sql(row.counter),
            row.hash,
            to_sql(row.seq.get()),
        ])?;
        Ok(())
    }

    /// What was counted in a log counts no more.
    pub(crate) fn forget_authors(self, mailbox: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM authors WHERE mailbox = ?1", [mailbox.as_bytes()])?;
        Ok(())
    }

    /// Keeps a content for members that miss it; not what is here as a tombstone only, or stands on
    /// one, or says something else by now.
    pub(crate) fn keep(self, row: &KeptRow) -> Result<(), Error> {
        self.sql.prepare_cached(KEEP)?.execute(params![
            row.mailbox.as_bytes(),
            row.device.as_bytes(),
            to_sql(row.counter),
            row.conversation.as_bytes(),
            row.id.as_bytes(),
            to_sql(row.seq.get()),
            row.content,
            row.about.as_ref().map(EnvelopeId::as_bytes),
        ])?;
        Ok(())
    }

    /// No more than the newest of a conversation are kept.
    pub(crate) fn bound_kept(self, of: ConversationId, most: u32) -> Result<(), Error> {
        let sql = "DELETE FROM kept WHERE conversation = ?1 AND rowid <= (SELECT rowid FROM kept
            WHERE conversation = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), most))?;
        Ok(())
    }

    /// Of this content nothing is kept any more: it says something else now.
    pub(super) fn forget_kept(self, of: ConversationId, id: &[u8; 16]) -> Result<(), Error> {
        let sql = "DELETE FROM kept WHERE conversation = ?1 AND id = ?2";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), id))?;
        Ok(())
    }

    /// Of a message and what stands on it nothing is kept any more.
    pub(super) fn drop_kept(self, of: ConversationId, id: &MessageId) -> Result<(), Error> {
        self.sql.prepare_cached(DROP_KEPT)?.execute((of.as_bytes(), id.as_bytes()))?;
        Ok(())
    }

    /// What is kept of a device in a range of counters, the newest first.
    pub(crate) fn kept(
        self,
        mailbox: &MailboxId,
        device: &PublicKey,
        (first, last): (u64, u64),
        limit: usize,
    ) -> Result<Vec<KeptRow>, Error> {
        let sql = "SELECT * FROM kept WHERE mailbox = ?1 AND device = ?2
            AND counter BETWEEN ?3 AND ?4 ORDER BY counter DESC LIMIT ?5";
        let mut query = self.sql.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let range =
            params![mailbox.as_bytes(), device.as_bytes(), to_sql(first), to_sql(last), limit];
        let rows = query.query_map(range, KeptRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is kept of what was done with a message, the newest first.
    pub(crate) fn kept_about(
        self,
        of: ConversationId,
        id: &EnvelopeId,
        limit: u32,
    ) -> Result<Vec<KeptRow>, Error> {
        let mut query = self.sql.prepare_cached(KEPT_ABOUT)?;
        let rows = query.query_map((of.as_bytes(), id.as_bytes(), limit), KeptRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An account came into a log here; [`u64::MAX`]: nobody here knows where.
    pub(crate) fn note_joined(
        self,
        mailbox: &MailboxId,
        account: &PublicKey,
        seq: Seq,
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO joined (mailbox, account, seq) VALUES (?1, ?2, ?3)";
        let joined = (mailbox.as_bytes(), account.as_bytes(), to_sql(seq.get()));
        self.sql.prepare_cached(sql)?.execute(joined)?;
        Ok(())
    }

    /// Where an account came into a log; the beginning, if it was there before this device.
    pub(crate) fn joined(self, mailbox: &MailboxId, account: &PublicKey) -> Result<Seq, Error> {
        let sql = "SELECT seq FROM joined WHERE mailbox = ?1 AND account = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let seq = query.query_row((mailbox.as_bytes(), account.as_bytes()), |row| row.get(0));
        Ok(seq.optional()?.map_or(Seq::START, |seq| Seq::new(from_sql(seq))))
    }

    /// Something of this log behind a place was let go before it came here.
    pub(crate) fn note_absence(self, mailbox: &MailboxId, since: Seq) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO absences (mailbox, since) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((mailbox.as_bytes(), to_sql(since.get())))?;
        Ok(())
    }

    /// It is to be asked how far others have counted behind a place; or an earlier one, behind
    /// which that was asked and never answered. Gives it back.
    pub(crate) fn asked_behind(self, mailbox: &MailboxId, behind: Seq) -> Result<Seq, Error> {
        let sql = "UPDATE absences SET answered = 0,
                since = CASE WHEN answered THEN ?2 ELSE min(since, ?2) END
            WHERE mailbox = ?1 RETURNING since";
        let mut update = self.sql.prepare_cached(sql)?;
        let asked = (mailbox.as_bytes(), to_sql(behind.get()));
        let since = update.query_row(asked, |row| row.get(0)).optional()?;
        Ok(since.map_or(behind, |since| Seq::new(from_sql(since))))
    }

    /// Somebody has told how far others have counted.
    pub(crate) fn note_answered(self, mailbox: &MailboxId) -> Result<(), Error> {
        let sql = "UPDATE absences SET answered = 1 WHERE mailbox = ?1";
        self.sql.prepare_cached(sql)?.execute([mailbox.as_bytes()])?;
        Ok(())
    }

    /// Behind which place something of this log was let go before it came here; `None`: all of it
    /// was read.
    pub(crate) fn absent_since(self, mailbox: &MailboxId) -> Result<Option<Seq>, Error> {
        let sql = "SELECT since FROM absences WHERE mailbox = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let since = query.query_row([mailbox.as_bytes()], |row| row.get(0)).optional()?;
        Ok(since.map(|since| Seq::new(from_sql(since))))
    }

    /// What devices have said behind a place of a log, those that said something last first; of
    /// each at most `back` contents.
    pub(crate) fn counts_behind(
        self,
        mailbox: &MailboxId,
        behind: Seq,
        back: u32,
        limit: usize,
    ) -> Result<Vec<Count>, Error> {
        let mut query = self.sql.prepare_cached(COUNTS_BEHIND)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let asked = (mailbox.as_bytes(), to_sql(behind.get()), limit, back);
        let rows = query.query_map(asked, |row| {
            Ok(Count {
                device: PublicKey::new(fixed(row, "device")?),
                account: PublicKey::new(fixed(row, "account")?),
                first: from_sql(row.get("first")?),
                last: from_sql(row.get("counter")?),
                hash: ContentHash::new(fixed(row, "hash")?),
                seq: Seq::new(from_sql(row.get("said")?)),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::StoreKey;
    use crate::store::Store;

    /// CNT-16: what is done for each content does not grow with its conversation: of no table it
    /// reads more than the rows of the ids it is about.
    #[test]
    fn keeping_a_content_reads_no_conversation_through() {
        let (home, key) = (tempfile::tempdir().unwrap(), StoreKey::from_bytes([7; 32]));
        Store::create(home.path(), &key, |db| {
            for sql in [KEEP, KEPT_ABOUT, DROP_KEPT] {
                let mut plan = db.sql.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
                let steps = steps.collect::<Result<Vec<_>, _>>()?;
                let of_rows = |step: &&String| step.contains("kept") || step.contains("messages");
                assert!(steps.iter().any(|step| of_rows(&step)), "{steps:?}");
                for step in steps.iter().filter(of_rows) {
                    let narrow = ["AND id=?", "AND about=?", "(rowid=?)"];
                    assert!(narrow.iter().any(|by| step.contains(by)), "{step}");
                }
            }
            Ok(())
        })
        .unwrap();
    }
}
