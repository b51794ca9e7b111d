//! Blobs across kills, in an object store that speaks S3, and in backups, with the relay's program.
//!
//! The object store is moto, of which `tests/run` makes an environment.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use restante_spec::codes::Code;
use restante_spec::limits;
use restante_spec::message::{MailboxClass, Reply};
use restante_tests::blobs::Blob;
use restante_tests::relay::{Process, program};
use restante_tests::wire::{Owner, Wire};
use tempfile::TempDir;

const PART: u64 = limits::BLOB_PART_BYTES as u64;
const BUCKET: &str = "letters";

fn content(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// Where a relay keeps its blobs, and how its program is told.
enum Place {
    Directory,
    S3(Moto),
}

impl Place {
    fn start(&self, home: &Path) -> Process {
        Process::start_with(&home.join("data"), &home.join("log"), |command| {
            command.args(["--listen", "127.0.0.1:0"]);
            if let Self::S3(moto) = self {
                moto.set(command);
            }
        })
    }

    /// How many objects there are, the one that names the owner among them.
    fn objects(&self, home: &Path) -> usize {
        match self {
            Self::Directory => files(&home.join("data/blobs")).len(),
            Self::S3(moto) => moto.keys().len(),
        }
    }

    /// All that is kept there.
    fn bytes(&self, home: &Path) -> Vec<u8> {
        match self {
            Self::Directory => {
                let files = files(&home.join("data/blobs"));
                files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
            }
            Self::S3(moto) => {
                let keys = moto.keys();
                keys.iter().flat_map(|key| moto.http("GET", &format!("/{BUCKET}/{key}"))).collect()
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// A server that speaks S3.
struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    fn start() -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let program = cache.expect("a home").join("restante/venv/bin/moto_server");
        let mut child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; tests/run makes it", program.display()));
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "moto tells where it listens");
            if let Some((_, at)) = line.split_once("http://127.0.0.1:") {
                let digits: String = at.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse().unwrap();
            }
        };
        // Its log is read on, so that it never waits.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let moto = Self { child, port };
        moto.http("PUT", &format!("/{BUCKET}"));
        moto
    }

    fn set(&self, command: &mut Command) {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let place = format!("s3://{BUCKET}/relay");
        command.args(["--blobs", &place, "--s3-endpoint", &endpoint]);
        command.env("AWS_ACCESS_KEY_ID", "someone").env("AWS_SECRET_ACCESS_KEY", "a secret");
        command.env("NO_PROXY", "127.0.0.1");
    }

    /// The answer to a request with a name and no signature, of which moto asks none.
    fn http(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let who = "AWS4-HMAC-SHA256 Credential=someone/20270115/us-east-1/s3/aws4_request";
        let head = format!("Host: x\r\nConnection: close\r\nAuthorization: {who}\r\n\r\n");
        let ask = format!("{method} {path} HTTP/1.1\r\n{head}");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        answer
    }

    fn keys(&self) -> Vec<String> {
        let listed = self.http("GET", &format!("/{BUCKET}?list-type=2&max-keys=1000"));
        let listed = String::from_utf8(listed).unwrap();
        let keys = listed.split("<Key>").skip(1);
        keys.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection with the mailbox open on handle 1.
async fn connect(relay: &Process, owner: &Owner) -> Wire {
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire
}

/// BLB-3, BLB-4, BLB-5, CMD-21: what every place has to do, with kills between.
async fn everything(place: &Place) {
    let home = tempfile::tempdir().unwrap();
    let mut relay = place.start(home.path());
    let owner = Owner::new();
    let mut wire = Wire::connect(relay.address()).await;
    wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let bytes = content(60 * PART + 1);
    let blob = Blob::new(owner.mailbox, bytes.len() as u64);
    wire.blob_state(blob.create(1), b"").await.unwrap();
    let mut before = 0;
    for kill in 1..=3_u64 {
        // Killed while some parts are answered and others are not.
        let from = before;
        let first = from / PART;
        let numbers: Vec<_> = (first..60.min(first + 18))
            .map(|part| {
                let at = usize::try_from(part * PART).unwrap();
                let body = &bytes[at..at + limits::BLOB_PART_BYTES];
                wire.queue(blob.write(1, part * PART), body)
            })
            .collect();
        wire.flush().await;
        let mut safe = from;
        for number in numbers.into_iter().take(9) {
            match wire.reply(number).await.0 {
                Reply::BlobState(state) => safe = safe.max(state.stored.get()),
                other => panic!("{other:?}"),
            }
        }
        relay.kill();
        relay = place.start(home.path());
        wire = connect(&relay, &owner).await;
        let state = wire.blob_state(blob.create(1), b"").await.unwrap();
        let stored = state.stored.get();
        assert!(stored >= safe, "kill {kill}: {safe} bytes were safe, {stored} are");
        assert!(!state.complete && wire.download(&blob).await.is_err());
        before = stored;
    }
    assert!(wire.upload(1, &blob, &bytes).await.unwrap().complete);
    assert!(wire.download(&blob).await.unwrap() == bytes);
    relay.kill();
    let relay = place.start(home.path());
    let mut wire = connect(&relay, &owner).await;
    assert!(wire.download(&blob).await.unwrap() == bytes, "the same bytes after a kill");
    let kept = place.bytes(home.path());
    assert!(kept.len() > bytes.len());
    for part in bytes.chunks_exact(limits::BLOB_PART_BYTES).step_by(29) {
        let found = kept.windows(32).any(|window| window == &part[..32]);
        assert!(!found, "nothing of it is kept in the clear");
    }
    wire.done(blob.delete(1), b"").await.unwrap();
    assert_eq!(wire.download(&blob).await.unwrap_err().code, Code::NotFound);
    while place.objects(home.path()) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_blobs_across_kills() {
    everything(&Place::Directory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_keeps_blobs_across_kills() {
    everything(&Place::S3(Moto::start())).await;
}

/// Runs the program to its end: whether it ended well, and all it said.
fn run(words: &[&str], set: impl FnOnce(&mut Command)) -> (bool, String) {
    let mut command = Command::new(program("restante-relay"));
    set(command.args(words).env_remove("AWS_ACCESS_KEY_ID"));
    let output = command.output().expect("it runs");
    let all = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(all).expect("text"))
}

fn home() -> (TempDir, String, String) {
    let home = tempfile::tempdir().unwrap();
    let path = |name| home.path().join(name).to_str().unwrap().to_owned();
    let (data, file) = (path("data"), path("file"));
    (home, data, file)
}

/// A place serves one relay, and blobs that exist are not looked for in an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_place_is_refused_at_the_start() {
    let (home, data, _) = home();
    let relay = Place::Directory.start(home.path());
    let owner = Owner::new();
    let mut wire = Wire::connect(relay.address()).await;
    wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire.upload(1, &Blob::new(owner.mailbox, 3), b"abc").await.unwrap();
    assert_eq!(relay.terminate(), Some(0));
    let (empty, other) = (home.path().join("empty"), home.path().join("other"));
    let serve = |data: &str, blobs: &Path| {
        let blobs = blobs.to_str().unwrap();
        run(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--blobs", blobs], |_| ())
    };
    let (well, said) = serve(&data, &empty);
    assert!(!well && said.contains("does not hold them"), "{said}");
    let (well, said) = serve(other.to_str().unwrap(), &home.path().join("data/blobs"));
    assert!(!well && said.contains("another relay's"), "{said}");
}

/// What is set is shown by `check`, secrets never; what does not go together is named.
#[test]
fn check_shows_the_place() {
    let (_home, data, file) = home();
    let check = |words: &[&str]| run(&[&["check", "--data", &data][..], words].concat(), |_| ());
    let blobs =
        |said: &str| said.lines().find(|line| line.contains("  blobs ")).unwrap().to_owned();
    let (_, said) = check(&[]);
    assert!(blobs(&said).starts_with("ok") && blobs(&said).contains("data/blobs"), "{said}");
    std::fs::write(&file, "someone\na secret\n").unwrap();
    let s3 = ["--blobs", "s3://letters/here", "--s3-endpoint", "https://s3.example.org"];
    let (_, said) = check(&[&s3[..], &["--s3-credentials", &file]].concat());
    let line = blobs(&said);
    assert!(line.starts_with("ok") && line.contains("s3://letters/here at https://s3.example"));
    assert!(!said.contains("a secret") && !said.contains("someone"));
    let (_, said) = check(&s3);
    assert!(blobs(&said).contains("AWS_ACCESS_KEY_ID is not set"), "{said}");
    let (_, said) = check(&["--s3-region", "here"]);
    assert!(blobs(&said).contains("belong to"), "{said}");
    std::fs::write(&file, "someone\n").unwrap();
    let (_, said) = check(&[&s3[..], &["--s3-credentials", &file]].concat());
    assert!(blobs(&said).contains("one a line"), "{said}");
}

/// BLB-7: a backup holds no blobs, and no row of a restored relay points to one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_relay_never_had_blobs() {
    let (home, data, file) = home();
    let relay = Place::Directory.start(home.path());
    let inbox = Owner::new();
    let mut wire = Wire::connect(relay.address()).await;
    wire.create(MailboxClass::Room, &inbox).await;
    wire.open(1, inbox.mailbox, &inbox.key).await;
    let host = restante_crypto::SigningKey::generate().unwrap();
    let allow = restante_spec::message::Allow {
        handle: restante_spec::ids::Handle::new(1),
        key: host.public(),
        possession: restante_crypto::prove_possession(&host, &inbox.mailbox),
        terms: restante_spec::message::Terms {
            rights: restante_spec::message::Rights { write: true, ..Default::default() },
            expires_at: None,
            uses: None,
            rate: None,
        },
    };
    wire.done(restante_spec::message::Command::Allow(allow), b"").await.unwrap();
    wire.open(2, inbox.mailbox, &host).await;
    let blob = Blob::new(inbox.mailbox, 3);
    wire.upload(2, &blob, b"abc").await.unwrap();
    let (well, said) = run(&["backup", &file, "--data", &data], |_| ());
    assert!(well, "{said}");
    relay.kill();
    let again = home.path().join("again");
    let (well, said) = run(&["restore", &file, "--data", again.to_str().unwrap()], |_| ());
    assert!(well, "{said}");
    let log = home.path().join("log");
    let relay = Process::start(&again, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    wire.open(2, inbox.mailbox, &host).await;
    assert_eq!(wire.download(&blob).await.unwrap_err().code, Code::NotFound);
    let state = wire.blob_state(blob.create(2), b"").await.unwrap();
    assert_eq!((state.stored.get(), state.complete), (0, false), "its id is free");
    assert_eq!(relay.terminate(), Some(0));
}
