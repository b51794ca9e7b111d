//! CMD-20: whoever reads a blob proves its read key, on this connection to this relay only.
//!
//! Signed: label, relay identity (32), nonce of the connection (32), blob id (16), key (32).

use restante_spec::ids::{BlobId, Nonce, PublicKey, Signature};

use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};

/// What a read proof is bound to besides its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobChallenge {
    /// The relay's identity key: a proof shown to one relay is nothing at another.
    pub relay: PublicKey,
    /// The relay's random number for this connection: a proof cannot be replayed.
    pub nonce: Nonce,
    /// The blob to read.
    pub blob: BlobId,
}

impl BlobChallenge {
    /// Proves that the signer holds `key` (CMD-20).
    #[must_use]
    pub fn prove(&self, key: &SigningKey) -> Signature {
        key.sign(Label::BLOB, &self.parts(&key.public()))
    }

    /// Checks a proof for `key` (CMD-20).
    ///
    /// # Errors
    /// [`Error::BadSignature`] or [`Error::BadKey`]; a relay answers both alike.
    pub fn verify(&self, key: &PublicKey, proof: &Signature) -> Result<(), Error> {
        verify(key, Label::BLOB, &self.parts(key), proof)
    }

    fn parts<'a>(&'a self, key: &'a PublicKey) -> [&'a [u8]; 4] {
        [self.relay.as_bytes(), self.nonce.as_bytes(), self.blob.as_bytes(), key.as_bytes()]
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::MailboxId;

    use super::*;
    use crate::proofs::OpenChallenge;

    /// CMD-20: the proof holds for its relay, connection, blob and key, and for nothing else; one
    /// that opens a mailbox of the same bytes reads nothing.
    #[test]
    fn proof_is_bound_to_all_it_names() {
        let key = SigningKey::from_seed(&[1; 32]);
        let (relay, nonce) = (PublicKey::new([2; 32]), Nonce::new([3; 32]));
        let challenge = BlobChallenge { relay, nonce, blob: BlobId::new([4; 16]) };
        let proof = challenge.prove(&key);
        assert_eq!(challenge.verify(&key.public(), &proof), Ok(()));
        let others = [
            BlobChallenge { relay: PublicKey::new([9; 32]), ..challenge },
            BlobChallenge { nonce: Nonce::new([9; 32]), ..challenge },
            BlobChallenge { blob: BlobId::new([9; 16]), ..challenge },
        ];
        for other in others {
            assert_eq!(other.verify(&key.public(), &proof), Err(Error::BadSignature));
        }
        let stranger = SigningKey::from_seed(&[5; 32]).public();
        assert_eq!(challenge.verify(&stranger, &proof), Err(Error::BadSignature));
        let open = OpenChallenge { relay, nonce, mailbox: MailboxId::new([4; 16]) };
        let moved = challenge.verify(&key.public(), &open.prove(&key));
        assert_eq!(moved, Err(Error::BadSignature));
    }
}
