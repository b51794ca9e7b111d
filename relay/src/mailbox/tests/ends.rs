//! How mailboxes end (CMD-16, MBX-13).

use super::super::authorise::{Need, authorise, authorise_open};
use super::*;

/// MBX-13: a conversation nobody has opened for 400 days ends; one that was opened lives on.
#[test]
fn idle_conversations_end() {
    let mut house = House::new(MailboxClass::Conversation);
    let key = SigningKey::from_seed(&[1; 32]);
    let idle = u64::from(limits::IDLE_CONVERSATION.get());
    house.later(idle - DAY);
    house.service.sweep(None, 10, house.now);
    house.open(&key).unwrap();
    house.later(idle - DAY);
    house.service.sweep(None, 10, house.now);
    house.open(&key).unwrap();
    house.later(idle + 2 * DAY);
    house.service.sweep(None, 10, house.now);
    house.settle();
    assert_eq!(house.open(&key).unwrap_err().code, Code::NotFound);
    assert!(house.told.0.lock().unwrap().iter().any(|told| matches!(told, Notice::Deleted)));
}

/// CMD-16: what is deleted is gone at once, also while something still holds its state; made
/// anew under its name, it is judged once nothing does.
#[test]
fn a_deleted_mailbox_is_gone_while_its_state_is_held() {
    let mut house = House::new(MailboxClass::Inbox);
    let key = SigningKey::from_seed(&[1; 32]);
    let held = house.service.find(house.mailbox).unwrap().unwrap();
    house.ask(&key, Ask::Delete).unwrap();
    assert_eq!(house.ask(&key, Ask::CountPrekeys).unwrap_err().code, Code::NotFound);
    assert_eq!(house.open(&key).unwrap_err().code, Code::NotFound);
    house.create(MailboxClass::Inbox).unwrap();
    assert_eq!(house.open(&key).unwrap_err().code, Code::Unavailable);
    drop(held);
    house.open(&key).unwrap();
}

/// CMD-16: who found a mailbox just before it was deleted, or its store failed, is judged by that
/// state no more.
#[test]
fn a_state_that_has_ended_authorises_nothing() {
    let house = House::new(MailboxClass::Conversation);
    let cell = house.service.find(house.mailbox).unwrap().unwrap();
    let mut mailbox = super::super::service::lock(&cell);
    let (key, now) = (house.key.public(), house.now);
    let (relay, nonce) = (PublicKey::new([9; 32]), Nonce::new([2; 32]));
    let challenge = OpenChallenge { relay, nonce, mailbox: house.mailbox };
    let codes = |mailbox: &_| {
        let asked = authorise(mailbox, key, Need::Read, (), now);
        let proof = challenge.prove(&house.key);
        let opened = authorise_open(Some(mailbox), &challenge, key, &proof, now);
        let proof = challenge.prove(&seed(1));
        let strange = authorise_open(Some(mailbox), &challenge, key, &proof, now);
        [asked, opened, strange].map(|judged| judged.err().map(|refusal| refusal.code))
    };
    assert_eq!(codes(&mailbox), [None, None, Some(Code::NotFound)]);
    let ended = [Code::Unavailable, Code::Unavailable, Code::NotFound].map(Some);
    for (stale, deleted) in [(true, false), (false, true)] {
        (mailbox.stale, mailbox.deleted) = (stale, deleted);
        assert_eq!(codes(&mailbox), ended);
    }
}
