//! An account is an Ed25519 key. It certifies devices and signs their list, and nothing else.

use std::fmt;

use restante_spec::ids::{PublicKey, UnixTime};
use zeroize::Zeroizing;

use super::certificate::{DeviceCertificate, DeviceNumber};
use super::device::SignedLetterKey;
use super::list::DeviceList;
use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, sha256};

/// An account, named by its public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(PublicKey);

/// The first 16 bytes of an account's hash: enough to recognise it, in an invite (IDN-9).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// The secret key of an account. It lives on the first device and in the recovery file.
#[derive(Debug)]
pub struct AccountKey(SigningKey);

impl AccountKey {
    /// A new account.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        SigningKey::generate().map(Self)
    }

    /// The account that belongs to a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_seed(seed))
    }

    /// The seed, for an encrypted store. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed()
    }

    /// The account's name: its public key.
    #[must_use]
    pub fn id(&self) -> AccountId {
        AccountId(self.0.public())
    }

    /// Certifies a device (IDN-3). A number is never given twice (IDN-4).
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a label above the limit.
    pub fn certify(
        &self,
        device: &PublicKey,
        number: DeviceNumber,
        created: UnixTime,
        label: &str,
    ) -> Result<DeviceCertificate, Error> {
        DeviceCertificate::sign(&self.0, device, number, created, label)
    }

    /// Signs the list of devices (IDN-5); each change raises the version (IDN-7).
    ///
    /// # Errors
    /// [`Error::Malformed`] for a list that breaks IDN-4 or a device of another account,
    /// [`Error::TooLarge`] above IDN-6.
    pub fn sign_list(
        &self,
        version: u64,
        devices: &[(DeviceCertificate, SignedLetterKey)],
    ) -> Result<DeviceList, Error> {
        DeviceList::sign(&self.0, version, devices)
    }
}

impl AccountId {
    /// The account with this public key.
    #[must_use]
    pub const fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// Its public key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }

    /// The 32 bytes of its public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// How an invite names it (IDN-9).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        // IDN-9
        let hash = sha256(&[Label::FINGERPRINT.as_bytes(), self.as_bytes()]);
        let mut head = [0; 16];
        head.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Fingerprint(head)
    }
}

impl Fingerprint {
    /// Wraps the bytes of an invite.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountId(..)")
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IDN-9: the fingerprint is of the labelled key, and keys do not show in `Debug`.
    #[test]
    fn fingerprint_is_half_a_labelled_hash() {
        let key = AccountKey::from_seed(&[1; 32]);
        let hash = sha256(&[b"restante account fingerprint v1\0", key.id().as_bytes()]);
        assert_eq!(key.id().fingerprint().as_bytes()[..], hash[..16]);
        assert_eq!(format!("{key:?} {:?}", key.id()), "AccountKey(SigningKey(..)) AccountId(..)");
    }
}
