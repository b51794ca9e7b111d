//! What must hold at the end of a run, of everybody and beside everybody.
//!
//! Knows what an app is shown; what stands in the logs the ledger knows.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use restante_client::{
    ConversationId, ConversationKind, Fate, GroupChange, MessageId, MessageKind, Standing,
};

use super::workload::{Workload, history, show};
use super::world::World;

impl Workload {
    /// Compares what everybody has at the end, and gives back a digest of it.
    pub(crate) fn check(&self, world: &mut World) -> u64 {
        let mut digest = DefaultHasher::new();
        for seat in 0..world.seats.len() {
            let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
            for conversation in all {
                let id = conversation.id;
                let history = history(world, seat, id);
                for message in &history {
                    (message.id, message.seq, &message.text).hash(&mut digest);
                }
                let reads = matches!(conversation.standing, Standing::Open | Standing::Leaving)
                    && !world.seats[seat].is_removed;
                let gaps = world.ask(seat, |it| async move { it.gaps(id).await }).unwrap();
                world.ledger.compare(seat, &history, reads.then_some(&gaps));
            }
        }
        world.check_gone();
        check_devices(world);
        check_messages(world);
        self.check_fates(world);
        self.check_wishes(world);
        self.check_groups(world);
        digest.finish()
    }

    /// What was written stands in a log, unless its writer was out by then.
    fn check_fates(&self, world: &mut World) {
        for (seat, id, message) in &self.written {
            if world.seats[*seat].is_removed {
                continue;
            }
            let message_id = message.id;
            let now = world.ask(*seat, |it| async move { it.message(message_id).await }).unwrap();
            if now.is_gone() {
                continue;
            }
            let standing = show(world, *seat, *id).standing;
            let stored = world.ledger.is_stored(message);
            match now.fate {
                Fate::Accepted | Fate::Delivered | Fate::Read | Fate::Expired => {
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
                // It was removed while it was away, and nobody who could has told it so; who leaves
                // may hear it from nobody.
                Fate::Queued if matches!(standing, Standing::Broken | Standing::Leaving) => {
                    let history = history(world, *seat, *id);
                    assert!(!world.ledger.is_in(*seat, &history), "{seat} was not let in again");
                }
                fate => panic!("{} is {fate} at the end: {standing:?}", message.text),
            }
        }
    }

    /// What was asked for and allowed has come about, whoever won the races for it.
    fn check_wishes(&self, world: &mut World) {
        for (seat, id, who) in &self.additions {
            if world.seats[*seat].is_removed {
                continue;
            }
            let is_told = world.seats[*seat].cannot_add.contains(id);
            let came = |change: &GroupChange| *change == GroupChange::Added(*who);
            assert!(
                is_told || has_happened(world, *seat, *id, came),
                "an addition of {seat} is lost"
            );
        }
        for ((seat, id), name) in &self.named {
            if world.seats[*seat].is_removed {
                continue;
            }
            let came = |change: &GroupChange| *change == GroupChange::Named(name.clone());
            assert!(has_happened(world, *seat, *id, came), "{name} of {seat} is lost");
        }
    }

    /// Everybody who is in a group sees the same of it.
    fn check_groups(&self, world: &mut World) {
        let mut views = BTreeMap::new();
        for seat in world.in_use() {
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

/// All devices of a person show the same, and one that was removed is in nothing any more.
fn check_devices(world: &mut World) {
    for person in 0..world.people() {
        let shown = shown(world, person);
        for seat in world.devices_of(person) {
            let other = self::shown(world, seat);
            for (id, (standing, rows)) in &shown {
                let (its, its_rows) = other.get(id).unwrap_or_else(|| {
                    panic!("{seat} does not know a conversation of {person}: {standing:?}")
                });
                // Whether it left or was removed may have come to each in another order.
                let out = |it| matches!(it, Standing::Left | Standing::Removed | Standing::Broken);
                assert!(
                    standing == its || (out(*standing) && out(*its)),
                    "{person} and {seat} stand otherwise: {standing:?}, {its:?}"
                );
                let whole = [person, seat].map(|seat| {
                    // A struck reader holds nothing back (MBX-9): of what it came too late for its
                    // person was told.
                    let is_late = out(*standing) && world.seats[seat].came_too_late(id);
                    !is_late && has_no_gap(world, seat, *id)
                });
                assert!(
                    rows == its_rows || whole.contains(&false),
                    "{person} and {seat} show other rows, {standing:?}: {rows:?}, {its_rows:?}"
                );
            }
            let more = other.iter().filter(|(id, _)| !shown.contains_key(id));
            let more: Vec<_> = more.map(|(_, (standing, rows))| (standing, rows)).collect();
            assert!(more.is_empty(), "{seat} knows conversations that {person} does not: {more:?}");
        }
        let removed = (0..world.seats.len())
            .filter(|seat| world.seats[*seat].person == person && world.seats[*seat].is_removed);
        for seat in Vec::from_iter(removed) {
            for (id, (standing, _)) in &shown {
                let history = history(world, person, *id);
                assert!(
                    *standing != Standing::Open || !world.ledger.is_in(seat, &history),
                    "{seat} was removed and is in a conversation of {person} still"
                );
            }
        }
    }
}

/// What was done with a message is shown alike by everybody who has been there since, and misses
/// nothing.
fn check_messages(world: &mut World) {
    let mut views = BTreeMap::new();
    for seat in world.in_use() {
        let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
        for conversation in all.iter().filter(|it| it.standing == Standing::Open) {
            if !has_no_gap(world, seat, conversation.id) {
                continue;
            }
            for message in history(world, seat, conversation.id) {
                if !world.ledger.has_stayed_since(seat, &message) {
                    continue;
                }
                let (id, deleted_by) = (message.id, message.deleted_by);
                let view = (message.text, message.edited, deleted_by, message.reactions);
                let (first, other) = views.entry(id).or_insert_with(|| (seat, view.clone()));
                assert_eq!(*other, view, "{first} and {seat} show a message otherwise");
            }
        }
    }
}

fn has_no_gap(world: &mut World, seat: usize, id: ConversationId) -> bool {
    world.ask(seat, |it| async move { it.gaps(id).await }).unwrap().is_empty()
}

/// A text, or what is left of it, and whether the account wrote it.
type Row = (MessageId, String, MessageKind, bool);

/// What a device shows of its conversations with others.
fn shown(world: &mut World, seat: usize) -> BTreeMap<ConversationId, (Standing, Vec<Row>)> {
    let all = world.ask(seat, |it| async move { it.conversations().await }).unwrap();
    let all = all.into_iter().filter(|it| it.kind != ConversationKind::Own);
    let show = |it: restante_client::Conversation| {
        let all = history(world, seat, it.id);
        let rows = all.into_iter().filter(|it| {
            matches!(it.kind, MessageKind::Text | MessageKind::Deleted)
                && it.seq.is_some()
                && world.ledger.is_for_all(it)
        });
        let rows = rows.map(|it| (it.id, it.text.clone(), it.kind, it.from_me()));
        (it.id, (it.standing, rows.collect()))
    };
    all.map(show).collect()
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
