//! What others do meanwhile. Each goes on with the steps of the well-behaved: so the flood is as
//! long as what it is to disturb, and never waits by the clock.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::frame;
use restante_spec::ids::RequestNumber;
use restante_spec::message::{ClientHeader, Command, MailboxClass, Reply};
use restante_spec::{ALPN, ALPN_HTTP};
use restante_tests::line::Line;
use restante_tests::socket;
use restante_tests::wire::{Owner, Wire, envelope, random, tls_on};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use super::goes_on;
use super::talk::Progress;

/// The attacks, in the order of their counts.
pub(crate) const NAMES: [&str; 9] = [
    "bytes of slow handshakes",
    "bytes of slow requests",
    "half-open handshakes",
    "connections from everywhere",
    "connections from one address",
    "frames byte by byte",
    "unfinished frames",
    "garbage",
    "refused creates",
];

/// Connections that an attack holds at once.
const HELD: usize = 40;

/// The attacks under way.
pub(crate) struct Flood {
    scene: Arc<Scene>,
    tasks: Vec<JoinHandle<()>>,
}

struct Scene {
    relay: RelayAddress,
    progress: Arc<Progress>,
    counts: [AtomicUsize; NAMES.len()],
}

impl Flood {
    pub(crate) fn begin(relay: &RelayAddress, progress: &Arc<Progress>) -> Self {
        let counts = std::array::from_fn(|_| AtomicUsize::new(0));
        let (relay, progress) = (relay.clone(), Arc::clone(progress));
        let scene = Arc::new(Scene { relay, progress, counts });
        let mut tasks = Vec::new();
        macro_rules! attack {
            ($($what:path),*) => {
                $(tasks.push(tokio::spawn($what(Arc::clone(&scene))));)*
            };
        }
        attack!(slow_handshakes, slow_requests, half_open, from_everywhere, from_one_address);
        attack!(byte_by_byte, unfinished, garbage, creates);
        Self { scene, tasks }
    }

    /// Whether each has happened.
    pub(crate) fn is_complete(&self) -> bool {
        self.scene.counts.iter().all(|count| count.load(Ordering::SeqCst) > 0)
    }

    /// Ends them; how often each did what it does.
    pub(crate) async fn end(self) -> Vec<usize> {
        self.scene.progress.is_over.store(true, Ordering::SeqCst);
        self.scene.progress.messages.send_modify(|messages| *messages += 1);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.scene.counts.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }
}

impl Scene {
    fn did(&self, attack: usize) {
        self.counts[attack].fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the well-behaved have come a step further; whether the flood goes on.
    async fn next(&self) -> bool {
        let mut news = self.progress.messages.subscribe();
        if goes_on(&self.progress) {
            news.changed().await.expect("they talk");
        }
        goes_on(&self.progress)
    }

    async fn tcp(&self, from: Ipv4Addr) -> Option<TcpStream> {
        socket::connect(from, None, &self.relay).await.ok()
    }

    async fn tls(&self, from: Ipv4Addr, alpn: &[u8]) -> Option<TlsStream<TcpStream>> {
        tls_on(self.tcp(from).await?, &self.relay, &[alpn]).await.ok()
    }

    async fn wire(&self, from: Ipv4Addr) -> Option<Wire> {
        Wire::hello(Line::Frames(Box::new(self.tls(from, ALPN).await?))).await
    }
}

/// Some address of 127.0.0.0/8, but none of the well-behaved.
fn anywhere() -> Ipv4Addr {
    let [a, b, c] = random();
    Ipv4Addr::new(127, a | 1, b, c.clamp(1, 254))
}

/// The beginning of a handshake: a record of 512 bytes that never comes whole.
const HELLO: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 252];

/// Handshakes of which a byte comes now and then.
async fn slow_handshakes(scene: Arc<Scene>) {
    let mut held: Vec<(TcpStream, usize)> = Vec::new();
    while scene.next().await {
        if held.len() < HELD
            && let Some(stream) = scene.tcp(anywhere()).await
        {
            held.push((stream, 0));
        }
        let mut kept = Vec::new();
        for (mut stream, sent) in held {
            let byte = HELLO.get(sent).copied().unwrap_or(0);
            if stream.write_all(&[byte]).await.is_ok() {
                scene.did(0);
                kept.push((stream, sent + 1));
            }
        }
        held = kept;
    }
}

/// Requests over HTTP of which a byte comes now and then.
async fn slow_requests(scene: Arc<Scene>) {
    let text = b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ";
    let mut held: Vec<(TlsStream<TcpStream>, usize)> = Vec::new();
    while scene.next().await {
        if held.len() < HELD
            && let Some(stream) = scene.tls(anywhere(), ALPN_HTTP).await
        {
            held.push((stream, 0));
        }
        let mut kept = Vec::new();
        for (mut stream, sent) in held {
            let byte = text.get(sent).copied().unwrap_or(b'x');
            if stream.write_all(&[byte]).await.is_ok() && stream.flush().await.is_ok() {
                scene.did(1);
                kept.push((stream, sent + 1));
            }
        }
        held = kept;
    }
}

/// Connections that say nothing, or begin a handshake and stay silent.
async fn half_open(scene: Arc<Scene>) {
    let mut held = Vec::new();
    while scene.next().await {
        let Some(mut stream) = scene.tcp(anywhere()).await else { continue };
        if held.len() % 2 == 0 {
            let _ = stream.write_all(&HELLO).await;
        }
        scene.did(2);
        held.push(stream);
        if held.len() > 2 * HELD {
            held.remove(0);
        }
    }
}

/// Connections from many addresses, some of them whole, all of them for nothing.
async fn from_everywhere(scene: Arc<Scene>) {
    let mut held = Vec::new();
    while scene.next().await {
        for _ in 0..20 {
            scene.tcp(anywhere()).await;
            scene.did(3);
        }
        held.extend(scene.wire(anywhere()).await);
        if held.len() > HELD {
            held.remove(0);
        }
    }
}

/// The same from one address: as many as it may have, and more.
async fn from_one_address(scene: Arc<Scene>) {
    let from = Ipv4Addr::new(127, 9, 9, 9);
    let mut held = Vec::new();
    while scene.next().await {
        for _ in 0..10 {
            held.extend(scene.tcp(from).await);
            scene.did(4);
        }
        if held.len() > 300 {
            held.drain(..100);
        }
    }
}

fn bytes_of(number: u32, command: Command, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let header = ClientHeader { number: RequestNumber::new(number), command };
    frame::encode_client(&header, body, &mut bytes).expect("it fits");
    bytes
}

/// Well-formed frames, a byte in each record: they are answered like others.
async fn byte_by_byte(scene: Arc<Scene>) {
    'again: while scene.next().await {
        let Some(mut wire) = scene.wire(anywhere()).await else { continue };
        let owner = Owner::new();
        let Reply::Created(created) =
            wire.ask(owner.create(MailboxClass::Conversation), b"").await.0
        else {
            continue;
        };
        wire.open(1, owner.mailbox, &owner.key).await;
        for number in 1_000.. {
            let append = Command::Append(envelope(1, created.epoch));
            for byte in bytes_of(number, append, &[7; 200]) {
                wire.send_raw(&[byte]).await;
            }
            let (reply, _) = wire.reply(RequestNumber::new(number)).await;
            assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
            scene.did(5);
            if !scene.next().await {
                break 'again;
            }
        }
    }
}

/// Large frames that are never whole, on many connections.
async fn unfinished(scene: Arc<Scene>) {
    let mut held = Vec::new();
    while scene.next().await {
        let Some(mut wire) = scene.wire(anywhere()).await else { continue };
        let bytes = bytes_of(1_000, Command::Append(envelope(1, None)), &[7; 64_800]);
        wire.send_raw(&bytes[..bytes.len() - 1]).await;
        scene.did(6);
        held.push(wire);
        if held.len() > 2 * HELD {
            held.remove(0);
        }
    }
}

/// Bytes that are nothing, behind a handshake, until the relay closes.
async fn garbage(scene: Arc<Scene>) {
    while scene.next().await {
        let Some(mut stream) = scene.tls(anywhere(), ALPN).await else { continue };
        let _ = stream.write_all(&random::<300>()).await;
        let _ = stream.flush().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        scene.did(7);
    }
}

/// Mailboxes from one address, more than it may make.
async fn creates(scene: Arc<Scene>) {
    'again: while scene.next().await {
        let Some(mut wire) = scene.wire(Ipv4Addr::new(127, 8, 8, 8)).await else { continue };
        while scene.next().await {
            for _ in 0..50 {
                let asked = Owner::new().create(MailboxClass::Inbox);
                match wire.ask(asked, b"").await.0 {
                    Reply::Created(_) => {}
                    Reply::Error(refusal) => {
                        assert!(matches!(refusal.code, Code::Rate | Code::Admission));
                        scene.did(8);
                        continue 'again;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
