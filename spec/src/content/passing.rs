//! The kinds of content that pass: they do their work once and are not kept.

use std::fmt;

use zeroize::Zeroizing;

use super::letter::InboxGrant;
use crate::ids::{ContentHash, EnvelopeId, MailboxId, PublicKey, Seq};

/// Ids of messages that arrived or were read; never receipted itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Durable at the reader.
    pub delivered: Vec<EnvelopeId>,
    /// Seen by a person.
    pub read: Vec<EnvelopeId>,
}

/// Who the sender is to be called, and how it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The nickname; may be empty.
    pub nick: String,
    /// The signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// A way to write to the sender, for the members of this conversation.
    pub inbox: Option<InboxGrant>,
}

/// Asks for contents that are missing (CNT-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairRequest {
    /// The mailbox of the conversation they belong to.
    pub conversation: MailboxId,
    /// Which; none: it asks how far its readers have counted.
    pub ranges: Vec<RepairRange>,
    /// Up to where it has read that log itself; of use without ranges only.
    pub behind: Seq,
}

/// Kept contents of one device, by their counters (CNT-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairRange {
    /// The generation of the conversation.
    pub generation: u32,
    /// The device that wrote them.
    pub device: PublicKey,
    /// The counter of the first, from 1.
    pub from: u64,
    /// The counter of the last.
    pub to: u64,
}

/// How far its sender has counted others in this log, for a device that has asked (CNT-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// That device.
    pub asker: PublicKey,
    /// One of each device that has said something behind the place that was asked for.
    pub counts: Vec<Count>,
}

/// What a device has said, as another one has counted it (CNT-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The device.
    pub device: PublicKey,
    /// Its account.
    pub account: PublicKey,
    /// The counter of the first kept content behind the place that was asked for, from 1.
    pub first: u64,
    /// The counter of the last.
    pub last: u64,
    /// Of the last one.
    pub hash: ContentHash,
    /// By this place it was said.
    pub seq: Seq,
}

/// Gives contents that somebody misses (CNT-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The mailbox of the conversation they belong to.
    pub conversation: MailboxId,
    /// They.
    pub entries: Vec<RepairEntry>,
    /// What the sender does not have or may not give.
    pub missing: Vec<RepairRange>,
}

/// A content of somebody, given again.
#[derive(Clone, PartialEq, Eq)]
pub struct RepairEntry {
    /// The device that wrote it.
    pub device: PublicKey,
    /// The generation it was written in.
    pub generation: u32,
    /// Its place there.
    pub seq: Seq,
    /// An encoded [`super::Content`] of a kept kind, exact bytes.
    pub content: Vec<u8>,
    /// The account it is of, where an own device hands it on (DEV-22).
    pub account: Option<PublicKey>,
}

/// A room's founder gives one of its hosts what a host needs (ROM-14). Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomGrant {
    /// The link of the room, as it is handed over.
    pub link: Zeroizing<String>,
    /// Seed of the Ed25519 key that may write there; `None`: the host has one.
    pub key: Option<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for RoomGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomGrant(..)")
    }
}

impl fmt::Debug for RepairEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RepairEntry(..)")
    }
}
