//! Seals a file on its way to where it is kept.

use std::io::{self, Write};

use zeroize::Zeroizing;

use super::key::FileKey;
use super::layout::{FileLayout, MALFORMED};
use crate::error::Error;

/// Takes the content of a file and writes the sealed file, a chunk at a time. After an error what
/// was written is of no use.
#[derive(Debug)]
pub struct SealedWriter<W> {
    key: FileKey,
    layout: FileLayout,
    inner: W,
    /// The chunk that is being filled.
    chunk: u32,
    pending: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a file of exactly `size` bytes of content. The key is used up (FIL-1).
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest file.
    pub fn new(key: FileKey, size: u64, inner: W) -> Result<Self, Error> {
        let layout = FileLayout::of_content(size)?;
        // Never grown, so that no copy of the content stays behind.
        let pending = Zeroizing::new(Vec::with_capacity(restante_spec::limits::FILE_CHUNK_BYTES));
        Ok(Self { key, layout, inner, chunk: 0, pending })
    }

    /// Writes what is left, and gives back where it was written to.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the content is shorter than was said, [`Error::Io`].
    pub fn finish(mut self) -> Result<W, Error> {
        while self.chunk < self.layout.chunks() {
            self.write_chunk()?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn write_chunk(&mut self) -> Result<(), Error> {
        let sealed = self.key.seal_chunk(&self.layout, self.chunk, &self.pending)?;
        self.pending.clear();
        self.chunk += 1;
        Ok(self.inner.write_all(&sealed)?)
    }

    /// Bytes of content the current chunk still takes.
    fn room(&self) -> usize {
        let range = self.layout.content_range(self.chunk).unwrap_or_default();
        let size = usize::try_from(range.end - range.start).unwrap_or_default();
        size.saturating_sub(self.pending.len())
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let room = self.room();
        if room == 0 && !content.is_empty() {
            return Err(MALFORMED.into());
        }
        let taken = content.get(..room).unwrap_or(content);
        self.pending.extend_from_slice(taken);
        if taken.len() == room && room > 0 {
            self.write_chunk()?;
        }
        Ok(taken.len())
    }

    /// Chunks that are not full stay here until [`SealedWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
