//! What an app asks of rooms: a mailbox and a key for very many; few write, whoever has the link
//! reads. Everything else it does with them as with other conversations.

use super::Client;
use crate::error::Error;
use crate::types::{ContactId, Conversation, ConversationId, RoomLink};

impl Client {
    /// Makes a room on the own relay, with this account as its founder and only host. The relay
    /// must hear of it before its link works; [`Client::collect`] sees to that.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::TooLong`] and [`Error::Misleading`] for the name,
    /// [`Error::TooMany`].
    pub async fn create_room(
        &self,
        name: &str,
        audience_may_write: bool,
    ) -> Result<Conversation, Error> {
        let name = name.to_owned();
        self.ask(move |engine| engine.create_room(&name, audience_may_write)).await
    }

    /// The link of a room: whoever has it reads what the relay keeps and what comes, until the key
    /// is replaced. It cannot be taken back from one reader alone.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::NotARoom`].
    pub async fn room_link(&self, room: ConversationId) -> Result<RoomLink, Error> {
        self.ask(move |engine| engine.room_link(room)).await
    }

    /// Reads a room from now on, from the oldest that the relay still keeps. What it is called is
    /// known once its relay was reached. A newer link of a room that is known replaces its key.
    ///
    /// # Errors
    /// [`Error::BadRoomLink`], [`Error::TooMany`]; [`Error::OldRoomLink`] for a link that was
    /// replaced.
    pub async fn join_room(&self, link: &str) -> Result<Conversation, Error> {
        let link = link.to_owned();
        self.ask(move |engine| engine.join_room(&link)).await
    }

    /// Agrees to be a host of a room, as a contact who founded it wishes: from now on its relay is
    /// connected to. [`Client::leave_room`] declines.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::NotARoom`]; [`Error::WrongStanding`] unless this
    /// account was asked.
    pub async fn accept_room(&self, room: ConversationId) -> Result<Conversation, Error> {
        self.ask(move |engine| engine.accept_room(room)).await
    }

    /// Ceases to read a room. Nobody is told; the history stays.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::NotARoom`], [`Error::WrongStanding`].
    pub async fn leave_room(&self, room: ConversationId) -> Result<Conversation, Error> {
        self.ask(move |engine| engine.leave_room(room)).await
    }

    /// Sets whether the audience may write, as the room's founder. The relay refuses what it writes
    /// from then on, and the room is told.
    ///
    /// # Errors
    /// [`Error::NotARoom`], [`Error::WrongStanding`]; [`Error::NotAllowed`] for anybody else.
    pub async fn set_room_audience(
        &self,
        room: ConversationId,
        may_write: bool,
    ) -> Result<(), Error> {
        self.ask(move |engine| engine.set_room_audience(room, may_write)).await
    }

    /// Makes a contact a host of a room, as its founder: they may write also while the audience may
    /// not, and take back what others wrote. They are asked whether they agree.
    ///
    /// # Errors
    /// As for [`Client::set_room_audience`]; [`Error::NoSuchContact`], [`Error::WrongState`] unless
    /// both had agreed to be contacts, [`Error::TooMany`] with 16 hosts.
    pub async fn add_host(&self, room: ConversationId, who: ContactId) -> Result<(), Error> {
        self.ask(move |engine| engine.add_host(room, who)).await
    }

    /// Takes it back: they read on, and write if the audience may.
    ///
    /// # Errors
    /// As for [`Client::set_room_audience`]; [`Error::NotAMember`] for who is no host,
    /// [`Error::NotAllowed`] for the founder.
    pub async fn remove_host(&self, room: ConversationId, who: ContactId) -> Result<(), Error> {
        self.ask(move |engine| engine.remove_host(room, who)).await
    }

    /// Replaces the key of a room, as its founder. With `announce` everybody who reads finds the
    /// next key in a post and goes on by itself: nobody is excluded, and old links lead in for 30
    /// days more. Without it nobody but the hosts reads on before [`Client::room_link`] was handed
    /// to them anew.
    ///
    /// # Errors
    /// As for [`Client::set_room_audience`]; [`Error::RotationUnderWay`] without `announce` while
    /// an announced one is.
    pub async fn rotate_room(&self, room: ConversationId, announce: bool) -> Result<(), Error> {
        self.ask(move |engine| engine.rotate_room(room, announce)).await
    }
}
