//! What is asked while something before it is still queued: the writer moves by hand here.
//!
//! Each of these was a fault that the simulation has found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use restante_crypto::{OpenChallenge, SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{
    EnvelopeId, MailboxId, Nonce, PublicKey, ReaderHash, RequestId, Seconds, Seq, Slot, UnixTime,
};
use restante_spec::message::{
    Appended, Commit, Create, EnvelopeClass, MailboxClass, NextKey, Refusal, Rights, Terms,
};

use super::api::{
    Access, Answer, AppendAsk, Ask, Call, Chain, Mailboxes, Notice, Notices, Origin, Span,
    epoch_name,
};
use super::rows::{self, ReaderRow};
use super::{Service, Settings};
use crate::buffer::disk::Disk;
use crate::buffer::redb::{RedbBuffer, Writer};
use crate::buffer::{Buffer, Quota};
use crate::limits::SEEN_GRACE;

pub(super) type Said = Receiver<Result<Answer, Refusal>>;

pub(super) const NOW: UnixTime = UnixTime::new(1_700_000_000);
pub(super) const MAILBOX: MailboxId = MailboxId::new([1; 16]);
pub(super) const READER: ReaderHash = ReaderHash::new([7; 32]);
pub(super) const OTHER: ReaderHash = ReaderHash::new([8; 32]);
pub(super) const RELAY: PublicKey = PublicKey::new([9; 32]);

/// How often those who are online were told to look, all or those with a key, and of an envelope.
#[derive(Default)]
pub(super) struct Told {
    unknown: AtomicU32,
    changed: AtomicU32,
    pub(super) appended: AtomicU32,
}

impl Notices for Told {
    fn notice(&self, _: MailboxId, notice: Notice) {
        let Self { unknown, changed, appended } = self;
        unknown.fetch_add(u32::from(matches!(notice, Notice::Unknown)), Ordering::SeqCst);
        changed.fetch_add(u32::from(matches!(notice, Notice::Changed { .. })), Ordering::SeqCst);
        let is_one = matches!(notice, Notice::Appended { .. });
        appended.fetch_add(u32::from(is_one), Ordering::SeqCst);
    }
}

pub(super) struct Line {
    pub(super) service: Arc<Service<RedbBuffer, Told>>,
    pub(super) buffer: Arc<RedbBuffer>,
    pub(super) writer: Writer,
    pub(super) disk: Disk,
}

pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

impl Line {
    /// A relay with a mailbox under key 1.
    pub(super) fn new(class: MailboxClass, queue_acts: usize) -> Self {
        let settings = crate::buffer::Settings { queue_acts, ..Default::default() };
        let mut line = Self::on(Disk::default(), settings);
        let created = line.create(class, false);
        line.writer.step();
        assert_eq!(code(&created), None);
        line
    }

    pub(super) fn on(disk: Disk, settings: crate::buffer::Settings) -> Self {
        let (buffer, writer) = RedbBuffer::open_on(&disk, settings, NOW).unwrap();
        let service = Service::new(Arc::clone(&buffer), Arc::default(), RELAY, Settings::default());
        Self { service, buffer, writer, disk }
    }

    pub(super) fn create(&self, class: MailboxClass, memory_first: bool) -> Said {
        let possession = prove_possession(&key(1), &MAILBOX);
        let key = key(1).public();
        let (mailbox, reader, token, ttl) = (MAILBOX, READER, None, None);
        let create = Create { mailbox, class, key, possession, reader, token, ttl, memory_first };
        self.call(Call::Create(create))
    }

    pub(super) fn call(&self, call: Call) -> Said {
        self.call_at(call, NOW)
    }

    pub(super) fn call_at(&self, call: Call, now: UnixTime) -> Said {
        let (sender, said) = sync_channel(1);
        // Who asked may have gone.
        let respond = Box::new(move |answer| drop(sender.send(answer)));
        self.service.call(call, now, respond);
        said
    }

    pub(super) fn ask(&self, by: u8, ask: Ask) -> Said {
        let access = Access { mailbox: MAILBOX, key: key(by).public() };
        self.call(Call::With(access, ask))
    }

    pub(super) fn allow(&self, number: u8, rights: Rights) -> Said {
        self.allow_uses(number, rights, None)
    }

    pub(super) fn allow_uses(&self, number: u8, rights: Rights, uses: Option<u32>) -> Said {
        let terms = Terms { rights, expires_at: None, uses, rate: None };
        let possession = prove_possession(&key(number), &MAILBOX);
        let key = key(number).public();
        self.ask(1, Ask::Allow { key, possession, terms, card: Bytes::new() })
    }

    pub(super) fn append(&self, by: u8, id: u8, ask: impl FnOnce(&mut AppendAsk)) -> Said {
        let mut append = AppendAsk {
            id: EnvelopeId::new([id; 16]),
            class: EnvelopeClass::Normal,
            ttl: None,
            epoch: None,
            commit: None,
            body: Bytes::from_static(b"sealed"),
            link: Chain::new().link(),
            origin: Origin(1),
        };
        ask(&mut append);
        self.ask(by, Ask::Append(append))
    }

    fn put(&self, package: &'static [u8]) -> Said {
        let packages = vec![Bytes::from_static(package)];
        self.ask(1, Ask::PutPrekeys { slot: Slot::new(1), packages, last_resort: false })
    }

    fn take(&self, by: u8, request: u8) -> Said {
        let request = RequestId::new([request; 16]);
        self.ask(by, Ask::TakePrekeys { slot: Slot::new(1), request })
    }

    pub(super) fn open(&self, by: u8) -> Result<Answer, Refusal> {
        let nonce = Nonce::new([2; 32]);
        let challenge = OpenChallenge { relay: RELAY, nonce, mailbox: MAILBOX };
        let (proof, key) = (challenge.prove(&key(by)), key(by).public());
        self.call(Call::Open { mailbox: MAILBOX, key, nonce, proof }).recv().unwrap()
    }
}

pub(super) fn code(said: &Said) -> Option<Code> {
    said.recv().unwrap().err().map(|refusal| refusal.code)
}

pub(super) const WRITE: Rights = Rights { read: false, write: true, take: true, manage: false };

/// MBX-12. Once `revoke` found no key yet whose `allow` was still queued, which then came into
/// memory behind it and stayed.
#[test]
fn a_revocation_holds_for_a_key_that_is_just_being_allowed() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let allowed = line.allow(2, WRITE);
    let revoked = line.ask(1, Ask::Revoke { key: key(2).public() });
    line.writer.step();
    assert_eq!((code(&allowed), code(&revoked)), (None, None));
    assert_eq!(code(&line.append(2, 1, |_| ())), Some(Code::Revoked));
    assert_eq!(line.open(2).unwrap_err().code, Code::NotFound);
}

/// MBX-5. Once a repetition that met its first while that was queued got the answer without
/// `already`.
#[test]
fn a_repetition_under_way_is_answered_as_one() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let allowed = line.allow(2, WRITE);
    line.writer.step();
    assert_eq!(code(&allowed), None);
    let (first, again) = (line.append(2, 1, |_| ()), line.append(2, 1, |_| ()));
    line.writer.step();
    let appended = |said: Said| match said.recv().unwrap() {
        Ok(Answer::Appended(appended)) => appended,
        other => panic!("{other:?}"),
    };
    let (first, again) = (appended(first), appended(again));
    assert_eq!((first.already, again.already, first.seq), (false, true, again.seq));
}

/// CMD-14. Once a package put behind the last one of a slot got the number of one that was just
/// being taken, which was then given a second time.
#[test]
fn a_package_under_way_is_not_given_again() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let before = (line.allow(2, WRITE), line.put(b"one"));
    line.writer.step();
    assert_eq!((code(&before.0), code(&before.1)), (None, None));
    let (first, put, second) = (line.take(2, 1), line.put(b"two"), line.take(2, 2));
    line.writer.step();
    assert_eq!((code(&put), code(&second)), (None, Some(Code::Unavailable)));
    let third = line.take(2, 3);
    line.writer.step();
    let given = |said: Said| match said.recv().unwrap() {
        Ok(Answer::Prekey { package, .. }) => package,
        other => panic!("{other:?}"),
    };
    assert_eq!((given(first), given(third)), (Bytes::from("one"), Bytes::from("two")));
}

/// MBX-8. Once an acknowledgement that came while the commit that strikes its reader was queued
/// wrote the reader's row anew.
#[test]
fn a_struck_reader_does_not_come_back_with_its_acknowledgement() {
    let mut line = Line::new(MailboxClass::Conversation, 100);
    let Ok(Answer::Opened(opened, _)) = line.open(1) else { panic!("opened") };
    let commit = |next: u8, add: &[ReaderHash], strike: &[ReaderHash]| {
        let possession = prove_possession(&key(next), &MAILBOX);
        Some(Commit {
            next: Some(NextKey { key: key(next).public(), possession }),
            add_readers: add.to_vec(),
            strike_readers: strike.to_vec(),
            blobs: Vec::new(),
        })
    };
    let added = line.append(1, 1, |ask| {
        (ask.epoch, ask.commit) = (opened.epoch, commit(2, &[OTHER], &[]));
    });
    line.writer.step();
    let Ok(Answer::Appended(added)) = added.recv().unwrap() else { panic!("appended") };
    let message = line.append(2, 2, |ask| ask.epoch = epoch_name(added.seq));
    line.writer.step();
    let Ok(Answer::Appended(message)) = message.recv().unwrap() else { panic!("appended") };
    let struck = line.append(2, 3, |ask| {
        (ask.epoch, ask.commit) = (epoch_name(added.seq), commit(3, &[], &[OTHER]));
    });
    let acks = [READER, OTHER].map(|reader| line.ask(2, Ask::Ack { reader, upto: message.seq }));
    line.writer.step();
    line.writer.step();
    assert_eq!((code(&struck), code(&acks[0]), code(&acks[1])), (None, None, None));
    line.service =
        Service::new(Arc::clone(&line.buffer), Arc::default(), RELAY, Settings::default());
    let subscribes = |reader| code(&line.ask(3, Ask::Subscribe { reader, after: message.seq }));
    assert_eq!((subscribes(READER), subscribes(OTHER)), (None, Some(Code::Gone)));
}

/// CMD-16: nothing that is queued before a deletion, or asked for behind it, becomes part of the
/// mailbox that is made anew. Once a cursor could, and a key.
#[test]
fn nothing_is_written_behind_a_deletion() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let allowed = line.allow_uses(2, WRITE, Some(9));
    line.writer.step();
    assert_eq!(code(&allowed), None);
    let acks = [1, 2].map(|id| {
        let said = line.append(2, id, |_| ());
        line.writer.step();
        let Ok(Answer::Appended(Appended { seq, .. })) = said.recv().unwrap() else {
            panic!("appended")
        };
        Ask::Ack { reader: READER, upto: seq }
    });
    let chain = Chain::new();
    let of_nobody = line.append(9, 3, |ask| ask.link = chain.link());
    // Its use is given back, and the second cursor waits for the first, until they are done.
    let aborted = line.append(2, 4, |ask| ask.link = chain.link());
    let acks = acks.map(|ack| line.ask(1, ack));
    let (deleted, anew) = (line.ask(1, Ask::Delete), line.create(MailboxClass::Inbox, false));
    let behind = line.allow(3, WRITE);
    line.writer.step();
    line.writer.step();
    let refused = [of_nobody, aborted, behind].map(|said| code(&said));
    assert_eq!(refused, [Code::Revoked, Code::Aborted, Code::Unavailable].map(Some));
    let [first, second] = acks;
    assert_eq!([first, second, deleted, anew].map(|said| code(&said)), [None; 4]);
    let rows = |tag| line.buffer.rows(MAILBOX, tag..=tag).unwrap();
    let [reader] = &rows(rows::READER)[..] else { panic!("one reader") };
    assert_eq!(rows::decode::<ReaderRow>(&reader.value).unwrap().cursor, None);
    assert_eq!(rows(rows::KEY).len(), 1, "the owner's");
}

/// MBX-14: what was there when it was made again, and has been deleted since, is made by the next
/// attempt.
#[test]
fn a_mailbox_that_is_deleted_while_it_is_made_again_is_asked_for_once_more() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let create = |line: &Line| line.create(MailboxClass::Inbox, false);
    let (again, deleted) = (create(&line), line.ask(1, Ask::Delete));
    line.writer.step();
    assert_eq!((code(&again), code(&deleted)), (Some(Code::Unavailable), None));
    let made = create(&line);
    line.writer.step();
    assert_eq!(code(&made), None);
}

/// Once a full queue had the mailbox read anew while acts of it were queued, whose changes then
/// went into the state that nobody looked at any more.
#[test]
fn a_full_queue_makes_no_second_state() {
    let mut line = Line::new(MailboxClass::Inbox, 2);
    let allowed = line.allow(2, WRITE);
    let put = line.put(b"one");
    assert_eq!(code(&line.put(b"two")), Some(Code::Unavailable));
    assert_eq!(code(&line.take(2, 1)), Some(Code::Unavailable), "until what is queued is done");
    line.writer.step();
    assert_eq!((code(&allowed), code(&put)), (None, None));
    let taken = line.take(2, 1);
    line.writer.step();
    assert_eq!(code(&taken), None);
}

/// MBX-4, CMD-16. Once an envelope that was stored although its commit had failed was brought to
/// nobody who was online, until another came behind it; and of such a deletion nobody heard.
#[test]
fn readers_look_when_an_outcome_is_unknown() {
    let append = |line: &Line| line.append(2, 1, |_| ());
    let delete = |line: &Line| line.ask(1, Ask::Delete);
    assert!(unknown_outcomes(append) > 0, "no commit has failed");
    assert!(unknown_outcomes(delete) > 0, "no commit has failed");
}

fn unknown_outcomes(act: impl Fn(&Line) -> Said) -> u32 {
    let mut unknown = 0;
    for calls in 0..20 {
        let mut line = Line::new(MailboxClass::Inbox, 100);
        let allowed = line.allow(2, WRITE);
        line.writer.step();
        assert_eq!(code(&allowed), None);
        line.disk.syncs_partly(u64::from(calls));
        line.disk.fails_at(calls);
        let said = act(&line);
        line.writer.step();
        let said = code(&said);
        let told = line.service.notices.unknown.load(Ordering::SeqCst);
        assert_eq!(told, u32::from(said == Some(Code::Unknown)), "{said:?}");
        unknown += told;
        // While the store is closed nobody is told that there is nothing.
        let (upto, max, max_bytes) = (Seq::new(u64::MAX), 9, 9);
        let span = Span { after: Seq::START, upto, max, max_bytes };
        let access = Access { mailbox: MAILBOX, key: key(1).public() };
        let page = line.service.page(access, span, NOW);
        assert!(said.is_none() || page.is_err(), "{said:?}: {page:?}");
    }
    unknown
}

/// DLV-10. Once a key that subscribed while its grant was queued was brought everything until it
/// left, though the grant was refused.
#[test]
fn readers_look_when_their_grant_is_refused() {
    let settings = crate::buffer::Settings { batch_acts: 1, ..Default::default() };
    let mut line = Line::on(Disk::default(), settings);
    let created = line.create(MailboxClass::Inbox, false);
    line.writer.step();
    assert_eq!(code(&created), None);
    let rights = Rights { read: true, ..Rights::default() };
    let (first, second) = (line.put(b"a package"), line.allow(2, rights));
    let subscribe = Ask::Subscribe { reader: READER, after: Seq::START };
    assert_eq!(code(&line.ask(2, subscribe)), None, "what is queued holds");
    line.disk.fails_at(0);
    // The first fails with the store, the second is refused before the store is opened again.
    line.writer.step();
    line.writer.step();
    assert_eq!((code(&first), code(&second)), (Some(Code::Unknown), Some(Code::Unavailable)));
    assert_eq!(line.service.notices.changed.load(Ordering::SeqCst), 1);
    let (upto, max, max_bytes) = (Seq::new(u64::MAX), 9, 9);
    let access = Access { mailbox: MAILBOX, key: key(2).public() };
    let page = line.service.page(access, Span { after: Seq::START, upto, max, max_bytes }, NOW);
    assert_eq!(page.unwrap_err().code, Code::Revoked);
}

/// MBX-10, CMD-10. Once a reader that had not been seen for long held nothing back when it was
/// added again: whoever added it had not heard that it was registered.
#[test]
fn a_reader_that_is_added_again_is_seen() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let access = Access { mailbox: MAILBOX, key: key(1).public() };
    let add = || Call::With(access, Ask::AddReader { reader: OTHER });
    let subscribe = Ask::Subscribe { reader: READER, after: Seq::START };
    let ttl = Settings::default().ttl_default;
    let (soon, later) = (NOW.after(ttl), NOW.after(ttl).after(SEEN_GRACE).after(Seconds::new(1)));
    let row = |line: &Line| -> ReaderRow {
        let row = line.buffer.row(MAILBOX, &rows::of_reader(&OTHER)).unwrap().unwrap();
        let ReaderRow { cursor, seen } = rows::decode(&row.value).unwrap();
        ReaderRow { cursor: cursor.or(Some(row.revision.get())), seen }
    };
    let added = line.call(add());
    line.writer.step();
    let first = row(&line);
    let seen = line.call_at(Call::With(access, subscribe), soon);
    line.writer.step();
    let again = line.call_at(add(), later);
    line.writer.step();
    assert_eq!([&added, &seen, &again].map(code), [None; 3]);
    let second = row(&line);
    assert_eq!((second.cursor, second.seen), (first.cursor, later.get()));
    assert_eq!(first.seen, NOW.get());
}

/// MBX-6. Once a repetition on another connection was answered `aborted` because its first was, in
/// whose chain something had been refused: in its own nothing was.
#[test]
fn a_repetition_is_not_aborted_in_the_chain_of_another() {
    let mut line = Line::new(MailboxClass::Conversation, 100);
    let chain = Chain::new();
    let stale = line.append(1, 1, |ask| {
        (ask.epoch, ask.link) = (epoch_name(Seq::new(u64::MAX)), chain.link());
    });
    let Ok(Answer::Opened(opened, _)) = line.open(1) else { panic!("opened") };
    let first = line.append(1, 2, |ask| (ask.epoch, ask.link) = (opened.epoch, chain.link()));
    let again = line.append(1, 2, |ask| ask.epoch = opened.epoch);
    line.writer.step();
    let codes = (code(&stale), code(&first), code(&again));
    let expected = (Code::StaleEpoch, Code::Aborted, Code::Unavailable);
    assert_eq!(codes, (Some(expected.0), Some(expected.1), Some(expected.2)));
}

/// MBX-6. Once what was sent behind a repetition was stored although that was refused: whoever is
/// connected anew sends again what is still queued, and the refusal of the first attempt breaks the
/// chain of the second as well.
#[test]
fn a_repetition_that_is_refused_breaks_its_own_chain() {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let quota = Quota { bytes: 100, reserve_bytes: 0, ..Settings::default().quota };
    let settings = Settings { quota, ..Settings::default() };
    line.service = Service::new(Arc::clone(&line.buffer), Arc::default(), RELAY, settings);
    let allowed = line.allow(2, WRITE);
    line.writer.step();
    assert_eq!(code(&allowed), None);
    let (before, now) = (Chain::new(), Chain::new());
    let large = Bytes::from(vec![7; 101]);
    let send = |line: &Line, id, chain: &Arc<Chain>, body: &Bytes| {
        line.append(2, id, |ask| (ask.link, ask.body) = (chain.link(), body.clone()))
    };
    let first = send(&line, 1, &before, &large);
    let (again, behind) = (send(&line, 1, &now, &large), send(&line, 2, &now, &large.slice(..9)));
    line.writer.step();
    let codes = (code(&first), code(&again), code(&behind));
    assert_eq!(codes, (Some(Code::Quota), Some(Code::Quota), Some(Code::Aborted)));
}

/// MBX-5. Who repeats a stored id while another does so in a broken chain has the first answer, and
/// its own chain stays whole.
#[test]
fn a_known_id_breaks_nothing_whoever_else_asks() {
    let mut line = Line::new(MailboxClass::Conversation, 100);
    let Ok(Answer::Opened(opened, _)) = line.open(1) else { panic!("opened") };
    let (broken, whole) = (Chain::new(), Chain::new());
    let send = |line: &Line, id, epoch, chain: &Arc<Chain>| {
        line.append(1, id, |ask| (ask.epoch, ask.link) = (epoch, chain.link()))
    };
    let stored = line.append(1, 1, |ask| ask.epoch = opened.epoch);
    line.writer.step();
    assert_eq!(code(&stored), None);
    let stale = send(&line, 2, epoch_name(Seq::new(u64::MAX)), &broken);
    let first = send(&line, 1, opened.epoch, &broken);
    let again = send(&line, 1, opened.epoch, &whole);
    let behind = send(&line, 3, opened.epoch, &whole);
    line.writer.step();
    assert_eq!(code(&stale), Some(Code::StaleEpoch));
    for said in [first, again] {
        let Ok(Answer::Appended(appended)) = said.recv().unwrap() else { panic!("known") };
        assert!(appended.already);
    }
    assert_eq!(code(&behind), None);
}

/// LIM-29. Once a small body that waited for the writer kept alive the 64 KiB that had been read
/// with it; one that is alone is not copied.
#[test]
fn what_waits_keeps_no_more_alive_than_itself() {
    let mut line = Line::new(MailboxClass::Inbox, 4);
    let allowed = line.allow(2, WRITE);
    line.writer.step();
    assert_eq!(code(&allowed), None);
    let is_alone = [1, 2].map(|id| {
        let read = Bytes::from(vec![7; 100]);
        let _said = line.append(2, id, |ask| ask.body = read.slice(..9));
        read.is_unique()
    });
    assert_eq!(is_alone, [false, true]);
}
