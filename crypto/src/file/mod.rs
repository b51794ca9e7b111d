//! Sealed files: what is too large for a message is cut into chunks, each sealed by itself, so that
//! it can be moved in parts, read from anywhere, and kept at rest as it travels.
//!
//! Spec: `spec/13-files.md`. Knows chunks, keys and streams of bytes; must not know blobs, messages
//! or what a file holds.

mod key;
mod layout;
mod reader;
mod writer;

pub use key::FileKey;
pub use layout::FileLayout;
pub(crate) use layout::stream_of;
pub use reader::SealedReader;
pub use writer::SealedWriter;

#[cfg(test)]
mod tests;
