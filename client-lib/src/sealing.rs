//! A file is sealed on its way into the home, and opened on its way to whoever reads it.
//!
//! Knows files, pictures and keys of files; must not know the store or the network. Nothing
//! unsealed is written but where an app wants it; of a file no more than a chunk is in memory, of a
//! picture all, since its metadata is to be taken out.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use restante_crypto::{FileKey, SealedReader, SealedWriter};
use restante_spec::limits::FILE_BYTES;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files::{Files, OpenFile};
use crate::home::{io_error, private};
use crate::limits::PICTURE_FILE_BYTES;
use crate::media::{PictureError, PreparedImage, prepare_image};

/// A sealed file, and what can be said of it.
pub(crate) struct SealedFile {
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) name: String,
    pub(crate) size: u64,
    /// What is known of a picture; its bytes are in the file.
    pub(crate) picture: Option<PreparedImage>,
}

/// An attached file that is on this device: its content can be read from any place. Nothing of it
/// is written anywhere.
pub struct AttachmentReader(SealedReader<OpenFile>);

/// Seals the file at `path` into a new file of the home.
pub(crate) fn seal(
    path: &Path,
    keep_metadata: bool,
    files: &Files,
    into: &str,
) -> Result<SealedFile, Error> {
    let mut source = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::NoSuchFile,
        _ => io_error("read the file", &error),
    })?;
    let mut picture = picture_of(&mut source, keep_metadata)?;
    let cleaned = picture.as_mut().filter(|_| !keep_metadata);
    let cleaned = cleaned.map(|picture| std::mem::take(&mut picture.bytes));
    let size = match &cleaned {
        Some(bytes) => bytes.len() as u64,
        None => size_of(&source)?,
    };
    // FIL-2
    if !(1..=FILE_BYTES).contains(&size) {
        return Err(Error::BadFileSize { bytes: size, max: FILE_BYTES });
    }
    let key = FileKey::generate()?;
    let bytes = Zeroizing::new(*key.as_bytes());
    let written = (|| -> io::Result<()> {
        let part = files.open_part(into)?;
        let mut sealed = SealedWriter::new(key, size, part)?;
        match &cleaned {
            Some(bytes) => io::copy(&mut bytes.as_slice(), &mut sealed)?,
            None => io::copy(&mut source.take(size), &mut sealed)?,
        };
        files.finish(into, &sealed.finish()?)
    })();
    written.map_err(|error| io_error("seal the file", &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(picture) = &mut picture {
        picture.bytes = Vec::new();
    }
    Ok(SealedFile { key: bytes, name, size, picture })
}

/// What is known of the file if it is a picture. One that cannot be read is refused, unless it is
/// to be sent as it is.
fn picture_of(source: &mut File, keep_metadata: bool) -> Result<Option<PreparedImage>, Error> {
    let failed = |error: io::Error| io_error("read the file", &error);
    let mut bytes = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(failed)?;
    let size = size_of(source)?;
    let prepared = match prepare_image(&bytes) {
        Ok(None) => Ok(None),
        _ if size > PICTURE_FILE_BYTES => Err(PictureError),
        _ => {
            let rest = size.saturating_sub(HEAD);
            source.by_ref().take(rest).read_to_end(&mut bytes).map_err(failed)?;
            prepare_image(&bytes)
        }
    };
    source.seek(SeekFrom::Start(0)).map_err(failed)?;
    // FIL-5
    if keep_metadata { Ok(prepared.ok().flatten()) } else { Ok(prepared?) }
}

fn size_of(file: &File) -> Result<u64, Error> {
    let found = file.metadata().map_err(|error| io_error("look at the file", &error))?;
    if found.is_file() { Ok(found.len()) } else { Err(Error::NoSuchFile) }
}

impl AttachmentReader {
    /// Opens a sealed file whose content is said to have so many bytes.
    pub(crate) fn open(file: OpenFile, key: Zeroizing<[u8; 32]>, size: u64) -> Result<Self, Error> {
        let reader = SealedReader::open(FileKey::new(key), file)?;
        if reader.size() == size {
            Ok(Self(reader))
        } else {
            Err(restante_crypto::Error::Malformed { what: "size of the file" }.into())
        }
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.0.size()
    }

    /// Writes all of it into a new file, for its owner only.
    pub(crate) fn export(&mut self, path: &Path) -> Result<(), Error> {
        let mut options = OpenOptions::new();
        let made = private(options.write(true).create_new(true)).open(path);
        let mut file = made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::FileExists,
            ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NoSuchFolder,
            _ => io_error("make the file", &error),
        })?;
        let written = io::copy(self, &mut file).and_then(|_| file.sync_all());
        written.map_err(|error| {
            // Half a file is taken for a whole one.
            let _ = std::fs::remove_file(path);
            match restante_crypto::Error::from(error) {
                restante_crypto::Error::Io { kind } => io_error("write the file", &kind.into()),
                error => error.into(),
            }
        })
    }
}

impl Read for AttachmentReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for AttachmentReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl fmt::Debug for AttachmentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttachmentReader({} bytes)", self.size())
    }
}

/// Layout: bytes at the beginning of a file that say whether it is a picture.
const HEAD: u64 = 16;
