//! What fits no record or letter: stored before it is told of, fetched before anything goes on.

use restante_spec::limits::COMMIT_READERS;

use super::post::{Person, Post, person};
use super::*;
use crate::store::{LogState, Wish};
use crate::transfer::{TransferFailure, TransferState};
use crate::types::{ConversationId, Standing};

/// Alice, Bob who is in her group, and a commit of hers that adds as many as one can.
struct Crowd {
    post: Post,
    alice: Person,
    bob: Person,
    id: ConversationId,
}

impl Crowd {
    /// The group has Alice, Bob and as many who have not answered yet; another commit that adds as
    /// many is wished for: too large for a record, and its Welcome for a letter.
    fn new() -> Self {
        let (mut post, mut alice, mut bob) = friends();
        let id = alice.engine.create_group("crowd", false).unwrap().id;
        alice.engine.add_member(id, alice.contact().id).unwrap();
        for _ in 0..2 {
            post.round(&mut alice);
            post.round(&mut bob);
        }
        bob.engine.accept_group(id).unwrap();
        let mut crowd = Self { post, alice, bob, id };
        crowd.add_as_many("first");
        // Its Welcome is too large already, the commit is not.
        crowd.post.round(&mut crowd.alice);
        crowd.post.move_blobs(&mut crowd.alice);
        crowd.post.round(&mut crowd.alice);
        crowd.post.round(&mut crowd.bob);
        assert_eq!(crowd.alice.engine.group_members(id).unwrap().len(), 2 + COMMIT_READERS);
        crowd
    }

    /// Wishes to add as many strangers as one commit holds; gives the last one.
    fn add_as_many(&mut self, names: &str) -> Person {
        let mut last = None;
        for number in 0..COMMIT_READERS {
            let mut friend = person(&format!("{names} {number}"));
            self.post.ask(&mut self.alice, &mut friend, None);
            let who = self.alice.knows(&format!("{names} {number}")).id;
            self.alice.engine.accept_contact(who).unwrap();
            self.post.do_jobs(&mut self.alice);
            self.alice.engine.add_member(self.id, who).unwrap();
            self.post.do_jobs(&mut self.alice);
            last = Some(friend);
        }
        last.unwrap()
    }

    fn log(&self) -> restante_spec::ids::MailboxId {
        self.alice.engine.store.read().need_conversation(self.id).unwrap().log.unwrap()
    }
}

/// REC-6, CNT-6: a commit leaves when its blobs are stored, and is made anew after a while if they
/// are refused; members read it, and nothing behind it, when they have fetched it; who was added
/// joins when it has fetched its Welcome; a log whose blob is nowhere cannot be read on.
#[test]
fn a_large_commit_waits_for_its_blobs() {
    let mut crowd = Crowd::new();
    let mut last = crowd.add_as_many("second");
    let log = crowd.log();
    crowd.refuse_the_first_blobs();
    crowd.post.bring_log(&mut crowd.alice, log);
    assert!(crowd.alice.engine.commit(&log).unwrap().is_none());
    let mut alice = crowd.alice.restart();
    assert!(alice.engine.commit(&log).unwrap().is_none());
    assert!(alice.engine.transfers().unwrap().is_empty(), "an app is not told of them");
    crowd.post.move_blobs(&mut alice);
    let commit = alice.engine.commit(&log).unwrap().expect("its blobs are stored");
    assert_eq!(commit.commit.as_ref().unwrap().blobs.len(), 2);
    crowd.post.append(log, commit).unwrap();
    crowd.post.bring_log(&mut alice, log);
    alice.engine.send(crowd.id, "to all").unwrap();
    crowd.post.send(&mut alice, log);

    let mut bob = crowd.bob;
    crowd.post.bring_log(&mut bob, log);
    let own = bob.engine.own_address().to_owned();
    assert!(!bob.engine.conversations_on(&own).unwrap().contains(&log));
    assert!(bob.engine.waits_for_blobs(&own).unwrap());
    let mut bob = bob.restart();
    fetches_in_vain(&mut crowd.post, &mut bob.copy(), log);
    crowd.post.move_blobs(&mut bob);
    crowd.post.bring_log(&mut bob, log);
    assert!(bob.engine.history(crowd.id, None, 10).unwrap().iter().any(|m| m.text == "to all"));
    assert_eq!(bob.engine.group_members(crowd.id).unwrap().len(), 2 + 2 * COMMIT_READERS);
    let folder = bob.home.path().join("files");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "what was read is not kept");

    crowd.post.do_jobs(&mut alice);
    crowd.post.bring_letters(&mut last);
    assert!(last.engine.conversation(crowd.id).is_err());
    crowd.post.move_blobs(&mut last);
    last.engine.housekeeping(true).unwrap();
    assert_eq!(last.engine.conversation(crowd.id).unwrap().standing, Standing::Invited);
}

impl Crowd {
    /// The relay takes no blobs at first: nothing is pending until a later try, and what is said
    /// meanwhile goes out.
    fn refuse_the_first_blobs(&mut self) {
        let (log, alice) = (self.log(), &mut self.alice);
        self.post.bring_log(alice, log);
        assert!(alice.engine.commit(&log).unwrap().is_none());
        fail_transfers(alice, TransferFailure::Full);
        assert!(alice.engine.commit(&log).unwrap().is_none());
        assert!(!alice.engine.wants_commit(&log).unwrap());
        alice.engine.send(self.id, "meanwhile").unwrap();
        self.post.send(alice, log);
        alice.engine.set_now(alice.engine.now.after(crate::limits::LARGE_RETRY));
        let wishes = alice.engine.store.read().wishes(&log).unwrap();
        let adds = wishes.iter().filter(|wish| matches!(wish.what, Wish::Add { .. }));
        assert_eq!(adds.count(), COMMIT_READERS);
    }
}

/// The relay does not have what the log says is there.
fn fetches_in_vain(post: &mut Post, member: &mut Person, log: restante_spec::ids::MailboxId) {
    fail_transfers(member, TransferFailure::Gone);
    post.bring_log(member, log);
    assert_eq!(member.engine.store.read().need_log(&log).unwrap().state, LogState::Gone);
}

fn fail_transfers(person: &mut Person, failure: TransferFailure) {
    for mut row in person.engine.owed_transfers().unwrap() {
        (row.state, row.owed) = (TransferState::Failed(failure), false);
        person.engine.store.write(|db| db.set_transfer(&row)).unwrap();
    }
}
