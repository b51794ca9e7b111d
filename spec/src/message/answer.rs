//! What a relay may answer, and what it says by itself.
//!
//! Knows meanings and shapes of answers; must not know bytes on the wire.

use super::command::{Credit, EnvelopeClass, MailboxClass, Rights};
use crate::codes::Code;
use crate::ids::{
    BlobSize, EnvelopeId, Epoch, Handle, Incarnation, Nonce, PublicKey, ReaderHash, Seconds, Seq,
    Signature, Slot, SpkiHash, UnixTime,
};

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `hello`; the body is the operator's text.
    Welcome(Box<Welcome>),
    /// Done, nothing to tell.
    Done,
    /// Not done.
    Error(Refusal),
    /// To `create`.
    Created(Created),
    /// To `open`; the body is the key's card.
    Opened(Opened),
    /// To `append`.
    Appended(Appended),
    /// To `take_prekeys`; the body is the package.
    Prekey {
        /// It was the slot's last resort.
        last_resort: bool,
    },
    /// To `count_prekeys`.
    PrekeyCounts(Vec<PrekeyCount>),
    /// To `blob_create` and `blob_write`.
    BlobState(BlobState),
    /// To `blob_read`; the body is the bytes.
    BlobPart(BlobPart),
}

/// What a relay says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// An envelope; the body is its body.
    Deliver(Deliver),
    /// The backlog is delivered.
    CaughtUp {
        /// The subscribed handle.
        handle: Handle,
        /// The last number that was there.
        head: Seq,
    },
    /// The relay drains: leave after so long, plus up to the jitter.
    Goaway {
        /// Milliseconds.
        after_ms: u32,
        /// Milliseconds.
        jitter_ms: u32,
    },
    /// A subscription has ended.
    Closed {
        /// The handle; it stays open.
        handle: Handle,
        /// Why.
        code: Code,
        /// The end of the range, for `superseded` and `gone`.
        upto: Seq,
    },
}

/// The relay's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version both speak from now on.
    pub version: u32,
    /// The relay's identity key.
    pub identity: PublicKey,
    /// Proofs on this connection are bound to it.
    pub nonce: Nonce,
    /// Changes when a backup was restored.
    pub incarnation: Incarnation,
    /// The identity key vouches for the TLS key.
    pub endorsement: Endorsement,
    /// The relay's limits.
    pub limits: Limits,
    /// The relay's clock.
    pub now: UnixTime,
}

/// The identity key vouches for a TLS key (TRN-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// Which TLS key.
    pub spki: SpkiHash,
    /// Until when.
    pub not_after: UnixTime,
    /// By the identity key.
    pub signature: Signature,
}

/// What a relay grants, at most the protocol's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Body of a frame, bytes.
    pub body_bytes: u32,
    /// Envelopes of a mailbox.
    pub mailbox_entries: u32,
    /// Bytes of a mailbox.
    pub mailbox_bytes: u64,
    /// TTL when none is named.
    pub ttl_default: Seconds,
    /// Longest TTL.
    pub ttl_max: Seconds,
    /// Silence after which this connection is closed.
    pub idle: Seconds,
    /// Handles of a connection.
    pub handles: u32,
    /// Unanswered requests of a connection.
    pub requests_in_flight: u32,
    /// Outstanding credit of a subscription.
    pub credit: Credit,
    /// New mailboxes need a token (ADM-1).
    pub token_needed: bool,
}

/// A mailbox is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Conversations: the first epoch.
    pub epoch: Option<Epoch>,
    /// Its TTL as granted.
    pub ttl: Seconds,
}

/// A handle is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Kind of mailbox.
    pub class: MailboxClass,
    /// What this key may do.
    pub rights: Rights,
    /// The mailbox's TTL.
    pub ttl: Seconds,
    /// Conversations: the epoch of this key.
    pub epoch: Option<Epoch>,
    /// This key reads what stands above this number ...
    pub from: Seq,
    /// ... up to and including this one; `None`: the key is current.
    pub upto: Option<Seq>,
    /// When the key ends.
    pub expires_at: Option<UnixTime>,
    /// From 3/4 full on: the readers furthest behind.
    pub lagging: Vec<ReaderHash>,
    /// Whether what all readers confirm at once stays off the disk (MBX-21).
    pub memory_first: bool,
}

/// An envelope is safe, or, if it is live, was taken to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place; 0 for a live one, which has none.
    pub seq: Seq,
    /// Until when it is kept; 0 for a live one, which is not.
    pub expires_at: UnixTime,
    /// It was there already: the first answer again (MBX-5).
    pub already: bool,
    /// Commits: the epoch begun.
    pub epoch: Option<Epoch>,
}

/// How many prekeys a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrekeyCount {
    /// The slot.
    pub slot: Slot,
    /// Packages left.
    pub count: u32,
    /// Whether it has a last resort.
    pub last_resort: bool,
}

/// How far a blob has come (BLB-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobState {
    /// From its beginning so many bytes are safe, without a hole.
    pub stored: BlobSize,
    /// All of it is safe: it can be read, and changes no more.
    pub complete: bool,
    /// Until when it is kept.
    pub expires_at: UnixTime,
}

/// What goes with some bytes of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPart {
    /// How many the whole blob has.
    pub size: BlobSize,
    /// Until when it is kept.
    pub expires_at: UnixTime,
}

/// An envelope for a subscribed reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The subscribed handle.
    pub handle: Handle,
    /// Its place; 0 for a live one (DLV-9), and so are `prev` and `expires_at`.
    pub seq: Seq,
    /// The number before it in this mailbox; above the own position means a gap.
    pub prev: Seq,
    /// Conversations: the epoch it stands in.
    pub epoch: Option<Epoch>,
    /// Chosen by its sender.
    pub id: EnvelopeId,
    /// Its kind.
    pub class: EnvelopeClass,
    /// Until when it is kept.
    pub expires_at: UnixTime,
    /// It ended its epoch.
    pub commit: bool,
    /// Appended on this connection: the echo, without body (DLV-6).
    pub own: bool,
}

/// Why a request was not done, with what helps to go on (ERR-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub code: Code,
    /// When to try again; `None`: not named.
    pub retry_after: Option<Seconds>,
    /// What was wrong, in English, for the developer.
    pub detail: String,
    /// The end of the range, for `superseded` and `gone`.
    pub upto: Option<Seq>,
    /// The readers furthest behind, for `quota`.
    pub lagging: Vec<ReaderHash>,
}

impl Refusal {
    /// A refusal that names only its reason and a detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, retry_after: None, detail: detail.into(), upto: None, lagging: Vec::new() }
    }

    /// The same, with a time to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: Seconds) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same, with the end of the range.
    #[must_use]
    pub const fn upto(mut self, upto: Seq) -> Self {
        self.upto = Some(upto);
        self
    }

    /// The same, with the readers furthest behind.
    #[must_use]
    pub fn lagging(mut self, readers: Vec<ReaderHash>) -> Self {
        self.lagging = readers;
        self
    }
}
