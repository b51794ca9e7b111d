//! Devices that come too late for something, and what the others of their account give them.

use std::time::Duration;

use restante_crypto::{AccountKey, DeviceKey, DeviceNumber, KemSecret};
use restante_spec::codes::Code;
use restante_spec::content::{HistoryWanted, LogPosition};
use restante_spec::ids::{ArchiveId, MailboxId, PublicKey, UnixTime};

use super::devices::{link, settle, texts, three};
use super::history::{fill, go_on};
use super::post::{Person, Post, events, person, wait};
use super::*;
use crate::limits::{AWAITED_ASKS, RETURN_SPREAD, RETURN_WAITS};
use crate::types::{ContactState, ConversationId, Fate, Standing};

/// Past the end of this round of waiting.
fn long(round: usize) -> Duration {
    Duration::from_secs(u64::from(RETURN_WAITS[round].get() + RETURN_SPREAD.get()))
}

fn own_log(person: &Person) -> MailboxId {
    log_of(person, ConversationId::from(person.engine.own_id().unwrap()))
}

fn log_of(person: &Person, of: ConversationId) -> MailboxId {
    person.engine.store.read().need_conversation(of).unwrap().log.unwrap()
}

/// Alice makes a group with Bob in which something is said; the laptop's Welcome is let go by the
/// relay before the laptop has looked.
fn group_without_laptop(post: &mut Post, [alice, laptop, bob]: [&mut Person; 3]) -> ConversationId {
    go_on(post, &mut [alice, laptop]);
    let group = alice.engine.create_group("Late", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(post, &mut [alice, bob]);
    bob.engine.accept_group(group).unwrap();
    settle(post, &mut [alice, bob]);
    bob.engine.send(group, "early").unwrap();
    settle(post, &mut [alice, bob]);
    post.expire(&alice.engine.account.inbox);
    settle(post, &mut [laptop]);
    let shown = laptop.engine.conversation(group).unwrap();
    assert_eq!((shown.standing, texts(laptop, group)), (Standing::Open, Vec::new()));
    group
}

/// DEV-23: who comes too late for its Welcome asks another device of its account, is told where the
/// conversation is and what was said, and asks to be let in.
#[test]
fn who_missed_its_welcome_comes_in() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = group_without_laptop(&mut post, [&mut alice, &mut laptop, &mut bob]);
    laptop.engine.send(group, "waits").unwrap();
    wait(&mut laptop, long(0) / 2);
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(alice.engine.store.read().sharing().unwrap(), [], "it may come yet");
    let mut laptop = laptop.restart();
    wait(&mut laptop, long(0));
    go_on(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    assert_eq!(texts(&laptop, group), ["early", "waits"]);
    wait(&mut laptop, long(0));
    wait(&mut laptop, long(0));
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    bob.engine.send(group, "late").unwrap();
    go_on(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    for person in [&laptop, &alice, &bob] {
        assert_eq!(texts(person, group), ["early", "waits", "late"]);
    }
    assert!(!laptop.engine.store.read().is_awaited(group).unwrap());
}

/// DEV-23: where nobody can say where the conversation is, its person is told.
#[test]
fn what_nobody_can_name_is_lost() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = group_without_laptop(&mut post, [&mut alice, &mut laptop, &mut bob]);
    events(&mut laptop);
    let last = RETURN_WAITS.len() - 1;
    for asked in 0..AWAITED_ASKS as usize {
        wait(&mut laptop, long(asked.min(last)));
        assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Open);
    }
    wait(&mut laptop, long(last));
    assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Broken);
    let lost = Event::Notice(Notice::ConversationLost { conversation: group });
    assert!(events(&mut laptop).contains(&lost));
    // It is this device's lot alone, and over when it is let in.
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(alice.engine.conversation(group).unwrap().standing, Standing::Open);
}

/// DEV-20: what was written in a conversation this device waits to be let into is refused when the
/// account leaves it elsewhere.
#[test]
fn what_waits_is_refused_when_the_account_leaves() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = group_without_laptop(&mut post, [&mut alice, &mut laptop, &mut bob]);
    let waits = laptop.engine.send(group, "waits").unwrap().id;
    alice.engine.leave_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    let fate = laptop.engine.message(waits).unwrap().fate;
    assert_eq!(laptop.engine.conversation(group).unwrap().standing, Standing::Left);
    assert_eq!(fate, Fate::Refused(Code::Revoked));
}

/// DEV-16: the words a contact came with, which stand in no log, are given like all others.
#[test]
fn first_words_come_with_the_history() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    post.introduce(&mut alice, &mut bob, Some("hello"));
    let mut laptop = link(&mut post, &mut alice);
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    assert_eq!(
        [texts(&laptop, laptop.talk()), texts(&alice, alice.talk())],
        [["hello"], ["hello"]]
    );
}

/// DEV-23: a request that is answered late is no conversation that is waited for; when it is
/// answered, it is.
#[test]
fn a_request_is_waited_for_when_it_is_agreed_to() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let mut carol = person("Carol");
    post.ask(&mut alice, &mut carol, None);
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let of = ConversationId::from(laptop.knows("Carol").id);
    for round in 0..RETURN_WAITS.len() {
        wait(&mut laptop, long(round));
    }
    assert_eq!(laptop.engine.conversation(of).unwrap().standing, Standing::Open);
    assert!(!laptop.engine.store.read().is_awaited(of).unwrap());
    alice.engine.accept_contact(laptop.knows("Carol").id).unwrap();
    post.round(&mut alice);
    let own = own_log(&laptop);
    post.bring_log(&mut laptop, own);
    assert!(laptop.engine.store.read().is_awaited(of).unwrap());
}

/// DEV-14: who is added again after it was removed is not heard by those who know that; one that
/// was removed is given nothing, though it asked before.
#[test]
fn removed_devices_get_and_say_nothing() {
    let (mut post, mut alice, laptop, mut bob) = three();
    go_on(&mut post, &mut [&mut alice]);
    let (log, asker) = (alice.log(), laptop.engine.account.device.public());
    let members = bob.engine.transact(|work| work.members(&log)).unwrap();
    let its =
        members.into_iter().filter(|it| it.device.as_ref().is_some_and(|it| *it.device() == asker));
    let added = Vec::from_iter(its);
    alice.engine.remove_device(2).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let muted = bob.engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        work.mute_struck(&row, Seq::new(90), &added)?;
        Ok([89, 90].map(|at| work.db.muted(&log, Seq::new(at)).unwrap().len()))
    });
    assert_eq!(muted.unwrap(), [0, 1]);
    let own = alice.engine.account.device.public();
    let wanted = HistoryWanted { of: own, behind: LogPosition::default() };
    let of = alice.talk();
    alice.engine.transact(|work| work.take_wanted(&asker, of, &wanted)).unwrap();
    assert_eq!(alice.engine.store.read().sharing().unwrap(), []);
}

/// DEV-14: once a device that any account had listed, and then no more, counted as removed for all:
/// a certificate needs no consent of the device, so that anybody could silence anybody.
#[test]
fn nobody_strikes_anothers_device() {
    let (_post, alice, mut bob) = friends();
    let victim = alice.engine.account.list.devices()[0].clone();
    let (mallory, device) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
    let now = UnixTime::new(1);
    let certify = |device: &PublicKey, number| {
        mallory.certify(device, DeviceNumber::new(number), now, "").unwrap()
    };
    let letters = device.sign_letter_key(&KemSecret::generate().unwrap().public(), now);
    let own = (certify(&device.public(), 1), letters);
    let taken = certify(victim.certificate.device(), 2);
    let with = [own.clone(), (taken.clone(), victim.letter_key.clone())];
    let [with, without] =
        [mallory.sign_list(1, &with).unwrap(), mallory.sign_list(2, &[own]).unwrap()];
    let of = bob.talk();
    let listed = bob.engine.transact(|work| {
        work.note_struck(Some(with.as_bytes()), without.as_bytes())?;
        Ok([&victim.certificate, &taken].map(|it| work.is_listed(of, it).unwrap()))
    });
    assert_eq!(listed.unwrap(), [true, false]);
}

/// DEV-23: of a contact that was blocked nothing is asked for.
#[test]
fn what_is_over_is_not_asked_for() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let bob = alice.contact().id;
    alice.engine.block(bob).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let mut tablet = link(&mut post, &mut alice);
    for round in 0..RETURN_WAITS.len() {
        go_on(&mut post, &mut [&mut alice, &mut laptop, &mut tablet]);
        wait(&mut tablet, long(round));
    }
    let told = events(&mut tablet);
    let is_lost = |it: &Event| matches!(it, Event::Notice(Notice::ConversationLost { .. }));
    assert!(!told.iter().any(is_lost), "{told:?}");
    for person in [&alice, &laptop, &tablet] {
        assert_eq!(person.contact().state, ContactState::Blocked);
    }
}

/// DEV-23: who was away gets from its own device also what somebody said who has left since.
#[test]
fn words_of_who_has_left_come_from_the_own_devices() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = alice.engine.create_group("Three", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    bob.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    let log = log_of(&alice, group);
    bob.engine.send(group, "farewell").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice]);
    bob.engine.leave_group(group).unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice]);
    assert_eq!(alice.engine.group_members(group).unwrap().len(), 1);
    post.expire(&log);
    laptop.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut laptop, long(0));
    go_on(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(texts(&laptop, group), ["farewell"]);
}

/// DEV-23: only the device that is named gives, and nothing of what it does not know, of rooms or
/// of the own conversation; what is asked for twice begins at the earlier place.
#[test]
fn only_the_named_device_gives() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    let devices = [&alice, &laptop].map(|person| person.engine.account.device.public());
    let own = ConversationId::from(alice.engine.own_id().unwrap());
    let (of, asker) = (alice.talk(), devices[1]);
    fill(&mut alice, 10, 10);
    let mut asked = |named: PublicKey, of: ConversationId, seq: u64| {
        let behind = LogPosition { generation: 0, seq: Seq::new(seq) };
        let wanted = HistoryWanted { of: named, behind };
        alice.engine.transact(|work| work.take_wanted(&asker, of, &wanted)).unwrap();
        let id = ArchiveId::new([1; 16]);
        alice.engine.store.write(|db| db.set_share(&asker, of, &id)).unwrap();
        alice.engine.store.read().archive_counts(Some(&id)).unwrap().1
    };
    assert_eq!(asked(devices[1], of, 7), 0);
    assert_eq!(asked(devices[0], ConversationId::new([9; 16]), 7), 0);
    assert_eq!(asked(devices[0], own, 7), 0);
    assert_eq!(asked(devices[0], of, 7), 4);
    assert_eq!(asked(devices[0], of, 9), 4);
    assert_eq!(asked(devices[0], of, 5), 6);
}
