//! A slot of a letter: the letter's key, sealed to one X-Wing key (LET-3).
//!
//! Layout: X-Wing ciphertext (1,120 bytes), content key sealed under HKDF of the shared secret with
//! the letter's context and the slot's number (48). That key seals once, so its nonce is zero.

use zeroize::Zeroizing;

use crate::aead::{NONCE, SealKey, TAG};
use crate::codec::Cursor;
use crate::error::Error;
use crate::labels::Label;
use crate::xwing::{CIPHERTEXT, KemPublic, KemSecret};

/// Bytes of a slot in the layout of letters.
pub(super) const SLOT: usize = CIPHERTEXT + 32 + TAG;

/// Seals the letter's key into slot `number`.
pub(super) fn seal(
    content_key: &SealKey,
    to: &KemPublic,
    context: &[u8],
    number: u8,
    randomness: &[u8; 64],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let made = to.encapsulate(randomness)?;
    // LET-3
    let key = SealKey::derive(&made.secret, Label::LETTER_SLOT, &[context, &[number]])?;
    out.extend_from_slice(&made.ciphertext);
    out.extend_from_slice(&key.seal(&[0; NONCE], &[], content_key.as_bytes())?);
    Ok(())
}

/// The letter's key, if slot `number` is sealed to this key.
pub(super) fn open(
    slot: &[u8],
    with: &KemSecret,
    context: &[u8],
    number: u8,
) -> Result<SealKey, Error> {
    let mut cursor = Cursor::new("slot", slot);
    let secret = with.decapsulate(&cursor.array()?)?;
    let key = SealKey::derive(&secret, Label::LETTER_SLOT, &[context, &[number]])?;
    let content_key = key.open(&[0; NONCE], &[], cursor.rest())?;
    let content_key =
        content_key.as_slice().try_into().map_err(|_| Error::Malformed { what: "slot" })?;
    Ok(SealKey::new(Zeroizing::new(content_key)))
}
