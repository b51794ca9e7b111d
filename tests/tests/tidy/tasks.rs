//! Tasks start in one place, channels are bounded, tests do not sleep.
//!
//! Knows the names under which the standard library and tokio offer these; must not know who uses
//! them for what.

use crate::paths::Named;
use crate::repo::File;
use crate::source::{Source, lies_among_tests};

/// Where tasks and threads may be started.
const SPAWNERS: [&str; 2] = ["relay/src/ops/tasks.rs", "client-lib/src/tasks.rs"];

/// What starts a task or a thread.
const STARTS: [&str; 12] = [
    "tokio::spawn",
    "task::spawn",
    "spawn_blocking",
    "spawn_local",
    "thread::spawn",
    "thread::Builder",
    "thread::scope",
    "JoinSet",
    "TaskTracker",
    "LocalSet",
    "Handle::current",
    "Handle::try_current",
];

/// What makes a channel without a bound.
const UNBOUNDED: [&str; 4] =
    ["unbounded_channel", "UnboundedSender", "unbounded", "async_channel::unbounded"];

/// What sleeps.
const SLEEPS: [&str; 4] = ["sleep", "sleep_until", "sleep_ms", "park_timeout"];

/// Shipped code that starts tasks elsewhere.
pub(crate) fn spawned_elsewhere(sources: &[Source]) -> Vec<String> {
    let elsewhere = |source: &&Source| {
        !SPAWNERS.contains(&source.path.as_str()) && !lies_among_tests(&source.path)
    };
    let sources = sources.iter().filter(elsewhere);
    naming(sources, |path| !path.in_test && STARTS.iter().any(|start| path.has(start)))
}

/// Code, tests included, that makes a channel without a bound.
pub(crate) fn unbounded_channels(sources: &[Source]) -> Vec<String> {
    let mut findings =
        naming(sources.iter(), |path| UNBOUNDED.iter().any(|channel| path.has(channel)));
    for source in sources {
        for line in source.lines() {
            let code: String = line.code.split_whitespace().collect();
            if code.contains("mpsc::channel()")
                || code.contains("mpsc::channel::<") && code.contains(">()")
            {
                findings.push(format!("{}:{}: an unbounded channel", source.path, line.number));
            }
        }
    }
    findings
}

/// Tests and benches that wait for a time instead of an event.
pub(crate) fn sleeping_tests(sources: &[Source]) -> Vec<String> {
    naming(sources.iter(), |path| path.in_test && SLEEPS.iter().any(|sleep| path.has(sleep)))
}

/// The same for what is not Rust.
pub(crate) fn sleeping_scripts(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let first = file.text.lines().next().unwrap_or_default();
        let shell = file.path.ends_with(".sh") || first.starts_with("#!") && first.ends_with("sh");
        let python = file.path.ends_with(".py");
        for (index, line) in file.text.lines().enumerate() {
            let words: Vec<&str> =
                line.split(|char: char| !char.is_alphanumeric() && char != '.').collect();
            let shell_sleeps =
                shell && !line.trim_start().starts_with('#') && words.contains(&"sleep");
            if shell_sleeps || python && words.contains(&"time.sleep") {
                findings.push(format!("{}:{}: sleeps", file.path, index + 1));
            }
        }
    }
    findings
}

/// Every path that `bad` points at. A bare word is no path: what it stands for was imported by one.
fn naming<'a>(
    sources: impl Iterator<Item = &'a Source>,
    bad: impl Fn(&Named) -> bool,
) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for path in source.paths().iter().filter(|path| path.segments.len() > 1 && bad(path)) {
            findings.push(format!("{}:{}: names {}", source.path, path.line, path.text()));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(text: &str) -> [Source; 1] {
        [Source::new("relay/src/gateway/listener.rs", text)]
    }

    #[test]
    fn a_task_started_elsewhere_is_reported() {
        assert_eq!(spawned_elsewhere(&shipped("fn f() { tokio::spawn(g()); }")).len(), 1);
        assert_eq!(spawned_elsewhere(&shipped("use tokio::{io, task::spawn_blocking};")).len(), 1);
        assert_eq!(spawned_elsewhere(&shipped("fn f() { std::thread::spawn(g); }")).len(), 1);
        assert_eq!(spawned_elsewhere(&shipped("use tokio::task::JoinSet;")).len(), 1);
        assert_eq!(spawned_elsewhere(&shipped("fn f() { tasks.spawn(g()); }")).len(), 0);
        let spawner = Source::new(SPAWNERS[0], "fn f() { tokio::spawn(g()); }");
        assert_eq!(spawned_elsewhere(&[spawner]).len(), 0);
    }

    #[test]
    fn a_channel_without_bound_is_reported() {
        assert_eq!(
            unbounded_channels(&shipped("use tokio::sync::mpsc::unbounded_channel;")).len(),
            1
        );
        assert_eq!(unbounded_channels(&shipped("let (a, b) = mpsc::channel();")).len(), 1);
        assert_eq!(unbounded_channels(&shipped("let c = mpsc::channel::<u8>();")).len(), 1);
        assert_eq!(unbounded_channels(&shipped("let c = mpsc::channel(8);")).len(), 0);
        assert_eq!(unbounded_channels(&shipped("let c = mpsc::sync_channel(8);")).len(), 0);
    }

    #[test]
    fn a_sleeping_test_is_reported() {
        let test = "#[cfg(test)]\nmod tests {\n    fn f() { std::thread::sleep(A); }\n}";
        assert_eq!(sleeping_tests(&shipped(test)).len(), 1);
        assert_eq!(sleeping_tests(&shipped("use tokio::time::sleep;")).len(), 0);
        let suite = Source::new("tests/tests/journey.rs", "use tokio::time::{sleep, timeout};");
        assert_eq!(sleeping_tests(&[suite]).len(), 1);
    }

    #[test]
    fn a_sleeping_script_is_reported() {
        let found = |path, text| sleeping_scripts(&[File::sample(path, text)]).len();
        assert_eq!(found("tests/run", "#!/usr/bin/env bash\nsleep 5"), 1);
        assert_eq!(found("spec/vectors/check.py", "import time\ntime.sleep(1)"), 1);
        assert_eq!(found("tests/run", "#!/usr/bin/env bash\n# no sleep here\nwait"), 0);
        assert_eq!(found("README.md", "sleep well"), 0);
    }
}
