//! Letter keys are replaced, and what was sealed to one before is read.

use restante_crypto::DeviceList;

use super::post::new_device;
use super::*;
use crate::limits::{LETTER_KEY_EVERY, LETTER_KEY_KEPT, TIDY_EVERY};
use crate::types::{ConversationId, Standing};

/// Bob writes a letter to Alice, sealed to the key of hers that he knows.
fn write(post: &mut Post, bob: &mut Person) -> ConversationId {
    let group = bob.engine.create_group("friends", false).unwrap().id;
    bob.engine.add_member(group, bob.contact().id).unwrap();
    for _ in 0..2 {
        post.round(bob);
    }
    group
}

fn is_read(post: &Post, alice: &mut Person, group: ConversationId) -> bool {
    post.bring_letters(alice);
    alice.engine.conversation(group).is_ok_and(|group| group.standing == Standing::Invited)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// IDN-8. Once a letter key was never replaced: who had it read all letters that were ever written.
#[test]
fn letter_keys_are_replaced_by_their_age() {
    let (mut post, mut alice, mut bob) = friends();
    let key = |alice: &Person| alice.engine.account.letter_key.public();
    let past = |alice: &Person| alice.engine.account.past_letter_keys.len();
    let first = key(&alice);
    wait(&mut alice, seconds(LETTER_KEY_EVERY.get() - 1));
    assert!(key(&alice) == first);
    let before = write(&mut post, &mut bob);
    wait(&mut alice, seconds(1));
    assert!(key(&alice) != first);
    assert!(is_read(&post, &mut alice, before), "sealed to the key before");

    post.round(&mut alice);
    post.round(&mut bob);
    let known = bob.engine.store.read().need_contact(bob.contact().id).unwrap().devices;
    let list = DeviceList::parse(&known.unwrap()).unwrap();
    let listed = list.device(&alice.engine.account.device.public()).unwrap();
    assert!(*listed.letter_key.key() == key(&alice), "Bob has heard of it");
    let behind = write(&mut post, &mut bob);
    assert!(is_read(&post, &mut alice, behind), "sealed to the new one");

    wait(&mut alice, seconds(LETTER_KEY_KEPT.get() - 1));
    assert_eq!(past(&alice), 2, "another one was replaced meanwhile");
    wait(&mut alice, seconds(TIDY_EVERY.get()));
    assert_eq!(past(&alice), 1);
    assert_eq!(past(&alice.restart()), 1);
}

/// IDN-8, DEV-4: a device that is to be linked keeps the key that is in its card.
#[test]
fn a_device_that_is_to_be_linked_keeps_its_letter_key() {
    let mut laptop = new_device();
    let first = laptop.engine.account.letter_key.public();
    wait(&mut laptop, seconds(LETTER_KEY_EVERY.get()));
    assert!(laptop.engine.account.letter_key.public() == first);
}
