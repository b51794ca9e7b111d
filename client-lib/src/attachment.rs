//! What an app sees of attachments: what a file is, before it is here, and where it is.
//!
//! Knows meanings; must not know the store, the network, keys or files.

use std::fmt;

use crate::transfer::TransferFailure;
use crate::types::{Fate, Message, MessageId, TransferId};

/// A file that stands in a message. Beside `state` all of it is what its sender says.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is called, without a path; may be empty.
    pub name: String,
    /// A media type (RFC 6838); empty: unknown.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Pixels from left to right; 0: unknown.
    pub width: u32,
    /// Pixels from top to bottom; 0: unknown.
    pub height: u32,
    /// Milliseconds it plays; 0: unknown.
    pub duration_ms: u64,
    /// A small picture of it, to be shown before it is fetched; may be empty.
    pub thumbnail: Vec<u8>,
    /// Where it is.
    pub state: AttachmentState,
}

/// Where an attached file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttachmentState {
    /// At the relay only: [`crate::Client::fetch`] brings it.
    AtRelay,
    /// On its way there or here; events of the transfer say how far it is.
    Moving(TransferId),
    /// On this device: [`crate::Client::open_attachment`] reads it.
    Here,
    /// Its transfer has failed. A download can be begun anew; an own message was not sent.
    Failed(TransferFailure),
    /// It is not fetched: it names another place than its conversation's, or no file (CNT-8).
    Unfetchable,
}

/// How a file is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Words that go with it, at most 32,768 bytes; may be empty.
    pub caption: String,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// A picture is sent as it is, with place, time and camera if they stand in it.
    pub keep_metadata: bool,
}

impl Attachment {
    /// A name for it in a folder of the reader's: its own, but never a hidden one.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let name = self.name.trim_start_matches('.');
        if name.is_empty() { "file" } else { name }
    }
}

impl AttachmentState {
    /// The stable name, as in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtRelay => "at_relay",
            Self::Moving(_) => "moving",
            Self::Here => "here",
            Self::Failed(_) => "failed",
            Self::Unfetchable => "unfetchable",
        }
    }
}

impl Message {
    /// Whether it waits for its file to be at the relay, and nobody can have it.
    pub(crate) fn is_uploading(&self) -> bool {
        let state = self.attachment.as_ref().map(|file| file.state);
        self.fate == Fate::Queued && matches!(state, Some(AttachmentState::Moving(_)))
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({} bytes, {:?})", self.size, self.state)
    }
}
