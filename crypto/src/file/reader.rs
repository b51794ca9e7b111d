//! Reads a sealed file from any place, a chunk at a time.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use restante_spec::ids::BlobSize;
use zeroize::Zeroizing;

use super::key::FileKey;
use super::layout::FileLayout;
use crate::error::Error;

/// The content of a sealed file that is whole. Gives no byte that was not authenticated; holds one
/// chunk in memory.
#[derive(Debug)]
pub struct SealedReader<R> {
    key: FileKey,
    layout: FileLayout,
    inner: R,
    /// The place in the content.
    at: u64,
    chunk: u32,
    content: Zeroizing<Vec<u8>>,
}

impl<R: Read + Seek> SealedReader<R> {
    /// Opens a sealed file.
    ///
    /// # Errors
    /// As [`FileKey::open_first`]; [`Error::Io`].
    pub fn open(key: FileKey, mut inner: R) -> Result<Self, Error> {
        let sealed = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        let first = sealed.min(restante_spec::limits::FILE_CHUNK_BYTES as u64);
        let first = read_exactly(&mut inner, first)?;
        let (layout, content) = key.open_first(BlobSize::new(sealed), &first)?;
        Ok(Self { key, layout, inner, at: 0, chunk: 0, content })
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.layout.content_size()
    }

    fn load(&mut self, chunk: u32) -> Result<(), Error> {
        let range = self.layout.sealed_range(chunk)?;
        self.inner.seek(SeekFrom::Start(range.start))?;
        let sealed = read_exactly(&mut self.inner, range.end - range.start)?;
        self.content = self.key.open_chunk(&self.layout, chunk, &sealed)?;
        self.chunk = chunk;
        Ok(())
    }
}

/// So many bytes, at most a chunk's.
fn read_exactly(inner: &mut impl Read, size: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    inner.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl<R: Read + Seek> Read for SealedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size() {
            return Ok(0);
        }
        let chunk = FileLayout::chunk_of(self.at);
        if chunk != self.chunk {
            self.load(chunk)?;
        }
        let start = self.at - self.layout.content_range(chunk)?.start;
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let taken = self.content.get(start..).unwrap_or_default().read(into)?;
        self.at += taken as u64;
        Ok(taken)
    }
}

impl<R: Read + Seek> Seek for SealedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
