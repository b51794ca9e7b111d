//! Backups: a relay's identity and its store in one file, taken while it runs.
//!
//! ```text
//!  file   = "restante-relay backup 1\n" record ... end
//!  record = u8 kind | u32 length | bytes          end = record of kind 0: SHA-256 of all before it
//! ```
//!
//! Whoever has the file can pass as the relay: it is written for its owner only. Knows the file's
//! form; what the store's records hold, the buffer knows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::admin;
use super::clock::Clock;
use super::config::Serve;
use super::datadir::{BUFFER, IDENTITY, RESTORING, TLS_KEY, is_unused};
use crate::buffer::files::sync_name;
use crate::buffer::redb::RedbBuffer;
use crate::buffer::redb::snapshot::{Kind, Record, Restorer, SnapshotError, Summary, Verifier};
use crate::error::Error;
use crate::limits::BACKUP_RECORD_BYTES;

const MAGIC: &[u8] = b"restante-relay backup 1\n";
/// Layout: the kinds that are not the store's.
const END: u8 = 0;
const OF_IDENTITY: u8 = 16;
const OF_TLS: u8 = 17;

/// What is read of a backup.
enum Item {
    Store(Record),
    Identity(Zeroizing<Vec<u8>>),
    Tls(Zeroizing<Vec<u8>>),
}

/// Writes a backup of the running relay of this data directory.
///
/// # Errors
/// What the store or the other side says; the file has no end then.
pub(crate) fn write(buffer: &RedbBuffer, data: &Path, to: impl Write) -> Result<(), SnapshotError> {
    let mut out = Sealed { to: BufWriter::new(to), hash: Sha256::new() };
    out.write_all(MAGIC)?;
    for (kind, name) in [(OF_IDENTITY, IDENTITY), (OF_TLS, TLS_KEY)] {
        match fs::read(data.join(name)) {
            Ok(bytes) => out.record(kind, &Zeroizing::new(bytes))?,
            // The certificate is the operator's own.
            Err(error) if kind == OF_TLS && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    buffer.snapshot(&mut |record| out.record(record.kind as u8, &record.bytes))?;
    let hash = out.hash.clone().finalize();
    out.record(END, &hash)?;
    Ok(out.to.flush()?)
}

/// Has the relay that runs with these settings write a backup to a new file, and looks through it.
///
/// # Errors
/// [`Error::File`] when the file is there or cannot be written, [`Error::NoRelay`],
/// [`Error::Admin`], [`Error::Backup`]; nothing is left then.
pub fn backup(serve: &Serve, file: &Path) -> Result<String, Error> {
    let mut from = admin::ask_for_backup(&serve.data_dir()?)?;
    let fail = |error| Error::File { path: file.to_owned(), error };
    let mut options = OpenOptions::new();
    let mut to = options.write(true).create_new(true).mode(0o600).open(file).map_err(fail)?;
    let written = io::copy(&mut from, &mut to).and_then(|_| to.sync_all());
    let made = written.and_then(|()| sync_name(file)).map_err(fail).and_then(|()| verify(file));
    if made.is_err() {
        // Half a backup is of no use, and begins with the identity key. What cannot be taken away
        // is named by the next attempt.
        let _ = fs::remove_file(file);
    }
    made
}

/// Looks through a backup: that it is whole, and that every envelope in it is.
///
/// # Errors
/// [`Error::File`], [`Error::Backup`].
pub fn verify(file: &Path) -> Result<String, Error> {
    let (mut verifier, mut has_identity) = (Verifier::default(), false);
    read(file, |item| {
        match item {
            Item::Store(record) => verifier.take(record)?,
            Item::Identity(_) => has_identity = true,
            Item::Tls(_) => {}
        }
        Ok(())
    })?;
    let found = verifier.finish().filter(|_| has_identity).ok_or(SnapshotError::Damaged);
    let Summary { mailboxes, envelopes, expired } =
        found.map_err(|error| backup_error(file, &error))?;
    Ok(format!("whole: {mailboxes} mailboxes, {envelopes} envelopes, {expired} more have expired"))
}

/// Makes a data directory of a backup. The relay that runs on it is the same to its clients, with
/// another incarnation; conversations from before can only be read (MBX-20).
///
/// # Errors
/// [`Error::File`] when the directory is there already and not empty, [`Error::Restoring`],
/// [`Error::Backup`]; what was made is taken away then.
pub fn restore(serve: &Serve, file: &Path) -> Result<String, Error> {
    let data = serve.data_dir()?;
    let found = verify(file)?;
    let fail = |error| Error::File { path: data.clone(), error };
    let is_there = data.exists();
    // One that is there may be a file system of its own: what is made is then made in it.
    let making = if is_there { data.join(RESTORING) } else { data.with_extension(RESTORING) };
    make_folder(&making)?;
    // Looked at behind it: a relay that begins there at this moment finds the folder, or is found.
    let may = if is_there { close_unused(&data).map_err(fail) } else { Ok(()) };
    let made = may.and_then(|()| restore_into(&making, file));
    if made.is_err() {
        // What cannot be taken away is named by the next attempt.
        let _ = fs::remove_dir_all(&making);
    }
    made?;
    // What is said to be restored must outlive a power cut, by its name too.
    sync_name(&making.join(BUFFER)).map_err(fail)?;
    if is_there { move_up(&making, &data) } else { fs::rename(&making, &data) }.map_err(fail)?;
    sync_name(&data).map_err(fail)?;
    Ok(found)
}

/// Closes a directory to others in which nothing is yet.
fn close_unused(folder: &Path) -> io::Result<()> {
    if !is_unused(folder)? {
        let what = "it is there already, and not empty";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Moves what was made into the directory above it; no relay begins there until the folder is gone.
fn move_up(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        fs::rename(from.join(&name), to.join(&name))?;
    }
    sync_name(&to.join(BUFFER))?;
    fs::remove_dir(from)
}

/// Makes the folder of a restore: one that is there is another's, at work or broken off.
fn make_folder(folder: &Path) -> Result<(), Error> {
    let fail = |error| Error::File { path: folder.to_owned(), error };
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(fail)?;
    }
    let mut options = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options.create(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Restoring { path: folder.to_owned() },
        _ => fail(error),
    })
}

fn restore_into(folder: &Path, file: &Path) -> Result<(), Error> {
    let store = folder.join(BUFFER);
    let bad = |error: SnapshotError| backup_error(file, &error);
    let mut restorer = Restorer::create(&store, Clock.now()).map_err(bad)?;
    read(file, |item| match item {
        Item::Store(record) => restorer.take(&record),
        Item::Identity(bytes) => Ok(write_private(&folder.join(IDENTITY), &bytes)?),
        Item::Tls(bytes) => Ok(write_private(&folder.join(TLS_KEY), &bytes)?),
    })?;
    restorer.finish().map_err(bad)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a backup to its end, and believes it only with its hash.
fn read(file: &Path, mut take: impl FnMut(Item) -> Result<(), SnapshotError>) -> Result<(), Error> {
    let opened = File::open(file);
    let opened = opened.map_err(|error| Error::File { path: file.to_owned(), error })?;
    let mut from = Checked { from: BufReader::new(opened), hash: Sha256::new() };
    let mut go = || -> Result<(), SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(SnapshotError::Damaged);
        }
        loop {
            let so_far = from.hash.clone().finalize();
            let (kind, bytes) = from.record()?;
            match kind {
                END if *bytes == so_far.as_slice() => return Ok(()),
                OF_IDENTITY => take(Item::Identity(bytes))?,
                OF_TLS => take(Item::Tls(bytes))?,
                other => {
                    let kind = Kind::of(other).ok_or(SnapshotError::Damaged)?;
                    take(Item::Store(Record { kind, bytes }))?;
                }
            }
        }
    };
    go().map_err(|error| backup_error(file, &error))
}

fn backup_error(file: &Path, error: &SnapshotError) -> Error {
    Error::Backup { path: file.to_owned(), what: error.to_string() }
}

/// A file whose bytes are hashed as they are written.
struct Sealed<W: Write> {
    to: BufWriter<W>,
    hash: Sha256,
}

impl<W: Write> Sealed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    fn record(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.write_all(&[kind])?;
        self.write_all(&size.to_be_bytes())?;
        self.write_all(bytes)
    }
}

/// A file whose bytes are hashed as they are read.
struct Checked {
    from: BufReader<File>,
    hash: Sha256,
}

impl Checked {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    fn record(&mut self) -> Result<(u8, Zeroizing<Vec<u8>>), SnapshotError> {
        let mut head = [0; 5];
        self.read_exact(&mut head)?;
        let [kind, size @ ..] = head;
        let size = u32::from_be_bytes(size) as usize;
        if size > BACKUP_RECORD_BYTES {
            return Err(SnapshotError::Damaged);
        }
        let mut bytes = Zeroizing::new(vec![0; size]);
        self.read_exact(&mut bytes)?;
        Ok((kind, bytes))
    }
}
