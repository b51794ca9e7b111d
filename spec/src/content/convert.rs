//! Content to bytes and back: the only place that names the generated types of `content.proto`.
//!
//! Decoding checks every size and bound; encoding refuses what decoding would. What is hashed and
//! signed elsewhere is always the bytes that travelled, never a second encoding.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::error::ContentError;
use super::letter::{FirstLetter, FirstMessage, InboxGrant, LetterContent, WelcomeLetter};
use super::message::{Body, Content, LogPosition, Receipts, UnixMillis};
use crate::ids::{ContentHash, EnvelopeId, MailboxId, Seq};
use crate::limits::{BODY_BYTES, CONTENT_BYTES, DEVICES, NICK_BYTES, RECEIPT_IDS, TEXT_BYTES};

/// The generated types, named nowhere else.
#[expect(unreachable_pub, reason = "generated code is `pub` throughout")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/restante.content.v1.rs"));
}

/// A kind in the layout of contents (CNT-1).
const TEXT: u32 = 1;
/// A kind in the layout of contents (CNT-1).
const RECEIPTS: u32 = 2;
/// A kind in the layout of contents (CNT-1).
const PROFILE: u32 = 3;
/// A kind in the layout of contents (CNT-1).
const LEAVE: u32 = 4;
/// A kind in the layout of letters (CNT-6).
const FIRST: u32 = 1;
/// A kind in the layout of letters (CNT-6).
const WELCOME: u32 = 2;

impl Content {
    /// The bytes that are encrypted and hashed.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        let (kind, body) = self.body.encode()?;
        let seen = (self.seen != LogPosition::default()).then_some(wire::Position {
            generation: self.seen.generation,
            seq: self.seen.seq.get(),
        });
        let bytes = wire::Content {
            id: self.id.as_bytes().to_vec(),
            counter: self.counter,
            previous: self.previous.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
            random: self.random.to_vec(),
            seen,
            time_ms: self.at.get(),
            kind,
            body,
        }
        .encode_to_vec();
        at_most("the content", bytes.len(), CONTENT_BYTES)?;
        Ok(bytes)
    }

    /// Reads a content (CNT-1 to CNT-3, CNT-5).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        at_most("the content", bytes.len(), CONTENT_BYTES)?;
        let read: wire::Content = protobuf("content", bytes)?;
        // CNT-1
        if read.counter == 0 {
            return Err(ContentError::Malformed { what: "counter" });
        }
        let previous = match read.previous.as_slice() {
            [] => None,
            bytes => Some(exact("previous", ContentHash::from_slice(bytes))?),
        };
        let seen = read.seen.map_or_else(LogPosition::default, |seen| LogPosition {
            generation: seen.generation,
            seq: Seq::new(seen.seq),
        });
        Ok(Self {
            id: exact("id", EnvelopeId::from_slice(&read.id))?,
            counter: read.counter,
            previous,
            random: exact("random", read.random.as_slice().try_into().ok())?,
            seen,
            at: UnixMillis::new(read.time_ms),
            body: Body::decode(read.kind, read.body)?,
        })
    }
}

impl Body {
    /// Whether a content of this kind wakes a sleeping device: it is what a person has written.
    #[must_use]
    pub const fn wakes(kind: u32) -> bool {
        kind == TEXT
    }

    /// Kind and bytes, as a content has them (CNT-1).
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<(u32, Vec<u8>), ContentError> {
        self.check()?;
        Ok(match self {
            Self::Text(text) => (TEXT, wire::Text { text: text.clone() }.encode_to_vec()),
            Self::Receipts(Receipts { delivered, read }) => {
                let message = wire::Receipts { delivered: joined(delivered), read: joined(read) };
                (RECEIPTS, message.encode_to_vec())
            }
            Self::Profile { nick, devices } => {
                let message = wire::Profile { nick: nick.clone(), devices: devices.clone() };
                (PROFILE, message.encode_to_vec())
            }
            Self::Leave => (LEAVE, wire::Leave {}.encode_to_vec()),
            Self::Unknown { kind, body } => (*kind, body.clone()),
        })
    }

    /// Reads kind and bytes back.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(kind: u32, body: Vec<u8>) -> Result<Self, ContentError> {
        let decoded = match kind {
            0 => return Err(ContentError::Malformed { what: "kind" }),
            TEXT => Self::Text(protobuf::<wire::Text>("text", &body)?.text),
            RECEIPTS => {
                let read: wire::Receipts = protobuf("receipts", &body)?;
                let (delivered, read) = (ids(&read.delivered)?, ids(&read.read)?);
                Self::Receipts(Receipts { delivered, read })
            }
            PROFILE => {
                let wire::Profile { nick, devices } = protobuf("profile", &body)?;
                Self::Profile { nick, devices }
            }
            LEAVE => {
                let wire::Leave {} = protobuf("leave", &body)?;
                Self::Leave
            }
            // CNT-2
            _ => Self::Unknown { kind, body },
        };
        decoded.check()?;
        Ok(decoded)
    }

    /// The bounds that hold for writers and readers alike (CNT-3, CNT-5).
    fn check(&self) -> Result<(), ContentError> {
        match self {
            // CNT-3
            Self::Text(text) if text.is_empty() => Err(ContentError::Malformed { what: "text" }),
            Self::Text(text) => at_most("the text", text.len(), TEXT_BYTES),
            Self::Receipts(Receipts { delivered, read }) => {
                let size = delivered.len() + read.len();
                at_most("the receipts", size, RECEIPT_IDS)?;
                let empty = ContentError::Malformed { what: "receipts" };
                if size == 0 { Err(empty) } else { Ok(()) }
            }
            Self::Profile { nick, .. } => check_nick(nick),
            Self::Unknown { kind: 0..=LEAVE, .. } => Err(ContentError::Malformed { what: "kind" }),
            Self::Leave | Self::Unknown { .. } => Ok(()),
        }
    }
}

impl LetterContent {
    /// The bytes a letter is sealed over. They hold a secret: wiped when dropped.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        let (kind, mut body) = match self {
            Self::First(first) => (FIRST, first.encode()?),
            Self::Welcome(welcome) => (WELCOME, welcome.encode()?),
            Self::Unknown { kind: 0..=WELCOME, .. } => {
                return Err(ContentError::Malformed { what: "kind" });
            }
            Self::Unknown { kind, body } => (*kind, Zeroizing::new(body.clone())),
        };
        let mut letter = wire::Letter { kind, body: std::mem::take(&mut *body) };
        let bytes = Zeroizing::new(letter.encode_to_vec());
        letter.body.zeroize();
        Ok(bytes)
    }

    /// Reads what a letter says (CNT-6).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        at_most("the letter", bytes.len(), BODY_BYTES)?;
        let letter: wire::Letter = protobuf("letter", bytes)?;
        let body = Zeroizing::new(letter.body);
        match letter.kind {
            0 => Err(ContentError::Malformed { what: "kind" }),
            FIRST => FirstLetter::decode(&body).map(Self::First),
            WELCOME => WelcomeLetter::decode(&body).map(Self::Welcome),
            // CNT-2
            kind => Ok(Self::Unknown { kind, body: body.to_vec() }),
        }
    }
}

impl FirstLetter {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        self.check()?;
        let message = self.message.as_ref().map(|message| wire::FirstMessage {
            id: message.id.as_bytes().to_vec(),
            content: message.content.clone(),
        });
        let mut first = wire::First {
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            key_packages: self.key_packages.clone(),
            inbox: Some(self.inbox.to_wire()),
            message,
        };
        let bytes = Zeroizing::new(first.encode_to_vec());
        wipe(&mut first.inbox);
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let read: wire::First = protobuf("first letter", bytes)?;
        let message = read.message.map(|message| {
            let id = exact("id", EnvelopeId::from_slice(&message.id))?;
            Ok(FirstMessage { id, content: message.content })
        });
        let first = Self {
            devices: read.devices,
            nick: read.nick,
            key_packages: read.key_packages,
            inbox: InboxGrant::from_wire(read.inbox)?,
            message: message.transpose()?,
        };
        first.check()?;
        Ok(first)
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)?;
        if self.key_packages.is_empty() {
            return Err(ContentError::Malformed { what: "key packages" });
        }
        at_most("the key packages", self.key_packages.len(), DEVICES)
    }
}

impl WelcomeLetter {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        check_nick(&self.nick)?;
        let mut welcome = wire::Welcome {
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            relay: self.relay.to_string(),
            mailbox: self.mailbox.as_bytes().to_vec(),
            welcome: self.welcome.clone(),
            inbox: Some(self.inbox.to_wire()),
        };
        let bytes = Zeroizing::new(welcome.encode_to_vec());
        wipe(&mut welcome.inbox);
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let read: wire::Welcome = protobuf("welcome letter", bytes)?;
        check_nick(&read.nick)?;
        Ok(Self {
            devices: read.devices,
            nick: read.nick,
            relay: exact("relay", read.relay.parse().ok())?,
            mailbox: exact("mailbox", MailboxId::from_slice(&read.mailbox))?,
            welcome: read.welcome,
            inbox: InboxGrant::from_wire(read.inbox)?,
        })
    }
}

impl InboxGrant {
    fn to_wire(&self) -> wire::InboxGrant {
        wire::InboxGrant {
            relay: self.relay.to_string(),
            inbox: self.inbox.as_bytes().to_vec(),
            key: self.key.to_vec(),
        }
    }

    fn from_wire(read: Option<wire::InboxGrant>) -> Result<Self, ContentError> {
        let read = exact("inbox", read)?;
        let key = Zeroizing::new(read.key);
        Ok(Self {
            relay: exact("inbox relay", read.relay.parse().ok())?,
            inbox: exact("inbox id", MailboxId::from_slice(&read.inbox))?,
            key: Zeroizing::new(exact("inbox key", key.as_slice().try_into().ok())?),
        })
    }
}

fn wipe(grant: &mut Option<wire::InboxGrant>) {
    if let Some(grant) = grant {
        grant.key.zeroize();
    }
}

fn protobuf<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, ContentError> {
    M::decode(bytes).map_err(|_| ContentError::Malformed { what })
}

fn exact<T>(what: &'static str, read: Option<T>) -> Result<T, ContentError> {
    read.ok_or(ContentError::Malformed { what })
}

fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), ContentError> {
    if size > max { Err(ContentError::TooLarge { what, size, max }) } else { Ok(()) }
}

/// Bounded, and without what could move a terminal's cursor or pass for another line (CNT-5).
fn check_nick(nick: &str) -> Result<(), ContentError> {
    // CNT-5
    at_most("the nickname", nick.len(), NICK_BYTES)?;
    if nick.chars().any(char::is_control) {
        return Err(ContentError::Malformed { what: "nickname" });
    }
    Ok(())
}

fn joined(ids: &[EnvelopeId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.as_bytes()).copied().collect()
}

fn ids(joined: &[u8]) -> Result<Vec<EnvelopeId>, ContentError> {
    let chunks = joined.chunks(EnvelopeId::SIZE);
    chunks.map(|id| exact("receipts", EnvelopeId::from_slice(id))).collect()
}
