//! Blobs of mailboxes: what is too large for an envelope (BLB-1 to BLB-7, CMD-18 to CMD-21).
//!
//! ```text
//!  row of the mailbox (id, keys, size, expiry, complete)  <-> registry, in memory, of the relay
//!  parts  -> buffer::blobs, sealed, outside the store
//! ```
//!
//! Locks: a mailbox's, then the registry's; none is held while parts move. Acts that change a row
//! are submitted under one of them, so that they stand in the order of their judgements.

mod download;
mod ending;
pub(super) mod registry;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, UnixTime};
use restante_spec::message::Refusal;

use self::registry::{Facts, Registry, Standing};
use super::api::{Access, Notices};
use super::rows::{self, BadRow, BlobRow};
use super::service::{Cell, Service, damaged, refusal};
use crate::buffer::blobs::{BlobError, BlobStore, Owner};
use crate::buffer::{Buffer, BufferError, RowWrite};
use crate::limits::BLOB_RETRY;
use crate::ops::metrics;

/// The blobs of this process.
pub(crate) struct Blobs {
    store: Arc<BlobStore>,
    registry: Mutex<Registry>,
    /// Bytes of all blobs (LIM-24).
    max_bytes: u64,
}

impl Blobs {
    /// The blobs whose rows are in the buffer, with their parts in `store`.
    ///
    /// # Errors
    /// [`BlobError`], when the rows cannot be read or the place is not this relay's.
    pub(crate) async fn open<B: Buffer>(
        buffer: &B,
        store: Arc<BlobStore>,
        owner: &Owner,
        max_bytes: u64,
    ) -> Result<Arc<Self>, BlobError> {
        let mut registry = Registry::default();
        let mut bad = None;
        let read = buffer.all_rows(rows::BLOB, &mut |mailbox, row| {
            if let Err(error) = registry.load(mailbox, &row) {
                bad = Some(error);
            }
        });
        read.map_err(|error| BlobError::Place(error.to_string()))?;
        if let Some(error) = bad {
            return Err(BlobError::Place(error.to_string()));
        }
        store.claim(owner, !registry.is_empty()).await?;
        Ok(Arc::new(Self { store, registry: Mutex::new(registry), max_bytes }))
    }

    /// Tells the metrics how much there is.
    pub(crate) fn measure(&self) {
        let registry = self.registry();
        metrics::BLOBS.set(registry.len() as u64);
        metrics::BLOB_BYTES.set(registry.bytes());
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// The blobs, if this relay has any.
    fn blobs(&self) -> Result<&Arc<Blobs>, Refusal> {
        let none = || Refusal::new(Code::Unsupported, "this relay has no blobs");
        self.blobs.as_ref().ok_or_else(none)
    }

    /// The blobs, and the mailbox of an access.
    fn blobs_of(&self, access: Access) -> Result<(Arc<Blobs>, Arc<Cell>), Refusal> {
        Ok((Arc::clone(self.blobs()?), self.get(access)?))
    }

    /// The registry, in which nothing is in doubt about this blob: after a failure of the store its
    /// row is read again.
    fn registry<'a>(
        &self,
        blobs: &'a Blobs,
        id: BlobId,
    ) -> Result<MutexGuard<'a, Registry>, Refusal> {
        let mut registry = blobs.registry();
        let doubtful = registry.get(id).filter(|blob| blob.standing == Standing::Doubtful);
        let Some(facts) = doubtful.map(|blob| blob.facts) else { return Ok(registry) };
        let row = self.buffer.row(facts.mailbox, &rows::of_blob(id)).map_err(refusal)?;
        match row {
            Some(row) => registry.reload(id, facts.mailbox, &row).map_err(|BadRow| damaged())?,
            None => {
                registry.remove(id);
                blobs.store.remove(facts.object);
            }
        }
        Ok(registry)
    }
}

/// The row of a blob.
fn row(id: BlobId, facts: &Facts, complete: bool, kept: bool) -> Result<RowWrite, Refusal> {
    let row = BlobRow {
        key: *facts.key.as_bytes(),
        creator: *facts.creator.as_bytes(),
        object: *facts.object.as_bytes(),
        size: facts.size.get(),
        expires_at: facts.expires_at.get(),
        complete,
        kept,
    };
    rows::put(rows::of_blob(id), &row).map_err(|BadRow| damaged())
}

/// What stands after an act that was to change a blob's row and did not.
const fn after(standing: Standing, error: BufferError) -> Standing {
    match error {
        BufferError::Unknown => Standing::Doubtful,
        BufferError::Exists
        | BufferError::NoMailbox
        | BufferError::TooManyMailboxes
        | BufferError::TooManyEnvelopes
        | BufferError::Unpaid
        | BufferError::StaleEpoch
        | BufferError::Full
        | BufferError::Aborted
        | BufferError::Unavailable => match standing {
            Standing::Sure => Standing::Sure,
            // An earlier act may have left a doubt: a look at the row decides.
            Standing::Ending | Standing::Doubtful => Standing::Doubtful,
        },
    }
}

/// The one answer to a blob that is not there for whoever asks (BLB-2, BLB-4).
fn no_blob() -> Refusal {
    Refusal::new(Code::NotFound, "no such blob")
}

/// It is being begun or ended at this moment.
fn busy(detail: &'static str) -> Refusal {
    Refusal::new(Code::Unavailable, detail).retry_after(BLOB_RETRY)
}

/// What a client is told of parts that cannot be kept or had.
fn failure(error: &BlobError) -> Refusal {
    match error {
        BlobError::Missing => no_blob(),
        BlobError::Damaged => Refusal::new(Code::Internal, "the blob's bytes are damaged"),
        BlobError::Busy => busy("too much is being read and written"),
        BlobError::Strange | BlobError::Elder | BlobError::Lost | BlobError::Place(_) => {
            busy("the blobs cannot be reached at this moment")
        }
    }
}

/// Whether its time is over (BLB-5).
fn is_over(facts: &Facts, now: UnixTime) -> bool {
    facts.expires_at <= now
}
