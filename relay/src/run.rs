//! Puts the parts together: the only file that knows which of them share a process.
//!
//! ```text
//!  start:  data directory -> buffer (thread) -> mailboxes -> gateway -> ready
//!  stop:   no new connections -> goaway, answers, flush -> tasks joined -> buffer's last commit
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use restante_spec::address::RelayAddress;
use restante_spec::ids::PublicKey;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::buffer::Buffer as _;
use crate::buffer::redb::RedbBuffer;
use crate::delivery::Hub;
use crate::error::Error;
use crate::gateway::{Endorser, Gateway, Listener};
use crate::limits::{DRAIN_TIME, SHRINK_EVERY, SWEEP_STEP, TICK};
use crate::mailbox::Service;
use crate::ops::clock::Clock;
use crate::ops::config::{Serve, told_limits};
use crate::ops::datadir::DataDir;
use crate::ops::tasks::Tasks;

type Mailboxes = Arc<Service<RedbBuffer, Hub>>;

/// A running relay.
pub struct Relay {
    address: RelayAddress,
    listening: SocketAddr,
    tasks: Tasks,
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
        let data = DataDir::open(&serve.data_dir()?)?;
        let identity = data.identity()?;
        let tls = data.tls()?;
        let incarnation = data.incarnation()?;
        let tasks = Tasks::new();

        let settings = crate::buffer::Settings::default();
        let (buffer, writer) = RedbBuffer::open(&data.buffer(), settings, Clock.now())
            .map_err(|error| Error::Store(error.to_string()))?;
        let writer = tasks.spawn_thread("buffer", move || writer.run()).map_err(Error::System)?;
        let hub = Arc::new(Hub::default());
        let bounds = serve.mailbox();
        let public = identity.public();
        let service = Service::new(Arc::clone(&buffer), Arc::clone(&hub), public, bounds);

        let gateway = Arc::new(Gateway {
            mailboxes: Arc::clone(&service),
            hub,
            endorser: Endorser::new(identity, tls.spki()),
            incarnation,
            limits: told_limits(&bounds),
            settings: serve.gateway(),
            clock: Clock,
        });
        let listener = Listener::bind(serve.listen, tls.server_config()?, gateway)
            .await
            .map_err(|error| Error::Listen { address: serve.listen, error })?;
        let listening = listener.address().map_err(Error::System)?;
        let address = public_address(public, serve.public.as_deref(), listening)?;

        let (closing, draining) = (CancellationToken::new(), CancellationToken::new());
        let keeper = keep(service, Arc::clone(&buffer), closing.clone());
        tasks.spawn_essential("housekeeping", keeper);
        let accepting = listener.run(tasks.clone(), closing.clone(), draining.clone());
        tasks.spawn_essential("listener", accepting);
        info!(version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(Self { address, listening, tasks, closing, draining, buffer, writer, _data: data })
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

    /// Waits until a part the relay cannot do without has failed.
    pub async fn failed(&self) {
        self.tasks.failed().await;
    }

    /// Drains and stops: every answer that was owed is given, everything accepted is durable.
    ///
    /// # Errors
    /// [`Error::PartFailed`] if the buffer's thread had failed.
    pub async fn stop(self) -> Result<(), Error> {
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

/// Expiry, mailboxes that are over, and memory, once a second.
async fn keep(service: Mailboxes, buffer: Arc<RedbBuffer>, closing: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sweeping = None;
    for tick in 0_u64.. {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Clock.now();
        buffer.tick(now);
        sweeping = service.sweep(sweeping, SWEEP_STEP, now);
        if tick % SHRINK_EVERY == 0 {
            service.shrink(now);
        }
    }
}

/// The address clients use: the public name if there is one, and the port.
fn public_address(
    identity: PublicKey,
    public: Option<&str>,
    listening: SocketAddr,
) -> Result<RelayAddress, Error> {
    let Some(public) = public else {
        let host = listening.ip().to_string();
        return Ok(RelayAddress::new(identity, &host, listening.port())?);
    };
    // `::1` is a host, `[::1]:7443` a host with a port.
    let with_port = public
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    let (host, port) = match with_port {
        Some((host, port)) => {
            (host, port.parse().map_err(|_| restante_spec::address::AddressError::Port)?)
        }
        None => (public, listening.port()),
    };
    Ok(RelayAddress::new(identity, host, port)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(public: Option<&str>) -> String {
        let listening = "127.0.0.1:7443".parse().unwrap();
        let address = public_address(PublicKey::new([0; 32]), public, listening).unwrap();
        address.to_string().split_once('@').unwrap().1.to_owned()
    }

    /// TRN-3: what the address names.
    #[test]
    fn public_name_and_port_are_taken_over() {
        assert_eq!(address(None), "127.0.0.1:7443");
        assert_eq!(address(Some("relay.example.org")), "relay.example.org:7443");
        assert_eq!(address(Some("relay.example.org:443")), "relay.example.org:443");
        assert_eq!(address(Some("::1")), "[::1]:7443");
        assert_eq!(address(Some("[::1]:443")), "[::1]:443");
    }
}
