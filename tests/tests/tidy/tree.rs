//! What is compiled into the relay, as `cargo tree` tells it.
//!
//! Asks for the relay alone: building the workspace at once would unify features. Knows names of
//! packages; must not know versions (`deny.toml` does).

use crate::repo::output;

/// Packages that would let the relay read what it carries, or bring a second crypto stack.
const NOT_IN_THE_RELAY: [&str; 7] =
    ["openmls", "openmls_rust_crypto", "x-wing", "ml-kem", "chacha20poly1305", "ring", "rusqlite"];

pub(crate) fn packages_of_the_relay() -> String {
    tree(&["-p", "restante-relay", "-e", "normal,build", "--prefix", "none"])
}

pub(crate) fn features_of_the_relay() -> String {
    tree(&["-p", "restante-relay", "-e", "features,no-dev", "--prefix", "none"])
}

pub(crate) fn packages_of_the_workspace() -> String {
    tree(&["--workspace", "--prefix", "none"])
}

fn tree(args: &[&str]) -> String {
    output(env!("CARGO"), &[&["tree", "--locked"], args].concat())
}

/// Packages in the relay that must not be there.
pub(crate) fn relay_packages(tree: &str) -> Vec<String> {
    let mut findings = present(tree, "restante-relay", &NOT_IN_THE_RELAY);
    let mls = |line: &&str| line.starts_with("openmls") || line.starts_with("hpke");
    findings.extend(tree.lines().filter(mls).map(|line| format!("in the relay: {line}")));
    findings.sort();
    findings.dedup();
    findings
}

/// Features in the relay that must not be there.
pub(crate) fn relay_features(tree: &str) -> Vec<String> {
    assert!(tree.contains("restante-crypto"), "the relay checks proofs through restante-crypto");
    let unwanted = |line: &&str| {
        let e2e = line.starts_with("restante-crypto") && line.contains("\"e2e\"");
        e2e || line.starts_with("restante-relay") && line.contains("\"simulation\"")
    };
    tree.lines().filter(unwanted).map(|line| format!("in the relay: {line}")).collect()
}

/// Packages that must not be anywhere.
pub(crate) fn workspace_packages(tree: &str) -> Vec<String> {
    present(tree, "restante-tests", &["ring"])
}

/// The lines of a tree without prefixes that are one of the packages. The root must be in it, so
/// that an empty answer is not taken for a clean one.
fn present(tree: &str, root: &str, packages: &[&str]) -> Vec<String> {
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    assert!(tree.lines().any(|line| name(line) == root), "{root} is not in its own tree");
    let found = tree.lines().filter(|line| packages.contains(&name(line).as_str()));
    found.map(|line| format!("in the relay: {line}")).collect()
}

#[test]
fn decryption_in_the_relay_is_reported() {
    let clean = "restante-relay v0.1.0\nrustls v0.23.46\nstring v1.0.0";
    assert!(relay_packages(clean).is_empty());
    let found = relay_packages(&format!("{clean}\nopenmls v0.9.0\nopenmls_traits v0.5.0 (*)"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(relay_packages(&format!("{clean}\nring v0.17.0")).len(), 1);
}

#[test]
#[should_panic(expected = "not in its own tree")]
fn an_empty_tree_is_not_clean() {
    relay_packages("");
}

#[test]
fn the_features_of_others_are_reported() {
    let clean = "restante-crypto v0.1.0\nrestante-crypto feature \"proofs\"";
    assert!(relay_features(clean).is_empty());
    assert_eq!(relay_features(&format!("{clean}\nrestante-crypto feature \"e2e\"")).len(), 1);
    let simulated = format!("{clean}\nrestante-relay feature \"simulation\"");
    assert_eq!(relay_features(&simulated).len(), 1);
}

#[test]
fn ring_in_the_workspace_is_reported() {
    assert_eq!(workspace_packages("restante-tests v0.1.0\nring v0.17.14").len(), 1);
    assert_eq!(workspace_packages("restante-tests v0.1.0\nrand v0.9.0").len(), 0);
}
