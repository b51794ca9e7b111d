//! Letters: everything that is said outside a conversation, sealed to devices or to an invite.
//!
//! Spec: `spec/09-letters.md`. One body is encrypted once; its key is sealed to each device of the
//! recipient's list, the count hidden by slots nobody can open. The sender is authenticated inside.
//! Knows no content: bytes in, bytes out.

mod open;
mod seal;
mod slot;

pub use open::{LetterKeys, LettersTaken, OpenedLetter};
pub use seal::{Letter, Recipient};

#[cfg(feature = "vectors")]
pub(crate) use seal::Randomness;

use restante_spec::ids::{EnvelopeId, MailboxId};

use crate::identity::AccountId;
use crate::labels::Label;
use crate::signing::sha256;
use crate::xwing::KemPublic;

const VERSION: u8 = 1;
const WHAT: &str = "letter";
/// Bytes of the layout before the slots: version and number of slots.
const HEADER: usize = 2;

/// What a letter is bound to: for whom, into which inbox, as which envelope (LET-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterPlace {
    /// The inbox it is written to.
    pub inbox: MailboxId,
    /// The envelope that carries it.
    pub envelope: EnvelopeId,
}

/// Whom a letter is for, in 33 bytes: kind, then the account's key or the hash of an invite's.
struct Target([u8; 33]);

impl Target {
    fn account(account: AccountId) -> Self {
        Self::new(1, account.as_bytes())
    }

    fn invite(key: &KemPublic) -> Self {
        Self::new(2, &sha256(&[key.as_bytes()]))
    }

    fn new(kind: u8, name: &[u8; 32]) -> Self {
        let mut bytes = [kind; 33];
        bytes.iter_mut().skip(1).zip(name).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

/// Target, inbox and envelope: the context of every key and signature of a letter (LET-4).
fn context(target: &Target, place: &LetterPlace) -> Vec<u8> {
    // LET-4
    [&target.0[..], place.inbox.as_bytes(), place.envelope.as_bytes()].concat()
}

/// Associated data of the body: label, header, context, SHA-256 of the slots (LET-4).
fn body_associated(header: &[u8; HEADER], context: &[u8], slots: &[u8]) -> Vec<u8> {
    [Label::LETTER_BODY.as_bytes(), header, context, &sha256(&[slots])].concat()
}

#[cfg(test)]
mod tests;
