//! Everything that reads bytes from outside, fed with what `tests/fuzz/run` has found and with
//! changes of it: as many each time, and the same.
//!
//! `TIMES=n` makes n times as many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::Strategy as _;
use proptest::test_runner::RngAlgorithm::ChaCha as CHACHA;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRng, TestRunner};
use restante_tests::fuzz::model::{self, Op};
use restante_tests::fuzz::{TARGETS, Target, corpus, kept};

fn times() -> u32 {
    std::env::var("TIMES").map_or(1, |times| times.parse().expect("a number"))
}

/// Runs a target; the input is told if it fails.
fn run(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let hex = data_encoding::HEXLOWER.encode(input);
        panic!("the target {} fails with {hex}", target.name);
    }
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let folder = corpus(&TARGETS[0]);
    let folders = std::fs::read_dir(folder.parent().expect("above")).expect("a folder");
    let mut found: Vec<_> = folders
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    found.sort_unstable();
    let mut expected = TARGETS.map(|target| target.name);
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_was_found_once_is_read() {
    for target in &TARGETS {
        let inputs = kept(target);
        assert!(!inputs.is_empty(), "{}: no corpus", target.name);
        inputs.iter().chain(&(target.seeds)()).for_each(|input| run(target, input));
    }
}

#[test]
fn changed_inputs_are_read() {
    let times = times();
    for target in &TARGETS {
        let mut inputs = kept(target);
        inputs.extend((target.seeds)());
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..target.changes * times {
            let (first, second) = (random.pick(&inputs), random.pick(&inputs));
            let changed = change(first, second, &mut random);
            run(target, &changed);
        }
    }
}

/// A disagreement is told with the fewest operations that still make one. Each case has a few kinds
/// of operations only, so that it gets far with them.
#[test]
fn a_relay_answers_and_delivers_as_the_model_says() {
    let times = times();
    let kinds = proptest::sample::subsequence((0_u8..32).collect::<Vec<_>>(), 4..=16);
    let rows = proptest::collection::vec(proptest::array::uniform8(0_u8..), 1..80);
    let bytes = (kinds, rows).prop_map(|(kinds, mut rows)| {
        rows.iter_mut().for_each(|row| row[0] = kinds[usize::from(row[0]) % kinds.len()]);
        rows.concat()
    });
    let config = Config { cases: 200 * times, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(CHACHA));
    let ran = runner.run(&bytes, |bytes| {
        let ops = Op::read(&bytes);
        let ran = catch_unwind(|| model::run(&ops));
        ran.map_err(|_| TestCaseError::fail(format!("{ops:?}")))
    });
    if let Err(TestError::Fail(_, bytes)) = ran {
        let ops: Vec<_> = Op::read(&bytes).iter().map(|op| format!("\n  {op:?}")).collect();
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        panic!("the model disagrees, see the last panic above, with {hex}{}", ops.concat());
    }
}

/// Xorshift: the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).expect("64 bits") % bound.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Some changes of an input, or its beginning with another's end.
fn change(first: &[u8], second: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = first.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *random.pick(&[0, 1, 0x7f, 0x80, 0xff])),
            2 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            3 if !bytes.is_empty() => bytes[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            4 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(&second[random.below(second.len())..]);
            }
        }
    }
    bytes
}
