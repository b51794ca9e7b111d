//! Rules of blobs that need a clock of their own, a place that fails, or a look behind the scenes.

use std::path::Path;

use bytes::Bytes;
use restante_crypto::{BlobChallenge, SigningKey, prove_possession};
use restante_spec::ids::{
    BlobOffset, BlobSize, EnvelopeId, Epoch, Incarnation, MailboxId, Nonce, PublicKey, ReaderHash,
    Seconds,
};
use restante_spec::limits;
use restante_spec::message::{
    BlobRead, BlobState, Commit, Create, EnvelopeClass, MailboxClass, NextKey,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::buffer::Act;
use crate::buffer::blobs::{PartNumber, Place};
use crate::buffer::disk::Disk;
use crate::buffer::redb::{RedbBuffer, Writer};
use crate::limits::BLOB_TASKS;
use crate::mailbox::Settings;
use crate::mailbox::api::{
    Access, Answer, AppendAsk, Ask, BlobAsk, Call, Chain, Mailboxes, Notice, Origin,
};
use crate::mailbox::pressure::Disk as Free;
use crate::ops::tasks::Tasks;

const NOW: UnixTime = UnixTime::new(1_800_000_000);
const RELAY: PublicKey = PublicKey::new([9; 32]);
const NONCE: Nonce = Nonce::new([8; 32]);
/// Bytes that are to stay free on the disk.
const RESERVE: u64 = 1 << 20;
const PART: usize = limits::BLOB_PART_BYTES;

/// Nobody listens.
struct Deaf;

impl Notices for Deaf {
    fn notice(&self, _: MailboxId, _: Notice) {}
}

/// A relay without connections, with a conversation in it.
struct House {
    service: Arc<Service<RedbBuffer, Deaf>>,
    buffer: Arc<RedbBuffer>,
    home: TempDir,
    key: SigningKey,
    mailbox: MailboxId,
    epoch: Epoch,
}

fn store(home: &Path) -> Arc<BlobStore> {
    let place = Place::Directory(home.join("blobs"));
    BlobStore::open(&place, &home.join("blobs.keys"), Tasks::new(), BLOB_TASKS, NOW).unwrap()
}

async fn service(buffer: &Arc<RedbBuffer>, home: &Path) -> Arc<Service<RedbBuffer, Deaf>> {
    let owner = Owner { identity: RELAY, incarnation: Incarnation::new([0; 16]) };
    let blobs = Blobs::open(&**buffer, store(home), &owner, limits::RELAY_BLOB_BYTES);
    let blobs = blobs.await.unwrap();
    let settings = Settings { disk_reserve: RESERVE, ..Settings::default() };
    Service::with_blobs(Arc::clone(buffer), Arc::new(Deaf), RELAY, settings, Some(blobs))
}

impl House {
    async fn new() -> Self {
        let (buffer, writer) = RedbBuffer::in_memory();
        Self::on(buffer, writer).await
    }

    async fn on(buffer: Arc<RedbBuffer>, writer: Writer) -> Self {
        Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let service = service(&buffer, home.path()).await;
        let (key, mailbox) = (SigningKey::from_seed(&[1; 32]), MailboxId::new([1; 16]));
        let epoch = Epoch::new([0; 8]);
        let mut house = Self { service, buffer, home, key, mailbox, epoch };
        let create = Create {
            mailbox,
            class: MailboxClass::Conversation,
            key: house.key.public(),
            possession: prove_possession(&house.key, &mailbox),
            reader: ReaderHash::new([1; 32]),
            ttl: None,
            memory_first: false,
            token: None,
        };
        match house.call(Call::Create(create), NOW).await.unwrap() {
            Answer::Created(created) => house.epoch = created.epoch.unwrap(),
            other => panic!("{other:?}"),
        }
        house
    }

    /// The next process on the same store and place.
    async fn restart(&mut self) {
        self.service = service(&self.buffer, self.home.path()).await;
    }

    async fn call(&self, call: Call, now: UnixTime) -> Result<Answer, Refusal> {
        let (tell, told) = oneshot::channel();
        self.service.call(call, now, Box::new(move |answer| assert!(tell.send(answer).is_ok())));
        told.await.unwrap()
    }

    async fn ask(&self, ask: Ask, now: UnixTime) -> Result<BlobState, Refusal> {
        let access = Access { mailbox: self.mailbox, key: self.key.public() };
        match self.call(Call::With(access, ask), now).await? {
            Answer::Blob(state) => Ok(state),
            other => panic!("{other:?}"),
        }
    }

    fn ask_for(&self, id: u8, size: usize) -> BlobAsk {
        BlobAsk {
            blob: BlobId::new([id; 16]),
            key: self.key.public(),
            possession: prove_possession(&self.key, &self.mailbox),
            size: BlobSize::new(size as u64),
            ttl: Some(Seconds::new(60)),
        }
    }

    async fn create(&self, id: u8, size: usize, now: UnixTime) -> Result<BlobState, Refusal> {
        self.ask(Ask::BlobCreate(self.ask_for(id, size)), now).await
    }

    async fn write(&self, id: u8, part: usize, body: Bytes) -> Result<BlobState, Refusal> {
        let offset = BlobOffset::new((part * PART) as u64);
        self.ask(Ask::BlobWrite { blob: BlobId::new([id; 16]), offset, body }, NOW).await
    }

    async fn read(&self, id: u8, now: UnixTime) -> Result<Bytes, Code> {
        let blob = BlobId::new([id; 16]);
        let challenge = BlobChallenge { relay: RELAY, nonce: NONCE, blob };
        let read = BlobRead {
            blob,
            key: self.key.public(),
            proof: challenge.prove(&self.key),
            offset: BlobOffset::new(0),
            length: BlobSize::new(u64::MAX),
        };
        let call = Call::BlobRead { read, nonce: NONCE, shown: false };
        match self.call(call, now).await.map_err(|refusal| refusal.code)? {
            Answer::BlobPart(_, bytes) => Ok(bytes),
            other => panic!("{other:?}"),
        }
    }

    async fn upload(&self, id: u8, body: &'static [u8]) {
        self.create(id, body.len(), NOW).await.unwrap();
        assert!(self.write(id, 0, Bytes::from_static(body)).await.unwrap().complete);
    }

    fn facts(&self, id: u8) -> Facts {
        let blobs = self.service.blobs.as_ref().unwrap();
        blobs.registry().get(BlobId::new([id; 16])).unwrap().facts
    }

    /// How many objects there are, and rows of blobs.
    fn left(&self) -> (usize, usize) {
        let folder = std::fs::read_dir(self.home.path().join("blobs")).unwrap();
        let objects = folder.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        let mut rows = 0;
        self.buffer.all_rows(rows::BLOB, &mut |_, _| rows += 1).unwrap();
        (objects, rows)
    }

    async fn until(&self, objects: usize, rows: usize) {
        while self.left() != (objects, rows) {
            tokio::task::yield_now().await;
        }
    }
}

/// BLB-5: readable to its last second and not one more; then rows, objects and room come back.
#[tokio::test]
async fn a_blob_ends_with_its_second() {
    let house = House::new().await;
    house.upload(1, b"short").await;
    let (last, over) = (NOW.after(Seconds::new(59)), NOW.after(Seconds::new(60)));
    house.service.tick_blobs(last, false);
    assert_eq!(house.read(1, last).await.unwrap(), "short");
    assert_eq!(house.read(1, over).await, Err(Code::NotFound));
    // Its id is not free before its row is gone.
    assert_eq!(house.create(1, 5, over).await.unwrap_err().code, Code::Unavailable);
    house.service.tick_blobs(over, false);
    house.until(0, 0).await;
    while house.create(1, 5, over).await.is_err() {}
    assert_eq!(house.service.blobs.as_ref().unwrap().registry().len(), 1);
}

/// BLB-3: after a restart what is there is found by looking, and the upload goes on.
#[tokio::test]
async fn an_upload_goes_on_in_the_next_process() {
    let mut house = House::new().await;
    house.create(1, PART + 3, NOW).await.unwrap();
    let whole = Bytes::from(vec![5; PART]);
    let state = house.write(1, 0, whole.clone()).await.unwrap();
    assert_eq!(state.stored.get(), PART as u64);
    house.restart().await;
    // A write finds out as well, and so does a creation.
    let again = house.write(1, 0, whole.clone()).await.unwrap();
    assert_eq!((again.stored.get(), again.complete), (PART as u64, false));
    house.restart().await;
    let told = house.create(1, PART + 3, NOW).await.unwrap();
    assert_eq!(told, again);
    assert!(house.write(1, 1, Bytes::from_static(b"end")).await.unwrap().complete);
    house.restart().await;
    assert!(house.create(1, PART + 3, NOW).await.unwrap().complete);
    assert_eq!(house.read(1, NOW).await.unwrap(), whole);
}

/// BLB-6: a commit keeps its blob in the next process too, until it is let go itself.
#[tokio::test]
async fn what_a_commit_keeps_is_kept_in_the_next_process() {
    let mut house = House::new().await;
    let long = BlobAsk { ttl: Some(Seconds::new(u32::MAX)), ..house.ask_for(1, 4) };
    house.ask(Ask::BlobCreate(long), NOW).await.unwrap();
    house.write(1, 0, Bytes::from_static(b"need")).await.unwrap();
    let blob = BlobId::new([1; 16]);
    let commit = AppendAsk {
        id: EnvelopeId::new([1; 16]),
        class: EnvelopeClass::Normal,
        ttl: None,
        epoch: Some(house.epoch),
        commit: Some(Commit {
            next: Some(NextKey {
                key: SigningKey::from_seed(&[2; 32]).public(),
                possession: prove_possession(&SigningKey::from_seed(&[2; 32]), &house.mailbox),
            }),
            add_readers: Vec::new(),
            strike_readers: Vec::new(),
            blobs: vec![blob],
        }),
        body: Bytes::from_static(b"a commit"),
        link: Chain::new().link(),
        origin: Origin(1),
    };
    let access = Access { mailbox: house.mailbox, key: house.key.public() };
    house.call(Call::With(access, Ask::Append(commit)), NOW).await.unwrap();
    house.key = SigningKey::from_seed(&[2; 32]);
    house.restart().await;
    let access = Access { mailbox: house.mailbox, key: house.key.public() };
    let delete = |now| house.call(Call::With(access, Ask::BlobDelete { blob }), now);
    assert_eq!(delete(NOW).await.unwrap_err().code, Code::Conflict);
    // Behind its time the commit is gone, and the blob has a day more.
    let later = NOW.after(limits::TTL_DEFAULT);
    assert_eq!(delete(later).await, Ok(Answer::Done));
    house.until(0, 0).await;
}

/// BLB-3: every part is there and the row does not say so, as a crash leaves it: whoever asks next
/// makes it complete.
#[tokio::test]
async fn what_a_crash_left_uncompleted_is_completed() {
    let mut house = House::new().await;
    house.create(1, 3, NOW).await.unwrap();
    let facts = house.facts(1);
    let (tell, told) = oneshot::channel();
    let done = move |result: Result<(), BlobError>| assert!(tell.send(result).is_ok());
    let store = store(house.home.path());
    let part = store.take(b"end").unwrap();
    store.put(facts.object, PartNumber(0), facts.expires_at, part, done);
    told.await.unwrap().unwrap();
    house.restart().await;
    assert_eq!(house.read(1, NOW).await, Err(Code::NotFound));
    assert!(house.create(1, 3, NOW).await.unwrap().complete);
    assert_eq!(house.read(1, NOW).await.unwrap(), "end");
}

/// Objects without a row are collected at the start and later, those with one are not; and a
/// complete blob that has lost its object is let go with its row.
#[tokio::test]
async fn what_is_left_over_is_collected() {
    let mut house = House::new().await;
    house.upload(1, b"stays").await;
    house.upload(2, b"is lost").await;
    house.create(3, 5, NOW).await.unwrap();
    let orphan = |n: u8| house.home.path().join("blobs").join(format!("{n:02x}").repeat(16));
    for n in 1..=3 {
        std::fs::create_dir(orphan(n)).unwrap();
        // What a kill in the middle of a write leaves is collected too.
        std::fs::write(orphan(n).join("00000#1"), b"torn").unwrap();
    }
    let name = data_encoding::HEXLOWER.encode(house.facts(2).object.as_bytes());
    std::fs::remove_dir_all(house.home.path().join("blobs").join(name)).unwrap();
    house.restart().await;
    house.service.tick_blobs(NOW, true);
    house.until(1, 2).await;
    assert_eq!(house.read(1, NOW).await.unwrap(), "stays");
    assert_eq!(house.read(2, NOW).await, Err(Code::NotFound));
    assert!(house.create(3, 5, NOW).await.is_ok());
}

/// Asks again as long as the store is not there, or nobody knows what became of it.
async fn insist<T>(mut ask: impl AsyncFnMut() -> Result<T, Refusal>) -> (T, bool) {
    let mut was_doubtful = false;
    loop {
        match ask().await {
            Ok(answer) => return (answer, was_doubtful),
            Err(refusal) if refusal.code == Code::Unknown => was_doubtful = true,
            Err(refusal) => assert_eq!(refusal.code, Code::Unavailable, "{refusal:?}"),
        }
    }
}

/// BLB-3, CMD-21: whichever call of the store's disk fails, whoever asks again gets on, and memory
/// says in the end what the store says.
#[tokio::test]
async fn a_store_that_fails_leaves_no_doubt() {
    let (mut failures, mut doubts) = (0, 0);
    for fuse in 0..60 {
        let disk = Disk::default();
        let settings = crate::buffer::Settings { cache_bytes: 65_536, ..Default::default() };
        let (buffer, writer) = RedbBuffer::open_on(&disk, settings, NOW).unwrap();
        let mut house = House::on(buffer, writer).await;
        house.upload(1, b"goes").await;
        disk.fails_at(fuse);
        let access = Access { mailbox: house.mailbox, key: house.key.public() };
        let delete = || Call::With(access, Ask::BlobDelete { blob: BlobId::new([1; 16]) });
        let (_, first) = insist(async || house.create(2, 5, NOW).await).await;
        let body = Bytes::from_static(b"stays");
        let (state, second) = insist(async || house.write(2, 0, body.clone()).await).await;
        // A retry may find the part there and the row not yet.
        let complete = async || match house.create(2, 5, NOW).await {
            Ok(state) if !state.complete => Err(busy("not yet")),
            other => other,
        };
        assert_eq!(state.stored.get(), 5);
        let (_, third) = insist(complete).await;
        let (_, fourth) = insist(async || house.call(delete(), NOW).await).await;
        doubts += [first, second, third, fourth].map(u32::from).iter().sum::<u32>();
        failures += disk.failures();
        disk.heal();
        for _ in 0..2 {
            assert_eq!(house.read(2, NOW).await.unwrap(), "stays", "call {fuse}");
            assert_eq!(house.read(1, NOW).await, Err(Code::NotFound), "call {fuse}");
            house.until(1, 1).await;
            house.restart().await;
        }
        house.buffer.stop();
    }
    assert!(failures > 20 && doubts > 0, "{failures} failures, {doubts} in doubt");
}

/// A place that fails keeps nothing and is told as unavailable; nothing is lost by it.
#[tokio::test]
async fn a_place_that_fails_is_unavailable() {
    let house = House::new().await;
    house.upload(1, b"safe").await;
    house.create(2, 5, NOW).await.unwrap();
    let (folder, away) = (house.home.path().join("blobs"), house.home.path().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, b"no folder").unwrap();
    let refused = house.write(2, 0, Bytes::from_static(b"fives")).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::Unavailable, Some(BLOB_RETRY)));
    assert_eq!(house.read(1, NOW).await, Err(Code::Unavailable));
    std::fs::remove_file(&folder).unwrap();
    // Once a place that was not mounted had the blob told to be gone for good.
    assert_eq!(house.read(1, NOW).await, Err(Code::Unavailable));
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(house.read(1, NOW).await.unwrap(), "safe");
    assert!(house.write(2, 0, Bytes::from_static(b"fives")).await.unwrap().complete);
}

/// ADM-5, ADM-7: short of room no blobs are begun, and at the last step none are written on; what
/// is there is read, and an upload goes on when there is room again.
#[tokio::test]
async fn blobs_are_shed_when_room_is_short() {
    let house = House::new().await;
    // The store never grows: parts lie outside it. Once they were taken again a minute later.
    let (service, minute) = (&house.service, Seconds::new(60));
    let squeeze = |free: u64, for_parts: u64| {
        for at in [NOW, NOW.after(minute)] {
            service.measured(Free { free, taken: 1, for_parts }, at);
        }
    };
    house.upload(1, b"here").await;
    house.create(2, 4, NOW).await.unwrap();
    let unavailable = |answer: Result<BlobState, Refusal>| {
        let refusal = answer.unwrap_err();
        refusal.code == Code::Unavailable && refusal.retry_after.is_some()
    };
    squeeze(RESERVE - 1, u64::MAX);
    assert!(unavailable(house.create(3, 4, NOW).await));
    house.create(2, 4, NOW).await.expect("begun before");
    squeeze(2 * RESERVE, RESERVE - 1);
    assert!(unavailable(house.create(3, 4, NOW).await), "a disk of its own");
    squeeze(2 * RESERVE, RESERVE / 4 - 1);
    assert!(unavailable(house.write(2, 0, Bytes::from_static(b"late")).await));
    assert_eq!(house.read(1, NOW).await.unwrap(), b"here"[..]);
    squeeze(2 * RESERVE, 2 * RESERVE);
    house.write(2, 0, Bytes::from_static(b"late")).await.unwrap();
    assert_eq!(house.read(2, NOW).await.unwrap(), b"late"[..]);
}

/// LIM-25. Once the pace of a mailbox began anew with its next blob, when its last one was gone.
#[tokio::test]
async fn the_pace_of_parts_outlives_their_blobs() {
    let house = House::new().await;
    house.create(1, PART + 5, NOW).await.unwrap();
    let part = Bytes::from(vec![7; PART]);
    let mut code = None;
    for _ in 0..=limits::BLOB_WRITE_BURST {
        code = house.write(1, 0, part.clone()).await.err().map(|refusal| refusal.code);
    }
    assert_eq!(code, Some(Code::Rate));
    let access = Access { mailbox: house.mailbox, key: house.key.public() };
    let delete = Ask::BlobDelete { blob: BlobId::new([1; 16]) };
    house.call(Call::With(access, delete), NOW).await.unwrap();
    house.create(2, PART + 5, NOW).await.unwrap();
    assert_eq!(house.write(2, 0, part.clone()).await.unwrap_err().code, Code::Rate);
    house.service.tick_blobs(NOW.after(Seconds::new(30)), false);
    assert!(house.write(2, 0, part).await.is_ok(), "a mailbox that has rested begins anew");
}

/// BLB-7, LIM-24: after a start, what is not complete counts whole only until it is looked at.
#[tokio::test]
async fn what_is_not_complete_is_looked_at_after_a_start() {
    let mut house = House::new().await;
    house.create(1, 3 * PART, NOW).await.unwrap();
    house.write(1, 0, Bytes::from(vec![7; PART])).await.unwrap();
    let bytes = |house: &House| house.service.blobs.as_ref().unwrap().registry().bytes();
    assert_eq!(bytes(&house), PART as u64);
    house.restart().await;
    assert_eq!(bytes(&house), 3 * PART as u64);
    house.service.tick_blobs(NOW, false);
    while bytes(&house) > PART as u64 {
        tokio::task::yield_now().await;
    }
}

/// BLB-7. Once what the end of a mailbox had left in doubt counted until it expired, as nobody
/// asked for it any more.
#[tokio::test]
async fn a_doubt_that_nobody_asks_about_is_looked_into() {
    let house = House::new().await;
    house.upload(1, b"gone").await;
    house.upload(2, b"stays").await;
    let blobs = house.service.blobs.as_ref().unwrap();
    for id in [1, 2] {
        let mut registry = blobs.registry();
        registry.get_mut(BlobId::new([id; 16])).unwrap().standing = Standing::Doubtful;
    }
    let rows = vec![rows::remove(rows::of_blob(BlobId::new([1; 16])))];
    let (tell, told) = oneshot::channel();
    let done = Box::new(move |outcome: Result<_, _>| tell.send(outcome.is_ok()).unwrap());
    assert!(house.buffer.submit(house.mailbox, Act::Write { rows, trim: None }, done).is_ok());
    assert!(told.await.unwrap());
    house.service.tick_blobs(NOW, true);
    house.until(1, 1).await;
    assert_eq!(blobs.registry().len(), 1);
    assert_eq!(house.read(2, NOW).await.unwrap(), "stays");
}

/// BLB-6. Once a refusal lifted the doubt that an act before it had left.
#[test]
fn a_refusal_lifts_no_doubt() {
    use Standing::{Doubtful, Ending, Sure};
    let left = [Sure, Ending, Doubtful].map(|standing| after(standing, BufferError::Unavailable));
    assert_eq!(left, [Sure, Doubtful, Doubtful]);
    let left = [Sure, Ending, Doubtful].map(|standing| after(standing, BufferError::Unknown));
    assert_eq!(left, [Doubtful; 3]);
}
