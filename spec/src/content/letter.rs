//! What letters say.

use std::fmt;

use zeroize::Zeroizing;

use super::message::LogPosition;
use crate::address::RelayAddress;
use crate::ids::{BlobId, EnvelopeId, LinkToken, MailboxId, PublicKey};

/// The content of a letter (CNT-6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterContent {
    /// The first letter, to an invite.
    First(FirstLetter),
    /// The reader was added to a conversation.
    Welcome(WelcomeLetter),
    /// A member's device that cannot read on asks to be removed and added again.
    Readd(ReaddLetter),
    /// Somebody who has a group's link asks to be let in.
    Join(JoinLetter),
    /// The account takes a new device in (DEV-4).
    Link(LinkLetter),
    /// A new device is ready to be added (DEV-6).
    Linked(LinkedLetter),
    /// The reader, who asked to be added again, is in a group no more (CNV-19).
    Removed(RemovedLetter),
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
    pub welcome: WelcomePart,
    /// How to write to the writer: a key for this reader alone.
    pub inbox: InboxGrant,
    /// Devices that are heard no more in the logs the conversation has left.
    pub unheard: Vec<PublicKey>,
}

/// Where the MLS Welcome is.
#[derive(Clone, PartialEq, Eq)]
pub enum WelcomePart {
    /// In the letter.
    Here(Vec<u8>),
    /// In a blob of the conversation's mailbox, as it is too large for a letter.
    Blob(BlobRef),
}

/// A device that fell behind, and what it must be added with.
#[derive(Clone, PartialEq, Eq)]
pub struct ReaddLetter {
    /// The conversation's mailbox.
    pub mailbox: MailboxId,
    /// The account's signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// Key packages of the device, exact bytes: of either suite if it does not know which is used.
    pub key_packages: Vec<Vec<u8>>,
    /// The last position it has read.
    pub after: LogPosition,
    /// How to write to the account, as a member of the conversation; `None`: as a contact.
    pub inbox: Option<InboxGrant>,
}

/// Who asks to be let into a group, and how that can be done.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLetter {
    /// The link it came by.
    pub token: LinkToken,
    /// The writer's signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// What the writer is called; may be empty.
    pub nick: String,
    /// One key package for each device, exact bytes.
    pub key_packages: Vec<Vec<u8>>,
    /// How to write back: a key for this reader alone.
    pub inbox: InboxGrant,
}

/// What a new device needs to be one of the account's (DEV-4).
#[derive(Clone, PartialEq, Eq)]
pub struct LinkLetter {
    /// The account's signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// What the account is called; may be empty.
    pub nick: String,
    /// The account's inbox, and a key of it with every right, for this device alone.
    pub inbox: InboxGrant,
}

/// What the others need to add a new device (DEV-6).
#[derive(Clone, PartialEq, Eq)]
pub struct LinkedLetter {
    /// Of a restored device, which nobody has linked (REV-8): the account's signed device list,
    /// exact bytes; else empty.
    pub devices: Vec<u8>,
    /// Key packages of the device, exact bytes.
    pub key_packages: Vec<Vec<u8>>,
}

/// Which conversation the reader's account is in no more.
#[derive(Clone, PartialEq, Eq)]
pub struct RemovedLetter {
    /// The conversation's mailbox.
    pub mailbox: MailboxId,
}

/// A sealed blob in the mailbox of a conversation, at its relay.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// The blob.
    pub blob: BlobId,
    /// Seed of the Ed25519 key that may read it. Wiped when dropped.
    pub read_key: Zeroizing<[u8; 32]>,
    /// The key of the sealed file in it (FIL-1). Wiped when dropped.
    pub key: Zeroizing<[u8; 32]>,
    /// Bytes of the sealed file.
    pub size: u64,
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

impl fmt::Debug for WelcomePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WelcomePart(..)")
    }
}

impl fmt::Debug for ReaddLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReaddLetter(..)")
    }
}

impl fmt::Debug for JoinLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinLetter({} key packages)", self.key_packages.len())
    }
}

impl fmt::Debug for LinkLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkLetter(..)")
    }
}

impl fmt::Debug for LinkedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkedLetter({} key packages)", self.key_packages.len())
    }
}

impl fmt::Debug for RemovedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemovedLetter(..)")
    }
}

impl fmt::Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobRef(..)")
    }
}

impl fmt::Debug for InboxGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InboxGrant(..)")
    }
}
