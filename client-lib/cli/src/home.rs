//! Where an account lives and what opens it: a passphrase, or a random key in a file of the home.
//!
//! Knows files and the builder of the SDK; must not know what is in a store.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use restante_client::{
    AdmissionToken, Builder, Client, Entrance, Error, RecoverySecret, StoreKey, write_once,
};
use zeroize::Zeroizing;

use crate::args::Common;
use crate::failure::Failure;
use crate::limits::PASSPHRASE_BYTES;

/// The file of the home with the random key, as hexadecimal digits.
const KEY_FILE: &str = "key";
/// What the SDK calls its store in a home; only asked whether it is there.
const STORE_FILE: &str = "store";
/// The passphrase, for those who do not want it in a file.
const PASSPHRASE_VARIABLE: &str = "RESTANTE_PASSPHRASE";

/// The home named on the command line, and the passphrase for it if there is one.
pub(crate) struct Home {
    path: PathBuf,
    passphrase: Option<Zeroizing<String>>,
}

/// What opens a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptIn {
    /// A passphrase, kept nowhere.
    Passphrase,
    /// A random key in a file of the home.
    File,
}

impl Home {
    /// The home that is meant, by flag, environment, or the platform's place for data.
    pub(crate) fn find(common: &Common) -> Result<Self, Failure> {
        let path = common.home.clone().or_else(|| Some(dirs::data_dir()?.join("restante")));
        let path = path.ok_or_else(|| {
            Failure::new("no_home", "this system has no place for data; name one with --home DIR")
        })?;
        let passphrase = match &common.passphrase_file {
            Some(file) => Some(read_passphrase(file)?),
            None => std::env::var(PASSPHRASE_VARIABLE).ok().map(Zeroizing::new),
        };
        Ok(Self { path, passphrase: passphrase.filter(|words| !words.is_empty()) })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the account of this home; waits a little while another process has it.
    pub(crate) fn open(&self) -> Result<Client, Failure> {
        // Looking must not make anything.
        if !self.has(STORE_FILE) {
            return Err(Error::NoStore.into());
        }
        let key = match &self.passphrase {
            Some(words) => StoreKey::from_passphrase(&self.path, words)?,
            None => self.key_from_file()?.ok_or_else(|| {
                Failure::new(
                    "passphrase_needed",
                    "this home opens with a passphrase: name its file with --passphrase-file, \
                     or put it into RESTANTE_PASSPHRASE",
                )
            })?,
        };
        Client::builder(&self.path).store_key(key).open().map_err(|error| self.explain(error))
    }

    /// Makes an account in this home.
    pub(crate) fn create(
        &self,
        entrance: &Entrance,
        name: &str,
    ) -> Result<(Client, KeptIn), Failure> {
        self.make(entrance.token.clone(), |builder| builder.create(&entrance.address, name))
    }

    /// Makes a device in this home that is to be linked to an account.
    pub(crate) fn link(&self, entrance: &Entrance) -> Result<(Client, KeptIn), Failure> {
        self.make(entrance.token.clone(), |builder| builder.link(&entrance.address))
    }

    /// Makes a new device in this home, of the account of a recovery file.
    pub(crate) fn restore(
        &self,
        file: &Path,
        secret: &RecoverySecret,
    ) -> Result<(Client, KeptIn), Failure> {
        self.make(None, |builder| builder.restore(file, secret))
    }

    fn make(
        &self,
        token: Option<AdmissionToken>,
        make: impl FnOnce(Builder) -> Result<Client, Error>,
    ) -> Result<(Client, KeptIn), Failure> {
        if self.has(STORE_FILE) {
            return Err(Error::StoreExists.into());
        }
        let mut builder = Client::builder(&self.path);
        if let Some(token) = token {
            builder = builder.token(token);
        }
        if let Some(words) = &self.passphrase {
            let key = StoreKey::from_passphrase(&self.path, words)?;
            return Ok((make(builder.store_key(key))?, KeptIn::Passphrase));
        }
        // A key that an earlier attempt has left is as good as a new one. None is taken away when
        // this fails: a store may be there all the same, made by this run or by another.
        let key = match self.key_from_file()? {
            Some(key) => key,
            None => self.key_into_file()?,
        };
        Ok((make(builder.store_key(key))?, KeptIn::File))
    }

    fn has(&self, file: &str) -> bool {
        self.path.join(file).try_exists().unwrap_or(false)
    }

    /// A wrong key is one of three mistakes.
    fn explain(&self, error: Error) -> Failure {
        let words = match (&error, &self.passphrase) {
            (Error::WrongKey, Some(_)) if self.has(KEY_FILE) => {
                "the passphrase does not open this home: it has a key file and opens without one"
            }
            (Error::WrongKey, Some(_)) => "the passphrase does not open this home",
            (Error::WrongKey, None) => "the key file of this home does not open it",
            _ => return error.into(),
        };
        Failure::from(error).saying(words)
    }

    fn key_from_file(&self) -> Result<Option<StoreKey>, Failure> {
        let text = match fs::read_to_string(self.path.join(KEY_FILE)) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_failure("the key file cannot be read", &error)),
        };
        let mut key = Zeroizing::new([0; 32]);
        let digits = text.trim().as_bytes();
        let fits = HEXLOWER_PERMISSIVE.decode_len(digits.len()).is_ok_and(|len| len == key.len());
        if !fits || HEXLOWER_PERMISSIVE.decode_mut(digits, key.as_mut()).is_err() {
            let text = "the key file of this home does not hold 64 hexadecimal digits";
            return Err(Failure::new("bad_key_file", text));
        }
        Ok(Some(StoreKey::from_bytes(*key)))
    }

    /// Makes the key file, whole or not at all; of runs that do so at the same time, one does.
    fn key_into_file(&self) -> Result<StoreKey, Failure> {
        let key = StoreKey::random()?;
        let text = Zeroizing::new(format!("{}\n", HEXLOWER_PERMISSIVE.encode(key.as_bytes())));
        write_once(&self.path, KEY_FILE, text.as_bytes())?;
        self.key_from_file()?.ok_or_else(|| Failure::new("storage", "the key file is gone"))
    }
}

/// The first line of the file, without its end.
fn read_passphrase(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read =
        fs::File::open(file).and_then(|file| file.take(PASSPHRASE_BYTES).read_to_string(&mut text));
    read.map_err(|error| io_failure("the passphrase file cannot be read", &error))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::new("bad_passphrase_file", "the passphrase file is empty"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn io_failure(what: &str, error: &io::Error) -> Failure {
    Failure::new("storage", format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use restante_client::RelayAddress;

    use super::*;

    /// A relay that nobody runs.
    const ADDRESS: &str = "restante://AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE@127.0.0.1:1";

    fn home(dir: &tempfile::TempDir) -> Home {
        Home { path: dir.path().join("home"), passphrase: None }
    }

    /// Once the key went with a failure that came after the store was there: on a full disk, or
    /// where another run had used the key meanwhile. Nothing opened that account any more.
    #[test]
    fn a_key_stays_with_what_it_may_open() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let address: RelayAddress = ADDRESS.parse().unwrap();
        let failed = home.make(None, |builder| {
            drop(builder.create(&address, "Alice")?);
            Err(Error::StoreExists)
        });
        assert!(failed.is_err());
        assert!(home.open().is_ok());
    }

    /// A key that a failed attempt has left is the key of the next one.
    #[test]
    fn a_left_key_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        assert!(home.make(None, |_| Err(Error::Cloned)).is_err());
        let left = fs::read(home.path().join(KEY_FILE)).unwrap();
        let address: RelayAddress = ADDRESS.parse().unwrap();
        assert!(home.make(None, |builder| builder.create(&address, "Alice")).is_ok());
        assert_eq!(fs::read(home.path().join(KEY_FILE)).unwrap(), left);
    }
}
