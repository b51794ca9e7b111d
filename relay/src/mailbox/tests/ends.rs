//! How mailboxes end (CMD-16, MBX-13).

use super::super::authorise::{Need, authorise};
use super::super::rows::{self, KEY, READER, ReaderRow};
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

/// CMD-16: nothing that is asked for while a mailbox is being deleted becomes part of the one that
/// is made anew. Once a cursor could, and a key.
#[test]
fn nothing_is_written_behind_a_deletion() {
    let mut house = House::new(MailboxClass::Inbox);
    let (owner, writer) = (SigningKey::from_seed(&[1; 32]), seed(1));
    let possession = prove_possession(&writer, &house.mailbox);
    let (key, terms) = (writer.public(), writer_terms());
    let allow = || Ask::Allow { key, possession, terms, card: Bytes::new() };
    house.ask(&owner, allow()).unwrap();
    let access = Access { mailbox: house.mailbox, key: owner.public() };
    let [first, second] = [(); 2].map(|()| {
        let upto = house.append(&writer, None, None).unwrap().seq;
        Call::With(access, Ask::Ack { reader: house.reader, upto })
    });
    // The store does nothing until all of them are with it.
    let (go, wait) = sync_channel::<()>(0);
    let nothing = Act::Write { rows: Vec::new(), trim: None };
    let busy = house.buffer.submit(house.mailbox, nothing, Box::new(move |_| wait.recv().unwrap()));
    assert!(busy.is_ok());
    let deletion = Call::With(access, Ask::Delete);
    let anew = house.creation(MailboxClass::Inbox);
    let (sender, answers) = sync_channel(5);
    for call in [first, second, deletion, anew, Call::With(access, allow())] {
        let sender = sender.clone();
        let respond = Box::new(move |answer: Result<_, Refusal>| sender.send(answer).unwrap());
        house.service.call(call, house.now, respond);
    }
    go.send(()).unwrap();
    let answers = answers.iter().take(5).filter_map(Result::err).map(|refused| refused.code);
    assert_eq!(answers.collect::<Vec<_>>(), [Code::Unavailable], "the key, for now");
    house.settle();
    let rows = |tag| house.buffer.rows(house.mailbox, tag..=tag).unwrap();
    let cursors =
        rows(READER).iter().map(|row| rows::decode(&row.value).unwrap()).collect::<Vec<_>>();
    assert!(matches!(cursors[..], [ReaderRow { cursor: None, .. }]));
    assert_eq!(rows(KEY).len(), 1, "the owner's");
}

/// CMD-16: who found a mailbox just before it was deleted, or its store failed, is judged by that
/// state no more.
#[test]
fn a_state_that_has_ended_authorises_nothing() {
    let house = House::new(MailboxClass::Conversation);
    let cell = house.service.find(house.mailbox).unwrap().unwrap();
    let mut mailbox = super::super::service::lock(&cell);
    let code = |mailbox: &_| {
        let key = house.key.public();
        authorise(mailbox, key, Need::Read, (), house.now).err().map(|refusal| refusal.code)
    };
    assert_eq!(code(&mailbox), None);
    for (stale, deleted) in [(true, false), (false, true)] {
        (mailbox.stale, mailbox.deleted) = (stale, deleted);
        assert_eq!(code(&mailbox), Some(Code::Unavailable));
    }
}
