//! W3, idle: many connections, each with a subscription, that say nothing.

use std::time::Duration;

use restante_spec::ids::Seq;
use restante_spec::message::MailboxClass;
use restante_tests::wire::{Owner, PLENTY, Wire, tls};

use super::process::Server;
use super::report::{Report, median};

/// Connections made at a time.
const AT_ONCE: usize = 50;
/// Rounds of the denominator, of which the median counts.
const BARE_ROUNDS: usize = 3;
/// How long idleness is watched.
const WATCH: Duration = Duration::from_secs(10);

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let count = if quick { 1_000 } else { 10_000 };
    println!("W3: {count} idle connections");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("data"));
    let owners = create(&server, count).await;
    let before = server.usage();
    let mut wires = Vec::with_capacity(count);
    for some in owners.chunks(AT_ONCE) {
        let opening = some.iter().map(|owner| open(&server, owner));
        wires.extend(futures_util::future::join_all(opening).await);
    }
    let opened = server.usage();
    for (wires, owners) in wires.chunks_mut(AT_ONCE).zip(owners.chunks(AT_ONCE)) {
        let both = wires.iter_mut().zip(owners);
        let subscribing = both.map(|(wire, owner)| subscribe(wire, owner));
        futures_util::future::join_all(subscribing).await;
    }
    let subscribed = server.usage();
    let mut watch = tokio::time::interval(WATCH);
    watch.tick().await;
    watch.tick().await;
    let idle = server.usage();
    let per_connection = |bytes: f64| bytes / count as f64;
    let rss = per_connection(idle.rss - before.rss);
    report.note("w3.rss_bytes_per_connection", rss, "B", Some("<= 6144"));
    let connecting = opened.cpu_s - before.cpu_s;
    let all = subscribed.cpu_s - before.cpu_s;
    report.note("w3.connects_per_cpu_s", count as f64 / all, "1/s", None);
    let minute = (idle.cpu_s - subscribed.cpu_s) / WATCH.as_secs_f64() * 60.0;
    report.note("w3.idle_cpu_s_per_minute", minute, "s", None);
    drop(wires);
    let mut bare = Vec::new();
    for _ in 0..BARE_ROUNDS {
        bare.push(bare_cpu(count).await);
    }
    let bare = median(bare);
    report.note("w3.vs_bare_handshake_cpu", connecting / bare, "ratio", Some("<= 1.5"));
    report.note("w3.subscribed_vs_bare_handshake_cpu", all / bare, "ratio", None);
}

async fn create(server: &Server, count: usize) -> Vec<Owner> {
    let mut wire = Wire::connect(&server.address).await;
    let mut owners = Vec::with_capacity(count);
    for _ in 0..count / AT_ONCE {
        let some: Vec<_> = (0..AT_ONCE).map(|_| Owner::new()).collect();
        let create = |owner: &Owner| owner.create(MailboxClass::Conversation);
        let numbers: Vec<_> = some.iter().map(|owner| wire.queue(create(owner), b"")).collect();
        wire.flush().await;
        for number in numbers {
            wire.reply(number).await;
        }
        owners.extend(some);
    }
    owners
}

/// The handshake and what the goal counts with it: greeting and `open`.
async fn open(server: &Server, owner: &Owner) -> Wire {
    let mut wire = Wire::connect(&server.address).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire
}

async fn subscribe(wire: &mut Wire, owner: &Owner) {
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.expect("subscribed");
    wire.backlog().await;
}

/// CPU seconds of a process that makes as many handshakes and nothing else.
async fn bare_cpu(count: usize) -> f64 {
    let (server, _) = Server::bare("handshakes");
    let before = server.usage();
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count / AT_ONCE {
        let connecting = (0..AT_ONCE).map(|_| tls(&server.address, &[restante_spec::ALPN]));
        streams.extend(futures_util::future::join_all(connecting).await);
    }
    assert!(streams.iter().all(Result::is_ok), "every handshake is made");
    server.usage().cpu_s - before.cpu_s
}
