//! Floods: a hundred well-behaved clients talk while many others do everything that costs a relay
//! something. All that the hundred say arrives, none of them is closed, and the relay's memory
//! stays below a part of what `restante-relay check` says of its settings.
//!
//! `RESTANTE_FLOOD_MESSAGES` makes the flood longer than CI's: so many messages of each client.
//! What it costs in time is printed and judged by nobody: that depends on the machine.

#[path = "floods/attacks.rs"]
mod attacks;
#[path = "floods/talk.rs"]
mod talk;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use restante_spec::limits;
use restante_spec::message::{Command, MailboxClass};
use restante_tests::line::Line;
use restante_tests::relay::{Process, run, stats};
use restante_tests::socket;
use restante_tests::wire::{Owner, PATIENCE, PLENTY, Wire, envelope, tls_on};

use attacks::{Flood, NAMES};
use talk::{Pair, Progress};

/// Pairs of well-behaved clients.
const PAIRS: usize = 50;
/// Messages of each client during the flood when nothing else is said.
const MESSAGES: usize = 60;
/// The well-behaved talk so many times longer at most, until every attack has happened.
const ROUNDS: usize = 20;
/// Messages of each client in such a time.
const MORE: usize = 10;
/// How often it is looked whether nothing is held any more.
const LOOKS: usize = 10_000;
/// A small relay: a flood asks for more connections than it has.
const SMALL: [&str; 16] = [
    "--connections",
    "320",
    "--connections-per-prefix",
    "128",
    "--handshakes",
    "64",
    "--held-mib",
    "2",
    "--mailboxes",
    "1000",
    "--cache-mib",
    "8",
    "--creates-per-minute",
    "150",
    "--connects-per-minute",
    "100000",
];

fn messages() -> usize {
    let text = std::env::var("RESTANTE_FLOOD_MESSAGES");
    text.map_or(MESSAGES, |text| text.parse().expect("a number"))
}

/// Envelopes that the relay remembers: all that the well-behaved say, and a tenth for others.
fn envelopes() -> usize {
    2 * PAIRS * (2 * messages() + ROUNDS * MORE) * 11 / 10
}

/// What a relay with these flags says that it takes at most, in KiB, but for the shares of store
/// and program, 519 MiB that no flag makes small. The rest is 107 MiB (connections 79, held 3,
/// mailboxes 3, envelopes 22), and all that the relay takes in the flood, 43 MiB, is to fit in it.
fn stated_kib(place: &Path, flags: &[&str]) -> u64 {
    let data = place.join("none");
    let base = ["check", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let (_, said) = run(&[&base, flags].concat());
    let line = said.lines().find(|line| line.contains("memory")).expect("it is said");
    println!("{line}");
    let share = |name: &str| {
        let (_, behind) = line.split_once(name).expect("a share");
        let mib = behind.trim_start().split([',', ')']).next().expect("a number");
        mib.parse::<u64>().expect("a number")
    };
    ["(connections", "held", "mailboxes", "envelopes"].map(share).iter().sum::<u64>() * 1_024
}

/// What a process has in memory just now, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn serve(place: &Path, flags: &[&str]) -> Process {
    Process::start_with(&place.join("data"), &place.join("log"), |command| {
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
    })
}

/// Gauges of what is held for those who are there.
const HELD: [&str; 4] = [
    "restante_connections_open",
    "restante_held_bytes",
    "restante_queue_acts",
    "restante_queue_bytes",
];

/// When nobody is there any more, nothing is held: looks until it is so.
fn nothing_is_held(data: &Path) {
    let mut told = Vec::new();
    for _ in 0..LOOKS {
        let all = stats(data);
        told = HELD.map(|name| all[name]).to_vec();
        if told.iter().all(|held| *held == 0) {
            return;
        }
    }
    panic!("{HELD:?} stay at {told:?}");
}

/// LIM-10, LIM-11, LIM-12, LIM-18, LIM-20, LIM-29: whatever others do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_talk_on_while_others_flood() {
    let place = tempfile::tempdir().unwrap();
    let envelopes = envelopes().to_string();
    let flags = [&SMALL[..], &["--envelopes", envelopes.as_str()]].concat();
    let stated = stated_kib(place.path(), &flags);
    let relay = serve(place.path(), &flags);
    let progress = Arc::new(Progress::default());
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(Pair::meet(relay.address(), Arc::clone(&progress)).await);
    }
    let mut most = resident_kib(relay.pid());
    let (pairs, before) = talk::all(pairs, messages(), || {
        most = most.max(resident_kib(relay.pid()));
    })
    .await;
    let quiet = most;

    let flood = Flood::begin(relay.address(), &progress);
    let (mut pairs, during) = talk::all(pairs, messages(), || {
        most = most.max(resident_kib(relay.pid()));
    })
    .await;
    for _ in 0..ROUNDS {
        if flood.is_complete() {
            break;
        }
        let (again, _) = talk::all(pairs, MORE, || ()).await;
        pairs = again;
    }
    let counts = flood.end().await;
    let refused = stats(&place.path().join("data"))["restante_handshakes_failed_total"];

    for pair in pairs {
        pair.still_lives().await;
    }
    println!("before: {before}\nduring: {during}");
    println!(
        "attacks: {:?}, {refused} handshakes failed",
        NAMES.iter().zip(&counts).collect::<Vec<_>>()
    );
    println!("memory: {quiet} KiB before, {most} KiB at most, {stated} KiB stated for that");
    assert!(counts.iter().all(|count| *count > 0), "every attack has happened: {counts:?}");
    assert!(most < stated, "{most} KiB are more than the {stated} KiB that were stated");
    nothing_is_held(&place.path().join("data"));
    assert_eq!(relay.terminate(), Some(0));
}

/// How many readers that read nothing it takes, and more, until connections hold a MiB together.
const STUCK: usize = 14;
/// Subscriptions of each: what waits for it is more than the system takes in for it.
const HANDLES: u32 = 12;

/// LIM-29: what readers that do not read hold together stays at its bound, whatever waits for them,
/// and others are served meanwhile; once they read they get everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_hold_no_more_than_the_bound() {
    let place = tempfile::tempdir().unwrap();
    let relay = serve(place.path(), &["--held-mib", "1"]);
    let data = place.path().join("data");
    let owner = Owner::new();
    let mut wire = Wire::connect(relay.address()).await;
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    let count = PLENTY.bytes as usize / limits::BODY_BYTES + 1;
    for _ in 0..count {
        wire.append(envelope(1, epoch), &vec![7; limits::BODY_BYTES]).await.unwrap();
    }
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let tcp =
            socket::connect(Ipv4Addr::LOCALHOST, Some(32_768), relay.address()).await.unwrap();
        let tls = tls_on(tcp, relay.address(), &[restante_spec::ALPN]).await.unwrap();
        let mut wire = Wire::hello(Line::Frames(Box::new(tls))).await.unwrap();
        for handle in 1..=HANDLES {
            wire.open(handle, owner.mailbox, &owner.key).await;
        }
        for handle in 1..=HANDLES {
            let subscribe = restante_spec::message::Subscribe {
                handle: restante_spec::ids::Handle::new(handle),
                reader: owner.reader.clone(),
                after: restante_spec::ids::Seq::START,
                credit: PLENTY,
            };
            wire.queue(Command::Subscribe(subscribe), b"");
        }
        wire.flush().await;
        stuck.push(wire);
    }
    let held = || usize::try_from(stats(&data)["restante_held_bytes"]).unwrap();
    let bound = limits::HELD_BYTES / 256;
    let filling = async {
        while held() < bound {
            wire.done(Command::Ping, b"").await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, filling).await.expect("they hold what they may in time");
    // A connection notices the bound behind its step: as many are beyond it as work at once.
    let step = limits::PENDING_OUTPUT_BYTES + 2 * restante_spec::frame::FRAME_BYTES;
    let most = bound + std::thread::available_parallelism().unwrap().get().max(2) * step;
    let progress = Arc::new(Progress::default());
    let pair = Pair::meet(relay.address(), progress).await;
    let (pairs, _) = talk::all(vec![pair], 50, || assert!(held() <= most, "{} B", held())).await;
    for pair in pairs {
        pair.still_lives().await;
    }
    for wire in stuck.iter_mut().take(2) {
        let mut all = 0;
        for _ in 0..HANDLES {
            all += wire.backlog().await.len();
        }
        assert_eq!(all, HANDLES as usize * count, "everything, once they read");
    }
    drop(stuck);
    let emptying = async {
        while held() > 0 {
            wire.done(Command::Ping, b"").await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, emptying).await.expect("all is given back in time");
    assert_eq!(relay.terminate(), Some(0));
}

/// A time that was needed, for people.
fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// Whether the flood goes on.
fn goes_on(progress: &Progress) -> bool {
    !progress.is_over.load(Ordering::SeqCst)
}
