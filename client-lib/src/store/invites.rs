//! What belongs to letters: the own invites, letters already taken, readers of key packages.

use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, ReaderHash, ReaderSecret, UnixTime};
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId};

/// A letter that waits for a blob, or for its writer to be known: the log it lets into, who wrote
/// it, what it says.
pub(crate) type KeptWelcome = (MailboxId, ContactId, Zeroizing<Vec<u8>>);

/// An invite of this account.
#[derive(Clone, Debug)]
pub(crate) struct InviteRow {
    /// The public half of its write key: its name.
    pub(crate) key: PublicKey,
    /// The invite itself, with its seed.
    pub(crate) invite: Zeroizing<Vec<u8>>,
    /// The secret half of its card's key.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) uses: u32,
    pub(crate) expires_at: UnixTime,
    pub(crate) created_at: UnixTime,
    /// The group it leads to (INV-6).
    pub(crate) group: Option<ConversationId>,
    /// Whether whoever takes it is accepted without asking.
    pub(crate) accepts: bool,
}

impl InviteRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: PublicKey::new(fixed(row, "key")?),
            invite: Zeroizing::new(row.get("invite")?),
            secret: Zeroizing::new(row.get("secret")?),
            uses: row.get("uses")?,
            expires_at: UnixTime::new(from_sql(row.get("expires_at")?)),
            created_at: UnixTime::new(from_sql(row.get("created_at")?)),
            group: maybe(row, "leads_to")?.map(ConversationId::new),
            accepts: row.get("accepts")?,
        })
    }
}

impl Db<'_> {
    /// Keeps a letter until the blob it names is here, or its writer is known.
    pub(crate) fn put_welcome(
        self,
        mailbox: &MailboxId,
        contact: ContactId,
        letter: &[u8],
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO welcomes (mailbox, contact, letter) VALUES (?1, ?2, ?3)";
        self.sql.execute(sql, (mailbox.as_bytes(), contact.as_bytes(), letter))?;
        Ok(())
    }

    /// The letters that wait.
    pub(crate) fn welcomes(self) -> Result<Vec<KeptWelcome>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM welcomes")?;
        let rows = query.query_map([], |row| {
            let (mailbox, contact) = (fixed(row, "mailbox")?, fixed(row, "contact")?);
            let letter = Zeroizing::new(row.get("letter")?);
            Ok((MailboxId::new(mailbox), ContactId::new(contact), letter))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A letter waits no longer.
    pub(crate) fn take_welcome(self, mailbox: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM welcomes WHERE mailbox = ?1", [mailbox.as_bytes()])?;
        Ok(())
    }

    /// Keeps a new invite.
    pub(crate) fn put_invite(self, invite: &InviteRow) -> Result<(), Error> {
        let sql = "INSERT INTO invites
                (key, invite, secret, uses, expires_at, created_at, leads_to, accepts)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.sql.execute(
            sql,
            rusqlite::params![
                invite.key.as_bytes(),
                invite.invite.as_slice(),
                invite.secret.as_slice(),
                invite.uses,
                to_sql(invite.expires_at.get()),
                to_sql(invite.created_at.get()),
                invite.group.as_ref().map(ConversationId::as_bytes),
                invite.accepts,
            ],
        )?;
        Ok(())
    }

    /// The invites that are kept, newest first.
    pub(crate) fn invites(self) -> Result<Vec<InviteRow>, Error> {
        let mut query =
            self.sql.prepare_cached("SELECT * FROM invites ORDER BY created_at DESC, key")?;
        let rows = query.query_map([], InviteRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets invites that ended before this time: no letter to them can arrive any more.
    pub(crate) fn forget_invites(self, ended_before: UnixTime) -> Result<(), Error> {
        let sql = "DELETE FROM invites WHERE expires_at < ?1";
        self.sql.execute(sql, [to_sql(ended_before.get())])?;
        Ok(())
    }

    /// Whether this letter was taken before.
    pub(crate) fn letter_seen(self, id: &EnvelopeId) -> Result<bool, Error> {
        let mut query = self.sql.prepare_cached("SELECT 1 FROM letters WHERE id = ?1")?;
        Ok(query.exists([id.as_bytes()])?)
    }

    /// Remembers a letter until it could not be repeated.
    pub(crate) fn note_letter(self, id: &EnvelopeId, forget_at: UnixTime) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO letters (id, forget_at) VALUES (?1, ?2)";
        self.sql.prepare_cached(sql)?.execute((id.as_bytes(), to_sql(forget_at.get())))?;
        Ok(())
    }

    /// Forgets letters that cannot be repeated any more.
    pub(crate) fn forget_letters(self, now: UnixTime) -> Result<(), Error> {
        self.sql.execute("DELETE FROM letters WHERE forget_at < ?1", [to_sql(now.get())])?;
        Ok(())
    }

    /// Keeps the reader of a key package.
    pub(crate) fn put_reader(
        self,
        hash: &ReaderHash,
        secret: &ReaderSecret,
        now: UnixTime,
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO readers (hash, secret, created_at) VALUES (?1, ?2, ?3)";
        self.sql.execute(sql, (hash.as_bytes(), secret.as_bytes(), to_sql(now.get())))?;
        Ok(())
    }

    /// The reader a key package named.
    pub(crate) fn reader(self, hash: &ReaderHash) -> Result<Option<ReaderSecret>, Error> {
        let sql = "SELECT secret FROM readers WHERE hash = ?1";
        let secret = self.sql.query_row(sql, [hash.as_bytes()], |row| row.get(0));
        Ok(secret.optional()?.map(ReaderSecret::new))
    }
}
