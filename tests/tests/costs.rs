//! What one message costs the relay, counted and not timed, so that a change that costs more is
//! seen when it is made. Syncs and bytes on disk, the buffer counts by
//! itself (`relay/src/buffer/cost.rs`).
//!
//! Valgrind counts what `tests/src/bin/messages.rs` takes for many messages, and for fewer; the
//! difference is theirs. Nothing here depends on the machine's mood: two runs differ by one part in
//! ten thousand. The compiler matters a little. The store is built as tests are, so the figures are
//! not those of a release.

use std::process::Command;

/// Messages of the two runs.
const FEW: u64 = 320;
const MANY: u64 = 960;
/// Instructions of a message, with its share of storing, acknowledging and letting go: 128,600 when
/// this was written, on a processor with AES and AVX2. The compiler may move it a little.
const INSTRUCTIONS: u64 = 133_000;
/// Allocations of the same: 116 when this was written.
const ALLOCATIONS: u64 = 118;

#[test]
fn a_message_takes_no_more_instructions_than_it_did() {
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let each = each(&tool, "Collected : ");
    eprintln!("{each} instructions for each message");
    assert!((INSTRUCTIONS / 2..=INSTRUCTIONS).contains(&each), "{each} instructions");
}

#[test]
fn a_message_takes_no_more_allocations_than_it_did() {
    let each = each(&["--leak-check=no"], "total heap usage: ");
    eprintln!("{each} allocations for each message");
    assert!((ALLOCATIONS / 2..=ALLOCATIONS).contains(&each), "{each} allocations");
}

/// What each message takes of what Valgrind, run so, tells behind `mark`.
fn each(arguments: &[&str], mark: &str) -> u64 {
    (count(arguments, mark, MANY) - count(arguments, mark, FEW)) / (MANY - FEW)
}

fn count(arguments: &[&str], mark: &str, messages: u64) -> u64 {
    let mut run = Command::new("valgrind");
    run.args(arguments).arg(env!("CARGO_BIN_EXE_messages")).arg(messages.to_string());
    let ran = run.output().expect("please install Valgrind (`tests/run` does)");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let (_, told) = said.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in {said}"));
    let number: String =
        told.chars().take_while(|c| !c.is_whitespace()).filter(char::is_ascii_digit).collect();
    number.parse().expect("a number")
}
