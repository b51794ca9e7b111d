//! What lies in the repository: its text files, its Rust sources, its packages.
//!
//! Knows `git ls-files` and `cargo metadata`; must not know any rule.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::Source;

/// Where the workspace begins.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

/// A text file, by its path from the root.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A file that exists only in a test of a checker.
    pub(crate) fn sample(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The folder the file lies in, with the trailing slash; empty at the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rfind('/').map_or("", |slash| &self.path[..=slash])
    }
}

/// All text files git knows or would take, and the Rust sources among them.
#[derive(Debug)]
pub(crate) struct Repo {
    pub(crate) files: Vec<File>,
    pub(crate) sources: Vec<Source>,
}

impl Repo {
    pub(crate) fn load() -> Self {
        let listed = output("git", &["ls-files", "-z", "-c", "-o", "--exclude-standard"]);
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let files: Vec<File> = paths
            .into_iter()
            .filter_map(|path| {
                let text = std::fs::read_to_string(root().join(path)).ok()?;
                Some(File { path: path.into(), text })
            })
            .collect();
        let rust = |file: &&File| file.path.ends_with(".rs");
        let mut sources: Vec<Source> =
            files.iter().filter(rust).map(|file| Source::new(&file.path, &file.text)).collect();
        Source::mark_test_modules(&mut sources);
        assert!(!sources.is_empty(), "no Rust source found below {}", root().display());
        Self { files, sources }
    }

    /// The text of a file that must exist.
    pub(crate) fn text_of(&self, path: &str) -> &str {
        let found = self.files.iter().find(|file| file.path == path);
        &found.unwrap_or_else(|| panic!("{path} does not exist")).text
    }
}

/// A member of the workspace: its folder from the root, its name, what it names in its manifest.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) dependencies: Vec<String>,
}

/// The members of the workspace, with dependencies of every kind.
pub(crate) fn packages() -> Vec<Package> {
    let args = ["metadata", "--no-deps", "--format-version", "1"];
    let json: serde_json::Value =
        serde_json::from_str(&output(env!("CARGO"), &args)).expect("cargo metadata prints JSON");
    let root = root();
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    json["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .map(|package| {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let folder = manifest.parent().expect("a manifest lies in a folder");
            let folder = folder.strip_prefix(&root).expect("members lie below the root");
            let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
            Package {
                folder: folder.to_string_lossy().into_owned(),
                name: text(&package["name"]),
                dependencies: dependencies.iter().map(|one| text(&one["name"])).collect(),
            }
        })
        .collect()
}

/// What a command prints when run at the root; it must succeed.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let ran = Command::new(program).args(args).current_dir(root()).output();
    let ran = ran.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(
        ran.status.success(),
        "{program} {} failed:\n{}",
        args.join(" "),
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).expect("the output is UTF-8")
}
