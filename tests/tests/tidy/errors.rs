//! One public error per crate, and errors that do not log.
//!
//! Knows names of items; must not judge what an error says.

use crate::source::Source;

/// Crates whose faults meet in one enum. (The codec's crate has one small error per form it reads:
/// a frame, an address, a vector fail independently of each other.)
const CRATES: [&str; 4] = ["relay/src/", "crypto/src/", "client-lib/src/", "client-lib/cli/src/"];

/// Crates with more than one `pub enum ..Error`.
pub(crate) fn more_than_one(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for folder in CRATES {
        let mut enums = Vec::new();
        for source in sources.iter().filter(|source| source.path.starts_with(folder)) {
            for line in source.shipped_lines() {
                let words: Vec<&str> = line.code.split_whitespace().collect();
                if let ["pub", "enum", name, ..] = words[..]
                    && name.trim_end_matches('{').ends_with("Error")
                {
                    enums.push(format!("{}:{} {name}", source.path, line.number));
                }
            }
        }
        if enums.len() > 1 {
            findings.push(format!("{folder} has several public errors: {}", enums.join(", ")));
        }
    }
    findings
}

/// Files of errors that name the logging crate.
pub(crate) fn that_log(sources: &[Source]) -> Vec<String> {
    let files = sources.iter().filter(|source| matches!(source.name(), "error.rs" | "errors.rs"));
    let shipped = files.filter(|source| !crate::source::lies_among_tests(&source.path));
    let logs = |source: &&Source| source.paths().iter().any(|path| path.starts_with("tracing"));
    shipped.filter(logs).map(|source| format!("{}: an error logs", source.path)).collect()
}

#[test]
fn a_second_public_error_is_reported() {
    let one = Source::new("relay/src/error.rs", "pub enum Error { A }");
    let local = Source::new("relay/src/window.rs", "pub(crate) enum AckError { A }");
    let two = Source::new("relay/src/other.rs", "pub enum OtherError { B }");
    let elsewhere = Source::new("crypto/src/error.rs", "pub enum Error { A }");
    assert!(more_than_one(&[one, local, elsewhere]).is_empty());
    let one = Source::new("relay/src/error.rs", "pub enum Error { A }");
    assert_eq!(more_than_one(&[one, two]).len(), 1);
}

#[test]
fn an_error_that_logs_is_reported() {
    let text = "impl From<A> for Error { fn from(a: A) -> Self { tracing::warn!(\"a\"); B } }";
    assert_eq!(that_log(&[Source::new("relay/src/error.rs", text)]).len(), 1);
    assert_eq!(that_log(&[Source::new("relay/src/run.rs", text)]).len(), 0);
}
