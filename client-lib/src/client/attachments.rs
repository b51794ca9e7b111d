//! What an app asks of attachments: to send a file, to fetch, read and keep one.
//!
//! Files are sealed and read here, beside the driver, so that no message waits for a disk.

use std::path::Path;

use super::Client;
use crate::attachment::AttachOptions;
use crate::error::Error;
use crate::sealing::{self, AttachmentReader};
use crate::tasks;
use crate::types::{ConversationId, Message, MessageId};

impl Client {
    /// Sends a file, at most 66,060,280 bytes. What a picture says beyond what is seen is taken
    /// out. The message is there at once, and leaves when all of the file is at the relay; it goes
    /// on by itself whenever the client is connected, also after a restart.
    ///
    /// # Errors
    /// [`Error::NoSuchFile`], [`Error::BadFileSize`], [`Error::BadPicture`], [`Error::Misleading`]
    /// and [`Error::TooLong`] for its name or caption, [`Error::TooMany`],
    /// [`Error::NoSuchConversation`]; [`Error::WrongState`], [`Error::WrongStanding`] and
    /// [`Error::NotAllowed`] where this account may not write.
    pub async fn attach(
        &self,
        to: impl Into<ConversationId>,
        path: impl AsRef<Path>,
        options: AttachOptions,
    ) -> Result<Message, Error> {
        let (to, path) = (to.into(), path.as_ref().to_owned());
        let (files, file) = self.ask(move |engine| engine.begin_attachment(to)).await?;
        let (into, keep) = (file.clone(), options.keep_metadata);
        let sealed = tasks::aside(move || sealing::seal(&path, keep, &files, &into)).await;
        self.ask(move |engine| {
            let sent = sealed.and_then(|sealed| engine.attach(to, &file, sealed, options));
            if sent.is_err() {
                engine.drop_file(&file)?;
            }
            sent
        })
        .await
    }

    /// Begins to download the file of a message, unless it is here or on its way; events tell how
    /// far it is, and the last one that the message has changed.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`], [`Error::NoSuchFile`], [`Error::TooMany`];
    /// [`Error::Unfetchable`] if the message names another place than its conversation's.
    pub async fn fetch(&self, message: MessageId) -> Result<Message, Error> {
        self.ask(move |engine| engine.fetch(message)).await
    }

    /// Ends the transfer of a file. A message that was not sent is taken back, with the file; of a
    /// download nothing is left, and it can be begun anew.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`], [`Error::NoSuchFile`].
    pub async fn cancel_attachment(&self, message: MessageId) -> Result<(), Error> {
        self.ask(move |engine| engine.cancel_attachment(message)).await
    }

    /// Reads the file of a message, from any place. It stays encrypted on the disk.
    ///
    /// # Errors
    /// [`Error::NotHere`] before it was fetched; [`Error::NoSuchMessage`], [`Error::NoSuchFile`],
    /// [`Error::Unfetchable`]; [`Error::Crypto`] if it is not what the message says.
    pub async fn open_attachment(&self, message: MessageId) -> Result<AttachmentReader, Error> {
        self.ask(move |engine| engine.open_attachment(message)).await
    }

    /// Writes the file of a message, decrypted, into a new file at `path`.
    ///
    /// # Errors
    /// As for [`Client::open_attachment`]; [`Error::NoSuchFolder`], [`Error::FileExists`],
    /// [`Error::Storage`].
    pub async fn export_attachment(
        &self,
        message: MessageId,
        path: impl AsRef<Path>,
    ) -> Result<(), Error> {
        let path = path.as_ref().to_owned();
        let mut reader = self.open_attachment(message).await?;
        tasks::aside(move || reader.export(&path)).await
    }

    /// Attachments of at most so many bytes are fetched by themselves from now on, with 0 none; as
    /// long as nothing is said, it is 262,144.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn set_fetch_bytes(&self, bytes: u64) -> Result<(), Error> {
        self.ask(move |engine| engine.set_fetch_bytes(bytes)).await
    }
}
