//! Rooms: few who are heard by very many, under a key that all of them share. No MLS.
//!
//! Spec: `spec/15-rooms.md`. A link brings the keys, a card says whose room it is, a post is one
//! envelope; a rotation gives the next link. Everything in it is signed by its author's device,
//! since whoever can read could also seal. Knows no relay and no content.

mod card;
mod link;
mod post;

#[cfg(test)]
mod tests;

pub use card::{RoomCard, RoomInfo};
pub use link::{RoomKeyNumber, RoomLink, RoomSalt};
pub use post::{OpenedPost, PostBody, RoomKey};
