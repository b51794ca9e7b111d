//! Tombstones, messages, and the manifests that lead to them.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::{at_most, exact, protobuf, secret, wire};
use crate::archive::error::ArchiveError;
use crate::archive::manifest::{Manifest, ManifestSegment};
use crate::archive::record::{
    KeptAct, KeptFate, KeptKind, KeptMessage, KeptReach, Reached, Tombstone,
};
use crate::codes::Code;
use crate::content::{LogPosition, UnixMillis};
use crate::ids::{
    ArchiveId, BlobId, BlobSize, ContactName, ConversationId, EnvelopeId, Seconds, Seq,
};
use crate::limits::{
    BLOB_BYTES, CLASSICAL_LEAVES, CONTENT_BYTES, EMOJI_BYTES, MANIFEST_BYTES, MANIFEST_SEGMENTS,
    RECORD_ACTS, SEGMENTS, TEXT_BYTES,
};

impl Tombstone {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let tombstone = wire::Tombstone {
            conversation: self.conversation.as_bytes().to_vec(),
            id: self.id.as_bytes().to_vec(),
            generation: self.position.generation,
            seq: self.position.seq.get(),
            author: name_bytes(self.author.as_ref()),
            by: name_bytes(self.by.as_ref()),
            at_ms: self.at.get(),
        };
        Zeroizing::new(tombstone.encode_to_vec())
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Tombstone = protobuf("tombstone", body)?;
        Ok(Self {
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            id: exact("message id", EnvelopeId::from_slice(&read.id))?,
            position: place(read.generation, read.seq),
            author: name_of(&read.author)?,
            by: name_of(&read.by)?,
            at: UnixMillis::new(read.at_ms),
        })
    }
}

impl KeptMessage {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let (fate, code) = self.fate.numbers();
        let mut message = wire::Message {
            conversation: self.conversation.as_bytes().to_vec(),
            id: self.id.as_bytes().to_vec(),
            generation: self.position.generation,
            seq: self.position.seq.get(),
            author: name_bytes(self.author.as_ref()),
            kind: self.kind.number(),
            text: self.text.clone(),
            content: self.content.clone(),
            at_ms: self.at.get(),
            fate,
            code,
            relay_until_ms: self.relay_until.map_or(0, UnixMillis::get),
            reply_to: self.reply_to.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            edited: self.edited,
            timer: self.timer.map_or(0, Seconds::get),
            expires_ms: self.expires.map_or(0, UnixMillis::get),
            reached: self.reached.iter().copied().map(Reached::to_wire).collect(),
            acts: self.acts.iter().map(KeptAct::to_wire).collect(),
        };
        let bytes = Zeroizing::new(message.encode_to_vec());
        message.content.zeroize();
        message.text.zeroize();
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Message = protobuf("message", body)?;
        let time = |ms| (ms > 0).then(|| UnixMillis::new(ms));
        let reply_to = (!read.reply_to.is_empty())
            .then(|| exact("message id", EnvelopeId::from_slice(&read.reply_to)));
        let message = Self {
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            id: exact("message id", EnvelopeId::from_slice(&read.id))?,
            position: place(read.generation, read.seq),
            author: name_of(&read.author)?,
            kind: exact("kind of message", KeptKind::from_number(read.kind))?,
            text: read.text,
            content: read.content,
            at: UnixMillis::new(read.at_ms),
            fate: exact("fate", KeptFate::from_numbers(read.fate, read.code))?,
            relay_until: time(read.relay_until_ms),
            reply_to: reply_to.transpose()?,
            edited: read.edited,
            timer: (read.timer > 0).then(|| Seconds::new(read.timer)),
            expires: time(read.expires_ms),
            reached: read.reached.iter().map(Reached::from_wire).collect::<Result<_, _>>()?,
            acts: read.acts.into_iter().map(KeptAct::from_wire).collect::<Result<_, _>>()?,
        };
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        at_most("the text", self.text.len(), TEXT_BYTES)?;
        at_most("the content", self.content.len(), CONTENT_BYTES)?;
        at_most("the accounts reached", self.reached.len(), CLASSICAL_LEAVES)?;
        at_most("the acts", self.acts.len(), RECORD_ACTS)?;
        for act in &self.acts {
            at_most("a reaction", act.text.len(), EMOJI_BYTES)?;
        }
        Ok(())
    }
}

impl KeptKind {
    const fn number(self) -> u32 {
        match self {
            Self::Text => 1,
            Self::Unknown => 2,
            Self::Unreadable => 3,
            Self::Event => 4,
            Self::File => 5,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Text,
            2 => Self::Unknown,
            3 => Self::Unreadable,
            4 => Self::Event,
            5 => Self::File,
            _ => return None,
        })
    }
}

impl Reached {
    fn to_wire(self) -> wire::Reached {
        let how = match self.how {
            KeptReach::Sent => 0,
            KeptReach::Delivered => 1,
            KeptReach::Read => 2,
        };
        wire::Reached { account: self.account.as_bytes().to_vec(), how, at_ms: self.at.get() }
    }

    fn from_wire(read: &wire::Reached) -> Result<Self, ArchiveError> {
        let how = match read.how {
            0 => Some(KeptReach::Sent),
            1 => Some(KeptReach::Delivered),
            2 => Some(KeptReach::Read),
            _ => None,
        };
        Ok(Self {
            account: exact("account", ContactName::from_slice(&read.account))?,
            how: exact("reach", how)?,
            at: UnixMillis::new(read.at_ms),
        })
    }
}

impl KeptAct {
    fn to_wire(&self) -> wire::Act {
        wire::Act {
            id: self.id.as_bytes().to_vec(),
            author: self.author.as_bytes().to_vec(),
            kind: if self.is_edit { EDIT } else { REACTION },
            text: self.text.clone(),
            generation: self.position.generation,
            seq: self.position.seq.get(),
        }
    }

    fn from_wire(read: wire::Act) -> Result<Self, ArchiveError> {
        let known = [REACTION, EDIT].contains(&read.kind);
        Ok(Self {
            id: exact("act", EnvelopeId::from_slice(&read.id))?,
            author: exact("author", ContactName::from_slice(&read.author))?,
            is_edit: exact("act", known.then_some(read.kind == EDIT))?,
            text: read.text,
            position: place(read.generation, read.seq),
        })
    }
}

/// Layout: the kind of a reaction's content (CNT-2).
const REACTION: u32 = 3;
/// Layout: the kind of an edit's content (CNT-2).
const EDIT: u32 = 4;

const fn place(generation: u32, seq: u64) -> LogPosition {
    LogPosition { generation, seq: Seq::new(seq) }
}

fn name_bytes(name: Option<&ContactName>) -> Vec<u8> {
    name.map(|name| name.as_bytes().to_vec()).unwrap_or_default()
}

fn name_of(bytes: &[u8]) -> Result<Option<ContactName>, ArchiveError> {
    (!bytes.is_empty()).then(|| exact("name", ContactName::from_slice(bytes))).transpose()
}

impl KeptFate {
    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Received => (1, 0),
            Self::ReceivedRead => (2, 0),
            Self::Accepted => (3, 0),
            Self::Delivered => (4, 0),
            Self::Read => (5, 0),
            Self::Expired => (6, 0),
            Self::Refused(code) => (7, code.number()),
        }
    }

    fn from_numbers(fate: u32, code: u32) -> Option<Self> {
        match (fate, code) {
            (1, 0) => Some(Self::Received),
            (2, 0) => Some(Self::ReceivedRead),
            (3, 0) => Some(Self::Accepted),
            (4, 0) => Some(Self::Delivered),
            (5, 0) => Some(Self::Read),
            (6, 0) => Some(Self::Expired),
            (7, code) => Code::from_number(code).map(Self::Refused),
            _ => None,
        }
    }
}

impl Manifest {
    /// The bytes that travel between own devices. They hold secrets: wiped when dropped.
    ///
    /// # Errors
    /// [`ArchiveError`] for what no reader would take.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let mut manifest = wire::Manifest {
            archive: self.archive.as_bytes().to_vec(),
            number: self.number,
            last: self.last,
            messages: self.messages,
            relay: self.relay.to_string(),
            segments: self.segments.iter().map(ManifestSegment::to_wire).collect(),
        };
        let bytes = Zeroizing::new(manifest.encode_to_vec());
        for segment in &mut manifest.segments {
            segment.read_key.zeroize();
            segment.file_key.zeroize();
        }
        at_most("the manifest", bytes.len(), MANIFEST_BYTES)?;
        Ok(bytes)
    }

    /// Reads a manifest (ARC-6).
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArchiveError> {
        at_most("the manifest", bytes.len(), MANIFEST_BYTES)?;
        let read: wire::Manifest = protobuf("manifest", bytes)?;
        let segments = read.segments.into_iter().map(ManifestSegment::from_wire);
        let manifest = Self {
            segments: segments.collect::<Result<_, _>>()?,
            archive: exact("archive", ArchiveId::from_slice(&read.archive))?,
            number: read.number,
            last: read.last,
            messages: read.messages,
            relay: exact("relay", read.relay.parse().ok())?,
        };
        manifest.check()?;
        Ok(manifest)
    }

    // ARC-6
    fn check(&self) -> Result<(), ArchiveError> {
        let malformed = ArchiveError::Malformed { what: "segments" };
        at_most("the segments", self.segments.len(), MANIFEST_SEGMENTS)?;
        let first = self.segments.first().ok_or(malformed)?;
        for (number, segment) in (first.number..SEGMENTS).zip(&self.segments) {
            let size = segment.size.get();
            let sound = segment.number == number
                && (1..=BLOB_BYTES).contains(&size)
                && segment.oldest <= segment.newest;
            exact("segments", sound.then_some(()))?;
        }
        let end = u64::from(first.number) + self.segments.len() as u64;
        let starts = (self.number == 0) == (first.number == 0);
        exact("segments", (starts && end <= u64::from(SEGMENTS)).then_some(()))
    }
}

impl ManifestSegment {
    fn to_wire(&self) -> wire::Segment {
        wire::Segment {
            number: self.number,
            blob: self.blob.as_bytes().to_vec(),
            read_key: self.read_key.to_vec(),
            file_key: self.file_key.to_vec(),
            size: self.size.get(),
            messages: self.messages,
            newest_ms: self.newest.get(),
            oldest_ms: self.oldest.get(),
        }
    }

    fn from_wire(read: wire::Segment) -> Result<Self, ArchiveError> {
        // Both before anything can be refused, so that neither stays behind.
        let (read_key, file_key) =
            (secret("read key", read.read_key), secret("file key", read.file_key));
        Ok(Self {
            read_key: read_key?,
            file_key: file_key?,
            number: read.number,
            blob: exact("blob", BlobId::from_slice(&read.blob))?,
            size: BlobSize::new(read.size),
            messages: read.messages,
            newest: UnixMillis::new(read.newest_ms),
            oldest: UnixMillis::new(read.oldest_ms),
        })
    }
}
