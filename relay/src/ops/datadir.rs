//! The data directory: identity, TLS key, incarnation, and where the buffer's file is.
//!
//! Knows files and their modes. Secrets are written with mode 0600, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use restante_crypto::SigningKey;
use restante_spec::ids::Incarnation;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::gateway::TlsIdentity;

/// The seed of the identity key.
pub(super) const IDENTITY: &str = "identity.key";
/// The relay's own TLS key.
pub(super) const TLS_KEY: &str = "tls.key";
/// Drawn at the first start and by each restore (CMD-1).
pub(super) const INCARNATION: &str = "incarnation";
/// The folder of a restore into the directory, as long as it is at work.
pub(super) const RESTORING: &str = "restoring";
/// Locked by the relay that has the directory open.
pub(super) const LOCK: &str = "lock";
/// The buffer's file.
pub(super) const BUFFER: &str = "buffer.redb";
/// The folder of blobs, unless they are kept elsewhere.
pub(super) const BLOBS: &str = "blobs";
const BLOB_KEYS: &str = "blobs.keys";
/// Where the operator's requests come in.
pub(super) const SOCKET: &str = "admin.sock";

/// Bytes that are free for the relay's user where a path lies.
pub(crate) fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A relay's files.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Held as long as the relay runs: one process owns the directory.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// [`Error::Locked`] when another relay has it open, [`Error::Restoring`], [`Error::Foreign`],
    /// [`Error::File`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fail = |error| Error::File { path: path.to_owned(), error };
        if !may_be_closed(path).map_err(fail)? {
            return Err(Error::Foreign { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(fail)?;
        restrict(path, 0o700).map_err(fail)?;
        let lock_path = path.join(LOCK);
        let lock =
            private().create(true).truncate(false).write(true).open(&lock_path).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: path.to_owned() });
            }
            Err(fs::TryLockError::Error(error)) => return Err(fail(error)),
        }
        let restoring = path.join(RESTORING);
        if restoring.exists() {
            return Err(Error::Restoring { path: restoring });
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The buffer's file.
    pub(crate) fn buffer(&self) -> PathBuf {
        self.path.join(BUFFER)
    }

    /// The file with the keys of blobs; where the blobs are, the operator may say.
    pub(crate) fn blob_keys(&self) -> PathBuf {
        self.path.join(BLOB_KEYS)
    }

    /// Where the operator's requests come in.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// The relay's identity key, made at first start (TRN-3).
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::File`], [`Error::BadFile`], [`Error::Randomness`].
    pub(crate) fn identity(&self) -> Result<SigningKey, Error> {
        let path = self.path.join(IDENTITY);
        if self.buffer().exists() && !path.exists() {
            return Err(Error::Gone { path });
        }
        let seed = self.read_or_make(IDENTITY, || {
            let key = SigningKey::generate().map_err(|_| Error::Randomness)?;
            Ok(Zeroizing::new(key.seed().to_vec()))
        })?;
        let seed = Zeroizing::new(
            <[u8; 32]>::try_from(seed.as_slice())
                .map_err(|_| Error::BadFile { path, what: "32 bytes of an Ed25519 seed" })?,
        );
        Ok(SigningKey::from_seed(&seed))
    }

    /// The relay's own TLS key, made at first start, with a certificate for it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::BadFile`], [`Error::Tls`].
    pub(crate) fn tls(&self) -> Result<TlsIdentity, Error> {
        let pem = self.read_or_make(TLS_KEY, || {
            let pem = TlsIdentity::generate_key()?;
            Ok(Zeroizing::new(pem.as_bytes().to_vec()))
        })?;
        let bad = || Error::BadFile { path: self.path.join(TLS_KEY), what: "a PKCS #8 key in PEM" };
        let pem = std::str::from_utf8(&pem).map_err(|_| bad())?;
        TlsIdentity::self_signed(pem).map_err(|_| bad())
    }

    /// The relay's incarnation, made at first start and anew by a restore.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::BadFile`], [`Error::Randomness`].
    pub(crate) fn incarnation(&self) -> Result<Incarnation, Error> {
        let bytes = self.read_or_make(INCARNATION, || {
            let mut bytes = Zeroizing::new(vec![0; Incarnation::SIZE]);
            getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
            Ok(bytes)
        })?;
        Incarnation::from_slice(&bytes)
            .ok_or(Error::BadFile { path: self.path.join(INCARNATION), what: "16 bytes" })
    }

    fn read_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, Error>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => return Ok(Zeroizing::new(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::File { path, error }),
        }
        let bytes = make()?;
        self.write(&path, &bytes).map_err(|error| Error::File { path, error })?;
        Ok(bytes)
    }

    /// Beside first, then renamed: a crash leaves the whole file or none.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = private().create(true).truncate(true).write(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(&self.path)?.sync_all()
    }
}

/// Whether a directory may be closed to others: it is a relay's, or empty, or closed already.
pub(super) fn may_be_closed(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    if !path.exists() || is_unused(path)? {
        return Ok(true);
    }
    let is_used = [LOCK, IDENTITY, BUFFER].iter().any(|name| path.join(name).exists());
    Ok(is_used || fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

/// Whether nothing is in a directory but what file systems begin with, and the folder of a restore.
pub(super) fn is_unused(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "lost+found" && name != RESTORING {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-3: the identity, and so the address, is the same after every restart.
    #[test]
    fn identity_and_keys_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let first = DataDir::open(home.path()).unwrap();
        let (identity, spki) = (first.identity().unwrap().public(), first.tls().unwrap().spki());
        let incarnation = first.incarnation().unwrap();
        drop(first);
        let second = DataDir::open(home.path()).unwrap();
        assert_eq!(second.identity().unwrap().public(), identity);
        assert_eq!(second.tls().unwrap().spki(), spki);
        assert_eq!(second.incarnation().unwrap(), incarnation);
    }

    #[test]
    fn a_directory_in_use_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let _first = DataDir::open(home.path()).unwrap();
        assert!(matches!(DataDir::open(home.path()), Err(Error::Locked { .. })));
    }

    /// Once whatever directory was named was closed to everybody else.
    #[test]
    fn a_directory_of_other_things_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("lost+found")).unwrap();
        drop(DataDir::open(home.path()).unwrap());
        drop(DataDir::open(home.path()).unwrap());
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("letter"), b"").unwrap();
        restrict(other.path(), 0o755).unwrap();
        assert!(matches!(DataDir::open(other.path()), Err(Error::Foreign { .. })));
        assert!(!other.path().join(LOCK).exists());
        restrict(other.path(), 0o700).unwrap();
        DataDir::open(other.path()).unwrap();
    }

    /// Once another identity was made beside the store of the one that was gone, without a word.
    #[test]
    fn an_identity_that_is_gone_is_not_made_anew() {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(home.path()).unwrap();
        let identity = dir.identity().unwrap();
        fs::write(dir.buffer(), b"").unwrap();
        assert_eq!(dir.identity().unwrap().public(), identity.public());
        fs::remove_file(home.path().join(IDENTITY)).unwrap();
        assert!(matches!(dir.identity(), Err(Error::Gone { .. })));
    }

    #[test]
    fn damaged_files_are_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("identity.key"), b"short").unwrap();
        let dir = DataDir::open(home.path()).unwrap();
        let error = dir.identity().unwrap_err().to_string();
        assert!(error.contains("identity.key") && error.contains("32 bytes"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(home.path()).unwrap();
        dir.identity().unwrap();
        let mode = fs::metadata(home.path().join("identity.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
