//! What was taken back, has other words or has disappeared is not given to others, and is not taken
//! from them.

use std::time::Duration;

use restante_spec::content::{Repair, RepairEntry};
use restante_spec::ids::{PublicKey, Seconds};

use super::post::{Person, Post, person, wait};
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::limits::{REPAIR_DELAY, REPAIR_SPREAD, REPAIR_TURN};
use crate::store::KeptRow;
use crate::types::{GapState, Message, MessageId, MessageKind};

const TIMER: Seconds = Seconds::new(10);

/// Longer than any turn to give.
fn turns() -> Duration {
    Duration::from_secs(u64::from(9 * (REPAIR_TURN.get() + REPAIR_SPREAD.get())))
}

fn device(person: &Person) -> PublicKey {
    person.engine.account.device.public()
}

impl Trio {
    /// Three people who have heard of each other.
    fn acquainted() -> Self {
        let mut trio = Self::new();
        trio.says(BOB, "hello");
        trio
    }

    /// Bob says something that Alice hears, and Carol does not.
    fn says_without_carol(&mut self, text: &str) -> MessageId {
        let (log, group) = (self.log(), self.group);
        let id = self.people[BOB].engine.send(group, text).unwrap().id;
        for who in [BOB, ALICE] {
            self.post.round(&mut self.people[who]);
        }
        let seq = self.message(BOB, id).seq.unwrap();
        self.post.lose(&log, seq);
        id
    }

    /// What somebody keeps of Bob's contents for others, but for the first.
    fn kept(&self, who: usize) -> Vec<KeptRow> {
        let all = (2, u64::MAX >> 1);
        self.people[who]
            .engine
            .store
            .read()
            .kept(&self.log(), &device(&self.people[BOB]), all, 99)
            .unwrap()
    }

    /// Carol asks, and everybody has a turn to give.
    fn repairs(&mut self) {
        let soon = Duration::from_secs(u64::from(REPAIR_DELAY.get() + REPAIR_SPREAD.get()));
        wait(&mut self.people[CAROL], soon);
        self.rounds();
        for who in [BOB, ALICE] {
            wait(&mut self.people[who], turns());
        }
        self.rounds();
    }

    /// Somebody who kept a copy gives it to Carol after all.
    fn give_carol(&mut self, copy: KeptRow) {
        let (log, from) = (self.log(), *self.people[BOB].engine.account.id().key());
        let KeptRow { device, seq, content, .. } = copy;
        let entry = RepairEntry { device, generation: 1, seq, content, account: None };
        let repair = Repair { conversation: log, entries: vec![entry], missing: Vec::new() };
        let given = self.people[CAROL].engine.transact(|work| {
            let row = work.db.need_log(&log)?;
            work.take_repair(&row, &from, &repair)
        });
        given.unwrap();
    }

    fn gap(&self) -> Option<(u64, GapState)> {
        let gaps = self.people[CAROL].engine.gaps(self.group).unwrap();
        assert!(gaps.len() < 2);
        gaps.first().map(|gap| (gap.count, gap.state))
    }

    fn keeps(&self, who: usize, words: &str) -> bool {
        let has = |row: &KeptRow| row.content.windows(words.len()).any(|w| w == words.as_bytes());
        self.kept(who).iter().any(has)
    }
}

/// CNT-16, CNV-18: a message that was taken back, and the reactions and edits on it, are given to
/// nobody; who is given a copy all the same has the tombstone.
#[test]
fn what_was_taken_back_is_not_given() {
    let mut trio = Trio::acquainted();
    let (id, group) = (trio.says_without_carol("secret"), trio.group);
    let copy = trio.kept(ALICE).remove(0);
    trio.people[BOB].engine.edit(group, id, "secret too").unwrap();
    trio.people[BOB].engine.react(group, id, Some("🤫")).unwrap();
    trio.rounds();
    trio.people[BOB].engine.delete(group, &[id]).unwrap();
    trio.rounds();
    for who in [BOB, ALICE] {
        assert_eq!(trio.message(who, id).kind, MessageKind::Deleted);
        assert!(!trio.keeps(who, "secret") && !trio.keeps(who, "🤫"));
        assert_eq!(trio.kept(who).len(), 1, "that it was taken back can be given");
    }
    trio.repairs();
    assert_eq!(trio.gap(), Some((1, GapState::Lost)));
    assert_eq!(trio.history(CAROL).len(), 1);
    trio.give_carol(copy);
    let left = trio.message(CAROL, id);
    assert_eq!((left.kind, left.text.as_str()), (MessageKind::Deleted, ""));
    assert!(!trio.keeps(CAROL, "secret"));
}

/// CNT-16: what is here as a tombstone is not kept when a copy comes, also not one that nobody had
/// confirmed before.
#[test]
fn tombstone_outlives_a_repair() {
    let mut trio = Trio::acquainted();
    let (id, group) = (trio.says_without_carol("secret"), trio.group);
    trio.says_without_carol("behind it");
    let copies = trio.kept(ALICE);
    trio.says(BOB, "heard by all");
    let carols = trio.people[ALICE].engine.account.id().key().to_owned();
    assert_eq!(copies.len(), 2);
    // Alice gives the older one alone: nothing proves it.
    let (log, copy) = (trio.log(), copies[1].clone());
    let KeptRow { device, seq, content, .. } = copy.clone();
    let entry = RepairEntry { device, generation: 1, seq, content, account: None };
    let repair = Repair { conversation: log, entries: vec![entry], missing: Vec::new() };
    let given = trio.people[CAROL].engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        work.take_repair(&row, &carols, &repair)
    });
    given.unwrap();
    assert!(trio.message(CAROL, id).is_unconfirmed);
    trio.people[BOB].engine.delete(group, &[id]).unwrap();
    trio.rounds();
    assert_eq!(trio.message(CAROL, id).kind, MessageKind::Deleted);
    trio.give_carol(copies[0].clone());
    trio.give_carol(copy);
    let left = trio.message(CAROL, id);
    assert_eq!((left.kind, left.text.as_str()), (MessageKind::Deleted, ""));
    assert!(!left.is_unconfirmed && !trio.keeps(CAROL, "secret"));
    assert_eq!(trio.gap(), None);
}

/// CNT-14: what a message said before it was edited is kept for nobody; the last words are.
#[test]
fn earlier_words_are_not_given() {
    let mut trio = Trio::acquainted();
    let (id, group) = (trio.says_without_carol("at eihgt"), trio.group);
    for words in ["at eigth", "at eight"] {
        trio.people[BOB].engine.edit(group, id, words).unwrap();
        trio.rounds();
    }
    for who in [BOB, ALICE] {
        assert!(!trio.keeps(who, "eihgt") && !trio.keeps(who, "eigth"));
        assert!(trio.keeps(who, "at eight"));
    }
    trio.repairs();
    assert_eq!(trio.gap(), Some((1, GapState::Lost)));
    assert_eq!(trio.history(CAROL).len(), 1);
}

/// CNT-16, CNT-18: what has disappeared from a device is not given by it.
#[test]
fn what_has_disappeared_is_not_given() {
    let mut trio = Trio::acquainted();
    let group = trio.group;
    trio.people[ALICE].engine.set_timer(group, Some(TIMER)).unwrap();
    trio.rounds();
    let id = trio.says_without_carol("secret");
    trio.people[ALICE].engine.mark_read(group).unwrap();
    for who in [BOB, ALICE] {
        assert!(trio.keeps(who, "secret"));
        wait(&mut trio.people[who], Duration::from_secs(10));
        assert_eq!(trio.message(who, id).kind, MessageKind::Disappeared);
        assert!(trio.kept(who).is_empty());
    }
    trio.says(BOB, "later");
    trio.repairs();
    assert_eq!(trio.gap(), Some((1, GapState::Lost)));
    let texts: Vec<String> = trio.history(CAROL).into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["hello", "later"]);
}

/// CNT-18: the time of what is given behind a place that was read already passes from then on.
#[test]
fn repaired_message_before_the_read_mark_disappears() {
    let mut trio = Trio::acquainted();
    let group = trio.group;
    trio.people[ALICE].engine.set_timer(group, Some(TIMER)).unwrap();
    trio.rounds();
    let id = trio.says_without_carol("secret");
    trio.says(BOB, "later");
    trio.people[CAROL].engine.mark_read(group).unwrap();
    let copy = trio.kept(ALICE).pop().unwrap();
    trio.give_carol(copy);
    assert_eq!(trio.message(CAROL, id).text, "secret");
    wait(&mut trio.people[CAROL], Duration::from_secs(9));
    assert_eq!(trio.message(CAROL, id).text, "secret");
    wait(&mut trio.people[CAROL], Duration::from_secs(1));
    assert_eq!(trio.message(CAROL, id).kind, MessageKind::Disappeared);
    assert!(!trio.keeps(CAROL, "secret"));
}

/// CNT-18, CNV-19: what was agreed on while a device was away it does not know: of what was said
/// then the shorter timer holds, whichever came first; of what is said since, what holds.
#[test]
fn shorter_timer_holds_for_what_was_missed() {
    for (before, after) in [(None, Some(TIMER)), (Some(TIMER), None)] {
        let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
        post.introduce(&mut alice, &mut bob, None);
        let (log, of) = (alice.log(), alice.talk());
        alice.engine.set_timer(of, before).unwrap();
        for _ in 0..2 {
            post.round(&mut alice);
            post.round(&mut bob);
        }
        alice.engine.send(of, "missed").unwrap();
        post.round(&mut alice);
        alice.engine.set_timer(of, after).unwrap();
        post.round(&mut alice);
        post.expire(&log);
        let of = bob.talk();
        bob.engine.reading_refused(&log, restante_spec::codes::Code::Gone).unwrap();
        for _ in 0..6 {
            wait(&mut bob, Duration::from_secs(20));
            wait(&mut alice, Duration::from_secs(1));
            post.round(&mut bob);
            post.round(&mut alice);
        }
        alice.engine.send(alice.talk(), "later").unwrap();
        post.round(&mut alice);
        post.round(&mut bob);
        let lost = alice.engine.send(alice.talk(), "lost").unwrap().id;
        post.round(&mut alice);
        post.lose(&log, alice.engine.message(lost).unwrap().seq.unwrap());
        alice.engine.send(alice.talk(), "last").unwrap();
        for _ in 0..5 {
            post.round(&mut alice);
            post.round(&mut bob);
            wait(&mut bob, Duration::from_secs(20));
            wait(&mut alice, Duration::from_secs(1));
        }
        let timers = |bob: &mut Person| -> Vec<(String, bool)> {
            bob.engine.mark_read(of).unwrap();
            let all = bob.engine.history(of, None, 99).unwrap().into_iter();
            let shown = |message: Message| (message.text, message.expires_at.is_some());
            all.map(shown).collect()
        };
        let [later, lost, last] =
            ["later", "lost", "last"].map(|text| (text.to_owned(), after.is_some()));
        assert_eq!(timers(&mut bob), [("missed".to_owned(), true), later, lost, last]);
    }
}
