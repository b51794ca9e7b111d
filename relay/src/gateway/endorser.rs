//! Vouches for TLS keys with the identity key, anew before the last word runs out (TRN-5).

use std::sync::{Mutex, PoisonError};

use restante_crypto::{SigningKey, endorse};
use restante_spec::ids::{PublicKey, Seconds, SpkiHash, UnixTime};
use restante_spec::limits;
use restante_spec::message::Endorsement;

/// Signs endorsements of the TLS keys that handshakes were done with.
pub(crate) struct Endorser {
    identity: SigningKey,
    /// The last one signed. After a change of certificates, the connections that shook hands before
    /// have another one signed for them.
    current: Mutex<Option<Endorsement>>,
}

/// An endorsement is renewed when less than this is left of it: half its life.
const RENEW_BEFORE: Seconds = Seconds::new(limits::ENDORSEMENT_MAX.get() / 2);

impl Endorser {
    /// For a relay's identity.
    pub(crate) fn new(identity: SigningKey) -> Self {
        Self { identity, current: Mutex::new(None) }
    }

    /// The relay's identity key.
    pub(crate) fn identity(&self) -> PublicKey {
        self.identity.public()
    }

    /// An endorsement of this key that holds for half its life at least.
    pub(crate) fn endorsement(&self, spki: SpkiHash, now: UnixTime) -> Endorsement {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |endorsement: &Endorsement| {
            endorsement.spki == spki
                && now.after(RENEW_BEFORE) < endorsement.not_after
                && endorsement.not_after <= now.after(limits::ENDORSEMENT_MAX)
        };
        if let Some(endorsement) = current.filter(fresh) {
            return endorsement;
        }
        // A minute less than the longest, so that a client's clock may run a little behind.
        let life = Seconds::new(limits::ENDORSEMENT_MAX.get() - 60);
        let not_after = now.after(life);
        let endorsement = endorse(&self.identity, spki, not_after);
        *current = Some(endorsement);
        endorsement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPKI: SpkiHash = SpkiHash::new([1; 32]);

    /// TRN-5: renewed by itself before it runs out, and always valid.
    #[test]
    fn endorsement_renews_itself() {
        let identity = SigningKey::from_seed(&[7; 32]);
        let public = identity.public();
        let endorser = Endorser::new(identity);
        let mut seen = Vec::new();
        for day in 0..30 {
            let now = UnixTime::new(1_000_000 + day * 86_400);
            let made = endorser.endorsement(SPKI, now);
            restante_crypto::verify_endorsement(&made, &public, now).unwrap();
            seen.push(made.not_after);
        }
        seen.dedup();
        assert!((7..12).contains(&seen.len()), "{} renewals in 30 days", seen.len());
    }

    /// TRN-5: after the clock was set back, an endorsement too far ahead is replaced.
    #[test]
    fn endorsement_follows_a_clock_set_back() {
        let endorser = Endorser::new(SigningKey::from_seed(&[7; 32]));
        endorser.endorsement(SPKI, UnixTime::new(9_000_000));
        let now = UnixTime::new(1_000_000);
        assert!(endorser.endorsement(SPKI, now).not_after <= now.after(limits::ENDORSEMENT_MAX));
    }

    /// TRN-5: each key gets its own, in whatever order they are asked for.
    #[test]
    fn endorsement_is_of_the_key_asked_for() {
        let endorser = Endorser::new(SigningKey::from_seed(&[7; 32]));
        let (other, now) = (SpkiHash::new([2; 32]), UnixTime::new(1_000_000));
        for spki in [SPKI, other, SPKI] {
            assert_eq!(endorser.endorsement(spki, now).spki, spki);
        }
    }
}
