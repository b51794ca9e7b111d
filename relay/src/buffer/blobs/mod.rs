//! Blobs' parts, outside the store: each sealed and an object of its own, in a directory or in S3.
//!
//! ```text
//!  place  = restante-relay (whose place it is) | OBJECT/PART ...
//!  part   = nonce 12 | sealed bytes | tag 16
//! ```
//!
//! Knows objects, parts and the keys of expiry buckets (BLB-5). Must not know whose a blob is, who
//! may read it or what is complete: rows of mailboxes say so. All work is done by tasks of its own,
//! what blocks beside them; at the bound of what waits it is refused.

#[cfg(test)]
mod conformance;
mod place;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use restante_spec::ids::{Incarnation, PublicKey, UnixTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use place::{Bucket, Place};

use super::files::sync_name;
use super::keys::{Keys, OnDisk};
use super::seal::{NONCE_BYTES, TAG_BYTES};
use crate::limits::{BLOB_ASKED, BLOB_LIST_MOST, BLOB_WAITING_BYTES};
use crate::ops::metrics;
use crate::ops::tasks::Tasks;

/// Layout: what sealing adds to a part.
const SEALED_MORE: usize = NONCE_BYTES + TAG_BYTES;
/// The object that says whose place it is.
pub(crate) const OWNER: &str = "restante-relay";

/// Where parts are kept.
pub(crate) struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    /// Where they are in a directory of this machine.
    directory: Option<PathBuf>,
    keys: Mutex<Keys>,
    tasks: Tasks,
    /// Bytes that may wait to be written.
    room: Arc<Semaphore>,
    /// What may be asked of it at once.
    seats: Arc<Semaphore>,
    /// Tasks that may work at once.
    hands: Semaphore,
}

/// Whose a place is: a relay that was restored from a backup is another one here, as it knows no
/// blobs (BLB-7).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) identity: PublicKey,
    pub(crate) incarnation: Incarnation,
}

/// A part that waits to be written, in memory of its own.
pub(crate) struct Waiting {
    body: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    /// Its size in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.body.len()
    }
}

/// The name of a blob's parts: random, drawn by the relay, so that it tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId([u8; 16]);

/// A part of an object, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartNumber(pub(crate) u32);

/// A part that is there, and how many bytes it holds when opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: PartNumber,
    pub(crate) bytes: usize,
}

/// Why parts cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// It is not there.
    #[error("a part of a blob is missing")]
    Missing,
    /// It does not open: damaged, or its key is gone.
    #[error("a part of a blob does not open")]
    Damaged,
    /// Too much is asked of the place, or waits to be written.
    #[error("too much is being read and written")]
    Busy,
    /// The place is another relay's.
    #[error("the place of the blobs is another relay's: choose another with --blobs")]
    Strange,
    /// The place is that of the relay from whose backup this one was restored.
    #[error(
        "the place of the blobs is that of the relay this one was restored from: choose another \
         with --blobs, or, if that relay never runs again, make `{OWNER}` there an empty file"
    )]
    Elder,
    /// The place is empty though blobs should be there.
    #[error("the place of the blobs does not hold them: choose with --blobs where they are")]
    Lost,
    /// The place, or what is set of it, cannot be used.
    #[error("cannot use the place of the blobs: {0}")]
    Place(String),
}

impl ObjectId {
    /// Layout: size in bytes.
    pub(crate) const SIZE: usize = 16;

    /// A new one.
    ///
    /// # Errors
    /// The system's, when it has no randomness.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::SIZE];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// As it was stored.
    pub(crate) const fn new(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// To be stored.
    pub(crate) const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    fn text(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    fn path(self) -> object_store::path::Path {
        object_store::path::Path::from(self.text())
    }

    fn part(self, number: PartNumber) -> object_store::path::Path {
        self.path().join(format!("{:05}", number.0))
    }

    /// What a part is bound to when it is sealed.
    fn fields(self, number: PartNumber) -> [u8; Self::SIZE + 4] {
        let mut fields = [0; Self::SIZE + 4];
        let (object, place) = fields.split_at_mut(Self::SIZE);
        object.copy_from_slice(&self.0);
        place.copy_from_slice(&number.0.to_be_bytes());
        fields
    }
}

impl BlobStore {
    /// Opens a place, and the file of its keys, which lies with the relay wherever the place is. At
    /// most so many `hands` work there at once.
    ///
    /// # Errors
    /// [`BlobError::Place`].
    pub(crate) fn open(
        place: &Place,
        keys: &Path,
        tasks: Tasks,
        hands: usize,
        now: UnixTime,
    ) -> Result<Arc<Self>, BlobError> {
        let (objects, directory) = place.open()?;
        let keys = OnDisk::open(keys).and_then(|file| Keys::load(Box::new(file), now));
        Ok(Arc::new(Self {
            objects,
            directory,
            keys: Mutex::new(keys.map_err(failed)?),
            tasks,
            room: Arc::new(Semaphore::new(BLOB_WAITING_BYTES)),
            seats: Arc::new(Semaphore::new(BLOB_ASKED)),
            hands: Semaphore::new(hands),
        }))
    }

    /// Makes sure that the place is this relay's, and that it is the one where its blobs are, if
    /// there are any: two relays in one place would take each other's parts for left over.
    ///
    /// # Errors
    /// [`BlobError::Strange`], [`BlobError::Elder`], [`BlobError::Lost`], [`BlobError::Place`].
    pub(crate) async fn claim(&self, owner: &Owner, has_blobs: bool) -> Result<(), BlobError> {
        let path = object_store::path::Path::from(OWNER);
        match self.objects.get(&path).await {
            Ok(found) => {
                let named = found.bytes().await.map_err(failed)?;
                owner.may_have(&named)?;
                if !named.is_empty() {
                    return Ok(());
                }
            }
            Err(object_store::Error::NotFound { .. }) if !has_blobs => {}
            Err(error) => return Err(failed(error)),
        }
        let named = Bytes::from(owner.bytes());
        self.objects.put(&path, named.into()).await.map_err(failed).map(|_| ())
    }

    /// Takes a part that is to be written.
    ///
    /// # Errors
    /// [`BlobError::Busy`] when too much waits already.
    pub(crate) fn take(&self, body: &[u8]) -> Result<Waiting, BlobError> {
        let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_| BlobError::Busy)?;
        // Not a slice of what a connection has read, which may be much larger.
        Ok(Waiting { body: Bytes::copy_from_slice(body), _room: room })
    }

    /// Seals a part and keeps it; `done` is called once it is durable or not. It may be called
    /// before this returns.
    pub(crate) fn put(
        self: &Arc<Self>,
        object: ObjectId,
        number: PartNumber,
        expires_at: UnixTime,
        part: Waiting,
        done: impl FnOnce(Result<(), BlobError>) + Send + 'static,
    ) {
        self.serve(done, move |store| async move {
            let sealing = Arc::clone(&store);
            let sealed = store.tasks.blocking(move || {
                let sealed = sealing.seal(object, number, expires_at, &part.body);
                (sealed, part)
            });
            let (sealed, _part) = sealed.await.ok_or(BlobError::Damaged)?;
            store.objects.put(&object.part(number), sealed?.into()).await.map_err(failed)?;
            metrics::BLOB_PARTS.count(metrics::BlobWork::Written);
            Ok(())
        });
    }

    /// Gets a part and opens it. `done` may be called before this returns.
    pub(crate) fn get(
        self: &Arc<Self>,
        object: ObjectId,
        number: PartNumber,
        expires_at: UnixTime,
        done: impl FnOnce(Result<Bytes, BlobError>) + Send + 'static,
    ) {
        self.serve(done, move |store| async move {
            let found = match store.objects.get(&object.part(number)).await {
                // What is missing of a place that is there is lost for good.
                Err(object_store::Error::NotFound { .. }) if store.is_there().await => {
                    return Err(BlobError::Missing);
                }
                found => found.map_err(failed)?,
            };
            let sealed = found.bytes().await.map_err(failed)?;
            let opening = Arc::clone(&store);
            let opened =
                store.tasks.blocking(move || opening.unseal(object, number, expires_at, sealed));
            let opened = opened.await.unwrap_or(Err(BlobError::Damaged))?;
            metrics::BLOB_PARTS.count(metrics::BlobWork::Read);
            Ok(opened)
        });
    }

    /// Whether the place says whose it is: one that is not mounted does not.
    async fn is_there(&self) -> bool {
        self.objects.head(&object_store::path::Path::from(OWNER)).await.is_ok()
    }

    /// Which parts of an object are there. `done` may be called before this returns.
    pub(crate) fn find(
        self: &Arc<Self>,
        object: ObjectId,
        done: impl FnOnce(Result<Vec<Found>, BlobError>) + Send + 'static,
    ) {
        self.serve(done, move |store| async move {
            if let Some(directory) = &store.directory {
                // BLB-3: what a process that was killed had not synced is found in the cache.
                let path = directory.join(object.text());
                let synced = store.tasks.blocking(move || sync_parts(&path)).await;
                synced.ok_or(BlobError::Damaged)?.map_err(failed)?;
            }
            let mut found = Vec::new();
            let mut parts = store.objects.list(Some(&object.path())).take(BLOB_LIST_MOST);
            while let Some(part) = parts.try_next().await.map_err(failed)? {
                let number = part.location.filename().and_then(|name| name.parse().ok());
                let bytes = usize::try_from(part.size).unwrap_or(0).checked_sub(SEALED_MORE);
                if let (Some(number), Some(bytes)) = (number, bytes) {
                    found.push(Found { number: PartNumber(number), bytes });
                }
            }
            Ok(found)
        });
    }

    /// Lets an object go with all its parts. What cannot be removed now is left over, and found by
    /// [`BlobStore::objects`] later.
    pub(crate) fn remove(self: &Arc<Self>, object: ObjectId) {
        self.work(
            |_| (),
            move |store| async move {
                if let Some(directory) = &store.directory {
                    // With what a write that was cut off has left beside the parts.
                    let path = directory.join(object.text());
                    let removed = store.tasks.blocking(move || std::fs::remove_dir_all(path)).await;
                    return match removed {
                        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                            Err(failed(error))
                        }
                        _ => Ok(()),
                    };
                }
                let parts = store.objects.list(Some(&object.path())).map_ok(|part| part.location);
                let removed = store.objects.delete_stream(parts.boxed());
                removed.try_for_each(|_| async { Ok(()) }).await.map_err(failed)
            },
        );
    }

    /// All objects of which something is there; [`BlobError::Lost`] of a place without its owner's
    /// name: one that was unmounted or emptied would have every blob taken for lost.
    pub(crate) fn objects(
        self: &Arc<Self>,
        done: impl FnOnce(Result<BTreeSet<ObjectId>, BlobError>) + Send + 'static,
    ) {
        self.work(done, move |store| async move {
            let listed = store.objects.list_with_delimiter(None).await.map_err(failed)?;
            if !listed.objects.iter().any(|object| object.location.as_ref() == OWNER) {
                return Err(BlobError::Lost);
            }
            let names = listed.common_prefixes.iter().filter_map(|prefix| prefix.filename());
            Ok(names.filter_map(ObjectId::parse).collect())
        });
    }

    /// Overwrites the keys whose time is over (BLB-5).
    pub(crate) fn destroy_keys(self: &Arc<Self>, now: UnixTime) {
        let store = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            let mut keys = store.keys();
            let destroyed = if keys.has_over(now) { keys.destroy_over(now) } else { Ok(()) };
            drop(keys);
            if let Err(error) = destroyed {
                metrics::BLOB_FAILURES.count();
                tracing::error!(%error, "cannot overwrite keys of blobs");
            }
        });
    }

    /// What a client waits for, bounded in number.
    fn serve<T, F>(
        self: &Arc<Self>,
        done: impl FnOnce(Result<T, BlobError>) + Send + 'static,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) where
        T: Send + 'static,
        F: Future<Output = Result<T, BlobError>> + Send + 'static,
    {
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            return done(Err(BlobError::Busy));
        };
        self.work(done, move |store| async move {
            let _seat = seat;
            work(store).await
        });
    }

    /// A task that works when a hand is free; what fails is told to the operator here.
    fn work<T, F>(
        self: &Arc<Self>,
        done: impl FnOnce(Result<T, BlobError>) + Send + 'static,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) where
        T: Send + 'static,
        F: Future<Output = Result<T, BlobError>> + Send + 'static,
    {
        let store = Arc::clone(self);
        self.tasks.spawn("blob", async move {
            let _hand = store.hands.acquire().await;
            let result = work(Arc::clone(&store)).await;
            if let Err(error) = &result {
                metrics::BLOB_FAILURES.count();
                tracing::error!(%error, "the place of the blobs failed");
            }
            done(result);
        });
    }

    /// Nonce, sealed bytes, tag. A key that is made for it is synced first.
    fn seal(
        &self,
        object: ObjectId,
        number: PartNumber,
        expires_at: UnixTime,
        body: &[u8],
    ) -> Result<Bytes, BlobError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| BlobError::Place(error.to_string()))?;
        let mut keys = self.keys();
        // BLB-5
        keys.prepare(expires_at).and_then(|()| keys.sync()).map_err(failed)?;
        let key = keys.get(expires_at).ok_or(BlobError::Damaged)?;
        let sealed = key.seal_drawn(nonce, &object.fields(number), body);
        sealed.map(Bytes::from).map_err(|_| BlobError::Damaged)
    }

    fn unseal(
        &self,
        object: ObjectId,
        number: PartNumber,
        expires_at: UnixTime,
        sealed: Bytes,
    ) -> Result<Bytes, BlobError> {
        let keys = self.keys();
        let key = keys.get(expires_at).ok_or(BlobError::Damaged)?;
        let opened = key.open_drawn(&object.fields(number), sealed.into());
        opened.map(Bytes::from).map_err(|_| BlobError::Damaged)
    }

    /// Only taken by what may block.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Layout: identity 32, incarnation 16.
    fn bytes(&self) -> Vec<u8> {
        [self.identity.as_bytes().as_slice(), self.incarnation.as_bytes()].concat()
    }

    /// Whether a place that names this is the relay's, or may become it.
    ///
    /// # Errors
    /// [`BlobError::Strange`], [`BlobError::Elder`].
    pub(crate) fn may_have(&self, named: &[u8]) -> Result<(), BlobError> {
        if named == self.bytes() || named.is_empty() {
            return Ok(());
        }
        let is_elder = named.starts_with(self.identity.as_bytes());
        Err(if is_elder { BlobError::Elder } else { BlobError::Strange })
    }
}

/// Makes sure that the parts that are found in a folder are found there after a power cut.
fn sync_parts(folder: &Path) -> io::Result<()> {
    match std::fs::File::open(folder) {
        Ok(opened) => opened.sync_all()?,
        // None was written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    sync_name(folder)
}

fn failed(error: impl Into<Failure>) -> BlobError {
    match error.into() {
        Failure::Objects(object_store::Error::NotFound { .. }) => BlobError::Lost,
        Failure::Objects(error) => BlobError::Place(error.to_string()),
        Failure::Io(error) => BlobError::Place(error.to_string()),
    }
}

/// What fails below.
enum Failure {
    Objects(object_store::Error),
    Io(io::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Objects(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
