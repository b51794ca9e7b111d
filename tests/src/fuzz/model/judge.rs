//! Which answers there may be to a request, and what follows from the one there is (chapters 03
//! and 04).

mod append;
mod manage;

use restante_crypto::{OpenChallenge, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{Handle, MailboxId, Seconds, Seq, Signature};
use restante_spec::limits;
use restante_spec::message::{
    Command, Create, Credit, MailboxClass, Open, Opened, Reply, Rights, Subscribe,
};

use super::ops::{Act, After};
use super::reading::Reading;
use super::state::{Bucket, Current, Mailbox, Reader, Terms};
use super::world::{Answer, Desk, World, key, mailbox, reader, secret};

/// Refusals that hold: one of them, or of those that may hold, must be the answer.
#[derive(Debug, Default)]
struct Verdict {
    must: Vec<Code>,
    may: Vec<Code>,
}

/// What a key is to a mailbox at this moment.
enum Standing<'m> {
    Terms(&'m mut Terms),
    Current,
    Replaced,
    Nothing,
}

impl Verdict {
    fn must(&mut self, holds: bool, code: Code) {
        if holds {
            self.must.push(code);
        }
    }

    fn may(&mut self, holds: bool, code: Code) {
        if holds {
            self.may.push(code);
        }
    }

    /// Judges an answer; whether it was done.
    fn judge<T>(&self, answer: &Result<T, Code>, what: &str) -> bool {
        match answer {
            Ok(_) => assert!(self.must.is_empty(), "{what}: done, but {self:?}"),
            Err(code) => {
                let is_known = self.must.contains(code) || self.may.contains(code);
                assert!(is_known, "{what}: {code:?}, but {self:?}");
            }
        }
        answer.is_ok()
    }
}

impl Mailbox {
    fn standing(&mut self, key: u8) -> Standing<'_> {
        if self.epoch.is_some_and(|epoch| epoch.key == key) {
            return Standing::Current;
        }
        if self.replaced.contains_key(&key) {
            return Standing::Replaced;
        }
        self.keys.get_mut(&key).map_or(Standing::Nothing, Standing::Terms)
    }

    /// Refusals that come of the key's right (MBX-12).
    fn right(&mut self, key: u8, needs: fn(Rights) -> bool, now: u64) -> Verdict {
        let class = self.class;
        let mut verdict = Verdict::default();
        let rights = match self.standing(key) {
            Standing::Terms(terms) => {
                verdict.must(terms.until.is_some_and(|until| until < now), Code::Expired);
                terms.rights
            }
            Standing::Current => Rights { read: true, write: true, ..Rights::default() },
            Standing::Replaced => Rights { read: true, ..Rights::default() },
            Standing::Nothing if class == MailboxClass::Conversation => {
                // The key was replaced and is forgotten: what is said then is open.
                verdict.must = vec![Code::NotFound, Code::Revoked, Code::Gone, Code::StaleEpoch];
                verdict.must.push(Code::Denied);
                return verdict;
            }
            Standing::Nothing => {
                verdict.must.push(Code::Revoked);
                return verdict;
            }
        };
        verdict.must(!needs(rights), Code::Denied);
        verdict
    }
}

impl World {
    /// A request and its answer.
    pub fn request(&mut self, line: usize, act: Act) {
        match act {
            Act::Create { .. } => self.create(line, act),
            Act::Open { desk, place, key, anew, forged } => {
                if anew && self.lines[line].desks.contains_key(&desk) {
                    self.close(line, desk);
                }
                let key = key.unwrap_or_else(|| self.fitting_key(line, place));
                self.open(line, desk, (place, key), forged);
            }
            Act::Close { desk } => self.close(line, desk),
            Act::Allow { .. } => self.allow(line, act),
            Act::Revoke { desk, key } => self.revoke(line, desk, key),
            Act::AddReader { desk, reader } => self.add_reader(line, desk, reader),
            Act::Append { .. } | Act::Commit { .. } => self.append(line, act),
            Act::Subscribe { .. } => self.subscribe(line, act),
            Act::Credit { desk, envelopes, bytes } => {
                self.credit(line, desk, Credit { envelopes, bytes });
            }
            Act::Ack { desk, upto } => self.ack(line, desk, upto),
            Act::Put { .. } => self.put(line, act),
            Act::Take { desk, slot, request } => self.take(line, desk, slot, request),
            Act::Count { desk } => self.count(line, desk),
            Act::Delete { desk } => self.delete(line, desk),
            Act::Ping => self.ping(line),
            Act::Cut | Act::Wait { .. } | Act::Forget | Act::Crash { .. } => {}
        }
    }

    /// Mailbox and key of a handle, if they are there.
    fn at(&mut self, line: usize, desk: u8) -> Option<(u8, u8, &mut Mailbox)> {
        let desk = self.lines[line].desks.get(&desk)?;
        let (place, key, birth) = (desk.place, desk.key, desk.birth);
        let found = self.places.get_mut(&place).filter(|mailbox| mailbox.birth == birth)?;
        Some((place, key, found))
    }

    /// Refusals that come of the handle and of its key's right.
    fn right(&mut self, line: usize, desk: u8, needs: fn(Rights) -> bool) -> Verdict {
        let now = self.now;
        match self.at(line, desk) {
            Some((_, key, mailbox)) => mailbox.right(key, needs, now),
            None => Verdict { must: vec![Code::NotFound], may: Vec::new() },
        }
    }

    /// CMD-5, MBX-14.
    fn create(&mut self, line: usize, act: Act) {
        let Act::Create { place, class, key: first, reader: number, ttl, forged } = act else {
            return;
        };
        let command = Command::Create(Create {
            mailbox: mailbox(place),
            class,
            key: key(first).public(),
            possession: possession(first, place, forged),
            reader: reader(number),
            token: None,
            ttl: (ttl > 0).then_some(Seconds::new(ttl)),
            memory_first: false,
        });
        let answer = self.ask(line, command, &[]);
        let mut verdict = Verdict::default();
        verdict.must(forged, Code::Denied);
        let before = self.places.get(&place);
        let differs = |before: &Mailbox| (before.class, before.first) != (class, first);
        verdict.must(before.is_some_and(differs), Code::Conflict);
        if !verdict.judge(&answer, "create") {
            return;
        }
        let Ok((Reply::Created(created), _)) = answer else { panic!("{answer:?} to create") };
        if let Some(before) = before {
            let first = (before.first_epoch, before.ttl);
            let again = (created.epoch, u64::from(created.ttl.get()));
            assert_eq!(again, first, "MBX-14: another answer");
            return;
        }
        let wished = if ttl == 0 { limits::TTL_DEFAULT.get() } else { ttl };
        let ttl = wished.min(limits::TTL_MAX.get());
        assert_eq!(created.ttl.get(), ttl, "MBX-11");
        let is_conversation = class == MailboxClass::Conversation;
        assert_eq!(created.epoch.is_some(), is_conversation, "MBX-7");
        self.forget_handles(place);
        self.births += 1;
        let mut made = self.mailbox_of(class, first, u64::from(ttl));
        made.first_epoch = created.epoch;
        made.epoch = created.epoch.map(|name| Current { name, key: first, from: 0 });
        if class != MailboxClass::Room {
            made.readers.insert(number, Reader { cursor: 0, seen: self.now });
        }
        self.places.insert(place, made);
    }

    fn mailbox_of(&self, class: MailboxClass, first: u8, ttl: u64) -> Mailbox {
        let now = self.now;
        let rights = Rights { read: true, manage: true, ..Rights::default() };
        let terms =
            Terms { rights, until: None, uses: None, used: 0, rate: None, card: Vec::new() };
        let has_keys = class != MailboxClass::Conversation;
        Mailbox {
            birth: self.births,
            class,
            ttl,
            first,
            first_epoch: None,
            epoch: None,
            keys: has_keys.then_some((first, terms)).into_iter().collect(),
            replaced: Default::default(),
            readers: Default::default(),
            log: Vec::new(),
            commits: Bucket::new(limits::COMMIT_BURST, limits::COMMIT_BURST, now),
            live: Bucket::new(
                limits::LIVE_BURST,
                limits::LIVE_BURST / limits::LIVE_PER_SECOND,
                now,
            ),
            slots: Default::default(),
            takes: Default::default(),
        }
    }

    /// Handles of a mailbox that was under this name before are given back: what they are now, the
    /// specification does not say.
    fn forget_handles(&mut self, place: u8) {
        for line in 0..self.lines.len() {
            self.lines[line].chains.remove(&place);
            let desks = self.lines[line].desks.iter();
            let old: Vec<u8> = desks.filter(|(_, it)| it.place == place).map(|it| *it.0).collect();
            old.into_iter().for_each(|desk| self.close(line, desk));
        }
    }

    /// CMD-6, MBX-15.
    fn open(&mut self, line: usize, number: u8, (place, opener): (u8, u8), forged: bool) {
        let signer = if forged { key(opener + 1) } else { key(opener) };
        let nonce = self.lines[line].nonce;
        let challenge = OpenChallenge { relay: self.identity(), nonce, mailbox: mailbox(place) };
        let command = Command::Open(Open {
            handle: handle(number),
            mailbox: mailbox(place),
            key: key(opener).public(),
            proof: challenge.prove(&signer),
        });
        let answer = self.ask(line, command, &[]);
        let mut verdict = Verdict::default();
        verdict.must(self.lines[line].desks.contains_key(&number), Code::Conflict);
        let mut found = self.places.get_mut(&place);
        let standing = found.as_mut().map(|mailbox| mailbox.standing(opener));
        let is_unknown = matches!(standing, None | Some(Standing::Nothing));
        verdict.must(is_unknown || forged, Code::NotFound);
        if !verdict.judge(&answer, "open") {
            return;
        }
        let Ok((Reply::Opened(opened), card)) = answer else { panic!("{answer:?} to open") };
        let found = found.expect("found");
        check_opened(found, opener, &opened, &card);
        let desk = Desk { place, key: opener, birth: found.birth, reading: None };
        self.lines[line].desks.insert(number, desk);
    }

    /// CMD-7.
    fn close(&mut self, line: usize, desk: u8) {
        let answer = self.ask(line, Command::Close(handle(desk)), &[]);
        let mut verdict = Verdict::default();
        let is_open = self.lines[line].desks.contains_key(&desk);
        verdict.must(!is_open, Code::NotFound);
        verdict.judge(&answer, "close");
        self.read_all();
        self.lines[line].desks.remove(&desk);
    }

    /// CMD-12.
    fn subscribe(&mut self, line: usize, act: Act) {
        let Act::Subscribe { desk, reader: number, after, envelopes, bytes } = act else { return };
        let after = self.position(line, desk, after);
        let number = number.unwrap_or_else(|| self.fitting_reader(line, desk));
        let command = Command::Subscribe(Subscribe {
            handle: handle(desk),
            reader: secret(number),
            after: Seq::new(after),
            credit: Credit { envelopes, bytes },
        });
        let answer = self.ask(line, command, &[]);
        let mut verdict = self.right(line, desk, |rights| rights.read);
        let now = self.now;
        let mut reading = Reading {
            reader: number,
            key: 0,
            upto: None,
            position: after,
            delivered: after,
            envelopes: 0,
            bytes: 0,
            caught_up: false,
            closing: None,
            live: Vec::new(),
        };
        reading.grant(envelopes, bytes);
        if let Some((_, key, mailbox)) = self.at(line, desk) {
            reading.key = key;
            verdict.must(after > mailbox.newest(), Code::AckAhead);
            let is_known = mailbox.readers.contains_key(&number);
            let is_room = mailbox.class == MailboxClass::Room;
            if let Some(old) = mailbox.replaced.get(&key) {
                reading.upto = Some(old.upto);
                reading.position = after.max(old.from);
                // MBX-9
                let end = mailbox.log.iter().find(|entry| entry.seq == old.upto);
                let is_kept = end.is_some_and(|entry| entry.is_kept(now));
                verdict.may(after < old.upto && !is_kept, Code::Gone);
            } else {
                verdict.must(!is_room && !is_known, Code::Gone);
            }
            if let Some(epoch) = mailbox.epoch.filter(|epoch| epoch.key == key) {
                reading.position = after.max(epoch.from);
            }
            reading.delivered = reading.position;
        }
        if !verdict.judge(&answer, "subscribe") {
            return;
        }
        let (_, _, mailbox) = self.at(line, desk).expect("judged");
        if let Some(reader) = mailbox.readers.get_mut(&number) {
            (reader.cursor, reader.seen) = (reader.cursor.max(after), now);
        }
        let desk = self.lines[line].desks.get_mut(&desk).expect("judged");
        desk.reading = Some(reading);
    }

    /// CMD-17.
    fn credit(&mut self, line: usize, desk: u8, credit: Credit) {
        let number = self.send(line, Command::Credit { handle: handle(desk), credit }, &[]);
        self.pump();
        let answer = self.answer(line, number);
        let desk = self.lines[line].desks.get_mut(&desk);
        match desk.and_then(|desk| desk.reading.as_mut()) {
            Some(reading) => {
                assert!(answer.is_none(), "CMD-17: {answer:?} to credit");
                reading.grant(credit.envelopes, credit.bytes);
            }
            None => {
                let code = answer.and_then(Result::err);
                assert_eq!(code, Some(Code::NotFound), "CMD-17: credit without a subscription");
            }
        }
    }

    /// DLV-3.
    fn ack(&mut self, line: usize, desk: u8, upto: After) {
        let upto = self.position(line, desk, upto);
        let command = Command::Ack { handle: handle(desk), upto: Seq::new(upto) };
        let number = self.send(line, command, &[]);
        self.pump();
        let answer = self.answer(line, number).map_or(Ok(()), |answer| answer.map(|_| ()));
        let now = self.now;
        let (mut verdict, mut acked) = (Verdict::default(), None);
        let reading = self.lines[line].desks.get(&desk).and_then(|desk| desk.reading.as_ref());
        match reading {
            None => verdict.must.push(Code::NotFound),
            Some(reading) => {
                verdict.must(upto > reading.delivered, Code::AckAhead);
                acked = Some(reading.reader);
            }
        }
        if let Some((_, key, mailbox)) = self.at(line, desk) {
            let right = mailbox.right(key, |rights| rights.read, now);
            verdict.may.extend(right.must);
        }
        if !verdict.judge(&answer, "ack") {
            return;
        }
        let Some((_, _, mailbox)) = self.at(line, desk) else { return };
        if let Some(reader) = acked.and_then(|acked| mailbox.readers.get_mut(&acked)) {
            (reader.cursor, reader.seen) = (reader.cursor.max(upto), now);
        }
    }

    /// TRN-8, MBX-10.
    fn ping(&mut self, line: usize) {
        let answer = self.ask(line, Command::Ping, &[]);
        assert!(matches!(answer, Ok((Reply::Done, _))), "CMD-2: {answer:?} to ping");
        let desks = self.lines[line].desks.values();
        let online = desks.filter_map(|desk| Some((desk.place, desk.reading.as_ref()?.reader)));
        for (place, reader) in online {
            let mailbox = self.places.get_mut(&place);
            if let Some(reader) = mailbox.and_then(|mailbox| mailbox.readers.get_mut(&reader)) {
                reader.seen = self.now;
            }
        }
    }

    /// A key that somebody on this line would have.
    fn fitting_key(&self, line: usize, place: u8) -> u8 {
        let Some(mailbox) = self.places.get(&place) else { return 0 };
        let epoch = mailbox.epoch.map(|epoch| epoch.key);
        let replaced = mailbox.replaced.keys().next().copied();
        let allowed = mailbox.keys.keys().cycle().nth(line).copied();
        epoch.or(allowed).or(replaced).unwrap_or(0)
    }

    /// A reader that is registered, if any.
    fn fitting_reader(&self, line: usize, desk: u8) -> u8 {
        let desk = self.lines[line].desks.get(&desk);
        let mailbox = desk.and_then(|desk| self.places.get(&desk.place));
        let readers = mailbox.and_then(|it| it.readers.keys().cycle().nth(line).copied());
        readers.unwrap_or(0)
    }

    fn position(&self, line: usize, desk: u8, after: After) -> u64 {
        let desk = self.lines[line].desks.get(&desk);
        let log = desk.and_then(|desk| Some(&self.places.get(&desk.place)?.log));
        match after {
            After::Start => 0,
            After::Ahead => u64::MAX / 2,
            After::Delivered => {
                let reading = desk.and_then(|desk| desk.reading.as_ref());
                reading.map_or(0, |reading| reading.delivered)
            }
            After::Back(back) => {
                log.and_then(|log| log.iter().rev().nth(usize::from(back))).map_or(0, |it| it.seq)
            }
        }
    }
}

/// What `opened` says (CMD-6).
fn check_opened(mailbox: &Mailbox, key: u8, opened: &Opened, card: &[u8]) {
    let said = (opened.class, u64::from(opened.ttl.get()));
    assert_eq!(said, (mailbox.class, mailbox.ttl), "CMD-6");
    let both = Rights { read: true, write: true, ..Rights::default() };
    let one = Rights { read: true, ..Rights::default() };
    let (rights, epoch, upto, until, kept): (_, _, _, _, &[u8]) =
        match (mailbox.keys.get(&key), mailbox.replaced.get(&key), mailbox.epoch) {
            (Some(terms), ..) => (terms.rights, None, None, terms.until, &terms.card),
            (_, Some(old), _) => (one, Some(old.name), Some(old.upto), None, &[]),
            (.., Some(epoch)) => (both, Some(epoch.name), None, None, &[]),
            _ => panic!("MBX-15: a key that is nothing"),
        };
    let said = (opened.rights, opened.epoch, opened.upto.map(Seq::get));
    assert_eq!(said, (rights, epoch, upto), "CMD-6");
    assert_eq!((opened.expires_at.map(|at| at.get()), card), (until, kept), "CMD-6");
}

const fn handle(desk: u8) -> Handle {
    Handle::new(desk as u32)
}

/// CMD-3.
fn possession(number: u8, place: u8, forged: bool) -> Signature {
    let of: MailboxId = if forged { mailbox(place + 100) } else { mailbox(place) };
    prove_possession(&key(number), &of)
}

/// Whether an answer is `done`.
fn is_done(answer: &Answer) -> bool {
    matches!(answer, Ok((Reply::Done, _)))
}
