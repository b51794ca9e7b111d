//! What clients do: by chance while faults happen, and thoroughly once everything is healed.
//!
//! Knows what a client may do and what it must not be able to do; judges nothing.

use std::rc::Rc;

use bytes::Bytes;
use restante_crypto::prove_possession;
use restante_spec::ids::{EnvelopeId, Handle, RequestId, Seconds, Slot, UnixTime};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Command, Credit, EnvelopeClass, MailboxClass, PutPrekeys, Rate, Rights, Terms,
};

use super::blobs::{blobs, needed, read_all};
use super::client::{Client, Request, Scene, Session};
use super::ledger::{Change, Sealed};
use super::live::live;
use super::random::Random;
use super::town::{Message, Plan, Role, Status, Town, hash, key};

/// Something a client does by chance.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Append,
    Repeat,
    Commit,
    Persist,
    Ack,
    Credit,
    Ping,
    Close,
    Manage,
    Prekeys,
    Trespass,
    Live,
    Blob,
    Delete,
}

const DEEDS: [(u64, Deed); 14] = [
    (30, Deed::Append),
    (4, Deed::Repeat),
    (6, Deed::Commit),
    (20, Deed::Persist),
    (14, Deed::Ack),
    (10, Deed::Credit),
    (4, Deed::Ping),
    (2, Deed::Close),
    (8, Deed::Manage),
    (14, Deed::Prekeys),
    (6, Deed::Trespass),
    (6, Deed::Live),
    (40, Deed::Blob),
    (1, Deed::Delete),
];

impl Client {
    /// Does something by chance.
    pub(crate) fn act(&mut self, scene: &mut Scene<'_>) {
        let Some(session) = self.session.as_mut().filter(|session| session.is_greeted()) else {
            return;
        };
        if session.pending.len() + 20 > limits::REQUESTS_IN_FLIGHT {
            return;
        }
        let Some(seat) = scene.random.pick(&self.seats) else { return };
        if approach(session, seat, scene) {
            return;
        }
        match scene.random.weighted(&DEEDS) {
            Deed::Append => write(session, seat, scene),
            Deed::Repeat => repeat(session, seat, scene),
            Deed::Commit => commit(session, seat, scene),
            Deed::Persist => scene.town.persist(seat),
            Deed::Ack => ack(session, seat, scene),
            Deed::Credit => credit(session, seat, false, scene),
            Deed::Ping => ping(session),
            Deed::Close if scene.random.permille(500) => again(session, seat, scene),
            Deed::Close => close(session, seat, scene),
            Deed::Manage => manage(session, seat, scene),
            Deed::Prekeys => prekeys(session, seat, scene),
            Deed::Trespass => trespass(session, seat, scene),
            Deed::Live => live(session, seat, scene),
            Deed::Blob => blobs(session, seat, scene),
            Deed::Delete => delete(session, seat, scene),
        }
    }

    /// Brings every seat to where it should be, and sends what is left.
    pub(crate) fn settle(&mut self, scene: &mut Scene<'_>, subscribes: bool) {
        let Some(session) = self.session.as_mut().filter(|session| session.is_greeted()) else {
            return;
        };
        for seat in &self.seats {
            if session.pending.len() + 20 > limits::REQUESTS_IN_FLIGHT {
                return;
            }
            if subscribes {
                read_all(session, *seat, scene);
            }
            let is_writer = scene.town.seats[*seat].role == Role::Writer;
            if !is_writer && !scene.town.has_claim(*seat) {
                scene.town.seats[*seat].outbox.clear();
            }
            let key = scene.town.seats[*seat].key.public();
            let goes = subscribes && !session.turned_away.contains(&(*seat, key));
            if goes && approach(session, *seat, scene) {
                continue;
            }
            scene.town.persist(*seat);
            // Who was absent too long is not told that its epoch is over: it opens anew and sees.
            if subscribes && session.stale.remove(seat) {
                close(session, *seat, scene);
                continue;
            }
            credit(session, *seat, true, scene);
            ack(session, *seat, scene);
            if subscribes {
                flush(session, *seat, usize::MAX, scene);
            }
        }
    }
}

/// The handle on which a seat stands, with its present key and reader.
pub(super) fn desk_of(session: &Session, number: usize, town: &Town) -> Option<u32> {
    let seat = &town.seats[number];
    let key = seat.key.public();
    let own = |desk: &super::client::Desk| {
        desk.seat == number && desk.key == key && desk.secret == seat.secret
    };
    session.desks.iter().find(|(_, desk)| own(desk)).map(|(handle, _)| *handle)
}

/// The next step towards an open and subscribed mailbox; false when there is none to take.
fn approach(session: &mut Session, number: usize, scene: &mut Scene<'_>) -> bool {
    let seat = &scene.town.seats[number];
    let mailbox = scene.town.mailbox(seat.place);
    if !mailbox.created {
        if mailbox.creator != number {
            return true;
        }
        let waits = |request: &Request| matches!(request, Request::Create { .. });
        if !session.pending.values().any(waits) {
            session.create(number, scene);
        }
        return true;
    }
    if seat.status != Status::Active {
        return seat.status == Status::Out;
    }
    let Some(handle) = desk_of(session, number, scene.town) else {
        let key = Rc::clone(&seat.key);
        session.open(number, &key, scene);
        return true;
    };
    let desk = &session.desks[&handle];
    if desk.is_asking {
        return true;
    }
    if seat.reads() && desk.reading.is_none() {
        let grant = grant(scene.random);
        session.subscribe(handle, grant, scene);
        return true;
    }
    false
}

fn grant(random: &mut Random) -> Credit {
    let envelopes = random.weighted(&[(2, 1), (3, 4), (5, 64)]);
    let bytes = random.weighted(&[(1, 1), (2, 2_000), (6, 200_000)]);
    Credit { envelopes, bytes }
}

/// Seals some messages and sends them, pipelined.
fn write(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let role = scene.town.seats[number].role;
    if !matches!(role, Role::Member | Role::Writer) {
        return;
    }
    let left = 24_usize.saturating_sub(scene.town.seats[number].outbox.len());
    // A room's tail is to become too long.
    let is_room = scene.town.mailbox(scene.town.seats[number].place).class == MailboxClass::Room;
    let counts = if is_room { [(1, 3), (1, 12), (4, 24)] } else { [(5, 1), (3, 3), (1, 8)] };
    let count = usize::try_from(scene.random.weighted(&counts)).unwrap();
    for _ in 0..count.min(left) {
        let size = scene.random.weighted(&[(40, 40), (8, 3_000), (1, 60_000)]);
        let fill = scene.random.bytes::<1>()[0];
        let body = vec![fill; usize::try_from(scene.random.within(1, size)).unwrap()];
        let class =
            if scene.random.permille(200) { EnvelopeClass::Quiet } else { EnvelopeClass::Normal };
        let ttl = scene.random.weighted(&[(6, None), (1, Some(1)), (1, Some(5)), (2, Some(90))]);
        let sealed = Sealed { body: body.into(), class, ttl, is_commit: false };
        let id = EnvelopeId::new(scene.random.bytes());
        scene.town.seats[number].outbox.push_back(Message::new(id, sealed));
    }
    flush(session, number, usize::MAX, scene);
}

/// Sends what is in the outbox and not under way, oldest first.
fn flush(session: &mut Session, number: usize, max: usize, scene: &mut Scene<'_>) {
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let Some(opened) = session.desks[&handle].opened.as_ref() else { return };
    // A replaced key writes nothing: first the log is read to its end.
    if opened.upto.is_some() {
        return;
    }
    let now = scene.now;
    scene.town.seats[number].outbox.retain(|message| message.is_under_way || !message.is_late(now));
    retry_commit(session, handle, number, scene);
    let outbox = &scene.town.seats[number].outbox;
    // What is behind something under way waits, so that a retry keeps the order.
    let first = outbox.iter().rposition(|message| message.is_under_way).map_or(0, |at| at + 1);
    let waiting: Vec<_> = outbox.iter().skip(first).take(max).cloned().collect();
    for mut message in waiting {
        if session.pending.len() + 20 > limits::REQUESTS_IN_FLIGHT {
            return;
        }
        message.first_sent.get_or_insert(now);
        message.is_under_way = true;
        session.append(handle, &message, scene);
        let mut outbox = scene.town.seats[number].outbox.iter_mut();
        if let Some(kept) = outbox.find(|kept| kept.id == message.id) {
            *kept = message;
        }
    }
}

/// A commit whose outcome is unknown is sent again while its epoch may be current.
fn retry_commit(session: &mut Session, handle: u32, number: usize, scene: &mut Scene<'_>) {
    let Some(id) = scene.town.seats[number].commit else { return };
    let under_way =
        |request: &Request| matches!(request, Request::Append { attempt, .. } if attempt.id == id);
    if session.pending.values().any(under_way) {
        return;
    }
    let plan = &scene.town.commits[&id];
    let epoch = session.desks[&handle].opened.as_ref().and_then(|opened| opened.epoch);
    if epoch != Some(plan.epoch) || plan.message.is_late(scene.now) {
        scene.town.seats[number].commit = None;
        return;
    }
    let message = plan.message.clone();
    session.append(handle, &message, scene);
}

/// Sends something once more that was sent a moment ago.
fn repeat(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let last = session.last_sent.get(&number).cloned();
    let Some(message) = last.filter(|message| !message.is_late(scene.now)) else { return };
    let desk = &session.desks[&handle];
    let opened = desk.opened.as_ref();
    let epoch = opened.and_then(|opened| opened.epoch);
    let is_other = scene.town.commits.get(&message.id).is_some_and(|it| Some(it.epoch) != epoch);
    if opened.is_none() || is_other {
        return;
    }
    session.append(handle, &message, scene);
}

/// Ends the epoch, with people who join and people who leave.
fn commit(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let seat = &scene.town.seats[number];
    if seat.role != Role::Member || seat.commit.is_some() {
        return;
    }
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let Some(opened) = session.desks[&handle].opened.as_ref() else { return };
    let (Some(epoch), None) = (opened.epoch, opened.upto) else { return };
    let place = seat.place;
    let random = &mut *scene.random;
    let next = (!random.permille(15)).then(|| key(random));
    let sealed = Sealed {
        body: Bytes::from(random.bytes::<24>().to_vec()),
        class: EnvelopeClass::Normal,
        ttl: random.weighted(&[(3, None), (1, Some(5))]),
        is_commit: true,
    };
    let mut message = Message::new(EnvelopeId::new(random.bytes()), sealed);
    message.first_sent = Some(scene.now);
    let mut plan = Plan::new(place, epoch, next, message.clone());
    for (other, seat) in scene.town.seats.iter().enumerate() {
        if seat.place != place || other == number {
            continue;
        }
        if seat.status == Status::Active {
            if random.permille(120) {
                plan.strikes.push(seat.reader());
            }
        } else if random.permille(500) {
            plan.adds.push((other, random.bytes()));
        }
    }
    plan.blobs = needed(place, scene);
    scene.ledger.needing(message.id, &plan.blobs);
    for reader in &plan.strikes {
        scene.ledger.striking(place, *reader);
    }
    if plan.next.is_none() {
        scene.ledger.closing(place);
    }
    scene.town.seats[number].commit = Some(message.id);
    scene.town.commits.insert(message.id, plan);
    session.append(handle, &message, scene);
    // Some write on before they know who has won.
    if scene.random.permille(300) {
        write(session, number, scene);
    }
}

fn ack(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let seat = &mut scene.town.seats[number];
    let desk = &session.desks[&handle];
    // DLV-3: no more than the present subscription has delivered.
    let delivered = desk.reading.as_ref().filter(|_| !desk.is_asking).map(|it| it.position);
    if delivered.is_none_or(|position| position < seat.cursor) || seat.acked >= seat.cursor {
        return;
    }
    let upto = seat.cursor;
    seat.acked = upto;
    let Some(reading) = &desk.reading else { return };
    scene.ledger.acknowledging(reading.place, reading.reader, upto);
    session.send_silently(Command::Ack { handle: Handle::new(handle), upto });
}

/// Grants more where little is left.
fn credit(session: &mut Session, number: usize, plenty: bool, scene: &mut Scene<'_>) {
    let more = if plenty { Credit { envelopes: 64, bytes: 200_000 } } else { grant(scene.random) };
    let mut handles = Vec::new();
    for (handle, desk) in &mut session.desks {
        if desk.is_asking {
            // What is granted now is for the subscription that is asked for.
            continue;
        }
        if let Some(reading) = desk.reading.as_mut().filter(|_| desk.seat == number)
            && (reading.envelopes < 8 || reading.bytes < 70_000)
        {
            reading.grant(more);
            handles.push(Handle::new(*handle));
        }
    }
    for handle in handles {
        session.send_silently(Command::Credit { handle, credit: more });
    }
}

fn ping(session: &mut Session) {
    let online = session.desks.iter().filter(|(_, desk)| desk.reading.is_some());
    let online = online.map(|(handle, _)| *handle).collect();
    session.send(Request::Ping { online }, Command::Ping, b"");
}

/// Subscribes once more on the same handle (DLV-7).
fn again(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    if session.desks[&handle].reading.is_some() {
        let grant = grant(scene.random);
        session.subscribe(handle, grant, scene);
    }
}

fn close(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    scene.town.seats[number].fresh.clear();
    session.desks.remove(&handle);
    session.send(Request::Quiet, Command::Close(Handle::new(handle)), b"");
}

/// An owner gives and takes rights.
fn manage(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    if scene.town.seats[number].role != Role::Owner {
        return;
    }
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    let place = scene.town.seats[number].place;
    let is_room = scene.town.mailbox(place).class == MailboxClass::Room;
    let mut others: Vec<_> = Vec::new();
    for (other, seat) in scene.town.seats.iter().enumerate() {
        if seat.place == place && other != number {
            others.push(other);
        }
    }
    for _ in 0..scene.random.within(1, 2) {
        let Some(other) = scene.random.pick(&others) else { return };
        let (role, key) = (scene.town.seats[other].role, Rc::clone(&scene.town.seats[other].key));
        let public = key.public();
        if scene.random.permille(250) {
            let change = Change::Revoke;
            let count = scene.ledger.changing(place, public, change);
            let request = Request::Change { seat: number, key: public, change, number: count };
            let command = Command::Revoke { handle: Handle::new(handle), key: public };
            session.send(request, command, b"");
            continue;
        }
        let terms = terms(role, is_room, scene);
        let mailbox = scene.town.mailbox(place).id;
        let change = Change::Allow(terms);
        let count = scene.ledger.changing(place, public, change);
        let request = Request::Change { seat: number, key: public, change, number: count };
        let possession = prove_possession(&key, &mailbox);
        let allow = Allow { handle: Handle::new(handle), key: public, possession, terms };
        session.send(request, Command::Allow(allow), b"card");
        if role == Role::Writer || is_room {
            scene.town.seats[other].status = Status::Active;
        } else if scene.town.seats[other].status == Status::Out {
            let reader = scene.town.seats[other].reader();
            let request = Request::AddReader { device: other, sent: scene.now };
            session.send(request, Command::AddReader { handle: Handle::new(handle), reader }, b"");
        }
    }
}

fn terms(role: Role, is_room: bool, scene: &mut Scene<'_>) -> Terms {
    let random = &mut *scene.random;
    let is_writer = role == Role::Writer;
    let rights = Rights {
        read: !is_writer,
        write: is_writer && !random.permille(150),
        take: is_writer,
        manage: false,
    };
    let life = random.weighted(&[(6, None), (1, Some(3)), (2, Some(60))]);
    let rate = Rate { count: 2, per: Seconds::new(600) };
    Terms {
        rights,
        expires_at: life.map(|life| UnixTime::new(scene.now.time + life)),
        // Few writes would not make a room's tail too long.
        uses: random.weighted(&[(4, None), (1, Some(2)), (2, Some(8))]).filter(|_| !is_room),
        rate: random.permille(200).then_some(rate),
    }
}

/// An owner fills up packages; others take them.
fn prekeys(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some(open) = desk_of(session, number, scene.town) else { return };
    let handle = Handle::new(open);
    let slot = Slot::new(1);
    let place = scene.town.seats[number].place;
    if scene.town.mailbox(place).class == MailboxClass::Room {
        return;
    }
    match scene.town.seats[number].role {
        Role::Owner => {
            let last_resort = scene.random.permille(150);
            let count = if last_resort { 1 } else { scene.random.within(1, 2) };
            let packages: Vec<_> =
                (0..count).map(|_| Bytes::from(scene.random.bytes::<20>().to_vec())).collect();
            scene.ledger.putting(place, &packages, last_resort);
            let sizes = vec![20; packages.len()];
            let put = PutPrekeys { handle, slot, sizes, last_resort };
            session.send(Request::Quiet, Command::PutPrekeys(put), &packages.concat());
        }
        Role::Writer => {
            let now = scene.now;
            let seat = &mut scene.town.seats[number];
            // Some ask several things at once, some one thing until it is answered.
            let late = |sent: super::ledger::Moment| sent.time + 100 < now.time;
            if seat.take.is_none_or(|(_, sent)| late(sent)) || scene.random.permille(300) {
                seat.take = Some((RequestId::new(scene.random.bytes()), now));
            }
            let Some((request, sent)) = seat.take else { return };
            let command = Command::TakePrekeys { handle, slot, request };
            session.send(Request::Take { seat: number, request, sent }, command, b"");
        }
        Role::Member | Role::Device => {}
    }
}

/// A removed member has the newest key from somebody and tries to read on.
fn trespass(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let seat = &scene.town.seats[number];
    if seat.status != Status::Struck {
        return;
    }
    let key = Rc::clone(&scene.town.mailbox(seat.place).key);
    let public = key.public();
    let secret = seat.secret;
    let found = session.desks.iter().find(|(_, desk)| desk.seat == number && desk.key == public);
    match found.map(|(handle, desk)| (*handle, desk.is_asking, desk.reading.is_some())) {
        None => session.open(number, &key, scene),
        Some((handle, false, false)) => {
            assert_eq!(hash(secret), scene.town.seats[number].reader());
            session.subscribe(handle, Credit { envelopes: 9, bytes: 9_000 }, scene);
        }
        Some(_) => {}
    }
}

/// An owner deletes the mailbox.
fn delete(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    if scene.town.seats[number].role != Role::Owner || !scene.random.permille(50) {
        return;
    }
    let Some(handle) = desk_of(session, number, scene.town) else { return };
    scene.ledger.deleting(scene.town.seats[number].place);
    session.send(Request::Quiet, Command::Delete(Handle::new(handle)), b"");
}
