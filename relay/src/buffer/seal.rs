//! Bodies on disk are sealed one by one under the key of the time they expire in.
//!
//! AES-256-GCM; the nonce is a number drawn at each start (4 bytes) and the envelope's own (8),
//! which is never given twice; the entry's other fields are bound to it. Once the key is gone
//! (`keys.rs`), whatever is left on the medium reads as noise.
//! Sans-IO: knows keys and bytes; must not know files.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use restante_spec::ids::{Seq, UnixTime};

/// Bytes that sealing adds to a body: the tag (RFC 5116, section 5.2).
pub(super) const TAG_BYTES: usize = 16;

/// The time a key is for: a quarter of an hour by the clock, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bucket(pub(super) u64);

impl Bucket {
    /// The bucket in which something expires.
    pub(super) const fn of(expires_at: UnixTime) -> Self {
        Self(expires_at.get() / BUCKET_SECONDS)
    }

    /// Whether everything in it has expired.
    pub(super) const fn is_over(self, now: UnixTime) -> bool {
        self.0 < now.get() / BUCKET_SECONDS
    }
}

/// Unit: a quarter of an hour. What has expired can be read on the medium for so long at most.
const BUCKET_SECONDS: u64 = 15 * 60;

/// Drawn at each start: a part of the nonces made since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u32);

/// The key of a bucket.
pub(super) struct BucketKey(LessSafeKey);

/// A body that does not open: damaged, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body does not open under its key")]
pub(super) struct Unopenable;

impl BucketKey {
    /// From its 32 bytes.
    pub(super) fn new(bytes: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals `body` in place; the tag is returned.
    pub(super) fn seal(
        &self,
        salt: Salt,
        seq: Seq,
        fields: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Unopenable> {
        let aad = Aad::from(fields);
        let tag = self.0.seal_in_place_separate_tag(nonce(salt, seq), aad, body);
        let tag = tag.map_err(|_| Unopenable)?;
        tag.as_ref().try_into().map_err(|_| Unopenable)
    }

    /// Opens a sealed body with its tag behind it, in place.
    pub(super) fn open<'b>(
        &self,
        salt: Salt,
        seq: Seq,
        fields: &[u8],
        sealed: &'b mut [u8],
    ) -> Result<&'b mut [u8], Unopenable> {
        let aad = Aad::from(fields);
        self.0.open_in_place(nonce(salt, seq), aad, sealed).map_err(|_| Unopenable)
    }
}

fn nonce(salt: Salt, seq: Seq) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (first, rest) = bytes.split_at_mut(4);
    first.copy_from_slice(&salt.0.to_be_bytes());
    rest.copy_from_slice(&seq.get().to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(7);

    fn sealed(key: &BucketKey) -> Vec<u8> {
        let mut body = b"a body".to_vec();
        let tag = key.seal(SALT, Seq::new(3), b"fields", &mut body).unwrap();
        body.extend_from_slice(&tag);
        body
    }

    /// Every part is bound: key, salt, number, fields, body.
    #[test]
    fn bodies_open_under_exactly_what_they_were_sealed_with() {
        let key = BucketKey::new(&[1; 32]).unwrap();
        let open = |key: &BucketKey, salt, seq, fields: &[u8], mut body: Vec<u8>| {
            key.open(salt, Seq::new(seq), fields, &mut body).map(|body| body.to_vec())
        };
        assert_eq!(open(&key, SALT, 3, b"fields", sealed(&key)), Ok(b"a body".to_vec()));
        let other = BucketKey::new(&[2; 32]).unwrap();
        assert_eq!(open(&other, SALT, 3, b"fields", sealed(&key)), Err(Unopenable));
        assert_eq!(open(&key, Salt(8), 3, b"fields", sealed(&key)), Err(Unopenable));
        assert_eq!(open(&key, SALT, 4, b"fields", sealed(&key)), Err(Unopenable));
        assert_eq!(open(&key, SALT, 3, b"Fields", sealed(&key)), Err(Unopenable));
        let mut flipped = sealed(&key);
        flipped[0] ^= 1;
        assert_eq!(open(&key, SALT, 3, b"fields", flipped), Err(Unopenable));
    }

    /// A bucket is over with its last second, not before.
    #[test]
    fn buckets_end_behind_what_expires_in_them() {
        let bucket = Bucket::of(UnixTime::new(1_799));
        assert_eq!(bucket, Bucket(1));
        assert!(!bucket.is_over(UnixTime::new(1_799)));
        assert!(bucket.is_over(UnixTime::new(1_800)));
    }
}
