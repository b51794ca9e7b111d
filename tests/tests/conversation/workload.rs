//! What people want: to meet, to talk, to make groups, to let others in and out.
//!
//! Knows what an app can ask; must not know the relay or the network. One entry of `ACTS` is one
//! kind of wish: what a new kind needs is an entry and a function.

use std::collections::BTreeMap;

use restante_client::{
    ContactId, ContactState, Conversation, ConversationId, ConversationKind, Fate, GroupChange,
    InviteOptions, Message, Role, Standing,
};

use super::world::{World, is_refusal};

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write,
    Found,
    Add,
    Accept,
    Decline,
    Remove,
    Leave,
    Name,
    Role,
    MarkRead,
}

const ACTS: [(u64, Act); 10] = [
    (40, Act::Write),
    (4, Act::Found),
    (14, Act::Add),
    (16, Act::Accept),
    (1, Act::Decline),
    (5, Act::Remove),
    (3, Act::Leave),
    (6, Act::Name),
    (5, Act::Role),
    (3, Act::MarkRead),
];

/// Groups of a run.
const GROUPS: u64 = 5;

/// What there is to do, and what was done.
#[derive(Default)]
pub(crate) struct Workload {
    texts: u64,
    groups: u64,
    names: u64,
    written: Vec<(usize, ConversationId, Message)>,
    /// Additions that were asked for.
    additions: Vec<(usize, ConversationId, ContactId)>,
    /// What each device wanted a group to be called last.
    named: BTreeMap<(usize, ConversationId), String>,
}

/// Lets everybody meet somebody: a chain, and some more.
pub(crate) fn introduce(world: &mut World) {
    let people = world.seats.len();
    world.settle();
    for one in 1..people {
        let with = one - 1;
        meet(world, with, one);
    }
    for _ in 0..people / 2 {
        let (a, b) = (world.random.index(people), world.random.index(people));
        let known = world.ask(a, |client| async move { client.contacts().await }).unwrap();
        let name = format!("person {b}");
        if a != b && !known.iter().any(|contact| contact.nickname == name) {
            meet(world, a, b);
        }
    }
}

fn meet(world: &mut World, alice: usize, bob: usize) {
    let link = world.ask(alice, |it| async move { it.invite(InviteOptions::default()).await });
    let link = link.expect("an invite");
    world.settle();
    world.ask(bob, |it| async move { it.accept_invite(link.as_str(), None).await }).expect("taken");
    world.settle();
    let contacts = world.ask(alice, |it| async move { it.contacts().await }).unwrap();
    let asks = contacts.iter().find(|contact| contact.state == ContactState::Incoming);
    let asks = asks.expect("a request").id;
    world.ask(alice, |it| async move { it.accept_contact(asks).await }).expect("agreed");
    world.settle();
}

impl Workload {
    /// Somebody does something.
    pub(crate) fn act(&mut self, world: &mut World, seat: usize) {
        let act = world.random.weighted(&ACTS);
        match act {
            Act::Write => self.write(world, seat),
            Act::Found => self.found(world, seat),
            Act::Accept | Act::Decline => Self::answer(world, seat, act),
            Act::Add | Act::Remove | Act::Leave | Act::Name | Act::Role => {
                self.change(world, seat, act);
            }
            Act::MarkRead => {
                if let Some(id) = pick(world, seat, |_, standing| standing == Standing::Open) {
                    world.ask(seat, |it| async move { it.mark_read(id).await }).unwrap();
                }
            }
        }
    }

    fn write(&mut self, world: &mut World, seat: usize) {
        let open = |_, standing| standing == Standing::Open;
        let Some(id) = pick(world, seat, open) else { return };
        self.texts += 1;
        let text = format!("text {} of {seat}", self.texts);
        let sent = world.ask(seat, |it| async move { it.send(id, &text).await });
        match sent {
            Ok(message) => {
                world.ledger.tell(|| format!("{seat} writes {}", message.text));
                world.ledger.wrote(seat, &message);
                self.written.push((seat, id, message));
            }
            Err(error) => assert!(is_refusal(&error), "{error}"),
        }
    }

    fn found(&mut self, world: &mut World, seat: usize) {
        if self.groups == GROUPS {
            return;
        }
        self.groups += 1;
        let (name, large) = (format!("group {}", self.groups), world.random.permille(300));
        world.ledger.tell(|| format!("{seat} makes {name}"));
        world.ask(seat, |it| async move { it.create_group(&name, large).await }).unwrap();
    }

    fn answer(world: &mut World, seat: usize, act: Act) {
        let invited = |_, standing| standing == Standing::Invited;
        let Some(id) = pick(world, seat, invited) else { return };
        world.ledger.tell(|| format!("{seat} answers an invitation: {act:?}"));
        let answered = match act {
            Act::Decline => world.ask(seat, |it| async move { it.decline_group(id).await }),
            _ => world.ask(seat, |it| async move { it.accept_group(id).await }),
        };
        answered.expect("it was an invitation");
    }

    fn change(&mut self, world: &mut World, seat: usize, act: Act) {
        let open_group =
            |kind, standing| kind == ConversationKind::Group && standing == Standing::Open;
        let Some(id) = pick(world, seat, open_group) else { return };
        let done = match act {
            Act::Add => {
                let Some(who) = active_contact(world, seat) else { return };
                let added = world.ask(seat, |it| async move { it.add_member(id, who).await });
                if added.is_ok() {
                    self.additions.push((seat, id, who));
                }
                added
            }
            Act::Remove => {
                let Some(who) = member(world, seat, id) else { return };
                world.ask(seat, |it| async move { it.remove_member(id, who).await })
            }
            Act::Role => {
                let Some(who) = member(world, seat, id) else { return };
                let roles = [(2, Role::Member), (4, Role::Administrator), (1, Role::Owner)];
                let role = world.random.weighted(&roles);
                world.ask(seat, |it| async move { it.set_role(id, who, role).await })
            }
            Act::Name => {
                self.names += 1;
                let name = format!("name {}", self.names);
                let wanted = name.clone();
                let done =
                    world.ask(seat, |it| async move { it.set_group_name(id, &wanted).await });
                if done.is_ok() {
                    self.named.insert((seat, id), name);
                }
                done
            }
            _ => world.ask(seat, |it| async move { it.leave_group(id).await }).map(drop),
        };
        world.ledger.tell(|| format!("{seat} wants {act:?}: {done:?}"));
        if let Err(error) = done {
            assert!(is_refusal(&error), "{act:?}: {error}");
        }
    }

    /// Compares what everybody has at the end.
    pub(crate) fn check(&self, world: &mut World) {
        for seat in 0..world.seats.len() {
            let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
            for conversation in all {
                let id = conversation.id;
                let history = history(world, seat, id);
                let reads = matches!(conversation.standing, Standing::Open | Standing::Leaving);
                world.ledger.compare(seat, &history, reads);
            }
        }
        self.check_fates(world);
        self.check_wishes(world);
        self.check_groups(world);
    }

    /// What was written stands in a log, unless its writer was out by then.
    fn check_fates(&self, world: &mut World) {
        for (seat, id, message) in &self.written {
            let message_id = message.id;
            let now = world.ask(*seat, |it| async move { it.message(message_id).await }).unwrap();
            let standing = show(world, *seat, *id).standing;
            let stored = world.ledger.is_stored(message);
            match now.fate {
                Fate::Accepted | Fate::Delivered | Fate::Read => {
                    assert!(stored, "{} is accepted and stands nowhere", message.text);
                }
                Fate::Refused(_) => {
                    let history = history(world, *seat, *id);
                    assert!(
                        !world.ledger.has_stayed(*seat, &history) || standing != Standing::Open,
                        "{} of an open conversation was refused",
                        message.text
                    );
                }
                fate => panic!("{} is {fate} at the end: {standing:?}", message.text),
            }
        }
    }

    /// What was asked for and allowed has come about, whoever won the races for it.
    fn check_wishes(&self, world: &mut World) {
        for (seat, id, who) in &self.additions {
            let is_told = world.seats[*seat].cannot_add.contains(id);
            let came = |change: &GroupChange| *change == GroupChange::Added(*who);
            assert!(
                is_told || has_happened(world, *seat, *id, came),
                "an addition of {seat} is lost"
            );
        }
        for ((seat, id), name) in &self.named {
            let came = |change: &GroupChange| *change == GroupChange::Named(name.clone());
            assert!(has_happened(world, *seat, *id, came), "{name} of {seat} is lost");
        }
    }

    /// Everybody who is in a group sees the same of it.
    fn check_groups(&self, world: &mut World) {
        let mut views = BTreeMap::new();
        for seat in 0..world.seats.len() {
            let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
            let open = all
                .into_iter()
                .filter(|it| it.kind == ConversationKind::Group && it.standing == Standing::Open);
            for group in open {
                let id = group.id;
                let members = world.ask(seat, |it| async move { it.members(id).await }).unwrap();
                let devices: usize = members.iter().map(|it| it.devices as usize).sum();
                let history = history(world, seat, id);
                if let Some(readers) = world.ledger.devices_beside(&history) {
                    assert_eq!(readers, devices, "the relay has other readers than the group");
                }
                let members: Vec<_> = members.iter().map(|it| (it.id, it.role)).collect();
                let view = (group.name, group.policy, members);
                let (first, other) = views.entry(id).or_insert_with(|| (seat, view.clone()));
                assert_eq!(*other, view, "{first} and {seat} see other groups");
            }
        }
    }
}

fn show(world: &mut World, seat: usize, id: ConversationId) -> Conversation {
    world.ask(seat, |it| async move { it.conversation(id).await }).unwrap()
}

/// Whether a device shows such a change, if it has been in the group all the time.
fn has_happened(
    world: &mut World,
    seat: usize,
    id: ConversationId,
    is_it: impl Fn(&GroupChange) -> bool,
) -> bool {
    let history = history(world, seat, id);
    show(world, seat, id).standing != Standing::Open
        || !world.ledger.has_stayed(seat, &history)
        || history.iter().flat_map(|message| &message.changes).any(is_it)
}

/// The whole history of a conversation, oldest first.
fn history(world: &mut World, seat: usize, id: ConversationId) -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let before = all.first().map(|message| message.position);
        let page = world.ask(seat, |it| async move { it.history(id, before, 200).await }).unwrap();
        if page.is_empty() {
            return all;
        }
        all.splice(0..0, page);
    }
}

/// One of the conversations of a device.
fn pick(
    world: &mut World,
    seat: usize,
    which: impl Fn(ConversationKind, Standing) -> bool,
) -> Option<ConversationId> {
    let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
    let fitting: Vec<_> =
        all.iter().filter(|it| which(it.kind, it.standing)).map(|it| it.id).collect();
    world.random.pick(&fitting)
}

fn active_contact(world: &mut World, seat: usize) -> Option<ContactId> {
    let all = world.ask(seat, |it| async move { it.contacts().await }).unwrap();
    let active: Vec<_> =
        all.iter().filter(|it| it.state == ContactState::Active).map(|it| it.id).collect();
    world.random.pick(&active)
}

fn member(world: &mut World, seat: usize, id: ConversationId) -> Option<ContactId> {
    let all = world.ask(seat, |it| async move { it.members(id).await }).unwrap();
    let others: Vec<_> = all.iter().map(|it| it.id).collect();
    world.random.pick(&others)
}
