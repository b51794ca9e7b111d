//! Blobs over the wire: the commands, an upload that goes on where it was, and a whole read.
//!
//! Knows the codec and the proofs, as `wire` does, of which these are commands.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use restante_crypto::{BlobChallenge, SigningKey, prove_possession};
use restante_spec::ids::{BlobId, BlobOffset, BlobSize, Handle, MailboxId, Seconds};
use restante_spec::limits;
use restante_spec::message::{BlobCreate, BlobPart, BlobRead, BlobState, Command, Refusal, Reply};

use crate::wire::{Wire, random};

/// Parts that an upload has under way.
const WINDOW: usize = 16;

/// A blob as its creator knows it.
#[derive(Clone)]
pub struct Blob {
    /// The mailbox it is of.
    pub mailbox: MailboxId,
    /// Random.
    pub id: BlobId,
    /// The read key.
    pub key: Arc<SigningKey>,
    /// Its size.
    pub size: u64,
    /// How long it is wished to be kept.
    pub ttl: Option<Seconds>,
}

impl Blob {
    /// A new one of so many bytes.
    pub fn new(mailbox: MailboxId, size: u64) -> Self {
        let key = Arc::new(SigningKey::generate().expect("randomness"));
        Self { mailbox, id: BlobId::new(random()), key, size, ttl: None }
    }

    /// The command that creates it.
    pub fn create(&self, handle: u32) -> Command {
        Command::BlobCreate(BlobCreate {
            handle: Handle::new(handle),
            blob: self.id,
            key: self.key.public(),
            possession: prove_possession(&self.key, &self.mailbox),
            size: BlobSize::new(self.size),
            ttl: self.ttl,
        })
    }

    /// The command that writes the part that begins there.
    pub fn write(&self, handle: u32, offset: u64) -> Command {
        let offset = BlobOffset::new(offset);
        Command::BlobWrite { handle: Handle::new(handle), blob: self.id, offset }
    }

    /// The command that deletes it.
    pub fn delete(&self, handle: u32) -> Command {
        Command::BlobDelete { handle: Handle::new(handle), blob: self.id }
    }
}

impl Wire {
    /// Does what is answered with a blob's state, or says why not.
    pub async fn blob_state(
        &mut self,
        command: Command,
        body: &[u8],
    ) -> Result<BlobState, Refusal> {
        match self.ask(command, body).await.0 {
            Reply::BlobState(state) => Ok(state),
            Reply::Error(refusal) => Err(refusal),
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// Creates a blob, writes what is missing of it, and returns its last state; `None` if the line
    /// breaks or the relay refuses.
    pub async fn upload(&mut self, handle: u32, blob: &Blob, bytes: &[u8]) -> Option<BlobState> {
        let begun = self.try_send(blob.create(handle), b"").await?;
        let (Reply::BlobState(mut state), _) = self.try_reply(begun).await? else { return None };
        let mut offset = state.stored.get();
        let mut waiting = VecDeque::new();
        while !state.complete {
            while waiting.len() < WINDOW && offset < blob.size {
                let end = blob.size.min(offset + limits::BLOB_PART_BYTES as u64);
                let part = &bytes[usize::try_from(offset).unwrap()..usize::try_from(end).unwrap()];
                waiting.push_back(self.try_send(blob.write(handle, offset), part).await?);
                offset = end;
            }
            let number = waiting.pop_front().expect("whole when all parts are answered");
            let (Reply::BlobState(now), _) = self.try_reply(number).await? else { return None };
            state = if now.complete || !state.complete { now } else { state };
        }
        Some(state)
    }

    /// A read of a blob with its proof for this connection.
    pub fn blob_read(&self, blob: &Blob, offset: u64, length: u64) -> BlobRead {
        let (relay, nonce) = (self.welcome.identity, self.welcome.nonce);
        let challenge = BlobChallenge { relay, nonce, blob: blob.id };
        BlobRead {
            blob: blob.id,
            key: blob.key.public(),
            proof: challenge.prove(&blob.key),
            offset: BlobOffset::new(offset),
            length: BlobSize::new(length),
        }
    }

    /// Some bytes of a blob, or why not.
    pub async fn read(&mut self, read: BlobRead) -> Result<(BlobPart, Bytes), Refusal> {
        match self.ask(Command::BlobRead(read), b"").await {
            (Reply::BlobPart(part), bytes) => Ok((part, bytes)),
            (Reply::Error(refusal), _) => Err(refusal),
            other => panic!("unexpected answer: {other:?}"),
        }
    }

    /// All bytes of a blob, or why not.
    pub async fn download(&mut self, blob: &Blob) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::new();
        loop {
            let (part, bytes) = self.read(self.blob_read(blob, all.len() as u64, u64::MAX)).await?;
            all.extend_from_slice(&bytes);
            if all.len() as u64 >= part.size.get() {
                return Ok(all);
            }
        }
    }
}
