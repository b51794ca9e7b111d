//! The one encrypted store of an account: SQLCipher, one connection, one writer.
//!
//! Knows SQL and the OpenMLS storage provider; must not know the network or what is decided over
//! the rows. Everything that belongs together is written in one transaction ([`Store::write`]).

mod acts;
mod archives;
mod attachments;
mod authors;
mod contacts;
mod conversations;
mod devices;
mod gaps;
mod history;
mod invites;
mod jobs;
mod logs;
mod members;
mod messages;
mod meta;
mod mls;
mod outbox;
mod reached;
mod returns;
mod rooms;
mod schema;
mod search;
mod states;
mod transfers;
mod wishes;

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use zeroize::Zeroizing;

pub(crate) use acts::{ActKind, ActRow};
pub(crate) use archives::{ArchiveRow, Mark, SegmentRow, Stage, Way};
pub(crate) use attachments::AttachmentRow;
pub(crate) use authors::{AuthorRow, KeptRow};
pub(crate) use contacts::{ContactRow, InboxRef};
pub(crate) use conversations::ConversationRow;
pub(crate) use devices::{ClaimRow, LastWord, LinkRow, RecordName};
pub(crate) use gaps::{GapRow, OwedRow};
pub(crate) use history::Put;
pub(crate) use invites::InviteRow;
pub(crate) use jobs::{Job, JobId, JobKind, NewJob};
pub(crate) use logs::{LogRow, LogState, PendingCommit};
#[cfg(test)]
pub(crate) use members::MemberRow;
pub(crate) use messages::{NewMessage, Place, pack_changes};
pub(crate) use meta::Meta;
pub(crate) use outbox::{OutboxRow, Sealed};
pub(crate) use returns::{AwaitedLog, AwaitedRow, CallerRow, ReturnRow};
pub(crate) use rooms::{PostKind, PostRow, RoomRow};
pub(crate) use transfers::{Errand, TransferRow};
pub(crate) use wishes::{Wish, WishId, WishRow};

use crate::error::Error;
use crate::home::{io_error, sync_folder};
use crate::key::StoreKey;

/// The file of the store in its home.
const STORE_FILE: &str = "store";
/// Its name until there is an account in it.
const NEW_FILE: &str = "store.new";

/// The open store. Closing it is dropping it.
pub(crate) struct Store {
    connection: Connection,
}

/// What can be done within a transaction; the methods stand in the files of their tables.
#[derive(Clone, Copy)]
pub(crate) struct Db<'a> {
    pub(in crate::store) sql: &'a Connection,
}

impl Store {
    /// Makes the store of a home that has none, with what `fill` writes into it: all of it is
    /// there when this returns, or, however the process ends, nothing is.
    pub(crate) fn create(
        home: &Path,
        key: &StoreKey,
        fill: impl FnOnce(Db<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = home.join(STORE_FILE);
        if path.try_exists().map_err(|error| io_error("look for the store", &error))? {
            return Err(Error::StoreExists);
        }
        let new = home.join(NEW_FILE);
        for end in ["", "-wal", "-shm"] {
            // What an earlier try left is worth nothing; what is not there need not go.
            let _ = std::fs::remove_file(home.join(format!("{NEW_FILE}{end}")));
        }
        let mut store = Self::prepare(Connection::open(&new)?, key)?;
        store.write(fill)?;
        store.close_whole(&home.join(format!("{NEW_FILE}-wal")))?;
        std::fs::rename(&new, &path)
            .and_then(|()| sync_folder(home))
            .map_err(|error| io_error("name the store", &error))
    }

    /// Closes a new store with all of it in the one file that is named afterwards, and nothing in
    /// its log: closing alone says nothing of a disk that had no room for that.
    fn close_whole(self, log: &Path) -> Result<(), Error> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.connection.query_row(checkpoint, [], |row| row.get::<_, bool>(0))?;
        self.connection.close().map_err(|(_, error)| error)?;
        if busy || std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return Err(Error::Storage("cannot put the new store into one file".to_owned()));
        }
        Ok(())
    }

    /// Opens the store of a home.
    pub(crate) fn open(home: &Path, key: &StoreKey) -> Result<Self, Error> {
        let path = home.join(STORE_FILE);
        if !path.try_exists().map_err(|error| io_error("look for the store", &error))? {
            return Err(Error::NoStore);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::prepare(Connection::open_with_flags(&path, flags)?, key)
    }

    fn prepare(connection: Connection, key: &StoreKey) -> Result<Self, Error> {
        let hex = Zeroizing::new(data_encoding::HEXLOWER.encode(key.as_bytes()));
        let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", hex.as_str()));
        connection.execute_batch(&pragma)?;
        // A wrong key is our error to tell: SQLCipher would write of it to stderr by itself. The
        // key turns that on, so it is turned off behind it.
        connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
        match connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())) {
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == ErrorCode::NotADatabase =>
            {
                return Err(Error::WrongKey);
            }
            other => other?,
        }
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;",
        )?;
        let mut store = Self { connection };
        schema::migrate(&mut store.connection)?;
        Ok(store)
    }

    /// Does `work` in one transaction: all of it is durable when this returns, or none of it.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(Db<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(Db { sql: &transaction })?;
        transaction.commit()?;
        Ok(done)
    }

    /// Looks without changing anything.
    pub(crate) fn read(&self) -> Db<'_> {
        Db { sql: &self.connection }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store(..)")
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        // The code only: SQLite's texts may quote what is in a row.
        match error.sqlite_error_code() {
            Some(code) => Self::Storage(format!("{code:?}")),
            None => Self::Damaged("a row does not have the shape it should"),
        }
    }
}

impl Db<'_> {
    /// Marks a point within the transaction.
    pub(crate) fn savepoint(self) -> Result<(), Error> {
        Ok(self.sql.execute_batch("SAVEPOINT item")?)
    }

    /// Keeps what was done since the point.
    pub(crate) fn release(self) -> Result<(), Error> {
        Ok(self.sql.execute_batch("RELEASE item")?)
    }

    /// Undoes what was done since the point.
    pub(crate) fn undo(self) -> Result<(), Error> {
        Ok(self.sql.execute_batch("ROLLBACK TO item; RELEASE item")?)
    }
}

/// Reads a column of fixed size.
fn fixed<const N: usize>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<[u8; N]> {
    row.get::<_, [u8; N]>(column)
}

/// Reads a column of fixed size that may be empty.
fn maybe<const N: usize>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<[u8; N]>> {
    row.get::<_, Option<[u8; N]>>(column)
}

/// A number as SQLite keeps it. Everything stored is far below 2^63; beyond it stays there.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number back. A negative one was never written; it reads as 0.
fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod creation_tests;
#[cfg(test)]
mod tests;
