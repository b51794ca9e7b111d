//! Puts the parts together: the only file that knows which of them share a process.
//!
//! ```text
//!  start:  data directory -> buffer (thread) -> mailboxes -> gateway -> ready
//!  stop:   no new connections -> goaway, answers, flush -> tasks joined -> buffer's last commit
//! ```

use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use restante_spec::address::RelayAddress;
use restante_spec::ids::UnixTime;
use restante_spec::message::Refusal;
use restante_spec::token::Entrance;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::buffer::Buffer as _;
use crate::buffer::blobs::{BlobStore, Owner};
use crate::buffer::redb::RedbBuffer;
use crate::delivery::Hub;
use crate::error::Error;
use crate::gateway::{Gateway, Listener, Page};
use crate::limits::{BLOB_SWEEP_EVERY, BLOB_TASKS, DRAIN_TIME, SHRINK_EVERY, SWEEP_STEP, TICK};
use crate::mailbox::pressure::{Disk, Level};
use crate::mailbox::{Blobs, Service, admission};
use crate::ops::admin::Admin;
use crate::ops::backup;
use crate::ops::certificate::Certificate;
use crate::ops::clock::Clock;
use crate::ops::config::{Serve, told_limits};
use crate::ops::datadir::{DataDir, free_bytes};
use crate::ops::descriptors;
use crate::ops::invite::{self, Ask, Tokens};
use crate::ops::metrics;
use crate::ops::status::{IsReady, Status};
use crate::ops::systemd;
use crate::ops::tasks::Tasks;

type Mailboxes = Arc<Service<RedbBuffer, Hub>>;

/// A running relay.
pub struct Relay {
    address: RelayAddress,
    listening: SocketAddr,
    metrics: Option<SocketAddr>,
    certificate: Arc<Certificate>,
    tasks: Tasks,
    told_to_stop: CancellationToken,
    closing: CancellationToken,
    draining: CancellationToken,
    buffer: Arc<RedbBuffer>,
    writer: JoinHandle<()>,
    _data: DataDir,
}

impl Relay {
    /// Starts a relay on the current runtime; when this returns, it serves.
    ///
    /// # Errors
    /// [`Error`], each naming what to do.
    pub async fn start(serve: &Serve) -> Result<Self, Error> {
        let (needed, allowed) = (descriptors::needed(serve), descriptors::raise());
        if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
            warn!(allowed, needed, "too few open files are allowed for so many connections");
        }
        let data = DataDir::open(&serve.data_dir()?)?;
        let identity = data.identity()?;
        let certificate = Arc::new(match serve.certificate_files()? {
            Some(files) => Certificate::from_files(files)?,
            None => Certificate::own(data.tls()?),
        });
        let (incarnation, tasks) = (data.incarnation()?, Tasks::new());

        let (buffer, writer) = RedbBuffer::open(&data.buffer(), serve.buffer(), Clock.now())
            .map_err(|error| Error::Store(error.to_string()))?;
        let writer = tasks.spawn_thread("buffer", move || writer.run()).map_err(Error::System)?;
        let (hub, bounds) = (Arc::new(Hub::default()), serve.mailbox());
        let public = identity.public();
        let owner = Owner { identity: public, incarnation };
        let blobs = Some(open_blobs(serve, &data, &buffer, &owner, &tasks).await?);
        let store = Arc::clone(&buffer);
        let service = Service::with_blobs(store, Arc::clone(&hub), public, bounds, blobs);

        let listen = |error| Error::Listen { address: serve.listen, error };
        let socket = TcpListener::bind(serve.listen).await.map_err(listen)?;
        let listening = socket.local_addr().map_err(Error::System)?;
        let address = serve.address(public, listening)?;
        let (limits, settings) = (told_limits(&bounds), serve.gateway());
        let page = Page::new(&address, &settings, &limits);
        let (mailboxes, news) = (Arc::clone(&service), Arc::clone(&hub));
        let gateway = Gateway::new(mailboxes, news, identity, incarnation, page, limits, settings);
        let listener = Listener::new(socket, certificate.current(), gateway);

        let (closing, draining) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn_essential("fan-out", Arc::clone(&hub).spread(closing.clone()));
        let metrics = match serve.metrics_listen {
            Some(address) => {
                Some(serve_status(address, &buffer, &service, &tasks, &closing).await?)
            }
            None => None,
        };
        let tokens = keep_tokens(&service, &address, bounds.token_needed);
        let keeper = Keeper {
            service,
            buffer: Arc::clone(&buffer),
            certificate: Arc::clone(&certificate),
            store: data.buffer(),
            for_parts: watch_room(serve.blobs()?.directory(), &tasks, &closing),
        };
        keeper.measure(Clock.now());
        tasks.spawn_essential("housekeeping", keeper.run(closing.clone()));
        let accepting = listener.run(tasks.clone(), closing.clone(), draining.clone());
        tasks.spawn_essential("listener", accepting);
        let told_to_stop = hear_operator(&data, &buffer, tokens, &tasks, &closing);
        systemd::ready();
        info!(version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(Self {
            address,
            listening,
            metrics,
            certificate,
            tasks,
            told_to_stop,
            closing,
            draining,
            buffer,
            writer,
            _data: data,
        })
    }

    /// What clients connect to.
    #[must_use]
    pub const fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// Where it listens.
    #[must_use]
    pub const fn listening(&self) -> SocketAddr {
        self.listening
    }

    /// Where metrics are, if anywhere.
    #[must_use]
    pub const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Reads the certificate's files anew; connections stay as they are.
    pub fn reload(&self) {
        systemd::reloading();
        self.certificate.reload();
        systemd::ready();
    }

    /// Waits until a part the relay cannot do without has failed.
    pub async fn failed(&self) {
        self.tasks.failed().await;
    }

    /// Waits until the operator has asked it to drain.
    pub async fn told_to_stop(&self) {
        self.told_to_stop.cancelled().await;
    }

    /// Drains and stops: every answer that was owed is given, everything accepted is durable.
    ///
    /// # Errors
    /// [`Error::PartFailed`] if the buffer's thread had failed.
    pub async fn stop(self) -> Result<(), Error> {
        systemd::stopping();
        info!("draining");
        self.closing.cancel();
        self.draining.cancel();
        self.tasks.join(DRAIN_TIME).await;
        self.buffer.stop();
        let joined = self.writer.join().map_err(|_| Error::PartFailed);
        info!("stopped");
        joined
    }
}

/// The blobs of the store's mailboxes, where the operator keeps them.
async fn open_blobs(
    serve: &Serve,
    data: &DataDir,
    buffer: &RedbBuffer,
    owner: &Owner,
    tasks: &Tasks,
) -> Result<Arc<Blobs>, Error> {
    let (place, keys) = (serve.blobs()?, data.blob_keys());
    let store = BlobStore::open(&place, &keys, tasks.clone(), BLOB_TASKS, Clock.now())?;
    Ok(Blobs::open(buffer, store, owner, serve.blob_bytes).await?)
}

/// The operator's port: ready is a relay whose store is open and takes envelopes; one that does not
/// listen any more has closed this port too.
async fn serve_status(
    address: SocketAddr,
    buffer: &Arc<RedbBuffer>,
    service: &Mailboxes,
    tasks: &Tasks,
    closing: &CancellationToken,
) -> Result<SocketAddr, Error> {
    let (buffer, service) = (Arc::clone(buffer), Arc::clone(service));
    let is_ready: IsReady = Arc::new(move || buffer.is_open() && service.level() < Level::Appends);
    let status = Status::bind(address, is_ready)
        .await
        .map_err(|error| Error::MetricsListen { address, error })?;
    let listening = status.address().map_err(Error::System)?;
    tasks.spawn("status", status.run(tasks.clone(), closing.clone()));
    Ok(listening)
}

/// Opens the admin socket; the token says that the operator has asked to drain.
fn hear_operator(
    data: &DataDir,
    buffer: &Arc<RedbBuffer>,
    tokens: Tokens,
    tasks: &Tasks,
    closing: &CancellationToken,
) -> CancellationToken {
    let told_to_stop = CancellationToken::new();
    let (folder, store, work) = (data.path().to_owned(), Arc::clone(buffer), tasks.clone());
    let stopping = closing.clone();
    let back_up = Box::new(move |stream: UnixStream| {
        let (folder, store) = (folder.clone(), Arc::clone(&store));
        let (stopping, over) = (stopping.clone(), CancellationToken::new());
        match stream.try_clone() {
            Ok(stream) => work.spawn("backup's end", cut(stream, stopping, over.clone())),
            Err(error) => return warn!(%error, "a backup cannot begin"),
        }
        work.spawn_blocking(move || {
            let _over = over.drop_guard();
            if let Err(error) = backup::write(&store, &folder, stream) {
                warn!(%error, "a backup broke off");
            }
        });
    });
    match Admin::bind(data.socket(), back_up, tokens) {
        Ok(admin) => tasks.spawn("admin", admin.run(told_to_stop.clone(), closing.clone())),
        // The relay serves all the same, and stops on a signal.
        Err(error) => warn!(%error, "no admin socket: stats and drain will find no relay"),
    }
    told_to_stop
}

/// Cuts a backup off that is not over when the relay stops: whoever takes it may never go on.
async fn cut(stream: UnixStream, stopping: CancellationToken, over: CancellationToken) {
    tokio::select! {
        () = stopping.cancelled() => drop(stream.shutdown(Shutdown::Both)),
        () = over.cancelled() => {}
    }
}

/// Does what the operator asks about tokens (ADM-4).
fn keep_tokens(service: &Mailboxes, address: &RelayAddress, needed: bool) -> Tokens {
    let (service, address) = (Arc::clone(service), address.clone());
    Arc::new(move |ask| {
        let (service, address) = (Arc::clone(&service), address.clone());
        Box::pin(async move {
            let now = Clock.now();
            let stopped = |_| "the relay is about to stop".to_owned();
            let said = |refusal: Refusal| refusal.detail;
            // Who asked may have gone: then nobody is told.
            match ask {
                Ask::New { uses, ttl, note } => {
                    let (tell, told) = oneshot::channel();
                    let terms = admission::Terms { uses, ttl, note };
                    service.make_token(terms, now, |made| drop(tell.send(made)));
                    let token = told.await.map_err(stopped)?.map_err(said)?;
                    let id = admission::token_id(&token);
                    let entrance = Entrance { address, token: Some(token) }.reveal();
                    Ok(invite::made(&id, &entrance, uses, ttl, needed))
                }
                Ask::List => {
                    let listed = service.list_tokens().map_err(said)?.into_iter();
                    let lines: Vec<_> = listed
                        .map(|admission::Listed { id, uses, mailboxes, expires_at, note }| {
                            invite::Line { id, uses, mailboxes, expires_at, note }
                        })
                        .collect();
                    Ok(invite::list(&lines, now))
                }
                Ask::Revoke { id } => {
                    let (tell, told) = oneshot::channel();
                    service.strike_token(&id, |struck| drop(tell.send(struck)));
                    let was_there = told.await.map_err(stopped)?.map_err(said)?;
                    let done = was_there.then(|| format!("{id} is revoked\n"));
                    done.ok_or_else(|| format!("no token has the id {id}: see invite list"))
                }
            }
        })
    })
}

/// What is looked after once a second: expiry, mailboxes that are over, changed certificates,
/// memory, and the measures of the store.
struct Keeper {
    service: Mailboxes,
    buffer: Arc<RedbBuffer>,
    certificate: Arc<Certificate>,
    /// The store's file.
    store: PathBuf,
    /// Bytes that are free where blobs are kept.
    for_parts: Arc<AtomicU64>,
}

impl Keeper {
    async fn run(self, closing: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweeping = None;
        for tick in 0_u64.. {
            tokio::select! {
                () = closing.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = Clock.now();
            self.buffer.tick(now);
            sweeping = self.service.sweep(sweeping, SWEEP_STEP, now);
            self.service.tick_blobs(now, tick % BLOB_SWEEP_EVERY == 0);
            self.certificate.reload_if_changed();
            self.measure(now);
            // Whoever comes here has been through the store's and the mailboxes' locks.
            systemd::alive();
            if tick % SHRINK_EVERY == 0 {
                self.service.shrink(now);
            }
        }
    }

    fn measure(&self, now: UnixTime) {
        self.buffer.measure();
        let Ok(file) = std::fs::metadata(&self.store) else { return };
        metrics::STORE_BYTES.set(file.len());
        if let Ok(free) = free_bytes(&self.store) {
            let for_parts = self.for_parts.load(Ordering::Relaxed);
            let disk = Disk { free, taken: file.blocks() * BLOCK_BYTES, for_parts };
            self.service.measured(disk, now);
        }
    }
}

/// Bytes that are free in a directory, measured beside all else: what is mounted there may hang.
fn watch_room(
    directory: Option<PathBuf>,
    tasks: &Tasks,
    closing: &CancellationToken,
) -> Arc<AtomicU64> {
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let (told, closing, work) = (Arc::clone(&free), closing.clone(), tasks.clone());
    let Some(directory) = directory else { return free };
    tasks.spawn("blobs' room", async move {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let path = directory.clone();
            let measured = async {
                ticks.tick().await;
                work.blocking(move || free_bytes(&path)).await
            };
            let measured = tokio::select! {
                () = closing.cancelled() => return,
                measured = measured => measured,
            };
            if let Some(Ok(free)) = measured {
                told.store(free, Ordering::Relaxed);
            }
        }
    });
    free
}

/// Unit: what a file takes is counted in blocks of so many bytes.
const BLOCK_BYTES: u64 = 512;
