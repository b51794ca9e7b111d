//! Records: every MLS message of a conversation is wrapped once more, so that the relay sees
//! neither its framing nor its sender nor its exact size.
//!
//! Spec: `spec/10-conversation.md`. Layout (REC-1): nonce (24), then sealed and padded to the
//! ladder: leaf of the sender (4), the device's signature (64), MLS message. Knows no MLS.

use std::fmt;

use restante_spec::ids::{BlobId, BlobSize, EnvelopeId, Epoch, MailboxId, PublicKey, Signature};
use restante_spec::message::EnvelopeClass;
use zeroize::Zeroizing;

use crate::aead::{NONCE, SealKey, TAG};
use crate::codec::Cursor;
use crate::error::Error;
use crate::file::stream_of;
use crate::identity::DeviceKey;
use crate::labels::Label;
use crate::padding::{pad, unpad};
use crate::random::random_bytes;
use crate::signing::{sha256, verify};

/// The key of all records of one epoch, from the MLS exporter. Wiped when dropped.
#[derive(Debug)]
pub struct RecordKey(SealKey);

/// What a record is bound to: where it stands and how it is marked (REC-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The conversation's mailbox.
    pub mailbox: MailboxId,
    /// The epoch the relay names with it.
    pub epoch: Epoch,
    /// The envelope that carries it.
    pub envelope: EnvelopeId,
    /// The envelope's class.
    pub class: EnvelopeClass,
}

/// The number of a leaf in the tree of an MLS group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafNumber(u32);

/// A record that was opened; who signed it must still be checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedRecord {
    leaf: LeafNumber,
    signature: Signature,
    message: Vec<u8>,
    blob: Option<LargeMessage>,
}

/// Where an MLS message lies that fits no record (REC-6): sealed in a blob of the mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct LargeMessage {
    /// The blob.
    pub blob: BlobId,
    /// Seed of the Ed25519 key that may read it. Wiped when dropped.
    pub read_key: Zeroizing<[u8; 32]>,
    /// The key it is sealed with. Wiped when dropped.
    pub key: Zeroizing<[u8; 32]>,
    /// Bytes of the sealed file.
    pub size: u64,
}

/// Layout: where an MLS message would begin with its version, this says that it lies in a blob
/// (REC-6). RFC 9420 reserves version 0.
const LARGE: [u8; 2] = [0, 0];

impl RecordKey {
    /// Wraps the 32 bytes of the exporter.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(SealKey::new(bytes))
    }

    /// Seals an MLS message (REC-1 to REC-4).
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest step of the ladder, [`Error::Randomness`];
    /// [`Error::Malformed`] for what begins with version 0, as no MLS message does (REC-6).
    pub fn seal(
        &self,
        place: &RecordPlace,
        leaf: LeafNumber,
        device: &DeviceKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        // REC-6: it would be read as the place of one.
        if message.starts_with(&LARGE) {
            return Err(Error::Malformed { what: "MLS message" });
        }
        self.seal_with(place, leaf, device, message, &random_bytes()?)
    }

    pub(crate) fn seal_with(
        &self,
        place: &RecordPlace,
        leaf: LeafNumber,
        device: &DeviceKey,
        message: &[u8],
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        let signature = place.sign(device, message);
        let inner = [&leaf.0.to_be_bytes(), &signature.as_bytes()[..], message].concat();
        self.seal_inner(place, &inner, nonce)
    }

    /// Seals a record that says where its MLS message lies (REC-6).
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn seal_large(
        &self,
        place: &RecordPlace,
        leaf: LeafNumber,
        device: &DeviceKey,
        message: &[u8],
        large: &LargeMessage,
    ) -> Result<Vec<u8>, Error> {
        let signature = place.sign(device, message);
        let parts: [&[u8]; 7] = [
            &leaf.0.to_be_bytes(),
            signature.as_bytes(),
            &LARGE,
            large.blob.as_bytes(),
            &*large.read_key,
            &*large.key,
            &large.size.to_be_bytes(),
        ];
        self.seal_inner(place, &Zeroizing::new(parts.concat()), &random_bytes()?)
    }

    fn seal_inner(
        &self,
        place: &RecordPlace,
        inner: &[u8],
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        // REC-1
        let padded = pad(inner, NONCE + TAG)?;
        let sealed = self.0.seal(nonce, &place.associated(Label::RECORD), &padded)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens a record that stood at `place` (REC-1 to REC-3).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Undecryptable`], [`Error::BadPadding`].
    pub fn open(&self, place: &RecordPlace, record: &[u8]) -> Result<OpenedRecord, Error> {
        let mut cursor = Cursor::new("record", record);
        let nonce = cursor.array()?;
        // REC-2
        let padded = self.0.open(&nonce, &place.associated(Label::RECORD), cursor.rest())?;
        let mut cursor = Cursor::new("record", unpad(&padded, record.len())?);
        let leaf = LeafNumber(cursor.u32()?);
        let signature = Signature::new(cursor.array()?);
        let rest = cursor.rest();
        // REC-6
        let (message, blob) = match rest.strip_prefix(&LARGE) {
            Some(large) => (Vec::new(), Some(LargeMessage::parse(large)?)),
            None => (rest.to_vec(), None),
        };
        Ok(OpenedRecord { leaf, signature, message, blob })
    }
}

impl LargeMessage {
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new("record", bytes);
        let large = Self {
            blob: BlobId::new(cursor.array()?),
            read_key: Zeroizing::new(cursor.array()?),
            key: Zeroizing::new(cursor.array()?),
            size: cursor.u64()?,
        };
        cursor.finish()?;
        // FIL-4: of none no part would ever come.
        stream_of(BlobSize::new(large.size))?;
        Ok(large)
    }
}

impl RecordPlace {
    /// Associated data of what is sealed for this place (REC-2, LIV-2).
    pub(crate) fn associated(&self, label: Label) -> Vec<u8> {
        let class = [self.class_byte()];
        let parts: [&[u8]; 5] = [
            label.as_bytes(),
            self.mailbox.as_bytes(),
            self.epoch.as_bytes(),
            self.envelope.as_bytes(),
            &class,
        ];
        parts.concat()
    }

    fn sign(&self, device: &DeviceKey, message: &[u8]) -> Signature {
        let hash = sha256(&[message]);
        device.signing().sign(Label::RECORD_SENDER, &self.signed(&hash))
    }

    fn signed<'a>(&'a self, hash: &'a [u8; 32]) -> [&'a [u8]; 4] {
        [self.mailbox.as_bytes(), self.epoch.as_bytes(), self.envelope.as_bytes(), hash]
    }

    /// The class in the associated data (REC-2).
    const fn class_byte(&self) -> u8 {
        match self.class {
            EnvelopeClass::Normal => 1,
            EnvelopeClass::Quiet => 2,
            EnvelopeClass::Live => 3,
        }
    }
}

impl LeafNumber {
    /// Wraps the number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl OpenedRecord {
    /// The leaf that says it wrote this; true only if [`OpenedRecord::verify`] says so with the
    /// key of that leaf.
    #[must_use]
    pub const fn leaf(&self) -> LeafNumber {
        self.leaf
    }

    /// Checks the device's signature (REC-4). Only then may MLS see the message: MLS' own sender
    /// data can be forged by any member, and a forged message would spend the victim's ratchet.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::BadKey`].
    pub fn verify(&self, place: &RecordPlace, device: &PublicKey) -> Result<(), Error> {
        // REC-4
        let hash = sha256(&[&self.message]);
        verify(device, Label::RECORD_SENDER, &place.signed(&hash), &self.signature)
    }

    /// The MLS message; empty if it lies in a blob.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Where the MLS message lies, if not here (REC-6).
    #[must_use]
    pub const fn large(&self) -> Option<&LargeMessage> {
        self.blob.as_ref()
    }

    /// The same record with the message its blob has brought.
    #[must_use]
    pub fn with_message(self, message: Vec<u8>) -> Self {
        Self { message, blob: None, ..self }
    }
}

impl fmt::Debug for LargeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LargeMessage({} bytes)", self.size)
    }
}

impl fmt::Debug for OpenedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedRecord({} bytes)", self.message.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_spec::limits::PADDING_LADDER;

    fn place() -> RecordPlace {
        RecordPlace {
            mailbox: MailboxId::new([1; 16]),
            epoch: Epoch::new([2; 8]),
            envelope: EnvelopeId::new([3; 16]),
            class: EnvelopeClass::Normal,
        }
    }

    fn key() -> RecordKey {
        RecordKey::new(Zeroizing::new([4; 32]))
    }

    /// REC-1, REC-3, REC-4: opens as sealed, has a size of the ladder, names its signer.
    #[test]
    fn record_round_trips() {
        let device = DeviceKey::from_seed(&[5; 32]);
        for size in [0, 140, 145, 1_170, 64_688] {
            let message = vec![6; size];
            let record = key().seal(&place(), LeafNumber::new(7), &device, &message).unwrap();
            assert!(PADDING_LADDER.contains(&record.len()), "{size} {}", record.len());
            let opened = key().open(&place(), &record).unwrap();
            assert_eq!((opened.leaf().get(), opened.message()), (7, &message[..]));
            assert_eq!(opened.verify(&place(), &device.public()), Ok(()));
            let stranger = DeviceKey::from_seed(&[8; 32]).public();
            assert_eq!(opened.verify(&place(), &stranger), Err(Error::BadSignature));
        }
        let past = key().seal(&place(), LeafNumber::new(7), &device, &[6; 64_689]);
        assert!(matches!(past, Err(Error::TooLarge { .. })));
    }

    /// REC-6: what begins as the place of a large message does is sealed as nothing else.
    #[test]
    fn version_zero_is_no_message() {
        let device = DeviceKey::from_seed(&[5; 32]);
        let seal = |message: &[u8]| key().seal(&place(), LeafNumber::new(7), &device, message);
        assert_eq!(seal(&[0, 0, 1, 0]), Err(Error::Malformed { what: "MLS message" }));
        assert!(seal(&[0, 1, 0, 0]).is_ok() && seal(&[0]).is_ok());
    }

    /// REC-6, FIL-4: once a record could name a blob of no bytes, which was waited for without end:
    /// it names a size that sealed files have.
    #[test]
    fn large_messages_have_the_size_of_a_file() {
        let device = DeviceKey::from_seed(&[5; 32]);
        let opened = |size| {
            let (blob, read_key) = (BlobId::new([1; 16]), Zeroizing::new([2; 32]));
            let large = LargeMessage { blob, read_key, key: Zeroizing::new([3; 32]), size };
            let record = key().seal_large(&place(), LeafNumber::new(7), &device, b"m", &large);
            key().open(&place(), &record.unwrap()).map(|it| it.large().map(|large| large.size))
        };
        assert_eq!(opened(1_040), Ok(Some(1_040)));
        for size in [0, 1_039, 1_041, u64::MAX] {
            assert_eq!(opened(size), Err(Error::Malformed { what: "sealed file" }), "{size}");
        }
    }

    /// REC-2: nothing of its place can be exchanged, nor can the record be changed.
    #[test]
    fn record_is_bound_to_its_place() {
        let device = DeviceKey::from_seed(&[5; 32]);
        let record = key().seal(&place(), LeafNumber::new(7), &device, b"message").unwrap();
        let others = [
            RecordPlace { mailbox: MailboxId::new([9; 16]), ..place() },
            RecordPlace { epoch: Epoch::new([9; 8]), ..place() },
            RecordPlace { envelope: EnvelopeId::new([9; 16]), ..place() },
            RecordPlace { class: EnvelopeClass::Quiet, ..place() },
        ];
        for other in others {
            assert_eq!(key().open(&other, &record), Err(Error::Undecryptable));
        }
        for at in [0, 24, record.len() - 1] {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(key().open(&place(), &changed), Err(Error::Undecryptable));
        }
        let short = key().open(&place(), &record[..20]);
        assert_eq!(short, Err(Error::Malformed { what: "record" }));
    }
}
