//! Step 2, mailbox: the business rules. What a mailbox is, who may do what to it, what it answers.
//!
//! ```text
//!  gateway/, delivery/ --api::Call--> service --authorise--> rules (append, keys, readers, ...)
//!                      <--Respond----    |   <-- notices      |
//!                                        +---- Act ---------> buffer/
//! ```
//!
//! Knows mailboxes, keys, rights, epochs, readers, prekeys, blobs. Must not know connections,
//! frames, subscriptions or how the buffer stores: what happens to a mailbox is told as notices.

pub(crate) mod admission;
pub(crate) mod api;
mod append;
mod authorise;
mod blobs;
mod keys;
mod lifecycle;
mod live;
#[cfg(test)]
mod memory_first;
#[cfg(test)]
mod overtaking;
#[cfg(feature = "simulation")]
pub(crate) mod parsers;
#[cfg(test)]
mod pipelined;
mod prekeys;
pub(crate) mod pressure;
mod readers;
mod rows;
mod service;
mod settings;
mod state;
mod tail;
#[cfg(test)]
mod tests;

pub(crate) use blobs::Blobs;
pub(crate) use service::Service;
pub(crate) use settings::Settings;
