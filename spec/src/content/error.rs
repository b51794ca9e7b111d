//! Why a content is none.

/// The bytes are no content, or a content has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A field is missing, has the wrong size, or is no protobuf. Drop it and show that.
    #[error("malformed content: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// A part is above its limit (CNT-3). Make it smaller.
    #[error("{what} has {size}, but {max} is the most")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size or count.
        size: usize,
        /// The limit.
        max: usize,
    },
}
