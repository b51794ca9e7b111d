//! What letters say.

use std::fmt;

use zeroize::Zeroizing;

use crate::address::RelayAddress;
use crate::ids::{EnvelopeId, MailboxId};

/// The content of a letter (CNT-6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterContent {
    /// The first letter, to an invite.
    First(FirstLetter),
    /// The reader was added to a conversation.
    Welcome(WelcomeLetter),
    /// A kind of a newer version: kept as it is (CNT-2).
    Unknown {
        /// Its number.
        kind: u32,
        /// Its bytes.
        body: Vec<u8>,
    },
}

/// Who writes, how the writer can be added and answered, and a first message.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstLetter {
    /// The writer's signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// What the writer is called; may be empty.
    pub nick: String,
    /// One key package for each device, exact bytes.
    pub key_packages: Vec<Vec<u8>>,
    /// How to write back: a key for this reader alone.
    pub inbox: InboxGrant,
    /// What the writer says first.
    pub message: Option<FirstMessage>,
}

/// A message before there is a conversation; its position is generation 0, sequence 0.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstMessage {
    /// Its id, which it keeps.
    pub id: EnvelopeId,
    /// An encoded [`super::Content`], exact bytes.
    pub content: Vec<u8>,
}

/// Where a conversation is and how to join it.
#[derive(Clone, PartialEq, Eq)]
pub struct WelcomeLetter {
    /// The writer's signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// What the writer is called; may be empty.
    pub nick: String,
    /// The relay of the conversation.
    pub relay: RelayAddress,
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// The MLS Welcome.
    pub welcome: Vec<u8>,
    /// How to write to the writer: a key for this reader alone.
    pub inbox: InboxGrant,
}

/// A way to write to an inbox.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxGrant {
    /// The relay of the inbox.
    pub relay: RelayAddress,
    /// The inbox.
    pub inbox: MailboxId,
    /// Seed of the Ed25519 key that may write. Wiped when dropped.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for FirstLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstLetter({} key packages)", self.key_packages.len())
    }
}

impl fmt::Debug for FirstMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstMessage(..)")
    }
}

impl fmt::Debug for WelcomeLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WelcomeLetter(..)")
    }
}

impl fmt::Debug for InboxGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InboxGrant(..)")
    }
}
