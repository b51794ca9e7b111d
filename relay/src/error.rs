//! Why the relay does not start, or stops: one error, with what to do.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A fault the operator must know of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the data directory open; stop it, or name another directory.
    #[error("another relay has {} open: stop it, or choose another directory with --data",
            path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory cannot be used; look at its permissions and the disk's space.
    #[error("cannot use {}: {error}{}", path.display(), advice(error))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file holds something else; restore it from a backup.
    #[error("{} does not hold {what}: restore it from a backup, or remove it to begin anew",
            path.display())]
    BadFile {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The data directory holds something else and is open to others; choose another.
    #[error("{} holds other things than a relay's, and others may use it: choose another directory \
             with --data, or close it (chmod go-rwx)", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The identity of a store that is there is gone; put it back.
    #[error("{} is gone, and clients know the relay by it: put it back, restore a backup, or begin \
             anew in another directory with --data, under another address", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The command line or a variable is wrong, or help was asked for; print it.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// The configuration file is wrong; correct the line.
    #[error("{}, line {line}: {what}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// Blobs cannot be kept where they should be; choose their place with `--blobs`.
    #[error("{0}")]
    Blobs(String),
    /// Settings of S3 for blobs that are kept in a directory; name the bucket, or leave them out.
    #[error("s3_endpoint, s3_region and s3_credentials belong to blobs = \"s3://BUCKET\"")]
    NoBucket,
    /// The store cannot be opened.
    #[error("cannot open the store: {0}")]
    Store(String),
    /// The address cannot be listened on; choose another with `--listen`.
    #[error("cannot listen on {address}: {error}; choose another address with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The operator's port cannot be had; choose another with `--metrics-listen`.
    #[error("cannot listen on {address}: {error}; choose another address with --metrics-listen")]
    MetricsListen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The public address has no text form; correct `--public`.
    #[error("the public address is not usable: {0}")]
    Public(#[from] restante_spec::address::AddressError),
    /// Certificate and key from files cannot be used; correct the files, or their names.
    #[error("cannot use the certificate {} with the key {}: {what}",
            certificate.display(), key.display())]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        what: String,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("tls_cert and tls_key belong together: set both, or neither")]
    HalfCertificate,
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// The system gives no thread or signal handler.
    #[error("the system refuses what the relay needs: {0}")]
    System(std::io::Error),
    /// The platform names no place for data; name one with `--data`.
    #[error("this system names no standard place for data: choose a directory with --data")]
    NoDataDir,
    /// Nobody answers in the data directory; start a relay, or name its directory.
    #[error("no relay runs on {}: name the directory of one that does with --data", path.display())]
    NoRelay {
        /// The directory.
        path: PathBuf,
    },
    /// The running relay cannot be asked.
    #[error("cannot ask the running relay: {0}")]
    Admin(std::io::Error),
    /// The running relay has not done what was asked; it says why.
    #[error("{0}")]
    Declined(String),
    /// A backup is not whole, or cannot be made: take another one.
    #[error("the backup {} cannot be used: {what}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// A restore was broken off, or is at work just now; remove what it has left.
    #[error("{} is of a restore that was broken off, or is at work: remove it if none is",
            path.display())]
    Restoring {
        /// The folder.
        path: PathBuf,
    },
    /// A part the relay cannot do without has ended by itself; the log says why.
    #[error("a part of the relay has failed, see the log above")]
    PartFailed,
}

/// What to do about a file system that takes nothing.
pub(crate) fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "; mount it writable, or see in the system's log why it is not"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on the disk",
        _ => "",
    }
}

impl Error {
    /// The system refuses something the relay needs.
    #[must_use]
    pub const fn from_system(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl From<crate::buffer::blobs::BlobError> for Error {
    fn from(error: crate::buffer::blobs::BlobError) -> Self {
        Self::Blobs(error.to_string())
    }
}

impl From<crate::gateway::TlsError> for Error {
    fn from(error: crate::gateway::TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}
