//! Mailbox rules that need a clock of their own: expiry, absence, idleness, and bounds that take
//! long to reach. The buffer is the real one, over redb's memory backend.

mod ends;
mod pressure;
mod readers;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use restante_crypto::{OpenChallenge, SigningKey, prove_possession, reader_hash};
use restante_spec::codes::Code;
use restante_spec::ids::{
    EnvelopeId, Epoch, MailboxId, Nonce, PublicKey, ReaderHash, ReaderSecret, Seconds, Seq,
    UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{
    Commit, Create, EnvelopeClass, MailboxClass, NextKey, Refusal, Rights, Terms,
};

use super::api::{
    Access, Answer, AppendAsk, Ask, Call, Chain, Mailboxes, Notice, Notices, Origin, Range, Span,
};
use super::{Service, Settings};
use crate::buffer::redb::RedbBuffer;
use crate::buffer::{Act, Buffer, Quota};

const DAY: u64 = 86_400;

/// What the service told.
#[derive(Default)]
struct Told(Mutex<Vec<Notice>>);

impl Notices for Told {
    fn notice(&self, _: MailboxId, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }
}

struct House {
    service: Arc<Service<RedbBuffer, Told>>,
    buffer: Arc<RedbBuffer>,
    told: Arc<Told>,
    now: UnixTime,
    mailbox: MailboxId,
    key: SigningKey,
    reader: ReaderHash,
    count: u8,
}

impl House {
    fn new(class: MailboxClass) -> Self {
        Self::with(class, Settings::default())
    }

    fn with(class: MailboxClass, settings: Settings) -> Self {
        let (buffer, writer) = RedbBuffer::in_memory();
        crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        let told = Arc::new(Told::default());
        let identity = PublicKey::new([9; 32]);
        let service = Service::new(Arc::clone(&buffer), Arc::clone(&told), identity, settings);
        let mut house = Self {
            service,
            buffer,
            told,
            now: UnixTime::new(20_000 * DAY),
            mailbox: MailboxId::new([1; 16]),
            key: SigningKey::from_seed(&[1; 32]),
            reader: reader_hash(&ReaderSecret::new([1; 16])),
            count: 0,
        };
        house.buffer.tick(house.now);
        house.create(class).unwrap();
        house
    }

    /// The relay begins anew over what it has written.
    fn restart(&mut self, settings: Settings) {
        let (buffer, told) = (Arc::clone(&self.buffer), Arc::clone(&self.told));
        self.service = Service::new(buffer, told, PublicKey::new([9; 32]), settings);
    }

    fn create(&mut self, class: MailboxClass) -> Result<Answer, Refusal> {
        let create = Create {
            mailbox: self.mailbox,
            class,
            key: self.key.public(),
            possession: prove_possession(&self.key, &self.mailbox),
            reader: self.reader,
            token: None,
            ttl: None,
            memory_first: false,
        };
        self.call(Call::Create(create))
    }

    fn later(&mut self, seconds: u64) {
        self.now = UnixTime::new(self.now.get() + seconds);
        self.buffer.tick(self.now);
    }

    fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        let (sender, receiver) = sync_channel(1);
        let respond = Box::new(move |answer| sender.send(answer).unwrap());
        self.service.call(call, self.now, respond);
        receiver.recv().unwrap()
    }

    fn ask(&mut self, key: &SigningKey, ask: Ask) -> Result<Answer, Refusal> {
        let access = Access { mailbox: self.mailbox, key: key.public() };
        self.call(Call::With(access, ask))
    }

    fn open(&mut self, key: &SigningKey) -> Result<restante_spec::message::Opened, Refusal> {
        let (relay, nonce) = (PublicKey::new([9; 32]), Nonce::new([2; 32]));
        let challenge = OpenChallenge { relay, nonce, mailbox: self.mailbox };
        let proof = challenge.prove(key);
        let (mailbox, key) = (self.mailbox, key.public());
        match self.call(Call::Open { mailbox, key, nonce, proof })? {
            Answer::Opened(opened, _) => Ok(opened),
            other => panic!("{other:?}"),
        }
    }

    fn append(
        &mut self,
        key: &SigningKey,
        epoch: Option<Epoch>,
        commit: Option<Commit>,
    ) -> Result<restante_spec::message::Appended, Refusal> {
        let ask = Ask::Append(self.ask_append(epoch, commit));
        match self.ask(key, ask)? {
            Answer::Appended(appended) => Ok(appended),
            other => panic!("{other:?}"),
        }
    }

    fn ask_append(&mut self, epoch: Option<Epoch>, commit: Option<Commit>) -> AppendAsk {
        let mut id = [self.count; 16];
        getrandom::fill(&mut id[1..]).unwrap();
        self.count = self.count.wrapping_add(1);
        AppendAsk {
            id: EnvelopeId::new(id),
            class: EnvelopeClass::Normal,
            ttl: None,
            epoch,
            commit,
            body: Bytes::from_static(b"sealed"),
            link: Chain::new().link(),
            origin: Origin(1),
        }
    }

    fn subscribe(
        &mut self,
        key: &SigningKey,
        reader: ReaderHash,
        after: Seq,
    ) -> Result<Range, Refusal> {
        match self.ask(key, Ask::Subscribe { reader, after })? {
            Answer::Subscribed(range) => Ok(range),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until everything submitted so far is done.
    fn settle(&mut self) {
        let key = seed(u32::MAX);
        let mailbox = MailboxId::new([0xfe; 16]);
        let possession = prove_possession(&key, &mailbox);
        let (class, key, reader) = (MailboxClass::Inbox, key.public(), self.reader);
        self.call(Call::Create(Create {
            mailbox,
            class,
            key,
            possession,
            reader,
            token: None,
            ttl: None,
            memory_first: false,
        }))
        .unwrap();
    }

    fn stored(&self) -> usize {
        let span =
            Span { after: Seq::START, upto: Seq::new(u64::MAX), max: 10_000, max_bytes: 1 << 30 };
        self.buffer.read(self.mailbox, span, self.now).unwrap().envelopes.len()
    }
}

fn commit_to(house: &House, next: &SigningKey, add: &[ReaderHash]) -> Option<Commit> {
    let possession = prove_possession(next, &house.mailbox);
    Some(Commit {
        next: Some(NextKey { key: next.public(), possession }),
        add_readers: add.to_vec(),
        strike_readers: Vec::new(),
        blobs: Vec::new(),
    })
}

fn writer_terms() -> Terms {
    let rights = Rights { write: true, ..Rights::default() };
    Terms { rights, expires_at: None, uses: None, rate: None }
}

fn seed(number: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_seed(&seed)
}

/// LIM-4, LIM-13: at 4,096 replaced keys one more commit is refused, until the oldest is over.
#[test]
fn replaced_keys_are_bounded() {
    let mut house = House::new(MailboxClass::Conversation);
    let mut key = SigningKey::from_seed(&[1; 32]);
    let mut epoch = house.open(&key).unwrap().epoch;
    for number in 0..u32::try_from(limits::REPLACED_KEYS).unwrap() {
        house.later(1);
        let next = seed(number);
        let commit = commit_to(&house, &next, &[]);
        epoch = house.append(&key, epoch, commit).unwrap().epoch;
        let after = house.open(&next).unwrap().from;
        house.ask(&next, Ask::Ack { reader: house.reader, upto: after }).unwrap();
        key = next;
    }
    house.later(1);
    let commit = commit_to(&house, &seed(1 << 20), &[]);
    let refused = house.append(&key, epoch, commit).unwrap_err();
    assert_eq!(refused.code, Code::Quota);
    house.later(u64::from(limits::TTL_DEFAULT.get()));
    let commit = commit_to(&house, &seed(1 << 20), &[]);
    house.append(&key, epoch, commit).unwrap();
}

/// MBX-12. Once taking a mailbox out of memory filled its buckets.
#[test]
fn a_rate_outlasts_the_mailbox_in_memory() {
    let mut house = House::new(MailboxClass::Inbox);
    let (manage, writer) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let rights = Rights { write: true, ..Rights::default() };
    let rate = Some(restante_spec::message::Rate { count: 1, per: Seconds::new(600) });
    let terms = Terms { rights, expires_at: None, uses: None, rate };
    let possession = prove_possession(&writer, &house.mailbox);
    let key = writer.public();
    house.ask(&manage, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    house.append(&writer, None, None).unwrap();
    house.settle();
    house.service.shrink(house.now);
    assert_eq!(house.append(&writer, None, None).unwrap_err().code, Code::Rate);
    house.later(600);
    house.append(&writer, None, None).unwrap();
}

/// MBX-9, DLV-10: when the commit that ends a key's range is over, the key is not known any more,
/// and what is still subscribed with it is gone.
#[test]
fn replaced_keys_end_with_their_commit() {
    let mut house = House::new(MailboxClass::Conversation);
    let (first, next) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let epoch = house.open(&first).unwrap().epoch;
    let commit = commit_to(&house, &next, &[]);
    let commit = house.append(&first, epoch, commit).unwrap();
    assert_eq!(house.open(&first).unwrap().upto, Some(commit.seq));
    let access = Access { mailbox: house.mailbox, key: first.public() };
    let span = Span { after: Seq::START, upto: commit.seq, max: 10, max_bytes: 1_000 };
    let reading = house.service.page(access, span, house.now).unwrap();
    assert_eq!(reading.page.envelopes.len(), 1);
    house.later(u64::from(limits::TTL_DEFAULT.get()));
    assert_eq!(house.open(&first).unwrap_err().code, Code::NotFound);
    let gone = house.service.page(access, span, house.now).unwrap_err();
    assert_eq!(gone.code, Code::Gone);
    // MBX-8. Once it was still known to the next commit.
    let epoch = house.open(&next).unwrap().epoch;
    let commit = commit_to(&house, &first, &[]);
    house.append(&next, epoch, commit).unwrap();
    assert_eq!(house.open(&first).unwrap().upto, None);
}

/// MBX-9: a reader that was struck still reads its range, as long as the end of it is kept.
#[test]
fn a_range_that_is_not_complete_is_gone() {
    let mut house = House::new(MailboxClass::Conversation);
    let (first, next) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let epoch = house.open(&first).unwrap().epoch;
    let struck = ReaderHash::new([6; 32]);
    let commit = commit_to(&house, &next, &[]);
    let commit = house.append(&first, epoch, commit).unwrap();
    let range = house.subscribe(&first, struck, Seq::START).unwrap();
    assert_eq!(range.upto, Some(commit.seq));
    house.ask(&next, Ask::Ack { reader: house.reader, upto: commit.seq }).unwrap();
    house.append(&next, commit.epoch, None).unwrap();
    let gone = house.subscribe(&first, struck, Seq::START).unwrap_err();
    assert_eq!((gone.code, gone.upto), (Code::Gone, Some(commit.seq)));
}

/// MBX-11, MBX-12: a key's time ends to the second: it opens, repeats, and does nothing new.
#[test]
fn keys_end_to_the_second() {
    let mut house = House::new(MailboxClass::Inbox);
    let (owner, contact) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let ends = UnixTime::new(house.now.get() + 100);
    let terms = Terms { expires_at: Some(ends), ..writer_terms() };
    let possession = prove_possession(&contact, &house.mailbox);
    let key = contact.public();
    house.ask(&owner, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    house.later(99);
    house.append(&contact, None, None).unwrap();
    house.later(1);
    assert_eq!(house.append(&contact, None, None).unwrap_err().code, Code::Expired);
    assert_eq!(house.open(&contact).unwrap().expires_at, Some(ends));
}

/// MBX-11: an envelope is there to its last second and never after.
#[test]
fn envelopes_expire_to_the_second() {
    let mut house = House::new(MailboxClass::Conversation);
    let key = SigningKey::from_seed(&[1; 32]);
    let epoch = house.open(&key).unwrap().epoch;
    house.append(&key, epoch, None).unwrap();
    house.later(u64::from(limits::TTL_DEFAULT.get()) - 1);
    assert_eq!(house.stored(), 1);
    house.later(1);
    assert_eq!(house.stored(), 0);
}

/// ERR-4: from 3/4 full on, `open` names the readers furthest behind.
#[test]
fn open_names_who_is_furthest_behind() {
    let mut house = House::new(MailboxClass::Conversation);
    let key = SigningKey::from_seed(&[1; 32]);
    let epoch = house.open(&key).unwrap().epoch;
    for _ in 0..limits::MAILBOX_ENTRIES * 3 / 4 - 1 {
        house.append(&key, epoch, None).unwrap();
    }
    assert!(house.open(&key).unwrap().lagging.is_empty());
    house.append(&key, epoch, None).unwrap();
    assert_eq!(house.open(&key).unwrap().lagging, [house.reader]);
}

/// A room with a host.
fn room() -> (House, SigningKey) {
    let mut house = House::new(MailboxClass::Room);
    let (owner, host) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let possession = prove_possession(&host, &house.mailbox);
    let (key, terms) = (host.public(), writer_terms());
    house.ask(&owner, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    (house, host)
}

/// LIM-17, MBX-18: a tail is what the store holds, also for a relay that has just started.
#[test]
fn a_room_keeps_its_tail_over_a_start() {
    let (mut house, host) = room();
    let bound = limits::TAIL_ENTRIES as usize;
    for _ in 0..bound {
        house.append(&host, None, None).unwrap();
    }
    house.settle();
    assert_eq!(house.stored(), bound);
    house.restart(Settings::default());
    house.append(&host, None, None).unwrap();
    house.settle();
    assert_eq!(house.stored(), bound);
}

/// MBX-18, LIM-3: as many at once as a room's quota takes are stored, one more is `quota`; then the
/// tail is let go to its bound, and the room goes on.
#[test]
fn a_room_written_faster_than_it_lets_go_says_quota() {
    let (mut house, host) = room();
    let quota = Quota { entries: 8, ..Settings::default().quota };
    house.restart(Settings { quota, ..Settings::default() });
    // The buffer's thread stands still until everything is queued.
    let (release, held) = sync_channel::<()>(0);
    let done = Box::new(move |_| held.recv().unwrap());
    assert!(house.buffer.submit(MailboxId::new([0xfd; 16]), Act::Delete, done).is_ok());
    let (sender, receiver) = sync_channel(16);
    for _ in 0..9 {
        let access = Access { mailbox: house.mailbox, key: host.public() };
        let ask = Ask::Append(house.ask_append(None, None));
        let sender = sender.clone();
        let respond = Box::new(move |answer: Result<Answer, Refusal>| {
            sender.send(answer.map(|_| ()).map_err(|refusal| refusal.code)).unwrap();
        });
        house.service.call(Call::With(access, ask), house.now, respond);
    }
    release.send(()).unwrap();
    let answers: Vec<_> = receiver.iter().take(9).collect();
    assert_eq!(answers[..8], [Ok(()); 8]);
    assert_eq!(answers[8], Err(Code::Quota));
    // What was to be let go while something was being let go follows it.
    house.settle();
    house.settle();
    assert_eq!(house.stored(), 4);
    house.append(&host, None, None).unwrap();
}

/// MBX-11, MBX-17: what a room keeps expires as anything does; nobody holds it back or lets it go.
#[test]
fn what_a_room_keeps_expires() {
    let (mut house, host) = room();
    let owner = SigningKey::from_seed(&[1; 32]);
    let last = house.append(&host, None, None).unwrap();
    house.ask(&owner, Ask::Ack { reader: house.reader, upto: last.seq }).unwrap();
    assert_eq!(house.subscribe(&owner, house.reader, Seq::START).unwrap().after, Seq::START);
    house.settle();
    house.later(u64::from(limits::TTL_DEFAULT.get()) - 1);
    assert_eq!(house.stored(), 1);
    house.later(1);
    assert_eq!(house.stored(), 0);
}

/// MBX-19, MBX-12: a live envelope costs no use, and a key without uses sends none.
#[test]
fn live_envelopes_cost_no_use() {
    let (mut house, host) = room();
    let owner = SigningKey::from_seed(&[1; 32]);
    let terms = Terms { uses: Some(1), ..writer_terms() };
    let possession = prove_possession(&host, &house.mailbox);
    let key = host.public();
    house.ask(&owner, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    let live = |house: &mut House| {
        let class = EnvelopeClass::Live;
        let ask = Ask::Append(AppendAsk { class, ..house.ask_append(None, None) });
        house.ask(&host, ask)
    };
    for _ in 0..3 {
        live(&mut house).unwrap();
    }
    house.append(&host, None, None).unwrap();
    assert_eq!(live(&mut house).unwrap_err().code, Code::Expired);
    assert_eq!(house.stored(), 1);
}

/// CMD-14: the answer to a request is repeated for 120 s, and forgotten after.
#[test]
fn takes_are_repeated_for_their_time() {
    let mut house = House::new(MailboxClass::Inbox);
    let (owner, contact) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let rights = Rights { take: true, ..Rights::default() };
    let terms = Terms { rights, ..writer_terms() };
    let possession = prove_possession(&contact, &house.mailbox);
    let key = contact.public();
    house.ask(&owner, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    let slot = restante_spec::ids::Slot::new(1);
    let packages = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    house.ask(&owner, Ask::PutPrekeys { slot, packages, last_resort: false }).unwrap();
    let request = restante_spec::ids::RequestId::new([3; 16]);
    let take = |house: &mut House| match house
        .ask(&contact, Ask::TakePrekeys { slot, request })
        .unwrap()
    {
        Answer::Prekey { package, .. } => package,
        other => panic!("{other:?}"),
    };
    assert_eq!(take(&mut house).as_ref(), b"one");
    house.later(u64::from(limits::TAKE_REPEAT.get()) - 1);
    assert_eq!(take(&mut house).as_ref(), b"one");
    house.later(1);
    assert_eq!(take(&mut house).as_ref(), b"two");
}

/// LIM-2: a wish above the longest TTL is granted the longest.
#[test]
fn mailbox_ttl_is_clamped() {
    let mut house = House::new(MailboxClass::Inbox);
    let key = seed(3);
    let mailbox = MailboxId::new([8; 16]);
    let create = Create {
        mailbox,
        class: MailboxClass::Inbox,
        key: key.public(),
        possession: prove_possession(&key, &mailbox),
        reader: house.reader,
        token: None,
        ttl: Some(Seconds::new(u32::MAX)),
        memory_first: false,
    };
    let Answer::Created(created) = house.call(Call::Create(create)).unwrap() else { panic!() };
    assert_eq!(created.ttl, limits::TTL_MAX);
}
