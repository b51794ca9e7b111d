//! The inbox: a letter that cannot be taken keeps nobody from those behind it.

use restante_spec::ids::PublicKey;
use zeroize::Zeroizing;

use super::post::{EXPIRES, Person, Post, events, person};
use super::*;
use crate::store::{InviteRow, LogRow, LogState, Meta};
use crate::types::{ContactState, InviteOptions, Standing};

/// Somebody takes a link, and the letter about it is at the relay.
fn take(post: &mut Post, name: &str, link: &str) {
    let mut guest = person(name);
    guest.engine.accept_invite(link, None).unwrap();
    post.do_jobs(&mut guest);
}

fn states(person: &Person) -> Vec<ContactState> {
    person.engine.contacts().unwrap().into_iter().map(|contact| contact.state).collect()
}

/// LET-6: once a letter that met something damaged here was read again and again, and none of those
/// behind it.
#[test]
fn a_letter_that_cannot_be_taken_is_dropped() {
    let (mut post, mut alice, mut bob) = friends();
    let link = alice.engine.invite(InviteOptions::default()).unwrap();
    post.do_jobs(&mut alice);
    // The secret of a newer invite is none, and that one is tried first.
    let damaged = InviteRow {
        key: PublicKey::new([1; 32]),
        invite: Zeroizing::new(Vec::new()),
        secret: Zeroizing::new(vec![2]),
        uses: 1,
        expires_at: EXPIRES,
        created_at: EXPIRES,
        group: None,
        accepts: false,
    };
    alice.engine.store.write(|db| db.put_invite(&damaged)).unwrap();
    take(&mut post, "Carol", link.as_str());
    let group = bob.engine.create_group("behind it", false).unwrap().id;
    bob.engine.add_member(group, bob.contact().id).unwrap();
    for _ in 0..2 {
        post.round(&mut bob);
    }
    post.bring_letters(&mut alice);
    let told = events(&mut alice);
    assert!(told.contains(&Event::Notice(Notice::Junk { conversation: None })), "{told:?}");
    assert_eq!(states(&alice), [ContactState::Active], "Bob alone");
    assert_eq!(alice.engine.conversation(group).unwrap().standing, Standing::Invited);
}

/// LET-6: of a letter that is dropped nothing stays, also not of what was tried within.
#[test]
fn nothing_stays_of_a_letter_that_is_dropped() {
    let mut alice = person("Alice");
    let tried = alice.engine.transact(|work| {
        work.attempt_letter(|work| {
            work.db.set_meta(Meta::OwesStates, &[1])?;
            work.attempt(|work| {
                work.db.set_meta(Meta::ShutOut, &[1])?;
                Err::<(), _>(Error::NotAMember)
            })
        })
    });
    assert_eq!(tried, Ok(None));
    for which in [Meta::OwesStates, Meta::ShutOut] {
        assert!(alice.engine.store.read().meta(which).unwrap().is_none(), "{which:?}");
    }
}

/// LET-6: once a home that was copied read nothing behind a letter by a link that accepts
/// everybody: who takes one waits.
#[test]
fn who_asks_a_copied_home_waits() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let options = InviteOptions { uses: 2, accepts: true, ..InviteOptions::default() };
    let link = alice.engine.invite(options).unwrap();
    post.do_jobs(&mut alice);
    alice.engine.transact(|work| work.db.set_meta(Meta::Cloned, &[1])).unwrap();
    for name in ["Bob", "Carol"] {
        take(&mut post, name, link.as_str());
    }
    post.bring_letters(&mut alice);
    assert_eq!(states(&alice), [ContactState::Incoming; 2]);
}

/// LET-6, INV-6: once a link to a group in whose tree this device is not yet kept it from all other
/// letters: who takes one becomes a contact, and that nobody was added is told.
#[test]
fn a_link_to_a_group_that_is_waited_for_adds_nobody() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let group = alice.engine.create_group("friends", false).unwrap().id;
    post.round(&mut alice);
    let options = InviteOptions { group: Some(group), accepts: true, ..InviteOptions::default() };
    let link = alice.engine.invite(options).unwrap();
    post.do_jobs(&mut alice);
    let mailbox = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    let left_out = alice.engine.transact(|work| {
        work.forget_group(&mailbox)?;
        let log = work.db.need_log(&mailbox)?;
        work.db.put_log(&LogRow { state: LogState::Gone, ..log })
    });
    left_out.unwrap();
    take(&mut post, "Bob", link.as_str());
    post.bring_letters(&mut alice);
    let told = events(&mut alice);
    let cannot = |event: &Event| matches!(event, Event::Notice(Notice::CannotAdd { .. }));
    assert!(told.iter().any(cannot), "{told:?}");
    assert_eq!(states(&alice), [ContactState::Active]);
}
