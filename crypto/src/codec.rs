//! A cursor over fixed binary layouts: big endian, no optional parts, nothing left over.
//!
//! Knows sizes; must not know what the fields mean.

use crate::error::Error;

/// Reads one layout from its first byte to its last.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Begins to read `what`.
    pub(crate) const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// The next `size` bytes.
    pub(crate) fn slice(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(size).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes, big endian.
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, big endian.
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big endian.
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// UTF-8 behind one byte of length, at most `max` bytes.
    pub(crate) fn text(&mut self, max: usize) -> Result<&'a str, Error> {
        let size = usize::from(self.u8()?);
        if size > max {
            return Err(self.malformed());
        }
        std::str::from_utf8(self.slice(size)?).map_err(|_| self.malformed())
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    /// The error for bytes that do not fit.
    pub(crate) const fn malformed(&self) -> Error {
        Error::Malformed { what: self.what }
    }
}

/// Appends UTF-8 behind one byte of length.
pub(crate) fn put_text(
    out: &mut Vec<u8>,
    what: &'static str,
    text: &str,
    max: usize,
) -> Result<(), Error> {
    let size = text.len();
    let too_large = Error::TooLarge { what, size, max };
    if size > max {
        return Err(too_large);
    }
    out.push(u8::try_from(size).map_err(|_| too_large)?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
