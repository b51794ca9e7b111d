//! Who sits where: each device of a run, whose it is, what it was told, and how people come by
//! further ones.
//!
//! Knows the clients; how they and everything else move is `world.rs`.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use restante_client::simulation::Device;
use restante_client::{Client, ConversationId, Event, EventStream, Notice, Standing, StoreKey};
use restante_crypto::SigningKey;
use restante_spec::address::RelayAddress;
use restante_spec::ids::{Nonce, UnixTime};
use restante_tests::memory::memory_dir;
use tempfile::TempDir;

use super::line::Line;
use super::workload::{history, show};
use super::world::{Faults, World};

/// One device. That of person `n` that has the account's key sits at seat `n`.
pub(crate) struct Seat {
    pub(crate) person: usize,
    home: TempDir,
    /// Its process; `None`: it does not run.
    pub(super) device: Option<(Device, EventStream)>,
    pub(super) line: Option<Line>,
    /// Nobody uses it before this moment.
    pub(super) away_until: u64,
    /// Its account has removed it.
    pub(crate) is_removed: bool,
    /// The number it was shown while it was linked.
    check: Option<String>,
    /// Groups it was told somebody cannot be added to.
    pub(crate) cannot_add: BTreeSet<ConversationId>,
    /// Conversations of which it was told that it came too late for something.
    pub(crate) gone: BTreeSet<ConversationId>,
    /// Conversations of which it was told that it reads on behind something it has not read: what
    /// that was the ledger knows.
    skipped: BTreeSet<ConversationId>,
    /// It was away for longer than the relay keeps anything.
    pub(super) was_absent: bool,
}

impl Seat {
    fn new(person: usize, home: TempDir, device: (Device, EventStream)) -> Self {
        Self {
            person,
            home,
            device: Some(device),
            line: None,
            away_until: 0,
            is_removed: false,
            check: None,
            cannot_add: BTreeSet::new(),
            gone: BTreeSet::new(),
            skipped: BTreeSet::new(),
            was_absent: false,
        }
    }

    /// Whether the relay had let go of something of a conversation before it came for it.
    pub(super) fn came_too_late(&self, id: &ConversationId) -> bool {
        self.was_absent || self.gone.contains(id) || self.skipped.contains(id)
    }

    /// Takes what the device has told; anything that should not be fails the run.
    fn hear(&mut self, number: usize, past: Faults) {
        let Some((_, events)) = &mut self.device else { return };
        while let Some(Some(event)) = events.next().now_or_never() {
            let Event::Notice(notice) = event else { continue };
            match notice {
                Notice::CannotAdd { conversation, .. } => {
                    self.cannot_add.insert(conversation);
                }
                // It is let in again, or is given what was let go.
                Notice::Gone { .. } | Notice::Gap { .. } if self.was_absent => {}
                Notice::Gone { conversation: id }
                | Notice::ConversationLost { conversation: id } => {
                    self.gone.insert(id);
                }
                Notice::Gap { conversation: Some(id), .. } => {
                    self.skipped.insert(id);
                }
                Notice::LinkOffered { check } => self.check = Some(check),
                Notice::Unlinked | Notice::ShutOut | Notice::ConversationClosed { .. }
                    if self.is_removed => {}
                // What a removed device says is not heard (DEV-14).
                Notice::Junk { .. } if past.unlinks > 0 => {}
                // Who says that it was removed may have come into that role since; who asks to be
                // let in again may be a member no more.
                Notice::Junk { conversation: None }
                    if past.absences > 0 || !self.gone.is_empty() => {}
                // Who made a change may have lost the right to it while it was under way.
                Notice::Improper { .. } => {}
                notice => panic!("device {number} is told: {notice:?}"),
            }
        }
    }
}

impl World {
    /// Somebody makes an account.
    pub(super) fn settle_in(&mut self, person: usize) {
        let (home, now) = (memory_dir(), self.time());
        let nickname = format!("person {person}");
        let device = Device::create(home.path(), &key(), &self.address(), &nickname, now);
        self.sit_down(Seat::new(person, home, watched(device.expect("an account"), now)));
    }

    /// Somebody takes a further device into the account. Nothing comes between the two while they
    /// are side by side; what follows from it goes its way with everything else.
    pub(crate) fn link(&mut self, person: usize) {
        let (home, now) = (memory_dir(), self.time());
        let device = Device::link(home.path(), &key(), &self.address(), now);
        let seat = self.sit_down(Seat::new(person, home, watched(device.expect("a device"), now)));
        self.ledger.tell(|| format!("{seat} is a further device of person {person}"));
        self.settle_among(&[person, seat]);
        let code = self.ask(seat, |it| async move { it.link_code().await });
        let (code, label) = (code.unwrap().expect("a code"), format!("seat {seat}"));
        let check = self.ask(person, |it| async move { it.link_device(&code, &label).await });
        self.settle_among(&[person, seat]);
        assert_eq!(self.seats[seat].check, check.ok(), "both screens show one number");
        self.ask(seat, |it| async move { it.finish_link().await }).expect("linked");
        self.faults.links += 1;
    }

    /// Somebody removes one of the further devices from the account.
    pub(crate) fn unlink(&mut self, seat: usize) {
        let (person, label) = (self.seats[seat].person, format!("seat {seat}"));
        let devices = self.ask(person, |it| async move { it.devices().await }).unwrap();
        let number = devices.iter().find(|device| device.label == label).expect("linked").number;
        self.ledger.tell(|| format!("{seat} is removed from the account of person {person}"));
        self.ask(person, |it| async move { it.remove_device(number).await }).expect("removed");
        self.seats[seat].is_removed = true;
        self.ledger.removed(seat);
        self.faults.unlinks += 1;
    }

    pub(crate) fn people(&self) -> usize {
        self.seats.iter().map(|seat| seat.person + 1).max().unwrap_or(0)
    }

    /// All devices that are in an account.
    pub(crate) fn in_use(&self) -> Vec<usize> {
        (0..self.seats.len()).filter(|seat| !self.seats[*seat].is_removed).collect()
    }

    /// Only who was struck may come too late for the end of its time (MBX-9); and, where somebody
    /// is away for long, who agrees to an invitation of before: the others let it in again.
    pub(crate) fn check_gone(&mut self) {
        for seat in self.in_use() {
            for id in self.seats[seat].gone.clone() {
                let history = history(self, seat, id);
                let is_back = self.faults.absences > 0
                    && show(self, seat, id).standing == Standing::Open
                    && self.ledger.is_in(seat, &history);
                assert!(
                    is_back || !self.ledger.has_stayed(seat, &history),
                    "{seat} lost a conversation it is in"
                );
            }
        }
    }

    /// The devices of a person that are in the account.
    pub(crate) fn devices_of(&self, person: usize) -> Vec<usize> {
        let theirs = |seat: &usize| {
            let seat = &self.seats[*seat];
            seat.person == person && !seat.is_removed
        };
        (0..self.seats.len()).filter(theirs).collect()
    }

    fn sit_down(&mut self, seat: Seat) -> usize {
        let number = self.seats.len();
        self.ledger.sat_down(number, seat.person);
        self.seats.push(seat);
        self.ask(number, |client| async move { client.connect().await }).expect("connects");
        number
    }

    fn address(&self) -> RelayAddress {
        let identity = SigningKey::from_seed(&self.setup.identity).public();
        RelayAddress::new(identity, "127.0.0.1", 1).expect("an address")
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

    pub(crate) const fn has_relay(&self) -> bool {
        self.relay.is_some()
    }

    /// A device does one thing. Returns whether there was one.
    pub(super) fn step(&mut self, number: usize) -> bool {
        if !self.runs(number) {
            return false;
        }
        let (time, now) = (self.time(), self.now());
        let seat = &mut self.seats[number];
        let Some((device, _)) = &mut seat.device else { return false };
        let moved = device.step(time).unwrap_or_else(|error| panic!("device {number}: {error}"));
        seat.hear(number, self.faults);
        let Some((device, _)) = &mut seat.device else { return false };
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

    /// A process begins on what another has left.
    pub(super) fn open(&mut self, seat: usize) {
        let now = self.time();
        let device = Device::open(self.seats[seat].home.path(), &key(), now).expect("it opens");
        self.seats[seat].device = Some(watched(device, now));
        self.ask(seat, |client| async move { client.connect().await }).expect("connects");
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
