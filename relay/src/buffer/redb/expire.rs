//! Expiry: chunks go whose every envelope has expired or was let go, and the keys of what has
//! expired (MBX-11, MBX-16).

use std::io;

use redb::Database;

use super::Writer;
use super::open::begin;
use super::tables::{self, CHUNKS, MARKS};
use crate::buffer::chunk;
use crate::buffer::index::{ChunkId, HELD};
use crate::ops::metrics;

impl Writer {
    /// Lets chunks go whose time has come, some at a time, and the keys of what has expired.
    pub(super) fn expire(&mut self) {
        if let Err(cause) = self.destroy_keys() {
            return self.close(&cause.into());
        }
        let due = self.store.index().due(self.now, self.settings.expiry_step);
        let (held, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|chunk| *chunk >= HELD);
        self.forget_held(&held);
        if due.is_empty() {
            return;
        }
        let Some(database) = self.writable() else { return };
        let expired = self.try_expire(&database, &due);
        drop(database);
        if let Err(cause) = expired {
            self.close(&cause);
        }
    }

    /// MBX-16
    fn destroy_keys(&self) -> io::Result<()> {
        let is_due = self.store.keys().has_over(self.now);
        if is_due { self.store.keys_mut().destroy_over(self.now) } else { Ok(()) }
    }

    fn try_expire(&self, database: &Database, due: &[ChunkId]) -> Result<(), redb::Error> {
        let transaction = begin(database)?;
        {
            let mut chunks = transaction.open_table(CHUNKS)?;
            let mut marks = transaction.open_table(MARKS)?;
            for id in due {
                let Some(bytes) = chunks.remove(id)? else { continue };
                let entries: Vec<_> = chunk::read_all(bytes.value())
                    .map_err(|damage| redb::Error::Corrupted(damage.to_string()))?
                    .into_iter()
                    .map(|entry| (entry.mailbox, entry.seq))
                    .collect();
                for (mailbox, mark) in self.store.index().drop_chunk(*id, &entries) {
                    marks.insert(mailbox.as_bytes(), &tables::mark_bytes(mark))?;
                }
            }
        }
        transaction.commit()?;
        metrics::EXPIRED_CHUNKS.add(due.len());
        Ok(())
    }
}
