//! The people of a run: their seats at mailboxes, and what they tell each other past the relay.
//!
//! Knows keys, readers and plans of commits, as a group knows them end to end. Must not know
//! connections; what a seat holds here is durable and outlives them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use restante_crypto::{SigningKey, reader_hash};
use restante_spec::ids::{
    BlobId, EnvelopeId, Epoch, MailboxId, PublicKey, ReaderHash, ReaderSecret, RequestId, Seq,
};
use restante_spec::limits;
use restante_spec::message::MailboxClass;

use super::blobs::Upload;
use super::ledger::{Ledger, Moment, Place, Sealed, short};
use super::random::Random;

/// Everybody.
pub(crate) struct Town {
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) commits: BTreeMap<EnvelopeId, Plan>,
    /// The epochs' names, as the relay has told them.
    pub(crate) epochs: BTreeMap<PublicKey, Epoch>,
    /// Envelopes that a room keeps at most.
    pub(crate) tail: usize,
    /// Readers that were certainly struck, whether they know it or not.
    pub(crate) struck: BTreeSet<ReaderHash>,
    /// What was begun of blobs; `None`: the relay has none.
    pub(crate) blobs: Option<Vec<Upload>>,
}

/// A mailbox as its people know it.
pub(crate) struct Mailbox {
    pub(crate) id: MailboxId,
    pub(crate) class: MailboxClass,
    /// The wish, seconds.
    pub(crate) ttl: u32,
    pub(crate) memory_first: bool,
    /// Its newest key: of the epoch, or to manage.
    pub(crate) key: Rc<SigningKey>,
    /// The commit that brought it.
    since: Seq,
    /// The seat that makes it.
    pub(crate) creator: usize,
    pub(crate) created: bool,
}

/// What a seat is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads and writes a conversation.
    Member,
    /// Manages and reads an inbox or a room.
    Owner,
    /// Reads an inbox or a room with a key of its own.
    Device,
    /// Writes to an inbox or a room.
    Writer,
}

/// How a seat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not yet, or not any more.
    Out,
    Active,
    /// Removed by the others.
    Struck,
}

/// One person's place at one mailbox.
pub(crate) struct Seat {
    pub(crate) place: Place,
    pub(crate) role: Role,
    pub(crate) status: Status,
    pub(crate) secret: [u8; 16],
    pub(crate) key: Rc<SigningKey>,
    /// Everything up to here is durable at the application.
    pub(crate) cursor: Seq,
    /// The last number that was acknowledged.
    pub(crate) acked: Seq,
    /// Delivered, and not durable yet.
    pub(crate) fresh: Vec<(EnvelopeId, Seq)>,
    /// What the application has.
    applied: BTreeMap<EnvelopeId, Seq>,
    pub(crate) outbox: VecDeque<Message>,
    /// Its commit that is not decided yet.
    pub(crate) commit: Option<EnvelopeId>,
    pub(crate) take: Option<(RequestId, Moment)>,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: EnvelopeId,
    pub(crate) sealed: Sealed,
    pub(crate) first_sent: Option<Moment>,
    pub(crate) is_under_way: bool,
}

/// What a commit does.
pub(crate) struct Plan {
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    pub(crate) next: Option<Rc<SigningKey>>,
    pub(crate) adds: Vec<(usize, [u8; 16])>,
    pub(crate) strikes: Vec<ReaderHash>,
    /// What it cannot do without (BLB-6).
    pub(crate) blobs: Vec<BlobId>,
    pub(crate) message: Message,
    is_known: bool,
}

impl Plan {
    pub(crate) fn new(
        place: Place,
        epoch: Epoch,
        next: Option<Rc<SigningKey>>,
        message: Message,
    ) -> Self {
        let (adds, strikes, blobs) = (Vec::new(), Vec::new(), Vec::new());
        Self { place, epoch, next, adds, strikes, blobs, message, is_known: false }
    }
}

/// A message is given up when its outcome is unknown for so long, seconds: well within the time
/// for which its id is remembered (MBX-5).
const GIVE_UP: u64 = limits::DEDUP_WINDOW.get() as u64 - 20;

impl Message {
    pub(crate) const fn new(id: EnvelopeId, sealed: Sealed) -> Self {
        Self { id, sealed, first_sent: None, is_under_way: false }
    }

    pub(crate) fn is_late(&self, now: Moment) -> bool {
        self.first_sent.is_some_and(|sent| sent.time + GIVE_UP < now.time)
    }
}

impl Seat {
    pub(crate) fn new(place: Place, role: Role, random: &mut Random) -> Self {
        Self {
            place,
            role,
            status: Status::Out,
            secret: random.bytes(),
            key: key(random),
            cursor: Seq::START,
            acked: Seq::START,
            fresh: Vec::new(),
            applied: BTreeMap::new(),
            outbox: VecDeque::new(),
            commit: None,
            take: None,
        }
    }

    pub(crate) fn reader(&self) -> ReaderHash {
        hash(self.secret)
    }

    pub(crate) fn reads(&self) -> bool {
        self.status == Status::Active && self.role != Role::Writer
    }

    /// The connection is lost, and with it what was not durable.
    pub(crate) fn disconnect(&mut self) {
        self.fresh.clear();
        for message in &mut self.outbox {
            message.is_under_way = false;
        }
    }
}

/// A new key. It is kept ready: made of its seed each time it would take most of a run.
pub(crate) fn key(random: &mut Random) -> Rc<SigningKey> {
    Rc::new(SigningKey::from_seed(&random.bytes()))
}

pub(crate) fn hash(secret: [u8; 16]) -> ReaderHash {
    reader_hash(&ReaderSecret::new(secret))
}

impl Mailbox {
    pub(crate) fn new(class: MailboxClass, ttl: u32, random: &mut Random) -> Self {
        let (id, key) = (MailboxId::new(random.bytes()), key(random));
        // MBX-21: a room may not be.
        let memory_first = random.permille(400) && class != MailboxClass::Room;
        Self { id, class, ttl, memory_first, key, since: Seq::START, creator: 0, created: false }
    }
}

impl Town {
    pub(crate) fn mailbox(&self, place: Place) -> &Mailbox {
        &self.mailboxes[place.0]
    }

    /// Whether a seat has a claim to be brought everything.
    pub(crate) fn has_claim(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        seat.reads() && !self.struck.contains(&seat.reader())
    }

    /// Behind which number a seat reads. A room keeps no position, and who joins names none
    /// (MBX-17).
    pub(crate) fn begins_at(&self, number: usize, random: &mut Random) -> Seq {
        let seat = &self.seats[number];
        let is_room = self.mailbox(seat.place).class == MailboxClass::Room;
        if is_room && random.permille(500) { Seq::START } else { seat.cursor }
    }

    /// What was delivered becomes durable, as one transaction of the application.
    pub(crate) fn persist(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        for (id, seq) in std::mem::take(&mut seat.fresh) {
            // MBX-5: an id that is stored anew, long after, is dropped by its readers.
            let before = seat.applied.insert(id, seq);
            assert!(before != Some(seq), "DLV-1: {} comes to one application twice", short(&id));
            seat.cursor = seq;
            seat.outbox.retain(|message| message.id != id);
            let Some(plan) = self.commits.get(&id) else { continue };
            seat.commit = None;
            if plan.strikes.contains(&seat.reader()) {
                seat.status = Status::Struck;
                seat.outbox.clear();
            } else if let Some(next) = &plan.next {
                seat.key = Rc::clone(next);
            } else {
                seat.status = Status::Out;
                seat.outbox.clear();
            }
        }
    }

    /// Somebody has learned that a commit is stored, and tells those who join.
    pub(crate) fn committed(&mut self, ledger: &mut Ledger, id: EnvelopeId, seq: Seq) {
        let Some(plan) = self.commits.get_mut(&id).filter(|plan| !plan.is_known) else { return };
        plan.is_known = true;
        let sent = plan.message.first_sent.expect("a commit that was sent");
        for reader in &plan.strikes {
            ledger.struck(plan.place, *reader);
            self.struck.insert(*reader);
        }
        for (number, secret) in &plan.adds {
            ledger.registered(plan.place, hash(*secret), Some(seq), sent);
            let Some(next) = &plan.next else { continue };
            let seat = &mut self.seats[*number];
            (seat.status, seat.secret, seat.key) = (Status::Active, *secret, Rc::clone(next));
            (seat.cursor, seat.acked, seat.commit) = (seq, seq, None);
            seat.fresh.clear();
            seat.outbox.clear();
        }
        let mailbox = &mut self.mailboxes[plan.place.0];
        if let Some(next) = plan.next.as_ref().filter(|_| mailbox.since < seq) {
            (mailbox.key, mailbox.since) = (Rc::clone(next), seq);
        }
    }
}
