//! What an app asks of conversations in which something is missing, or which cannot go on.

use super::Client;
use crate::error::Error;
use crate::types::{ConversationId, Gap};

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

    /// Asks the others once more for everything that is missing in a conversation.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn ask_again(&self, id: impl Into<ConversationId>) -> Result<(), Error> {
        let id = id.into();
        self.ask(move |engine| engine.ask_again(id)).await
    }
}
