//! W4, fan-out: one mailbox with many readers online, and somebody else who just wants to talk.

use std::time::{Duration, Instant};

use restante_crypto::{SigningKey, prove_possession};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{Handle, ReaderSecret, Seq};
use restante_spec::message::{Allow, Command, Credit, MailboxClass, Push, Rights, Terms};
use restante_tests::wire::{Owner, Wire, envelope, random};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::process::Server;
use super::report::{Report, median};

/// Bytes of a body.
pub const BODY: usize = 1_024;
/// More than any reader here uses up.
const CREDIT: Credit = Credit { envelopes: 1_024, bytes: 1_048_576 };

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let loads: &[_] =
        if quick { &[("", 100, 20)] } else { &[("", 1_000, 100), ("10k.", 10_000, 20)] };
    for (name, readers, messages) in loads {
        fan_out(&format!("w4.{name}"), *readers, *messages, report).await;
    }
}

/// So many messages to so many readers of a room: once with nobody else there, for what it costs,
/// and once beside two who talk, for what they wait.
async fn fan_out(name: &str, readers: usize, messages: usize, report: &mut Report) {
    println!("W4: {messages} x {BODY} B to {readers} online readers");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"));
    let mut room = Room::new(&server.address).await;
    let (arrived, arrivals) = mpsc::channel(readers * 2);
    let mut crowd = Crowd { readers, arrivals };
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        reading.spawn(read(room.join(&server.address).await, arrived.clone()));
    }
    let before = server.usage();
    let mut delays = crowd.tell(&mut room, messages).await;
    let used = (server.usage().cpu_s - before.cpu_s) / (readers * messages) as f64 * 1e6;
    let mut alone = talk_beside(&server.address, messages * 5).await.expect("talked");
    let talking = talk_beside(&server.address, messages * 5);
    crowd.tell(&mut room, messages).await;
    let mut beside = talking.await.expect("talked");
    reading.shutdown().await;
    drop(server);
    let bare = bare_cpu(readers, messages).await;
    let mut note = |figure: &str, value, unit, target| {
        report.note(&format!("{name}{figure}"), value, unit, target);
    };
    note("cpu_us_per_delivery", used, "us", None);
    note("vs_bare_send_cpu", used / bare, "ratio", Some("<= 1.2"));
    note("p50_us", quantile(&mut delays, 0.5), "us", None);
    note("p99_us", quantile(&mut delays, 0.99), "us", None);
    note("bystander_alone_p99_us", quantile(&mut alone, 0.99), "us", None);
    note("bystander_p99_us", quantile(&mut beside, 0.99), "us", None);
}

/// Everyone who reads the room.
struct Crowd {
    readers: usize,
    arrivals: mpsc::Receiver<Instant>,
}

impl Crowd {
    /// So many messages, each when all have the one before; how long each delivery took.
    async fn tell(&mut self, room: &mut Room, messages: usize) -> Vec<Duration> {
        let mut delays = Vec::new();
        for _ in 0..messages {
            let begun = Instant::now();
            room.sender.append(envelope(2, None), &[0x5a; BODY]).await.expect("accepted");
            for _ in 0..self.readers {
                let at = self.arrivals.recv().await.expect("everyone reads");
                delays.push(at.saturating_duration_since(begun));
            }
        }
        delays
    }
}

/// Two who talk, on a thread of their own: they wait for the relay, not for the crowd here.
fn talk_beside(address: &RelayAddress, count: usize) -> JoinHandle<Vec<Duration>> {
    let address = address.clone();
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(talk(&address, count))
    })
}

/// A room that somebody writes to, on handle 2, and many read with one key.
struct Room {
    sender: Wire,
    owner: Owner,
    read: SigningKey,
}

impl Room {
    async fn new(address: &RelayAddress) -> Self {
        let owner = Owner::new();
        let mut sender = Wire::connect(address).await;
        sender.create(MailboxClass::Room, &owner).await;
        sender.open(1, owner.mailbox, &owner.key).await;
        let write = Rights { write: true, ..Rights::default() };
        let write = allow(&mut sender, &owner, write).await;
        sender.open(2, owner.mailbox, &write).await;
        let read = allow(&mut sender, &owner, Rights { read: true, ..Rights::default() }).await;
        Self { sender, owner, read }
    }

    /// One reader more, who has everything.
    async fn join(&self, address: &RelayAddress) -> Wire {
        let mut wire = Wire::connect(address).await;
        wire.open(1, self.owner.mailbox, &self.read).await;
        let secret = ReaderSecret::new(random());
        wire.subscribe(1, &secret, Seq::START, CREDIT).await.expect("subscribed");
        wire.backlog().await;
        wire
    }
}

/// A new key with these rights.
async fn allow(wire: &mut Wire, owner: &Owner, rights: Rights) -> SigningKey {
    let key = SigningKey::generate().expect("randomness");
    let possession = prove_possession(&key, &owner.mailbox);
    let terms = Terms { rights, expires_at: None, uses: None, rate: None };
    let allow = Allow { handle: Handle::new(1), key: key.public(), possession, terms };
    wire.done(Command::Allow(allow), b"").await.expect("allowed");
    key
}

fn quantile(delays: &mut [Duration], part: f64) -> f64 {
    delays.sort_unstable();
    delays[((delays.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6
}

async fn read(mut wire: Wire, arrived: mpsc::Sender<Instant>) {
    while let Some((push, _)) = wire.try_push().await {
        if let Push::Deliver(_) = push
            && arrived.send(Instant::now()).await.is_err()
        {
            return;
        }
    }
}

/// Two who talk: how long each of their messages takes.
async fn talk(address: &RelayAddress, count: usize) -> Vec<Duration> {
    let owner = Owner::new();
    let mut sender = Wire::connect(address).await;
    let epoch = sender.create(MailboxClass::Conversation, &owner).await.epoch;
    sender.open(1, owner.mailbox, &owner.key).await;
    let mut reader = Wire::connect(address).await;
    reader.open(1, owner.mailbox, &owner.key).await;
    reader.subscribe(1, &owner.reader, Seq::START, CREDIT).await.expect("subscribed");
    reader.backlog().await;
    let mut delays = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        sender.send(Command::Append(envelope(1, epoch)), &[0x5a; 256]).await;
        let (deliver, _) = reader.deliver().await;
        delays.push(begun.elapsed());
        reader.ack(1, deliver.seq).await;
        let one = Credit { envelopes: 1, bytes: 256 };
        reader.send(Command::Credit { handle: Handle::new(1), credit: one }, b"").await;
    }
    delays
}

/// CPU microseconds a recipient of a process that sends the same bytes and does nothing else; the
/// median of some rounds.
async fn bare_cpu(readers: usize, messages: usize) -> f64 {
    let (server, port) = Server::bare("sender");
    let mut trigger = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    trigger.write_u32(u32::try_from(readers).expect("few")).await.expect("said");
    let mut streams = Vec::new();
    for _ in 0..readers {
        streams.push(TcpStream::connect(("127.0.0.1", port)).await.expect("connected"));
    }
    let mut body = vec![0; BODY];
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let before = server.usage();
        for _ in 0..messages {
            trigger.write_u8(1).await.expect("said");
            for stream in &mut streams {
                stream.read_exact(&mut body).await.expect("received");
            }
        }
        rounds.push((server.usage().cpu_s - before.cpu_s) / (readers * messages) as f64 * 1e6);
    }
    median(rounds)
}
