//! What can be said on the command line.
//!
//! Knows words and their meaning for `clap`; must not know how anything is done.

mod backup;
mod device;
mod file;
mod group;
mod message;
mod repair;
mod room;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use restante_client::{AdmissionToken, Entrance};

pub(crate) use self::backup::BackupCommand;
pub(crate) use self::device::{DeviceCommand, NewDevice};
pub(crate) use self::file::{Attach, Fetch};
pub(crate) use self::group::{GroupCommand, GroupLink, GroupPicture, GroupPolicy, NewGroup};
pub(crate) use self::message::{Delete, Edit, Privacy, React, Reply, Switch, Which};
pub(crate) use self::repair::{Gaps, Move, Readmit, Reboot};
pub(crate) use self::room::{Hosts, NewRoom, RoomCommand, Rotate};

use crate::limits::{INVITE_DAYS, INVITE_DAYS_MAX, PAGE, SEND_WAIT_SECONDS};

/// What stands under the list of commands.
const AFTER_HELP: &str = "\
WHO is a nickname, or the beginning of a contact's id where a nickname is not enough; GROUP is the
name of a group, ROOM that of a room, or the beginning of its id. Where one talks, each will do.
MESSAGE is `last`, or the beginning of its id: restante history --ids.

The home is encrypted, with a passphrase from --passphrase-file or the variable
RESTANTE_PASSPHRASE, or else with a random key in a file of the home.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 wrong usage.
With --json everything goes to stdout, one object per line.";

/// Private messages through a relay that forgets.
#[derive(Debug, Parser)]
#[command(name = "restante", version, about, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The home of one person [default: the platform's place for data].
    #[arg(long, global = true, env = "RESTANTE_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// A file whose first line is the passphrase of the home.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// For programs: one object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Without the network: what has to be sent waits in the home.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account in this home.
    Init(Init),
    /// Makes an invite: a link for one person who wants to write to you.
    Invite(Invite),
    /// Takes an invite somebody gave you.
    Accept(Accept),
    /// Lists your contacts, or decides about a request.
    Contacts {
        /// What to do with a request; without it the contacts are listed.
        #[command(subcommand)]
        decision: Option<Decision>,
    },
    /// Makes groups, and does everything else with them.
    Group {
        /// What to do.
        #[command(subcommand)]
        command: GroupCommand,
    },
    /// Makes rooms for very many readers, joins them, and does everything else with them.
    Room {
        /// What to do.
        #[command(subcommand)]
        command: RoomCommand,
    },
    /// Sends a message; done when it is safe at the relay.
    Send(Send),
    /// Sends a file; done when all of it and the message are safe at the relay.
    Attach(Attach),
    /// Brings the file of a message, and writes it into a folder.
    Fetch(Fetch),
    /// Answers a message.
    Reply(Reply),
    /// Puts a reaction beside a message.
    React(React),
    /// Gives a message of yours other words, everywhere.
    Edit(Edit),
    /// Takes messages back, everywhere.
    Delete(Delete),
    /// Shows how far a message of yours has come, with each it went to.
    Receipts(Which),
    /// Shows a conversation, oldest message first; or how much has come from your first device.
    History(History),
    /// Finds messages that hold all the words.
    Search(Search),
    /// Talks with somebody, or in a group: incoming messages appear while you type.
    Chat {
        /// With whom, or where.
        #[arg(value_name = "WHO|GROUP")]
        who: String,
    },
    /// Shows the number to compare with a contact, so that nobody stands between you.
    Verify(Verify),
    /// Blocks a contact: the relay refuses whatever they send.
    Block {
        /// Whom.
        who: String,
    },
    /// Shows what is missing in a conversation; others are asked for it by themselves.
    Gaps(Gaps),
    /// Begins a conversation anew that cannot go on, with the same people and what was said.
    Reboot(Reboot),
    /// Moves a conversation to another relay, also when the one it was on is gone.
    Move(Move),
    /// Lists whose devices ask to be let into a conversation again, or decides about them.
    Readmit(Readmit),
    /// Links further devices of yours, and removes them.
    Device {
        /// What to do.
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// Writes everything into an encrypted file for a drawer, or makes a home of one.
    Backup {
        /// What to do.
        #[command(subcommand)]
        command: BackupCommand,
    },
    /// Shows or sets what others are told without being written to.
    Privacy(Privacy),
    /// Collects what is waiting and sends what is queued.
    Sync(Sync),
    /// Prints the completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// How to make an account.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The relay where your letters are kept: restante://KEY@host:port, or with a token behind it
    /// what its operator gave you: restante://KEY@host:port/TOKEN.
    #[arg(long, value_name = "ADDRESS")]
    relay: Entrance,
    /// The token the relay's operator gave you, where one is needed.
    #[arg(long, value_name = "TOKEN")]
    token: Option<AdmissionToken>,
    /// What others call you.
    #[arg(long, value_name = "NICK")]
    pub(crate) name: String,
}

impl Init {
    /// Where the account comes in.
    pub(crate) fn entrance(&self) -> Entrance {
        entrance(&self.relay, self.token.as_ref())
    }
}

/// A relay with the token that was given apart, else with the one behind its address.
fn entrance(relay: &Entrance, token: Option<&AdmissionToken>) -> Entrance {
    let token = token.cloned().or_else(|| relay.token.clone());
    Entrance { token, ..relay.clone() }
}

/// What to collect with.
#[derive(Args, Debug)]
pub(crate) struct Sync {
    /// A token the relay's operator gave you: kept, and used from now on.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<AdmissionToken>,
}

/// How an invite may be used.
#[derive(Args, Debug)]
pub(crate) struct Invite {
    /// How many people may use it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How many days it holds.
    #[arg(long, value_name = "DAYS", default_value_t = INVITE_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(INVITE_DAYS_MAX)))]
    pub(crate) days: u32,
}

/// Which invite to take.
#[derive(Args, Debug)]
pub(crate) struct Accept {
    /// The link.
    pub(crate) link: String,
    /// A first message, sent along.
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

/// What to do with a contact request.
#[derive(Debug, Subcommand)]
pub(crate) enum Decision {
    /// Agrees: from then on you can write to each other.
    Accept {
        /// Who asked.
        who: String,
    },
    /// Refuses; nobody is told.
    Decline {
        /// Who asked.
        who: String,
    },
}

/// What to send.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// To whom, or to which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) who: String,
    /// The message; several words become one, `-` reads it from stdin.
    #[arg(required = true, num_args = 1..)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// How long to wait for a message.
#[derive(Args, Debug)]
pub(crate) struct Waiting {
    /// How far the message must have come.
    #[arg(long, value_enum, default_value_t = Wait::Accepted)]
    pub(crate) wait: Wait,
    /// How long to wait for that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = SEND_WAIT_SECONDS)]
    pub(crate) timeout: u64,
}

/// How far a message must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Safe at the relay.
    Accepted,
    /// On the other side's device.
    Delivered,
}

/// What of a conversation to show.
#[derive(Args, Debug)]
pub(crate) struct History {
    /// With whom, or in which group; without it, how far the history is that your first device
    /// gives to this one.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) who: Option<String>,
    /// The newest so many messages.
    #[arg(long, short = 'n', value_name = "N", default_value_t = PAGE)]
    pub(crate) limit: u32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// With the beginning of each message's id, by which other commands know it.
    #[arg(long)]
    pub(crate) ids: bool,
}

/// What to find.
#[derive(Args, Debug)]
pub(crate) struct Search {
    /// The words, in any order.
    #[arg(required = true, num_args = 1..)]
    pub(crate) words: Vec<String>,
    /// At most so many messages.
    #[arg(long, short = 'n', value_name = "N", default_value_t = PAGE)]
    pub(crate) limit: u32,
}

/// Whose number, and what came of comparing it.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Whose.
    pub(crate) who: String,
    /// You have compared the numbers and they are equal.
    #[arg(long, conflicts_with = "different")]
    pub(crate) equal: bool,
    /// They are not equal, or you want to compare them again.
    #[arg(long)]
    pub(crate) different: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The definition holds together: no option twice, no default that does not parse.
    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
