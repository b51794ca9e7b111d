//! Tests of devices that were away when their account's time in a group ended: others tell them.

use restante_crypto::{OpenedLetter, Suite};
use restante_spec::content::{RemovedLetter, Role};
use zeroize::Zeroizing;

use super::devices::texts;
use super::post::{Person, Post, person, wait};
use super::readd::{log_of, soon, state};
use super::trio::{ALICE, BOB, CAROL, Trio};
use super::*;
use crate::limits::RETURN_WAITS;
use crate::store::Wish;
use crate::types::{ConversationId, Standing};

/// CNV-19: who was removed while away is told so by an administrator; a plain member is
/// not believed at once.
#[test]
fn removal_is_told_to_who_was_away() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let log = log_of(&bob, group);
    alice.engine.remove_member(group, bob.engine.own_id().unwrap()).unwrap();
    post.round(&mut alice);
    post.expire(&log);
    bob.engine.reading_refused(&log, Code::Gone).unwrap();
    let sender = carol.engine.account.certificate().unwrap().clone();
    let letter = OpenedLetter { sender, number: 1, content: Zeroizing::new(Vec::new()) };
    let removed = RemovedLetter { mailbox: log };
    bob.engine.transact(|work| work.take_removed(&letter, &removed)).unwrap();
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Open);
    let sender = person("Mallory").engine.account.certificate().unwrap().clone();
    let letter = OpenedLetter { sender, number: 1, content: Zeroizing::new(Vec::new()) };
    assert!(bob.engine.transact(|work| work.take_removed(&letter, &removed)).is_err());
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Removed);
    assert_eq!(state(&bob, &log), LogState::Closed);
    assert!(bob.engine.store.read().next_return().unwrap().is_none());
}

/// Two leave a group; the first to do so is away when the other one closes it.
fn close_without(away: &mut Person, there: &mut Person, post: &mut Post, group: ConversationId) {
    let log = log_of(away, group);
    away.engine.leave_group(group).unwrap();
    post.work(away);
    there.engine.leave_group(group).unwrap();
    for _ in 0..3 {
        post.round(there);
    }
    assert_eq!(state(there, &log), LogState::Closed);
    post.expire(&log);
    away.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(away, soon());
    post.do_jobs(away);
    post.round(there);
    post.round(away);
}

/// CNV-19, CNV-21: a group that all have left was closed: who was away then is told so, by whoever
/// has read it to the end.
#[test]
fn the_end_of_a_group_is_told_to_who_was_away() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    let log = log_of(&bob, group);
    close_without(&mut bob, &mut alice, &mut post, group);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Left);
    assert_eq!(state(&bob, &log), LogState::Closed);
    // Told, and not read: what it knows of the group may be old.
    let is_answering = bob.engine.transact(|work| {
        let (row, log) = (work.db.need_conversation(group)?, work.db.need_log(&log)?);
        work.was_closed(&row, &log)
    });
    assert!(!is_answering.unwrap());
}

/// CNV-19: the word of a plain member is believed when all waits are over, not before.
#[test]
fn a_plain_member_is_believed_when_nobody_helps() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    let log = log_of(&bob, group);
    close_without(&mut alice, &mut bob, &mut post, group);
    for wait_for in RETURN_WAITS {
        assert_eq!(state(&alice, &log), LogState::Gone);
        wait(&mut alice, Duration::from_secs(u64::from(wait_for.get())) + soon());
        post.do_jobs(&mut alice);
    }
    assert_eq!(state(&alice, &log), LogState::Closed);
    assert_eq!(alice.engine.conversation(group).unwrap().standing, Standing::Left);
}

/// CNV-19: the letter came before the removal: once that is read, it is answered all the same.
#[test]
fn removal_is_told_when_it_is_read() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let log = log_of(&bob, group);
    let who = carol.engine.own_id().unwrap();
    let role = restante_spec::content::Role::Administrator;
    alice.engine.set_role(group, who, role).unwrap();
    for person in [&mut alice, &mut bob, &mut carol] {
        post.round(person);
    }
    carol.engine.remove_member(group, bob.engine.own_id().unwrap()).unwrap();
    post.round(&mut carol);
    bob.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    post.bring_letters(&mut alice);
    assert!(alice.engine.wants_commit(&log).unwrap());
    post.work(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Removed);
}

/// Once whoever had been let in by somebody who may not was never heard again, though somebody who
/// may let him in later (CNV-14).
#[test]
fn who_is_let_in_properly_is_heard() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut dave) = (person("Bob"), person("Dave"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    post.befriend(&mut alice, &mut dave);
    post.befriend(&mut bob, &mut dave);
    let who = dave.engine.own_id().unwrap();
    // Bob's client believes him to be an owner.
    let mut row = bob.engine.store.read().need_conversation(group).unwrap();
    row.state.set_role(*bob.engine.account.id().key(), Role::Owner);
    bob.engine.store.write(|db| db.put_conversation(&row)).unwrap();
    bob.engine.add_member(group, who).unwrap();
    post.work(&mut bob);
    for text in ["let in improperly", "let in properly"] {
        post.round(&mut dave);
        dave.engine.accept_group(group).unwrap();
        dave.engine.send(group, text).unwrap();
        post.work(&mut dave);
        if alice.engine.group_members(group).unwrap().len() == 2 {
            // She takes him out at once.
            post.round(&mut alice);
            post.round(&mut dave);
            assert_eq!(dave.engine.conversation(group).unwrap().standing, Standing::Removed);
            alice.engine.add_member(group, who).unwrap();
        }
        post.round(&mut alice);
    }
    assert_eq!(texts(&alice, group), ["let in properly"]);
}

/// One of three takes Carol's device out and in again, unasked-for, and she reads the letter; says
/// where her log stands then.
fn let_in(trio: &mut Trio, who: usize) -> LogState {
    let log = trio.log();
    let carol = &mut trio.people[CAROL].engine;
    let device = *carol.account.device.public().as_bytes();
    let package = carol.transact(|work| work.make_key_package(Suite::Hybrid, false)).unwrap();
    let wish = Wish::Readd { device, package };
    let there = &mut trio.people[who];
    there.engine.transact(|work| work.db.put_wish(&log, &wish, work.now)).unwrap();
    trio.post.work(there);
    trio.post.bring_letters(&mut trio.people[CAROL]);
    state(&trio.people[CAROL], &log)
}

/// Once a plain member captured the log, let everybody into a group of his own under its mailbox,
/// and was its owner (CNV-19): out of a captured log only an administrator leads.
#[test]
fn plain_member_leads_nobody_out_of_a_captured_log() {
    let mut trio = Trio::new();
    let log = trio.log();
    let carol = &mut trio.people[CAROL].engine;
    carol.transact(|work| work.end_log(&log, LogState::Captured, Code::Conflict)).unwrap();
    assert_eq!(let_in(&mut trio, BOB), LogState::Captured);
    trio.rounds();
    assert_eq!(let_in(&mut trio, ALICE), LogState::Live);
}

/// Once whoever let a device in again was believed whatever he said he had become (CNV-19): who is
/// more than the device knew does not lead it back, and by somebody else it learns of that.
#[test]
fn nobody_has_risen_by_his_own_word() {
    let mut trio = Trio::new();
    let (log, group) = (trio.log(), trio.group);
    trio.people[CAROL].engine.reading_refused(&log, Code::NotFound).unwrap();
    let bob = trio.people[BOB].engine.own_id().unwrap();
    trio.people[ALICE].engine.set_role(group, bob, Role::Administrator).unwrap();
    for who in [ALICE, BOB] {
        trio.post.work(&mut trio.people[who]);
    }
    assert_eq!(let_in(&mut trio, BOB), LogState::Gone);
    trio.post.work(&mut trio.people[ALICE]);
    assert_eq!(let_in(&mut trio, ALICE), LogState::Live);
    let members = trio.people[CAROL].engine.group_members(group).unwrap();
    let role = members.iter().find(|member| member.id == bob).map(|member| member.role);
    assert_eq!(role, Some(Role::Administrator));
}

/// Once the heir of an owner who had left was judged by the leaves after the return: whoever comes
/// back stands at the leftmost that is free, and took himself for the heir (CNV-14, CNV-19).
#[test]
fn the_heir_of_an_owner_leads_back() {
    let mut trio = Trio::new();
    let (log, group) = (trio.log(), trio.group);
    trio.people[CAROL].engine.reading_refused(&log, Code::Gone).unwrap();
    trio.people[ALICE].engine.leave_group(group).unwrap();
    trio.post.work(&mut trio.people[ALICE]);
    for _ in 0..2 {
        trio.post.work(&mut trio.people[BOB]);
    }
    assert_eq!(trio.people[BOB].engine.group_members(group).unwrap().len(), 2);
    assert_eq!(let_in(&mut trio, BOB), LogState::Live);
    let bob = trio.people[BOB].engine.own_id().unwrap();
    let members = trio.people[CAROL].engine.group_members(group).unwrap();
    let role = members.iter().find(|member| member.id == bob).map(|member| member.role);
    assert_eq!(role, Some(Role::Owner));
}
