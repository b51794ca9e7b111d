//! One run: devices, a relay, the network between them and the time, all moved by one number.
//!
//! Knows how things move; what people want is `workload.rs`, what must hold is `ledger.rs`.

use std::time::{Duration, Instant};

use restante_client::Error;
use restante_relay::simulation::{Disk, Now, Relay, Setup};
use restante_spec::ids::UnixTime;
use restante_tests::memory::memory_dir;
use tempfile::TempDir;

use super::ledger::{Ledger, Seen};
use super::random::Random;
use super::seats::Seat;

/// Everything of a run.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(super) setup: Setup,
    mood: Mood,
    disk: Disk,
    /// Where the relay keeps blobs.
    _blobs: TempDir,
    pub(super) relay: Option<Relay>,
    start: Instant,
    elapsed: Duration,
    pub(crate) seats: Vec<Seat>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    pub(crate) moment: u64,
}

/// How rough a run is, each in thousandths of its events.
struct Mood {
    crash: u64,
    cut: u64,
    end: u64,
    away: u64,
    /// Somebody is away for longer than the relay keeps anything.
    is_absent: bool,
}

/// How often faults happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) ends: u64,
    pub(crate) aways: u64,
    /// Devices that were away for longer than the relay keeps anything.
    pub(crate) absences: u64,
    /// Devices that were taken into an account, and that were removed from one.
    pub(crate) links: u64,
    pub(crate) unlinks: u64,
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
const ROUNDS: usize = 2_000;
/// Rounds after which a second is over, for what is not at rest by then.
const ROUNDS_OF_A_SECOND: usize = 50;
/// What passes before everything is said to be at rest, seconds.
const WAITS: [u64; 3] = [600; 3];
/// The same where somebody was away for long, or was removed: who is asked for what is missing may
/// take days, and other devices of the account are asked for longer (DEV-23).
const LONG_WAITS: [u64; 12] =
    [4_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000];
/// Three of them are longer than the relay keeps anything.
const THIRD_OF_A_LONG_TIME: Duration = Duration::from_secs(5 * 86_400);
/// When everything begins, Unix seconds.
const BEGINNING: u64 = 1_800_000_000;

impl World {
    pub(crate) fn new(seed: u64, people: usize, is_telling: bool) -> Self {
        restante_crypto::simulation::set_seed(Some(seed));
        let mut random = Random::new(seed);
        let blobs = memory_dir();
        let setup = Setup {
            identity: random.bytes(),
            mailbox_entries: 20_000,
            queue_acts: 10_000,
            batch_acts: random.weighted(&[(1, 1), (2, 7), (4, 1_000)]),
            cache_bytes: 1024 * 1024,
            reserve: random.weighted(&[(1, 1), (1, 20), (1, 1 << 20)]),
            blobs: Some(blobs.path().to_owned()),
        };
        let scale = random.weighted(&[(1, 0), (2, 1), (2, 3)]);
        let mood = Mood {
            crash: random.within(0, 2) * scale,
            cut: random.within(0, 8) * scale,
            end: random.within(0, 5) * scale,
            away: random.within(0, 2) * scale,
            is_absent: random.permille(400),
        };
        let mut world = Self {
            random,
            setup,
            mood,
            disk: Disk::default(),
            _blobs: blobs,
            relay: None,
            start: Instant::now(),
            elapsed: Duration::ZERO,
            seats: Vec::new(),
            ledger: Ledger::new(is_telling),
            faults: Faults::default(),
            moment: 0,
        };
        world.start_relay();
        for person in 0..people {
            world.settle_in(person);
        }
        world
    }

    pub(super) fn time(&self) -> UnixTime {
        UnixTime::new(BEGINNING + self.elapsed.as_secs())
    }

    pub(super) fn now(&self) -> Now {
        Now { time: self.time(), instant: self.start + self.elapsed }
    }

    /// Runs until everything is healed and at rest.
    pub(crate) fn run(&mut self, mut act: impl FnMut(&mut Self, usize)) {
        let moves = MOVES_OF_A_DEVICE * self.seats.len() as u64;
        let mut absent = None;
        for number in 0..moves {
            self.moment += 1;
            self.fault();
            if self.mood.is_absent && number == moves / 4 {
                absent = Some(self.leave());
            }
            if let Some(seat) = absent.take_if(|_| number == moves / 2) {
                self.forget(seat);
            }
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
        self.bring_all_back();
        // Behind everything that waits for its time.
        let is_long = self.faults.absences + self.faults.unlinks > 0;
        let days: &[u64] = if is_long { &LONG_WAITS } else { &[] };
        for seconds in WAITS.iter().chain(days) {
            self.settle();
            self.wait(Duration::from_secs(*seconds));
        }
        self.settle();
    }

    fn bring_all_back(&mut self) {
        if self.relay.is_none() {
            self.start_relay();
        }
        for seat in 0..self.seats.len() {
            self.seats[seat].away_until = 0;
            if self.seats[seat].device.is_none() {
                self.open(seat);
            }
        }
    }

    /// Somebody goes away, for long.
    fn leave(&mut self) -> usize {
        let seats = self.in_use();
        let seat = seats[self.random.index(seats.len())];
        self.ledger.tell(|| format!("{seat} goes away for long"));
        self.cut(seat);
        self.seats[seat].away_until = u64::MAX;
        seat
    }

    /// Whoever else there is has read everything, and the relay lets it go.
    fn forget(&mut self, absent: usize) {
        self.faults.absences += 1;
        self.bring_all_back();
        self.seats[absent].away_until = u64::MAX;
        // The others look in from time to time: their readers hold back what they have not read.
        for _ in 0..3 {
            self.settle();
            self.wait(THIRD_OF_A_LONG_TIME);
        }
        self.settle();
        self.ledger.tell(|| format!("{absent} comes back too late"));
        self.seats[absent].was_absent = true;
        self.ledger.was_absent(absent);
        self.seats[absent].away_until = self.moment + self.random.within(0, 300);
    }

    /// Lets everything move until nothing does.
    pub(crate) fn settle(&mut self) {
        self.settle_among(&Vec::from_iter(0..self.seats.len()));
    }

    /// The same, of these devices and the relay.
    pub(crate) fn settle_among(&mut self, seats: &[usize]) {
        let mut quiet = 0;
        for round in 1..ROUNDS {
            let mut moved = false;
            // What was refused for its rate needs time.
            if round % ROUNDS_OF_A_SECOND == 0 {
                self.wait(Duration::from_secs(1));
            }
            for &seat in seats {
                self.end_pauses(seat);
                // A device that was removed may ask for ever.
                let counts = !self.seats[seat].is_removed;
                while self.step(seat) {
                    moved |= counts;
                }
                moved |= self.up(seat, usize::MAX) && counts;
                moved |= self.work(seat) && counts;
                moved |= self.down(seat, usize::MAX) && counts;
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
            relay.shrink(now);
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
        if self.random.permille(self.mood.away) && self.seats[seat].away_until != u64::MAX {
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

/// What a person may ask for without being allowed it is no failure.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::NotAllowed
            | Error::WrongStanding { .. }
            | Error::WrongState { .. }
            | Error::NotAMember
            | Error::Cloned
            | Error::NoSuchConversation
            | Error::NoSuchContact
            | Error::TooMany { .. }
    )
}
