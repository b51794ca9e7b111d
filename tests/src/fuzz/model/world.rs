//! A relay, its clock and its connections; what is asked of it and what it says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use restante_crypto::{SigningKey, reader_hash};
use restante_relay::simulation::{Connection, Disk, Now, Relay, Setup};
use restante_spec::codes::Code;
use restante_spec::frame;
use restante_spec::ids::{
    MailboxId, Nonce, ReaderHash, ReaderSecret, RequestNumber, Seconds, UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{ClientHeader, Command, Hello, Push, RelayHeader, Reply};

use super::ops::{Act, LINES, Op};
use super::reading::Reading;
use super::state::{ENTRIES, Mailbox};

/// The whole of a run.
pub struct World {
    relay: Relay,
    disk: Disk,
    start: Instant,
    pub now: u64,
    pub lines: Vec<Line>,
    pub places: BTreeMap<u8, Mailbox>,
    pub births: u64,
    connections: u64,
}

/// A connection, from the client's side.
pub struct Line {
    connection: Connection,
    /// Never the same again.
    pub name: u64,
    pub nonce: Nonce,
    numbers: u32,
    pub desks: BTreeMap<u8, Desk>,
    /// The chain named last in each mailbox, and whether it is broken.
    pub chains: BTreeMap<u8, (u8, bool)>,
    replies: BTreeMap<u32, (Reply, Bytes)>,
    pub pushes: Vec<(Push, Bytes)>,
}

/// A handle that is open.
pub struct Desk {
    pub place: u8,
    pub key: u8,
    /// Of the mailbox: one that comes after it under its name is another.
    pub birth: u64,
    pub reading: Option<Reading>,
}

/// An answer: what was said and its body, or why not.
pub type Answer = Result<(Reply, Bytes), Code>;

/// When a run begins.
const BEGIN: u64 = 1_800_000_000;

fn setup() -> Setup {
    Setup {
        identity: [1; 32],
        mailbox_entries: ENTRIES,
        queue_acts: 10_000,
        batch_acts: 7,
        cache_bytes: 64 * 1024,
        reserve: 20,
        blobs: None,
    }
}

impl World {
    pub fn new() -> Self {
        let (disk, start) = (Disk::default(), Instant::now());
        let now = Now { time: UnixTime::new(BEGIN), instant: start };
        let relay = Relay::start(&setup(), &disk, now).expect("an empty disk");
        let mut world = Self {
            relay,
            disk,
            start,
            now: BEGIN,
            lines: Vec::new(),
            places: BTreeMap::new(),
            births: 0,
            connections: 0,
        };
        for number in 0..LINES {
            world.connect(number);
        }
        world
    }

    /// Does what is to happen, and judges what comes of it.
    pub fn step(&mut self, op: Op) {
        match op.act {
            Act::Cut => {
                self.connect(op.line);
                self.sit_down(op.line);
            }
            Act::Wait { seconds } => self.wait(seconds),
            Act::Forget => {
                self.relay.shrink(self.both());
                self.forget();
            }
            Act::Crash { seed } => self.crash(seed),
            act => self.request(op.line, act),
        }
        self.pump();
        let now = self.now;
        self.places.values_mut().for_each(|mailbox| mailbox.pass(now));
        self.read_all();
    }

    /// The relay's identity.
    pub fn identity(&self) -> restante_spec::ids::PublicKey {
        self.relay.identity()
    }

    /// Sends a request; its number.
    pub fn send(&mut self, line: usize, command: Command, body: &[u8]) -> u32 {
        let now = self.both();
        let line = &mut self.lines[line];
        line.numbers += 1;
        let number = RequestNumber::new(line.numbers);
        let mut bytes = BytesMut::new();
        frame::encode_client(&ClientHeader { number, command }, body, &mut bytes).expect("fits");
        line.connection.receive(&bytes, now);
        line.numbers
    }

    /// What was answered to a request; `None`: nothing.
    pub fn answer(&mut self, line: usize, number: u32) -> Option<Answer> {
        let (reply, body) = self.lines[line].replies.remove(&number)?;
        Some(match reply {
            Reply::Error(refusal) => Err(refusal.code),
            reply => Ok((reply, body)),
        })
    }

    /// Sends a request and gets its answer.
    pub fn ask(&mut self, line: usize, command: Command, body: &[u8]) -> Answer {
        let number = self.send(line, command, body);
        self.pump();
        self.answer(line, number).expect("ERR-1: an answer")
    }

    /// Lets the relay work until nothing happens any more.
    pub fn pump(&mut self) {
        let now = self.both();
        let mut quiet = 0;
        while quiet < 2 {
            quiet += 1;
            for line in &mut self.lines {
                line.connection.work(now);
                if line.hear() {
                    quiet = 0;
                }
            }
            self.relay.step_writer();
        }
    }

    fn both(&self) -> Now {
        let passed = Duration::from_secs(self.now - BEGIN);
        Now { time: UnixTime::new(self.now), instant: self.start + passed }
    }

    /// A new connection in the place of one.
    fn connect(&mut self, number: usize) {
        self.connections += 1;
        let nonce = Nonce::new([u8::try_from(self.connections % 251).expect("small"); 32]);
        let line = Line {
            connection: self.relay.connect(nonce, self.both()),
            name: self.connections,
            nonce,
            numbers: 0,
            desks: BTreeMap::new(),
            chains: BTreeMap::new(),
            replies: BTreeMap::new(),
            pushes: Vec::new(),
        };
        if number < self.lines.len() {
            self.lines[number] = line;
        } else {
            self.lines.push(line);
        }
        let hello = Hello { versions: vec![1], idle: Seconds::new(900) };
        match self.ask(number, Command::Hello(hello), &[]) {
            Ok((Reply::Welcome(welcome), _)) => assert_eq!(welcome.nonce, nonce, "CMD-1"),
            other => panic!("CMD-1: {other:?} to hello"),
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += seconds;
        while self.places.values().flat_map(Mailbox::moments).any(|moment| moment == self.now) {
            self.now += 1;
        }
        let now = self.now;
        self.places.values_mut().for_each(|mailbox| mailbox.pass(now));
        self.relay.tick(self.both());
        self.pump();
        let over: Vec<u8> =
            self.places.iter().filter(|(_, it)| it.is_over()).map(|it| *it.0).collect();
        over.into_iter().for_each(|place| self.end(place));
    }

    fn crash(&mut self, seed: u8) {
        self.disk = self.disk.after_crash(u64::from(seed));
        self.lines.iter_mut().for_each(|line| line.desks.clear());
        self.relay = Relay::start(&setup(), &self.disk, self.both()).expect("it starts again");
        self.forget();
        for number in 0..LINES {
            self.connect(number);
        }
        (0..LINES).for_each(|number| self.sit_down(number));
    }

    /// Opens every mailbox there is.
    fn sit_down(&mut self, line: usize) {
        for place in self.places.keys().copied().collect::<Vec<_>>() {
            let act = Act::Open { desk: place, place, key: None, anew: false, forged: false };
            self.request(line, act);
        }
    }

    /// What only memory knows may be gone.
    fn forget(&mut self) {
        for mailbox in self.places.values_mut() {
            mailbox.commits.forget();
            mailbox.live.forget();
            let rates = mailbox.keys.values_mut().filter_map(|terms| terms.rate.as_mut());
            rates.for_each(super::state::Bucket::forget);
        }
    }

    /// A mailbox ends: so do subscriptions of it.
    pub fn end(&mut self, place: u8) {
        self.places.remove(&place);
        self.close_readings(place, Code::NotFound, |_| true);
    }

    /// Subscriptions that are to be closed now.
    pub fn close_readings(&mut self, place: u8, code: Code, which: impl Fn(&Reading) -> bool) {
        let desks = self.lines.iter_mut().flat_map(|line| line.desks.values_mut());
        for desk in desks.filter(|desk| desk.place == place) {
            if let Some(reading) = desk.reading.as_mut().filter(|reading| which(reading)) {
                reading.closing = Some(code);
            }
        }
    }
}

impl Line {
    /// Takes in what the relay has said, if anything.
    fn hear(&mut self) -> bool {
        let mut bytes = BytesMut::from(&*self.connection.send(usize::MAX));
        let heard = !bytes.is_empty();
        while let Some(frame) = frame::decode_relay(&mut bytes).expect("FRM-1: a frame of a relay")
        {
            match frame.header {
                RelayHeader::Reply(number, reply) => {
                    let before = self.replies.insert(number.get(), (reply, frame.body));
                    assert!(before.is_none(), "TRN-10: answered twice: {before:?}");
                }
                RelayHeader::Push(push) => self.pushes.push((push, frame.body)),
            }
        }
        assert!(bytes.is_empty() && !self.connection.is_over(), "a connection ends");
        assert!(self.connection.in_flight() <= limits::REQUESTS_IN_FLIGHT, "LIM-8");
        heard
    }

    /// Answers that nobody waits for.
    pub fn is_answered(&self) -> bool {
        self.replies.is_empty()
    }
}

pub fn mailbox(place: u8) -> MailboxId {
    MailboxId::new([place + 1; 16])
}

pub fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number + 50; 32])
}

pub fn secret(number: u8) -> ReaderSecret {
    ReaderSecret::new([number + 100; 16])
}

pub fn reader(number: u8) -> ReaderHash {
    reader_hash(&secret(number))
}
