//! What a device says in a conversation: the envelope of every kind, and which kinds there are.

use super::kept::{Attachment, Delete, Edit, Reaction, Roster, Sync, Text, Verified};
use super::passing::{Counts, Profile, Receipts, Repair, RepairRequest, RoomGrant};
use crate::ids::{ContentHash, EnvelopeId, LogHash, Seq, UnixTime};
use crate::message::EnvelopeClass;

/// One content of a device in a conversation (CNT-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The message's id, which is its envelope's.
    pub id: EnvelopeId,
    /// Kept: counts this device's kept contents in this conversation, from 1. Passing: the counter
    /// of its last kept content, 0 before there is one.
    pub counter: u64,
    /// Hash of this device's last kept content before this one; `None` before there is one.
    pub previous: Option<ContentHash>,
    /// Random, so that a short content cannot be guessed from its hash.
    pub random: [u8; 16],
    /// The last position the sender had seen.
    pub seen: LogPosition,
    /// Hash of the log up to `seen` (CNT-7); `None` when the sender cannot know it.
    pub log: Option<LogHash>,
    /// The sender's clock.
    pub at: UnixMillis,
    /// What it says.
    pub body: Body,
}

/// What a content says. The kinds up to [`Body::Sync`] are kept, those after it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Words.
    Text(Text),
    /// A file.
    Attachment(Box<Attachment>),
    /// A reaction to a message.
    Reaction(Reaction),
    /// Other words for a message.
    Edit(Edit),
    /// Messages are taken back.
    Delete(Delete),
    /// The sender's account leaves.
    Leave,
    /// The sender compared safety numbers.
    Verified(Verified),
    /// Who the other members are.
    Roster(Roster),
    /// What the devices of one account tell each other.
    Sync(Sync),
    /// What arrived, and what was read.
    Receipts(Receipts),
    /// Who the sender is to be called, and the devices of the account.
    Profile(Profile),
    /// Live: whether the sender is writing.
    Typing {
        /// Writing now.
        active: bool,
    },
    /// Live: whether the sender is there.
    Presence {
        /// There now.
        online: bool,
    },
    /// Asks for contents that are missing.
    RepairRequest(RepairRequest),
    /// Gives contents that somebody misses.
    Repair(Repair),
    /// Makes an account a host of a room.
    Room(RoomGrant),
    /// Tells how far others have counted.
    Counts(Counts),
    /// A kind of a newer version: kept as it is and shown as such, or let pass (CNT-2).
    Unknown {
        /// Its number.
        kind: u32,
        /// Its bytes.
        body: Vec<u8>,
    },
}

impl Body {
    /// The first kind in the layout of contents that passes (CNT-2).
    pub const PASSING: u32 = 64;

    /// Whether it is kept and counts (CNT-2). Else it does its work once and is gone.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kind() < Self::PASSING
    }

    /// Whether it may stand in an envelope of this class (CNT-13).
    #[must_use]
    pub fn may_stand_in(&self, class: EnvelopeClass) -> bool {
        let live = matches!(self, Self::Typing { .. } | Self::Presence { .. });
        // CNT-13
        live == (class == EnvelopeClass::Live)
    }
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
