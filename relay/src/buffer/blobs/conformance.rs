//! What a place promises, and what an image of the disk gives away of blobs (BLB-5). The same over
//! S3 is asked through a whole relay, in `tests/tests/blobs.rs`.

use std::fs;
use std::path::Path;

use restante_spec::ids::Seconds;
use tokio::sync::oneshot;

use super::*;
use crate::limits::BLOB_TASKS;

const NOW: UnixTime = UnixTime::new(1_800_000_000);
const BODY: &[u8] = b"a part of a blob that nobody should find again, long enough to be looked for";
const OURS: Owner = owner(7, 1);

const fn owner(identity: u8, incarnation: u8) -> Owner {
    let identity = PublicKey::new([identity; 32]);
    Owner { identity, incarnation: Incarnation::new([incarnation; 16]) }
}

fn open(home: &Path) -> Arc<BlobStore> {
    let place = Place::Directory(home.join("blobs"));
    BlobStore::open(&place, &home.join("blobs.keys"), Tasks::new(), BLOB_TASKS, NOW).unwrap()
}

fn object(n: u8) -> ObjectId {
    ObjectId::new([n; ObjectId::SIZE])
}

/// What a callback was called with.
async fn told<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (tell, told) = oneshot::channel();
    ask(Box::new(move |value| assert!(tell.send(value).is_ok())));
    told.await.unwrap()
}

async fn put(store: &Arc<BlobStore>, object: ObjectId, number: u32, body: &'static [u8]) {
    let part = store.take(body).unwrap();
    told(|done| store.put(object, PartNumber(number), NOW, part, done)).await.unwrap();
}

async fn get(store: &Arc<BlobStore>, object: ObjectId, number: u32) -> Result<Bytes, BlobError> {
    told(|done| store.get(object, PartNumber(number), NOW, done)).await
}

/// BLB-3: what was kept is there for the next process, the newest bytes of each part.
#[tokio::test]
async fn parts_are_found_again() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    store.claim(&OURS, false).await.unwrap();
    put(&store, object(1), 0, b"first").await;
    put(&store, object(1), 2, b"third").await;
    put(&store, object(1), 0, b"again").await;
    put(&store, object(2), 0, BODY).await;
    drop(store);
    let store = open(home.path());
    assert_eq!(get(&store, object(1), 0).await.unwrap(), "again");
    assert!(matches!(get(&store, object(1), 1).await, Err(BlobError::Missing)));
    let mut found = told(|done| store.find(object(1), done)).await.unwrap();
    found.sort_by_key(|part| part.number);
    let part = |number| Found { number: PartNumber(number), bytes: 5 };
    assert_eq!(found, [part(0), part(2)]);
    assert_eq!(told(|done| store.objects(done)).await.unwrap(), [object(1), object(2)].into());
    store.remove(object(1));
    while told(|done| store.objects(done)).await.unwrap() != [object(2)].into() {}
    assert!(told(|done| store.find(object(1), done)).await.unwrap().is_empty());
}

/// A part is bound to its object and place, and damage is seen.
#[tokio::test]
async fn moved_and_damaged_parts_do_not_open() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    put(&store, object(1), 0, BODY).await;
    put(&store, object(1), 1, BODY).await;
    let path = |number| home.path().join("blobs").join(object(1).text()).join(number);
    fs::copy(path("00000"), path("00001")).unwrap();
    assert!(matches!(get(&store, object(1), 1).await, Err(BlobError::Damaged)));
    let mut bytes = fs::read(path("00000")).unwrap();
    bytes[30] ^= 1;
    fs::write(path("00000"), bytes).unwrap();
    assert!(matches!(get(&store, object(1), 0).await, Err(BlobError::Damaged)));
}

/// A place serves one relay, and one that is empty is not taken for that of blobs that exist.
#[tokio::test]
async fn a_place_is_one_relays() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    assert!(matches!(store.claim(&OURS, true).await, Err(BlobError::Lost)));
    store.claim(&OURS, false).await.unwrap();
    store.claim(&OURS, true).await.unwrap();
    assert!(matches!(store.claim(&owner(8, 1), false).await, Err(BlobError::Strange)));
    // Once a relay that was restored from a backup took the other's blobs for left over.
    assert!(matches!(store.claim(&owner(7, 2), false).await, Err(BlobError::Elder)));
    // The operator says that it may be had, with what is there.
    fs::write(home.path().join("blobs").join(OWNER), b"").unwrap();
    store.claim(&owner(7, 2), true).await.unwrap();
    assert!(matches!(store.claim(&OURS, true).await, Err(BlobError::Elder)));
}

/// BLB-3. Once a place that was unmounted or emptied under a running relay read as one without
/// objects, and every complete blob was ended.
#[tokio::test]
async fn an_emptied_place_is_not_one_without_objects() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    store.claim(&OURS, false).await.unwrap();
    assert!(told(|done| store.objects(done)).await.unwrap().is_empty());
    put(&store, object(1), 0, BODY).await;
    let (place, away) = (home.path().join("blobs"), home.path().join("away"));
    fs::rename(&place, &away).unwrap();
    fs::create_dir(&place).unwrap();
    assert!(matches!(told(|done| store.objects(done)).await, Err(BlobError::Lost)));
    fs::remove_dir(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    assert_eq!(told(|done| store.objects(done)).await.unwrap(), [object(1)].into());
}

/// What waits to be written is bounded: at the bound it is taken, one byte past it refused.
#[tokio::test]
async fn what_waits_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let all = u32::try_from(BLOB_WAITING_BYTES - 5).unwrap();
    let room = Arc::clone(&store.room).try_acquire_many_owned(all).unwrap();
    assert!(matches!(store.take(b"sixsix"), Err(BlobError::Busy)));
    put(&store, object(1), 0, b"fives").await;
    drop(room);
}

/// What is asked is bounded: at the bound it is done, one more is refused.
#[tokio::test]
async fn what_is_asked_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let all = u32::try_from(BLOB_ASKED).unwrap();
    let seats = Arc::clone(&store.seats).try_acquire_many_owned(all - 1).unwrap();
    put(&store, object(1), 0, b"fives").await;
    let last = Arc::clone(&store.seats).try_acquire_owned().unwrap();
    assert!(matches!(get(&store, object(1), 0).await, Err(BlobError::Busy)));
    assert!(matches!(told(|done| store.find(object(1), done)).await, Err(BlobError::Busy)));
    drop((seats, last));
    assert_eq!(get(&store, object(1), 0).await.unwrap(), "fives");
}

/// Everything in a folder, file behind file.
fn image(home: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { image(&path) } else { fs::read(&path).unwrap() });
    }
    all
}

/// Whether a part lies anywhere in the image that opens with keys of this folder.
fn opens(image: &[u8], home: &Path) -> bool {
    let keys = Keys::of_backup(fs::read(home.join("blobs.keys")).unwrap().into()).unwrap();
    let Some(key) = keys.get(NOW) else { return false };
    let fields = object(1).fields(PartNumber(0));
    let opened = |window: &[u8]| key.open_drawn(&fields, window.into());
    image.windows(SEALED_MORE + BODY.len()).any(|window| opened(window).is_ok_and(|b| b == BODY))
}

/// BLB-5: before it expires a part can be found with its key (so that the search is a search), in
/// the clear never; afterwards neither its key is there nor a way to open it, though its sealed
/// bytes are still on the disk.
#[tokio::test]
async fn an_image_does_not_give_back_what_expired() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    put(&store, object(1), 0, BODY).await;
    let before = image(home.path());
    assert!(!before.windows(BODY.len()).any(|window| window == BODY), "in the clear");
    assert!(opens(&before, home.path()), "the search finds what is there");
    let keys = || fs::read(home.path().join("blobs.keys")).unwrap();
    store.destroy_keys(NOW);
    store.destroy_keys(NOW.after(Seconds::new(900)));
    while keys().iter().any(|byte| *byte != 0) {
        tokio::task::yield_now().await;
    }
    let after = image(home.path());
    let part = home.path().join("blobs").join(object(1).text()).join("00000");
    assert_eq!(fs::read(part).unwrap().len(), SEALED_MORE + BODY.len(), "it still lies there");
    assert!(!opens(&before, home.path()) && !opens(&after, home.path()), "opened after it expired");
    assert!(matches!(get(&store, object(1), 0).await, Err(BlobError::Damaged)));
}
