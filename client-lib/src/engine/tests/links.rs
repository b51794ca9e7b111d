//! Links to groups: who takes one asks to be in the group, and is in it when that is agreed to.

use restante_spec::content::{Policy, Who};

use super::post::{Person, Post, events, person};
use super::*;
use crate::types::{Contact, ConversationId, Joins, Standing};

/// Alice and her group, and what a link to it needs.
struct Host {
    post: Post,
    alice: Person,
    group: ConversationId,
}

impl Host {
    fn new() -> Self {
        let (mut post, mut alice) = (Post::default(), person("Alice"));
        let group = alice.engine.create_group("friends", false).unwrap().id;
        post.round(&mut alice);
        Self { post, alice, group }
    }

    fn link(&mut self, accepts: bool) -> String {
        let options =
            InviteOptions { uses: 2, group: Some(self.group), accepts, ..InviteOptions::default() };
        let link = self.alice.engine.invite(options).unwrap();
        self.post.round(&mut self.alice);
        link.as_str().to_owned()
    }

    fn settle(&mut self, other: &mut Person) {
        for _ in 0..4 {
            self.post.round(&mut self.alice);
            self.post.round(other);
        }
    }

    fn is_in(&mut self, other: &mut Person) -> bool {
        let shown = other.engine.conversation(self.group);
        let members = self.alice.engine.group_members(self.group).unwrap();
        members.len() == 2 && shown.is_ok_and(|shown| shown.standing == Standing::Open)
    }

    fn friends(&self) -> Option<Joins> {
        Some(Joins { group: self.group, name: "friends".to_owned() })
    }
}

fn only(of: &Person) -> Contact {
    let mut all = of.engine.contacts().unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// INV-6: both sides see what is asked for; accepting the request is enough for both.
#[test]
fn who_takes_a_link_is_in_when_accepted() {
    let (mut host, mut bob) = (Host::new(), person("Bob"));
    let link = host.link(false);
    bob.engine.accept_invite(&link, None).unwrap();
    host.settle(&mut bob);
    assert!(!host.is_in(&mut bob));
    assert_eq!((only(&host.alice).joins, only(&bob).joins), (host.friends(), host.friends()));
    host.alice.engine.accept_contact(only(&host.alice).id).unwrap();
    host.settle(&mut bob);
    assert!(host.is_in(&mut bob));
    assert_eq!((only(&host.alice).joins, only(&bob).joins), (None, None));
    assert_eq!(only(&bob).state, ContactState::Active);
    bob.engine.send(host.group, "here I am").unwrap();
    host.settle(&mut bob);
    let read = host.alice.engine.history(host.group, None, 10).unwrap();
    assert_eq!(read.last().unwrap().text, "here I am");
}

/// INV-6: an open link lets everybody in who takes it, as many as it has uses.
#[test]
fn an_open_link_asks_nobody() {
    let mut host = Host::new();
    let link = host.link(true);
    let mut bob = person("Bob");
    bob.engine.accept_invite(&link, Some("hello")).unwrap();
    host.settle(&mut bob);
    assert!(host.is_in(&mut bob));
    assert_eq!(only(&host.alice).state, ContactState::Active);
}

/// INV-6: only the group that was asked for is agreed to, and only once.
#[test]
fn another_group_is_an_invitation_as_ever() {
    let (mut host, mut bob) = (Host::new(), person("Bob"));
    let link = host.link(false);
    bob.engine.accept_invite(&link, None).unwrap();
    host.settle(&mut bob);
    let who = only(&host.alice).id;
    host.alice.engine.accept_contact(who).unwrap();
    let other = host.alice.engine.create_group("others", false).unwrap().id;
    host.settle(&mut bob);
    host.alice.engine.add_member(other, who).unwrap();
    host.settle(&mut bob);
    assert_eq!(bob.engine.conversation(other).unwrap().standing, Standing::Invited);
    host.alice.engine.remove_member(host.group, who).unwrap();
    host.settle(&mut bob);
    assert_eq!(bob.engine.conversation(host.group).unwrap().standing, Standing::Removed);
    host.alice.engine.add_member(host.group, who).unwrap();
    host.settle(&mut bob);
    assert_eq!(bob.engine.conversation(host.group).unwrap().standing, Standing::Invited);
}

/// INV-6, CNV-15: who may not add people makes no link; who no longer may when a request is
/// accepted becomes a contact all the same, and hears that nobody was added.
#[test]
fn a_link_gives_no_right_its_maker_lacks() {
    let (mut host, mut bob) = (Host::new(), person("Bob"));
    let strict = Policy { adders: Who::Administrators, ..Policy::default() };
    host.alice.engine.set_policy(host.group, strict).unwrap();
    let link = host.link(false);
    bob.engine.accept_invite(&link, None).unwrap();
    host.settle(&mut bob);
    let who = only(&host.alice).id;
    host.alice.engine.leave_group(host.group).unwrap();
    host.alice.engine.accept_contact(who).unwrap();
    host.settle(&mut bob);
    let told = events(&mut host.alice);
    let cannot = |event: &Event| matches!(event, Event::Notice(Notice::CannotAdd { .. }));
    assert!(told.iter().any(cannot), "{told:?}");
    assert_eq!(only(&bob).state, ContactState::Active);
    assert!(bob.engine.conversation(host.group).is_err());
    let options = InviteOptions { group: Some(host.group), ..InviteOptions::default() };
    let refused = host.alice.engine.invite(options);
    assert!(matches!(refused, Err(Error::WrongStanding { .. })), "{refused:?}");
}

/// INV-6: a contact takes a link too: they are in when that is agreed to, or at once if the link is
/// open; nothing else changes between the two, and what waits on another device is done with.
#[test]
fn contacts_take_links_too() {
    for accepts in [false, true] {
        let (mut host, mut bob) = (Host::new(), person("Bob"));
        let invite = host.alice.engine.invite(InviteOptions::default()).unwrap();
        host.post.round(&mut host.alice);
        bob.engine.accept_invite(invite.as_str(), None).unwrap();
        host.settle(&mut bob);
        host.alice.engine.accept_contact(only(&host.alice).id).unwrap();
        host.settle(&mut bob);
        let link = host.link(accepts);
        bob.engine.accept_invite(&link, Some("by the link")).unwrap();
        let again = bob.engine.accept_invite(&link, None);
        assert_eq!(again, Err(Error::WrongState { state: ContactState::Active }));
        host.settle(&mut bob);
        let asks = only(&host.alice);
        assert_eq!(host.is_in(&mut bob), accepts);
        if !accepts {
            assert_eq!((only(&bob).joins, asks.joins), (host.friends(), host.friends()));
            host.alice.engine.accept_contact(asks.id).unwrap();
            host.settle(&mut bob);
            assert!(host.is_in(&mut bob));
        }
        for one in [&host.alice, &bob] {
            assert_eq!((only(one).state, only(one).joins), (ContactState::Active, None));
        }
        assert_eq!(host.alice.history().last().unwrap().text, "by the link");
    }
}

/// INV-6: a contact's wish can be refused, and stays a contact; a link into no group asks for
/// nothing, and that is told.
#[test]
fn wishes_of_contacts_can_be_refused() {
    let (mut host, mut bob) = (Host::new(), person("Bob"));
    let link = host.link(false);
    bob.engine.accept_invite(&link, None).unwrap();
    host.settle(&mut bob);
    let who = only(&host.alice).id;
    host.alice.engine.accept_contact(who).unwrap();
    host.settle(&mut bob);
    host.alice.engine.remove_member(host.group, who).unwrap();
    host.settle(&mut bob);
    bob.engine.accept_invite(&link, None).unwrap();
    host.settle(&mut bob);
    assert_eq!(only(&host.alice).joins, host.friends());
    let left = host.alice.engine.decline_contact(who).unwrap();
    assert_eq!((left.state, left.joins), (ContactState::Active, None));
    let plain = host.alice.engine.invite(InviteOptions::default()).unwrap();
    host.post.round(&mut host.alice);
    events(&mut bob);
    bob.engine.accept_invite(plain.as_str(), None).unwrap();
    host.settle(&mut bob);
    let told = events(&mut bob);
    let refused = |event: &Event| matches!(event, Event::Notice(Notice::LinkRefused { .. }));
    assert!(told.iter().any(refused), "{told:?}");
    assert_eq!((only(&bob).state, only(&bob).joins), (ContactState::Active, None));
}

/// IDN-7: what stands in a letter that was written before its writer's newest list counts; the
/// list in it does not.
#[test]
fn letter_with_an_older_list_counts() {
    let (mut host, mut bob) = (Host::new(), person("Bob"));
    let link = host.link(true);
    host.post.introduce(&mut host.alice, &mut bob, None);
    bob.engine.accept_invite(&link, None).unwrap();
    host.post.do_jobs(&mut bob);
    super::devices::link(&mut host.post, &mut bob);
    let direct = host.alice.log_with("Bob");
    host.post.bring_log(&mut host.alice, direct);
    let known = |alice: &Person| {
        let id = alice.knows("Bob").id;
        alice.engine.store.read().need_contact(id).unwrap().devices
    };
    let newest = known(&host.alice);
    assert_eq!(newest.as_deref(), Some(bob.engine.account.list.as_bytes()));
    events(&mut host.alice);
    host.post.bring_letters(&mut host.alice);
    let junk = Event::Notice(Notice::Junk { conversation: None });
    assert!(!events(&mut host.alice).contains(&junk));
    assert_eq!(known(&host.alice), newest);
    host.settle(&mut bob);
    assert!(host.is_in(&mut bob));
}
