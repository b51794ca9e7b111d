//! A device's key: it signs records, letters, MLS messages, and the key letters are sealed to.

use std::fmt;

use restante_spec::ids::{PublicKey, Signature, UnixTime};
use zeroize::Zeroizing;

use crate::codec::Cursor;
use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};
use crate::xwing::KemPublic;

/// The secret key of a device. It never leaves the device.
#[derive(Debug)]
pub struct DeviceKey(SigningKey);

/// A device's letter key under the device's signature (IDN-8).
///
/// Layout: created (8 bytes), X-Wing key (1,216), signature (64) over label, device key (32) and
/// the bytes before it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedLetterKey {
    created: UnixTime,
    key: KemPublic,
    signature: Signature,
}

impl DeviceKey {
    /// A new device.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        SigningKey::generate().map(Self)
    }

    /// The device that belongs to a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_seed(seed))
    }

    /// The seed, for an encrypted store. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed()
    }

    /// The public half: what a certificate names.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// Signs the key letters to this device are sealed to (IDN-8); replaced every 30 days.
    #[must_use]
    pub fn sign_letter_key(&self, key: &KemPublic, created: UnixTime) -> SignedLetterKey {
        let device = self.public();
        let parts: [&[u8]; 3] = [device.as_bytes(), &created.get().to_be_bytes(), key.as_bytes()];
        let signature = self.0.sign(Label::LETTER_KEY, &parts);
        SignedLetterKey { created, key: key.clone(), signature }
    }

    /// The key for other signatures of this crate, each under its own label.
    pub(crate) const fn signing(&self) -> &SigningKey {
        &self.0
    }
}

impl SignedLetterKey {
    /// Size of the layout in bytes.
    pub(crate) const SIZE: usize = 8 + KemPublic::SIZE + Signature::SIZE;

    /// Reads the key and checks that `device` signed it (IDN-8).
    pub(crate) fn parse(device: &PublicKey, bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new("letter key", bytes);
        let created = UnixTime::new(cursor.u64()?);
        let key = cursor.slice(KemPublic::SIZE)?;
        let signature = Signature::new(cursor.array()?);
        cursor.finish()?;
        let parts: [&[u8]; 3] = [device.as_bytes(), &created.get().to_be_bytes(), key];
        // IDN-8
        verify(device, Label::LETTER_KEY, &parts, &signature)?;
        Ok(Self { created, key: KemPublic::from_slice(key)?, signature })
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.created.get().to_be_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(self.signature.as_bytes());
    }

    /// The key letters are sealed to.
    #[must_use]
    pub const fn key(&self) -> &KemPublic {
        &self.key
    }

    /// When the device made it, by its own clock.
    #[must_use]
    pub const fn created(&self) -> UnixTime {
        self.created
    }
}

impl fmt::Debug for SignedLetterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedLetterKey(..)")
    }
}
