//! The recovery file: what brings an account back on a clean machine, under 24 words or a
//! passphrase.
//!
//! Spec: `spec/14-archive.md`, rules REV-1 to REV-4. Knows header, keys and sealed segments; must
//! not know what segments hold.

mod header;
mod reader;
mod secret;
mod words;
mod writer;

pub use header::{RecoveryHeader, RecoveryKey, RecoveryKind};
pub use reader::RecoveryReader;
pub use secret::RecoverySecret;
pub use words::RecoveryWords;
pub use writer::RecoveryWriter;

#[cfg(any(test, feature = "vectors"))]
pub(crate) use header::Cost;

#[cfg(test)]
mod tests;
