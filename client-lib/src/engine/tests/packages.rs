//! Key packages: those no group takes, and those that lie at a relay.

use data_encoding::HEXLOWER;
use restante_crypto::{KeyPackage, Suite};
use restante_spec::content::LetterContent;
use restante_spec::ids::Incarnation;
use restante_spec::message::PrekeyCount;

use super::post::{Person, Post, events, person, wait};
use super::*;
use crate::limits::{LAST_RESORT_EVERY, PREKEYS_LOW};
use crate::store::{JobKind, Wish};

/// Two key packages of another implementation, for the classical suite and of two accounts. Either
/// is good; but both devices say that they have the same encryption key, and MLS takes no two of
/// that kind into a group.
const TWINS: [&str; 2] = [
    "00010003209152e408dd45e49e0938f1454940f5aba286b3c157daa2f17c55f6b608404079209e2c8d18e49d\
     65213016252770721a40ffaa6fcc5537c8bfb6e10bc36003182d206ee091fd280a9b68554fa73c588125d47d\
     3425c68a26ba236b4dad90f90a8f920001408e01bc7cbcb5636375fa1d82434d466724d92377f53b980695dd\
     49d26d0ce12205a56ee091fd280a9b68554fa73c588125d47d3425c68a26ba236b4dad90f90a8f9200000001\
     000000000000000100e6e185ee8afb33017b3e001abb875658a2495f5022c738612cf2261c97ea4a38bda2ef\
     9f04a5614c98389ec3a4e59f17cad431f75a07b6774d38f62c0187ab0c02000104004e000304f0a1f0a20002\
     0001010000000000000000ffffffffffffffff23f0a1204bf5122f344554c53bde2ebb8cd2b7e3d1600ad631\
     c385a5d7cce23c7785459a4040fd47cd75d6a23f6bcf40bf70fd3b5e6d536f1f2fc566bf047e2a5eb855d98e\
     6b0bf5fbbb50f296700804e537098b969e1d0108d010513d0b99a86d132c3a5d0e004040262ec747a5511270\
     29ee23fd778bece1f5487335229e498e1ae60bc2ef80ee30af33e97754b244e538302d6787149965a2cb95aa\
     8bdcf56a8006dc655f5a4107",
    "000100032097f8ebd37edfb8588f3ab0a1f6579ca9e7e87a51f1014664d206eee5c6121e1a209e2c8d18e49d\
     65213016252770721a40ffaa6fcc5537c8bfb6e10bc36003182d2041e8fde132ad670e534cd8b275d2cd7eec\
     77733c66f8db48a1cada7fabfc45550001408e0165e8f9b0bc6eae124169f0576f97362d295a8cf5f770b45e\
     14357ce647d33eec41e8fde132ad670e534cd8b275d2cd7eec77733c66f8db48a1cada7fabfc455500000001\
     000000000000000100cbca29b6f04b93cc16876ec7eec3882d7a1cda92bc9e14bf7e22ddbc69c9e9d6c6e493\
     ef81ec3d527fdc416e5a5dd3d2d3dbbe6b91212be67419007875fada0602000104004e000304f0a1f0a20002\
     0001010000000000000000ffffffffffffffff23f0a120dbc1b4c900ffe48d575b5da5c638040125f65db0fe\
     3e24494b76ea986457d9864040b3776338ef7aab8d618556e1c5ba65762bfafa080f782de05dfcb069296ab3\
     9a2aec1de8a0854eb80eeae4d750fc93ae718af6f2f36c3b1150aee97f71df1208004040618fb93659b11d79\
     4de2d08546cfa0f6eac43e6c00f5a6b2581276241656735e58d85d6e4c206b3f31a4a1fed9a23e427217992c\
     8959746c04026bada00c0902",
];

/// How often somebody was told since the last look that an account cannot be added.
fn unaddable(person: &mut Person) -> usize {
    let told = events(person).into_iter();
    told.filter(|event| matches!(event, Event::Notice(Notice::CannotAdd { .. }))).count()
}

/// CNV-2, CNV-4. Once a first letter that brought a package for the other suite had its reader make
/// a commit that was refused, each second anew, and nothing else was done meanwhile.
#[test]
fn package_for_another_suite_adds_nobody() {
    let (mut post, mut alice, mut bob) = (Post::default(), person("Alice"), person("Bob"));
    post.ask(&mut alice, &mut bob, None);
    let make = |work: &mut Work<'_>| work.make_key_package(Suite::Classical, false);
    let package = bob.engine.transact(make).unwrap();
    let who = alice.contact().id;
    let bring = |work: &mut Work<'_>| {
        let mut contact = work.db.need_contact(who)?;
        let letter = LetterContent::decode(contact.request.as_deref().unwrap());
        let Ok(LetterContent::First(mut first)) = letter else { panic!("no first letter") };
        first.key_packages = vec![package];
        contact.request = Some(LetterContent::First(first).encode().unwrap().to_vec());
        work.put_contact(&contact)
    };
    alice.engine.transact(bring).unwrap();
    alice.engine.accept_contact(who).unwrap();
    events(&mut alice);
    post.round(&mut alice);
    assert_eq!(unaddable(&mut alice), 1);
    let log = alice.log();
    assert!(alice.engine.store.read().wishes(&log).unwrap().is_empty());
    assert_eq!(alice.engine.transact(|work| work.members(&log)).unwrap().len(), 1);
}

/// CNV-4. Once two packages that MLS takes into no group together kept a commit from being made,
/// and with it all else that was wished for there.
#[test]
fn packages_that_go_into_no_group_together_hold_up_nothing() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    let group = alice.engine.create_group("friends", true).unwrap().id;
    post.round(&mut alice);
    let log = alice.engine.store.read().need_conversation(group).unwrap().log.unwrap();
    let wish = |work: &mut Work<'_>| {
        TWINS.iter().try_for_each(|twin| {
            let package = HEXLOWER.decode(twin.as_bytes()).unwrap();
            let account = *KeyPackage::parse(&package)?.device().account().key().as_bytes();
            let wish = Wish::Add { account, packages: vec![package], missing: 0 };
            work.db.put_wish(&log, &wish, work.now)
        })
    };
    alice.engine.transact(wish).unwrap();
    alice.engine.set_group_name(group, "more friends").unwrap();
    events(&mut alice);
    post.round(&mut alice);
    assert_eq!(alice.engine.conversation(group).unwrap().name, "more friends");
    assert_eq!(alice.engine.group_members(group).unwrap().len(), 2);
    // One goes with no other, the other one cannot be written to.
    assert_eq!(unaddable(&mut alice), 2);
    assert!(alice.engine.store.read().wishes(&log).unwrap().is_empty());
}

/// CNV-4. Once a package of last resort was laid for ever.
#[test]
fn last_resorts_are_replaced_by_their_age() {
    let (mut post, mut alice) = (Post::default(), person("Alice"));
    post.do_jobs(&mut alice);
    let slots = alice.engine.account.prekey_slots().unwrap();
    let counts = slots.map(|slot| PrekeyCount { slot, count: PREKEYS_LOW, last_resort: true });
    let mut replaces = |alice: &mut Person| {
        alice.engine.prekeys_left(&counts).unwrap();
        let inbox = alice.engine.account.inbox;
        let replaces = alice.engine.store.read().has_job(&inbox, JobKind::PutLastResort).unwrap();
        post.do_jobs(alice);
        replaces
    };
    // How old those are that are there is not known.
    assert!(replaces(&mut alice) && !replaces(&mut alice));
    wait(&mut alice, Duration::from_secs(u64::from(LAST_RESORT_EVERY.get()) - 1));
    assert!(!replaces(&mut alice));
    wait(&mut alice, Duration::from_secs(1));
    assert!(replaces(&mut alice) && !replaces(&mut alice));
}

/// Adds Bob to a new group of Alice's; whether he has heard of it.
fn adds(post: &mut Post, alice: &mut Person, bob: &mut Person) -> bool {
    let group = alice.engine.create_group("friends", false).unwrap().id;
    alice.engine.add_member(group, alice.contact().id).unwrap();
    for _ in 0..2 {
        post.round(alice);
        post.round(bob);
    }
    bob.engine.conversation(group).is_ok()
}

/// MBX-20. Once a restored relay gave a prekey again that was used after the backup: its private
/// part was gone, so that a member was shown who had heard of nothing.
#[test]
fn prekeys_of_before_a_restore_are_given_to_nobody() {
    let (mut post, mut alice, mut bob) = friends();
    let backup = post.hide_prekeys(1);
    post.show_prekeys(backup.clone());
    assert!(adds(&mut post, &mut alice, &mut bob));
    let theirs = backup[0].iter().filter(|((inbox, _), _)| *inbox == bob.engine.account.inbox);
    let counts = theirs.map(|((_, slot), left)| {
        let count = u32::try_from(left.len()).unwrap();
        PrekeyCount { slot: *slot, count, last_resort: true }
    });
    let counts: Vec<PrekeyCount> = counts.collect();
    post.show_prekeys(backup);
    let relay = bob.engine.own_address().to_owned();
    for incarnation in [1, 2] {
        bob.engine.note_incarnation(&relay, &Incarnation::new([incarnation; 16])).unwrap();
    }
    bob.engine.prekeys_left(&counts).unwrap();
    post.do_jobs(&mut bob);
    assert!(adds(&mut post, &mut alice, &mut bob));
}
