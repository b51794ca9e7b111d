//! What every command works with: the open account, the network if it is wanted, the output.
//!
//! Knows the SDK's client; must not know any single command.

use std::future::Future;
use std::pin::pin;
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
        let client = self.client.clone();
        let collected = match self.hearing(client.collect(REACH_WAIT)).await {
            Err(Error::Deadline) => self.hearing(client.collect(COLLECT_WAIT)).await,
            collected => collected,
        };
        let collected = match collected {
            // The own relay was reached; another one takes longer, and may do so by itself.
            Err(Error::Deadline) => Ok(Collected::default()),
            collected => collected,
        };
        // What has been told and not yet been heard.
        while let Ok(true) = tokio::time::timeout(Duration::ZERO, self.hear()).await {}
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

    /// Waits until something happens, and tells what a person should know of it; `false`: nothing
    /// will happen any more.
    pub(crate) async fn hear(&mut self) -> bool {
        let Some(event) = self.events.next().await else { return false };
        self.tell_notice(event);
        true
    }

    /// Waits for the work, and hears meanwhile: what nobody hears for long is lost.
    async fn hearing<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(event) = self.events.next() => self.tell_notice(event),
            }
        }
    }

    /// Tells what a person should know.
    fn tell_notice(&self, event: Event) {
        let (text, of) = match event {
            // Of another relay's identity the failure speaks that comes with it.
            Event::Notice(Notice::WrongRelay) => return,
            Event::Notice(notice) => (notice.to_string(), conversation_of(&notice)),
            Event::AsksToReturn { conversation: of, .. } => {
                let id = short_id(of);
                (format!("a device asks to be let in again: restante readmit {id}"), Some(of))
            }
            Event::Resync => {
                let text = "more has happened than could be told here: warnings may be missing";
                (text.to_owned(), None)
            }
            _ => return,
        };
        self.out.end_progress();
        self.out.notice(text, of);
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

#[cfg(test)]
mod tests {
    use restante_client::{InviteOptions, RelayAddress, StoreKey};

    use super::*;

    /// A relay that nobody runs.
    const ADDRESS: &str = "restante://AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE@127.0.0.1:1";
    /// Unit: things that happen, more than are kept for who does not listen.
    const MANY: usize = 1_100;

    /// Once a person was told of warnings when all had been collected: of many events the first
    /// were lost by then, and nobody said so.
    #[tokio::test]
    async fn what_happens_is_heard_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let address: RelayAddress = ADDRESS.parse().unwrap();
        let [alice, bob] = ["Alice", "Bob"].map(|name| {
            let key = StoreKey::from_bytes([7; 32]);
            let home = dir.path().join(name);
            Client::builder(home).store_key(key).create(&address, name).unwrap()
        });
        alice.start().unwrap();
        let invite = alice.invite(InviteOptions::default()).await.unwrap();
        let mut desk = Desk::start(bob, Output::new(true), true).unwrap();
        let client = desk.client.clone();
        let contact = client.accept_invite(invite.as_str(), None).await.unwrap();
        let work = async {
            for _ in 0..MANY {
                client.block(contact.id).await.unwrap();
            }
        };
        desk.hearing(work).await;
        let next = tokio::time::timeout(Duration::ZERO, desk.events.next()).await;
        assert_ne!(next, Ok(Some(Event::Resync)));
    }
}
