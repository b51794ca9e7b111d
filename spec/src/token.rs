//! What admits a new mailbox where not everybody may make one (ADM-1), and its text form.
//!
//! Knows the text form, alone and behind a relay's address; must not know what a token pays for.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::address::{AddressError, RelayAddress};

/// A token of a relay's operator: 16 random bytes (LIM-26). Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AdmissionToken([u8; 16]);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 26 characters of base32")]
pub struct TokenError;

impl AdmissionToken {
    /// Layout: size in bytes (LIM-26).
    pub const SIZE: usize = 16;

    /// Wraps 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads exactly `SIZE` bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for `create` and for hashing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its text: 26 characters of base32 (RFC 4648) in lower case. Whoever reads it has it.
    #[must_use]
    pub fn reveal(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }
}

impl FromStr for AdmissionToken {
    type Err = TokenError;

    /// Reads the text in any case.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let bytes = BASE32_NOPAD.decode(text.trim().to_ascii_uppercase().as_bytes());
        bytes.ok().and_then(|bytes| Self::from_slice(&bytes)).ok_or(TokenError)
    }
}

impl fmt::Debug for AdmissionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdmissionToken(..)")
    }
}

/// Where a relay is, and what lets one in there: an address, and behind a slash a token if one is
/// needed (ADM-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The relay.
    pub address: RelayAddress,
    /// What its operator gave.
    pub token: Option<AdmissionToken>,
}

/// The text is no address, or what stands behind it is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntranceError {
    /// It begins with no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Behind the address stands something else.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Entrance {
    /// Its text. Whoever reads it has the token.
    #[must_use]
    pub fn reveal(&self) -> String {
        match &self.token {
            Some(token) => format!("{}/{}", self.address, token.reveal()),
            None => self.address.to_string(),
        }
    }
}

impl FromStr for Entrance {
    type Err = EntranceError;

    fn from_str(text: &str) -> Result<Self, EntranceError> {
        // The slashes of the scheme stand before the key, and base64url has none.
        let (address, token) = match text.trim().rsplit_once('/') {
            Some((address, token)) if !token.contains('@') => (address, Some(token.parse()?)),
            _ => (text, None),
        };
        Ok(Self { address: address.parse()?, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PublicKey;

    fn address(host: &str) -> RelayAddress {
        RelayAddress::new(PublicKey::new([7; 32]), host, 7443).unwrap()
    }

    /// ADM-2, LIM-26: the text is read back in any case; what is shorter or longer is none.
    #[test]
    fn a_token_has_a_text_of_one_length() {
        let token = AdmissionToken::new(*b"sixteen  letters");
        let text = token.reveal();
        assert_eq!(text, "onuxq5dfmvxcaidmmv2hizlsom");
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
        assert_eq!(format!("{text}a").parse::<AdmissionToken>(), Err(TokenError));
        assert_eq!(text[1..].parse::<AdmissionToken>(), Err(TokenError));
        assert_eq!("".parse::<AdmissionToken>(), Err(TokenError));
        assert_eq!(format!("{token:?}"), "AdmissionToken(..)");
    }

    /// ADM-2: an address is one with or without a token, whatever the host is.
    #[test]
    fn an_entrance_is_an_address_with_or_without_a_token() {
        for host in ["relay.example.org", "127.0.0.1", "::1"] {
            let address = address(host);
            let token = Some(AdmissionToken::new([7; 16]));
            let with = Entrance { address: address.clone(), token };
            assert_eq!(with.reveal().parse(), Ok(with.clone()));
            let without = Entrance { address, token: None };
            assert_eq!(without.reveal().parse(), Ok(without));
        }
        let text = format!("{}/short", address("h"));
        assert_eq!(text.parse::<Entrance>(), Err(EntranceError::Token(TokenError)));
        let wrong = "restante://h:1".parse::<Entrance>();
        assert!(matches!(wrong, Err(EntranceError::Token(_) | EntranceError::Address(_))));
    }
}
