//! Delivery over a real service and buffer: what reaches an output, and what is dropped.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use restante_crypto::{SigningKey, prove_possession, reader_hash};
use restante_spec::ids::{
    EnvelopeId, Epoch, Handle, MailboxId, PublicKey, ReaderHash, ReaderSecret, Seq, UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{
    Create, Credit, EnvelopeClass, MailboxClass, Push, Refusal, Rights, Terms,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Hub, Outlet, Received, Subscriptions, Wish};
use crate::buffer::Buffer as _;
use crate::buffer::redb::RedbBuffer;
use crate::mailbox::api::{
    Access, Answer, AppendAsk, Ask, Call, Chain, Envelope, Mailboxes as _, Notice, Notices as _,
    Origin, Range,
};
use crate::mailbox::{Service, Settings};
use crate::ops::tasks::Tasks;

/// Room that no test uses up by accident.
const PLENTY: usize = limits::PENDING_OUTPUT_BYTES;
const READ: Rights = Rights { read: true, write: false, take: false, manage: false };
const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };
const NOW: UnixTime = UnixTime::new(1_000_000);
const READER: ReaderSecret = ReaderSecret::new([1; 16]);

/// A conversation, and one connection that reads it.
struct House {
    service: Arc<Service<RedbBuffer, Hub>>,
    hub: Arc<Hub>,
    access: Access,
    epoch: Option<Epoch>,
    outlet: Arc<Outlet>,
    subscriptions: Subscriptions,
    now: UnixTime,
}

impl House {
    fn new(class: MailboxClass) -> Self {
        let (buffer, writer) = RedbBuffer::in_memory();
        Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        buffer.tick(NOW);
        let hub = Arc::new(Hub::default());
        let identity = PublicKey::new([9; 32]);
        let service = Service::new(buffer, Arc::clone(&hub), identity, Settings::default());
        let (mailbox, key) = (MailboxId::new([1; 16]), key(1));
        let outlet = Arc::new(Outlet::default());
        let mut house = Self {
            service,
            access: Access { mailbox, key: key.public() },
            epoch: None,
            subscriptions: Subscriptions::new(Arc::clone(&hub), Arc::clone(&outlet), Origin(1)),
            hub,
            outlet,
            now: NOW,
        };
        let possession = prove_possession(&key, &mailbox);
        let (key, reader) = (key.public(), reader());
        let (token, ttl, memory_first) = (None, None, false);
        let create = Create { mailbox, class, key, possession, reader, token, ttl, memory_first };
        let Answer::Created(created) = house.call(Call::Create(create)).unwrap() else { panic!() };
        house.epoch = created.epoch;
        house
    }

    fn call(&self, call: Call) -> Result<Answer, Refusal> {
        let (sender, receiver) = sync_channel(1);
        self.service.call(call, self.now, Box::new(move |answer| sender.send(answer).unwrap()));
        receiver.recv().unwrap()
    }

    fn allow(&self, key: &SigningKey, rights: Rights, expires_at: Option<UnixTime>) {
        let possession = prove_possession(key, &self.access.mailbox);
        let terms = Terms { rights, expires_at, uses: None, rate: None };
        let (key, card) = (key.public(), Bytes::new());
        let ask = Ask::Allow { key, possession, terms, card };
        self.call(Call::With(self.access, ask)).unwrap();
    }

    fn append(&self, key: &SigningKey, class: EnvelopeClass, body: &'static [u8]) {
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let ask = Ask::Append(AppendAsk {
            id: EnvelopeId::new(id),
            class,
            ttl: None,
            epoch: self.epoch,
            commit: None,
            body: Bytes::from_static(body),
            link: Chain::new().link(),
            origin: Origin(2),
        });
        let access = Access { key: key.public(), ..self.access };
        self.call(Call::With(access, ask)).unwrap();
    }

    fn subscribe(&self, key: &SigningKey) -> (Wish, Range) {
        let access = Access { key: key.public(), ..self.access };
        let ask = Ask::Subscribe { reader: reader(), after: Seq::START };
        let Answer::Subscribed(range) = self.call(Call::With(access, ask)).unwrap() else {
            panic!();
        };
        let credit = Credit { envelopes: limits::CREDIT_ENVELOPES, bytes: limits::CREDIT_BYTES };
        (Wish { handle: Handle::new(1), access, reader: reader(), credit }, range)
    }

    /// What is read from the buffer into an output with so much room.
    fn fill(&mut self, room: usize) -> Vec<String> {
        let mut said = Vec::new();
        let mut sink = |push, body| note(&mut said, &push, body, room);
        self.subscriptions.fill(&self.service, self.now, room, &mut sink);
        said
    }

    /// What the notices left so far bring into an output with so much room.
    fn receive(&mut self, room: usize) -> Vec<String> {
        while self.hub.spread_once() {}
        let mut said = Vec::new();
        let Received { notices, behind, .. } = *self.outlet.take().unwrap_or_default();
        for (handle, notice) in notices {
            let mut sink = |push, body| note(&mut said, &push, body, room);
            self.subscriptions.notice(handle, notice, self.now, &mut sink);
        }
        for handle in behind {
            self.subscriptions.missed(handle);
        }
        said
    }
}

/// In words, what is said to the client.
fn note(said: &mut Vec<String>, push: &Push, body: Bytes, room: usize) -> usize {
    match push {
        Push::Deliver(_) => said.push(String::from_utf8(body.to_vec()).unwrap()),
        Push::Closed { code, .. } => said.push(format!("closed {}", code.name())),
        Push::CaughtUp { .. } | Push::Goaway { .. } => {}
    }
    room
}

fn reader() -> ReaderHash {
    reader_hash(&READER)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// A conversation whose reader has everything there is.
fn conversation() -> House {
    let mut house = House::new(MailboxClass::Conversation);
    let (wish, range) = house.subscribe(&key(1));
    house.subscriptions.begin(wish, range);
    house.fill(PLENTY);
    house
}

/// LIM-16, DLV-9: with as much waiting as may be a live envelope still joins, with one byte more
/// it is dropped; a stored one is not.
#[test]
fn live_envelopes_stay_out_of_an_output_that_is_filling() {
    let mut house = conversation();
    let bound = limits::PENDING_OUTPUT_BYTES - limits::LIVE_PENDING_BYTES;
    for (room, expected) in [(bound, &["live", "stored"][..]), (bound - 1, &["stored"][..])] {
        house.fill(room);
        house.append(&key(1), EnvelopeClass::Live, b"live");
        house.append(&key(1), EnvelopeClass::Normal, b"stored");
        let mut said = house.receive(room);
        said.sort_unstable();
        assert_eq!(said, expected);
    }
}

/// LIM-10: notices do not go into an output without room; what they brought is read later.
#[test]
fn a_full_output_takes_no_notices() {
    let mut house = conversation();
    house.fill(0);
    house.append(&key(1), EnvelopeClass::Normal, b"later");
    house.append(&key(1), EnvelopeClass::Live, b"never");
    assert!(house.receive(0).is_empty());
    assert_eq!(house.fill(PLENTY), ["later"]);
}

/// DLV-10: a key that is struck between the answer to `subscribe` and the first delivery is given
/// nothing, though its subscription was not there yet to be told.
#[test]
fn a_key_struck_before_its_subscription_stood_reads_nothing() {
    let mut house = House::new(MailboxClass::Room);
    house.allow(&key(2), READ, None);
    house.allow(&key(3), WRITE, None);
    let (wish, range) = house.subscribe(&key(2));
    let revoke = Ask::Revoke { key: key(2).public() };
    house.call(Call::With(house.access, revoke)).unwrap();
    house.append(&key(3), EnvelopeClass::Normal, b"not for you");
    house.subscriptions.begin(wish, range);
    assert_eq!(house.fill(PLENTY), ["closed revoked"]);
}

/// DLV-10: what is accepted when a key's time is over does not come, and what was accepted to its
/// last second does; also when the time was shortened meanwhile.
#[test]
fn subscriptions_end_to_the_second() {
    for shortened in [false, true] {
        let mut house = House::new(MailboxClass::Room);
        let ends = UnixTime::new(NOW.get() + 10);
        let first = if shortened { None } else { Some(ends) };
        house.allow(&key(2), READ, first);
        house.allow(&key(3), WRITE, None);
        let (wish, range) = house.subscribe(&key(2));
        house.subscriptions.begin(wish, range);
        house.fill(PLENTY);
        if shortened {
            house.allow(&key(2), READ, Some(ends));
            house.receive(PLENTY);
            house.fill(PLENTY);
        }
        house.now = UnixTime::new(ends.get() - 1);
        house.append(&key(3), EnvelopeClass::Normal, b"in time");
        house.now = ends;
        house.append(&key(3), EnvelopeClass::Normal, b"late");
        house.append(&key(3), EnvelopeClass::Live, b"late too");
        assert_eq!(house.receive(PLENTY), ["in time"]);
        assert_eq!(house.fill(PLENTY), ["closed expired"]);
    }
}

/// DLV-10: a key's terms count as they are, whatever its reader may be sent. Once a key whose end
/// was lifted was told its old end when there was no credit or no room for a read, and one that may
/// not read any more was told nothing.
#[test]
fn changed_terms_count_without_credit_and_without_room() {
    let none = Credit { envelopes: 0, bytes: 0 };
    for (is_poor, room) in [(true, PLENTY), (false, 0)] {
        let mut house = House::new(MailboxClass::Room);
        let ends = UnixTime::new(NOW.get() + 10);
        house.allow(&key(2), READ, Some(ends));
        let (mut wish, range) = house.subscribe(&key(2));
        if is_poor {
            wish.credit = none;
        }
        house.subscriptions.begin(wish, range);
        assert!(house.fill(room).is_empty());
        house.allow(&key(2), READ, None);
        assert!(house.receive(room).is_empty());
        house.now = ends;
        assert!(house.fill(room).is_empty());
        house.allow(&key(2), WRITE, None);
        assert!(house.receive(room).is_empty());
        assert_eq!(house.fill(room), ["closed denied"]);
    }
}

/// LIM-10, DLV-10: a notice that a key was struck may find no room; the next read finds it out.
#[test]
fn a_missed_notice_ends_what_it_would_have_ended() {
    let mut house = House::new(MailboxClass::Room);
    house.allow(&key(2), READ, None);
    house.allow(&key(3), WRITE, None);
    let (wish, range) = house.subscribe(&key(2));
    house.subscriptions.begin(wish, range);
    house.fill(PLENTY);
    let filling = vec![b'x'; limits::PENDING_OUTPUT_BYTES / 4 - limits::HEADER_BYTES].leak();
    for _ in 0..4 {
        house.append(&key(3), EnvelopeClass::Normal, filling);
    }
    let revoke = Ask::Revoke { key: key(2).public() };
    house.call(Call::With(house.access, revoke)).unwrap();
    house.append(&key(3), EnvelopeClass::Normal, b"not for you");
    let received = house.receive(PLENTY);
    assert_eq!(received.iter().map(String::len).collect::<Vec<_>>(), [filling.len(); 4]);
    assert_eq!(house.fill(PLENTY), ["closed revoked"]);
}

/// Ten thousand waiting tasks are told all of it, in order. What it costs to bring a notice and to
/// tell one reader, wake-up included, is printed; nothing is asserted about the machine.
#[tokio::test]
async fn ten_thousand_readers_are_told_in_order() {
    const READERS: usize = 10_000;
    const NOTICES: u64 = 20;
    let (hub, tasks, closing) = (Arc::new(Hub::default()), Tasks::new(), CancellationToken::new());
    tasks.spawn("fan-out", Arc::clone(&hub).spread(closing.clone()));
    let (mailbox, readers) = (MailboxId::new([1; 16]), TaskTracker::new());
    let mut registrations = Vec::new();
    for number in 0..READERS {
        let outlet = Arc::new(Outlet::default());
        let handle = Handle::new(u32::try_from(number).unwrap());
        registrations.push(hub.register(mailbox, &outlet, handle));
        tasks.spawn("reader", readers.track_future(hear(outlet, NOTICES)));
    }
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let mut bringing = Duration::ZERO;
    for seq in 1..=NOTICES {
        let before = Instant::now();
        hub.notice(mailbox, stored(seq));
        bringing += before.elapsed();
        tokio::task::yield_now().await;
    }
    readers.close();
    readers.wait().await;
    let each = begun.elapsed().as_nanos() / (READERS as u128 * u128::from(NOTICES));
    eprintln!("{READERS} readers: {:?} to bring a notice, {each} ns for each", bringing / 20);
    closing.cancel();
}

/// A reader that waits for so many notices, and takes them one behind the other.
async fn hear(outlet: Arc<Outlet>, notices: u64) {
    let mut last = 0;
    while last < notices {
        outlet.ready().await;
        let received = outlet.take().unwrap_or_default();
        assert!(received.behind.is_empty());
        for (_, notice) in received.notices {
            let Notice::Appended { envelope, .. } = &*notice else { panic!("{notice:?}") };
            assert_eq!(envelope.seq.get(), last + 1);
            last += 1;
        }
    }
}

fn stored(seq: u64) -> Notice {
    let envelope = Envelope {
        seq: Seq::new(seq),
        prev: Seq::new(seq - 1),
        epoch: Seq::START,
        id: EnvelopeId::new([1; 16]),
        class: EnvelopeClass::Normal,
        expires_at: NOW,
        commit: false,
        body: Bytes::from(vec![7; 1_024]),
    };
    Notice::Appended { envelope, origin: Origin(1), at: NOW }
}
