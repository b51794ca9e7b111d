//! What an app sees: contacts, messages, fates, positions, links.
//!
//! Knows meanings; must not know the store, the network or any key.

mod done;
mod gaps;
mod invites;
mod people;
mod rooms;

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use restante_spec::codes::Code;
use restante_spec::content::{Policy, Role};
use restante_spec::ids::{Seconds, Seq, UnixTime};
use serde::{Deserialize, Serialize};

use crate::attachment::Attachment;
use crate::error::Error;

pub use self::done::{Privacy, Reach, Reaction, Recipient, ReplyTo};
pub use self::gaps::{Gap, GapState};
pub use self::invites::{InviteLink, InviteOptions, Joins};
pub use self::people::{Device, GroupMember, HistoryProgress, Match};
pub use self::rooms::RoomLink;

/// Declares an id of 16 bytes that is written as 32 hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps 16 bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| Error::BadId)?;
                bytes.try_into().map(Self).map_err(|_| Error::BadId)
            }
        }
    };
}

hex_id! {
    /// A contact: the fingerprint of the account, the same in every home that knows it.
    ContactId
}
hex_id! {
    /// A conversation: a direct one is named as its contact, a group the same for all its members.
    ConversationId
}
hex_id! {
    /// A message: chosen by its sender, the same on both sides.
    MessageId
}
hex_id! {
    /// A transfer of this device: of a file to a relay, or of a blob to a file.
    TransferId
}

/// Somebody this account talks to, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub id: ContactId,
    /// The name they gave themselves; empty until it is known.
    pub nickname: String,
    /// How far the acquaintance has come.
    pub state: ContactState,
    /// Messages received and not marked as read.
    pub unread: u32,
    /// The safety number was compared and found equal.
    pub verified: bool,
    /// The group of this account that they ask to be in; or the one of theirs that this account
    /// asked to be in, until they have added it.
    pub joins: Option<Joins>,
}

/// How far an acquaintance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContactState {
    /// Their invite was taken; the first letter is still on this device.
    Invited,
    /// The first letter is with their relay; they have not accepted yet.
    Requested,
    /// They wrote a first letter; `accept_contact` or `decline_contact` decides.
    Incoming,
    /// Both agreed.
    Active,
    /// Their side closed the conversation, or it cannot be read on; a notice said which. A new
    /// invite begins anew.
    Ended,
    /// Declined here, or by the invite's end there.
    Declined,
    /// Blocked here: the relay refuses them, nothing of theirs is taken.
    Blocked,
}

impl ContactState {
    /// The stable name, as in `--json` and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Requested => "requested",
            Self::Incoming => "incoming",
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Declined => "declined",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for ContactState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ConversationId {
    /// The contact a direct conversation is with.
    pub(crate) const fn contact(self) -> ContactId {
        ContactId(self.0)
    }
}

impl From<ContactId> for ConversationId {
    /// The direct conversation with a contact.
    fn from(contact: ContactId) -> Self {
        Self(contact.0)
    }
}

/// Where people talk: two of them, several, or one person's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Which.
    pub id: ConversationId,
    /// What it is.
    pub kind: ConversationKind,
    /// The name of the group, or the nickname of the contact.
    pub name: String,
    /// A small JPEG; empty if there is none.
    pub picture: Vec<u8>,
    /// Whether this account takes part.
    pub standing: Standing,
    /// Messages received and not marked as read.
    pub unread: u32,
    /// How long a message is kept after it was read; `None`: without end.
    pub timer: Option<Seconds>,
    /// Who may do what.
    pub policy: Policy,
    /// What this account is in it.
    pub role: Role,
}

/// What a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConversationKind {
    /// With one contact.
    Direct,
    /// With any number of people.
    Group,
    /// Among the devices of this account.
    Own,
    /// Few write, and whoever has its link reads.
    Room,
}

/// How this account stands in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A contact has added this account; `accept_group` or `decline_group` decides.
    Invited,
    /// It takes part.
    Open,
    /// It has said that it leaves; others will remove its devices.
    Leaving,
    /// It has left, or declined.
    Left,
    /// It was removed by others.
    Removed,
    /// The log cannot be read on; a notice said why.
    Broken,
    /// It came from a recovery file: it can be read, and written in when this device, which asks by
    /// itself, has been let into it again.
    Restored,
}

impl ConversationKind {
    /// The stable name, as in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Own => "own",
            Self::Room => "room",
        }
    }
}

impl Standing {
    /// Whether the account's devices are in it: until it is removed, who leaves hears what is said.
    pub(crate) const fn is_in(self) -> bool {
        matches!(self, Self::Open | Self::Leaving)
    }

    /// Whether the account is in it no more.
    pub(crate) const fn is_out(self) -> bool {
        matches!(self, Self::Left | Self::Removed)
    }

    /// The stable name, as in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Open => "open",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Removed => "removed",
            Self::Broken => "broken",
            Self::Restored => "restored",
        }
    }
}

/// What happened to a group, in the order of its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GroupChange {
    /// An account came in.
    Added(ContactId),
    /// An account was removed.
    Removed(ContactId),
    /// An account left.
    Left(ContactId),
    /// It is called so now.
    Named(String),
    /// It has another picture.
    Picture,
    /// Messages are kept so many seconds after they were read; 0: without end.
    Timer(u32),
    /// Others may do other things now.
    Policy,
    /// An account's role has changed: `member`, `administrator`, `owner`.
    Role(ContactId, String),
    /// Something was done by somebody who may not: it counts as not done.
    Improper,
    /// It was begun anew in another log, perhaps at another relay; who could not be reached is not
    /// in it.
    Restarted,
    /// Safety numbers with an account were compared and found equal, or that was taken back.
    Verified(ContactId, bool),
    /// The audience of a room may write from now on, or not any more.
    Audience(bool),
    /// An account is a host of a room from now on, or not any more.
    Host(ContactId, bool),
    /// The key of a room was replaced.
    Key,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Chosen by the sender.
    pub id: MessageId,
    /// Where it stands.
    pub conversation: ConversationId,
    /// Who wrote it; `None`: this account. Of an event: who did it, `None` if that is unclear.
    pub author: Option<ContactId>,
    /// What it says now, of an attachment what was written to it; else empty.
    pub text: String,
    /// What it is.
    pub kind: MessageKind,
    /// What happened, if it is an event.
    pub changes: Vec<GroupChange>,
    /// Its place in the conversation's log; `None` until the relay gave it one.
    pub seq: Option<Seq>,
    /// The sender's clock when it was written.
    pub at: UnixTime,
    /// What became of it.
    pub fate: Fate,
    /// It was missing, and somebody else gave it: nothing proves that its author wrote it.
    pub is_unconfirmed: bool,
    /// Where it stands in the history; hand it to `history` to page further back.
    pub position: Position,
    /// The message it answers.
    pub reply_to: Option<ReplyTo>,
    /// `text` is not what it said at first.
    pub edited: bool,
    /// Who took it back, if somebody did.
    pub deleted_by: Option<ContactId>,
    /// What stands beside it; at most 32 different ones.
    pub reactions: Vec<Reaction>,
    /// When it disappears from this device; `None`: not, or not before it is read.
    pub expires_at: Option<UnixTime>,
    /// The file in it, if it is an attachment.
    pub attachment: Option<Box<Attachment>>,
}

impl Message {
    /// Whether this account wrote it.
    #[must_use]
    pub fn from_me(&self) -> bool {
        self.author.is_none() && self.kind != MessageKind::Event
    }

    /// Whether nothing is left of it to show.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.kind, MessageKind::Deleted | MessageKind::Disappeared)
    }
}

/// What a row of the history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Text of a person.
    Text,
    /// A file; `text` is what was written to it.
    Attachment,
    /// A kind a newer version wrote: it needs one to be shown.
    Unknown,
    /// What came could not be opened; it is shown so that its absence is not silent.
    Unreadable,
    /// What happened to the group.
    Event,
    /// It was taken back: nothing of it is left here.
    Deleted,
    /// Its time has passed: nothing of it is left here. No page of a history shows it.
    Disappeared,
}

impl MessageKind {
    /// Whether a person said it, and something of it is left.
    pub(crate) const fn is_said(self) -> bool {
        matches!(self, Self::Text | Self::Attachment | Self::Unknown)
    }

    /// Whether it has words that can be edited.
    pub(crate) const fn has_words(self) -> bool {
        matches!(self, Self::Text | Self::Attachment)
    }
}

/// What became of a message. True at all times: nothing is claimed before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// On this device only; it goes out when it can.
    Queued,
    /// Safe at the relay.
    Accepted,
    /// On a device of every other account it went to.
    Delivered,
    /// Read by a person at every one of them.
    Read,
    /// The relay's time for it passed without a sign that it was delivered.
    Expired,
    /// It will not be sent: the relay, or the state of the conversation, forbids it.
    Refused(Code),
    /// From the other side.
    Received,
}

impl Fate {
    /// The stable name, as in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
            Self::Refused(_) => "refused",
            Self::Received => "received",
        }
    }

    /// Whether the message has come at least as far as `goal`.
    #[must_use]
    pub const fn reached(self, goal: Goal) -> bool {
        match goal {
            Goal::Accepted => {
                matches!(self, Self::Accepted | Self::Delivered | Self::Read | Self::Received)
            }
            Goal::Delivered => matches!(self, Self::Delivered | Self::Read | Self::Received),
        }
    }

    /// Whether waiting brings nothing: it will not come further, but for being read.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Read | Self::Expired | Self::Refused(_) | Self::Received
        )
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused ({})", code.name()),
            Self::Queued
            | Self::Accepted
            | Self::Delivered
            | Self::Read
            | Self::Expired
            | Self::Received => f.write_str(self.name()),
        }
    }
}

/// How far `wait_fate` waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Safe at the relay.
    Accepted,
    /// On the other side's device.
    Delivered,
}

/// A place in a conversation's history: larger is later. What is still queued stands behind
/// everything the log has given a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(crate) generation: u32,
    pub(crate) seq: u64,
    pub(crate) row: i64,
}

/// What `collect` found and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Messages received.
    pub messages: u32,
    /// Contact requests received.
    pub requests: u32,
    /// Messages of this side that the relay has accepted.
    pub sent: u32,
    /// Messages of this side that are still queued.
    pub queued: u32,
}

/// How this client stands with its relays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionState {
    /// No connection is wanted.
    #[default]
    Offline,
    /// Trying, for the first time or again.
    Connecting,
    /// Connected with its own relay, still collecting what is waiting.
    Collecting,
    /// Connected with its own relay and up to date there.
    Online,
}
