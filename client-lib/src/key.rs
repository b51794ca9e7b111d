//! The key a store is encrypted with: given, random, or from a passphrase.
//!
//! Knows Argon2id and the salt file beside the store; must not know the store.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::home::{io_error, write_once};
use crate::limits::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES};

/// The file beside the store that holds the salt of the passphrase.
const SALT_FILE: &str = "salt";
/// Layout: bytes of the salt.
const SALT_BYTES: usize = 16;

/// 32 bytes that open a store. Wiped when dropped, shows nothing in `Debug`.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// A key kept elsewhere: a keyring, a key file.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new key; keep [`StoreKey::as_bytes`] where only this person can read them.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the system has no randomness.
    pub fn random() -> Result<Self, Error> {
        Ok(Self(restante_crypto::random_secret()?))
    }

    /// The key that belongs to a passphrase in this home: Argon2id (RFC 9106) with a salt that is
    /// made beside the store at the first time. Takes a good part of a second, on purpose.
    ///
    /// # Errors
    /// [`Error::Storage`] if the salt can be neither read nor made.
    pub fn from_passphrase(home: &Path, passphrase: &str) -> Result<Self, Error> {
        let salt = salt_of(home)?;
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32))
            .map_err(|_| Error::Damaged("the cost of the passphrase"))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut())
            .map_err(|_| Error::Damaged("the salt beside the store"))?;
        Ok(Self(key))
    }

    /// The bytes, to keep them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

fn salt_of(home: &Path) -> Result<[u8; SALT_BYTES], Error> {
    if let Some(salt) = read_salt(home)? {
        return Ok(salt);
    }
    write_once(home, SALT_FILE, &restante_crypto::random_bytes::<SALT_BYTES>()?)?;
    read_salt(home)?.ok_or(Error::Damaged("the salt beside the store is gone"))
}

fn read_salt(home: &Path) -> Result<Option<[u8; SALT_BYTES]>, Error> {
    match fs::read(home.join(SALT_FILE)) {
        Ok(salt) => salt
            .try_into()
            .map(Some)
            .map_err(|_| Error::Damaged("the salt beside the store has another size")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read the salt", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same passphrase opens the same home again; another passphrase or home does not.
    #[test]
    fn passphrase_gives_one_key_per_home() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = |home: &Path, words| *StoreKey::from_passphrase(home, words).unwrap().as_bytes();
        assert_eq!(key(a.path(), "correct horse"), key(a.path(), "correct horse"));
        assert_ne!(key(a.path(), "correct horse"), key(a.path(), "wrong horse"));
        assert_ne!(key(a.path(), "correct horse"), key(b.path(), "correct horse"));
    }

    /// A key shows nothing.
    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", StoreKey::from_bytes([7; 32])), "StoreKey(..)");
    }
}
