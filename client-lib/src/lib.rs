//! The Restante client SDK: identity, contacts, conversations, outbox and encrypted history.
//!
//! ```text
//!  app -> Client --requests--> driver --> engine (rules, no I/O) --> store (one encrypted file)
//!      <- EventStream <------          <-> net (links to relays)
//! ```
//!
//! A [`Client`] is a handle: cheap to clone, its methods are answered by one driver task that owns
//! the store and the links. [`Client::builder`] makes or opens a home without a runtime;
//! [`Client::start`] runs the driver; [`Client::collect`] fetches what is waiting and sends what
//! can be sent; [`Client::connect`] stays connected.
//!
//! ```no_run
//! use std::time::Duration;
//! use restante_client::{Client, Goal, RelayAddress, StoreKey};
//!
//! # async fn example(address: RelayAddress) -> Result<(), restante_client::Error> {
//! let key = StoreKey::random()?; // keep its bytes where only this person can read them
//! let client = Client::builder("home").store_key(key).create(&address, "Alice")?;
//! client.start()?;
//! client.collect(Duration::from_secs(20)).await?;
//! let bob = client.find_contact("Bob").await?;
//! let message = client.send(bob.id, "hello").await?;
//! let fate = client.wait_fate(message.id, Goal::Accepted, Duration::from_secs(20)).await?;
//! println!("{fate}");
//! client.shutdown().await
//! # }
//! ```
//!
//! `examples/` has bots, to begin with.

mod attachment;
mod client;
mod clock;
mod driver;
mod engine;
mod error;
mod events;
mod files;
mod home;
mod key;
mod limits;
mod media;
mod net;
mod recovery;
mod sealing;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod tasks;
mod transfer;
mod types;

pub use attachment::{AttachOptions, Attachment, AttachmentState};
pub use client::{Builder, Client};
pub use error::{Error, ErrorKind};
pub use events::{Event, EventStream, Notice};
pub use home::write_once;
pub use key::StoreKey;
pub use media::{PictureError, PreparedImage, prepare_image};
pub use recovery::{RecoverySecret, recovery_kind};
pub use restante_crypto::{RecoveryKind, SafetyNumber};
pub use restante_spec::address::{AddressError, RelayAddress};
pub use restante_spec::codes::Code;
pub use restante_spec::content::{Policy, Role, Who};
pub use restante_spec::ids::{Seconds, Seq, UnixTime};
pub use restante_spec::text::seen_as;
pub use restante_spec::token::{AdmissionToken, Entrance, EntranceError, TokenError};
pub use sealing::AttachmentReader;
pub use transfer::{BlobAddress, Direction, Transfer, TransferFailure, TransferState};
pub use types::{
    Collected, ConnectionState, Contact, ContactId, ContactState, Conversation, ConversationId,
    ConversationKind, Device, Fate, Gap, GapState, Goal, GroupChange, GroupMember, HistoryProgress,
    InviteLink, InviteOptions, Joins, Match, Message, MessageId, MessageKind, Position, Privacy,
    Reach, Reaction, Recipient, ReplyTo, RoomLink, Standing, TransferId,
};

/// The example in the README compiles too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
