//! What every command works with: the open account, the network if it is wanted, the output.
//!
//! Knows the SDK's client; must not know any single command.

use std::time::Duration;

use restante_client::{
    Client, Collected, Contact, Conversation, ConversationId, ConversationKind, Error, Event,
    EventStream, Notice,
};

use crate::failure::Failure;
use crate::json::ConversationLine;
use crate::limits::{COLLECT_WAIT, REACH_WAIT};
use crate::output::{Output, short_id};

/// An account at work.
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) out: Output,
    pub(crate) offline: bool,
    events: EventStream,
}

impl Desk {
    /// Starts the account's driver.
    pub(crate) fn start(client: Client, out: Output, offline: bool) -> Result<Self, Failure> {
        let events = client.events();
        client.start()?;
        Ok(Self { client, out, offline, events })
    }

    /// Collects what is waiting and sends what can be sent; without the network that is nothing.
    pub(crate) async fn collect(&mut self) -> Result<Collected, Failure> {
        if self.offline {
            return Ok(Collected::default());
        }
        // Where nobody answers at all a person should not have to wait long for hearing so.
        let collected = match self.client.collect(REACH_WAIT).await {
            Err(Error::Deadline) => self.client.collect(COLLECT_WAIT).await,
            collected => collected,
        };
        let collected = match collected {
            // The own relay was reached; another one takes longer, and may do so by itself.
            Err(Error::Deadline) => Ok(Collected::default()),
            collected => collected,
        };
        self.tell_notices().await;
        if collected.is_err() {
            self.client.disconnect().await?;
        }
        Ok(collected?)
    }

    /// The same for a command that has something to show without the network.
    pub(crate) async fn try_collect(&mut self) {
        if let Err(failure) = self.collect().await {
            self.out.warn(&format!("{}; showing what is on this device", failure.text));
        }
    }

    /// Tells the relay what was done, unless it could not be reached before.
    pub(crate) async fn tell(
        &mut self,
        reached: Result<Collected, Failure>,
    ) -> Result<(), Failure> {
        reached?;
        self.collect().await.map(drop)
    }

    /// The same of what was done to a conversation; shows and gives it as it is afterwards.
    pub(crate) async fn tell_of(
        &mut self,
        conversation: &Conversation,
        reached: Result<Collected, Failure>,
    ) -> Result<Conversation, Failure> {
        let told = self.tell(reached).await;
        let now = self.client.conversation(conversation.id).await?;
        self.out.object(&ConversationLine::from(&now));
        told.map_err(|it| it.and("; it is kept on this device and done by: restante sync"))?;
        Ok(now)
    }

    /// Says what was done; without the network, that it is yet to come.
    pub(crate) fn say_done(&self, done: &str) {
        self.out.say(done);
        if self.offline {
            self.out.say("Others see it once the network is there and you run: restante sync");
        }
    }

    /// The contact that is meant.
    pub(crate) async fn contact(&self, who: &str) -> Result<Contact, Failure> {
        Ok(self.client.find_contact(who).await?)
    }

    /// The conversation that is meant: with a contact, or in a group.
    pub(crate) async fn conversation(&self, who: &str) -> Result<Conversation, Failure> {
        Ok(self.client.find_conversation(who).await?)
    }

    /// The group that is meant.
    pub(crate) async fn group(&self, who: &str) -> Result<Conversation, Failure> {
        let found = self.conversation(who).await?;
        match found.kind {
            ConversationKind::Group => Ok(found),
            ConversationKind::Direct | ConversationKind::Own | ConversationKind::Room => {
                Err(Error::NotAGroup.into())
            }
        }
    }

    /// Tells what a person should know, of what has happened up to now.
    async fn tell_notices(&mut self) {
        while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, self.events.next()).await {
            // Of another relay's identity the failure speaks that comes with it.
            match event {
                Event::Notice(notice) if notice != Notice::WrongRelay => {
                    self.out.notice(&notice, conversation_of(&notice));
                }
                Event::AsksToReturn { conversation: of, .. } => {
                    let id = short_id(of);
                    let text = format!("a device asks to be let in again: restante readmit {id}");
                    self.out.notice(text, Some(of));
                }
                _ => {}
            }
        }
    }
}

/// Which conversation a notice speaks of.
pub(crate) fn conversation_of(notice: &Notice) -> Option<ConversationId> {
    match notice {
        Notice::Gap { conversation, .. } | Notice::Junk { conversation } => *conversation,
        Notice::Gone { conversation }
        | Notice::ConversationLost { conversation }
        | Notice::Captured { conversation }
        | Notice::Forked { conversation }
        | Notice::Improper { conversation }
        | Notice::RoomLocked { conversation }
        | Notice::CannotAdd { conversation, .. }
        | Notice::ConversationClosed { conversation } => Some(*conversation),
        _ => None,
    }
}
