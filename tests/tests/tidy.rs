//! Reads the repository and fails where it drifts from its own rules.
//!
//! One test per rule, each named as the claim it checks; the checkers lie beside it in `tidy/`, and
//! each has tests that feed it a bad input, so that a checker that sees nothing is noticed. Knows
//! files, manifests and the answers of `git` and `cargo`; must not know any crate's code.

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/errors.rs"]
mod errors;
#[path = "tidy/numbers.rs"]
mod numbers;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/plants.rs"]
mod plants;
#[path = "tidy/repo.rs"]
mod repo;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tasks.rs"]
mod tasks;
#[path = "tidy/tree.rs"]
mod tree;

use repo::Repo;

/// Fails with every finding, one per line.
fn assert_clean(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let repo = Repo::load();
    let table = arrows::Table::between_crates(repo.text_of("ARCHITECTURE.md"));
    assert_clean(arrows::crates(&table, &repo::packages()));
}

#[test]
fn folders_of_the_relay_name_only_what_their_arrows_allow() {
    let repo = Repo::load();
    let table = arrows::Table::inside_the_relay(repo.text_of("ARCHITECTURE.md"));
    assert_clean(arrows::folders(&table, "relay/src", &repo.sources));
}

#[test]
fn libraries_are_named_only_where_they_belong() {
    let repo = Repo::load();
    assert_clean(arrows::homes(&repo.sources));
    assert_clean(arrows::dependency_homes(&repo::packages()));
}

#[test]
fn sans_io_files_hold_no_io() {
    assert_clean(shape::sans_io(&Repo::load().sources));
}

#[test]
fn the_relay_is_built_without_decryption() {
    assert_clean(tree::relay_packages(&tree::packages_of_the_relay()));
    assert_clean(tree::relay_features(&tree::features_of_the_relay()));
}

#[test]
fn ring_is_nowhere_in_the_workspace() {
    assert_clean(tree::workspace_packages(&tree::packages_of_the_workspace()));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    assert_clean(shape::module_docs(&Repo::load().sources));
}

#[test]
fn files_and_lines_are_short() {
    let repo = Repo::load();
    assert_clean(shape::file_length(&repo.sources));
    assert_clean(shape::columns(&repo.files));
}

#[test]
fn planted_faults_fit_the_code() {
    assert_clean(plants::unfitting(&Repo::load().files));
}

#[test]
fn nothing_is_exported_by_a_glob() {
    assert_clean(shape::globs(&repo::Repo::load().sources));
}

#[test]
fn numbers_live_where_numbers_live() {
    assert_clean(numbers::outside_their_homes(&Repo::load().sources));
}

#[test]
fn nothing_is_left_to_be_done_or_ignored() {
    assert_clean(shape::unfinished(&Repo::load().sources));
}

#[test]
fn tests_are_named_as_claims() {
    assert_clean(shape::names_of_tests(&Repo::load().sources));
}

#[test]
fn every_rule_is_defined_once_enforced_and_tested() {
    let repo = Repo::load();
    let rules = rules::Rules::read(&repo);
    assert_clean(rules.defined_badly());
    assert_clean(rules.without_enforcement());
    assert_clean(rules.without_test());
}

#[test]
fn no_unknown_rule_is_named() {
    assert_clean(rules::Rules::read(&Repo::load()).unknown());
}

#[test]
fn each_operation_is_described_by_the_same_skeleton() {
    let repo = Repo::load();
    assert_clean(papers::skeleton(repo.text_of("spec/04-commands.md")));
}

#[test]
fn every_path_named_in_a_paper_or_a_comment_exists() {
    let repo = Repo::load();
    assert_clean(papers::dead_paths(&repo.files, &repo.sources));
}

#[test]
fn no_file_names_a_path_of_some_machine() {
    assert_clean(papers::machine_paths(&Repo::load().files));
}

#[test]
fn tasks_start_in_one_place() {
    assert_clean(tasks::spawned_elsewhere(&Repo::load().sources));
}

#[test]
fn channels_are_bounded() {
    assert_clean(tasks::unbounded_channels(&Repo::load().sources));
}

#[test]
fn tests_do_not_sleep() {
    let repo = Repo::load();
    assert_clean(tasks::sleeping_tests(&repo.sources));
    assert_clean(tasks::sleeping_scripts(&repo.files));
}

#[test]
fn each_crate_has_one_public_error() {
    assert_clean(errors::more_than_one(&Repo::load().sources));
}

#[test]
fn errors_do_not_log() {
    assert_clean(errors::that_log(&Repo::load().sources));
}
