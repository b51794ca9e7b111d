//! The one error type of this crate, by what went wrong; no message holds a secret, a key or an id.

use std::io::{self, ErrorKind};

/// Why a cryptographic step was refused. Unless the variant says otherwise nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system gave no randomness. Nothing can be made safely: stop and tell the person.
    #[error("the system's source of randomness failed")]
    Randomness,
    /// The bytes of a public key are none the algorithm allows. Refuse whoever sent it.
    #[error("a public key is not valid")]
    BadKey,
    /// The signature does not fit key, label and data. Refuse what it came with.
    #[error("the signature is not valid")]
    BadSignature,
    /// An endorsement whose time is over. The relay must make a new one.
    #[error("the endorsement ended at {not_after}, it is {now} now")]
    EndorsementExpired {
        /// Its end, seconds since 1970.
        not_after: u64,
        /// The verifier's time, seconds since 1970.
        now: u64,
    },
    /// An endorsement for longer than a relay may give. Do not talk to this relay.
    #[error("the endorsement ends at {not_after}, more than {max} seconds after {now}")]
    EndorsementTooLong {
        /// Its end, seconds since 1970.
        not_after: u64,
        /// The verifier's time, seconds since 1970.
        now: u64,
        /// The longest allowed, seconds.
        max: u32,
    },
    /// The bytes do not have the form they must have. Refuse them.
    #[error("malformed {what}")]
    Malformed {
        /// What they should have been.
        what: &'static str,
    },
    /// A version, suite or kind this program does not have. A newer one may.
    #[error("unsupported {what}")]
    Unsupported {
        /// What is unknown.
        what: &'static str,
    },
    /// Something above its limit. Make it smaller.
    #[error("{what} has {size}, but {max} is the most")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size or count.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The padding holds something, or the size is none of the ladder's. Refuse it.
    #[error("the padding is not as it must be")]
    BadPadding,
    /// Key, associated data and ciphertext do not belong together. Refuse it.
    #[error("the ciphertext does not open")]
    Undecryptable,
    /// No key given opens any slot of the letter. It is for another device, or for a key that was
    /// destroyed.
    #[error("the letter is not sealed to any of these keys")]
    NotForUs,
    /// What should be of one account is of another. Do not trust it.
    #[error("it belongs to another account than expected")]
    WrongAccount,
    /// A device list older than one already known, or another with the same version. Keep the
    /// known.
    #[error("device list {version} is refused, {known} is known already")]
    OldDeviceList {
        /// The version offered.
        version: u64,
        /// The version known.
        known: u64,
    },
    /// A letter whose number was taken, or is far below the last. It is a copy: drop it.
    #[error("letter number {number} was taken, or is too far below {last}")]
    OldLetter {
        /// The letter's number.
        number: u64,
        /// The highest number known of this device.
        last: u64,
    },
    /// A message whose secret was used: it was read before. It is a copy: drop it.
    #[error("the message was read before")]
    OldMessage,
    /// A live record whose counter does not rise. It is a copy, or late: drop it.
    #[error("live record {counter} is not above {last}")]
    OldLiveRecord {
        /// The record's counter.
        counter: u64,
        /// The highest counter known of this device in this epoch.
        last: u64,
    },
    /// A room's card older than one already known, or another with the same version. Keep the
    /// known.
    #[error("room card {version} is refused, {known} is known already")]
    OldRoomCard {
        /// The version offered.
        version: u64,
        /// The version known.
        known: u64,
    },
    /// A room's key that was replaced. Whoever uses it has not seen that yet, or copies.
    #[error("room key {number} is refused, {known} is known already")]
    OldRoomKey {
        /// The number offered.
        number: u32,
        /// The number known.
        known: u32,
    },
    /// The sender named is no member now, or not the one who signed. Drop the record.
    #[error("the sender is not a member of the conversation")]
    NotAMember,
    /// A commit of our own is waiting for its echo. Merge or clear it first.
    #[error("a commit is pending")]
    CommitPending,
    /// There is no commit of our own to merge. Read the log.
    #[error("no commit is pending")]
    NoCommitPending,
    /// We were removed from this conversation. It can only be read.
    #[error("this device is no longer a member of the conversation")]
    Removed,
    /// MLS refuses the message or the key package. Nothing of it was applied.
    #[error("mls refused {what}: {reason}")]
    Refused {
        /// What was refused.
        what: &'static str,
        /// The words of the MLS library.
        reason: String,
    },
    /// The store failed. Roll its transaction back, drop the conversation and load it again.
    #[error("the store failed: {reason}")]
    Storage {
        /// The store's own words.
        reason: String,
    },
    /// Not 24 words. Ask for them again.
    #[error("a recovery file has 24 words, these are {found}")]
    WordCount {
        /// How many there were.
        found: usize,
    },
    /// A word that is none of the list. Ask for it again.
    #[error("word {place} is not in the list of words")]
    UnknownWord {
        /// Which one, from 1.
        place: usize,
    },
    /// 24 words of the list that do not belong together: one is another, or two changed places.
    #[error("the words do not belong together: one is wrong, or two changed places")]
    WordsDiffer,
    /// The words or the passphrase of another recovery file. Ask again.
    #[error("these words or this passphrase are not those of the recovery file")]
    WrongSecret,
    /// What is read from or written to failed. What was written is not whole.
    #[error("reading or writing failed: {kind}")]
    Io {
        /// What the system said.
        kind: ErrorKind,
    },
    /// A state that cannot be: our bug. Drop the conversation and load it again.
    #[error("internal: {what}")]
    Internal {
        /// What was found.
        what: &'static str,
    },
}

impl From<io::Error> for Error {
    /// Ours comes back as it was, for readers and writers that stand behind the traits of `std`.
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        ours.cloned().unwrap_or(Self::Io { kind })
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { kind } => kind.into(),
            error => Self::new(ErrorKind::InvalidData, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages are read within sentences: lower case, no full stop, with the values.
    #[test]
    fn messages_have_one_style() {
        let what = "letter";
        let errors = [
            Error::Randomness,
            Error::BadKey,
            Error::BadSignature,
            Error::EndorsementExpired { not_after: 1, now: 2 },
            Error::EndorsementTooLong { not_after: 9, now: 2, max: 3 },
            Error::Malformed { what },
            Error::Unsupported { what },
            Error::TooLarge { what, size: 9, max: 8 },
            Error::BadPadding,
            Error::Undecryptable,
            Error::NotForUs,
            Error::WrongAccount,
            Error::OldDeviceList { version: 1, known: 2 },
            Error::OldLetter { number: 1, last: 2 },
            Error::OldLiveRecord { counter: 1, last: 2 },
            Error::OldRoomCard { version: 1, known: 2 },
            Error::OldRoomKey { number: 1, known: 2 },
            Error::NotAMember,
            Error::CommitPending,
            Error::NoCommitPending,
            Error::Removed,
            Error::Refused { what, reason: "it is old".to_owned() },
            Error::Storage { reason: "the disk is full".to_owned() },
            Error::WordCount { found: 23 },
            Error::UnknownWord { place: 7 },
            Error::WordsDiffer,
            Error::WrongSecret,
            Error::Io { kind: ErrorKind::WriteZero },
            Error::Internal { what },
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.starts_with(|first: char| first.is_ascii_lowercase()), "{text}");
            assert!(!text.ends_with('.'), "{text}");
        }
        let large = Error::TooLarge { what, size: 9, max: 8 };
        assert_eq!(large.to_string(), "letter has 9, but 8 is the most");
    }
}
