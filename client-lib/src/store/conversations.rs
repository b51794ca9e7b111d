//! The table of conversations: what people talk in, however often its log was begun anew.

use restante_spec::content::{GroupKind, GroupState};
use restante_spec::ids::MailboxId;
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, fixed, maybe};
use crate::error::Error;
use crate::types::{ConversationId, Standing};

/// A conversation, as its members agreed on it.
#[derive(Clone, Debug)]
pub(crate) struct ConversationRow {
    pub(crate) id: ConversationId,
    pub(crate) standing: Standing,
    /// It is a room: its state is that of a group whose officers are the room's hosts, and nobody
    /// knows who else reads (ROM-5).
    pub(crate) is_room: bool,
    /// The log messages go to.
    pub(crate) log: Option<MailboxId>,
    /// What holds, as judged from the log (CNV-14).
    pub(crate) state: GroupState,
    /// The seed of the key its members write letters to this account with, in a group.
    pub(crate) own_key: Option<Zeroizing<[u8; 32]>>,
}

impl ConversationRow {
    /// A conversation without a log.
    pub(crate) const fn new(id: ConversationId, state: GroupState) -> Self {
        Self { id, standing: Standing::Open, is_room: false, log: None, state, own_key: None }
    }

    /// Whether it is a group.
    pub(crate) const fn is_group(&self) -> bool {
        self.is_shared() && !self.is_room
    }

    /// Whether any number of people talk in it: a group or a room.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.state.kind, GroupKind::Group(_))
    }

    /// It goes on: it could not be read on, or came from a recovery file.
    pub(crate) const fn reopen(&mut self) {
        if matches!(self.standing, Standing::Broken | Standing::Restored) {
            self.standing = Standing::Open;
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: Vec<u8> = row.get("state")?;
        Ok(Self {
            id: ConversationId::new(fixed(row, "id")?),
            standing: standing_of(row.get("standing")?),
            is_room: row.get::<_, u8>("kind")? == ROOM,
            log: maybe(row, "log")?.map(MailboxId::new),
            state: GroupState::decode(&state).map_err(|_| rusqlite::Error::InvalidQuery)?,
            own_key: maybe(row, "own_key")?.map(Zeroizing::new),
        })
    }
}

impl Db<'_> {
    /// The conversation with this id.
    pub(crate) fn conversation(self, id: ConversationId) -> Result<Option<ConversationRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM conversations WHERE id = ?1")?;
        Ok(query.query_row([id.as_bytes()], ConversationRow::read).optional()?)
    }

    /// The conversation with this id, which must be there.
    pub(crate) fn need_conversation(self, id: ConversationId) -> Result<ConversationRow, Error> {
        self.conversation(id)?.ok_or(Error::NoSuchConversation)
    }

    /// All conversations.
    pub(crate) fn conversations(self) -> Result<Vec<ConversationRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM conversations ORDER BY id")?;
        let rows = query.query_map([], ConversationRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a conversation, new or changed.
    pub(crate) fn put_conversation(self, row: &ConversationRow) -> Result<(), Error> {
        let sql = "INSERT INTO conversations (id, kind, standing, log, state, own_key)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (id) DO UPDATE SET standing = ?3, log = ?4, state = ?5, own_key = ?6";
        let kind = match row.state.kind {
            GroupKind::Direct => 1,
            GroupKind::Group(_) if row.is_room => ROOM,
            GroupKind::Group(_) => 2,
            GroupKind::Own => 3,
        };
        let state = row.state.encode().map_err(|_| Error::Damaged("the state of a group"))?;
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            row.id.as_bytes(),
            kind,
            standing_number(row.standing),
            row.log.as_ref().map(MailboxId::as_bytes),
            state,
            row.own_key.as_deref(),
        ])?;
        Ok(())
    }

    /// Messages of a conversation that were not read.
    pub(crate) fn unread_of(self, id: ConversationId) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM messages WHERE conversation = ?1 AND unread = 1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([id.as_bytes()], |row| row.get(0))?)
    }
}

/// Layout: the kind of a room in the table.
const ROOM: u8 = 4;

/// Layout: the number of each standing in the table.
const fn standing_number(standing: Standing) -> u8 {
    match standing {
        Standing::Invited => 0,
        Standing::Open => 1,
        Standing::Leaving => 2,
        Standing::Left => 3,
        Standing::Removed => 4,
        Standing::Broken => 5,
        Standing::Restored => 6,
    }
}

/// An unknown number was never written; it reads as one that nothing is sent in.
const fn standing_of(number: u8) -> Standing {
    match number {
        0 => Standing::Invited,
        1 => Standing::Open,
        2 => Standing::Leaving,
        3 => Standing::Left,
        4 => Standing::Removed,
        6 => Standing::Restored,
        _ => Standing::Broken,
    }
}
