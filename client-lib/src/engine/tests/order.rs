//! Tests of order: however the log is cut into batches, everybody sees it as it is; and of its
//! hash, which tells when members are shown different ones.

use bytes::Bytes;
use restante_spec::ids::{Epoch, Seq};
use restante_spec::message::Opened;

use super::friends;
use super::post::{Person, events, opened};
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::engine::{Event, Notice, is_theirs};
use crate::types::{Message, MessageKind};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// What is here stands in the log's order, and no answer before what it answers.
fn check_order(history: &[Message]) {
    let places: Vec<_> = history.iter().map(|message| message.position).collect();
    assert!(places.is_sorted(), "{history:?}");
    for (n, message) in history.iter().enumerate() {
        if let Some(answered) = message.reply_to {
            let at = history.iter().position(|other| other.id == answered.message);
            assert!(at.is_none_or(|at| at < n), "{history:?}");
            assert_eq!(at.is_some(), answered.is_here);
        }
    }
}

fn forked(person: &mut Person) -> usize {
    let told = events(person);
    told.iter().filter(|event| matches!(event, Event::Notice(Notice::Forked { .. }))).count()
}

/// CNT-7, CNT-14: under any cut of the log into batches the visible order on every device is the
/// log's, no answer precedes its message, all show the same in the end, and have the same hash.
#[test]
fn visible_order_is_the_logs() {
    for seed in 1..=6 {
        let (mut trio, mut dice) = (Trio::new(), Dice(seed));
        let (group, log) = (trio.group, trio.log());
        for n in 0..60 {
            let who = dice.below(3);
            let known = trio.history(who);
            let engine = &mut trio.people[who].engine;
            let some = (!known.is_empty()).then(|| known[dice.below(known.len().max(1))].clone());
            match (dice.below(6), some) {
                (0, Some(some)) => {
                    engine.send_reply(group, some.id, &format!("answer {n}")).unwrap();
                }
                (1, Some(some)) => drop(engine.react(group, some.id, Some("👍")).unwrap()),
                (2, Some(some)) if some.from_me() => {
                    engine.edit(group, some.id, &format!("edited {n}")).unwrap();
                }
                (3, _) => trio.people[who].wish_update(&log),
                _ => drop(engine.send(group, &format!("text {n}")).unwrap()),
            }
            for who in 0..3 {
                let (person, post) = (&mut trio.people[who], &mut trio.post);
                if dice.below(2) == 0 {
                    post.bring_some(person, log, 1 + dice.below(3));
                }
                if dice.below(3) == 0 {
                    post.send(person, log);
                }
                check_order(&trio.history(who));
            }
        }
        trio.rounds();
        trio.rounds();
        let agreed = trio.agreed();
        assert!(agreed.iter().all(|seen| seen.seq.is_some() && seen.kind == MessageKind::Text));
        let logs = [ALICE, BOB, CAROL].map(|who| {
            assert_eq!(forked(&mut trio.people[who]), 0);
            check_order(&trio.history(who));
            let row = trio.people[who].engine.store.read().need_log(&log).unwrap();
            (row.cursor, row.chain.unwrap())
        });
        assert!(logs[0] == logs[1] && logs[0] == logs[2]);
    }
}

/// CNT-7: members who are shown different logs are told so, once in an epoch, and read on. Once a
/// relay that named no place before what it delivered ended that for the epoch, without a gap.
#[test]
fn different_logs_are_told() {
    for names_none in [false, true] {
        let mut trio = Trio::new();
        let (group, log) = (trio.group, trio.log());
        let mut ids = Vec::new();
        for who in [ALICE, BOB] {
            ids.push(trio.people[who].engine.send(group, "said").unwrap().id);
            trio.post.send(&mut trio.people[who], log);
        }
        for who in [ALICE, BOB] {
            trio.post.bring_log(&mut trio.people[who], log);
        }
        let places = ids.iter().map(|id| trio.message(ALICE, *id).seq.unwrap());
        let places: Vec<Seq> = places.collect();
        trio.post.exchange(&log, places[0], places[1]);
        for (envelope, _) in trio.post.boxes.get_mut(&log).unwrap() {
            if names_none && envelope.seq >= places[0] {
                envelope.prev = Seq::START;
            }
        }
        for text in ["seen so", "and so"] {
            trio.people[ALICE].engine.send(group, text).unwrap();
            trio.post.send(&mut trio.people[ALICE], log);
        }
        trio.post.bring_log(&mut trio.people[CAROL], log);
        assert_eq!(forked(&mut trio.people[CAROL]), 1);
        trio.post.bring_log(&mut trio.people[BOB], log);
        assert_eq!(forked(&mut trio.people[BOB]), 0);
        assert_eq!(trio.history(CAROL).len(), 4);
    }
}

/// CNT-7: behind a gap a device cannot know the hash, and says none, until the next epoch begins.
#[test]
fn gap_makes_the_hash_unknown() {
    let mut trio = Trio::new();
    let log = trio.log();
    let known = |trio: &Trio, who: usize| {
        trio.people[who].engine.store.read().need_log(&log).unwrap().chain.is_some()
    };
    assert!(known(&trio, CAROL));
    let lost = trio.people[ALICE].engine.send(trio.group, "lost").unwrap().id;
    trio.people[ALICE].engine.send(trio.group, "found").unwrap();
    trio.post.send(&mut trio.people[ALICE], log);
    trio.post.bring_log(&mut trio.people[ALICE], log);
    trio.post.lose(&log, trio.message(ALICE, lost).seq.unwrap());
    trio.post.bring_log(&mut trio.people[CAROL], log);
    assert!(!known(&trio, CAROL) && known(&trio, ALICE));
    trio.people[ALICE].wish_update(&log);
    trio.rounds();
    assert!(known(&trio, CAROL));
    assert_eq!(forked(&mut trio.people[CAROL]), 0);
}

/// MBX-7. Once a relay that named no epoch behind a commit was taken for a damaged store: the links
/// to all others ended too, each second.
#[test]
fn what_comes_without_an_epoch_is_its_relays_fault() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    alice.wish_update(&log);
    post.round(&mut alice);
    post.bring_some(&mut bob, log, usize::MAX);
    alice.engine.send(alice.talk(), "behind it").unwrap();
    post.round(&mut alice);
    let nameless = Opened { epoch: None, ..opened(Epoch::new([0; 8]), Seq::START) };
    bob.engine.reading_place(&log, &nameless).unwrap();
    let (mut envelope, body) = post.boxes[&log].last().unwrap().clone();
    envelope.epoch = None;
    let taken = bob.engine.receive(&log, vec![(envelope, Bytes::from(body))]);
    assert!(taken.is_err_and(|error| is_theirs(&error)));
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["behind it"]);
}
