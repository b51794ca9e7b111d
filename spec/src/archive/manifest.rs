//! Manifests: which segments of an archive there are, and how each is fetched and opened (ARC-6).

use std::fmt;

use zeroize::Zeroizing;

use crate::address::RelayAddress;
use crate::content::UnixMillis;
use crate::ids::{ArchiveId, BlobId, BlobSize};

/// Some segments of an archive, those next to each other, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The archive.
    pub archive: ArchiveId,
    /// Its place among the manifests of the archive, from 0.
    pub number: u32,
    /// Whether no other follows.
    pub last: bool,
    /// Messages of the whole archive, for progress.
    pub messages: u64,
    /// The relay of the blobs.
    pub relay: RelayAddress,
    /// 1 to 256 segments, their numbers consecutive.
    pub segments: Vec<ManifestSegment>,
}

/// A segment: a sealed file in a blob.
#[derive(Clone, PartialEq, Eq)]
pub struct ManifestSegment {
    /// Its place in the archive, from 0.
    pub number: u32,
    /// The blob.
    pub blob: BlobId,
    /// Seed of the Ed25519 key that may read the blob. Wiped when dropped.
    pub read_key: Zeroizing<[u8; 32]>,
    /// The key of the sealed file. Wiped when dropped.
    pub file_key: Zeroizing<[u8; 32]>,
    /// Bytes of the sealed file.
    pub size: BlobSize,
    /// Messages in it.
    pub messages: u32,
    /// When the account had the newest of them.
    pub newest: UnixMillis,
    /// When it had the oldest.
    pub oldest: UnixMillis,
}

impl Manifest {
    /// Whether it goes on where another one of the same archive ended (ARC-6).
    #[must_use]
    pub fn follows(&self, before: &Self) -> bool {
        let end = before.segments.last().map(|segment| segment.number.saturating_add(1));
        let begin = self.segments.first().map(|segment| segment.number);
        // ARC-6
        self.archive == before.archive
            && before.number.checked_add(1) == Some(self.number)
            && !before.last
            && begin == end
    }
}

impl fmt::Debug for ManifestSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestSegment({})", self.number)
    }
}
