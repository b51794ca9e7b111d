//! Which of an account's devices are in its groups.

use std::time::Duration;

use super::devices::{settle, texts, three};
use super::post::{Person, wait};
use crate::limits::OWN_DEVICES_WAIT;
use crate::store::Wish;
use crate::types::Fate;

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
