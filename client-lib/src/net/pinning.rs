//! Who answers: is it the relay that the address names (TRN-5, TRN-6)?
//!
//! Sans-IO: knows `welcome`, the address and the key of the handshake; must not know sockets.

use restante_crypto::verify_endorsement;
use restante_spec::address::RelayAddress;
use restante_spec::ids::{SpkiHash, UnixTime};
use restante_spec::message::Welcome;

use super::error::LinkError;

/// Judges `welcome` before anything else is sent: `presented` is the hash of the public key in the
/// certificate of this very handshake.
pub(super) fn check(
    address: &RelayAddress,
    welcome: &Welcome,
    presented: &SpkiHash,
    now: UnixTime,
) -> Result<(), LinkError> {
    // TRN-6
    if welcome.identity != *address.identity() {
        return Err(LinkError::WrongIdentity);
    }
    // TRN-5
    verify_endorsement(&welcome.endorsement, address.identity(), now)
        .map_err(LinkError::BadEndorsement)?;
    // TRN-6
    if welcome.endorsement.spki != *presented {
        return Err(LinkError::WrongCertificate);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use restante_crypto::{SigningKey, endorse, spki_hash};
    use restante_spec::ids::{Incarnation, Nonce, Seconds};
    use restante_spec::message::{Credit, Limits};

    use super::*;

    const NOW: UnixTime = UnixTime::new(1_800_000_000);

    fn welcome(identity: &SigningKey, spki: SpkiHash, not_after: u64) -> Welcome {
        Welcome {
            version: 1,
            identity: identity.public(),
            nonce: Nonce::new([1; 32]),
            incarnation: Incarnation::new([2; 16]),
            endorsement: endorse(identity, spki, UnixTime::new(not_after)),
            limits: Limits {
                body_bytes: 1,
                mailbox_entries: 1,
                mailbox_bytes: 1,
                ttl_default: Seconds::new(1),
                ttl_max: Seconds::new(1),
                idle: Seconds::new(30),
                handles: 1,
                requests_in_flight: 1,
                credit: Credit::default(),
                token_needed: false,
            },
            now: NOW,
        }
    }

    /// TRN-6: only the relay the address names passes, with its own certificate, in its time.
    #[test]
    fn only_the_named_relay_passes() {
        let (right, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let address = RelayAddress::new(right.public(), "127.0.0.1", 7443).unwrap();
        let (key, other_key) = (spki_hash(b"key"), spki_hash(b"another key"));
        let soon = NOW.get() + 60;
        let judge = |welcome: &Welcome| check(&address, welcome, &key, NOW);

        assert_eq!(judge(&welcome(&right, key, soon)), Ok(()));
        assert_eq!(judge(&welcome(&other, key, soon)), Err(LinkError::WrongIdentity));
        assert_eq!(judge(&welcome(&right, other_key, soon)), Err(LinkError::WrongCertificate));
        let late = judge(&welcome(&right, key, NOW.get() - 1));
        assert!(matches!(late, Err(LinkError::BadEndorsement(_))));
        let claimed = Welcome { identity: right.public(), ..welcome(&other, key, soon) };
        assert!(matches!(judge(&claimed), Err(LinkError::BadEndorsement(_))));
    }
}
