//! Transfers between two clients and a relay that is really there: lines that are cut, processes
//! that end, bounds that are reached, messages beside them.

use std::fs;
use std::path::PathBuf;

use restante_client::{
    BlobAddress, Event, EventStream, Fate, Goal, Transfer, TransferFailure, TransferId,
    TransferState,
};
use restante_spec::limits;
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{InProcess, Process};

const MIB: usize = 1024 * 1024;
const PART: u64 = limits::BLOB_PART_BYTES as u64;
/// What a cut may cost: the parts under way, and what a connection and its openings are made of.
const PER_CUT: u64 = 4 * PART;

fn path(person: &Person, name: &str) -> PathBuf {
    person.home().join("files").join(name)
}

/// A file of random bytes.
fn put_file(person: &Person, name: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    fs::create_dir_all(person.home().join("files")).unwrap();
    fs::write(path(person, name), &bytes).unwrap();
    bytes
}

async fn shown(person: &Person, id: TransferId) -> Transfer {
    let all = person.client.transfers().await.unwrap();
    all.into_iter().find(|transfer| transfer.id == id).expect("listed")
}

/// Waits, connected, until this holds of a transfer.
async fn until(person: &Person, id: TransferId, holds: impl Fn(&Transfer) -> bool) -> Transfer {
    let mut events = person.client.events();
    person.client.connect().await.unwrap();
    let wait = async {
        loop {
            let transfer = shown(person, id).await;
            if holds(&transfer) {
                return transfer;
            }
            assert!(!transfer.state.is_final(), "{transfer:?}");
            next_of(&mut events, id).await;
        }
    };
    tokio::time::timeout(WITHIN * 5, wait).await.expect("in time")
}

async fn next_of(events: &mut EventStream, wanted: TransferId) {
    loop {
        match events.next().await.expect("events") {
            Event::Transfer { id, .. } if id == wanted => return,
            Event::Resync => return,
            _ => {}
        }
    }
}

async fn until_done(person: &Person, id: TransferId) -> Transfer {
    until(person, id, |transfer| transfer.state == TransferState::Done).await
}

async fn until_ended(person: &Person, id: TransferId) -> TransferState {
    until(person, id, |transfer| transfer.state.is_final()).await.state
}

/// Two people on one relay who know each other, Alice behind a line that can be cut.
struct Setup {
    relay: InProcess,
    proxy: Proxy,
    alice: Person,
    bob: Person,
    of_bob: restante_client::ContactId,
    of_alice: restante_client::ContactId,
}

async fn friends(flags: &[&str]) -> Setup {
    let relay = InProcess::start(flags).await;
    let proxy = Proxy::start(relay.address()).await;
    let alice = Person::new("Alice", proxy.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    Setup { relay, proxy, alice, bob, of_bob, of_alice }
}

/// BLB-1, BLB-3, BLB-4: what one uploads the other downloads, byte for byte, from the program as it
/// is started by an operator; each part is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let relay = Process::start(data.path(), "127.0.0.1:0", &data.path().join("log"));
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, _) = introduce(&alice, &bob).await;
    let bytes = put_file(&alice, "photo", 5 * MIB);
    let mut events = alice.client.events();
    let (up, address) = alice.client.upload_file(of_bob, "photo").await.unwrap();
    let transfer = until_done(&alice, up).await;
    assert_eq!(transfer.done, bytes.len() as u64);
    assert!(transfer.expires_at.is_some());
    let (mut told, mut parts) = (0, 0);
    loop {
        match events.next().await.unwrap() {
            Event::Transfer { state: TransferState::Done, .. } => break,
            Event::Transfer { done, size, .. } => {
                assert!(done >= told && size == bytes.len() as u64);
                (told, parts) = (done, parts + 1);
            }
            _ => {}
        }
    }
    assert!(parts <= 2 + bytes.len() as u64 / PART, "{parts} events");
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until_done(&bob, down).await;
    assert!(fs::read(path(&bob, "copy")).unwrap() == bytes);
    assert_eq!(relay.terminate(), Some(0));
}

/// BLB-3: a line that is cut again and again, amid any part, costs the parts under way and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_lines_cost_the_parts_under_way() {
    let Setup { relay, proxy, alice, bob, of_bob, of_alice } = friends(&[]).await;
    let size = 5 * MIB;
    let bytes = put_file(&alice, "f", size);
    let (before, cuts) = (proxy.carried(), proxy.cuts());
    proxy.cut_after(447_001);
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until_done(&alice, up).await;
    let (after, cuts) = (proxy.carried(), (proxy.cuts() - cuts) as u64);
    let sent = after.0 - before.0;
    println!("upload of {size} bytes over {cuts} cuts: {sent} bytes sent");
    assert!(cuts >= 10 && sent <= size as u64 + cuts * PER_CUT, "{sent} bytes, {cuts} cuts");

    let theirs = put_file(&bob, "g", size);
    let (up, other) = bob.client.upload_file(of_alice, "g").await.unwrap();
    until_done(&bob, up).await;
    let (before, cuts) = (proxy.carried(), proxy.cuts());
    let down = alice.client.download_file(&other, "copy").await.unwrap();
    until_done(&alice, down).await;
    let (after, cuts) = (proxy.carried(), (proxy.cuts() - cuts) as u64);
    let got = after.1 - before.1;
    println!("download of {size} bytes over {cuts} cuts: {got} bytes received");
    assert!(cuts >= 10 && got <= size as u64 + cuts * PER_CUT, "{got} bytes, {cuts} cuts");
    assert!(fs::read(path(&alice, "copy")).unwrap() == theirs);

    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until_done(&bob, down).await;
    assert!(fs::read(path(&bob, "copy")).unwrap() == bytes);
    relay.stop().await;
}

/// A process that ends amid a transfer goes on with it when it is opened again, in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_outlive_their_process() {
    let Setup { relay, proxy, mut alice, mut bob, of_bob, .. } = friends(&[]).await;
    let size = 5 * MIB;
    let bytes = put_file(&alice, "f", size);
    let before = proxy.carried();
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    for share in 1..4 {
        let goal = (size * share / 4) as u64;
        until(&alice, up, |transfer| transfer.done >= goal).await;
        alice = alice.killed_and_reopened();
        assert!(!shown(&alice, up).await.state.is_final());
    }
    until_done(&alice, up).await;
    let sent = proxy.carried().0 - before.0;
    assert!(sent <= size as u64 + 4 * PER_CUT, "{sent} bytes");
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    for share in 1..4 {
        let goal = (size * share / 4) as u64;
        until(&bob, down, |transfer| transfer.done >= goal).await;
        bob = bob.killed_and_reopened();
        assert!(!path(&bob, "copy").exists());
    }
    until_done(&bob, down).await;
    assert!(fs::read(path(&bob, "copy")).unwrap() == bytes);
    relay.stop().await;
}

/// CMD-21: a cancelled download leaves no file, a cancelled upload no blob: its bytes do not count
/// any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_transfers_leave_nothing() {
    let size = 4 * MIB;
    let flag = size.to_string();
    let Setup { relay, alice, bob, of_bob, .. } = friends(&["--blob-bytes", &flag]).await;
    put_file(&alice, "f", size);
    let (up, _) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until(&alice, up, |transfer| transfer.done > 0).await;
    alice.client.cancel_transfer(up).await.unwrap();
    assert_eq!(shown(&alice, up).await.state, TransferState::Cancelled);
    // The relay has room for one of them only.
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until_done(&alice, up).await;
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until(&bob, down, |transfer| transfer.done > 0).await;
    bob.client.cancel_transfer(down).await.unwrap();
    assert_eq!(shown(&bob, down).await.state, TransferState::Cancelled);
    assert!(fs::read_dir(bob.home().join("files")).unwrap().next().is_none());
    let again = bob.client.download_file(&address, "copy").await.unwrap();
    until_done(&bob, again).await;
    relay.stop().await;
}

/// LIM-24: what the relay has room for is taken, one byte more is told as such, and is not tried
/// for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_relay_is_told() {
    let flag = (2 * PART).to_string();
    let Setup { relay, alice, of_bob, .. } = friends(&["--blob-bytes", &flag]).await;
    let part = usize::try_from(PART).unwrap();
    let full = TransferState::Failed(TransferFailure::Full);
    for (name, size, state) in
        [("past", 2 * part + 1, full), ("at", 2 * part, TransferState::Done), ("behind", 1, full)]
    {
        put_file(&alice, name, size);
        let (id, _) = alice.client.upload_file(of_bob, name).await.unwrap();
        assert_eq!(until_ended(&alice, id).await, state, "{name}");
    }
    relay.stop().await;
}

/// BLB-4, BLB-5: a blob that is not there, or is not complete, is told as gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_gone() {
    let Setup { relay, alice, bob, of_bob, .. } = friends(&[]).await;
    put_file(&alice, "f", MIB);
    alice.client.disconnect().await.unwrap();
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    let gone = TransferState::Failed(TransferFailure::Gone);
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    assert_eq!(until_ended(&bob, down).await, gone);
    until_done(&alice, up).await;
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until_done(&bob, down).await;
    relay.stop().await;
}

/// Two uploads, a download and messages at once: the messages arrive in their order before the
/// transfers are done, and the transfers whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_beside_transfers() {
    let Setup { relay, alice, bob, of_bob, of_alice, .. } = friends(&[]).await;
    let theirs = put_file(&bob, "g", 4 * MIB);
    let (up, other) = bob.client.upload_file(of_alice, "g").await.unwrap();
    until_done(&bob, up).await;
    let mut ups: Vec<(TransferId, BlobAddress, Vec<u8>)> = Vec::new();
    for name in ["one", "two"] {
        let bytes = put_file(&alice, name, 8 * MIB);
        let (id, address) = alice.client.upload_file(of_bob, name).await.unwrap();
        ups.push((id, address, bytes));
    }
    let down = alice.client.download_file(&other, "copy").await.unwrap();
    until(&alice, ups[0].0, |transfer| transfer.done > 0).await;
    for number in 0..10 {
        let sent = alice.client.send(of_bob, &format!("message {number}")).await.unwrap();
        let fate = alice.client.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
        assert!(matches!(fate, Fate::Accepted | Fate::Delivered), "{fate}");
    }
    let last = shown(&alice, ups[1].0).await;
    assert!(!last.state.is_final(), "the messages did not wait for {last:?}");
    bob.until_received(of_alice, 10).await;
    let texts: Vec<_> = (0..10).map(|number| format!("message {number}")).collect();
    assert_eq!(bob.texts(of_alice).await, texts);
    until_done(&alice, down).await;
    assert!(fs::read(path(&alice, "copy")).unwrap() == theirs);
    for (number, (id, address, bytes)) in ups.into_iter().enumerate() {
        until_done(&alice, id).await;
        let name = format!("copy-{number}");
        let down = bob.client.download_file(&address, &name).await.unwrap();
        until_done(&bob, down).await;
        assert!(fs::read(path(&bob, &name)).unwrap() == bytes);
    }
    relay.stop().await;
}
