//! One transaction of the writer: its tables, and the chunk that is being filled.

use std::collections::BTreeMap;
use std::io;

use redb::{Table, WriteTransaction};
use restante_spec::ids::{MailboxId, Seq, UnixTime};

use super::tables::{self, CHUNKS, MARKS, META, RESERVED, ROWS};
use super::{Store, Writer};
use crate::buffer::chunk::ChunkWriter;
use crate::buffer::index::{ChunkId, Mark, Moved};
use crate::buffer::{Envelope, Part, RowWrite};

/// The tables of one transaction, and the chunk being filled.
pub(super) struct Batch<'t> {
    chunks: Table<'t, u64, &'static [u8]>,
    pub(super) rows: Table<'t, &'static [u8], &'static [u8]>,
    marks: Table<'t, &'static [u8; 16], &'static [u8; 32]>,
    open: ChunkWriter,
    open_id: ChunkId,
    /// Marks to write: the last of each mailbox counts.
    pub(super) dirty: BTreeMap<MailboxId, Option<Mark>>,
    /// What was held, and is written with this batch.
    pub(super) moves: Vec<Moved>,
}

impl Writer {
    /// The tables of a transaction for so many acts.
    pub(super) fn begin_batch<'t>(
        &mut self,
        transaction: &'t WriteTransaction,
        acts: usize,
    ) -> Result<Batch<'t>, redb::Error> {
        let mut meta = transaction.open_table(META)?;
        self.reserve(&mut meta, acts)?;
        Ok(Batch {
            chunks: transaction.open_table(CHUNKS)?,
            rows: transaction.open_table(ROWS)?,
            marks: transaction.open_table(MARKS)?,
            open: ChunkWriter::new(self.now),
            open_id: self.next_chunk,
            dirty: BTreeMap::new(),
            moves: Vec::new(),
        })
    }

    /// Writes what a batch has gathered; returns what has moved with it.
    pub(super) fn finish(&mut self, mut batch: Batch<'_>) -> Result<Vec<Moved>, redb::Error> {
        batch.finish()?;
        self.next_chunk = batch.open_id;
        // What cannot be opened after a crash would be lost.
        self.store.keys_mut().sync()?;
        Ok(batch.moves)
    }

    /// Whether numbers must be reserved before so many acts get theirs (MBX-3).
    pub(super) fn must_reserve(&self, acts: usize) -> bool {
        self.store.index().last_number().get() + acts as u64 > self.reserved.get()
    }

    /// Reserves numbers for a batch of so many acts (MBX-3), in the batch's own transaction: none
    /// of them is seen before that is durable.
    fn reserve(
        &mut self,
        meta: &mut Table<'_, &'static str, u64>,
        acts: usize,
    ) -> Result<(), redb::Error> {
        if self.must_reserve(acts) {
            let needed = self.store.index().last_number().get() + acts as u64;
            self.reserved = Seq::new(needed + self.settings.reserve);
            meta.insert(RESERVED, self.reserved.get())?;
        }
        Ok(())
    }

    /// Seals an envelope into the chunk being filled; where it stands.
    pub(super) fn pack(
        &self,
        batch: &mut Batch<'_>,
        mailbox: MailboxId,
        envelope: &Envelope,
    ) -> Result<(ChunkId, u32), redb::Error> {
        if !batch.open.fits(envelope.body.len()) {
            batch.next_chunk(self.now)?;
        }
        let mut keys = self.store.keys();
        if keys.get(envelope.expires_at).is_none() {
            drop(keys);
            self.store.keys_mut().prepare(envelope.expires_at)?;
            keys = self.store.keys();
        }
        let key = keys.get(envelope.expires_at);
        let key = key.ok_or_else(|| io::Error::other("a key went missing"))?;
        let offset = batch.open.push(mailbox, envelope, key, keys.salt());
        Ok((batch.open_id, offset.map_err(io::Error::other)?))
    }
}

impl Batch<'_> {
    pub(super) fn write_rows(
        &mut self,
        store: &Store,
        mailbox: MailboxId,
        writes: &[RowWrite],
        number: Seq,
    ) -> Result<(), redb::Error> {
        for write in writes {
            tables::write_row(&mut self.rows, mailbox, write, number)?;
            if write.part.tag == Part::EPOCH {
                let epoch = if write.value.is_some() { number } else { Seq::START };
                store.index().set_epoch(mailbox, epoch);
                self.mark(store, mailbox);
            }
        }
        Ok(())
    }

    pub(super) fn mark(&mut self, store: &Store, mailbox: MailboxId) {
        self.dirty.insert(mailbox, store.index().mark(mailbox));
    }

    fn next_chunk(&mut self, now: UnixTime) -> Result<(), redb::Error> {
        self.chunks.insert(self.open_id, self.open.bytes())?;
        self.open_id += 1;
        self.open = ChunkWriter::new(now);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), redb::Error> {
        if !self.open.is_empty() {
            self.chunks.insert(self.open_id, self.open.bytes())?;
            self.open_id += 1;
        }
        for (mailbox, mark) in std::mem::take(&mut self.dirty) {
            match mark {
                Some(mark) => {
                    self.marks.insert(mailbox.as_bytes(), &tables::mark_bytes(mark))?;
                }
                None => drop(self.marks.remove(mailbox.as_bytes())?),
            }
        }
        Ok(())
    }
}
