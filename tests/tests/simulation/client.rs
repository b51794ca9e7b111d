//! A client by the letter of the specification: one connection, its handles and its requests.
//!
//! Real frames, keys and proofs, no MLS. Knows what it has asked and hands every answer to the
//! checkers; what to ask next is the workload's.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use restante_crypto::{OpenChallenge, SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::frame;
use restante_spec::ids::{
    BlobId, ChainNumber, Handle, Nonce, PublicKey, ReaderSecret, RequestId, RequestNumber, Seconds,
};
use restante_spec::message::{
    Append, ClientHeader, Command, Commit, Create, Credit, Hello, NextKey, Open, Opened, Refusal,
    RelayHeader, Reply, Subscribe,
};

use super::answers::{leave, took};
use super::blobs::{answered, looked};
use super::ledger::{Asked, Attempt, Chains, Change, Ledger, Look, Moment, Reading, Rule};
use super::network::Line;
use super::random::Random;
use super::town::{Message, Status, Town, hash};

/// One program with its connection.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) seats: Vec<usize>,
    pub(crate) session: Option<Session>,
}

/// What a connection is in the middle of.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) line: u64,
    pub(crate) nonce: Option<Nonce>,
    numbers: u32,
    handles: u32,
    pub(crate) pending: BTreeMap<u32, Request>,
    pub(crate) desks: BTreeMap<u32, Desk>,
    chains: Chains,
    /// The chain number in use for each seat, and whether it is broken.
    chain: BTreeMap<usize, (u32, bool)>,
    /// Seats, with their keys, that were refused their mailbox on this connection.
    pub(crate) turned_away: BTreeSet<(usize, PublicKey)>,
    /// Seats that were told that another epoch is current.
    pub(crate) stale: BTreeSet<usize>,
    /// What each seat has sent last.
    pub(crate) last_sent: BTreeMap<usize, Message>,
    /// Blobs that were read, or found not to be there.
    pub(crate) read: BTreeSet<BlobId>,
    input: BytesMut,
    consumed: u64,
    pub(crate) output: BytesMut,
}

/// An open handle.
pub(crate) struct Desk {
    pub(crate) seat: usize,
    pub(crate) secret: [u8; 16],
    pub(crate) key: PublicKey,
    pub(crate) opened: Option<Opened>,
    pub(crate) is_asking: bool,
    pub(crate) reading: Option<Reading>,
}

/// What an answer is awaited for.
pub(crate) enum Request {
    Hello,
    Create { seat: usize, sent: Moment },
    Open { handle: u32, sent: Moment },
    Subscribe { handle: u32, reading: Box<Reading> },
    Append { seat: usize, attempt: Attempt, chain: u32, at: usize },
    Live { attempt: Attempt },
    Blob(Asked),
    Look(Look),
    Change { seat: usize, key: PublicKey, change: Change, number: usize },
    AddReader { device: usize, sent: Moment },
    Ping { online: Vec<u32> },
    Take { seat: usize, request: RequestId, sent: Moment },
    Quiet,
}

/// What a client acts with.
pub(crate) struct Scene<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) town: &'a mut Town,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) relay: PublicKey,
    pub(crate) now: Moment,
}

impl Client {
    /// Connects and says hello.
    pub(crate) fn connect(&mut self, line: u64) {
        let mut session = Session { line, ..Session::default() };
        let idle = Seconds::new(restante_spec::limits::IDLE_MAX.get());
        let hello = Hello { versions: vec![restante_spec::VERSION], idle };
        session.send(Request::Hello, Command::Hello(hello), b"");
        self.session = Some(session);
    }

    /// The connection is lost.
    pub(crate) fn disconnect(&mut self, town: &mut Town) {
        self.session = None;
        for seat in &self.seats {
            town.seats[*seat].disconnect();
        }
    }
}

impl Session {
    pub(crate) const fn is_greeted(&self) -> bool {
        self.nonce.is_some()
    }

    pub(crate) fn send(&mut self, request: Request, command: Command, body: &[u8]) {
        self.numbers += 1;
        self.pending.insert(self.numbers, request);
        self.put(command, body);
    }

    /// Asks what is answered only when it is refused.
    pub(crate) fn send_silently(&mut self, command: Command) {
        self.numbers += 1;
        self.put(command, b"");
    }

    fn put(&mut self, command: Command, body: &[u8]) {
        let header = ClientHeader { number: RequestNumber::new(self.numbers), command };
        frame::encode_client(&header, body, &mut self.output).expect("a frame of a client");
    }

    pub(crate) fn create(&mut self, number: usize, scene: &Scene<'_>) {
        let seat = &scene.town.seats[number];
        let mailbox = scene.town.mailbox(seat.place);
        let key = &mailbox.key;
        let create = Create {
            mailbox: mailbox.id,
            class: mailbox.class,
            key: key.public(),
            possession: prove_possession(key, &mailbox.id),
            reader: seat.reader(),
            token: None,
            ttl: Some(Seconds::new(mailbox.ttl)),
            memory_first: mailbox.memory_first,
        };
        self.send(Request::Create { seat: number, sent: scene.now }, Command::Create(create), b"");
    }

    /// Opens a seat's mailbox with a key.
    pub(crate) fn open(&mut self, number: usize, key: &SigningKey, scene: &Scene<'_>) {
        let seat = &scene.town.seats[number];
        let mailbox = scene.town.mailbox(seat.place).id;
        let nonce = self.nonce.expect("greeted");
        let challenge = OpenChallenge { relay: scene.relay, nonce, mailbox };
        self.handles += 1;
        let handle = self.handles;
        let (secret, public) = (seat.secret, key.public());
        let desk = Desk {
            seat: number,
            secret,
            key: public,
            opened: None,
            is_asking: true,
            reading: None,
        };
        self.desks.insert(handle, desk);
        let proof = challenge.prove(key);
        let open = Open { handle: Handle::new(handle), mailbox, key: public, proof };
        self.send(Request::Open { handle, sent: scene.now }, Command::Open(open), b"");
    }

    pub(crate) fn subscribe(&mut self, handle: u32, credit: Credit, scene: &mut Scene<'_>) {
        let Some(desk) = self.desks.get_mut(&handle) else { return };
        let Some(opened) = desk.opened.as_ref() else { return };
        let seat = &scene.town.seats[desk.seat];
        let (reader, after) = (hash(desk.secret), scene.town.begins_at(desk.seat, scene.random));
        let mut reading = Reading {
            place: seat.place,
            reader,
            key: desk.key,
            line: self.line,
            epoch: opened.epoch,
            range: (opened.from, opened.upto),
            position: after.max(opened.from),
            sent: scene.now,
            envelopes: 0,
            bytes: 0,
            caught_up: false,
            lives: BTreeSet::new(),
        };
        reading.grant(credit);
        scene.ledger.acknowledging(seat.place, reader, after);
        desk.is_asking = true;
        let subscribe = Subscribe {
            handle: Handle::new(handle),
            reader: ReaderSecret::new(desk.secret),
            after,
            credit,
        };
        let request = Request::Subscribe { handle, reading: Box::new(reading) };
        self.send(request, Command::Subscribe(subscribe), b"");
    }

    /// Sends a message under the current chain.
    pub(crate) fn append(&mut self, handle: u32, message: &Message, scene: &mut Scene<'_>) {
        let Some(desk) = self.desks.get(&handle) else { return };
        let epoch = desk.opened.as_ref().and_then(|opened| opened.epoch);
        let seat = desk.seat;
        let place = scene.town.seats[seat].place;
        let waits = self
            .pending
            .values()
            .any(|it| matches!(it, Request::Append { seat: s, .. } if *s == seat));
        let (chain, broken) = self.chain.entry(seat).or_insert((1, false));
        if *broken && !waits {
            (*chain, *broken) = (*chain + 1, false);
        }
        let chain = *chain;
        let attempt = Attempt { place, id: message.id, epoch, key: desk.key, sent: scene.now };
        scene.ledger.appending(&attempt, &message.sealed);
        let append = Append {
            handle: Handle::new(handle),
            chain: ChainNumber::new(chain),
            id: message.id,
            class: message.sealed.class,
            ttl: message.sealed.ttl.map(|ttl| Seconds::new(u32::try_from(ttl).unwrap())),
            epoch,
            commit: scene.town.commits.get(&message.id).map(|plan| {
                let mailbox = scene.town.mailbox(place).id;
                Commit {
                    next: plan.next.as_ref().map(|key| {
                        let possession = prove_possession(key, &mailbox);
                        NextKey { key: key.public(), possession }
                    }),
                    add_readers: plan.adds.iter().map(|add| hash(add.1)).collect(),
                    strike_readers: plan.strikes.clone(),
                    blobs: plan.blobs.clone(),
                }
            }),
        };
        self.last_sent.insert(seat, message.clone());
        let at = self.chains.sends(place, chain);
        let request = Request::Append { seat, attempt, chain, at };
        self.send(request, Command::Append(append), &message.sealed.body);
    }

    /// Bytes have come from the relay.
    pub(crate) fn receive(&mut self, bytes: &[u8], line: &mut Line, scene: &mut Scene<'_>) {
        self.input.extend_from_slice(bytes);
        loop {
            let before = self.input.len();
            let frame = frame::decode_relay(&mut self.input).expect("a frame of a relay");
            let Some(frame) = frame else { return };
            self.consumed += (before - self.input.len()) as u64;
            let said = line.said_at(self.consumed);
            match frame.header {
                RelayHeader::Reply(number, reply) => {
                    self.reply(number.get(), reply, frame.body, said, scene);
                }
                RelayHeader::Push(push) => self.push(push, &frame.body, said, scene),
            }
        }
    }

    fn reply(
        &mut self,
        number: u32,
        reply: Reply,
        body: Bytes,
        said: Moment,
        scene: &mut Scene<'_>,
    ) {
        let answer = match reply {
            Reply::Error(refusal) => Err(refusal),
            reply => Ok(reply),
        };
        if let Err(refusal) = &answer {
            let ours = matches!(refusal.code, Code::Malformed | Code::Internal | Code::TooLarge);
            assert!(!ours, "the relay answers {refusal:?}");
        }
        let Some(request) = self.pending.remove(&number) else {
            // An acknowledgement or credit for what has just been closed.
            let code = answer.map(|_| ()).expect_err("an answer nobody waits for").code;
            let known = [Code::NotFound, Code::Revoked, Code::Expired, Code::Unavailable];
            assert!(known.contains(&code), "{code:?} to an ack or credit");
            return;
        };
        match (request, answer) {
            (Request::Hello, Ok(Reply::Welcome(welcome))) => {
                let until = welcome.endorsement.not_after.get();
                assert!(until > scene.now.time, "TRN-5: an endorsement that is over");
                self.nonce = Some(welcome.nonce);
            }
            (Request::Create { seat, sent }, Ok(Reply::Created(created))) => {
                let mailbox = &mut scene.town.mailboxes[scene.town.seats[seat].place.0];
                mailbox.created = true;
                let rule = Rule::of(mailbox, created.ttl, scene.town.tail);
                let key = mailbox.key.public();
                if let Some(epoch) = created.epoch {
                    let before = scene.town.epochs.insert(key, epoch);
                    assert!(before.is_none_or(|it| it == epoch), "MBX-14: another first epoch");
                }
                let seat = &mut scene.town.seats[seat];
                (seat.status, seat.key) = (Status::Active, Rc::clone(&mailbox.key));
                scene.ledger.created(seat.place, rule, seat.reader(), sent);
            }
            (Request::Open { handle, sent }, answer) => self.opened(handle, sent, answer, scene),
            (Request::Subscribe { handle, reading }, answer) => {
                self.subscribed(handle, *reading, answer, said, scene);
            }
            (Request::Append { seat, attempt, chain, at }, answer) => {
                let answer = answer.map_err(|refusal| refusal.code);
                self.appended(seat, &attempt, (chain, at), answer, said, scene);
            }
            (Request::Live { attempt }, answer) => {
                scene.ledger.live_answered(&attempt, answer, said);
            }
            (Request::Blob(asked), answer) => answered(&asked, answer, said, scene),
            (Request::Look(look), answer) => looked(self, &look, (answer, &body), said, scene),
            (Request::Change { seat, key, change, number }, answer) => {
                let place = scene.town.seats[seat].place;
                let answer = answer.map(|_| ()).map_err(|refusal| refusal.code);
                scene.ledger.changed(place, key, number, answer, said);
                let _ = change;
            }
            (Request::AddReader { device, sent }, Ok(_)) => {
                let seat = &mut scene.town.seats[device];
                seat.status = Status::Active;
                scene.ledger.registered(seat.place, seat.reader(), None, sent);
            }
            (Request::Ping { online }, Ok(_)) => {
                for handle in online {
                    let reading = self.desks.get(&handle).and_then(|desk| desk.reading.as_ref());
                    if let Some(reading) = reading {
                        scene.ledger.saw_online(reading, said);
                    }
                }
            }
            (Request::Take { seat, request, sent }, answer) => {
                took(seat, (request, sent), answer, &body, scene);
            }
            (_, _) => {}
        }
    }

    fn opened(
        &mut self,
        handle: u32,
        sent: Moment,
        answer: Result<Reply, Refusal>,
        scene: &mut Scene<'_>,
    ) {
        let Some(desk) = self.desks.get_mut(&handle) else { return };
        desk.is_asking = false;
        let place = scene.town.seats[desk.seat].place;
        match answer {
            Ok(Reply::Opened(opened)) => {
                scene.ledger.opened(place, desk.key, sent);
                if let Some(epoch) = opened.epoch {
                    let before = scene.town.epochs.insert(desk.key, epoch);
                    assert!(before.is_none_or(|it| it == epoch), "MBX-7: an epoch is renamed");
                }
                desk.opened = Some(opened);
            }
            Ok(other) => panic!("{other:?} to open"),
            Err(refusal) => {
                scene.ledger.tell(|| format!("{place:?}: open is refused: {refusal:?}"));
                let desk = self.desks.remove(&handle).expect("just found");
                if refusal.code == Code::NotFound {
                    self.turned_away.insert((desk.seat, desk.key));
                    leave(&desk, place, refusal.code, scene);
                }
            }
        }
    }

    fn subscribed(
        &mut self,
        handle: u32,
        reading: Reading,
        answer: Result<Reply, Refusal>,
        said: Moment,
        scene: &mut Scene<'_>,
    ) {
        let Some(desk) = self.desks.get_mut(&handle) else { return };
        desk.is_asking = false;
        match answer {
            Ok(_) => {
                scene.ledger.subscribed(&reading, said);
                desk.reading = Some(reading);
            }
            Err(refusal) if refusal.code == Code::Unavailable => {}
            Err(refusal) => {
                scene.ledger.tell(|| format!("subscribe is refused: {refusal:?}"));
                assert_ne!(refusal.code, Code::AckAhead, "DLV-3: a durable position is refused");
                let desk = self.desks.remove(&handle).expect("just found");
                self.send(Request::Quiet, Command::Close(Handle::new(handle)), b"");
                self.turned_away.insert((desk.seat, desk.key));
                if matches!(refusal.code, Code::Gone | Code::Revoked | Code::NotFound) {
                    leave(&desk, reading.place, refusal.code, scene);
                }
            }
        }
    }

    fn appended(
        &mut self,
        number: usize,
        attempt: &Attempt,
        (chain, at): (u32, usize),
        answer: Result<Reply, Code>,
        said: Moment,
        scene: &mut Scene<'_>,
    ) {
        let answer = answer.map(|reply| match reply {
            Reply::Appended(appended) => appended,
            other => panic!("{other:?} to append"),
        });
        self.chains.answered(attempt.place, chain, at, &answer);
        let seat = &mut scene.town.seats[number];
        let is_commit = scene.town.commits.contains_key(&attempt.id);
        match answer {
            Ok(appended) => {
                scene.ledger.appended(attempt, &appended, said);
                seat.outbox.retain(|message| message.id != attempt.id);
                if is_commit {
                    seat.commit = None;
                    scene.town.committed(scene.ledger, attempt.id, appended.seq);
                }
            }
            Err(code) => {
                scene.ledger.refused(attempt, code);
                if code == Code::StaleEpoch {
                    self.stale.insert(number);
                }
                if let Some((current, broken)) = self.chain.get_mut(&number) {
                    *broken |= *current == chain;
                }
                let again = [Code::StaleEpoch, Code::Aborted, Code::Unavailable, Code::Unknown];
                if is_commit && code != Code::Unknown && seat.commit == Some(attempt.id) {
                    seat.commit = None;
                }
                if again.contains(&code) {
                    let mut outbox = seat.outbox.iter_mut();
                    if let Some(message) = outbox.find(|message| message.id == attempt.id) {
                        message.is_under_way = false;
                    }
                } else {
                    seat.outbox.retain(|message| message.id != attempt.id);
                }
            }
        }
    }
}
