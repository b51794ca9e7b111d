//! How a relay knows a token it has given: by a hash, from which nobody makes the token (ADM-1).

use restante_spec::ids::TokenHash;
use restante_spec::token::AdmissionToken;

use crate::error::Error;
use crate::labels::Label;
use crate::random::random_secret;
use crate::signing::sha256;

/// A new token from the system's randomness.
///
/// # Errors
/// [`Error::Randomness`] if the system has none.
pub fn generate_token() -> Result<AdmissionToken, Error> {
    Ok(AdmissionToken::new(*random_secret()?))
}

/// What a relay keeps of a token. Plain SHA-256 (FIPS 180-4) is enough: tokens are random, so none
/// can be found by trying.
#[must_use]
pub fn token_hash(token: &AdmissionToken) -> TokenHash {
    // ADM-1
    TokenHash::new(sha256(&[Label::TOKEN.as_bytes(), token.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ADM-1: the hash is of the label and the token, and no two tokens are alike.
    #[test]
    fn a_token_is_kept_as_its_hash() {
        let hash = token_hash(&AdmissionToken::new([0x77; 16]));
        let by_hand = sha256(&[b"restante token v1\0", &[0x77; 16]]);
        assert_eq!(hash.as_bytes(), &by_hand);
        assert_ne!(generate_token().unwrap(), generate_token().unwrap());
    }
}
