//! How mailboxes end (CMD-16, MBX-13).

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
