//! The records of an archive: what it is, states, tombstones and messages.

use std::fmt;

use super::people::{Account, Conversation, Member};
use crate::codes::Code;
use crate::content::{LogPosition, SyncRecord, UnixMillis};
use crate::ids::{ContactName, ConversationId, EnvelopeId, PublicKey, Seconds};

/// The first record: whose archive it is, and how much follows (ARC-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is for.
    pub purpose: Purpose,
    /// The account.
    pub account: PublicKey,
    /// When it was made.
    pub made: UnixMillis,
    /// How many conversations follow, for progress.
    pub conversations: u64,
    /// How many messages and tombstones.
    pub messages: u64,
}

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Another device of the account, which was linked.
    History,
    /// A clean machine.
    Recovery,
}

/// Whatever follows the head.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// The account itself; only in a recovery file.
    Account(Box<Account>),
    /// What the account's devices tell each other: a contact, an invite, a setting (DEV-8).
    State(SyncRecord),
    /// A conversation.
    Conversation(Conversation),
    /// A member of a group.
    Member(Box<Member>),
    /// What is left of a message.
    Tombstone(Tombstone),
    /// A message.
    Message(Box<KeptMessage>),
}

/// What is left of a message that was taken back or has disappeared (ARC-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub id: EnvelopeId,
    /// Where it stood.
    pub position: LogPosition,
    /// Who wrote it; `None`: this account.
    pub author: Option<ContactName>,
    /// Who took it back; `None`: it disappeared.
    pub by: Option<ContactName>,
    /// The time shown beside it.
    pub at: UnixMillis,
}

/// A message as a device keeps it, with what stands on it (ARC-4).
#[derive(Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its id.
    pub id: EnvelopeId,
    /// Its place; the largest numbers for one that has none.
    pub position: LogPosition,
    /// Who wrote it; `None`: this account.
    pub author: Option<ContactName>,
    /// What it is.
    pub kind: KeptKind,
    /// What it says, unless `content` says it.
    pub text: String,
    /// An encoded [`crate::content::Content`], exact bytes, if it is kept; of an event, how the
    /// client encodes it.
    pub content: Vec<u8>,
    /// The time shown beside it.
    pub at: UnixMillis,
    /// What became of it.
    pub fate: KeptFate,
    /// Until when its relay keeps it.
    pub relay_until: Option<UnixMillis>,
    /// The message it answers.
    pub reply_to: Option<EnvelopeId>,
    /// It says something else than at first.
    pub edited: bool,
    /// It disappears so long after it was read.
    pub timer: Option<Seconds>,
    /// When it disappears.
    pub expires: Option<UnixMillis>,
    /// Whom it went to, for an own one.
    pub reached: Vec<Reached>,
    /// What stands on it.
    pub acts: Vec<KeptAct>,
}

/// What a kept message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptKind {
    /// A text.
    Text,
    /// Of a kind that only a newer version knows.
    Unknown,
    /// It could not be read.
    Unreadable,
    /// Something that happened.
    Event,
    /// A file, of which the content is the attachment and the text the caption.
    File,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptFate {
    /// From another account, not read yet.
    Received,
    /// From another account, read.
    ReceivedRead,
    /// Own: safe at the relay.
    Accepted,
    /// Own: on a device of everybody.
    Delivered,
    /// Own: read by everybody.
    Read,
    /// Own: its time passed without a sign that it was delivered.
    Expired,
    /// Own: it will not be sent.
    Refused(Code),
}

/// An account a message went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The account.
    pub account: ContactName,
    /// How far it has come there.
    pub how: KeptReach,
    /// Since when.
    pub at: UnixMillis,
}

/// How far a message has come with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptReach {
    /// It was sent.
    Sent,
    /// A device there has it.
    Delivered,
    /// A person there has seen it.
    Read,
}

/// A reaction; or the last edit, whose words the message says.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAct {
    /// The content it came in.
    pub id: EnvelopeId,
    /// Whose it is.
    pub author: ContactName,
    /// An edit; otherwise a reaction.
    pub is_edit: bool,
    /// The reaction.
    pub text: String,
    /// Where it stands.
    pub position: LogPosition,
}

impl KeptMessage {
    /// Whether it may be given or taken now (ARC-5): not when it has disappeared, nor with a
    /// tombstone, whether in this archive or kept by the reader.
    #[must_use]
    pub fn may_be_kept(&self, now: UnixMillis, has_tombstone: bool) -> bool {
        // ARC-5
        !has_tombstone && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it stands in a log at `position`, and was not refused.
    #[must_use]
    pub const fn is_placed(&self) -> bool {
        self.position.generation < u32::MAX && !matches!(self.fate, KeptFate::Refused(_))
    }
}

impl fmt::Debug for KeptMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptMessage({} bytes)", self.content.len() + self.text.len())
    }
}

impl fmt::Debug for KeptAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptAct(..)")
    }
}
