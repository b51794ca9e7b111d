//! The key of a sealed file, and its chunks sealed and opened one by one.
//!
//! Sans-IO: knows bytes; must not know where they lie.

use restante_spec::ids::BlobSize;
use zeroize::Zeroizing;

use super::layout::{FileLayout, MALFORMED, chunks, sealed_size, stream_of, stream_range};
use crate::aead::{NONCE, SealKey};
use crate::codec::Cursor;
use crate::error::Error;
use crate::labels::Label;
use crate::random::random_secret;

/// The key of one file, and of no other content ever (FIL-1): its nonces are counted from 0, so a
/// second content under it would give both away. Wiped when dropped.
#[derive(Debug)]
pub struct FileKey(SealKey);

impl FileKey {
    /// A key for a new file.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        // FIL-1
        random_secret().map(Self::new)
    }

    /// The key of a file that was sealed before.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(SealKey::new(bytes))
    }

    /// The bytes, for the message that names the file and for an encrypted store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Seals one chunk (FIL-3). `content` is what [`FileLayout::content_range`] names; the same
    /// content gives the same bytes, so a chunk can be made again.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no such chunk, or the content has another size.
    pub fn seal_chunk(
        &self,
        layout: &FileLayout,
        chunk: u32,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let range = layout.content_range(chunk)?;
        if u64::try_from(content.len()) != Ok(range.end - range.start) {
            return Err(MALFORMED);
        }
        let stream = stream_range(layout.stream(), chunk)?;
        let size = usize::try_from(stream.end - stream.start).map_err(|_| MALFORMED)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(size));
        if chunk == 0 {
            plain.extend_from_slice(&layout.content_size().to_be_bytes());
        }
        plain.extend_from_slice(content);
        plain.resize(size, 0);
        let (nonce, associated) = place(layout.stream(), chunk);
        self.0.seal(&nonce, &associated, &plain)
    }

    /// Opens the first chunk of a sealed file of this size, whose layout is not known yet: gives it
    /// with the content of the chunk (FIL-4).
    ///
    /// # Errors
    /// As [`FileKey::open_chunk`]; [`Error::Malformed`] for a size that no sealed file has.
    pub fn open_first(
        &self,
        sealed: BlobSize,
        chunk: &[u8],
    ) -> Result<(FileLayout, Zeroizing<Vec<u8>>), Error> {
        let stream = stream_of(sealed)?;
        let plain = self.open_plain(stream, 0, chunk)?;
        let size = Cursor::new("sealed file", &plain).u64()?;
        let layout = FileLayout::of_content(size).map_err(|_| MALFORMED)?;
        // FIL-4
        if layout.stream() != stream {
            return Err(Error::BadPadding);
        }
        Ok((layout, content_of(&layout, 0, &plain)?))
    }

    /// Opens one chunk, which may be any (FIL-4). A chunk of another file, from another place, cut
    /// off or changed does not open, nor does any chunk of a file that became longer or shorter.
    ///
    /// # Errors
    /// [`Error::Undecryptable`]; [`Error::BadPadding`] if the size inside is another, or the
    /// padding holds something; [`Error::Malformed`] if there is no such chunk.
    pub fn open_chunk(
        &self,
        layout: &FileLayout,
        chunk: u32,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let plain = self.open_plain(layout.stream(), chunk, sealed)?;
        content_of(layout, chunk, &plain)
    }

    /// Seals a whole file at once, for those that fit in memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest file.
    pub fn seal(&self, content: &[u8]) -> Result<Vec<u8>, Error> {
        let layout = FileLayout::of_content(content.len() as u64)?;
        let mut sealed = Vec::new();
        let mut rest = content;
        for chunk in 0..layout.chunks() {
            let range = layout.content_range(chunk)?;
            let size = usize::try_from(range.end - range.start).map_err(|_| MALFORMED)?;
            let (piece, behind) = rest.split_at_checked(size).ok_or(MALFORMED)?;
            sealed.extend(self.seal_chunk(&layout, chunk, piece)?);
            rest = behind;
        }
        Ok(sealed)
    }

    /// Opens a whole file at once.
    ///
    /// # Errors
    /// As [`FileKey::open_first`].
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let size = BlobSize::new(sealed.len() as u64);
        stream_of(size)?;
        let mut pieces = sealed.chunks(restante_spec::limits::FILE_CHUNK_BYTES);
        let first = pieces.next().unwrap_or_default();
        let (layout, first) = self.open_first(size, first)?;
        let whole = usize::try_from(layout.content_size()).map_err(|_| MALFORMED)?;
        let mut content = Zeroizing::new(Vec::with_capacity(whole));
        content.extend_from_slice(&first);
        for (chunk, piece) in (1..).zip(pieces) {
            content.extend_from_slice(&self.open_chunk(&layout, chunk, piece)?);
        }
        Ok(content)
    }

    /// Seals the only chunk of a stream that may be none (tests and vectors).
    #[cfg(any(test, feature = "vectors"))]
    pub(crate) fn seal_stream(&self, stream: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, associated) = place(stream.len() as u64, 0);
        self.0.seal(&nonce, &associated, stream)
    }

    fn open_plain(
        &self,
        stream: u64,
        chunk: u32,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let range = stream_range(stream, chunk)?;
        let (nonce, associated) = place(stream, chunk);
        // FIL-3
        let plain = self.0.open(&nonce, &associated, sealed)?;
        let fits = u64::try_from(plain.len()) == Ok(range.end - range.start);
        if fits { Ok(plain) } else { Err(MALFORMED) }
    }
}

/// Nonce and associated data of a chunk (FIL-3).
fn place(stream: u64, chunk: u32) -> ([u8; NONCE], Vec<u8>) {
    let mut nonce = [0; NONCE];
    let last = u8::from(chunk + 1 == chunks(stream));
    let tail = chunk.to_be_bytes().into_iter().chain([last]);
    nonce.iter_mut().rev().zip(tail.rev()).for_each(|(to, from)| *to = from);
    let size = sealed_size(stream).get().to_be_bytes();
    (nonce, [Label::FILE.as_bytes(), &size].concat())
}

/// The content of an opened chunk, once size and padding are as they must be (FIL-4).
fn content_of(layout: &FileLayout, chunk: u32, plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut cursor = Cursor::new("sealed file", plain);
    if chunk == 0 && cursor.u64()? != layout.content_size() {
        return Err(Error::BadPadding);
    }
    let range = layout.content_range(chunk)?;
    let size = usize::try_from(range.end - range.start).map_err(|_| MALFORMED)?;
    let content = cursor.slice(size)?;
    // FIL-4
    if cursor.rest().iter().any(|&byte| byte != 0) {
        return Err(Error::BadPadding);
    }
    Ok(Zeroizing::new(content.to_vec()))
}
