//! The SDK's recovery file: written by the account's first device, restored into an empty home.
//!
//! Knows the requests; must not know SQL, keys or what is in the file.

use std::path::{Path, PathBuf};

use super::{Builder, Client};
use crate::clock;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::HomeLock;
use crate::recovery::{self, NewFile, RecoverySecret};
use crate::tasks::aside;

impl Client {
    /// Writes everything the account has into an encrypted file at `path`: its key, contacts,
    /// conversations, history, what was verified, as of now; attachments are named, not in it. When
    /// this returns the file is whole and durable; if it fails, or the process ends, a file that
    /// was there before is as it was. Gives its messages.
    ///
    /// # Errors
    /// [`Error::NotFirstDevice`], [`Error::Storage`]; [`Error::Crypto`] for a passphrase of no
    /// size.
    pub async fn write_recovery(
        &self,
        path: impl Into<PathBuf>,
        secret: RecoverySecret,
    ) -> Result<u64, Error> {
        let path = path.into();
        let mut segment = self.ask(|engine| engine.recovery_segment(None)).await?;
        let mut file = aside(move || NewFile::begin(path, &secret)).await?;
        let mut messages = 0;
        loop {
            messages += u64::from(segment.messages);
            let bytes = segment.bytes;
            file = aside(move || file.push(bytes).map(|()| file)).await?;
            let Some(mark) = segment.rest else { break };
            segment = self.ask(move |engine| engine.recovery_segment(Some(mark))).await?;
        }
        aside(move || file.finish()).await?;
        Ok(messages)
    }
}

impl Builder {
    /// Makes a new device of the account of a recovery file. Contacts and history are there at
    /// once, without network; conversations are [`crate::Standing::Restored`] until the device has
    /// been let into them again. It asks for that by itself once it is started: other devices of
    /// the account let it in by themselves, contacts and members when a person agrees
    /// ([`crate::Event::AsksToReturn`], [`Client::consent`]). If nobody has after a few days it
    /// asks no more; who agrees later lets it in all the same. A group in which nobody else may
    /// add a device its administrator begins anew ([`Client::move_conversation`]).
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Locked`], [`Error::Storage`]; [`Error::Crypto`] for other
    /// words or another passphrase, and for a file that is damaged or none; [`Error::Archive`] for
    /// one of a newer version. Then there is no account in the home.
    pub fn restore(self, file: &Path, secret: &RecoverySecret) -> Result<Client, Error> {
        let lock = HomeLock::acquire(&self.home, self.lock_wait)?;
        let key = self.key.ok_or(Error::WrongKey)?;
        let file = recovery::read(file, secret)?;
        let engine = Engine::restore(&self.home, &key, file, clock::now())?;
        Ok(Client::new(engine, lock))
    }
}
