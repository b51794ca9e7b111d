//! `group add`, `remove`, `role` and `link`: who is in a group, and what they may.

use restante_client::{ContactId, Conversation, ConversationId, InviteOptions, Role};

use super::super::invite;
use super::change;
use crate::args::GroupLink;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{called, place_of, word_for};

/// Adds contacts. Each must be there afterwards: who cannot be added now is named.
pub(super) async fn add(group: &str, who: &[String], desk: &mut Desk) -> Result<(), Failure> {
    let mut added = Vec::new();
    let group = change(group, desk, async |client, group| {
        for who in who {
            added.push(client.find_contact(who).await?);
        }
        for contact in &added {
            client.add_member(group.id, contact.id).await?;
        }
        Ok(())
    })
    .await?;
    for contact in added {
        say_added(&called(&contact.nickname, contact.id), contact.id, &group, desk).await?;
    }
    Ok(())
}

/// Says whether somebody is in a group now.
pub(super) async fn say_added(
    name: &str,
    who: ContactId,
    group: &Conversation,
    desk: &Desk,
) -> Result<(), Failure> {
    let place = place_of(group);
    if is_in(who, group.id, desk).await? {
        desk.out.say(&format!("{name} was added to {place}, and is asked whether they agree."));
        Ok(())
    } else if desk.offline {
        desk.out.say(&format!("{name} will be added by: restante sync"));
        Ok(())
    } else {
        Err(Failure {
            retryable: true,
            ..Failure::new(
                "not_added",
                format!("{name} is not in {place} yet; try again later: restante sync"),
            )
        })
    }
}

/// Makes a link to a group.
pub(super) async fn link(args: &GroupLink, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let group = desk.group(&args.group).await?;
    let (group, uses, accepts) = (Some(group.id), args.uses, args.open);
    let options = InviteOptions { uses, expires_in: invite::days(args.days), group, accepts };
    let next = if args.open {
        "Whoever takes it is added when restante sync or restante chat runs here."
    } else {
        "Whoever asks to be in the group, you see in: restante contacts"
    };
    invite::offer(options, next, desk).await
}

/// Removes members.
pub(super) async fn remove(group: &str, who: &[String], desk: &mut Desk) -> Result<(), Failure> {
    let mut removed = Vec::new();
    let group = change(group, desk, async |client, group| {
        for who in who {
            removed.push(client.find_member(group.id, who).await?);
        }
        if let Some(me) = removed.iter().find(|member| member.is_me) {
            let word = word_for(&group.name, group.id);
            let text = format!("{} is you; to leave: restante group leave {word}", me.nickname);
            return Err(Failure::new("not_allowed", text));
        }
        for member in &removed {
            client.remove_member(group.id, member.id).await?;
        }
        Ok(())
    })
    .await?;
    for member in removed {
        let (name, place) = (called(&member.nickname, member.id), place_of(&group));
        let there = is_in(member.id, group.id, desk).await?;
        desk.out.say(&if there {
            format!("{name} will be removed from {place} by: restante sync")
        } else {
            format!("{name} was removed from {place} and can read nothing that comes after.")
        });
    }
    Ok(())
}

/// Gives a member a role.
pub(super) async fn role(
    group: &str,
    who: &str,
    role: Role,
    desk: &mut Desk,
) -> Result<(), Failure> {
    let mut named = None;
    let group = change(group, desk, async |client, group| {
        let member = client.find_member(group.id, who).await?;
        client.set_role(group.id, member.id, role).await?;
        named = Some(member);
        Ok(())
    })
    .await?;
    if let Some(member) = named {
        let name = called(&member.nickname, member.id);
        let role = match role {
            Role::Member => "a member like others",
            Role::Administrator => "an administrator",
            Role::Owner => "an owner",
        };
        desk.say_done(&format!("{name} is {role} of {} now.", place_of(&group)));
    }
    Ok(())
}

async fn is_in(who: ContactId, group: ConversationId, desk: &Desk) -> Result<bool, Failure> {
    Ok(desk.client.members(group).await?.iter().any(|member| member.id == who))
}
