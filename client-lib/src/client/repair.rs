//! What an app asks of conversations in which something is missing, or which cannot go on.

use super::Client;
use crate::error::Error;
use crate::types::{ContactId, ConversationId, Gap};

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

    /// Asks the others once more for everything that is missing in a conversation.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn ask_again(&self, id: impl Into<ConversationId>) -> Result<(), Error> {
        let id = id.into();
        self.ask(move |engine| engine.ask_again(id)).await
    }
}
