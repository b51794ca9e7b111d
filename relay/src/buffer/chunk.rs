//! The packed form of envelopes on disk: a chunk holds what arrived together.
//!
//! ```text
//!  chunk = u8 version | u64 written at | entry ...
//!  entry = u32 length | u32 crc32 of the rest | mailbox 16 | seq 8 | prev 8 | epoch 8 | expires 8
//!        | class 1 | flags 1 | salt 4 | id 16 | sealed body
//! ```
//!
//! Numbers are big-endian. A body is sealed with the fields before it (`seal.rs`); an entry can
//! move to another chunk as it is. Sans-IO: knows bytes only. Damage is an error, never skipped.

use bytes::{Buf, BufMut, BytesMut};
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};
use restante_spec::message::EnvelopeClass;

use super::Envelope;
use super::seal::{BucketKey, Salt, TAG_BYTES, Unopenable};

/// The version of this form.
const VERSION: u8 = 2;
/// Version, time.
const HEADER_BYTES: usize = 1 + 8;
/// Length and checksum of an entry.
const PREFIX_BYTES: usize = 4 + 4;
/// An entry's fields before its body.
const FIELD_BYTES: usize = 16 + 8 + 8 + 8 + 8 + 1 + 1 + 4 + 16;
/// A chunk's most: with redb's own bytes just under 2^16, so that no page is half empty.
const CHUNK_BYTES: usize = 65_000;
/// The flag of a commit.
const COMMIT: u8 = 1;

const _: () = assert!(
    HEADER_BYTES + PREFIX_BYTES + FIELD_BYTES + restante_spec::limits::BODY_BYTES + TAG_BYTES
        <= CHUNK_BYTES
);

/// A chunk under construction.
pub(super) struct ChunkWriter {
    bytes: Vec<u8>,
}

/// A stored chunk does not read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damaged {
    #[error("a chunk of version {0}, this relay knows version {VERSION}")]
    Version(u8),
    #[error("a chunk that ends within an entry")]
    Short,
    #[error("an entry whose checksum is wrong")]
    Checksum,
    #[error("an entry of an unknown class")]
    Class,
    #[error(transparent)]
    Sealed(#[from] Unopenable),
}

impl ChunkWriter {
    /// An empty chunk.
    pub(super) fn new(written_at: UnixTime) -> Self {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        bytes.put_u8(VERSION);
        bytes.put_u64(written_at.get());
        Self { bytes }
    }

    /// Whether an envelope with this body still fits.
    pub(super) fn fits(&self, body: usize) -> bool {
        self.bytes.len() + PREFIX_BYTES + FIELD_BYTES + body + TAG_BYTES <= CHUNK_BYTES
    }

    /// Seals and adds an envelope that fits; returns where it stands.
    pub(super) fn push(
        &mut self,
        mailbox: MailboxId,
        envelope: &Envelope,
        key: &BucketKey,
        salt: Salt,
    ) -> Result<u32, Unopenable> {
        let offset = self.bytes.len();
        let length = FIELD_BYTES + envelope.body.len() + TAG_BYTES;
        self.bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        self.bytes.put_u32(0);
        self.bytes.put_slice(mailbox.as_bytes());
        self.bytes.put_u64(envelope.seq.get());
        self.bytes.put_u64(envelope.prev.get());
        self.bytes.put_u64(envelope.epoch.get());
        self.bytes.put_u64(envelope.expires_at.get());
        self.bytes.put_u8(class_number(envelope.class));
        self.bytes.put_u8(if envelope.commit { COMMIT } else { 0 });
        self.bytes.put_u32(salt.0);
        self.bytes.put_slice(envelope.id.as_bytes());
        self.bytes.put_slice(&envelope.body);
        let entry = self.bytes.get_mut(offset + PREFIX_BYTES..).unwrap_or_default();
        let (fields, body) = entry.split_at_mut_checked(FIELD_BYTES).ok_or(Unopenable)?;
        let tag = key.seal(salt, envelope.seq, fields, body)?;
        self.bytes.put_slice(&tag);
        if let Some(entry) = self.bytes.get_mut(offset..)
            && let Some((prefix, rest)) = entry.split_at_mut_checked(PREFIX_BYTES)
        {
            let checksum = crc32fast::hash(rest).to_be_bytes();
            prefix.iter_mut().skip(4).zip(checksum).for_each(|(byte, sum)| *byte = sum);
        }
        Ok(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES
    }

    /// The chunk as it is stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An entry as it stands in its chunk; nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'c> {
    /// Where it stands.
    pub(super) offset: u32,
    pub(super) mailbox: MailboxId,
    pub(super) seq: Seq,
    pub(super) prev: Seq,
    pub(super) epoch: Seq,
    pub(super) expires_at: UnixTime,
    pub(super) class: EnvelopeClass,
    pub(super) commit: bool,
    pub(super) id: EnvelopeId,
    salt: Salt,
    fields: &'c [u8],
    sealed: &'c [u8],
}

impl Entry<'_> {
    /// Bytes of its body, once opened.
    pub(super) const fn size(&self) -> usize {
        self.sealed.len().saturating_sub(TAG_BYTES)
    }

    /// The envelope, with a body of its own.
    pub(super) fn open(self, key: &BucketKey) -> Result<Envelope, Unopenable> {
        let Self { seq, prev, epoch, id, class, expires_at, commit, .. } = self;
        let mut body = BytesMut::from(self.sealed);
        key.open(self.salt, seq, self.fields, &mut body)?;
        body.truncate(self.size());
        let body = body.freeze();
        Ok(Envelope { seq, prev, epoch, id, class, expires_at, commit, body })
    }
}

/// Reads the entry at `offset`.
pub(super) fn read_at(chunk: &[u8], offset: u32) -> Result<Entry<'_>, Damaged> {
    Ok(read_entry(chunk, offset as usize)?.0)
}

/// Reads all entries of a chunk.
pub(super) fn read_all(chunk: &[u8]) -> Result<Vec<Entry<'_>>, Damaged> {
    let mut header = chunk.get(..HEADER_BYTES).ok_or(Damaged::Short)?;
    match header.get_u8() {
        VERSION => {}
        other => return Err(Damaged::Version(other)),
    }
    let mut entries = Vec::new();
    let mut offset = HEADER_BYTES;
    while offset < chunk.len() {
        let (entry, end) = read_entry(chunk, offset)?;
        entries.push(entry);
        offset = end;
    }
    Ok(entries)
}

/// The entry at a place, and where the next one begins.
fn read_entry(chunk: &[u8], offset: usize) -> Result<(Entry<'_>, usize), Damaged> {
    let bytes = chunk.get(offset..).ok_or(Damaged::Short)?;
    let (mut prefix, rest) = bytes.split_at_checked(PREFIX_BYTES).ok_or(Damaged::Short)?;
    let length = prefix.get_u32() as usize;
    let checksum = prefix.get_u32();
    let entry = rest.get(..length).ok_or(Damaged::Short)?;
    if crc32fast::hash(entry) != checksum {
        return Err(Damaged::Checksum);
    }
    let (all, sealed) = entry.split_at_checked(FIELD_BYTES).ok_or(Damaged::Short)?;
    let mut fields = all;
    let mut mailbox = [0; MailboxId::SIZE];
    fields.copy_to_slice(&mut mailbox);
    let seq = Seq::new(fields.get_u64());
    let prev = Seq::new(fields.get_u64());
    let epoch = Seq::new(fields.get_u64());
    let expires_at = UnixTime::new(fields.get_u64());
    let class = class_of(fields.get_u8())?;
    let commit = fields.get_u8() & COMMIT != 0;
    let salt = Salt(fields.get_u32());
    let mut id = [0; EnvelopeId::SIZE];
    fields.copy_to_slice(&mut id);
    let (mailbox, id) = (MailboxId::new(mailbox), EnvelopeId::new(id));
    let end = offset + PREFIX_BYTES + length;
    let offset = u32::try_from(offset).map_err(|_| Damaged::Short)?;
    let fields = all;
    let entry = Entry {
        offset,
        mailbox,
        seq,
        prev,
        epoch,
        expires_at,
        class,
        commit,
        id,
        salt,
        fields,
        sealed,
    };
    Ok((entry, end))
}

const fn class_number(class: EnvelopeClass) -> u8 {
    match class {
        EnvelopeClass::Normal => 1,
        EnvelopeClass::Quiet => 2,
        EnvelopeClass::Live => 3,
    }
}

const fn class_of(number: u8) -> Result<EnvelopeClass, Damaged> {
    match number {
        1 => Ok(EnvelopeClass::Normal),
        2 => Ok(EnvelopeClass::Quiet),
        3 => Ok(EnvelopeClass::Live),
        _ => Err(Damaged::Class),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SALT: Salt = Salt(9);

    fn key() -> BucketKey {
        BucketKey::new(&[8; 32]).unwrap()
    }

    fn push(writer: &mut ChunkWriter, envelope: &Envelope) -> u32 {
        writer.push(MailboxId::new([1; 16]), envelope, &key(), SALT).unwrap()
    }

    fn envelope(seq: u64, size: usize) -> Envelope {
        Envelope {
            seq: Seq::new(seq),
            prev: Seq::new(seq - 1),
            epoch: Seq::new(3),
            id: EnvelopeId::new([5; 16]),
            class: EnvelopeClass::Quiet,
            expires_at: UnixTime::new(99),
            commit: seq.is_multiple_of(2),
            body: Bytes::from(vec![0xab; size]),
        }
    }

    fn chunk() -> (Vec<u8>, Vec<u32>) {
        let mut writer = ChunkWriter::new(UnixTime::new(7));
        let offsets = [0, 1, 500].map(|size| push(&mut writer, &envelope(size + 2, size as usize)));
        (writer.bytes().to_vec(), offsets.to_vec())
    }

    #[test]
    fn entries_round_trip_alone_and_together() {
        let (bytes, offsets) = chunk();
        let all = read_all(&bytes).unwrap();
        assert_eq!(all.len(), 3);
        for (found, expected) in all.into_iter().zip(offsets) {
            assert_eq!((found.offset, found.mailbox), (expected, MailboxId::new([1; 16])));
            let size = usize::try_from(found.seq.get() - 2).unwrap();
            assert_eq!(found.size(), size);
            assert_eq!(found.open(&key()), Ok(envelope(found.seq.get(), size)));
            assert_eq!(found.open(&BucketKey::new(&[7; 32]).unwrap()), Err(Unopenable));
            assert_eq!(read_at(&bytes, expected), Ok(found));
        }
    }

    /// LIM-1: the largest body fits into a chunk of its own.
    #[test]
    fn the_largest_body_has_room() {
        let mut writer = ChunkWriter::new(UnixTime::new(7));
        assert!(writer.fits(restante_spec::limits::BODY_BYTES));
        push(&mut writer, &envelope(2, restante_spec::limits::BODY_BYTES));
        assert!(writer.bytes().len() <= CHUNK_BYTES);
        assert!(!writer.fits(100));
    }

    #[test]
    fn every_flipped_byte_of_an_entry_is_noticed() {
        let (bytes, _) = chunk();
        for place in HEADER_BYTES..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x10;
            assert!(read_all(&flipped).is_err(), "byte {place}");
        }
    }

    #[test]
    fn truncated_chunks_are_noticed() {
        let (bytes, offsets) = chunk();
        for length in 0..bytes.len() {
            let whole = offsets.contains(&u32::try_from(length).unwrap());
            assert_eq!(read_all(&bytes[..length]).is_ok(), whole, "length {length}");
        }
    }

    #[test]
    fn other_versions_are_named() {
        let (mut bytes, _) = chunk();
        bytes[0] = 1;
        assert_eq!(read_all(&bytes), Err(Damaged::Version(1)));
    }

    /// What is stored of a body is not the body.
    #[test]
    fn bodies_stand_sealed() {
        let (bytes, _) = chunk();
        assert!(!bytes.windows(8).any(|window| window == [0xab; 8]));
    }

    /// Whatever can be written can be read again: a class nobody stores does not spoil a store.
    #[test]
    fn every_class_reads_back() {
        for class in [EnvelopeClass::Normal, EnvelopeClass::Quiet, EnvelopeClass::Live] {
            assert_eq!(class_of(class_number(class)), Ok(class));
        }
        assert_eq!(class_of(0), Err(Damaged::Class));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, offset: u32) {
            let _ = read_all(&bytes);
            let _ = read_at(&bytes, offset);
            let mut headed = vec![VERSION, 0, 0, 0, 0, 0, 0, 0, 0];
            headed.extend(bytes);
            let _ = read_all(&headed);
        }
    }
}
