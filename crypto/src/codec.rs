//! A cursor over fixed binary layouts: big endian, no optional parts, nothing left over.
//!
//! Knows sizes; must not know what the fields mean.

use restante_spec::text::misleads;

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

    /// A name: UTF-8 behind one byte of length, at most `max` bytes, shown as what it is.
    pub(crate) fn name(&mut self, max: usize) -> Result<&'a str, Error> {
        let size = usize::from(self.u8()?);
        if size > max {
            return Err(self.malformed());
        }
        let name = std::str::from_utf8(self.slice(size)?).map_err(|_| self.malformed())?;
        // CNT-5
        if misleads(name) { Err(self.malformed()) } else { Ok(name) }
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

/// Appends a name as [`Cursor::name`] reads it.
pub(crate) fn put_name(
    out: &mut Vec<u8>,
    what: &'static str,
    name: &str,
    max: usize,
) -> Result<(), Error> {
    let size = name.len();
    let too_large = Error::TooLarge { what, size, max };
    if size > max {
        return Err(too_large);
    }
    // CNT-5
    if misleads(name) {
        return Err(Error::Malformed { what });
    }
    out.push(u8::try_from(size).map_err(|_| too_large)?);
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CNT-5, IDN-3, INV-4, INV-6: what would be shown as something else than it is, is neither
    /// written nor read as a name; nor is what is too long.
    #[test]
    fn names_are_bounded_and_shown_as_what_they_are() {
        let read = |bytes: &[u8]| Cursor::new(WHAT, bytes).name(4).map(str::to_owned);
        for good in ["", "Anna", "\u{1f469}"] {
            let mut bytes = Vec::new();
            put_name(&mut bytes, WHAT, good, 4).unwrap();
            assert_eq!(read(&bytes), Ok(good.to_owned()));
        }
        for bad in ["a\nb", "\u{1b}[2J", "a\u{202e}", "five5"] {
            assert!(put_name(&mut Vec::new(), WHAT, bad, 4).is_err(), "{bad:?}");
            let bytes = [&[bad.len() as u8], bad.as_bytes()].concat();
            assert_eq!(read(&bytes), Err(Error::Malformed { what: WHAT }), "{bad:?}");
        }
    }

    const WHAT: &str = "name";
}
