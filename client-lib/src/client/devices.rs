//! What an app asks of the account's devices: linking one, removing one, and what they share.

use restante_spec::token::Entrance;

use super::Client;
use crate::engine::Engine;
use crate::error::Error;
use crate::types::{ConversationId, Device, HistoryProgress};

impl Client {
    /// On a device made with [`crate::Builder::link`]: what the account's first device needs, as
    /// text that is short enough for a QR code. `None` once it is linked. Whoever reads it before
    /// that can pretend to be the account, so the numbers must be compared.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn link_code(&self) -> Result<Option<String>, Error> {
        self.ask(|engine| engine.link_code()).await
    }

    /// On the account's first device, after the person agreed: takes the device that shows this
    /// code in, under a name of at most 64 bytes. Gives twelve digits that must be those on the new
    /// device's screen; if they are not, remove it.
    ///
    /// # Errors
    /// [`Error::BadLinkCode`], [`Error::NotFirstDevice`], [`Error::TooMany`]; for the name
    /// [`Error::TooLong`], [`Error::Misleading`].
    pub async fn link_device(&self, code: &str, label: &str) -> Result<String, Error> {
        let (code, label) = (code.to_owned(), label.to_owned());
        self.ask(move |engine| engine.link_device(&code, &label)).await
    }

    /// How far the history is that another device of the account gives to this one; `None`: none
    /// does. It comes newest first while the client is connected, also after a restart, and what is
    /// here can be read; [`crate::Event::History`] tells of more.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn history_progress(&self) -> Result<Option<HistoryProgress>, Error> {
        self.ask(|engine| engine.history_progress()).await
    }

    /// On the new device: the twelve digits, once an account would take it in.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn link_check(&self) -> Result<Option<String>, Error> {
        self.ask(|engine| engine.link_check()).await
    }

    /// On the new device, after the person found the digits equal: from now on it is the
    /// account's. Conversations and contacts come by themselves.
    ///
    /// # Errors
    /// [`Error::NoLink`].
    pub async fn finish_link(&self) -> Result<(), Error> {
        self.ask(Engine::finish_link).await
    }

    /// On the new device, if the digits differ: forgets what came. Begin with a new home.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn refuse_link(&self) -> Result<(), Error> {
        self.ask(Engine::refuse_link).await
    }

    /// After [`Error::Cloned`] or [`crate::Notice::ShutOut`]: throws this device's keys away and
    /// begins to be linked anew, in the same home. What was said stays. Its inbox for that is on
    /// `entrance`'s relay.
    ///
    /// # Errors
    /// [`Error::NoLink`] if it was neither copied nor shut out; [`Error::FirstDevice`].
    pub async fn relink(&self, entrance: Entrance) -> Result<(), Error> {
        self.ask(move |engine| engine.relink(&entrance)).await
    }

    /// The account's devices, by rising number.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        self.ask(|engine| Ok(engine.devices())).await
    }

    /// On the account's first device: removes another one from the account and from every
    /// conversation. It keeps what it has read and learns nothing more.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`], [`Error::NotFirstDevice`].
    pub async fn remove_device(&self, number: u32) -> Result<(), Error> {
        self.ask(move |engine| engine.remove_device(number)).await
    }

    /// Keeps what is written and not sent in a conversation, on every device; empty: nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::TooLong`] above 32,768 bytes, [`Error::TooMany`].
    pub async fn set_draft(&self, of: impl Into<ConversationId>, text: &str) -> Result<(), Error> {
        let (of, text) = (of.into(), text.to_owned());
        self.ask(move |engine| engine.set_draft(of, &text)).await
    }

    /// What is written and not sent in a conversation.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn draft(&self, of: impl Into<ConversationId>) -> Result<String, Error> {
        let of = of.into();
        self.ask(move |engine| engine.draft(of)).await
    }

    /// Keeps a setting of the app, on every device; empty: none. A name has at most 128 bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::TooMany`].
    pub async fn set_setting(&self, name: &str, value: Vec<u8>) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(move |engine| engine.set_setting(&name, &value)).await
    }

    /// A setting of the app.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = name.to_owned();
        self.ask(move |engine| engine.setting(&name)).await
    }
}
