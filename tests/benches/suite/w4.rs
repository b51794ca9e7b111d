//! W4, fan-out: one mailbox with many readers online, and somebody else who just wants to talk.

use std::time::{Duration, Instant};

use restante_spec::address::RelayAddress;
use restante_spec::ids::{Handle, ReaderSecret, Seq};
use restante_spec::message::{Command, Credit, MailboxClass, Push};
use restante_tests::wire::{Owner, Wire, envelope, random};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::process::Server;
use super::report::{Report, median};

/// Bytes of a body.
pub const BODY: usize = 1_024;

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let (readers, messages) = if quick { (100, 20) } else { (1_000, 100) };
    println!("W4: {messages} x {BODY} B to {readers} online readers");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"));
    let owner = Owner::new();
    let mut sender = Wire::connect(&server.address).await;
    sender.create(MailboxClass::Inbox, &owner).await;
    sender.open(1, owner.mailbox, &owner.key).await;
    let writer = allow_writer(&mut sender, &owner).await;
    sender.open(2, owner.mailbox, &writer).await;
    let (arrived, mut arrivals) = mpsc::channel(readers * 2);
    for _ in 0..readers {
        let wire = add_reader(&server.address, &mut sender, &owner).await;
        tokio::spawn(read(wire, arrived.clone()));
    }
    let bystander = tokio::spawn(talk(server.address.clone(), messages * 5));
    let before = server.usage();
    let mut delays = Vec::new();
    for _ in 0..messages {
        let begun = Instant::now();
        sender.append(envelope(2, None), &vec![0x5a; BODY]).await.expect("accepted");
        for _ in 0..readers {
            let at: Instant = arrivals.recv().await.expect("everyone reads");
            delays.push(at.saturating_duration_since(begun));
        }
    }
    let used = (server.usage().cpu_s - before.cpu_s) / (readers * messages) as f64 * 1e6;
    let mut bystander = bystander.await.expect("talked");
    report.note("w4.cpu_us_per_delivery", used, "us", None);
    let bare = bare_cpu(readers, messages).await;
    report.note("w4.vs_bare_send_cpu", used / bare, "ratio", Some("<= 1.2"));
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        report.note(&format!("w4.{name}_us"), quantile(&mut delays, part), "us", None);
    }
    report.note("w4.bystander_p99_us", quantile(&mut bystander, 0.99), "us", None);
}

fn quantile(delays: &mut [Duration], part: f64) -> f64 {
    delays.sort_unstable();
    delays[((delays.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6
}

async fn allow_writer(wire: &mut Wire, owner: &Owner) -> restante_crypto::SigningKey {
    let key = restante_crypto::SigningKey::generate().expect("randomness");
    let allow = restante_spec::message::Allow {
        handle: Handle::new(1),
        key: key.public(),
        possession: restante_crypto::prove_possession(&key, &owner.mailbox),
        terms: restante_spec::message::Terms {
            rights: restante_spec::message::Rights { write: true, ..Default::default() },
            expires_at: None,
            uses: None,
            rate: None,
        },
    };
    wire.done(Command::Allow(allow), b"").await.expect("allowed");
    key
}

async fn add_reader(address: &RelayAddress, sender: &mut Wire, owner: &Owner) -> Wire {
    let secret = ReaderSecret::new(random());
    let reader = restante_crypto::reader_hash(&secret);
    let add = Command::AddReader { handle: Handle::new(1), reader };
    sender.done(add, b"").await.expect("added");
    let mut wire = Wire::connect(address).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let credit = Credit { envelopes: 1_024, bytes: 1_048_576 };
    wire.subscribe(1, &secret, Seq::START, credit).await.expect("subscribed");
    wire.backlog().await;
    wire
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

/// Two who talk meanwhile: how long each of their messages takes.
async fn talk(address: RelayAddress, count: usize) -> Vec<Duration> {
    let owner = Owner::new();
    let mut sender = Wire::connect(&address).await;
    let epoch = sender.create(MailboxClass::Conversation, &owner).await.epoch;
    sender.open(1, owner.mailbox, &owner.key).await;
    let mut reader = Wire::connect(&address).await;
    reader.open(1, owner.mailbox, &owner.key).await;
    let credit = Credit { envelopes: 1_024, bytes: 1_048_576 };
    reader.subscribe(1, &owner.reader, Seq::START, credit).await.expect("subscribed");
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
