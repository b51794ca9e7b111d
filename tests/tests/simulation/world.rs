//! The world of a run: clock, machine, network, and which of them moves next.
//!
//! Chance alone decides who moves: so everything is delayed and reordered, but for the bytes of one
//! connection. Knows faults; judges nothing but that all comes to rest once it is healed.

#[path = "end.rs"]
mod end;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use restante_crypto::SigningKey;
use restante_relay::simulation::{Disk, Now, Relay, Setup};
use restante_spec::ids::{Nonce, PublicKey, UnixTime};
use restante_spec::limits;

use super::client::{Client, Scene};
use super::folder::Folder;
use super::ledger::{Ledger, Moment, Seen};
use super::mood::{Faults, Mood};
use super::network::Line;
use super::people::settle_town;
use super::random::Random;
use super::town::Town;

/// One run.
pub(crate) struct World {
    random: Random,
    setup: Setup,
    /// Where the relay keeps blobs, if it does.
    folder: Option<Folder>,
    identity: PublicKey,
    mood: Mood,
    disk: Disk,
    /// `None` while the process is down.
    relay: Option<Relay>,
    start: Instant,
    elapsed: Duration,
    moment: Moment,
    lines: BTreeMap<u64, Line>,
    connections: u64,
    clients: Vec<Client>,
    /// The client that does not come for now.
    away: Option<usize>,
    town: Town,
    ledger: Ledger,
    faults: Faults,
    /// Calls of the disk that have failed, as far as the checkers were told.
    failures: u32,
    /// The disk is slow: the writer rests until this event.
    stalled_until: u64,
    /// How time passes.
    pace: &'static [(u64, u64)],
    digest: u64,
}

/// What a run has shown.
pub(crate) struct Report {
    pub(crate) digest: u64,
    pub(crate) seen: Seen,
    pub(crate) faults: Faults,
}

/// What moves next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Act,
    Up,
    Work,
    Down,
    Write,
    Time,
}

const EVENTS: [(u64, Event); 6] = [
    (28, Event::Act),
    (20, Event::Up),
    (22, Event::Work),
    (22, Event::Down),
    (12, Event::Write),
    (8, Event::Time),
];

/// A queue that a run does not fill.
const QUEUE_ACTS: usize = 10_000;
/// How time passes between what happens: at most so many milliseconds, with these weights.
const PACE: [(u64, u64); 3] = [(20, 200), (6, 3_000), (1, 40_000)];
/// The same in a long run: mostly longer than connections are silent, not longer than they may be.
const LONG_PACE: [(u64, u64); 3] = [(4, 2_000), (6, 60_000), (3, 600_000)];
/// Events of a run before everything is healed.
const EVENTS_OF_A_RUN: u64 = 6_000;

impl World {
    pub(crate) fn new(seed: u64, is_telling: bool) -> Self {
        let mut random = Random::new(seed);
        let mut setup = Setup {
            identity: random.bytes(),
            mailbox_entries: limits::COMMIT_RESERVE_ENTRIES
                + random.weighted(&[(1, 8), (2, 40), (3, 400)]),
            queue_acts: random.weighted(&[(1, 4), (2, 30), (4, QUEUE_ACTS)]),
            batch_acts: random.weighted(&[(1, 1), (2, 7), (4, 1_000)]),
            cache_bytes: random.weighted(&[(1, 16 * 1024), (1, 1024 * 1024)]),
            reserve: random.weighted(&[(1, 1), (1, 20), (1, 1 << 20)]),
            blobs: None,
        };
        // LIM-17
        let tail = limits::TAIL_ENTRIES.min(setup.mailbox_entries / 2) as usize;
        let mood = Mood::draw(&mut random);
        let (town, clients) = settle_town(&mut random, tail);
        let folder = town.blobs.is_some().then(Folder::new);
        setup.blobs = folder.as_ref().map(|folder| folder.path().to_owned());
        let mut world = Self {
            identity: SigningKey::from_seed(&setup.identity).public(),
            random,
            setup,
            folder,
            mood,
            disk: Disk::default(),
            relay: None,
            start: Instant::now(),
            elapsed: Duration::ZERO,
            moment: Moment { event: 0, time: 1_800_000_000 },
            lines: BTreeMap::new(),
            connections: 0,
            clients,
            away: None,
            town,
            ledger: Ledger::default(),
            faults: Faults::default(),
            failures: 0,
            stalled_until: 0,
            pace: &PACE,
            digest: 0xcbf2_9ce4_8422_2325,
        };
        world.ledger.is_telling = is_telling;
        world.ledger.passes(world.moment);
        world.start_relay();
        world
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Report {
        for _ in 0..EVENTS_OF_A_RUN {
            self.event();
        }
        self.heal();
        self.outage();
        Report { digest: self.digest, seen: self.ledger.seen, faults: self.faults }
    }

    /// Runs until so much time has passed, with long silences between what happens and few faults;
    /// then nobody comes any more, everything expires, and nothing may be left of it.
    pub(crate) fn run_for(mut self, time: Duration) -> Report {
        self.mood.soften();
        self.pace = &LONG_PACE;
        while self.elapsed < time {
            self.event();
        }
        self.heal();
        self.forget();
        Report { digest: self.digest, seen: self.ledger.seen, faults: self.faults }
    }

    fn now(&self) -> Now {
        let time = UnixTime::new(self.moment.time);
        Now { time, instant: self.start + self.elapsed }
    }

    fn event(&mut self) {
        self.moment.event += 1;
        self.ledger.passes(self.moment);
        self.fault();
        match self.random.weighted(&EVENTS) {
            Event::Act => {
                let client = self.random.index(self.clients.len());
                self.act(client);
            }
            Event::Up => {
                if let Some(line) = self.any_line() {
                    let max = self.random.weighted(&[(1, 1), (2, 50), (6, 100_000)]);
                    self.up(line, max);
                }
            }
            Event::Work => {
                if let Some(line) = self.any_line() {
                    self.work(line);
                }
            }
            Event::Down => {
                if let Some(line) = self.any_line() {
                    let max = self.random.weighted(&[(1, 1), (2, 70), (6, 100_000)]);
                    self.down(line, max);
                }
            }
            Event::Write if self.moment.event < self.stalled_until => {}
            Event::Write => self.write(),
            Event::Time => self.pass_time(),
        }
        self.check_bounds();
    }

    fn any_line(&mut self) -> Option<u64> {
        let lines: Vec<_> = self.lines.keys().copied().collect();
        self.random.pick(&lines)
    }

    fn act(&mut self, number: usize) {
        if self.away == Some(number) {
            return;
        }
        if self.clients[number].session.is_none() {
            return self.connect(number);
        }
        self.with_client(number, Client::act);
    }

    fn with_client(&mut self, number: usize, what: impl FnOnce(&mut Client, &mut Scene<'_>)) {
        let client = &mut self.clients[number];
        let mut scene = Scene {
            random: &mut self.random,
            town: &mut self.town,
            ledger: &mut self.ledger,
            relay: self.identity,
            now: self.moment,
        };
        what(client, &mut scene);
        if let Some(session) = &mut client.session
            && let Some(line) = self.lines.get_mut(&session.line)
        {
            line.up.extend_from_slice(&session.output.split());
        }
    }

    fn connect(&mut self, number: usize) {
        let now = self.now();
        let Some(relay) = &mut self.relay else { return };
        self.connections += 1;
        let nonce = Nonce::new(self.random.bytes());
        let line = Line::new(relay.connect(nonce, now));
        self.lines.insert(self.connections, line);
        self.clients[number].connect(self.connections);
        self.with_client(number, |_, _| ());
    }

    fn cut(&mut self, line: u64) {
        self.ledger.tell(|| format!("line {line} is cut"));
        self.lines.remove(&line);
        for client in &mut self.clients {
            if client.session.as_ref().is_some_and(|session| session.line == line) {
                client.disconnect(&mut self.town);
            }
        }
    }

    fn up(&mut self, line: u64, max: usize) -> bool {
        let now = self.now();
        let brought = self.lines.get_mut(&line).is_some_and(|line| line.bring_up(max, now));
        if brought {
            self.force_work(line);
        }
        brought
    }

    /// The relay looks at a connection if it has a reason to, and its time may be over.
    fn work(&mut self, number: u64) -> bool {
        let now = self.now();
        let Some(line) = self.lines.get(&number) else { return false };
        if line.relay.deadline() <= now.instant || line.relay.is_over() {
            self.cut(number);
            return true;
        }
        let awake = line.is_awake();
        if awake {
            self.force_work(number);
        }
        awake
    }

    fn force_work(&mut self, number: u64) {
        let (now, moment) = (self.now(), self.moment);
        if let Some(line) = self.lines.get_mut(&number) {
            line.work(now, moment);
        }
    }

    fn down(&mut self, number: u64, max: usize) -> bool {
        let Some(line) = self.lines.get_mut(&number) else { return false };
        if line.take_down() {
            // There is room again.
            self.force_work(number);
        }
        let Some(mut line) = self.lines.remove(&number) else { return false };
        let bytes = line.bring_down(max);
        for byte in &bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        let of = |client: &Client| client.session.as_ref().is_some_and(|it| it.line == number);
        if let Some(client) = self.clients.iter().position(of) {
            self.with_client(client, |client, scene| {
                if let Some(session) = &mut client.session {
                    session.receive(&bytes, &mut line, scene);
                }
            });
            if let Some(session) = &mut self.clients[client].session {
                line.up.extend_from_slice(&session.output.split());
            }
        }
        self.lines.insert(number, line);
        !bytes.is_empty()
    }

    fn write(&mut self) {
        let Some(relay) = &mut self.relay else { return };
        relay.step_writer();
        if self.random.permille(300) {
            relay.turn_hold();
        }
        // A full queue is not seen from outside, and takes no note of readers either; nor does a
        // store that rests after a failure, or has no key any more for what came too late.
        let (held, is_full) = (relay.held(), self.setup.queue_acts < QUEUE_ACTS);
        let failures = self.disk.failures();
        let has_failed = failures != std::mem::replace(&mut self.failures, failures);
        if is_full || has_failed || held.stale > 0 {
            self.ledger.may_forget();
        } else if held.waiting == 0 {
            self.ledger.is_noted();
        }
    }

    fn pass_time(&mut self) {
        let millis = self.random.weighted(self.pace);
        let millis = self.random.within(1, millis);
        self.wait(Duration::from_millis(millis));
        let now = self.now();
        if let Some(relay) = &mut self.relay {
            relay.tick(now);
            if self.random.permille(50) {
                relay.shrink(now);
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let before = self.elapsed.as_secs();
        self.elapsed += time;
        self.moment.time += self.elapsed.as_secs() - before;
        self.ledger.passes(self.moment);
    }

    fn fault(&mut self) {
        if self.random.permille(self.mood.cut)
            && let Some(line) = self.any_line()
        {
            self.faults.cuts += 1;
            self.cut(line);
        }
        if self.random.permille(self.mood.disk) {
            self.faults.disk += 1;
            let calls = u32::try_from(self.random.below(25)).unwrap();
            self.disk.syncs_partly(self.random.next());
            match self.random.below(4) {
                0 => self.disk.fails_to_read(),
                1 => self.disk.fills_up(u64::from(calls) * 4_096),
                _ => self.disk.fails_at(calls),
            }
        }
        if self.random.permille(30) {
            self.disk.heal();
        }
        if let Some(folder) = &mut self.folder {
            if self.random.permille(self.mood.folder) {
                self.faults.folder += 1;
                folder.fails();
            }
            if self.random.permille(20) {
                folder.heals();
            }
        }
        if self.random.permille(self.mood.jump) {
            self.jump();
        }
        if self.random.permille(self.mood.stall) {
            self.stalled_until = self.moment.event + self.random.within(20, 300);
        }
        if self.random.permille(self.mood.stop) {
            self.stop();
        }
        if self.random.permille(self.mood.crash) {
            self.crash();
        }
        if self.relay.is_none() && self.random.permille(100) {
            self.start_relay();
        }
    }

    /// The clock is set: forwards by anything, backwards by less than the checkers reckon with.
    fn jump(&mut self) {
        self.faults.jumps += 1;
        let latest = self.ledger.latest();
        if self.random.permille(400) && self.moment.time + 5 > latest {
            self.moment.time -= self.random.within(1, 3);
        } else {
            self.moment.time += self.random.weighted(&[(4, 5), (3, 130), (2, 4_000), (1, 90_000)]);
        }
        self.ledger.passes(self.moment);
    }

    /// The machine fails: at rest, just after a commit, or in the middle of one.
    fn crash(&mut self) {
        self.faults.crashes += 1;
        match self.random.below(3) {
            0 => {}
            1 => self.write(),
            _ => {
                self.disk.dies_after(u32::try_from(self.random.below(25)).unwrap());
                self.write();
                self.faults.torn += u64::from(self.disk.has_unsynced());
            }
        }
        self.drop_relay();
        self.disk = self.disk.after_crash(self.random.next());
        if self.random.permille(500) {
            self.start_relay();
        }
    }

    fn drop_relay(&mut self) {
        self.ledger.tell(|| "the relay ends".to_owned());
        self.ledger.may_forget();
        for line in self.lines.keys().copied().collect::<Vec<_>>() {
            self.cut(line);
        }
        self.relay = None;
    }

    /// A stop in good order (TRN-9), and another start.
    fn stop(&mut self) {
        self.faults.stops += 1;
        let now = self.now();
        for line in self.lines.values_mut() {
            line.relay.leave(now);
        }
        for _ in 0..20 {
            self.write();
            for line in self.lines.keys().copied().collect::<Vec<_>>() {
                self.work(line);
                self.down(line, usize::MAX);
            }
        }
        if let Some(relay) = &mut self.relay {
            relay.stop();
            // What is queued is done first, however many batches that takes.
            let ended = (0..100_000).any(|_| !relay.step_writer());
            assert!(ended, "the writer does not end");
        }
        self.drop_relay();
        self.start_relay();
    }

    fn start_relay(&mut self) {
        let failures = self.disk.failures();
        if let Some(folder) = &mut self.folder {
            // Without its parts it does not start, which is another matter.
            folder.heals();
        }
        match Relay::start(&self.setup, &self.disk, self.now()) {
            Ok(relay) => self.relay = Some(relay),
            Err(error) => {
                let injected = self.disk.failures() > failures;
                assert!(injected, "the relay does not start on what a crash has left: {error}");
            }
        }
    }

    /// Everything is bounded, whatever happens.
    fn check_bounds(&self) {
        let frame = limits::HEADER_BYTES + limits::BODY_BYTES + 6;
        let most = limits::PENDING_OUTPUT_BYTES
            + limits::REQUESTS_IN_FLIGHT * (limits::HEADER_BYTES + 6)
            + 8 * frame;
        for line in self.lines.values() {
            assert!(line.relay.in_flight() <= limits::REQUESTS_IN_FLIGHT, "LIM-8");
            assert!(line.relay.waiting() <= most, "LIM-10: {} bytes wait", line.relay.waiting());
        }
    }
}
