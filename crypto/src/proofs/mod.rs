//! The proofs a relay checks: who it is itself, who may open a mailbox, who holds a key.
//!
//! Each signs exact bytes under its own label. Nothing here can decrypt anything.

mod blob;
mod endorsement;
mod open;
mod possession;
mod reader;
mod token;

pub use blob::BlobChallenge;
pub use endorsement::{endorse, spki_hash, verify_endorsement};
pub use open::OpenChallenge;
pub use possession::{prove_possession, verify_possession};
pub use reader::{generate_reader, reader_hash};
pub use token::{generate_token, token_hash};
