//! 24 words: 256 random bits as BIP-39 writes them (REV-2).

use std::fmt;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random::random_secret;

/// The words of a recovery file. They are shown once, written down, and never kept: wiped when
/// dropped, nothing in `Debug`.
pub struct RecoveryWords(Zeroizing<[u8; 32]>);

/// Layout: how many words write 256 bits and their checksum (BIP-39).
const WORDS: usize = 24;

impl RecoveryWords {
    /// New words.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    pub fn generate() -> Result<Self, Error> {
        random_secret().map(Self)
    }

    /// The words a person typed: in any case, any space between them (REV-2).
    ///
    /// # Errors
    /// [`Error::WordCount`], [`Error::UnknownWord`], [`Error::WordsDiffer`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
        for word in text.split_whitespace() {
            line.push_str(word);
            line.push(' ');
        }
        line.make_ascii_lowercase();
        let found = line.split_whitespace().count();
        if found != WORDS {
            return Err(Error::WordCount { found });
        }
        // REV-2
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &line).map_err(refusal)?;
        let (bytes, _) = mnemonic.to_entropy_array();
        let bytes = Zeroizing::new(bytes);
        let mut entropy = Zeroizing::new([0; 32]);
        entropy.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
        Ok(Self(entropy))
    }

    /// The words, separated by spaces.
    ///
    /// # Errors
    /// [`Error::Internal`] never happens for 32 bytes.
    pub fn phrase(&self) -> Result<Zeroizing<String>, Error> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, self.0.as_ref())
            .map_err(|_| Error::Internal { what: "32 bytes have no words" })?;
        Ok(Zeroizing::new(mnemonic.to_string()))
    }

    /// The bits themselves.
    pub(super) fn entropy(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }
}

/// Why the list refuses words. It is asked about 24 of them, in one language.
fn refusal(error: bip39::Error) -> Error {
    match error {
        bip39::Error::UnknownWord(index) => Error::UnknownWord { place: index + 1 },
        bip39::Error::BadWordCount(found) => Error::WordCount { found },
        bip39::Error::InvalidChecksum
        | bip39::Error::BadEntropyBitCount(_)
        | bip39::Error::AmbiguousLanguages(_) => Error::WordsDiffer,
    }
}

impl fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWords(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of zeros, from the vectors of BIP-39.
    fn zeros() -> String {
        format!("{}art", "abandon ".repeat(23))
    }

    /// REV-2: the standard's own vectors are met, both ways.
    #[test]
    fn standard_vectors_are_met() {
        let ones = format!("{}vote", "zoo ".repeat(23));
        for (byte, words) in [(0, zeros()), (0xff, ones)] {
            let made = RecoveryWords(Zeroizing::new([byte; 32]));
            assert_eq!(*made.phrase().unwrap(), words);
            assert_eq!(RecoveryWords::parse(&words).unwrap().entropy()[..], [byte; 32]);
        }
    }

    /// REV-2: new words differ, are 24, and are read back, however they were typed.
    #[test]
    fn words_are_read_as_typed() {
        let (a, b) = (RecoveryWords::generate().unwrap(), RecoveryWords::generate().unwrap());
        assert_ne!(a.entropy(), b.entropy());
        let phrase = a.phrase().unwrap();
        assert_eq!(phrase.split(' ').count(), 24);
        let typed = format!("\n  {}\t", phrase.to_uppercase().replace(' ', "  \n"));
        assert_eq!(RecoveryWords::parse(&typed).unwrap().entropy(), a.entropy());
    }

    /// REV-2: what is wrong is told: how many, which word, or that they do not belong together.
    #[test]
    fn wrong_words_are_told_apart() {
        let found = |text: &str| RecoveryWords::parse(text).err();
        assert_eq!(found(""), Some(Error::WordCount { found: 0 }));
        assert_eq!(found(&zeros()[8..]), Some(Error::WordCount { found: 23 }));
        assert_eq!(found(&format!("{} art", zeros())), Some(Error::WordCount { found: 25 }));
        // 12 words are a mnemonic, but not ours.
        let twelve = format!("{}about", "abandon ".repeat(11));
        assert_eq!(found(&twelve), Some(Error::WordCount { found: 12 }));
        let unknown = zeros().replacen("abandon abandon", "abandon restante", 1);
        assert_eq!(found(&unknown), Some(Error::UnknownWord { place: 2 }));
        let other = zeros().replacen("abandon", "ability", 1);
        assert_eq!(found(&other), Some(Error::WordsDiffer));
    }

    /// Words do not show.
    #[test]
    fn debug_is_redacted() {
        let words = RecoveryWords::generate().unwrap();
        assert_eq!(format!("{words:?}"), "RecoveryWords(..)");
    }
}
