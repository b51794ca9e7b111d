//! W1, online: pairs that talk, each message acknowledged by its reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Epoch, Handle, Seq};
use restante_spec::message::{Append, Command, Credit, MailboxClass, Push};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope, random};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::Server;
use super::report::{Report, median};

/// Bytes of a body.
const BODY: usize = 1_024;
/// Pairs of a sender and a reader.
const PAIRS: usize = 50;
/// Messages of a sender under way.
const WINDOW: usize = 32;
/// A reader acknowledges and renews its credit after so many.
const ACK_EVERY: usize = 16;

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let (each, rounds) = if quick { (400, 1) } else { (4_000, 5) };
    let mut figures: Vec<[f64; 4]> = Vec::new();
    let mut delays = Vec::new();
    let (mut rss, mut memory_first) = (0.0_f64, Vec::new());
    for round in 1..=rounds {
        println!("W1 {round}/{rounds}: {PAIRS} pairs, {} x {BODY} B", each * PAIRS);
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("data"));
        let (rate, cpu, written) = closed_loop(&server, each, Kind::Usual).await;
        memory_first.push(closed_loop(&server, each, Kind::MemoryFirst).await);
        rss = rss.max(server.usage().rss);
        let bare = bare_cpu(each).await;
        figures.push([cpu, rate, written, cpu / bare]);
        delays.extend(open_loop(&server, rate / 2.0, each / 2).await);
    }
    let figure = |place: usize| median(figures.iter().map(|row| row[place]).collect());
    report.note("w1.server_cpu_s_per_million", figure(0), "s", None);
    report.note("w1.messages_per_s", figure(1), "1/s", None);
    report.note("w1.bytes_written_per_message", figure(2), "B", None);
    report.note("w1.vs_bare_tcp_cpu", figure(3), "ratio", Some("<= 2"));
    report.note("w1.rss", rss / 1e6, "MB", None);
    let cpu = median(memory_first.iter().map(|(_, cpu, _)| *cpu).collect());
    report.note("w1.memory_first.server_cpu_s_per_million", cpu, "s", None);
    let written = median(memory_first.iter().map(|(.., written)| *written).collect());
    let share = written / BODY as f64;
    report.note("w1.memory_first.written_share_of_payload", share, "ratio", Some("<= 0.01"));
    delays.sort_unstable();
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let place = (delays.len() as f64 * part) as usize;
        let delay = delays[place.min(delays.len() - 1)];
        report.note(&format!("w1.{name}_us"), delay.as_secs_f64() * 1e6, "us", None);
    }
}

/// A sender and a reader of one conversation, both connected.
struct Pair {
    sender: Wire,
    reader: Wire,
    epoch: Option<Epoch>,
}

/// Whether the mailboxes write everything (MBX-21).
#[derive(Clone, Copy)]
enum Kind {
    Usual,
    MemoryFirst,
}

async fn pair(address: &RelayAddress, kind: Kind) -> Pair {
    let owner = Owner::new();
    let mut sender = Wire::connect(address).await;
    let class = MailboxClass::Conversation;
    let create = match kind {
        Kind::Usual => owner.create(class),
        Kind::MemoryFirst => owner.create_memory_first(class),
    };
    let epoch = sender.created(create).await.epoch;
    sender.open(1, owner.mailbox, &owner.key).await;
    let mut reader = Wire::connect(address).await;
    reader.open(1, owner.mailbox, &owner.key).await;
    reader.subscribe(1, &owner.reader, Seq::START, PLENTY).await.expect("subscribed");
    reader.backlog().await;
    Pair { sender, reader, epoch }
}

/// As fast as it goes; messages per second, CPU seconds a million, bytes written a message.
async fn closed_loop(server: &Server, each: usize, kind: Kind) -> (f64, f64, f64) {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(pair(&server.address, kind).await);
    }
    let (before, begun) = (server.usage(), Instant::now());
    let tasks: Vec<_> = pairs
        .into_iter()
        .flat_map(|Pair { sender, reader, epoch }| {
            let sending = tokio::spawn(send_all(sender, epoch, each));
            [sending, tokio::spawn(async move { drop(read_all(reader, each, |_| ()).await) })]
        })
        .collect();
    for task in tasks {
        task.await.expect("done");
    }
    let (after, count) = (server.usage(), (each * PAIRS) as f64);
    let cpu = (after.cpu_s - before.cpu_s) / count * 1e6;
    let written = (after.written - before.written) / count;
    (count / begun.elapsed().as_secs_f64(), cpu, written)
}

async fn send_all(mut wire: Wire, epoch: Option<Epoch>, count: usize) {
    let body = vec![0x5a; BODY];
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..count {
        waiting.push_back(wire.queue(append(epoch), &body));
        if waiting.len() >= WINDOW {
            wire.flush().await;
            while waiting.len() > WINDOW / 2 {
                let number = waiting.pop_front().expect("one is waiting");
                wire.appended(number).await.expect("accepted");
            }
        }
    }
    wire.flush().await;
    for number in waiting {
        wire.appended(number).await.expect("accepted");
    }
}

fn append(epoch: Option<Epoch>) -> Command {
    Command::Append(Append { id: EnvelopeId::new(random()), ..envelope(1, epoch) })
}

async fn read_all(mut wire: Wire, count: usize, mut seen: impl FnMut(&[u8])) -> Wire {
    let (mut read, mut since, mut last) = (0, 0, Seq::START);
    while read < count {
        if let (Push::Deliver(deliver), body) = wire.push().await {
            seen(&body);
            (read, since, last) = (read + 1, since + 1, deliver.seq);
        }
        if since >= ACK_EVERY || read == count {
            let (handle, envelopes) = (Handle::new(1), u32::try_from(since).expect("few"));
            let credit = Credit { envelopes, bytes: envelopes * BODY as u32 };
            wire.queue(Command::Ack { handle, upto: last }, b"");
            wire.queue(Command::Credit { handle, credit }, b"");
            wire.flush().await;
            since = 0;
        }
    }
    wire
}

/// At a steady rate, whatever the relay does: how long each message took to its reader.
async fn open_loop(server: &Server, rate: f64, each: usize) -> Vec<Duration> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(pair(&server.address, Kind::Usual).await);
    }
    let base = Arc::new(Instant::now());
    let gap = Duration::from_secs_f64(PAIRS as f64 / rate);
    let mut tasks = Vec::new();
    for Pair { mut sender, reader, epoch } in pairs {
        let clock = Arc::clone(&base);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(gap);
            let mut waiting = std::collections::VecDeque::new();
            for _ in 0..each {
                // A tick that is late counts from when it was due.
                let due = ticks.tick().await.into_std();
                let mut body = vec![0x5a; BODY];
                let since = due.saturating_duration_since(*clock);
                body[..8].copy_from_slice(&(since.as_nanos() as u64).to_be_bytes());
                waiting.push_back(sender.send(append(epoch), &body).await);
                if waiting.len() > WINDOW {
                    let number = waiting.pop_front().expect("one is waiting");
                    sender.appended(number).await.expect("accepted");
                }
            }
            for number in waiting {
                sender.appended(number).await.expect("accepted");
            }
        });
        let clock = Arc::clone(&base);
        tasks.push(tokio::spawn(async move {
            let mut delays = Vec::with_capacity(each);
            read_all(reader, each, |body| {
                let due = u64::from_be_bytes(body[..8].try_into().expect("eight bytes"));
                delays.push(clock.elapsed().saturating_sub(Duration::from_nanos(due)));
            })
            .await;
            delays
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("read"));
    }
    all
}

/// CPU seconds a million messages of a process that forwards the same bytes over TCP and nothing
/// else: the messages one way, an answer of the size of `appended` the other.
async fn bare_cpu(each: usize) -> f64 {
    let (server, port) = Server::bare("forwarder");
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let one = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        pairs.push((one, TcpStream::connect(("127.0.0.1", port)).await.expect("connected")));
    }
    let before = server.usage();
    let tasks: Vec<_> = pairs
        .into_iter()
        .flat_map(|(sender, reader)| {
            [tokio::spawn(bare_send(sender, each)), tokio::spawn(bare_read(reader, each))]
        })
        .collect();
    for task in tasks {
        task.await.expect("done");
    }
    (server.usage().cpu_s - before.cpu_s) / (each * PAIRS) as f64 * 1e6
}

/// About what the frames around a body and an answer have.
const FRAME: usize = BODY + 64;
const ANSWER: usize = 32;

async fn bare_send(mut stream: TcpStream, count: usize) {
    let batch = vec![0x5a; FRAME * WINDOW / 2];
    let mut answers = vec![0; ANSWER * WINDOW / 2];
    for round in 0..count / (WINDOW / 2) {
        stream.write_all(&batch).await.expect("sent");
        if round > 0 {
            stream.read_exact(&mut answers).await.expect("answered");
        }
    }
    stream.read_exact(&mut answers).await.expect("answered");
}

async fn bare_read(mut stream: TcpStream, count: usize) {
    let mut batch = vec![0; FRAME * WINDOW / 2];
    let answers = vec![0; ANSWER * WINDOW / 2];
    for _ in 0..count / (WINDOW / 2) {
        stream.read_exact(&mut batch).await.expect("received");
        stream.write_all(&answers).await.expect("answered");
    }
}
