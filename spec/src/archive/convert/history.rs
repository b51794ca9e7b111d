//! Settings, tombstones, messages, and the manifests that lead to them.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::{at_most, check_name, exact, protobuf, secret, wire};
use crate::archive::error::ArchiveError;
use crate::archive::manifest::{Manifest, ManifestSegment};
use crate::archive::record::{KeptFate, KeptMessage, Reached, Setting, Tombstone};
use crate::codes::Code;
use crate::content::{LogPosition, UnixMillis};
use crate::ids::{ArchiveId, BlobId, BlobSize, ConversationId, EnvelopeId, PublicKey, Seq};
use crate::limits::{
    BLOB_BYTES, CLASSICAL_LEAVES, CONTENT_BYTES, MANIFEST_BYTES, MANIFEST_SEGMENTS,
    RECORD_NAME_BYTES, RECORD_PART_BYTES, SEGMENTS,
};

impl Setting {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let mut setting = wire::Setting { key: self.key.clone(), value: self.value.to_vec() };
        let bytes = Zeroizing::new(setting.encode_to_vec());
        setting.value.zeroize();
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let wire::Setting { key, value } = protobuf("setting", body)?;
        let setting = Self { key, value: Zeroizing::new(value) };
        setting.check()?;
        Ok(setting)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        exact("setting", (!self.key.is_empty()).then_some(()))?;
        check_name("the setting's name", &self.key, RECORD_NAME_BYTES)?;
        at_most("the setting", self.value.len(), RECORD_PART_BYTES)
    }
}

impl Tombstone {
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let tombstone = wire::Tombstone {
            conversation: self.conversation.as_bytes().to_vec(),
            id: self.id.as_bytes().to_vec(),
            until_ms: self.until.get(),
        };
        Zeroizing::new(tombstone.encode_to_vec())
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Tombstone = protobuf("tombstone", body)?;
        Ok(Self {
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            id: exact("message id", EnvelopeId::from_slice(&read.id))?,
            until: UnixMillis::new(read.until_ms),
        })
    }
}

impl KeptMessage {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let (fate, code) = self.fate.numbers();
        let reached = self
            .reached
            .iter()
            .map(|one| wire::Reached { account: one.account.as_bytes().to_vec(), read: one.read });
        let mut message = wire::Message {
            conversation: self.conversation.as_bytes().to_vec(),
            generation: self.position.generation,
            seq: self.position.seq.get(),
            order: self.order,
            author: self.author.as_bytes().to_vec(),
            device: self.device.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
            content: self.content.clone(),
            at_ms: self.at.get(),
            fate,
            code,
            expires_ms: self.expires.map_or(0, UnixMillis::get),
            reached: reached.collect(),
        };
        let bytes = Zeroizing::new(message.encode_to_vec());
        message.content.zeroize();
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Message = protobuf("message", body)?;
        let device = (!read.device.is_empty())
            .then(|| exact("device", PublicKey::from_slice(&read.device)))
            .transpose()?;
        at_most("the accounts reached", read.reached.len(), CLASSICAL_LEAVES)?;
        let reached = read.reached.iter().map(|one| {
            let account = exact("account", PublicKey::from_slice(&one.account))?;
            Ok(Reached { account, read: one.read })
        });
        let seq = Seq::new(read.seq);
        let message = Self {
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            position: LogPosition { generation: read.generation, seq },
            order: read.order,
            author: exact("author", PublicKey::from_slice(&read.author))?,
            device,
            reached: reached.collect::<Result<_, _>>()?,
            content: read.content,
            at: UnixMillis::new(read.at_ms),
            fate: exact("fate", KeptFate::from_numbers(read.fate, read.code))?,
            expires: (read.expires_ms > 0).then(|| UnixMillis::new(read.expires_ms)),
        };
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        // ARC-4
        exact("content", (!self.content.is_empty()).then_some(()))?;
        at_most("the content", self.content.len(), CONTENT_BYTES)?;
        at_most("the accounts reached", self.reached.len(), CLASSICAL_LEAVES)
    }
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
