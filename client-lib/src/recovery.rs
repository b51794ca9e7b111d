//! The recovery file on the disk, and what opens it.
//!
//! Knows files and segments; must not know what segments hold. A file has its name when it is whole
//! and durable, and not before.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use restante_crypto::{
    RecoveryHeader, RecoveryKind, RecoveryReader, RecoverySecret as Borrowed, RecoveryWords,
    RecoveryWriter,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::home::{io_error, private, sync_folder};

/// How the name of an unfinished file ends.
const PART: &str = ".part";

/// What a person has to open a recovery file. Whoever has it and the file is the person. Shows
/// nothing in `Debug`.
#[derive(Debug)]
pub struct RecoverySecret(Kind);

#[derive(Debug)]
enum Kind {
    Words(RecoveryWords),
    Passphrase(Passphrase),
}

/// Shows nothing in `Debug`.
struct Passphrase(Zeroizing<String>);

impl RecoverySecret {
    /// Makes 24 new words: write them down, they stand nowhere else.
    ///
    /// # Errors
    /// [`Error::Crypto`] without randomness.
    pub fn new_words() -> Result<Self, Error> {
        Ok(Self(Kind::Words(RecoveryWords::generate()?)))
    }

    /// 24 words as a person typed them.
    ///
    /// # Errors
    /// [`Error::Crypto`], which says what is wrong with them.
    pub fn from_words(typed: &str) -> Result<Self, Error> {
        Ok(Self(Kind::Words(RecoveryWords::parse(typed)?)))
    }

    /// A passphrase, at most 1,024 bytes. One that can be guessed is no protection.
    #[must_use]
    pub fn from_passphrase(passphrase: &str) -> Self {
        Self(Kind::Passphrase(Passphrase(Zeroizing::new(passphrase.to_owned()))))
    }

    /// The 24 words, to be written down; `None` for a passphrase.
    ///
    /// # Errors
    /// [`Error::Crypto`].
    pub fn words(&self) -> Result<Option<Zeroizing<String>>, Error> {
        match &self.0 {
            Kind::Words(words) => Ok(Some(words.phrase()?)),
            Kind::Passphrase(_) => Ok(None),
        }
    }

    fn borrowed(&self) -> Borrowed<'_> {
        match &self.0 {
            Kind::Words(words) => Borrowed::Words(words),
            Kind::Passphrase(passphrase) => Borrowed::Passphrase(&passphrase.0),
        }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What opens the recovery file at `path`.
///
/// # Errors
/// [`Error::Storage`] if it cannot be read, [`Error::Crypto`] if it is none.
pub fn recovery_kind(path: &Path) -> Result<RecoveryKind, Error> {
    Ok(RecoveryHeader::read(open(path)?)?.kind())
}

/// A recovery file that is read.
pub(crate) fn read(
    path: &Path,
    secret: &RecoverySecret,
) -> Result<RecoveryReader<BufReader<File>>, Error> {
    let mut file = open(path)?;
    let key = RecoveryHeader::read(&mut file)?.unlock(&secret.borrowed())?;
    Ok(RecoveryReader::new(key, file)?)
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let file = File::open(path).map_err(|error| io_error("open the recovery file", &error))?;
    Ok(BufReader::new(file))
}

/// A recovery file that is written. Dropped before it is finished, nothing of it is left.
pub(crate) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    /// `None`: it is finished.
    writer: Option<RecoveryWriter<BufWriter<File>>>,
}

impl NewFile {
    /// Begins a file that will have this name.
    pub(crate) fn begin(path: PathBuf, secret: &RecoverySecret) -> Result<Self, Error> {
        let mut part = path.clone().into_os_string();
        part.push(PART);
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let file = private(&mut options).open(&part).map_err(|error| write_failed(&error))?;
        let mut new = Self { path, part, writer: None };
        new.writer = Some(RecoveryWriter::new(&secret.borrowed(), BufWriter::new(file))?);
        Ok(new)
    }

    /// Adds a segment.
    pub(crate) fn push(&mut self, segment: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        match &mut self.writer {
            Some(writer) => Ok(writer.push(segment)?),
            None => Ok(()),
        }
    }

    /// All of it is there: it becomes durable and gets its name, in place of a file that had it.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.finish()?.into_inner().map_err(|error| write_failed(error.error()))?;
        file.sync_all().map_err(|error| write_failed(&error))?;
        fs::rename(&self.part, &self.path).map_err(|error| write_failed(&error))?;
        let Some(folder) = self.path.parent() else { return Ok(()) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        sync_folder(folder).map_err(|error| write_failed(&error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // One that has its name is not there under this one.
        let _ = fs::remove_file(&self.part);
    }
}

fn write_failed(error: &std::io::Error) -> Error {
    io_error("write the recovery file", error)
}
