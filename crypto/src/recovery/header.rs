//! The header of a recovery file, and the keys that follow from it and the secret.
//!
//! Layout (REV-1): "restante" (8), version (1), kind (1), memory in KiB (4), passes (4), lanes (4),
//! salt (32), check (16), the first 8 bytes of SHA-256 over what is before.

use std::io::Read;

use restante_spec::limits::{
    RECOVERY_LANES, RECOVERY_MEMORY_KIB, RECOVERY_MEMORY_MAX_KIB, RECOVERY_PASSES,
    RECOVERY_PASSES_MAX,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::secret::RecoverySecret;
use crate::aead::SealKey;
use crate::codec::Cursor;
use crate::error::Error;
use crate::file::FileKey;
use crate::labels::Label;
use crate::random::random_bytes;
use crate::signing::sha256;

/// The header of a recovery file: what must be asked for, and what it costs to try it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryHeader {
    cost: Option<Cost>,
    salt: [u8; 32],
    check: [u8; CHECK],
}

/// What opens a recovery file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryKind {
    /// 24 words (REV-2).
    Words,
    /// A passphrase (REV-3).
    Passphrase,
}

/// The key of one recovery file, from which its segments' follow (REV-4). Wiped when dropped.
#[derive(Debug)]
pub struct RecoveryKey {
    secret: SealKey,
    /// The header up to the salt.
    bound: [u8; BOUND],
}

/// The cost of trying a passphrase: the parameters of Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

// Layout: the first bytes of the file and its version.
const MAGIC: &[u8; 8] = b"restante";
const VERSION: u8 = 1;
// Layout: kinds.
const WORDS: u8 = 1;
const PASSPHRASE: u8 = 2;
/// Layout: bytes of the check.
const CHECK: usize = 16;
/// Layout: bytes of the header up to the salt's end.
const BOUND: usize = 54;
/// Layout: bytes of the checksum.
const SUM: usize = 8;
/// Layout: bytes of the header.
pub(super) const HEADER: usize = BOUND + CHECK + SUM;

impl RecoveryHeader {
    /// Reads the header from the beginning of a file (REV-1).
    ///
    /// # Errors
    /// [`Error::Malformed`] for another file or a damaged header, [`Error::Unsupported`] for a
    /// newer version, [`Error::TooLarge`] for one that asks for more memory or passes than REV-3
    /// allows, [`Error::Io`].
    pub fn read(mut from: impl Read) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(HEADER);
        from.by_ref().take(HEADER as u64).read_to_end(&mut bytes)?;
        let malformed = |_| Error::Malformed { what: "recovery file" };
        Self::parse(&bytes.try_into().map_err(malformed)?)
    }

    fn parse(bytes: &[u8; HEADER]) -> Result<Self, Error> {
        let mut cursor = Cursor::new("recovery file", bytes);
        if cursor.array()? != *MAGIC {
            return Err(cursor.malformed());
        }
        // REV-1
        if cursor.u8()? != VERSION {
            return Err(Error::Unsupported { what: "version of the recovery file" });
        }
        let (before, sum) = bytes.split_at(HEADER - SUM);
        if !sha256(&[before]).starts_with(sum) {
            return Err(Error::Malformed { what: "header of the recovery file" });
        }
        let kind = cursor.u8()?;
        let cost = Cost { memory_kib: cursor.u32()?, passes: cursor.u32()?, lanes: cursor.u32()? };
        let cost = match (kind, cost) {
            (WORDS, Cost { memory_kib: 0, passes: 0, lanes: 0 }) => None,
            (WORDS, _) => return Err(cursor.malformed()),
            (PASSPHRASE, cost) => Some(cost.checked()?),
            _ => return Err(Error::Unsupported { what: "kind of recovery file" }),
        };
        Ok(Self { cost, salt: cursor.array()?, check: cursor.array()? })
    }

    /// What must be asked for.
    #[must_use]
    pub const fn kind(&self) -> RecoveryKind {
        if self.cost.is_some() { RecoveryKind::Passphrase } else { RecoveryKind::Words }
    }

    /// The key, if the secret is the right one (REV-4). A passphrase takes a good part of a second.
    ///
    /// # Errors
    /// [`Error::WrongSecret`]; [`Error::Malformed`] or [`Error::TooLarge`] for a passphrase of no
    /// size, or a cost that Argon2id does not have.
    pub fn unlock(&self, secret: &RecoverySecret<'_>) -> Result<RecoveryKey, Error> {
        let secret = SealKey::new(secret.stretch(&self.salt, self.cost)?);
        let key = RecoveryKey { secret, bound: self.bound() };
        // REV-4
        let right: bool = key.check()?.ct_eq(&self.check).into();
        if right { Ok(key) } else { Err(Error::WrongSecret) }
    }

    /// The header and the key of a new file.
    pub(super) fn create(secret: &RecoverySecret<'_>) -> Result<(Self, RecoveryKey), Error> {
        Self::create_with(secret, Cost::DEFAULT, random_bytes()?)
    }

    pub(crate) fn create_with(
        secret: &RecoverySecret<'_>,
        cost: Cost,
        salt: [u8; 32],
    ) -> Result<(Self, RecoveryKey), Error> {
        let cost = matches!(secret.kind(), RecoveryKind::Passphrase).then_some(cost);
        let mut header = Self { cost, salt, check: [0; CHECK] };
        let secret = SealKey::new(secret.stretch(&salt, cost)?);
        let key = RecoveryKey { secret, bound: header.bound() };
        header.check = key.check()?;
        Ok((header, key))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [&self.bound()[..], &self.check].concat();
        let sum = sha256(&[&bytes]);
        bytes.extend(sum.into_iter().take(SUM));
        bytes
    }

    /// The header up to the salt: what keys are bound to.
    fn bound(&self) -> [u8; BOUND] {
        let kind = if self.cost.is_some() { PASSPHRASE } else { WORDS };
        let cost = self.cost.unwrap_or(Cost { memory_kib: 0, passes: 0, lanes: 0 });
        let numbers = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_be_bytes);
        let head = MAGIC.iter().copied().chain([VERSION, kind]);
        let all = head.chain(numbers.into_iter().flatten()).chain(self.salt);
        let mut bound = [0; BOUND];
        bound.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bound
    }
}

impl RecoveryKey {
    /// The key of one segment: another for each place, and for the last one (REV-4).
    pub(super) fn segment(&self, number: u32, last: bool) -> Result<FileKey, Error> {
        // REV-4
        let place: [&[u8]; 3] = [&self.bound, &number.to_be_bytes(), &[u8::from(last)]];
        let key = SealKey::derive(self.secret.as_bytes(), Label::RECOVERY_SEGMENT, &place)?;
        Ok(FileKey::new(Zeroizing::new(*key.as_bytes())))
    }

    /// What a header holds to tell a wrong secret from a damaged file.
    fn check(&self) -> Result<[u8; CHECK], Error> {
        let key = SealKey::derive(self.secret.as_bytes(), Label::RECOVERY_CHECK, &[&self.bound])?;
        let mut check = [0; CHECK];
        check.iter_mut().zip(key.as_bytes()).for_each(|(to, from)| *to = *from);
        Ok(check)
    }
}

impl Cost {
    /// What new files ask for (REV-3).
    pub(super) const DEFAULT: Self =
        Self { memory_kib: RECOVERY_MEMORY_KIB, passes: RECOVERY_PASSES, lanes: RECOVERY_LANES };

    /// A file cannot make its reader spend memory or time without bound (REV-3).
    fn checked(self) -> Result<Self, Error> {
        // REV-3
        for (what, size, max) in [
            ("memory of the recovery file", self.memory_kib, RECOVERY_MEMORY_MAX_KIB),
            ("number of passes of the recovery file", self.passes, RECOVERY_PASSES_MAX),
            ("number of lanes of the recovery file", self.lanes, RECOVERY_PASSES_MAX),
        ] {
            if size > max {
                let number = |n| usize::try_from(n).unwrap_or(usize::MAX);
                return Err(Error::TooLarge { what, size: number(size), max: number(max) });
            }
        }
        Ok(self)
    }
}
