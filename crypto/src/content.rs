//! Hashes that contents carry: of the device's content before (CNT-4), of the log (CNT-7).

use std::fmt;

use restante_spec::ids::{ContentHash, EnvelopeId, LogHash, Seq};

use crate::labels::Label;
use crate::signing::sha256;

/// SHA-256 of the label and the exact bytes of a content, as they were encrypted (CNT-4).
#[must_use]
pub fn content_hash(content: &[u8]) -> ContentHash {
    // CNT-4
    ContentHash::new(sha256(&[Label::CONTENT.as_bytes(), content]))
}

/// The hash of a conversation's log in one epoch, as far as it was read (CNT-7). Members who are
/// shown the same log have the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogChain([u8; 32]);

impl LogChain {
    /// Before the first envelope of the epoch that has this MLS epoch authenticator.
    #[must_use]
    pub fn begin(authenticator: &[u8]) -> Self {
        // CNT-7
        Self(sha256(&[Label::LOG.as_bytes(), authenticator]))
    }

    /// Goes on after a chain that was stored.
    #[must_use]
    pub const fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to be stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// After the next envelope of the log.
    #[must_use]
    pub fn then(&self, seq: Seq, envelope: &EnvelopeId) -> Self {
        let seq = seq.get().to_be_bytes();
        Self(sha256(&[&self.0, &seq, envelope.as_bytes()]))
    }

    /// What a content says of it.
    #[must_use]
    pub fn hash(&self) -> LogHash {
        let [hash @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.0;
        LogHash::new(hash)
    }
}

impl fmt::Debug for LogChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogChain(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CNT-4: the hash is of the exact bytes, under its label.
    #[test]
    fn hash_is_of_the_exact_bytes() {
        let hash = sha256(&[b"restante content v1\0content"]);
        assert_eq!(content_hash(b"content").as_bytes(), &hash);
        assert_ne!(content_hash(b"content"), content_hash(b"contenT"));
    }

    /// CNT-7: the hash names the epoch and each envelope's place and id, in their order.
    #[test]
    fn log_hash_is_of_the_epoch_and_its_envelopes() {
        let (a, b) = (EnvelopeId::new([1; 16]), EnvelopeId::new([2; 16]));
        let begun = LogChain::begin(b"authenticator");
        let first = sha256(&[b"restante log v1\0authenticator"]);
        assert_eq!(begun.as_bytes(), &first);
        let second = sha256(&[&first, &7_u64.to_be_bytes(), a.as_bytes()]);
        let then = begun.then(Seq::new(7), &a);
        assert_eq!(then, LogChain::stored(second));
        assert_eq!(then.hash().as_bytes(), &second[..16]);
        let others = [
            LogChain::begin(b"another").then(Seq::new(7), &a),
            begun.then(Seq::new(8), &a),
            begun.then(Seq::new(7), &b),
            then.then(Seq::new(8), &b),
        ];
        assert!(others.iter().all(|other| other.hash() != then.hash()));
    }
}
