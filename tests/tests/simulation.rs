//! The whole relay in a world that repeats: clients, network, clock, crashes and a failing disk,
//! all from one number. What must never happen is judged by checkers that know the specification
//! only.
//!
//! `SEED=n` repeats one run exactly and tells what happens, `SEEDS=n` makes so many, `FIRST=n`
//! begins with another seed than 0; `tests/simulation/plant` shows that the checkers see what they
//! are there for.

#[path = "simulation/answers.rs"]
mod answers;
#[path = "simulation/blobs.rs"]
mod blobs;
#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/folder.rs"]
mod folder;
#[path = "simulation/ledger/mod.rs"]
mod ledger;
#[path = "simulation/live.rs"]
mod live;
#[path = "simulation/mood.rs"]
mod mood;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/people.rs"]
mod people;
#[path = "simulation/pushes.rs"]
mod pushes;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/town.rs"]
mod town;
#[path = "simulation/workload.rs"]
mod workload;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use world::{Report, World};

/// Runs when nothing else is said: within two minutes on two cores.
const SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// Runs seeds on all cores, of which the variable `name` repeats one; the reports of those that
/// passed, and the seeds that failed.
fn run(
    name: &str,
    seeds: std::ops::Range<u64>,
    once: &(dyn Fn(u64) -> Report + Sync),
) -> (Vec<Report>, Vec<u64>) {
    let next = AtomicU64::new(seeds.start);
    let (reports, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() > 3 {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| once(seed))) {
                        Ok(report) => reports.lock().unwrap().push(report),
                        Err(_) => {
                            eprintln!(
                                "repeat it: {name}={seed} cargo test -p restante-tests --test \
                                 simulation"
                            );
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    (reports.into_inner().unwrap(), failed.into_inner().unwrap())
}

#[test]
fn a_relay_keeps_its_promises_whatever_happens() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("FIRST").unwrap_or(0);
            first..first + number("SEEDS").unwrap_or(SEEDS)
        }
    };
    let count = seeds.end - seeds.start;
    let is_telling = number("SEED").is_some();
    let (reports, mut failed) = run("SEED", seeds, &|seed| World::new(seed, is_telling).run());
    failed.sort_unstable();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    let sum = |what: fn(&Report) -> u64| reports.iter().map(what).sum::<u64>();
    let sums = [
        ("accepted", sum(|it| it.seen.accepted)),
        ("repeated", sum(|it| it.seen.repeated)),
        ("delivered", sum(|it| it.seen.delivered)),
        ("commits", sum(|it| it.seen.commits)),
        ("stale", sum(|it| it.seen.stale)),
        ("aborted", sum(|it| it.seen.aborted)),
        ("unknown", sum(|it| it.seen.unknown)),
        ("prekeys", sum(|it| it.seen.prekeys)),
        ("live", sum(|it| it.seen.live)),
        ("let go", sum(|it| it.seen.let_go)),
        ("revoked", sum(|it| it.seen.revoked)),
        ("gone", sum(|it| it.seen.gone)),
        ("blobs", sum(|it| it.seen.blobs)),
        ("blob reads", sum(|it| it.seen.blob_reads)),
        ("blobs deleted", sum(|it| it.seen.blobs_deleted)),
        ("needy", sum(|it| it.seen.needy)),
        ("crashes", sum(|it| it.faults.crashes)),
        ("torn", sum(|it| it.faults.torn)),
        ("cuts", sum(|it| it.faults.cuts)),
        ("stops", sum(|it| it.faults.stops)),
        ("disk", sum(|it| it.faults.disk)),
        ("jumps", sum(|it| it.faults.jumps)),
        ("folder", sum(|it| it.faults.folder)),
    ];
    println!("{count} runs: {sums:?}");
    if count >= SEEDS {
        let missing: Vec<_> = sums.iter().filter(|(_, sum)| *sum == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

/// Long runs when nothing else is said.
const LONG_SEEDS: u64 = 6;
/// How long a long run is: an endorsement is renewed in it (TRN-5), and many keys of buckets go.
const LONG: Duration = Duration::from_secs(4 * 86_400);

/// Four days: keep-alives, silence, expiry, keys of buckets, new endorsements; and nothing is left
/// when everything is over. `LONG_SEEDS=n` makes so many runs, `LONG_SEED=n` repeats one.
#[test]
fn days_go_by_and_nothing_is_left() {
    let seeds = match number("LONG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LONG_SEEDS").unwrap_or(LONG_SEEDS),
    };
    let count = seeds.end - seeds.start;
    let is_telling = number("LONG_SEED").is_some();
    let (reports, failed) =
        run("LONG_SEED", seeds, &|seed| World::new(seed, is_telling).run_for(LONG));
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    let sum = |what: fn(&Report) -> u64| reports.iter().map(what).sum::<u64>();
    let (accepted, delivered) = (sum(|it| it.seen.accepted), sum(|it| it.seen.delivered));
    let (cuts, crashes) = (sum(|it| it.faults.cuts), sum(|it| it.faults.crashes));
    println!(
        "{count} runs of {LONG:?}: {accepted} accepted, {delivered} delivered, {cuts} cuts, \
         {crashes} crashes"
    );
    assert!(accepted > 0 && delivered > 0);
}

/// A seed is worth something only if it repeats.
#[test]
fn a_seed_repeats_exactly() {
    for seed in 1_000..1_010 {
        let digest = || World::new(seed, false).run().digest;
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}
