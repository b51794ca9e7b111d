//! How a mailbox's state stands in the buffer's rows, and how it is read back.
//!
//! Sans-IO. Knows tags and encodings (postcard of fixed structs); must not know rules. A row that
//! does not decode is a damaged store, never skipped.

use bytes::Bytes;
use restante_spec::ids::{BlobId, PublicKey, ReaderHash, RequestId, Slot, TokenHash};
use serde::{Deserialize, Serialize};

use crate::buffer::{Part, RowWrite};

/// Class, TTL, first key; its revision is the mailbox's first number. Never rewritten.
pub(super) const CONTROL: u8 = 0;
/// The current epoch's key; its revision names the epoch.
pub(super) const EPOCH: u8 = Part::EPOCH;
/// A key with its terms.
pub(super) const KEY: u8 = 2;
/// A replaced epoch key; its revision is the commit that replaced it.
pub(super) const REPLACED: u8 = 3;
/// A reader; without a cursor it stands at its revision.
pub(super) const READER: u8 = 4;
/// The day of the last `open`.
pub(super) const OPENED: u8 = 5;
/// A blob, complete or not; written by a commit that needs it, its revision is that commit.
pub(super) const BLOB: u8 = Part::BLOB;
/// The tags that make up the state in memory.
pub(super) const STATE: std::ops::RangeInclusive<u8> = CONTROL..=OPENED;
/// A card, beside its key.
pub(super) const CARD: u8 = 0x80;
/// A prekey package.
pub(super) const PREKEY: u8 = 0x81;
/// A slot's last resort.
pub(super) const LAST_RESORT: u8 = 0x82;
/// A package given for a request.
pub(super) const TAKEN: u8 = 0x83;

/// An admission token: not of a mailbox, but the relay's own.
pub(super) const TOKEN: u8 = 0x90;

#[derive(Serialize, Deserialize)]
pub(super) struct ControlRow {
    pub(super) class: u8,
    pub(super) ttl: u32,
    pub(super) first_key: [u8; 32],
    pub(super) memory_first: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EpochRow {
    pub(super) key: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeyRow {
    /// Bits: read 1, write 2, take 4, manage 8.
    pub(super) rights: u8,
    pub(super) expires_at: u64,
    pub(super) uses: u32,
    pub(super) used: u32,
    pub(super) rate_count: u32,
    pub(super) rate_per: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ReplacedRow {
    pub(super) from: u64,
    pub(super) expires_at: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ReaderRow {
    pub(super) cursor: Option<u64>,
    pub(super) seen: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OpenedRow {
    pub(super) day: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TakenRow {
    pub(super) slot: u32,
    pub(super) at: u64,
    pub(super) last_resort: bool,
    pub(super) package: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct BlobRow {
    pub(super) key: [u8; 32],
    pub(super) creator: [u8; 32],
    pub(super) object: [u8; 16],
    pub(super) size: u64,
    pub(super) expires_at: u64,
    pub(super) complete: bool,
    /// Written by a commit that needs it.
    pub(super) kept: bool,
}

/// A row that cannot be read, or written: the store is damaged or of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored row does not decode")]
pub(crate) struct BadRow;

/// The row of an admission token, among the relay's own.
pub(super) fn of_token(token: &TokenHash) -> Part {
    Part { tag: TOKEN, key: token.as_bytes().to_vec() }
}

/// Reads a row's value.
pub(super) fn decode<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T, BadRow> {
    postcard::from_bytes(value).map_err(|_| BadRow)
}

/// A row to write.
pub(super) fn put<T: Serialize>(part: Part, row: &T) -> Result<RowWrite, BadRow> {
    let value = postcard::to_stdvec(row).map_err(|_| BadRow)?;
    Ok(RowWrite { part, value: Some(Bytes::from(value)) })
}

/// A row of bytes that came from a client: a copy, as a slice of all that was read with them would
/// wait with them in the queue.
pub(super) fn keep(part: Part, bytes: &[u8]) -> RowWrite {
    RowWrite { part, value: Some(Bytes::copy_from_slice(bytes)) }
}

/// A row to remove.
pub(super) const fn remove(part: Part) -> RowWrite {
    RowWrite { part, value: None }
}

/// A row that is there once in a mailbox.
pub(super) const fn single(tag: u8) -> Part {
    Part { tag, key: Vec::new() }
}

/// The row of a key.
pub(super) fn of_key(tag: u8, key: &PublicKey) -> Part {
    Part { tag, key: key.as_bytes().to_vec() }
}

/// The row of a reader.
pub(super) fn of_reader(reader: &ReaderHash) -> Part {
    Part { tag: READER, key: reader.as_bytes().to_vec() }
}

/// The row of a prekey: slot, then its number in the slot.
pub(super) fn of_prekey(slot: Slot, number: u32) -> Part {
    let mut key = slot.get().to_be_bytes().to_vec();
    key.extend(number.to_be_bytes());
    Part { tag: PREKEY, key }
}

/// The row of a slot's last resort.
pub(super) fn of_last_resort(slot: Slot) -> Part {
    Part { tag: LAST_RESORT, key: slot.get().to_be_bytes().to_vec() }
}

/// The row of a request's answer.
pub(super) fn of_request(request: RequestId) -> Part {
    Part { tag: TAKEN, key: request.as_bytes().to_vec() }
}

/// The row of a blob.
pub(super) fn of_blob(blob: BlobId) -> Part {
    Part { tag: BLOB, key: blob.as_bytes().to_vec() }
}

/// Slot and number of a prekey's row.
pub(super) fn prekey_of(part: &Part) -> Result<(Slot, u32), BadRow> {
    let (slot, number) = part.key.split_first_chunk::<4>().ok_or(BadRow)?;
    let number = <[u8; 4]>::try_from(number).map_err(|_| BadRow)?;
    Ok((Slot::new(u32::from_be_bytes(*slot)), u32::from_be_bytes(number)))
}

/// Slot of a last resort's row.
pub(super) fn slot_of(part: &Part) -> Result<Slot, BadRow> {
    let slot = <[u8; 4]>::try_from(part.key.as_slice()).map_err(|_| BadRow)?;
    Ok(Slot::new(u32::from_be_bytes(slot)))
}
