//! The address of a relay: `restante://KEY@host:port`, which pins the relay's identity key (TRN-3).
//!
//! Knows the text form; must not know sockets.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use crate::ids::PublicKey;

/// Where a relay is and who it must prove to be.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelayAddress {
    identity: PublicKey,
    host: String,
    port: u16,
}

/// The text is not a relay's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin with `restante://`.
    #[error("an address begins with restante://")]
    Scheme,
    /// There is no key of 43 base64url characters before the `@`.
    #[error("the key before the @ must be 43 characters of base64url")]
    Key,
    /// The host is missing, too long, or has characters no host has.
    #[error("the host after the @ is missing or malformed")]
    Host,
    /// The port is missing or not between 1 and 65535.
    #[error("the port must be a number between 1 and 65535")]
    Port,
}

/// The scheme of addresses.
const SCHEME: &str = "restante://";
/// Longest host name (RFC 1035 section 2.3.4).
const HOST_CHARS: usize = 253;

impl RelayAddress {
    /// An address from its parts.
    ///
    /// # Errors
    /// [`AddressError::Host`] or [`AddressError::Port`] for parts that have no text form.
    pub fn new(identity: PublicKey, host: &str, port: u16) -> Result<Self, AddressError> {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let host_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > HOST_CHARS || !host.chars().all(host_char) {
            return Err(AddressError::Host);
        }
        if port == 0 {
            return Err(AddressError::Port);
        }
        Ok(Self { identity, host: host.to_owned(), port })
    }

    /// The relay's identity key.
    #[must_use]
    pub const fn identity(&self) -> &PublicKey {
        &self.identity
    }

    /// Host name or IP address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for RelayAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(AddressError::Scheme)?;
        let (key, place) = rest.split_once('@').ok_or(AddressError::Key)?;
        let key = BASE64URL_NOPAD.decode(key.as_bytes()).map_err(|_| AddressError::Key)?;
        let identity = PublicKey::from_slice(&key).ok_or(AddressError::Key)?;
        let (host, port) = place.rsplit_once(':').ok_or(AddressError::Port)?;
        let number: u16 = port.parse().map_err(|_| AddressError::Port)?;
        // TRN-3: an address has one form, so that two that differ are two.
        if number.to_string() != port {
            return Err(AddressError::Port);
        }
        if host.contains(':') != (host.starts_with('[') && host.ends_with(']')) {
            return Err(AddressError::Host);
        }
        Self::new(identity, host, number)
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64URL_NOPAD.encode(self.identity.as_bytes());
        if self.host.contains(':') {
            write!(f, "{SCHEME}{key}@[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{SCHEME}{key}@{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayAddress(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-3: the text form is read back as it was written, for names, IPv4 and IPv6.
    #[test]
    fn text_form_round_trips() {
        for host in ["relay.example.org", "127.0.0.1", "::1"] {
            let address = RelayAddress::new(PublicKey::new([7; 32]), host, 7443).unwrap();
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    /// TRN-3: what is not an address is refused with the part that is wrong.
    #[test]
    fn malformed_addresses_are_refused() {
        let key = BASE64URL_NOPAD.encode(&[7; 32]);
        let cases = [
            ("http://x".to_owned(), AddressError::Scheme),
            ("restante://short@h:1".to_owned(), AddressError::Key),
            (format!("restante://{key}@:7443"), AddressError::Host),
            (format!("restante://{key}@a b:7443"), AddressError::Host),
            (format!("restante://{key}@::1:7443"), AddressError::Host),
            (format!("restante://{key}@[host]:7443"), AddressError::Host),
            (format!("restante://{key}@host"), AddressError::Port),
            (format!("restante://{key}@host:+7443"), AddressError::Port),
            (format!("restante://{key}@host:07443"), AddressError::Port),
            (format!("restante://{key}@host:0"), AddressError::Port),
            (format!("restante://{key}@host:70000"), AddressError::Port),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<RelayAddress>(), Err(expected), "{text}");
        }
    }
}
