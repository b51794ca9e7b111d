//! The records of an archive: what it is, settings, tombstones and messages.

use std::fmt;

use zeroize::Zeroizing;

use super::people::{Account, Contact, Conversation, Member};
use crate::codes::Code;
use crate::content::{LogPosition, UnixMillis};
use crate::ids::{ConversationId, EnvelopeId, PublicKey};

/// The first record: whose archive it is, and how much follows (ARC-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is for.
    pub purpose: Purpose,
    /// The account.
    pub account: PublicKey,
    /// When it was made.
    pub made: UnixMillis,
    /// How many contacts follow, for progress.
    pub contacts: u64,
    /// How many conversations.
    pub conversations: u64,
    /// How many messages.
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
    /// A contact.
    Contact(Box<Contact>),
    /// A conversation.
    Conversation(Conversation),
    /// A member of a group.
    Member(Box<Member>),
    /// A setting.
    Setting(Setting),
    /// A message that must not come again.
    Tombstone(Tombstone),
    /// A message.
    Message(Box<KeptMessage>),
}

/// A setting of the person's, the same on every device.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What it is set to. Wiped when dropped.
    pub value: Zeroizing<Vec<u8>>,
}

/// A message was taken back or disappeared, and must not come again (ARC-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub id: EnvelopeId,
    /// When it may be forgotten.
    pub until: UnixMillis,
}

/// A message as a device keeps it: with its exact bytes, so that a kind of a newer version, a
/// reaction or an edit is a message like any other (ARC-4).
#[derive(Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its place; sequence 0 for one that has none.
    pub position: LogPosition,
    /// Orders messages that have the same place or none, else 0.
    pub order: u64,
    /// The account that wrote it.
    pub author: PublicKey,
    /// The device that wrote it; `None` for one that came in a letter.
    pub device: Option<PublicKey>,
    /// An encoded [`crate::content::Content`], exact bytes.
    pub content: Vec<u8>,
    /// When the account had it.
    pub at: UnixMillis,
    /// What became of it.
    pub fate: KeptFate,
    /// When it disappears.
    pub expires: Option<UnixMillis>,
    /// Whom it reached, for an own one.
    pub reached: Vec<Reached>,
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

/// An account that has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The account.
    pub account: PublicKey,
    /// Whether a person there has seen it.
    pub read: bool,
}

impl KeptMessage {
    /// Whether it may be given or taken now (ARC-5): not when it has disappeared, nor with a
    /// tombstone, whether in this archive or kept by the reader.
    #[must_use]
    pub fn may_be_kept(&self, now: UnixMillis, has_tombstone: bool) -> bool {
        // ARC-5
        !has_tombstone && self.expires.is_none_or(|expires| now < expires)
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setting(..)")
    }
}

impl fmt::Debug for KeptMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptMessage({} bytes)", self.content.len())
    }
}
