//! The relay's program, killed at random moments of everything it does: appends, acknowledgements,
//! expiry, cleaning, backups; and restores, killed as well. A ledger that knows only what was sent
//! and said judges afterwards.
//!
//! `RESTANTE_KILLS` makes the loop longer than CI's: so many kills of the relay. An id is kept for
//! two minutes (MBX-5), so that chunks are dropped and cleaned in a long loop only: one kill in
//! [`LATE`] waits until that has begun.

#[path = "kills/ledger.rs"]
mod ledger;
#[path = "kills/post.rs"]
mod post;
#[path = "kills/restores.rs"]
mod restores;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use restante_spec::ids::Seq;
use restante_spec::message::Command;
use restante_tests::relay::{Process, stats};
use restante_tests::wire::{PLENTY, Wire, envelope, random};
use tokio::sync::watch;

use ledger::Log;
use post::{Shared, Traffic, body, read, send};
use restores::{Taken, backups, restores};

/// Kills of the relay when nothing else is said: about a quarter of a minute.
const KILLS: usize = 12;
/// One kill in so many falls while the relay drops and cleans chunks.
const LATE: usize = 100;
/// Conversations that are read and acknowledged all the time.
const READ: usize = 6;
/// Conversations that nobody reads until the end: what is short-lived in them expires, and what is
/// left lies in sparse chunks.
const ABSENT: usize = 3;

fn kills() -> usize {
    std::env::var("RESTANTE_KILLS").map_or(KILLS, |text| text.parse().expect("a number"))
}

/// A number below `end`.
fn below(end: usize) -> usize {
    usize::from(u16::from_be_bytes(random())) % end
}

/// Seconds since 1970.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the relay has counted until it was killed.
#[derive(Debug, Default)]
struct Counted {
    expired: u64,
    cleaned: u64,
}

impl Counted {
    fn of(data: &Path) -> Self {
        let said = stats(data);
        let [expired, cleaned] =
            ["restante_expired_chunks_total", "restante_cleaned_chunks_total"].map(|it| said[it]);
        Self { expired, cleaned }
    }

    fn add(&mut self, Self { expired, cleaned }: Self) {
        self.expired += expired;
        self.cleaned += cleaned;
    }
}

/// MBX-3, MBX-4, MBX-5, MBX-6, MBX-10, MBX-11, DLV-1, DLV-3: whatever the relay was doing when it
/// was killed, nothing accepted is lost before its end, nothing is there twice, orders are kept,
/// what is over does not come back, a backup that was reported done is whole, and a restore is
/// complete or nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kills_at_random_moments_lose_and_double_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (data, log) = (home.path().join("data"), home.path().join("log"));
    let mut relay = Process::start(&data, "127.0.0.1:0", &log);
    let listen = format!("127.0.0.1:{}", relay.address().port());
    let (told, address) = watch::channel(relay.address().clone());
    let shared = Arc::new(Shared::new(address));
    let mut logs = Vec::new();
    for number in 0..READ + ABSENT {
        let traffic = if number < READ { Traffic::Read } else { Traffic::Absent };
        logs.push(Arc::new(Log::begin(relay.address(), traffic).await));
    }
    let absent: Vec<_> = logs.iter().skip(READ).map(Arc::clone).collect();
    let mut tasks = Vec::new();
    for log in &logs {
        tasks.push(tokio::spawn(send(Arc::clone(log), Arc::clone(&shared))));
        if log.traffic == Traffic::Read {
            tasks.push(tokio::spawn(read(Arc::clone(log), Arc::clone(&shared))));
        }
    }
    let taken = Taken::new(home.path(), &data, absent.clone(), Arc::clone(&shared));
    let taken = Arc::new(taken);
    let backups = tokio::spawn(backups(Arc::clone(&taken)));
    let restores = tokio::spawn(restores(Arc::clone(&taken)));

    let (kills, mut counted) = (kills(), Counted::default());
    for kill in 0..kills {
        shared.may_send_more();
        counted.add(some_moment(kill, &data, &shared).await);
        relay.kill();
        relay = Process::start(&data, &listen, &log);
        told.send_replace(relay.address().clone());
    }
    shared.is_ending.store(true, Ordering::SeqCst);
    shared.may_send_more();
    for task in tasks {
        task.await.unwrap();
    }
    backups.await.unwrap();
    let restores = restores.await.unwrap();
    counted.add(Counted::of(&data));

    let mut accepted = 0;
    for log in &logs {
        accepted += log.accepted();
        match log.traffic {
            Traffic::Read => {
                log.check_seen();
                relay = nothing_comes_back(log, relay, (&data, &listen, &home.path().join("log")))
                    .await;
            }
            Traffic::Absent => what_is_left_is_all(log, &relay).await,
        }
    }
    assert_eq!(relay.terminate(), Some(0), "SIGTERM ends it in good order");
    let done = taken.done();
    println!(
        "{kills} kills of the relay and {} of restores ({} of them in their middle), {accepted} \
         envelopes accepted, {done} backups done, {} broken off, {} restored; {counted:?}: \
         0 lost, 0 doubled",
        restores.killed,
        restores.halves,
        taken.broken_off(),
        taken.restored(),
    );
    let is_long = kills >= LATE;
    assert!(!is_long || (counted.expired > 0 && counted.cleaned > 0), "{counted:?}");
    assert!(done > 0, "no backup was finished");
}

/// Waits until some moment of what the relay does, mostly soon after its start, at times later;
/// returns what it had counted shortly before.
async fn some_moment(kill: usize, data: &Path, shared: &Shared) -> Counted {
    let some = if kill % 4 == 3 { 20_000 } else { 600 };
    shared.until_more(below(some)).await;
    if kill % LATE == LATE - 1 {
        // A mailbox takes note of what has expired in it when it is used: a little, each second.
        let mut second = clock();
        while Counted::of(data).cleaned == 0 {
            if clock() != second {
                second = clock();
                shared.may_send(4);
            }
            tokio::task::yield_now().await;
        }
        shared.may_send_more();
    }
    let counted = Counted::of(data);
    shared.until_more(below(100)).await;
    for _ in 0..below(2_000) {
        tokio::task::yield_now().await;
    }
    counted
}

/// After a last acknowledgement, and an act behind it that was answered, what was acknowledged
/// does not come back, whatever the relay is told to begin with.
async fn nothing_comes_back(log: &Log, relay: Process, again: (&Path, &str, &Path)) -> Process {
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(1, log.owner.mailbox, &log.owner.key).await;
    let after = log.last_seen();
    wire.subscribe(1, &log.owner.reader, after, PLENTY).await.unwrap();
    assert!(wire.backlog().await.is_empty(), "everything was seen");
    wire.ack(1, after).await;
    let last = envelope(1, log.epoch);
    wire.append(last.clone(), &body(&last.id)).await.unwrap();
    relay.kill();
    let (data, listen, said) = again;
    let relay = Process::start(data, listen, said);
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(1, log.owner.mailbox, &log.owner.key).await;
    wire.subscribe(1, &log.owner.reader, Seq::START, PLENTY).await.unwrap();
    let found: Vec<_> = wire.backlog().await.iter().map(|(deliver, _)| deliver.id).collect();
    assert_eq!(found, [last.id], "acknowledged or expired envelopes come back");
    relay
}

/// When everything short-lived is over, all that is long-lived is there, in its order, and nothing
/// else.
async fn what_is_left_is_all(log: &Log, relay: &Process) {
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(1, log.owner.mailbox, &log.owner.key).await;
    while clock() <= log.last_short_expiry() {
        wire.done(Command::Ping, b"").await.unwrap();
    }
    let found = post::drain(&mut wire, 1, &log.owner).await;
    let found: Vec<_> = found.into_iter().map(|(seq, id)| (id, seq)).collect();
    assert!(found == log.long_lived(), "what is left is what was accepted and is not over");
}
