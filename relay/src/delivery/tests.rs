//! Delivery over a real service and buffer: what reaches an output, and what is dropped.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use restante_crypto::{SigningKey, prove_possession, reader_hash};
use restante_spec::ids::{
    EnvelopeId, Epoch, Handle, MailboxId, PublicKey, ReaderHash, ReaderSecret, Seq, UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{Create, Credit, EnvelopeClass, MailboxClass, Push, Refusal};

use super::{Hub, Outlet, Received, Subscriptions, Wish};
use crate::buffer::Buffer as _;
use crate::buffer::redb::RedbBuffer;
use crate::mailbox::api::{Access, Answer, AppendAsk, Ask, Call, Chain, Mailboxes as _, Origin};
use crate::mailbox::{Service, Settings};

const NOW: UnixTime = UnixTime::new(1_000_000);
const READER: ReaderSecret = ReaderSecret::new([1; 16]);

/// A conversation, and one connection that reads it.
struct House {
    service: Arc<Service<RedbBuffer, Hub>>,
    access: Access,
    epoch: Option<Epoch>,
    outlet: Arc<Outlet>,
    subscriptions: Subscriptions,
    count: u8,
}

impl House {
    fn new() -> Self {
        let (buffer, writer) = RedbBuffer::in_memory();
        crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        buffer.tick(NOW);
        let hub = Arc::new(Hub::default());
        let identity = PublicKey::new([9; 32]);
        let service =
            Service::new(Arc::clone(&buffer), Arc::clone(&hub), identity, Settings::default());
        let (mailbox, key) = (MailboxId::new([1; 16]), SigningKey::from_seed(&[1; 32]));
        let create = Create {
            mailbox,
            class: MailboxClass::Conversation,
            key: key.public(),
            possession: prove_possession(&key, &mailbox),
            reader: reader(),
            ttl: None,
        };
        let access = Access { mailbox, key: key.public() };
        let outlet = Arc::new(Outlet::default());
        let subscriptions = Subscriptions::new(hub, Arc::clone(&outlet), Origin(1));
        let mut house = Self { service, access, epoch: None, outlet, subscriptions, count: 0 };
        let Answer::Created(created) = house.call(Call::Create(create)).unwrap() else { panic!() };
        house.epoch = created.epoch;
        house
    }

    fn call(&self, call: Call) -> Result<Answer, Refusal> {
        let (sender, receiver) = sync_channel(1);
        self.service.call(call, NOW, Box::new(move |answer| sender.send(answer).unwrap()));
        receiver.recv().unwrap()
    }

    fn append(&mut self, class: EnvelopeClass, body: &'static [u8]) {
        self.count += 1;
        let ask = Ask::Append(AppendAsk {
            id: EnvelopeId::new([self.count; 16]),
            class,
            ttl: None,
            epoch: self.epoch,
            commit: None,
            body: Bytes::from_static(body),
            link: Chain::new().link(),
            origin: Origin(2),
        });
        self.call(Call::With(self.access, ask)).unwrap();
    }

    /// Subscribes with plenty of credit and reads all there is.
    fn subscribe(&mut self) {
        let ask = Ask::Subscribe { reader: reader(), after: Seq::START };
        let Answer::Subscribed(range) = self.call(Call::With(self.access, ask)).unwrap() else {
            panic!();
        };
        let credit = Credit { envelopes: limits::CREDIT_ENVELOPES, bytes: limits::CREDIT_BYTES };
        let wish = Wish { handle: Handle::new(1), access: self.access, reader: reader(), credit };
        self.subscriptions.begin(wish, range);
        self.fill(limits::PENDING_OUTPUT_BYTES);
    }

    /// What is read from the buffer into an output with so much room.
    fn fill(&mut self, room: usize) -> Vec<Bytes> {
        let mut bodies = Vec::new();
        let mut sink = |push, body| {
            if matches!(push, Push::Deliver(_)) {
                bodies.push(body);
            }
            room
        };
        self.subscriptions.fill(&self.service, NOW, room, &mut sink);
        bodies
    }

    /// What the notices left so far bring into an output with so much room.
    fn receive(&mut self, room: usize) -> Vec<Bytes> {
        let mut bodies = Vec::new();
        let Received { notices, behind, .. } = self.outlet.take();
        for (handle, notice) in notices {
            self.subscriptions.notice(handle, notice, &mut |_, body| {
                bodies.push(body);
                room
            });
        }
        for handle in behind {
            self.subscriptions.missed(handle);
        }
        bodies
    }
}

fn reader() -> ReaderHash {
    reader_hash(&READER)
}

/// LIM-16, DLV-9: with as much waiting as may be a live envelope still joins, with one byte more
/// it is dropped; a stored one is not.
#[test]
fn live_envelopes_stay_out_of_an_output_that_is_filling() {
    let mut house = House::new();
    house.subscribe();
    let bound = limits::PENDING_OUTPUT_BYTES - limits::LIVE_PENDING_BYTES;
    for (room, expected) in [(bound, &["live", "stored"][..]), (bound - 1, &["stored"][..])] {
        house.fill(room);
        house.append(EnvelopeClass::Live, b"live");
        house.append(EnvelopeClass::Normal, b"stored");
        assert_eq!(house.receive(room), expected);
    }
}

/// LIM-10: notices do not go into an output without room; what they brought is read later.
#[test]
fn a_full_output_takes_no_notices() {
    let mut house = House::new();
    house.subscribe();
    house.fill(0);
    house.append(EnvelopeClass::Normal, b"later");
    house.append(EnvelopeClass::Live, b"never");
    assert!(house.receive(0).is_empty());
    assert_eq!(house.fill(1_000), ["later"]);
}
