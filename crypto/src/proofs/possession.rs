//! CMD-3: whoever brings a key to a mailbox (`create`, `allow`, a commit) shows that it is held.
//!
//! Signed by the key brought: label, mailbox id (16), key (32). So nobody can register a key that
//! nobody holds, or another's.

use restante_spec::ids::{MailboxId, PublicKey, Signature};

use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};

/// Proves that the signer holds `key`, for this mailbox (CMD-3).
#[must_use]
pub fn prove_possession(key: &SigningKey, mailbox: &MailboxId) -> Signature {
    key.sign(Label::POSSESSION, &[mailbox.as_bytes(), key.public().as_bytes()])
}

/// Checks a proof that `key` is held by whoever brings it (CMD-3).
///
/// # Errors
/// [`Error::BadSignature`] or [`Error::BadKey`].
pub fn verify_possession(
    key: &PublicKey,
    mailbox: &MailboxId,
    proof: &Signature,
) -> Result<(), Error> {
    verify(key, Label::POSSESSION, &[mailbox.as_bytes(), key.as_bytes()], proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CMD-3: a proof holds for its mailbox and its key only.
    #[test]
    fn proof_is_bound_to_mailbox_and_key() {
        let key = SigningKey::from_seed(&[1; 32]);
        let (mailbox, other) = (MailboxId::new([2; 16]), MailboxId::new([3; 16]));
        let proof = prove_possession(&key, &mailbox);
        assert_eq!(verify_possession(&key.public(), &mailbox, &proof), Ok(()));
        let moved = verify_possession(&key.public(), &other, &proof);
        assert_eq!(moved, Err(Error::BadSignature));
        let stranger = SigningKey::from_seed(&[4; 32]).public();
        let stolen = verify_possession(&stranger, &mailbox, &proof);
        assert_eq!(stolen, Err(Error::BadSignature));
    }
}
