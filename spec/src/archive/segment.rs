//! Segments: records one after another, each behind its length, up to a bound (ARC-1).
//!
//! Layout of a record in a segment: length (4 bytes, big endian), protobuf `Record`.

use zeroize::Zeroizing;

use super::error::ArchiveError;
use super::record::{Head, Purpose, Record};
use crate::limits::{RECORD_BYTES, SEGMENT_BYTES};

/// Layout: bytes of the length before a record.
const LENGTH: usize = 4;

/// Fills one segment.
#[derive(Debug)]
pub struct SegmentWriter {
    purpose: Purpose,
    /// Never grown, so that no copy of a secret stays behind.
    bytes: Zeroizing<Vec<u8>>,
}

impl SegmentWriter {
    /// Begins the first segment of an archive, with its head (ARC-3).
    #[must_use]
    pub fn first(head: &Head) -> Self {
        let mut writer = Self::following(head.purpose);
        writer.put(&head.encode());
        writer
    }

    /// Begins another segment.
    #[must_use]
    pub fn following(purpose: Purpose) -> Self {
        Self { purpose, bytes: Zeroizing::new(Vec::with_capacity(SEGMENT_BYTES)) }
    }

    /// Adds a record; `false` if the segment is full, so that the record begins the next one.
    ///
    /// # Errors
    /// [`ArchiveError::TooLarge`] for a part above its limit (ARC-2), [`ArchiveError::Misplaced`]
    /// for the account outside of a recovery file (REV-5).
    pub fn push(&mut self, record: &Record) -> Result<bool, ArchiveError> {
        belongs(record, self.purpose)?;
        let bytes = record.encode()?;
        // ARC-1
        let fits = self.bytes.len() + LENGTH + bytes.len() <= SEGMENT_BYTES;
        if fits {
            self.put(&bytes);
        }
        Ok(fits)
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What is sealed.
    #[must_use]
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }

    fn put(&mut self, record: &[u8]) {
        // A record has at most RECORD_BYTES.
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(record);
    }
}

/// Reads one segment, record by record. Behind a record that is refused it goes on; records of
/// kinds it does not know it skips and counts (ARC-2).
#[derive(Debug)]
pub struct SegmentReader<'a> {
    purpose: Purpose,
    rest: &'a [u8],
    unknown: u64,
}

impl<'a> SegmentReader<'a> {
    /// Begins the first segment of an archive: gives its head (ARC-3).
    ///
    /// # Errors
    /// [`ArchiveError::TooNew`], [`ArchiveError::Misplaced`] for an archive with another purpose,
    /// [`ArchiveError::Malformed`], [`ArchiveError::TooLarge`].
    pub fn first(purpose: Purpose, bytes: &'a [u8]) -> Result<(Head, Self), ArchiveError> {
        let mut reader = Self::following(purpose, bytes)?;
        let head = Head::decode(reader.cut()?)?;
        if head.purpose == purpose {
            return Ok((head, reader));
        }
        Err(ArchiveError::Misplaced { what: "the head" })
    }

    /// Begins another segment.
    ///
    /// # Errors
    /// [`ArchiveError::TooLarge`] above the bound of a segment.
    pub const fn following(purpose: Purpose, bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let (size, max) = (bytes.len(), SEGMENT_BYTES);
        if size > max {
            return Err(ArchiveError::TooLarge { what: "the segment", size, max });
        }
        Ok(Self { purpose, rest: bytes, unknown: 0 })
    }

    /// Records so far whose kind is of a newer version.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The bytes of the next record. A length that leads beyond the end ends the segment.
    fn cut(&mut self) -> Result<&'a [u8], ArchiveError> {
        let malformed = ArchiveError::Malformed { what: "length of a record" };
        let rest = std::mem::take(&mut self.rest);
        let (length, rest) = rest.split_first_chunk::<LENGTH>().ok_or(malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed)?;
        let (record, rest) = rest.split_at_checked(length).ok_or(malformed)?;
        self.rest = rest;
        if length > RECORD_BYTES {
            let max = RECORD_BYTES;
            return Err(ArchiveError::TooLarge { what: "the record", size: length, max });
        }
        Ok(record)
    }
}

impl Iterator for SegmentReader<'_> {
    type Item = Result<Record, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let record = self.cut().and_then(Record::decode);
            match record {
                Ok(Some(record)) => {
                    return Some(belongs(&record, self.purpose).map(|()| record));
                }
                // ARC-2
                Ok(None) => self.unknown += 1,
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// The account's secret stands in a recovery file and nowhere else (REV-5).
fn belongs(record: &Record, purpose: Purpose) -> Result<(), ArchiveError> {
    let misplaced = matches!(record, Record::Account(_)) && purpose != Purpose::Recovery;
    // REV-5
    if misplaced { Err(ArchiveError::Misplaced { what: "the account" }) } else { Ok(()) }
}
