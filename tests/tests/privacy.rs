//! What is left on disks and in logs: searched for everything that must not be there. The same
//! search finds all of it in a file where it was planted.

use std::path::Path;
use std::time::Duration;

use restante_client::Goal;
use restante_tests::people::{Person, introduce};
use restante_tests::relay::Process;

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
