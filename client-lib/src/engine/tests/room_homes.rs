//! Rooms beyond one device: on all devices of an account, in its recovery file, with files; and
//! what conversations do that rooms do not.

use restante_crypto::{RoomKeyNumber, RoomLink};
use restante_spec::content::{Body, RoomGrant, RoomState, StateRecord, Who};
use restante_spec::ids::MailboxId;
use zeroize::Zeroizing;

use super::attachments::{self, Shelf, attach_to, source};
use super::devices::{link, settle, texts};
use super::hall::{ALICE, BOB, CAROL, Hall};
use super::post::person;
use super::*;
use crate::attachment::AttachOptions;
use crate::types::Standing;

/// DEV-8, ROM-14: rooms are the account's: every device reads them, writes as a host and
/// administers what one of them has founded; leaving on one leaves on all.
#[test]
fn rooms_are_shared_between_devices() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let before = alice.engine.create_room("Before", false).unwrap().id;
    let mut laptop = link(&mut post, &mut alice);
    let after = laptop.engine.create_room("After", false).unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    alice.engine.send(after, "from the first").unwrap();
    laptop.engine.send(before, "from the second").unwrap();
    laptop.engine.set_room_audience(before, true).unwrap();
    alice.engine.rotate_room(after, true).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    for person in [&mut alice, &mut laptop] {
        assert_eq!(texts(person, after), ["from the first"]);
        assert_eq!(texts(person, before), ["from the second"]);
        let shown = person.engine.conversation(before).unwrap();
        assert_eq!(shown.policy.writers, Who::Everybody);
    }
    let links = |id| [&alice, &laptop].map(|one| one.engine.room_link(id).unwrap().to_string());
    assert_eq!(links(after)[0], links(after)[1]);
    let mut guest = person("Bob");
    guest.engine.join_room(&links(after)[0]).unwrap();
    post.round(&mut guest);
    assert_eq!(guest.engine.conversation(after).unwrap().name, "After");
    laptop.engine.leave_room(before).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(alice.engine.conversation(before).unwrap().standing, Standing::Left);
}

/// REV-6: rooms of a recovery file go on by themselves, since everybody in them has the key: the
/// founder's with everything the founder may do, a reader's with what the relay still keeps.
#[test]
fn restored_rooms_go_on() {
    let mut hall = Hall::new(true);
    hall.say(ALICE, "before");
    hall.say(BOB, "and before");
    hall.settle();
    for who in [ALICE, BOB] {
        hall.people[who] = super::recovery::restored(&mut hall.people[who]);
    }
    assert_eq!(hall.reads(ALICE), ["before", "and before"]);
    hall.say(CAROL, "meanwhile");
    hall.settle();
    hall.say(ALICE, "founder");
    hall.say(BOB, "reader");
    hall.settle();
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.settle();
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(hall.reads(who), ["before", "and before", "meanwhile", "founder", "reader"]);
        assert_eq!(hall.shown(who).policy.writers, Who::Administrators);
    }
    assert_eq!(hall.hosts(ALICE).len(), 1);
}

/// CNV-19, CNV-20: a room has no members that are added again, and is not begun anew: letters and
/// commands about one do nothing.
#[test]
fn nobody_is_let_into_a_room_by_letter() {
    let mut hall = Hall::new(true);
    let (id, mailbox) = (hall.id, hall.mailbox());
    let bob = &mut hall.people[BOB].engine;
    assert_eq!(bob.move_conversation(id, None, false).unwrap_err(), Error::NotAllowed);
    bob.transact(|work| work.lose_track(&mailbox, Code::Gone)).unwrap();
    assert_eq!(hall.shown(BOB).standing, Standing::Broken);
    let link = hall.link();
    let bob = &mut hall.people[BOB].engine;
    assert!(
        bob.store
            .read()
            .returns_due(bob.now.after(crate::limits::ROOM_OLD_KEY))
            .unwrap()
            .is_empty()
    );
    bob.join_room(&link).unwrap();
    hall.say(ALICE, "welcome back");
    hall.settle();
    assert_eq!(hall.reads(BOB), ["welcome back"]);
}

/// CNT-8, ROM-3: files are shown in rooms as elsewhere; who is muted meanwhile is told that his was
/// not sent, and stores nothing there.
#[test]
fn files_are_shown_in_rooms() {
    let mut hall = Hall::new(true);
    let mut shelf = Shelf::default();
    let (path, bytes) = source(&hall.people[BOB], 3_000);
    let attach = |hall: &mut Hall| {
        let options = AttachOptions::default();
        attach_to(&mut hall.people[BOB], hall.id, &path, options).unwrap().id
    };
    let sent = attach(&mut hall);
    assert!(hall.people[BOB].engine.has_uploads(&hall.mailbox()).unwrap());
    shelf.carry(&mut hall.people[BOB]);
    hall.settle();
    for who in [ALICE, CAROL] {
        assert_eq!(hall.history(who).last().unwrap().id, sent);
        shelf.carry(&mut hall.people[who]);
        assert_eq!(attachments::content(&hall.people[who], sent), bytes);
        assert!(hall.people[who].engine.find_member(hall.id, "bob").is_ok());
    }
    let late = attach(&mut hall);
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.settle();
    assert_eq!(hall.people[BOB].engine.owed_transfers().unwrap().len(), 0);
    let refused = hall.people[BOB].engine.message(late).unwrap();
    assert!(matches!(refused.fate, Fate::Refused(_)), "{refused:?}");
    hall.settle();
    assert_eq!(hall.history(CAROL).iter().filter(|one| one.id == late).count(), 0);
}

/// A link to a room of this id, at a person's relay.
fn link_to(person: &Person, id: [u8; 16]) -> Zeroizing<String> {
    let (relay, room) = (person.engine.account.relay.clone(), MailboxId::new(id));
    let link = RoomLink::from_parts(relay, room, RoomKeyNumber::FIRST, Zeroizing::new([9; 32]));
    link.unwrap().link()
}

/// ROM-4: once a link with the id of something else took that one's place: a group was not read any
/// more, to a contact nothing could be written. It is taken from nobody.
#[test]
fn no_room_takes_the_place_of_something_else() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut bob, &mut alice]);
    let (talk, own) = (alice.talk(), alice.engine.own_id().unwrap());
    let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    let mailboxes = [log, alice.engine.account.inbox].map(|mailbox| *mailbox.as_bytes());
    let names = [*group.as_bytes(), *talk.as_bytes(), *own.as_bytes()];
    for id in mailboxes.into_iter().chain(names) {
        let link = link_to(&alice, id);
        assert_eq!(alice.engine.join_room(&link).unwrap_err(), Error::BadRoomLink);
        let (to, key) = (bob.talk(), Some(Zeroizing::new([7; 32])));
        let body = Body::Room(RoomGrant { link: link.clone(), key });
        bob.engine.transact(|work| work.queue_body(to, &body)).unwrap();
        settle(&mut post, &mut [&mut bob, &mut alice]);
        let told = events(&mut alice);
        let junk = Notice::Junk { conversation: Some(talk) };
        assert!(told.contains(&Event::Notice(junk)), "{told:?}");
        let told = Box::new(RoomState {
            standing: 2,
            link,
            card: Vec::new(),
            host_key: None,
            manage_key: None,
            old_key: None,
            hosts: Vec::new(),
        });
        alice.engine.transact(|work| work.apply(StateRecord::Room(id, told))).unwrap();
        assert!(!alice.engine.store.read().is_room(&MailboxId::new(id)).unwrap());
    }
    for (here, there) in [(group, group), (talk, bob.talk())] {
        alice.engine.send(here, "as before").unwrap();
        settle(&mut post, &mut [&mut alice, &mut bob]);
        assert_eq!(texts(&bob, there), ["as before"]);
    }
}
