//! The relay's ear for its operator: a socket in the data directory, for the owner's user only.
//!
//! A request is a line, its answer is everything up to the end; one is answered after the other.
//! What else an operator may ask of a running relay becomes a variant of [`Request`].

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::config::Serve;
use super::datadir::{LOCK, SOCKET};
use super::invite::{Ask, Tokens};
use super::metrics;
use crate::error::Error;
use crate::limits::{ACCEPT_RETRY, ADMIN_REQUEST_BYTES, STATUS_TIME};

/// What an operator asks of a running relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The metrics.
    Stats,
    /// To drain and stop.
    Drain,
    /// A backup, as the rest of the answer.
    Backup,
    /// Something about tokens.
    Invite(Ask),
}

/// Writes a backup into a stream, elsewhere and in its own time.
pub(crate) type BackUp = Box<dyn Fn(UnixStream) + Send + Sync>;

impl Request {
    pub(super) fn line(&self) -> String {
        match self {
            Self::Stats => "stats\n".to_owned(),
            Self::Drain => "drain\n".to_owned(),
            Self::Backup => "backup\n".to_owned(),
            Self::Invite(ask) => format!("invite {}\n", ask.words()),
        }
    }

    pub(super) fn read(line: &str) -> Option<Self> {
        match line.strip_suffix('\n')? {
            "stats" => Some(Self::Stats),
            "drain" => Some(Self::Drain),
            "backup" => Some(Self::Backup),
            words => Ask::read(words.strip_prefix("invite ")?).map(Self::Invite),
        }
    }
}

/// The open socket.
pub(crate) struct Admin {
    socket: UnixListener,
    path: PathBuf,
    back_up: BackUp,
    tokens: Tokens,
}

impl Admin {
    /// Listens in a data directory that is ours: what lies there from before belongs to nobody.
    ///
    /// # Errors
    /// The system's; a path to the directory of more than about 100 bytes has no place for it.
    pub(crate) fn bind(path: PathBuf, back_up: BackUp, tokens: Tokens) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixListener::bind(&path)?;
        let admin = Self { socket, path, back_up, tokens };
        fs::set_permissions(&admin.path, fs::Permissions::from_mode(0o600))?;
        Ok(admin)
    }

    /// Answers until `closing`; cancels `stop` when it is asked to drain.
    pub(crate) async fn run(self, stop: CancellationToken, closing: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = closing.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let answered = match accepted {
                Ok((stream, _)) => {
                    let answer = self.answer(stream, &stop);
                    tokio::time::timeout(STATUS_TIME, answer).await
                }
                Err(error) => {
                    warn!(%error, "cannot accept connections of the operator");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            match answered {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a request of the operator failed"),
                Err(_) => debug!("a request of the operator took too long"),
            }
        }
    }

    async fn answer(
        &self,
        stream: tokio::net::UnixStream,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let (mut reader, mut writer) = stream.into_split();
        let mut line = String::new();
        // A longer line is cut: without its end it is none.
        let limited = (&mut reader).take(ADMIN_REQUEST_BYTES);
        tokio::io::BufReader::new(limited).read_line(&mut line).await?;
        let request = Request::read(&line);
        let text = match &request {
            Some(Request::Stats) => format!("ok\n{}", metrics::render()),
            Some(Request::Drain | Request::Backup) => "ok\n".to_owned(),
            Some(Request::Invite(ask)) => match (self.tokens)(ask.clone()).await {
                Ok(text) => format!("ok\n{text}"),
                Err(why) => format!("no\n{why}"),
            },
            None => "unknown\n".to_owned(),
        };
        writer.write_all(text.as_bytes()).await?;
        if request == Some(Request::Backup) {
            info!("the operator asks for a backup");
            let stream = writer.reunite(reader).map_err(io::Error::other)?.into_std()?;
            stream.set_nonblocking(false)?;
            stream.set_write_timeout(Some(STATUS_TIME))?;
            (self.back_up)(stream);
            return Ok(());
        }
        writer.shutdown().await?;
        if request == Some(Request::Drain) {
            info!("the operator asks to drain");
            stop.cancel();
        }
        Ok(())
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, "the admin socket stays behind");
        }
    }
}

/// What the relay that runs with these settings counts, as Prometheus reads it.
///
/// # Errors
/// [`Error::NoRelay`], [`Error::Admin`], [`Error::NoDataDir`].
pub fn stats(serve: &Serve) -> Result<String, Error> {
    ask(&serve.data_dir()?, &Request::Stats)
}

/// Has the relay that runs with these settings drain and stop; returns when it has.
///
/// # Errors
/// [`Error::NoRelay`], [`Error::Admin`], [`Error::NoDataDir`].
pub fn drain(serve: &Serve) -> Result<(), Error> {
    let data = serve.data_dir()?;
    // Opened before: the relay may be gone by the time of its answer.
    let lock = fs::File::open(data.join(LOCK)).map_err(|error| no_relay(&data, error))?;
    ask(&data, &Request::Drain)?;
    lock.lock_shared().map_err(Error::Admin)
}

/// What the relay of this data directory says about its tokens.
pub(super) fn ask_for_tokens(data: &Path, what: Ask) -> Result<String, Error> {
    ask(data, &Request::Invite(what))
}

/// The stream a backup of the relay of this data directory comes from.
pub(super) fn ask_for_backup(data: &Path) -> Result<UnixStream, Error> {
    let socket = data.join(SOCKET);
    let mut stream = UnixStream::connect(&socket).map_err(|error| no_relay(data, error))?;
    let begin = |stream: &mut UnixStream| {
        stream.set_read_timeout(Some(STATUS_TIME))?;
        stream.write_all(Request::Backup.line().as_bytes())?;
        let mut said = [0; 3];
        stream.read_exact(&mut said)?;
        if said == *b"ok\n" { Ok(()) } else { Err(io::Error::other("the relay cannot")) }
    };
    begin(&mut stream).map_err(Error::Admin)?;
    Ok(stream)
}

fn ask(data: &Path, request: &Request) -> Result<String, Error> {
    let socket = data.join(SOCKET);
    let mut stream = UnixStream::connect(&socket).map_err(|error| no_relay(data, error))?;
    let answer = exchange(&mut stream, request).map_err(Error::Admin)?;
    match answer.split_once('\n') {
        Some(("ok", rest)) => Ok(rest.to_owned()),
        Some(("no", why)) => Err(Error::Declined(why.to_owned())),
        _ => Err(Error::Admin(io::Error::other("the relay is of another version"))),
    }
}

fn exchange(stream: &mut UnixStream, request: &Request) -> io::Result<String> {
    stream.set_read_timeout(Some(STATUS_TIME))?;
    stream.write_all(request.line().as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn no_relay(data: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            Error::NoRelay { path: data.to_owned() }
        }
        _ => Error::Admin(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tasks::Tasks;

    fn no_tokens() -> Tokens {
        std::sync::Arc::new(|_| Box::pin(async { Err("none here".to_owned()) }))
    }

    /// A line at the bound is read, one past it is cut and never done; the next one is answered.
    #[tokio::test]
    async fn what_is_not_known_is_not_done() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(SOCKET);
        let (stop, closing) = (CancellationToken::new(), CancellationToken::new());
        let tasks = Tasks::new();
        let admin = Admin::bind(path.clone(), Box::new(|_| ()), no_tokens()).unwrap();
        tasks.spawn("admin", admin.run(stop.clone(), closing.clone()));
        let bound = usize::try_from(ADMIN_REQUEST_BYTES).unwrap();
        let (at, past) = (" ".repeat(bound - 6), " ".repeat(bound - 5));
        let cases = [
            ("back up\n".to_owned(), "unknown\n"),
            (format!("drain{at}\n"), "unknown\n"),
            (format!("drain{past}\n"), ""),
            ("\n".to_owned(), "unknown\n"),
            ("invite all\n".to_owned(), "unknown\n"),
            ("invite list\n".to_owned(), "no\nnone here"),
            ("drain\n".to_owned(), "ok\n"),
        ];
        for (line, expected) in cases {
            assert!(!stop.is_cancelled());
            let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
            stream.write_all(line.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // What was not read of a line resets the connection, with or behind the answer.
            let is_whole = stream.read_to_string(&mut answer).await.is_ok();
            assert!(answer == expected || !is_whole && expected.is_empty(), "{line:?}: {answer}");
        }
        stop.cancelled().await;
        closing.cancel();
        tasks.join(STATUS_TIME).await;
        assert!(!path.exists(), "the socket is gone with the relay");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_the_owner_s_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let _admin = Admin::bind(path.clone(), Box::new(|_| ()), no_tokens()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
