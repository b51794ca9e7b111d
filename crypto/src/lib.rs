//! Restante's end-to-end layer and capability proofs.
//!
//! ```text
//!  proofs         endorsement, open, possession, reader hash      what the relay checks
//!  ------------------------------------------------------------- feature `e2e` from here on
//!  identity       account, device certificates and list, safety number
//!  invite         link, card: how two people find each other
//!  letter         sealed to devices or an invite: everything outside a conversation
//!  conversation   MLS group = log at a relay; epoch key; records padded to the ladder,
//!                 live records beside it
//!  room           link, card, posts under one key: for very many, without MLS
//!  file           sealed in chunks: attachments, history on its way to another device
//!  recovery       the file that brings an account back: 24 words or a passphrase
//! ```
//!
//! No I/O but through what the caller hands in, no async, no clock: time comes in as an argument,
//! randomness through one module.
//! (OpenMLS itself looks at the system's clock for the lifetimes of key packages.)
//! The relay builds this crate without the feature `e2e`: then only the proofs are here.

#[cfg(feature = "e2e")]
mod aead;
#[cfg(feature = "e2e")]
mod codec;
#[cfg(feature = "e2e")]
mod content;
#[cfg(feature = "e2e")]
mod conversation;
mod error;
#[cfg(feature = "e2e")]
mod file;
#[cfg(feature = "vectors")]
pub mod hazmat;
#[cfg(feature = "e2e")]
mod identity;
#[cfg(feature = "e2e")]
mod invite;
mod labels;
#[cfg(feature = "e2e")]
mod letter;
#[cfg(feature = "e2e")]
mod link;
#[cfg(feature = "e2e")]
mod live;
#[cfg(feature = "e2e")]
mod padding;
mod proofs;
mod random;
#[cfg(feature = "e2e")]
mod record;
#[cfg(feature = "e2e")]
mod recovery;
#[cfg(feature = "e2e")]
mod room;
mod signing;
#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(feature = "e2e")]
mod xwing;

#[cfg(feature = "e2e")]
pub use content::{LogChain, content_hash};
#[cfg(feature = "e2e")]
pub use conversation::{
    Change, Conversation, GeneratedKeyPackage, KeyPackage, LargeCommit, Live, Member, OwnDevice,
    PendingCommit, Processed, Storage, Suite,
};
pub use error::Error;
#[cfg(feature = "e2e")]
pub use file::{FileKey, FileLayout, SealedReader, SealedWriter};
#[cfg(feature = "e2e")]
pub use identity::{
    AccountId, AccountKey, DeviceCertificate, DeviceKey, DeviceList, DeviceNumber, Fingerprint,
    ListedDevice, SafetyNumber, SignedLetterKey,
};
#[cfg(feature = "e2e")]
pub use invite::{Card, CardGroup, Invite, LinkCode, link_check};
#[cfg(feature = "e2e")]
pub use letter::{Letter, LetterKeys, LetterPlace, LettersTaken, OpenedLetter, Recipient};
#[cfg(feature = "e2e")]
pub use live::{LiveKey, LiveSender, OpenedLive};
#[cfg(feature = "e2e")]
pub use padding::{pad, unpad};
pub use proofs::{
    BlobChallenge, OpenChallenge, endorse, generate_reader, generate_token, prove_possession,
    reader_hash, spki_hash, token_hash, verify_endorsement, verify_possession,
};
pub use random::{random_bytes, random_secret};
#[cfg(feature = "e2e")]
pub use record::{LargeMessage, LeafNumber, OpenedRecord, RecordKey, RecordPlace};
#[cfg(feature = "e2e")]
pub use recovery::{
    RecoveryHeader, RecoveryKey, RecoveryKind, RecoveryReader, RecoverySecret, RecoveryWords,
    RecoveryWriter,
};
#[cfg(feature = "e2e")]
pub use room::{
    OpenedPost, PostBody, RoomCard, RoomInfo, RoomKey, RoomKeyNumber, RoomLink, RoomSalt,
};
pub use signing::SigningKey;
#[cfg(feature = "e2e")]
pub use xwing::{KemPublic, KemSecret};
