//! Tests of several devices of one account, with envelopes carried by hand.

use restante_crypto::DeviceList;
use restante_spec::content::StateRecord;

use super::post::{Person, Post, events, new_device, person, wait};
use super::*;
use crate::store::{LogState, Meta, RecordName};
use crate::types::{
    ContactId, ContactState, ConversationId, ConversationKind, Fate, InviteOptions, MessageKind,
    Standing,
};

/// Everybody hears everything, and says what there is to say, until nothing is left.
pub(super) fn settle(post: &mut Post, everybody: &mut [&mut Person]) {
    for _ in 0..8 {
        for person in everybody.iter_mut() {
            post.round(person);
        }
    }
}

/// Links a new device to an account, as two people with two screens would.
pub(super) fn link(post: &mut Post, first: &mut Person) -> Person {
    let mut new = new_device();
    finish(post, first, &mut new);
    settle(post, &mut [first, &mut new]);
    new
}

pub(super) fn finish(post: &mut Post, first: &mut Person, new: &mut Person) {
    post.do_jobs(new);
    let code = new.engine.link_code().unwrap().unwrap();
    let check = first.engine.link_device(&code, "laptop").unwrap();
    post.do_jobs(first);
    post.bring_letters(new);
    assert_eq!(new.engine.link_check().unwrap(), Some(check));
    new.engine.finish_link().unwrap();
}

/// Alice with two devices, and Bob, her contact.
pub(super) fn three() -> (Post, Person, Person, Person) {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    post.introduce(&mut alice, &mut bob, None);
    let mut laptop = link(&mut post, &mut alice);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    (post, alice, laptop, bob)
}

pub(super) fn texts(person: &Person, of: ConversationId) -> Vec<String> {
    let all = person.engine.history(of, None, 1_000).unwrap();
    let said = all.into_iter().filter(|message| message.kind == MessageKind::Text);
    said.map(|message| message.text).collect()
}

fn group_of(person: &mut Person) -> ConversationId {
    let all = person.engine.conversations().unwrap();
    all.into_iter().find(|c| c.kind == ConversationKind::Group).unwrap().id
}

fn notices(person: &mut Person) -> Vec<Notice> {
    let told = events(person).into_iter();
    told.filter_map(|event| if let Event::Notice(it) = event { Some(it) } else { None }).collect()
}

/// DEV-1, DEV-4, DEV-6, IDN-4: a linked device is one of the account, knows its name and has no
/// account key; numbers rise.
#[test]
fn linked_device_is_the_accounts() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let laptop = link(&mut post, &mut alice);
    assert_eq!(laptop.engine.own_id().unwrap(), alice.engine.own_id().unwrap());
    assert_eq!(laptop.engine.nickname().unwrap(), "Alice");
    assert_eq!(laptop.engine.link_code().unwrap(), None);
    assert!(laptop.engine.store.read().meta(Meta::AccountKey).unwrap().is_none());
    let shown: Vec<_> = laptop.engine.devices().into_iter().map(|d| (d.number, d.label)).collect();
    assert_eq!(shown, [(1, String::new()), (2, "laptop".to_owned())]);
    let laptop = laptop.restart();
    let is_this: Vec<_> = laptop.engine.devices().iter().map(|d| d.is_this).collect();
    assert_eq!(is_this, [false, true]);
    let listed = |person: &Person| person.engine.account.list.as_bytes().to_vec();
    assert_eq!(listed(&alice), listed(&laptop));
    assert_eq!(DeviceList::parse(&listed(&alice)).unwrap().version(), 2);
}

/// DEV-2, DEV-5: before the person has agreed, the new device belongs to nobody and does nothing
/// for anybody; a second letter changes nothing.
#[test]
fn nothing_holds_before_the_numbers_were_compared() {
    let (mut post, mut alice, mut eve) = (Post::default(), person("Alice"), person("Eve"));
    let mut new = new_device();
    post.do_jobs(&mut new);
    assert_eq!(new.engine.finish_link(), Err(Error::NoLink));
    assert_eq!(new.engine.create_group("Early", false).unwrap_err(), Error::NotLinked);
    assert_eq!(new.engine.set_nickname("Early"), Err(Error::NotLinked));
    // Who has read the code pretends to be the account: the numbers differ.
    let code = new.engine.link_code().unwrap().unwrap();
    let true_check = alice.engine.link_device(&code, "").unwrap();
    let false_check = eve.engine.link_device(&code, "").unwrap();
    post.do_jobs(&mut eve);
    post.do_jobs(&mut alice);
    post.bring_letters(&mut new);
    assert_ne!(true_check, false_check);
    assert_eq!(notices(&mut new), [Notice::LinkOffered { check: false_check }]);
    new.engine.refuse_link().unwrap();
    assert_eq!(new.engine.link_check().unwrap(), None);
    assert_eq!(new.engine.finish_link(), Err(Error::NoLink));
}

/// DEV-3: what is no code is refused, and an invite is none; DEV-1: only the first device links.
#[test]
fn only_the_first_device_links_and_only_by_a_code() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let mut laptop = link(&mut post, &mut alice);
    let invite = alice.engine.invite(InviteOptions::default()).unwrap();
    for bad in ["", "restante://nothing/d1#AA", invite.as_str()] {
        assert_eq!(alice.engine.link_device(bad, "x"), Err(Error::BadLinkCode), "{bad}");
    }
    let code = new_device().engine.link_code().unwrap().unwrap();
    assert_eq!(laptop.engine.link_device(&code, "x"), Err(Error::NotFirstDevice));
    assert_eq!(laptop.engine.remove_device(1), Err(Error::NotFirstDevice));
    let long = "x".repeat(restante_spec::limits::DEVICE_LABEL_BYTES + 1);
    assert!(matches!(alice.engine.link_device(&code, &long), Err(Error::TooLong { .. })));
}

/// DEV-7, DEV-9: a new device gets every contact and every conversation, and hears and says there
/// what the account does; contacts have one conversation with the account.
#[test]
fn new_device_is_in_every_conversation() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    assert_eq!(laptop.contact().nickname, "Bob");
    assert_eq!(laptop.log(), alice.log());
    bob.engine.send(bob.talk(), "to both").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    laptop.engine.send(laptop.talk(), "from the laptop").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut bob, &mut alice]);
    for person in [&alice, &laptop, &bob] {
        assert_eq!(person.texts(), ["to both", "from the laptop"]);
    }
    assert_eq!(bob.contact().id, alice.engine.own_id().unwrap());
    let on_phone = alice.history().pop().unwrap();
    assert!(on_phone.from_me() && on_phone.seq.is_some());
    assert!(matches!(on_phone.fate, Fate::Accepted | Fate::Delivered));
}

/// DEV-7: a receipt of another own device does not say that a message was delivered.
#[test]
fn own_devices_do_not_deliver() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    alice.engine.send(alice.talk(), "are you there").unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    wait(&mut laptop, std::time::Duration::from_secs(60));
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    assert_eq!(alice.history().pop().unwrap().fate, Fate::Accepted);
    settle(&mut post, &mut [&mut bob]);
    wait(&mut bob, std::time::Duration::from_secs(60));
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!(alice.history().pop().unwrap().fate, Fate::Delivered);
    assert_eq!(laptop.history().pop().unwrap().fate, Fate::Delivered);
}

/// DEV-7: groups made or joined later hold every device of each account, whichever made them.
#[test]
fn groups_hold_every_device() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let mut tablet = link(&mut post, &mut bob);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob, &mut tablet]);
    let group = laptop.engine.create_group("Four", false).unwrap().id;
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob, &mut tablet]);
    let standing = bob.engine.conversation(group).unwrap().standing;
    assert_eq!(standing, Standing::Invited);
    tablet.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut tablet, &mut bob, &mut alice, &mut laptop]);
    for (number, person) in [&mut alice, &mut laptop, &mut bob, &mut tablet].into_iter().enumerate()
    {
        assert_eq!(person.engine.conversation(group).unwrap().standing, Standing::Open);
        assert_eq!(group_of(person), group);
        person.engine.send(group, &format!("from {number}")).unwrap();
    }
    settle(&mut post, &mut [&mut tablet, &mut bob, &mut alice, &mut laptop]);
    let told = texts(&alice, group);
    assert_eq!(told.len(), 4);
    for person in [&laptop, &bob, &tablet] {
        assert_eq!(texts(person, group), told);
    }
    let members = alice.engine.group_members(group).unwrap();
    assert_eq!(members.iter().map(|member| member.devices).collect::<Vec<_>>(), [2, 2]);
}

/// DEV-8: a group that was agreed to on one device is open on another one, also if that hears so
/// before its letter has come.
#[test]
fn group_agreed_to_elsewhere_is_open() {
    let (mut post, mut alice, mut bob) = super::friends();
    let mut tablet = link(&mut post, &mut bob);
    settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
    let group = alice.engine.create_group("Three", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut tablet]);
    tablet.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut alice, &mut tablet]);
    let own = bob.engine.transact(|work| work.make_own_conversation()).unwrap();
    post.bring_log(&mut bob, own);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Open);
    settle(&mut post, &mut [&mut bob, &mut alice, &mut tablet]);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Open);
    alice.engine.send(group, "to both").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
    assert_eq!((texts(&bob, group).len(), texts(&tablet, group).len()), (1, 1));
}

/// DEV-8: of a group whose letter came to one device only, another one may agree: the first brings
/// it in.
#[test]
fn group_can_be_agreed_to_where_no_letter_came() {
    let (mut post, mut alice, mut bob) = super::friends();
    let mut tablet = link(&mut post, &mut bob);
    let group = alice.engine.create_group("Three", false).unwrap().id;
    // Alice has not heard of the tablet.
    alice.engine.add_member(group, alice.contact().id).unwrap();
    post.round(&mut alice);
    settle(&mut post, &mut [&mut bob, &mut tablet]);
    let shown = tablet.engine.conversation(group).unwrap();
    assert_eq!(shown.standing, Standing::Invited);
    assert!(tablet.engine.store.read().need_conversation(group).unwrap().log.is_none());
    tablet.engine.accept_group(group).unwrap();
    settle(&mut post, &mut [&mut tablet, &mut bob, &mut alice]);
    alice.engine.send(group, "to both").unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut tablet]);
    assert_eq!((texts(&bob, group).len(), texts(&tablet, group).len()), (1, 1));
}

/// DEV-7: an account that was removed from a group and is let in again comes with all its devices,
/// also with one that only the account's other device can let in.
#[test]
fn all_devices_come_back_into_a_group() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let group = bob.engine.create_group("Three", false).unwrap().id;
    let who = bob.contact().id;
    for _ in 0..2 {
        let hidden = post.hide_prekeys(2);
        bob.engine.add_member(group, who).unwrap();
        settle(&mut post, &mut [&mut bob, &mut alice]);
        post.show_prekeys(hidden);
        alice.engine.accept_group(group).unwrap();
        settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
        bob.engine.send(group, "to both").unwrap();
        settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
        assert_eq!(texts(&laptop, group), texts(&alice, group));
        bob.engine.remove_member(group, who).unwrap();
        settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    }
    assert_eq!(texts(&laptop, group), ["to both", "to both"]);
}

/// DEV-8: a device that knows a contact from their conversation only, as one does that has just
/// come in, tells nothing of them: what the others know stays.
#[test]
fn who_knows_little_of_a_contact_tells_nothing() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let who = alice.contact().id;
    alice.engine.set_verified(who, true).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    let forget = |work: &mut Work<'_>| {
        let mut row = work.db.need_contact(who)?;
        (row.inbox, row.own_key, row.verified) = (None, None, false);
        work.db.put_contact(&row)
    };
    laptop.engine.transact(forget).unwrap();
    bob.engine.set_nickname("Robert").unwrap();
    settle(&mut post, &mut [&mut bob, &mut laptop, &mut alice]);
    let known = alice.engine.store.read().need_contact(who).unwrap();
    assert!(known.own_key.is_some() && known.inbox.is_some() && known.verified);
    let group = alice.engine.create_group("Three", false).unwrap().id;
    alice.engine.add_member(group, who).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob]);
    assert_eq!(bob.engine.conversation(group).unwrap().standing, Standing::Invited);
}

/// IDN-7, DEV-14: an older list of a contact's devices, told by an own device that has not heard of
/// the newer one yet, changes nothing: the newer device is heard.
#[test]
fn older_list_strikes_nobody() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let key = alice.contact().id.as_bytes().to_vec();
    let name = RecordName { kind: StateRecord::CONTACT, key };
    let old = laptop.engine.transact(|work| work.state_record(&name)).unwrap().unwrap();
    let mut tablet = link(&mut post, &mut bob);
    settle(&mut post, &mut [&mut alice, &mut laptop, &mut bob, &mut tablet]);
    let old = StateRecord::from_record(&old).unwrap().unwrap();
    alice.engine.transact(|work| work.apply(old)).unwrap();
    tablet.engine.send(tablet.talk(), "from a new one").unwrap();
    settle(&mut post, &mut [&mut tablet, &mut alice, &mut laptop]);
    assert_eq!(alice.texts(), ["from a new one"]);
}

/// DEV-8: nickname, verification, read marks, drafts, settings, invites and blocks are the same on
/// every device.
#[test]
fn state_is_the_same_on_every_device() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let talk = alice.talk();
    bob.engine.send(bob.talk(), "read me").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!((alice.contact().unread, laptop.contact().unread), (1, 1));
    laptop.engine.mark_read(talk).unwrap();
    laptop.engine.set_draft(talk, "not yet").unwrap();
    laptop.engine.set_setting("theme", b"dark").unwrap();
    laptop.engine.set_nickname("Alicia").unwrap();
    laptop.engine.set_verified(laptop.contact().id, true).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut bob]);
    assert_eq!((alice.contact().unread, alice.contact().verified), (0, true));
    assert_eq!(alice.engine.draft(talk).unwrap(), "not yet");
    assert_eq!(alice.engine.setting("theme").unwrap().as_deref(), Some(&b"dark"[..]));
    assert_eq!(alice.engine.nickname().unwrap(), "Alicia");
    assert_eq!(bob.contact().nickname, "Alicia");
    alice.engine.set_draft(talk, "").unwrap();
    alice.engine.block(alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    assert_eq!(laptop.engine.draft(talk).unwrap(), "");
    assert_eq!(laptop.contact().state, ContactState::Blocked);
}

/// DEV-10: of two words on one record the one that stands last in the log holds, on both devices,
/// whichever was first to be written.
#[test]
fn last_word_in_the_log_holds() {
    let (mut post, mut alice, mut laptop, _bob) = three();
    let talk = alice.talk();
    alice.engine.set_draft(talk, "from the phone").unwrap();
    laptop.engine.set_draft(talk, "from the laptop").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    let said = alice.engine.draft(talk).unwrap();
    assert_eq!(said, "from the phone");
    assert_eq!(laptop.engine.draft(talk).unwrap(), said);
}

/// DEV-8, DEV-11: a request that both devices agree to at once becomes one conversation, with both
/// devices in it; a letter to an invite made on one is opened on the other.
#[test]
fn request_accepted_twice_is_one_conversation() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut laptop, mut carol) = (link(&mut post, &mut alice), person("Carol"));
    let invite = laptop.engine.invite(InviteOptions::default()).unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice]);
    carol.engine.accept_invite(invite.as_str(), Some("hi")).unwrap();
    post.do_jobs(&mut carol);
    for device in [&mut alice, &mut laptop] {
        post.bring_letters(device);
        let carol: ContactId = device.contact().id;
        assert_eq!(device.contact().state, ContactState::Incoming);
        device.engine.accept_contact(carol).unwrap();
    }
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut carol]);
    assert_eq!(alice.log(), laptop.log());
    assert_eq!(carol.log(), laptop.log());
    laptop.engine.send(laptop.talk(), "both are here").unwrap();
    settle(&mut post, &mut [&mut laptop, &mut alice, &mut carol]);
    for person in [&alice, &laptop, &carol] {
        assert_eq!(person.texts(), ["hi", "both are here"]);
    }
    let live = |person: &Person| person.engine.store.read().live_logs().unwrap().len();
    assert_eq!((live(&alice), live(&laptop), live(&carol)), (2, 2, 1));
}

/// DEV-11: if the device that was first does nothing for ten minutes, the next may.
#[test]
fn claim_of_a_device_that_is_gone_passes_on() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let (mut laptop, mut carol) = (link(&mut post, &mut alice), person("Carol"));
    let invite = alice.engine.invite(InviteOptions::default()).unwrap();
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    carol.engine.accept_invite(invite.as_str(), None).unwrap();
    post.do_jobs(&mut carol);
    post.bring_letters(&mut laptop);
    post.bring_letters(&mut alice);
    let own = laptop.engine.own_id().unwrap();
    laptop.engine.accept_contact(laptop.contact().id).unwrap();
    let own_log = laptop.engine.store.read().need_conversation(own.into()).unwrap().log.unwrap();
    // The laptop has said so, and is never heard again.
    post.send(&mut laptop, own_log);
    alice.engine.accept_contact(alice.contact().id).unwrap();
    settle(&mut post, &mut [&mut alice]);
    let made = |person: &Person| {
        person.engine.store.read().need_conversation(person.talk()).unwrap().log.is_some()
    };
    assert!(!made(&alice));
    wait(&mut alice, std::time::Duration::from_secs(601));
    settle(&mut post, &mut [&mut alice]);
    assert!(made(&alice));
}

/// DEV-12, DEV-13, DEV-14: a removed device is in no conversation and no list, its inbox key is
/// struck, it says so and stops; its number is not given again.
#[test]
fn removed_device_is_out() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    events(&mut laptop);
    alice.engine.remove_device(2).unwrap();
    assert_eq!(alice.engine.remove_device(2), Err(Error::NoSuchDevice));
    assert_eq!(alice.engine.remove_device(1), Err(Error::NoSuchDevice));
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop]);
    assert_eq!(alice.engine.devices().len(), 1);
    assert_eq!(post.revoked.len(), 1);
    assert!(notices(&mut laptop).contains(&Notice::Unlinked));
    assert_eq!(laptop.engine.send(laptop.talk(), "still here").unwrap_err(), Error::Cloned);
    bob.engine.send(bob.talk(), "without it").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert_eq!(alice.texts(), ["without it"]);
    assert!(laptop.texts().is_empty());
    assert!(laptop.engine.store.read().live_logs().unwrap().is_empty());
    let again = link(&mut post, &mut alice);
    let numbers: Vec<_> = again.engine.devices().iter().map(|device| device.number).collect();
    assert_eq!(numbers, [1, 3]);
}

/// DEV-14: what a device says behind a list without it is not heard; what stands before all hear.
#[test]
fn unlisted_device_is_not_heard() {
    let (mut post, mut alice, mut laptop, mut bob) = three();
    let log = alice.log();
    let before = alice.engine.account.list.as_bytes().to_vec();
    alice.engine.remove_device(2).unwrap();
    let now = alice.engine.account.list.as_bytes().to_vec();
    bob.engine.transact(|work| work.note_struck(Some(&before), &now)).unwrap();
    let mut says = |post: &mut Post, text| {
        laptop.engine.send(laptop.talk(), text).unwrap();
        post.send(&mut laptop, log);
    };
    says(&mut post, "while nobody knew");
    // The commit is not there yet.
    for what in alice.engine.outgoing(&log, 0, 100).unwrap() {
        let id = what.id;
        let appended = post.append(log, what).unwrap();
        alice.engine.accepted(&log, &id, &appended).unwrap();
    }
    says(&mut post, "from a thief");
    post.bring_log(&mut bob, log);
    post.bring_log(&mut alice, log);
    assert_eq!([bob.texts(), alice.texts()], [["while nobody knew"]; 2]);
    assert_eq!(bob.engine.store.read().need_log(&log).unwrap().state, LogState::Live);
}

/// DEV-13, DEV-15: a linked device that the inbox is closed to says so once, and may be linked
/// anew; when it is let in again, that is over.
#[test]
fn shut_out_device_may_be_linked_anew() {
    let (_post, alice, mut laptop, _bob) = three();
    let relay = laptop.engine.own_address().to_owned();
    events(&mut laptop);
    let inbox = laptop.engine.account.inbox;
    for _ in 0..3 {
        laptop.engine.open_refused(&relay, &inbox, restante_spec::codes::Code::NotFound).unwrap();
    }
    assert_eq!(notices(&mut laptop), [Notice::ShutOut]);
    let opened = post::opened(restante_spec::ids::Epoch::new([0; 8]), Seq::START);
    laptop.engine.reading_place(&inbox, &opened).unwrap();
    assert_eq!(laptop.engine.relink(&alice.entrance()), Err(Error::NoLink));
    laptop.engine.open_refused(&relay, &inbox, restante_spec::codes::Code::NotFound).unwrap();
    assert_eq!(notices(&mut laptop), [Notice::ShutOut]);
    laptop.engine.relink(&alice.entrance()).unwrap();
    assert!(laptop.engine.link_code().unwrap().is_some());
}

/// DEV-15, REC-5: of a home that was copied the one that notices is linked anew, under another
/// number, keeps its history and goes on; into another account it is not linked.
#[test]
fn copied_home_is_linked_anew() {
    let (mut post, mut alice, laptop, mut bob) = three();
    bob.engine.send(bob.talk(), "before").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice]);
    let mut laptop = laptop.restart();
    let mut copy = laptop.copy();
    settle(&mut post, &mut [&mut laptop]);
    copy.engine.send(copy.talk(), "from the copy").unwrap();
    settle(&mut post, &mut [&mut copy, &mut laptop]);
    assert!(notices(&mut laptop).contains(&Notice::Cloned));
    assert_eq!(alice.engine.relink(&alice.entrance()), Err(Error::NoLink));
    let entrance = laptop.entrance();
    laptop.engine.relink(&entrance).unwrap();
    alice.engine.remove_device(2).unwrap();
    settle(&mut post, &mut [&mut alice, &mut bob, &mut laptop, &mut copy]);
    assert!(notices(&mut copy).contains(&Notice::Unlinked));
    let mut eve = person("Eve");
    let code = laptop.engine.link_code().unwrap().unwrap();
    eve.engine.link_device(&code, "").unwrap();
    post.do_jobs(&mut eve);
    post.bring_letters(&mut laptop);
    assert_eq!(laptop.engine.link_check().unwrap(), None);
    finish(&mut post, &mut alice, &mut laptop);
    settle(&mut post, &mut [&mut alice, &mut laptop]);
    bob.engine.send(bob.talk(), "after").unwrap();
    settle(&mut post, &mut [&mut bob, &mut alice, &mut laptop]);
    assert!(laptop.texts().contains(&"before".to_owned()), "{:?}", laptop.texts());
    assert_eq!(laptop.texts().last().unwrap(), "after");
    let numbers: Vec<_> = laptop.engine.devices().iter().map(|device| device.number).collect();
    assert_eq!(numbers, [1, 3]);
}
