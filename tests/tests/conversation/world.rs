//! One run: devices, a relay, the network between them and the time, all moved by one number.
//!
//! Knows how things move; what people want is `workload.rs`, what must hold is `ledger.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use restante_client::simulation::Device;
use restante_client::{Client, ConversationId, Error, Event, EventStream, Notice, StoreKey};
use restante_crypto::SigningKey;
use restante_relay::simulation::{Disk, Now, Relay, Setup};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{Nonce, UnixTime};
use tempfile::TempDir;

use super::ledger::{Ledger, Seen};
use super::line::Line;
use super::random::Random;

/// Everything of a run.
pub(crate) struct World {
    pub(crate) random: Random,
    setup: Setup,
    mood: Mood,
    disk: Disk,
    relay: Option<Relay>,
    start: Instant,
    elapsed: Duration,
    pub(crate) seats: Vec<Seat>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    pub(crate) moment: u64,
}

/// One device.
pub(crate) struct Seat {
    home: TempDir,
    /// Its process; `None`: it does not run.
    device: Option<(Device, EventStream)>,
    line: Option<Line>,
    /// Nobody uses it before this moment.
    away_until: u64,
    /// Groups it was told somebody cannot be added to.
    pub(crate) cannot_add: BTreeSet<ConversationId>,
    /// Conversations of which it was told that it came too late for something.
    pub(crate) gone: BTreeSet<ConversationId>,
}

/// How rough a run is, each in thousandths of its events.
struct Mood {
    crash: u64,
    cut: u64,
    end: u64,
    away: u64,
}

/// How often faults happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) ends: u64,
    pub(crate) aways: u64,
}

/// What a run has shown.
pub(crate) struct Report {
    pub(crate) seen: Seen,
    pub(crate) faults: Faults,
    /// Follows from everything people could see.
    pub(crate) digest: u64,
}

/// What moves next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Act,
    Step,
    Up,
    Work,
    Down,
    Write,
    Time,
}

const MOVES: [(u64, Move); 7] = [
    (6, Move::Act),
    (30, Move::Step),
    (20, Move::Up),
    (14, Move::Work),
    (20, Move::Down),
    (14, Move::Write),
    (4, Move::Time),
];

/// Moves of a run before everything is healed, for each device.
const MOVES_OF_A_DEVICE: u64 = 400;
/// Rounds after which a healed run must have come to rest.
const ROUNDS: usize = 4_000;
/// Rounds after which a second is over, for what is not at rest by then.
const ROUNDS_OF_A_SECOND: usize = 50;
/// When everything begins, Unix seconds.
const BEGINNING: u64 = 1_800_000_000;

impl World {
    pub(crate) fn new(seed: u64, people: usize, is_telling: bool) -> Self {
        restante_crypto::simulation::set_seed(Some(seed));
        let mut random = Random::new(seed);
        let setup = Setup {
            identity: random.bytes(),
            mailbox_entries: 20_000,
            queue_acts: 10_000,
            batch_acts: random.weighted(&[(1, 1), (2, 7), (4, 1_000)]),
            cache_bytes: 1024 * 1024,
            reserve: random.weighted(&[(1, 1), (1, 20), (1, 1 << 20)]),
        };
        let scale = random.weighted(&[(1, 0), (2, 1), (2, 3)]);
        let mood = Mood {
            crash: random.within(0, 2) * scale,
            cut: random.within(0, 8) * scale,
            end: random.within(0, 5) * scale,
            away: random.within(0, 2) * scale,
        };
        let mut world = Self {
            random,
            setup,
            mood,
            disk: Disk::default(),
            relay: None,
            start: Instant::now(),
            elapsed: Duration::ZERO,
            seats: Vec::new(),
            ledger: Ledger::new(is_telling),
            faults: Faults::default(),
            moment: 0,
        };
        world.start_relay();
        for number in 0..people {
            world.settle_in(number);
        }
        world
    }

    fn settle_in(&mut self, number: usize) {
        let home = tempfile::tempdir_in(homes()).expect("a home");
        let identity = SigningKey::from_seed(&self.setup.identity).public();
        let address = RelayAddress::new(identity, "127.0.0.1", 1).expect("an address");
        let nickname = format!("person {number}");
        let now = self.time();
        let device = Device::create(home.path(), &key(), &address, &nickname, now);
        let device = watched(device.expect("an account"), now);
        self.seats.push(Seat {
            home,
            device: Some(device),
            line: None,
            away_until: 0,
            cannot_add: BTreeSet::new(),
            gone: BTreeSet::new(),
        });
        self.ask(number, |client| async move { client.connect().await }).expect("connects");
    }

    /// What a device is asked.
    pub(crate) fn ask<T, A: Future<Output = T>>(
        &mut self,
        seat: usize,
        what: impl FnOnce(Client) -> A,
    ) -> T {
        let now = self.time();
        let (device, _) = self.seats[seat].device.as_mut().expect("it runs");
        device.ask(now, what)
    }

    pub(crate) fn runs(&self, seat: usize) -> bool {
        self.seats[seat].device.is_some() && self.seats[seat].away_until <= self.moment
    }

    fn time(&self) -> UnixTime {
        UnixTime::new(BEGINNING + self.elapsed.as_secs())
    }

    fn now(&self) -> Now {
        Now { time: self.time(), instant: self.start + self.elapsed }
    }

    /// Runs until everything is healed and at rest.
    pub(crate) fn run(&mut self, mut act: impl FnMut(&mut Self, usize)) {
        for _ in 0..MOVES_OF_A_DEVICE * self.seats.len() as u64 {
            self.moment += 1;
            self.fault();
            let seat = self.random.index(self.seats.len());
            match self.random.weighted(&MOVES) {
                Move::Act => {
                    if self.runs(seat) {
                        act(self, seat);
                    }
                }
                Move::Step => drop(self.step(seat)),
                Move::Up => {
                    let max = self.random.weighted(&[(1, 1), (2, 300), (6, 1 << 20)]);
                    self.up(seat, max);
                }
                Move::Work => drop(self.work(seat)),
                Move::Down => {
                    let max = self.random.weighted(&[(1, 1), (2, 300), (6, 1 << 20)]);
                    self.down(seat, max);
                }
                Move::Write => self.write(),
                Move::Time => {
                    let seconds = self.random.weighted(&[(4, 1), (3, 40), (1, 600)]);
                    self.wait(Duration::from_secs(seconds));
                }
            }
        }
        self.heal();
    }

    /// Everything works again, and whoever is away comes back.
    pub(crate) fn heal(&mut self) {
        self.ledger.tell(|| "everything is healed".to_owned());
        if self.relay.is_none() {
            self.start_relay();
        }
        for seat in 0..self.seats.len() {
            self.seats[seat].away_until = 0;
            if self.seats[seat].device.is_none() {
                self.open(seat);
            }
        }
        // Twice behind everything that waits for its time.
        for _ in 0..3 {
            self.settle();
            self.wait(Duration::from_secs(600));
        }
        self.settle();
    }

    /// Lets everything move until nothing does.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        for round in 1..ROUNDS {
            let mut moved = false;
            // What was refused for its rate needs time.
            if round % ROUNDS_OF_A_SECOND == 0 {
                self.wait(Duration::from_secs(1));
            }
            for seat in 0..self.seats.len() {
                self.end_pauses(seat);
                while self.step(seat) {
                    moved = true;
                }
                moved |= self.up(seat, usize::MAX);
                moved |= self.work(seat);
                moved |= self.down(seat, usize::MAX);
            }
            self.write();
            let held = self.relay.as_ref().expect("it runs").held();
            moved |= held.waiting > 0 || held.queued_bytes > 0;
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet > 2 {
                return;
            }
        }
        panic!("nothing comes to rest in {ROUNDS} rounds");
    }

    fn end_pauses(&mut self, seat: usize) {
        if let Some((device, _)) = &mut self.seats[seat].device {
            device.end_pauses();
        }
    }

    /// A device does one thing. Returns whether there was one.
    fn step(&mut self, number: usize) -> bool {
        if !self.runs(number) {
            return false;
        }
        let (time, now) = (self.time(), self.now());
        let seat = &mut self.seats[number];
        let Some((device, events)) = &mut seat.device else { return false };
        let moved = device.step(time).unwrap_or_else(|error| panic!("device {number}: {error}"));
        while let Some(Some(event)) = events.next().now_or_never() {
            let Event::Notice(notice) = event else { continue };
            match notice {
                Notice::CannotAdd { conversation, .. } => {
                    seat.cannot_add.insert(conversation);
                }
                Notice::Gone { conversation: id } | Notice::Gap { conversation: Some(id), .. } => {
                    seat.gone.insert(id);
                }
                // Who says that it was removed may have come into that role since.
                Notice::Junk { conversation: None } if !seat.gone.is_empty() => {}
                // Who made a change may have lost the right to it while it was under way.
                Notice::Improper { .. } => {}
                notice => panic!("device {number} is told: {notice:?}"),
            }
        }
        if !device.is_connected() {
            seat.line = None;
        }
        if device.is_calling()
            && let Some(relay) = &mut self.relay
        {
            let nonce = Nonce::new(self.random.bytes());
            let mut line = Line::new(relay.connect(nonce, now));
            self.ledger.connected(number);
            line.say(&device.connect().expect("it calls"));
            seat.line = Some(line);
            return true;
        }
        let output = device.output();
        if let Some(line) = &mut seat.line {
            for frame in line.say(&output) {
                self.ledger.said(number, frame.header);
            }
        }
        moved
    }

    fn up(&mut self, seat: usize, max: usize) -> bool {
        let now = self.now();
        self.seats[seat].line.as_mut().is_some_and(|line| line.bring_up(max, now))
    }

    fn work(&mut self, seat: usize) -> bool {
        let now = self.now();
        let Some(line) = &mut self.seats[seat].line else { return false };
        if line.relay.deadline() <= now.instant || line.relay.is_over() {
            self.cut(seat);
            return true;
        }
        let awake = line.is_awake();
        if awake {
            line.work(now);
        }
        awake
    }

    fn down(&mut self, number: usize, max: usize) -> bool {
        let now = self.now();
        let seat = &mut self.seats[number];
        let Some(line) = &mut seat.line else { return false };
        for frame in line.hear() {
            self.ledger.heard(number, frame.header);
        }
        line.work(now);
        let bytes = line.bring_down(max);
        if let Some((device, _)) = &mut seat.device {
            device.receive(&bytes);
        }
        !bytes.is_empty()
    }

    fn write(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.step_writer();
            relay.turn_hold();
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.elapsed += time;
        let now = self.now();
        if let Some(relay) = &mut self.relay {
            relay.tick(now);
        }
        for seat in 0..self.seats.len() {
            self.end_pauses(seat);
        }
    }

    fn cut(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        seat.line = None;
        if let Some((device, _)) = &mut seat.device {
            device.cut();
        }
    }

    fn fault(&mut self) {
        let seat = self.random.index(self.seats.len());
        if self.random.permille(self.mood.cut) {
            self.faults.cuts += 1;
            self.ledger.tell(|| format!("the connection of {seat} is cut"));
            self.cut(seat);
        }
        if self.random.permille(self.mood.end) && self.seats[seat].device.is_some() {
            self.faults.ends += 1;
            self.ledger.tell(|| format!("the process of {seat} ends"));
            (self.seats[seat].device, self.seats[seat].line) = (None, None);
        }
        if self.random.permille(self.mood.away) {
            self.faults.aways += 1;
            self.cut(seat);
            self.seats[seat].away_until = self.moment + self.random.within(100, 2_000);
        }
        if self.random.permille(self.mood.crash) {
            self.crash();
        }
        if self.relay.is_none() && self.random.permille(100) {
            self.start_relay();
        }
        if self.seats[seat].device.is_none() && self.random.permille(200) {
            self.open(seat);
        }
    }

    fn open(&mut self, seat: usize) {
        let now = self.time();
        let device = Device::open(self.seats[seat].home.path(), &key(), now).expect("it opens");
        self.seats[seat].device = Some(watched(device, now));
        self.ask(seat, |client| async move { client.connect().await }).expect("connects");
    }

    /// The relay's machine fails: at rest, just after a commit, or in the middle of one.
    fn crash(&mut self) {
        self.faults.crashes += 1;
        self.ledger.tell(|| "the relay crashes".to_owned());
        match self.random.below(3) {
            0 => {}
            1 => self.write(),
            _ => {
                self.disk.dies_after(u32::try_from(self.random.below(25)).unwrap());
                self.write();
            }
        }
        for seat in 0..self.seats.len() {
            self.cut(seat);
        }
        self.relay = None;
        self.disk = self.disk.after_crash(self.random.next());
    }

    fn start_relay(&mut self) {
        let relay = Relay::start(&self.setup, &self.disk, self.now());
        self.relay = Some(relay.expect("the relay starts on what a crash has left"));
    }
}

/// A device and what it tells.
fn watched(mut device: Device, now: UnixTime) -> (Device, EventStream) {
    let events = device.ask(now, |client| async move { client.events() });
    (device, events)
}

/// One key for all stores: a run does not look at them.
fn key() -> StoreKey {
    StoreKey::from_bytes([7; 32])
}

/// Where homes are made: in memory if the system has such a place.
fn homes() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// What a person may ask for without being allowed it is no failure.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::NotAllowed
            | Error::WrongStanding { .. }
            | Error::WrongState { .. }
            | Error::NotAMember
            | Error::NoSuchConversation
            | Error::NoSuchContact
            | Error::TooMany { .. }
    )
}
