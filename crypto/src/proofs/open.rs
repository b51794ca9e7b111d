//! CMD-4: whoever opens a mailbox proves a key, on this connection to this relay only.
//!
//! Signed: label, relay identity (32), nonce of the connection (32), mailbox id (16), key (32).

use restante_spec::ids::{MailboxId, Nonce, PublicKey, Signature};

use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};

/// What an open proof is bound to besides its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChallenge {
    /// The relay's identity key: a proof shown to one relay is nothing at another.
    pub relay: PublicKey,
    /// The relay's random number for this connection: a proof cannot be replayed.
    pub nonce: Nonce,
    /// The mailbox to open.
    pub mailbox: MailboxId,
}

impl OpenChallenge {
    /// Proves that the signer holds `key` (CMD-4).
    #[must_use]
    pub fn prove(&self, key: &SigningKey) -> Signature {
        key.sign(Label::OPEN, &self.parts(&key.public()))
    }

    /// Checks a proof for `key` (CMD-4).
    ///
    /// # Errors
    /// [`Error::BadSignature`] or [`Error::BadKey`]; a relay answers both alike.
    pub fn verify(&self, key: &PublicKey, proof: &Signature) -> Result<(), Error> {
        verify(key, Label::OPEN, &self.parts(key), proof)
    }

    fn parts<'a>(&'a self, key: &'a PublicKey) -> [&'a [u8]; 4] {
        [self.relay.as_bytes(), self.nonce.as_bytes(), self.mailbox.as_bytes(), key.as_bytes()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CMD-4: the proof holds for its relay, connection, mailbox and key, and for nothing else.
    #[test]
    fn proof_is_bound_to_all_it_names() {
        let key = SigningKey::from_seed(&[1; 32]);
        let challenge = OpenChallenge {
            relay: PublicKey::new([2; 32]),
            nonce: Nonce::new([3; 32]),
            mailbox: MailboxId::new([4; 16]),
        };
        let proof = challenge.prove(&key);
        assert_eq!(challenge.verify(&key.public(), &proof), Ok(()));
        let others = [
            OpenChallenge { relay: PublicKey::new([9; 32]), ..challenge },
            OpenChallenge { nonce: Nonce::new([9; 32]), ..challenge },
            OpenChallenge { mailbox: MailboxId::new([9; 16]), ..challenge },
        ];
        for other in others {
            assert_eq!(other.verify(&key.public(), &proof), Err(Error::BadSignature));
        }
        let stranger = SigningKey::from_seed(&[5; 32]).public();
        assert_eq!(challenge.verify(&stranger, &proof), Err(Error::BadSignature));
    }
}
