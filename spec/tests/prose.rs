//! The prose says what the code says: examples are vectors, tables are the tables.
//!
//! Knows the form of the chapters; what the rules mean is tested where they are enforced.
#![expect(clippy::expect_used, reason = "a test that cannot read its chapter has failed")]

use std::fs;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use restante_spec::codes::{Code, Fault, Retry};
use restante_spec::limits;
use restante_spec::vector::Vector;

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).expect("the file")
}

/// FRM-1: the bytes shown with each operation are those of the vector named with them.
#[test]
fn examples_are_the_vectors() {
    let chapter = file("04-commands.md");
    let mut examples = 0;
    for section in chapter.split("\n### `").skip(1) {
        let operation = section.split('`').next().expect("a name");
        let example = section.split("**Example**").nth(1).expect("an example");
        let name = example.split("vectors/frame/").nth(1).expect("a vector");
        let name = name.split(".txt").next().expect("its name");
        assert!(name.ends_with(operation), "{operation} shows {name}");
        let shown = example.split("```text\n").nth(1).expect("bytes").split("```").next();
        let shown: String = shown.expect("bytes").split_whitespace().collect();
        let vector = Vector::parse(name, &file(&format!("vectors/frame/{name}.txt"))).unwrap();
        assert_eq!(shown, HEXLOWER.encode(vector.field("frame").unwrap()), "{operation}");
        examples += 1;
    }
    assert_eq!(examples, 24, "one for each operation, of a client or a relay");
}

/// ERR-1: the table of errors is the one in `codes.rs`, row for row.
#[test]
fn the_table_of_errors_is_the_code() {
    let chapter = file("06-errors.md");
    let rows: Vec<Vec<&str>> = chapter
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(" | `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Code::ALL.len());
    for (row, code) in rows.iter().zip(Code::ALL) {
        let fault = match code.fault() {
            Fault::Peer => "the sender",
            Fault::Rights => "no right",
            Fault::State => "has changed",
            Fault::Bound => "a bound",
            Fault::Relay => "the relay",
        };
        let retry = match code.retry() {
            Retry::Never => "never",
            Retry::Later => "later",
            Retry::AfterCatchUp => "after catching up",
            Retry::Reconnect => "on a new connection",
        };
        let closes = if code.closes() { "yes" } else { "no" };
        let (number, name) = (code.number().to_string(), format!("`{}`", code.name()));
        let expected = [number.as_str(), &name, row[2], fault, retry, closes];
        assert_eq!(row[..], expected);
    }
}

/// LIM-1 to LIM-14: each number of `limits.rs` stands in its row.
#[test]
fn the_table_of_limits_is_the_code() {
    let chapter = file("07-limits.md");
    let row = |rule: usize| {
        let start = format!("| **LIM-{rule}** |");
        chapter.lines().find(|line| line.starts_with(&start)).expect("a row for each limit")
    };
    let number = |n: usize| {
        let digits = n.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    };
    let small = |n: u32| number(n as usize);
    let kib = |n: usize| format!("{} KiB", n / 1_024);
    let mib = |n: u64| format!("{} MiB", n / (1_024 * 1_024));
    let days = |s: restante_spec::ids::Seconds| format!("{} days", s.get() / 86_400);
    let expected: [Vec<String>; 14] = [
        vec![number(limits::HEADER_BYTES), number(limits::BODY_BYTES)],
        vec![days(limits::TTL_DEFAULT), days(limits::TTL_MAX)],
        vec![
            small(limits::MAILBOX_ENTRIES),
            mib(limits::MAILBOX_BYTES),
            small(limits::COMMIT_RESERVE_ENTRIES),
            mib(limits::COMMIT_RESERVE_BYTES),
        ],
        vec![number(limits::KEYS), number(limits::READERS), number(limits::REPLACED_KEYS)],
        vec![number(limits::COMMIT_READERS), number(limits::COMMIT_BLOBS)],
        vec![number(limits::CARD_BYTES)],
        vec![
            number(limits::PREKEYS_PER_SLOT),
            number(limits::PREKEY_SLOTS),
            number(limits::PREKEY_BYTES),
            number(limits::TAKES_REMEMBERED),
        ],
        vec![number(limits::HANDLES), number(limits::REQUESTS_IN_FLIGHT)],
        vec![small(limits::CREDIT_ENVELOPES), mib(limits::CREDIT_BYTES.into())],
        vec![kib(limits::PENDING_OUTPUT_BYTES)],
        vec![
            format!("{} s", limits::HELLO_TIMEOUT.get()),
            format!("{} to {} s", limits::IDLE_MIN.get(), limits::IDLE_MAX.get()),
        ],
        vec![
            number(limits::CONNECTIONS),
            number(limits::CONNECTIONS_PER_PREFIX),
            number(limits::HANDSHAKES_IN_FLIGHT),
        ],
        vec![small(limits::COMMITS_PER_SECOND), small(limits::COMMIT_BURST)],
        vec![number(usize::try_from(limits::MAILBOXES).unwrap())],
    ];
    for (index, values) in expected.iter().enumerate() {
        let row = row(index + 1);
        for value in values {
            assert!(row.contains(value.as_str()), "LIM-{}: {value} is not in: {row}", index + 1);
        }
    }
}
