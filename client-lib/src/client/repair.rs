//! What an app asks of conversations in which something is missing, or which cannot go on.

use restante_spec::address::RelayAddress;

use super::Client;
use crate::error::Error;
use crate::types::{ContactId, Conversation, ConversationId, Gap};

impl Client {
    /// What is missing in a conversation, in its order: contents their authors have counted and
    /// this device does not have. The others are asked for them by themselves; an event tells when
    /// that changes.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn gaps(&self, id: impl Into<ConversationId>) -> Result<Vec<Gap>, Error> {
        let id = id.into();
        self.ask(move |engine| engine.gaps(id)).await
    }

    /// Members with a device that asks to be added and is in the group no more: it was restored, or
    /// somebody has copied an old state of it. Ask the person by another way before consenting.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn callers(&self, id: impl Into<ConversationId>) -> Result<Vec<ContactId>, Error> {
        let id = id.into();
        self.ask(move |engine| engine.callers(id)).await
    }

    /// Adds the devices of a member that ask for it, or lets them stand outside.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn consent(
        &self,
        id: impl Into<ConversationId>,
        who: ContactId,
        agreed: bool,
    ) -> Result<(), Error> {
        let id = id.into();
        self.ask(move |engine| engine.consent(id, who, agreed)).await
    }

    /// Begins a conversation anew in another mailbox: on the own relay, or on one that is named.
    /// The same people, name, roles and history; also when the relay it was on is gone. Whoever
    /// cannot be reached is named by a notice and is not in it any more. A `large` one may have
    /// more devices, but is not safe from the quantum computers of the future (see
    /// [`Client::create_group`]): the members of one that was must agree to it.
    ///
    /// # Errors
    /// [`Error::NotAGroup`] if a conversation with a contact is to be large;
    /// [`Error::NoSuchConversation`]; [`Error::NotAllowed`] unless this account is an administrator
    /// of the group, or the conversation is with a contact; [`Error::Cloned`].
    pub async fn move_conversation(
        &self,
        id: impl Into<ConversationId>,
        relay: Option<&RelayAddress>,
        large: bool,
    ) -> Result<Conversation, Error> {
        let (id, relay) = (id.into(), relay.cloned());
        self.ask(move |engine| engine.move_conversation(id, relay.as_ref(), large)).await
    }

    /// Asks the others once more for everything that is missing in a conversation.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn ask_again(&self, id: impl Into<ConversationId>) -> Result<(), Error> {
        let id = id.into();
        self.ask(move |engine| engine.ask_again(id)).await
    }
}
