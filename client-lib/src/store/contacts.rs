//! The table of contacts.

use restante_spec::content::InboxGrant;
use restante_spec::ids::{MailboxId, PublicKey, UnixTime};
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{Contact, ContactId, ContactState, ConversationId, Joins};

/// What is known of a contact.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ContactRow {
    pub(crate) id: ContactId,
    /// Known once their card or letter was read.
    pub(crate) account: Option<PublicKey>,
    pub(crate) nickname: String,
    pub(crate) state: ContactState,
    pub(crate) verified: bool,
    /// Their signed device list.
    pub(crate) devices: Option<Vec<u8>>,
    /// Where to write letters to them.
    pub(crate) inbox: Option<InboxRef>,
    /// The seed of the key they write letters to this account with.
    pub(crate) own_key: Option<Zeroizing<[u8; 32]>>,
    /// The invite of theirs that was taken, until the first letter is with the relay.
    pub(crate) invite: Option<String>,
    /// The key of the own invite they came by, until it is decided over.
    pub(crate) came_by: Option<PublicKey>,
    /// Their first letter's content, until it is decided over.
    pub(crate) request: Option<Vec<u8>>,
    /// When it was declined or blocked.
    pub(crate) ended_at: UnixTime,
    /// The group they asked to be in, or this account asked them to be in (INV-6).
    pub(crate) joins: Option<Joins>,
}

/// An inbox of somebody else, and the key to write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InboxRef {
    pub(crate) relay: String,
    pub(crate) mailbox: MailboxId,
    pub(crate) key: Zeroizing<[u8; 32]>,
}

impl From<&InboxGrant> for InboxRef {
    fn from(grant: &InboxGrant) -> Self {
        let (relay, mailbox) = (grant.relay.to_string(), grant.inbox);
        Self { relay, mailbox, key: grant.key.clone() }
    }
}

impl ContactRow {
    /// A contact of whom nothing is known but the fingerprint.
    pub(crate) const fn new(id: ContactId, state: ContactState) -> Self {
        Self {
            id,
            account: None,
            nickname: String::new(),
            state,
            verified: false,
            devices: None,
            inbox: None,
            own_key: None,
            invite: None,
            came_by: None,
            request: None,
            ended_at: UnixTime::new(0),
            joins: None,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: ContactId::new(fixed(row, "id")?),
            account: maybe(row, "account")?.map(PublicKey::new),
            nickname: row.get("nickname")?,
            state: state_of(row.get("state")?),
            verified: row.get("verified")?,
            devices: row.get("devices")?,
            inbox: InboxRef::read(row)?,
            own_key: maybe(row, "own_key")?.map(Zeroizing::new),
            invite: row.get("invite")?,
            came_by: maybe(row, "came_by")?.map(PublicKey::new),
            request: row.get("request")?,
            ended_at: UnixTime::new(from_sql(row.get("ended_at")?)),
            joins: match maybe(row, "joins")? {
                Some(group) => {
                    Some(Joins { group: ConversationId::new(group), name: row.get("joins_name")? })
                }
                None => None,
            },
        })
    }
}

impl Db<'_> {
    /// The contact with this id.
    pub(crate) fn contact(self, id: ContactId) -> Result<Option<ContactRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM contacts WHERE id = ?1")?;
        Ok(query.query_row([id.as_bytes()], ContactRow::read).optional()?)
    }

    /// The contact with this id, which must be there.
    pub(crate) fn need_contact(self, id: ContactId) -> Result<ContactRow, Error> {
        self.contact(id)?.ok_or(Error::NoSuchContact)
    }

    /// All contacts, by nickname.
    pub(crate) fn contacts(self) -> Result<Vec<ContactRow>, Error> {
        let sql = "SELECT * FROM contacts ORDER BY nickname COLLATE NOCASE, id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], ContactRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many contacts there are.
    pub(crate) fn contact_count(self) -> Result<u64, Error> {
        Ok(from_sql(self.sql.query_row("SELECT count(*) FROM contacts", [], |row| row.get(0))?))
    }

    /// Writes a contact, new or changed.
    pub(crate) fn put_contact(self, contact: &ContactRow) -> Result<(), Error> {
        let sql = "INSERT INTO contacts (id, account, nickname, state, verified, devices,
                inbox_relay, inbox, inbox_key, own_key, invite, request, ended_at, came_by,
                joins, joins_name)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
            ON CONFLICT (id) DO UPDATE SET account = ?2, nickname = ?3, state = ?4, verified = ?5,
                devices = ?6, inbox_relay = ?7, inbox = ?8, inbox_key = ?9, own_key = ?10,
                invite = ?11, request = ?12, ended_at = ?13, came_by = ?14, joins = ?15,
                joins_name = ?16";
        let (inbox, joins) = (contact.inbox.as_ref(), contact.joins.as_ref());
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            contact.id.as_bytes(),
            contact.account.as_ref().map(PublicKey::as_bytes),
            contact.nickname,
            state_number(contact.state),
            contact.verified,
            contact.devices,
            inbox.map(|inbox| inbox.relay.as_str()),
            inbox.map(|inbox| inbox.mailbox.as_bytes()),
            inbox.map(|inbox| &*inbox.key),
            contact.own_key.as_deref(),
            contact.invite,
            contact.request,
            to_sql(contact.ended_at.get()),
            contact.came_by.as_ref().map(PublicKey::as_bytes),
            joins.map(|joins| joins.group.as_bytes()),
            joins.map_or("", |joins| &joins.name),
        ])?;
        Ok(())
    }

    /// A contact as the app sees it.
    pub(crate) fn show(self, contact: &ContactRow) -> Result<Contact, Error> {
        let unread = self.unread_of(contact.id.into())?;
        Ok(Contact {
            id: contact.id,
            nickname: contact.nickname.clone(),
            state: contact.state,
            unread,
            verified: contact.verified,
            joins: contact.joins.clone(),
        })
    }
}

/// Layout: the number of each state in the table.
const fn state_number(state: ContactState) -> u8 {
    match state {
        ContactState::Invited => 0,
        ContactState::Requested => 1,
        ContactState::Incoming => 2,
        ContactState::Active => 3,
        ContactState::Declined => 4,
        ContactState::Blocked => 5,
        ContactState::Ended => 6,
    }
}

/// An unknown number was never written; it reads as the state that lets nobody in.
const fn state_of(number: u8) -> ContactState {
    match number {
        0 => ContactState::Invited,
        1 => ContactState::Requested,
        2 => ContactState::Incoming,
        3 => ContactState::Active,
        4 => ContactState::Declined,
        6 => ContactState::Ended,
        _ => ContactState::Blocked,
    }
}
