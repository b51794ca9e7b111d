//! What every buffer must do alike. Another store joins by one line below the cases.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use restante_spec::ids::{EnvelopeId, MailboxId, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::EnvelopeClass;

use super::memory::MemoryBuffer;
use super::redb::RedbBuffer;
use super::{
    Act, AppendAct, Buffer, BufferError, Chain, ChainLink, Outcome, Part, Quota, RELAY, RowWrite,
    Span, Stored, Toll,
};

pub(super) const ALL: Span =
    Span { after: Seq::START, upto: Seq::new(u64::MAX), max: usize::MAX, max_bytes: usize::MAX };
pub(super) const QUOTA: Quota =
    Quota { entries: 8, bytes: 1_000, reserve_entries: 2, reserve_bytes: 200 };
pub(super) const NOW: UnixTime = UnixTime::new(1_000);

/// A buffer with mailbox 1 in it, under epoch `epoch`.
pub(super) struct Rig {
    pub(super) buffer: Arc<dyn Buffer>,
    pub(super) epoch: Seq,
}

pub(super) const fn mailbox(number: u8) -> MailboxId {
    MailboxId::new([number; 16])
}

pub(super) fn id(number: u32) -> EnvelopeId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    EnvelopeId::new(bytes)
}

pub(super) fn row(tag: u8, key: &[u8], value: Option<&'static [u8]>) -> RowWrite {
    let part = Part { tag, key: key.to_vec() };
    RowWrite { part, value: value.map(Bytes::from_static) }
}

pub(super) fn append(number: u32) -> AppendAct {
    AppendAct {
        id: id(number),
        class: EnvelopeClass::Normal,
        expires_at: UnixTime::new(NOW.get() + 1_000),
        body: Bytes::from_static(b"sealed"),
        link: Chain::new().link(),
        epoch: None,
        commit: false,
        rows: Vec::new(),
        quota: QUOTA,
        now: NOW,
        hold: None,
    }
}

type Answer = Result<Outcome, BufferError>;

impl Rig {
    pub(super) fn new(buffer: Arc<dyn Buffer>) -> Self {
        let mut rig = Self { buffer, epoch: Seq::START };
        rig.buffer.tick(NOW);
        rig.epoch = rig.create(1);
        rig
    }

    pub(super) fn create(&self, number: u8) -> Seq {
        let rows = vec![row(0, b"", Some(b"control")), row(Part::EPOCH, b"", Some(b"key"))];
        match self.act(number, Act::Create { rows, max_mailboxes: 100, toll: None }) {
            Ok(Outcome::Written(number)) => number,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(super) fn submit(&self, number: u8, act: Act) -> Receiver<Answer> {
        let (sender, receiver) = sync_channel(1);
        let done = Box::new(move |answer| sender.send(answer).unwrap());
        assert!(self.buffer.submit(mailbox(number), act, done).is_ok(), "the queue has room");
        receiver
    }

    pub(super) fn act(&self, number: u8, act: Act) -> Answer {
        self.submit(number, act).recv().unwrap()
    }

    pub(super) fn store(&self, number: u8, append: AppendAct) -> Stored {
        match self.act(number, Act::Append(append)) {
            Ok(Outcome::Stored(stored)) => stored,
            other => panic!("not stored: {other:?}"),
        }
    }

    fn refused(&self, append: AppendAct) -> BufferError {
        self.act(1, Act::Append(append)).unwrap_err()
    }

    fn trim(&self, upto: Seq) {
        let act = Act::Write { rows: Vec::new(), trim: Some(upto) };
        assert!(self.act(1, act).is_ok());
    }

    pub(super) fn ids(&self, number: u8, now: UnixTime) -> Vec<EnvelopeId> {
        let page = self.buffer.read(mailbox(number), ALL, now).unwrap();
        page.envelopes.into_iter().map(|envelope| envelope.id).collect()
    }
}

/// MBX-3: numbers rise over all mailboxes, and each log has its own order and `prev`.
fn numbers_rise_and_logs_are_apart(rig: &Rig) {
    rig.create(2);
    let one = rig.store(1, append(1));
    let two = rig.store(2, append(2));
    let three = rig.store(1, append(3));
    assert!(one.seq < two.seq && two.seq < three.seq);
    assert_eq!((one.prev, two.prev, three.prev), (Seq::START, Seq::START, one.seq));
    assert_eq!(rig.ids(1, NOW), [id(1), id(3)]);
    assert_eq!(rig.ids(2, NOW), [id(2)]);
}

/// MBX-5: the same id gets the same answer, in its mailbox only.
fn an_id_is_stored_once_in_each_mailbox(rig: &Rig) {
    rig.create(2);
    let first = rig.store(1, append(1));
    assert_eq!(rig.act(1, Act::Append(append(1))), Ok(Outcome::Already(first)));
    assert_eq!(rig.buffer.lookup(mailbox(1), id(1)), Some(first));
    assert_eq!(rig.buffer.lookup(mailbox(2), id(1)), None);
    rig.store(2, append(1));
    assert_eq!(rig.ids(1, NOW), [id(1)]);
}

/// MBX-5: a known id comes before chain, epoch and room.
fn a_known_id_is_judged_first(rig: &Rig) {
    let first = rig.store(1, append(1));
    for number in 2..=6 {
        rig.store(1, append(number));
    }
    let chain = Chain::new();
    let stale = AppendAct { epoch: Some(Seq::new(99)), link: chain.link(), ..append(7) };
    assert_eq!(rig.refused(stale), BufferError::StaleEpoch);
    let known = AppendAct { epoch: Some(Seq::new(99)), link: chain.link(), ..append(1) };
    assert_eq!(rig.act(1, Act::Append(known)), Ok(Outcome::Already(first)));
}

/// MBX-5: an id outlives its envelope, let go or expired, by 120 s at least.
fn an_id_outlives_its_envelope(rig: &Rig) {
    let soon = UnixTime::new(NOW.get() + 5);
    let expired = rig.store(1, AppendAct { expires_at: soon, ..append(1) });
    let trimmed = rig.store(1, append(2));
    rig.trim(trimmed.seq);
    let last = UnixTime::new(NOW.get() + u64::from(limits::DEDUP_WINDOW.get()) - 1);
    rig.buffer.tick(last);
    rig.trim(trimmed.seq);
    rig.trim(trimmed.seq);
    assert_eq!(rig.ids(1, last), []);
    for (number, stored) in [(1, expired), (2, trimmed)] {
        let again = AppendAct { now: last, ..append(number) };
        assert_eq!(rig.act(1, Act::Append(again)), Ok(Outcome::Already(stored)));
    }
}

/// MBX-6: what lies behind a refusal in its chain is aborted, what lies before is not.
fn a_chain_breaks_behind_its_refusal(rig: &Rig) {
    let chain = Chain::new();
    let linked = |number, link: ChainLink| AppendAct { link, ..append(number) };
    let links = [chain.link(), chain.link(), chain.link()];
    let [first, second, third] = links;
    second.break_here();
    rig.store(1, linked(1, first));
    assert_eq!(rig.refused(linked(3, third)), BufferError::Aborted);
    let stale = AppendAct { epoch: Some(Seq::new(99)), ..append(4) };
    let behind = stale.link.clone();
    assert_eq!(rig.refused(stale), BufferError::StaleEpoch);
    assert!(!behind.is_aborted(), "the refused one itself is not behind");
    rig.store(1, append(5));
}

/// MBX-7, MBX-8: of 64 racers for one epoch one wins, and no old-epoch envelope lies behind it.
fn one_of_many_racers_wins_an_epoch(rig: &Rig) {
    let quota = Quota { entries: 1_000, ..QUOTA };
    let racer = |number: u32| AppendAct {
        epoch: Some(rig.epoch),
        commit: number.is_multiple_of(4),
        rows: if number.is_multiple_of(4) {
            vec![row(Part::EPOCH, b"", Some(b"next"))]
        } else {
            Vec::new()
        },
        quota,
        ..append(number)
    };
    let answers: Vec<_> =
        (1..=64).map(|number| rig.submit(1, Act::Append(racer(number)))).collect();
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.recv().unwrap()).collect();
    let stored: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Ok(Outcome::Stored(stored)) => Some(*stored),
            _ => None,
        })
        .collect();
    assert_eq!(stored.iter().filter(|stored| stored.commit).count(), 1);
    assert!(stored.last().unwrap().commit, "nothing of the old epoch behind the commit");
    let page = rig.buffer.read(mailbox(1), ALL, NOW).unwrap();
    assert!(page.envelopes.iter().all(|envelope| envelope.epoch == rig.epoch));
    let part = Part { tag: Part::EPOCH, key: Vec::new() };
    let revision = rig.buffer.row(mailbox(1), &part).unwrap().unwrap().revision;
    assert_eq!(revision, stored.last().unwrap().seq, "the commit's number names the next epoch");
    let next = AppendAct { epoch: Some(revision), quota, ..append(100) };
    rig.store(1, next);
}

/// MBX-13: without an epoch row no append with an epoch is accepted.
fn a_closed_log_takes_nothing(rig: &Rig) {
    let rows = vec![row(Part::EPOCH, b"", None)];
    let closing = AppendAct { epoch: Some(rig.epoch), commit: true, rows, ..append(1) };
    rig.store(1, closing);
    let late = AppendAct { epoch: Some(rig.epoch), ..append(2) };
    assert_eq!(rig.refused(late), BufferError::StaleEpoch);
    let unnamed = AppendAct { epoch: Some(Seq::START), ..append(3) };
    assert_eq!(rig.refused(unnamed), BufferError::StaleEpoch, "no epoch is not an epoch");
}

/// LIM-3: at the bound of entries and bytes, one past it, with the reserve for commits; what was
/// let go or has expired makes room.
fn room_ends_at_the_quota(rig: &Rig) {
    for number in 1..=6 {
        rig.store(1, append(number));
    }
    assert_eq!(rig.refused(append(7)), BufferError::Full);
    let commit = |number| AppendAct { commit: true, ..append(number) };
    let last = rig.store(1, commit(8));
    rig.store(1, commit(9));
    assert_eq!(rig.refused(commit(10)), BufferError::Full);
    rig.trim(last.seq);
    rig.store(1, append(11));
    rig.create(2);
    let sized = |number, size| AppendAct { body: Bytes::from(vec![0; size]), ..append(number) };
    rig.store(2, sized(1, 800));
    assert_eq!(rig.act(2, Act::Append(sized(2, 1))).unwrap_err(), BufferError::Full);
    let commit = |number, size| AppendAct { commit: true, ..sized(number, size) };
    assert_eq!(rig.act(2, Act::Append(commit(4, 201))).unwrap_err(), BufferError::Full);
    rig.store(2, commit(5, 200));
    let later = UnixTime::new(NOW.get() + 1_000);
    let after =
        AppendAct { now: later, expires_at: UnixTime::new(later.get() + 1), ..sized(3, 800) };
    rig.store(2, after);
}

/// MBX-11: an envelope is there up to its last second, and not in it.
fn expiry_is_exact_to_the_second(rig: &Rig) {
    let soon = UnixTime::new(NOW.get() + 5);
    let short = AppendAct { expires_at: soon, ..append(1) };
    let short = rig.store(1, short);
    let long = rig.store(1, append(2));
    assert_eq!(rig.ids(1, UnixTime::new(soon.get() - 1)), [id(1), id(2)]);
    assert_eq!(rig.ids(1, soon), [id(2)]);
    assert_eq!(rig.buffer.level(mailbox(1), soon).entries, 1);
    assert_eq!(long.prev, short.seq, "the gap is seen");
}

/// MBX-10: letting go is idempotent, beyond the newest it takes nothing that comes later.
fn trimming_lets_go_up_to_its_number(rig: &Rig) {
    let one = rig.store(1, append(1));
    let two = rig.store(1, append(2));
    rig.trim(one.seq);
    rig.trim(one.seq);
    assert_eq!(rig.ids(1, NOW), [id(2)]);
    rig.trim(Seq::new(two.seq.get() + 1));
    assert_eq!(rig.ids(1, NOW), []);
    assert_eq!(rig.buffer.level(mailbox(1), NOW).head, two.seq);
    let three = rig.store(1, append(3));
    assert_eq!(three.prev, two.seq);
    assert_eq!(rig.ids(1, NOW), [id(3)]);
}

/// DLV-1: pages end by count or bytes, hold at least one, and say whether there is more.
fn reads_come_in_pages(rig: &Rig) {
    let seqs: Vec<_> = (1..=4).map(|number| rig.store(1, append(number)).seq).collect();
    let page = |span| {
        let page = rig.buffer.read(mailbox(1), span, NOW).unwrap();
        (page.envelopes.iter().map(|envelope| envelope.seq).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(Span { max: 3, ..ALL }), (seqs[..3].to_vec(), true));
    assert_eq!(page(Span { max_bytes: 12, ..ALL }), (seqs[..2].to_vec(), true));
    assert_eq!(page(Span { max_bytes: 0, ..ALL }), (seqs[..1].to_vec(), true));
    assert_eq!(page(Span { after: seqs[1], ..ALL }), (seqs[2..].to_vec(), false));
    assert_eq!(page(Span { upto: seqs[1], ..ALL }), (seqs[..2].to_vec(), false));
    assert_eq!(page(Span { after: seqs[3], ..ALL }), (Vec::new(), false));
}

/// A row carries the number of the act that wrote it; removed it is gone; order is by part.
fn rows_remember_their_act(rig: &Rig) {
    let rows = vec![row(9, b"b", Some(b"1")), row(9, b"a", Some(b"2")), row(8, b"", Some(b"3"))];
    let Ok(Outcome::Written(first)) = rig.act(1, Act::Write { rows, trim: None }) else { panic!() };
    let with = AppendAct { rows: vec![row(9, b"a", Some(b"4"))], ..append(1) };
    let second = rig.store(1, with).seq;
    let found = rig.buffer.rows(mailbox(1), 8..=9).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|row| (row.part.key.as_slice(), row.revision, row.value.as_ref()))
        .collect();
    let expected: [(&[u8], Seq, &[u8]); 3] =
        [(b"", first, b"3"), (b"a", second, b"4"), (b"b", first, b"1")];
    assert_eq!(found, expected);
    let rows = vec![row(9, b"a", None)];
    rig.act(1, Act::Write { rows, trim: None }).unwrap();
    let part = Part { tag: 9, key: b"a".to_vec() };
    assert_eq!(rig.buffer.row(mailbox(1), &part), Ok(None));
    let refused =
        AppendAct { epoch: Some(Seq::new(99)), rows: vec![row(9, b"c", Some(b"5"))], ..append(2) };
    rig.refused(refused);
    assert_eq!(rig.buffer.rows(mailbox(1), 9..=9).unwrap().len(), 1, "whole or not at all");
}

/// LIM-14: mailboxes end at their bound; an id is created once; the list is in order.
fn mailboxes_are_counted_and_listed(rig: &Rig) {
    let create = |max_mailboxes| Act::Create {
        rows: vec![row(0, b"", Some(b"x"))],
        max_mailboxes,
        toll: None,
    };
    assert_eq!(rig.act(1, create(100)), Err(BufferError::Exists));
    rig.act(3, create(2)).unwrap();
    assert_eq!(rig.act(2, create(2)), Err(BufferError::TooManyMailboxes));
    assert_eq!(rig.buffer.mailboxes(None, 10), Ok(vec![mailbox(1), mailbox(3)]));
    assert_eq!(rig.buffer.mailboxes(Some(mailbox(1)), 10), Ok(vec![mailbox(3)]));
    assert_eq!(rig.buffer.mailboxes(None, 1), Ok(vec![mailbox(1)]));
    assert_eq!(rig.act(9, Act::Append(append(1))), Err(BufferError::NoMailbox));
    let write = Act::Write { rows: Vec::new(), trim: None };
    assert_eq!(rig.act(9, write), Err(BufferError::NoMailbox));
}

/// A mailbox that costs one of what a row of the relay's own has left.
pub(super) fn paid_create() -> Act {
    let pay = |left: &[u8]| Some(Bytes::copy_from_slice(left.split_last()?.1));
    let toll = Toll { part: row(9, b"token", None).part, pay: Box::new(pay) };
    let rows = vec![row(0, b"", Some(b"control"))];
    Act::Create { rows, max_mailboxes: 100, toll: Some(toll) }
}

/// What is left of it.
pub(super) fn left(buffer: &dyn Buffer) -> Option<usize> {
    let rows = buffer.rows(RELAY, 9..=9).unwrap();
    rows.first().map(|row| row.value.len())
}

/// ADM-3: what pays is less by one with each mailbox, and by nothing with one that is refused; the
/// relay's own rows are no mailbox's.
fn a_mailbox_is_paid_for_once(rig: &Rig) {
    let buffer = &*rig.buffer;
    assert_eq!(rig.act(2, paid_create()), Err(BufferError::Unpaid));
    let rows = vec![row(9, b"token", Some(b"**"))];
    rig.act(0, Act::Write { rows, trim: None }).unwrap();
    assert_eq!(rig.act(1, paid_create()), Err(BufferError::Exists));
    assert_eq!(rig.act(0, paid_create()), Err(BufferError::Exists));
    rig.act(2, paid_create()).unwrap();
    assert_eq!(rig.act(2, paid_create()), Err(BufferError::Exists));
    assert_eq!(left(buffer), Some(1));
    rig.act(3, paid_create()).unwrap();
    assert_eq!(rig.act(4, paid_create()), Err(BufferError::Unpaid));
    assert_eq!(left(buffer), Some(0));
    assert_eq!(buffer.mailboxes(None, 10), Ok(vec![mailbox(1), mailbox(2), mailbox(3)]));
    let rows = vec![row(9, b"token", None)];
    rig.act(0, Act::Write { rows, trim: None }).unwrap();
    assert_eq!(left(buffer), None);
    assert_eq!(rig.act(0, Act::Delete), Err(BufferError::NoMailbox));
}

/// CMD-16: what was deleted is gone with its ids, and numbers go on rising.
fn deletion_leaves_nothing(rig: &Rig) {
    let before = rig.store(1, append(1));
    let rows = vec![row(u8::MAX, b"last", Some(b"1"))];
    rig.act(1, Act::Write { rows, trim: None }).unwrap();
    rig.act(1, Act::Delete).unwrap();
    assert_eq!(rig.act(1, Act::Delete), Err(BufferError::NoMailbox));
    assert_eq!(rig.ids(1, NOW), []);
    assert_eq!(rig.buffer.rows(mailbox(1), 0..=255), Ok(Vec::new()));
    rig.create(1);
    assert_eq!(rig.ids(1, NOW), []);
    let again = rig.store(1, append(1));
    assert!(again.seq > before.seq);
    assert_eq!(again.prev, Seq::START);
}

/// MBX-4: answers come once each and in the order of their acts, unless they are held.
fn answers_come_in_order(rig: &Rig) {
    let (sender, receiver) = sync_channel(300);
    for number in 0..300_u32 {
        let sender = sender.clone();
        let done = Box::new(move |_| sender.send(number).unwrap());
        let act = match number % 3 {
            0 => {
                Act::Append(AppendAct { rows: vec![row(9, b"use", Some(b"1"))], ..append(number) })
            }
            1 => Act::Write { rows: Vec::new(), trim: None },
            _ => Act::Create { rows: Vec::new(), max_mailboxes: 1, toll: None },
        };
        assert!(rig.buffer.submit(mailbox(1), act, done).is_ok());
    }
    drop(sender);
    assert!(receiver.iter().eq(0..300), "each once, in order");
}

/// MBX-3, MBX-10: while many threads append, a reader that lets go of what it has read misses
/// nothing and sees nothing twice, in rising order, each with the number before it.
fn a_reader_beside_many_writers_misses_nothing(rig: &Rig) {
    let quota = Quota { entries: 1_000, bytes: 1_000_000, ..QUOTA };
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            scope.spawn(move || {
                for number in 0..100 {
                    rig.store(1, AppendAct { quota, ..append(writer * 1_000 + number) });
                }
            });
        }
        let (mut last, mut found) = (Seq::START, Vec::new());
        while found.len() < 400 {
            let span = Span { after: last, max: 16, ..ALL };
            for envelope in rig.buffer.read(mailbox(1), span, NOW).unwrap().envelopes {
                assert_eq!(envelope.prev, last);
                assert!(envelope.seq > last);
                last = envelope.seq;
                found.push(envelope.id);
            }
            rig.trim(last);
        }
        found.sort();
        let expected = (0..4).flat_map(|writer| (0..100).map(move |n| id(writer * 1_000 + n)));
        assert!(found.into_iter().eq(expected));
    });
    assert_eq!(rig.buffer.level(mailbox(1), NOW).entries, 0);
}

/// One store, every case.
macro_rules! store {
    ($store:ident, $buffer:expr) => {
        store! {
            $store, $buffer,
            numbers_rise_and_logs_are_apart, an_id_is_stored_once_in_each_mailbox,
            a_known_id_is_judged_first, a_chain_breaks_behind_its_refusal,
            one_of_many_racers_wins_an_epoch, a_closed_log_takes_nothing,
            room_ends_at_the_quota, expiry_is_exact_to_the_second,
            trimming_lets_go_up_to_its_number, reads_come_in_pages, rows_remember_their_act,
            mailboxes_are_counted_and_listed, a_mailbox_is_paid_for_once, deletion_leaves_nothing,
            an_id_outlives_its_envelope, answers_come_in_order,
            a_reader_beside_many_writers_misses_nothing,
        }
    };
    ($store:ident, $buffer:expr, $($case:ident),* $(,)?) => {
        mod $store {
            use super::*;

            $(
                #[test]
                fn $case() {
                    super::$case(&Rig::new($buffer));
                }
            )*
        }
    };
}

store!(memory, MemoryBuffer::start());
store!(held, super::super::held::Holding::start());
store!(redb, {
    let (buffer, writer) = RedbBuffer::in_memory();
    crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap();
    buffer
});
