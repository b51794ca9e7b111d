//! What an app does with messages, beside writing and reading them.

use super::Client;
use crate::error::Error;
use crate::types::{ConversationId, Message, MessageId, Privacy, Recipient};

impl Client {
    /// Answers a message; otherwise as [`Client::send`].
    ///
    /// # Errors
    /// As for [`Client::send`]; [`Error::NoSuchMessage`] if there is nothing here to answer.
    pub async fn send_reply(
        &self,
        to: impl Into<ConversationId>,
        answered: MessageId,
        text: &str,
    ) -> Result<Message, Error> {
        let (to, text) = (to.into(), text.to_owned());
        self.ask(move |engine| engine.send_reply(to, answered, &text)).await
    }

    /// Puts a reaction beside a message, instead of this account's one before; `None` takes it
    /// back. It has at most 64 bytes of UTF-8. Gives the message as it is shown from now on.
    ///
    /// # Errors
    /// [`Error::BadReaction`], [`Error::NoSuchMessage`]; what cannot be written to, as for
    /// [`Client::send`].
    pub async fn react(
        &self,
        of: impl Into<ConversationId>,
        message: MessageId,
        emoji: Option<&str>,
    ) -> Result<Message, Error> {
        let (of, emoji) = (of.into(), emoji.map(str::to_owned));
        self.ask(move |engine| engine.react(of, message, emoji.as_deref())).await
    }

    /// Gives a text of this account other words, everywhere. What it said before is not kept. Gives
    /// the message as it is shown from now on.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`]; [`Error::NotAllowed`] for what somebody else wrote; what cannot be
    /// sent, as for [`Client::send`].
    pub async fn edit(
        &self,
        of: impl Into<ConversationId>,
        message: MessageId,
        text: &str,
    ) -> Result<Message, Error> {
        let (of, text) = (of.into(), text.to_owned());
        self.ask(move |engine| engine.edit(of, message, &text)).await
    }

    /// Takes up to 64 messages back, everywhere: those this account wrote, and in a group, for
    /// administrators and owners, those of others. That there was something stays. Devices that
    /// keep to the protocol wipe what it was; nobody can make others forget what they read.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::NoSuchMessage`], [`Error::NotAllowed`]; what cannot be written
    /// to, as for [`Client::send`].
    pub async fn delete(
        &self,
        of: impl Into<ConversationId>,
        messages: &[MessageId],
    ) -> Result<(), Error> {
        let (of, messages) = (of.into(), messages.to_vec());
        self.ask(move |engine| engine.delete(of, &messages)).await
    }

    /// How far a message of this account has come with each account it went to: known from its
    /// sending on, until 90 days after the last sign of it.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`]; [`Error::NotAllowed`] for what somebody else wrote.
    pub async fn receipts_of(
        &self,
        of: impl Into<ConversationId>,
        message: MessageId,
    ) -> Result<Vec<Recipient>, Error> {
        let of = of.into();
        self.ask(move |engine| engine.recipients(of, message)).await
    }

    /// What others are told without being written to.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn privacy(&self) -> Result<Privacy, Error> {
        self.ask(|engine| engine.privacy()).await
    }

    /// Sets what others are told without being written to, from now on.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn set_privacy(&self, privacy: Privacy) -> Result<(), Error> {
        self.ask(move |engine| engine.set_privacy(privacy)).await
    }

    /// Tells those who are there that this person writes something, or not any more. Call it while
    /// something is typed: it is sent every 4 seconds at most, and only while connected; readers
    /// forget it after 10.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`]; what cannot be written to, as for [`Client::send`].
    pub async fn typing(&self, of: impl Into<ConversationId>, active: bool) -> Result<(), Error> {
        let of = of.into();
        self.ask(move |engine| engine.typing(of, active)).await
    }

    /// Tells those who are there, in every conversation, that this person is there too, or not any
    /// more. Only while connected.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn presence(&self, online: bool) -> Result<(), Error> {
        self.ask(move |engine| engine.presence(online)).await
    }
}
