//! Transfers between two clients and a relay that is really there: lines that are cut, processes
//! that end, bounds that are reached, messages beside them.

use std::fs;
use std::path::PathBuf;

use restante_client::{
    BlobAddress, Event, Fate, Goal, Transfer, TransferFailure, TransferId, TransferState,
};
use restante_spec::limits;
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{InProcess, Process};

const MIB: usize = 1024 * 1024;
const PART: u64 = limits::BLOB_PART_BYTES as u64;
/// Bytes a connection carries, so that a transfer of a few MiB needs many of them.
const SLOW: u64 = 3 * PART;
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

/// Waits, connected, until this holds of a transfer, which must not end otherwise.
async fn until(person: &Person, id: TransferId, holds: impl Fn(&Transfer) -> bool) -> Transfer {
    let transfer = person.until_transfer(id, |now| holds(now) || now.state.is_final()).await;
    assert!(holds(&transfer), "{transfer:?}");
    transfer
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
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
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
    let Setup { relay, proxy, mut alice, of_bob, .. } = friends(&[]).await;
    let size = 5 * MIB;
    let bytes = put_file(&alice, "f", size);
    // Slow enough to be met amid it, for sure.
    proxy.cut_after(SLOW);
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    alice = killed_amid(alice, up, size).await;
    until_done(&alice, up).await;
    let down = alice.client.download_file(&address, "copy").await.unwrap();
    alice = killed_amid(alice, down, size).await;
    assert!(!path(&alice, "copy").exists());
    until_done(&alice, down).await;
    assert!(fs::read(path(&alice, "copy")).unwrap() == bytes);
    relay.stop().await;
}

/// Lets the process end at a quarter, at the half and at three quarters of a transfer.
async fn killed_amid(mut person: Person, id: TransferId, size: usize) -> Person {
    for quarters in 1..4 {
        let goal = (size * quarters / 4) as u64;
        until(&person, id, |transfer| transfer.done >= goal).await;
        person = person.killed_and_reopened();
        let transfer = person.transfer(id).await;
        assert!(transfer.state == TransferState::Running, "{transfer:?}");
    }
    person
}

/// BLB-3: a relay that is killed amid an upload keeps what it has answered, and the upload goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_outlive_the_relay() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let mut relay = Process::start(&data, "127.0.0.1:0", &log);
    let listen = format!("127.0.0.1:{}", relay.address().port());
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, _) = introduce(&alice, &bob).await;
    let size = 5 * MIB;
    let bytes = put_file(&alice, "f", size);
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    for share in 1..3 {
        until(&alice, up, |transfer| transfer.done >= (size * share / 3) as u64).await;
        relay.kill();
        relay = Process::start(&data, &listen, &log);
    }
    until_done(&alice, up).await;
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until(&bob, down, |transfer| transfer.done >= (size / 2) as u64).await;
    relay.kill();
    relay = Process::start(&data, &listen, &log);
    until_done(&bob, down).await;
    assert!(fs::read(path(&bob, "copy")).unwrap() == bytes);
    assert_eq!(relay.terminate(), Some(0));
}

/// CMD-21: a cancelled download leaves no file, a cancelled upload no blob: its bytes do not count
/// any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_transfers_leave_nothing() {
    let size = 4 * MIB;
    let flag = size.to_string();
    let Setup { relay, proxy, alice, of_bob, .. } = friends(&["--blob-bytes", &flag]).await;
    let bytes = put_file(&alice, "f", size);
    proxy.cut_after(SLOW);
    let (up, _) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until(&alice, up, |transfer| transfer.done > 0).await;
    alice.client.cancel_transfer(up).await.unwrap();
    assert_eq!(alice.transfer(up).await.state, TransferState::Cancelled);
    // The relay has room for one of them only.
    proxy.cut_after(0);
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until_done(&alice, up).await;
    proxy.cut_after(SLOW);
    let down = alice.client.download_file(&address, "copy").await.unwrap();
    until(&alice, down, |transfer| transfer.done > 0).await;
    alice.client.cancel_transfer(down).await.unwrap();
    assert_eq!(alice.transfer(down).await.state, TransferState::Cancelled);
    assert_eq!(fs::read_dir(alice.home().join("files")).unwrap().count(), 1);
    proxy.cut_after(0);
    let again = alice.client.download_file(&address, "copy").await.unwrap();
    until_done(&alice, again).await;
    assert!(fs::read(path(&alice, "copy")).unwrap() == bytes);
    relay.stop().await;
}

/// LIM-22, LIM-25, BLB-2: the largest blob is more than may be written at once: its upload waits as
/// it is told (ADM-7), loses little by it, and goes on with the key of each next epoch: so many
/// messages bring commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_upload_is_paced_and_outlives_epochs() {
    let Setup { relay, proxy, alice, bob, of_bob, of_alice } = friends(&[]).await;
    let size = limits::BLOB_BYTES;
    let bytes = put_file(&alice, "f", usize::try_from(size).unwrap());
    let before = proxy.carried();
    let (up, address) = alice.client.upload_file(of_bob, "f").await.unwrap();
    until(&alice, up, |transfer| transfer.done > 0).await;
    let each = 250;
    for number in 0..each {
        alice.client.send(of_bob, &format!("from alice {number}")).await.unwrap();
        bob.client.send(of_alice, &format!("from bob {number}")).await.unwrap();
    }
    bob.until_received(of_alice, each).await;
    alice.until_received(of_bob, each).await;
    let amid = alice.transfer(up).await;
    assert!(!amid.state.is_final(), "the epochs changed while it was under way: {amid:?}");
    until_done(&alice, up).await;
    let sent = proxy.carried().0 - before.0;
    println!("{size} bytes paced: {sent} bytes sent, 250 messages among them");
    assert!(sent <= size + size / 8, "{sent} bytes");
    let down = bob.client.download_file(&address, "copy").await.unwrap();
    until_done(&bob, down).await;
    assert!(fs::read(path(&bob, "copy")).unwrap() == bytes);
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

/// LIM-23: a mailbox takes so many blobs, and one more is told as full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_is_told() {
    let Setup { relay, alice, of_bob, .. } = friends(&[]).await;
    put_file(&alice, "f", 1);
    for _ in 0..limits::BLOBS {
        let (id, _) = alice.client.upload_file(of_bob, "f").await.unwrap();
        until_done(&alice, id).await;
    }
    let (id, _) = alice.client.upload_file(of_bob, "f").await.unwrap();
    assert_eq!(until_ended(&alice, id).await, TransferState::Failed(TransferFailure::Full));
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
    let last = alice.transfer(ups[1].0).await;
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
