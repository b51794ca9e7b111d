//! Writes a recovery file, segment by segment (REV-1, REV-4).

use std::io::Write;

use restante_spec::limits::SEGMENTS;
use zeroize::Zeroizing;

use super::header::{RecoveryHeader, RecoveryKey};
use super::secret::RecoverySecret;
use crate::error::Error;

/// Takes segments and writes the file. Holds one segment in memory: which one is the last is known
/// only at the end. After an error what was written is of no use.
#[derive(Debug)]
pub struct RecoveryWriter<W> {
    key: RecoveryKey,
    inner: W,
    number: u32,
    pending: Option<Zeroizing<Vec<u8>>>,
}

impl<W: Write> RecoveryWriter<W> {
    /// Begins a file. Every file has its own salt, so the same words are good for many.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`] for a passphrase of no size,
    /// [`Error::Randomness`], [`Error::Io`].
    pub fn new(secret: &RecoverySecret<'_>, inner: W) -> Result<Self, Error> {
        Self::begin(RecoveryHeader::create(secret)?, inner)
    }

    pub(crate) fn begin(
        (header, key): (RecoveryHeader, RecoveryKey),
        mut inner: W,
    ) -> Result<Self, Error> {
        inner.write_all(&header.encode())?;
        Ok(Self { key, inner, number: 0, pending: None })
    }

    /// Adds a segment.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with more than 4,096 segments or for one that fits no sealed file,
    /// [`Error::Io`].
    pub fn push(&mut self, segment: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        if let Some(before) = self.pending.replace(segment) {
            self.write_segment(&before, false)?;
        }
        Ok(())
    }

    /// Writes the last segment, and gives back where it was written to.
    ///
    /// # Errors
    /// As [`RecoveryWriter::push`]; [`Error::Malformed`] if there was no segment.
    pub fn finish(mut self) -> Result<W, Error> {
        let last = self.pending.take().ok_or(Error::Malformed { what: "recovery file" })?;
        self.write_segment(&last, true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn write_segment(&mut self, segment: &[u8], last: bool) -> Result<(), Error> {
        if self.number >= SEGMENTS {
            let number = |n| usize::try_from(n).unwrap_or(usize::MAX);
            let (size, max) = (number(self.number).saturating_add(1), number(SEGMENTS));
            return Err(Error::TooLarge { what: "the recovery file", size, max });
        }
        let sealed = self.key.segment(self.number, last)?.seal(segment)?;
        let size = u32::try_from(sealed.len())
            .map_err(|_| Error::Internal { what: "a sealed file above its bound" })?;
        self.inner.write_all(&size.to_be_bytes())?;
        self.inner.write_all(&sealed)?;
        self.number += 1;
        Ok(())
    }
}
