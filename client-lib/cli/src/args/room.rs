//! What can be said about rooms.

use clap::{Args, Subcommand};

/// What to do with a room.
#[derive(Debug, Subcommand)]
pub(crate) enum RoomCommand {
    /// Makes a room, with you as its founder: few write, whoever has the link reads.
    New(NewRoom),
    /// Lists the rooms you read.
    List,
    /// Shows the link of a room: whoever has it reads what is there and what comes.
    Link {
        /// Which.
        room: String,
    },
    /// Reads a room somebody gave you the link of; with a newer link, one whose key was replaced.
    Join {
        /// The link.
        link: String,
    },
    /// Agrees to be a host of a room, as its founder wishes.
    Accept {
        /// Which.
        room: String,
    },
    /// Ceases to read a room; nobody is told.
    Leave {
        /// Which.
        room: String,
    },
    /// Takes the word from the audience; hosts go on. For its founder.
    Mute {
        /// Which.
        room: String,
    },
    /// Gives the word to everybody who reads. For its founder.
    Unmute {
        /// Which.
        room: String,
    },
    /// Shows who the hosts of a room are, or makes and unmakes them. For its founder.
    Hosts(Hosts),
    /// Replaces the key of a room. For its founder.
    Rotate(Rotate),
}

/// Which room to make.
#[derive(Args, Debug)]
pub(crate) struct NewRoom {
    /// What it is called.
    pub(crate) name: String,
    /// The audience may write too.
    #[arg(long)]
    pub(crate) open: bool,
}

/// The hosts of a room.
#[derive(Args, Debug)]
pub(crate) struct Hosts {
    /// Which room.
    pub(crate) room: String,
    /// Contacts to make hosts; they are asked whether they agree.
    #[arg(long, value_name = "WHO", num_args = 1..)]
    pub(crate) add: Vec<String>,
    /// Hosts that are none from now on.
    #[arg(long, value_name = "WHO", num_args = 1..)]
    pub(crate) remove: Vec<String>,
}

/// How to replace the key of a room.
#[derive(Args, Debug)]
pub(crate) struct Rotate {
    /// Which room.
    pub(crate) room: String,
    /// Nobody but the hosts reads on before you have handed them the new link. Without this
    /// everybody goes on by themselves.
    #[arg(long)]
    pub(crate) exclude: bool,
}
