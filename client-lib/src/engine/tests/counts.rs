//! What is missed of those who say nothing more: others tell how far they have counted them.

use std::time::Duration;

use restante_spec::codes::Code;
use restante_spec::content::{ContentHash, Count, Counts, Receipts};
use restante_spec::ids::{MailboxId, PublicKey, Seq};

use super::devices::{settle, three};
use super::post::{Person, Post, wait};
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::store::LogState;
use crate::types::{ConversationId, GapState, MessageKind};

/// Those who are there go on, the relay forgets that, and who was away asks to be let in again.
fn outlive(post: &mut Post, away: &mut Person, there: &mut [&mut Person], log: MailboxId) {
    there[0].wish_update(&log);
    for _ in 0..2 {
        settle(post, there);
    }
    post.expire(&log);
    away.engine.reading_refused(&log, Code::Gone).unwrap();
}

/// Time passes until everything that is asked for was given.
fn go_on(post: &mut Post, people: &mut [&mut Person]) {
    for _ in 0..12 {
        settle(post, people);
        for person in people.iter_mut() {
            wait(person, Duration::from_secs(60));
        }
    }
}

fn texts(person: &Person, of: ConversationId) -> Vec<(String, bool)> {
    let all = person.engine.history(of, None, 99).unwrap();
    let texts = all.into_iter().filter(|message| message.kind == MessageKind::Text);
    texts.map(|message| (message.text, message.is_unconfirmed)).collect()
}

/// CNV-16, CNV-17: what somebody said who has left since, others have counted: it is shown to who
/// was away, as unconfirmed, since its author can confirm it no more.
#[test]
fn last_words_of_who_has_left_are_shown() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    trio.says(BOB, "all read this");
    let [alice, bob, carol] = &mut trio.people;
    bob.engine.send(group, "goodbye").unwrap();
    settle(&mut trio.post, &mut [bob, alice]);
    bob.engine.leave_group(group).unwrap();
    go_on(&mut trio.post, &mut [bob, alice]);
    assert_eq!(alice.engine.group_members(group).unwrap().len(), 2);
    outlive(&mut trio.post, carol, &mut [alice], log);
    go_on(&mut trio.post, &mut [carol, alice]);
    assert_eq!(carol.engine.store.read().need_log(&log).unwrap().state, LogState::Live);
    let shown = [("all read this", false), ("goodbye", true)];
    assert_eq!(texts(carol, group), shown.map(|(text, is)| (text.to_owned(), is)));
    assert_eq!(carol.engine.gaps(group).unwrap(), []);
}

/// CNV-16, CNV-17: an edit of somebody who has left is not done, as nobody can confirm it: that
/// something is missing is shown.
#[test]
fn unconfirmed_acts_are_shown_as_missing() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    let said = trio.says(BOB, "first words");
    let [alice, bob, carol] = &mut trio.people;
    bob.engine.edit(group, said, "other words").unwrap();
    settle(&mut trio.post, &mut [bob, alice]);
    bob.engine.leave_group(group).unwrap();
    go_on(&mut trio.post, &mut [bob, alice]);
    outlive(&mut trio.post, carol, &mut [alice], log);
    go_on(&mut trio.post, &mut [carol, alice]);
    assert_eq!(texts(carol, group), [("first words".to_owned(), false)]);
    let gaps = carol.engine.gaps(group).unwrap();
    assert_eq!((gaps.len(), gaps[0].author), (1, Some(bob.engine.own_id().unwrap())));
}

/// CNV-17: what a device said that was removed since, its account confirms.
#[test]
fn removed_devices_are_answered_for() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (log, of) = (alice.log(), bob.talk());
    let said = bob.engine.send(of, "hello").unwrap().id;
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    laptop.engine.send(laptop.talk(), "from here").unwrap();
    laptop.engine.react(laptop.talk(), said, Some("+")).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    alice.engine.remove_device(2).unwrap();
    settle(&mut post, &mut [&mut alice]);
    outlive(&mut post, &mut bob, &mut [&mut alice], log);
    go_on(&mut post, &mut [&mut bob, &mut alice]);
    assert_eq!(texts(&bob, of), [("hello".to_owned(), false), ("from here".to_owned(), false)]);
    assert_eq!(bob.engine.message(said).unwrap().reactions.len(), 1);
    assert_eq!(bob.engine.gaps(of).unwrap(), []);
}

/// CNV-17: of what others have received, and whose answer was lost, a device learns the place.
#[test]
fn unanswered_contents_find_their_place() {
    let (mut post, mut alice, mut bob) = super::friends();
    let (log, of) = (alice.log(), alice.talk());
    alice.engine.send(of, "unanswered").unwrap();
    let sealed = alice.engine.outgoing(&log, 0, 1).unwrap().remove(0);
    let place = post.append(log, sealed).unwrap().seq;
    bob.engine.send(bob.talk(), "behind it").unwrap();
    settle(&mut post, &mut [&mut bob]);
    post.expire(&log);
    outlive(&mut post, &mut alice, &mut [&mut bob], log);
    // It is not sent again before Bob says that he has it.
    let held = alice.engine.store.read().outbox(of, 0, 1).unwrap().remove(0);
    let (who, id) = (*bob.engine.account.id().key(), held.id);
    let receipts = Receipts { delivered: vec![id], read: Vec::new() };
    let received = alice.engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        work.take_receipts(&row, &who, Seq::new(place.get() + 1), &receipts)
    });
    received.unwrap();
    assert_eq!(alice.engine.gaps(of).unwrap()[0].author, None);
    go_on(&mut post, &mut [&mut alice, &mut bob]);
    let shown = alice.engine.history(of, None, 9).unwrap();
    let shown: Vec<_> = shown.iter().map(|it| (it.text.as_str(), it.seq.is_some())).collect();
    assert_eq!(shown, [("unanswered", true), ("behind it", true)]);
    assert_eq!(alice.history()[0].seq, Some(place));
    assert_eq!(alice.engine.gaps(of).unwrap(), []);
}

/// CNV-16: counts matter to the device that has asked, and of what it may have missed; what a
/// device says itself counts against what others say of it.
#[test]
fn own_words_outweigh_what_others_count() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    trio.says(BOB, "one");
    let [_, bob, carol] = &mut trio.people;
    let device = bob.engine.account.device.public();
    let (account, asker) = (*bob.engine.account.id().key(), carol.engine.account.device.public());
    let since = carol.engine.store.read().need_log(&log).unwrap().cursor;
    let told = |carol: &mut Person, asker: PublicKey, last: u64, seq: u64| {
        let (hash, seq) = (ContentHash::new([3; 32]), Seq::new(seq));
        let count = Count { device, account, first: 1, last, hash, seq };
        let counts = Counts { asker, counts: vec![count] };
        carol.engine.transact(|work| work.take_counts(&work.db.need_log(&log)?, &counts)).unwrap();
        let gaps = carol.engine.gaps(group).unwrap();
        gaps.iter().map(|gap| gap.count).collect::<Vec<_>>()
    };
    let later = since.get() + 9;
    assert_eq!(told(carol, asker, 7, later).len(), 0, "it has read everything");
    carol.engine.transact(|work| work.db.note_absence(&log, since)).unwrap();
    for (asker, last, seq, shown) in [
        (device, 7, later, [].as_slice()),
        (asker, 1, later, &[]),
        (asker, 7, since.get(), &[]),
        (asker, 5, later, &[4]),
        (asker, 7, later, &[6]),
        (asker, 6, later, &[6]),
    ] {
        assert_eq!(told(carol, asker, last, seq), shown, "{last} at {seq}");
    }
    assert_eq!(carol.engine.gaps(group).unwrap()[0].state, GapState::Asked);
    trio.says(BOB, "two");
    assert_eq!(trio.people[CAROL].engine.gaps(group).unwrap(), []);
    assert_eq!(texts(&trio.people[CAROL], group).len(), texts(&trio.people[ALICE], group).len());
}
