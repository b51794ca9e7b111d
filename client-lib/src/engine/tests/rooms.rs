//! Rooms: who reads and who writes, cards and keys that are replaced, and posts that do not hold
//! what they claim.

use std::time::Duration;

use restante_crypto::{AccountKey, PostBody, RoomCard, RoomLink, SigningKey};
use restante_spec::content::{Body, Role, RoomGrant, Who};
use restante_spec::ids::{EnvelopeId, PublicKey};
use restante_spec::limits::{ROOM_HOSTS, ROOM_NAME_BYTES};

use super::hall::{ALICE, BOB, CAROL, Hall, content, rand};
use super::post::{person, wait};
use super::*;
use crate::events::Notice;
use crate::limits::{ROOM_DEVICES, ROOM_PEOPLE, ROOMS};
use crate::types::{ContactId, ConversationKind, GroupChange, GroupMember, MessageKind, Standing};

/// ROM-5, ROM-12: whoever has the link reads what is kept and what comes, knows what it is called
/// and who its hosts are; a post counts once it was read in the log.
#[test]
fn whoever_has_the_link_reads() {
    let mut hall = Hall::new(false);
    hall.say(ALICE, "one");
    assert_eq!(hall.history(ALICE)[0].fate, Fate::Queued);
    hall.settle();
    assert_eq!(hall.history(ALICE)[0].fate, Fate::Accepted);
    let late = hall.enter("Dave");
    for who in [ALICE, BOB, CAROL, late] {
        assert_eq!(hall.reads(who), ["one"]);
    }
    let shown = hall.shown(late);
    assert_eq!((shown.kind, shown.name.as_str()), (ConversationKind::Room, "Agora"));
    assert_eq!((shown.unread, shown.role), (1, Role::Member));
    let [host] = <[GroupMember; 1]>::try_from(hall.hosts(late)).unwrap();
    assert_eq!((host.id, host.nickname.as_str(), host.role), {
        (hall.account(ALICE), "Alice", Role::Owner)
    });
    assert_eq!(hall.people[late].engine.search("one", 10).unwrap().len(), 1);
    hall.people[late].engine.mark_read(hall.id).unwrap();
    assert_eq!(hall.shown(late).unread, 0);
}

/// ROM-13: replies, reactions, edits and deletes do what they do elsewhere; nobody is told who has
/// read, and no post expires for want of that.
#[test]
fn posts_are_messages() {
    let mut hall = Hall::new(true);
    let said = hall.say(BOB, "tea?");
    hall.settle();
    let (id, of) = (hall.id, said.id);
    hall.people[CAROL].engine.react(id, of, Some("🍵")).unwrap();
    hall.people[CAROL].engine.send_reply(id, of, "yes").unwrap();
    hall.people[BOB].engine.edit(id, of, "tea or coffee?").unwrap();
    hall.settle();
    let seen = hall.history(ALICE);
    assert_eq!((seen[0].text.as_str(), seen[0].reactions.len()), ("tea or coffee?", 1));
    assert_eq!(seen[1].reply_to.map(|to| to.message), Some(of));
    hall.people[ALICE].engine.mark_read(id).unwrap();
    // A host takes back what others wrote.
    hall.people[ALICE].engine.delete(id, &[of]).unwrap();
    hall.settle();
    assert_eq!(hall.history(CAROL)[0].kind, MessageKind::Deleted);
    wait(&mut hall.people[CAROL], Duration::from_secs(90 * 86_400));
    let answer = hall.history(CAROL).pop().unwrap();
    assert_eq!((answer.text.as_str(), answer.fate), ("yes", Fate::Accepted));
    assert_eq!(hall.people[CAROL].engine.recipients(id, answer.id).unwrap(), []);
}

/// ROM-11: mute-all takes the audience's word, at the relay and at its place in the log, and
/// unmuting gives it back; hosts write all the time.
#[test]
fn audience_is_muted_and_unmuted() {
    let mut hall = Hall::new(true);
    hall.say(BOB, "first");
    hall.settle();
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.settle();
    assert_eq!(hall.people[BOB].engine.send(hall.id, "no").unwrap_err(), Error::NotAllowed);
    assert_eq!(hall.shown(BOB).policy.writers, Who::Administrators);
    hall.say(ALICE, "listen");
    hall.settle();
    hall.people[ALICE].engine.set_room_audience(hall.id, true).unwrap();
    hall.settle();
    hall.say(BOB, "thanks");
    hall.settle();
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(hall.reads(who), ["first", "listen", "thanks"]);
        let told = [GroupChange::Audience(false), GroupChange::Audience(true)];
        assert_eq!(hall.changes(who), told);
    }
    let guest = hall.people[BOB].engine.set_room_audience(hall.id, false);
    assert_eq!(guest.unwrap_err(), Error::NotAllowed);
}

/// ROM-11: whoever comes after the post of a card was let go has it from the relay.
#[test]
fn shown_card_holds_without_its_post() {
    let mut hall = Hall::new(true);
    let bob = hall.people.remove(BOB);
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.settle();
    let (mailbox, last) = (hall.mailbox(), hall.post.boxes[&hall.mailbox()].last().unwrap().0.seq);
    hall.post.lose(&mailbox, last);
    hall.people.insert(BOB, bob);
    hall.settle();
    assert_eq!(hall.shown(BOB).policy.writers, Who::Administrators);
    assert_eq!((hall.changes(BOB).len(), hall.room(BOB).shown), (0, None));
}

/// ROM-3: what waited when the audience was muted is refused, and said to be.
#[test]
fn waiting_posts_are_refused() {
    let mut hall = Hall::new(true);
    hall.say(BOB, "too late");
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.post.do_jobs(&mut hall.people[ALICE]);
    // The relay refuses before the card was read.
    let mailbox = hall.mailbox();
    hall.post.send_in_room(&mut hall.people[BOB], mailbox);
    assert_eq!(hall.history(BOB)[0].fate, Fate::Refused(Code::Revoked));
    hall.settle();
    assert_eq!(hall.reads(CAROL), Vec::<String>::new());
}

/// ROM-9: a rotation that is posted is followed by everybody who reads, also by who was away; the
/// old key writes no more, and reads until the next rotation at most.
#[test]
fn announced_rotation_is_followed() {
    let mut hall = Hall::new(true);
    let (old, away) = (hall.link(), hall.people.pop().unwrap());
    hall.people[ALICE].engine.rotate_room(hall.id, true).unwrap();
    let again = hall.people[ALICE].engine.rotate_room(hall.id, false);
    assert_eq!(again.unwrap_err(), Error::RotationUnderWay);
    hall.settle();
    hall.say(BOB, "under the new key");
    hall.settle();
    hall.people.push(away);
    hall.settle();
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(hall.room(who).number, 2);
        assert_eq!(hall.reads(who), ["under the new key"]);
        assert_eq!(hall.changes(who), [GroupChange::Key]);
    }
    assert_ne!(hall.link(), old);
    let mut known = |who: usize| hall.people[who].engine.join_room(&old).unwrap_err();
    assert_eq!(known(BOB), Error::OldRoomLink);
    let first = RoomLink::parse(&old).unwrap();
    assert!(!hall.post.cards.contains_key(&first.write_key().unwrap().public()));
    // The next rotation takes the first key away.
    hall.people[ALICE].engine.rotate_room(hall.id, true).unwrap();
    hall.settle();
    assert!(!hall.post.cards.contains_key(&first.read_key().unwrap().public()));
    assert_eq!(hall.room(CAROL).number, 3);
}

/// ROM-10: a post that was on its way when the key was replaced is refused by everybody and posted
/// again by its author: it is read once, with its own id.
#[test]
fn posts_under_an_old_key_are_posted_again() {
    let mut hall = Hall::new(true);
    let said = hall.say(BOB, "on its way");
    let mailbox = hall.mailbox();
    let sealed = hall.people[BOB].engine.outgoing(&mailbox, 0, 10).unwrap();
    assert_eq!(sealed.len(), 2, "what he is called, and what he says");
    hall.people[ALICE].engine.rotate_room(hall.id, true).unwrap();
    hall.post.round(&mut hall.people[ALICE]);
    for what in sealed {
        hall.put(what.id, what.body);
    }
    hall.settle();
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(hall.reads(who), ["on its way"]);
        assert_eq!(hall.history(who).pop().unwrap().id, said.id);
    }
    assert_eq!(hall.history(BOB).pop().unwrap().fate, Fate::Accepted);
    assert_eq!(hall.notices(CAROL), []);
}

/// ROM-9: a rotation that is not posted locks out whoever is not handed the link; with it a reader
/// goes on where it was.
#[test]
fn unannounced_rotation_excludes() {
    let mut hall = Hall::new(true);
    hall.say(ALICE, "before");
    hall.settle();
    hall.people[ALICE].engine.rotate_room(hall.id, false).unwrap();
    hall.settle();
    hall.say(ALICE, "after");
    hall.settle();
    assert_eq!(hall.shown(BOB).standing, Standing::Broken);
    assert_eq!(hall.notices(BOB), [Notice::RoomLocked { conversation: hall.id }]);
    let link = hall.link();
    hall.people[CAROL].engine.join_room(&link).unwrap();
    hall.settle();
    hall.say(CAROL, "here again");
    hall.settle();
    assert_eq!(hall.reads(BOB), ["before"]);
    for who in [ALICE, CAROL] {
        assert_eq!(hall.reads(who), ["before", "after", "here again"]);
    }
}

/// ROM-9: nobody who is no host replaces the key, whatever they post; reading goes on behind it.
#[test]
fn guests_replace_no_key() {
    let mut hall = Hall::new(true);
    let link = RoomLink::parse(&hall.link()).unwrap();
    hall.force(BOB, &link.rotate().unwrap().announcement());
    hall.say(ALICE, "as before");
    hall.settle();
    assert_eq!((hall.room(CAROL).number, hall.reads(CAROL)), (1, vec!["as before".to_owned()]));
    assert_eq!(hall.notices(CAROL), [Notice::Junk { conversation: Some(hall.id) }]);
}

/// ROM-8, ROM-12: what does not open, is not signed by a device of its account, is no content, or
/// takes another's id never stops reading and changes nothing.
#[test]
fn bad_posts_never_stop_reading() {
    let mut hall = Hall::new(true);
    let said = hall.say(ALICE, "mine");
    hall.settle();
    hall.put(EnvelopeId::new(rand()), vec![1; 256]);
    hall.put(EnvelopeId::new(rand()), Vec::new());
    hall.force(BOB, &PostBody::Content(vec![7; 30].into()));
    hall.force(BOB, &PostBody::Card(vec![7; 30]));
    hall.say(BOB, "stolen");
    hall.settle();
    // Bob copies the id of what Alice has said.
    let words = content(EnvelopeId::new(*said.id.as_bytes()), 2, "hers");
    hall.force(BOB, &PostBody::Content(words.into()));
    // A device that Carol knows to be removed.
    let struck = hall.people[BOB].engine.account.certificate().unwrap().clone();
    hall.people[CAROL].engine.store.write(|db| db.note_struck(&struck)).unwrap();
    hall.force(BOB, &PostBody::Content(content(EnvelopeId::new(rand()), 3, "removed").into()));
    hall.settle();
    assert_eq!(hall.reads(ALICE), ["mine", "stolen", "removed"]);
    assert_eq!(hall.reads(CAROL), ["mine", "stolen"]);
    assert_eq!(hall.history(ALICE)[0].id, said.id);
    hall.say(ALICE, "goes on");
    hall.settle();
    assert_eq!(hall.reads(CAROL), ["mine", "stolen", "goes on"]);
}

/// ROM-15: what was said is not said again by whoever posts it anew, though the relay has let it
/// go; an edit that was replaced least of all.
#[test]
fn repeated_posts_are_passed_over() {
    let mut hall = Hall::new(true);
    let said = hall.say(ALICE, "first words");
    hall.settle();
    hall.people[ALICE].engine.edit(hall.id, said.id, "second words").unwrap();
    hall.settle();
    let old: Vec<_> = hall.post.boxes[&hall.mailbox()].clone();
    hall.people[ALICE].engine.edit(hall.id, said.id, "third words").unwrap();
    hall.settle();
    for (envelope, body) in old {
        hall.put(envelope.id, body);
    }
    hall.settle();
    for who in [BOB, CAROL] {
        assert_eq!(hall.reads(who), ["third words"]);
    }
}

/// ROM-15: of so many devices the counter is remembered, and of one more it is not.
#[test]
fn remembered_devices_are_bounded() {
    let mut hall = Hall::new(true);
    let room = hall.mailbox();
    let mut note = |device: u16, counter: u64| {
        let device = PublicKey::new(device.to_be_bytes().repeat(16).try_into().unwrap());
        let note =
            |db: crate::store::Db<'_>| db.note_counter(&room, &device, counter, ROOM_DEVICES);
        hall.people[CAROL].engine.store.write(note).unwrap()
    };
    let most = ROOM_DEVICES as u16;
    assert!((1..=most).all(|device| note(device, 1)));
    assert!(!note(most, 1) && note(most, 2));
    assert!(note(most + 1, 1) && note(most + 1, 1));
}

/// ROM-14: a contact who is made a host is asked; as one it writes while the audience may not and
/// takes back what others wrote, and a rotation that excludes others reaches it.
#[test]
fn hosts_are_made_and_unmade() {
    let mut hall = Hall::new(false);
    let mut dave = person("Dave");
    hall.post.introduce(&mut hall.people[ALICE], &mut dave, None);
    let who = hall.people[ALICE].knows("Dave").id;
    hall.people[ALICE].engine.add_host(hall.id, who).unwrap();
    hall.people.push(dave);
    let dave = hall.people.len() - 1;
    hall.settle();
    assert_eq!(hall.shown(dave).standing, Standing::Invited);
    let early = hall.people[dave].engine.send(hall.id, "too early");
    assert_eq!(early.unwrap_err(), Error::WrongStanding { standing: Standing::Invited });
    hall.people[dave].engine.accept_room(hall.id).unwrap();
    hall.settle();
    assert_eq!(hall.shown(dave).role, Role::Administrator);
    let said = hall.say(dave, "from a host");
    hall.settle();
    assert_eq!(hall.reads(BOB), ["from a host"]);
    assert_eq!(hall.changes(BOB), [GroupChange::Host(hall.account(dave), true)]);
    hall.people[dave].engine.delete(hall.id, &[said.id]).unwrap();
    hall.settle();
    hall.people[ALICE].engine.rotate_room(hall.id, false).unwrap();
    hall.settle();
    hall.say(dave, "under the next key");
    hall.settle();
    assert_eq!(hall.reads(ALICE), ["under the next key"]);
    hall.people[ALICE].engine.remove_host(hall.id, who).unwrap();
    hall.settle();
    let refused = hall.people[dave].engine.send(hall.id, "no more");
    assert_eq!(refused.unwrap_err(), Error::NotAllowed);
    assert_eq!(hall.hosts(ALICE).len(), 1);
    let alice = hall.account(ALICE);
    let founder = hall.people[ALICE].engine.remove_host(hall.id, alice);
    assert_eq!(founder.unwrap_err(), Error::NotAllowed);
    let nobody = hall.people[ALICE].engine.remove_host(hall.id, who);
    assert_eq!(nobody.unwrap_err(), Error::NotAMember);
}

/// ROM-14: nobody but the founder gives a host another link or key.
#[test]
fn grants_of_others_are_ignored() {
    let mut hall = Hall::new(true);
    let mut bob = hall.people.remove(BOB);
    let mut eve = person("Eve");
    hall.post.introduce(&mut eve, &mut bob, None);
    let next = RoomLink::parse(&hall.link()).unwrap().rotate().unwrap();
    let key = Some(SigningKey::generate().unwrap().seed());
    let grant = RoomGrant { link: next.link(), key };
    let to = eve.knows("Bob").id.into();
    let body = Body::Room(grant);
    eve.engine.transact(|work| work.queue_body(to, &body)).unwrap();
    for _ in 0..2 {
        hall.post.round(&mut eve);
        hall.post.round(&mut bob);
    }
    hall.people.insert(BOB, bob);
    assert_eq!((hall.room(BOB).number, hall.room(BOB).host_key), (1, None));
}

/// Leaving tells nobody; the history stays, and the link leads back in.
#[test]
fn leaving_tells_nobody() {
    let mut hall = Hall::new(true);
    hall.say(ALICE, "one");
    hall.settle();
    let left = hall.people[BOB].engine.leave_room(hall.id).unwrap();
    assert_eq!(left.standing, Standing::Left);
    hall.say(ALICE, "two");
    hall.settle();
    assert_eq!(hall.reads(BOB), ["one"]);
    assert!(hall.people[BOB].engine.store.read().live_logs().unwrap().is_empty());
    let again = hall.people[BOB].engine.leave_room(hall.id).unwrap_err();
    assert_eq!(again, Error::WrongStanding { standing: Standing::Left });
    let link = hall.link();
    hall.people[BOB].engine.join_room(&link).unwrap();
    hall.settle();
    assert_eq!(hall.reads(BOB), ["one", "two"]);
    assert_eq!(hall.changes(CAROL), []);
}

/// ROM-6: a link whose card is another room's, or none, leads nowhere, and says so.
#[test]
fn card_that_does_not_fit_is_refused() {
    let mut hall = Hall::new(true);
    let link = RoomLink::parse(&hall.link()).unwrap();
    let key = link.read_key().unwrap().public();
    for card in [Vec::new(), vec![9; 2_048]] {
        hall.post.cards.insert(key, card);
        let late = hall.enter("Dave");
        assert_eq!(hall.shown(late).standing, Standing::Broken);
    }
    // With its card the room can be joined after all.
    let card = RoomCard::parse(&hall.mailbox(), &hall.room(ALICE).card.unwrap()).unwrap();
    let late = hall.people.len() - 1;
    hall.post.cards.insert(key, link.seal_card(&card).unwrap());
    hall.people[late].engine.join_room(&link.link()).unwrap();
    hall.settle();
    assert_eq!(hall.shown(late).name, "Agora");
    hall.post.cards.insert(key, vec![9; 2_048]);
    // Who knows the room reads on, with the card that is known.
    hall.people[BOB].engine.take_events();
    hall.say(ALICE, "still here");
    hall.settle();
    assert_eq!(hall.reads(BOB), ["still here"]);
}

/// A restart changes nothing: what is sealed is posted as it is, once.
#[test]
fn sealed_posts_outlive_a_restart() {
    let mut hall = Hall::new(true);
    hall.say(BOB, "sealed once");
    let mailbox = hall.mailbox();
    let first = hall.people[BOB].engine.outgoing(&mailbox, 0, 10).unwrap();
    let mut bob = hall.people.remove(BOB).restart();
    let again = bob.engine.outgoing(&mailbox, 0, 10).unwrap();
    let bytes = |all: &[Outgoing]| all.iter().map(|o| (o.id, o.body.clone())).collect::<Vec<_>>();
    assert_eq!(bytes(&first), bytes(&again));
    // It was stored, and the answer was lost.
    first.into_iter().for_each(|what| hall.put(what.id, what.body));
    hall.people.insert(BOB, bob);
    hall.settle();
    assert_eq!(hall.reads(CAROL), ["sealed once"]);
    assert_eq!(hall.history(BOB)[0].fate, Fate::Accepted);
}

/// ROM-5: name, hosts and rooms are bounded, at the bound and one past it; names of people too.
#[test]
fn rooms_are_bounded() {
    let mut alice = person("Alice");
    let longest = "n".repeat(ROOM_NAME_BYTES);
    let id = alice.engine.create_room(&longest, true).unwrap().id;
    let past = alice.engine.create_room(&format!("{longest}n"), true).unwrap_err();
    assert!(matches!(past, Error::TooLong { max: ROOM_NAME_BYTES, .. }));
    assert_eq!(alice.engine.create_room(" ", true).unwrap_err(), Error::EmptyText);
    let turned = alice.engine.create_room("ne\u{202e}ws", true).unwrap_err();
    assert_eq!(turned, Error::Misleading { what: "name" });
    for n in 0..ROOM_HOSTS {
        let account = AccountKey::from_seed(&[n as u8 + 1; 32]).id();
        let who = ContactId::new([n as u8; 16]);
        alice
            .engine
            .transact(|work| {
                let mut contact = work.new_contact(who, ContactState::Active)?;
                contact.account = Some(*account.key());
                work.db.put_contact(&contact)
            })
            .unwrap();
        let added = alice.engine.add_host(id, who);
        let full = Err(Error::TooMany { what: "hosts", max: ROOM_HOSTS });
        assert_eq!(added, if n + 1 < ROOM_HOSTS { Ok(()) } else { full }, "{n}");
    }
    for _ in 1..ROOMS {
        alice.engine.create_room("more", false).unwrap();
    }
    let past = alice.engine.create_room("one more", false).unwrap_err();
    assert_eq!(past, Error::TooMany { what: "rooms", max: ROOMS });
}

/// ROM-13: another name is told where this account was heard and may write.
#[test]
fn names_are_told_anew() {
    let mut hall = Hall::new(true);
    hall.say(BOB, "hello");
    hall.settle();
    hall.people[BOB].engine.set_nickname("Robert").unwrap();
    hall.people[CAROL].engine.set_nickname("Caroline").unwrap();
    hall.settle();
    assert!(hall.people[ALICE].engine.find_member(hall.id, "robert").is_ok());
    assert!(hall.people[ALICE].engine.find_member(hall.id, "caroline").is_err());
    hall.people[ALICE].engine.set_room_audience(hall.id, false).unwrap();
    hall.settle();
    hall.people[BOB].engine.set_nickname("Bob").unwrap();
    let mailbox = hall.mailbox();
    assert!(!hall.people[BOB].engine.has_outgoing(&mailbox).unwrap());
}

/// ROM-13: of so many accounts the name is known, and of one more it is not.
#[test]
fn names_of_a_room_are_bounded() {
    let mut hall = Hall::new(true);
    let id = hall.id;
    for n in 0..ROOM_PEOPLE - 1 {
        let account = [(n >> 8) as u8, n as u8].repeat(16).try_into().unwrap();
        let put =
            |db: crate::store::Db<'_>| db.put_member(id, &db.member(id, &PublicKey::new(account))?);
        hall.people[ALICE].engine.store.write(put).unwrap();
    }
    hall.say(BOB, "the last one");
    hall.settle();
    hall.say(CAROL, "one more");
    hall.settle();
    let named = |who: usize| {
        let db = hall.people[ALICE].engine.store.read();
        let account = *hall.people[who].engine.account.id().key();
        db.member(id, &account).unwrap().nickname
    };
    assert_eq!((named(BOB), named(CAROL)), ("Bob".to_owned(), String::new()));
    assert_eq!(hall.reads(ALICE), ["the last one", "one more"]);
    assert!(hall.people[ALICE].engine.find_member(id, "bob").is_ok());
}
