//! The table of conversations: where each stands in its log, and the commit under way.

use restante_spec::ids::{
    EnvelopeId, Epoch, MailboxId, PublicKey, ReaderHash, ReaderSecret, Seq, Signature,
};
use restante_spec::message::NextKey;
use rusqlite::{OptionalExtension, Row};

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::ContactId;

/// A conversation's mailbox and this device's place in it.
#[derive(Clone, Debug)]
pub(crate) struct ConversationRow {
    pub(crate) mailbox: MailboxId,
    pub(crate) contact: ContactId,
    pub(crate) relay: String,
    /// The larger one is later in the contact's history.
    pub(crate) generation: u32,
    pub(crate) state: ConversationState,
    pub(crate) reader: ReaderSecret,
    /// Everything up to here is done.
    pub(crate) cursor: Seq,
    /// The relay's name of the epoch the group is in, once it was told.
    pub(crate) epoch: Option<Epoch>,
    /// The commit this device should make next.
    pub(crate) want: Want,
    /// The commit this device has made and whose echo is awaited.
    pub(crate) commit: Option<PendingCommit>,
    /// Messages since the last commit, and a head start for whoever did not make that commit.
    pub(crate) since_update: u32,
    /// Contents sent by this device.
    pub(crate) counter: u64,
    /// Hash of the last content sent by this device.
    pub(crate) previous: Option<[u8; 32]>,
    /// The last content of the other side.
    pub(crate) peer_counter: u64,
}

/// How far a conversation has come, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversationState {
    /// Made here; the relay has not heard of it.
    Creating,
    /// In use.
    Live,
    /// Closed by a commit; nothing more can be written.
    Closed,
    /// A commit was accepted that cannot be followed.
    Captured,
    /// The relay does not know it.
    Lost,
    /// What would be needed to read on is no longer kept.
    Gone,
}

/// The commit a device should make next in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Want {
    /// None.
    Nothing,
    /// The contact's devices in: the first commit of a conversation made here.
    Add,
    /// A fresh leaf of its own.
    Update,
    /// An end: nobody writes any more.
    Close,
    /// First the other side's leaves and readers out, then an end.
    Remove,
}

/// A commit that is sealed and durable, and what the relay is told beside it.
#[derive(Clone, Debug)]
pub(crate) struct PendingCommit {
    pub(crate) id: EnvelopeId,
    pub(crate) body: Vec<u8>,
    /// What it does.
    pub(crate) does: Want,
    /// `None`: it closes the conversation.
    pub(crate) next: Option<NextKey>,
    pub(crate) add_readers: Vec<ReaderHash>,
    pub(crate) strike_readers: Vec<ReaderHash>,
}

impl ConversationRow {
    /// A conversation this device stands at the beginning of.
    pub(crate) const fn new(
        mailbox: MailboxId,
        contact: ContactId,
        relay: String,
        generation: u32,
        state: ConversationState,
        reader: ReaderSecret,
    ) -> Self {
        Self {
            mailbox,
            contact,
            relay,
            generation,
            state,
            reader,
            cursor: Seq::START,
            epoch: None,
            want: Want::Nothing,
            commit: None,
            since_update: 0,
            counter: 0,
            previous: None,
            peer_counter: 0,
        }
    }

    /// Whether a commit must go out before anything else.
    pub(crate) fn wants_commit(&self) -> bool {
        self.commit.is_some() || self.want != Want::Nothing
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let commit = match maybe(row, "commit_id")? {
            None => None,
            Some(id) => Some(PendingCommit {
                id: EnvelopeId::new(id),
                body: row.get("commit_body")?,
                does: want_of(row.get("commit_does")?),
                next: row.get::<_, Option<Vec<u8>>>("commit_next")?.and_then(|next| next_of(&next)),
                add_readers: split(&row.get::<_, Vec<u8>>("commit_add")?),
                strike_readers: split(&row.get::<_, Vec<u8>>("commit_strike")?),
            }),
        };
        Ok(Self {
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            contact: ContactId::new(fixed(row, "contact")?),
            relay: row.get("relay")?,
            generation: row.get("generation")?,
            state: state_of(row.get("state")?),
            reader: ReaderSecret::new(fixed(row, "reader")?),
            cursor: Seq::new(from_sql(row.get("cursor")?)),
            epoch: maybe(row, "epoch")?.map(Epoch::new),
            want: want_of(row.get("want")?),
            commit,
            since_update: row.get("since_update")?,
            counter: from_sql(row.get("counter")?),
            previous: maybe(row, "previous")?,
            peer_counter: from_sql(row.get("peer_counter")?),
        })
    }
}

impl Db<'_> {
    /// The conversation of this mailbox.
    pub(crate) fn conversation(
        self,
        mailbox: &MailboxId,
    ) -> Result<Option<ConversationRow>, Error> {
        let sql = "SELECT * FROM conversations WHERE mailbox = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([mailbox.as_bytes()], ConversationRow::read).optional()?)
    }

    /// The conversation of this mailbox, which must be there.
    pub(crate) fn need_conversation(self, mailbox: &MailboxId) -> Result<ConversationRow, Error> {
        self.conversation(mailbox)?.ok_or(Error::Damaged("a conversation is missing"))
    }

    /// All conversations with this contact.
    pub(crate) fn conversations_of(
        self,
        contact: ContactId,
    ) -> Result<Vec<ConversationRow>, Error> {
        let sql = "SELECT * FROM conversations WHERE contact = ?1 ORDER BY generation";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([contact.as_bytes()], ConversationRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The conversations this device reads.
    pub(crate) fn live_conversations(self) -> Result<Vec<ConversationRow>, Error> {
        let sql = "SELECT * FROM conversations WHERE state = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let live = state_number(ConversationState::Live);
        let rows = query.query_map([live], ConversationRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a conversation, new or changed.
    pub(crate) fn put_conversation(self, row: &ConversationRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO conversations (mailbox, contact, relay, generation,
                state, reader, cursor, epoch, want, commit_id, commit_body, commit_next,
                commit_add, commit_strike, since_update, counter, previous, peer_counter,
                commit_does)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18, ?19)";
        let commit = row.commit.as_ref();
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            row.mailbox.as_bytes(),
            row.contact.as_bytes(),
            row.relay,
            row.generation,
            state_number(row.state),
            row.reader.as_bytes(),
            to_sql(row.cursor.get()),
            row.epoch.as_ref().map(Epoch::as_bytes),
            want_number(row.want),
            commit.map(|commit| commit.id.as_bytes()),
            commit.map(|commit| commit.body.as_slice()),
            commit.and_then(|commit| commit.next.as_ref()).map(next_bytes),
            commit.map(|commit| join(&commit.add_readers)),
            commit.map(|commit| join(&commit.strike_readers)),
            row.since_update,
            to_sql(row.counter),
            row.previous,
            to_sql(row.peer_counter),
            commit.map(|commit| want_number(commit.does)),
        ])?;
        Ok(())
    }
}

fn join(readers: &[ReaderHash]) -> Vec<u8> {
    readers.iter().flat_map(|reader| *reader.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> Vec<ReaderHash> {
    bytes.chunks_exact(ReaderHash::SIZE).filter_map(ReaderHash::from_slice).collect()
}

/// Layout: a next key, then its proof of possession.
fn next_bytes(next: &NextKey) -> Vec<u8> {
    [&next.key.as_bytes()[..], next.possession.as_bytes()].concat()
}

fn next_of(bytes: &[u8]) -> Option<NextKey> {
    let (key, possession) = bytes.split_at_checked(PublicKey::SIZE)?;
    let key = PublicKey::from_slice(key)?;
    Some(NextKey { key, possession: Signature::from_slice(possession)? })
}

/// Layout: the number of each state in the table.
const fn state_number(state: ConversationState) -> u8 {
    match state {
        ConversationState::Creating => 0,
        ConversationState::Live => 1,
        ConversationState::Closed => 2,
        ConversationState::Captured => 3,
        ConversationState::Lost => 4,
        ConversationState::Gone => 5,
    }
}

/// An unknown number was never written; it reads as one that is not used any more.
const fn state_of(number: u8) -> ConversationState {
    match number {
        0 => ConversationState::Creating,
        1 => ConversationState::Live,
        3 => ConversationState::Captured,
        4 => ConversationState::Lost,
        5 => ConversationState::Gone,
        _ => ConversationState::Closed,
    }
}

/// Layout: the number of each wanted commit in the table.
const fn want_number(want: Want) -> u8 {
    match want {
        Want::Nothing => 0,
        Want::Add => 1,
        Want::Update => 2,
        Want::Close => 3,
        Want::Remove => 4,
    }
}

const fn want_of(number: u8) -> Want {
    match number {
        1 => Want::Add,
        2 => Want::Update,
        3 => Want::Close,
        4 => Want::Remove,
        _ => Want::Nothing,
    }
}
