//! The store alone, for benches: thin, and only with the feature `simulation`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use restante_crypto::random_bytes;
use restante_spec::ids::{EnvelopeId, MailboxId, UnixTime};
use restante_spec::limits;
use restante_spec::message::EnvelopeClass;

use super::redb::RedbBuffer;
use super::{Act, AppendAct, Buffer, Chain, Done, Part, Quota, RowWrite, Settings};
use crate::ops::tasks::Tasks;

/// A store in a file, with its thread.
pub struct Store {
    buffer: Arc<RedbBuffer>,
    writer: Option<JoinHandle<()>>,
}

/// What is told when something is done: whether it is durable.
pub type Told = Box<dyn FnOnce(bool) + Send>;

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// What the system or the store says.
    pub fn open(path: &Path, now: UnixTime) -> io::Result<Self> {
        let opened = RedbBuffer::open(path, Settings::default(), now);
        let (buffer, writer) = opened.map_err(io::Error::other)?;
        let writer = Tasks::new().spawn_thread("buffer", move || writer.run())?;
        Ok(Self { buffer, writer: Some(writer) })
    }

    /// Makes a mailbox. Returns whether the queue had room.
    pub fn create(&self, mailbox: MailboxId, told: Told) -> bool {
        let part = Part { tag: 0, key: Vec::new() };
        let rows = vec![RowWrite { part, value: Some(Bytes::from_static(b"row")) }];
        let act = Act::Create { rows, max_mailboxes: limits::MAILBOXES, toll: None };
        self.submit(mailbox, act, told)
    }

    /// Appends an envelope. Returns whether the queue had room.
    pub fn append(
        &self,
        mailbox: MailboxId,
        body: Bytes,
        expires_at: UnixTime,
        now: UnixTime,
        told: Told,
    ) -> bool {
        let Ok(id) = random_bytes() else { return false };
        let quota = Quota {
            entries: limits::MAILBOX_ENTRIES,
            bytes: limits::MAILBOX_BYTES,
            reserve_entries: 0,
            reserve_bytes: 0,
        };
        let append = AppendAct {
            id: EnvelopeId::new(id),
            class: EnvelopeClass::Normal,
            expires_at,
            body,
            link: Chain::new().link(),
            epoch: None,
            commit: false,
            rows: Vec::new(),
            quota,
            now,
            hold: None,
        };
        self.submit(mailbox, Act::Append(append), told)
    }

    /// Lets go of what has expired, some at a time.
    pub fn tick(&self, now: UnixTime) {
        self.buffer.tick(now);
    }

    /// Envelopes that are remembered, let go or not.
    #[must_use]
    pub fn remembered(&self) -> u64 {
        self.buffer.remembered()
    }

    fn submit(&self, mailbox: MailboxId, act: Act, told: Told) -> bool {
        let done: Done = Box::new(move |outcome| told(outcome.is_ok()));
        self.buffer.submit(mailbox, act, done).is_ok()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.buffer.stop();
        if let Some(writer) = self.writer.take() {
            // A thread that has failed has said so.
            let _ = writer.join();
        }
    }
}
