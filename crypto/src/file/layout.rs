//! How a sealed file is cut: sizes and places.
//!
//! Layout of the stream (FIL-2): size of the content (8 bytes), content, zeros up to a padded size.
//! It is cut into chunks of equal size, and each chunk is sealed by itself (FIL-3). Sans-IO: knows
//! numbers only.

use std::ops::Range;

use restante_spec::ids::BlobSize;
use restante_spec::limits::{FILE_BYTES, FILE_CHUNK_BYTES, FILE_STREAM_MIN};

use crate::aead::TAG;
use crate::error::Error;

/// The sizes and places of one sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLayout {
    content: u64,
    stream: u64,
}

/// Layout: bytes of the size before the content.
pub(super) const SIZE: u64 = 8;
/// Layout: bytes of a whole sealed chunk.
const SEALED: u64 = FILE_CHUNK_BYTES as u64;
/// Layout: bytes of the stream in a whole chunk.
const PLAIN: u64 = SEALED - TAG as u64;

impl FileLayout {
    /// The layout of a file with so many bytes of content (FIL-2).
    ///
    /// # Errors
    /// [`Error::TooLarge`] above 66,060,280 bytes.
    pub fn of_content(size: u64) -> Result<Self, Error> {
        // FIL-2
        if size > FILE_BYTES {
            let number = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
            let (size, max) = (number(size), number(FILE_BYTES));
            return Err(Error::TooLarge { what: "the file", size, max });
        }
        Ok(Self { content: size, stream: padded(size + SIZE) })
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn content_size(&self) -> u64 {
        self.content
    }

    /// Bytes of the sealed file: of the blob, and of the file at rest.
    #[must_use]
    pub fn sealed_size(&self) -> BlobSize {
        sealed_size(self.stream)
    }

    /// How many chunks there are: 1 to 1,020.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        chunks(self.stream)
    }

    /// The bytes of the content that a chunk holds; empty for one that holds padding only.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no such chunk.
    pub fn content_range(&self, chunk: u32) -> Result<Range<u64>, Error> {
        let stream = stream_range(self.stream, chunk)?;
        let inside = |at: u64| at.saturating_sub(SIZE).min(self.content);
        Ok(inside(stream.start)..inside(stream.end))
    }

    /// The bytes of the sealed file that a chunk is.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no such chunk.
    pub fn sealed_range(&self, chunk: u32) -> Result<Range<u64>, Error> {
        let stream = stream_range(self.stream, chunk)?;
        let start = u64::from(chunk) * SEALED;
        Ok(start..start + (stream.end - stream.start) + TAG as u64)
    }

    /// The chunk that holds this byte of the content.
    pub(super) fn chunk_of(at: u64) -> u32 {
        u32::try_from((at + SIZE) / PLAIN).unwrap_or(u32::MAX)
    }

    /// The length of the stream.
    pub(super) const fn stream(&self) -> u64 {
        self.stream
    }
}

/// The stream of a sealed file of this size (FIL-4).
pub(crate) fn stream_of(sealed: BlobSize) -> Result<u64, Error> {
    let tags = sealed.get().div_ceil(SEALED) * TAG as u64;
    let stream = sealed.get().checked_sub(tags).ok_or(MALFORMED)?;
    let in_bounds = (FILE_STREAM_MIN..=FILE_BYTES + SIZE).contains(&stream);
    // FIL-4
    let is_one = in_bounds && padded(stream) == stream && sealed_size(stream) == sealed;
    if is_one { Ok(stream) } else { Err(MALFORMED) }
}

/// How many chunks a stream has.
pub(super) fn chunks(stream: u64) -> u32 {
    u32::try_from(stream.div_ceil(PLAIN)).unwrap_or(u32::MAX)
}

/// The bytes of a stream that a chunk holds.
pub(super) fn stream_range(stream: u64, chunk: u32) -> Result<Range<u64>, Error> {
    let start = u64::from(chunk) * PLAIN;
    if start < stream { Ok(start..stream.min(start + PLAIN)) } else { Err(MALFORMED) }
}

/// The size of the sealed file of a stream.
pub(super) fn sealed_size(stream: u64) -> BlobSize {
    BlobSize::new(stream + u64::from(chunks(stream)) * TAG as u64)
}

/// The error for sizes and places that no sealed file has.
pub(super) const MALFORMED: Error = Error::Malformed { what: "sealed file" };

/// Padmé (Nikitin and others, 2019): the next number whose binary form ends in so many zeros that
/// only O(log log n) bits of the length are told.
fn padded(length: u64) -> u64 {
    let length = length.max(FILE_STREAM_MIN);
    let exponent = length.ilog2();
    let mantissa = exponent.ilog2() + 1;
    let rest = (1_u64 << (exponent - mantissa)) - 1;
    (length + rest) & !rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIL-2: lengths are padded as the definition says, by a sixteenth at most, and what was
    /// padded stays as it is.
    #[test]
    fn padding_tells_little_and_costs_little() {
        let known = [(0, 1_024), (1_024, 1_024), (1_025, 1_088), (2_049, 2_176), (9_999, 10_240)];
        for (length, expected) in known {
            assert_eq!(padded(length), expected, "{length}");
        }
        assert_eq!(padded(FILE_BYTES + SIZE), FILE_BYTES + SIZE);
        let lengths = (1_024..200_000).chain((1 << 25..FILE_BYTES).step_by(77_777));
        for length in lengths {
            let padded_once = padded(length);
            assert!((length..=length + length / 16).contains(&padded_once), "{length}");
            assert_eq!(padded(padded_once), padded_once);
        }
        let sizes: std::collections::BTreeSet<u64> = (1 << 20..1 << 21).map(padded).collect();
        assert_eq!(sizes.len(), 33, "a million lengths share 33 sizes");
    }

    /// FIL-2: the largest content is taken and fits a blob; one byte more is refused.
    #[test]
    fn largest_file_fits_a_blob() {
        let largest = FileLayout::of_content(FILE_BYTES).unwrap();
        assert!(largest.sealed_size().get() <= restante_spec::limits::BLOB_BYTES);
        assert_eq!(largest.chunks(), 1_020);
        let past = FileLayout::of_content(FILE_BYTES + 1);
        assert!(matches!(past, Err(Error::TooLarge { what: "the file", .. })));
    }

    /// FIL-3: chunks cover content and sealed file without hole or overlap, each a blob's part.
    #[test]
    fn chunks_cover_the_file() {
        for size in [0, 1, 1_016, 1_017, PLAIN - SIZE, PLAIN - 7, PLAIN * 2, 3_000_000] {
            let layout = FileLayout::of_content(size).unwrap();
            let (mut content, mut sealed) = (0, 0);
            for chunk in 0..layout.chunks() {
                let (of_content, of_sealed) =
                    (layout.content_range(chunk).unwrap(), layout.sealed_range(chunk).unwrap());
                assert_eq!((of_content.start, of_sealed.start), (content, sealed));
                for at in [of_content.start, of_content.end.saturating_sub(1)] {
                    let inside = of_content.contains(&at);
                    assert!(!inside || FileLayout::chunk_of(at) == chunk);
                }
                (content, sealed) = (of_content.end, of_sealed.end);
                let whole = of_sealed.end - of_sealed.start == SEALED;
                assert!(whole || chunk + 1 == layout.chunks());
            }
            assert_eq!((content, sealed), (size, layout.sealed_size().get()));
            assert!(layout.content_range(layout.chunks()).is_err());
            assert!(layout.sealed_range(layout.chunks()).is_err());
        }
    }

    /// FIL-4: a size is one of a sealed file, or refused.
    #[test]
    fn sizes_of_sealed_files_are_few() {
        for size in [0, 1_016, 1_017, 64_776, 64_777, 200_000, FILE_BYTES] {
            let layout = FileLayout::of_content(size).unwrap();
            let sealed = layout.sealed_size();
            assert_eq!(stream_of(sealed), Ok(layout.stream()));
            for other in [sealed.get() - 1, sealed.get() + 1] {
                assert_eq!(stream_of(BlobSize::new(other)), Err(MALFORMED), "{size}");
            }
        }
        for size in [0, 15, 16, 1_039, SEALED, SEALED + 16, u64::MAX / 2] {
            assert_eq!(stream_of(BlobSize::new(size)), Err(MALFORMED), "{size}");
        }
    }
}
