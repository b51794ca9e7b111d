//! Records of an account's state, as its devices tell them to each other (DEV-8).

use std::fmt;

use zeroize::Zeroizing;

use super::letter::InboxGrant;
use super::message::LogPosition;
use crate::archive::Manifest;
use crate::ids::{ArchiveId, PublicKey, UnixTime};

/// A record whose kind is known. Contacts and conversations are named by ids of 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateRecord {
    /// The account itself.
    Account(AccountState),
    /// A contact.
    Contact([u8; 16], Box<ContactState>),
    /// An invite of the account, by the key that writes with it.
    Invite(PublicKey, InviteState),
    /// A conversation.
    Conversation([u8; 16], ConversationState),
    /// Up to where a conversation was read.
    Read([u8; 16], LogPosition),
    /// A setting of the app; `None`: not set.
    Setting(String, Option<Vec<u8>>),
    /// What is written and not sent in a conversation; empty: nothing.
    Draft([u8; 16], String),
    /// A device that would make the conversation with a contact (DEV-11).
    Accepted([u8; 16], PublicKey),
    /// Segments of history for a device (DEV-16).
    History(PublicKey, Box<Manifest>),
    /// How far it has taken them (DEV-16).
    Taken(ArchiveId, HistoryTaken),
    /// A room.
    Room([u8; 16], Box<RoomState>),
    /// History of a conversation that a device came too late for (DEV-23).
    Wanted([u8; 16], HistoryWanted),
}

/// How far a device has taken the history it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryTaken {
    /// Segments it has, from the first.
    pub segments: u32,
    /// It cannot fetch the next one: what is left must be given anew.
    pub anew: bool,
}

/// What a device misses of a conversation, and of whom it wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryWanted {
    /// The device that is asked.
    pub of: PublicKey,
    /// What stands behind this place.
    pub behind: LogPosition,
}

/// What its devices know of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The nickname.
    pub nick: String,
    /// The signed device list, exact bytes.
    pub devices: Vec<u8>,
    /// The number the next new device is given.
    pub next_number: u32,
}

/// What is known of a contact.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactState {
    /// Known once their card or letter was read.
    pub account: Option<PublicKey>,
    /// What they are called; may be empty.
    pub nick: String,
    /// 1 invited, 2 requested, 3 incoming, 4 active, 5 ended, 6 declined, 7 blocked.
    pub state: u32,
    /// Safety numbers were compared.
    pub verified: bool,
    /// Their signed device list, exact bytes; empty: unknown.
    pub devices: Vec<u8>,
    /// Where to write letters to them.
    pub inbox: Option<InboxGrant>,
    /// Seed of the key they write letters with. Wiped when dropped.
    pub own_key: Option<Zeroizing<[u8; 32]>>,
    /// The invite of theirs that was taken; empty: none. Wiped when dropped.
    pub invite: Zeroizing<String>,
    /// The key of the own invite they came by.
    pub came_by: Option<PublicKey>,
    /// Their first letter, exact bytes; empty: none, or too large.
    pub request: Vec<u8>,
    /// When it was declined or blocked.
    pub ended_at: UnixTime,
}

/// What is needed to open first letters. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteState {
    /// The link.
    pub link: Zeroizing<String>,
    /// Seed of the key on its card.
    pub secret: Zeroizing<[u8; 32]>,
    /// How many may use it.
    pub uses: u32,
    /// Until when.
    pub expires_at: UnixTime,
    /// Since when.
    pub created_at: UnixTime,
    /// The group it leads to (INV-6).
    pub group: Option<[u8; 16]>,
    /// Whether whoever takes it is accepted without asking.
    pub accepts: bool,
}

/// How the account stands in a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct ConversationState {
    /// A group; otherwise a direct one.
    pub group: bool,
    /// 1 invited, 2 open, 3 leaving, 4 left, 5 removed, 6 broken.
    pub standing: u32,
    /// What it is called; may be empty.
    pub name: String,
    /// Seed of the key its members write letters with. Wiped when dropped.
    pub own_key: Option<Zeroizing<[u8; 32]>>,
}

/// What the account has of a room. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomState {
    /// As of a conversation.
    pub standing: u32,
    /// The link.
    pub link: Zeroizing<String>,
    /// The card as it was signed; empty: not known.
    pub card: Vec<u8>,
    /// Seed of the key this account writes with as a host.
    pub host_key: Option<Zeroizing<[u8; 32]>>,
    /// Seed of the key that manages the mailbox: the founder's.
    pub manage_key: Option<Zeroizing<[u8; 32]>>,
    /// The key that read before the last rotation, and has an end.
    pub old_key: Option<PublicKey>,
    /// The keys the hosts were given.
    pub hosts: Vec<RoomHost>,
}

/// A host of a room, and the key it writes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomHost {
    /// The account.
    pub account: PublicKey,
    /// Its key.
    pub key: PublicKey,
}

/// The kinds of records (DEV-8).
impl StateRecord {
    /// Layout: the account.
    pub const ACCOUNT: u32 = 1;
    /// Layout: a contact.
    pub const CONTACT: u32 = 2;
    /// Layout: an invite.
    pub const INVITE: u32 = 3;
    /// Layout: a conversation.
    pub const CONVERSATION: u32 = 4;
    /// Layout: a read mark.
    pub const READ: u32 = 5;
    /// Layout: a setting.
    pub const SETTING: u32 = 6;
    /// Layout: a draft.
    pub const DRAFT: u32 = 7;
    /// Layout: a device that would make a conversation.
    pub const ACCEPTED: u32 = 8;
    /// Layout: segments of history.
    pub const HISTORY: u32 = 9;
    /// Layout: how far they were taken.
    pub const TAKEN: u32 = 10;
    /// Layout: a room.
    pub const ROOM: u32 = 11;
    /// Layout: history that is wanted.
    pub const WANTED: u32 = 12;
}

impl fmt::Debug for ContactState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactState(state {})", self.state)
    }
}

impl fmt::Debug for InviteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteState(..)")
    }
}

impl fmt::Debug for ConversationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationState(standing {})", self.standing)
    }
}

impl fmt::Debug for RoomState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomState(standing {})", self.standing)
    }
}
