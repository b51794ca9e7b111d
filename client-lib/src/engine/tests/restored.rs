//! A restored device comes back into its conversations, and into that of its own devices.

use std::time::Duration;

use restante_crypto::{DeviceList, Suite};
use restante_spec::content::{LetterContent, LinkedLetter, Role, Who};
use restante_spec::ids::{MailboxId, PublicKey};

use super::devices::{link, settle, three};
use super::history::go_on;
use super::post::{Person, Post, events, wait};
use super::recovery::restored;
use super::*;
use crate::limits::{RESTORED_HELPERS, RETURN_DELAY, RETURN_SPREAD, RETURN_WAITS};
use crate::store::{JobKind, Wish, WishRow};
use crate::types::{ConversationId, MessageKind, Standing};

fn soon() -> Duration {
    Duration::from_secs(u64::from(RETURN_DELAY.get() + RETURN_SPREAD.get()))
}

/// The next one is asked, in this round.
fn turn(round: usize) -> Duration {
    Duration::from_secs(u64::from(RETURN_WAITS[round].get() + RETURN_SPREAD.get()))
}

fn said(person: &Person, of: ConversationId) -> Vec<String> {
    let all = person.engine.history(of, None, 1_000).unwrap().into_iter();
    all.filter(|message| message.kind == MessageKind::Text).map(|message| message.text).collect()
}

fn standing(person: &Person, of: ConversationId) -> Standing {
    person.engine.store.read().need_conversation(of).unwrap().standing
}

fn own_log(person: &Person) -> Option<MailboxId> {
    let own = ConversationId::from(person.engine.own_id().unwrap());
    person.engine.store.read().conversation(own).unwrap().and_then(|own| own.log)
}

/// Time passes, and everybody says and hears what there is.
fn go(post: &mut Post, everybody: &mut [&mut Person]) {
    for _ in 0..5 {
        settle(post, everybody);
        for person in everybody.iter_mut() {
            wait(person, Duration::from_secs(20));
        }
    }
    settle(post, everybody);
}

/// Alice and Bob, who have talked, alone and in a group of Alice's that both administer.
fn talked() -> (Post, Person, Person, ConversationId) {
    let (mut post, mut alice, mut bob) = friends();
    let group = alice.engine.create_group("talk", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    alice.engine.set_role(group, alice.contact().id, Role::Administrator).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    for of in [bob.talk(), group] {
        for text in ["one", "two"] {
            bob.engine.send(of, text).unwrap();
        }
    }
    bob.engine.react(bob.talk(), bob.history()[0].id, Some("+")).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    alice.engine.send(group, "three").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    (post, alice, bob, group)
}

/// It asks by letter whom it can: the devices of before, which are gone, then Bob.
fn ask(post: &mut Post, again: &mut Person) {
    post.do_jobs(again);
    wait(again, soon());
    post.do_jobs(again);
    wait(again, turn(0));
    post.do_jobs(again);
}

/// REV-7, CNV-19: a restored device asks to be let into direct conversations and groups; when a
/// person agrees it is there, what was said stays, what was missed is given, and both talk on.
#[test]
fn restored_device_is_let_in_after_consent() {
    let (mut post, mut alice, mut bob, group) = talked();
    let mut again = restored(&mut alice);
    drop(alice);
    let talk = again.talk();
    for of in [bob.talk(), group] {
        for text in ["missed", "missed too"] {
            bob.engine.send(of, text).unwrap();
        }
    }
    settle(&mut post, &mut [&mut bob]);
    ask(&mut post, &mut again);
    settle(&mut post, &mut [&mut bob]);
    let (who, told) = (again.engine.own_id().unwrap(), events(&mut bob));
    for conversation in [bob.talk(), group] {
        assert!(told.contains(&Event::AsksToReturn { conversation, who }), "{told:?}");
        assert_eq!(bob.engine.callers(conversation).unwrap(), [who]);
    }
    settle(&mut post, &mut [&mut again, &mut bob]);
    assert_eq!((standing(&again, talk), standing(&again, group)), {
        (Standing::Restored, Standing::Restored)
    });
    let mut again = again.restart();
    for of in [bob.talk(), group] {
        bob.engine.consent(of, who, true).unwrap();
    }
    go(&mut post, &mut [&mut bob, &mut again]);
    for (of, before) in [(talk, &["one", "two"][..]), (group, &["one", "two", "three"])] {
        assert_eq!(standing(&again, of), Standing::Open);
        let all = [before, &["missed", "missed too"]].concat();
        assert_eq!(said(&again, of), all);
        assert_eq!(again.engine.gaps(of).unwrap(), []);
    }
    assert!(again.engine.store.read().next_return().unwrap().is_none());
    for (mine, theirs) in [(talk, bob.talk()), (group, group)] {
        again.engine.send(mine, "here").unwrap();
        bob.engine.send(theirs, "welcome").unwrap();
    }
    go(&mut post, &mut [&mut again, &mut bob]);
    for (mine, theirs) in [(talk, bob.talk()), (group, group)] {
        assert_eq!(said(&again, mine), said(&bob, theirs));
        assert!(said(&bob, theirs).ends_with(&["here".to_owned(), "welcome".to_owned()]));
    }
    let list = |devices: &[u8]| DeviceList::parse(devices).unwrap().version();
    let known = bob.engine.store.read().need_contact(bob.contact().id).unwrap().devices.unwrap();
    assert_eq!(list(&known), again.engine.account.list.version());
    assert!(bob.engine.group_members(group).unwrap().iter().any(|member| member.devices == 2));
}

/// REV-7: who agrees to nothing lets nothing in, and takes over nothing that the device says of its
/// account.
#[test]
fn refused_device_stays_outside() {
    let (mut post, mut alice, mut bob, group) = talked();
    let mut again = restored(&mut alice);
    let account = *again.engine.account.id().key();
    let devices = |bob: &Person| {
        let db = bob.engine.store.read();
        let contact = db.need_contact(bob.contact().id).unwrap();
        (contact.devices.unwrap(), db.member(group, &account).unwrap().devices.unwrap())
    };
    let before = devices(&bob);
    ask(&mut post, &mut again);
    settle(&mut post, &mut [&mut bob]);
    let who = again.engine.own_id().unwrap();
    for of in [bob.talk(), group] {
        assert_eq!(bob.engine.callers(of).unwrap(), [who]);
        bob.engine.consent(of, who, false).unwrap();
    }
    settle(&mut post, &mut [&mut bob, &mut again]);
    assert_eq!(devices(&bob), before);
    assert_eq!(standing(&again, group), Standing::Restored);
    assert!(bob.engine.group_members(group).unwrap().iter().all(|member| member.devices == 1));
}

/// REV-7: if nobody lets it in it asks no more, and what was said can be read as before; a Welcome
/// that comes later still leads back.
#[test]
fn nobody_lets_it_in_until_somebody_does() {
    let (mut post, mut alice, mut bob, group) = talked();
    let mut again = restored(&mut alice);
    drop(alice);
    let talk = again.talk();
    post.do_jobs(&mut again);
    wait(&mut again, soon());
    for round in 0..RETURN_WAITS.len() {
        for _ in 0..2 {
            assert!(again.engine.store.read().next_return().unwrap().is_some());
            post.do_jobs(&mut again);
            wait(&mut again, turn(round));
        }
    }
    assert!(again.engine.store.read().next_return().unwrap().is_none());
    for of in [talk, group] {
        assert_eq!(standing(&again, of), Standing::Restored);
    }
    assert_eq!(again.contact().state, ContactState::Active);
    assert_eq!(said(&again, talk), ["one", "two"]);
    assert_eq!(again.engine.move_conversation(talk, None, false), Err(Error::NotAllowed));
    settle(&mut post, &mut [&mut bob]);
    let who = again.engine.own_id().unwrap();
    for of in [bob.talk(), group] {
        bob.engine.consent(of, who, true).unwrap();
    }
    go(&mut post, &mut [&mut bob, &mut again]);
    assert_eq!((standing(&again, talk), standing(&again, group)), (Standing::Open, Standing::Open));
}

/// REV-7, CNV-14: who may not add a device is not asked about one. The only administrator of a
/// group begins it anew, and the others go along.
#[test]
fn the_only_administrator_begins_anew() {
    let (mut post, mut alice, mut bob, group) = talked();
    alice.engine.set_role(group, alice.contact().id, Role::Member).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob]);
    let mut again = restored(&mut alice);
    drop(alice);
    ask(&mut post, &mut again);
    settle(&mut post, &mut [&mut bob]);
    assert_eq!(bob.engine.callers(group).unwrap(), []);
    let anew = again.engine.move_conversation(group, None, false).unwrap();
    assert_eq!(anew.standing, Standing::Open);
    go(&mut post, &mut [&mut again, &mut bob]);
    for person in [&mut again, &mut bob] {
        person.engine.send(group, "anew").unwrap();
    }
    go(&mut post, &mut [&mut again, &mut bob]);
    for person in [&again, &bob] {
        assert_eq!(said(person, group), ["one", "two", "three", "anew", "anew"]);
    }
    assert_eq!(again.engine.conversation(group).unwrap().role, Role::Owner);
    assert!(again.engine.store.read().returns_due(UnixTime::new(u64::MAX >> 1)).unwrap().len() < 2);
}

/// REV-7: two restored devices know no more than each other: a letter between them is dropped, and
/// nobody is stopped by it.
#[test]
fn restored_devices_cannot_let_each_other_in() {
    let (mut post, mut alice, mut bob, group) = talked();
    let (mut alice, mut bob) = (restored(&mut alice), restored(&mut bob));
    // Each can read what the other's new device writes.
    let list = |person: &Person| {
        let account = &person.engine.account;
        (*account.id().key(), account.list.as_bytes().to_vec())
    };
    let lists = [list(&bob), list(&alice)];
    for (person, (account, list)) in [&mut alice, &mut bob].into_iter().zip(lists) {
        let learn = |work: &mut Work<'_>| {
            let rows = work.db.conversations()?;
            rows.iter().try_for_each(|row| work.learn_devices(row, &account, &list))
        };
        person.engine.transact(learn).unwrap();
    }
    for person in [&mut alice, &mut bob] {
        ask(&mut post, person);
    }
    settle(&mut post, &mut [&mut alice, &mut bob]);
    for person in [&alice, &bob] {
        assert_eq!(standing(person, group), Standing::Restored);
        assert_eq!(person.engine.callers(group).unwrap(), []);
    }
}

/// REV-7: who may add a device is asked first, and no more than so many are asked.
#[test]
fn few_are_asked_and_first_who_may_add() {
    let (mut post, mut alice, bob, group) = talked();
    let mut again = restored(&mut alice);
    let theirs = *bob.engine.account.id().key();
    let asked = |post: &mut Post, again: &mut Person| {
        let mut letters = 0;
        wait(again, soon());
        while let Some(due) = again.engine.store.read().next_return().unwrap() {
            post.do_jobs(again);
            again.engine.set_now(due);
            again.engine.returns().unwrap();
            letters += again.engine.runnable_jobs().unwrap().len();
        }
        letters
    };
    again
        .engine
        .transact(|work| {
            let known = work.db.member(group, &theirs)?;
            // With the own devices and Bob one more than may be.
            for number in 1..RESTORED_HELPERS as u8 {
                let mut member = known.clone();
                member.account = PublicKey::new([number; 32]);
                work.db.put_member(group, &member)?;
            }
            let mut row = work.db.need_conversation(group)?;
            row.state.policy.adders = Who::Administrators;
            row.state.officers.insert(theirs, Role::Administrator);
            work.db.put_conversation(&row)?;
            let first = work.known_accounts(&row, &row.log.unwrap())?[0];
            assert_eq!(first, theirs);
            let talk = work.db.need_conversation(work.db.contacts()?[0].id.into())?;
            work.db.drop_return(&talk.log.unwrap())
        })
        .unwrap();
    post.do_jobs(&mut again);
    let all = RETURN_WAITS.len() * RESTORED_HELPERS;
    // The first letter leaves with the first look.
    assert_eq!(asked(&mut post, &mut again) + 1, all);
}

/// REV-8, DEV-7, DEV-9, DEV-16: a device of before that is there lets the new one into the own
/// conversation and into every other, without anybody's consent; it tells what has changed since
/// the file was written.
#[test]
fn own_devices_let_it_in_by_themselves() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    bob.engine.send(bob.talk(), "before").unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    alice.engine.set_setting("colour", b"blue").unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let mut again = restored(&mut alice);
    drop(alice);
    laptop.engine.set_setting("colour", b"green").unwrap();
    let group = laptop.engine.create_group("since", false).unwrap().id;
    laptop.engine.add_member(group, laptop.contact().id).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut bob]);
    bob.engine.accept_group(group).unwrap();
    bob.engine.send(bob.talk(), "after").unwrap();
    bob.engine.send(group, "after too").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut bob]);

    for _ in 0..3 {
        go_on(&mut post, &mut [&mut again, &mut laptop, &mut bob]);
        for person in [&mut again, &mut laptop, &mut bob] {
            wait(person, Duration::from_secs(60));
        }
    }
    assert_eq!(own_log(&again), own_log(&laptop));
    assert_eq!(laptop.engine.account.list.as_bytes(), again.engine.account.list.as_bytes());
    assert_eq!(again.engine.setting("colour").unwrap().as_deref(), Some(b"green".as_slice()));
    assert_eq!(bob.engine.callers(bob.talk()).unwrap(), []);
    assert_eq!(standing(&again, again.talk()), Standing::Open);
    assert_eq!((said(&again, again.talk()), said(&again, group)), {
        (vec!["before".to_owned(), "after".to_owned()], vec!["after too".to_owned()])
    });
    again.engine.set_setting("colour", b"red").unwrap();
    again.engine.send(again.talk(), "from the new one").unwrap();
    go(&mut post, &mut [&mut again, &mut laptop, &mut bob]);
    assert_eq!(laptop.engine.setting("colour").unwrap().as_deref(), Some(b"red".as_slice()));
    assert_eq!(said(&bob, bob.talk()).last().unwrap(), "from the new one");
    assert_eq!(again.engine.gaps(again.talk()).unwrap(), []);
    // It has the account's key, and takes further devices in.
    let mut tablet = link(&mut post, &mut again);
    go_on(&mut post, &mut [&mut again, &mut laptop, &mut bob, &mut tablet]);
    assert_eq!(own_log(&tablet), own_log(&laptop));
    assert_eq!(standing(&tablet, group), Standing::Open);
}

/// REV-8: where no device of before answers, a new own conversation is made with the first device
/// that is linked, which is let into conversations when this one is; one of before that answers
/// later changes nothing of that.
#[test]
fn without_others_the_own_conversation_begins_anew() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let mut again = restored(&mut alice);
    drop(alice);
    let mut tablet = link(&mut post, &mut again);
    go_on(&mut post, &mut [&mut again, &mut tablet]);
    let own = own_log(&again);
    assert!(own.is_some() && own == own_log(&tablet));
    again.engine.set_setting("colour", b"red").unwrap();
    tablet.engine.set_setting("sound", b"off").unwrap();
    go(&mut post, &mut [&mut again, &mut tablet]);
    assert_eq!(tablet.engine.setting("colour").unwrap().as_deref(), Some(b"red".as_slice()));
    assert_eq!(again.engine.setting("sound").unwrap().as_deref(), Some(b"off".as_slice()));

    ask(&mut post, &mut again);
    settle(&mut post, &mut [&mut bob]);
    bob.engine.consent(bob.talk(), again.engine.own_id().unwrap(), true).unwrap();
    go(&mut post, &mut [&mut bob, &mut again, &mut tablet]);
    let talk = again.talk();
    assert_eq!((standing(&again, talk), standing(&tablet, talk)), (Standing::Open, Standing::Open));
    for person in [&mut again, &mut tablet] {
        person.engine.send(talk, "here").unwrap();
    }
    go(&mut post, &mut [&mut again, &mut tablet, &mut bob]);
    assert_eq!(said(&bob, bob.talk()), ["here", "here"]);

    go(&mut post, &mut [&mut laptop, &mut again, &mut tablet]);
    assert_eq!((own_log(&again), own_log(&tablet)), (own, own));
    assert_ne!(own_log(&laptop), own);
}

/// REV-7, DEV-12, DEV-13: devices the list does not have are removed where the new one was let in:
/// one that was struck before, and one that the file did not know, which says so and can be linked
/// anew.
#[test]
fn devices_the_list_has_not_are_removed() {
    let (mut post, mut alice, mut bob) = friends();
    let mut again = restored(&mut alice);
    let mut laptop = link(&mut post, &mut alice);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    drop(alice);
    again.engine.remove_device(1).unwrap();
    post.do_jobs(&mut again);
    wait(&mut again, soon());
    post.do_jobs(&mut again);
    settle(&mut post, &mut [&mut bob]);
    bob.engine.consent(bob.talk(), again.engine.own_id().unwrap(), true).unwrap();
    let devices = |person: &mut Person| {
        let of = person.talk();
        let members = person.engine.group_members(of).unwrap().into_iter();
        members.filter(|member| member.nickname == "Alice").map(|member| member.devices).sum()
    };
    assert_eq!(devices(&mut bob), 2_u32);
    go(&mut post, &mut [&mut bob, &mut again]);
    assert_eq!((devices(&mut bob), devices(&mut again)), (1, 1));
    settle(&mut post, &mut [&mut laptop]);
    assert!(events(&mut laptop).contains(&Event::Notice(Notice::Unlinked)));
    let entrance = laptop.entrance();
    laptop.engine.relink(&entrance).unwrap();
}

/// REV-8, DEV-14: what a device writes that is not in the newest list makes nobody add it, with or
/// without a list.
#[test]
fn only_a_listed_device_is_added_to_the_own_conversation() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let old = alice.engine.account.list.as_bytes().to_vec();
    let mut tablet = link(&mut post, &mut alice);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut tablet]);
    let number = tablet.engine.devices().last().unwrap().number;
    alice.engine.remove_device(number).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let log = own_log(&laptop).unwrap();
    let with = tablet.engine.account.list.as_bytes().to_vec();
    for devices in [Vec::new(), old, with] {
        let write = |work: &mut Work<'_>| {
            let key_packages = vec![work.make_key_package(Suite::Hybrid, false)?];
            let content = LetterContent::Linked(LinkedLetter { devices, key_packages });
            let (inbox, list) = (work.own_inbox()?, &work.account.list);
            let job = work.letter_job(JobKind::Letter, &inbox, list, &content)?;
            work.db.put_job(&job).map(drop)
        };
        tablet.engine.transact(write).unwrap();
    }
    post.do_jobs(&mut tablet);
    post.bring_letters(&mut laptop);
    let adds = |wish: &WishRow| matches!(wish.what, Wish::Add { .. });
    assert!(!laptop.engine.store.read().wishes(&log).unwrap().iter().any(adds));
}

/// REV-7: a member who has said nothing of himself when the file is written can let the device in
/// all the same.
#[test]
fn silent_members_are_in_the_file() {
    let (mut post, mut alice, mut bob, group) = talked();
    let account = *bob.engine.account.id().key();
    alice.engine.store.write(|db| db.drop_member(group, &account)).unwrap();
    let mut again = restored(&mut alice);
    drop(alice);
    ask(&mut post, &mut again);
    settle(&mut post, &mut [&mut bob]);
    let who = again.engine.own_id().unwrap();
    assert_eq!(bob.engine.callers(group).unwrap(), [who]);
    bob.engine.consent(group, who, true).unwrap();
    go(&mut post, &mut [&mut bob, &mut again]);
    assert_eq!(standing(&again, group), Standing::Open);
}
