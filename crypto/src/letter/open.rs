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
    /// The letter's number; see [`OpenedLetter::check_number`].
    pub number: u64,
    /// What it says. Wiped when dropped.
    pub content: Zeroizing<Vec<u8>>,
}

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

    /// Checks that the number is above the last one known of this device (LET-6).
    ///
    /// # Errors
    /// [`Error::OldLetter`]: the letter is a copy, or older than one read before.
    pub fn check_number(&self, last: Option<u64>) -> Result<(), Error> {
        match last {
            // LET-6
            Some(last) if self.number <= last => {
                Err(Error::OldLetter { number: self.number, last })
            }
            Some(_) | None => Ok(()),
        }
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
