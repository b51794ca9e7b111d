//! What is missed of those who say nothing more: others tell how far they have counted them.

use std::time::Duration;

use restante_crypto::content_hash;
use restante_spec::codes::Code;
use restante_spec::content::{
    Body, Content, ContentHash, Count, Counts, Edit, LogPosition, Receipts, Repair, RepairEntry,
    Text,
};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, Seq};
use restante_spec::message::Deliver;

use super::devices::{settle, three};
use super::post::{self, Person, Post, wait};
use super::repair::any_envelope;
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::engine::contents::Speaker;
use crate::limits::HEARSAY_GAPS;
use crate::store::{AuthorRow, LogState};
use crate::types::{ConversationId, GapState, MessageKind};

/// Those who are there go on, the relay forgets that, and who was away asks to be let in again.
fn outlive(post: &mut Post, away: &mut Person, there: &mut [&mut Person], log: MailboxId) {
    there[0].wish_update(&log);
    for _ in 0..2 {
        settle(post, there);
    }
    post.expire(&log);
    away.engine.reading_refused(&log, Code::Gone).unwrap();
}

/// Time passes until everything that is asked for was given.
fn go_on(post: &mut Post, people: &mut [&mut Person]) {
    for _ in 0..12 {
        settle(post, people);
        for person in people.iter_mut() {
            wait(person, Duration::from_secs(60));
        }
    }
}

fn texts(person: &Person, of: ConversationId) -> Vec<(String, bool)> {
    let all = person.engine.history(of, None, 99).unwrap();
    let texts = all.into_iter().filter(|message| message.kind == MessageKind::Text);
    texts.map(|message| (message.text, message.is_unconfirmed)).collect()
}

/// CNV-16, CNV-17: what somebody said who has left since, others have counted: it is shown to who
/// was away, as unconfirmed, since its author can confirm it no more.
#[test]
fn last_words_of_who_has_left_are_shown() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    trio.says(BOB, "all read this");
    let [alice, bob, carol] = &mut trio.people;
    bob.engine.send(group, "goodbye").unwrap();
    settle(&mut trio.post, &mut [bob, alice]);
    bob.engine.leave_group(group).unwrap();
    go_on(&mut trio.post, &mut [bob, alice]);
    assert_eq!(alice.engine.group_members(group).unwrap().len(), 2);
    outlive(&mut trio.post, carol, &mut [alice], log);
    go_on(&mut trio.post, &mut [carol, alice]);
    assert_eq!(carol.engine.store.read().need_log(&log).unwrap().state, LogState::Live);
    let shown = [("all read this", false), ("goodbye", true)];
    assert_eq!(texts(carol, group), shown.map(|(text, is)| (text.to_owned(), is)));
    assert_eq!(carol.engine.gaps(group).unwrap(), []);
}

/// CNV-16, CNV-17: an edit of somebody who has left is not done, as nobody can confirm it: that
/// something is missing is shown.
#[test]
fn unconfirmed_acts_are_shown_as_missing() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    let said = trio.says(BOB, "first words");
    let [alice, bob, carol] = &mut trio.people;
    bob.engine.edit(group, said, "other words").unwrap();
    settle(&mut trio.post, &mut [bob, alice]);
    bob.engine.leave_group(group).unwrap();
    go_on(&mut trio.post, &mut [bob, alice]);
    outlive(&mut trio.post, carol, &mut [alice], log);
    go_on(&mut trio.post, &mut [carol, alice]);
    assert_eq!(texts(carol, group), [("first words".to_owned(), false)]);
    let gaps = carol.engine.gaps(group).unwrap();
    assert_eq!((gaps.len(), gaps[0].author), (1, Some(bob.engine.own_id().unwrap())));
}

/// CNV-17: what a device said that was removed since, its account confirms.
#[test]
fn removed_devices_are_answered_for() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let (log, of) = (alice.log(), bob.talk());
    let said = bob.engine.send(of, "hello").unwrap().id;
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    laptop.engine.send(laptop.talk(), "from here").unwrap();
    laptop.engine.react(laptop.talk(), said, Some("+")).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    alice.engine.remove_device(2).unwrap();
    settle(&mut post, &mut [&mut alice]);
    outlive(&mut post, &mut bob, &mut [&mut alice], log);
    go_on(&mut post, &mut [&mut bob, &mut alice]);
    assert_eq!(texts(&bob, of), [("hello".to_owned(), false), ("from here".to_owned(), false)]);
    assert_eq!(bob.engine.message(said).unwrap().reactions.len(), 1);
    assert_eq!(bob.engine.gaps(of).unwrap(), []);
}

/// CNV-17: of what others have received, and whose answer was lost, a device learns the place.
#[test]
fn unanswered_contents_find_their_place() {
    let (mut post, mut alice, mut bob) = super::friends();
    let (log, of) = (alice.log(), alice.talk());
    alice.engine.send(of, "unanswered").unwrap();
    let sealed = alice.engine.outgoing(&log, 0, 1).unwrap().remove(0);
    let place = post.append(log, sealed).unwrap().seq;
    bob.engine.send(bob.talk(), "behind it").unwrap();
    settle(&mut post, &mut [&mut bob]);
    post.expire(&log);
    outlive(&mut post, &mut alice, &mut [&mut bob], log);
    // It is not sent again before Bob says that he has it.
    let held = alice.engine.store.read().outbox(of, 0, 1).unwrap().remove(0);
    let (who, id) = (*bob.engine.account.id().key(), held.id);
    let receipts = Receipts { delivered: vec![id], read: Vec::new() };
    let received = alice.engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        work.take_receipts(&row, &who, Seq::new(place.get() + 1), &receipts)
    });
    received.unwrap();
    assert_eq!(alice.engine.gaps(of).unwrap()[0].author, None);
    go_on(&mut post, &mut [&mut alice, &mut bob]);
    let shown = alice.engine.history(of, None, 9).unwrap();
    let shown: Vec<_> = shown.iter().map(|it| (it.text.as_str(), it.seq.is_some())).collect();
    assert_eq!(shown, [("unanswered", true), ("behind it", true)]);
    assert_eq!(alice.history()[0].seq, Some(place));
    assert_eq!(alice.engine.gaps(of).unwrap(), []);
}

/// A device with an account, of which others tell.
struct Known {
    device: PublicKey,
    account: PublicKey,
}

impl Known {
    fn of(person: &Person) -> Self {
        let account = &person.engine.account;
        Self { device: account.device.public(), account: *account.id().key() }
    }

    /// Tells that contents 1 to `last` of this device stand somewhere before `seq`.
    fn count(&self, last: u64, hash: [u8; 32], seq: u64) -> Count {
        let (device, account, hash) = (self.device, self.account, ContentHash::new(hash));
        Count { device, account, first: 1, last, hash, seq: Seq::new(seq) }
    }
}

/// What a device says of others reaches Carol at this place; gives back how much she misses.
fn tell(trio: &mut Trio, teller: PublicKey, at: u64, asker: PublicKey, count: Count) -> Vec<u64> {
    let (group, log, carol) = (trio.group, trio.log(), &mut trio.people[CAROL]);
    let counts = Counts { asker, counts: vec![count] };
    let taken = carol.engine.transact(|work| {
        work.take_counts(&work.db.need_log(&log)?, &teller, Seq::new(at), &counts)
    });
    taken.unwrap();
    let mut gaps = carol.engine.gaps(group).unwrap();
    gaps.sort_by_key(|gap| gap.count);
    gaps.iter().map(|gap| gap.count).collect()
}

/// A trio in which Bob has said something, and Carol was away since.
fn away() -> (Trio, u64) {
    let mut trio = Trio::new();
    let log = trio.log();
    trio.says(BOB, "one");
    let carol = &mut trio.people[CAROL];
    let since = carol.engine.store.read().need_log(&log).unwrap().cursor;
    carol.engine.transact(|work| work.db.note_absence(&log, since)).unwrap();
    (trio, since.get())
}

/// CNV-16: counts matter to the device that has asked, from those who are to tell, of what it may
/// have missed; what a device says itself counts against what others say of it.
#[test]
fn own_words_outweigh_what_others_count() {
    let (mut trio, since) = away();
    let [alice, bob, carol] = [ALICE, BOB, CAROL].map(|who| Known::of(&trio.people[who]));
    let stranger = PublicKey::new([8; 32]);
    let (later, at) = (since + 5, since + 9);
    let mine = Known { device: stranger, account: carol.account };
    let not_his = Known { device: bob.device, account: alice.account };
    for (teller, asker, count, shown) in [
        (alice.device, bob.device, bob.count(7, [3; 32], later), [].as_slice()),
        (carol.device, carol.device, bob.count(7, [3; 32], later), &[]),
        (alice.device, carol.device, bob.count(1, [3; 32], later), &[]),
        (alice.device, carol.device, bob.count(7, [3; 32], since), &[]),
        (alice.device, carol.device, bob.count(7, [3; 32], at), &[]),
        (alice.device, carol.device, not_his.count(7, [3; 32], later), &[]),
        (alice.device, carol.device, mine.count(7, [3; 32], later), &[]),
        (alice.device, carol.device, Count { first: 4, ..bob.count(5, [3; 32], later) }, &[2]),
        // One claim takes nothing from another.
        (bob.device, carol.device, bob.count(5, [3; 32], later - 1), &[2, 4]),
        (alice.device, carol.device, bob.count(5, [3; 32], later), &[2, 4, 4]),
        (bob.device, carol.device, bob.count(5, [3; 32], later), &[2, 4, 4]),
        (bob.device, carol.device, bob.count(7, [4; 32], later), &[2, 4, 4, 6]),
        (bob.device, carol.device, bob.count(3, [5; 32], later), &[2, 2, 4, 4, 6]),
    ] {
        assert_eq!(tell(&mut trio, teller, at, asker, count), shown);
    }
    let state = trio.people[CAROL].engine.gaps(trio.group).unwrap()[0].state;
    assert_eq!(state, GapState::Asked);
    trio.says(BOB, "two");
    let (carol, group) = (&trio.people[CAROL], trio.group);
    assert_eq!(carol.engine.gaps(group).unwrap(), []);
    assert_eq!(texts(carol, group).len(), texts(&trio.people[ALICE], group).len());
}

/// CNV-16. Once a device that counted back was told of with counts that end before they begin: as
/// nobody can encode them, whoever had counted it stopped, and all its links fell.
#[test]
fn who_counts_back_is_counted_no_lower() {
    let mut trio = Trio::new();
    let log = trio.log();
    trio.says(BOB, "one");
    let [bob, carol] = [BOB, CAROL].map(|who| Known::of(&trio.people[who]));
    let told = trio.people[ALICE].engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        let known = work.db.author(&log, &bob.device)?.unwrap();
        let words = Body::Text(Text { text: "five more".to_owned(), reply_to: None });
        let passing = Receipts { delivered: vec![EnvelopeId::new([9; 16])], read: Vec::new() };
        let said = [(5_u8, words), (1, Body::Receipts(passing))];
        for (place, (more, body)) in (1_u64..).zip(said) {
            let (id, seq) = (EnvelopeId::new([more; 16]), Seq::new(row.cursor.get() + place));
            let content = Content {
                id,
                counter: known.counter + u64::from(more),
                previous: known.hash.map(ContentHash::new),
                random: [1; 16],
                seen: LogPosition::default(),
                log: None,
                at: post::NOW.into(),
                body,
            };
            let envelope = Deliver { id, seq, ..any_envelope() };
            let bytes = content.encode().unwrap();
            work.note_content(&row, &bob.device, &bob.account, &envelope, &bytes)?;
        }
        let counted = work.db.author(&log, &bob.device)?.unwrap();
        assert_eq!(counted.counter, known.counter + 5);
        // As it was stored before.
        work.db.put_author(&AuthorRow { counter: known.counter + 1, ..counted })?;
        let asker = Speaker { account: &carol.account, device: &carol.device, told: None };
        work.tell_how_far(&row, asker, row.cursor)
    });
    assert_eq!(told, Ok(()));
}

/// CNV-16: gaps another device tells of are bounded, and keep no others from being noted.
#[test]
fn hearsay_is_bounded() {
    let (mut trio, since) = away();
    let [alice, bob, carol] = [ALICE, BOB, CAROL].map(|who| Known::of(&trio.people[who]));
    let mut told = |teller: PublicKey, number: usize| {
        let mut hash = [3; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let count = bob.count(7, hash, since + 5);
        tell(&mut trio, teller, since + 9, carol.device, count).len()
    };
    for number in 1..=HEARSAY_GAPS {
        assert_eq!(told(alice.device, number), number);
    }
    assert_eq!(told(alice.device, HEARSAY_GAPS + 1), HEARSAY_GAPS);
    assert_eq!(told(bob.device, HEARSAY_GAPS + 2), HEARSAY_GAPS + 1);
}

/// CNV-17: what others tell of proves nothing: neither words nor acts are taken as a person's that
/// nobody but others vouch for, whatever they look like.
#[test]
fn hearsay_proves_nothing() {
    let (mut trio, since) = away();
    let (said, log) = (trio.history(CAROL)[0].id, trio.log());
    let [alice, bob, carol] = [ALICE, BOB, CAROL].map(|who| Known::of(&trio.people[who]));
    // A device of Bob's that Carol has never heard of.
    let gone = Known { device: PublicKey::new([8; 32]), account: bob.account };
    let words = Body::Text(Text { text: "forged".to_owned(), reply_to: None });
    let of = EnvelopeId::new(*said.as_bytes());
    let edit = Body::Edit(Edit { of, text: "forged".to_owned() });
    let unfit = Body::Text(Text { text: "another".to_owned(), reply_to: None });
    let all = [(of, edit, true), (EnvelopeId::new([9; 16]), words, true)];
    for (id, body, fits) in all.into_iter().chain([(EnvelopeId::new([7; 16]), unfit, false)]) {
        let content = Content {
            id,
            counter: 1,
            previous: None,
            random: [1; 16],
            seen: LogPosition::default(),
            log: None,
            at: post::NOW.into(),
            body,
        };
        let content = content.encode().unwrap();
        if fits {
            let count = gone.count(1, *content_hash(&content).as_bytes(), since + 5);
            tell(&mut trio, alice.device, since + 9, carol.device, count);
        }
        let (device, seq) = (gone.device, Seq::new(since + 4));
        let entry = RepairEntry { device, generation: 1, seq, content, account: None };
        let repair = Repair { conversation: log, entries: vec![entry], missing: Vec::new() };
        let given = trio.people[CAROL]
            .engine
            .transact(|work| work.take_repair(&work.db.need_log(&log)?, &alice.account, &repair));
        given.unwrap();
    }
    let shown = texts(&trio.people[CAROL], trio.group);
    assert_eq!(shown, [("one".to_owned(), false), ("forged".to_owned(), true)]);
    assert!(!trio.message(CAROL, said).edited);
    assert_eq!(trio.people[CAROL].engine.gaps(trio.group).unwrap().len(), 2);
}
