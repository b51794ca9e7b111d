//! How people meet, and become a group.

use super::post::{Person, Post};
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
