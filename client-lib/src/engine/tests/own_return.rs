//! Devices of one account let each other in again, and go along where a conversation goes on.

use std::time::Duration;

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::content::LogPosition;
use restante_spec::ids::{Handle, MailboxId};
use restante_spec::message::{Deliver, EnvelopeClass};

use super::devices::{link, settle, texts, three};
use super::history::go_on;
use super::post::{EXPIRES, Person, Post, events, wait};
use super::*;
use crate::limits::{RETURN_DELAY, RETURN_SPREAD};
use crate::store::{LogState, Meta, Wish};
use crate::types::{ConversationId, Standing};

fn soon() -> Duration {
    Duration::from_secs(u64::from(RETURN_DELAY.get() + RETURN_SPREAD.get()))
}

fn own_log(person: &Person) -> MailboxId {
    let own = ConversationId::from(person.engine.own_id().unwrap());
    person.engine.store.read().need_conversation(own).unwrap().log.unwrap()
}

fn state(person: &Person, log: &MailboxId) -> LogState {
    person.engine.store.read().need_log(log).unwrap().state
}

/// A device was away while others have gone on and the relay has forgotten that.
fn outlive(post: &mut Post, away: &mut Person, there: &mut [&mut Person], log: MailboxId) {
    for person in there.iter_mut() {
        person.wish_update(&log);
        post.round(person);
    }
    for person in there.iter_mut() {
        post.round(person);
    }
    post.expire(&log);
    away.engine.reading_refused(&log, Code::Gone).unwrap();
}

/// CNV-19: of all that could be asked a device asks the own ones first; they consent by themselves,
/// and what was missed comes.
#[test]
fn own_device_is_asked_first() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let log = alice.log();
    bob.engine.send(bob.talk(), "missed").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice]);
    outlive(&mut post, &mut laptop, &mut [&mut alice, &mut bob], log);
    wait(&mut laptop, soon());
    post.do_jobs(&mut laptop);
    // Bob looks, and nobody has written to him.
    post.bring_letters(&mut bob);
    assert!(!bob.engine.wants_commit(&log).unwrap());
    post.round(&mut alice);
    post.bring_letters(&mut laptop);
    assert_eq!(state(&laptop, &log), LogState::Live);
    for _ in 0..6 {
        settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
        for person in [&mut laptop, &mut alice, &mut bob] {
            wait(person, Duration::from_secs(20));
        }
    }
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    assert_eq!(laptop.texts(), ["missed"]);
    assert_eq!(laptop.engine.gaps(laptop.talk()).unwrap(), []);
}

/// CNV-19, DEV-9: into the own conversation only own devices can let one in again, and then it is
/// told everything.
#[test]
fn own_conversation_is_read_on() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let log = own_log(&alice);
    alice.engine.set_setting("colour", b"blue").unwrap();
    post.round(&mut alice);
    outlive(&mut post, &mut laptop, &mut [&mut alice], log);
    wait(&mut laptop, soon());
    for _ in 0..3 {
        settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
        wait(&mut laptop, soon());
    }
    assert_eq!(state(&laptop, &log), LogState::Live);
    assert_eq!(laptop.engine.setting("colour").unwrap().as_deref(), Some(b"blue".as_slice()));
    let own = ConversationId::from(laptop.engine.own_id().unwrap());
    assert_eq!(laptop.engine.conversation(own).unwrap().standing, Standing::Open);
}

/// DEV-9: who reads its own conversation on behind a hole is told everything, also what a device
/// had told that was removed since.
#[test]
fn holes_of_the_own_conversation_are_filled() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let mut tablet = link(&mut post, &mut alice);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut tablet]);
    let own = own_log(&alice);
    tablet.engine.set_setting("colour", b"red").unwrap();
    post.work(&mut tablet);
    let told = post.boxes[&own].last().unwrap().0.seq;
    post.work(&mut alice);
    alice.engine.remove_device(3).unwrap();
    post.work(&mut alice);
    post.lose(&own, told);
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(laptop.engine.setting("colour").unwrap().as_deref(), Some(b"red".as_slice()));
}

/// DEV-9: whoever tells everything has read its own log to the end before: no older word comes
/// behind a newer one.
#[test]
fn everything_is_told_as_it_is_by_then() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let own = own_log(&alice);
    alice.engine.set_setting("colour", b"red").unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let asked = laptop.engine.transact(|work| {
        let log = work.db.need_log(&own)?;
        work.ask_how_far(&log, log.cursor)
    });
    asked.unwrap();
    post.work(&mut laptop);
    laptop.engine.set_setting("colour", b"blue").unwrap();
    post.work(&mut laptop);
    post.bring_some(&mut alice, own, 1);
    assert!(alice.engine.has_outgoing(&own).unwrap());
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    for device in [&alice, &laptop] {
        let colour = device.engine.setting("colour").unwrap();
        assert_eq!(colour.as_deref(), Some(b"blue".as_slice()));
    }
    assert!(!alice.engine.has_outgoing(&own).unwrap());
}

/// DEV-16: an archive whose manifest was let go unread is given as another one.
#[test]
fn lost_manifests_are_told_anew() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (of, id) = (alice.talk(), bob.engine.send(bob.talk(), "missed").unwrap().id);
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    let forgotten = laptop.engine.transact(|work| {
        work.db.set_unconfirmed(of, &id)?;
        work.db.drop_unconfirmed(of, &id, Some(&of.contact()))
    });
    forgotten.unwrap();
    let (own, device) = (own_log(&alice), laptop.engine.account.device.public());
    let behind = LogPosition::default();
    alice.engine.transact(|work| work.db.put_share(&device, of, behind, work.now)).unwrap();
    go_on(&mut post, &mut [&mut alice]);
    let told = post.boxes[&own].last().unwrap().0.seq;
    alice.engine.set_setting("colour", b"red").unwrap();
    post.work(&mut alice);
    post.lose(&own, told);
    go_on(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(texts(&laptop, of), ["missed"]);
    assert_eq!(alice.engine.store.read().sharing().unwrap(), []);
}

/// DEV-22: what this device said, and the relay's answer to which was lost, has the place where
/// another own device has read it, and is not said again.
#[test]
fn places_come_with_the_history() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (log, of) = (alice.log(), alice.talk());
    laptop.engine.send(of, "unanswered").unwrap();
    let sealed = laptop.engine.outgoing(&log, 0, 1).unwrap().remove(0);
    post.append(log, sealed).unwrap();
    bob.engine.send(bob.talk(), "behind it").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice]);
    outlive(&mut post, &mut laptop, &mut [&mut alice, &mut bob], log);
    let history = |person: &Person| person.engine.history(of, None, 9).unwrap();
    assert_eq!(history(&laptop)[0].seq, None);
    let row = laptop.engine.store.read().need_log(&log).unwrap();
    let wanted = laptop.engine.transact(|work| work.want_history(of, row.read_upto()));
    wanted.unwrap();
    go_on(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(texts(&laptop, of), ["unanswered", "behind it"]);
    let places = |person: &Person| history(person).iter().map(|it| it.seq).collect::<Vec<_>>();
    assert_eq!(places(&laptop), places(&alice));
    assert_eq!(laptop.engine.store.read().outbox_count(of).unwrap(), 0);
}

/// CNV-19: an own device whose leaf is in the tree no more needs nobody's consent but what its
/// account's list says.
#[test]
fn own_device_outside_the_tree_needs_no_consent() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let log = alice.log();
    let device = *laptop.engine.account.device.public().as_bytes();
    let wish = Wish::RemoveDevice { device };
    alice.engine.store.write(|db| db.put_wish(&log, &wish, post::NOW)).unwrap();
    post.round(&mut alice);
    laptop.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut laptop, soon());
    for _ in 0..3 {
        settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    }
    assert_eq!(state(&laptop, &log), LogState::Live);
    assert_eq!(alice.engine.callers(alice.talk()).unwrap(), []);
}

/// CNV-20: where a conversation is begun anew by one device of an account, the others go along.
#[test]
fn own_devices_go_along() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = alice.engine.create_group("Group", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    for of in [group, alice.talk()] {
        alice.engine.send(of, "before").unwrap();
        settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
        alice.engine.move_conversation(of, None, false).unwrap();
        settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
        events(&mut laptop);
        laptop.engine.send(of, "after").unwrap();
        settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    }
    let log = |person: &Person, of| person.engine.store.read().need_conversation(of).unwrap().log;
    let new = log(&alice, group);
    for person in [&mut alice, &mut laptop, &mut bob] {
        for of in [group, person.talk()] {
            let all = person.engine.history(of, None, 99).unwrap().into_iter();
            let said = all.filter(|m| m.kind == crate::types::MessageKind::Text).map(|m| m.text);
            assert_eq!(said.collect::<Vec<_>>(), ["before", "after"]);
        }
        assert_eq!(log(person, group), new);
        assert_eq!(person.engine.group_members(group).unwrap().len(), 2);
    }
}

/// What a device writes to the inbox of its own account comes back to it without its body: that is
/// no junk.
#[test]
fn own_letter_that_comes_back_is_no_junk() {
    let (_post, _alice, mut laptop, _bob) = three();
    events(&mut laptop);
    let inbox = laptop.engine.account.inbox;
    let cursor = laptop.engine.store.read().meta_number(Meta::InboxCursor).unwrap();
    let echo = Deliver {
        handle: Handle::new(1),
        seq: Seq::new(cursor + 1),
        prev: Seq::new(cursor),
        epoch: None,
        id: EnvelopeId::new([0xEC; 16]),
        class: EnvelopeClass::Normal,
        expires_at: EXPIRES,
        commit: false,
        own: true,
    };
    laptop.engine.receive(&inbox, vec![(echo, Bytes::new())]).unwrap();
    assert_eq!(events(&mut laptop), []);
}

/// DEV-7, DEV-12: devices that were linked or removed while this one could read a conversation no
/// more come into it, or go.
#[test]
fn who_is_back_brings_the_own_devices_along() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let log = alice.log();
    outlive(&mut post, &mut alice, &mut [&mut laptop, &mut bob], log);
    alice.engine.remove_device(2).unwrap();
    let mut tablet = link(&mut post, &mut alice);
    for _ in 0..6 {
        settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
        wait(&mut alice, Duration::from_secs(600));
    }
    settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
    assert_eq!(state(&alice, &log), LogState::Live);
    alice.engine.send(alice.talk(), "to all").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
    assert_eq!([tablet.texts(), bob.texts()], [["to all"], ["to all"]]);
    let members = bob.engine.transact(|work| work.members(&log)).unwrap();
    let numbers = members.iter().flat_map(|m| &m.device).map(|device| device.number().get());
    assert_eq!(numbers.filter(|number| *number > 1).collect::<Vec<_>>(), [3]);
}
