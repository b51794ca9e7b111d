//! Where the relay of a run keeps blobs: a folder whose parts cannot be reached for a while.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use restante_tests::memory::memory_dir;
use tempfile::TempDir;

/// A folder; crashes leave it as it is.
pub(crate) struct Folder {
    home: TempDir,
    is_away: bool,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { home: memory_dir(), is_away: false }
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    /// Whatever is done with parts fails from now on.
    pub(crate) fn fails(&mut self) {
        if !self.is_away {
            fs::rename(self.parts(), self.away()).expect("parts of a relay");
            File::create(self.parts()).expect("a file in their place");
            self.is_away = true;
        }
    }

    pub(crate) fn heals(&mut self) {
        if std::mem::take(&mut self.is_away) {
            fs::remove_file(self.parts()).expect("the file in their place");
            fs::rename(self.away(), self.parts()).expect("the parts");
        }
    }

    /// Of how many blobs there are parts.
    pub(crate) fn objects(&self) -> usize {
        let entries = fs::read_dir(self.parts()).expect("parts of a relay");
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    }

    fn parts(&self) -> PathBuf {
        self.path().join("parts")
    }

    fn away(&self) -> PathBuf {
        self.path().join("away")
    }
}
