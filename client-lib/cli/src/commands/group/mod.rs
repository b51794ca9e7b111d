//! `group ...`: conversations with several people. Here is which is which, and what all that change
//! a group have in common.
//!
//! What cannot be told to the relay now is kept on this device and done later, as for a message.

mod members;
mod own;
mod state;

use restante_client::{Client, Conversation};

use crate::args::GroupCommand;
use crate::desk::Desk;
use crate::failure::Failure;

/// Does it.
pub(super) async fn run(command: &GroupCommand, desk: &mut Desk) -> Result<(), Failure> {
    match command {
        GroupCommand::New(args) => own::new(args, desk).await,
        GroupCommand::List => own::list(desk).await,
        GroupCommand::Show { group } => own::show(group, desk).await,
        GroupCommand::Add { group, who } => members::add(group, who, desk).await,
        GroupCommand::Link(args) => members::link(args, desk).await,
        GroupCommand::Remove { group, who } => members::remove(group, who, desk).await,
        GroupCommand::Role { group, who, role } => {
            members::role(group, who, (*role).into(), desk).await
        }
        GroupCommand::Name { group, name } => state::name(group, name, desk).await,
        GroupCommand::Picture(args) => state::picture(args, desk).await,
        GroupCommand::Policy(args) => state::policy(args, desk).await,
        GroupCommand::Timer { of, time } => state::timer(of, *time, desk).await,
        GroupCommand::Leave { group } => own::leave(group, desk).await,
        GroupCommand::Accept { group } => own::accept(group, desk).await,
        GroupCommand::Decline { group } => own::decline(group, desk).await,
    }
}

/// Does something to a group and tells the relay; gives the group as it is afterwards.
async fn change(
    group: &str,
    desk: &mut Desk,
    act: impl AsyncFnOnce(&Client, &Conversation) -> Result<(), Failure>,
) -> Result<Conversation, Failure> {
    let collected = desk.collect().await;
    let group = desk.group(group).await?;
    act(&desk.client, &group).await?;
    desk.tell_of(&group, collected).await
}
