//! What people want: to meet, to talk, to make groups, to let others in and out.
//!
//! Knows what an app can ask; must not know the relay or the network. One entry of `ACTS` is one
//! kind of wish: what a new kind needs is an entry and a function.

use std::collections::BTreeMap;

use restante_client::{
    ContactId, ContactState, Conversation, ConversationId, ConversationKind, Error, InviteOptions,
    Message, Role, Standing,
};

use super::kinds::Kind;
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
    Look,
    Link,
    Unlink,
    Touch(Kind),
}

const ACTS: [(u64, Act); 17] = [
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
    (3, Act::Look),
    (2, Act::Link),
    (2, Act::Unlink),
    (6, Act::Touch(Kind::Answer)),
    (6, Act::Touch(Kind::React)),
    (4, Act::Touch(Kind::Edit)),
    (2, Act::Touch(Kind::Delete)),
];

/// Groups of a run.
const GROUPS: u64 = 5;
/// Devices of the largest run.
const MOST_DEVICES: usize = 30;

/// What there is to do, and what was done.
#[derive(Default)]
pub(crate) struct Workload {
    /// The most devices somebody has.
    devices: usize,
    texts: u64,
    groups: u64,
    names: u64,
    pub(super) written: Vec<(usize, ConversationId, Message)>,
    /// Additions that were asked for.
    pub(super) additions: Vec<(usize, ConversationId, ContactId)>,
    /// What each device wanted a group to be called last.
    pub(super) named: BTreeMap<(usize, ConversationId), String>,
}

/// Lets everybody meet somebody: a chain, and some more.
pub(crate) fn introduce(world: &mut World, people: usize) {
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

fn unlink(world: &mut World, seat: usize) {
    let person = world.seats[seat].person;
    let further: Vec<usize> =
        world.devices_of(person).into_iter().filter(|it| *it != person).collect();
    if let Some(gone) = world.random.pick(&further)
        && world.runs(person)
    {
        world.unlink(gone);
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
    pub(crate) fn new(devices: usize) -> Self {
        Self { devices, ..Self::default() }
    }

    /// People take further devices in before they know anybody.
    pub(crate) fn settle_in(&self, world: &mut World) {
        let people = world.seats.len();
        let all = people * self.devices == MOST_DEVICES;
        for person in 0..people {
            let least = if all { self.devices } else { 1 };
            for _ in 1..world.random.within(least as u64, self.devices as u64) {
                world.link(person);
            }
        }
        world.settle();
    }

    /// Everybody says something everywhere: whoever missed what was said before finds out.
    pub(crate) fn say_last_words(&mut self, world: &mut World) {
        for seat in world.in_use() {
            let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
            for id in all.iter().filter(|it| it.kind != ConversationKind::Own).map(|it| it.id) {
                self.write_in(world, seat, id);
            }
        }
    }

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
            Act::Look => {
                if let Some(id) = pick(world, seat, |_, _| true) {
                    let history = history(world, seat, id);
                    world.ledger.compare(seat, &history, None);
                }
            }
            Act::Link => self.link(world, seat),
            Act::Unlink => unlink(world, seat),
            Act::Touch(kind) => self.touch(world, seat, kind),
        }
    }

    fn link(&self, world: &mut World, seat: usize) {
        let person = world.seats[seat].person;
        let devices = world.devices_of(person).len();
        if devices < self.devices && world.runs(person) && world.has_relay() {
            world.link(person);
        }
    }

    fn write(&mut self, world: &mut World, seat: usize) {
        let open = |_, standing| standing == Standing::Open;
        let Some(id) = pick(world, seat, open) else { return };
        self.write_in(world, seat, id);
    }

    fn write_in(&mut self, world: &mut World, seat: usize, id: ConversationId) {
        let text = self.next_text(seat);
        let sent = world.ask(seat, |it| async move { it.send(id, &text).await });
        match sent {
            Ok(message) => self.note_written(world, seat, message),
            Err(error) => assert!(is_refusal(&error), "{error}"),
        }
    }

    pub(super) fn next_text(&mut self, seat: usize) -> String {
        self.texts += 1;
        format!("text {} of {seat}", self.texts)
    }

    pub(super) fn note_written(&mut self, world: &mut World, seat: usize, message: Message) {
        world.ledger.tell(|| format!("{seat} writes {}", message.text));
        world.ledger.wrote(seat, &message);
        self.written.push((seat, message.conversation, message));
    }

    /// Lets groups come about before anything fails, so that their members get into each other's
    /// way from the beginning.
    pub(crate) fn gather(&mut self, world: &mut World) {
        for _ in 0..2 {
            let founder = world.random.index(world.seats.len());
            self.found(world, founder);
            let contacts = world.ask(founder, |it| async move { it.contacts().await }).unwrap();
            let open_group =
                |kind, standing| kind == ConversationKind::Group && standing == Standing::Open;
            let Some(id) = pick(world, founder, open_group) else { continue };
            for contact in contacts {
                if let Err(error) = self.add(world, founder, id, contact.id) {
                    assert!(is_refusal(&error), "{error}");
                }
            }
            world.settle();
            for seat in 0..world.seats.len() {
                Self::answer(world, seat, Act::Accept);
            }
            world.settle();
        }
    }

    fn found(&mut self, world: &mut World, seat: usize) {
        if self.groups == GROUPS {
            return;
        }
        self.groups += 1;
        let (name, large) = (format!("group {}", self.groups), world.random.permille(300));
        world.ledger.tell(|| format!("{seat} makes {name}"));
        let made = world.ask(seat, |it| async move { it.create_group(&name, large).await });
        // A device that was removed hears of it some time.
        assert!(made.is_ok() || world.seats[seat].is_removed, "{made:?}");
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
                self.add(world, seat, id, who)
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

    fn add(
        &mut self,
        world: &mut World,
        seat: usize,
        id: ConversationId,
        who: ContactId,
    ) -> Result<(), Error> {
        let members = world.ask(seat, |it| async move { it.members(id).await })?;
        world.ask(seat, |it| async move { it.add_member(id, who).await })?;
        if members.iter().all(|member| member.id != who) {
            self.additions.push((seat, id, who));
        }
        Ok(())
    }
}

pub(crate) fn show(world: &mut World, seat: usize, id: ConversationId) -> Conversation {
    world.ask(seat, |it| async move { it.conversation(id).await }).unwrap()
}

/// The whole history of a conversation, oldest first.
pub(crate) fn history(world: &mut World, seat: usize, id: ConversationId) -> Vec<Message> {
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
pub(super) fn pick(
    world: &mut World,
    seat: usize,
    which: impl Fn(ConversationKind, Standing) -> bool,
) -> Option<ConversationId> {
    let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
    let fitting: Vec<_> = all
        .iter()
        .filter(|it| it.kind != ConversationKind::Own && which(it.kind, it.standing))
        .map(|it| it.id)
        .collect();
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
