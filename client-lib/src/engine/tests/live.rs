//! Tests of what is live: told at once or never, and kept nowhere.

use std::time::Duration;

use bytes::Bytes;
use restante_spec::content::{Body, Text};
use restante_spec::ids::{Handle, Seq, UnixTime};
use restante_spec::message::Deliver;

use super::post::{events, wait};
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::engine::{Event, Outgoing};
use crate::limits::{LIVE_QUEUE, TYPING_AGAIN, TYPING_ENDS, TYPING_PEOPLE};
use crate::types::{ContactId, ConversationId, Privacy};

impl Trio {
    fn live(&mut self, who: usize) -> Vec<Outgoing> {
        let log = self.log();
        self.people[who].engine.outgoing_live(&log).unwrap()
    }

    fn pass(&mut self, to: usize, what: &Outgoing) -> Vec<Event> {
        let log = self.log();
        let head = Deliver {
            handle: Handle::new(1),
            seq: Seq::START,
            prev: Seq::START,
            epoch: Some(what.epoch),
            id: what.id,
            class: what.class,
            expires_at: UnixTime::new(0),
            commit: false,
            own: false,
        };
        let batch = vec![(head, Bytes::from(what.body.clone()))];
        events(&mut self.people[to]);
        self.people[to].engine.receive(&log, batch).unwrap();
        events(&mut self.people[to])
    }
}

/// Typing is told to who is there, once, and ends by itself after 10 seconds without a word.
#[test]
fn typing_is_told_and_ends() {
    let mut trio = Trio::new();
    let (conversation, who) = (trio.group, trio.people[ALICE].engine.own_id().unwrap());
    trio.people[ALICE].engine.typing(conversation, true).unwrap();
    let sent = trio.live(ALICE);
    assert_eq!(sent.len(), 1);
    let typing = |active| Event::Typing { conversation, who, active };
    assert_eq!(trio.pass(BOB, &sent[0]), [typing(true)]);
    // A copy changes nothing (LIV-4), and nobody hears himself.
    assert_eq!((trio.pass(BOB, &sent[0]), trio.pass(ALICE, &sent[0])), (vec![], vec![]));
    assert!(trio.history(BOB).is_empty());
    wait(&mut trio.people[BOB], Duration::from_secs(u64::from(TYPING_ENDS.get()) - 1));
    assert!(events(&mut trio.people[BOB]).is_empty());
    wait(&mut trio.people[BOB], Duration::from_secs(1));
    assert_eq!(events(&mut trio.people[BOB]), [typing(false)]);
}

/// Who ceases says so; what is said again too soon is not sent, nor what nobody was told of.
#[test]
fn typing_is_not_repeated_too_soon() {
    let mut trio = Trio::new();
    let group = trio.group;
    let mut sends = |active, later: u64| {
        let engine = &mut trio.people[ALICE].engine;
        engine.set_now(UnixTime::new(engine.now.get() + later));
        engine.typing(group, active).unwrap();
        trio.live(ALICE).len()
    };
    let again = u64::from(TYPING_AGAIN.get());
    assert_eq!(sends(false, 0), 0);
    assert_eq!((sends(true, 0), sends(true, again - 1), sends(true, 1)), (1, 0, 1));
    assert_eq!((sends(false, 0), sends(false, 0)), (1, 0));
}

/// What cannot be sent at once is never sent, and outlives no restart.
#[test]
fn live_is_now_or_never() {
    let mut trio = Trio::new();
    trio.people[ALICE].engine.typing(trio.group, true).unwrap();
    trio.people[ALICE].engine.forget_live();
    assert!(trio.live(ALICE).is_empty());
    let log = trio.log();
    assert!(trio.people[ALICE].engine.outgoing(&log, 0, 9).unwrap().is_empty());
}

/// Presence is told in every conversation, and the counter rises over a restart (LIV-4).
#[test]
fn presence_is_told() {
    let mut trio = Trio::new();
    let (conversation, who) = (trio.group, trio.people[ALICE].engine.own_id().unwrap());
    trio.people[ALICE].engine.presence(true).unwrap();
    let sent = trio.live(ALICE);
    assert_eq!(trio.pass(CAROL, &sent[0]), [Event::Presence { conversation, who, online: true }]);
    let later = UnixTime::new(trio.people[ALICE].engine.now.get() + 1);
    let Trio { post, people: [alice, bob, carol], group } = trio;
    let mut trio = Trio { post, people: [alice.restart(), bob, carol], group };
    trio.people[ALICE].engine.set_now(later);
    trio.people[ALICE].engine.presence(false).unwrap();
    let sent = trio.live(ALICE);
    assert_eq!(trio.pass(CAROL, &sent[0]), [Event::Presence { conversation, who, online: false }]);
}

/// Who wishes to be quiet says nothing.
#[test]
fn typing_and_presence_can_be_turned_off() {
    let mut trio = Trio::new();
    let group = trio.group;
    let engine = &mut trio.people[ALICE].engine;
    engine.set_privacy(Privacy { typing: false, presence: false, read_receipts: true }).unwrap();
    engine.typing(group, true).unwrap();
    engine.presence(true).unwrap();
    assert!(trio.live(ALICE).is_empty());
}

/// LIV-4: junk that passes does not make a copy of something earlier new.
#[test]
fn junk_does_not_renew_copies() {
    let mut trio = Trio::new();
    trio.people[ALICE].engine.presence(true).unwrap();
    let sent = trio.live(ALICE);
    assert_eq!(trio.pass(BOB, &sent[0]).len(), 1);
    let junk = Outgoing { body: vec![1; 256], ..sent[0].clone() };
    assert!(trio.pass(BOB, &junk).is_empty());
    assert!(trio.pass(BOB, &sent[0]).is_empty());
}

/// CNT-13: words in a live envelope are dropped, and typing in one that is stored.
#[test]
fn wrong_class_is_dropped() {
    let mut trio = Trio::new();
    let log = trio.log();
    for text in ["one", "two"] {
        trio.says(ALICE, text);
    }
    let body = Body::Text(Text { text: "sneaked in".to_owned(), reply_to: None });
    let sealed = trio.people[ALICE].engine.transact(|work| {
        let log = work.db.need_log(&log)?;
        work.seal_live(&log, 1 << 60, body)
    });
    assert!(trio.pass(BOB, &sealed.unwrap()).is_empty());
    assert_eq!(trio.history(BOB).len(), 2);
    events(&mut trio.people[BOB]);
    trio.repair(BOB, ALICE, 1_000, 9, Body::Typing { active: true });
    assert!(events(&mut trio.people[BOB]).is_empty());
}

/// So many live contents wait for a step, one of each kind and conversation, and one more is not
/// sent; so many people are remembered as writing, and one more is not shown.
#[test]
fn live_is_bounded() {
    let mut trio = Trio::new();
    let of = |n: usize| ConversationId::new([u8::try_from(n).unwrap(); 16]);
    let live = &mut trio.people[ALICE].engine.live;
    for _ in 0..2 {
        (0..=LIVE_QUEUE).for_each(|n| live.queue(of(n), Body::Presence { online: true }));
    }
    let waiting = (0..=LIVE_QUEUE).map(|n| live.take(of(n)).len());
    let expected = (0..=LIVE_QUEUE).map(|n| usize::from(n < LIVE_QUEUE));
    assert!(waiting.eq(expected));
    let who = |n: usize| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        ContactId::new(id)
    };
    let (group, engine) = (trio.group, &mut trio.people[BOB].engine);
    (0..=TYPING_PEOPLE).for_each(|n| engine.hear_typing(group, who(n), true));
    assert_eq!(engine.take_events().len(), TYPING_PEOPLE);
    engine.hear_typing(group, who(0), false);
    engine.hear_typing(group, who(TYPING_PEOPLE), true);
    assert_eq!(engine.take_events().len(), 2);
}
