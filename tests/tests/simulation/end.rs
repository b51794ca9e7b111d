//! The end of a run: everything is healed, comes to rest, and is compared.

use std::time::Duration;

use restante_relay::simulation::{Held, Relay};
use restante_spec::limits;

use super::{Folder, Mood, World};
use crate::town::Role;

/// Rounds after which a healed run must have come to rest.
const ROUNDS: usize = 4_000;

/// MBX-10: a relay may be so late to note that a reader was seen, seconds.
const SEEN_LATE: u64 = 7_200;
/// Events in which those come back who could not reach the relay.
const EVENTS_OF_A_RETURN: u64 = 800;

/// More ticks than a store rests that failed.
const RESTS: usize = 10;

impl World {
    /// The end of a run: no more faults, everything is brought to where it should be and compared.
    pub(super) fn heal(&mut self) {
        if self.mood.disk > 0 {
            // One failure more, so that nothing comes behind it that would hide what it leaves.
            self.disk.syncs_partly(self.random.next());
            self.disk.fails_at(u32::try_from(self.random.below(25)).unwrap());
            self.write();
        }
        self.ledger.tell(|| "everything is healed".to_owned());
        self.disk.heal();
        self.folder.iter_mut().for_each(Folder::heals);
        if self.relay.is_none() {
            self.start_relay();
        }
        // A store that failed again and again rests for some ticks.
        for _ in 0..RESTS {
            let now = self.now();
            self.relay.as_mut().expect("it was started").tick(now);
            self.write();
        }
        // First without connecting anew: who is online is told everything.
        self.settle(false);
        for client in &self.clients {
            for desk in client.session.iter().flat_map(|session| session.desks.values()) {
                if let Some(reading) = &desk.reading {
                    self.ledger.read_all(reading);
                }
            }
        }
        self.settle_all();
        self.leave();
    }

    /// Nobody comes for so long that no reader counts any more, be it that the relay cannot be
    /// reached (MBX-10). Then they come back, one of them last, and all of them get everything.
    pub(super) fn outage(&mut self) {
        self.mood = Mood::default();
        self.wait(Duration::from_secs(self.ledger.longest_ttl() + 2 * SEEN_LATE));
        self.ledger.nobody_counts();
        self.away = Some(self.random.index(self.clients.len()));
        for _ in 0..EVENTS_OF_A_RETURN {
            self.event();
        }
        self.away = None;
        // What is on its way first: whoever sends again beside it would not come to rest.
        self.settle(false);
        self.settle_all();
        self.leave();
    }

    /// Everybody goes, and nothing is held for them.
    fn leave(&mut self) {
        for line in self.lines.keys().copied().collect::<Vec<_>>() {
            self.cut(line);
        }
        let now = self.now();
        let relay = self.relay.as_mut().expect("it was started");
        for _ in 0..2 {
            relay.shrink(now);
            for _ in 0..50 {
                relay.step_writer();
                relay.turn_hold();
            }
        }
        // What was given up meanwhile goes, and parts that are of no blob.
        relay.shrink(now);
        assert_eq!(relay.held(), Held::default(), "DLV-8: something is held for nobody");
        self.check_objects(self.ledger.blobs_left());
    }

    /// Long after everything has expired, nothing of it is held: the store's memory is at its base.
    pub(super) fn forget(&mut self) {
        let longest = u64::from(limits::TTL_MAX.get() + limits::DEDUP_WINDOW.get()) + 2;
        self.wait(Duration::from_secs(longest));
        let now = self.now();
        let relay = self.relay.as_mut().expect("it was started");
        for _ in 0..100 {
            relay.tick(now);
            relay.step_writer();
        }
        relay.shrink(now);
        assert_eq!(relay.held(), Held::default(), "something is held for nobody");
        assert_eq!(relay.remembered(), 0, "envelopes are remembered long after their end");
        self.check_objects(0);
    }

    /// BLB-3, BLB-7: a crash leaves no parts behind that are of no blob.
    fn check_objects(&self, most: usize) {
        let Some(folder) = &self.folder else { return };
        let found = folder.objects();
        assert!(found <= most, "{found} objects of {most} blobs");
    }

    /// Brings everybody to where they should be, and has everything read that is there.
    fn settle_all(&mut self) {
        for session in self.clients.iter_mut().filter_map(|client| client.session.as_mut()) {
            session.read.clear();
        }
        let since = self.moment.event;
        self.settle(true);
        self.check_settled();
        self.ledger.check_blobs_read(since);
    }

    /// Lets everything move until nothing does.
    fn settle(&mut self, connects: bool) {
        let mut quiet = 0;
        for round in 0..ROUNDS {
            self.moment.event += 1;
            self.ledger.passes(self.moment);
            let mut moved = false;
            for number in 0..self.clients.len() {
                if connects && self.clients[number].session.is_none() {
                    self.connect(number);
                    moved = true;
                }
                self.with_client(number, |client, scene| client.settle(scene, connects));
            }
            for line in self.lines.keys().copied().collect::<Vec<_>>() {
                moved |= self.up(line, usize::MAX);
                moved |= self.work(line);
                moved |= self.down(line, usize::MAX);
            }
            self.write();
            if let Some(relay) = self.relay.as_ref().filter(|_| round % 16 == 15) {
                relay.shrink(self.now());
            }
            let held = self.relay.as_ref().map(Relay::held).unwrap_or_default();
            moved |= held.waiting > 0 || held.queued_bytes > 0;
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet > 3 {
                return;
            }
        }
        for client in &self.clients {
            let session = client.session.as_ref();
            for number in &client.seats {
                let seat = &self.town.seats[*number];
                let desks = session.iter().flat_map(|it| &it.desks);
                let desks: Vec<_> = desks
                    .filter(|(_, desk)| desk.seat == *number)
                    .map(|(handle, desk)| (handle, desk.is_asking, &desk.opened, &desk.reading))
                    .collect();
                self.ledger.tell(|| {
                    let left = seat.outbox.len();
                    format!("{:?} {:?} {:?} {left} {desks:?}", seat.place, seat.role, seat.status)
                });
            }
        }
        panic!("nothing comes to rest in {ROUNDS} rounds");
    }

    /// Every seat that reads has read all there is.
    fn check_settled(&mut self) {
        for client in &self.clients {
            let session = client.session.as_ref().expect("connected");
            assert!(session.pending.is_empty(), "TRN-9: a request is never answered");
            for number in &client.seats {
                let seat = &self.town.seats[*number];
                if !self.town.has_claim(*number) || !self.town.mailbox(seat.place).created {
                    continue;
                }
                let key = seat.key.public();
                let own = session.desks.values().find(|desk| {
                    desk.seat == *number && desk.key == key && desk.secret == seat.secret
                });
                let Some(desk) = own else {
                    assert!(seat.role != Role::Member, "a member does not read");
                    continue;
                };
                let Some(reading) = desk.reading.as_ref() else { continue };
                assert!(reading.caught_up, "DLV-4: a backlog does not end");
                self.ledger.read_all(reading);
            }
        }
    }
}
