//! The certificate new handshakes are done with: the relay's own, or one from files, read anew when
//! they change.
//!
//! Knows files. What is wrong with new ones is logged, and the certificate before stays in use.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::{error, info};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::gateway::TlsIdentity;

/// The certificate in use, and where it comes from.
pub(crate) struct Certificate {
    current: watch::Sender<Arc<TlsIdentity>>,
    files: Option<Watched>,
}

/// A certificate with its chain and its private key, both in PEM.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

struct Watched {
    files: CertificateFiles,
    /// How they looked when they were last read.
    seen: Mutex<Stamp>,
}

/// What tells a file from the one it was: device, inode, size and time of change.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Certificate {
    /// The relay's own.
    pub(crate) fn own(identity: TlsIdentity) -> Self {
        Self { current: watch::Sender::new(Arc::new(identity)), files: None }
    }

    /// From files.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Certificate`].
    pub(crate) fn from_files(files: CertificateFiles) -> Result<Self, Error> {
        let seen = Mutex::new(files.stamp());
        let current = watch::Sender::new(Arc::new(files.load()?));
        Ok(Self { current, files: Some(Watched { files, seen }) })
    }

    /// The certificate of every new handshake.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<TlsIdentity>> {
        self.current.subscribe()
    }

    /// Reads the files anew.
    pub(crate) fn reload(&self) {
        let Some(Watched { files, seen }) = &self.files else {
            return info!("the relay uses its own certificate: nothing to read anew");
        };
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = files.stamp();
        match files.load() {
            Ok(identity) => {
                self.current.send_replace(Arc::new(identity));
                info!("the certificate was read anew");
            }
            Err(error) => error!("the certificate before stays in use: {error}"),
        }
    }

    /// Reads the files anew if they have changed since they were last read.
    pub(crate) fn reload_if_changed(&self) {
        let is_changed = self.files.as_ref().is_some_and(|watched| {
            let seen = watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen != watched.files.stamp()
        });
        if is_changed {
            self.reload();
        }
    }
}

impl CertificateFiles {
    /// Reads both.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Certificate`].
    pub(crate) fn load(&self) -> Result<TlsIdentity, Error> {
        let certificate = read(&self.certificate)?;
        let key = Zeroizing::new(read(&self.key)?);
        TlsIdentity::from_pem(&certificate, &key).map_err(|error| Error::Certificate {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            what: error.to_string(),
        })
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let data = fs::metadata(path).ok()?;
            Some((data.dev(), data.ino(), data.size(), data.ctime(), data.ctime_nsec()))
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_spec::ids::SpkiHash;

    struct Place {
        _folder: tempfile::TempDir,
        files: CertificateFiles,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (certificate, key) =
                (folder.path().join("cert.pem"), folder.path().join("key.pem"));
            let files = CertificateFiles { certificate, key };
            Self { _folder: folder, files }
        }

        /// Renamed into place, as the tools that renew certificates do.
        fn put(&self, certificate: &str, key: &str) {
            for (path, text) in [(&self.files.certificate, certificate), (&self.files.key, key)] {
                let beside = path.with_extension("new");
                fs::write(&beside, text).unwrap();
                fs::rename(&beside, path).unwrap();
            }
        }
    }

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["relay.example.org".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn spki(certificate: &Certificate) -> Arc<SpkiHash> {
        certificate.current().borrow().spki()
    }

    #[test]
    fn changed_files_are_read_and_bad_ones_are_not_used() {
        let place = Place::new();
        let (first, second) = (pair(), pair());
        place.put(&first.0, &first.1);
        let certificate = Certificate::from_files(place.files.clone()).unwrap();
        let before = spki(&certificate);
        certificate.reload_if_changed();
        assert_eq!(spki(&certificate), before);

        place.put(&second.0, &first.1);
        certificate.reload_if_changed();
        assert_eq!(spki(&certificate), before, "the key is of another certificate");
        fs::remove_file(&place.files.key).unwrap();
        certificate.reload_if_changed();
        assert_eq!(spki(&certificate), before, "there is no key");

        place.put(&second.0, &second.1);
        certificate.reload_if_changed();
        assert_ne!(spki(&certificate), before);
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said() {
        let (first, second) = (pair(), pair());
        let cases = [
            (first.0.as_str(), second.1.as_str(), "used together"),
            ("nothing", &first.1, "no certificate in PEM"),
            (&first.0, "nothing", "no private key in PEM"),
            (&first.1, &first.0, "no certificate in PEM"),
        ];
        for (certificate, key, says) in cases {
            let place = Place::new();
            place.put(certificate, key);
            let error = place.files.load().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("key.pem"), "{error}");
        }
    }
}
