//! Tests of messages that disappear.

use std::time::Duration;

use restante_spec::content::{Body, Text};
use restante_spec::ids::Seconds;

use super::post::wait;
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::types::{GroupChange, MessageId, MessageKind};

const TIMER: Seconds = Seconds::new(10);
const BEFORE: Duration = Duration::from_secs(9);
const SECOND: Duration = Duration::from_secs(1);

fn with_timer() -> Trio {
    let mut trio = Trio::new();
    trio.people[ALICE].engine.set_timer(trio.group, Some(TIMER)).unwrap();
    trio.rounds();
    trio
}

impl Trio {
    fn is_gone(&self, who: usize, id: MessageId) -> bool {
        let shown = self.history(who).iter().any(|message| message.id == id);
        let found = !self.people[who].engine.search("secret", 9).unwrap().is_empty();
        assert_eq!(shown, found);
        if !shown {
            let left = self.message(who, id);
            assert_eq!((left.kind, left.text.as_str()), (MessageKind::Disappeared, ""));
            assert!(left.reactions.is_empty() && left.expires_at.is_none());
        }
        !shown
    }
}

/// CNT-18: a message disappears the timer's time after it was read here, the own one after it was
/// accepted; then text, reactions and words to be found by are gone, the tombstone is not shown.
#[test]
fn message_disappears_after_it_was_read() {
    let mut trio = with_timer();
    let (id, group) = (trio.says(BOB, "secret"), trio.group);
    trio.people[CAROL].engine.react(group, id, Some("👍")).unwrap();
    trio.rounds();
    assert!(trio.message(BOB, id).expires_at.is_some());
    wait(&mut trio.people[BOB], BEFORE);
    assert!(!trio.is_gone(BOB, id));
    wait(&mut trio.people[BOB], SECOND);
    assert!(trio.is_gone(BOB, id));
    wait(&mut trio.people[CAROL], Duration::from_secs(3_600));
    assert_eq!((trio.is_gone(CAROL, id), trio.message(CAROL, id).expires_at), (false, None));
    let engine = &mut trio.people[CAROL].engine;
    engine.mark_read(group).unwrap();
    let expires = engine.now.after(TIMER);
    assert_eq!(trio.message(CAROL, id).expires_at, Some(expires));
    wait(&mut trio.people[CAROL], BEFORE);
    assert!(!trio.is_gone(CAROL, id));
    wait(&mut trio.people[CAROL], SECOND);
    assert!(trio.is_gone(CAROL, id));
}

/// The time passes while the process does not run, and without a connection.
#[test]
fn disappearing_outlives_a_restart() {
    let mut trio = with_timer();
    let (id, group) = (trio.says(BOB, "secret"), trio.group);
    trio.people[CAROL].engine.mark_read(group).unwrap();
    let then = trio.people[CAROL].engine.now.after(TIMER);
    let Trio { post, people: [alice, bob, carol], group } = trio;
    let mut carol = carol.restart();
    carol.engine.set_now(then);
    carol.engine.housekeeping(false).unwrap();
    let trio = Trio { post, people: [alice, bob, carol], group };
    assert!(trio.is_gone(CAROL, id));
}

/// CNT-16: a copy does not bring back what has disappeared.
#[test]
fn copy_does_not_bring_it_back() {
    let mut trio = with_timer();
    let group = trio.group;
    let secret = || Body::Text(Text { text: "secret".to_owned(), reply_to: None });
    let id = trio.repair(CAROL, BOB, 1_000, 5, secret());
    trio.people[CAROL].engine.mark_read(group).unwrap();
    wait(&mut trio.people[CAROL], Duration::from_secs(10));
    assert!(trio.is_gone(CAROL, id));
    trio.repair(CAROL, BOB, 1_000, 5, secret());
    assert!(trio.is_gone(CAROL, id));
}

/// CNT-18: which timer holds for a message, its place in the log says, also for one that comes
/// behind its time.
#[test]
fn timer_is_that_of_the_place_in_the_log() {
    let mut trio = Trio::new();
    let (before, group) = (trio.says(BOB, "stays"), trio.group);
    trio.people[ALICE].engine.set_timer(group, Some(TIMER)).unwrap();
    trio.rounds();
    let after = trio.says(BOB, "goes");
    let all = trio.people[CAROL].engine.history(group, None, 99).unwrap();
    let timer = all.iter().find(|found| found.changes == [GroupChange::Timer(TIMER.get())]);
    let at = timer.unwrap().seq.unwrap().get();
    let text = |text: &str| Body::Text(Text { text: text.to_owned(), reply_to: None });
    let late_before = trio.repair(CAROL, BOB, at - 1, 5, text("stays too"));
    let late_after = trio.repair(CAROL, BOB, at + 1, 6, text("goes too"));
    trio.people[CAROL].engine.mark_read(group).unwrap();
    let goes = [before, after, late_before, late_after]
        .map(|id| trio.message(CAROL, id).expires_at.is_some());
    assert_eq!(goes, [false, true, false, true]);
    assert!(trio.message(BOB, before).expires_at.is_none());
}
