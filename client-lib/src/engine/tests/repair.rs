//! What is missing is found, shown, asked for and given.

use restante_crypto::content_hash;
use restante_spec::content::{
    Body, Content, ContentHash, Repair, RepairEntry, RepairRange, RepairRequest,
};
use restante_spec::ids::{MailboxId, PublicKey};

use super::post::{Person, Post, events, person, wait};
use super::*;
use crate::engine::authors::Missed;
use crate::engine::contents::Speaker;
use crate::limits::{
    GAPS, REPAIR_DELAY, REPAIR_RATE, REPAIR_SPREAD, REPAIR_TURN, REPAIR_WAITS, REPAIRS_OWED,
};
use crate::store::OwedRow;
use crate::types::{ConversationId, GapState, Message};

fn soon() -> Duration {
    Duration::from_secs(u64::from(REPAIR_DELAY.get() + REPAIR_SPREAD.get()))
}

fn log_of(person: &Person, of: ConversationId) -> MailboxId {
    person.engine.store.read().need_conversation(of).unwrap().log.unwrap()
}

fn history(person: &Person, of: ConversationId) -> Vec<Message> {
    person.engine.history(of, None, 1_000).unwrap()
}

/// What people wrote in a conversation.
fn said(person: &Person, of: ConversationId) -> Vec<String> {
    let texts = history(person, of).into_iter();
    let texts = texts.filter(|message| message.kind == crate::types::MessageKind::Text);
    texts.map(|message| message.text).collect()
}

/// Writes, sends and loses some of it: by number, from 0.
fn say(post: &mut Post, from: &mut Person, of: ConversationId, texts: &[&str], lost: &[usize]) {
    let log = log_of(from, of);
    for (number, text) in texts.iter().enumerate() {
        let id = from.engine.send(of, text).unwrap().id;
        post.round(from);
        if lost.contains(&number) {
            let seq = from.engine.message(id).unwrap().seq.unwrap();
            post.lose(&log, seq);
        }
    }
}

fn device(person: &Person) -> PublicKey {
    person.engine.account.device.public()
}

/// The content of this device with this counter, as it is kept.
fn kept(person: &Person, log: &MailboxId, of: &PublicKey, counter: u64) -> RepairEntry {
    let all = person.engine.store.read().kept(log, of, (counter, counter), 1).unwrap();
    let (seq, content) = (all[0].seq, all[0].content.clone());
    let generation = person.engine.store.read().need_log(log).unwrap().generation;
    RepairEntry { device: *of, generation, seq, content, account: None }
}

fn give(
    to: &mut Person,
    log: MailboxId,
    from: &PublicKey,
    entries: Vec<RepairEntry>,
    missing: Vec<RepairRange>,
) {
    let repair = Repair { conversation: log, entries, missing };
    to.engine
        .transact(|work| {
            let row = work.db.need_log(&log)?;
            work.take_repair(&row, from, &repair)
        })
        .unwrap();
}

/// CNV-16, CNV-17: a hole in somebody's count is shown where it is, asked for, and closed by the
/// author; the messages stand where they stood, whoever is restarted in between.
#[test]
fn missing_messages_are_shown_and_come_back() {
    let (mut post, mut alice, mut bob) = friends();
    let of = alice.talk();
    say(&mut post, &mut alice, of, &["one", "two", "three", "four"], &[1, 2]);
    post.round(&mut bob);
    let gaps = bob.engine.gaps(bob.talk()).unwrap();
    assert_eq!((gaps.len(), gaps[0].count, gaps[0].state), (1, 2, GapState::Asked));
    assert_eq!(gaps[0].author, Some(bob.contact().id));
    let after = bob.history();
    assert!(after[0].position < gaps[0].before && gaps[0].before <= after[1].position);
    let told = events(&mut bob);
    assert!(told.contains(&Event::Gaps(bob.talk())), "{told:?}");

    let mut bob = bob.restart();
    wait(&mut bob, soon());
    let mut bob = bob.restart();
    post.round(&mut bob);
    let mut alice = alice.restart();
    post.round(&mut alice);
    let mut alice = alice.restart();
    wait(&mut alice, Duration::from_secs(1));
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["one", "two", "three", "four"]);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap(), []);
    let places = |person: &Person| -> Vec<_> {
        person.history().iter().map(|message| (message.id, message.seq)).collect()
    };
    assert_eq!(places(&alice), places(&bob));
    assert!(bob.history().iter().all(|message| !message.is_unconfirmed));
}

/// CNV-16: what was said last and is missing is found by what passes later.
#[test]
fn passing_content_tells_what_is_missing() {
    let (mut post, mut alice, mut bob) = friends();
    let of = alice.talk();
    say(&mut post, &mut alice, of, &["here", "lost"], &[1]);
    alice.engine.set_nickname("Alicia").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].count, 1);
    wait(&mut bob, soon());
    post.round(&mut bob);
    post.round(&mut alice);
    wait(&mut alice, Duration::from_secs(1));
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["here", "lost"]);
}

/// CNV-16: of who is heard for the first time nothing is missing: it was there before.
#[test]
fn who_joins_misses_nothing_said_before() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice]);
    say(&mut post, &mut alice, group, &["one", "two"], &[]);
    post.befriend(&mut alice, &mut bob);
    alice.engine.add_member(group, bob.engine.own_id().unwrap()).unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.accept_group(group).unwrap();
    post.round(&mut bob);
    say(&mut post, &mut alice, group, &["three"], &[]);
    post.round(&mut bob);
    assert_eq!(said(&bob, group), ["three"]);
    assert_eq!(bob.engine.gaps(group).unwrap(), []);
}

/// CNV-17: what does not have the hash its author named is not taken, whoever gives it.
#[test]
fn forged_contents_are_not_taken() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut alice, of, &["one", "two", "three"], &[1]);
    post.round(&mut bob);
    let (author, account) = (device(&alice), *alice.engine.account.id().key());
    let entry = kept(&alice, &log, &author, 2);
    let mut content = Content::decode(&entry.content).unwrap();
    content.random = [9; 16];
    let forged = RepairEntry { content: content.encode().unwrap(), ..entry.clone() };
    give(&mut bob, log, &account, vec![forged], Vec::new());
    let moved = RepairEntry { seq: Seq::new(1), ..entry.clone() };
    give(&mut bob, log, &account, vec![moved], Vec::new());
    let elsewhere = RepairEntry { generation: entry.generation + 1, ..entry.clone() };
    give(&mut bob, log, &account, vec![elsewhere], Vec::new());
    assert_eq!(bob.texts(), ["one", "three"]);
    give(&mut bob, log, &account, vec![entry.clone()], Vec::new());
    give(&mut bob, log, &account, vec![entry], Vec::new());
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}

/// CNV-17: what another member gives behind something nobody has is shown, but as unconfirmed;
/// the message itself takes its place.
#[test]
fn unproven_contents_are_unconfirmed() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut alice, of, &["one", "two", "three", "four"], &[1, 2]);
    post.round(&mut bob);
    let author = device(&alice);
    let other = PublicKey::new([9; 32]);
    let genuine = kept(&alice, &log, &author, 2);
    let mut content = Content::decode(&genuine.content).unwrap();
    if let Body::Text(text) = &mut content.body {
        "perhaps".clone_into(&mut text.text);
    }
    let entry = RepairEntry { content: content.encode().unwrap(), ..genuine.clone() };
    give(&mut bob, log, &other, vec![entry], Vec::new());
    assert_eq!(bob.texts(), ["one", "perhaps", "four"]);
    let unconfirmed: Vec<_> = bob.history().iter().map(|m| m.is_unconfirmed).collect();
    assert_eq!(unconfirmed, [false, true, false]);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].count, 2);
    // From the end down each content proves the one before it, so anybody can give them.
    give(&mut bob, log, &other, vec![genuine, kept(&alice, &log, &author, 3)], Vec::new());
    assert_eq!(bob.texts(), ["one", "two", "three", "four"]);
    assert!(bob.history().iter().all(|message| !message.is_unconfirmed));
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap(), []);
}

/// CNV-17: the author's device does not answer, so another member does when its turn has come.
#[test]
fn members_give_for_an_author_who_is_away() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let log = log_of(&bob, group);
    bob.engine.send(group, "kept by Alice").unwrap();
    post.round(&mut bob);
    post.round(&mut alice);
    let seq = history(&bob, group).last().unwrap().seq.unwrap();
    post.lose(&log, seq);
    say(&mut post, &mut bob, group, &["heard by all"], &[]);
    post.round(&mut carol);
    assert_eq!(carol.engine.gaps(group).unwrap()[0].count, 1);
    wait(&mut carol, soon());
    post.round(&mut carol);
    post.round(&mut alice);
    wait(&mut alice, Duration::from_secs(1));
    post.round(&mut alice);
    post.round(&mut carol);
    assert_eq!(said(&carol, group), ["heard by all"], "it is not her turn yet");
    wait(&mut alice, Duration::from_secs(u64::from(3 * REPAIR_TURN.get() + REPAIR_SPREAD.get())));
    post.round(&mut alice);
    post.round(&mut carol);
    assert_eq!(said(&carol, group), ["kept by Alice", "heard by all"]);
    // Bob comes back and finds it given.
    post.round(&mut bob);
    wait(&mut bob, Duration::from_secs(1));
    assert!(bob.engine.outgoing(&log, 0, 10).unwrap().is_empty());
}

/// CNV-18: nobody is given what was said before the account of one who would read it came in.
#[test]
fn nothing_from_before_a_member_came_is_given() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    let log = log_of(&alice, group);
    say(&mut post, &mut alice, group, &["one", "two", "three"], &[1]);
    post.befriend(&mut alice, &mut carol);
    alice.engine.add_member(group, carol.engine.own_id().unwrap()).unwrap();
    post.round(&mut alice);
    post.round(&mut carol);
    carol.engine.accept_group(group).unwrap();
    say(&mut post, &mut alice, group, &["four"], &[]);
    post.round(&mut carol);
    let author = device(&alice);
    let range = RepairRange { generation: 1, device: author, from: 1, to: 4 };
    let request = RepairRequest { conversation: log, ranges: vec![range], behind: Seq::START };
    carol.engine.transact(|w| w.queue_body(group, &Body::RepairRequest(request))).unwrap();
    post.round(&mut carol);
    post.round(&mut alice);
    wait(&mut alice, Duration::from_secs(1));
    let rows = alice.engine.store.read().outbox(group, 0, 10).unwrap();
    let Body::Repair(repair) = Body::decode(rows[0].kind, &rows[0].body).unwrap() else {
        panic!("no repair")
    };
    assert_eq!((repair.entries.len(), repair.missing.len()), (1, 1));
    assert_eq!((repair.missing[0].from, repair.missing[0].to), (1, 3));
    // Bob, who was there, is shown that what he misses is not to be had here.
    post.round(&mut alice);
    post.round(&mut bob);
    let gaps = bob.engine.gaps(group).unwrap();
    assert_eq!((gaps[0].count, gaps[0].state), (1, GapState::Lost));
}

/// CNV-17: what nobody gives is shown as lost after the last wait; a person can have it asked for
/// again, and what comes late is taken.
#[test]
fn what_nobody_gives_is_lost_and_may_still_come() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut alice, of, &["one", "two", "three"], &[1]);
    post.round(&mut bob);
    wait(&mut bob, soon());
    for pause in REPAIR_WAITS {
        assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Asked);
        post.round(&mut bob);
        wait(&mut bob, Duration::from_secs(u64::from(pause.get() + REPAIR_SPREAD.get())));
    }
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Lost);
    bob.engine.ask_again(bob.talk()).unwrap();
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Asked);
    let account = *alice.engine.account.id().key();
    let entry = kept(&alice, &log, &device(&alice), 2);
    give(&mut bob, log, &account, vec![entry], Vec::new());
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}

/// CNV-17: what the author has no longer is lost at once.
#[test]
fn what_the_author_lacks_is_lost() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut alice, of, &["one", "two", "three"], &[1]);
    post.round(&mut bob);
    let author = device(&alice);
    let missing = RepairRange { generation: 1, device: author, from: 2, to: 2 };
    give(&mut bob, log, &PublicKey::new([9; 32]), Vec::new(), vec![missing.clone()]);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Asked);
    give(&mut bob, log, alice.engine.account.id().key(), Vec::new(), vec![missing]);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Lost);
}

/// CNV-16: who notices that something was let go unread finds out what, though nobody says anything
/// more by himself; so often in a time, and no more.
#[test]
fn silent_authors_are_asked_how_far_they_have_counted() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut alice, of, &["here"], &[]);
    post.round(&mut bob);
    say(&mut post, &mut alice, of, &["lost"], &[]);
    let lost = alice.history().last().unwrap().seq.unwrap();
    bob.engine.send(bob.talk(), "hello?").unwrap();
    post.send(&mut bob, log);
    post.lose(&log, lost);
    for _ in 0..2 {
        post.round(&mut bob);
        post.round(&mut alice);
    }
    post.round(&mut bob);
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap()[0].state, GapState::Asked);
    wait(&mut bob, soon());
    for _ in 0..2 {
        post.round(&mut bob);
        post.round(&mut alice);
        wait(&mut alice, Duration::from_secs(1));
    }
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["here", "lost", "hello?"]);

    let (asker, device) = (*bob.engine.account.id().key(), bob.engine.account.device.public());
    let answered = |alice: &mut Person| {
        let take = |work: &mut Work<'_>| {
            let row = work.db.need_log(&log)?;
            let (ranges, behind) = (Vec::new(), Seq::START);
            let request = RepairRequest { conversation: log, ranges, behind };
            let speaker = Speaker { account: &asker, device: &device, told: None };
            work.take_repair_request(&row, speaker, &request)?;
            let answers = work.db.outbox(of, 0, 10)?;
            answers.iter().try_for_each(|row| work.db.take_outbox(&row.id))?;
            Ok(answers.len())
        };
        alice.engine.transact(take).unwrap()
    };
    // One repair was given, and one question answered.
    for _ in 2..REPAIR_RATE {
        assert_eq!(answered(&mut alice), 1);
    }
    assert_eq!(answered(&mut alice), 0);
}

/// CNV-16: whoever leaves says it again to somebody who may have missed it.
#[test]
fn goodbyes_that_were_let_go_are_said_again() {
    let mut trio = super::trio::Trio::new();
    let (group, log) = (trio.group, trio.log());
    let [alice, bob, carol] = &mut trio.people;
    bob.engine.leave_group(group).unwrap();
    trio.post.send(bob, log);
    alice.engine.send(group, "where is Bob?").unwrap();
    trio.post.send(alice, log);
    trio.post.lose_before_last(&log);
    for _ in 0..6 {
        for person in [&mut *alice, &mut *bob, &mut *carol] {
            trio.post.round(person);
            wait(person, 4 * soon());
        }
    }
    for person in [alice, carol] {
        assert_eq!(person.engine.group_members(group).unwrap().len(), 2);
    }
}

/// CNV-17: of somebody who leaves what is missing is asked for before nobody can give it any more.
#[test]
fn who_leaves_gives_what_is_missing_first() {
    let mut trio = super::trio::Trio::new();
    let (group, log) = (trio.group, trio.log());
    let [alice, bob, carol] = &mut trio.people;
    say(&mut trio.post, bob, group, &["lost", "here"], &[0]);
    bob.engine.leave_group(group).unwrap();
    trio.post.send(bob, log);
    for _ in 0..5 {
        for person in [&mut *alice, &mut *bob] {
            trio.post.round(person);
            wait(person, Duration::from_secs(10));
        }
    }
    assert_eq!(said(alice, group), ["lost", "here"]);
    assert_eq!(alice.engine.group_members(group).unwrap().len(), 3);
    let wait_time = REPAIR_WAITS[0].get() + crate::limits::LEAVE_SPREAD.get();
    wait(alice, Duration::from_secs(u64::from(wait_time)));
    for person in [alice, carol] {
        trio.post.round(person);
        assert_eq!(person.engine.group_members(group).unwrap().len(), 2);
    }
}

/// Requests, gaps and gifts are bounded: one more request or gap pushes the oldest of whoever has
/// the most out, one more gift waits.
#[test]
fn repairs_are_bounded() {
    let (mut post, mut alice, mut bob) = friends();
    let (of, log) = (alice.talk(), alice.log());
    say(&mut post, &mut bob, alice.engine.own_id().unwrap().into(), &["hello"], &[]);
    post.round(&mut alice);
    let (author, account) = (device(&bob), *bob.engine.account.id().key());
    alice
        .engine
        .transact(|work| {
            let row = work.db.need_log(&log)?;
            let mut previous = work.db.author(&log, &author)?.unwrap().hash;
            let other = PublicKey::new([9; 32]);
            let (after, before) = (Seq::START, Seq::new(10));
            let missed = Missed { first: 1, last: 1, hash: [0; 32], after, before };
            work.note_gap(&row, (&other, &other), missed, None)?;
            for number in 0..=GAPS as u64 {
                let seq = Seq::new(1_000 + number);
                let id = EnvelopeId::new(restante_crypto::random_bytes()?);
                let hash = ContentHash::new([number as u8; 32]);
                let counter = 3 + 2 * number;
                let content = Content {
                    id,
                    counter,
                    previous: Some(hash),
                    random: [0; 16],
                    seen: restante_spec::content::LogPosition::default(),
                    log: None,
                    at: post::NOW.into(),
                    body: Body::Leave,
                };
                let bytes = content.encode().unwrap();
                let envelope = restante_spec::message::Deliver { seq, id, ..any_envelope() };
                work.note_content(&row, &author, &account, &envelope, &bytes)?;
                previous = Some(*content_hash(&bytes).as_bytes());
            }
            assert_eq!(work.db.author(&log, &author)?.unwrap().hash, previous);
            Ok(())
        })
        .unwrap();
    let gaps = alice.engine.gaps(of).unwrap();
    // Who has many displaces nobody else's.
    let oldest = [gaps[0].before.seq, gaps[1].before.seq];
    assert_eq!((gaps.len(), oldest), (GAPS, [10, 1_002]));

    let ranges = (0..=REPAIRS_OWED as u64).map(|n| RepairRange {
        generation: 1,
        device: device(&alice),
        from: n + 1,
        to: n + 1,
    });
    let ranges: Vec<_> = ranges.collect();
    let request = RepairRequest { conversation: log, ranges, behind: Seq::START };
    alice
        .engine
        .transact(|work| {
            let row = work.db.need_log(&log)?;
            let speaker = Speaker { account: &account, device: &account, told: None };
            work.take_repair_request(&row, speaker, &request)
        })
        .unwrap();
    let owed: Vec<OwedRow> = alice.engine.store.read().owed_in(&log).unwrap();
    assert_eq!(owed.len(), REPAIRS_OWED);

    let count = |alice: &mut Person| {
        let now = alice.engine.now;
        alice.engine.store.write(|db| db.count_given(of, &account, now, now)).unwrap()
    };
    while count(&mut alice) < REPAIR_RATE {}
    alice.engine.transact(|work| work.give_what_is_due()).unwrap();
    assert!(alice.engine.store.read().outbox(of, 0, 10).unwrap().is_empty());
    assert_eq!(alice.engine.store.read().owed_in(&log).unwrap().len(), REPAIRS_OWED);
}

pub(super) fn any_envelope() -> restante_spec::message::Deliver {
    restante_spec::message::Deliver {
        handle: restante_spec::ids::Handle::new(0),
        seq: Seq::START,
        prev: Seq::START,
        epoch: None,
        id: EnvelopeId::new([0; 16]),
        class: restante_spec::message::EnvelopeClass::Normal,
        expires_at: post::EXPIRES,
        commit: false,
        own: false,
    }
}
