//! End-to-end content: what people say to each other, and what letters carry.
//!
//! Spec: `spec/11-content.md`. Knows forms and bounds; must not know keys, or who says it. The
//! relay never sees any of it.

mod convert;
mod error;
mod group;
mod letter;
mod message;

pub use crate::ids::ContentHash;
pub use error::ContentError;
pub use group::{GroupKind, GroupState, Policy, Role, Who};
pub use letter::{FirstLetter, FirstMessage, InboxGrant, LetterContent, WelcomeLetter};
pub use message::{Body, Content, LogPosition, Receipts, UnixMillis};

#[cfg(test)]
mod tests;
