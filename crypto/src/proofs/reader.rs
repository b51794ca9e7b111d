//! How a relay knows a reader: by the SHA-256 of its secret, which says nothing else.

use restante_spec::ids::{ReaderHash, ReaderSecret};

use crate::error::Error;
use crate::random::random_secret;
use crate::signing::sha256;

/// A new reader secret from the system's randomness.
///
/// # Errors
/// [`Error::Randomness`] if the system has none.
pub fn generate_reader() -> Result<ReaderSecret, Error> {
    Ok(ReaderSecret::new(*random_secret()?))
}

/// SHA-256 of a reader's secret: what a relay stores and what commits add and strike.
#[must_use]
pub fn reader_hash(secret: &ReaderSecret) -> ReaderHash {
    ReaderHash::new(sha256(&[secret.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash is plain SHA-256 (FIPS 180-4), without label: its input is random and of one size.
    #[test]
    fn hash_is_of_the_bare_secret() {
        let hash = reader_hash(&ReaderSecret::new([0; 16]));
        assert_eq!(hash.as_bytes()[..4], [0x37, 0x47, 0x08, 0xff]);
        let (a, b) = (generate_reader().unwrap(), generate_reader().unwrap());
        assert_ne!(reader_hash(&a), reader_hash(&b));
    }
}
