//! Attachments between two clients and a relay that is really there: lines that are cut, processes
//! that end, pictures that tell too much, files that lie sealed.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use restante_client::{
    AttachOptions, AttachmentState, ContactId, Error, Event, Fate, Goal, Message, MessageId,
    MessageKind, TransferFailure,
};
use restante_spec::codes::Code;
use restante_spec::limits::BLOB_PART_BYTES;
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{InProcess, Process};
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;
/// What every file of these tests says, again and again.
const WORDS: &[u8] = b"words nobody else is to read. ";

/// A file of an app's, outside of its home.
fn source(folder: &TempDir, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
    let bytes: Vec<u8> = WORDS.iter().copied().cycle().take(size).collect();
    let path = folder.path().join(name);
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|here| here == part)
}

/// Every file of a home, with those of its store.
fn at_rest(person: &Person) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in [person.home().to_owned(), person.home().join("files")] {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        found.extend(paths.map(|path| (path.clone(), fs::read(path).unwrap())));
    }
    found
}

fn files(person: &Person) -> usize {
    at_rest(person).iter().filter(|(path, _)| path.parent().unwrap().ends_with("files")).count()
}

/// Waits, connected, until the file of a message stands so.
async fn until(person: &Person, id: MessageId, is: impl Fn(AttachmentState) -> bool) -> Message {
    let mut events = person.client.events();
    person.client.connect().await.unwrap();
    let wait = async {
        loop {
            if let Ok(message) = person.client.message(id).await
                && message.attachment.as_ref().is_some_and(|file| is(file.state))
            {
                return message;
            }
            events.next().await.unwrap();
        }
    };
    tokio::time::timeout(WITHIN * 5, wait).await.unwrap()
}

async fn until_here(person: &Person, id: MessageId) -> Message {
    until(person, id, |state| state == AttachmentState::Here).await
}

fn is_here(message: &Message) -> bool {
    message.attachment.as_ref().is_some_and(|file| file.state == AttachmentState::Here)
}

async fn send(person: &Person, to: ContactId, path: &Path) -> MessageId {
    person.client.attach(to, path, AttachOptions::default()).await.unwrap().id
}

async fn content(person: &Person, id: MessageId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = person.client.open_attachment(id).await.unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

struct Setup {
    relay: InProcess,
    proxy: Proxy,
    alice: Person,
    bob: Person,
    of_bob: ContactId,
    of_alice: ContactId,
    folder: TempDir,
}

/// Two people on one relay who know each other, Alice behind a line that can be cut.
async fn friends(flags: &[&str]) -> Setup {
    let relay = InProcess::start(flags).await;
    let proxy = Proxy::start(relay.address()).await;
    let alice = Person::new("Alice", proxy.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let folder = tempfile::tempdir().unwrap();
    Setup { relay, proxy, alice, bob, of_bob, of_alice, folder }
}

/// CNT-8, FIL-3: 20 MiB there and 20 MiB back are what they were, from the program as it is started
/// by an operator; neither home nor relay keeps a word of it open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_arrive_as_they_were() {
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let folder = tempfile::tempdir().unwrap();
    for (from, to, contact, name) in
        [(&alice, &bob, of_bob, "there.txt"), (&bob, &alice, of_alice, "back.txt")]
    {
        let (path, bytes) = source(&folder, name, 20 * MIB);
        let mut events = to.client.events();
        let id = send(from, contact, &path).await;
        until_here(from, id).await;
        let fate = from.client.wait_fate(id, Goal::Accepted, WITHIN).await.unwrap();
        assert!(fate.reached(Goal::Accepted), "{fate}");
        let got = until(to, id, |state| state == AttachmentState::AtRelay).await;
        let file = got.attachment.unwrap();
        assert_eq!((file.name.as_str(), file.size), (name, 20 * MIB as u64));
        to.client.fetch(id).await.unwrap();
        until_here(to, id).await;
        assert!(content(to, id).await == bytes);
        let mut parts = 0;
        loop {
            match events.next().await.unwrap() {
                Event::Changed(message) if message.id == id && is_here(&message) => break,
                Event::Transfer { .. } => parts += 1,
                _ => {}
            }
        }
        assert!(parts > 100, "{parts} events of progress");
        let mut reader = to.client.open_attachment(id).await.unwrap();
        reader.seek(SeekFrom::End(-5)).unwrap();
        let mut end = Vec::new();
        reader.read_to_end(&mut end).unwrap();
        assert_eq!(end, bytes[bytes.len() - 5..]);
        let out = folder.path().join(format!("{name}.out"));
        to.client.export_attachment(id, &out).await.unwrap();
        assert!(fs::read(&out).unwrap() == bytes);
        assert_eq!(to.client.export_attachment(id, &out).await, Err(Error::FileExists));
    }
    for person in [&alice, &bob] {
        assert_eq!(files(person), 2);
        for (path, bytes) in at_rest(person) {
            assert!(!holds(&bytes, WORDS), "{}", path.display());
        }
    }
    assert_eq!(relay.terminate(), Some(0));
}

/// A line that is cut again and again, and processes that end amid the upload and the download,
/// cost time and nothing else; the message comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_outlive_lines_and_processes() {
    let Setup { relay, proxy, mut alice, bob, of_bob, of_alice, folder } = friends(&[]).await;
    let (path, bytes) = source(&folder, "f", 4 * MIB);
    proxy.cut_after(5 * BLOB_PART_BYTES as u64);
    let id = send(&alice, of_bob, &path).await;
    fs::remove_file(&path).unwrap();
    for _ in 0..3 {
        alice.client.connect().await.unwrap();
        let mut events = alice.client.events();
        while !matches!(events.next().await.unwrap(), Event::Transfer { .. }) {}
        alice = alice.killed_and_reopened();
    }
    until_here(&alice, id).await;
    let fate = alice.client.wait_fate(id, Goal::Accepted, WITHIN).await.unwrap();
    assert!(fate.reached(Goal::Accepted), "{fate}");
    let got = bob.until_received(of_alice, 1).await;
    assert_eq!((got.len(), got[0].kind), (1, MessageKind::Attachment));
    bob.client.fetch(id).await.unwrap();
    until_here(&bob, id).await;
    assert!(content(&bob, id).await == bytes);

    let (path, bytes) = source(&folder, "g", 4 * MIB);
    let id = send(&bob, of_alice, &path).await;
    until(&alice, id, |state| state == AttachmentState::AtRelay).await;
    alice.client.fetch(id).await.unwrap();
    for _ in 0..3 {
        alice.client.connect().await.unwrap();
        let mut events = alice.client.events();
        while !matches!(events.next().await.unwrap(), Event::Transfer { .. }) {}
        alice = alice.killed_and_reopened();
    }
    until_here(&alice, id).await;
    assert!(content(&alice, id).await == bytes);
    assert!(proxy.cuts() > 10, "{} cuts", proxy.cuts());
    relay.stop().await;
}

/// CMD-21: a message that is cancelled amid its upload is never sent, its file is gone, and its
/// room at the relay is free; what is written behind it arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_files_leave_nothing() {
    let size = 4 * MIB;
    let room = (5 * MIB).to_string();
    let Setup { relay, proxy, alice, bob, of_bob, of_alice, folder } =
        friends(&["--blob-bytes", &room]).await;
    let (path, bytes) = source(&folder, "f", size);
    proxy.cut_after(3 * BLOB_PART_BYTES as u64);
    alice.client.connect().await.unwrap();
    let mut events = alice.client.events();
    let id = send(&alice, of_bob, &path).await;
    while !matches!(events.next().await.unwrap(), Event::Transfer { done: 1.., .. }) {}
    alice.client.cancel_attachment(id).await.unwrap();
    assert_eq!(alice.client.message(id).await.unwrap().kind, MessageKind::Deleted);
    proxy.cut_after(0);
    let again = send(&alice, of_bob, &path).await;
    until_here(&alice, again).await;
    let got = bob.until_received(of_alice, 1).await;
    assert_eq!((got.len(), got[0].id), (1, again));
    assert_eq!(files(&alice), 1);
    bob.client.fetch(again).await.unwrap();
    until_here(&bob, again).await;
    assert!(content(&bob, again).await == bytes);
    relay.stop().await;
}

/// LIM-24: a file the relay has no room for is refused with its reason, and its message stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_relay_refuses_the_message() {
    let room = MIB.to_string();
    let Setup { relay, alice, of_bob, folder, .. } = friends(&["--blob-bytes", &room]).await;
    let (path, bytes) = source(&folder, "f", 2 * MIB);
    let id = send(&alice, of_bob, &path).await;
    let fate = alice.client.wait_fate(id, Goal::Accepted, WITHIN).await.unwrap();
    assert_eq!(fate, Fate::Refused(Code::Quota));
    let file = alice.client.message(id).await.unwrap().attachment.unwrap();
    assert_eq!(file.state, AttachmentState::Failed(TransferFailure::Full));
    assert!(content(&alice, id).await == bytes);
    relay.stop().await;
}

/// FIL-5, FIL-6: of a picture with a place in it the other side gets a thumbnail with the message
/// and the picture without the place; a small one comes by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_arrive_without_their_place() {
    let Setup { relay, alice, bob, of_bob, folder, .. } = friends(&[]).await;
    let path = folder.path().join("holiday.jpg");
    let jpeg = jpeg_with_place();
    assert!(holds(&jpeg, b"Exif") && holds(&jpeg, &LATITUDE));
    fs::write(&path, &jpeg).unwrap();
    // Nothing is fetched before it is asked for: what is shown came with the message.
    bob.client.set_fetch_bytes(0).await.unwrap();
    let id = send(&alice, of_bob, &path).await;
    let got = until(&bob, id, |state| state == AttachmentState::AtRelay).await;
    let file = got.attachment.unwrap();
    assert_eq!((file.media_type.as_str(), file.width, file.height), ("image/jpeg", 640, 480));
    let small = image::load_from_memory(&file.thumbnail).unwrap();
    assert_eq!((small.width(), small.height()), (160, 120));
    assert_eq!(files(&bob), 0);
    bob.client.set_fetch_bytes(MIB as u64).await.unwrap();
    let second = send(&alice, of_bob, &path).await;
    until_here(&bob, second).await;
    bob.client.fetch(id).await.unwrap();
    until_here(&bob, id).await;
    for id in [id, second] {
        let picture = content(&bob, id).await;
        assert!(!holds(&picture, b"Exif") && !holds(&picture, &LATITUDE));
        let seen = image::load_from_memory(&picture).unwrap();
        assert_eq!((seen.width(), seen.height()), (640, 480));
    }
    assert!(!holds(&file.thumbnail, b"Exif"));
    relay.stop().await;
}

/// 52 degrees 31' 12.34" as EXIF writes it.
const LATITUDE: [u8; 24] =
    [0, 0, 0, 52, 0, 0, 0, 1, 0, 0, 0, 31, 0, 0, 0, 1, 0, 0, 4, 210, 0, 0, 0, 100];

/// A picture as a telephone takes it: with an EXIF block that says where.
fn jpeg_with_place() -> Vec<u8> {
    let picture =
        image::RgbImage::from_fn(640, 480, |x, y| image::Rgb([x as u8, y as u8, (x ^ y) as u8]));
    let mut jpeg = Vec::new();
    picture.write_with_encoder(JpegEncoder::new(&mut jpeg)).unwrap();
    // One entry that points to the directory of the place, which has two: N, and the degrees.
    let exif = [
        &b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x88\x25\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0"[..],
        b"\0\x02\0\x01\0\x02\0\0\0\x02N\0\0\0\0\x02\0\x05\0\0\0\x03\0\0\0\x38\0\0\0\0",
        &LATITUDE,
    ]
    .concat();
    let size = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &size, &exif, &jpeg[2..]].concat()
}
