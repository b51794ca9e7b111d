//! Conversations: an MLS group (RFC 9420) whose messages stand in one log at a relay.
//!
//! Spec: `spec/10-conversation.md`. The group id is the mailbox's id, leaves are devices, every
//! commit gives the log a new key. State lies in a store the caller brings and commits: after any
//! error of the store, drop the conversation and load it again. Knows no relay: who is told what,
//! and when, is the caller's.

mod certificates;
mod commit;
mod group;
mod leaf;
mod live;
mod package;
mod process;
mod provider;
mod suite;

#[cfg(test)]
mod tests;

pub use commit::{Change, LargeCommit, PendingCommit};
pub use group::{Conversation, OwnDevice};
pub use leaf::Member;
pub use live::Live;
pub use package::{GeneratedKeyPackage, KeyPackage};
pub use process::Processed;
pub use provider::Storage;
pub use suite::Suite;
