//! Tests of receipts: who has what, who has read it, and how little is sent for it.

use std::time::Duration;

use restante_spec::content::Body;
use restante_spec::ids::{EnvelopeId, UnixTime};
use restante_spec::limits::RECEIPT_IDS;
use restante_spec::message::EnvelopeClass;

use super::friends;
use super::post::wait;
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::error::Error;
use crate::limits::{RECEIPT_DELAY, RECEIPT_SPREAD_MAX, RECIPIENTS_KEPT};
use crate::types::{Fate, GroupChange, MessageId, MessageKind, Privacy, Reach};

const MINUTE: Duration = Duration::from_secs(60);

impl Trio {
    /// One sends the receipts it owes, and everybody hears them.
    fn receipts(&mut self, who: usize) {
        wait(&mut self.people[who], MINUTE);
        self.rounds();
    }

    fn fate(&self, id: MessageId) -> Fate {
        self.message(ALICE, id).fate
    }

    fn reach(&self, id: MessageId, who: usize) -> Option<Reach> {
        let account = self.people[who].engine.own_id().unwrap();
        let all = self.people[ALICE].engine.recipients(self.group, id).unwrap();
        all.iter().find(|one| one.account == account).map(|one| one.how)
    }
}

/// In a group a message is delivered when every other member has it, and read when a person there
/// has read it at every one of them; who has come how far can be asked.
#[test]
fn group_fate_is_that_of_the_last_member() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(ALICE, "all of you"), trio.group);
    assert_eq!(trio.fate(id), Fate::Accepted);
    assert_eq!(trio.reach(id, BOB), Some(Reach::Sent));
    trio.receipts(BOB);
    assert_eq!((trio.fate(id), trio.reach(id, BOB)), (Fate::Accepted, Some(Reach::Delivered)));
    trio.receipts(CAROL);
    assert_eq!(trio.fate(id), Fate::Delivered);
    trio.people[BOB].engine.mark_read(group).unwrap();
    trio.receipts(BOB);
    assert_eq!((trio.fate(id), trio.reach(id, BOB)), (Fate::Delivered, Some(Reach::Read)));
    trio.people[CAROL].engine.mark_read(group).unwrap();
    trio.receipts(CAROL);
    assert_eq!(trio.fate(id), Fate::Read);
    assert_eq!(trio.reach(id, ALICE), None);
    let others = trio.people[BOB].engine.recipients(group, id);
    assert_eq!(others, Err(Error::NotAllowed));
}

/// Who does not tell what was read tells that it arrived all the same.
#[test]
fn read_receipts_can_be_turned_off() {
    let mut trio = Trio::new();
    let engine = &mut trio.people[CAROL].engine;
    assert_eq!(engine.privacy(), Ok(Privacy::default()));
    let quiet = Privacy { read_receipts: false, ..Privacy::default() };
    engine.set_privacy(quiet).unwrap();
    assert_eq!(engine.privacy(), Ok(quiet));
    let (id, group) = (trio.says(ALICE, "all of you"), trio.group);
    for who in [BOB, CAROL] {
        trio.people[who].engine.mark_read(group).unwrap();
        trio.receipts(who);
    }
    assert_eq!((trio.reach(id, BOB), trio.reach(id, CAROL)), {
        (Some(Reach::Read), Some(Reach::Delivered))
    });
    assert_eq!(trio.fate(id), Fate::Delivered);
}

/// A contact's reading is told in a direct conversation, also of the first message.
#[test]
fn direct_message_is_read() {
    let (mut post, mut alice, mut bob) = friends();
    alice.engine.send(alice.talk(), "hello").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.mark_read(bob.talk()).unwrap();
    wait(&mut bob, MINUTE);
    post.round(&mut bob);
    post.round(&mut alice);
    assert_eq!(alice.history()[0].fate, Fate::Read);
}

/// However many messages came, one quiet content receipts them, 5 to 60 seconds later; receipts
/// are not receipted.
#[test]
fn receipts_of_a_group_are_batched() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    for n in 0..9 {
        trio.people[ALICE].engine.send(group, &n.to_string()).unwrap();
    }
    trio.rounds();
    let db = trio.people[BOB].engine.store.read();
    let now = trio.people[BOB].engine.now;
    let (_, due) = db.receipts_due().unwrap()[0];
    let (first, last) = (RECEIPT_DELAY.get(), RECEIPT_DELAY.get() + RECEIPT_SPREAD_MAX.get());
    let after = due.get() - now.get();
    assert!((u64::from(first)..=u64::from(last)).contains(&after), "{after}");
    wait(&mut trio.people[BOB], MINUTE);
    let sent = trio.people[BOB].engine.outgoing(&log, 0, 100).unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].class, EnvelopeClass::Quiet);
    trio.rounds();
    trio.receipts(CAROL);
    wait(&mut trio.people[ALICE], MINUTE);
    assert!(trio.people[ALICE].engine.outgoing(&log, 0, 100).unwrap().is_empty());
}

/// CNT-3: one content receipts 1,024 messages; what is left goes in the next.
#[test]
fn receipts_have_a_bound() {
    let mut trio = Trio::new();
    let group = trio.group;
    let engine = &mut trio.people[BOB].engine;
    let count = engine
        .transact(|work| {
            for n in 0..=RECEIPT_IDS {
                let mut id = [0xBB; 16];
                id[..8].copy_from_slice(&n.to_be_bytes());
                work.db.owe_receipt(group, &EnvelopeId::new(id), n % 2 == 0, work.now)?;
            }
            work.send_receipts(group)?;
            work.db.outbox(group, 0, 9)
        })
        .unwrap();
    let sizes = count.iter().map(|row| match Body::decode(row.kind, &row.body) {
        Ok(Body::Receipts(receipts)) => receipts.delivered.len() + receipts.read.len(),
        _ => 0,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [RECEIPT_IDS, 1]);
}

/// Who is a member no more is not waited for, and who came later is not asked.
#[test]
fn only_members_then_and_now_are_waited_for() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(ALICE, "all of you"), trio.group);
    trio.receipts(BOB);
    assert_eq!(trio.fate(id), Fate::Accepted);
    let carol = trio.people[CAROL].engine.own_id().unwrap();
    trio.people[ALICE].engine.remove_member(group, carol).unwrap();
    trio.rounds();
    assert_eq!(trio.fate(id), Fate::Delivered);
    let later = trio.says(ALICE, "the two of us");
    assert_eq!(trio.reach(later, CAROL), None);
}

/// Who has what is forgotten 90 days after the last sign of it, and not sooner.
#[test]
fn recipients_are_forgotten_after_a_time() {
    let mut trio = Trio::new();
    let id = trio.says(ALICE, "long ago");
    let begin = trio.people[ALICE].engine.now;
    let mut left_after = |seconds: u32| {
        let engine = &mut trio.people[ALICE].engine;
        engine.set_now(UnixTime::new(begin.get() + u64::from(seconds)));
        engine.housekeeping(false).unwrap();
        engine.next_tidy = begin;
        engine.recipients(trio.group, id).unwrap().len()
    };
    assert_eq!(left_after(RECIPIENTS_KEPT.get()), 2);
    assert_eq!(left_after(RECIPIENTS_KEPT.get() + 1), 0);
}

/// That safety numbers were compared is told to the contact, once, and shown on both sides.
#[test]
fn verification_is_told() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, who) = (bob.talk(), alice.contact().id);
    for _ in 0..2 {
        alice.engine.set_verified(who, true).unwrap();
    }
    post.round(&mut alice);
    post.round(&mut bob);
    let own = bob.engine.own_id().unwrap();
    let told = [GroupChange::Verified(own, true)];
    for (history, author) in [(alice.history(), None), (bob.history(), Some(of.contact()))] {
        assert_eq!(history.len(), 1);
        assert_eq!((history[0].kind, history[0].author), (MessageKind::Event, author));
        assert_eq!(history[0].changes, told);
    }
}
