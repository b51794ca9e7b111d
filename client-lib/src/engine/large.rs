//! What fits no record or letter travels as a blob of the conversation's mailbox (REC-6, CNT-6):
//! stored before the commit that names it leaves, fetched before the log is read on.

use data_encoding::HEXLOWER;
use restante_crypto::{FileKey, LargeMessage, SigningKey, random_bytes};
use restante_spec::content::{BlobRef, LetterContent, WelcomeLetter, WelcomePart};
use restante_spec::ids::{BlobId, MailboxId};
use zeroize::Zeroizing;

use super::commands::id_of;
use super::transfers::new_row;
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::home::io_error;
use crate::limits::{LARGE_MESSAGE_BYTES, LARGE_RETRY, WELCOME_BYTES};
use crate::store::{LogRow, PendingCommit};
use crate::transfer::{BlobAddress, Direction, TransferState};
use crate::types::ContactId;

/// How far a blob is that must be read.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The whole blob.
    Here(Vec<u8>),
    /// On its way.
    Waiting,
    /// The relay does not have it, or it cannot be.
    Gone,
}

/// Whether a file is one of these, and not an app's: no app's name begins so.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with('.')
}

/// The name of a blob's file.
pub(super) fn name_of(blob: &BlobId) -> String {
    format!(".{}", HEXLOWER.encode(blob.as_bytes()))
}

impl Engine {
    /// Goes on with what waited for a blob: logs are read on by being opened again, Welcomes here.
    pub(super) fn take_fetched(&mut self) -> Result<(), Error> {
        if self.store.read().welcomes()?.is_empty() {
            return Ok(());
        }
        self.transact(|work| {
            for (mailbox, contact, letter) in work.db.welcomes()? {
                work.take_late_welcome(&mailbox, contact, &letter)?;
            }
            Ok(())
        })
    }
}

impl Work<'_> {
    /// Notes that a sealed file is to become a blob of the log's mailbox.
    pub(super) fn upload_large(
        &mut self,
        log: &LogRow,
        at: &LargeMessage,
        file: &[u8],
    ) -> Result<BlobId, Error> {
        let name = name_of(&at.blob);
        self.files.put(&name, file).map_err(|error| io_error("write a file", &error))?;
        let address = address(&log.relay, at)?;
        self.db.put_transfer(&new_row(Direction::Upload, &address, Some(log.mailbox), &name)?)?;
        Ok(at.blob)
    }

    /// How a Welcome is told: in its letter, or as a blob if it is too large.
    pub(super) fn welcome_part(
        &mut self,
        log: &LogRow,
        welcome: &[u8],
        blobs: &mut Vec<BlobId>,
    ) -> Result<WelcomePart, Error> {
        if welcome.len() <= WELCOME_BYTES {
            return Ok(WelcomePart::Here(welcome.to_vec()));
        }
        let key = FileKey::generate()?;
        let file = key.seal(welcome)?;
        let at = LargeMessage {
            blob: BlobId::new(random_bytes()?),
            read_key: SigningKey::generate()?.seed(),
            key: Zeroizing::new(*key.as_bytes()),
            size: file.len() as u64,
        };
        blobs.push(self.upload_large(log, &at, &file)?);
        let LargeMessage { blob, read_key, key, size } = at;
        Ok(WelcomePart::Blob(BlobRef { blob, read_key, key, size }))
    }

    /// Whether the blobs of the commit that is to leave are at the relay. If one cannot be stored,
    /// the commit is thrown away, and made anew after a while.
    pub(super) fn blobs_are_there(&mut self, log: &mut LogRow) -> Result<bool, Error> {
        let Some(commit) = &log.commit else { return Ok(true) };
        let mut all = true;
        for blob in &commit.blobs {
            match self.db.transfer_of(blob)?.map(|transfer| transfer.state) {
                Some(TransferState::Done) => {}
                Some(TransferState::Waiting | TransferState::Running) => all = false,
                Some(TransferState::Cancelled | TransferState::Failed(_)) | None => {
                    let lost = commit.clone();
                    self.drop_commit(&lost)?;
                    self.clear_pending(&log.mailbox)?;
                    log.commit = None;
                    self.db.put_log(log)?;
                    self.db.put_off_wishes(&log.mailbox, self.now.after(LARGE_RETRY))?;
                    return Ok(false);
                }
            }
        }
        Ok(all)
    }

    /// A commit will not be sent any more, or has lost: so will what hangs on it.
    pub(super) fn drop_commit(&mut self, lost: &PendingCommit) -> Result<(), Error> {
        self.db.drop_held_jobs(&lost.id)?;
        for blob in &lost.blobs {
            if let Some(row) = self.db.transfer_of(blob)? {
                self.call_off(row)?;
            }
        }
        self.forget_large(&lost.blobs);
        Ok(())
    }

    /// The files of these blobs are of no more use.
    pub(super) fn forget_large(&self, blobs: &[BlobId]) {
        for blob in blobs {
            self.forget_file(&name_of(blob));
        }
    }

    /// The blob a record of this log names; until it is here the log is not read on.
    pub(super) fn fetch_large(
        &mut self,
        log: &mut LogRow,
        at: &LargeMessage,
    ) -> Result<Fetched, Error> {
        let fetched = self.fetch(&log.relay, at)?;
        log.waits = matches!(fetched, Fetched::Waiting).then_some(at.blob);
        Ok(fetched)
    }

    fn fetch(&mut self, relay: &str, at: &LargeMessage) -> Result<Fetched, Error> {
        let name = name_of(&at.blob);
        let here = self.files.read(&name).map_err(|error| io_error("read a file", &error))?;
        if let Some(blob) = here {
            self.forget_large(&[at.blob]);
            return Ok(Fetched::Here(blob));
        }
        match self.db.transfer_of(&at.blob)?.map(|transfer| transfer.state) {
            Some(TransferState::Waiting | TransferState::Running) => Ok(Fetched::Waiting),
            Some(TransferState::Cancelled | TransferState::Failed(_)) => Ok(Fetched::Gone),
            // It was here, and what was done with it was undone: it is fetched again.
            Some(TransferState::Done) | None if at.size <= LARGE_MESSAGE_BYTES => {
                let address = address(relay, at)?;
                self.db.put_transfer(&new_row(Direction::Download, &address, None, &name)?)?;
                Ok(Fetched::Waiting)
            }
            Some(TransferState::Done) | None => Ok(Fetched::Gone),
        }
    }

    /// A Welcome that lies in a blob: its letter is kept until the blob is here. Nothing connects
    /// to a relay for it that this account has nothing else to do with.
    pub(super) fn keep_welcome(
        &mut self,
        contact: ContactId,
        welcome: &WelcomeLetter,
        at: &BlobRef,
    ) -> Result<(), Error> {
        let relay = welcome.relay.to_string();
        if !self.is_used(&relay, contact, &welcome.mailbox)? {
            return Err(restante_crypto::Error::Unsupported { what: "a welcome elsewhere" }.into());
        }
        let letter = LetterContent::Welcome(welcome.clone());
        let letter = letter.encode().map_err(|_| Error::Damaged("a letter's content"))?;
        self.db.put_welcome(&welcome.mailbox, contact, &letter)?;
        self.fetch(&relay, &large_of(at))?;
        Ok(())
    }

    /// Whether this account has to do with a relay already, or its own devices say so.
    fn is_used(&self, relay: &str, says: ContactId, log: &MailboxId) -> Result<bool, Error> {
        if self.db.log(log)?.is_some_and(|log| log.relay == relay) {
            return Ok(true);
        }
        if says == id_of(self.account.id()) || relay == self.account.relay.to_string() {
            return Ok(true);
        }
        let inbox = self.db.contact(says)?.and_then(|contact| contact.inbox);
        let live = self.db.live_logs()?;
        Ok(inbox.is_some_and(|inbox| inbox.relay == relay)
            || live.iter().any(|log| log.relay == relay))
    }

    fn take_late_welcome(
        &mut self,
        mailbox: &MailboxId,
        id: ContactId,
        letter: &[u8],
    ) -> Result<(), Error> {
        let Ok(LetterContent::Welcome(mut welcome)) = LetterContent::decode(letter) else {
            return self.db.take_welcome(mailbox);
        };
        let WelcomePart::Blob(at) = welcome.welcome.clone() else {
            return self.take_early_welcome(id, &welcome);
        };
        let file = match self.fetch(&welcome.relay.to_string(), &large_of(&at))? {
            Fetched::Waiting => return Ok(()),
            Fetched::Here(file) => Some(file),
            Fetched::Gone => None,
        };
        self.db.take_welcome(mailbox)?;
        let joined = self.attempt_letter(|work| {
            let file = file.ok_or(restante_crypto::Error::Undecryptable)?;
            let bytes = FileKey::new(at.key).open(&file)?;
            welcome.welcome = WelcomePart::Here(bytes.to_vec());
            if id == id_of(work.account.id()) {
                return work.join_own(&welcome);
            }
            if work.is_awaited(&welcome)? {
                return work.take_welcome_back(id, &welcome);
            }
            match work.db.contact(id)? {
                Some(mut contact) => work.join(&mut contact, &welcome),
                None => work.join_moved(id, &welcome),
            }
        })?;
        if joined.is_none() {
            self.notice(Notice::Junk { conversation: None });
        }
        Ok(())
    }
}

fn large_of(at: &BlobRef) -> LargeMessage {
    LargeMessage {
        blob: at.blob,
        read_key: at.read_key.clone(),
        key: at.key.clone(),
        size: at.size,
    }
}

fn address(relay: &str, at: &LargeMessage) -> Result<BlobAddress, Error> {
    Ok(BlobAddress {
        relay: relay.parse()?,
        blob: at.blob,
        key: at.read_key.clone(),
        size: at.size,
    })
}
