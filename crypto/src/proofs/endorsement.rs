//! TRN-5: a relay's identity vouches for the key of its TLS certificate, for a few days.
//!
//! Signed: label, SHA-256 of the certificate's SubjectPublicKeyInfo (32 bytes), end (8 bytes, big
//! endian). Knows no certificates: only the hash of one's key.

use restante_spec::ids::{PublicKey, SpkiHash, UnixTime};
use restante_spec::limits::ENDORSEMENT_MAX;
use restante_spec::message::Endorsement;

use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, sha256, verify};

/// Signs that `identity` vouches for the TLS key of hash `spki` up to `not_after` (TRN-5).
#[must_use]
pub fn endorse(identity: &SigningKey, spki: SpkiHash, not_after: UnixTime) -> Endorsement {
    let parts: [&[u8]; 2] = [spki.as_bytes(), &not_after.get().to_be_bytes()];
    Endorsement { spki, not_after, signature: identity.sign(Label::ENDORSEMENT, &parts) }
}

/// Checks that `identity` vouches for the key an endorsement speaks of, now (TRN-5). The caller
/// compares that key with the one of the handshake (TRN-6).
///
/// # Errors
/// [`Error::BadSignature`] or [`Error::BadKey`], [`Error::EndorsementExpired`],
/// [`Error::EndorsementTooLong`].
pub fn verify_endorsement(
    endorsement: &Endorsement,
    identity: &PublicKey,
    now: UnixTime,
) -> Result<(), Error> {
    let (not_after, now_secs) = (endorsement.not_after.get(), now.get());
    let parts: [&[u8]; 2] = [endorsement.spki.as_bytes(), &not_after.to_be_bytes()];
    verify(identity, Label::ENDORSEMENT, &parts, &endorsement.signature)?;
    // TRN-5
    if endorsement.not_after < now {
        return Err(Error::EndorsementExpired { not_after, now: now_secs });
    }
    if endorsement.not_after > now.after(ENDORSEMENT_MAX) {
        let max = ENDORSEMENT_MAX.get();
        return Err(Error::EndorsementTooLong { not_after, now: now_secs, max });
    }
    Ok(())
}

/// SHA-256 of a DER-encoded SubjectPublicKeyInfo (RFC 5280 section 4.1).
#[must_use]
pub fn spki_hash(subject_public_key_info: &[u8]) -> SpkiHash {
    SpkiHash::new(sha256(&[subject_public_key_info]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::new(1_800_000_000);

    fn signed(not_after: u64) -> (PublicKey, Endorsement) {
        let identity = SigningKey::from_seed(&[1; 32]);
        let not_after = UnixTime::new(not_after);
        (identity.public(), endorse(&identity, spki_hash(b"key"), not_after))
    }

    /// TRN-5: valid to its last second and seven days ahead, not one second more.
    #[test]
    fn endorsement_holds_within_its_bounds() {
        let max = NOW.after(ENDORSEMENT_MAX).get();
        for (not_after, holds) in
            [(NOW.get() - 1, false), (NOW.get(), true), (max, true), (max + 1, false)]
        {
            let (identity, endorsement) = signed(not_after);
            assert_eq!(
                verify_endorsement(&endorsement, &identity, NOW).is_ok(),
                holds,
                "{not_after}"
            );
        }
    }

    /// TRN-5: another key, another end or another identity make it invalid.
    #[test]
    fn endorsement_of_something_else_is_refused() {
        let (identity, good) = signed(NOW.get() + 60);
        let other_key = Endorsement { spki: spki_hash(b"other"), ..good };
        let other_end = Endorsement { not_after: UnixTime::new(NOW.get() + 61), ..good };
        let stranger = SigningKey::from_seed(&[2; 32]).public();
        for (endorsement, by) in [(other_key, identity), (other_end, identity), (good, stranger)] {
            assert_eq!(verify_endorsement(&endorsement, &by, NOW), Err(Error::BadSignature));
        }
    }
}
