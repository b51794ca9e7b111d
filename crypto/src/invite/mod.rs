//! An invite: what one person hands to another so that a first letter can be written.
//!
//! Spec: `spec/08-identity.md`. The link holds where the inbox is, one seed, and by which account's
//! fingerprint the card is recognised; everything else is derived from the seed or read from the
//! card. Whoever has the link can write one letter: it is a secret.

mod card;
mod link;
mod linking;

pub use card::{Card, CardGroup};
pub use link::Invite;
pub use linking::{LinkCode, link_check};
