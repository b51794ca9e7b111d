//! What others are told without being written to: the person decides.

use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::store::{Db, Meta};
use crate::types::Privacy;

impl Engine {
    pub(crate) fn privacy(&self) -> Result<Privacy, Error> {
        privacy(self.store.read())
    }

    pub(crate) fn set_privacy(&mut self, privacy: Privacy) -> Result<(), Error> {
        let Privacy { read_receipts, typing, presence } = privacy;
        // Layout: a byte for each.
        let value = [read_receipts, typing, presence].map(u8::from);
        self.transact(|work| work.db.set_meta(Meta::Privacy, &value))
    }
}

impl Work<'_> {
    pub(in crate::engine) fn privacy(&self) -> Result<Privacy, Error> {
        privacy(self.db)
    }
}

fn privacy(db: Db<'_>) -> Result<Privacy, Error> {
    let value = db.meta(Meta::Privacy)?;
    Ok(match value.as_deref().map(Vec::as_slice) {
        Some([read, typing, presence]) => {
            Privacy { read_receipts: *read != 0, typing: *typing != 0, presence: *presence != 0 }
        }
        _ => Privacy::default(),
    })
}
