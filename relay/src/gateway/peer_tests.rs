//! A connection without a socket: where all hold as much as they may (LIM-29), and on leaving.

use std::sync::Mutex;

use restante_crypto::SigningKey;
use restante_spec::ids::{
    EnvelopeId, Handle, Incarnation, MailboxId, PublicKey, ReaderSecret, RequestId, Signature, Slot,
};
use restante_spec::message::{
    ClientHeader, Command, Credit, EnvelopeClass, Hello, MailboxClass, Open, Subscribe,
};

use super::*;
use crate::gateway::pool::Pool;
use crate::gateway::session::tests::opened;
use crate::gateway::{Page, Settings};
use crate::limits::{HANDLE_BYTES, OWN_BYTES, READ_BYTES};
use crate::mailbox::api::{
    Access, Envelope, Notice, Notices as _, Page as Envelopes, Range, Reading, Respond, Span,
};
use crate::ops::config::told_limits;

/// Mailboxes that answer everything at once, except what prekeys are asked for.
struct Desk {
    later: Mutex<Vec<Respond>>,
    /// What each of them has to read.
    page: Mutex<Envelopes>,
}

impl Mailboxes for Arc<Desk> {
    fn call(&self, call: Call, _: UnixTime, respond: Respond) {
        let range = Range { after: Seq::START, upto: None, epoch: Seq::START, expires_at: None };
        match call {
            Call::Open { .. } => respond(Ok(opened(MailboxClass::Room))),
            Call::With(_, Ask::Subscribe { .. }) => respond(Ok(Answer::Subscribed(range))),
            Call::With(_, Ask::TakePrekeys { .. }) => self.later.lock().unwrap().push(respond),
            _ => respond(Ok(Answer::Done)),
        }
    }

    fn page(&self, _: Access, _: Span, _: UnixTime) -> Result<Reading, Refusal> {
        Ok(Reading { page: self.page.lock().unwrap().clone(), expires_at: None })
    }

    fn head(&self, _: MailboxId, _: UnixTime) -> Seq {
        Seq::START
    }
}

/// With so many handles open, and nothing else, a connection may just take a step at the bound.
const LIGHT: u32 = ((OWN_BYTES - READ_BYTES) / HANDLE_BYTES) as u32;

/// A connection and what it shares with others.
struct Line {
    peer: Peer<Arc<Desk>>,
    desk: Arc<Desk>,
    pool: Arc<Pool>,
    number: u32,
    now: Now,
}

impl Line {
    /// One of a relay whose connections may hold so much, with so many handles.
    fn new(held_bytes: usize, handles: u32) -> Self {
        let page = Mutex::new(Envelopes { envelopes: Vec::new(), more: false });
        let desk = Arc::new(Desk { later: Mutex::default(), page });
        let key = SigningKey::from_seed(&[1; 32]);
        let limits = told_limits(&crate::mailbox::Settings::default());
        let settings = Settings { held_bytes, ..Settings::default() };
        let (mailboxes, hub) = (Arc::clone(&desk), Arc::default());
        let incarnation = Incarnation::new([0; Incarnation::SIZE]);
        let page = Page::default();
        let gateway = Gateway::new(mailboxes, hub, key, incarnation, page, limits, settings);
        let now = Now { time: UnixTime::new(1), instant: Instant::now() };
        let pool = Arc::clone(&gateway.pool);
        let spki = Arc::new(SpkiHash::new([0; SpkiHash::SIZE]));
        let peer = Peer::new(gateway, Nonce::new([0; 32]), Origin(1), spki, now.instant);
        let mut line = Self { peer, desk, pool, number: 0, now };
        line.say(Command::Hello(Hello { versions: vec![1], idle: Seconds::new(60) }));
        for handle in 1..=handles {
            line.say(Command::Open(Open {
                handle: Handle::new(handle),
                mailbox: MailboxId::new([1; 16]),
                key: PublicKey::new([0; 32]),
                proof: Signature::new([0; 64]),
            }));
        }
        assert!(!line.work() && line.peer.input.is_empty());
        line.peer.output.bytes.clear();
        line
    }

    /// A frame arrives.
    fn say(&mut self, command: Command) {
        self.number += 1;
        let header = ClientHeader { number: RequestNumber::new(self.number), command };
        frame::encode_client(&header, &[], &mut self.peer.input).unwrap();
    }

    /// The first handle asks for deliveries.
    fn subscribe(&mut self) -> Handle {
        let (handle, reader) = (Handle::new(1), ReaderSecret::new([1; 16]));
        let credit = Credit { envelopes: 9, bytes: 9 };
        self.say(Command::Subscribe(Subscribe { handle, reader, after: Seq::START, credit }));
        handle
    }

    fn work(&mut self) -> bool {
        self.peer.work(self.now)
    }
}

/// LIM-29. Once a connection that alone had held as much as all may looked before it gave that
/// back, and then neither read nor looked again.
#[test]
fn what_a_connection_has_given_back_lets_it_read() {
    let held = 150 * 1_024;
    let mut line = Line::new(OWN_BYTES / 4, 150);
    line.peer.output.bytes.resize(held, 0);
    assert!(line.work(), "it is held up, by itself");
    line.peer.output.bytes.clear();
    assert!(!line.work() && line.peer.reads());
}

/// LIM-29. Once a connection that was held up when it began a step, and that an answer brought back
/// to its own, was not read again.
#[test]
fn a_connection_that_is_held_up_looks_again() {
    let mut line = Line::new(1, LIGHT - 1);
    let (slot, request) = (Slot::new(1), RequestId::new([1; RequestId::SIZE]));
    line.say(Command::TakePrekeys { handle: Handle::new(1), slot, request });
    assert!(!line.work());
    let mut others = line.pool.join();
    others.holds(OWN_BYTES + 1);
    let respond = line.desk.later.lock().unwrap().pop().unwrap();
    respond(Ok(Answer::Prekey { last_resort: false, package: Bytes::new() }));
    // Of a frame that has not arrived whole.
    line.peer.input.extend_from_slice(&[0]);
    assert!(line.work(), "its answer is all it may give");
    line.peer.output.bytes.clear();
    assert!(!line.work() && line.peer.reads(), "its own, one frame at a time");
    drop(others);
}

/// LIM-29. Once frames that a connection was held up before, and that nothing followed, stayed
/// where they were although it was back at its own at the end of the step.
#[test]
fn frames_that_were_held_up_are_looked_at_again() {
    let mut line = Line::new(1, LIGHT - 1);
    let handle = line.subscribe();
    assert!(!line.work());
    line.peer.output.bytes.clear();
    let mut others = line.pool.join();
    others.holds(OWN_BYTES + 1);
    for _ in 0..2 {
        line.say(Command::Ack { handle, upto: Seq::START });
    }
    let again = (0..9).take_while(|_| line.work()).count();
    assert_eq!(again, 1);
    assert!(line.peer.input.is_empty());
}

/// TRN-9. Once a connection that was told to leave was delivered on to, so that on a slow line what
/// it was owed never came to an end, and was cut off.
#[test]
fn nothing_is_delivered_to_who_leaves() {
    for (is_read, leaves) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut line = Line::new(OWN_BYTES, 1);
        // Either there is more to read, or the reader has all and is told.
        line.desk.page.lock().unwrap().more = is_read;
        line.subscribe();
        assert_eq!(line.work(), is_read);
        if leaves {
            line.peer.leave(line.now.instant);
        }
        line.peer.output.bytes.clear();
        if is_read {
            *line.desk.page.lock().unwrap() =
                Envelopes { envelopes: vec![envelope()], more: false };
        } else {
            let (origin, at) = (Origin(2), line.now.time);
            let notice = Notice::Appended { envelope: envelope(), origin, at };
            line.peer.gateway.hub.notice(MailboxId::new([1; 16]), notice);
        }
        assert!(!line.work());
        assert_eq!(line.peer.output.bytes.is_empty(), leaves);
        assert_eq!(line.peer.is_over(), leaves);
    }
}

fn envelope() -> Envelope {
    Envelope {
        seq: Seq::new(1),
        prev: Seq::START,
        epoch: Seq::START,
        id: EnvelopeId::new([1; 16]),
        class: EnvelopeClass::Normal,
        expires_at: UnixTime::new(9),
        commit: false,
        body: Bytes::from_static(b"x"),
    }
}
