//! The home's files: what is sent is read from there, what is fetched grows there under another
//! name until it is whole.
//!
//! Knows names, offsets and how bytes become durable; must not know what they are or where they
//! come from. Its errors are the system's: what they mean for a transfer is said elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::home::{make_folder, private, sync_folder};
use crate::limits::FILE_NAME_BYTES;

/// The folder in the home.
const FOLDER: &str = "files";
/// How the name of an unfinished download ends.
const PART: &str = ".part";

/// The folder of files, for its owner only; it is made with the first file.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    home: PathBuf,
    folder: PathBuf,
}

/// A file to be read, or an unfinished one to be written.
#[derive(Debug)]
pub(crate) struct OpenFile(File);

impl Files {
    /// The files of this home.
    pub(crate) fn of(home: &Path) -> Self {
        Self { home: home.to_owned(), folder: home.join(FOLDER) }
    }

    /// The size of a file; `None`: there is none of this name.
    pub(crate) fn size(&self, name: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.folder.join(name)) {
            Ok(found) if found.is_file() => Ok(Some(found.len())),
            Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file to be read.
    pub(crate) fn open(&self, name: &str) -> io::Result<OpenFile> {
        File::open(self.folder.join(name)).map(OpenFile)
    }

    /// What is there of an unfinished file, to be written on.
    pub(crate) fn open_part(&self, name: &str) -> io::Result<OpenFile> {
        make_folder(&self.folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private(&mut options).open(self.part(name)).map(OpenFile)
    }

    /// All of an unfinished file is there: it becomes durable and gets its name.
    pub(crate) fn finish(&self, name: &str, file: &OpenFile) -> io::Result<()> {
        file.0.sync_all()?;
        fs::rename(self.part(name), self.folder.join(name))?;
        // The folder may be new, so its own name too.
        sync_folder(&self.folder)?;
        sync_folder(&self.home)
    }

    /// Writes a whole file, durable when this returns.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.forget_part(name)?;
        let file = self.open_part(name)?;
        file.write_at(0, bytes)?;
        self.finish(name, &file)
    }

    /// A whole file; `None`: there is none of this name.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file; one that is not there is removed.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.folder.join(name))
    }

    /// Forgets an unfinished file; one that is not there is forgotten.
    pub(crate) fn forget_part(&self, name: &str) -> io::Result<()> {
        remove(&self.part(name))
    }

    /// Forgets a file, finished or not; one that is not there is forgotten.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        self.forget_part(name)?;
        self.remove(name)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{PART}"))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether this can be the name of a file here: it stays in the folder, and is not taken for an
/// unfinished one.
pub(crate) fn checked_name(name: &str) -> Result<&str, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let fits = (1..=FILE_NAME_BYTES).contains(&name.len());
    if fits && name.bytes().all(good) && !name.starts_with('.') && !name.ends_with(PART) {
        Ok(name)
    } else {
        Err(Error::BadFileName { max: FILE_NAME_BYTES })
    }
}

impl OpenFile {
    /// The bytes from `offset` on, exactly so many.
    pub(crate) fn read_at(&self, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let (mut file, mut bytes) = (&self.0, vec![0; size]);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts bytes at their place.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.0;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    /// What was written is durable when this returns.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// Its size, bytes.
    pub(crate) fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|found| found.len())
    }

    /// Keeps so many bytes from the beginning and nothing behind them.
    pub(crate) fn keep(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}

impl Read for OpenFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names stay in the folder, at the longest length and one past it.
    #[test]
    fn names_stay_in_the_folder() {
        for good in ["a", "photo-1_b.jpeg", &"x".repeat(FILE_NAME_BYTES)] {
            assert_eq!(checked_name(good), Ok(good));
        }
        let long = "x".repeat(FILE_NAME_BYTES + 1);
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a:b", "ä", "a b", "a.part", &long] {
            let refused = Err(Error::BadFileName { max: FILE_NAME_BYTES });
            assert_eq!(checked_name(bad), refused, "{bad}");
        }
    }

    /// An unfinished file has another name; finished, it has its own, for its owner only.
    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let files = Files::of(home.path());
        let part = files.open_part("f").unwrap();
        part.write_at(3, b"def").unwrap();
        part.write_at(0, b"abc").unwrap();
        assert_eq!(files.size("f").unwrap(), None);
        files.finish("f", &part).unwrap();
        assert_eq!(files.size("f").unwrap(), Some(6));
        assert_eq!(files.size("f.part").unwrap(), None);
        let whole = files.open("f").unwrap();
        assert_eq!(whole.read_at(2, 3).unwrap(), b"cde");
        assert_eq!(whole.read_at(4, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        files.forget_part("f").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = home.path().join("files");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            let mode = fs::metadata(path.join("f")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
