//! A place for what tests write and need not keep.

use std::path::PathBuf;

use tempfile::TempDir;

/// A folder in memory, if the system has such a place.
pub fn memory_dir() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a folder")
}
