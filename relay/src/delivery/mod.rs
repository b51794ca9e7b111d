//! Step 4, delivery: who is online, and how much each reader is sent before it grants more.
//!
//! ```text
//!  mailbox/ --Notice--> hub --> group --(bounded)--> outlet of each connection --> subscription
//!                                                    |  full: marked as behind    ^        |
//!                                                    +--------- page() -----------+      frames
//! ```
//!
//! Knows subscriptions, credit and positions. Must not know frames, sockets, keys' rights or how
//! envelopes are kept. Nothing waits for a slow reader: what does not fit stays in the buffer and
//! is read from there when the reader has room again.

mod group;
mod hub;
mod numbered;
mod outlet;
mod subscription;
mod subscriptions;
#[cfg(test)]
mod tests;

pub(crate) use hub::Hub;
pub(crate) use outlet::{Outlet, Received};
pub(crate) use subscriptions::{Subscriptions, Wish};
