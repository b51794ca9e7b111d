//! The shape of source files: docs, sizes, globs, names of tests, nothing unfinished, Sans-IO.
//!
//! Knows text; must not know what the code is for.

use crate::repo::File;
use crate::source::{Line, Source};

/// Lines outside tests that a file may have.
const FILE_LINES: usize = 500;
/// Columns that a line may have.
const COLUMNS: usize = 100;

/// Files that do not begin with a module doc.
pub(crate) fn module_docs(sources: &[Source]) -> Vec<String> {
    let silent = sources.iter().filter(|source| source.module_doc().next().is_none());
    silent.map(|source| format!("{}: does not begin with //!", source.path)).collect()
}

/// Files with too many lines outside of tests.
pub(crate) fn file_length(sources: &[Source]) -> Vec<String> {
    let length = |source: &Source| {
        let whole_file = source.lines().all(|line| line.in_test);
        source.lines().filter(|line| whole_file || !line.in_test).count()
    };
    let long = sources.iter().filter(|source| length(source) > FILE_LINES);
    long.map(|source| format!("{}: {} lines", source.path, length(source))).collect()
}

/// Lines of code that do not fit on a screen.
pub(crate) fn columns(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let code = |file: &&File| [".rs", ".proto", ".py"].iter().any(|end| file.path.ends_with(end));
    for file in files.iter().filter(code) {
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS {
                findings.push(format!("{}:{}: {columns} columns", file.path, index + 1));
            }
        }
    }
    findings
}

/// Globs in what a file exports. Generated wire types are the exception: nobody writes them.
pub(crate) fn globs(sources: &[Source]) -> Vec<String> {
    let is_glob = |line: &Line<'_>| {
        let exported = line.code.trim_start().starts_with("pub");
        exported && line.code.contains(" use ") && line.code.contains("::*")
    };
    let generated = |line: &Line<'_>| line.code.contains("generated");
    find(sources, |_, line| is_glob(line) && !generated(line), "exports by a glob")
}

/// What I/O looks like, by path.
const IO: [&str; 10] = [
    "tokio",
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "rand",
    "getrandom",
    "OsRng",
    "SysRng",
];

/// Files whose doc has a line `Sans-IO` and whose shipped code does I/O all the same.
pub(crate) fn sans_io(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    let claims = |source: &&Source| source.module_doc().any(|line| line.contains("Sans-IO"));
    for source in sources.iter().filter(claims) {
        for path in source.paths().iter().filter(|path| !path.in_test) {
            if let Some(io) = IO.iter().find(|io| path.has(io)) {
                findings.push(format!("{}:{}: {io} in a Sans-IO file", source.path, path.line));
            }
        }
    }
    findings
}

/// Tests that are ignored, and code that says it is not there yet.
pub(crate) fn unfinished(sources: &[Source]) -> Vec<String> {
    let marks = ["todo!", "unimplemented!", "#[ignore"];
    let code = |_: &Source, line: &Line<'_>| marks.iter().any(|mark| line.code.contains(mark));
    let mut findings = find(sources, code, "is unfinished or ignored");
    let words = ["TODO", "FIXME", "XXX:", "HACK"].map(|word| format!("// {word}"));
    let comment = |_: &Source, line: &Line<'_>| words.iter().any(|word| line.text.contains(word));
    findings.extend(find(sources, comment, "leaves a note instead of doing it"));
    findings
}

/// Functions named `test_..`.
pub(crate) fn names_of_tests(sources: &[Source]) -> Vec<String> {
    find(sources, |_, line| line.code.contains("fn test_"), "a test's name is its claim")
}

/// All lines that `bad` points at.
fn find(sources: &[Source], bad: impl Fn(&Source, &Line<'_>) -> bool, what: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for line in source.lines().filter(|line| bad(source, line)) {
            let text = line.text.trim();
            findings.push(format!("{}:{}: {what}: {text}", source.path, line.number));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> [Source; 1] {
        [Source::new("crypto/src/sample.rs", text)]
    }

    #[test]
    fn a_file_without_doc_is_reported() {
        assert_eq!(module_docs(&sample("use a::b;\n//! late")).len(), 1);
        assert_eq!(module_docs(&sample("//! early\nuse a::b;")).len(), 0);
    }

    #[test]
    fn a_long_file_is_reported_and_its_tests_do_not_count() {
        let shipped = "fn f() {}\n".repeat(FILE_LINES);
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(file_length(&sample(&format!("{shipped}{tests}"))).len(), 0);
        assert_eq!(file_length(&sample(&format!("fn g() {{}}\n{shipped}{tests}"))).len(), 1);
        let suite = Source::new("tests/tests/suite.rs", &format!("fn g() {{}}\n{shipped}"));
        assert_eq!(file_length(&[suite]).len(), 1);
    }

    #[test]
    fn a_wide_line_is_reported() {
        let fits = "x".repeat(COLUMNS);
        assert_eq!(columns(&[File::sample("crypto/src/a.rs", &fits)]).len(), 0);
        assert_eq!(columns(&[File::sample("crypto/src/a.rs", &format!("{fits}x"))]).len(), 1);
    }

    #[test]
    fn an_exported_glob_is_reported() {
        assert_eq!(globs(&sample("pub use crate::letters::*;")).len(), 1);
        assert_eq!(globs(&sample("pub(crate) use crate::letters::*;")).len(), 1);
        assert_eq!(globs(&sample("pub use generated::*;\nuse super::*;")).len(), 0);
    }

    #[test]
    fn io_in_a_sans_io_file_is_reported() {
        let doc = "//! A window.\n//! Sans-IO: knows numbers.\n";
        let found = |code: &str| sans_io(&sample(&format!("{doc}{code}"))).len();
        assert_eq!(found("use tokio::io;"), 1);
        assert_eq!(found("use std::{net::IpAddr, time::Instant};"), 1);
        assert_eq!(found("fn f() { g(std::time::Instant::now()) }"), 1);
        assert_eq!(found("fn f(now: Instant) {}"), 0);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n    use rand::Rng;\n}"), 0);
        assert_eq!(sans_io(&sample("//! Drives the sans-IO core.\nuse tokio::io;")).len(), 0);
    }

    #[test]
    fn unfinished_code_is_reported() {
        assert_eq!(unfinished(&sample("fn f() { todo!() }")).len(), 1);
        assert_eq!(unfinished(&sample("#[test]\n#[ignore = \"slow\"]\nfn f() {}")).len(), 1);
        assert_eq!(unfinished(&sample(concat!("// TO", "DO: more"))).len(), 1);
        assert_eq!(unfinished(&sample("fn f() {} // does everything")).len(), 0);
    }

    #[test]
    fn a_test_without_claim_is_reported() {
        assert_eq!(names_of_tests(&sample("#[test]\nfn test_window() {}")).len(), 1);
        assert_eq!(names_of_tests(&sample("#[test]\nfn window_closes() {}")).len(), 0);
    }
}
