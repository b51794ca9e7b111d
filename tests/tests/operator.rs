//! What an operator does with the program `restante-relay`, and what it answers.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use restante_crypto::verify_endorsement;
use restante_spec::ids::SpkiHash;
use restante_spec::message::{Command as Ask, Push};
use restante_tests::line::Line;
use restante_tests::relay::{Process, program};
use restante_tests::wire::{PATIENCE, Wire, tls};

/// Runs the program to its end: what it said, what it complained of, its exit code.
fn said_of(words: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(program("restante-relay")).args(words).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A relay with these flags and variables, for as long as the test looks at it.
fn serve(place: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Process {
    Process::start_with(&place.join("data"), &place.join("log"), |command| {
        command.args(["--listen", "127.0.0.1:0"]).args(flags).envs(variables.iter().copied());
    })
}

/// Flags win over the environment, the environment over the file, the file over the defaults.
#[tokio::test]
async fn settings_come_in_layers() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("relay.toml");
    std::fs::write(&file, "operator_text = 'file'\nmailbox_entries = 100\n").unwrap();
    let config = ("RESTANTE_CONFIG", file.to_str().unwrap());
    let variable = ("RESTANTE_OPERATOR_TEXT", "variable");
    let flag = ["--operator-text", "flag"];
    let layers: [(&[&str], &[_], &str, u32); 4] = [
        (&[], &[], "", 10_000),
        (&[], &[config], "file", 100),
        (&[], &[config, variable], "variable", 100),
        (&flag, &[config, variable], "flag", 100),
    ];
    for (flags, variables, text, entries) in layers {
        let relay = serve(place.path(), flags, variables);
        let wire = Wire::connect(relay.address()).await;
        assert_eq!(wire.operator_text, text);
        assert_eq!(wire.welcome.limits.mailbox_entries, entries);
        relay.kill();
    }
}

#[test]
fn a_wrong_configuration_is_named_and_ends_the_program() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("relay.toml");
    std::fs::write(&file, "log = 'info'\nlitsen = '127.0.0.1:0'\n").unwrap();
    let (out, err, code) = said_of(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!((out.as_str(), code), ("", Some(1)));
    assert!(err.contains("relay.toml, line 2: `litsen` is no key"), "{err}");
}

#[test]
fn the_template_is_printed_and_accepted() {
    let place = tempfile::tempdir().unwrap();
    let (template, _, code) = said_of(&["config"]);
    assert_eq!(code, Some(0));
    assert!(template.contains("\n#listen = \"127.0.0.1:7443\"\n"), "{template}");
    let file = place.path().join("relay.toml");
    std::fs::write(&file, &template).unwrap();
    let relay = serve(place.path(), &["--config", file.to_str().unwrap()], &[]);
    assert_eq!(relay.terminate(), Some(0));
}

/// Writes a new certificate for so many years around now and its key, each renamed into place.
fn renew(folder: &Path, years: i32) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["relay.example.org".to_owned()]).unwrap();
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let year = 1970 + i32::try_from(seconds / 31_556_952).unwrap();
    params.not_before = rcgen::date_time_ymd(year - 2, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + years, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    for (name, text) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::set_permissions(folder.join("new"), Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }
}

/// A relay whose certificate lies in files, with a first one.
fn serve_with_certificate(place: &Path) -> Process {
    renew(place, 1);
    let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    serve(place, &["--tls-cert", &certificate, "--tls-key", &key], &[])
}

/// The key that the relay has endorsed on this connection, which must be that of the handshake.
fn endorsed(relay: &Process, wire: &Wire) -> SpkiHash {
    let endorsement = &wire.welcome.endorsement;
    verify_endorsement(endorsement, relay.address().identity(), wire.welcome.now).unwrap();
    assert_eq!(endorsement.spki, wire.spki());
    endorsement.spki
}

/// Connects again and again until another key than `before` is shown.
async fn until_another(relay: &Process, before: SpkiHash) -> SpkiHash {
    let changed = async {
        loop {
            let now = endorsed(relay, &Wire::connect(relay.address()).await);
            if now != before {
                return now;
            }
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("another certificate in time")
}

/// TRN-5: a connection keeps the certificate of its handshake, and is given the endorsement of its
/// key, whatever has become of the certificate meanwhile; no connection is dropped.
#[tokio::test]
async fn certificates_are_changed_under_live_connections() {
    let place = tempfile::tempdir().unwrap();
    let relay = serve_with_certificate(place.path());
    let mut early = Wire::connect(relay.address()).await;
    let first = endorsed(&relay, &early);
    let late = tls(relay.address(), &[restante_spec::ALPN]).await.unwrap();

    renew(place.path(), 1);
    relay.signal("HUP");
    let second = until_another(&relay, first).await;
    let late = Wire::hello(Line::Frames(Box::new(late)))
        .await
        .expect("a connection from before the change");
    assert_eq!(endorsed(&relay, &late), first);
    early.done(Ask::Ping, b"").await.unwrap();
    // Without a signal, the relay sees it by itself.
    renew(place.path(), 1);
    assert_ne!(until_another(&relay, second).await, first);
    early.done(Ask::Ping, b"").await.unwrap();
    assert_eq!(relay.terminate(), Some(0));
}

/// A certificate that cannot be used changes nothing, and the log says why.
#[tokio::test]
async fn bad_certificates_leave_the_one_before() {
    let place = tempfile::tempdir().unwrap();
    let relay = serve_with_certificate(place.path());
    let before = endorsed(&relay, &Wire::connect(relay.address()).await);
    std::fs::write(place.path().join("cert.pem"), "nothing").unwrap();
    relay.signal("HUP");
    let log = place.path().join("log");
    let said = async {
        while !std::fs::read_to_string(&log).unwrap().contains("no certificate in PEM") {
            assert_eq!(endorsed(&relay, &Wire::connect(relay.address()).await), before);
        }
    };
    tokio::time::timeout(PATIENCE, said).await.expect("said in time");
    assert_eq!(endorsed(&relay, &Wire::connect(relay.address()).await), before);
    // Nor does the relay start with it.
    let files = ["cert.pem", "key.pem"].map(|name| place.path().join(name));
    let [certificate, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let other = place.path().join("other");
    let flags = ["--data", other.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let pair = ["--tls-cert", certificate, "--tls-key", key];
    let (_, err, code) = said_of(&[&["serve"], &flags[..], &pair].concat());
    assert!(code == Some(1) && err.contains("cert.pem"), "{err}");
    let (_, err, code) = said_of(&[&["serve"], &flags[..], &pair[..2]].concat());
    assert!(code == Some(1) && err.contains("belong together"), "{err}");
}

/// What `check` says, and whether all is well.
fn check(place: &Path, flags: &[&str]) -> (String, Option<i32>) {
    check_on(place, "127.0.0.1:0", flags)
}

fn check_on(place: &Path, listen: &str, flags: &[&str]) -> (String, Option<i32>) {
    let data = place.join("data");
    let base = ["check", "--data", data.to_str().unwrap(), "--listen", listen];
    let (out, err, code) = said_of(&[&base, flags].concat());
    assert_eq!(err, "");
    (out, code)
}

/// The names, modes, times and contents of everything below a folder.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, SystemTime, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = path.metadata().unwrap();
        if data.is_dir() {
            all.extend(picture(&path));
        }
        let bytes = if data.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
        all.insert(path, (data.permissions().mode(), data.modified().unwrap(), bytes));
    }
    all
}

/// The lines that are no `ok`.
fn problems(said: &str) -> Vec<&str> {
    said.lines().filter(|line| !line.starts_with("ok ")).collect()
}

#[test]
fn checking_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (said, code) = check(place.path(), &[]);
    assert_eq!((problems(&said), code), (Vec::new(), Some(0)), "{said}");
    assert!(picture(place.path()).is_empty(), "nothing was made");
    assert_eq!(serve(place.path(), &[], &[]).terminate(), Some(0));
    let before = picture(place.path());
    let (said, code) = check(place.path(), &[]);
    assert_eq!((problems(&said), code), (Vec::new(), Some(0)), "{said}");
    assert_eq!(picture(place.path()), before);
}

#[test]
fn checking_says_when_a_relay_is_running() {
    let place = tempfile::tempdir().unwrap();
    let relay = serve(place.path(), &[], &[]);
    let (said, code) = check(place.path(), &[]);
    let found = problems(&said);
    assert!(found.len() == 1 && found[0].contains("a relay is running on this data"), "{said}");
    assert_eq!(code, Some(1));
    let listen = format!("127.0.0.1:{}", relay.address().port());
    let (said, _) = check_on(place.path(), &listen, &[]);
    assert!(said.contains(&format!("problem  port         cannot listen on {listen}")), "{said}");
    assert_eq!(relay.terminate(), Some(0), "it was not disturbed");
}

/// What goes wrong with a data directory or a certificate.
type Break = fn(&Path);

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Each with what `check` says of it.
const BREAKS: [(Break, &str); 15] = [
    (|place| std::fs::remove_file(place.join("data/buffer.keys")).unwrap(), "envelopes are lost"),
    (|place| std::fs::write(place.join("data/identity.key"), "short").unwrap(), "32 bytes"),
    (|place| mode(&place.join("data/identity.key"), 0o640), "chmod go-rwx"),
    (|place| std::fs::remove_file(place.join("data/identity.key")).unwrap(), "put it back"),
    (
        |place| {
            std::fs::remove_file(place.join("data/buffer.redb")).unwrap();
            std::fs::create_dir(place.join("data/buffer.redb")).unwrap();
        },
        "is no file",
    ),
    (|place| std::fs::write(place.join("data/buffer.redb"), "none").unwrap(), "is no store"),
    (|place| std::fs::write(place.join("data/incarnation"), "short").unwrap(), "16 bytes"),
    (
        |place| std::fs::write(place.join("data/blobs/restante-relay"), "other").unwrap(),
        "is another relay's",
    ),
    (
        |place| {
            std::fs::remove_dir_all(place.join("data")).unwrap();
            std::fs::create_dir(place.join("data")).unwrap();
            std::fs::write(place.join("data/letter"), "").unwrap();
            mode(&place.join("data"), 0o755);
        },
        "holds other things",
    ),
    (|place| mode(&place.join("key.pem"), 0o644), "chmod o-rwx"),
    (|place| std::fs::write(place.join("key.pem"), "nothing").unwrap(), "no private key"),
    (|place| std::fs::remove_file(place.join("cert.pem")).unwrap(), "cert.pem"),
    (
        |place| {
            let other = place.join("other");
            std::fs::create_dir(&other).unwrap();
            renew(&other, 1);
            std::fs::rename(other.join("key.pem"), place.join("key.pem")).unwrap();
        },
        "used together",
    ),
    (|place| renew(place, -1), "has expired"),
    (
        |place| {
            std::fs::remove_dir_all(place.join("data")).unwrap();
            std::fs::write(place.join("data"), "").unwrap();
        },
        "is no directory",
    ),
];

#[test]
fn checking_names_what_is_wrong() {
    for (spoil, says) in BREAKS {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(serve_with_certificate(place.path()).terminate(), Some(0));
        let files = ["cert.pem", "key.pem"].map(|name| place.path().join(name));
        let [cert, key] = files.each_ref().map(|path| path.to_str().unwrap());
        let flags = ["--tls-cert", cert, "--tls-key", key];
        assert_eq!(check(place.path(), &flags).1, Some(0));
        spoil(place.path());
        let (said, code) = check(place.path(), &flags);
        assert!(problems(&said).iter().any(|line| line.contains(says)), "{says}: {said}");
        assert_eq!(code, Some(1));
    }
    let place = tempfile::tempdir().unwrap();
    let (said, code) = check(place.path(), &["--public", "relay.example.org:https"]);
    assert!(problems(&said)[0].contains("public address"), "{said}");
    assert_eq!(code, Some(1));
    let (said, _) = check_on(place.path(), "0.0.0.0:0", &[]);
    assert!(problems(&said)[0].contains("nobody can connect to 0.0.0.0"), "{said}");
}

/// A file of `relay/dist/`.
fn dist(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay/dist");
    std::fs::read_to_string(folder.join(name)).expect("a file")
}

/// systemd is told what happens, and hears that the relay lives.
#[test]
fn systemd_is_told_how_it_goes() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    // Reads until a message has this line, and not the watchdog's alone.
    let mut until = |line: &str| {
        loop {
            let mut bytes = [0; 512];
            let size = socket.recv(&mut bytes).unwrap_or_else(|_| panic!("no {line}: {seen:?}"));
            let message = String::from_utf8(bytes[..size].to_vec()).unwrap();
            let found = message.lines().any(|said| said == line);
            seen.push(message);
            if found {
                return seen.last().unwrap().clone();
            }
        }
    };
    let relay = serve(place.path(), &[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    until("READY=1");
    until("WATCHDOG=1");
    relay.signal("HUP");
    assert!(until("RELOADING=1").contains("MONOTONIC_USEC="));
    until("READY=1");
    assert_eq!(relay.terminate(), Some(0));
    until("STOPPING=1");
}

/// The unit is valid, and its exposure stays low; `tests/run` installs the tool.
#[test]
fn the_unit_is_valid_and_hardened() {
    let place = tempfile::tempdir().unwrap();
    let unit = place.path().join("restante-relay.service");
    let here = program("restante-relay");
    let text = dist("restante-relay.service");
    std::fs::write(&unit, text.replace("/usr/bin/restante-relay", here.to_str().unwrap())).unwrap();
    let analyze = |words: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(words).arg(&unit).output().expect("systemd-analyze is installed");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    // What it says of the machine's other units is not ours.
    let (_, said) = analyze(&["verify", "--man=no"]);
    assert!(!said.contains("restante-relay.service"), "{said}");
    // Tenths: 1.2 with systemd 252.
    let (code, said) = analyze(&["security", "--offline=true", "--threshold=15"]);
    assert_eq!(code, Some(0), "{said}");
    // The control: without what hardens it, the same threshold is missed; nonsense is reported.
    let soft: Vec<&str> = text.lines().filter(|line| !line.contains("Protect")).collect();
    std::fs::write(&unit, soft.join("\n") + "\n[Service]\nNonsense=yes\n").unwrap();
    assert_ne!(analyze(&["security", "--offline=true", "--threshold=15"]).0, Some(0));
    assert!(analyze(&["verify", "--man=no"]).1.contains("restante-relay.service"));
}

/// The man page in the tree is that of the flags as they are. If not, `restante-relay man` prints
/// the new one.
#[test]
fn the_man_page_is_in_step_with_the_flags() {
    let (page, _, code) = said_of(&["man"]);
    assert_eq!(code, Some(0));
    assert!(page == dist("restante-relay.1"), "relay/dist/restante-relay.1 is not up to date");
    let (help, _, _) = said_of(&["serve", "--help"]);
    let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
    let mut count = 0;
    for flag in flags {
        let flag = flag.trim_end_matches([',', '.']).replace('-', "\\-");
        assert!(page.contains(&flag), "{flag}");
        count += 1;
    }
    assert!(count > 10, "{help}");
}

/// What is shipped beside the program sets only what there is, and is built with the Rust that the
/// workspace asks for.
#[test]
fn shipped_files_name_what_there_is() {
    let (help, _, _) = said_of(&["serve", "--help"]);
    for (name, at_least) in [("restante-relay.service", 2), ("Dockerfile", 3)] {
        let text = dist(name);
        let names = text.split(|char: char| !char.is_ascii_uppercase() && char != '_');
        let variables: Vec<&str> = names.filter(|word| word.starts_with("RESTANTE_")).collect();
        assert!(variables.len() >= at_least, "{name}: {variables:?}");
        for variable in variables {
            assert!(help.contains(&format!("[env: {variable}=")), "{name}: {variable}");
        }
    }
    let docker = dist("Dockerfile");
    assert!(docker.lines().any(|line| line == "USER 65532:65532"), "not root");
    let rust = concat!("FROM rust:", env!("CARGO_PKG_RUST_VERSION"), "-");
    assert!(docker.contains(rust), "{rust}");
}

/// `stats` shows what happened, `drain` returns when the relay has stopped as SIGTERM stops it; a
/// directory without a relay is named.
#[tokio::test]
async fn a_running_relay_is_asked_and_told() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let ask = |word| said_of(&[word, "--data", data.to_str().unwrap()]);
    for word in ["stats", "drain"] {
        let (out, err, code) = ask(word);
        assert!(out.is_empty() && code == Some(1) && err.contains("no relay runs on"), "{err}");
    }
    let relay = serve(place.path(), &[], &[]);
    let mut wire = Wire::connect(relay.address()).await;
    let (stats, _, code) = ask("stats");
    assert!(code == Some(0) && stats.contains("\nrestante_connections_open 1\n"), "{stats}");
    let mode = std::fs::metadata(data.join("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let asking = tokio::task::spawn_blocking({
        let data = data.clone();
        move || said_of(&["drain", "--data", data.to_str().unwrap()])
    });
    while !matches!(wire.push().await.0, Push::Goaway { .. }) {}
    wire.closed().await;
    let (out, err, code) = asking.await.unwrap();
    assert_eq!((out.as_str(), err.as_str(), code), ("", "", Some(0)));
    assert_eq!(relay.ended(), Some(0));
    assert_eq!(check(place.path(), &[]).1, Some(0), "nothing holds the directory");
    assert!(!data.join("admin.sock").exists());
    // Killed, a relay leaves its socket behind; the next one takes its place.
    serve(place.path(), &[], &[]).kill();
    assert!(ask("stats").1.contains("no relay runs on"));
    let relay = serve(place.path(), &[], &[]);
    assert_eq!(ask("stats").2, Some(0));
    assert_eq!(relay.terminate(), Some(0));
}

/// Once the first line that could not be written to a full log ended the relay.
#[tokio::test]
async fn a_log_that_cannot_be_written_harms_nothing() {
    let place = tempfile::tempdir().unwrap();
    let full = Path::new("/dev/full");
    let relay = Process::start(&place.path().join("data"), "127.0.0.1:0", full);
    let mut wire = Wire::connect(relay.address()).await;
    relay.signal("HUP");
    wire.done(Ask::Ping, b"").await.unwrap();
    assert_eq!(relay.terminate(), Some(0));
}
