//! What an operator wants to know before a relay is started, looked at without changing anything.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use restante_crypto::SigningKey;
use restante_spec::ids::{Incarnation, PublicKey};
use rustix::fs::{Access, access};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::certificate::CertificateFiles;
use super::clock::Clock;
use super::config::Serve;
use super::datadir::{
    BUFFER, IDENTITY, INCARNATION, LOCK, RESTORING, TLS_KEY, free_bytes, may_be_closed,
};
use super::descriptors;
use crate::buffer::blobs::{BlobError, Bucket, OWNER, Owner, Place};
use crate::error::{Error, advice};
use crate::gateway::TlsIdentity;

/// One thing that was looked at: all is well, or what is wrong and what to do.
#[derive(Debug)]
pub struct Finding {
    what: &'static str,
    result: Result<String, String>,
}

impl Finding {
    /// Whether all is well.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.result.is_ok()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.result {
            Ok(text) => ("ok     ", text),
            Err(text) => ("problem", text),
        };
        write!(f, "{mark}  {:<12} {text}", self.what)
    }
}

/// Looks at everything a relay with these settings needs.
#[must_use]
pub fn check(serve: &Serve) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |what, result| findings.push(Finding { what, result });
    look("settings", settings(serve));
    look("memory", Ok(serve.memory().to_string()));
    look("open files", Ok(open_files(descriptors::needed(serve), descriptors::most())));
    match serve.data_dir() {
        Ok(data) => {
            look("data", data_directory(&data));
            look("free to use", unlocked(&data.join(LOCK)));
            look("identity", identity(&data));
            look("store", store(&data.join(BUFFER)));
            look("disk", disk(&data, serve.disk_reserve()));
            look("blobs", blobs(serve, &data));
            look("certificate", certificate(serve, &data));
        }
        Err(error) => look("data", Err(error.to_string())),
    }
    look("port", port(serve.listen, "--listen"));
    if let Some(address) = serve.metrics_listen {
        let free = port(address, "--metrics-listen");
        look("metrics port", free.and_then(|told| apart(address, serve.listen).map(|()| told)));
    }
    findings
}

/// Flags, variables and file were read before: what remains is what they say together.
fn settings(serve: &Serve) -> Result<String, String> {
    // In place of 0 the system will choose another port.
    let listening = SocketAddr::new(serve.listen.ip(), serve.listen.port().max(1));
    let address = serve.address(PublicKey::new([0; 32]), listening);
    address.map_err(|error| error.to_string())?;
    if serve.public.is_none() && serve.listen.ip().is_unspecified() {
        let nowhere = serve.listen.ip();
        return Err(format!("nobody can connect to {nowhere}: say with --public where to"));
    }
    Ok(match &serve.config {
        Some(path) => format!("read from {}, flags and variables", path.display()),
        None => "read from flags and variables".to_owned(),
    })
}

/// Whether as many files may be open as there may be connections. With fewer a relay runs as well.
fn open_files(needed: u64, most: Option<u64>) -> String {
    match most {
        Some(most) if most < needed => format!(
            "{most} are allowed, {needed} may be needed: raise the limit for so many connections"
        ),
        _ => format!("{needed} may be needed, and are allowed"),
    }
}

/// The data directory can be used, or made, and be the relay's alone.
fn data_directory(path: &Path) -> Result<String, String> {
    let told = directory(path)?;
    let Ok(found) = fs::metadata(path) else { return Ok(told) };
    let user = rustix::process::geteuid();
    if !user.is_root() && found.uid() != user.as_raw() {
        return Err(unusable(path, ErrorKind::PermissionDenied.into()));
    }
    let restoring = path.join(RESTORING);
    if restoring.exists() {
        return Err(Error::Restoring { path: restoring }.to_string());
    }
    match may_be_closed(path) {
        Ok(true) => Ok(told),
        Ok(false) => Err(Error::Foreign { path: path.to_owned() }.to_string()),
        Err(error) => Err(unusable(path, error)),
    }
}

/// The directory can be used, or made.
fn directory(path: &Path) -> Result<String, String> {
    let there = existing(path);
    if !there.is_dir() {
        return Err(format!("{} is no directory: choose another with --data", there.display()));
    }
    access(&there, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| unusable(&there, error.into()))?;
    let made = if there == path { "" } else { ", to be made at first start" };
    Ok(format!("{}{made}", path.display()))
}

/// Where blobs are kept, and that it is no other relay's; an object store is not asked.
fn blobs(serve: &Serve, data: &Path) -> Result<String, String> {
    match serve.blobs().map_err(|error| error.to_string())? {
        Place::Directory(path) => {
            let told = directory(&path)?;
            let Ok(named) = fs::read(path.join(OWNER)) else { return Ok(told) };
            let ours = owner(data).ok_or(BlobError::Strange);
            let ours = ours.and_then(|ours| ours.may_have(&named));
            ours.map(|()| told).map_err(|error| error.to_string())
        }
        Place::S3(bucket) => {
            bucket.check().map_err(|error| error.to_string())?;
            let at = bucket.endpoint.as_deref().unwrap_or("AWS");
            let Bucket { name, prefix, region, .. } = &bucket;
            Ok(format!("s3://{name}/{prefix} at {at}, region {region}; not asked"))
        }
    }
}

/// Whose a data directory is, if it is somebody's.
fn owner(data: &Path) -> Option<Owner> {
    let seed = fs::read(data.join(IDENTITY)).map(Zeroizing::new).ok()?;
    let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).ok()?);
    let incarnation = Incarnation::from_slice(&fs::read(data.join(INCARNATION)).ok()?)?;
    Some(Owner { identity: SigningKey::from_seed(&seed).public(), incarnation })
}

/// No relay runs on the directory.
fn unlocked(lock: &Path) -> Result<String, String> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok("never used yet".to_owned()),
        Err(error) => return Err(format!("cannot open {}: {error}", lock.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok("no relay has it open".to_owned()),
        Err(TryLockError::WouldBlock) => {
            Err("a relay is running on this data directory: stop it before you start another, or \
                 choose another directory with --data"
                .to_owned())
        }
        Err(TryLockError::Error(error)) => Err(format!("cannot lock {}: {error}", lock.display())),
    }
}

/// The identity key is whole and the relay's alone.
fn identity(data: &Path) -> Result<String, String> {
    let path = data.join(IDENTITY);
    let Some(seed) = secret(&path, 0o077)? else {
        if data.join(BUFFER).exists() {
            let gone = path.display();
            return Err(format!("{gone} is gone, and clients know the relay by it: put it back"));
        }
        return Ok("to be made at first start".to_owned());
    };
    if seed.len() != 32 {
        let damaged = path.display();
        return Err(format!("{damaged} does not hold 32 bytes: restore it from a backup"));
    }
    let incarnation = data.join(INCARNATION);
    if fs::read(&incarnation).is_ok_and(|bytes| bytes.len() != Incarnation::SIZE) {
        let damaged = incarnation.display();
        return Err(format!("{damaged} does not hold 16 bytes: remove it, and another is made"));
    }
    Ok(path.display().to_string())
}

/// Layout: what a file of redb begins with.
const STORE_BEGINS: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// The store and the keys of what is in it.
fn store(path: &Path) -> Result<String, String> {
    let data = match fs::metadata(path) {
        Ok(data) => data,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok("to be made at first start".to_owned());
        }
        Err(error) => return Err(format!("cannot look at {}: {error}", path.display())),
    };
    if !data.is_file() {
        return Err(format!("{} is no file: move it away", path.display()));
    }
    access(path, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| unusable(path, error.into()))?;
    // An empty one is left of a first start that was killed.
    let mut begins = [0; STORE_BEGINS.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begins));
    if data.len() > 0 && (read.is_err() || begins != STORE_BEGINS) {
        return Err(format!("{} is no store: restore it from a backup", path.display()));
    }
    let keys = path.with_extension("keys");
    if secret(&keys, 0o077)?.is_none() {
        return Err(format!("{} is gone: put it back, or envelopes are lost", keys.display()));
    }
    Ok(format!("{}, {} MiB", path.display(), mib(data.len())))
}

/// There is room to begin with.
fn disk(data: &Path, needs: u64) -> Result<String, String> {
    let there = existing(data);
    let free = free_bytes(&there)
        .map_err(|error| format!("cannot ask for the space at {}: {error}", there.display()))?;
    room(free, needs)
}

fn room(free: u64, reserve: u64) -> Result<String, String> {
    let (has, needs) = (mib(free), mib(reserve));
    if free < reserve {
        return Err(format!("{has} MiB are free where the data lies: make it {needs} at least"));
    }
    Ok(format!("{has} MiB are free"))
}

/// The certificate can be used: the operator's, or the relay's own.
fn certificate(serve: &Serve, data: &Path) -> Result<String, String> {
    match serve.certificate_files() {
        Ok(Some(files)) => certificate_files(&files),
        Ok(None) => own_certificate(&data.join(TLS_KEY)),
        Err(error) => Err(error.to_string()),
    }
}

fn own_certificate(path: &Path) -> Result<String, String> {
    let Some(pem) = secret(path, 0o077)? else {
        return Ok("the relay's own, to be made at first start".to_owned());
    };
    let usable = std::str::from_utf8(&pem).is_ok_and(|pem| TlsIdentity::self_signed(pem).is_ok());
    if !usable {
        let damaged = path.display();
        return Err(format!("{damaged} does not hold a key: remove it, and another is made"));
    }
    Ok("the relay's own".to_owned())
}

fn certificate_files(files: &CertificateFiles) -> Result<String, String> {
    secret(&files.key, 0o007)?;
    files.load().map_err(|error: Error| error.to_string())?;
    let path = files.certificate.display();
    let unreadable = || format!("cannot read the times in {path}");
    let pem = fs::read(&files.certificate).map_err(|_| unreadable())?;
    let der = CertificateDer::from_pem_slice(&pem).map_err(|_| unreadable())?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| unreadable())?;
    let now = i64::try_from(Clock.now().get()).unwrap_or(i64::MAX);
    let (from, until) = (parsed.validity().not_before, parsed.validity().not_after);
    if now < from.timestamp() {
        return Err(format!("{path} holds from {from} on: look at the clock, or wait"));
    }
    if now > until.timestamp() {
        return Err(format!("{path} has expired on {until}: renew it"));
    }
    Ok(format!("{path}, until {until}"))
}

/// The port can be had.
fn port(address: SocketAddr, flag: &str) -> Result<String, String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(address.to_string()),
        Err(error) => {
            Err(format!("cannot listen on {address}: {error}; choose another with {flag}"))
        }
    }
}

/// Two ports are not one.
fn apart(address: SocketAddr, other: SocketAddr) -> Result<(), String> {
    let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same = address.port() == other.port() && (is_any || address.ip() == other.ip());
    if is_same && address.port() != 0 {
        return Err(format!("{address} is --listen's already: choose another"));
    }
    Ok(())
}

/// A secret file's contents, or `None` if there is none; refused when its mode lets in others.
fn secret(path: &Path, others: u32) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let open = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mode = match fs::metadata(path) {
        Ok(data) => data.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(open(error)),
    };
    if mode & others != 0 {
        let who = if others == 0o007 { "o" } else { "go" };
        return Err(format!("others may use {0}: chmod {who}-rwx {0}", path.display()));
    }
    Ok(Some(Zeroizing::new(fs::read(path).map_err(open)?)))
}

/// Why something cannot be used, and what to do.
fn unusable(path: &Path, error: std::io::Error) -> String {
    let advice = match advice(&error) {
        "" => "; give it to the relay's user",
        advice => advice,
    };
    format!("cannot use {}: {error}{advice}", path.display())
}

/// The path itself, or what of it there is.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|path| path.exists()).unwrap_or(&path).to_owned()
}

const fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_a_problem() {
        assert!(room(7, 7).is_ok());
        assert!(room(6, 7).is_err());
    }

    /// Of the ports of one machine.
    #[test]
    fn two_ports_are_not_one() {
        let apart =
            |one: &str, other: &str| apart(one.parse().unwrap(), other.parse().unwrap()).is_ok();
        assert!(apart("127.0.0.1:1", "127.0.0.1:2") && apart("127.0.0.1:1", "127.0.0.2:1"));
        assert!(!apart("127.0.0.1:1", "127.0.0.1:1") && !apart("127.0.0.1:1", "0.0.0.0:1"));
        assert!(apart("127.0.0.1:0", "127.0.0.1:0"), "the system chooses another each time");
    }

    #[test]
    fn too_few_files_are_named() {
        assert!(open_files(7, Some(7)).contains("are allowed") && !open_files(7, None).is_empty());
        assert!(open_files(7, Some(6)).starts_with("6 are allowed, 7 may be needed"));
    }
}
