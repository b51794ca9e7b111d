//! Bodies on disk are sealed one by one under the key of the time they expire in.
//!
//! AES-256-GCM; the nonce is a number drawn at each start and after each failure (4 bytes), behind
//! which an envelope's own number may come again, and that number (8); the entry's other fields are
//! bound to it. Parts of blobs have no number: theirs is drawn, and stands before them. Once the
//! key is gone (`keys.rs`), whatever is left on the medium reads as noise.
//! Sans-IO: knows keys and bytes; must not know files.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::BytesMut;
use restante_spec::ids::{Seq, UnixTime};

/// Bytes that sealing adds to a body: the tag (RFC 5116, section 5.2).
pub(super) const TAG_BYTES: usize = 16;
/// Bytes of a nonce (RFC 5116, section 5.1), which stand before what is sealed with a drawn one.
pub(super) const NONCE_BYTES: usize = NONCE_LEN;

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

/// Drawn at each start and after each failure: a part of the nonces made since.
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

    /// Seals a copy of `body` under a nonce that was drawn at random: nonce, sealed bytes, tag. For
    /// keys that seal nothing under numbers, and far less than the 2^32 bodies for which it is safe
    /// to draw.
    pub(super) fn seal_drawn(
        &self,
        nonce: [u8; NONCE_BYTES],
        fields: &[u8],
        body: &[u8],
    ) -> Result<Vec<u8>, Unopenable> {
        let mut sealed = Vec::with_capacity(NONCE_BYTES + body.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(body);
        let bytes = sealed.get_mut(NONCE_BYTES..).ok_or(Unopenable)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(fields), bytes);
        sealed.extend_from_slice(tag.map_err(|_| Unopenable)?.as_ref());
        Ok(sealed)
    }

    /// Opens what [`BucketKey::seal_drawn`] has sealed.
    pub(super) fn open_drawn(
        &self,
        fields: &[u8],
        mut sealed: BytesMut,
    ) -> Result<BytesMut, Unopenable> {
        if sealed.len() < NONCE_BYTES + TAG_BYTES {
            return Err(Unopenable);
        }
        let nonce = sealed.split_to(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Unopenable)?;
        let opened = self.0.open_in_place(nonce, Aad::from(fields), &mut sealed);
        let size = opened.map_err(|_| Unopenable)?.len();
        sealed.truncate(size);
        Ok(sealed)
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

    /// What a nonce has sealed stands behind it, bound to its fields.
    #[test]
    fn drawn_nonces_stand_before_what_they_sealed() {
        let key = BucketKey::new(&[1; 32]).unwrap();
        let sealed = key.seal_drawn([5; NONCE_BYTES], b"fields", b"a body").unwrap();
        assert_eq!(sealed.len(), NONCE_BYTES + 6 + TAG_BYTES);
        assert_ne!(key.seal_drawn([6; NONCE_BYTES], b"fields", b"a body").unwrap(), sealed);
        let open = |fields: &[u8], bytes: &[u8]| key.open_drawn(fields, BytesMut::from(bytes));
        assert_eq!(open(b"fields", &sealed).unwrap(), "a body");
        assert_eq!(open(b"Fields", &sealed), Err(Unopenable));
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            assert_eq!(open(b"fields", &flipped), Err(Unopenable));
            assert_eq!(open(b"fields", &sealed[..place]), Err(Unopenable));
        }
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
