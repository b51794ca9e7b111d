//! Papers: paths they name exist, operations share a skeleton, no machine shows through.
//!
//! Knows Markdown as far as links, headings and backticks go; must not judge the text.

use std::collections::BTreeSet;

use crate::repo::File;
use crate::source::Source;

/// What the description of an operation says, each as a bold label or a heading of its own.
const SKELETON: [&str; 7] = ["Who", "Fields", "Does", "Replies", "Errors", "Limits", "Example"];

/// Top-level folders by which a path in backticks is known.
const FOLDERS: [&str; 6] = ["spec/", "crypto/", "relay/", "client-lib/", "tests/", ".ci/"];

/// Operations whose description lacks a part of the skeleton.
pub(crate) fn skeleton(chapter: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut operations = 0;
    for section in chapter.split("\n### `").skip(1) {
        operations += 1;
        let name = section.split('`').next().unwrap_or_default();
        let body = section.split("\n## ").next().unwrap_or(section);
        for part in SKELETON {
            let labels = [format!("**{part}**"), format!("**{part}.**"), format!("**{part}:**")];
            let heading = format!("\n#### {part}");
            if !labels.iter().any(|label| body.contains(label)) && !body.contains(&heading) {
                findings.push(format!("`{name}` does not say **{part}**"));
            }
        }
    }
    if operations == 0 {
        findings.push("the chapter describes no operation (### `name`)".into());
    }
    findings
}

/// Links and paths that lead nowhere: in papers, and paths in backticks in comments of code.
pub(crate) fn dead_paths(files: &[File], sources: &[Source]) -> Vec<String> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in prose(&file.text) {
            let linked = links(line).filter_map(|target| resolve(file.folder(), target));
            let named = named_paths(line).map(str::to_owned);
            for path in linked.chain(named).filter(|path| !exists(&known, path)) {
                findings.push(format!("{}:{number}: {path} does not exist", file.path));
            }
        }
    }
    // The samples of tidy's own tests name what does not exist.
    let ours = |source: &&Source| !source.path.starts_with("tests/tests/tidy");
    for source in sources.iter().filter(ours) {
        for line in source.lines().filter(|line| line.text.trim_start().starts_with("//")) {
            for path in named_paths(line.text).filter(|path| !exists(&known, path)) {
                findings.push(format!("{}:{}: {path} does not exist", source.path, line.number));
            }
        }
    }
    findings
}

/// The lines outside of fenced blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// A relative target as a path from the root; `None` for what lies elsewhere.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let target = target.split(['#', ' ']).next().unwrap_or_default();
    if target.is_empty() || target.contains(':') {
        return None;
    }
    let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            path.pop()?;
        } else {
            path.push(part);
        }
    }
    Some(path.join("/"))
}

/// Paths in backticks that begin with one of our folders. What has a placeholder counts up to it.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let first = quoted.filter_map(|quote| quote.trim_start_matches("./").split_whitespace().next());
    let ours = first.filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)));
    ours.map(|path| {
        let path = path.split("::").next().unwrap_or(path);
        let path = path.split(':').next().unwrap_or(path);
        match path.find(['*', '<', '{', '$']) {
            Some(hole) => &path[..path[..hole].rfind('/').unwrap_or(hole)],
            None => path,
        }
    })
}

/// Whether the path is a file of the repository or a folder with files in it.
fn exists(known: &BTreeSet<&str>, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let folder = format!("{path}/");
    let inside = known.range(folder.as_str()..).next();
    path.is_empty() || known.contains(path) || inside.is_some_and(|one| one.starts_with(&folder))
}

/// Text that names a place on somebody's machine.
pub(crate) fn machine_paths(files: &[File]) -> Vec<String> {
    let places = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let named = places.iter().any(|place| {
                line.match_indices(place).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|char| char.is_alphanumeric() || "_-.}~".contains(char))
                })
            });
            if named {
                findings.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_without_a_part_is_reported() {
        let parts = SKELETON.map(|part| format!("**{part}** x\n")).concat();
        let whole = format!("# Commands\n\n### `ping`\n{parts}\n### `open`\n{parts}");
        assert!(skeleton(&whole).is_empty());
        assert_eq!(skeleton(&whole.replacen("**Errors** x", "", 1)).len(), 1);
        assert_eq!(skeleton("# Commands\n").len(), 1);
    }

    fn dead(paper: &str) -> Vec<String> {
        let files = [
            File::sample("spec/README.md", paper),
            File::sample("spec/src/limits.rs", ""),
            File::sample("README.md", ""),
        ];
        dead_paths(&files, &[])
    }

    #[test]
    fn a_dead_link_is_reported() {
        assert!(
            dead("[a](src/limits.rs), [b](../README.md#top), [c](https://a.b), [d](#e)").is_empty()
        );
        assert_eq!(dead("[a](limits.rs)").len(), 1);
        assert_eq!(dead("[a](../../outside.md)").len(), 0);
    }

    #[test]
    fn a_dead_path_in_backticks_is_reported() {
        assert!(dead("`spec/src/limits.rs:7`, `spec/`, `spec/src/*.rs`, `cargo run`").is_empty());
        assert_eq!(dead("see `spec/limits.rs`").len(), 1);
        assert_eq!(dead("see `relay/src/{a,b}.rs`").len(), 1);
        assert!(dead("```text\n`spec/gone.rs`\n```").is_empty());
    }

    #[test]
    fn a_dead_path_in_a_comment_is_reported() {
        let files = [File::sample("spec/README.md", "")];
        let source = |text| [Source::new("crypto/src/letter.rs", text)];
        assert_eq!(dead_paths(&files, &source("//! See `spec/09-letters.md`.")).len(), 1);
        assert_eq!(dead_paths(&files, &source("//! See `spec/README.md`.")).len(), 0);
    }

    #[test]
    fn a_path_of_a_machine_is_reported() {
        let found = |text: &str| machine_paths(&[File::sample("a.md", text)]).len();
        assert_eq!(found(concat!("stored in /ho", "me/someone/x")), 1);
        assert_eq!(found(concat!("\"/ro", "ot/.cargo\"")), 1);
        assert_eq!(found(concat!("$HOME/x, a/ho", "me/b")), 0);
    }
}
