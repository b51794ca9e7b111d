//! Live records: what is passed on to whoever is there and stored nowhere. They leave the ratchet
//! of MLS alone, so that one that is lost costs nothing.
//!
//! Spec: `spec/10-conversation.md`. Layout (LIV-1): nonce (24), then sealed and padded to the
//! ladder: leaf of the sender (4), counter (8), the device's signature (64), content. Knows no MLS.

use std::collections::BTreeMap;
use std::fmt;

use restante_spec::ids::{PublicKey, Signature};
use zeroize::Zeroizing;

use crate::aead::{NONCE, SealKey, TAG};
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::DeviceKey;
use crate::labels::Label;
use crate::padding::{pad, unpad};
use crate::random::random_bytes;
use crate::record::{LeafNumber, RecordPlace};
use crate::signing::{sha256, verify};

/// The key of all live records of one epoch, from the MLS exporter. Wiped when dropped.
#[derive(Debug)]
pub struct LiveKey(SealKey);

/// Who sends a live record, and which one it is.
#[derive(Clone, Copy, Debug)]
pub struct LiveSender<'a> {
    /// The sender's leaf.
    pub leaf: LeafNumber,
    /// The key of that leaf.
    pub device: &'a DeviceKey,
    /// Rises with each live record of this device in this epoch (LIV-4).
    pub counter: u64,
}

/// A live record that was opened; who signed it must still be checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedLive {
    leaf: LeafNumber,
    counter: u64,
    signature: Signature,
    content: Zeroizing<Vec<u8>>,
}

/// The last counter that was taken of each leaf in one epoch (LIV-4): at most one for each member.
#[derive(Debug, Default)]
pub(crate) struct LiveSeen {
    generation: u64,
    last: BTreeMap<LeafNumber, u64>,
}

impl LiveKey {
    /// Wraps the 32 bytes of the exporter.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(SealKey::new(bytes))
    }

    /// Seals a content (LIV-1 to LIV-3).
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest step of the ladder, [`Error::Randomness`].
    pub fn seal(
        &self,
        place: &RecordPlace,
        sender: &LiveSender<'_>,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.seal_with(place, sender, content, &random_bytes()?)
    }

    pub(crate) fn seal_with(
        &self,
        place: &RecordPlace,
        sender: &LiveSender<'_>,
        content: &[u8],
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        let counter = sender.counter.to_be_bytes();
        let signed = signed(place, &counter, &sha256(&[content]));
        let signature = sender.device.signing().sign(Label::LIVE_SENDER, &[&signed]);
        let leaf = sender.leaf.get().to_be_bytes();
        let inner =
            Zeroizing::new([&leaf[..], &counter[..], &signature.as_bytes()[..], content].concat());
        // LIV-1
        let padded = Zeroizing::new(pad(&inner, NONCE + TAG)?);
        let sealed = self.0.seal(nonce, &place.associated(Label::LIVE), &padded)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens a live record that stood at `place` (LIV-1, LIV-2).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Undecryptable`], [`Error::BadPadding`].
    pub fn open(&self, place: &RecordPlace, record: &[u8]) -> Result<OpenedLive, Error> {
        let mut cursor = Cursor::new("live record", record);
        let nonce = cursor.array()?;
        // LIV-2
        let padded = self.0.open(&nonce, &place.associated(Label::LIVE), cursor.rest())?;
        let mut cursor = Cursor::new("live record", unpad(&padded, record.len())?);
        let (leaf, counter) = (LeafNumber::new(cursor.u32()?), cursor.u64()?);
        let signature = Signature::new(cursor.array()?);
        let content = Zeroizing::new(cursor.rest().to_vec());
        Ok(OpenedLive { leaf, counter, signature, content })
    }
}

impl OpenedLive {
    /// The leaf that says it wrote this; true only if [`OpenedLive::verify`] says so with the key
    /// of that leaf.
    #[must_use]
    pub const fn leaf(&self) -> LeafNumber {
        self.leaf
    }

    /// Which of its sender's live records in this epoch it is.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// Checks the device's signature (LIV-3).
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::BadKey`].
    pub fn verify(&self, place: &RecordPlace, device: &PublicKey) -> Result<(), Error> {
        // LIV-3
        let hash = sha256(&[&self.content]);
        let signed = signed(place, &self.counter.to_be_bytes(), &hash);
        verify(device, Label::LIVE_SENDER, &[&signed], &self.signature)
    }

    /// The content's exact bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The content's exact bytes, to keep. Wiped when dropped.
    #[must_use]
    pub fn into_content(self) -> Zeroizing<Vec<u8>> {
        self.content
    }
}

impl LiveSeen {
    /// Takes a counter of a leaf in the epoch that MLS counts as `generation`.
    pub(crate) fn take(
        &mut self,
        generation: u64,
        leaf: LeafNumber,
        counter: u64,
    ) -> Result<(), Error> {
        if generation != self.generation {
            *self = Self { generation, last: BTreeMap::new() };
        }
        match self.last.get(&leaf) {
            // LIV-4
            Some(&last) if counter <= last => Err(Error::OldLiveRecord { counter, last }),
            Some(_) | None => {
                self.last.insert(leaf, counter);
                Ok(())
            }
        }
    }
}

/// What the device signs (LIV-3).
fn signed(place: &RecordPlace, counter: &[u8; 8], hash: &[u8; 32]) -> Vec<u8> {
    let (mailbox, epoch) = (place.mailbox.as_bytes(), place.epoch.as_bytes());
    let parts: [&[u8]; 5] = [mailbox, epoch, place.envelope.as_bytes(), counter, hash];
    parts.concat()
}

impl fmt::Debug for OpenedLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedLive({} bytes)", self.content.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_spec::ids::{EnvelopeId, Epoch, MailboxId};
    use restante_spec::limits::{CONTENT_BYTES, PADDING_LADDER};
    use restante_spec::message::EnvelopeClass;

    fn place() -> RecordPlace {
        RecordPlace {
            mailbox: MailboxId::new([1; 16]),
            epoch: Epoch::new([2; 8]),
            envelope: EnvelopeId::new([3; 16]),
            class: EnvelopeClass::Live,
        }
    }

    fn key() -> LiveKey {
        LiveKey::new(Zeroizing::new([4; 32]))
    }

    fn sender(device: &DeviceKey) -> LiveSender<'_> {
        LiveSender { leaf: LeafNumber::new(7), device, counter: 9 }
    }

    /// LIV-1, LIV-3: opens as sealed, has a size of the ladder, is of its signer alone.
    #[test]
    fn live_record_round_trips() {
        let device = DeviceKey::from_seed(&[5; 32]);
        for size in [0, 136, 137, CONTENT_BYTES, 64_680] {
            let content = vec![6; size];
            let record = key().seal(&place(), &sender(&device), &content).unwrap();
            assert!(PADDING_LADDER.contains(&record.len()), "{size} {}", record.len());
            let opened = key().open(&place(), &record).unwrap();
            assert_eq!((opened.leaf().get(), opened.counter()), (7, 9));
            assert_eq!(opened.content(), content);
            assert_eq!(opened.verify(&place(), &device.public()), Ok(()));
            let stranger = DeviceKey::from_seed(&[8; 32]).public();
            assert_eq!(opened.verify(&place(), &stranger), Err(Error::BadSignature));
            let copied = OpenedLive { counter: 10, ..opened };
            assert_eq!(copied.verify(&place(), &device.public()), Err(Error::BadSignature));
        }
        let past = key().seal(&place(), &sender(&device), &[6; 64_681]);
        assert!(matches!(past, Err(Error::TooLarge { .. })));
    }

    /// LIV-2: nothing of its place can be exchanged, nor can the record be changed.
    #[test]
    fn live_record_is_bound_to_its_place() {
        let device = DeviceKey::from_seed(&[5; 32]);
        let record = key().seal(&place(), &sender(&device), b"content").unwrap();
        let others = [
            RecordPlace { mailbox: MailboxId::new([9; 16]), ..place() },
            RecordPlace { epoch: Epoch::new([9; 8]), ..place() },
            RecordPlace { envelope: EnvelopeId::new([9; 16]), ..place() },
            RecordPlace { class: EnvelopeClass::Normal, ..place() },
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
        assert_eq!(short, Err(Error::Malformed { what: "live record" }));
    }

    /// LIV-4: counters of a leaf rise within an epoch; leaves and epochs are apart.
    #[test]
    fn counters_rise_within_an_epoch() {
        let mut seen = LiveSeen::default();
        let [a, b] = [1, 2].map(LeafNumber::new);
        assert_eq!(seen.take(1, a, 5), Ok(()));
        for counter in [0, 4, 5] {
            assert_eq!(seen.take(1, a, counter), Err(Error::OldLiveRecord { counter, last: 5 }));
        }
        assert_eq!((seen.take(1, b, 0), seen.take(1, a, 6)), (Ok(()), Ok(())));
        assert_eq!(seen.take(2, a, 0), Ok(()));
    }
}
