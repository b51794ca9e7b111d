//! How people meet, and become a group.

use super::groups::group_named;
use super::post::{Person, Post, person};
use crate::types::{ContactId, ConversationId, InviteOptions};

impl Post {
    /// Lets two people meet who may know others already; gives what each calls the other.
    pub(super) fn befriend(
        &mut self,
        alice: &mut Person,
        bob: &mut Person,
    ) -> (ContactId, ContactId) {
        let link = alice.engine.invite(InviteOptions::default()).unwrap();
        self.do_jobs(alice);
        let of_alice = bob.engine.accept_invite(link.as_str(), None).unwrap().id;
        self.do_jobs(bob);
        self.bring_letters(alice);
        let of_bob = bob.engine.own_id().unwrap();
        alice.engine.accept_contact(of_bob).unwrap();
        for _ in 0..2 {
            self.round(alice);
            self.round(bob);
        }
        self.round(alice);
        (of_bob, of_alice)
    }

    /// A group of the first, with the others as members.
    pub(super) fn group(&mut self, people: &mut [&mut Person]) -> ConversationId {
        let [first, others @ ..] = people else { panic!("nobody") };
        let group = first.engine.create_group("Group", false).unwrap().id;
        self.round(first);
        for other in others {
            self.befriend(first, other);
            first.engine.add_member(group, other.engine.own_id().unwrap()).unwrap();
            self.round(first);
            self.round(other);
            other.engine.accept_group(group).unwrap();
        }
        for _ in 0..3 {
            for person in people.iter_mut() {
                self.round(person);
            }
        }
        group
    }
}

/// Once a contact who knew a group's id took the place of somebody else's invitation to it, or of
/// the group where it did not go on (CNV-13).
#[test]
fn no_invitation_takes_the_place_of_anothers() {
    let mut post = Post::default();
    let [mut alice, mut bob, mut mallory] = ["Alice", "Bob", "Mallory"].map(person);
    post.befriend(&mut alice, &mut bob);
    post.befriend(&mut mallory, &mut bob);
    let who = bob.engine.own_id().unwrap();
    let group = alice.engine.create_group("Group", false).unwrap().id;
    let named = group_named(&mut mallory, group);
    for (inviter, id) in [(&mut alice, group), (&mut mallory, named)] {
        post.round(inviter);
        inviter.engine.add_member(id, who).unwrap();
        for _ in 0..2 {
            post.round(inviter);
            post.round(&mut bob);
        }
    }
    let joined = bob.engine.store.read().need_conversation(group).unwrap().log;
    assert_eq!(joined, alice.engine.store.read().need_conversation(group).unwrap().log);
    bob.engine.accept_group(group).unwrap();
    assert_eq!(bob.engine.group_members(group).unwrap().len(), 2);
}
