//! What fits no record or letter: stored before it is told of, fetched before anything goes on.

use restante_spec::limits::COMMIT_READERS;

use super::post::{Person, Post, person};
use super::*;
use crate::store::{LogState, Wish};
use crate::transfer::{TransferFailure, TransferState};
use crate::types::{ContactState, ConversationId, Standing};

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

/// REC-6, CNT-6: the commit leaves when its blobs are stored; members read it, and nothing behind
/// it, when they have fetched it; who was added joins when it has fetched its Welcome.
#[test]
fn a_large_commit_waits_for_its_blobs() {
    let mut crowd = Crowd::new();
    let mut last = crowd.add_as_many("second");
    let log = crowd.log();
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
    assert!(bob.engine.conversations_on(bob.engine.own_address()).unwrap().len() < 2);
    assert!(bob.engine.history(crowd.id, None, 10).unwrap().iter().all(|m| m.text != "to all"));
    let mut bob = bob.restart();
    crowd.post.move_blobs(&mut bob);
    crowd.post.bring_log(&mut bob, log);
    assert!(bob.engine.history(crowd.id, None, 10).unwrap().iter().any(|m| m.text == "to all"));
    assert_eq!(bob.engine.group_members(crowd.id).unwrap().len(), 2 + 2 * COMMIT_READERS);

    crowd.post.do_jobs(&mut alice);
    crowd.post.bring_letters(&mut last);
    assert!(last.engine.conversation(crowd.id).is_err());
    crowd.post.move_blobs(&mut last);
    last.engine.housekeeping(true).unwrap();
    assert_eq!(last.engine.conversation(crowd.id).unwrap().standing, Standing::Invited);
    let folder = bob.home.path().join("files");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "what was read is not kept");
}

/// REC-6: a relay that takes no blob gets no commit that names one: it is made anew after a while,
/// and nothing of it is pending until then.
#[test]
fn a_commit_whose_blob_is_refused_is_made_anew() {
    let mut crowd = Crowd::new();
    crowd.add_as_many("second");
    let log = crowd.log();
    crowd.post.bring_log(&mut crowd.alice, log);
    assert!(crowd.alice.engine.commit(&log).unwrap().is_none());
    for mut row in crowd.alice.engine.owed_transfers().unwrap() {
        (row.state, row.owed) = (TransferState::Failed(TransferFailure::Full), false);
        crowd.alice.engine.store.write(|db| db.set_transfer(&row)).unwrap();
    }
    assert!(crowd.alice.engine.commit(&log).unwrap().is_none());
    assert!(!crowd.alice.engine.wants_commit(&log).unwrap());
    crowd.alice.engine.send(crowd.id, "meanwhile").unwrap();
    crowd.post.send(&mut crowd.alice, log);
    let later = crowd.alice.engine.now.after(crate::limits::LARGE_RETRY);
    crowd.alice.engine.set_now(later);
    assert!(crowd.alice.engine.wants_commit(&log).unwrap());
    let wishes = crowd.alice.engine.store.read().wishes(&log).unwrap();
    let adds = wishes.iter().filter(|wish| matches!(wish.what, Wish::Add { .. }));
    assert_eq!(adds.count(), COMMIT_READERS);
}

/// REC-6: a log whose blob is nowhere cannot be read on, and that is said.
#[test]
fn a_log_whose_blob_is_gone_cannot_be_read_on() {
    let mut crowd = Crowd::new();
    crowd.add_as_many("second");
    let log = crowd.log();
    crowd.post.bring_log(&mut crowd.alice, log);
    crowd.alice.engine.commit(&log).unwrap();
    crowd.post.move_blobs(&mut crowd.alice);
    let commit = crowd.alice.engine.commit(&log).unwrap().unwrap();
    crowd.post.append(log, commit).unwrap();
    crowd.post.bring_log(&mut crowd.bob, log);
    for mut row in crowd.bob.engine.owed_transfers().unwrap() {
        (row.state, row.owed) = (TransferState::Failed(TransferFailure::Gone), false);
        crowd.bob.engine.store.write(|db| db.set_transfer(&row)).unwrap();
    }
    crowd.post.bring_log(&mut crowd.bob, log);
    let row = crowd.bob.engine.store.read().need_log(&log).unwrap();
    assert_eq!(row.state, LogState::Gone);
    assert_eq!(crowd.bob.contact().state, ContactState::Active);
}
