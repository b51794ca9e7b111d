//! What is done with messages: answered, reacted to, received, read.

use restante_spec::ids::UnixTime;

use super::{ContactId, MessageId};

/// The message that another one answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// Which.
    pub message: MessageId,
    /// Whether there is something of it to show here.
    pub is_here: bool,
}

/// What people put beside a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// What they put there.
    pub emoji: String,
    /// They, in the order of the log; this account is named as others are.
    pub by: Vec<ContactId>,
}

/// An account that a message of this account went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub account: ContactId,
    /// How far the message has come there.
    pub how: Reach,
    /// When this device heard of it.
    pub at: Option<UnixTime>,
}

/// How far a message has come with one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It went to it; more is not known.
    Sent,
    /// On a device of it.
    Delivered,
    /// A person has read it.
    Read,
}

/// What others are told without being written to. That a message arrived they are told always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// That a message was read.
    pub read_receipts: bool,
    /// That something is being written.
    pub typing: bool,
    /// That this account is there.
    pub presence: bool,
}

impl Default for Privacy {
    /// Others are told all of it.
    fn default() -> Self {
        Self { read_receipts: true, typing: true, presence: true }
    }
}
