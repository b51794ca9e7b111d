//! Memory-first mailboxes (MBX-21): who confirms, what is written, what is known after a crash.

use std::sync::atomic::Ordering;

use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, ReaderHash, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::MailboxClass;

use super::api::{Access, Answer, Ask, Mailboxes, Span};
use super::pipelined::{Line, MAILBOX, NOW, OTHER, READER, Said, WRITE, code, key};
use crate::buffer::disk::Disk;

const FAR: UnixTime = UnixTime::new(NOW.get() + 4 * 30 * 86_400);

/// An inbox with two devices, to which key 2 may write.
fn inbox(memory_first: bool) -> Line {
    let mut line = Line::on(Disk::default(), crate::buffer::Settings::default());
    let created = line.create(MailboxClass::Inbox, memory_first);
    line.writer.step();
    let allowed = line.allow(2, WRITE);
    let added = line.ask(1, Ask::AddReader { reader: OTHER });
    line.writer.step();
    assert_eq!((code(&created), code(&allowed), code(&added)), (None, None, None));
    line
}

impl Line {
    /// Key 2 appends; the number under which it was seen.
    fn seen(&mut self, id: u8) -> (Seq, Said) {
        let said = self.append(2, id, |_| ());
        self.writer.step();
        let page = self.stored();
        (page.last().unwrap().0, said)
    }

    fn ack(&self, reader: ReaderHash, upto: Seq) {
        assert_eq!(code(&self.ask(1, Ask::Ack { reader, upto })), None);
    }

    fn stored(&self) -> Vec<(Seq, EnvelopeId)> {
        let span = Span { after: Seq::START, upto: Seq::new(u64::MAX), max: 9, max_bytes: 9_000 };
        let access = Access { mailbox: MAILBOX, key: key(1).public() };
        let page = self.service.page(access, span, NOW).unwrap().page;
        page.envelopes.into_iter().map(|envelope| (envelope.seq, envelope.id)).collect()
    }

    fn turn(&mut self) {
        self.writer.step();
        self.writer.turn_hold();
    }
}

fn seq(said: &Said) -> Seq {
    match said.try_recv() {
        Ok(Ok(Answer::Appended(appended))) => appended.seq,
        other => panic!("{other:?}"),
    }
}

/// MBX-21: those online are told at once. What every reader has confirmed is accepted without a
/// word to the disk; what one of them has not is written.
#[test]
fn what_every_reader_confirms_is_never_written() {
    let mut line = inbox(true);
    line.disk.dies_after(0);
    let (number, said) = line.seen(1);
    assert_eq!(line.service.notices.appended.load(Ordering::SeqCst), 1);
    line.ack(READER, number);
    line.turn();
    line.ack(OTHER, number);
    line.turn();
    assert!(said.try_recv().is_err(), "the answer's time tells who was there");
    line.turn();
    assert_eq!(seq(&said), number);
    assert_eq!(line.service.notices.appended.load(Ordering::SeqCst), 1, "told once");
    assert_eq!((line.disk.failures(), line.stored()), (0, Vec::new()));

    line.disk.heal();
    let (number, said) = line.seen(2);
    line.ack(READER, number);
    (0..3).for_each(|_| line.turn());
    assert_eq!(seq(&said), number);
    let after = Line::on(line.disk.after_crash(1), crate::buffer::Settings::default());
    assert_eq!(after.stored(), [(number, EnvelopeId::new([2; 16]))]);
    // What was written is let go as in any mailbox.
    line.ack(OTHER, number);
    line.writer.step();
    let after = Line::on(line.disk.after_crash(1), crate::buffer::Settings::default());
    assert_eq!(after.stored(), []);
}

/// MBX-4: any other mailbox says nothing before an envelope is durable.
#[test]
fn other_mailboxes_tell_nobody_before_it_is_durable() {
    let mut line = inbox(false);
    line.disk.dies_after(0);
    let said = line.append(2, 1, |_| ());
    line.writer.step();
    assert_eq!(line.service.notices.appended.load(Ordering::SeqCst), 0);
    assert_eq!(code(&said), Some(Code::Unavailable));
}

/// MBX-21: a reader that was not seen for long holds nothing back, and yet what it has not
/// confirmed is written: else it could not see that it missed something.
#[test]
fn an_absent_reader_confirms_nothing() {
    let mut line = inbox(true);
    let (number, said) = line.seen(1);
    let access = Access { mailbox: MAILBOX, key: key(1).public() };
    line.service.ack(access, READER, number, FAR).unwrap();
    (0..3).for_each(|_| line.turn());
    assert_eq!(seq(&said), number);
    let after = Line::on(line.disk.after_crash(1), crate::buffer::Settings::default());
    let level = crate::buffer::Buffer::level(&*after.buffer, MAILBOX, NOW);
    assert_eq!(level.head, number, "prev tells the absent one");
}

/// MBX-3, DLV-3: after a crash the positions of those who have what was lost are still known, and
/// what was not accepted is taken again under a higher number.
#[test]
fn positions_outlive_what_was_only_held() {
    let mut line = inbox(true);
    let (number, _) = line.seen(1);
    let mut line = Line::on(line.disk.after_crash(1), crate::buffer::Settings::default());
    assert_eq!(line.stored(), []);
    let subscribed = line.ask(1, Ask::Subscribe { reader: READER, after: number });
    assert_eq!(code(&subscribed), None);
    let (again, _) = line.seen(1);
    assert!(again > number);
    let ahead = Seq::new(crate::buffer::Buffer::last(&*line.buffer).get() + 1);
    let subscribed = line.ask(1, Ask::Subscribe { reader: READER, after: ahead });
    assert_eq!(code(&subscribed), Some(Code::AckAhead));
}

/// MBX-10, MBX-21: cursors that were not worth writing are written before the mailbox leaves the
/// memory.
#[test]
fn cursors_are_written_before_the_mailbox_leaves_the_memory() {
    let mut line = inbox(true);
    let (number, _) = line.seen(1);
    line.ack(READER, number);
    line.ack(OTHER, number);
    (0..3).for_each(|_| line.turn());
    let later = NOW.after(limits::DEDUP_WINDOW);
    line.service.shrink(later);
    line.writer.step();
    line.service.shrink(later);
    let after = Line::on(line.disk.after_crash(1), crate::buffer::Settings::default());
    let rows = crate::buffer::Buffer::rows(&*after.buffer, MAILBOX, super::rows::STATE).unwrap();
    let state = super::state::Mailbox::from_rows(MAILBOX, &rows).unwrap().unwrap();
    assert!(state.readers.values().all(|reader| reader.cursor == number));
}

/// MBX-21: nobody could confirm what a room has.
#[test]
fn a_room_is_not_memory_first() {
    let line = Line::on(Disk::default(), crate::buffer::Settings::default());
    assert_eq!(code(&line.create(MailboxClass::Room, true)), Some(Code::Unsupported));
}
