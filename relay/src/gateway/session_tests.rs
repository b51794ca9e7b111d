//! What may come when on a connection, and what is kept of it at its bounds.

use restante_spec::ids::{
    BlobOffset, BlobSize, EnvelopeId, PublicKey, RequestId, Signature, Slot, UnixTime,
};
use restante_spec::message::{BlobPart, EnvelopeClass, MailboxClass, Opened, Rights};

use super::*;

/// A connection that has said hello.
struct Line(Session, u32);

impl Line {
    fn say(&mut self, command: Command) -> (RequestNumber, Step) {
        self.1 += 1;
        (RequestNumber::new(self.1), self.0.handle_frame(frame(self.1, command)))
    }

    fn open(&mut self, mailbox: u32) {
        let mut id = [0; MailboxId::SIZE];
        id[..4].copy_from_slice(&mailbox.to_be_bytes());
        let (number, _) = self.say(Command::Open(Open {
            handle: Handle::new(1),
            mailbox: MailboxId::new(id),
            key: PublicKey::new([0; 32]),
            proof: Signature::new([0; 64]),
        }));
        assert!(!self.0.is_ready(), "what follows waits");
        self.0.handle_answer(number, Ok(opened(MailboxClass::Inbox)));
    }
}

/// What a mailbox of this class says that is opened.
pub(in crate::gateway) fn opened(class: MailboxClass) -> Answer {
    let opened = Opened {
        class,
        rights: Rights::default(),
        ttl: Seconds::new(1),
        epoch: None,
        from: Seq::START,
        upto: None,
        expires_at: None,
        lagging: Vec::new(),
        memory_first: false,
    };
    Answer::Opened(opened, Bytes::new())
}

fn line() -> Line {
    Line(session(), 1)
}

/// MBX-6. Once a connection remembered a chain of every mailbox it had ever appended to.
#[test]
fn chains_of_closed_mailboxes_are_forgotten() {
    let mut line = line();
    let handle = Handle::new(1);
    for mailbox in 0..3 * u32::try_from(limits::HANDLES).unwrap() {
        line.open(mailbox);
        let (number, _) = line.say(Command::Append(Append {
            handle,
            chain: ChainNumber::new(1),
            id: EnvelopeId::new([0; EnvelopeId::SIZE]),
            class: EnvelopeClass::Normal,
            ttl: None,
            epoch: None,
            commit: None,
        }));
        line.0.handle_answer(number, Ok(Answer::Done));
        line.say(Command::Close(handle));
        assert!(line.0.mailboxes() <= limits::HANDLES + 1);
    }
}

/// LIM-29. Once 256 packages of 16,200 bytes could be asked for, and be on their way to who did
/// not read.
#[test]
fn packages_are_asked_for_one_at_a_time() {
    let mut line = line();
    line.open(1);
    let (slot, request) = (Slot::new(1), RequestId::new([1; RequestId::SIZE]));
    let (number, _) = line.say(Command::TakePrekeys { handle: Handle::new(1), slot, request });
    assert!(!line.0.is_ready());
    let package = Bytes::from_static(b"package");
    line.0.handle_answer(number, Ok(Answer::Prekey { last_resort: false, package }));
    assert!(line.0.is_ready());
}

/// LIM-8: at the bound of unanswered calls nothing more is taken; when all are answered, whatever
/// came first, the room for them is given back.
#[test]
fn calls_are_bounded_and_give_back_their_room() {
    let mut line = line();
    line.open(1);
    let count = || Command::CountPrekeys(Handle::new(1));
    let mut numbers: Vec<_> =
        (1..limits::REQUESTS_IN_FLIGHT).map(|_| line.say(count()).0).collect();
    assert!(line.0.is_ready());
    numbers.push(line.say(count()).0);
    assert!(!line.0.is_ready());
    for (place, number) in numbers.iter().rev().enumerate() {
        assert_eq!(line.0.in_flight(), numbers.len() - place);
        assert!(line.0.handle_answer(*number, Ok(Answer::Done)).is_some());
    }
    assert!(std::mem::take(&mut line.0.calls).into_tuple_vec().capacity() <= CALLS_KEPT);
}

fn session() -> Session {
    let mut session = Session::new(Nonce::new([1; 32]), Origin(1));
    let hello = Hello { versions: vec![restante_spec::VERSION], idle: Seconds::new(60) };
    session.handle_frame(frame(1, Command::Hello(hello)));
    session
}

fn frame(number: u32, command: Command) -> Frame<ClientHeader> {
    let header = ClientHeader { number: RequestNumber::new(number), command };
    Frame { header, body: Bytes::new() }
}

/// Asks for a read with one of many proofs; whether it was shown before.
fn read(session: &mut Session, number: u32, proof: u8) -> bool {
    let read = BlobRead {
        blob: BlobId::new([1; 16]),
        key: PublicKey::new([2; 32]),
        proof: Signature::new([proof; 64]),
        offset: BlobOffset::new(0),
        length: BlobSize::new(1),
    };
    match session.handle_frame(frame(number, Command::BlobRead(read))) {
        Step::Call(_, Call::BlobRead { shown, .. }) => shown,
        _ => panic!("a read is asked of the mailboxes"),
    }
}

fn answer(session: &mut Session, number: u32, well: bool) {
    let part = BlobPart { size: BlobSize::new(1), expires_at: UnixTime::default() };
    let refused = Refusal::new(Code::NotFound, "no such blob");
    let answer = if well { Ok(Answer::BlobPart(part, Bytes::new())) } else { Err(refused) };
    assert!(session.handle_answer(RequestNumber::new(number), answer).is_some());
}

/// LIM-25, LIM-29: at the bound of unanswered reads nothing more is taken, until one is
/// answered; what they may bring counts from the beginning.
#[test]
fn reads_of_blobs_are_bounded() {
    let mut session = session();
    for number in 2..2 + limits::BLOB_READS_IN_FLIGHT as u32 {
        assert!(session.is_ready());
        read(&mut session, number, 1);
    }
    assert!(!session.is_ready());
    let held = session.held();
    assert!(held >= limits::BLOB_READS_IN_FLIGHT * FRAME_BYTES, "LIM-29: {held}");
    answer(&mut session, 2, false);
    assert!(session.is_ready());
    assert_eq!(held - session.held(), FRAME_BYTES + CALL_BYTES);
}

/// CMD-20: a proof that was good is known again, one that failed is not, and of very many the
/// oldest is forgotten.
#[test]
fn good_proofs_are_remembered_up_to_a_bound() {
    let mut session = session();
    let mut number = 2;
    let mut once = |proof, well| {
        number += 1;
        let shown = read(&mut session, number, proof);
        answer(&mut session, number, well);
        shown
    };
    assert!(!once(1, false) && !once(1, true) && once(1, true));
    for other in 2..=u8::try_from(BLOB_PROOFS).unwrap() {
        assert!(!once(other, true));
    }
    assert!(once(1, true), "at the bound all are known");
    assert!(!once(200, true) && !once(1, true), "one past it the oldest is not");
}
