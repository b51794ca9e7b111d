//! What each command does, one file each; here is only which is which.
//!
//! Knows the order of things: find the home, open it, work, close it. Must not print.

mod backup;
mod contacts;
mod devices;
mod files;
mod group;
mod history;
mod init;
mod invite;
mod messages;
mod privacy;
mod repair;
mod room;
mod safety;
mod search;
mod send;
mod sync;
mod which;

use clap::CommandFactory;

use crate::args::{BackupCommand, Cli, Command, DeviceCommand};
use crate::chat;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::Output;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli, out: Output) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    if let Command::Completions { shell } = command {
        clap_complete::generate(shell, &mut Cli::command(), "restante", &mut std::io::stdout());
        return Ok(());
    }
    let home = Home::find(&common)?;
    if let Command::Init(args) = &command {
        return init::run(args, &home, common.offline, out).await;
    }
    if let Command::Device { command: DeviceCommand::New(args) } = &command {
        return devices::new(args, &home, out).await;
    }
    if let Command::Backup { command: BackupCommand::Restore { file } } = &command {
        return backup::restore(file, &home, common.offline, out).await;
    }
    let mut desk = Desk::start(home.open()?, out, common.offline)?;
    let done = work(&command, &mut desk).await;
    // It was running: what it owed is sent, and the home is free when this returns.
    let closed = desk.client.shutdown().await;
    done.and(closed.map_err(Failure::from))
}

async fn work(command: &Command, desk: &mut Desk) -> Result<(), Failure> {
    match command {
        Command::Invite(args) => invite::make(args, desk).await,
        Command::Accept(args) => invite::take(args, desk).await,
        Command::Contacts { decision: None } => contacts::list(desk).await,
        Command::Contacts { decision: Some(decision) } => contacts::decide(decision, desk).await,
        Command::Group { command } => group::run(command, desk).await,
        Command::Room { command } => room::run(command, desk).await,
        Command::Send(args) => send::run(args, desk).await,
        Command::Attach(args) => files::attach(args, desk).await,
        Command::Fetch(args) => files::fetch(args, desk).await,
        Command::Reply(args) => messages::reply(args, desk).await,
        Command::React(args) => messages::react(args, desk).await,
        Command::Edit(args) => messages::edit(args, desk).await,
        Command::Delete(args) => messages::delete(args, desk).await,
        Command::Receipts(which) => messages::receipts(which, desk).await,
        Command::Gaps(args) => repair::gaps(args, desk).await,
        Command::Reboot(args) => repair::reboot(args, desk).await,
        Command::Move(args) => repair::relocate(args, desk).await,
        Command::Readmit(args) => repair::readmit(args, desk).await,
        Command::Device { command } => devices::run(command, desk).await,
        Command::Backup { command: BackupCommand::Create { file, passphrase } } => {
            backup::create(file, *passphrase, desk).await
        }
        Command::Privacy(args) => privacy::run(args, desk).await,
        Command::History(args) => history::run(args, desk).await,
        Command::Search(args) => search::run(args, desk).await,
        Command::Chat { who } => chat::run(who, desk).await,
        Command::Verify(args) => safety::verify(args, desk).await,
        Command::Block { who } => safety::block(who, desk).await,
        Command::Sync(args) => sync::run(args, desk).await,
        // These need no account and were done before.
        Command::Init(_) | Command::Completions { .. } | Command::Backup { .. } => Ok(()),
    }
}
