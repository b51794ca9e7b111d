//! Tests of files whose message is let go: file, keys and transfer go with it, whoever lets it go.

use std::time::Duration;

use restante_spec::content::{Attachment as Said, Body, Delete};
use restante_spec::ids::{BlobId, EnvelopeId, Seconds};

use super::attachments::{Shelf, attach, attach_to, attach_with, files, source};
use super::devices::{settle, three};
use super::post::{Person, wait};
use super::trio::{ALICE, BOB, CAROL, Trio};
use super::{Error, Fate, friends};
use crate::attachment::AttachOptions;
use crate::types::{ConversationId, Message, MessageId, MessageKind};

/// Nothing of a file is left here, on the disk or in the store; gives what is shown instead.
fn left_of(person: &Person, of: ConversationId, id: MessageId) -> Message {
    let db = person.engine.store.read();
    assert!(db.attachment(of, &id).unwrap().is_none(), "keys");
    assert!(!db.keeps_content(of, &id).unwrap(), "keys in the content");
    assert!(db.owed_transfers().unwrap().is_empty());
    assert!(db.transfers().unwrap().iter().all(|row| row.key.is_none()), "key of a transfer");
    assert!(files(person).is_empty());
    db.message_of(of, &id).unwrap().unwrap()
}

/// A file of Bob's in the group: at the relay, and on Carol's device.
fn shared(trio: &mut Trio, shelf: &mut Shelf) -> Message {
    let group = trio.group;
    let bob = &mut trio.people[BOB];
    let (path, _) = source(bob, 1_000);
    let sent = attach_to(bob, group, &path, AttachOptions::default()).unwrap();
    shelf.carry(bob);
    trio.rounds();
    shelf.carry(&mut trio.people[CAROL]);
    assert_eq!(files(&trio.people[CAROL]).len(), 1);
    sent
}

/// CNT-16: what is taken back goes from every device, whether the file has come there or is on its
/// way, and no copy brings it back.
#[test]
fn what_is_taken_back_takes_its_file() {
    let mut trio = Trio::new();
    let mut shelf = Shelf::default();
    let (sent, group) = (shared(&mut trio, &mut shelf), trio.group);
    let alice = &mut trio.people[ALICE];
    alice.engine.fetch_wanted().unwrap();
    let row = alice.engine.owed_transfers().unwrap().remove(0);
    alice.engine.resume_download(&row).unwrap();
    assert_eq!(files(alice).len(), 1, "it has begun");
    trio.people[BOB].engine.delete(group, &[sent.id]).unwrap();
    trio.rounds();
    for who in [ALICE, BOB, CAROL] {
        shelf.carry(&mut trio.people[who]);
        let left = left_of(&trio.people[who], group, sent.id);
        assert_eq!((left.kind, left.attachment), (MessageKind::Deleted, None));
        assert_eq!(trio.people[who].engine.fetch(sent.id), Err(Error::NoSuchFile));
    }
}

/// CNT-16: a copy of a message does not bring its file back.
#[test]
fn copy_does_not_bring_a_file_back() {
    let mut trio = Trio::new();
    let (sent, group) = (shared(&mut trio, &mut Shelf::default()), trio.group);
    let kept = trio.people[CAROL].engine.store.read().attachment(group, &sent.id).unwrap();
    let file = Body::Attachment(Box::new(kept.unwrap().said().unwrap()));
    let id = trio.repair(CAROL, BOB, 1_000, 5, file.clone());
    assert!(trio.message(CAROL, id).attachment.is_some());
    let of = vec![EnvelopeId::new([5; 16])];
    trio.repair(CAROL, BOB, 1_001, 6, Body::Delete(Delete { of }));
    trio.repair(CAROL, BOB, 1_000, 5, file);
    let kept = trio.people[CAROL].engine.store.read().attachment(group, &id).unwrap();
    let left = trio.message(CAROL, id);
    assert_eq!((kept.is_none(), left.kind, left.attachment), (true, MessageKind::Deleted, None));
}

/// CNT-16, CNT-18: what disappears takes its file, at everybody's own time.
#[test]
fn what_disappears_takes_its_file() {
    let mut trio = Trio::new();
    let mut shelf = Shelf::default();
    let group = trio.group;
    trio.people[ALICE].engine.set_timer(group, Some(Seconds::new(10))).unwrap();
    trio.rounds();
    let sent = shared(&mut trio, &mut shelf);
    trio.people[CAROL].engine.mark_read(group).unwrap();
    for who in [BOB, CAROL] {
        let person = &mut trio.people[who];
        wait(person, Duration::from_secs(9));
        person.engine.remove_litter().unwrap();
        assert_eq!(files(person).len(), 1);
        wait(person, Duration::from_secs(1));
        person.engine.remove_litter().unwrap();
        let left = left_of(person, group, sent.id);
        assert_eq!(left.kind, MessageKind::Disappeared);
    }
}

/// A file that is taken back amid its upload never was anybody's: nobody hears of it, and nothing
/// can be said of it meanwhile.
#[test]
fn what_is_being_uploaded_is_withdrawn() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (sent, _) = attach(&mut alice, 300_000);
    let row = alice.engine.owed_transfers().unwrap().remove(0);
    shelf.step(&mut alice, &row);
    let of = alice.talk();
    assert_eq!(alice.engine.edit(of, sent.id, "x"), Err(Error::NoSuchMessage));
    assert_eq!(alice.engine.send_reply(of, sent.id, "x"), Err(Error::NoSuchMessage));
    assert_eq!(alice.engine.react(of, sent.id, Some("x")), Err(Error::NoSuchMessage));
    alice.engine.delete(of, &[sent.id]).unwrap();
    assert_eq!(alice.engine.queued(), 0);
    shelf.carry(&mut alice);
    assert_eq!(left_of(&alice, of, sent.id).kind, MessageKind::Deleted);
    assert!(shelf.0.is_empty(), "the relay is told");
    post.round(&mut alice);
    post.round(&mut bob);
    assert!(bob.history().is_empty());
}

/// CNT-14: other words for a file take the place of those before, of which nothing is kept; the
/// file stays.
#[test]
fn captions_are_edited() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (path, _) = source(&alice, 1_000);
    let options = AttachOptions { caption: "to be raed".to_owned(), ..AttachOptions::default() };
    let sent = attach_with(&mut alice, &path, options).unwrap();
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    shelf.carry(&mut bob);
    alice.engine.edit(alice.talk(), sent.id, "to be read").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    for person in [&alice, &bob] {
        let shown = person.history().remove(0);
        assert_eq!((shown.text.as_str(), shown.edited), ("to be read", true));
        assert_eq!(shown.kind, MessageKind::Attachment);
        assert!(person.engine.open_attachment(sent.id).is_ok());
        let kept = person.engine.store.read().attachment(person.talk(), &sent.id).unwrap();
        assert_eq!(kept.unwrap().said().unwrap().caption, "");
        assert!(person.engine.search("raed", 9).unwrap().is_empty());
    }
}

/// An answer names what it answers, and a file can be one.
#[test]
fn files_answer_messages() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let question = bob.engine.send(bob.talk(), "Have you the notes?").unwrap().id;
    post.round(&mut bob);
    post.round(&mut alice);
    let (path, _) = source(&alice, 1_000);
    let unknown = Some(MessageId::new([7; 16]));
    let options = AttachOptions { reply_to: unknown, ..AttachOptions::default() };
    assert_eq!(attach_with(&mut alice, &path, options).unwrap_err(), Error::NoSuchMessage);
    let options = AttachOptions { reply_to: Some(question), ..AttachOptions::default() };
    attach_with(&mut alice, &path, options).unwrap();
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    for person in [&alice, &bob] {
        let answered = person.history().pop().unwrap().reply_to.unwrap();
        assert_eq!((answered.message, answered.is_here), (question, true));
    }
}

/// Files are delivered and read as texts are.
#[test]
fn files_have_their_receipts() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (sent, _) = attach(&mut alice, 1_000);
    shelf.carry(&mut alice);
    let fate = |alice: &Person| alice.engine.message(sent.id).unwrap().fate;
    for expected in [Fate::Delivered, Fate::Read] {
        for _ in 0..2 {
            post.round(&mut alice);
            post.round(&mut bob);
        }
        wait(&mut bob, Duration::from_secs(60));
        post.round(&mut bob);
        post.round(&mut alice);
        assert_eq!(fate(&alice), expected);
        bob.engine.mark_read(bob.talk()).unwrap();
    }
}

/// DEV-17: a device that was removed keeps neither files nor their keys, and takes no more; what
/// was said stays. The others keep theirs.
#[test]
fn removed_device_lets_go_of_files() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let mut shelf = Shelf::default();
    let (path, _) = source(&bob, 1_000);
    let options = AttachOptions { caption: "notes".to_owned(), ..AttachOptions::default() };
    let sent = attach_with(&mut bob, &path, options).unwrap();
    shelf.carry(&mut bob);
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    shelf.carry(&mut alice);
    shelf.carry(&mut laptop);
    assert_eq!((files(&alice).len(), files(&laptop).len()), (1, 1));
    alice.engine.remove_device(2).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    shelf.carry(&mut laptop);
    shelf.carry(&mut alice);
    let left = left_of(&laptop, laptop.talk(), sent.id);
    assert_eq!((left.kind, left.text.as_str()), (MessageKind::Attachment, "notes"));
    assert_eq!(laptop.engine.fetch(sent.id), Err(Error::NoSuchFile));
    assert_eq!(files(&alice).len(), 1);
    // What would still come is shown without its file.
    let message = laptop.engine.message(sent.id).unwrap();
    let said = Said {
        relay: laptop.engine.account.relay.clone(),
        mailbox: laptop.log(),
        blob: BlobId::new([1; 16]),
        read_key: [2; 32].into(),
        file_key: [3; 32].into(),
        size: 1,
        name: String::new(),
        media_type: String::new(),
        width: 0,
        height: 0,
        duration_ms: 0,
        thumbnail: Vec::new(),
        caption: String::new(),
        reply_to: None,
    };
    laptop.engine.transact(|work| work.keep_attachment(message, &said)).unwrap();
    assert_eq!(laptop.engine.message(sent.id).unwrap().attachment, None);
}
