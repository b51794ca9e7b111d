//! Content to bytes and back: the only place that names the generated types of `content.proto`.
//!
//! Decoding checks every size and bound; encoding refuses what decoding would. What is hashed and
//! signed elsewhere is always the bytes that travelled, never a second encoding.
//!
//! ```text
//!  mod.rs (the envelope) -> body.rs (which kind) -> kept.rs, passing.rs
//!  letter.rs (letters), state.rs (records of an account's state)
//! ```

mod body;
mod kept;
mod letter;
mod passing;
mod state;
mod wipe;

use prost::Message;
use zeroize::Zeroizing;

use super::error::ContentError;
use super::message::{Body, Content, LogPosition, UnixMillis};
use crate::ids::{ContentHash, EnvelopeId, LogHash, PublicKey, Seq};
use crate::limits::{CONTENT_BYTES, KEPT_BYTES, NICK_BYTES, TEXT_BYTES};
use crate::text::misleads;

/// The generated types, named nowhere else.
#[expect(unreachable_pub, reason = "generated code is `pub` throughout")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/restante.content.v1.rs"));
}

/// A message with a form of its own on the wire.
trait Part: Sized {
    type Wire: Message + Default;

    /// What errors call it.
    const WHAT: &'static str;

    fn to_wire(&self) -> Self::Wire;

    fn from_wire(read: Self::Wire) -> Result<Self, ContentError>;

    /// The bounds that hold for writers and readers alike.
    fn check(&self) -> Result<(), ContentError>;

    fn write(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        self.check()?;
        Ok(Zeroizing::new(self.to_wire().encode_to_vec()))
    }

    fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        let part = Self::from_wire(protobuf(Self::WHAT, bytes)?)?;
        part.check()?;
        Ok(part)
    }
}

impl Content {
    /// The bytes that are encrypted and hashed. They may hold secrets.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        self.check_counter()?;
        let mut body = self.body.encode()?;
        let bytes = wire::Content {
            id: self.id.as_bytes().to_vec(),
            counter: self.counter,
            previous: self.previous.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
            random: self.random.to_vec(),
            seen: self.seen.to_wire(),
            time_ms: self.at.get(),
            kind: self.body.kind(),
            body: std::mem::take(&mut *body),
            log: self.log.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        }
        .encode_to_vec();
        self.check_size(bytes.len())?;
        Ok(bytes)
    }

    /// Reads a content (CNT-1 to CNT-3, CNT-5, CNT-8 to CNT-12).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        at_most("the content", bytes.len(), CONTENT_BYTES)?;
        let read: wire::Content = protobuf("content", bytes)?;
        let content = Self {
            id: exact("id", EnvelopeId::from_slice(&read.id))?,
            counter: read.counter,
            previous: optional("previous", &read.previous, ContentHash::from_slice)?,
            random: exact("random", read.random.as_slice().try_into().ok())?,
            seen: LogPosition::from_wire(read.seen.as_ref()),
            log: optional("log", &read.log, LogHash::from_slice)?,
            at: UnixMillis::new(read.time_ms),
            body: Body::decode(read.kind, &read.body)?,
        };
        content.check_counter()?;
        content.check_size(bytes.len())?;
        Ok(content)
    }

    /// The first kept content of a device names none before it; what passes names the last kept.
    fn check_counter(&self) -> Result<(), ContentError> {
        let kept = u64::from(self.body.is_kept());
        // CNT-1
        let before = exact("counter", self.counter.checked_sub(kept))?;
        let agree = self.previous.is_some() == (before > 0);
        if agree { Ok(()) } else { Err(ContentError::Malformed { what: "previous" }) }
    }

    fn check_size(&self, size: usize) -> Result<(), ContentError> {
        // CNT-3
        let max = if self.body.is_kept() { KEPT_BYTES } else { CONTENT_BYTES };
        at_most("the content", size, max)
    }
}

impl LogPosition {
    /// Nothing for the place before everything.
    fn to_wire(self) -> Option<wire::Position> {
        let position = wire::Position { generation: self.generation, seq: self.seq.get() };
        (self != Self::default()).then_some(position)
    }

    fn from_wire(read: Option<&wire::Position>) -> Self {
        read.map_or_else(Self::default, |read| Self {
            generation: read.generation,
            seq: Seq::new(read.seq),
        })
    }
}

fn protobuf<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, ContentError> {
    M::decode(bytes).map_err(|_| ContentError::Malformed { what })
}

fn exact<T>(what: &'static str, read: Option<T>) -> Result<T, ContentError> {
    read.ok_or(ContentError::Malformed { what })
}

/// A name that may be left out.
fn optional<T>(
    what: &'static str,
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, ContentError> {
    if bytes.is_empty() { Ok(None) } else { exact(what, read(bytes)).map(Some) }
}

/// Takes a secret out of the message it came in.
fn secret(what: &'static str, bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, ContentError> {
    exact(what, bytes.try_into().ok()).map(Zeroizing::new)
}

fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), ContentError> {
    if size > max { Err(ContentError::TooLarge { what, size, max }) } else { Ok(()) }
}

fn one_to(what: &'static str, size: usize, max: usize) -> Result<(), ContentError> {
    if size == 0 { Err(ContentError::Malformed { what }) } else { at_most(what, size, max) }
}

/// Bounded, and shown as what it is (CNT-5).
fn check_nick(nick: &str) -> Result<(), ContentError> {
    // CNT-5
    at_most("nickname", nick.len(), NICK_BYTES)?;
    if misleads(nick) {
        return Err(ContentError::Malformed { what: "nickname" });
    }
    Ok(())
}

/// Words that are said: some, and not too many (CNT-3).
fn check_text(text: &str) -> Result<(), ContentError> {
    // CNT-3
    one_to("text", text.len(), TEXT_BYTES)
}

fn joined(ids: &[EnvelopeId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.as_bytes()).copied().collect()
}

fn ids(what: &'static str, joined: &[u8]) -> Result<Vec<EnvelopeId>, ContentError> {
    let chunks = joined.chunks(EnvelopeId::SIZE);
    chunks.map(|id| exact(what, EnvelopeId::from_slice(id))).collect()
}

/// A seed that may be left out.
fn maybe_secret(
    what: &'static str,
    bytes: &[u8],
) -> Result<Option<Zeroizing<[u8; 32]>>, ContentError> {
    if bytes.is_empty() { Ok(None) } else { secret(what, bytes).map(Some) }
}

/// Its bytes; none if there is none.
fn key_bytes(key: Option<&PublicKey>) -> Vec<u8> {
    key.map(|key| key.as_bytes().to_vec()).unwrap_or_default()
}

/// Its bytes; none if there is none.
fn seed_bytes(seed: Option<&Zeroizing<[u8; 32]>>) -> Vec<u8> {
    seed.map(|seed| seed.to_vec()).unwrap_or_default()
}
