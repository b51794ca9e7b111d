//! The table of transfers: which file goes to which blob or comes from it, and how far it is. Those
//! that have ended are kept for a while, without their key.

use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, MailboxId, UnixTime};
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::transfer::{Direction, Transfer, TransferFailure, TransferState};
use crate::types::TransferId;

/// A noted transfer.
#[derive(Clone, Debug)]
pub(crate) struct TransferRow {
    pub(crate) id: TransferId,
    pub(crate) direction: Direction,
    /// The relay's address.
    pub(crate) relay: String,
    /// The mailbox an upload's blob belongs to.
    pub(crate) mailbox: Option<MailboxId>,
    pub(crate) blob: BlobId,
    /// The seed of the read key, until the transfer has ended.
    pub(crate) key: Option<Zeroizing<[u8; 32]>>,
    /// The file.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// So much is durable: what was told since may be more.
    pub(crate) done: u64,
    pub(crate) state: TransferState,
    /// The relay is still to be asked for something.
    pub(crate) owed: bool,
    pub(crate) expires_at: Option<UnixTime>,
}

/// What a relay is still to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To take a file.
    Upload,
    /// To give a blob.
    Download,
    /// To forget the blob of an upload that did not end well.
    Withdraw,
}

impl TransferRow {
    /// What the relay is still to be asked for; of a row that is owed.
    pub(crate) const fn errand(&self) -> Errand {
        match (self.state.is_final(), self.direction) {
            (true, _) => Errand::Withdraw,
            (false, Direction::Upload) => Errand::Upload,
            (false, Direction::Download) => Errand::Download,
        }
    }

    /// How an app sees it.
    pub(crate) fn shown(self) -> Transfer {
        let Self { id, direction, name, done, size, state, expires_at, .. } = self;
        Transfer { id, direction, name, done, size, state, expires_at }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = state_of(row.get("state")?, row.get("failure")?, row.get("code")?);
        let expires_at = from_sql(row.get("expires_at")?);
        Ok(Self {
            id: TransferId::new(fixed(row, "id")?),
            direction: direction_of(row.get("direction")?),
            relay: row.get("relay")?,
            mailbox: maybe(row, "mailbox")?.map(MailboxId::new),
            blob: BlobId::new(fixed(row, "blob")?),
            key: maybe(row, "key")?.map(Zeroizing::new),
            name: row.get("name")?,
            size: from_sql(row.get("size")?),
            done: from_sql(row.get("done")?),
            state,
            owed: row.get("owed")?,
            expires_at: (expires_at != 0).then_some(UnixTime::new(expires_at)),
        })
    }
}

impl Db<'_> {
    /// Notes a new transfer.
    pub(crate) fn put_transfer(self, transfer: &TransferRow) -> Result<(), Error> {
        let sql = "INSERT INTO transfers (id, direction, relay, mailbox, blob, key, name, size,
                done, state, failure, code, owed, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, 1, 0)";
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            transfer.id.as_bytes(),
            direction_number(transfer.direction),
            transfer.relay,
            transfer.mailbox.as_ref().map(MailboxId::as_bytes),
            transfer.blob.as_bytes(),
            transfer.key.as_deref(),
            transfer.name,
            to_sql(transfer.size),
        ])?;
        Ok(())
    }

    /// Notes how far a transfer is.
    pub(crate) fn set_transfer(self, transfer: &TransferRow) -> Result<(), Error> {
        let sql = "UPDATE transfers SET key = ?2, done = ?3, state = ?4, failure = ?5, code = ?6,
                owed = ?7, expires_at = ?8 WHERE id = ?1";
        let (state, failure, code) = state_numbers(transfer.state);
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            transfer.id.as_bytes(),
            transfer.key.as_deref(),
            to_sql(transfer.done),
            state,
            failure,
            code,
            transfer.owed,
            to_sql(transfer.expires_at.map_or(0, UnixTime::get)),
        ])?;
        Ok(())
    }

    /// The transfer of this id.
    pub(crate) fn transfer(self, id: &TransferId) -> Result<Option<TransferRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM transfers WHERE id = ?1")?;
        Ok(query.query_row([id.as_bytes()], TransferRow::read).optional()?)
    }

    /// The newest transfer of this blob.
    pub(crate) fn transfer_of(self, blob: &BlobId) -> Result<Option<TransferRow>, Error> {
        let sql = "SELECT * FROM transfers WHERE blob = ?1 ORDER BY row DESC LIMIT 1";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.query_row([blob.as_bytes()], TransferRow::read).optional()?)
    }

    /// All transfers, oldest first.
    pub(crate) fn transfers(self) -> Result<Vec<TransferRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM transfers ORDER BY row")?;
        let rows = query.query_map([], TransferRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Transfers a relay is still to be asked something for, oldest first.
    pub(crate) fn owed_transfers(self) -> Result<Vec<TransferRow>, Error> {
        let sql = "SELECT * FROM transfers WHERE owed = 1 ORDER BY row";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], TransferRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a relay is still to be asked for something in a mailbox.
    pub(crate) fn has_uploads(self, mailbox: &MailboxId) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM transfers WHERE owed = 1 AND mailbox = ?1";
        Ok(self.sql.prepare_cached(sql)?.exists([mailbox.as_bytes()])?)
    }

    /// Of the transfers that are over, only the newest are kept.
    pub(crate) fn forget_transfers(self, kept: usize) -> Result<(), Error> {
        let sql = "DELETE FROM transfers WHERE owed = 0 AND row NOT IN
            (SELECT row FROM transfers WHERE owed = 0 ORDER BY row DESC LIMIT ?1)";
        self.sql.prepare_cached(sql)?.execute([to_sql(kept as u64)])?;
        Ok(())
    }
}

/// Layout: the number of each direction in the table.
const fn direction_number(direction: Direction) -> u8 {
    match direction {
        Direction::Upload => 0,
        Direction::Download => 1,
    }
}

const fn direction_of(number: u8) -> Direction {
    match number {
        0 => Direction::Upload,
        _ => Direction::Download,
    }
}

/// Layout: the numbers of a state, a failure and a code in the table.
const fn state_numbers(state: TransferState) -> (u8, u8, u32) {
    match state {
        TransferState::Waiting => (0, 0, 0),
        TransferState::Running => (1, 0, 0),
        TransferState::Done => (2, 0, 0),
        TransferState::Cancelled => (4, 0, 0),
        TransferState::Failed(failure) => {
            let (failure, code) = failure_numbers(failure);
            (3, failure, code)
        }
    }
}

/// Layout: the numbers of a failure and a code in the tables.
pub(super) const fn failure_numbers(failure: TransferFailure) -> (u8, u32) {
    match failure {
        TransferFailure::Gone => (0, 0),
        TransferFailure::Full => (1, 0),
        TransferFailure::Ended => (2, 0),
        TransferFailure::Refused(code) => (3, code.number()),
        TransferFailure::Mismatch => (4, 0),
        TransferFailure::DiskFull => (5, 0),
        TransferFailure::File => (6, 0),
    }
}

/// An unknown number was never written; it reads as one that is not worked on.
fn state_of(state: u8, failure: u8, code: u32) -> TransferState {
    match (state, failure) {
        (0, _) => TransferState::Waiting,
        (1, _) => TransferState::Running,
        (2, _) => TransferState::Done,
        (3, failure) => TransferState::Failed(failure_of(failure, code)),
        _ => TransferState::Cancelled,
    }
}

/// The failure of these numbers; an unknown one was never written.
pub(super) fn failure_of(number: u8, code: u32) -> TransferFailure {
    match number {
        0 => TransferFailure::Gone,
        1 => TransferFailure::Full,
        2 => TransferFailure::Ended,
        3 => TransferFailure::Refused(Code::from_number(code).unwrap_or(Code::Internal)),
        4 => TransferFailure::Mismatch,
        5 => TransferFailure::DiskFull,
        _ => TransferFailure::File,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state is read as it was written.
    #[test]
    fn states_outlive_the_table() {
        let failures = [
            TransferFailure::Gone,
            TransferFailure::Full,
            TransferFailure::Ended,
            TransferFailure::Refused(Code::Denied),
            TransferFailure::Mismatch,
            TransferFailure::DiskFull,
            TransferFailure::File,
        ];
        let others = [
            TransferState::Waiting,
            TransferState::Running,
            TransferState::Done,
            TransferState::Cancelled,
        ];
        for state in others.into_iter().chain(failures.map(TransferState::Failed)) {
            let (number, failure, code) = state_numbers(state);
            assert_eq!(state_of(number, failure, code), state);
        }
    }
}
