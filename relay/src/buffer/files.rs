//! Names of files: durable apart from what is in them.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes sure that what lies at `path` is found there after a power cut: that it was made, or moved
/// there.
///
/// # Errors
/// The system's.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
