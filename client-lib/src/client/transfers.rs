//! The SDK's raw transfers: files of the home become blobs, blobs become files of the home.
//!
//! Knows the requests; must not know SQL, keys or frames. What is in a file is not looked at: who
//! wants it secret from the relay seals it first.

use super::Client;
use crate::error::Error;
use crate::transfer::{BlobAddress, Transfer};
use crate::types::{ConversationId, TransferId};

impl Client {
    /// Queues the upload of `HOME/files/NAME` into a blob beside a conversation.
    /// The address can be read from when the transfer is done. It goes on by itself whenever the
    /// client is connected, also after a restart; [`Client::collect`] does not wait for it. Until
    /// then the file must stay as it is.
    ///
    /// # Errors
    /// [`Error::BadFileName`], [`Error::NoSuchFile`], [`Error::BadFileSize`],
    /// [`Error::NoSuchConversation`], [`Error::TooMany`]; [`Error::WrongState`] and
    /// [`Error::WrongStanding`] where nobody hears this account.
    pub async fn upload_file(
        &self,
        of: impl Into<ConversationId>,
        name: &str,
    ) -> Result<(TransferId, BlobAddress), Error> {
        let (of, name) = (of.into(), name.to_owned());
        self.ask(move |engine| engine.upload_file(of, &name)).await
    }

    /// Queues the download of a blob into `HOME/files/NAME`, which is there when all of it is.
    ///
    /// # Errors
    /// [`Error::BadFileName`], [`Error::FileExists`], [`Error::TooMany`].
    pub async fn download_file(&self, blob: &BlobAddress, name: &str) -> Result<TransferId, Error> {
        let (blob, name) = (blob.clone(), name.to_owned());
        self.ask(move |engine| engine.download_file(&blob, &name)).await
    }

    /// Every transfer that is under way or has ended lately, oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn transfers(&self) -> Result<Vec<Transfer>, Error> {
        self.ask(|engine| engine.transfers()).await
    }

    /// Ends a transfer. Of a download nothing is left, and of an upload nothing but the file: the
    /// relay is told to forget the blob. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`Error::NoSuchTransfer`].
    pub async fn cancel_transfer(&self, transfer: TransferId) -> Result<(), Error> {
        self.ask(move |engine| engine.cancel_transfer(transfer)).await
    }
}
