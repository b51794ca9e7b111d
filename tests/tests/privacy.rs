//! What is left on disks, in logs and in metrics: searched for everything that must not be there.
//! The same search finds all of it in a file where it was planted.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use restante_client::Goal;
use restante_spec::codes::Code;
use restante_spec::ids::Seq;
use restante_spec::message::MailboxClass;
use restante_tests::line::Transport;
use restante_tests::people::{Person, introduce};
use restante_tests::relay::{InProcess, Process};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TEXT: &str = "the heron stands in the reeds at dawn";
const ALICE: &str = "Alice-Quillfeather";
const BOB: &str = "Bob-Thistlewood";

/// Where each needle lies in the files below a folder.
fn search(folder: &Path, needles: &[(&'static str, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(search(&path, needles));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for (name, needle) in needles {
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(format!("{name} in {}", path.display()));
            }
        }
    }
    found
}

/// Neither the relay's data nor its log nor a client's home holds plaintext, names, account keys,
/// keys of mailboxes (log) or client addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_readable_is_left_behind() {
    let place = tempfile::tempdir().unwrap();
    let relay_place = place.path().join("relay");
    std::fs::create_dir_all(&relay_place).unwrap();
    let (data, log) = (relay_place.join("data"), relay_place.join("log"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let (alice, bob) = (Person::new(ALICE, relay.address()), Person::new(BOB, relay.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let within = Duration::from_secs(60);
    for round in 0..20 {
        let sent = alice.client.send(of_bob, &format!("{TEXT} {round}")).await.unwrap();
        alice.client.wait_fate(sent.id, Goal::Accepted, within).await.unwrap();
    }
    bob.until_received(of_alice, 20).await;
    let accounts = [alice.client.own_id().await.unwrap(), bob.client.own_id().await.unwrap()];
    let number = alice.client.safety_number(of_bob).await.unwrap().to_string();
    alice.client.shutdown().await.unwrap();
    bob.client.shutdown().await.unwrap();
    assert_eq!(relay.terminate(), Some(0));

    let mut needles = vec![
        ("plaintext", TEXT.as_bytes().to_vec()),
        ("a word of it", b"heron".to_vec()),
        ("a nickname", ALICE.as_bytes().to_vec()),
        ("a nickname", BOB.as_bytes().to_vec()),
        ("a safety number", number.as_bytes()[..11].to_vec()),
    ];
    for account in accounts {
        needles.push(("an account", account.as_bytes().to_vec()));
        needles.push(("an account in hex", account.to_string().into_bytes()));
    }
    let mut at_relay = needles.clone();
    at_relay.push(("a client's address", b"127.0.0.1".to_vec()));
    assert_eq!(search(&relay_place, &at_relay), Vec::<String>::new());
    for person in [&alice, &bob] {
        assert_eq!(search(person.home(), &needles), Vec::<String>::new());
    }

    // The control: planted, each of them is found.
    let control = place.path().join("control");
    std::fs::create_dir_all(&control).unwrap();
    let planted: Vec<u8> = at_relay.iter().flat_map(|(_, needle)| needle.clone()).collect();
    std::fs::write(control.join("planted"), planted).unwrap();
    assert_eq!(search(&control, &at_relay).len(), at_relay.len());
}

/// One GET; the body.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// The ways in which bytes could be printed.
fn forms(bytes: &[u8]) -> [Vec<u8>; 5] {
    use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    let printed =
        [&HEXLOWER, &HEXUPPER, &BASE64_NOPAD, &BASE64URL_NOPAD].map(|form| form.encode(bytes));
    let [lower, upper, base64, url] = printed.map(String::into_bytes);
    [bytes.to_vec(), lower, upper, base64, url]
}

/// Labels of metrics beside the codes.
const WORDS: [&str; 18] = [
    "blob",
    "part",
    "mailbox",
    "live",
    "append",
    "written",
    "read",
    "accepted",
    "refused",
    "tls",
    "late",
    "full",
    "protocol",
    "received",
    "sent",
    "frames",
    "websocket",
    "http",
];

/// What the traffic below has counted at least.
const COUNTED: [(&str, u64); 12] = [
    ("restante_connections_open", 1),
    ("restante_connections_total{result=\"accepted\"}", 3),
    ("restante_handshakes_failed_total{reason=\"tls\"}", 1),
    ("restante_transports_total{transport=\"frames\"}", 1),
    ("restante_transports_total{transport=\"websocket\"}", 1),
    ("restante_frames_total{direction=\"received\"}", 7),
    ("restante_frames_total{direction=\"sent\"}", 8),
    ("restante_appends_accepted_total", 1),
    ("restante_appends_refused_total{code=\"stale_epoch\"}", 1),
    ("restante_deliveries_total", 1),
    ("restante_commits_total", 2),
    ("restante_committed_acts_total", 2),
];

/// Metrics after real traffic hold no address, key, mailbox, reader or envelope id; every label is
/// one of a closed list, and the traffic was really counted.
#[tokio::test]
async fn metrics_know_nobody() {
    let relay = InProcess::start(&["--metrics-listen", "127.0.0.1:0"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    let owner = Owner::new();
    let created = wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    let append = envelope(1, created.epoch);
    let id = append.id;
    wire.append(append, TEXT.as_bytes()).await.unwrap();
    wire.deliver().await;
    let stale = wire.append(envelope(1, None), b"x").await.unwrap_err();
    assert_eq!(stale.code, Code::StaleEpoch);
    Wire::over(Transport::WebSocket, relay.address()).await;
    let mut garbage =
        TcpStream::connect((relay.address().host(), relay.address().port())).await.unwrap();
    garbage.write_all(&[0x47; 100]).await.unwrap();
    let _ = garbage.read_to_end(&mut Vec::new()).await;
    let scraped = get(relay.metrics(), "/metrics").await;

    let (key, hash) = (owner.key.public(), owner.reader_hash());
    let secrets: [(&str, &[u8]); 7] = [
        ("a mailbox", owner.mailbox.as_bytes()),
        ("a key", key.as_bytes()),
        ("a reader", owner.reader.as_bytes()),
        ("a reader's hash", hash.as_bytes()),
        ("an envelope's id", id.as_bytes()),
        ("the relay's key", relay.address().identity().as_bytes()),
        ("plaintext", TEXT.as_bytes()),
    ];
    let mut needles: Vec<(&'static str, Vec<u8>)> =
        vec![("an address", b"127.0.0.1".to_vec()), ("an address", b"::1".to_vec())];
    for (name, secret) in secrets {
        needles.extend(forms(secret).map(|form| (name, form)));
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("metrics"), &scraped).unwrap();
    assert_eq!(search(place.path(), &needles), Vec::<String>::new());
    // The control: planted among the same lines, each is found.
    let planted: Vec<u8> = needles.iter().flat_map(|(_, needle)| needle.clone()).collect();
    std::fs::write(place.path().join("metrics"), [scraped.as_bytes(), &planted].concat()).unwrap();
    assert_eq!(search(place.path(), &needles).len(), needles.len());

    let known: Vec<&str> =
        WORDS.into_iter().chain(Code::ALL.iter().map(|code| code.name())).collect();
    let mut counted = Vec::new();
    for line in scraped.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let value: u64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        if let Some((_, label)) = name.split_once('{') {
            let label = label.split('"').nth(1).unwrap_or_else(|| panic!("{line}"));
            assert!(known.contains(&label), "{line}");
        }
        counted.push((name, value));
    }
    for (name, at_least) in COUNTED {
        let found = counted.iter().find(|(known, _)| *known == name);
        assert!(found.is_some_and(|(_, value)| *value >= at_least), "{name}: {found:?}");
    }
    relay.stop().await;
}
