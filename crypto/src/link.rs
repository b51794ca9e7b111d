//! The form all links have: the relay's address, a mark that tells the kind and its version, and
//! bytes in base64url without padding. What the bytes say is not known here.

use data_encoding::BASE64URL_NOPAD;
use restante_spec::address::RelayAddress;
use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;

/// One kind of link.
pub(crate) struct LinkForm {
    pub(crate) what: &'static str,
    pub(crate) mark: &'static str,
    /// Characters it may have.
    pub(crate) max: usize,
}

impl LinkForm {
    /// The text of a link. A secret: wiped when dropped.
    pub(crate) fn write(&self, relay: &RelayAddress, parts: &[&[u8]]) -> Zeroizing<String> {
        let bytes = Zeroizing::new(parts.concat());
        let mut coded = BASE64URL_NOPAD.encode(&bytes);
        let link = Zeroizing::new(format!("{relay}{}{coded}", self.mark));
        coded.zeroize();
        link
    }

    /// Address and bytes of a link. Who reads the bytes writes the link again and
    /// [compares](Self::check): an address can be written in more than one way.
    pub(crate) fn read(&self, link: &str) -> Result<(RelayAddress, Zeroizing<Vec<u8>>), Error> {
        let (relay, coded) = link.split_once(self.mark).ok_or(self.malformed())?;
        let relay = relay.parse().map_err(|_| self.malformed())?;
        let bytes = BASE64URL_NOPAD.decode(coded.as_bytes()).map_err(|_| self.malformed())?;
        Ok((relay, Zeroizing::new(bytes)))
    }

    /// Whether a link that was read is exactly what would be written.
    pub(crate) fn check(&self, read: &str, written: &str) -> Result<(), Error> {
        if read == written { Ok(()) } else { Err(self.malformed()) }
    }

    /// Whether a link is not too long.
    pub(crate) const fn check_size(&self, link: &str) -> Result<(), Error> {
        if link.len() > self.max {
            return Err(Error::TooLarge { what: self.what, size: link.len(), max: self.max });
        }
        Ok(())
    }

    const fn malformed(&self) -> Error {
        Error::Malformed { what: self.what }
    }
}
