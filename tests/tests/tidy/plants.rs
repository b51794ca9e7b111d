//! Planted faults: one that does not fit the code any more tests nothing.
//!
//! Asks `git`; must not know what a fault does.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::repo::{File, root};

/// Where they lie.
const PLANTS: &str = "tests/simulation/plants/";

/// Planted faults that cannot be planted.
pub(crate) fn unfitting(files: &[File]) -> Vec<String> {
    let plants: Vec<&File> = files.iter().filter(|file| file.path.starts_with(PLANTS)).collect();
    assert!(!plants.is_empty(), "there is no planted fault");
    let bad = plants.into_iter().filter(|plant| !fits(&plant.text));
    bad.map(|plant| format!("{}: does not fit what it changes", plant.path)).collect()
}

/// Whether a patch can be applied to what lies in the repository.
fn fits(patch: &str) -> bool {
    let mut git = Command::new("git")
        .args(["apply", "--check", "-"])
        .current_dir(root())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git runs");
    let mut input = git.stdin.take().expect("its input");
    input.write_all(patch.as_bytes()).expect("git reads the patch");
    drop(input);
    git.wait().expect("git ends").success()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_no_line_that_is_there_is_found() {
        let patch = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-no such line\n+another\n";
        let plant = File::sample("tests/simulation/plants/sample.patch", patch);
        assert_eq!(unfitting(&[plant]).len(), 1);
    }
}
