//! Writing a letter.
//!
//! Layout (LET-1): version 1 (1 byte), number of slots (1), slots, nonce (24), sealed body. The
//! body is padded so that the whole is a step of the ladder: length of the certificate (2), the
//! sender's certificate, number (8), signature (64), content.

use restante_spec::limits::LETTER_SLOTS;
use zeroize::Zeroizing;

use super::slot::SLOT;
use super::{HEADER, LetterPlace, Target, VERSION, WHAT, body_associated, context, slot};
use crate::aead::{NONCE, SealKey, TAG};
use crate::error::Error;
use crate::identity::{DeviceCertificate, DeviceKey, DeviceList};
use crate::labels::Label;
use crate::padding::pad;
use crate::random::{random_bytes, random_secret};
use crate::signing::sha256;
use crate::xwing::{KemPublic, KemSecret};

/// Whom a letter is sealed to.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'a> {
    /// All devices of an account.
    Account(&'a DeviceList),
    /// The key on the card of an invite.
    Invite(&'a KemPublic),
}

/// A letter before it is sealed.
#[derive(Debug)]
pub struct Letter<'a> {
    /// The device that writes.
    pub sender: &'a DeviceKey,
    /// Its certificate.
    pub certificate: &'a DeviceCertificate,
    /// Rises with every letter this device writes (LET-6).
    pub number: u64,
    /// For whom.
    pub recipient: Recipient<'a>,
    /// Where it will stand.
    pub place: LetterPlace,
    /// What it says.
    pub content: &'a [u8],
}

/// Everything random in a letter, drawn before anything is computed.
pub(crate) struct Randomness {
    pub(crate) content_key: Zeroizing<[u8; 32]>,
    pub(crate) nonce: [u8; NONCE],
    /// One for each slot.
    pub(crate) encapsulations: Vec<Zeroizing<[u8; 64]>>,
    /// Secret keys that are thrown away, for slots nobody opens.
    pub(crate) decoys: Vec<Zeroizing<[u8; 32]>>,
}

impl Letter<'_> {
    /// Seals the letter. A retry sends the same bytes; sealing again needs another envelope id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest step of the ladder, [`Error::BadKey`] for a
    /// recipient's key that cannot be sealed to, [`Error::Randomness`].
    pub fn seal(&self) -> Result<Vec<u8>, Error> {
        let slots = self.slots();
        let mut randomness = Randomness {
            content_key: random_secret()?,
            nonce: random_bytes()?,
            encapsulations: Vec::with_capacity(slots),
            decoys: Vec::with_capacity(slots),
        };
        for _ in 0..slots {
            randomness.encapsulations.push(random_secret()?);
            randomness.decoys.push(random_secret()?);
        }
        self.seal_with(randomness)
    }

    /// Seals with given randomness: as secret as what it protects, and never used twice.
    pub(crate) fn seal_with(&self, randomness: Randomness) -> Result<Vec<u8>, Error> {
        let target = match self.recipient {
            Recipient::Account(list) => Target::account(list.account()),
            Recipient::Invite(key) => Target::invite(key),
        };
        let context = context(&target, &self.place);
        let content_key = SealKey::new(randomness.content_key.clone());
        let slots = self.seal_slots(&content_key, &context, &randomness)?;
        let count = u8::try_from(self.slots()).map_err(|_| Error::Malformed { what: WHAT })?;
        let header: [u8; HEADER] = [VERSION, count];

        let body = self.body(&header, &context, &slots)?;
        let padded = Zeroizing::new(pad(&body, HEADER + slots.len() + NONCE + TAG)?);
        let associated = body_associated(&header, &context, &slots);
        let sealed = content_key.seal(&randomness.nonce, &associated, &padded)?;
        Ok([&header[..], &slots, &randomness.nonce, &sealed].concat())
    }

    /// Always as many as an account may have devices, so that nobody can count them (LET-2).
    const fn slots(&self) -> usize {
        match self.recipient {
            // LET-2
            Recipient::Account(_) => LETTER_SLOTS,
            Recipient::Invite(_) => 1,
        }
    }

    fn seal_slots(
        &self,
        content_key: &SealKey,
        context: &[u8],
        randomness: &Randomness,
    ) -> Result<Vec<u8>, Error> {
        let mut keys: Vec<KemPublic> = match self.recipient {
            Recipient::Account(list) => {
                list.devices().iter().map(|device| device.letter_key.key().clone()).collect()
            }
            Recipient::Invite(key) => vec![key.clone()],
        };
        let decoys = randomness.decoys.iter().take(self.slots()).skip(keys.len());
        keys.extend(decoys.map(|seed| KemSecret::from_seed(seed).public()));
        let mut slots = Vec::with_capacity(keys.len() * SLOT);
        for ((number, key), random) in (0..).zip(&keys).zip(&randomness.encapsulations) {
            slot::seal(content_key, key, context, number, random, &mut slots)?;
        }
        Ok(slots)
    }

    fn body(
        &self,
        header: &[u8; HEADER],
        context: &[u8],
        slots: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let certificate = self.certificate.as_bytes();
        let size = u16::try_from(certificate.len()).map_err(|_| Error::Malformed { what: WHAT })?;
        let number = self.number.to_be_bytes();
        let signature = self.sender.signing().sign(
            Label::LETTER_SENDER,
            &[header, context, &sha256(&[slots]), &number, &sha256(&[self.content])],
        );
        let mut body = Zeroizing::new(Vec::with_capacity(512 + self.content.len()));
        for part in [&size.to_be_bytes(), certificate, &number, signature.as_bytes(), self.content]
        {
            body.extend_from_slice(part);
        }
        Ok(body)
    }
}
