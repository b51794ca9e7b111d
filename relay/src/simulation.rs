//! The whole relay without sockets, TLS, threads and clocks, for simulations that repeat exactly.
//!
//! Only with the feature `simulation`, which the released relay does not have. Beside `run` the
//! only file that puts the parts together; who uses it is network, disk, clock and scheduler.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use restante_crypto::SigningKey;
use restante_spec::ids::{Incarnation, MailboxId, Nonce, PublicKey, SpkiHash, UnixTime};
use tokio::runtime::Runtime;

use crate::buffer::blobs::{BlobStore, Owner, Place};
use crate::buffer::redb::{RedbBuffer, Writer};
use crate::buffer::{self, Buffer as _};
use crate::delivery::Hub;
use crate::error::Error;
use crate::gateway::{self, Gateway, Page, Peer};
use crate::limits::{BLOB_PLACE_TIME, SWEEP_STEP};
use crate::mailbox::api::Origin;
use crate::mailbox::{self, Blobs, Service};
use crate::ops::config::told_limits;
use crate::ops::tasks::Tasks;

pub use crate::buffer::alone::{Store, Told};
pub use crate::buffer::disk::Disk;
pub use crate::buffer::parsers::{chunk, chunk_of, key_slot, keys};
pub use crate::gateway::parsers::{Socket, http};
pub use crate::mailbox::parsers::{StoredRow, rows};
pub use crate::ops::parsers::admin;

type Mailboxes = Arc<Service<RedbBuffer, Hub>>;
type Workshop = (Arc<Hands>, Arc<Blobs>);

/// What is chosen of a relay; everything else is as in the real one.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The seed of its identity key.
    pub identity: [u8; 32],
    /// The most envelopes of a mailbox.
    pub mailbox_entries: u32,
    /// The most acts that wait for the writer.
    pub queue_acts: usize,
    /// The most acts of one transaction.
    pub batch_acts: usize,
    /// The store's page cache, bytes.
    pub cache_bytes: usize,
    /// Sequence numbers reserved at a time.
    pub reserve: u64,
    /// A folder for blobs, which crashes leave as it is; `None`: a relay without.
    pub blobs: Option<PathBuf>,
}

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what is kept and told; may jump.
    pub time: UnixTime,
    /// For how long something has lasted; never goes back.
    pub instant: Instant,
}

/// A process. Dropped, it has crashed: nothing of it is left but its disk.
pub struct Relay {
    service: Mailboxes,
    hub: Arc<Hub>,
    gateway: Arc<Gateway<Mailboxes>>,
    buffer: Arc<RedbBuffer>,
    writer: Writer,
    origins: u64,
    sweeping: Option<MailboxId>,
    hands: Option<Arc<Hands>>,
}

/// The relay's half of a connection. Dropped, the connection is cut.
pub struct Connection(Peer<Mailboxes>, Option<Arc<Hands>>);

/// What works on parts of blobs: each step waits for it, so that nothing depends on its pace.
struct Hands {
    runtime: Runtime,
    tasks: Tasks,
}

/// What a relay holds for others at a moment: all zero when nobody is connected and nothing waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Subscriptions that are told of what happens.
    pub online: usize,
    /// Appends, prekeys and cursors whose outcome is awaited.
    pub waiting: usize,
    /// Mailboxes whose state in memory was given up.
    pub stale: usize,
    /// Bytes in the writer's queue.
    pub queued_bytes: usize,
    /// Bytes that connections hold beyond their own.
    pub pooled_bytes: usize,
}

impl Relay {
    /// Starts a process that finds this disk.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails or does not hold a store.
    pub fn start(setup: &Setup, disk: &Disk, now: Now) -> Result<Self, Error> {
        let identity = SigningKey::from_seed(&setup.identity);
        let settings = buffer::Settings {
            queue_acts: setup.queue_acts,
            batch_acts: setup.batch_acts,
            cache_bytes: setup.cache_bytes,
            reserve: setup.reserve,
            ..buffer::Settings::default()
        };
        let (buffer, writer) = RedbBuffer::open_on(disk, settings, now.time)
            .map_err(|error| Error::Store(error.to_string()))?;
        let mut bounds = mailbox::Settings::default();
        bounds.quota.entries = setup.mailbox_entries;
        let hub = Arc::new(Hub::default());
        let public = identity.public();
        let (hands, blobs) = open_blobs(setup, &buffer, &public, now.time)?.unzip();
        let (store, notices) = (Arc::clone(&buffer), Arc::clone(&hub));
        let service = Service::with_blobs(store, notices, public, bounds, blobs);
        let (settings, limits) = (gateway::Settings::default(), told_limits(&bounds));
        let incarnation = Incarnation::new([0; Incarnation::SIZE]);
        // Nobody looks at the page here, and to draw its picture takes long for a start.
        let page = Page::default();
        let (mailboxes, news) = (Arc::clone(&service), Arc::clone(&hub));
        let gateway = Gateway::new(mailboxes, news, identity, incarnation, page, limits, settings);
        let (origins, sweeping) = (0, None);
        Ok(Self { service, hub, gateway, buffer, writer, origins, sweeping, hands })
    }

    /// The relay's identity key.
    #[must_use]
    pub fn identity(&self) -> PublicKey {
        self.gateway.endorser.identity()
    }

    /// A connection whose handshake is made.
    pub fn connect(&mut self, nonce: Nonce, now: Now) -> Connection {
        self.origins += 1;
        let origin = Origin(self.origins);
        // Nobody looks at a certificate here.
        let spki = Arc::new(SpkiHash::new([0; SpkiHash::SIZE]));
        let peer = Peer::new(Arc::clone(&self.gateway), nonce, origin, spki, now.instant);
        Connection(peer, self.hands.clone())
    }

    /// Lets the writer work off one batch, if anything is queued. After a failure it first opens
    /// the store anew. Returns whether the writer goes on after that.
    pub fn step_writer(&mut self) -> bool {
        let goes_on = self.writer.step();
        while self.hub.spread_once() {}
        goes_on
    }

    /// What memory-first mailboxes have held for long enough is written, and answered in turn.
    pub fn turn_hold(&mut self) {
        self.writer.turn_hold();
    }

    /// What is done about once a second.
    pub fn tick(&mut self, now: Now) {
        self.buffer.tick(now.time);
        self.sweeping = self.service.sweep(self.sweeping, SWEEP_STEP, now.time);
        if let Some(hands) = &self.hands {
            hands.work(|| self.service.tick_blobs(now.time, false));
        }
    }

    /// What is done now and then: takes mailboxes nobody uses out of memory, and lets go of parts
    /// that are of no blob.
    pub fn shrink(&self, now: Now) {
        self.service.shrink(now.time);
        if let Some(hands) = &self.hands {
            hands.work(|| self.service.tick_blobs(now.time, true));
        }
    }

    /// Tells the writer to end behind what is queued.
    pub fn stop(&self) {
        self.buffer.stop();
    }

    /// Envelopes that are remembered, let go or not.
    #[must_use]
    pub fn remembered(&self) -> u64 {
        self.buffer.remembered()
    }

    /// What is held for others.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            online: self.hub.online(),
            waiting: self.service.waiting(),
            stale: self.service.stale(),
            queued_bytes: self.buffer.queued_bytes(),
            pooled_bytes: self.gateway.pool.used(),
        }
    }
}

impl Connection {
    /// Whether it takes bytes in.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.0.reads()
    }

    /// Bytes have arrived.
    pub fn receive(&mut self, bytes: &[u8], now: Now) {
        self.0.handle_heard(now.instant);
        self.0.input.extend_from_slice(bytes);
    }

    /// Whether others have left something for it.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.0.outlet().has_some()
    }

    /// Does what can be done. Returns whether there is more to deliver that could not be read.
    pub fn work(&mut self, now: Now) -> bool {
        let now = gateway::Now { time: now.time, instant: now.instant };
        match &self.1 {
            Some(hands) => hands.work(|| self.0.work(now)),
            None => self.0.work(now),
        }
    }

    /// Told to leave.
    pub fn leave(&mut self, now: Now) {
        self.0.leave(now.instant);
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.output.bytes.len()
    }

    /// Takes bytes to send, at most `max`.
    pub fn send(&mut self, max: usize) -> Bytes {
        let size = self.waiting().min(max);
        self.0.output.bytes.split_to(size).freeze()
    }

    /// When it ends if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.0.deadline()
    }

    /// Whether nothing is left to be said and the connection may be closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Requests that are not answered yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }
}

impl Hands {
    /// Does something, and whatever it has begun.
    fn work<T>(&self, what: impl FnOnce() -> T) -> T {
        self.runtime.block_on(async {
            let done = what();
            self.tasks.join(BLOB_PLACE_TIME).await;
            done
        })
    }
}

/// The blobs of the store's mailboxes, and who works on them, if there are any.
fn open_blobs(
    setup: &Setup,
    buffer: &RedbBuffer,
    owner: &PublicKey,
    now: UnixTime,
) -> Result<Option<Workshop>, Error> {
    let Some(folder) = &setup.blobs else { return Ok(None) };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().map_err(Error::System)?;
    let (tasks, blobs) = runtime.block_on(async {
        let tasks = Tasks::new();
        let place = Place::Directory(folder.join("parts"));
        // One at a time: in the order they were asked.
        let store = BlobStore::open(&place, &folder.join("keys"), tasks.clone(), 1, now)?;
        let most = restante_spec::limits::RELAY_BLOB_BYTES;
        let incarnation = Incarnation::new([0; Incarnation::SIZE]);
        let owner = Owner { identity: *owner, incarnation };
        Ok::<_, Error>((tasks, Blobs::open(buffer, store, &owner, most).await?))
    })?;
    Ok(Some((Arc::new(Hands { runtime, tasks }), blobs)))
}
