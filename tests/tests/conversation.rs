//! The client's rules against the relay's in a world that moves by one number: people who meet,
//! talk and change their groups, with lost connections, processes that end between any two steps,
//! relays that crash, devices that are away for longer than those keep anything, answers nobody
//! hears, and commits that race.
//!
//! What runs is the real driver, engine and store of each device and the real core of the relay;
//! network, clocks and disks are played. `SEED=n` repeats one run and tells what happens, `SEEDS=n`
//! makes so many; `tests/simulation/plant` shows that the checkers see what they are there for.
//!
//! What repeats: what people do, when anything moves or fails, and every id and key but those that
//! OpenMLS draws; so all that people see. What does not: the bytes that leave.

#[path = "conversation/check.rs"]
mod check;
#[path = "conversation/kinds.rs"]
mod kinds;
#[path = "conversation/ledger.rs"]
mod ledger;
#[path = "conversation/line.rs"]
mod line;
#[path = "conversation/log.rs"]
mod log;
#[path = "simulation/random.rs"]
mod random;
#[path = "conversation/seats.rs"]
mod seats;
#[path = "conversation/workload.rs"]
mod workload;
#[path = "conversation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use workload::Workload;
use world::{Report, World};

/// People of a run, and the most devices each of them has: in turn, by the seed.
const SHAPES: [(usize, usize); 32] = [
    (2, 1),
    (3, 2),
    (2, 3),
    (4, 1),
    (3, 1),
    (2, 2),
    (5, 1),
    (10, 1),
    (3, 3),
    (4, 2),
    (2, 1),
    (6, 1),
    (2, 2),
    (3, 2),
    (3, 1),
    (4, 3),
    (2, 1),
    (3, 2),
    (2, 3),
    (4, 1),
    (3, 1),
    (2, 2),
    (5, 3),
    (10, 1),
    (3, 3),
    (4, 2),
    (2, 1),
    (6, 2),
    (2, 2),
    (3, 2),
    (5, 2),
    (10, 3),
];

/// Runs when nothing else is said.
const SEEDS: u64 = 20;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// One run, from its number.
fn once(seed: u64, is_telling: bool) -> Report {
    // The clock that the driver looks at stands still: a slow machine ends no pause.
    let mut clock = tokio::runtime::Builder::new_current_thread();
    let clock = clock.enable_time().start_paused(true).build().expect("a runtime");
    let _standing = clock.enter();
    let (people, devices) = SHAPES[usize::try_from(seed).unwrap() % SHAPES.len()];
    let mut world = World::new(seed, people, is_telling);
    let mut workload = Workload::new(devices);
    workload.settle_in(&mut world);
    workload::introduce(&mut world, people);
    workload.gather(&mut world);
    world.run(|world, seat| workload.act(world, seat));
    if world.faults.absences > 0 {
        workload.say_last_words(&mut world);
        world.heal();
    }
    let digest = workload.check(&mut world);
    Report { seen: world.ledger.seen, faults: world.faults, digest }
}

#[test]
fn conversation_is_the_same_for_everybody_in_it_whatever_happens() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let (count, is_telling) = (seeds.end - seeds.start, number("SEED").is_some());
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
                    match catch_unwind(AssertUnwindSafe(|| once(seed, is_telling))) {
                        Ok(report) => reports.lock().unwrap().push(report),
                        Err(_) => {
                            eprintln!(
                                "repeat it: SEED={seed} cargo test -p restante-tests --test \
                                 conversation conversation_is"
                            );
                            failed.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let (reports, failed) = (reports.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    let sum = |what: fn(&Report) -> u64| reports.iter().map(what).sum::<u64>();
    let sums = [
        ("texts", sum(|it| it.seen.texts)),
        ("touches", sum(|it| it.seen.touches)),
        ("compared", sum(|it| it.seen.compared)),
        ("commits", sum(|it| it.seen.commits)),
        ("stale", sum(|it| it.seen.stale)),
        ("unanswered", sum(|it| it.seen.unanswered)),
        ("crashes", sum(|it| it.faults.crashes)),
        ("cuts", sum(|it| it.faults.cuts)),
        ("ends", sum(|it| it.faults.ends)),
        ("aways", sum(|it| it.faults.aways)),
        ("links", sum(|it| it.faults.links)),
        ("unlinks", sum(|it| it.faults.unlinks)),
        ("absences", sum(|it| it.faults.absences)),
        ("repaired", sum(|it| it.seen.repaired)),
    ];
    println!("{count} runs: {sums:?}");
    if count >= SEEDS {
        let missing: Vec<_> = sums.iter().filter(|(_, sum)| *sum == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

/// A seed is worth something only if it repeats.
#[test]
fn conversation_repeats_from_its_seed() {
    for seed in [1, 2] {
        let digest = || once(seed, false).digest;
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}
