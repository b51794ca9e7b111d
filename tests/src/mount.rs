//! Small file systems for tests of what happens when one is full or cannot be written.
//!
//! Knows mount(8). Tests run as root; where nothing can be mounted they fail and say so.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; dropped, it is gone.
pub struct Mount(PathBuf);

impl Mount {
    /// An empty file system in memory of so many MiB.
    pub fn tmpfs(at: &Path, mib: usize) -> Self {
        fs::create_dir_all(at).expect("a place to mount at");
        mount(&["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"], at);
        Self(at.to_owned())
    }

    /// A file as a medium of so many MiB, with an ext4 file system on it.
    pub fn ext4(medium: &Path, at: &Path, mib: u64) -> Self {
        let file = File::create_new(medium).expect("a file");
        file.set_len(mib * 1_024 * 1_024).expect("so long a file");
        let made = Command::new("mkfs.ext4").arg("-q").arg(medium).status();
        assert!(made.expect("mkfs.ext4(8) is there").success(), "no file system was made");
        fs::create_dir_all(at).expect("a place to mount at");
        mount(&["-o", "loop", text(medium)], at);
        Self(at.to_owned())
    }

    /// What lies at a place already, once more and read-only above it: what was open before can
    /// still be written, what is opened from now on cannot.
    pub fn read_only_above(at: &Path) -> Self {
        mount(&["--bind", text(at)], at);
        let above = Self(at.to_owned());
        mount(&["-o", "remount,bind,ro"], at);
        above
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A test that has failed may still have files open there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Takes all the room there is at a place.
pub fn fill(file: &Path) {
    let mut ballast = File::options().create(true).append(true).open(file).expect("a file");
    let mut size = 64 * 1024;
    while size > 0 {
        match ballast.write_all(&vec![1; size]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => panic!("another failure: {error}"),
        }
    }
}

fn mount(words: &[&str], at: &Path) {
    let output = Command::new("mount").args(words).arg(at).output().expect("mount(8) is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this test mounts small file systems, which needs root (or CAP_SYS_ADMIN): {said}"
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
