//! Reading a letter: finding the slot, opening the body, checking who wrote it.

use std::fmt;

use restante_spec::ids::Signature;
use restante_spec::limits::LETTER_SLOTS;
use zeroize::Zeroizing;

use super::slot::SLOT;
use super::{HEADER, LetterPlace, Target, VERSION, WHAT, body_associated, context, slot};
use crate::aead::SealKey;
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::{AccountId, DeviceCertificate};
use crate::labels::Label;
use crate::padding::unpad;
use crate::signing::{sha256, verify};
use crate::xwing::KemSecret;

/// The keys of the reader, by what the letter was sealed to.
#[derive(Clone, Copy, Debug)]
pub enum LetterKeys<'a> {
    /// Letters to the account: its id, and this device's letter keys (the current one, and the one
    /// before it for as long as it is kept).
    Account(AccountId, &'a [&'a KemSecret]),
    /// Letters to an invite: the secret kept with it.
    Invite(&'a KemSecret),
}

/// A letter whose sender was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedLetter {
    /// Who wrote it. Whether the device is still one of its account's, the device list tells.
    pub sender: DeviceCertificate,
    /// The letter's number; see [`LettersTaken::take`].
    pub number: u64,
    /// What it says. Wiped when dropped.
    pub content: Zeroizing<Vec<u8>>,
}

/// Which letters of a device were taken: the highest number, and which of the 63 below it (LET-6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersTaken {
    last: u64,
    /// The lowest bit is the highest number's.
    bits: u64,
}

/// Layout: the numbers that are known one by one.
const BITS: u64 = 64;

impl OpenedLetter {
    /// Opens a letter that stood at `place` (LET-1 to LET-5, LET-8).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`], [`Error::NotForUs`] if no slot opens,
    /// [`Error::Undecryptable`], [`Error::BadPadding`], [`Error::BadSignature`],
    /// [`Error::BadKey`].
    pub fn open(letter: &[u8], keys: LetterKeys<'_>, place: &LetterPlace) -> Result<Self, Error> {
        let mut cursor = Cursor::new(WHAT, letter);
        let header: [u8; HEADER] = cursor.array()?;
        let [version, count] = header;
        // LET-1
        if version != VERSION {
            return Err(Error::Unsupported { what: WHAT });
        }
        let (target, secrets, expected): (_, &[&KemSecret], _) = match &keys {
            LetterKeys::Account(account, secrets) => {
                (Target::account(*account), *secrets, LETTER_SLOTS)
            }
            LetterKeys::Invite(secret) => {
                (Target::invite(&secret.public()), std::slice::from_ref(secret), 1)
            }
        };
        let count = usize::from(count);
        // LET-2
        if count != 1 && count != LETTER_SLOTS {
            return Err(Error::Malformed { what: WHAT });
        }
        if count != expected {
            return Err(Error::NotForUs);
        }
        let slots = cursor.slice(count * SLOT)?;
        let nonce = cursor.array()?;
        let context = context(&target, place);
        let key = find(slots, secrets, &context).ok_or(Error::NotForUs)?;
        let associated = body_associated(&header, &context, slots);
        let padded = key.open(&nonce, &associated, cursor.rest())?;
        // LET-8
        read_body(unpad(&padded, letter.len())?, &header, &context, slots)
    }
}

impl LettersTaken {
    /// A letter with this number is taken.
    ///
    /// # Errors
    /// [`Error::OldLetter`]: it is a copy, or too old to be told from one.
    pub const fn take(self, number: u64) -> Result<Self, Error> {
        let Self { last, bits } = self;
        if let Some(ahead) = number.checked_sub(last)
            && ahead > 0
        {
            let bits = if ahead < BITS { (bits << ahead) | 1 } else { 1 };
            return Ok(Self { last: number, bits });
        }
        let behind = last - number;
        // LET-6
        if behind >= BITS || bits & (1 << behind) != 0 {
            return Err(Error::OldLetter { number, last });
        }
        Ok(Self { last, bits: bits | (1 << behind) })
    }

    /// For a store.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.last) << BITS | u128::from(self.bits)).to_be_bytes()
    }

    /// From a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { last: (both >> BITS) as u64, bits: both as u64 }
    }
}

impl fmt::Debug for OpenedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedLetter(number {}, {} bytes)", self.number, self.content.len())
    }
}

fn find(slots: &[u8], secrets: &[&KemSecret], context: &[u8]) -> Option<SealKey> {
    (0..).zip(slots.chunks(SLOT)).find_map(|(number, slot)| {
        secrets.iter().find_map(|secret| slot::open(slot, secret, context, number).ok())
    })
}

fn read_body(
    body: &[u8],
    header: &[u8; HEADER],
    context: &[u8],
    slots: &[u8],
) -> Result<OpenedLetter, Error> {
    let mut cursor = Cursor::new(WHAT, body);
    let size = usize::from(cursor.u16()?);
    let sender = DeviceCertificate::parse(cursor.slice(size)?)?;
    let number = cursor.u64()?;
    let signature = Signature::new(cursor.array()?);
    let content = Zeroizing::new(cursor.rest().to_vec());
    // LET-5
    verify(
        sender.device(),
        Label::LETTER_SENDER,
        &[header, context, &sha256(&[slots]), &number.to_be_bytes(), &sha256(&[&content])],
        &signature,
    )?;
    Ok(OpenedLetter { sender, number, content })
}
