//! End-to-end content: what people say to each other, and what letters carry.
//!
//! Spec: `spec/11-content.md`. Knows forms and bounds; must not know keys, or who says it. The
//! relay never sees any of it.

mod convert;
mod error;
mod group;
mod kept;
mod letter;
mod message;
mod passing;
mod state;

pub use crate::ids::ContentHash;
pub use error::ContentError;
pub use group::{GroupKind, GroupState, Policy, Role, Who};
pub use kept::{
    Attachment, Delete, Edit, Person, Reaction, Roster, Sync, SyncRecord, Text, Verified,
};
pub use letter::{
    BlobRef, FirstLetter, FirstMessage, InboxGrant, JoinLetter, LetterContent, LinkLetter,
    LinkedLetter, ReaddLetter, RemovedLetter, WelcomeLetter, WelcomePart,
};
pub use message::{Body, Content, LogPosition, UnixMillis};
pub use passing::{
    Count, Counts, Profile, Receipts, Repair, RepairEntry, RepairRange, RepairRequest, RoomGrant,
};
pub use state::{
    AccountState, ContactState, ConversationState, HistoryTaken, HistoryWanted, InviteState,
    RoomHost, RoomState, StateRecord,
};

#[cfg(test)]
mod tests;
