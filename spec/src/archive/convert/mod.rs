//! Records and manifests to bytes and back: the only place that names the generated types of
//! `archive.proto`.
//!
//! Decoding checks every size and bound; encoding refuses what decoding would (ARC-2).

mod history;
mod people;

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::error::ArchiveError;
use super::people::{Account, Conversation, Member};
use super::record::{Head, KeptMessage, Purpose, Record, Tombstone};
use crate::content::{InboxGrant, StateRecord, SyncRecord, UnixMillis};
use crate::ids::{MailboxId, PublicKey};
use crate::limits::{NICK_BYTES, RECORD_BYTES};
use crate::text::misleads;

/// The generated types, named nowhere else.
#[expect(unreachable_pub, reason = "generated code is `pub` throughout")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/restante.archive.v1.rs"));
}

/// The version of archives this crate writes and reads (ARC-3).
const VERSION: u32 = 1;

/// A kind in the layout of records (ARC-1).
const HEAD: u32 = 1;
/// A kind in the layout of records (ARC-1).
const ACCOUNT: u32 = 2;
/// A kind in the layout of records (ARC-1).
const STATE: u32 = 3;
/// A kind in the layout of records (ARC-1).
const CONVERSATION: u32 = 4;
/// A kind in the layout of records (ARC-1).
const MEMBER: u32 = 5;
/// A kind in the layout of records (ARC-1).
const TOMBSTONE: u32 = 6;
/// A kind in the layout of records (ARC-1).
const MESSAGE: u32 = 7;

impl Head {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let head = wire::Head {
            version: VERSION,
            account: self.account.as_bytes().to_vec(),
            made_ms: self.made.get(),
            purpose: match self.purpose {
                Purpose::History => 1,
                Purpose::Recovery => 2,
            },
            conversations: self.conversations,
            messages: self.messages,
        };
        framed(HEAD, Zeroizing::new(head.encode_to_vec()))
    }

    pub(super) fn decode(record: &[u8]) -> Result<Self, ArchiveError> {
        let record: wire::Record = protobuf("record", record)?;
        let read: wire::Head = protobuf("head", &record.body)?;
        // ARC-3
        if record.kind != HEAD {
            return Err(ArchiveError::Malformed { what: "head" });
        }
        if read.version > VERSION {
            return Err(ArchiveError::TooNew { found: read.version, known: VERSION });
        }
        let purpose = match (read.version, read.purpose) {
            (VERSION, 1) => Some(Purpose::History),
            (VERSION, 2) => Some(Purpose::Recovery),
            _ => None,
        };
        Ok(Self {
            purpose: exact("head", purpose)?,
            account: exact("account", PublicKey::from_slice(&read.account))?,
            made: UnixMillis::new(read.made_ms),
            conversations: read.conversations,
            messages: read.messages,
        })
    }
}

impl Record {
    /// The bytes of a record. They may hold a secret: wiped when dropped.
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        let (kind, body) = match self {
            Self::Account(account) => (ACCOUNT, account.encode()?),
            Self::State(state) => (STATE, state_bytes(state)?),
            Self::Conversation(conversation) => (CONVERSATION, conversation.encode()?),
            Self::Member(member) => (MEMBER, member.encode()?),
            Self::Tombstone(tombstone) => (TOMBSTONE, tombstone.encode()),
            Self::Message(message) => (MESSAGE, message.encode()?),
        };
        let record = framed(kind, body);
        at_most("the record", record.len(), RECORD_BYTES)?;
        Ok(record)
    }

    /// Reads a record; `None` for a kind of a newer version (ARC-2).
    pub(super) fn decode(record: &[u8]) -> Result<Option<Self>, ArchiveError> {
        let record: wire::Record = protobuf("record", record)?;
        let body = Zeroizing::new(record.body);
        Ok(Some(match record.kind {
            // A second head, or no kind at all.
            0 | HEAD => return Err(ArchiveError::Malformed { what: "kind" }),
            ACCOUNT => Self::Account(Box::new(Account::decode(&body)?)),
            STATE => Self::State(state_of(&body)?),
            CONVERSATION => Self::Conversation(Conversation::decode(&body)?),
            MEMBER => Self::Member(Box::new(Member::decode(&body)?)),
            TOMBSTONE => Self::Tombstone(Tombstone::decode(&body)?),
            MESSAGE => Self::Message(Box::new(KeptMessage::decode(&body)?)),
            _ => return Ok(None),
        }))
    }
}

/// Of the kinds that are states: not the account, which has its own record, nor what passes.
fn check_state(state: &SyncRecord) -> Result<(), ArchiveError> {
    let is_state = state.kind == StateRecord::ROOM
        || (StateRecord::CONTACT..=StateRecord::DRAFT).contains(&state.kind);
    let sound = is_state && matches!(StateRecord::from_record(state), Ok(Some(_)));
    exact("state", sound.then_some(()))
}

fn state_bytes(state: &SyncRecord) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
    check_state(state)?;
    let (key, value) = (state.key.clone(), state.value.to_vec());
    let mut wire = wire::State { kind: state.kind, key, value };
    let bytes = Zeroizing::new(wire.encode_to_vec());
    wire.value.zeroize();
    Ok(bytes)
}

fn state_of(body: &[u8]) -> Result<SyncRecord, ArchiveError> {
    let wire::State { kind, key, value } = protobuf("state", body)?;
    let state = SyncRecord { kind, key, value: Zeroizing::new(value) };
    check_state(&state)?;
    Ok(state)
}

/// A record around its message, whose bytes are wiped.
fn framed(kind: u32, mut body: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let mut record = wire::Record { kind, body: std::mem::take(&mut *body) };
    let bytes = Zeroizing::new(record.encode_to_vec());
    record.body.zeroize();
    bytes
}

fn grant_to_wire(grant: &InboxGrant) -> wire::Grant {
    wire::Grant {
        relay: grant.relay.to_string(),
        inbox: grant.inbox.as_bytes().to_vec(),
        key: grant.key.to_vec(),
    }
}

fn grant_from_wire(read: Option<wire::Grant>) -> Result<Option<InboxGrant>, ArchiveError> {
    let Some(read) = read else { return Ok(None) };
    Ok(Some(InboxGrant {
        key: secret("inbox key", read.key)?,
        relay: exact("inbox relay", read.relay.parse().ok())?,
        inbox: exact("inbox", MailboxId::from_slice(&read.inbox))?,
    }))
}

fn wipe(grant: &mut Option<wire::Grant>) {
    if let Some(grant) = grant {
        grant.key.zeroize();
    }
}

/// 32 secret bytes; those that were read are wiped.
fn secret(what: &'static str, read: Vec<u8>) -> Result<Zeroizing<[u8; 32]>, ArchiveError> {
    let read = Zeroizing::new(read);
    Ok(Zeroizing::new(exact(what, read.as_slice().try_into().ok())?))
}

fn protobuf<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, ArchiveError> {
    M::decode(bytes).map_err(|_| ArchiveError::Malformed { what })
}

fn exact<T>(what: &'static str, read: Option<T>) -> Result<T, ArchiveError> {
    read.ok_or(ArchiveError::Malformed { what })
}

fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), ArchiveError> {
    // ARC-2
    if size > max { Err(ArchiveError::TooLarge { what, size, max }) } else { Ok(()) }
}

/// Bounded, and shown as what it is, as CNT-5 says of names.
fn check_name(what: &'static str, name: &str, max: usize) -> Result<(), ArchiveError> {
    at_most(what, name.len(), max)?;
    exact(what, (!misleads(name)).then_some(()))
}

fn check_nick(nick: &str) -> Result<(), ArchiveError> {
    check_name("the nickname", nick, NICK_BYTES)
}
