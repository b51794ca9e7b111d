//! What opens a recovery file, and how it becomes 32 bytes (REV-2, REV-3).

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use restante_spec::limits::PASSPHRASE_BYTES;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::header::{Cost, RecoveryKind};
use super::words::RecoveryWords;
use crate::error::Error;

/// What a person has to open a recovery file. Shows nothing in `Debug`.
#[derive(Clone, Copy)]
pub enum RecoverySecret<'a> {
    /// 24 words that the program made.
    Words(&'a RecoveryWords),
    /// A passphrase that the person chose.
    Passphrase(&'a str),
}

impl RecoverySecret<'_> {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> RecoveryKind {
        match self {
            Self::Words(_) => RecoveryKind::Words,
            Self::Passphrase(_) => RecoveryKind::Passphrase,
        }
    }

    /// 32 bytes. For a passphrase it takes a good part of a second, on purpose.
    pub(super) fn stretch(
        &self,
        salt: &[u8; 32],
        cost: Option<Cost>,
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        match (self, cost) {
            (Self::Words(words), None) => Ok(words.entropy().clone()),
            (Self::Passphrase(passphrase), Some(cost)) => argon2id(passphrase, salt, cost),
            (Self::Words(_), Some(_)) | (Self::Passphrase(_), None) => Err(Error::WrongSecret),
        }
    }
}

fn argon2id(passphrase: &str, salt: &[u8; 32], cost: Cost) -> Result<Zeroizing<[u8; 32]>, Error> {
    let (what, size, max) = ("the passphrase", passphrase.len(), PASSPHRASE_BYTES);
    if size == 0 {
        return Err(Error::Malformed { what });
    }
    if size > max {
        return Err(Error::TooLarge { what, size, max });
    }
    // One form for what looks the same: keyboards differ. Room for the longest form, so that no
    // copy stays behind.
    let mut typed = Zeroizing::new(String::with_capacity(PASSPHRASE_BYTES * NFKC_GROWTH));
    typed.extend(passphrase.nfkc());
    let malformed = |_| Error::Malformed { what: "cost of a recovery file" };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32));
    let mut secret = Zeroizing::new([0; 32]);
    // REV-3
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(malformed)?)
        .hash_password_into(typed.as_bytes(), salt, secret.as_mut())
        .map_err(malformed)?;
    Ok(secret)
}

/// Layout: how much longer UTF-8 can become by NFKC (UAX 15, section 9).
const NFKC_GROWTH: usize = 11;

impl fmt::Debug for RecoverySecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoverySecret({:?})", self.kind())
    }
}
