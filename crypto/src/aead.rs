//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) and HKDF-SHA-256 (RFC 5869): how anything is
//! sealed.
//!
//! Knows keys, nonces and labels; must not know what is sealed.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::labels::Label;

/// A symmetric key, 32 bytes. Wiped when dropped.
pub(crate) struct SealKey(Zeroizing<[u8; 32]>);

/// Bytes a random nonce takes before the ciphertext.
pub(crate) const NONCE: usize = 24;
/// Bytes the authenticator takes behind the ciphertext.
pub(crate) const TAG: usize = 16;

impl SealKey {
    /// Wraps 32 bytes that came from a KDF or out of a sealed slot.
    pub(crate) const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// HKDF without salt: `info` is the label followed by the context.
    pub(crate) fn derive(
        secret: &[u8; 32],
        label: Label,
        context: &[&[u8]],
    ) -> Result<Self, Error> {
        let info: Vec<&[u8]> =
            std::iter::once(label.as_bytes()).chain(context.iter().copied()).collect();
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret)
            .expand_multi_info(&info, key.as_mut())
            .map_err(|_| Error::Internal { what: "hkdf refused 32 bytes" })?;
        Ok(Self(key))
    }

    /// The bytes, to be sealed or used as a seed.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Ciphertext and tag. A nonce must never be used twice with one key.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let payload = Payload { msg: plaintext, aad: associated };
        self.cipher()
            .encrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| Error::Internal { what: "the cipher refused to seal" })
    }

    /// The plaintext, if key, nonce, associated data and ciphertext belong together.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Error::Undecryptable)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.as_bytes().into())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The cipher's own vector (draft-irtf-cfrg-xchacha-03, appendix A.3.1).
    #[test]
    fn draft_vector_is_met() {
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let aad = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let key = SealKey::new(Zeroizing::new(key.try_into().unwrap()));
        let nonce = nonce.try_into().unwrap();
        let sealed = key.seal(&nonce, &aad, text).unwrap();
        assert_eq!(HEXLOWER.encode(&sealed[text.len()..]), "c0875924c1c7987947deafd8780acf49");
        assert_eq!(key.open(&nonce, &aad, &sealed).unwrap()[..], text[..]);
        assert_eq!(key.open(&nonce, b"", &sealed).err(), Some(Error::Undecryptable));
        assert_eq!(format!("{key:?}"), "SealKey(..)");
    }
}
