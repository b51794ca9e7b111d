//! Clocks that are wrong for a moment: they take what they must, and nothing that comes later.

use std::io;
use std::sync::Arc;

use restante_spec::ids::{Seq, UnixTime};

use super::conformance::{ALL, NOW, Rig, append, id, mailbox, row};
use super::disk::Disk;
use super::redb::snapshot::Verifier;
use super::redb::{RedbBuffer, Writer};
use super::{Act, AppendAct, Buffer, BufferError, Chain, Outcome, Settings, Span};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// A store whose writer moves by hand.
struct Hand {
    buffer: Arc<RedbBuffer>,
    rig: Rig,
    writer: Writer,
}

impl Hand {
    fn new(disk: &Disk) -> Self {
        let (buffer, writer) = RedbBuffer::open_on(disk, Settings::default(), NOW).unwrap();
        Self { buffer: buffer.clone(), rig: Rig { buffer, epoch: Seq::START }, writer }
    }

    fn create(&mut self) {
        let rows = vec![row(0, b"", Some(b"control"))];
        self.act(Act::Create { rows, max_mailboxes: 1, toll: None }).unwrap();
    }

    fn act(&mut self, act: Act) -> Result<Outcome, BufferError> {
        let answer = self.rig.submit(1, act);
        self.writer.step();
        answer.try_recv().unwrap()
    }

    fn tick(&mut self, later: u64) {
        self.rig.buffer.tick(at(later));
        self.writer.step();
    }
}

const fn at(later: u64) -> UnixTime {
    UnixTime::new(NOW.get() + later)
}

fn lasting(number: u32, ttl: u64) -> AppendAct {
    AppendAct { expires_at: at(ttl), ..append(number) }
}

/// Once a clock that was ahead for a second took the key of everything accepted from then on, in
/// the turn that accepted it, until the next start.
#[test]
fn a_clock_that_was_ahead_takes_nothing_that_comes_later() {
    let mut hand = Hand::new(&Disk::default());
    hand.create();
    hand.tick(20 * DAY);
    hand.tick(0);
    hand.act(Act::Append(lasting(1, 14 * DAY))).unwrap();
    hand.tick(1);
    assert_eq!(hand.rig.ids(1, NOW), [id(1)]);
}

/// MBX-4, MBX-6, MBX-16: what would lose its key in the turn that takes it is refused, held or not,
/// and what comes behind it in its chain with it.
#[test]
fn what_is_over_by_the_clock_is_refused() {
    let mut hand = Hand::new(&Disk::default());
    hand.create();
    hand.tick(20 * DAY);
    let chain = Chain::new();
    let link = || chain.link();
    let refused = hand.act(Act::Append(AppendAct { link: link(), ..lasting(1, 14 * DAY) }));
    assert_eq!(refused, Err(BufferError::Unavailable));
    let behind = hand.act(Act::Append(AppendAct { link: link(), ..lasting(2, 30 * DAY) }));
    assert_eq!(behind, Err(BufferError::Aborted));
    let seen: super::Seen = Box::new(|_| panic!("held"));
    let held = hand.act(Act::Append(AppendAct { hold: Some(seen), ..lasting(3, 14 * DAY) }));
    assert_eq!(held, Err(BufferError::Unavailable));
    hand.act(Act::Append(lasting(4, 30 * DAY))).unwrap();
    hand.tick(0);
    assert_eq!(hand.rig.ids(1, NOW), [id(4)]);
}

/// What a clock that was weeks ahead has left in the ring of keys is refused its slot, and closes
/// the store for nobody else.
#[test]
fn a_slot_of_the_far_future_refuses_one_quarter_of_an_hour() {
    let disk = Disk::default();
    let mut hand = Hand::new(&disk);
    hand.create();
    hand.tick(40 * DAY);
    // Layout: the ring has 4,096 slots.
    let round = 4_096 * 900;
    hand.act(Act::Append(lasting(1, DAY + round))).unwrap();
    hand.tick(0);
    assert_eq!(hand.act(Act::Append(lasting(2, DAY))), Err(BufferError::Unavailable));
    hand.act(Act::Append(lasting(3, DAY + 900))).unwrap();
    assert_eq!(hand.rig.ids(1, NOW), [id(1), id(3)]);
}

/// Once an envelope whose key had gone with a clock that was ahead, and was made anew since, made
/// its mailbox unreadable and backups damaged; without such a key it was an empty page with more
/// behind it, for ever.
#[test]
fn what_lost_its_key_is_passed_over() {
    let disk = Disk::default();
    let mut hand = Hand::new(&disk);
    hand.create();
    let answers =
        [(1, HOUR), (2, 10 * DAY)].map(|(n, ttl)| hand.rig.submit(1, Act::Append(lasting(n, ttl))));
    hand.writer.step();
    assert!(answers.iter().all(|answer| answer.try_recv().unwrap().is_ok()));
    hand.tick(2 * HOUR);
    drop(hand);
    let mut hand = Hand::new(&disk);
    let one_by_one = |hand: &Hand| {
        let (mut span, mut ids) = (Span { max: 1, ..ALL }, Vec::new());
        loop {
            let page = hand.buffer.read(mailbox(1), span, NOW).unwrap();
            ids.extend(page.envelopes.iter().map(|envelope| envelope.id));
            if !page.more {
                return ids;
            }
            span.after = page.envelopes.last().expect("more, and nothing to go on from").seq;
        }
    };
    assert_eq!(hand.rig.ids(1, NOW), [id(2)], "without its key");
    assert_eq!(one_by_one(&hand), [id(2)]);
    hand.act(Act::Append(lasting(3, HOUR))).unwrap();
    assert_eq!(hand.rig.ids(1, NOW), [id(2), id(3)], "under another");
    assert_eq!(one_by_one(&hand), [id(2), id(3)]);
    let mut verifier = Verifier::default();
    hand.buffer.snapshot(&mut |record| verifier.take(record).map_err(io::Error::other)).unwrap();
    let found = verifier.finish().unwrap();
    assert_eq!((found.envelopes, found.expired), (2, 1));
}
