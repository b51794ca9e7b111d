//! Who holds envelopes back, and for how long (MBX-10).

use restante_spec::message::Appended;

use super::*;

/// So long a reader that is not seen still counts, seconds.
const ABSENCE: u64 = (limits::TTL_DEFAULT.get() + crate::limits::SEEN_GRACE.get()) as u64;

/// The first commit of a conversation, which adds a reader; the key of the next epoch.
fn add(house: &mut House, reader: ReaderHash) -> (SigningKey, Appended) {
    let (first, next) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let epoch = house.open(&first).unwrap().epoch;
    let commit = commit_to(house, &next, &[reader]);
    let commit = house.append(&first, epoch, commit).unwrap();
    (next, commit)
}

/// MBX-10: what all readers have is let go; one that was not seen for longer than the TTL, and the
/// time for which that may be written down too late, holds nothing back.
#[test]
fn absent_readers_stop_holding_back() {
    let mut house = House::new(MailboxClass::Conversation);
    let absent = ReaderHash::new([5; 32]);
    let (next, commit) = add(&mut house, absent);
    let message = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: house.reader, upto: message.seq }).unwrap();
    let commit_reader_needs = 1;
    house.append(&next, commit.epoch, None).unwrap();
    assert_eq!(house.stored(), 2 + commit_reader_needs - 1, "the absent one holds its messages");
    house.later(ABSENCE - 10);
    let late = house.append(&next, commit.epoch, None).unwrap();
    house.subscribe(&next, house.reader, message.seq).unwrap();
    house.settle();
    house.later(20);
    house.ask(&next, Ask::Ack { reader: house.reader, upto: late.seq }).unwrap();
    house.append(&next, commit.epoch, None).unwrap();
    assert_eq!(house.stored(), 1, "only the newest is not confirmed");
}

/// MBX-10. Once a reader that was seen again within the hour was not noted, and counted as absent
/// although it had subscribed a moment ago.
#[test]
fn a_reader_that_was_seen_within_the_ttl_holds_back() {
    let mut house = House::new(MailboxClass::Conversation);
    let second = ReaderHash::new([5; 32]);
    let (next, commit) = add(&mut house, second);
    house.subscribe(&next, second, commit.seq).unwrap();
    house.later(3_000);
    house.subscribe(&next, second, commit.seq).unwrap();
    house.later(u64::from(limits::TTL_DEFAULT.get()) - 100);
    let late = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: house.reader, upto: late.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 1, "the second reader needs it");
}

/// MBX-10. Once whoever came back first after the relay had been away let go of what the others,
/// who came a moment later, had never been sent.
#[test]
fn whoever_comes_back_first_lets_go_of_nothing() {
    let mut house = House::new(MailboxClass::Conversation);
    let second = ReaderHash::new([5; 32]);
    let (next, commit) = add(&mut house, second);
    house.ask(&next, Ask::Ack { reader: house.reader, upto: commit.seq }).unwrap();
    house.settle();
    house.later(ABSENCE + 1);
    let late = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: house.reader, upto: late.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 1, "the second reader was not sent it");
    // That is written down: it does not begin anew with the next start.
    house.restart(Settings::default());
    house.later(ABSENCE);
    house.subscribe(&next, house.reader, late.seq).unwrap();
    let newest = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: house.reader, upto: newest.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 1, "it still counts");
    house.later(1);
    house.subscribe(&next, house.reader, newest.seq).unwrap();
    let newest = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: house.reader, upto: newest.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 0, "it has been away for too long by itself");
}

/// MBX-10: the same when a commit registers another reader, and that is written down with it.
#[test]
fn whoever_is_added_first_lets_go_of_nothing() {
    let mut house = House::new(MailboxClass::Conversation);
    let third = ReaderHash::new([6; 32]);
    house.later(ABSENCE + 1);
    let (next, commit) = add(&mut house, third);
    house.settle();
    house.restart(Settings::default());
    let message = house.append(&next, commit.epoch, None).unwrap();
    house.ask(&next, Ask::Ack { reader: third, upto: message.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 2, "the first reader was not sent them");
}

/// MBX-10: and the same when a device of an inbox is registered.
#[test]
fn whoever_is_registered_first_lets_go_of_nothing() {
    let mut house = House::new(MailboxClass::Inbox);
    let (manage, writer) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let possession = prove_possession(&writer, &house.mailbox);
    let (key, terms) = (writer.public(), writer_terms());
    house.ask(&manage, Ask::Allow { key, possession, terms, card: Bytes::new() }).unwrap();
    house.later(ABSENCE + 1);
    let second = ReaderHash::new([6; 32]);
    house.ask(&manage, Ask::AddReader { reader: second }).unwrap();
    house.settle();
    house.restart(Settings::default());
    let letter = house.append(&writer, None, None).unwrap();
    house.ask(&manage, Ask::Ack { reader: second, upto: letter.seq }).unwrap();
    house.settle();
    assert_eq!(house.stored(), 1, "the first reader was not sent it");
}

/// A state that must be read again leaves the memory, whatever it was about to write. Once it
/// stayed until somebody asked for its mailbox.
#[test]
fn a_state_that_is_not_used_any_more_leaves_the_memory() {
    let house = House::new(MailboxClass::Conversation);
    let cell = house.service.find(house.mailbox).unwrap().unwrap();
    let mut mailbox = super::super::service::lock(&cell);
    mailbox.acks.dirty.push(house.reader);
    mailbox.stale = true;
    drop(mailbox);
    let left = Arc::downgrade(&cell);
    drop(cell);
    house.service.shrink(house.now);
    assert!(left.upgrade().is_none());
}
