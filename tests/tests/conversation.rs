//! The client's rules against the relay's in a world that moves by one number: people who meet,
//! talk and change their groups, with lost connections, processes that end between any two steps,
//! relays that crash, answers nobody hears, and commits that race.
//!
//! What runs is the real driver, engine and store of each device and the real core of the relay;
//! network, clocks and disks are played. `SEED=n` repeats one run and tells what happens, `SEEDS=n`
//! makes so many; `tests/simulation/plant` shows that the checkers see what they are there for.
//!
//! What repeats: what people do, and when anything moves or fails. What does not: the keys that
//! OpenMLS draws, the bytes that leave, and when what is put off by a random time is sent; so two
//! runs of a seed may differ in what they find.

#[path = "conversation/ledger.rs"]
mod ledger;
#[path = "conversation/line.rs"]
mod line;
#[path = "simulation/random.rs"]
mod random;
#[path = "conversation/workload.rs"]
mod workload;
#[path = "conversation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use workload::Workload;
use world::{Report, World};

/// Runs when nothing else is said.
const SEEDS: u64 = 20;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// One run, from its number.
fn once(seed: u64, is_telling: bool) -> Report {
    let people = [2, 3, 3, 4, 4, 5, 6, 10][usize::try_from(seed % 8).unwrap()];
    let mut world = World::new(seed, people, is_telling);
    workload::introduce(&mut world);
    let mut workload = Workload::default();
    world.run(|world, seat| workload.act(world, seat));
    workload.check(&mut world);
    Report { seen: world.ledger.seen, faults: world.faults }
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
        ("compared", sum(|it| it.seen.compared)),
        ("commits", sum(|it| it.seen.commits)),
        ("repeated", sum(|it| it.seen.repeated)),
        ("crashes", sum(|it| it.faults.crashes)),
        ("cuts", sum(|it| it.faults.cuts)),
        ("ends", sum(|it| it.faults.ends)),
        ("aways", sum(|it| it.faults.aways)),
    ];
    let refused = sum(|it| it.seen.stale);
    println!("{count} runs: {sums:?}, {refused} appends refused");
    if count >= SEEDS {
        let missing: Vec<_> = sums.iter().filter(|(_, sum)| *sum == 0).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}
