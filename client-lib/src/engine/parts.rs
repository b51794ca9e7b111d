//! What an answer changes for a transfer: parts that are there, refusals, the end.
//!
//! Knows the rows and, through `files`, the home's files; must not know links. Of a download only
//! what is synced is noted; the file gets its name when all of it is.

use std::io;

use restante_spec::codes::Code;
use restante_spec::ids::UnixTime;
use restante_spec::message::{BlobPart, BlobState};

use super::large::is_own;
use super::moving::{Moving, part_size, part_start};
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::TRANSFERS_ENDED;
use crate::store::TransferRow;
use crate::transfer::{Direction, TransferFailure, TransferState};
use crate::types::TransferId;

impl Engine {
    /// Opens a download's file, and says where to go on; `None`: it has ended.
    pub(crate) fn resume_download(&mut self, row: &TransferRow) -> Result<Option<u64>, Error> {
        if let Some(moving) = self.transfers.moving.get(&row.id) {
            return Ok(Some(moving.done));
        }
        let files = &self.transfers.files;
        let opened = files.size(&row.name).and_then(|whole| match whole {
            None => {
                let file = files.open_part(&row.name)?;
                let start = part_start(row.done.min(file.size()?), row.size);
                // What stands behind it was not synced, or is of another blob.
                file.keep(start)?;
                Ok(Some(Moving::at(file, start, row.size)))
            }
            // It got its name, and the process ended before that was noted.
            Some(size) if size == row.size => Ok(None),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        });
        match opened {
            Ok(Some(moving)) => {
                let done = moving.done;
                self.transfers.moving.insert(row.id, moving);
                Ok(Some(done))
            }
            Ok(None) => {
                self.end_transfer(row.clone(), TransferState::Done, false)?;
                Ok(None)
            }
            Err(error) => {
                self.disk_failed(row.clone(), &error)?;
                Ok(None)
            }
        }
    }

    /// The relay tells how much of an upload is safe there; gives back where to go on, `None`: it
    /// has ended.
    pub(crate) fn upload_stored(
        &mut self,
        id: &TransferId,
        told: &BlobState,
    ) -> Result<Option<u64>, Error> {
        let Some(row) = self.open_transfer(id)? else { return Ok(None) };
        if told.complete {
            let row = TransferRow { expires_at: Some(told.expires_at), ..row };
            self.end_transfer(row, TransferState::Done, false)?;
            return Ok(None);
        }
        let stored = part_start(told.stored.get(), row.size);
        if !self.transfers.moving.contains_key(id) {
            match self.transfers.files.open(&row.name) {
                Ok(file) => {
                    let moving = Moving::at(file, stored, row.size);
                    self.transfers.moving.insert(*id, moving);
                }
                Err(error) => {
                    self.disk_failed(row, &error)?;
                    return Ok(None);
                }
            }
        }
        if let Some(moving) = self.transfers.moving.get_mut(id) {
            moving.handle_stored(stored);
        }
        self.note_progress(row, told.expires_at)?;
        Ok(Some(stored))
    }

    /// A part of a download has come.
    pub(crate) fn part_arrived(
        &mut self,
        id: &TransferId,
        offset: u64,
        part: &BlobPart,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let Some(row) = self.open_transfer(id)? else { return Ok(()) };
        let Some(moving) = self.transfers.moving.get_mut(id) else { return Ok(()) };
        let expected = part_size(offset, row.size);
        if part.size.get() != row.size || bytes.len() as u64 != expected {
            let state = TransferState::Failed(TransferFailure::Mismatch);
            return self.end_transfer(row, state, false);
        }
        if let Err(error) = moving.file.write_at(offset, bytes) {
            return self.disk_failed(row, &error);
        }
        moving.handle_part(offset);
        if moving.done < row.size {
            return self.note_progress(row, part.expires_at);
        }
        match self.transfers.files.finish(&row.name, &moving.file) {
            Ok(()) => {
                let row = TransferRow { expires_at: Some(part.expires_at), ..row };
                self.end_transfer(row, TransferState::Done, false)
            }
            Err(error) => self.disk_failed(row, &error),
        }
    }

    /// The relay will not do what was asked for a transfer.
    pub(crate) fn transfer_refused(&mut self, id: &TransferId, code: Code) -> Result<(), Error> {
        let Some(row) = self.open_transfer(id)? else { return self.transfer_withdrawn(id) };
        let failure = match code {
            // BLB-4, BLB-5: never there and not any more are answered alike.
            Code::NotFound => TransferFailure::Gone,
            Code::Quota => TransferFailure::Full,
            code => TransferFailure::Refused(code),
        };
        // BLB-7: parts of it may be there, and count.
        let owed = row.direction == Direction::Upload && failure == TransferFailure::Full;
        self.end_transfer(row, TransferState::Failed(failure), owed)
    }

    /// The relay has forgotten the blob of an upload that did not end well, or will not.
    pub(crate) fn transfer_withdrawn(&mut self, id: &TransferId) -> Result<(), Error> {
        match self.store.read().transfer(id)? {
            Some(row) => self.save_transfer(&TransferRow { owed: false, ..row }),
            None => Ok(()),
        }
    }

    /// The file cannot be read or written: the transfer has failed.
    pub(super) fn disk_failed(&mut self, row: TransferRow, error: &io::Error) -> Result<(), Error> {
        tracing::warn!(kind = %error.kind(), "the file of a transfer cannot be used");
        let failure = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TransferFailure::DiskFull,
            _ => TransferFailure::File,
        };
        let owed = row.direction == Direction::Upload;
        self.end_transfer(row, TransferState::Failed(failure), owed)
    }

    /// A transfer has ended: its key is forgotten, and what is unfinished of its file. `owed`: the
    /// relay is still to be told.
    pub(super) fn end_transfer(
        &mut self,
        row: TransferRow,
        state: TransferState,
        owed: bool,
    ) -> Result<(), Error> {
        let moving = self.transfers.moving.remove(&row.id);
        let done = match state {
            TransferState::Done => row.size,
            _ => moving.map_or(row.done, |moving| moving.done),
        };
        if row.direction == Direction::Download
            && let Err(error) = self.transfers.files.forget_part(&row.name)
        {
            tracing::warn!(kind = %error.kind(), "an unfinished file could not be removed");
        }
        let was_open = !row.state.is_final();
        let row = TransferRow { key: None, done, state, owed, ..row };
        self.transact(|work| {
            work.save_transfer(&row)?;
            if was_open {
                work.events.extend(told(&row, done));
                work.attachment_moved(&row)?;
            }
            Ok(())
        })
    }

    /// The transfer, unless it has ended.
    fn open_transfer(&self, id: &TransferId) -> Result<Option<TransferRow>, Error> {
        let row = self.store.read().transfer(id)?;
        Ok(row.filter(|row| !row.state.is_final()))
    }

    /// Tells how far a transfer is, and notes it now and then: synced first.
    fn note_progress(&mut self, mut row: TransferRow, expires_at: UnixTime) -> Result<(), Error> {
        let Some(moving) = self.transfers.moving.get_mut(&row.id) else { return Ok(()) };
        let (done, news) = (moving.done, moving.take_news());
        if moving.wants_note() || row.state == TransferState::Waiting {
            if row.direction == Direction::Download
                && let Err(error) = moving.file.sync()
            {
                return self.disk_failed(row, &error);
            }
            moving.handle_noted();
            (row.state, row.done) = (TransferState::Running, done);
            row.expires_at = Some(expires_at);
            self.save_transfer(&row)?;
        }
        if news {
            self.events.extend(told(&row, done));
        }
        Ok(())
    }

    fn save_transfer(&mut self, row: &TransferRow) -> Result<(), Error> {
        self.transact(|work| work.save_transfer(row))
    }
}

impl Work<'_> {
    pub(super) fn save_transfer(&mut self, row: &TransferRow) -> Result<(), Error> {
        self.db.set_transfer(row)?;
        self.db.forget_transfers(TRANSFERS_ENDED)
    }

    /// Nobody wants any more what a transfer moves or has moved.
    pub(super) fn call_off(&mut self, row: TransferRow) -> Result<(), Error> {
        let was_open = !row.state.is_final();
        let state = if was_open { TransferState::Cancelled } else { row.state };
        // What may be at the relay counts there until it is forgotten (BLB-7).
        let owed = row.direction == Direction::Upload;
        let row = TransferRow { key: None, state, owed, ..row };
        self.save_transfer(&row)?;
        if was_open {
            self.events.extend(told(&row, row.done));
        }
        Ok(())
    }

    /// Removes a file that nothing names any more, finished or not.
    pub(super) fn forget_file(&self, name: &str) {
        if let Err(error) = self.files.forget(name) {
            tracing::warn!(kind = %error.kind(), "a file could not be removed");
        }
    }
}

/// What is told of a transfer; nothing of those no app has begun.
pub(super) fn told(row: &TransferRow, done: u64) -> Option<Event> {
    let event = Event::Transfer { id: row.id, done, size: row.size, state: row.state };
    (!is_own(&row.name)).then_some(event)
}
