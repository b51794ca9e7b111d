//! The records of an archive: the account, contacts, conversations and their members.

use std::fmt;

use zeroize::Zeroizing;

use crate::address::RelayAddress;
use crate::content::InboxGrant;
use crate::ids::{ContactName, ConversationId, MailboxId, PublicKey, Seconds};

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

/// Somebody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its name on this account's devices.
    pub id: ContactName,
    /// The account.
    pub account: PublicKey,
    /// What it calls itself; may be empty.
    pub nick: String,
    /// How far the acquaintance has come.
    pub standing: Standing,
    /// Whether the safety numbers were found equal.
    pub verified: bool,
    /// The contact's signed device list, exact bytes; may be empty.
    pub devices: Vec<u8>,
    /// How to write to it, if that is known.
    pub inbox: Option<InboxGrant>,
    /// Seed of the key it writes to our inbox with. Wiped when dropped.
    pub own_key: Option<Zeroizing<[u8; 32]>>,
}

/// How far an acquaintance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Their invite was taken; the first letter has not left.
    Invited,
    /// The first letter has left; they have not accepted.
    Requested,
    /// They wrote a first letter; nobody has decided.
    Incoming,
    /// Both agreed.
    Active,
    /// Declined.
    Declined,
    /// Blocked here.
    Blocked,
    /// Ended by the other side, or not to be read on.
    Ended,
}

/// A conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its name on this account's devices.
    pub id: ConversationId,
    /// Between whom.
    pub kind: ConversationKind,
    /// What it is called; may be empty.
    pub name: String,
    /// What its members agreed upon, as the client encodes it: exact bytes; may be empty.
    pub state: Vec<u8>,
    /// Where its generations are or were, from the first.
    pub logs: Vec<Log>,
    /// So long after they were read messages disappear; 0: never.
    pub timer: Seconds,
}

/// Between whom a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationKind {
    /// Two accounts.
    Direct,
    /// Several.
    Group,
    /// The devices of one.
    Own,
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
    /// How to write to it, if that is known.
    pub inbox: Option<InboxGrant>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(..)")
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
