//! What happens, as a bounded stream that never loses silently.
//!
//! Knows the queue only: whoever reads too slowly gets [`Event::Resync`] in place of what was
//! dropped, and looks at the lists again.

use restante_spec::ids::Seq;
use tokio::sync::broadcast;

use crate::limits::EVENT_QUEUE;
use crate::transfer::TransferState;
use crate::types::{
    Contact, ContactId, Conversation, ConversationId, Fate, HistoryProgress, Message, MessageId,
    TransferId,
};

/// Something an app may want to show.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Events were dropped because they were not taken in time: read the lists again.
    Resync,
    /// A message was received.
    Message(Message),
    /// A message looks different now: edited, reacted to, taken back, or gone; its file has
    /// come, or has not.
    Changed(Message),
    /// Somebody began or ceased to write. It ends by itself if nothing more is heard of it.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        who: ContactId,
        /// Whether they are writing now.
        active: bool,
    },
    /// Somebody is there now, or not any more.
    Presence {
        /// Where they said so.
        conversation: ConversationId,
        /// Who.
        who: ContactId,
        /// Whether they are there.
        online: bool,
    },
    /// A message of this side has come further.
    Fate {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
        /// How far.
        fate: Fate,
    },
    /// A contact is new or has changed: state, nickname, unread, verified.
    Contact(Contact),
    /// A group is new or has changed: name, members, standing, unread.
    Conversation(Conversation),
    /// Messages are found missing here, or some of them have come: look at
    /// [`crate::Client::gaps`].
    Gaps(ConversationId),
    /// A device of a member asks to be added, which is in the group no more; `consent` decides.
    AsksToReturn {
        /// Where.
        conversation: ConversationId,
        /// Whose it is.
        who: ContactId,
    },
    /// A transfer has come further, at most once for each part of the blob; or it has ended.
    Transfer {
        /// Which.
        id: TransferId,
        /// Bytes from the blob's beginning that are there. After a crash of this device a download
        /// may go on a little behind what was told.
        done: u64,
        /// Bytes of the whole blob.
        size: u64,
        /// How it stands.
        state: TransferState,
    },
    /// More history has come from another device of the account: read the lists again.
    History(HistoryProgress),
    /// Something a person should know.
    Notice(Notice),
}

/// What a person should know, in clear words in `Display`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// Envelopes are missing from a log: they expired before they were collected.
    #[error("messages are missing: the relay no longer has what stood before {before}")]
    Gap {
        /// In which conversation; `None`: in the inbox.
        conversation: Option<ConversationId>,
        /// The last one that is here.
        after: Seq,
        /// The first one that is here again.
        before: Seq,
    },
    /// The relay no longer has what this device would need to read on; it asks others to let it in
    /// again.
    #[error(
        "this conversation cannot be read on: this device was away for longer than the relay keeps \
             letters, or was removed meanwhile, or the relay has lost it; others are asked to let \
             this device in again"
    )]
    Gone {
        /// In which conversation.
        conversation: ConversationId,
    },
    /// Nobody has let this device in again.
    #[error(
        "nobody could let this device in again: the other side has left or blocked this \
             conversation, or the relay has lost its data"
    )]
    ConversationLost {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// The relay says it does not know the own inbox; it is made again.
    #[error("the relay did not know this account's inbox any more and was given it again")]
    InboxLost,
    /// The relay does not let this linked device into the account's inbox: which it is, cannot be
    /// known here. [`crate::Client::relink`] begins anew.
    #[error(
        "the relay does not let this device into the account's inbox: it was removed from the \
             account, or the relay has lost the inbox and the first device must make it again"
    )]
    ShutOut,
    /// A commit was accepted that members cannot follow: somebody holds the log.
    #[error("this conversation was taken over by a commit that does not fit and must be restarted")]
    Captured {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// A member has seen another log than this device, or claims so (CNT-7).
    #[error(
        "members of this conversation are shown different logs: its relay may hide or reorder \
             messages. Compare with the others what you see, and do not rely on what is missing"
    )]
    Forked {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// The relay was restored from a backup.
    #[error("the relay was restored from a backup: conversations there can only be read")]
    RelayRestored,
    /// The other side closed the conversation.
    #[error("the other side has closed this conversation")]
    ConversationClosed {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// The relay does not let this account read a room any more: its key was replaced, or the room
    /// is gone.
    #[error("this room cannot be read any more: its key was replaced; ask a host for the new link")]
    RoomLocked {
        /// Which room.
        conversation: ConversationId,
    },
    /// Another device writes with this device's keys: the home was copied.
    #[error("this home was copied and is used elsewhere: it stops sending")]
    Cloned,
    /// An account would take this device in: the number must be the one on the other screen.
    #[error("an account takes this device in; compare the numbers: {check}")]
    LinkOffered {
        /// Twelve digits in two groups.
        check: String,
    },
    /// A new device did not come in: its code was over, used, or not what it should be.
    #[error("the new device was not linked: its code is over or was used; show a new one")]
    LinkFailed,
    /// This device was removed from its account by another one.
    #[error("this device was removed from the account; it stops sending")]
    Unlinked,
    /// Somebody did in a group what their role does not allow; it counts as not done.
    #[error("somebody in this group did what their role does not allow; it does not count")]
    Improper {
        /// Where.
        conversation: ConversationId,
    },
    /// An account cannot be added now: none of its devices has left a key package that a group
    /// takes.
    #[error("{nickname} cannot be added now: no device of theirs can be reached; try again later")]
    CannotAdd {
        /// Where.
        conversation: ConversationId,
        /// What the account is called.
        nickname: String,
    },
    /// A link that a contact made was taken for nothing (INV-6).
    #[error("the link of {nickname} leads into no group, or does not hold any more")]
    LinkRefused {
        /// What the contact is called.
        nickname: String,
    },
    /// The relay's identity is not the one the address names.
    #[error("a relay proved another identity than its address names; nothing was sent to it")]
    WrongRelay,
    /// The own relay makes no mailbox for a new conversation: what is written there waits.
    #[error(
        "the relay makes no new conversations for this account: it is full, or your token is \
             used up or revoked; ask its operator for another token"
    )]
    NotAdmitted,
    /// A letter or record was dropped because it does not hold what it claims.
    #[error("something that does not fit was received and dropped")]
    Junk {
        /// In whose conversation; `None`: in the inbox.
        conversation: Option<ConversationId>,
    },
}

/// The stream of events of one client; every stream gets every event since it was made.
#[derive(Debug)]
pub struct EventStream(broadcast::Receiver<Event>);

impl EventStream {
    /// The next event; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Resync),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Where events are told; nobody listening is fine. The streams end with it.
#[derive(Debug)]
pub(crate) struct EventHub(broadcast::Sender<Event>);

/// Where to listen; it does not keep the streams from ending.
#[derive(Debug)]
pub(crate) struct EventSource(broadcast::WeakSender<Event>);

impl EventHub {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(EVENT_QUEUE))
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listens: the store has it all.
        let _ = self.0.send(event);
    }

    pub(crate) fn source(&self) -> EventSource {
        EventSource(self.0.downgrade())
    }
}

impl EventSource {
    pub(crate) fn subscribe(&self) -> EventStream {
        // Nothing is told any more: the stream of a hub that goes at once has ended, too.
        let hub = self.0.upgrade().unwrap_or_else(|| broadcast::Sender::new(EVENT_QUEUE));
        EventStream(hub.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow reader is told that it missed something, and then gets what is still there.
    #[tokio::test]
    async fn overflow_becomes_resync() {
        let hub = EventHub::new();
        let mut stream = hub.source().subscribe();
        for _ in 0..=EVENT_QUEUE {
            hub.tell(Event::Notice(Notice::Cloned));
        }
        assert_eq!(stream.next().await, Some(Event::Resync));
        assert_eq!(stream.next().await, Some(Event::Notice(Notice::Cloned)));
        drop(hub);
        let mut left = 0;
        while stream.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, EVENT_QUEUE - 1);
    }

    /// Once a handle that was still held kept the streams from ending after the driver had.
    #[tokio::test]
    async fn streams_end_with_the_hub() {
        let hub = EventHub::new();
        let source = hub.source();
        let mut stream = source.subscribe();
        drop(hub);
        assert_eq!(stream.next().await, None);
        assert_eq!(source.subscribe().next().await, None);
    }
}
