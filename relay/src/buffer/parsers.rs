//! What reads bytes of the disk here, for fuzzing: thin, and only with the feature `simulation`.

use bytes::BufMut;
use restante_spec::ids::UnixTime;
use zeroize::Zeroizing;

use super::chunk::{ChunkWriter, read_all, read_at};
use super::keys::{FILE_BYTES, Keys, write_slot};
use super::seal::{Bucket, BucketKey};

/// Reads a chunk; its number of entries if it is sound, and then it is written as it was.
#[must_use]
pub fn chunk(bytes: &[u8]) -> Option<usize> {
    let key = BucketKey::new(&[0; 32])?;
    let entries = read_all(bytes).ok()?;
    let mut again = ChunkWriter::new(UnixTime::new(0));
    for entry in &entries {
        assert_eq!(read_at(bytes, entry.offset).as_ref(), Ok(entry), "read alone");
        assert_eq!(again.push_entry(entry), entry.offset, "written elsewhere");
        if let Ok(opened) = entry.open(&key) {
            assert_eq!(opened.body.len(), entry.size(), "opened");
        }
    }
    let body = |bytes: &[u8]| bytes.get(9..).map(<[u8]>::to_vec);
    assert_eq!(body(again.bytes()), body(bytes), "written otherwise");
    Some(entries.len())
}

/// A chunk with these entries: lengths and checksums are right, whatever is in them.
#[must_use]
pub fn chunk_of(entries: &[&[u8]]) -> Vec<u8> {
    let mut bytes = ChunkWriter::new(UnixTime::new(0)).bytes().to_vec();
    for entry in entries {
        bytes.put_u32(u32::try_from(entry.len()).unwrap_or(u32::MAX));
        bytes.put_u32(crc32fast::hash(entry));
        bytes.put_slice(entry);
    }
    bytes
}

/// Reads a file of keys at a time; whether it is taken.
#[must_use]
pub fn keys(bytes: &[u8], now: UnixTime) -> bool {
    let mut file = Zeroizing::new(bytes.to_vec());
    file.resize(bytes.len().max(FILE_BYTES), 0);
    let keys = Keys::of_backup(file);
    keys.is_some_and(|keys| keys.get(now).is_none() || !keys.has_over(now))
}

/// A slot of a file of keys, with a checksum that is right.
#[must_use]
pub fn key_slot(bucket: u64, key: &[u8; 32]) -> Vec<u8> {
    write_slot(Bucket(bucket), key).to_vec()
}
