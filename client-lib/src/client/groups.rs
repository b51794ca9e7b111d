//! What an app asks of conversations with several people.

use restante_spec::content::{Policy, Role};
use restante_spec::ids::Seconds;

use super::Client;
use crate::engine::Engine;
use crate::error::Error;
use crate::types::{ContactId, Conversation, ConversationId, GroupMember};

impl Client {
    /// Makes a group with this account as its owner, on its own relay. A `large` one may have up
    /// to 1,000 devices, but is not safe from the quantum computers of the future; other groups
    /// are, and may have 64.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::TooLong`] and [`Error::Misleading`] for the name,
    /// [`Error::TooMany`].
    pub async fn create_group(&self, name: &str, large: bool) -> Result<Conversation, Error> {
        let name = name.to_owned();
        self.ask(move |engine| engine.create_group(&name, large)).await
    }

    /// Every conversation: direct ones, groups, rooms, and that of the own devices.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn conversations(&self) -> Result<Vec<Conversation>, Error> {
        self.ask(Engine::conversations).await
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn conversation(&self, id: impl Into<ConversationId>) -> Result<Conversation, Error> {
        let id = id.into();
        self.ask(move |engine| engine.conversation(id)).await
    }

    /// The group or room with this name (any case) or the conversation with the contact of this
    /// nickname, or the one whose id begins so.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::Ambiguous`].
    pub async fn find_conversation(&self, who: &str) -> Result<Conversation, Error> {
        let who = who.to_owned();
        self.ask(move |engine| engine.find_conversation(&who)).await
    }

    /// The member of a conversation with this nickname (any case) or an id that begins so.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::NotAMember`], [`Error::Ambiguous`].
    pub async fn find_member(&self, of: ConversationId, who: &str) -> Result<GroupMember, Error> {
        let who = who.to_owned();
        self.ask(move |engine| engine.find_member(of, &who)).await
    }

    /// Who is in a conversation, as far as this device has read its log. In a room: its hosts, and
    /// those who have said what they are called.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn members(&self, id: ConversationId) -> Result<Vec<GroupMember>, Error> {
        self.ask(move |engine| engine.group_members(id)).await
    }

    /// Adds a contact to a group, with all devices. Their key packages are fetched first; a notice
    /// says so if there are none.
    ///
    /// # Errors
    /// [`Error::NotAGroup`], [`Error::WrongStanding`], [`Error::NotAllowed`],
    /// [`Error::NoSuchContact`]; [`Error::WrongState`] unless both had agreed to be contacts.
    pub async fn add_member(&self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        self.ask(move |engine| engine.add_member(id, who)).await
    }

    /// Removes an account with all its devices: they can neither read nor write what comes after.
    ///
    /// # Errors
    /// [`Error::NotAGroup`], [`Error::WrongStanding`], [`Error::NotAMember`];
    /// [`Error::NotAllowed`] unless this account's role is the higher one.
    pub async fn remove_member(&self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        self.ask(move |engine| engine.remove_member(id, who)).await
    }

    /// Gives a member another role. Owners may give any; administrators may make members
    /// administrators; everybody may step down.
    ///
    /// # Errors
    /// As for [`Client::remove_member`].
    pub async fn set_role(
        &self,
        id: ConversationId,
        who: ContactId,
        role: Role,
    ) -> Result<(), Error> {
        self.ask(move |engine| engine.set_role(id, who, role)).await
    }

    /// Gives a group another name.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::TooLong`], [`Error::Misleading`], [`Error::NotAGroup`],
    /// [`Error::NotAllowed`], [`Error::WrongStanding`].
    pub async fn set_group_name(&self, id: ConversationId, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(move |engine| engine.set_group_name(id, &name)).await
    }

    /// Gives a group another picture: a small JPEG, at most 8,192 bytes; none if it is empty.
    ///
    /// # Errors
    /// As for [`Client::set_group_name`].
    pub async fn set_group_picture(
        &self,
        id: ConversationId,
        picture: Vec<u8>,
    ) -> Result<(), Error> {
        self.ask(move |engine| engine.set_group_picture(id, picture)).await
    }

    /// Sets how long messages of a conversation are kept after they were read, on every device of
    /// every member; `None`: without end. It holds for messages that come after it.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::NotAllowed`], [`Error::WrongStanding`].
    pub async fn set_timer(
        &self,
        id: impl Into<ConversationId>,
        timer: Option<Seconds>,
    ) -> Result<(), Error> {
        let id = id.into();
        self.ask(move |engine| engine.set_timer(id, timer)).await
    }

    /// Sets who may do what in a group.
    ///
    /// # Errors
    /// [`Error::NotAGroup`], [`Error::WrongStanding`]; [`Error::NotAllowed`] for a member without
    /// a role.
    pub async fn set_policy(&self, id: ConversationId, policy: Policy) -> Result<(), Error> {
        self.ask(move |engine| engine.set_policy(id, policy)).await
    }

    /// Leaves a group. Members' devices remove this account's; an owner passes the role on.
    ///
    /// # Errors
    /// [`Error::NotAGroup`], [`Error::WrongStanding`].
    pub async fn leave_group(&self, id: ConversationId) -> Result<Conversation, Error> {
        self.ask(move |engine| engine.leave_group(id)).await
    }

    /// Agrees to be in a group a contact has added this account to: from now on its relay is
    /// connected to, and its members are told this account's name.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`]; [`Error::WrongStanding`] unless it is an invitation.
    pub async fn accept_group(&self, id: ConversationId) -> Result<Conversation, Error> {
        self.ask(move |engine| engine.accept_group(id)).await
    }

    /// Declines an invitation to a group. Nobody is told.
    ///
    /// # Errors
    /// As for [`Client::accept_group`].
    pub async fn decline_group(&self, id: ConversationId) -> Result<Conversation, Error> {
        self.ask(move |engine| engine.decline_group(id)).await
    }
}
