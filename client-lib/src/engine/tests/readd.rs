//! Devices that were away for longer than the relay keeps envelopes come back.

use restante_crypto::{
    AccountKey, DeviceKey, DeviceList, DeviceNumber, GeneratedKeyPackage, KemSecret, OpenedLetter,
    OwnDevice, Suite,
};
use restante_spec::content::{LogPosition, ReaddLetter, Role};
use restante_spec::ids::MailboxId;
use zeroize::Zeroizing;

use super::post::{Person, Post, events, person, wait};
use super::trio::Trio;
use super::*;
use crate::limits::{CALLERS, RETURN_DELAY, RETURN_SPREAD, RETURN_WAITS};
use crate::store::{CallerRow, MemberRow, Wish};
use crate::types::{ConversationId, MessageKind, Standing};

pub(super) fn soon() -> Duration {
    Duration::from_secs(u64::from(RETURN_DELAY.get() + RETURN_SPREAD.get()))
}

fn a_bit() -> Duration {
    Duration::from_secs(20)
}

pub(super) fn log_of(person: &Person, of: ConversationId) -> MailboxId {
    person.engine.store.read().need_conversation(of).unwrap().log.unwrap()
}

fn said(person: &Person, of: ConversationId) -> Vec<String> {
    let all = person.engine.history(of, None, 1_000).unwrap().into_iter();
    all.filter(|message| message.kind == MessageKind::Text).map(|message| message.text).collect()
}

/// Everything stands in the log again as `person` left it, but nothing of it is kept, and the
/// epoch is another one.
fn outlive(post: &mut Post, away: &mut Person, there: &mut Person, log: MailboxId) {
    there.wish_update(&log);
    post.round(there);
    post.expire(&log);
    away.engine.reading_refused(&log, Code::NotFound).unwrap();
}

pub(super) fn state(person: &Person, log: &MailboxId) -> LogState {
    person.engine.store.read().need_log(log).unwrap().state
}

/// CNV-19: who was away for longer than envelopes are kept is added again by the contact, without
/// a person's doing, whoever is restarted in between; what was missed is given, and what waited
/// to be sent is sent.
#[test]
fn absent_device_comes_back_by_itself() {
    let (mut post, mut alice, mut bob) = friends();
    let (log, of_bob) = (alice.log(), alice.talk());
    alice.engine.send(of_bob, "before").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    for text in ["missed", "missed too"] {
        alice.engine.send(of_bob, text).unwrap();
        post.round(&mut alice);
    }
    outlive(&mut post, &mut bob, &mut alice, log);
    let told = events(&mut bob);
    let conversation = bob.talk();
    assert!(told.contains(&Event::Notice(Notice::Gone { conversation })), "{told:?}");
    bob.engine.send(conversation, "still here").unwrap();

    let mut bob = bob.restart();
    wait(&mut bob, soon());
    let mut bob = bob.restart();
    post.do_jobs(&mut bob);
    let mut alice = alice.restart();
    post.bring_letters(&mut alice);
    let mut alice = alice.restart();
    post.work(&mut alice);
    let mut bob = bob.restart();
    post.bring_letters(&mut bob);
    assert_eq!(state(&bob, &log), LogState::Live);
    let mut bob = bob.restart();
    for _ in 0..4 {
        post.round(&mut bob);
        post.round(&mut alice);
        wait(&mut bob, a_bit());
        wait(&mut alice, a_bit());
    }
    post.round(&mut bob);
    assert_eq!(bob.texts(), ["before", "missed", "missed too", "still here"]);
    assert_eq!(alice.texts(), bob.texts());
    assert_eq!(bob.engine.gaps(bob.talk()).unwrap(), []);
    assert_eq!(bob.contact().state, ContactState::Active);
    assert!(bob.engine.store.read().next_return().unwrap().is_none());
}

/// CNV-19: who can read on, and reads that it was taken out and added again, waits for the letter:
/// somebody has answered what somebody else had answered before.
#[test]
fn who_is_added_once_more_waits_for_the_letter() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    let device = bob.engine.account.device.public();
    let package = bob.engine.transact(|work| work.make_key_package(Suite::Hybrid, false)).unwrap();
    let wish = Wish::Readd { device: *device.as_bytes(), package };
    alice.engine.transact(|work| work.db.put_wish(&log, &wish, work.now)).unwrap();
    post.send(&mut alice, log);
    events(&mut bob);
    post.bring_log(&mut bob, log);
    assert_eq!((state(&bob, &log), events(&mut bob)), (LogState::Gone, Vec::new()));
    for _ in 0..2 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    alice.engine.send(alice.talk(), "back again").unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!((state(&bob, &log), bob.texts()), (LogState::Live, vec!["back again".to_owned()]));
}

/// CNV-19: in a group any member that can be written to helps, one after the other, contact or
/// not, and answers as the letter says.
#[test]
fn members_who_are_no_contacts_let_each_other_in() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut bob, mut carol) = (person("Bob"), person("Carol"));
    let group = post.group(&mut [&mut alice, &mut bob, &mut carol]);
    let log = log_of(&bob, group);
    // Carol has not heard yet how Bob can be written to.
    let account = *bob.engine.account.id().key();
    let forgotten = carol.engine.transact(|work| {
        let known = work.db.member(group, &account)?;
        work.db.put_member(group, &MemberRow { inbox: None, devices: None, ..known })
    });
    forgotten.unwrap();
    carol.engine.send(group, "missed").unwrap();
    carol.wish_update(&log);
    post.round(&mut carol);
    post.round(&mut alice);
    post.expire(&log);
    bob.engine.reading_refused(&log, Code::NotFound).unwrap();
    // Alice, who is asked first, is away.
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    post.round(&mut carol);
    post.round(&mut bob);
    assert_eq!(state(&bob, &log), LogState::Gone);
    let first = Duration::from_secs(u64::from(RETURN_WAITS[0].get() + RETURN_SPREAD.get()));
    wait(&mut bob, first);
    post.do_jobs(&mut bob);
    post.round(&mut carol);
    post.round(&mut bob);
    assert_eq!(state(&bob, &log), LogState::Live);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Open);
    for _ in 0..4 {
        post.round(&mut carol);
        wait(&mut carol, a_bit());
        post.round(&mut bob);
        wait(&mut bob, a_bit());
    }
    assert_eq!(said(&bob, group), ["missed"]);

    // Alice comes back and finds the letter: done once more, it harms nobody.
    post.round(&mut alice);
    for _ in 0..3 {
        post.round(&mut bob);
        post.round(&mut carol);
        post.round(&mut alice);
    }
    bob.engine.send(group, "here").unwrap();
    post.round(&mut bob);
    post.round(&mut alice);
    post.round(&mut carol);
    for person in [&alice, &bob, &carol] {
        assert_eq!(said(person, group), ["missed", "here"]);
    }
}

/// CNV-19, LET-7. Once a member's list that no letter can be sealed by kept a device from asking
/// the others too, and its links fell each second.
#[test]
fn a_list_that_is_refused_keeps_nobody_outside() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    let [alice, bob, carol] = &mut trio.people;
    let account = *bob.engine.account.id().key();
    let known = carol.contact().id;
    let stored = carol.engine.transact(|work| {
        // Some inbox; no letter to it can be sealed.
        let inbox = work.db.need_contact(known)?.inbox;
        let member = work.db.member(group, &account)?;
        work.db.put_member(group, &MemberRow { inbox, devices: Some(vec![0]), ..member })
    });
    stored.unwrap();
    alice.wish_update(&log);
    trio.post.round(alice);
    trio.post.expire(&log);
    carol.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(carol, soon());
    trio.post.do_jobs(carol);
    trio.post.round(alice);
    trio.post.round(carol);
    assert_eq!(state(carol, &log), LogState::Live);
}

/// CNV-19: who has said that it leaves is a member until it is let go, and helps as one: there may
/// be nobody else, and then nobody could let it go either.
#[test]
fn who_leaves_lets_the_last_other_in_again() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    let log = log_of(&bob, group);
    alice.wish_update(&log);
    post.round(&mut alice);
    alice.engine.leave_group(group).unwrap();
    post.round(&mut alice);
    post.expire(&log);
    bob.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(state(&bob, &log), LogState::Live);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Open);
    // That she leaves he has missed: she says it again and how far she has counted, and he asks for
    // that before he lets her go.
    for _ in 0..6 {
        for person in [&mut alice, &mut bob] {
            post.round(person);
            wait(person, 3 * a_bit());
        }
    }
    assert_eq!(alice.engine.conversation(group).unwrap().standing, Standing::Left);
}

/// CNV-19, CNV-14: the only owner who is let in again is the owner still, for everybody.
#[test]
fn owner_who_comes_back_is_the_owner() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    let group = post.group(&mut [&mut alice, &mut bob]);
    let log = log_of(&alice, group);
    bob.wish_update(&log);
    post.round(&mut bob);
    post.expire(&log);
    alice.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut alice, soon());
    post.do_jobs(&mut alice);
    post.round(&mut bob);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(state(&alice, &log), LogState::Live);
    let who = alice.engine.own_id().unwrap();
    for person in [&mut alice, &mut bob] {
        let members = person.engine.group_members(group).unwrap();
        let owners = members.iter().filter(|one| one.role == Role::Owner);
        assert!(owners.map(|one| one.id).eq([who]), "{members:?}");
        let told = events(person);
        let improper = |it: &Event| matches!(it, Event::Notice(Notice::Improper { .. }));
        assert!(!told.iter().any(improper), "{told:?}");
    }
}

/// CNV-19: if nobody helps in any round, the conversation is shown as ended; a Welcome that comes
/// later still leads back.
#[test]
fn nobody_helps_until_somebody_does() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    outlive(&mut post, &mut bob, &mut alice, log);
    wait(&mut bob, soon());
    for pause in RETURN_WAITS {
        assert_eq!(bob.contact().state, ContactState::Active);
        post.do_jobs(&mut bob);
        wait(&mut bob, Duration::from_secs(u64::from(pause.get() + RETURN_SPREAD.get())));
    }
    assert_eq!(bob.contact().state, ContactState::Ended);
    assert_eq!(state(&bob, &log), LogState::Lost);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!((bob.contact().state, state(&bob, &log)), (ContactState::Active, LogState::Live));
}

/// A letter that has not left is not written again.
#[test]
fn letters_do_not_pile_up() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    outlive(&mut post, &mut bob, &mut alice, log);
    for pause in RETURN_WAITS {
        wait(&mut bob, Duration::from_secs(u64::from(pause.get() + RETURN_SPREAD.get())));
    }
    assert_eq!(bob.engine.runnable_jobs().unwrap().len(), 1);
    assert_eq!(state(&bob, &log), LogState::Gone);
}

/// Who was blocked is not let in again, and learns that it is over.
#[test]
fn blocked_device_does_not_come_back() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    alice.engine.block(alice.contact().id).unwrap();
    post.round(&mut alice);
    post.expire(&log);
    bob.engine.reading_refused(&log, Code::NotFound).unwrap();
    wait(&mut bob, soon());
    for _ in RETURN_WAITS {
        let jobs = bob.engine.runnable_jobs().unwrap();
        bob.engine.job_refused(&jobs[0], Code::NotFound).unwrap();
        wait(&mut bob, Duration::from_secs(1));
    }
    assert_eq!(bob.contact().state, ContactState::Ended);
}

/// A letter as another device of this account would write it, whose leaf is in no tree.
fn letter_of_another_device(
    of: &mut Person,
    log: &MailboxId,
    number: u32,
) -> (OpenedLetter, ReaddLetter) {
    let package = of.engine.store.write(|db| {
        let key = AccountKey::from_seed(&*db.need_fixed(Meta::AccountKey)?);
        let device = DeviceKey::generate()?;
        let number_of = DeviceNumber::new(number);
        let certificate = key.certify(&device.public(), number_of, post::NOW, "restored")?;
        let own = OwnDevice { key: &device, certificate: &certificate };
        let made = GeneratedKeyPackage::make(&db.provider(), &own, Suite::Hybrid, false)?;
        let known = DeviceList::parse(&db.need_meta(Meta::DeviceList)?)?;
        let mut devices = crate::engine::linking::entries(&known);
        let signed = device.sign_letter_key(&KemSecret::generate()?.public(), post::NOW);
        devices.push((certificate.clone(), signed));
        let list = key.sign_list(u64::from(number), &devices)?;
        Ok((certificate, made.bytes, list.as_bytes().to_vec()))
    });
    let (sender, package, devices) = package.unwrap();
    let letter = OpenedLetter { sender, number: 1, content: Zeroizing::new(Vec::new()) };
    let (key_packages, after) = (vec![package], LogPosition::default());
    (letter, ReaddLetter { mailbox: *log, devices, key_packages, after, inbox: None })
}

/// CNV-19: a device whose leaf does not stand in the tree waits for a person's consent; one of an
/// account that is no member is not even shown; so many wait and no more.
#[test]
fn unknown_device_needs_consent() {
    let (mut post, mut alice, mut bob) = friends();
    let (log, of) = (alice.log(), alice.talk());
    let (letter, readd) = letter_of_another_device(&mut bob, &log, 2);
    alice.engine.transact(|work| work.take_readd(&letter, &readd)).unwrap();
    let who = alice.contact().id;
    let asked = Event::AsksToReturn { conversation: of, who };
    assert!(events(&mut alice).contains(&asked));
    assert_eq!(alice.engine.callers(of).unwrap(), [who]);
    assert!(!alice.engine.wants_commit(&log).unwrap());
    alice.engine.consent(of, who, false).unwrap();
    assert_eq!(alice.engine.callers(of).unwrap(), []);
    assert!(!alice.engine.wants_commit(&log).unwrap());

    let (letter, readd) = letter_of_another_device(&mut bob, &log, 3);
    alice.engine.transact(|work| work.take_readd(&letter, &readd)).unwrap();
    alice.engine.consent(of, who, true).unwrap();
    post.round(&mut alice);
    let members = alice.engine.group_members(of).unwrap();
    assert_eq!(members.iter().map(|member| member.devices).sum::<u32>(), 3);

    let mut mallory = person("Mallory");
    let (letter, readd) = letter_of_another_device(&mut mallory, &log, 2);
    assert!(alice.engine.transact(|work| work.take_readd(&letter, &readd)).is_err());

    let account = *bob.engine.account.id().key();
    alice
        .engine
        .store
        .write(|db| {
            for number in 0..CALLERS {
                let device = restante_spec::ids::PublicKey::new([number as u8; 32]);
                let row =
                    CallerRow { conversation: of, device, account, letter: Zeroizing::default() };
                db.put_caller(&row)?;
            }
            Ok(())
        })
        .unwrap();
    let (letter, readd) = letter_of_another_device(&mut bob, &log, 4);
    alice.engine.transact(|work| work.take_readd(&letter, &readd)).unwrap();
    assert_eq!(alice.engine.store.read().callers(of).unwrap().len(), CALLERS);
}

/// CNV-19: a letter whose list is of another account or without the writer, or whose key package is
/// another device's, is refused.
#[test]
fn letters_that_are_not_their_writers_are_refused() {
    let (_post, mut alice, mut bob) = friends();
    let log = alice.log();
    let (letter, good) = letter_of_another_device(&mut bob, &log, 2);
    let (_, other) = letter_of_another_device(&mut bob, &log, 3);
    let lists = [alice.engine.account.list.as_bytes(), bob.engine.account.list.as_bytes()];
    let bad = lists.map(|list| ReaddLetter { devices: list.to_vec(), ..good.clone() });
    let mixed = ReaddLetter { key_packages: other.key_packages, ..good.clone() };
    for readd in bad.into_iter().chain([mixed]) {
        assert!(alice.engine.transact(|work| work.take_readd(&letter, &readd)).is_err());
    }
    alice.engine.transact(|work| work.take_readd(&letter, &good)).unwrap();
    assert_eq!(alice.engine.callers(alice.talk()).unwrap().len(), 1);
}

/// CNV-19, CNV-20: a device that is in no tree makes nobody begin anew, which would let it in
/// without consent.
#[test]
fn unknown_device_makes_nobody_begin_anew() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    let (letter, readd) = letter_of_another_device(&mut bob, &log, 2);
    alice.engine.reading_refused(&log, Code::Gone).unwrap();
    alice.engine.transact(|work| work.take_readd(&letter, &readd)).unwrap();
    let never = UnixTime::new(u64::MAX >> 1);
    assert!(alice.engine.store.read().restarts_due(never).unwrap().is_empty());
    bob.engine.reading_refused(&log, Code::Gone).unwrap();
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    post.bring_letters(&mut alice);
    assert_eq!(alice.engine.store.read().restarts_due(never).unwrap().len(), 1);
}

/// Of a device that asks again only the newest key package is used.
#[test]
fn newest_key_package_counts() {
    let (mut post, mut alice, mut bob) = friends();
    let log = alice.log();
    outlive(&mut post, &mut bob, &mut alice, log);
    wait(&mut bob, soon());
    post.do_jobs(&mut bob);
    wait(&mut bob, Duration::from_secs(u64::from(RETURN_WAITS[0].get() + RETURN_SPREAD.get())));
    post.do_jobs(&mut bob);
    post.bring_letters(&mut alice);
    let wishes = alice.engine.store.read().wishes(&log).unwrap();
    let readds = wishes.iter().filter(|wish| matches!(wish.what, Wish::Readd { .. }));
    assert_eq!(readds.count(), 1);
    post.work(&mut alice);
    post.bring_letters(&mut bob);
    assert_eq!(state(&bob, &log), LogState::Live);
}
