//! Ed25519 (RFC 8032) under a domain label: the only signatures there are.
//!
//! Knows keys and labels; must not know what is signed. Verification is strict: keys and points of
//! small order and non-canonical encodings are refused, so that a signature has one reading.

use std::fmt;

use ed25519_dalek::Signer;
use restante_spec::ids::{PublicKey, Signature};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::labels::Label;
use crate::random::random_secret;

/// An Ed25519 secret key. Wiped when dropped, shows nothing in `Debug`.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::from_seed(&*random_secret()?))
    }

    /// The key that belongs to a 32-byte seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, to be kept in an encrypted store and nowhere else. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.0.verifying_key().to_bytes())
    }

    /// Signs the label followed by the parts, joined without separators: each part but the last
    /// must have a fixed size.
    pub(crate) fn sign(&self, label: Label, parts: &[&[u8]]) -> Signature {
        Signature::new(self.0.sign(&message(label, parts)).to_bytes())
    }

    /// Signs bytes whose domain another standard separates: MLS.
    #[cfg(feature = "e2e")]
    pub(crate) fn sign_unlabelled(&self, message: &[u8]) -> Signature {
        Signature::new(self.0.sign(message).to_bytes())
    }
}

impl ConstantTimeEq for SigningKey {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Checks a signature over the label followed by the parts, strictly (IDN-2).
pub(crate) fn verify(
    key: &PublicKey,
    label: Label,
    parts: &[&[u8]],
    signature: &Signature,
) -> Result<(), Error> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| Error::BadKey)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    // IDN-2
    key.verify_strict(&message(label, parts), &signature).map_err(|_| Error::BadSignature)
}

/// SHA-256 (FIPS 180-4) of the parts, joined.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn message(label: Label, parts: &[&[u8]]) -> Vec<u8> {
    let size = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(label.as_bytes().len() + size);
    message.extend_from_slice(label.as_bytes());
    for part in parts {
        message.extend_from_slice(part);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 section 7.1, test 1: seed and public key belong together.
    #[test]
    fn public_key_follows_the_standard() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SigningKey::from_seed(&seed);
        assert_eq!(key.public().as_bytes()[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(*key.seed(), seed);
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    /// IDN-1: a signature under one label is none under another.
    #[test]
    fn signature_holds_under_its_label_only() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign(Label::OPEN, &[b"a", b"b"]);
        assert_eq!(verify(&key.public(), Label::OPEN, &[b"ab"], &signature), Ok(()));
        let other = verify(&key.public(), Label::POSSESSION, &[b"ab"], &signature);
        assert_eq!(other, Err(Error::BadSignature));
    }

    /// IDN-2: the neutral element as key would accept a signature over anything.
    #[test]
    fn key_of_small_order_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        let checked =
            verify(&PublicKey::new(neutral), Label::OPEN, &[b"x"], &Signature::new(forged));
        assert_eq!(checked, Err(Error::BadSignature));
    }
}
