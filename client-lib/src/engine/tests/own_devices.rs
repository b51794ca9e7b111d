//! Which of an account's devices are in its groups.

use std::time::Duration;

use restante_spec::content::{LetterContent, LogPosition, WelcomeLetter};
use restante_spec::ids::{ArchiveId, EnvelopeId, MailboxId, PublicKey, Seconds};

use super::devices::{finish, link, settle, texts, three};
use super::history::{go_on, history};
use super::post::{NOW, Person, Post, new_device, person, wait};
use crate::limits::{EARLY_WELCOMES, HISTORY_WAIT, LINKED_AGAIN, OWN_DEVICES_WAIT};
use crate::store::{ArchiveRow, JobKind, NewJob, Way, Wish};
use crate::types::{ContactId, ConversationId, Fate, Standing};

/// DEV-7: what a device says in a group it has just made waits until the others are in it; on
/// another relay so long and no longer.
#[test]
fn first_words_wait_for_the_own_devices() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let group = laptop.engine.create_group("Notes", false).unwrap().id;
    laptop.engine.send(group, "for both").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(texts(&alice, group), ["for both"]);

    let account = *laptop.engine.account.id().key().as_bytes();
    let log = laptop.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    let wished = laptop.engine.transact(|work| {
        let wish = Wish::Add { account, packages: Vec::new(), missing: 1 };
        work.db.put_wish(&log, &wish, work.now)
    });
    wished.unwrap();
    let ours = laptop.engine.own_relay.clone();
    let said = laptop.engine.send(group, "for whoever is here").unwrap().id;
    let turns = [
        (OWN_DEVICES_WAIT.get() - 1, "another", Fate::Queued),
        (1, ours.as_str(), Fate::Queued),
        (0, "another", Fate::Accepted),
    ];
    for (seconds, relay, fate) in turns {
        wait(&mut laptop, Duration::from_secs(u64::from(seconds)));
        laptop.engine.own_relay = relay.to_owned();
        post.send(&mut laptop, log);
        assert_eq!(laptop.engine.message(said).unwrap().fate, fate);
    }
}

/// DEV-6: a new device that nobody has let in says each day that it is ready; one that came too
/// late for its Welcome is added again.
#[test]
fn ready_device_says_so_until_it_is_in() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    post.round(&mut alice);
    let inbox = alice.engine.account.inbox;
    let mut laptop = new_device();
    finish(&mut post, &mut alice, &mut laptop);
    let long = Duration::from_secs(u64::from(LINKED_AGAIN.get()));
    for is_read in [false, true] {
        post.do_jobs(&mut laptop);
        if is_read {
            settle(&mut post, &mut [&mut alice]);
        }
        post.expire(&inbox);
        settle(&mut post, &mut [&mut alice, &mut laptop]);
        assert!(laptop.engine.conversations().unwrap().is_empty());
        wait(&mut laptop, long);
    }
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    alice.engine.set_setting("colour", b"red").unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(laptop.engine.setting("colour").unwrap().as_deref(), Some(b"red".as_slice()));
    wait(&mut laptop, long);
    assert!(laptop.engine.runnable_jobs().unwrap().is_empty());
    // What it wrote before it was in, and comes late, is answered no more.
    laptop.engine.set_setting("size", b"large").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    let said = laptop.engine.transact(|work| {
        let (key, id) = (work.account.need_own_key()?.seed(), EnvelopeId::new([7; 16]));
        let (key, envelope) = (Some(key), Some(id));
        work.db.put_job(&NewJob { key, envelope, ..work.own_job(JobKind::SayLinked) })
    });
    said.unwrap();
    post.do_jobs(&mut laptop);
    post.bring_letters(&mut alice);
    let own = ConversationId::from(alice.engine.own_id().unwrap());
    let log = alice.engine.store.read().need_conversation(own).unwrap().log.unwrap();
    assert!(!alice.engine.wants_commit(&log).unwrap());
}

/// DEV-7: a device that is linked while another one is about to be added to a group is added too.
#[test]
fn all_that_are_away_are_added() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let group = alice.engine.create_group("Notes", false).unwrap().id;
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    let account = *alice.engine.account.id().key().as_bytes();
    let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    // Of this one the package does not come.
    let waiting = Wish::Add { account, packages: Vec::new(), missing: 1 };
    let wished = alice.engine.transact(|work| work.db.put_wish(&log, &waiting, work.now));
    wished.unwrap();
    link(&mut post, &mut alice);
    let wishes = alice.engine.store.read().wishes(&log).unwrap();
    let packages = wishes.iter().find_map(|wish| match &wish.what {
        Wish::Add { packages, missing: 1, .. } => Some(packages.len()),
        _ => None,
    });
    assert_eq!(packages, Some(1), "that of the new device");
}

/// DEV-7: who is let into a group by an own device adds those that device has not heard of.
#[test]
fn newer_devices_than_the_founder_knows_are_added() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let group = laptop.engine.create_group("Notes", false).unwrap().id;
    post.do_jobs(&mut laptop);
    let log = laptop.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    // The laptop does not hear of it.
    let mut tablet = link(&mut post, &mut alice);
    post.send(&mut laptop, log);
    post.bring_log(&mut laptop, log);
    post.do_jobs(&mut laptop);
    settle(&mut post, &mut [&mut alice, &mut tablet]);
    assert_eq!(tablet.engine.conversation(group).unwrap().standing, Standing::Open);
    alice.engine.send(group, "to all").unwrap();
    settle(&mut post, &mut [&mut alice, &mut tablet]);
    assert_eq!(texts(&tablet, group), ["to all"]);
}

/// A group of Bob's with Alice's phone, into which her laptop could not be added yet.
fn group_of_the_phone(post: &mut Post, alice: &mut Person, bob: &mut Person) -> ConversationId {
    let group = bob.engine.create_group("Three", false).unwrap().id;
    let hidden = post.hide_prekeys(2);
    bob.engine.add_member(group, bob.contact().id).unwrap();
    settle(post, &mut [bob, alice]);
    alice.engine.accept_group(group).unwrap();
    settle(post, &mut [alice, bob]);
    post.show_prekeys(hidden);
    group
}

/// DEV-22: a device that comes into a group later than another one of its account gets what was
/// said there in between, whoever lets it in.
#[test]
fn later_devices_get_what_was_said_in_between() {
    for by_another in [false, true] {
        let (mut post, mut alice, mut laptop, mut bob) = three();
        let group = group_of_the_phone(&mut post, &mut alice, &mut bob);
        bob.engine.send(group, "early").unwrap();
        settle(&mut post, &mut [&mut bob, &mut alice]);
        if by_another {
            bob.engine.add_member(group, bob.contact().id).unwrap();
        } else {
            let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
            alice.engine.transact(|work| work.add_own_devices(group, &log)).unwrap();
        }
        settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
        bob.engine.send(group, "late").unwrap();
        go_on(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
        assert_eq!(texts(&laptop, group), ["early", "late"], "{by_another}");
        assert_eq!(history(&laptop, laptop.talk()), history(&alice, alice.talk()));
        assert_eq!(alice.engine.store.read().sharing().unwrap(), []);
    }
}

/// DEV-22: what another account gives to a device is handed on to those of its account that came
/// in behind it, and given to one that has not read its Welcome yet.
#[test]
fn repairs_are_handed_on() {
    for is_in in [true, false] {
        let (mut post, mut alice, mut laptop, mut bob) = three();
        let group = group_of_the_phone(&mut post, &mut alice, &mut bob);
        let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
        bob.engine.send(group, "lost").unwrap();
        post.send(&mut bob, log);
        bob.engine.send(group, "here").unwrap();
        post.send(&mut bob, log);
        post.lose_before_last(&log);
        post.bring_log(&mut alice, log);
        alice.engine.transact(|work| work.add_own_devices(group, &log)).unwrap();
        settle(&mut post, &mut [&mut alice, &mut bob]);
        if is_in {
            settle(&mut post, &mut [&mut laptop]);
            go_on(&mut post, &mut [&mut alice, &mut laptop]);
            assert_eq!(texts(&laptop, group), ["here"]);
        } else {
            go_on(&mut post, &mut [&mut alice]);
        }
        assert_eq!(texts(&alice, group), ["here"]);
        for _ in 0..5 {
            for person in [&mut alice, &mut bob] {
                wait(person, Duration::from_secs(100));
            }
            settle(&mut post, &mut [&mut alice, &mut bob]);
            post.work(&mut laptop);
        }
        go_on(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
        assert_eq!([texts(&alice, group), texts(&laptop, group)], [["lost", "here"]; 2]);
    }
}

/// DEV-22: what a device takes with history and did not have, it gives on to those that got theirs
/// from it.
#[test]
fn history_is_given_on() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (of, id) = (alice.talk(), bob.engine.send(bob.talk(), "missed").unwrap().id);
    let taken_back = bob.engine.send(bob.talk(), "taken back").unwrap().id;
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    let mut tablet = link(&mut post, &mut alice);
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut tablet]);
    // That reaches the laptop alone.
    let by = Some(laptop.contact().id);
    laptop.engine.transact(|work| work.bury(of, &taken_back, by)).unwrap();
    for device in [&mut alice, &mut tablet] {
        assert_eq!(texts(device, of), ["missed", "taken back"]);
        let forgotten = device.engine.transact(|work| {
            work.db.set_unconfirmed(of, &id)?;
            work.db.drop_unconfirmed(of, &id, Some(&of.contact()))
        });
        forgotten.unwrap();
        assert_eq!(texts(device, of), ["taken back"]);
    }
    alice.engine.transact(|work| work.want_history(of, LogPosition::default())).unwrap();
    go_on(&mut post, &mut [&mut alice, &mut laptop, &mut tablet]);
    assert_eq!([texts(&alice, of), texts(&tablet, of)], [["missed"], ["missed"]]);
    for device in [&alice, &laptop, &tablet] {
        assert_eq!(device.engine.store.read().sharing().unwrap(), []);
    }
}

/// DEV-22: what a device takes it gives on when it has all of it, or has waited for that: not with
/// each segment anew.
#[test]
fn what_is_being_taken_is_given_on_in_one_go() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    go_on(&mut post, &mut [&mut alice, &mut laptop]);
    let of = alice.talk();
    let [here, there] = [&laptop, &alice].map(|it| it.engine.account.device.public());
    let given = |alice: &mut Person, way: Option<PublicKey>| {
        let begun = alice.engine.transact(|work| {
            for archive in work.db.archives()? {
                work.db.drop_archive(&archive.id)?;
            }
            if let Some(giver) = way {
                work.db.put_archive(&taken_from(giver))?;
            }
            work.db.put_share(&here, of, LogPosition::default(), work.now)
        });
        begun.unwrap();
        alice.engine.housekeeping(true).unwrap();
        let archives = alice.engine.store.read().archives().unwrap();
        archives.iter().any(|archive| archive.way == Way::To(here))
    };
    assert!(given(&mut alice, None));
    assert!(!given(&mut alice, Some(there)), "it may be given more");
    wait(&mut alice, Duration::from_secs(u64::from(HISTORY_WAIT.get())));
    let archives = alice.engine.store.read().archives().unwrap();
    assert!(archives.iter().any(|archive| archive.way == Way::To(here)));
}

/// An archive that is on its way to this device.
fn taken_from(giver: PublicKey) -> ArchiveRow {
    ArchiveRow {
        id: ArchiveId::new([5; 16]),
        way: Way::From(giver),
        relay: "r.example:7443".to_owned(),
        messages: 9,
        done: 0,
        manifests: 1,
        segments: 1,
        taken: 0,
        whole: false,
        rest: None,
        due: NOW.after(Seconds::new(100_000)),
    }
}

/// DEV-21: a Welcome may come to a device before it hears that its writer is a contact; so many are
/// kept, and one more lets go of those.
#[test]
fn welcome_waits_for_its_writer_to_be_known() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let mut carol = person("Carol");
    post.ask(&mut carol, &mut alice, None);
    carol.engine.accept_contact(carol.contact().id).unwrap();
    settle(&mut post, &mut [&mut carol]);
    let group = carol.engine.create_group("Three", false).unwrap().id;
    carol.engine.add_member(group, carol.contact().id).unwrap();
    settle(&mut post, &mut [&mut carol]);
    post.bring_letters(&mut laptop);
    assert!(laptop.engine.conversation(group).is_err());
    let kept = laptop.engine.store.read().welcomes().unwrap();
    assert_eq!(kept.len(), 2, "of the group, and of the conversation with Carol");
    let mut copy = laptop.copy();
    let mut early = |number: usize| {
        let Ok(LetterContent::Welcome(welcome)) = LetterContent::decode(&kept[0].2) else {
            panic!("a Welcome")
        };
        let mailbox = MailboxId::new([number as u8; 16]);
        let welcome = WelcomeLetter { mailbox, ..welcome };
        let writer = ContactId::new([number as u8; 16]);
        copy.engine.transact(|work| work.keep_early_welcome(writer, &welcome)).unwrap();
        copy.engine.store.read().welcomes().unwrap().len()
    };
    for number in 3..=EARLY_WELCOMES {
        assert_eq!(early(number), number);
    }
    assert_eq!(early(EARLY_WELCOMES + 1), 1);
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    wait(&mut laptop, Duration::ZERO);
    let shown = laptop.engine.conversation(group).unwrap();
    assert_eq!(shown.standing, Standing::Invited);
    laptop.engine.accept_group(group).unwrap();
    carol.engine.send(group, "to both").unwrap();
    settle(&mut post, &mut [&mut carol, &mut laptop, &mut alice]);
    assert_eq!([texts(&laptop, group), texts(&alice, group)], [["to both"], ["to both"]]);
    assert_eq!(laptop.engine.store.read().welcomes().unwrap().len(), 0);
}

/// DEV-12: a device that was removed, and that somebody has added who had not heard of it, is
/// removed again: from a group that is agreed to, and from one the account is in.
#[test]
fn removed_device_that_is_added_goes_again() {
    for is_in in [false, true] {
        let (mut post, mut alice, mut laptop, mut bob) = three();
        let (group, who) = (bob.engine.create_group("Three", false).unwrap().id, bob.contact().id);
        if is_in {
            let hidden = post.hide_prekeys(2);
            bob.engine.add_member(group, who).unwrap();
            settle(&mut post, &mut [&mut bob, &mut alice]);
            alice.engine.accept_group(group).unwrap();
            settle(&mut post, &mut [&mut alice, &mut bob]);
            post.show_prekeys(hidden);
        }
        bob.engine.add_member(group, who).unwrap();
        post.do_jobs(&mut bob);
        alice.engine.remove_device(2).unwrap();
        post.round(&mut alice);
        let log = bob.engine.store.read().need_conversation(group).unwrap().log.unwrap();
        post.send(&mut bob, log);
        let devices = |person: &mut Person| {
            let members = person.engine.group_members(group).unwrap();
            members.iter().map(|member| member.devices).sum::<u32>()
        };
        assert_eq!(devices(&mut bob), 3, "{is_in}");
        settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
        if !is_in {
            alice.engine.accept_group(group).unwrap();
        }
        settle(&mut post, &mut [&mut alice, &mut bob]);
        assert_eq!([devices(&mut alice), devices(&mut bob)], [2, 2], "{is_in}");
    }
}
