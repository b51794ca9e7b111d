//! What an archive says: history on its way to a new device, and the recovery file.
//!
//! Spec: `spec/14-archive.md`. Knows records, their bounds and how they stand in segments; must not
//! know how segments are sealed, or who reads them.

mod convert;
mod error;
mod manifest;
mod people;
mod record;
mod segment;

pub use error::ArchiveError;
pub use manifest::{Manifest, ManifestSegment};
pub use people::{Account, Conversation, Log, Member};
pub use record::{
    Head, KeptAct, KeptFate, KeptKind, KeptMessage, KeptReach, Purpose, Reached, Record, Tombstone,
};
pub use segment::{SegmentReader, SegmentWriter};

#[cfg(test)]
mod tests;
