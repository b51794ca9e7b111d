//! X-Wing, the hybrid KEM of ML-KEM-768 and X25519 (draft-connolly-cfrg-xwing-kem, LET-7).
//!
//! Knows the KEM only; what its secrets are for is told elsewhere. Composed here from two crates,
//! compared in the tests with the draft's vector and with an implementation that is not ours.
//! A public key or ciphertext that forces X25519 to zero is refused, as the draft's editors
//! settled.

use std::fmt;

use ml_kem::array::Array;
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey};
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use x25519_dalek::{PublicKey as X25519Public, StaticSecret};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random::random_secret;

/// An X-Wing public key: ML-KEM-768 (1,184 bytes), then X25519 (32 bytes).
#[derive(Clone, PartialEq, Eq)]
pub struct KemPublic(Box<[u8; Self::SIZE]>);

/// An X-Wing secret key, 32 bytes. Wiped when dropped.
pub struct KemSecret(Zeroizing<[u8; 32]>);

/// What an encapsulation gives: the ciphertext to send and the secret to use.
pub(crate) struct Encapsulated {
    pub(crate) ciphertext: [u8; CIPHERTEXT],
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// Bytes of a ciphertext: ML-KEM-768 (1,088), then X25519 (32).
pub(crate) const CIPHERTEXT: usize = 1_120;
const KEM_PUBLIC: usize = 1_184;
const KEM_CIPHERTEXT: usize = 1_088;
/// The draft's label, `\./` over `/^\`.
const LABEL: &[u8; 6] = br"\.//^\";
/// Any secret shows whether a key is of small order: each is a multiple of 8.
const TRIAL: [u8; 32] = [1; 32];

impl KemPublic {
    /// Size in bytes.
    pub const SIZE: usize = 1_216;

    /// Checks and wraps a public key.
    ///
    /// # Errors
    /// [`Error::BadKey`] if it has another size, is not a canonical ML-KEM key, or forces X25519 to
    /// zero.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: [u8; Self::SIZE] = bytes.try_into().map_err(|_| Error::BadKey)?;
        let key = Self(Box::new(bytes));
        let (_, dh) = key.halves()?;
        // LET-7
        let is_sound = StaticSecret::from(TRIAL).diffie_hellman(&dh).was_contributory();
        if is_sound { Ok(key) } else { Err(Error::BadKey) }
    }

    /// The bytes as they are sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Makes a secret that only the holder of the key can know.
    pub(crate) fn encapsulate(&self, randomness: &[u8; 64]) -> Result<Encapsulated, Error> {
        let (kem, dh) = self.halves()?;
        let (kem_seed, dh_seed) = halves_of(randomness);
        let (kem_ciphertext, kem_secret) = kem.encapsulate_deterministic(&Array(*kem_seed));
        let kem_secret = Zeroizing::new(<[u8; 32]>::from(kem_secret));
        let ephemeral = StaticSecret::from(*dh_seed);
        let dh_ciphertext = X25519Public::from(&ephemeral);
        let dh_secret = ephemeral.diffie_hellman(&dh);
        if !dh_secret.was_contributory() {
            return Err(Error::BadKey);
        }
        let secret = combine(&kem_secret, dh_secret.as_bytes(), &dh_ciphertext, &dh);
        let mut ciphertext = [0; CIPHERTEXT];
        let (head, tail) = ciphertext.split_at_mut(KEM_CIPHERTEXT);
        head.copy_from_slice(&kem_ciphertext);
        tail.copy_from_slice(dh_ciphertext.as_bytes());
        Ok(Encapsulated { ciphertext, secret })
    }

    fn halves(&self) -> Result<(EncapsulationKey, X25519Public), Error> {
        let (kem, dh) = self.0.split_at(KEM_PUBLIC);
        let kem = kem.try_into().map_err(|_| Error::BadKey)?;
        let dh: [u8; 32] = dh.try_into().map_err(|_| Error::BadKey)?;
        let kem = EncapsulationKey::new(&kem).map_err(|_| Error::BadKey)?;
        Ok((kem, X25519Public::from(dh)))
    }
}

impl KemSecret {
    /// A new secret key from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(random_secret()?))
    }

    /// Wraps the 32 bytes of a secret key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*seed))
    }

    /// The 32 bytes, to be kept in an encrypted store and nowhere else. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> KemPublic {
        let (kem, dh) = self.expand();
        let mut bytes = Box::new([0; KemPublic::SIZE]);
        let (head, tail) = bytes.split_at_mut(KEM_PUBLIC);
        head.copy_from_slice(&kem.encapsulation_key().to_bytes());
        tail.copy_from_slice(X25519Public::from(&dh).as_bytes());
        KemPublic(bytes)
    }

    /// The secret behind a ciphertext; a wrong ciphertext gives a secret nobody knows.
    pub(crate) fn decapsulate(
        &self,
        ciphertext: &[u8; CIPHERTEXT],
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        let (kem, dh) = self.expand();
        let (kem_ciphertext, dh_ciphertext) = ciphertext.split_at(KEM_CIPHERTEXT);
        let kem_ciphertext: Ciphertext =
            kem_ciphertext.try_into().map_err(|_| Error::Undecryptable)?;
        let dh_ciphertext: [u8; 32] = dh_ciphertext.try_into().map_err(|_| Error::Undecryptable)?;
        let dh_ciphertext = X25519Public::from(dh_ciphertext);
        let kem_secret = Zeroizing::new(<[u8; 32]>::from(kem.decapsulate(&kem_ciphertext)));
        let dh_secret = dh.diffie_hellman(&dh_ciphertext);
        if !dh_secret.was_contributory() {
            return Err(Error::Undecryptable);
        }
        let own = X25519Public::from(&dh);
        Ok(combine(&kem_secret, dh_secret.as_bytes(), &dh_ciphertext, &own))
    }

    fn expand(&self) -> (DecapsulationKey, StaticSecret) {
        let mut shake = Shake256::default();
        shake.update(self.0.as_ref());
        let mut expanded = shake.finalize_xof();
        let mut kem_seed = Zeroizing::new([0; 64]);
        expanded.read(kem_seed.as_mut());
        let mut dh_seed = Zeroizing::new([0; 32]);
        expanded.read(dh_seed.as_mut());
        (DecapsulationKey::from_seed(Array(*kem_seed)), StaticSecret::from(*dh_seed))
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemPublic(..)")
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(..)")
    }
}

// LET-7
fn combine(
    kem_secret: &[u8; 32],
    dh_secret: &[u8; 32],
    dh_ciphertext: &X25519Public,
    dh_public: &X25519Public,
) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha3_256::new();
    for part in [kem_secret, dh_secret, dh_ciphertext.as_bytes(), dh_public.as_bytes()] {
        Digest::update(&mut hash, part);
    }
    Digest::update(&mut hash, LABEL);
    Zeroizing::new(hash.finalize().into())
}

fn halves_of(bytes: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    let (head, tail) = bytes.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
    (head, tail.first_chunk::<32>().unwrap_or(&[0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::sha256;
    use data_encoding::HEXLOWER;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    /// LET-7: the first vector of the draft.
    #[test]
    fn draft_vector_is_met() {
        let secret = KemSecret::from_seed(&hex(
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
        ));
        let randomness = hex(concat!(
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2",
            "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
        ));
        let shared = hex("d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384");
        let made = secret.public().encapsulate(&randomness).unwrap();
        assert_eq!(*made.secret, shared);
        assert_eq!(*secret.decapsulate(&made.ciphertext).unwrap(), shared);
    }

    /// LET-7: keys, ciphertexts and secrets are those of another implementation.
    #[test]
    fn agrees_with_another_implementation() {
        for n in 0..4_u8 {
            let seed = sha256(&[&[n]]);
            let mut randomness = [n; 64];
            randomness[..32].copy_from_slice(&sha256(&[b"r", &[n]]));
            let (ours, theirs) =
                (KemSecret::from_seed(&seed), x_wing::DecapsulationKey::from(seed));
            let their_public = x_wing::Decapsulator::encapsulation_key(&theirs);
            assert_eq!(ours.public().as_bytes()[..], their_public.to_bytes()[..]);
            let made = ours.public().encapsulate(&randomness).unwrap();
            let (ciphertext, secret) = their_public.encapsulate_deterministic(&randomness.into());
            assert_eq!(made.ciphertext[..], ciphertext[..]);
            assert_eq!(made.secret[..], secret[..]);
            assert_eq!(theirs.decapsulate(&ciphertext)[..], made.secret[..]);
        }
    }

    /// LET-7: an X25519 half that forces a known secret is refused on both sides. Once such a key
    /// was refused only when a letter was sealed to it.
    #[test]
    fn zero_point_is_refused() {
        let secret = KemSecret::from_seed(&[1; 32]);
        let sound = *secret.public().as_bytes();
        assert!(KemPublic::from_slice(&sound).is_ok());
        for small in [0, 1] {
            let mut public = sound;
            public[KEM_PUBLIC..].fill(0);
            public[KEM_PUBLIC] = small;
            assert_eq!(KemPublic::from_slice(&public).err(), Some(Error::BadKey));
            let unchecked = KemPublic(Box::new(public));
            assert_eq!(unchecked.encapsulate(&[2; 64]).err(), Some(Error::BadKey));
        }
        let mut made = secret.public().encapsulate(&[2; 64]).unwrap();
        made.ciphertext[KEM_CIPHERTEXT..].fill(0);
        assert_eq!(secret.decapsulate(&made.ciphertext).err(), Some(Error::Undecryptable));
    }

    /// LET-7: a key with a coefficient above the modulus is not a key.
    #[test]
    fn key_out_of_range_is_refused() {
        assert_eq!(KemPublic::from_slice(&[0xff; KemPublic::SIZE]).err(), Some(Error::BadKey));
        assert_eq!(KemPublic::from_slice(&[0; 32]).err(), Some(Error::BadKey));
        assert_eq!(format!("{:?}", KemSecret::from_seed(&[1; 32])), "KemSecret(..)");
    }
}
