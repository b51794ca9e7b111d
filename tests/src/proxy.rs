//! A line between client and relay that breaks when a test wants it to.
//!
//! Knows bytes only: TLS runs through it. What it swallows the relay has said and the client never
//! hears, as when a line breaks between a request's arrival and its answer's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use restante_spec::address::RelayAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy.
pub struct Proxy {
    address: RelayAddress,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: AtomicBool,
    cuts: AtomicUsize,
    /// Bytes a connection carries, both directions together, before it is cut; 0: no end.
    carries: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

impl Proxy {
    /// Forwards to `relay` under the same identity.
    pub async fn start(relay: &RelayAddress) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let address = RelayAddress::new(*relay.identity(), "127.0.0.1", port).expect("an address");
        let state = Arc::new(State::default());
        let (shared, target) = (Arc::clone(&state), relay.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// Where clients connect.
    pub fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// The next thing the relay says is swallowed, and its connection cut.
    pub fn cut_before_the_next_answer(&self) {
        self.state.armed.store(true, Ordering::SeqCst);
    }

    /// Every connection is cut when it has carried so many bytes, both directions together, amid
    /// whatever is said then; with 0 none is.
    pub fn cut_after(&self, bytes: u64) {
        self.state.carries.store(bytes, Ordering::SeqCst);
    }

    /// Bytes clients have sent through it, and bytes the relay has.
    pub fn carried(&self) -> (u64, u64) {
        (self.state.up.load(Ordering::SeqCst), self.state.down.load(Ordering::SeqCst))
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

async fn forward(mut client: TcpStream, target: RelayAddress, state: Arc<State>) {
    let Ok(mut relay) = TcpStream::connect((target.host(), target.port())).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut carried = 0;
    loop {
        let forwarded = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(size) => {
                    let size = state.allow(&mut carried, size);
                    state.up.fetch_add(size as u64, Ordering::SeqCst);
                    relay.write_all(&up[..size]).await
                }
            },
            read = relay.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if state.armed.swap(false, Ordering::SeqCst) => {
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok(size) => {
                    let size = state.allow(&mut carried, size);
                    state.down.fetch_add(size as u64, Ordering::SeqCst);
                    client.write_all(&down[..size]).await
                }
            },
        };
        if forwarded.is_err() {
            return;
        }
        if state.is_spent(carried) {
            state.cuts.fetch_add(1, Ordering::SeqCst);
            return;
        }
    }
}

impl State {
    /// How many of these bytes the connection still carries.
    fn allow(&self, carried: &mut u64, size: usize) -> usize {
        let left = match self.carries.load(Ordering::SeqCst) {
            0 => u64::MAX,
            carries => carries.saturating_sub(*carried),
        };
        let size = size.min(usize::try_from(left).unwrap_or(usize::MAX));
        *carried += size as u64;
        size
    }

    fn is_spent(&self, carried: u64) -> bool {
        let carries = self.carries.load(Ordering::SeqCst);
        carries != 0 && carried >= carries
    }
}
