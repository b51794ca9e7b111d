//! The table of members: what is known of the accounts of a group. Who is in it, the group's tree
//! says; this is what they are called and how to write letters to them.

use std::collections::BTreeSet;

use restante_spec::ids::{MailboxId, PublicKey, Seq};
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, InboxRef, fixed, maybe, to_sql};
use crate::error::Error;
use crate::types::ConversationId;

/// What is known of an account in a group.
#[derive(Clone, Debug)]
pub(crate) struct MemberRow {
    pub(crate) account: PublicKey,
    /// The name they gave themselves; empty until it is known.
    pub(crate) nickname: String,
    /// Their signed device list.
    pub(crate) devices: Option<Vec<u8>>,
    /// Where members write letters to them.
    pub(crate) inbox: Option<InboxRef>,
    /// They have said that they leave.
    pub(crate) leaves: bool,
}

impl MemberRow {
    /// An account of which nothing is known.
    pub(crate) const fn new(account: PublicKey) -> Self {
        Self { account, nickname: String::new(), devices: None, inbox: None, leaves: false }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            account: PublicKey::new(fixed(row, "account")?),
            nickname: row.get("nickname")?,
            devices: row.get("devices")?,
            inbox: InboxRef::read(row)?,
            leaves: row.get("leaves")?,
        })
    }
}

impl InboxRef {
    /// The three columns of an inbox; all or none are there.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let (relay, mailbox) = (row.get("inbox_relay")?, maybe(row, "inbox")?);
        Ok(match (relay, mailbox, maybe(row, "inbox_key")?) {
            (Some(relay), Some(mailbox), Some(key)) => {
                Some(Self { relay, mailbox: MailboxId::new(mailbox), key: Zeroizing::new(key) })
            }
            _ => None,
        })
    }
}

impl Db<'_> {
    /// What is known of an account in a group; nothing, if nothing is.
    pub(crate) fn member(
        self,
        of: ConversationId,
        account: &PublicKey,
    ) -> Result<MemberRow, Error> {
        let sql = "SELECT * FROM members WHERE conversation = ?1 AND account = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let found = query.query_row((of.as_bytes(), account.as_bytes()), MemberRow::read);
        Ok(found.optional()?.unwrap_or_else(|| MemberRow::new(*account)))
    }

    /// The accounts of a group of which something is known.
    pub(crate) fn members(self, of: ConversationId) -> Result<Vec<MemberRow>, Error> {
        let sql = "SELECT * FROM members WHERE conversation = ?1 ORDER BY account";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([of.as_bytes()], MemberRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether something is known of an account.
    pub(crate) fn has_member(self, of: ConversationId, who: &PublicKey) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM members WHERE conversation = ?1 AND account = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((of.as_bytes(), who.as_bytes()))?)
    }

    /// Of how many accounts something is known.
    pub(crate) fn member_count(self, of: ConversationId) -> Result<usize, Error> {
        let sql = "SELECT count(*) FROM members WHERE conversation = ?1";
        Ok(self.sql.prepare_cached(sql)?.query_row([of.as_bytes()], |row| row.get(0))?)
    }

    /// Writes what is known of an account, new or changed.
    pub(crate) fn put_member(self, of: ConversationId, member: &MemberRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO members (conversation, account, nickname, devices,
                inbox_relay, inbox, inbox_key, leaves)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let inbox = member.inbox.as_ref();
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            of.as_bytes(),
            member.account.as_bytes(),
            member.nickname,
            member.devices,
            inbox.map(|inbox| inbox.relay.as_str()),
            inbox.map(|inbox| inbox.mailbox.as_bytes()),
            inbox.map(|inbox| &*inbox.key),
            member.leaves,
        ])?;
        Ok(())
    }

    /// What a device says behind this place of a log is not heard.
    pub(crate) fn mute(self, log: &MailboxId, device: &PublicKey, seq: Seq) -> Result<(), Error> {
        let sql = "INSERT INTO muted (mailbox, device, seq) VALUES (?1, ?2, ?3)
            ON CONFLICT (mailbox, device) DO UPDATE SET seq = min(seq, ?3)";
        self.sql.execute(sql, (log.as_bytes(), device.as_bytes(), to_sql(seq.get())))?;
        Ok(())
    }

    /// A device was let in by who may: it is heard from here on. What stands before was read.
    pub(crate) fn unmute(self, log: &MailboxId, device: &PublicKey) -> Result<(), Error> {
        let sql = "DELETE FROM muted WHERE mailbox = ?1 AND device = ?2";
        self.sql.execute(sql, (log.as_bytes(), device.as_bytes()))?;
        Ok(())
    }

    /// The devices that are not heard any more at a place of a log.
    pub(crate) fn muted(self, log: &MailboxId, at: Seq) -> Result<BTreeSet<PublicKey>, Error> {
        let sql = "SELECT device FROM muted WHERE mailbox = ?1 AND seq <= ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query
            .query_map((log.as_bytes(), to_sql(at.get())), |row| row.get(0).map(PublicKey::new))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An account is in the group no more.
    pub(crate) fn drop_member(self, of: ConversationId, account: &PublicKey) -> Result<(), Error> {
        let sql = "DELETE FROM members WHERE conversation = ?1 AND account = ?2";
        self.sql.execute(sql, (of.as_bytes(), account.as_bytes()))?;
        Ok(())
    }
}
