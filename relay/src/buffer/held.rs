//! Memory-first: what is held, seen, confirmed and written, turn by turn (MBX-21).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};
use restante_spec::limits;

use super::conformance::{ALL, NOW, append, id, mailbox, row};
use super::disk::Disk;
use super::redb::{RedbBuffer, Writer};
use super::{
    Act, AppendAct, Buffer, BufferError, Done, Level, Outcome, Page, Part, Row, Settings, Span,
    Stored,
};

/// A buffer that holds whatever may be held, for a millisecond: it keeps the contract as any other.
pub(super) struct Holding(Arc<RedbBuffer>);

impl Holding {
    pub(super) fn start() -> Arc<Self> {
        let settings = Settings { hold: Duration::from_millis(1), ..Settings::default() };
        let (buffer, writer) = RedbBuffer::open_on(&Disk::default(), settings, NOW).unwrap();
        crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
        Arc::new(Self(buffer))
    }
}

impl Buffer for Holding {
    fn submit(&self, mailbox: MailboxId, mut act: Act, done: Done) -> Result<(), Done> {
        if let Act::Append(append) = &mut act
            && append.rows.is_empty()
            && !append.commit
        {
            append.hold = Some(Box::new(|_| ()));
        }
        let done = Box::new(move |outcome| {
            done(match outcome {
                Ok(Outcome::Settled(stored)) => Ok(Outcome::Stored(stored)),
                other => other,
            });
        });
        self.0.submit(mailbox, act, done)
    }

    fn rows(&self, mailbox: MailboxId, tags: RangeInclusive<u8>) -> Result<Vec<Row>, BufferError> {
        self.0.rows(mailbox, tags)
    }

    fn row(&self, mailbox: MailboxId, part: &Part) -> Result<Option<Row>, BufferError> {
        self.0.row(mailbox, part)
    }

    fn all_rows(&self, tag: u8, each: &mut dyn FnMut(MailboxId, Row)) -> Result<(), BufferError> {
        self.0.all_rows(tag, each)
    }

    fn mailboxes(
        &self,
        after: Option<MailboxId>,
        max: usize,
    ) -> Result<Vec<MailboxId>, BufferError> {
        self.0.mailboxes(after, max)
    }

    fn read(&self, mailbox: MailboxId, span: Span, now: UnixTime) -> Result<Page, BufferError> {
        self.0.read(mailbox, span, now)
    }

    fn lookup(&self, mailbox: MailboxId, id: EnvelopeId) -> Option<Stored> {
        self.0.lookup(mailbox, id)
    }

    fn confirm(&self, mailbox: MailboxId, upto: Seq, now: UnixTime) -> bool {
        self.0.confirm(mailbox, upto, now)
    }

    fn level(&self, mailbox: MailboxId, now: UnixTime) -> Level {
        self.0.level(mailbox, now)
    }

    fn last(&self) -> Seq {
        self.0.last()
    }

    fn restored(&self) -> Seq {
        self.0.restored()
    }

    fn queued(&self) -> usize {
        self.0.queued()
    }

    fn tick(&self, now: UnixTime) {
        self.0.tick(now);
    }
}

type Answer = Result<Outcome, BufferError>;

/// A buffer whose writer and turns move by hand, with mailbox 1 in it.
struct Hand {
    disk: Disk,
    buffer: Arc<RedbBuffer>,
    writer: Writer,
}

impl Hand {
    fn new(settings: Settings) -> Self {
        let mut hand = Self::on(Disk::default(), settings);
        let rows = vec![row(0, b"", Some(b"control"))];
        let created = hand.submit(Act::Create { rows, max_mailboxes: 100, toll: None });
        hand.writer.step();
        created.try_recv().unwrap().unwrap();
        hand
    }

    fn on(disk: Disk, settings: Settings) -> Self {
        let (buffer, writer) = RedbBuffer::open_on(&disk, settings, NOW).unwrap();
        Self { disk, buffer, writer }
    }

    fn submit(&self, act: Act) -> Receiver<Answer> {
        let (sender, answer) = sync_channel(1);
        // Who asked may have gone.
        let done = Box::new(move |outcome| sender.send(outcome).unwrap_or_default());
        assert!(self.buffer.submit(mailbox(1), act, done).is_ok(), "the queue has room");
        answer
    }

    /// Appends what may be held; when it is seen, and when it is answered.
    fn hold(&mut self, append: AppendAct) -> (Receiver<Stored>, Receiver<Answer>) {
        let (sender, seen) = sync_channel(1);
        let hold: super::Seen = Box::new(move |stored| sender.send(stored).unwrap_or_default());
        let answer = self.submit(Act::Append(AppendAct { hold: Some(hold), ..append }));
        self.writer.step();
        (seen, answer)
    }

    fn ids(&self) -> Vec<EnvelopeId> {
        let page = self.buffer.read(mailbox(1), ALL, NOW).unwrap();
        page.envelopes.into_iter().map(|envelope| envelope.id).collect()
    }

    /// What another process finds on the disk.
    fn after_crash(&self) -> Self {
        Self::on(self.disk.after_crash(1), Settings::default())
    }
}

/// MBX-21: it is seen and read at once, and what is confirmed within its time is never written and
/// answered all the same, when its turn comes.
#[test]
fn what_is_confirmed_is_never_written() {
    let mut hand = Hand::new(Settings::default());
    // Whatever would be written from here on fails.
    hand.disk.dies_after(0);
    let (seen, answer) = hand.hold(append(1));
    let stored = seen.try_recv().unwrap();
    assert_eq!(hand.ids(), [id(1)]);
    assert_eq!(hand.buffer.level(mailbox(1), NOW).head, stored.seq);
    assert!(hand.buffer.confirm(mailbox(1), stored.seq, NOW), "nothing else was let go");
    assert_eq!(hand.ids(), []);
    hand.writer.turn_hold();
    hand.writer.turn_hold();
    assert!(answer.try_recv().is_err(), "the answer's time tells who was there");
    hand.writer.turn_hold();
    assert_eq!(answer.try_recv().unwrap(), Ok(Outcome::Settled(stored)));
    assert_eq!(hand.disk.failures(), 0, "something was written");
}

/// MBX-4, MBX-21: what is not confirmed is written before it is answered, at the same turn as if
/// it were.
#[test]
fn what_is_not_confirmed_is_written() {
    let mut hand = Hand::new(Settings::default());
    let (seen, answer) = hand.hold(append(1));
    let stored = seen.try_recv().unwrap();
    hand.writer.turn_hold();
    assert_eq!(hand.after_crash().ids(), [], "not yet");
    hand.writer.turn_hold();
    assert!(answer.try_recv().is_err());
    assert_eq!(hand.after_crash().ids(), [id(1)]);
    hand.writer.turn_hold();
    assert_eq!(answer.try_recv().unwrap(), Ok(Outcome::Settled(stored)));
    assert_eq!(hand.ids(), [id(1)]);
    assert!(!hand.buffer.confirm(mailbox(1), stored.seq, NOW), "a written one is to be trimmed");
}

/// MBX-3: a number that was seen and lost is not given again, and the positions of those who have
/// it are still known.
#[test]
fn numbers_that_were_only_held_are_not_given_again() {
    let mut hand = Hand::new(Settings { reserve: 1, ..Settings::default() });
    let (seen, _) = hand.hold(append(1));
    let lost = seen.try_recv().unwrap();
    let mut next = hand.after_crash();
    assert_eq!(next.ids(), []);
    assert!(next.buffer.last() >= lost.seq);
    let (seen, _) = next.hold(append(1));
    assert!(seen.try_recv().unwrap().seq > lost.seq);
}

/// MBX-21: whatever else happens to the mailbox writes what is held first, in one step, so that no
/// crash keeps the later and loses the earlier. Once it was answered then too: a reader who came
/// back was known by that.
#[test]
fn other_acts_settle_what_is_held_before_them() {
    let mut hand = Hand::new(Settings::default());
    let (_, first) = hand.hold(append(1));
    let other = hand.submit(Act::Append(append(2)));
    hand.writer.step();
    assert!(matches!(other.try_recv().unwrap(), Ok(Outcome::Stored(_))));
    assert_eq!(hand.ids(), [id(1), id(2)]);
    assert_eq!(hand.after_crash().ids(), [id(1), id(2)]);
    let (seen, third) = hand.hold(append(3));
    let stored = seen.try_recv().unwrap();
    let again = hand.submit(Act::Append(append(3)));
    hand.writer.step();
    assert_eq!(again.try_recv().unwrap(), Ok(Outcome::Already(stored)));
    assert_eq!(hand.after_crash().ids(), [id(1), id(2), id(3)]);
    (0..2).for_each(|_| hand.writer.turn_hold());
    for answer in [&first, &third] {
        assert!(answer.try_recv().is_err(), "its turn is still to come");
    }
    hand.writer.turn_hold();
    for answer in [first, third] {
        assert!(matches!(answer.try_recv().unwrap(), Ok(Outcome::Settled(_))));
    }
    assert_eq!(hand.ids(), [id(1), id(2), id(3)]);
}

/// MBX-21: once a turn came so much later as the one before had to write, which is when a reader
/// was absent.
#[test]
fn turns_do_not_wait_for_each_other() {
    let hold = Duration::from_secs(3_600);
    let mut hand = Hand::new(Settings { hold, ..Settings::default() });
    let (_seen, _answer) = hand.hold(append(1));
    let first = hand.writer.next_turn().unwrap();
    for turns in 1..3 {
        hand.writer.turn_hold();
        assert_eq!(hand.writer.next_turn(), Some(first + hold * turns));
    }
    hand.writer.turn_hold();
    assert_eq!(hand.writer.next_turn(), None, "nothing is held");
}

/// MBX-21: when the store fails nothing is known of what is held, and what was seen is never
/// called certainly not done.
#[test]
fn a_failing_store_leaves_doubt_about_what_is_held() {
    for settles in [false, true] {
        let mut hand = Hand::new(Settings::default());
        let (seen, answer) = hand.hold(append(1));
        seen.try_recv().unwrap();
        hand.disk.dies_after(0);
        if settles {
            let other = hand.submit(Act::Append(append(2)));
            hand.writer.step();
            assert!(matches!(other.try_recv().unwrap(), Err(BufferError::Unavailable)));
        } else {
            hand.writer.turn_hold();
            hand.writer.turn_hold();
        }
        assert_eq!(answer.try_recv().unwrap(), Err(BufferError::Unknown));
        hand.disk.heal();
        hand.writer.step();
        assert_eq!(hand.ids(), []);
        let (seen, _) = hand.hold(append(1));
        seen.try_recv().unwrap();
        assert_eq!(hand.ids(), [id(1)]);
    }
}

/// MBX-6: what was written or confirmed before its turn stays accepted when the store fails
/// meanwhile, as what came behind it was accepted already.
#[test]
fn a_failing_store_takes_back_nothing_that_is_decided() {
    let mut hand = Hand::new(Settings::default());
    let (_, decided) = hand.hold(append(1));
    (0..2).for_each(|_| hand.writer.turn_hold());
    let (_, settled) = hand.hold(append(2));
    let behind = hand.submit(Act::Append(append(3)));
    hand.writer.step();
    assert!(matches!(behind.try_recv().unwrap(), Ok(Outcome::Stored(_))));
    let (_, lost) = hand.hold(append(4));
    hand.disk.dies_after(0);
    hand.submit(Act::Append(append(5)));
    hand.writer.step();
    for answer in [decided, settled] {
        assert!(matches!(answer.try_recv().unwrap(), Ok(Outcome::Settled(_))));
    }
    assert_eq!(lost.try_recv().unwrap(), Err(BufferError::Unknown));
    assert_eq!(hand.after_crash().ids(), [id(1), id(2), id(3)]);
}

/// MBX-5: the id of what was never written is remembered for its time, then forgotten with all that
/// was kept of it.
#[test]
fn ids_of_what_was_never_written_are_remembered() {
    let mut hand = Hand::new(Settings { hold_entries: 1, ..Settings::default() });
    let (seen, _) = hand.hold(append(1));
    let stored = seen.try_recv().unwrap();
    hand.buffer.confirm(mailbox(1), stored.seq, NOW);
    (0..3).for_each(|_| hand.writer.turn_hold());
    let window = u64::from(limits::DEDUP_WINDOW.get());
    let last = UnixTime::new(NOW.get() + window - 1);
    hand.buffer.tick(last);
    hand.writer.step();
    let again = hand.submit(Act::Append(AppendAct { now: last, ..append(1) }));
    hand.writer.step();
    assert_eq!(again.try_recv().unwrap(), Ok(Outcome::Already(stored)));
    // LIM-21: there is no room to remember another one.
    let (seen, answer) = hand.hold(AppendAct { now: last, ..append(2) });
    assert!(seen.try_recv().is_err());
    assert!(matches!(answer.try_recv().unwrap(), Ok(Outcome::Stored(_))));
    hand.buffer.tick(UnixTime::new(NOW.get() + window));
    hand.writer.step();
    assert_eq!(hand.buffer.lookup(mailbox(1), id(1)), None);
    let (seen, _) = hand.hold(AppendAct { now: last, ..append(3) });
    seen.try_recv().unwrap();
}

/// LIM-21: so many bytes are held; with one more an envelope is stored as any other, at once.
#[test]
fn what_has_no_room_in_memory_is_stored() {
    let sized = |number, size| AppendAct { body: Bytes::from(vec![7; size]), ..append(number) };
    let mut hand = Hand::new(Settings { hold_bytes: 100, ..Settings::default() });
    let (seen, first) = hand.hold(sized(1, 60));
    seen.try_recv().unwrap();
    let (seen, _second) = hand.hold(sized(2, 40));
    seen.try_recv().unwrap();
    let (seen, third) = hand.hold(sized(3, 1));
    assert!(seen.try_recv().is_err());
    assert!(matches!(third.try_recv().unwrap(), Ok(Outcome::Stored(_))));
    assert_eq!(hand.ids(), [id(1), id(2), id(3)]);
    assert_eq!(hand.after_crash().ids(), [id(1), id(2), id(3)], "in the log's order");
    // Their time over, there is room again.
    (0..2).for_each(|_| hand.writer.turn_hold());
    assert!(first.try_recv().is_err());
    let (seen, _) = hand.hold(sized(4, 100));
    seen.try_recv().unwrap();
}

/// LIM-21. Once what was settled early kept its room until something else was held, for which there
/// may have been none.
#[test]
fn what_is_settled_early_leaves_its_room() {
    let body = Bytes::from(vec![7; 100]);
    let mut hand = Hand::new(Settings { hold_bytes: 100, ..Settings::default() });
    hand.hold(AppendAct { body: body.clone(), ..append(1) });
    hand.submit(Act::Append(append(2)));
    hand.writer.step();
    while hand.writer.next_turn().is_some() {
        hand.writer.turn_hold();
    }
    let (seen, _) = hand.hold(AppendAct { body, ..append(3) });
    seen.try_recv().unwrap();
}

/// MBX-4: a stop in good order writes and answers what is held.
#[test]
fn a_stop_writes_and_answers_what_is_held() {
    let mut hand = Hand::new(Settings::default());
    let (_, answer) = hand.hold(append(1));
    hand.buffer.stop();
    assert!(!hand.writer.step());
    assert!(matches!(answer.try_recv().unwrap(), Ok(Outcome::Settled(_))));
    assert_eq!(hand.after_crash().ids(), [id(1)]);
}

/// DLV-1. Once one that expired while it was held, or one whose chunk expired while a newer one was
/// held, was not known any more after a crash, and `prev` told nobody that it had been there.
#[test]
fn numbers_before_are_known_after_a_crash() {
    let soon = UnixTime::new(NOW.get() + 1);
    let late = UnixTime::new(soon.get() + 2 * u64::from(limits::DEDUP_WINDOW.get()));
    for is_written in [false, true] {
        let mut hand = Hand::new(Settings::default());
        let (seen, _answer) = hand.hold(AppendAct { expires_at: soon, ..append(1) });
        let stored = seen.try_recv().unwrap();
        if is_written {
            (0..3).for_each(|_| hand.writer.turn_hold());
            hand.hold(append(2));
        }
        hand.buffer.tick(late);
        hand.writer.step();
        if !is_written {
            (0..3).for_each(|_| hand.writer.turn_hold());
            hand.writer.step();
        }
        let after = hand.after_crash();
        assert_eq!(after.buffer.level(mailbox(1), late).head, stored.seq, "{is_written}");
    }
}
