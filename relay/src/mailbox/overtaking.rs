//! Who registers, appends or reads while what it depends on is still queued, or just stored: the
//! writer moves by hand here, as in `pipelined.rs`.

use bytes::Bytes;
use restante_crypto::{OpenChallenge, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, MailboxId, Nonce, RequestId, Seconds, Seq, Slot};
use restante_spec::limits::TAKE_REPEAT;
use restante_spec::message::{Commit, MailboxClass, NextKey};

use super::api::{Access, Answer, Ask, Call, Chain, Mailboxes, Span};
use super::pipelined::{Line, MAILBOX, NOW, OTHER, READER, RELAY, Said, WRITE, code, key};
use super::service::lock;
use super::{Service, Settings};
use crate::buffer::{Act, Buffer};

/// An inbox with a writer, and a message in it: its number.
fn inbox() -> (Line, Seq) {
    let mut line = Line::new(MailboxClass::Inbox, 100);
    let allowed = line.allow(2, WRITE);
    let message = line.append(2, 0, |_| ());
    line.writer.step();
    assert_eq!(code(&allowed), None);
    (line, appended(&message))
}

fn appended(said: &Said) -> Seq {
    match said.recv().unwrap() {
        Ok(Answer::Appended(appended)) => appended.seq,
        other => panic!("{other:?}"),
    }
}

/// The ids of what can be read with the mailbox's first key.
fn read(line: &Line) -> Result<Vec<EnvelopeId>, Code> {
    let span = Span { after: Seq::START, upto: Seq::new(u64::MAX), max: 9, max_bytes: 999 };
    let page = line.service.page(Access { mailbox: MAILBOX, key: key(1).public() }, span, NOW);
    let page = page.map_err(|refusal| refusal.code)?.page;
    Ok(page.envelopes.iter().map(|envelope| envelope.id).collect())
}

/// MBX-10. Once a reader that was registered again while its first registration was queued stood
/// behind what had come in between, as soon as its mailbox was read anew.
#[test]
fn a_second_registration_moves_nothing() {
    let (mut line, _) = inbox();
    let add = |line: &Line| line.ask(1, Ask::AddReader { reader: OTHER });
    let (first, message, second) = (add(&line), line.append(2, 1, |_| ()), add(&line));
    line.writer.step();
    assert_eq!((code(&first), code(&second)), (None, None));
    let settings = Settings::default();
    line.service = Service::new(line.buffer.clone(), std::sync::Arc::default(), RELAY, settings);
    let ack = line.ask(1, Ask::Ack { reader: READER, upto: appended(&message) });
    line.writer.step();
    assert_eq!(code(&ack), None);
    assert_eq!(read(&line), Ok(vec![EnvelopeId::new([1; 16])]));
}

/// MBX-10. Once what came behind a registration was let go by whoever acknowledged it before the
/// registration was known: a batch can be read before all in it is answered.
#[test]
fn a_reader_that_is_being_registered_holds_back() {
    let (mut line, before) = inbox();
    let added = line.ask(1, Ask::AddReader { reader: OTHER });
    let message = line.append(2, 1, |_| ());
    let ack = line.ask(1, Ask::Ack { reader: READER, upto: Seq::new(before.get() + 2) });
    for _ in 0..3 {
        line.writer.step();
    }
    assert_eq!((code(&added), code(&ack)), (None, None));
    assert_eq!(appended(&message).get(), before.get() + 2, "it was acknowledged");
    assert_eq!(read(&line), Ok(vec![EnvelopeId::new([1; 16])]));
}

/// MBX-8. Once a reader could be sent a commit, and open the next key, before the mailbox knew of
/// it: `not_found`, by which a device takes itself for removed.
#[test]
fn a_commit_is_read_once_its_key_is_known() {
    let mut line = Line::new(MailboxClass::Conversation, 100);
    let Ok(Answer::Opened(opened, _)) = line.open(1) else { panic!("opened") };
    let possession = prove_possession(&key(2), &MAILBOX);
    let commit = line.append(1, 1, |ask| {
        let next = Some(NextKey { key: key(2).public(), possession });
        let (add_readers, strike_readers, blobs) = (Vec::new(), Vec::new(), Vec::new());
        ask.epoch = opened.epoch;
        ask.commit = Some(Commit { next, add_readers, strike_readers, blobs });
    });
    line.writer.step();
    appended(&commit);
    let id = EnvelopeId::new([1; 16]);
    assert_eq!(read(&line), Ok(vec![id]));
    // As it is between the moment the batch can be read and this answer.
    let cell = line.service.find(MAILBOX).unwrap().unwrap();
    lock(&cell).in_flight.insert(id, Vec::new());
    assert_eq!(read(&line), Err(Code::Unavailable));
}

/// MBX-12. Once a use was given back that had not been taken, or was another key's of the same
/// name: one envelope more than the owner had allowed.
#[test]
fn a_use_is_given_back_to_the_key_that_took_it() {
    for (bound, is_struck) in [(None, false), (Some(1), true)] {
        let mut line = Line::new(MailboxClass::Inbox, 100);
        let mut said = vec![line.allow_uses(2, WRITE, bound)];
        let chain = Chain::new();
        let of_nobody = line.append(9, 1, |ask| ask.link = chain.link());
        let aborted = line.append(2, 2, |ask| ask.link = chain.link());
        if is_struck {
            said.push(line.ask(1, Ask::Revoke { key: key(2).public() }));
        }
        said.extend([line.allow_uses(2, WRITE, Some(1)), line.append(2, 3, |_| ())]);
        line.writer.step();
        line.writer.step();
        assert!(said.iter().all(|said| code(said).is_none()));
        let refused = (code(&of_nobody), code(&aborted));
        assert_eq!(refused, (Some(Code::Revoked), Some(Code::Aborted)));
        assert_eq!(code(&line.append(2, 4, |_| ())), Some(Code::Expired), "its one use is taken");
    }
}

/// MBX-15. Once a stranger could tell by `not_found` and `unavailable` which mailboxes there are,
/// while the store was being opened anew.
#[test]
fn a_store_that_fails_tells_strangers_nothing() {
    let (mut line, _) = inbox();
    let open = |line: &Line, mailbox| {
        let (nonce, relay) = (Nonce::new([2; 32]), RELAY);
        let proof = OpenChallenge { relay, nonce, mailbox }.prove(&key(9));
        code(&line.call(Call::Open { mailbox, key: key(9).public(), nonce, proof }))
    };
    let unknown = MailboxId::new([9; 16]);
    let codes = |line: &Line| [MAILBOX, unknown].map(|mailbox| open(line, mailbox));
    assert_eq!(codes(&line), [Some(Code::NotFound); 2]);
    // An act finds that the disk has failed, and what is in memory does not know of it.
    line.disk.fails_at(0);
    let act = Act::Write { rows: Vec::new(), trim: None };
    assert!(line.buffer.submit(MAILBOX, act, Box::new(|_| ())).is_ok());
    line.writer.step();
    assert_eq!(codes(&line), [Some(Code::Unavailable); 2]);
}

/// CMD-14. Once an answer that was asked for again at the end of its time was forgotten at once,
/// by the next request of another.
#[test]
fn an_answer_that_is_renewed_is_remembered() {
    let (mut line, _) = inbox();
    let packages = [b"1", b"2", b"3"].map(|package| Bytes::from_static(package)).to_vec();
    let put = line.ask(1, Ask::PutPrekeys { slot: Slot::new(1), packages, last_resort: false });
    line.writer.step();
    assert_eq!(code(&put), None);
    let take = |line: &Line, request: u8, now| {
        let request = RequestId::new([request; 16]);
        let access = Access { mailbox: MAILBOX, key: key(2).public() };
        line.call_at(Call::With(access, Ask::TakePrekeys { slot: Slot::new(1), request }), now)
    };
    let given = |said: Said| match said.recv().unwrap() {
        Ok(Answer::Prekey { package, .. }) => package,
        other => panic!("{other:?}"),
    };
    let first = take(&line, 1, NOW);
    line.writer.step();
    given(first);
    let later = NOW.after(TAKE_REPEAT);
    let (renewed, other) = (take(&line, 1, later), take(&line, 2, later));
    line.writer.step();
    let renewed = given(renewed);
    given(other);
    let again = take(&line, 1, later.after(Seconds::new(1)));
    line.writer.step();
    assert_eq!(given(again), renewed);
}
