//! The messages of a conversation.

use crate::ids::{ContentHash, EnvelopeId, Seq, UnixTime};

/// One message of a device in a conversation (CNT-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The message's id, which is its envelope's.
    pub id: EnvelopeId,
    /// Counts this device's contents in this conversation, from 1.
    pub counter: u64,
    /// Hash of this device's previous content; `None` for its first.
    pub previous: Option<ContentHash>,
    /// Random, so that a short content cannot be guessed from its hash.
    pub random: [u8; 16],
    /// The last position the sender had seen.
    pub seen: LogPosition,
    /// The sender's clock.
    pub at: UnixMillis,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Words.
    Text(String),
    /// What arrived, and what was read.
    Receipts(Receipts),
    /// Who the sender is to be called, and the devices of the account.
    Profile {
        /// The nickname.
        nick: String,
        /// The signed device list, exact bytes.
        devices: Vec<u8>,
    },
    /// The sender's account leaves.
    Leave,
    /// A kind of a newer version: kept as it is, shown as such (CNT-2).
    Unknown {
        /// Its number.
        kind: u32,
        /// Its bytes.
        body: Vec<u8>,
    },
}

/// Ids of messages that arrived or were read; never receipted itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Durable at the reader.
    pub delivered: Vec<EnvelopeId>,
    /// Seen by a person.
    pub read: Vec<EnvelopeId>,
}

/// A place in a conversation's order, which is the same for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// How often the conversation was begun anew, from 0.
    pub generation: u32,
    /// The place in that generation's mailbox; 0 is before everything.
    pub seq: Seq,
}

/// A moment by somebody's clock: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// Wraps the number.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The second it lies in.
    #[must_use]
    pub const fn seconds(self) -> UnixTime {
        UnixTime::new(self.0 / 1_000)
    }
}

impl From<UnixTime> for UnixMillis {
    fn from(time: UnixTime) -> Self {
        Self(time.get().saturating_mul(1_000))
    }
}
