//! Conversations whose log cannot go on go on in another one.

use restante_crypto::Suite;
use restante_spec::content::{Body, RepairRange, RepairRequest, Role};
use restante_spec::ids::MailboxId;

use super::post::{Person, Post, events, person, wait};
use super::trio::{ALICE, BOB, CAROL, Trio};
use super::*;
use crate::limits::{MOVED_CLOSE, MOVES_MISSED, RESTART_DELAY, RESTART_EVERY, RESTART_SPREAD};
use crate::types::{ConversationId, GroupChange, MessageKind, Standing};

fn soon() -> Duration {
    Duration::from_secs(u64::from(RESTART_DELAY.get() + RESTART_SPREAD.get()))
}

fn log_of(person: &Person, of: ConversationId) -> MailboxId {
    person.engine.store.read().need_conversation(of).unwrap().log.unwrap()
}

fn said(person: &Person, of: ConversationId) -> Vec<String> {
    let all = person.engine.history(of, None, 1_000).unwrap().into_iter();
    all.filter(|message| message.kind == MessageKind::Text).map(|message| message.text).collect()
}

fn restarts(person: &Person, of: ConversationId) -> usize {
    let all = person.engine.history(of, None, 1_000).unwrap();
    all.iter().filter(|message| message.changes == [GroupChange::Restarted]).count()
}

/// CNV-20: after a capture either of two people begins anew by itself; the other goes along
/// without being asked, the history stays, and what waited is sent in the new log.
#[test]
fn captured_conversation_goes_on_in_a_new_log() {
    let (mut post, mut alice, mut bob) = friends();
    let (old, of) = (alice.log(), alice.talk());
    alice.engine.send(of, "before").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    alice.engine.send(of, "unsent").unwrap();
    post.captured(old);
    post.bring_log(&mut alice, old);
    post.bring_log(&mut bob, old);
    assert_eq!(alice.history().last().unwrap().fate, Fate::Queued);

    let mut alice = alice.restart();
    wait(&mut alice, soon());
    // A restart sets the clock of a test back.
    let mut alice = alice.restart();
    wait(&mut alice, soon());
    for _ in 0..3 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    let mut bob = bob.restart();
    assert_ne!(alice.log(), old);
    assert_eq!(alice.log(), bob.log());
    assert_eq!((alice.history().len(), restarts(&bob, bob.talk())), (3, 1));
    assert_eq!(said(&bob, bob.talk()), ["before", "unsent"]);
    // Bob had planned the same, and sees that it was done.
    wait(&mut bob, soon());
    assert_eq!(alice.log(), bob.log());
    bob.engine.send(bob.talk(), "and back").unwrap();
    post.round(&mut bob);
    post.round(&mut alice);
    assert_eq!(said(&alice, of), ["before", "unsent", "and back"]);
}

/// CNV-20: both begin anew at the same time; both keep the log with the lower id.
#[test]
fn of_two_new_logs_the_lower_is_kept() {
    let (mut post, mut alice, mut bob) = friends();
    let old = alice.log();
    post.captured(old);
    for person in [&mut alice, &mut bob] {
        post.bring_log(person, old);
        wait(person, soon());
    }
    let lower = alice.log().min(bob.log());
    for _ in 0..5 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_eq!((alice.log(), bob.log()), (lower, lower));
    alice.engine.send(alice.talk(), "one way").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(said(&bob, bob.talk()), ["one way"]);
}

/// CNV-20: a device begins a conversation anew by itself at most once a day, and always by
/// command.
#[test]
fn at_most_once_a_day_by_itself() {
    let (mut post, mut alice, mut bob) = friends();
    let of = alice.talk();
    let capture = |post: &mut Post, alice: &mut Person| {
        let log = alice.log();
        post.captured(log);
        post.bring_log(alice, log);
        wait(alice, soon());
        log
    };
    let first = capture(&mut post, &mut alice);
    assert_ne!(alice.log(), first);
    for _ in 0..3 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    let second = capture(&mut post, &mut alice);
    assert_eq!(alice.log(), second, "not again on this day");
    alice.engine.move_conversation(of, None, false).unwrap();
    assert_ne!(alice.log(), second);
    for _ in 0..3 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    wait(&mut alice, Duration::from_secs(u64::from(RESTART_EVERY.get())));
    let third = capture(&mut post, &mut alice);
    assert_ne!(alice.log(), third);
}

/// CNV-20: an administrator moves a group; members go along whether they are contacts or not, with
/// name, roles and history, and read the old log until it is closed.
#[test]
fn group_moves_with_all_its_members() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let who = bob.engine.own_id().unwrap();
    alice.engine.set_role(group, who, restante_spec::content::Role::Administrator).unwrap();
    alice.engine.send(group, "before").unwrap();
    for _ in 0..2 {
        for person in [&mut alice, &mut bob, &mut carol] {
            post.round(person);
        }
    }
    let old = log_of(&alice, group);
    assert_eq!(carol.engine.move_conversation(group, None, false), Err(Error::NotAllowed));
    // Carol, who is no contact of Bob's, has written to the old log meanwhile.
    bob.engine.move_conversation(group, None, false).unwrap();
    carol.engine.send(group, "to the old log").unwrap();
    post.work(&mut carol);
    for _ in 0..6 {
        for person in [&mut bob, &mut carol, &mut alice] {
            post.round(person);
        }
    }
    for person in [&alice, &bob, &carol] {
        assert_eq!(log_of(person, group), log_of(&bob, group));
        assert_ne!(log_of(person, group), old);
        assert_eq!(said(person, group), ["before", "to the old log"]);
        assert_eq!(restarts(person, group), 1);
    }
    let roles = |person: &mut Person| -> Vec<_> {
        let all = person.engine.group_members(group).unwrap().into_iter();
        let mut all: Vec<_> = all.map(|member| (member.id, member.role)).collect();
        all.sort();
        all
    };
    assert_eq!((roles(&mut bob).len(), roles(&mut alice)), (3, roles(&mut bob)));
    assert_eq!(alice.engine.conversation(group).unwrap().role, restante_spec::content::Role::Owner);
    wait(&mut bob, Duration::from_secs(u64::from(MOVED_CLOSE.get())));
    for _ in 0..2 {
        for person in [&mut bob, &mut carol, &mut alice] {
            post.round(person);
        }
    }
    for person in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(person.engine.store.read().need_log(&old).unwrap().state, LogState::Closed);
        assert_eq!(person.engine.conversation(group).unwrap().standing, Standing::Open);
    }
}

/// CNV-18: once who came after a conversation was begun anew was given what was said before: in the
/// old log nobody had seen her come, and that counted as having been there from its beginning.
#[test]
fn who_came_after_a_move_is_given_nothing_from_before() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    alice.engine.send(group, "before").unwrap();
    let old = log_of(&alice, group);
    post.round(&mut alice);
    alice.engine.move_conversation(group, None, false).unwrap();
    for _ in 0..4 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_eq!((log_of(&bob, group) == old, said(&bob, group)), (false, vec!["before".to_owned()]));
    post.befriend(&mut alice, &mut carol);
    alice.engine.add_member(group, carol.engine.own_id().unwrap()).unwrap();
    post.round(&mut alice);
    post.round(&mut carol);
    carol.engine.accept_group(group).unwrap();
    for _ in 0..2 {
        post.round(&mut carol);
        post.round(&mut alice);
    }
    let device = alice.engine.account.device.public();
    assert!(!alice.engine.store.read().kept(&old, &device, (1, 1), 1).unwrap().is_empty());
    let range = RepairRange { generation: 1, device, from: 1, to: 1 };
    let request = RepairRequest { conversation: old, ranges: vec![range], behind: Seq::START };
    carol.engine.transact(|w| w.queue_body(group, &Body::RepairRequest(request))).unwrap();
    post.round(&mut carol);
    post.round(&mut alice);
    wait(&mut alice, Duration::from_secs(1));
    let rows = alice.engine.store.read().outbox(group, 0, 10).unwrap();
    let repair = rows.iter().find_map(|row| match Body::decode(row.kind, &row.body) {
        Ok(Body::Repair(repair)) => Some(repair),
        _ => None,
    });
    let repair = repair.expect("she is told that it is not to be had");
    assert_eq!((repair.entries.len(), repair.missing.len()), (0, 1));
}

/// Two go on in a group, where they have heard one thing; gives how many the first sees there.
fn go_on(post: &mut Post, alice: &mut Person, bob: &mut Person, group: ConversationId) -> usize {
    for _ in 0..4 {
        post.round(alice);
        post.round(bob);
    }
    assert_eq!(log_of(alice, group), log_of(bob, group));
    assert_eq!([said(alice, group), said(bob, group)], [["before"]; 2]);
    alice.engine.group_members(group).unwrap().len()
}

/// CNV-20: once who was removed after a group had moved was heard for 14 days more in the old log,
/// where nobody judges anything, and so was whomever he added there.
#[test]
fn who_is_removed_is_not_heard_in_the_old_log() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol, mut dave) = (person("Bob"), person("Carol"), person("Dave"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    post.befriend(&mut carol, &mut dave);
    let who = carol.engine.own_id().unwrap();
    alice.engine.set_role(group, who, restante_spec::content::Role::Administrator).unwrap();
    for _ in 0..2 {
        for person in [&mut alice, &mut bob, &mut carol] {
            post.round(person);
        }
    }
    let old = log_of(&alice, group);
    alice.engine.move_conversation(group, None, false).unwrap();
    carol.engine.send(group, "before").unwrap();
    post.work(&mut carol);
    assert_eq!(go_on(&mut post, &mut alice, &mut bob, group), 3);
    assert_ne!(log_of(&bob, group), old);
    alice.engine.remove_member(group, who).unwrap();
    assert_eq!(go_on(&mut post, &mut alice, &mut bob, group), 2);
    // She does not look into her inbox, and goes on as if nothing had happened.
    carol.engine.add_member(group, dave.engine.own_id().unwrap()).unwrap();
    post.work(&mut carol);
    post.round(&mut dave);
    dave.engine.accept_group(group).unwrap();
    carol.engine.send(group, "removed").unwrap();
    post.work(&mut carol);
    post.work(&mut dave);
    dave.engine.send(group, "stranger").unwrap();
    post.work(&mut dave);
    assert_eq!((log_of(&dave, group), said(&dave, group).len()), (old, 2));
    assert_eq!(go_on(&mut post, &mut alice, &mut bob, group), 2);
}

/// CNV-20: once whoever came, or came back, after somebody had been removed from a group that had
/// moved went on hearing him in the old log: the commit that removed him had gone by.
#[test]
fn who_comes_back_hears_nobody_removed_in_the_old_log() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let old = log_of(&alice, group);
    alice.engine.move_conversation(group, None, false).unwrap();
    carol.engine.send(group, "before").unwrap();
    post.work(&mut carol);
    assert_eq!(go_on(&mut post, &mut alice, &mut bob, group), 3);
    let new = log_of(&bob, group);
    alice.engine.remove_member(group, carol.engine.own_id().unwrap()).unwrap();
    post.round(&mut alice);
    post.expire(&new);
    bob.engine.reading_refused(&new, Code::Gone).unwrap();
    wait(&mut bob, super::readd::soon());
    post.do_jobs(&mut bob);
    post.round(&mut alice);
    post.bring_letters(&mut bob);
    assert_eq!((log_of(&carol, group), log_of(&bob, group)), (old, new));
    carol.engine.send(group, "removed").unwrap();
    post.work(&mut carol);
    assert_eq!(go_on(&mut post, &mut alice, &mut bob, group), 2);
}

/// CNV-20: into a suite that is less safe a group moves only with each member's consent, and a
/// direct conversation not at all.
#[test]
fn suite_is_never_weakened_unasked() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    alice.engine.move_conversation(group, None, true).unwrap();
    for _ in 0..3 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Invited);
    bob.engine.accept_group(group).unwrap();
    post.round(&mut bob);
    assert_eq!(log_of(&alice, group), log_of(&bob, group));

    let (mut post, mut alice, mut bob) = friends();
    let old = bob.log();
    let of = alice.talk();
    assert_eq!(alice.engine.move_conversation(of, None, true).unwrap_err(), Error::NotAGroup);
    let moved = alice.engine.transact(|work| {
        let mut row = work.db.need_conversation(of)?;
        work.restart(&mut row, None, Suite::Classical)
    });
    moved.unwrap();
    for _ in 0..3 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_eq!(bob.log(), old);
    assert!(events(&mut bob).contains(&Event::Notice(Notice::Junk { conversation: None })));
}

/// CNV-20: both cannot read on, because the relay has lost the log: who is asked to let the other
/// in begins anew instead.
#[test]
fn lost_log_is_begun_anew() {
    let (mut post, mut alice, mut bob) = friends();
    let old = alice.log();
    for person in [&mut alice, &mut bob] {
        person.engine.reading_refused(&old, Code::NotFound).unwrap();
    }
    bob.engine.send(bob.talk(), "into the new log").unwrap();
    wait(&mut bob, Duration::from_secs(20));
    post.do_jobs(&mut bob);
    post.bring_letters(&mut alice);
    wait(&mut alice, soon());
    for _ in 0..4 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    assert_ne!(alice.log(), old);
    assert_eq!(alice.log(), bob.log());
    assert_eq!(said(&alice, alice.talk()), ["into the new log"]);
}

/// Alice's group, which Bob administers.
fn administered() -> Trio {
    let mut trio = Trio::new();
    let bob = trio.people[BOB].engine.own_id().unwrap();
    trio.people[ALICE].engine.set_role(trio.group, bob, Role::Administrator).unwrap();
    trio.rounds();
    trio
}

/// Bob moves the group, and Carol reads his letter.
fn bob_moves(trio: &mut Trio) {
    let bob = &mut trio.people[BOB];
    bob.engine.move_conversation(trio.group, None, false).unwrap();
    for _ in 0..2 {
        trio.post.work(bob);
    }
    trio.post.bring_letters(&mut trio.people[CAROL]);
}

/// Once an administrator owned a group by moving it, as what he said of it was taken
/// whole (CNV-20): that is judged as a commit of his.
#[test]
fn administrator_who_moves_a_group_is_no_owner() {
    let mut trio = administered();
    let (old, group) = (trio.log(), trio.group);
    let [alice, bob] = [ALICE, BOB].map(|who| *trio.people[who].engine.account.id().key());
    let taken = trio.people[BOB].engine.transact(|work| {
        let mut row = work.db.need_conversation(group)?;
        row.state.set_role(alice, Role::Member);
        row.state.set_role(bob, Role::Owner);
        work.db.put_conversation(&row)
    });
    taken.unwrap();
    bob_moves(&mut trio);
    let carol = trio.people[CAROL].engine.store.read().need_conversation(group).unwrap();
    assert_ne!(carol.log, Some(old));
    let roles = [alice, bob].map(|account| carol.state.role(&account));
    assert_eq!(roles, [Role::Owner, Role::Administrator]);
}

/// Once an administrator left the owner behind and owned the group (CNV-20): where no owner is, a
/// person must agree.
#[test]
fn without_its_owner_a_group_moves_with_consent_only() {
    let mut trio = administered();
    let inbox = trio.people[ALICE].engine.account.inbox;
    trio.post.forget_prekeys(&inbox);
    bob_moves(&mut trio);
    let carol = trio.people[CAROL].engine.conversation(trio.group).unwrap();
    assert_eq!(carol.standing, Standing::Invited);
}

/// Once a generation could be the highest there is, and the group was moved never again (CNV-20).
#[test]
fn generation_rises_by_a_bounded_jump() {
    for (missed, goes_along) in [(MOVES_MISSED, true), (MOVES_MISSED + 1, false)] {
        let mut trio = administered();
        let old = trio.log();
        let ahead = trio.people[BOB].engine.transact(|work| {
            let mut log = work.db.need_log(&old)?;
            log.generation += missed - 1;
            work.db.put_log(&log)
        });
        ahead.unwrap();
        bob_moves(&mut trio);
        assert_eq!(log_of(&trio.people[CAROL], trio.group) != old, goes_along);
    }
}
