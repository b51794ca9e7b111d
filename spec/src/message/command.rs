//! What a client may ask.
//!
//! Knows meanings and shapes of commands; must not know bytes on the wire.

use crate::ids::{
    BlobId, BlobOffset, BlobSize, ChainNumber, EnvelopeId, Epoch, Handle, MailboxId, PublicKey,
    ReaderHash, ReaderSecret, RequestId, Seconds, Seq, Signature, Slot, UnixTime,
};
use crate::token::AdmissionToken;

/// What a client may ask (CMD-1 to CMD-21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// First on every connection.
    Hello(Hello),
    /// Any traffic keeps a connection; this is traffic without meaning.
    Ping,
    /// Makes a mailbox.
    Create(Create),
    /// Shows possession of a key of a mailbox.
    Open(Open),
    /// Gives a handle back.
    Close(Handle),
    /// Gives a key rights; the body is its card.
    Allow(Allow),
    /// Strikes a key.
    Revoke {
        /// A handle with `manage`.
        handle: Handle,
        /// The key to strike.
        key: PublicKey,
    },
    /// Registers a reader, standing at now.
    AddReader {
        /// A handle with `manage`.
        handle: Handle,
        /// Hash of the new reader's secret.
        reader: ReaderHash,
    },
    /// Adds an envelope; the body is its body.
    Append(Append),
    /// Asks for deliveries.
    Subscribe(Subscribe),
    /// Grants more deliveries.
    Credit {
        /// A subscribed handle.
        handle: Handle,
        /// What is added.
        credit: Credit,
    },
    /// Everything up to here is safe with the client.
    Ack {
        /// A subscribed handle.
        handle: Handle,
        /// Cumulative.
        upto: Seq,
    },
    /// Stores prekeys; the body is the packages one after another.
    PutPrekeys(PutPrekeys),
    /// Takes one prekey.
    TakePrekeys {
        /// A handle with `take`.
        handle: Handle,
        /// From which slot.
        slot: Slot,
        /// The same id gets the same answer for a while.
        request: RequestId,
    },
    /// Asks how many prekeys there are.
    CountPrekeys(Handle),
    /// Deletes the mailbox and everything in it.
    Delete(Handle),
    /// Begins a blob, or asks how far it has come.
    BlobCreate(BlobCreate),
    /// Writes one part of a blob, which is the body.
    BlobWrite {
        /// A handle with `write`.
        handle: Handle,
        /// Which blob.
        blob: BlobId,
        /// Where the part begins.
        offset: BlobOffset,
    },
    /// Reads some bytes of a blob.
    BlobRead(BlobRead),
    /// Deletes a blob.
    BlobDelete {
        /// A handle with `write` or `manage`.
        handle: Handle,
        /// Which blob.
        blob: BlobId,
    },
}

/// The client's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Versions it speaks.
    pub versions: Vec<u32>,
    /// Silence after which the relay may close.
    pub idle: Seconds,
}

/// Kinds of mailbox (MBX-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailboxClass {
    /// Of an account: one manage key, a write key for each contact.
    Inbox,
    /// Of members who share an epoch key; nobody owns it.
    Conversation,
    /// Of hosts who write and an audience that reads, without registered readers (MBX-17).
    Room,
}

/// Kinds of envelope (MBX-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvelopeClass {
    /// Stored, wakes.
    Normal,
    /// Stored, does not wake.
    Quiet,
    /// To online readers only, never stored (MBX-19).
    Live,
}

/// Makes a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Random, chosen by the client.
    pub mailbox: MailboxId,
    /// Its kind.
    pub class: MailboxClass,
    /// Manage key of an inbox or room, first epoch key of a conversation.
    pub key: PublicKey,
    /// By `key`, over the mailbox id (CMD-3).
    pub possession: Signature,
    /// The creator's own reader; means nothing for a room.
    pub reader: ReaderHash,
    /// What admits it, where that is asked for (ADM-1).
    pub token: Option<AdmissionToken>,
    /// Wished TTL; `None`: the relay's default.
    pub ttl: Option<Seconds>,
    /// Whether what all readers confirm at once stays off the disk (MBX-21).
    pub memory_first: bool,
}

/// Shows possession of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Chosen by the client, not open yet.
    pub handle: Handle,
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// Which key.
    pub key: PublicKey,
    /// Bound to relay, connection, mailbox and key (CMD-4).
    pub proof: Signature,
}

/// What a key may do (MBX-3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Subscribe and acknowledge, with a reader's secret.
    pub read: bool,
    /// Append.
    pub write: bool,
    /// Take prekeys.
    pub take: bool,
    /// Allow, revoke, register readers, prekeys, delete.
    pub manage: bool,
}

/// At most `count` appends in `per`, all at once if so wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Appends.
    pub count: u32,
    /// Length of the time, never 0.
    pub per: Seconds,
}

/// What a key is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it may do.
    pub rights: Rights,
    /// When it ends.
    pub expires_at: Option<UnixTime>,
    /// For how many newly stored appends.
    pub uses: Option<u32>,
    /// How fast.
    pub rate: Option<Rate>,
}

/// Gives a key rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// A handle with `manage`.
    pub handle: Handle,
    /// The key.
    pub key: PublicKey,
    /// By `key`, over the mailbox id (CMD-3).
    pub possession: Signature,
    /// What it gets.
    pub terms: Terms,
}

/// Adds an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// A handle with `write`.
    pub handle: Handle,
    /// Which chain of this connection and mailbox (MBX-6).
    pub chain: ChainNumber,
    /// Chosen by the sender.
    pub id: EnvelopeId,
    /// Its kind.
    pub class: EnvelopeClass,
    /// How long it is kept; `None`: the mailbox's TTL.
    pub ttl: Option<Seconds>,
    /// Conversations: the epoch it stands in.
    pub epoch: Option<Epoch>,
    /// Makes it a commit.
    pub commit: Option<Commit>,
}

/// What a commit changes (MBX-8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The next epoch's key with its proof of possession; `None` closes the conversation.
    pub next: Option<NextKey>,
    /// Readers that stand at this commit from now on.
    pub add_readers: Vec<ReaderHash>,
    /// Readers that hold nothing back any more.
    pub strike_readers: Vec<ReaderHash>,
    /// Blobs it needs (BLB-6).
    pub blobs: Vec<BlobId>,
}

/// An epoch key and the proof that its sender has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// The key.
    pub key: PublicKey,
    /// By `key`, over the mailbox id (CMD-3).
    pub possession: Signature,
}

/// Asks for deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// A handle with `read`.
    pub handle: Handle,
    /// The reader's secret; means nothing in a room.
    pub reader: ReaderSecret,
    /// The client's durable position; counts as acknowledgement.
    pub after: Seq,
    /// What may be delivered.
    pub credit: Credit,
}

/// How much a reader is ready to receive (DLV-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// Envelopes.
    pub envelopes: u32,
    /// Bytes of bodies.
    pub bytes: u32,
}

/// Stores prekeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutPrekeys {
    /// A handle with `manage`.
    pub handle: Handle,
    /// Into which slot.
    pub slot: Slot,
    /// Sizes of the packages in the body, bytes each.
    pub sizes: Vec<u32>,
    /// The single package becomes the slot's last resort.
    pub last_resort: bool,
}

/// Begins a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobCreate {
    /// A handle with `write`.
    pub handle: Handle,
    /// Random, chosen by the client.
    pub blob: BlobId,
    /// Whoever holds it reads the blob.
    pub key: PublicKey,
    /// By `key`, over the mailbox id (CMD-3).
    pub possession: Signature,
    /// How many bytes it will have.
    pub size: BlobSize,
    /// How long it is kept; `None`: the mailbox's TTL.
    pub ttl: Option<Seconds>,
}

/// Reads some bytes of a blob; no handle is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRead {
    /// Which blob.
    pub blob: BlobId,
    /// Its read key.
    pub key: PublicKey,
    /// Bound to relay, connection, blob and key (CMD-20).
    pub proof: Signature,
    /// From where.
    pub offset: BlobOffset,
    /// How many are wished.
    pub length: BlobSize,
}
