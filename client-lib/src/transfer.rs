//! What an app sees of transfers: how far each is, how it ended, and where a blob is.
//!
//! Knows meanings; must not know the store, the network or files. What is in a file is nobody's
//! business here: the blob is the file, byte for byte, and is sealed elsewhere.

use std::fmt;

use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, UnixTime};
use zeroize::Zeroizing;

use crate::types::TransferId;

/// Where a blob is, and what reads it: whoever has this can fetch it. Shows nothing in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobAddress {
    pub(crate) relay: RelayAddress,
    pub(crate) blob: BlobId,
    /// The seed of the read key (BLB-4).
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) size: u64,
}

impl BlobAddress {
    /// Bytes of the blob.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl fmt::Debug for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobAddress(..)")
    }
}

/// A transfer of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which.
    pub id: TransferId,
    /// Which way.
    pub direction: Direction,
    /// The file, among the home's files.
    pub name: String,
    /// Bytes from the blob's beginning that are there: at the relay, or in the file.
    pub done: u64,
    /// Bytes of the whole blob.
    pub size: u64,
    /// How it stands.
    pub state: TransferState,
    /// Until when the relay keeps the blob (BLB-5), once it has said so.
    pub expires_at: Option<UnixTime>,
}

/// Which way a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A file becomes a blob.
    Upload,
    /// A blob becomes a file.
    Download,
}

/// How a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferState {
    /// The relay has not answered yet.
    Waiting,
    /// Under way: it goes on whenever there is a link, also after a restart.
    Running,
    /// All of it is there: the blob can be read, or the file is whole and durable.
    Done,
    /// It will not come further.
    Failed(TransferFailure),
    /// Cancelled by this side.
    Cancelled,
}

impl TransferState {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it will not change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed(_) | Self::Cancelled)
    }
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransferFailure {
    /// The relay has no such blob, or not any more: its time is over, or it was deleted.
    #[error("the relay has no such blob any more")]
    Gone,
    /// There is no room for the blob, in its mailbox or at the relay.
    #[error("there is no room for it at the relay")]
    Full,
    /// The conversation ended before the upload did.
    #[error("the conversation has ended")]
    Ended,
    /// The relay refused; the code says why.
    #[error("the relay refused: {}", .0.name())]
    Refused(Code),
    /// What the relay sent is not the blob its address names.
    #[error("what the relay sent is not what was asked for")]
    Mismatch,
    /// There is no room for the file on this device.
    #[error("there is no room for the file on this device")]
    DiskFull,
    /// The file cannot be read or written, or has become shorter since the upload began.
    #[error("the file cannot be read or written")]
    File,
}
