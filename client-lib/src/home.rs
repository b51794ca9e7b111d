//! The folder an account lives in: made for its owner only, held by one process.
//!
//! Knows files and permissions; must not know what is in them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::limits::LOCK_POLL;

/// The file whose lock means that the home is in use; it names the process.
const LOCK_FILE: &str = "lock";
/// How the name of a file ends that is not whole yet.
const PART: &str = ".part";

/// The home is ours until this is dropped; the system frees it when the process ends, however.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes the home, waiting up to `wait` for another process to leave it.
    pub(crate) fn acquire(home: &Path, wait: Duration) -> Result<Self, Error> {
        make_home(home)?;
        let path = home.join(LOCK_FILE);
        let mut file = private(OpenOptions::new().read(true).write(true).create(true))
            .truncate(false)
            .open(path)
            .map_err(|error| io_error("open the lock", &error))?;
        let until = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(Error::Locked { pid: holder(&mut file) });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
                Err(TryLockError::Error(error)) => return Err(io_error("lock the home", &error)),
            }
        }
        let pid = std::process::id().to_string();
        let named = file.set_len(0).and_then(|()| file.rewind());
        named
            .and_then(|()| file.write_all(pid.as_bytes()))
            .map_err(|error| io_error("write the lock", &error))?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

/// Makes the folder if it is not there, for its owner only.
fn make_home(home: &Path) -> Result<(), Error> {
    make_folder(home).map_err(|error| io_error("make the home", &error))
}

/// Makes a folder if it is not there, for its owner only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file of a home for its owner only, whole and durable or not at all: a key file, say.
/// Makes the home if it is not there. A file that is there stays, as another process may have
/// written it meanwhile; so it has to be read afterwards.
///
/// # Errors
/// [`Error::Storage`] if the home cannot be made or the file cannot be written.
pub fn write_once(home: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    make_home(home)?;
    let (path, part) = (home.join(name), home.join(format!("{name}{PART}")));
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let mut file = private(&mut options).open(&part)?;
        // Of those who write at the same time, one does.
        file.lock()?;
        if path.try_exists()? {
            return Ok(());
        }
        file.set_len(0)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        sync_folder(home)
    };
    write().map_err(|error| io_error("write a file of the home", &error))
}

/// Makes the names in a folder as durable as what they name, where folders can be synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// What could not be done, without the path: it may name a person.
pub(crate) fn io_error(what: &str, error: &io::Error) -> Error {
    Error::Storage(format!("cannot {what}: {}", error.kind()))
}

/// Whatever is made is for its owner only.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second holder is refused with the pid of the first; when the first leaves, it gets in.
    #[test]
    fn home_is_held_by_one() {
        let home = tempfile::tempdir().unwrap();
        let first = HomeLock::acquire(home.path(), Duration::ZERO).unwrap();
        let second = HomeLock::acquire(home.path(), Duration::ZERO);
        assert_eq!(second.unwrap_err(), Error::Locked { pid: std::process::id() });
        drop(first);
        assert!(HomeLock::acquire(home.path(), Duration::ZERO).is_ok());
    }

    /// What is in the home is for its owner only.
    #[cfg(unix)]
    #[test]
    fn files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let home = parent.path().join("home");
        let other = parent.path().join("other");
        drop(HomeLock::acquire(&home, Duration::ZERO).unwrap());
        write_once(&other, "x", b"x").unwrap();
        for (path, mode) in [
            (home.clone(), 0o700),
            (home.join("lock"), 0o600),
            (other.clone(), 0o700),
            (other.join("x"), 0o600),
        ] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    /// Once a file was written under its own name, and half of it stayed there when the disk was
    /// full. What such an attempt has left counts for nothing; a whole file stays as it is.
    #[test]
    fn a_file_is_whole_or_not_there() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x.part"), b"half of an earlier one").unwrap();
        write_once(home.path(), "x", b"whole").unwrap();
        assert_eq!(fs::read(home.path().join("x")).unwrap(), b"whole");
        write_once(home.path(), "x", b"another").unwrap();
        assert_eq!(fs::read(home.path().join("x")).unwrap(), b"whole");
    }
}
