//! What the gateway and the delivery may ask of mailboxes, and what mailboxes tell them.
//!
//! Messages only, so that the two sides can be one process or two: a call names its mailbox and
//! key anew each time, and nothing here holds a reference to a mailbox.

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::{
    BlobId, BlobOffset, BlobSize, EnvelopeId, MailboxId, Nonce, PublicKey, ReaderHash, RequestId,
    Seq, Signature, Slot, UnixTime,
};
use restante_spec::ids::{Epoch, Seconds};
use restante_spec::limits;
use restante_spec::message::{
    Appended, BlobPart, BlobRead, BlobState, Commit, Create, Created, EnvelopeClass, Opened,
    PrekeyCount, Refusal, Terms,
};

pub(crate) use crate::buffer::{Chain, ChainLink, Envelope, Page, Span};

/// The business side as the access side sees it.
pub(crate) trait Mailboxes: Send + Sync + 'static {
    /// Does a call; `respond` is called exactly once, soon or when the change is durable, and must
    /// be short. Changes of one mailbox are answered in the order of the calls, but for what is
    /// held (MBX-21).
    fn call(&self, call: Call, now: UnixTime, respond: Respond);

    /// Envelopes to deliver (DLV-1). The key is judged behind the read: whatever was read was
    /// accepted before the key lost its right to it (DLV-10).
    ///
    /// # Errors
    /// `unavailable`, or why the key may not read.
    fn page(&self, access: Access, span: Span, now: UnixTime) -> Result<Reading, Refusal>;

    /// The newest number of a mailbox.
    fn head(&self, mailbox: MailboxId, now: UnixTime) -> Seq;
}

/// What a subscription reads on with.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) page: Page,
    /// When the key ends by its own terms, as they are now.
    pub(crate) expires_at: Option<UnixTime>,
}

/// Takes the answer to a call.
pub(crate) type Respond = Box<dyn FnOnce(Result<Answer, Refusal>) + Send>;

/// One call.
pub(crate) enum Call {
    /// Makes a mailbox.
    Create(Create),
    /// Shows possession of a key (CMD-4): checked against the connection's nonce.
    Open { mailbox: MailboxId, key: PublicKey, nonce: Nonce, proof: Signature },
    /// Reads of a blob, with a proof of its read key against the connection's nonce (CMD-20); it
    /// was `shown` before if this very proof was good for this blob and key on this connection.
    BlobRead { read: BlobRead, nonce: Nonce, shown: bool },
    /// Anything with a key that was shown on this connection.
    With(Access, Ask),
}

/// A mailbox and the key it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) mailbox: MailboxId,
    pub(crate) key: PublicKey,
}

/// What is asked with an opened key.
pub(crate) enum Ask {
    Allow { key: PublicKey, possession: Signature, terms: Terms, card: Bytes },
    Revoke { key: PublicKey },
    AddReader { reader: ReaderHash },
    Append(AppendAsk),
    Subscribe { reader: ReaderHash, after: Seq },
    Ack { reader: ReaderHash, upto: Seq },
    PutPrekeys { slot: Slot, packages: Vec<Bytes>, last_resort: bool },
    TakePrekeys { slot: Slot, request: RequestId },
    CountPrekeys,
    Delete,
    BlobCreate(BlobAsk),
    BlobWrite { blob: BlobId, offset: BlobOffset, body: Bytes },
    BlobDelete { blob: BlobId },
}

/// A blob to begin, or to go on with (BLB-3).
pub(crate) struct BlobAsk {
    pub(crate) blob: BlobId,
    pub(crate) key: PublicKey,
    pub(crate) possession: Signature,
    pub(crate) size: BlobSize,
    pub(crate) ttl: Option<Seconds>,
}

/// An envelope to add.
pub(crate) struct AppendAsk {
    pub(crate) id: EnvelopeId,
    pub(crate) class: EnvelopeClass,
    pub(crate) ttl: Option<Seconds>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) commit: Option<Commit>,
    pub(crate) body: Bytes,
    pub(crate) link: ChainLink,
    pub(crate) origin: Origin,
}

/// Which connection appended, so that its own echo needs no body (DLV-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(pub(crate) u64);

/// What a call gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Created(Created),
    Opened(Opened, Bytes),
    Appended(Appended),
    Prekey { last_resort: bool, package: Bytes },
    PrekeyCounts(Vec<PrekeyCount>),
    Subscribed(Range),
    Blob(BlobState),
    BlobPart(BlobPart, Bytes),
}

/// What a subscription may deliver (DLV-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Exclusive.
    pub(crate) after: Seq,
    /// Inclusive; `None` while the key is current.
    pub(crate) upto: Option<Seq>,
    /// The epoch of the key, `Seq::START` where there are none: the commit that ends it ends the
    /// range.
    pub(crate) epoch: Seq,
    /// When the key ends by its own terms.
    pub(crate) expires_at: Option<UnixTime>,
}

/// Where notices go.
pub(crate) trait Notices: Send + Sync + 'static {
    /// Called on the buffer's thread, in the order of the mailbox; must be short.
    fn notice(&self, mailbox: MailboxId, notice: Notice);
}

/// What happened to a mailbox.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// An envelope is durable, or is live and only passed on (MBX-19).
    /// It was accepted at `at`.
    Appended { envelope: Envelope, origin: Origin, at: UnixTime },
    /// An envelope may be durable or not: whoever reads has to look.
    Unknown,
    /// A key may do nothing any more.
    Struck { key: PublicKey, code: Code },
    /// A key has other terms than before.
    Changed { key: PublicKey },
    /// The mailbox is gone.
    Deleted,
}

impl Notice {
    /// Bytes it takes while it waits for a connection.
    pub(crate) const fn size(&self) -> usize {
        match self {
            Self::Appended { envelope, .. } => envelope.body.len() + limits::HEADER_BYTES,
            Self::Unknown | Self::Struck { .. } | Self::Changed { .. } | Self::Deleted => {
                limits::HEADER_BYTES
            }
        }
    }

    /// Whether it brings a live envelope (MBX-19).
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Appended { envelope, .. } if envelope.class == EnvelopeClass::Live)
    }
}

/// The wire's name of an epoch: opaque to clients, the number of the act that began it (MBX-7).
pub(crate) fn epoch_name(number: Seq) -> Option<Epoch> {
    (number != Seq::START).then(|| Epoch::new(number.get().to_be_bytes()))
}
