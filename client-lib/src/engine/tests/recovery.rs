//! Tests of what a recovery file brings back.

use restante_crypto::DeviceList;

use super::devices::{link, settle};
use super::history::{fill, history};
use super::post::{NOW, Person, Post, key};
use super::*;
use crate::limits::{RESTORED_NUMBER_GAP, RESTORED_NUMBER_SPREAD};
use crate::recovery::{self, NewFile, RecoverySecret};
use crate::store::{JobKind, LogState, Meta};
use crate::types::{ConversationKind, MessageKind, Standing};

/// A recovery file of somebody, under a passphrase.
fn write(person: &mut Person, path: &std::path::Path, secret: &RecoverySecret) -> u64 {
    let mut file = NewFile::begin(path.to_owned(), secret).unwrap();
    let (mut from, mut messages) = (None, 0);
    loop {
        let written = person.engine.recovery_segment(from).unwrap();
        messages += u64::from(written.messages);
        file.push(written.bytes).unwrap();
        from = written.rest;
        if from.is_none() {
            break;
        }
    }
    file.finish().unwrap();
    messages
}

fn restore(path: &std::path::Path, secret: &RecoverySecret) -> Result<Person, Error> {
    let home = tempfile::tempdir().unwrap();
    let file = recovery::read(path, secret)?;
    let engine = Engine::restore(home.path(), &key(), file, NOW)?;
    Ok(Person { engine, home })
}

/// Somebody writes a recovery file and restores it elsewhere.
pub(super) fn restored(person: &mut Person) -> Person {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join("drawer"), RecoverySecret::new_words().unwrap());
    write(person, &path, &secret);
    restore(&path, &secret).unwrap()
}

/// REV-5: account, contacts, what was verified, conversations with their members, history, drafts
/// and settings come back; what is queued does not.
#[test]
fn a_recovery_file_brings_everything_back() {
    let (mut post, mut alice, mut bob) = friends();
    let group = alice.engine.create_group("talk", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let one = alice.engine.send(alice.talk(), "one").unwrap().id;
    bob.engine.send(bob.talk(), "two").unwrap();
    bob.engine.send(group, "in the group").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    bob.engine.react(bob.talk(), one, Some("+")).unwrap();
    alice.engine.set_verified(alice.contact().id, true).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    fill(&mut alice, 3_000, 500);
    alice.engine.set_draft(group, "not yet").unwrap();
    alice.engine.set_setting("theme", b"dark").unwrap();
    let before = (history(&alice, alice.talk()), history(&alice, group));
    alice.engine.send(alice.talk(), "queued").unwrap();

    let mut again = restored(&mut alice);
    assert_eq!(again.engine.own_id().unwrap(), alice.engine.own_id().unwrap());
    assert_eq!(again.engine.nickname().unwrap(), "Alice");
    assert_eq!((history(&again, again.talk()), history(&again, group)), before);
    let contact = again.contact();
    assert_eq!((contact.nickname.as_str(), contact.verified), ("Bob", true));
    let number = |person: &Person| person.engine.safety_number(contact.id).unwrap();
    assert_eq!(number(&again), number(&alice));
    assert_eq!(again.engine.draft(group).unwrap(), "not yet");
    assert_eq!(again.engine.setting("theme").unwrap().unwrap(), b"dark");
    assert_eq!(again.engine.unread().unwrap(), alice.engine.unread().unwrap());
    assert_eq!(again.engine.search("3000", 10).unwrap().len(), 1);
    let names = |person: &mut Person| -> Vec<_> {
        let members = person.engine.group_members(group).unwrap().into_iter();
        members.filter(|member| !member.is_me).map(|m| (m.id, m.nickname, m.role)).collect()
    };
    assert_eq!(names(&mut again), names(&mut alice));
    let mut again = again.restart();
    // What comes back needs no more than what is there: nobody is asked for anything twice.
    post.do_jobs(&mut again);
    assert_eq!((history(&again, again.talk()), history(&again, group)), before);
}

/// REV-6, IDN-4, IDN-7: who restores is a new device: with keys of its own, a number and a list
/// above what may have been given since; those of before stay.
#[test]
fn who_restores_is_a_new_device() {
    let (mut post, mut alice, _bob) = friends();
    let _laptop = link(&mut post, &mut alice);
    let (again, twin) = (restored(&mut alice), restored(&mut alice));
    let list = |person: &Person| DeviceList::parse(person.engine.account.list.as_bytes()).unwrap();
    let numbers: Vec<u32> = again.engine.devices().iter().map(|device| device.number).collect();
    let own = numbers[2];
    assert_eq!(numbers[..2], [1, 2]);
    let (least, most) = (3 + RESTORED_NUMBER_GAP, 3 + RESTORED_NUMBER_GAP + RESTORED_NUMBER_SPREAD);
    assert!((least..most).contains(&own), "{own}");
    assert!(list(&again).may_follow(&list(&alice)).is_ok());
    assert!(list(&again).version() >= NOW.get());
    let device = |person: &Person| person.engine.account.device.public();
    assert!(device(&again) != device(&alice) && device(&again) != device(&twin));
    let db = again.engine.store.read();
    assert_eq!(db.meta_number(Meta::NextDevice).unwrap(), u64::from(own) + 1);
    assert_ne!(db.meta(Meta::InboxReader).unwrap(), {
        alice.engine.store.read().meta(Meta::InboxReader).unwrap()
    });
    assert!(db.has_job(&again.engine.account.inbox, JobKind::AddReader).unwrap());
    assert!(db.has_job(&again.engine.account.inbox, JobKind::PutPrekeys).unwrap());
}

/// REV-6, IDN-6: of a full list the device of before with the lowest number makes room.
#[test]
fn a_full_list_makes_room() {
    let (mut post, mut alice) = (Post::default(), super::post::person("Alice"));
    for _ in 1..restante_spec::limits::DEVICES {
        link(&mut post, &mut alice);
    }
    let again = restored(&mut alice);
    let devices = again.engine.devices();
    assert_eq!(devices.len(), restante_spec::limits::DEVICES);
    assert_eq!(devices[0].number, 2);
    assert!(devices.last().unwrap().is_this);
}

/// REV-6: restored conversations are read and not written in, and nothing is opened for them; a new
/// one can be made, and a device linked.
#[test]
fn restored_conversations_are_read_only() {
    let (mut post, mut alice, mut bob) = friends();
    let group = alice.engine.create_group("talk", false).unwrap().id;
    bob.engine.send(bob.talk(), "unread").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut again = restored(&mut alice);
    let standing = Standing::Restored;
    let refused = Error::WrongStanding { standing };
    let talk = again.talk();
    let message = again.history().pop().unwrap().id;
    for of in [talk, group] {
        assert_eq!(again.engine.conversation(of).unwrap().standing, standing);
        assert_eq!(again.engine.send(of, "no"), Err(refused.clone()));
    }
    assert_eq!(again.engine.react(talk, message, Some("+")), Err(refused.clone()));
    assert_eq!(again.engine.set_group_name(group, "no"), Err(refused.clone()));
    assert_eq!(again.engine.leave_group(group), Err(refused));
    again.engine.mark_read(talk).unwrap();
    assert_eq!(again.engine.unread().unwrap(), 0);
    for row in again.engine.store.read().logs_of(talk).unwrap() {
        assert_eq!(row.state, LogState::Gone);
        assert_eq!(alice.engine.store.read().need_log(&row.mailbox).unwrap().conversation, talk);
    }
    assert_eq!(again.engine.wanted_relays().unwrap().len(), 1);
    again.engine.set_nickname("Alicia").unwrap();
    let new = again.engine.create_group("new", false).unwrap().id;
    settle(&mut post, &mut [&mut again]);
    again.engine.send(new, "goes").unwrap();
    let mut laptop = link(&mut post, &mut again);
    super::history::go_on(&mut post, &mut [&mut again, &mut laptop]);
    assert_eq!(history(&laptop, talk), history(&again, talk));
    let mut kinds = laptop.engine.conversations().unwrap();
    kinds.retain(|conversation| conversation.kind == ConversationKind::Group);
    assert_eq!(kinds.len(), 2);
    again.engine.block(again.contact().id).unwrap();
}

/// REV-5: only who has the account's key writes a recovery file; nothing of MLS, no device key, no
/// reader and nothing queued is in one.
#[test]
fn a_recovery_file_holds_no_device() {
    let (mut post, mut alice, _bob) = friends();
    let mut laptop = link(&mut post, &mut alice);
    assert!(matches!(laptop.engine.recovery_segment(None), Err(Error::NotFirstDevice)));
    alice.engine.send(alice.talk(), "queued words").unwrap();
    let mut all = Vec::new();
    let mut from = None;
    loop {
        let written = alice.engine.recovery_segment(from).unwrap();
        all.extend_from_slice(&written.bytes);
        from = written.rest;
        if from.is_none() {
            break;
        }
    }
    let holds = |bytes: &[u8]| all.windows(bytes.len()).any(|window| window == bytes);
    let db = alice.engine.store.read();
    assert!(holds(&db.meta(Meta::AccountKey).unwrap().unwrap()));
    for never in [Meta::DeviceKey, Meta::LetterKey, Meta::InboxReader] {
        assert!(!holds(&db.meta(never).unwrap().unwrap()), "{never:?}");
    }
    for log in db.live_logs().unwrap() {
        assert!(!holds(log.reader.as_bytes()));
    }
    assert!(!holds(b"queued words"));
}

/// REV-4: with other words, or cut anywhere, there is an error and no account; with its own the
/// same home takes it afterwards.
#[test]
fn a_restore_is_whole_or_nothing() {
    let (_post, mut alice, _bob) = friends();
    fill(&mut alice, 3_000, 500);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drawer");
    let secret = RecoverySecret::new_words().unwrap();
    assert!(write(&mut alice, &path, &secret) >= 3_000);
    let other = RecoverySecret::new_words().unwrap();
    let wrong = restore(&path, &other).map(drop);
    assert_eq!(wrong, Err(Error::Crypto(restante_crypto::Error::WrongSecret)));
    let bytes = std::fs::read(&path).unwrap();
    let home = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut");
    for share in [1, 2, 5, 9] {
        std::fs::write(&cut, &bytes[..bytes.len() * share / 10]).unwrap();
        let file = recovery::read(&cut, &secret).unwrap();
        assert!(Engine::restore(home.path(), &key(), file, NOW).is_err());
        assert_eq!(Engine::open(home.path(), &key(), NOW).err(), Some(Error::NoStore));
    }
    let file = recovery::read(&path, &secret).unwrap();
    let engine = Engine::restore(home.path(), &key(), file, NOW).unwrap();
    assert_eq!(engine.contacts().unwrap().len(), 1);
    let again = recovery::read(&path, &secret).unwrap();
    let refused = Engine::restore(home.path(), &key(), again, NOW).err();
    assert_eq!(refused, Some(Error::StoreExists));
}

/// A file that is not finished leaves the one before as it was, and nothing of itself.
#[test]
fn an_unfinished_file_changes_nothing() {
    let (_post, mut alice, _bob) = friends();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drawer");
    let secret = RecoverySecret::from_passphrase("correct horse");
    write(&mut alice, &path, &secret);
    let before = std::fs::read(&path).unwrap();
    let mut file = NewFile::begin(path.clone(), &secret).unwrap();
    file.push(alice.engine.recovery_segment(None).unwrap().bytes).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    drop(file);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(std::fs::read(&path).unwrap() == before);
    let kind = recovery::recovery_kind(&path).unwrap();
    assert_eq!(kind, restante_crypto::RecoveryKind::Passphrase);
    let again = restore(&path, &secret).unwrap();
    assert_eq!(again.history().iter().filter(|m| m.kind == MessageKind::Text).count(), 0);
}
