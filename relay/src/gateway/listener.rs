//! Takes connections in: place first, then TLS, then a task of its own.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use restante_crypto::SigningKey;
use restante_spec::ids::Incarnation;
use restante_spec::message::Limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Settings;
use super::connection::Connection;
use super::door::{Door, Place};
use super::endorser::Endorser;
use super::link::Link;
use super::page::Page;
use super::pool::Pool;
use super::stream::Stream;
use super::tls::TlsIdentity;
use super::visit;
use crate::delivery::Hub;
use crate::limits::{ACCEPT_RETRY, HANDSHAKE_WAITS};
use crate::mailbox::api::{Mailboxes, Origin};
use crate::ops::clock::Clock;
use crate::ops::metrics;
use crate::ops::tasks::Tasks;

/// What every connection of this relay shares.
pub(crate) struct Gateway<M> {
    pub(super) mailboxes: M,
    pub(super) hub: Arc<Hub>,
    pub(crate) endorser: Endorser,
    pub(super) incarnation: Incarnation,
    pub(super) limits: Limits,
    pub(super) door: Arc<Door>,
    pub(crate) pool: Arc<Pool>,
    pub(super) settings: Settings,
    pub(super) page: Page,
    pub(super) clock: Clock,
}

impl<M> Gateway<M> {
    /// Of a relay that shows this page and tells these limits.
    pub(crate) fn new(
        mailboxes: M,
        hub: Arc<Hub>,
        identity: SigningKey,
        incarnation: Incarnation,
        page: Page,
        limits: Limits,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Self {
            mailboxes,
            hub,
            endorser: Endorser::new(identity),
            incarnation,
            page,
            limits,
            pool: Pool::new(settings.held_bytes),
            door: Door::new(settings.clone()),
            settings,
            clock: Clock,
        })
    }
}

/// The open port.
pub(crate) struct Listener<M> {
    socket: TcpListener,
    /// What new handshakes are done with; it may change.
    tls: watch::Receiver<Arc<TlsIdentity>>,
    gateway: Arc<Gateway<M>>,
}

impl<M: Mailboxes> Listener<M> {
    /// Takes connections from `socket`.
    pub(crate) fn new(
        socket: TcpListener,
        tls: watch::Receiver<Arc<TlsIdentity>>,
        gateway: Arc<Gateway<M>>,
    ) -> Self {
        Self { socket, tls, gateway }
    }

    /// Accepts until `closing`; each connection is told to leave by `draining`.
    pub(crate) async fn run(
        self,
        tasks: Tasks,
        closing: CancellationToken,
        draining: CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                () = closing.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            // LIM-12, LIM-20: refused before TLS, and before anything is read.
            let now = self.gateway.clock.now();
            let Some(place) = self.gateway.door.enter(peer.ip(), now) else {
                metrics::CONNECTIONS.count(metrics::Door::Refused);
                continue;
            };
            metrics::CONNECTIONS.count(metrics::Door::Accepted);
            let greeting = self.greeting(socket, place);
            let (after, draining) = (tasks.clone(), draining.clone());
            tasks.spawn("handshake", async move { greeting.run(after, draining).await });
        }
    }

    fn greeting(&self, socket: TcpStream, place: Place) -> Greeting<M> {
        let (tls, gateway) = (Arc::clone(&self.tls.borrow()), Arc::clone(&self.gateway));
        Greeting { socket, place, tls, gateway }
    }
}

/// A connection before its TLS handshake.
struct Greeting<M> {
    socket: TcpStream,
    place: Place,
    tls: Arc<TlsIdentity>,
    gateway: Arc<Gateway<M>>,
}

impl<M: Mailboxes> Greeting<M> {
    async fn run(self, tasks: Tasks, draining: CancellationToken) {
        let Self { socket, place, tls, gateway } = self;
        let origin = place.origin();
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, "a connection without TCP_NODELAY");
        }
        let mut input = BytesMut::new();
        let made = handshake(socket, &tls, &gateway, origin, &mut input);
        let made = tokio::select! {
            // TRN-9: nothing is owed yet.
            () = draining.cancelled() => return,
            made = made => made,
        };
        // LIM-20
        let fail = || gateway.door.fail(origin, gateway.clock.now());
        let stream = match made {
            Ok(stream) => stream,
            Err(Missed::NoTurn) => {
                metrics::HANDSHAKES_FAILED.count(metrics::Handshake::Full);
                return debug!("no turn for a handshake in time");
            }
            Err(Missed::Lost(error)) => {
                fail();
                metrics::HANDSHAKES_FAILED.count(metrics::Handshake::Tls);
                return debug!(kind = ?error.kind(), "no TLS");
            }
            Err(Missed::Late) => {
                fail();
                metrics::HANDSHAKES_FAILED.count(metrics::Handshake::Late);
                return debug!("no TLS in time");
            }
        };
        // TRN-2: a client that names no protocol at all is none of ours.
        let link = match stream.protocol() {
            Some(restante_spec::ALPN) => {
                metrics::TRANSPORTS.count(metrics::Transport::Frames);
                Link::frames(stream)
            }
            Some(restante_spec::ALPN_HTTP) => {
                let visit = visited(stream, &mut input, &gateway, &draining).await;
                let Some(link) = visit else { return };
                metrics::TRANSPORTS.count(metrics::Transport::WebSocket);
                link
            }
            _ => {
                fail();
                metrics::HANDSHAKES_FAILED.count(metrics::Handshake::Protocol);
                return debug!("another protocol");
            }
        };
        // TRN-5: what is endorsed is the key of this very handshake.
        let connection = Connection::new(link, input, tls.spki(), origin, place, gateway);
        match connection {
            // A task of its own, so that the handshake's memory is given back.
            Ok(connection) => tasks.spawn("connection", connection.serve(draining)),
            Err(error) => warn!(%error, "no randomness for a connection"),
        }
    }
}

/// Why a handshake was not made.
enum Missed {
    /// Others had all the turns: no fault of whoever came.
    NoTurn,
    /// The socket's, or what rustls refuses.
    Lost(io::Error),
    /// The time was over.
    Late,
}

/// Makes the handshake; what came with its end is in `input`.
async fn handshake<M>(
    socket: TcpStream,
    tls: &TlsIdentity,
    gateway: &Gateway<M>,
    origin: Origin,
    input: &mut BytesMut,
) -> Result<Stream, Missed> {
    // LIM-11: a time for each step.
    let time = gateway.settings.hello_timeout;
    // LIM-12: who says nothing takes no handshake's place, and no memory for one.
    let spoken = timeout(time, socket.peek(&mut [0])).await;
    spoken.map_err(|_| Missed::Late)?.map_err(Missed::Lost)?;
    // Longer than those may take that have a turn now.
    let turn = timeout(HANDSHAKE_WAITS * time, gateway.door.greet(origin)).await;
    let _handshake = turn.ok().flatten().ok_or(Missed::NoTurn)?;
    let stream = Stream::new(socket, tls.config());
    let mut stream = stream.map_err(|error| Missed::Lost(io::Error::other(error)))?;
    let made = timeout(time, stream.handshake(input)).await;
    made.map_err(|_| Missed::Late)?.map_err(Missed::Lost)?;
    Ok(stream)
}

/// Serves HTTP; what is left is a WebSocket. The request and its answer have the time that `hello`
/// has (LIM-11).
async fn visited<M>(
    stream: Stream,
    input: &mut BytesMut,
    gateway: &Gateway<M>,
    draining: &CancellationToken,
) -> Option<Link> {
    let visit = visit::serve(stream, input, &gateway.page);
    let visit = tokio::time::timeout(gateway.settings.hello_timeout, visit);
    let visit = tokio::select! {
        () = draining.cancelled() => return None,
        visit = visit => visit,
    };
    match visit {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => {
            debug!(kind = ?error.kind(), "a request was lost");
            None
        }
        Err(_) => {
            debug!("no request in time");
            None
        }
    }
}
