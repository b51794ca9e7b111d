//! `room ...`: a mailbox and a key for very many. What is said in a room is sent and shown as
//! elsewhere.
//!
//! What cannot be told to the relay now is kept on this device and done later, as for a message.

use restante_client::{
    Client, Conversation, ConversationKind, Error, GroupMember, Role, Standing, Who,
};

use crate::args::{Hosts, NewRoom, RoomCommand, Rotate};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::json::{ConversationLine, GroupLine, InviteLine};
use crate::output::{called, place_of, short_id, word_for};

/// Does it.
pub(super) async fn run(command: &RoomCommand, desk: &mut Desk) -> Result<(), Failure> {
    match command {
        RoomCommand::New(args) => new(args, desk).await,
        RoomCommand::List => list(desk).await,
        RoomCommand::Link { room } => link(room, desk).await,
        RoomCommand::Join { link } => join(link, desk).await,
        RoomCommand::Accept { room } => accept(room, desk).await,
        RoomCommand::Leave { room } => leave(room, desk).await,
        RoomCommand::Mute { room } => audience(room, false, desk).await,
        RoomCommand::Unmute { room } => audience(room, true, desk).await,
        RoomCommand::Hosts(args) if args.add.is_empty() && args.remove.is_empty() => {
            hosts(&args.room, desk).await
        }
        RoomCommand::Hosts(args) => change_hosts(args, desk).await,
        RoomCommand::Rotate(args) => rotate(args, desk).await,
    }
}

/// Makes one, and shows its link.
async fn new(args: &NewRoom, desk: &mut Desk) -> Result<(), Failure> {
    let reached = desk.collect().await;
    let room = desk.client.create_room(&args.name, args.open).await?;
    let room = desk.tell_of(&room, reached).await?;
    let word = word_for(&room.name, room.id);
    desk.out.say(&format!("{} is there now. Its link: restante room link {word}", place_of(&room)));
    Ok(())
}

/// Lists them.
async fn list(desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let mut rooms = desk.client.conversations().await?;
    rooms.retain(|one| one.kind == ConversationKind::Room);
    rooms.sort_by_cached_key(|room| room.name.to_lowercase());
    let width = rooms.iter().map(|room| place_of(room).chars().count()).max().unwrap_or_default();
    for room in &rooms {
        desk.out.object(&ConversationLine::from(room));
        let (name, id) = (place_of(room), short_id(room.id));
        let unread = match room.unread {
            0 => String::new(),
            1 => ", 1 unread message".to_owned(),
            n => format!(", {n} unread messages"),
        };
        desk.out.say(&format!("{name:<width$}  {id}  {}{unread}", standing_words(room)));
    }
    if rooms.is_empty() {
        desk.out
            .say("No rooms yet. Begin with: restante room new NAME, or: restante room join LINK");
    }
    for room in rooms.iter().filter(|room| room.standing == Standing::Invited) {
        let id = short_id(room.id);
        desk.out.say(&format!(
            "\nYou are to be a host of room {id}. To agree: restante room accept {id}\n\
             To refuse, without telling anybody: restante room leave {id}"
        ));
    }
    Ok(())
}

/// Shows the link of one.
async fn link(room: &str, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let room = find(room, desk).await?;
    let link = desk.client.room_link(room.id).await?;
    desk.out.object(&InviteLine { link: link.as_str() });
    desk.out.say(link.as_str());
    desk.out.qr(link.as_str());
    if desk.out.is_terminal() {
        desk.out.say("Whoever has it reads, and can pass it on.");
    }
    Ok(())
}

/// Reads one from now on.
async fn join(link: &str, desk: &mut Desk) -> Result<(), Failure> {
    let reached = desk.collect().await;
    let room = desk.client.join_room(link).await?;
    let room = desk.tell_of(&room, reached).await?;
    match room.standing {
        Standing::Open => {
            let word = word_for(&room.name, room.id);
            desk.say_done(&format!("You read {} now: restante history {word}", place_of(&room)));
            Ok(())
        }
        _ => Err(Failure::new("not_found", "the relay knows no room with this link".to_owned())),
    }
}

/// Agrees to be a host of one.
async fn accept(room: &str, desk: &mut Desk) -> Result<(), Failure> {
    let room = change(room, desk, async |client, room| {
        client.accept_room(room.id).await?;
        Ok(())
    })
    .await?;
    let word = word_for(&room.name, room.id);
    desk.say_done(&format!("You are a host of {} now: restante chat {word}", place_of(&room)));
    Ok(())
}

/// Ceases to read one.
async fn leave(room: &str, desk: &mut Desk) -> Result<(), Failure> {
    let room = change(room, desk, async |client, room| {
        client.leave_room(room.id).await?;
        Ok(())
    })
    .await?;
    desk.out.say(&format!("You have left {}; nobody is told.", place_of(&room)));
    Ok(())
}

/// Gives the audience the word, or takes it.
async fn audience(room: &str, may_write: bool, desk: &mut Desk) -> Result<(), Failure> {
    let room = change(room, desk, async |client, room| {
        Ok(client.set_room_audience(room.id, may_write).await?)
    })
    .await?;
    let who = if may_write { "Everybody who reads it" } else { "Nobody but its hosts" };
    desk.say_done(&format!("{who} may write in {} now.", place_of(&room)));
    Ok(())
}

/// Shows who the hosts are.
async fn hosts(room: &str, desk: &mut Desk) -> Result<(), Failure> {
    desk.try_collect().await;
    let room = find(room, desk).await?;
    let mut hosts = desk.client.members(room.id).await?;
    hosts.retain(|one| one.role > Role::Member);
    hosts.sort_by_cached_key(|one| (std::cmp::Reverse(one.role), one.nickname.to_lowercase()));
    desk.out.object(&GroupLine::new(&room, &hosts));
    for host in &hosts {
        desk.out.say(&host_line(host));
    }
    if hosts.is_empty() {
        desk.out.say("Not known before its relay was reached.");
    }
    Ok(())
}

/// Makes hosts, and unmakes them.
async fn change_hosts(args: &Hosts, desk: &mut Desk) -> Result<(), Failure> {
    let mut names = Vec::new();
    let room = change(&args.room, desk, async |client, room| {
        for who in &args.add {
            let contact = client.find_contact(who).await?;
            client.add_host(room.id, contact.id).await?;
            names.push((called(&contact.nickname, contact.id), "is asked to be a host"));
        }
        for who in &args.remove {
            let host = client.find_member(room.id, who).await?;
            client.remove_host(room.id, host.id).await?;
            names.push((called(&host.nickname, host.id), "is no host any more"));
        }
        Ok(())
    })
    .await?;
    for (name, what) in names {
        desk.say_done(&format!("{name} {what} of {}.", place_of(&room)));
    }
    Ok(())
}

/// Replaces the key.
async fn rotate(args: &Rotate, desk: &mut Desk) -> Result<(), Failure> {
    let room = change(&args.room, desk, async |client, room| {
        Ok(client.rotate_room(room.id, !args.exclude).await?)
    })
    .await?;
    let (name, word) = (place_of(&room), word_for(&room.name, room.id));
    desk.say_done(&if args.exclude {
        format!("{name} has another key. Hand its link out: restante room link {word}")
    } else {
        format!("{name} has another key; everybody who reads goes on with it.")
    });
    Ok(())
}

/// Does something to a room and tells the relay; gives the room as it is afterwards.
async fn change(
    room: &str,
    desk: &mut Desk,
    act: impl AsyncFnOnce(&Client, &Conversation) -> Result<(), Failure>,
) -> Result<Conversation, Failure> {
    let reached = desk.collect().await;
    let room = find(room, desk).await?;
    act(&desk.client, &room).await?;
    desk.tell_of(&room, reached).await
}

/// The room that is meant.
async fn find(room: &str, desk: &Desk) -> Result<Conversation, Failure> {
    let found = desk.conversation(room).await?;
    match found.kind {
        ConversationKind::Room => Ok(found),
        ConversationKind::Direct | ConversationKind::Group | ConversationKind::Own => {
            Err(Error::NotARoom.into())
        }
    }
}

fn host_line(host: &GroupMember) -> String {
    let (name, id) = (called(&host.nickname, host.id), short_id(host.id));
    let role = if host.role == Role::Owner { "founder" } else { "host" };
    let me = if host.is_me { ", you" } else { "" };
    format!("  {name}  {id}  {role}{me}")
}

/// How this account stands there.
fn standing_words(room: &Conversation) -> &'static str {
    match (room.standing, room.role, room.policy.writers) {
        (Standing::Invited, ..) => "you are to be a host and have not agreed yet",
        (Standing::Open, Role::Owner, _) => "you are its founder",
        (Standing::Open, Role::Administrator, _) => "you are a host",
        (Standing::Open, Role::Member, Who::Everybody) => "you read, and may write",
        (Standing::Open, Role::Member, Who::Administrators) => "you read",
        (Standing::Leaving | Standing::Left | Standing::Removed, ..) => "you have left",
        (Standing::Broken | Standing::Restored, ..) => "cannot be read on: ask for the new link",
    }
}
