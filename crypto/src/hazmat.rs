//! Sealing with randomness that is not random: for the generator of the vectors and nothing else.
//!
//! Only with the feature `vectors`, which no program that people use may have: a nonce or an
//! encapsulation used twice gives away what it protected.

use restante_spec::ids::EnvelopeId;
use zeroize::Zeroizing;

use crate::aead::{NONCE, SealKey};
use crate::error::Error;
use crate::file::FileKey;
use crate::identity::{DeviceCertificate, DeviceKey};
use crate::invite::{Card, Invite};
use crate::labels::Label;
use crate::letter::{Letter, Randomness};
use crate::live::{LiveKey, LiveSender};
use crate::record::{LeafNumber, RecordKey, RecordPlace};
use crate::recovery::{Cost, RecoveryHeader, RecoverySecret, RecoveryWriter};
use crate::room::{PostBody, RoomCard, RoomKey, RoomLink};
use crate::signing::sha256;

/// Seals a letter; everything random comes from `seed`.
///
/// # Errors
/// As [`Letter::seal`].
pub fn seal_letter(letter: &Letter<'_>, seed: u8) -> Result<Vec<u8>, Error> {
    let block = |purpose: u8, n: u8| sha256(&[&[seed, purpose, n]]);
    let pair = |n| {
        let mut bytes = Zeroizing::new([0; 64]);
        let blocks = block(1, n).into_iter().chain(block(2, n));
        bytes.iter_mut().zip(blocks).for_each(|(to, from)| *to = from);
        bytes
    };
    let randomness = Randomness {
        content_key: Zeroizing::new(block(0, 0)),
        nonce: [seed; NONCE],
        encapsulations: (0..8).map(pair).collect(),
        decoys: (0..8).map(|n| Zeroizing::new(block(3, n))).collect(),
    };
    letter.seal_with(randomness)
}

/// Seals a record with a given nonce.
///
/// # Errors
/// As [`RecordKey::seal`].
pub fn seal_record(
    key: &RecordKey,
    place: &RecordPlace,
    leaf: LeafNumber,
    device: &DeviceKey,
    message: &[u8],
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    key.seal_with(place, leaf, device, message, nonce)
}

/// Seals a record over a plaintext that may be padded as no record is.
///
/// # Errors
/// [`Error::Internal`] never happens for sizes of a record.
pub fn seal_padded_record(
    key: &[u8; 32],
    place: &RecordPlace,
    padded: &[u8],
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    let key = SealKey::new(Zeroizing::new(*key));
    Ok([&nonce[..], &key.seal(nonce, &place.associated(Label::RECORD), padded)?].concat())
}

/// Seals a live record with a given nonce.
///
/// # Errors
/// As [`LiveKey::seal`].
pub fn seal_live(
    key: &LiveKey,
    place: &RecordPlace,
    sender: &LiveSender<'_>,
    content: &[u8],
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    key.seal_with(place, sender, content, nonce)
}

/// Seals a card with a given nonce.
///
/// # Errors
/// As [`Invite::seal_card`].
pub fn seal_card(
    invite: &Invite,
    device: &DeviceKey,
    card: &Card,
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    invite.seal_card_with(device, card, nonce)
}

/// Seals a room's card with a given nonce, whoever signed it.
///
/// # Errors
/// As [`RoomLink::seal_card`].
pub fn seal_room_card(
    link: &RoomLink,
    card: &RoomCard,
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    link.seal_card_with(card, nonce)
}

/// Seals a post with a given nonce.
///
/// # Errors
/// As [`RoomKey::seal`].
pub fn seal_post(
    key: &RoomKey,
    envelope: &EnvelopeId,
    device: &DeviceKey,
    certificate: &DeviceCertificate,
    body: &PostBody,
    nonce: &[u8; NONCE],
) -> Result<Vec<u8>, Error> {
    key.seal_with(envelope, device, certificate, body, nonce)
}

/// Seals a stream of one chunk that may be none of a file.
///
/// # Errors
/// [`Error::Internal`] never happens for sizes of a chunk.
pub fn seal_file_stream(key: &FileKey, stream: &[u8]) -> Result<Vec<u8>, Error> {
    key.seal_stream(stream)
}

/// A recovery file with a given salt and a cost (KiB, passes, lanes) that is too low for people.
///
/// # Errors
/// As [`RecoveryWriter::push`].
pub fn recovery_file(
    secret: &RecoverySecret<'_>,
    (memory_kib, passes, lanes): (u32, u32, u32),
    salt: [u8; 32],
    segments: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    let cost = Cost { memory_kib, passes, lanes };
    let created = RecoveryHeader::create_with(secret, cost, salt)?;
    let mut writer = RecoveryWriter::begin(created, Vec::new())?;
    for segment in segments {
        writer.push(Zeroizing::new(segment.to_vec()))?;
    }
    writer.finish()
}

/// The checksum of a recovery file's header, for headers that are changed on purpose.
#[must_use]
pub fn recovery_sum(header: &[u8]) -> Vec<u8> {
    sha256(&[header]).into_iter().take(8).collect()
}
