//! Groups: who comes in and goes, what is agreed on, who of several commits wins, and what members
//! see of it.

use std::time::Duration;

use restante_crypto::{SigningKey, Suite, random_bytes};
use restante_spec::content::{GroupKind, GroupState, Policy, Role, Who};
use restante_spec::ids::Seconds;

use super::post::{Person, Post, events, person, wait};
use super::trio::Trio;
use super::*;
use crate::limits::{RENEW_PAUSE, RENEW_SPREAD, UPDATE_EVERY};
use crate::store::{ConversationRow, LogState, Wish};
use crate::types::{
    Conversation, ConversationId, ConversationKind, GroupChange, GroupMember, MessageKind, Standing,
};

/// Alice, who made the group, and those she has added to it.
struct Circle {
    post: Post,
    people: Vec<Person>,
    id: ConversationId,
}

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

impl Circle {
    /// A group of Alice, Bob and Carol; the two know each other only from it.
    fn new() -> Self {
        let (mut post, mut alice) = (Post::default(), person("Alice"));
        let mut people = Vec::new();
        for name in ["Bob", "Carol"] {
            let mut friend = person(name);
            post.introduce(&mut alice, &mut friend, None);
            people.push(friend);
        }
        let id = alice.engine.create_group("friends", false).unwrap().id;
        people.insert(ALICE, alice);
        let mut circle = Self { post, people, id };
        circle.add("Bob");
        circle.add("Carol");
        circle
    }

    /// Alice adds somebody, who agrees.
    fn add(&mut self, name: &str) {
        let who = self.people[ALICE].knows(name).id;
        self.people[ALICE].engine.add_member(self.id, who).unwrap();
        self.settle();
        let added = self.people.iter_mut().find(|p| p.engine.nickname().unwrap() == name);
        added.unwrap().engine.accept_group(self.id).unwrap();
        self.settle();
    }

    /// Everybody does and hears what there is.
    fn settle(&mut self) {
        for _ in 0..3 {
            for person in &mut self.people {
                self.post.round(person);
            }
        }
    }

    fn say(&mut self, who: usize, text: &str) {
        self.people[who].engine.send(self.id, text).unwrap();
    }

    /// What somebody reads: texts, and what happened to the group.
    fn reads(&self, who: usize) -> Vec<String> {
        let history = self.people[who].engine.history(self.id, None, 1_000).unwrap();
        let texts = history.iter().filter(|message| message.kind == MessageKind::Text);
        texts.map(|message| message.text.clone()).collect()
    }

    fn changes(&self, who: usize) -> Vec<GroupChange> {
        let history = self.people[who].engine.history(self.id, None, 1_000).unwrap();
        history.into_iter().flat_map(|message| message.changes).collect()
    }

    fn shown(&mut self, who: usize) -> Conversation {
        self.people[who].engine.conversation(self.id).unwrap()
    }

    fn members(&mut self, who: usize) -> Vec<GroupMember> {
        self.people[who].engine.group_members(self.id).unwrap()
    }

    fn names(&mut self, who: usize) -> Vec<String> {
        self.members(who).into_iter().map(|member| member.nickname).collect()
    }

    fn role_of(&mut self, seen_by: usize, name: &str) -> Role {
        let members = self.members(seen_by);
        members.into_iter().find(|member| member.nickname == name).unwrap().role
    }

    fn id_of(&self, who: usize) -> crate::types::ContactId {
        self.people[who].engine.own_id().unwrap()
    }

    fn log(&self, who: usize) -> restante_spec::ids::MailboxId {
        let row = self.people[who].engine.store.read().need_conversation(self.id).unwrap();
        row.log.unwrap()
    }

    /// A wish that this client's own rules would not let its person have.
    fn force(&mut self, who: usize, wish: &Wish) {
        let log = self.log(who);
        let now = self.people[who].engine.now;
        self.people[who].engine.store.write(|db| db.put_wish(&log, wish, now)).unwrap();
    }
}

/// Everybody reads the same in the same order and knows the others' names, also of those they were
/// never in touch with.
#[test]
fn members_read_one_order_and_know_each_other() {
    let mut circle = Circle::new();
    for (who, text) in [(CAROL, "one"), (ALICE, "two"), (BOB, "three"), (CAROL, "four")] {
        circle.say(who, text);
        circle.settle();
    }
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(circle.reads(who), ["one", "two", "three", "four"]);
        let mut names = circle.names(who);
        names.sort();
        assert_eq!(names, ["Alice", "Bob", "Carol"]);
    }
    let history = circle.people[BOB].engine.history(circle.id, None, 10).unwrap();
    let of_carol = history.iter().filter(|message| message.author == Some(circle.id_of(CAROL)));
    assert_eq!(of_carol.count(), 2);
}

/// Nothing connects to the relay of a group before the person has agreed, and who declines is asked
/// nothing more.
#[test]
fn a_group_waits_until_the_person_agrees() {
    let (mut post, mut alice, mut bob) = friends();
    let id = alice.engine.create_group("friends", false).unwrap().id;
    alice.engine.add_member(id, alice.contact().id).unwrap();
    for _ in 0..2 {
        post.round(&mut alice);
        post.round(&mut bob);
    }
    let invited = bob.engine.conversation(id).unwrap();
    assert_eq!((invited.standing, invited.name.as_str()), (Standing::Invited, "friends"));
    let log = bob.engine.store.read().need_conversation(id).unwrap().log.unwrap();
    let live = bob.engine.store.read().live_logs().unwrap();
    assert!(live.iter().all(|row| row.mailbox != log));
    let refused = bob.engine.send(id, "too early").unwrap_err();
    assert_eq!(refused, Error::WrongStanding { standing: Standing::Invited });
    assert_eq!(bob.engine.decline_group(id).unwrap().standing, Standing::Left);
    assert!(bob.engine.accept_group(id).is_err());
}

/// CNV-14: a removed account reads up to its removal, and neither reads nor writes after it.
#[test]
fn the_removed_are_out() {
    let mut circle = Circle::new();
    circle.say(BOB, "before");
    circle.settle();
    let bob = circle.id_of(BOB);
    circle.people[ALICE].engine.remove_member(circle.id, bob).unwrap();
    let alice = &mut circle.people[ALICE];
    circle.post.round(alice);
    circle.say(ALICE, "after");
    circle.say(BOB, "too late");
    circle.settle();
    assert_eq!(circle.reads(BOB), ["before", "too late"]);
    let late = circle.people[BOB].engine.history(circle.id, None, 1_000).unwrap();
    assert!(late.iter().any(|m| m.text == "too late" && matches!(m.fate, Fate::Refused(_))));
    assert_eq!(circle.shown(BOB).standing, Standing::Removed);
    assert_eq!(circle.reads(CAROL), ["before", "after"]);
    assert!(circle.changes(CAROL).contains(&GroupChange::Removed(bob)));
    assert_eq!(circle.names(CAROL).len(), 2);
}

/// CNV-14: who leaves is removed by another's device, and says nothing more.
#[test]
fn who_leaves_is_removed_by_others() {
    let mut circle = Circle::new();
    let carol = circle.id_of(CAROL);
    let leaving = circle.people[CAROL].engine.leave_group(circle.id).unwrap();
    assert_eq!(leaving.standing, Standing::Leaving);
    circle.settle();
    assert_eq!(circle.shown(CAROL).standing, Standing::Left);
    assert_eq!(circle.names(BOB).len(), 2);
    assert!(circle.changes(BOB).contains(&GroupChange::Left(carol)));
    // The leftmost member was there: nobody else has anything left to do.
    let log = circle.log(BOB);
    assert!(circle.people[BOB].engine.store.read().wishes(&log).unwrap().is_empty());
}

/// CNV-14: the owner's role passes on when the owner leaves; the last one closes the log.
#[test]
fn the_role_of_an_owner_who_leaves_passes_on() {
    let mut circle = Circle::new();
    let carol = circle.id_of(CAROL);
    circle.people[ALICE].engine.set_role(circle.id, carol, Role::Administrator).unwrap();
    circle.settle();
    assert_eq!(circle.role_of(BOB, "Carol"), Role::Administrator);
    circle.people[ALICE].engine.leave_group(circle.id).unwrap();
    circle.settle();
    for who in [BOB, CAROL] {
        assert_eq!(circle.role_of(who, "Carol"), Role::Owner);
    }
    circle.people[BOB].engine.leave_group(circle.id).unwrap();
    circle.settle();
    circle.people[CAROL].engine.leave_group(circle.id).unwrap();
    circle.settle();
    let log = circle.log(CAROL);
    let row = circle.people[CAROL].engine.store.read().need_log(&log).unwrap();
    assert_eq!((circle.shown(CAROL).standing, row.state), (Standing::Left, LogState::Closed));
}

/// CNV-9: any number commit at once; one wins each epoch, the others go on by themselves, and
/// nothing of what they wanted or wrote is lost or done twice.
#[test]
fn of_many_commits_at_once_all_come_through() {
    let mut circle = Circle::new();
    circle.people[ALICE].engine.set_group_name(circle.id, "of Alice").unwrap();
    circle.people[BOB].engine.set_timer(circle.id, Some(Seconds::new(60))).unwrap();
    circle.people[CAROL].engine.set_group_picture(circle.id, vec![1, 2, 3]).unwrap();
    let log = circle.log(ALICE);
    let mut made = Vec::new();
    for person in &mut circle.people {
        circle.post.bring_log(person, log);
        made.push(person.engine.commit(&log).unwrap().unwrap());
    }
    circle.post.append(log, made[CAROL].clone()).unwrap();
    for lost in &made[..CAROL] {
        assert!(circle.post.append(log, lost.clone()).is_none());
    }
    for (who, text) in [(ALICE, "a"), (BOB, "b"), (CAROL, "c")] {
        circle.say(who, text);
    }
    circle.settle();
    for who in [ALICE, BOB, CAROL] {
        let shown = circle.shown(who);
        assert_eq!((shown.name.as_str(), shown.timer), ("of Alice", Some(Seconds::new(60))));
        assert_eq!(shown.picture, [1, 2, 3]);
        let mut reads = circle.reads(who);
        reads.sort();
        assert_eq!(reads, ["a", "b", "c"]);
        let named = |change: &&GroupChange| matches!(change, GroupChange::Named(_));
        assert_eq!(circle.changes(who).iter().filter(named).count(), 1);
    }
}

/// CNV-15: where administrators write, nobody hears members, and their own client says so.
#[test]
fn members_are_not_heard_where_administrators_write() {
    let mut circle = Circle::new();
    circle.say(BOB, "heard");
    circle.settle();
    let policy = Policy { writers: Who::Administrators, ..Policy::default() };
    circle.people[ALICE].engine.set_policy(circle.id, policy).unwrap();
    circle.settle();
    assert_eq!(circle.people[BOB].engine.send(circle.id, "x").unwrap_err(), Error::NotAllowed);
    // A client without manners writes all the same.
    let text = restante_spec::content::Text { text: "x".to_owned(), reply_to: None };
    let body = restante_spec::content::Body::Text(text);
    circle.people[BOB].engine.transact(|work| work.queue_body(circle.id, &body)).unwrap();
    circle.say(ALICE, "news");
    circle.settle();
    assert_eq!(circle.reads(CAROL), ["heard", "news"]);
}

/// CNV-14: a change its maker may not make does not hold anywhere, is shown, and the next
/// administrator's commit writes what holds.
#[test]
fn what_is_not_allowed_counts_as_not_done() {
    let mut circle = Circle::new();
    let policy = Policy { editors: Who::Administrators, ..Policy::default() };
    circle.people[ALICE].engine.set_policy(circle.id, policy).unwrap();
    circle.settle();
    let refused = circle.people[BOB].engine.set_group_name(circle.id, "mine").unwrap_err();
    assert_eq!(refused, Error::NotAllowed);
    // Bob's client believes him to be an owner.
    let own = *circle.people[BOB].engine.account.id().key();
    let mut row = circle.people[BOB].engine.store.read().need_conversation(circle.id).unwrap();
    row.state.set_role(own, Role::Owner);
    circle.people[BOB].engine.store.write(|db| db.put_conversation(&row)).unwrap();
    circle.force(BOB, &Wish::Name("mine".to_owned()));
    events(&mut circle.people[CAROL]);
    circle.settle();
    for who in [ALICE, CAROL] {
        assert_eq!(circle.shown(who).name, "friends");
        assert_eq!(circle.role_of(who, "Bob"), Role::Member);
        assert!(circle.changes(who).contains(&GroupChange::Improper));
    }
    let told = events(&mut circle.people[CAROL]);
    let improper = |event: &Event| matches!(event, Event::Notice(Notice::Improper { .. }));
    assert!(told.iter().any(improper), "{told:?}");
    // Alice has put it right: the group's context says what holds.
    let log = circle.log(CAROL);
    let context = circle.people[CAROL].engine.transact(|work| work.group_context(&log)).unwrap();
    let state = restante_spec::content::GroupState::decode(&context).unwrap();
    assert_eq!((state.name.as_str(), state.role(&own)), ("friends", Role::Member));
}

/// CNV-10, CNV-9: an account none of whose devices left a key package cannot be added, and that is
/// said.
#[test]
fn who_cannot_be_reached_cannot_be_added_now() {
    let (mut post, mut alice, mut bob) = friends();
    let id = alice.engine.create_group("friends", false).unwrap().id;
    let bobs = bob.engine.account.inbox;
    post.forget_prekeys(&bobs);
    alice.engine.add_member(id, alice.contact().id).unwrap();
    post.round(&mut alice);
    post.round(&mut bob);
    let told = events(&mut alice);
    let unaddable = |event: &Event| matches!(event, Event::Notice(Notice::CannotAdd { .. }));
    assert!(told.iter().any(unaddable), "{told:?}");
    assert_eq!(alice.engine.group_members(id).unwrap().len(), 1);
    assert!(bob.engine.conversation(id).is_err());
}

/// CNV-9: of two wishes for one account each device comes in once, and the group goes on.
#[test]
fn who_is_added_twice_comes_in_once() {
    let (post, mut alice, bob) = friends();
    let id = alice.engine.create_group("friends", false).unwrap().id;
    for _ in 0..2 {
        alice.engine.add_member(id, alice.contact().id).unwrap();
    }
    let mut circle = Circle { post, people: vec![alice, bob], id };
    circle.settle();
    circle.people[BOB].engine.accept_group(id).unwrap();
    circle.settle();
    circle.say(BOB, "here");
    circle.settle();
    assert_eq!(circle.reads(ALICE), ["here"]);
    assert_eq!(circle.members(ALICE).iter().map(|it| it.devices).collect::<Vec<_>>(), [1, 1]);
    let told = events(&mut circle.people[ALICE]);
    assert!(!told.iter().any(|event| matches!(event, Event::Notice(_))), "{told:?}");
}

/// CNV-21: when all leave at once nobody is left to remove the last: the log ends.
#[test]
fn all_may_leave_at_once() {
    let mut circle = Circle::new();
    for who in [ALICE, BOB, CAROL] {
        circle.people[who].engine.leave_group(circle.id).unwrap();
    }
    circle.settle();
    for who in [ALICE, BOB, CAROL] {
        let log = circle.log(who);
        let row = circle.people[who].engine.store.read().need_log(&log).unwrap();
        assert_eq!((circle.shown(who).standing, row.state), (Standing::Left, LogState::Closed));
    }
}

/// A text that still waits when the last member leaves is refused: nobody is left to read it.
#[test]
fn what_waits_when_the_last_member_leaves_is_refused() {
    let mut alice = person("Alice");
    let id = alice.engine.create_group("friends", false).unwrap().id;
    let mut post = Post::default();
    post.round(&mut alice);
    let text = alice.engine.send(id, "is anybody here?").unwrap().id;
    assert_eq!(alice.engine.leave_group(id).unwrap().standing, Standing::Left);
    post.round(&mut alice);
    assert_eq!(alice.engine.message(text).unwrap().fate, Fate::Refused(Code::Revoked));
}

/// A group survives a restart of every member between any two steps.
#[test]
fn restarts_change_nothing() {
    let mut circle = Circle::new();
    for (who, text) in [(ALICE, "one"), (BOB, "two"), (CAROL, "three")] {
        circle.say(who, text);
        circle.people = circle.people.into_iter().map(Person::restart).collect();
        circle.settle();
    }
    for who in [ALICE, BOB, CAROL] {
        assert_eq!(circle.reads(who), ["one", "two", "three"]);
    }
}

/// The key the members of a group write letters with is the group's alone.
#[test]
fn a_group_has_a_key_of_its_own_to_each_inbox() {
    let circle = Circle::new();
    let read = |who: usize| {
        let row = circle.people[who].engine.store.read().need_conversation(circle.id).unwrap();
        SigningKey::from_seed(&row.own_key.unwrap()).public()
    };
    let of_bob = *circle.people[BOB].engine.account.id().key();
    for who in [ALICE, CAROL] {
        let known = circle.people[who].engine.store.read().member(circle.id, &of_bob).unwrap();
        let inbox = known.inbox.unwrap();
        assert_eq!(SigningKey::from_seed(&inbox.key).public(), read(BOB));
        assert_eq!(inbox.mailbox, circle.people[BOB].engine.account.inbox);
    }
    assert_ne!(read(ALICE), read(BOB));
}

/// After many messages one of those who have counted them renews its leaf; where several wish that,
/// they do so one after the other, and not all at once.
#[test]
fn leaves_are_renewed_one_after_the_other() {
    let mut trio = Trio::new();
    let (group, log) = (trio.group, trio.log());
    let counted = |trio: &mut Trio| u64::from_be_bytes(*trio.post.epoch(&log).as_bytes());
    let pass = |trio: &mut Trio, time: u32| {
        for person in &mut trio.people {
            wait(person, Duration::from_secs(u64::from(time)));
        }
        trio.rounds();
    };
    let (pause, spread) = (RENEW_PAUSE.get(), RENEW_SPREAD.get());
    let begun = counted(&mut trio);
    for _ in 0..2 * UPDATE_EVERY {
        trio.people[ALICE].engine.send(group, "a word").unwrap();
    }
    trio.rounds();
    pass(&mut trio, spread);
    assert_eq!(counted(&mut trio), begun + 1);
    for _ in 0..3 {
        pass(&mut trio, pause + spread);
    }
    let begun = counted(&mut trio);
    for person in &mut trio.people {
        let wished = |work: &mut Work<'_>| work.db.put_wish(&log, &Wish::Renew, work.now);
        person.engine.transact(wished).unwrap();
    }
    trio.rounds();
    for renewed in [1, 2, 3, 3] {
        assert_eq!(counted(&mut trio), begun + renewed);
        pass(&mut trio, pause - 1);
        assert_eq!(counted(&mut trio), begun + renewed);
        pass(&mut trio, spread + 1);
    }
}

/// Makes a group that says of itself that it has this id; the maker knows it by the one given back.
pub(super) fn group_named(maker: &mut Person, id: ConversationId) -> ConversationId {
    let known_as = ConversationId::new(random_bytes().unwrap());
    let made = maker.engine.transact(|work| {
        let mut state = GroupState::new(GroupKind::Group(*id.as_bytes()), 1);
        state.set_role(*work.account.id().key(), Role::Owner);
        let mut row = ConversationRow::new(known_as, state);
        row.log = Some(work.create_log(&row, Suite::Hybrid)?);
        work.take_part(&mut row)
    });
    made.unwrap();
    known_as
}

/// CNV-13: once a group that has the own account's id became the conversation of its devices, and
/// its members could read everything those tell each other.
#[test]
fn no_group_takes_the_place_of_another_conversation() {
    let (mut post, mut alice, mut bob) = friends();
    let (own, talk) = (ConversationId::from(alice.engine.own_id().unwrap()), alice.talk());
    for id in [own, talk] {
        let group = group_named(&mut bob, id);
        bob.engine.add_member(group, bob.contact().id).unwrap();
        for _ in 0..2 {
            post.round(&mut bob);
            post.round(&mut alice);
        }
        let told = events(&mut alice);
        assert!(told.contains(&Event::Notice(Notice::Junk { conversation: None })), "{told:?}");
    }
    assert_eq!(alice.engine.conversation(own).unwrap_err(), Error::NoSuchConversation);
    assert_eq!(alice.engine.conversation(talk).unwrap().kind, ConversationKind::Direct);
    // Were it there all the same, it would be told nothing.
    let state = GroupState::new(GroupKind::Group(*own.as_bytes()), 1);
    let row = ConversationRow::new(own, state);
    alice.engine.store.write(|db| db.put_conversation(&row)).unwrap();
    alice.engine.set_setting("colour", b"red").unwrap();
    assert_eq!(alice.engine.store.read().outbox_count(own).unwrap(), 0);
}

/// CNV-13: a group that is named as somebody who becomes a contact later ends then: what comes in
/// it would be shown as theirs.
#[test]
fn a_group_named_as_a_later_contact_ends() {
    let (mut post, mut alice, mut bob) = friends();
    let carol = person("Carol");
    let id = ConversationId::from(carol.engine.own_id().unwrap());
    let group = group_named(&mut bob, id);
    bob.engine.add_member(group, bob.contact().id).unwrap();
    devices::settle(&mut post, &mut [&mut bob, &mut alice]);
    alice.engine.accept_group(id).unwrap();
    devices::settle(&mut post, &mut [&mut bob, &mut alice]);
    let named = |work: &mut Work<'_>| work.new_contact(id.contact(), ContactState::Incoming);
    alice.engine.transact(|work| work.db.put_contact(&named(work)?)).unwrap();
    bob.engine.send(group, "as if from Carol").unwrap();
    devices::settle(&mut post, &mut [&mut bob, &mut alice]);
    assert_eq!(devices::texts(&alice, id), [""; 0]);
    assert_eq!(alice.engine.conversation(id).unwrap().kind, ConversationKind::Direct);
}
