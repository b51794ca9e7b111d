//! What a raw image of the disk gives away: every block of a real file system, those it has freed
//! and those of its journal with the rest (MBX-16).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use restante_relay::simulation::Store;
use restante_spec::ids::{MailboxId, UnixTime};
use restante_tests::mount::Mount;

const BODY: &[u8] = b"a body that nobody should find again, long enough to be looked for";
const NOW: UnixTime = UnixTime::new(1_800_000_000);
const SOON: UnixTime = UnixTime::new(NOW.get() + 3_600);
const LATE: UnixTime = UnixTime::new(NOW.get() + 7_200);
/// When what expires soon is over, with all that shares its key.
const BETWEEN: UnixTime = UnixTime::new(SOON.get() + 900);

fn mailbox(number: u8) -> MailboxId {
    MailboxId::new([number; MailboxId::SIZE])
}

/// What this does to a store is durable when it returns.
fn work(store: &Store, act: impl FnOnce(&Store, Box<dyn FnOnce(bool) + Send>) -> bool) {
    let (sender, done) = sync_channel(1);
    let told = Box::new(move |is_done| sender.send(is_done).unwrap_or_default());
    assert!(act(store, told), "the queue has room");
    assert!(done.recv().unwrap(), "the store works");
}

fn append(store: &Store, expires_at: UnixTime) {
    let body = Bytes::from_static(BODY);
    work(store, |store, told| store.append(mailbox(1), body, expires_at, NOW, told));
}

/// The keys in the store's file of keys. Layout: bucket 8 | key 32 | checksum 4 | zeros 4.
fn keys(disk: &Path) -> Vec<Vec<u8>> {
    let slots = fs::read(disk.join("buffer.keys")).unwrap();
    let used = slots.chunks(48).filter(|slot| slot.iter().any(|byte| *byte != 0));
    used.map(|slot| slot[8..40].to_vec()).collect()
}

/// The whole medium, as it is when everything was written to it.
fn image(medium: &Path) -> Vec<u8> {
    assert!(Command::new("sync").status().unwrap().success());
    fs::read(medium).unwrap()
}

fn holds(image: &[u8], bytes: &[u8]) -> bool {
    image.windows(bytes.len()).any(|window| window == bytes)
}

/// MBX-16: while it lives, an envelope and its key are found in the image (so that the search is a
/// search), its body in the clear never. When it has expired the key is nowhere on the medium, and
/// that of what lives on still is.
#[test]
fn a_raw_image_holds_no_key_of_what_expired() {
    let home = tempfile::tempdir().unwrap();
    let (medium, disk) = (home.path().join("medium"), home.path().join("disk"));
    let mount = Mount::ext4(&medium, &disk, 32);
    let path = disk.join("buffer.redb");
    let store = Store::open(&path, NOW).unwrap();
    work(&store, |store, told| store.create(mailbox(1), told));
    append(&store, SOON);
    let [soon] = keys(&disk).try_into().expect("one key");
    append(&store, LATE);
    let both = keys(&disk);
    let [late] = both.iter().filter(|key| **key != soon).collect::<Vec<_>>().try_into().unwrap();
    let before = image(&medium);
    assert!(!holds(&before, BODY), "in the clear");
    assert!(holds(&before, mailbox(1).as_bytes()) && holds(&before, &soon) && holds(&before, late));

    // Once while it runs, and once more from its start.
    store.tick(BETWEEN);
    (2..4).for_each(|number| work(&store, |store, told| store.create(mailbox(number), told)));
    let after = image(&medium);
    assert!(holds(&after, late), "the search finds what is there");
    assert!(!holds(&after, &soon), "a key is left");
    drop(store);
    drop(Store::open(&path, UnixTime::new(LATE.get() + 900)).unwrap());
    drop(mount);
    let end = image(&medium);
    assert!(holds(&end, mailbox(1).as_bytes()), "the medium was not wiped");
    assert!(both.iter().all(|key| !holds(&end, key)), "a key is left");
}
