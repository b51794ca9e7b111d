//! The table of logs: where this device stands in the mailbox of each conversation, and the commit
//! under way. A conversation that was begun anew has several; messages go to the last.

use restante_spec::content::LogPosition;
use restante_spec::ids::{
    BlobId, EnvelopeId, Epoch, LogHash, MailboxId, PublicKey, ReaderHash, ReaderSecret, Seq,
    Signature,
};
use restante_spec::message::NextKey;
use rusqlite::{OptionalExtension, Row};

use super::wishes::WishId;
use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::ConversationId;

/// The mailbox of a conversation and this device's place in it.
#[derive(Clone, Debug)]
pub(crate) struct LogRow {
    pub(crate) mailbox: MailboxId,
    pub(crate) conversation: ConversationId,
    pub(crate) relay: String,
    /// The larger one is later in the conversation's history.
    pub(crate) generation: u32,
    pub(crate) state: LogState,
    pub(crate) reader: ReaderSecret,
    /// Everything up to here is done.
    pub(crate) cursor: Seq,
    /// The relay's name of the epoch the group is in, once it was told; of a closed log that was
    /// read to its end, of the last one.
    pub(crate) epoch: Option<Epoch>,
    /// The commit this device has made and whose echo is awaited.
    pub(crate) commit: Option<PendingCommit>,
    /// The blob that must be here before the log can be read on (REC-6).
    pub(crate) waits: Option<BlobId>,
    /// Messages since the last commit, and a head start for whoever did not make that commit.
    pub(crate) since_update: u32,
    /// Contents sent by this device.
    pub(crate) counter: u64,
    /// Hash of the last content sent by this device.
    pub(crate) previous: Option<[u8; 32]>,
    /// Hash of the log up to `cursor` (CNT-7); `None` when this device cannot know it.
    pub(crate) chain: Option<[u8; 32]>,
    /// It was told in this epoch that members are shown different logs.
    pub(crate) forked: bool,
}

/// How far a log has come, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogState {
    /// Made here; the relay has not heard of it.
    Creating,
    /// Joined, but the person has not agreed to it: nothing connects to its relay.
    Invited,
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

/// A commit that is sealed and durable, and what the relay is told beside it.
#[derive(Clone, Debug)]
pub(crate) struct PendingCommit {
    pub(crate) id: EnvelopeId,
    pub(crate) body: Vec<u8>,
    /// The wishes it fulfils.
    pub(crate) wishes: Vec<WishId>,
    /// `None`: it closes the conversation.
    pub(crate) next: Option<NextKey>,
    pub(crate) add_readers: Vec<ReaderHash>,
    pub(crate) strike_readers: Vec<ReaderHash>,
    /// Blobs that must be whole before it leaves (REC-6).
    pub(crate) blobs: Vec<BlobId>,
}

impl LogRow {
    /// A log this device stands at the beginning of.
    pub(crate) const fn new(
        mailbox: MailboxId,
        conversation: ConversationId,
        relay: String,
        generation: u32,
        state: LogState,
        reader: ReaderSecret,
    ) -> Self {
        Self {
            mailbox,
            conversation,
            relay,
            generation,
            state,
            reader,
            cursor: Seq::START,
            epoch: None,
            commit: None,
            waits: None,
            since_update: 0,
            counter: 0,
            previous: None,
            chain: None,
            forked: false,
        }
    }

    /// Up to where it was read.
    pub(crate) const fn read_upto(&self) -> LogPosition {
        LogPosition { generation: self.generation, seq: self.cursor }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let commit = match maybe(row, "commit_id")? {
            None => None,
            Some(id) => Some(PendingCommit {
                id: EnvelopeId::new(id),
                body: row.get("commit_body")?,
                wishes: wishes_of(&row.get::<_, Vec<u8>>("commit_wishes")?),
                next: row.get::<_, Option<Vec<u8>>>("commit_next")?.and_then(|next| next_of(&next)),
                add_readers: split(&row.get::<_, Vec<u8>>("commit_add")?),
                strike_readers: split(&row.get::<_, Vec<u8>>("commit_strike")?),
                blobs: blobs_of(&row.get::<_, Vec<u8>>("commit_blobs")?),
            }),
        };
        Ok(Self {
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            conversation: ConversationId::new(fixed(row, "conversation")?),
            relay: row.get("relay")?,
            generation: row.get("generation")?,
            state: state_of(row.get("state")?),
            reader: ReaderSecret::new(fixed(row, "reader")?),
            cursor: Seq::new(from_sql(row.get("cursor")?)),
            epoch: maybe(row, "epoch")?.map(Epoch::new),
            commit,
            waits: maybe(row, "waits")?.map(BlobId::new),
            since_update: row.get("since_update")?,
            counter: from_sql(row.get("counter")?),
            previous: maybe(row, "previous")?,
            chain: maybe(row, "chain")?,
            forked: row.get("forked")?,
        })
    }
}

impl Db<'_> {
    /// The log in this mailbox.
    pub(crate) fn log(self, mailbox: &MailboxId) -> Result<Option<LogRow>, Error> {
        let sql = "SELECT * FROM logs WHERE mailbox = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([mailbox.as_bytes()], LogRow::read).optional()?)
    }

    /// The log in this mailbox, which must be there.
    pub(crate) fn need_log(self, mailbox: &MailboxId) -> Result<LogRow, Error> {
        self.log(mailbox)?.ok_or(Error::Damaged("a conversation is missing"))
    }

    /// All logs of this conversation.
    pub(crate) fn logs_of(self, conversation: ConversationId) -> Result<Vec<LogRow>, Error> {
        let sql = "SELECT * FROM logs WHERE conversation = ?1 ORDER BY generation";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([conversation.as_bytes()], LogRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The logs this device reads.
    pub(crate) fn live_logs(self) -> Result<Vec<LogRow>, Error> {
        let sql = "SELECT * FROM logs WHERE state = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let live = state_number(LogState::Live);
        let rows = query.query_map([live], LogRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a log, new or changed.
    pub(crate) fn put_log(self, row: &LogRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO logs (mailbox, conversation, relay, generation,
                state, reader, cursor, epoch, commit_id, commit_body, commit_next, commit_add,
                commit_strike, since_update, counter, previous, commit_wishes, commit_blobs, waits,
                chain, forked)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18, ?19, ?20, ?21)";
        let commit = row.commit.as_ref();
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            row.mailbox.as_bytes(),
            row.conversation.as_bytes(),
            row.relay,
            row.generation,
            state_number(row.state),
            row.reader.as_bytes(),
            to_sql(row.cursor.get()),
            row.epoch.as_ref().map(Epoch::as_bytes),
            commit.map(|commit| commit.id.as_bytes()),
            commit.map(|commit| commit.body.as_slice()),
            commit.and_then(|commit| commit.next.as_ref()).map(next_bytes),
            commit.map(|commit| join(&commit.add_readers)),
            commit.map(|commit| join(&commit.strike_readers)),
            row.since_update,
            to_sql(row.counter),
            row.previous,
            commit.map(|commit| wish_bytes(&commit.wishes)),
            commit.map(|commit| blob_bytes(&commit.blobs)),
            row.waits.as_ref().map(BlobId::as_bytes),
            row.chain,
            row.forked,
        ])?;
        Ok(())
    }

    /// Keeps the hash of a log at a position (CNT-7), and no more than `most` of them.
    pub(crate) fn put_log_hash(
        self,
        of: &MailboxId,
        seq: Seq,
        hash: &LogHash,
        most: u32,
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO log_hashes (mailbox, seq, hash) VALUES (?1, ?2, ?3)";
        let row = (of.as_bytes(), to_sql(seq.get()), hash.as_bytes());
        self.sql.prepare_cached(sql)?.execute(row)?;
        let sql = "DELETE FROM log_hashes WHERE mailbox = ?1 AND seq <= (SELECT seq FROM log_hashes
            WHERE mailbox = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), most))?;
        Ok(())
    }

    /// The hash of a log at a position of this epoch, if it is known.
    pub(crate) fn log_hash(self, of: &MailboxId, seq: Seq) -> Result<Option<LogHash>, Error> {
        let sql = "SELECT hash FROM log_hashes WHERE mailbox = ?1 AND seq = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let place = (of.as_bytes(), to_sql(seq.get()));
        let hash = query.query_row(place, |row| row.get(0).map(LogHash::new));
        Ok(hash.optional()?)
    }

    /// Another epoch begins: hashes of the one before are compared no more.
    pub(crate) fn forget_log_hashes(self, of: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM log_hashes WHERE mailbox = ?1", [of.as_bytes()])?;
        Ok(())
    }
}

fn join(readers: &[ReaderHash]) -> Vec<u8> {
    readers.iter().flat_map(|reader| *reader.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> Vec<ReaderHash> {
    bytes.chunks_exact(ReaderHash::SIZE).filter_map(ReaderHash::from_slice).collect()
}

/// Layout: the ids of blobs, one after the other.
fn blob_bytes(blobs: &[BlobId]) -> Vec<u8> {
    blobs.iter().flat_map(|blob| *blob.as_bytes()).collect()
}

fn blobs_of(bytes: &[u8]) -> Vec<BlobId> {
    bytes.chunks_exact(BlobId::SIZE).filter_map(BlobId::from_slice).collect()
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
const fn state_number(state: LogState) -> u8 {
    match state {
        LogState::Creating => 0,
        LogState::Live => 1,
        LogState::Closed => 2,
        LogState::Captured => 3,
        LogState::Lost => 4,
        LogState::Gone => 5,
        LogState::Invited => 6,
    }
}

/// An unknown number was never written; it reads as one that is not used any more.
const fn state_of(number: u8) -> LogState {
    match number {
        0 => LogState::Creating,
        1 => LogState::Live,
        3 => LogState::Captured,
        4 => LogState::Lost,
        5 => LogState::Gone,
        6 => LogState::Invited,
        _ => LogState::Closed,
    }
}

/// Layout: the numbers of the wishes, one after the other.
fn wish_bytes(wishes: &[WishId]) -> Vec<u8> {
    wishes.iter().flat_map(|wish| wish.0.to_be_bytes()).collect()
}

fn wishes_of(bytes: &[u8]) -> Vec<WishId> {
    bytes.as_chunks().0.iter().map(|id| WishId(i64::from_be_bytes(*id))).collect()
}
