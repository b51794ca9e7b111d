//! Tests of the rules, with envelopes carried by hand: every race in the order the test wants.

mod answers;
mod attachments;
mod counts;
mod devices;
mod gone;
mod groups;
mod hall;
mod history;
mod inbox;
mod kinds;
mod large;
mod late;
mod letter_keys;
mod letting_go;
mod links;
mod live;
mod meeting;
mod order;
mod owed;
mod own_devices;
mod own_return;
mod packages;
mod post;
mod readd;
mod reboot;
mod receipts;
mod recovery;
mod removed;
mod repair;
mod restored;
mod room_homes;
mod rooms;
mod sealing;
mod transfers;
mod trio;
mod wiped;

use std::time::Duration;

use restante_spec::codes::Code;
use restante_spec::ids::Seq;

use self::post::{EXPIRES, Person, Post, events, person, wait};
use super::*;
use crate::store::LogState;
use crate::types::{ContactState, Fate, InviteOptions};

fn friends() -> (Post, Person, Person) {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    post.introduce(&mut alice, &mut bob, None);
    events(&mut alice);
    events(&mut bob);
    (post, alice, bob)
}

/// A letter, an agreement and a join make two contacts who know each other's names, and the first
/// message keeps its id and stands before the log.
#[test]
fn first_contact_makes_two_contacts() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    post.introduce(&mut alice, &mut bob, Some("hello"));
    assert_eq!((alice.contact().state, bob.contact().state), {
        (ContactState::Active, ContactState::Active)
    });
    assert_eq!((alice.contact().nickname.as_str(), bob.contact().nickname.as_str()), {
        ("Bob", "Alice")
    });
    let (read, written) = (alice.history(), bob.history());
    assert_eq!((read[0].text.as_str(), read[0].id), ("hello", written[0].id));
    assert_eq!((read[0].seq, written[0].seq), (Some(Seq::START), Some(Seq::START)));
    assert_eq!((read[0].fate, written[0].fate), (Fate::Received, Fate::Accepted));
    let numbers = (
        alice.engine.safety_number(alice.contact().id).unwrap(),
        bob.engine.safety_number(bob.contact().id).unwrap(),
    );
    assert_eq!(numbers.0, numbers.1);
}

/// Letters and envelopes that come again change nothing.
#[test]
fn repeated_envelopes_change_nothing() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.send(alice.talk(), "once").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    events(&mut bob);
    post.round(&mut bob);
    post.bring_letters(&mut bob);
    assert_eq!(events(&mut bob), []);
    assert_eq!(bob.texts(), ["once"]);
}

/// CNV-8: what its sender has appended twice, as it heard no answer and the relay had let go of the
/// first, is read once.
#[test]
fn what_is_stored_twice_is_read_once() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    alice.engine.send(alice.talk(), "once").unwrap();
    post.round(&mut alice);
    let said = alice.history()[0].id;
    alice.engine.react(alice.talk(), said, Some("+")).unwrap();
    post.round(&mut alice);
    let (sent, body) = post.boxes[&log].last().unwrap().clone();
    post.put(log, sent.id, sent.class, sent.epoch, false, body);
    post.round(&mut bob);
    assert_eq!(bob.history().len(), 1, "{:?}", bob.history());
    assert_eq!(bob.history()[0].reactions.len(), 1);
}

/// A message is sealed once for its epoch: a retry sends the same bytes, also after a restart. In
/// the next epoch it is sealed anew, under the same id.
#[test]
fn retry_sends_the_same_bytes_within_the_epoch() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    post.bring_log(&mut alice, log);
    alice.engine.send(alice.talk(), "sealed once").unwrap();
    let first = alice.engine.outgoing(&log, 0, 10).unwrap();
    let mut alice = alice.restart();
    let again = alice.engine.outgoing(&log, 0, 10).unwrap();
    assert_eq!((first[0].id, &first[0].body), (again[0].id, &again[0].body));

    // Bob commits first: the sealed bytes are of no more use.
    bob.wish_update(&log);
    post.round(&mut bob);
    assert!(post.append(log, again[0].clone()).is_none());
    post.bring_log(&mut alice, log);
    let anew = alice.engine.outgoing(&log, 0, 10).unwrap();
    assert_eq!(anew[0].id, first[0].id);
    assert_ne!(anew[0].body, first[0].body);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["sealed once"]);
    assert_eq!(alice.history()[0].fate, Fate::Accepted);
}

/// After an unknown outcome the own id in the log means that it was accepted.
#[test]
fn own_id_in_the_log_means_accepted() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    alice.engine.send(alice.talk(), "unanswered").unwrap();
    let sealed = alice.engine.outgoing(&log, 0, 10).unwrap();
    post.append(log, sealed[0].clone()).unwrap();
    assert_eq!(alice.history()[0].fate, Fate::Queued);
    let mut alice = alice.restart();
    post.bring_log(&mut alice, log);
    assert_eq!(alice.history()[0].fate, Fate::Accepted);
    assert!(alice.engine.outgoing(&log, 0, 10).unwrap().is_empty());
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["unanswered"]);
}

/// Two commits race: the log takes one, the other side catches up, makes its own anew and succeeds.
#[test]
fn loser_of_two_commits_catches_up_and_succeeds() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    for person in [&mut alice, &mut bob] {
        post.bring_log(person, log);
        person.wish_update(&log);
    }
    let wins = alice.engine.commit(&log).unwrap().unwrap();
    let loses = bob.engine.commit(&log).unwrap().unwrap();
    post.append(log, wins).unwrap();
    assert!(post.append(log, loses.clone()).is_none());
    post.bring_log(&mut bob, log);
    assert!(bob.engine.wants_commit(&log).unwrap());
    let anew = bob.engine.commit(&log).unwrap().unwrap();
    assert_ne!(anew.id, loses.id);
    post.append(log, anew).unwrap();
    post.bring_log(&mut alice, log);
    post.bring_log(&mut bob, log);
    let keys = (alice.engine.reading_key(&log).unwrap(), bob.engine.reading_key(&log).unwrap());
    assert_eq!(keys.0.public(), keys.1.public());
    assert!(!bob.engine.wants_commit(&log).unwrap());
}

/// A commit that was sent and not answered is sent again as it is, and its echo decides.
#[test]
fn commit_outlives_a_restart() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    alice.wish_update(&log);
    let sent = alice.engine.commit(&log).unwrap().unwrap();
    let mut alice = alice.restart();
    let again = alice.engine.commit(&log).unwrap().unwrap();
    assert_eq!((sent.id, &sent.body), (again.id, &again.body));
    post.append(log, again).unwrap();
    post.round(&mut alice);
    alice.engine.send(alice.talk(), "in the new epoch").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["in the new epoch"]);
}

/// A receipt makes its message delivered; receipts are quiet, batched, and never receipted.
#[test]
fn receipts_are_batched_and_never_receipted() {
    let (mut post, mut alice, mut bob) = friends();
    for text in ["one", "two"] {
        alice.engine.send(alice.talk(), text).unwrap();
    }
    post.round(&mut alice);
    post.round(&mut bob);
    assert!(bob.engine.outgoing(&bob.log(), 0, 10).unwrap().is_empty());
    wait(&mut bob, Duration::from_secs(60));
    let receipts = bob.engine.outgoing(&bob.log(), 0, 10).unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].class, restante_spec::message::EnvelopeClass::Quiet);
    post.round(&mut bob);
    post.round(&mut alice);
    assert!(alice.history().iter().all(|message| message.fate == Fate::Delivered));
    wait(&mut alice, Duration::from_secs(60));
    assert!(alice.engine.outgoing(&alice.log(), 0, 10).unwrap().is_empty());
}

/// Receipts that are owed go along with the next message.
#[test]
fn receipts_go_along_with_a_message() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.send(alice.talk(), "question").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.send(bob.talk(), "answer").unwrap();
    post.round(&mut bob);
    post.round(&mut alice);
    assert_eq!(alice.history()[0].fate, Fate::Delivered);
}

/// A message nobody receipted expires when the relay's time for it has passed.
#[test]
fn message_without_receipt_expires() {
    let (mut post, mut alice, _bob) = friends();
    alice.engine.send(alice.talk(), "too late").unwrap();
    post.round(&mut alice);
    let left = EXPIRES.get() - alice.engine.now.get();
    wait(&mut alice, Duration::from_secs(left));
    assert_eq!(alice.history()[0].fate, Fate::Accepted);
    wait(&mut alice, Duration::from_secs(60));
    assert_eq!(alice.history()[0].fate, Fate::Expired);
}

/// What is missing from the log is told, and what stands behind it is read.
#[test]
fn gap_is_told() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    for text in ["lost", "found"] {
        alice.engine.send(alice.talk(), text).unwrap();
        post.round(&mut alice);
    }
    let lost = alice.history()[0].seq.unwrap();
    post.lose(&log, lost);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["found"]);
    let told = events(&mut bob);
    assert!(
        told.iter().any(|event| matches!(event, Event::Notice(Notice::Gap { .. }))),
        "{told:?}"
    );
}

/// A refused content does not leave a hole: what stands behind it takes its number.
#[test]
fn refused_content_leaves_no_hole() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    for text in ["refused", "goes on"] {
        alice.engine.send(alice.talk(), text).unwrap();
    }
    let sealed = alice.engine.outgoing(&log, 0, 10).unwrap();
    alice.engine.refused(&log, &sealed[0].id, Code::TooLarge).unwrap();
    assert_eq!(alice.history()[0].fate, Fate::Refused(Code::TooLarge));
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["goes on"]);
    assert_eq!(alice.texts(), ["refused", "goes on"]);
    assert_eq!(alice.history()[0].seq, None);
    let mine = alice.engine.store.read().need_log(&log).unwrap();
    assert_eq!(mine.counter, 1);
}

/// Both invited each other: both keep the conversation with the lower id, what was written in the
/// other one is there too, and the other one is closed.
#[test]
fn mutual_invites_become_one_conversation() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let of_alice = alice.engine.invite(InviteOptions::default()).unwrap();
    let of_bob = bob.engine.invite(InviteOptions::default()).unwrap();
    post.do_jobs(&mut alice);
    post.do_jobs(&mut bob);
    alice.engine.accept_invite(of_bob.as_str(), Some("from alice")).unwrap();
    bob.engine.accept_invite(of_alice.as_str(), Some("from bob")).unwrap();
    for person in [&mut alice, &mut bob] {
        post.do_jobs(person);
    }
    // Both find the other's letter before they hear of the other's conversation.
    for person in [&mut alice, &mut bob] {
        post.bring_letters(person);
    }
    for person in [&mut alice, &mut bob] {
        post.work(person);
    }
    for _ in 0..6 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_eq!(alice.log(), bob.log());
    for person in [&alice, &bob] {
        let all = person.engine.store.read().logs_of(person.talk()).unwrap();
        assert_eq!(all.len(), 2);
        let lower = all.iter().map(|row| row.mailbox).min().unwrap();
        assert_eq!(person.log(), lower);
        for row in all {
            let kept = row.mailbox == lower;
            assert_eq!(row.state == LogState::Live, kept, "{:?}", row.state);
        }
    }
    alice.engine.send(alice.talk(), "one way").unwrap();
    bob.engine.send(bob.talk(), "and back").unwrap();
    for _ in 0..2 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    let mut texts = (alice.texts(), bob.texts());
    assert_eq!(texts.0[2..], texts.1[2..]);
    texts.0.sort();
    assert_eq!(texts.0, ["and back", "from alice", "from bob", "one way"]);
}

/// Blocking strikes the contact's key, removes and closes; the other side learns that it is over,
/// and nothing of theirs is taken any more.
#[test]
fn blocking_closes_the_conversation() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    bob.engine.send(bob.talk(), "before").unwrap();
    post.round(&mut bob);
    post.round(&mut alice);
    bob.engine.send(bob.talk(), "on its way").unwrap();
    let late = bob.engine.outgoing(&log, 0, 1).unwrap();
    alice.engine.block(alice.contact().id).unwrap();
    post.append(log, late[0].clone()).unwrap();
    post.round(&mut alice);
    assert_eq!(post.revoked.len(), 1);
    assert_eq!(alice.texts(), ["before"]);
    let row = alice.engine.store.read().need_log(&log).unwrap();
    assert_eq!(row.state, LogState::Closed);
    post.round(&mut bob);
    let told = events(&mut bob);
    let over = |event: &Event| matches!(event, Event::Notice(Notice::ConversationClosed { .. }));
    assert!(told.iter().any(over), "{told:?}");
    assert_eq!(bob.contact().state, ContactState::Ended);
    let state = ContactState::Ended;
    assert_eq!(bob.engine.send(bob.talk(), "after"), Err(Error::WrongState { state }));
    let state = ContactState::Blocked;
    let to_blocked = alice.engine.send(alice.talk(), "no");
    assert_eq!(to_blocked, Err(Error::WrongState { state }));
}

/// Who was blocked comes back with a new invite only.
#[test]
fn unblocking_is_a_new_invite() {
    let (mut post, mut alice, mut bob) = friends();
    let old = alice.engine.invite(InviteOptions::default()).unwrap();
    post.do_jobs(&mut alice);
    wait(&mut alice, Duration::from_secs(10));
    alice.engine.block(alice.contact().id).unwrap();
    for _ in 0..2 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    bob.engine.accept_invite(old.as_str(), Some("by an old invite")).unwrap();
    post.do_jobs(&mut bob);
    post.round(&mut alice);
    assert_eq!(alice.contact().state, ContactState::Blocked);
    wait(&mut alice, Duration::from_secs(10));
    let state = ContactState::Requested;
    let again = bob.engine.accept_invite(old.as_str(), None);
    assert_eq!(again.unwrap_err(), Error::WrongState { state });
}

/// A copied home: what it finds in the log under its own signature and an unknown id stops it.
#[test]
fn copied_home_stops_sending() {
    let (mut post, alice, _bob) = friends();
    let log = alice.log();
    let mut alice = alice.restart();
    let mut twin = alice.copy();
    post.bring_log(&mut twin, log);
    twin.engine.send(twin.talk(), "by the twin").unwrap();
    post.round(&mut twin);
    post.bring_log(&mut alice, log);
    let told = events(&mut alice);
    assert!(told.contains(&Event::Notice(Notice::Cloned)), "{told:?}");
    assert_eq!(alice.engine.send(alice.talk(), "no"), Err(Error::Cloned));
}

/// What was let go and never came here may have been sent by a copy: fresh keys come first. Is
/// nothing missing, nothing is done.
#[test]
fn missing_envelopes_bring_fresh_keys() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    post.round(&mut alice);
    let cursor = alice.engine.store.read().need_log(&log).unwrap().cursor;
    alice.engine.caught_up(&log, cursor).unwrap();
    assert!(!alice.engine.wants_commit(&log).unwrap());
    alice.engine.caught_up(&log, Seq::new(cursor.get() + 1)).unwrap();
    assert!(alice.engine.wants_commit(&log).unwrap());
    alice.engine.send(alice.talk(), "under fresh keys").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["under fresh keys"]);
}

/// What does not open is dropped from an inbox and told; what comes behind it is read.
#[test]
fn junk_in_the_inbox_is_told() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let link = alice.engine.invite(InviteOptions::default()).unwrap();
    post.do_jobs(&mut alice);
    post.junk(&alice);
    bob.engine.accept_invite(link.as_str(), None).unwrap();
    post.do_jobs(&mut bob);
    post.bring_letters(&mut alice);
    let told = events(&mut alice);
    assert!(told.contains(&Event::Notice(Notice::Junk { conversation: None })), "{told:?}");
    assert_eq!(alice.contact().state, ContactState::Incoming);
}

/// A record nobody can open is kept as such; the log goes on.
#[test]
fn unreadable_record_is_shown() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    post.noise(log);
    alice.engine.send(alice.talk(), "behind it").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    let kinds: Vec<_> = bob.history().iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [crate::types::MessageKind::Unreadable, crate::types::MessageKind::Text]);
}

/// CNV-12: a commit that cannot be followed is capture: told, and nothing is sent there any more.
#[test]
fn unfollowable_commit_is_capture() {
    let (mut post, mut alice, _bob) = friends();
    let log = alice.log();
    alice.engine.send(alice.talk(), "unsent").unwrap();
    post.captured(log);
    post.bring_log(&mut alice, log);
    let told = events(&mut alice);
    let conversation = alice.talk();
    assert!(told.contains(&Event::Notice(Notice::Captured { conversation })), "{told:?}");
    let unsent = alice.history().into_iter().find(|message| message.from_me()).unwrap();
    assert_eq!(unsent.fate, Fate::Queued);
    assert!(alice.engine.outgoing(&log, 0, 10).unwrap().is_empty());
}

/// A new nickname reaches the contacts.
#[test]
fn nickname_is_told_to_contacts() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.set_nickname("Alicia").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.contact().nickname, "Alicia");
    assert!(bob.history().is_empty());
}

/// Nicknames, texts and invites that cannot be are refused before anything is written.
#[test]
fn what_cannot_be_is_refused() {
    let mut alice = person("Alice");
    let link = alice.engine.invite(InviteOptions::default()).unwrap();
    let accept = |engine: &mut Engine, link: &str| engine.accept_invite(link, None).unwrap_err();
    assert_eq!(accept(&mut alice.engine, link.as_str()), Error::OwnInvite);
    assert_eq!(accept(&mut alice.engine, "restante://nothing"), Error::BadInvite);
    assert!(matches!(alice.engine.set_nickname(" "), Err(Error::BadNickname { .. })));
    for bad in ["two\nlines", "a\u{202e}b"] {
        assert!(matches!(alice.engine.set_nickname(bad), Err(Error::BadNickname { .. })));
    }
    let mut bob = person("Bob");
    let text = "x".repeat(restante_spec::limits::TEXT_BYTES + 1);
    let long = bob.engine.accept_invite(link.as_str(), Some(&text));
    assert!(matches!(long, Err(Error::TextTooLong { .. })));
    assert_eq!(bob.engine.accept_invite(link.as_str(), Some(" ")), Err(Error::EmptyText));
}
