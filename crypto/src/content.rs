//! The hash that links a device's contents to each other (CNT-4).

use restante_spec::ids::ContentHash;

use crate::labels::Label;
use crate::signing::sha256;

/// SHA-256 of the label and the exact bytes of a content, as they were encrypted (CNT-4).
#[must_use]
pub fn content_hash(content: &[u8]) -> ContentHash {
    // CNT-4
    ContentHash::new(sha256(&[Label::CONTENT.as_bytes(), content]))
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
}
