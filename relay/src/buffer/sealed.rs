//! What an image of the disk gives away, before and after what is on it has expired (MBX-16).

use std::fs;
use std::path::Path;

use bytes::Bytes;
use restante_spec::ids::UnixTime;

use super::conformance::{NOW, Rig, append, mailbox};
use super::keys::Keys;
use super::redb::RedbBuffer;
use super::{Act, AppendAct, Settings, chunk};

const BODY: &[u8] = b"a body that nobody should find again, long enough to be looked for";

/// Runs a buffer in this folder while `work` uses it.
fn run(home: &Path, now: UnixTime, work: impl FnOnce(&Rig)) {
    let path = home.join("buffer.redb");
    let (buffer, writer) = RedbBuffer::open(&path, Settings::default(), now).unwrap();
    let thread = crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run());
    let rig = Rig { buffer: buffer.clone(), epoch: restante_spec::ids::Seq::START };
    super::Buffer::tick(&*buffer, now);
    work(&rig);
    buffer.stop();
    thread.unwrap().join().unwrap();
}

/// Everything in the folder, file behind file.
fn image(home: &Path) -> Vec<u8> {
    let mut files: Vec<_> = fs::read_dir(home).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| fs::read(file).unwrap()).collect()
}

/// Whether an entry can be found anywhere in the image and opened with keys of this folder.
fn opens(image: &[u8], keys: &Keys) -> bool {
    let places = image.windows(16).enumerate();
    let named = places.filter(|(_, window)| *window == mailbox(1).as_bytes());
    // Layout: length and checksum stand before the mailbox's name.
    let entries = named.filter_map(|(place, _)| chunk::read_at(image, (place - 8) as u32).ok());
    entries.into_iter().any(|entry| {
        let key = keys.get(entry.expires_at);
        key.is_some_and(|key| entry.open(key).is_ok_and(|envelope| envelope.body == BODY))
    })
}

/// MBX-16: before it expires a body can be found with its key (so that the search is a search), in
/// the clear never; after it has expired the image holds neither its key nor a way to open it,
/// though the entry itself may still lie there.
#[test]
fn an_image_does_not_give_back_what_expired() {
    let home = tempfile::tempdir().unwrap();
    run(home.path(), NOW, |rig| {
        rig.create(1);
        rig.act(1, Act::Append(AppendAct { body: Bytes::from_static(BODY), ..append(1) })).unwrap();
    });
    let keys_in =
        |home: &Path| Keys::of_backup(fs::read(home.join("buffer.keys")).unwrap().into()).unwrap();
    let before = image(home.path());
    assert!(!before.windows(BODY.len()).any(|window| window == BODY), "in the clear");
    let old_keys = keys_in(home.path());
    assert!(opens(&before, &old_keys), "the search finds what is there");

    let expired = UnixTime::new(append(1).expires_at.get() + 900);
    run(home.path(), expired, |rig| {
        // The keys went behind the first batch of acts.
        rig.create(2);
        rig.create(3);
    });
    let after = image(home.path());
    assert!(!opens(&after, &keys_in(home.path())), "opened after it expired");
    let slots = fs::read(home.path().join("buffer.keys")).unwrap();
    assert!(slots.iter().all(|byte| *byte == 0), "a key is left");
}
