//! The kinds of content that are kept: what people say, show and change, and notices that stay.

use std::fmt;

use zeroize::Zeroizing;

use super::letter::InboxGrant;
use crate::address::RelayAddress;
use crate::ids::{BlobId, EnvelopeId, MailboxId, PublicKey};

/// Words (CNT-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// They; not empty.
    pub text: String,
    /// The message they answer.
    pub reply_to: Option<EnvelopeId>,
}

/// A file, which lies sealed in a blob (CNT-8).
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The relay of the blob.
    pub relay: RelayAddress,
    /// The mailbox of the blob.
    pub mailbox: MailboxId,
    /// The blob.
    pub blob: BlobId,
    /// Seed of the Ed25519 key that may read the blob. Wiped when dropped.
    pub read_key: Zeroizing<[u8; 32]>,
    /// The key the file is sealed with. Wiped when dropped.
    pub file_key: Zeroizing<[u8; 32]>,
    /// Bytes of the file.
    pub size: u64,
    /// What the file is called, without path; may be empty.
    pub name: String,
    /// A media type of RFC 6838; empty: unknown.
    pub media_type: String,
    /// Pixels; 0: unknown.
    pub width: u32,
    /// Pixels; 0: unknown.
    pub height: u32,
    /// Milliseconds it plays; 0: unknown.
    pub duration_ms: u64,
    /// A small picture of it; may be empty.
    pub thumbnail: Vec<u8>,
    /// Words that go with it; may be empty.
    pub caption: String,
    /// The message it answers.
    pub reply_to: Option<EnvelopeId>,
}

/// The sender's reaction to a message, instead of any before (CNT-9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The message.
    pub to: EnvelopeId,
    /// What is shown beside it; empty: nothing any more.
    pub emoji: String,
}

/// Other words for a text or a caption of the sender (CNT-9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The message.
    pub of: EnvelopeId,
    /// What it says now; not empty.
    pub text: String,
}

/// Messages are taken back (CNT-9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Which.
    pub of: Vec<EnvelopeId>,
}

/// The sender compared safety numbers with an account, or takes that back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The account.
    pub account: PublicKey,
    /// Whether they were found equal.
    pub verified: bool,
}

/// What somebody who adds members tells them of the others (CNT-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The others.
    pub people: Vec<Person>,
}

/// A member, as the teller knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub account: PublicKey,
    /// What it is called; may be empty.
    pub nick: String,
    /// A way to write to it, if the teller may give one.
    pub inbox: Option<InboxGrant>,
}

/// What the devices of one account tell each other (CNT-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// What is new.
    pub records: Vec<SyncRecord>,
}

/// A record of the account's state; the last one of a kind and key holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncRecord {
    /// What it is about; the devices know.
    pub kind: u32,
    /// Which one of its kind.
    pub key: Vec<u8>,
    /// What it says; empty: removed. Wiped when dropped.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({} bytes)", self.size)
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(..)")
    }
}

impl fmt::Debug for SyncRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncRecord(kind {})", self.kind)
    }
}
