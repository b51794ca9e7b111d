//! Reads a recovery file, segment by segment (REV-1, REV-4).

use std::io::Read;

use restante_spec::limits::{SEGMENT_BYTES, SEGMENTS};
use zeroize::Zeroizing;

use super::header::RecoveryKey;
use crate::error::Error;
use crate::file::FileLayout;

/// Layout: bytes of the size before a segment.
const SIZE: usize = 4;

/// Gives the segments of a recovery file behind its header, in their order. Holds one in memory.
#[derive(Debug)]
pub struct RecoveryReader<R> {
    key: RecoveryKey,
    inner: R,
    number: u32,
    /// Bytes of the segment that comes next; `None` behind the last one.
    next: Option<u32>,
}

impl<R: Read> RecoveryReader<R> {
    /// Reads on behind the header that gave the key.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no segment, [`Error::Io`].
    pub fn new(key: RecoveryKey, mut inner: R) -> Result<Self, Error> {
        let next = read_size(&mut inner)?;
        if next.is_none() {
            return Err(MALFORMED);
        }
        Ok(Self { key, inner, number: 0, next })
    }

    /// The next segment; `None` when the last one was given. Only then the file is whole: one that
    /// was cut behind a segment is noticed at that segment (REV-4).
    ///
    /// # Errors
    /// [`Error::Undecryptable`] for a file that was damaged, cut or put together from others,
    /// [`Error::Malformed`], [`Error::Io`]. After an error nothing more can be read.
    pub fn next_segment(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(size) = self.next.take() else { return Ok(None) };
        let size = u64::from(size);
        let most = FileLayout::of_content(SEGMENT_BYTES as u64)?.sealed_size();
        // REV-1
        if size > most.get() || self.number >= SEGMENTS {
            return Err(MALFORMED);
        }
        let mut sealed = Vec::new();
        self.inner.by_ref().take(size).read_to_end(&mut sealed)?;
        let next = read_size(&mut self.inner)?;
        // REV-4
        let segment = self.key.segment(self.number, next.is_none())?.open(&sealed)?;
        self.number += 1;
        self.next = next;
        Ok(Some(segment))
    }
}

/// The size before the next segment; `None` at the end of the file.
fn read_size(inner: &mut impl Read) -> Result<Option<u32>, Error> {
    let mut bytes = Vec::with_capacity(SIZE);
    inner.take(SIZE as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let size = bytes.try_into().map_err(|_| MALFORMED)?;
    Ok(Some(u32::from_be_bytes(size)))
}

/// The error for a file that is none.
const MALFORMED: Error = Error::Malformed { what: "recovery file" };
