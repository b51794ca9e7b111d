//! Transfers as an app wishes them, and what a relay is asked for each.
//!
//! Knows the rows and, through `files`, the home's files; must not know links. Every request can be
//! repeated without harm: id and key of a blob were chosen before the first try (BLB-3).

use restante_crypto::{BlobChallenge, SigningKey, prove_possession, random_bytes};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{BlobId, BlobOffset, BlobSize, Handle, MailboxId, Nonce};
use restante_spec::limits::{BLOB_BYTES, BLOB_PART_BYTES};
use restante_spec::message::{BlobCreate, BlobRead, Command};
use zeroize::Zeroizing;

use super::moving::part_size;
use super::parts::told;
use super::{Engine, Work, Writer};
use crate::error::Error;
use crate::files::checked_name;
use crate::home::io_error;
use crate::limits::TRANSFERS;
use crate::store::{Db, Errand, LogState, Meta, TransferRow};
use crate::transfer::{BlobAddress, Direction, Transfer, TransferFailure, TransferState};
use crate::types::{ContactState, ConversationId, Standing, TransferId};

/// A request and its body.
type Request = (Command, Vec<u8>);

/// What a relay is asked next for a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To make the blob, or to say how far it is.
    Create,
    /// To keep the part that begins there.
    Write(u64),
    /// To give the part that begins there.
    Read(u64),
    /// To forget the blob.
    Delete,
}

impl Engine {
    /// Notes that a file is to become a blob of the mailbox of this conversation.
    pub(crate) fn upload_file(
        &mut self,
        of: ConversationId,
        name: &str,
    ) -> Result<(TransferId, BlobAddress), Error> {
        let name = checked_name(name)?;
        let found = self.transfers.files.size(name).map_err(|error| look_failed(&error))?;
        let size = found.ok_or(Error::NoSuchFile)?;
        // LIM-22
        if !(1..=BLOB_BYTES).contains(&size) {
            return Err(Error::BadFileSize { bytes: size, max: BLOB_BYTES });
        }
        let (relay, mailbox) = upload_place(self.store.read(), of)?;
        let address = new_blob(&relay, size)?;
        let row = new_row(Direction::Upload, &address, Some(mailbox), name)?;
        self.transact(|work| work.note_transfer(&row))?;
        Ok((row.id, address))
    }

    /// Notes that a blob is to become a file.
    pub(crate) fn download_file(
        &mut self,
        blob: &BlobAddress,
        name: &str,
    ) -> Result<TransferId, Error> {
        let name = checked_name(name)?;
        let row = new_row(Direction::Download, blob, None, name)?;
        let under_way = self.store.read().owed_transfers()?;
        let same = |other: &TransferRow| other.errand() == Errand::Download && other.name == name;
        let there = self.transfers.files.size(name).map_err(|error| look_failed(&error))?;
        if there.is_some() || under_way.iter().any(same) {
            return Err(Error::FileExists);
        }
        self.transact(|work| work.note_transfer(&row))?;
        Ok(row.id)
    }

    /// Every transfer that is under way or has ended lately, oldest first.
    pub(crate) fn transfers(&self) -> Result<Vec<Transfer>, Error> {
        let mut rows = self.store.read().transfers()?;
        rows.retain(|row| !super::large::is_own(&row.name));
        let shown = |row: TransferRow| {
            let moving = self.transfers.moving.get(&row.id);
            let done = moving.map_or(row.done, |moving| moving.done);
            Transfer { done, ..row.shown() }
        };
        Ok(rows.into_iter().map(shown).collect())
    }

    /// Ends a transfer; one that has ended stays as it is.
    pub(crate) fn cancel_transfer(&mut self, id: TransferId) -> Result<(), Error> {
        let row = self.store.read().transfer(&id)?.ok_or(Error::NoSuchTransfer)?;
        if row.state.is_final() {
            return Ok(());
        }
        // What may be at the relay counts there until it is forgotten (BLB-7).
        let owed = row.direction == Direction::Upload;
        self.end_transfer(row, TransferState::Cancelled, owed)
    }

    /// What relays are still to be asked for; what has nowhere to go any more ends here.
    pub(crate) fn owed_transfers(&mut self) -> Result<Vec<TransferRow>, Error> {
        let (mut owed, mut lost) = (Vec::new(), Vec::new());
        let db = self.store.read();
        for row in db.owed_transfers()? {
            let open = match &row.mailbox {
                // ROM-3: who may not write in a room stores nothing there.
                Some(mailbox) => {
                    is_open(db, mailbox)? && !matches!(self.writer(mailbox)?, Writer::Nobody)
                }
                None => true,
            };
            if open { owed.push(row) } else { lost.push(row) }
        }
        for row in lost {
            let state = match row.errand() {
                Errand::Withdraw => row.state,
                Errand::Upload | Errand::Download => TransferState::Failed(TransferFailure::Ended),
            };
            self.end_transfer(row, state, false)?;
        }
        Ok(owed)
    }

    /// Whether the relay of a mailbox is still to take or to forget files there.
    pub(crate) fn has_uploads(&self, mailbox: &MailboxId) -> Result<bool, Error> {
        self.store.read().has_uploads(mailbox)
    }

    /// What the relay is asked; `None`: the transfer has ended meanwhile.
    pub(crate) fn transfer_request(
        &mut self,
        row: &TransferRow,
        ask: Ask,
        handle: Handle,
        nonce: &Nonce,
    ) -> Result<Option<Request>, Error> {
        let blob = row.blob;
        let request = match ask {
            Ask::Create => (create(row, handle)?, Vec::new()),
            Ask::Delete => (Command::BlobDelete { handle, blob }, Vec::new()),
            Ask::Read(offset) => (read(row, offset, nonce)?, Vec::new()),
            Ask::Write(offset) => {
                let Some(part) = self.read_part(row, offset)? else { return Ok(None) };
                let offset = BlobOffset::new(offset);
                (Command::BlobWrite { handle, blob, offset }, part)
            }
        };
        Ok(Some(request))
    }

    /// A part of the file; `None`: it cannot be read, and the transfer has failed.
    fn read_part(&mut self, row: &TransferRow, offset: u64) -> Result<Option<Vec<u8>>, Error> {
        let size = usize::try_from(part_size(offset, row.size)).unwrap_or(BLOB_PART_BYTES);
        let moving = self.transfers.moving.get(&row.id);
        let part = moving.map(|moving| moving.file.read_at(offset, size));
        match part {
            None => Ok(None),
            Some(Ok(part)) => Ok(Some(part)),
            Some(Err(error)) => {
                self.disk_failed(row.clone(), &error)?;
                Ok(None)
            }
        }
    }
}

impl Work<'_> {
    /// Notes a new transfer.
    pub(super) fn note_transfer(&mut self, row: &TransferRow) -> Result<(), Error> {
        if self.db.owed_transfers()?.len() >= TRANSFERS {
            return Err(Error::TooMany { what: "transfers", max: TRANSFERS });
        }
        self.db.put_transfer(row)?;
        self.events.extend(told(row, 0));
        Ok(())
    }
}

/// Where a new blob is to be, and the key to read it.
pub(super) fn new_blob(relay: &str, size: u64) -> Result<BlobAddress, Error> {
    let key = SigningKey::generate()?.seed();
    let (relay, blob) = (relay.parse()?, BlobId::new(random_bytes()?));
    Ok(BlobAddress { relay, blob, key, size })
}

/// The mailbox uploads of a conversation go to, and its relay.
pub(super) fn upload_place(db: Db<'_>, of: ConversationId) -> Result<(String, MailboxId), Error> {
    if db.meta(Meta::Cloned)?.is_some() {
        return Err(Error::Cloned);
    }
    let conversation = db.need_conversation(of)?;
    if !conversation.is_shared() {
        let state = db.need_contact(of.contact())?.state;
        if state != ContactState::Active {
            return Err(Error::WrongState { state });
        }
    }
    match conversation.log.filter(|_| conversation.standing == Standing::Open) {
        Some(mailbox) => Ok((db.need_log(&mailbox)?.relay, mailbox)),
        None => Err(Error::WrongStanding { standing: conversation.standing }),
    }
}

/// Whether this device writes to this mailbox, or will.
fn is_open(db: Db<'_>, mailbox: &MailboxId) -> Result<bool, Error> {
    let log = db.log(mailbox)?;
    Ok(log.is_some_and(|log| matches!(log.state, LogState::Creating | LogState::Live)))
}

pub(super) fn new_row(
    direction: Direction,
    blob: &BlobAddress,
    mailbox: Option<MailboxId>,
    name: &str,
) -> Result<TransferRow, Error> {
    Ok(TransferRow {
        id: TransferId::new(random_bytes()?),
        direction,
        relay: blob.relay.to_string(),
        mailbox,
        blob: blob.blob,
        key: Some(Zeroizing::clone(&blob.key)),
        name: name.to_owned(),
        size: blob.size,
        done: 0,
        state: TransferState::Waiting,
        owed: true,
        expires_at: None,
    })
}

/// BLB-3: repeated, it tells how far the blob is.
fn create(row: &TransferRow, handle: Handle) -> Result<Command, Error> {
    let mailbox = row.mailbox.ok_or(Error::Damaged("an upload without its mailbox"))?;
    let key = read_key(row)?;
    Ok(Command::BlobCreate(BlobCreate {
        handle,
        blob: row.blob,
        key: key.public(),
        possession: prove_possession(&key, &mailbox),
        size: BlobSize::new(row.size),
        ttl: None,
    }))
}

/// CMD-20: proven for this connection with this relay.
fn read(row: &TransferRow, offset: u64, nonce: &Nonce) -> Result<Command, Error> {
    let key = read_key(row)?;
    let address: RelayAddress = row.relay.parse()?;
    let challenge = BlobChallenge { relay: *address.identity(), nonce: *nonce, blob: row.blob };
    Ok(Command::BlobRead(BlobRead {
        blob: row.blob,
        key: key.public(),
        proof: challenge.prove(&key),
        offset: BlobOffset::new(offset),
        length: BlobSize::new(BLOB_PART_BYTES as u64),
    }))
}

fn read_key(row: &TransferRow) -> Result<SigningKey, Error> {
    let seed = row.key.as_ref().ok_or(Error::Damaged("a transfer without its key"))?;
    Ok(SigningKey::from_seed(seed))
}

fn look_failed(error: &std::io::Error) -> Error {
    io_error("look at a file", error)
}
