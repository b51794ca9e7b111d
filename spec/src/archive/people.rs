//! The records of an archive: the account, conversations and their members.

use std::fmt;

use zeroize::Zeroizing;

use crate::address::RelayAddress;
use crate::content::InboxGrant;
use crate::ids::{ConversationId, MailboxId, PublicKey};

/// The account and its inbox: what a clean machine needs to be it again (REV-5).
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Seed of the account's Ed25519 key. Wiped when dropped.
    pub seed: Zeroizing<[u8; 32]>,
    /// What it calls itself.
    pub nick: String,
    /// Its signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// The next device number that was never given.
    pub next_device: u32,
    /// The relay of the inbox.
    pub relay: RelayAddress,
    /// The inbox.
    pub inbox: MailboxId,
    /// Seed of the Ed25519 key that manages it. Wiped when dropped.
    pub manage_key: Zeroizing<[u8; 32]>,
}

/// A conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its name on this account's devices.
    pub id: ConversationId,
    /// What its members agreed upon: the bytes of a group's context (CNV-13).
    pub state: Vec<u8>,
    /// Where its generations are or were, from the first.
    pub logs: Vec<Log>,
}

/// Where a generation of a conversation is or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which one, from 0.
    pub generation: u32,
    /// The relay.
    pub relay: RelayAddress,
    /// The mailbox.
    pub mailbox: MailboxId,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// The group.
    pub conversation: ConversationId,
    /// The account.
    pub account: PublicKey,
    /// What it calls itself; may be empty.
    pub nick: String,
    /// Its signed device list, exact bytes; may be empty.
    pub devices: Vec<u8>,
    /// How to write to it, if that is known.
    pub inbox: Option<InboxGrant>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversation(..)")
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Member(..)")
    }
}
