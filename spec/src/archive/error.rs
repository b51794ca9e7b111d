//! Why a record, a segment or a manifest is none.

/// The bytes are not what an archive holds, or a record has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A field is missing, has the wrong size, or is no protobuf. Go on behind it and tell.
    #[error("malformed archive: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// A part is above its limit (ARC-2). Leave it out and tell.
    #[error("{what} has {size}, but {max} is the most")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size or count.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The archive was made by a newer version. Update.
    #[error("the archive has version {found}, but {known} is the newest known")]
    TooNew {
        /// Version of the archive.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// A recovery file was given as history, or history as a recovery file; or a record that may
    /// stand only in the other. Nothing of it may be taken.
    #[error("{what} does not belong into this archive")]
    Misplaced {
        /// What does not.
        what: &'static str,
    },
}
