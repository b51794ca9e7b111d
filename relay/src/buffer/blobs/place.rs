//! Where the operator keeps blobs: a directory of this machine, or a bucket that speaks S3.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use zeroize::Zeroizing;

use super::{BlobError, failed};
use crate::limits::{BLOB_PLACE_TIME, BLOB_RETRIES};

/// Where parts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory, made if it is not there.
    Directory(PathBuf),
    /// A bucket.
    S3(Bucket),
}

/// A bucket of an object store that speaks S3, and where its secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// What the names of all objects begin with.
    pub(crate) prefix: String,
    /// `None`: that of AWS for the region.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
    /// A file of two lines, key id and secret; `None`: they are in the environment.
    pub(crate) credentials: Option<PathBuf>,
}

/// Key id and secret.
struct Credentials {
    id: String,
    secret: Zeroizing<String>,
}

/// The variables that hold them, as other programs name them.
const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";

impl Place {
    /// The directory, if it is one.
    pub(crate) fn directory(self) -> Option<PathBuf> {
        match self {
            Self::Directory(path) => Some(path),
            Self::S3(_) => None,
        }
    }

    /// The objects there, and the directory if it is one.
    pub(super) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Option<PathBuf>), BlobError> {
        match self {
            Self::Directory(path) => {
                make(path).map_err(failed)?;
                let objects = LocalFileSystem::new_with_prefix(path).map_err(failed)?;
                // BLB-3: files and the names of their folders are synced before a part is said to
                // be safe.
                Ok((Arc::new(objects.with_fsync(true)), Some(path.clone())))
            }
            Self::S3(bucket) => Ok((bucket.open()?, None)),
        }
    }
}

impl Bucket {
    /// Whether key id and secret are where they are said to be.
    ///
    /// # Errors
    /// [`BlobError::Place`], naming what is missing.
    pub(crate) fn check(&self) -> Result<(), BlobError> {
        self.credentials().map(|_| ())
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>, BlobError> {
        let Credentials { id, secret } = self.credentials()?;
        let retry = RetryConfig {
            max_retries: BLOB_RETRIES,
            retry_timeout: BLOB_PLACE_TIME,
            ..RetryConfig::default()
        };
        let options = ClientOptions::new().with_timeout(BLOB_PLACE_TIME);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            .with_access_key_id(id)
            .with_secret_access_key(secret.as_str())
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            // What is sent is sealed, and who says http means it.
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http:"));
        }
        let objects = builder.build().map_err(failed)?;
        if self.prefix.is_empty() {
            return Ok(Arc::new(objects));
        }
        Ok(Arc::new(PrefixStore::new(objects, self.prefix.as_str())))
    }

    fn credentials(&self) -> Result<Credentials, BlobError> {
        let Some(path) = &self.credentials else {
            let variable = |name| {
                let missing = || BlobError::Place(format!("{name} is not set"));
                std::env::var(name).map_err(|_| missing())
            };
            return Ok(Credentials {
                id: variable(ID)?,
                secret: Zeroizing::new(variable(SECRET)?),
            });
        };
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text =
            text.map_err(|error| BlobError::Place(format!("{}: {error}", path.display())))?;
        let mut lines = text.lines().map(str::trim);
        match (lines.next(), lines.next()) {
            (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
                Ok(Credentials { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()) })
            }
            _ => {
                let what = "does not hold a key id and a secret, one a line";
                Err(BlobError::Place(format!("{} {what}", path.display())))
            }
        }
    }
}

/// A directory for the relay only.
fn make(path: &Path) -> std::io::Result<()> {
    let mut options = fs::DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(path)
}
