//! Cleaning: chunks with few live envelopes left are packed together anew, so that the file does
//! not grow with what is long gone.
//!
//! One transaction writes the copies and removes the old chunks. The index moves with it under its
//! lock, so that nobody is told a place that is not there; who was told the old one looks again.

use redb::{Database, ReadableTable};

use super::Writer;
use super::open::begin;
use super::tables::{self, CHUNKS, MARKS};
use crate::buffer::chunk::{self, ChunkWriter};
use crate::buffer::index::{ChunkId, Moved};
use crate::ops::metrics;

impl Writer {
    /// Packs some sparse chunks together, if there are any.
    pub(super) fn clean(&mut self) {
        let sparse = self.store.index().sparse(self.now, self.settings.clean_step);
        if sparse.is_empty() {
            return;
        }
        let Some(database) = self.writable() else { return };
        let cleaned = self.try_clean(&database, &sparse);
        drop(database);
        if let Err(cause) = cleaned {
            self.close(&cause);
        }
    }

    fn try_clean(&mut self, database: &Database, sparse: &[ChunkId]) -> Result<(), redb::Error> {
        let transaction = begin(database)?;
        let (mut moves, mut gone) = (Vec::new(), Vec::new());
        {
            let mut chunks = transaction.open_table(CHUNKS)?;
            let last = chunks.last()?.map_or(0, |(id, _)| id.value());
            let mut to = self.next_chunk.max(last + 1);
            let mut open = ChunkWriter::new(self.now);
            for from in sparse {
                let Some(bytes) = chunks.remove(from)?.map(|bytes| bytes.value().to_vec()) else {
                    continue;
                };
                let entries = chunk::read_all(&bytes)
                    .map_err(|damage| redb::Error::Corrupted(damage.to_string()))?;
                for entry in entries {
                    let (mailbox, seq) = (entry.mailbox, entry.seq);
                    if !self.store.index().is_live_in(mailbox, seq, *from) {
                        gone.push((*from, mailbox, seq));
                        continue;
                    }
                    if !open.fits(entry.size()) {
                        chunks.insert(to, open.bytes())?;
                        (to, open) = (to + 1, ChunkWriter::new(self.now));
                    }
                    let (expires_at, offset) = (entry.expires_at, open.push_entry(&entry));
                    moves.push(Moved { mailbox, seq, expires_at, from: *from, to, offset });
                }
            }
            if !open.is_empty() {
                chunks.insert(to, open.bytes())?;
                to += 1;
            }
            self.next_chunk = to;
        }
        let mut index = self.store.index();
        moves.iter().for_each(|moved| index.relocate(moved, self.now));
        {
            let mut marks = transaction.open_table(MARKS)?;
            for from in sparse {
                let here = gone.iter().filter(|(chunk, ..)| chunk == from);
                let here: Vec<_> = here.map(|(_, mailbox, seq)| (*mailbox, *seq)).collect();
                for (mailbox, mark) in index.drop_chunk(*from, &here) {
                    marks.insert(mailbox.as_bytes(), &tables::mark_bytes(mark))?;
                }
            }
        }
        // A failure drops the index with the store: both are read anew.
        transaction.commit()?;
        metrics::CLEANED_CHUNKS.add(sparse.len());
        Ok(())
    }
}
