//! Which crate and which folder may name which: the tables of `ARCHITECTURE.md` against manifests
//! and paths.
//!
//! Knows the form of the tables; must not repeat what stands in them.

use crate::repo::Package;
use crate::source::{Source, lies_among_tests};

/// What a table of arrows says: for each place, what it may name.
#[derive(Debug)]
pub(crate) struct Table(Vec<(String, Vec<String>)>);

impl Table {
    pub(crate) fn between_crates(paper: &str) -> Self {
        Self::under(paper, "### Between crates")
    }

    pub(crate) fn inside_the_relay(paper: &str) -> Self {
        Self::under(paper, "### Inside the relay")
    }

    /// Reads the rows below a heading, up to the next one. A cell names places in backticks, or
    /// is one of the words "everything", "everyone" and "nothing".
    fn under(paper: &str, heading: &str) -> Self {
        let lines = paper.lines().skip_while(|line| line.trim() != heading).skip(1);
        let rows: Vec<_> = lines
            .take_while(|line| !line.starts_with('#'))
            .filter_map(|line| line.trim().strip_prefix('|')?.split_once('|'))
            .filter(|(from, _)| from.contains('`') || from.trim() == "everyone")
            .map(|(from, to)| (names(from).concat(), names(to)))
            .collect();
        assert!(!rows.is_empty(), "no table of arrows below {heading:?}");
        Self(rows)
    }

    /// What `place` may name, from its most exact row and the row of everyone; `None` if it has
    /// no row.
    fn allowed(&self, place: &str) -> Option<Vec<&str>> {
        let rows = self.0.iter().filter(|(from, _)| covers(from, place));
        let (_, own) = rows.max_by_key(|(from, _)| from.len())?;
        let everyone = self.0.iter().filter(|(from, _)| from == "everyone");
        Some(own.iter().chain(everyone.flat_map(|row| &row.1)).map(String::as_str).collect())
    }
}

/// The names in backticks, or the words that stand for many.
fn names(cell: &str) -> Vec<String> {
    match cell.trim().trim_end_matches('|').trim() {
        word @ ("everything" | "everyone") => vec![word.into()],
        cell => cell.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
    }
}

/// Whether `place` is `row` or lies in it.
fn covers(row: &str, place: &str) -> bool {
    let rest = place.strip_prefix(row);
    row == "everything" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Members that name a member the table does not give them.
pub(crate) fn crates(table: &Table, packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(allowed) = table.allowed(&package.folder) else {
            findings.push(format!("{}: has no row in the table of crates", package.folder));
            continue;
        };
        let ours = packages.iter().filter(|other| package.dependencies.contains(&other.name));
        for other in ours.filter(|other| other.folder != package.folder) {
            if !allowed.iter().any(|row| *row == "everything" || *row == other.folder) {
                findings.push(format!("{}: may not name {}", package.folder, other.folder));
            }
        }
    }
    findings
}

/// Paths from one folder of a crate into another that the table does not give it.
pub(crate) fn folders(table: &Table, root: &str, sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let Some(module) = module_of(root, &source.path) else { continue };
        let place = module.join("::");
        let Some(allowed) = table.allowed(&place) else {
            findings.push(format!("{}: has no row in the table of folders", source.path));
            continue;
        };
        for path in source.paths().iter().filter(|path| !path.in_test) {
            let Some(target) = absolute(&module, &path.segments) else { continue };
            let name = target.join("::");
            let own = target.first().is_none_or(|first| *first == module[0]);
            if !own && !allowed.iter().any(|row| covers(row, &name)) {
                let at = format!("{}:{}", source.path, path.line);
                findings.push(format!("{at}: {place} may not name {name}"));
            }
        }
    }
    findings
}

/// The module a file is, from the crate's root; `None` for the root itself and other crates.
fn module_of<'a>(root: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let inner = path.strip_prefix(root)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    let is_root = matches!(inner, "lib" | "main") || inner.starts_with("bin/");
    (!is_root).then(|| inner.split('/').collect())
}

/// A path of this crate, from the crate's root; `None` if it begins elsewhere.
fn absolute<'a>(module: &[&'a str], path: &'a [String]) -> Option<Vec<&'a str>> {
    let mut rest = path.iter().map(String::as_str).peekable();
    let mut base = match rest.peek() {
        Some(&"crate") => Vec::new(),
        Some(&"super") => module.to_vec(),
        _ => return None,
    };
    while let Some(step) = rest.next_if(|step| matches!(*step, "crate" | "super")) {
        if step == "super" {
            base.pop();
        }
    }
    base.extend(rest);
    Some(base)
}

/// Libraries that may be named only in some places: name, places, why.
const HOMES: [(&str, &[&str], &str); 4] = [
    ("redb", &["relay/src/buffer"], "a second buffer must fit behind the trait"),
    ("object_store", &["relay/src/buffer/blobs"], "where blobs are is one folder's business"),
    ("prost", &["spec"], "wire types end at the conversion"),
    ("openmls", &["crypto", "client-lib/src/store"], "the relay and the SDK's logic know no MLS"),
];

/// The same for manifests.
const DEPENDENCY_HOMES: [(&str, &[&str]); 4] = [
    ("object_store", &["relay"]),
    ("redb", &["relay", "tests"]),
    ("prost", &["spec", "tests"]),
    ("openmls", &["crypto", "client-lib", "tests"]),
];

/// Shipped code that names a library outside of its places.
pub(crate) fn homes(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !lies_among_tests(&source.path)) {
        for path in source.paths().iter().filter(|path| !path.in_test && path.segments.len() > 1) {
            let home = HOMES.iter().find(|home| {
                let first = path.segments.first().map_or("", String::as_str);
                first == home.0 || first.starts_with(&format!("{}_", home.0))
            });
            let Some((library, places, why)) = home else { continue };
            if !places.iter().any(|place| source.path.starts_with(place)) {
                let at = format!("{}:{}", source.path, path.line);
                findings.push(format!("{at}: {library} is named only in {places:?}: {why}"));
            }
        }
    }
    findings
}

/// Manifests that name a library outside of its places.
pub(crate) fn dependency_homes(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for (library, places) in DEPENDENCY_HOMES {
        let outside = packages.iter().filter(|package| !places.contains(&package.folder.as_str()));
        for package in outside {
            if package.dependencies.iter().any(|name| name == library) {
                findings.push(format!("{}/Cargo.toml: names {library}", package.folder));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: &str = "### Between crates\n| from | may name |\n|---|---|\n| `spec` | nothing |\n\
        | `relay` | `crypto`, `spec` |\n| `tests` | everything |\n\n### Inside the relay\n\
        | from | may name |\n|---|---|\n| `gateway` | `mailbox::api` |\n| `mailbox` | `buffer` |\n\
        | `buffer` | nothing |\n| `ops` | nothing |\n| `ops::config` | `buffer` |\n\
        | `run` | everything |\n| everyone | `ops::tasks` |\n";

    fn package(folder: &str, name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|one| (*one).to_owned()).collect();
        Package { folder: folder.into(), name: name.into(), dependencies }
    }

    #[test]
    fn a_crate_that_looks_upwards_is_reported() {
        let table = Table::between_crates(PAPER);
        let spec = package("spec", "our-spec", &["bytes", "our-relay"]);
        let relay = package("relay", "our-relay", &["our-spec", "tokio"]);
        let tests = package("tests", "our-tests", &["our-spec", "our-relay"]);
        let stray = package("stray", "our-stray", &[]);
        let found = crates(&table, &[spec, relay, tests, stray]);
        let expected = ["spec: may not name relay", "stray: has no row in the table of crates"];
        assert_eq!(found, expected);
    }

    fn folder_findings(path: &str, text: &str) -> usize {
        folders(&Table::inside_the_relay(PAPER), "relay/src", &[Source::new(path, text)]).len()
    }

    #[test]
    fn a_path_against_the_arrows_is_reported() {
        let gateway = "relay/src/gateway/session.rs";
        assert_eq!(folder_findings(gateway, "use crate::mailbox::api::Mailboxes;"), 0);
        assert_eq!(folder_findings(gateway, "use crate::mailbox::{api, service};"), 1);
        assert_eq!(folder_findings(gateway, "use super::super::mailbox::service;"), 1);
        assert_eq!(folder_findings(gateway, "use super::listener::Door;"), 0);
        assert_eq!(folder_findings(gateway, "fn f() { crate::buffer::open() }"), 1);
        assert_eq!(folder_findings(gateway, "use crate::Reexported;"), 1);
        assert_eq!(folder_findings(gateway, "use crate::ops::tasks::Tasks;"), 0);
        assert_eq!(folder_findings("relay/src/mailbox/mod.rs", "use crate::gateway::a;"), 1);
        assert_eq!(folder_findings("relay/src/run.rs", "use crate::gateway::a;"), 0);
    }

    #[test]
    fn the_most_exact_row_counts() {
        assert_eq!(folder_findings("relay/src/ops/config.rs", "use crate::buffer::Settings;"), 0);
        assert_eq!(folder_findings("relay/src/ops/metrics.rs", "use crate::buffer::Settings;"), 1);
        assert_eq!(folder_findings("relay/src/stray.rs", ""), 1);
    }

    #[test]
    fn tests_of_a_folder_may_name_anything() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::gateway::Door;\n}";
        assert_eq!(folder_findings("relay/src/buffer/mod.rs", text), 0);
    }

    #[test]
    fn a_library_away_from_home_is_reported() {
        let found = |path, text| homes(&[Source::new(path, text)]).len();
        assert_eq!(found("relay/src/mailbox/service.rs", "use redb::Database;"), 1);
        assert_eq!(found("relay/src/buffer/store.rs", "use redb::Database;"), 0);
        assert_eq!(found("client-lib/src/driver.rs", "use openmls_traits::OpenMlsProvider;"), 1);
        assert_eq!(found("client-lib/src/content.rs", "fn f(m: prost::Message) {}"), 1);
        let packages = [package("client-lib", "c", &["prost"]), package("spec", "s", &["prost"])];
        assert_eq!(dependency_homes(&packages), ["client-lib/Cargo.toml: names prost"]);
    }
}
