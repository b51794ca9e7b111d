//! `group new`, `list`, `show`, `leave`, `accept` and `decline`: this account and its groups.

use restante_client::{Contact, Conversation, ConversationKind, GroupMember, Role, Standing};

use super::change;
use super::members::say_added;
use super::state::{policy_words, timer_words};
use crate::args::NewGroup;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::{ConversationLine, GroupLine};
use crate::output::{called, name_of, place_of, short_id, word_for};

/// Makes a group, and adds people if any were named.
pub(super) async fn new(args: &NewGroup, desk: &mut Desk) -> Result<(), Failure> {
    let collected = desk.collect().await;
    // Who is not known keeps the group from being made.
    let mut people: Vec<Contact> = Vec::new();
    for who in &args.who {
        people.push(desk.contact(who).await?);
    }
    let group = desk.client.create_group(&args.name, args.large).await?;
    for contact in &people {
        desk.client.add_member(group.id, contact.id).await?;
    }
    let group = desk.tell_of(&group, collected).await?;
    desk.say_done(&format!("{} is there now, with you as its owner.", place_of(&group)));
    for contact in &people {
        say_added(&name_of(contact), contact.id, &group, desk).await?;
    }
    if people.is_empty() {
        let word = word_for(&group.name, group.id);
        desk.out.say(&format!("Next: restante group add {word} WHO"));
    }
    Ok(())
}

/// Lists them.
pub(super) async fn list(desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let mut groups = desk.client.conversations().await?;
    groups.retain(|one| one.kind == ConversationKind::Group);
    groups.sort_by_cached_key(|group| group.name.to_lowercase());
    let width = groups.iter().map(|group| place_of(group).chars().count()).max();
    for group in &groups {
        desk.out.object(&ConversationLine::from(group));
        let (name, id, width) = (place_of(group), short_id(group.id), width.unwrap_or_default());
        let unread = match group.unread {
            0 => String::new(),
            1 => ", 1 unread message".to_owned(),
            n => format!(", {n} unread messages"),
        };
        desk.out.say(&format!("{name:<width$}  {id}  {}{unread}", standing_words(group)));
    }
    if groups.is_empty() {
        desk.out.say("No groups yet. Begin with: restante group new NAME WHO...");
    }
    for group in groups.iter().filter(|group| group.standing == Standing::Invited) {
        let (name, id) = (place_of(group), short_id(group.id));
        desk.out.say(&format!(
            "\nYou were added to {name}. To agree: restante group accept {id}\n\
             To refuse, without telling anybody: restante group decline {id}"
        ));
    }
    Ok(())
}

/// Shows one.
pub(super) async fn show(group: &str, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let group = desk.group(group).await?;
    let mut members = desk.client.members(group.id).await?;
    members.sort_by_cached_key(|one| (std::cmp::Reverse(one.role), one.nickname.to_lowercase()));
    desk.out.object(&GroupLine::new(&group, &members));
    let (name, id) = (place_of(&group), short_id(group.id));
    desk.out.say(&format!("{name}  {id}  {}", standing_words(&group)));
    desk.out.say(&format!("Rules: {}.", policy_words(group.policy)));
    desk.out.say(&format!("Timer: {}.", timer_words(group.timer)));
    desk.out.say(if group.picture.is_empty() {
        "Picture: none."
    } else {
        "Picture: there is one."
    });
    let width = members.iter().map(|one| called(&one.nickname, one.id).chars().count()).max();
    for member in &members {
        desk.out.say(&member_line(member, width.unwrap_or_default()));
    }
    Ok(())
}

/// Leaves one.
pub(super) async fn leave(group: &str, desk: &mut Desk) -> Result<(), Failure> {
    let group = change(group, desk, async |client, group| {
        client.leave_group(group.id).await?;
        Ok(())
    })
    .await?;
    desk.say_done(&match group.standing {
        Standing::Left => format!("You have left {}.", place_of(&group)),
        _ => format!("You leave {}: a member's device removes yours.", place_of(&group)),
    });
    Ok(())
}

/// Agrees to be in one.
pub(super) async fn accept(group: &str, desk: &mut Desk) -> Result<(), Failure> {
    let group = change(group, desk, async |client, group| {
        client.accept_group(group.id).await?;
        Ok(())
    })
    .await?;
    let (name, word) = (place_of(&group), word_for(&group.name, group.id));
    desk.say_done(&format!("You are in {name} now: restante chat {word}"));
    Ok(())
}

/// Does not agree.
pub(super) async fn decline(group: &str, desk: &mut Desk) -> Result<(), Failure> {
    let group = change(group, desk, async |client, group| {
        client.decline_group(group.id).await?;
        Ok(())
    })
    .await?;
    desk.out.say(&format!("{} was refused; nobody is told.", place_of(&group)));
    Ok(())
}

fn member_line(member: &GroupMember, width: usize) -> String {
    let (name, id) = (called(&member.nickname, member.id), short_id(member.id));
    let role = match member.role {
        Role::Member => "",
        Role::Administrator => ", administrator",
        Role::Owner => ", owner",
    };
    let devices = match member.devices {
        1 => "1 device".to_owned(),
        n => format!("{n} devices"),
    };
    let me = if member.is_me { ", you" } else { "" };
    format!("  {name:<width$}  {id}  {devices}{role}{me}")
}

/// How this account stands there.
fn standing_words(group: &Conversation) -> &'static str {
    match (group.standing, group.role) {
        (Standing::Invited, _) => "you were added and have not agreed yet",
        (Standing::Open, Role::Owner) => "you are an owner",
        (Standing::Open, Role::Administrator) => "you are an administrator",
        (Standing::Open, Role::Member) => "you are a member",
        (Standing::Leaving, _) => "you are leaving",
        (Standing::Left, _) => "you have left",
        (Standing::Removed, _) => "you were removed",
        (Standing::Broken, _) => "cannot be read on",
        (Standing::Restored, _) => "restored: somebody in it is to let this device in again",
    }
}
