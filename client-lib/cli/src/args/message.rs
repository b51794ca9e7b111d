//! What can be said about single messages.

use clap::{Args, ValueEnum};

use super::Waiting;

/// Which message.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// The beginning of its id, or `last`: the newest that can be meant.
    pub(crate) message: String,
}

/// What to answer.
#[derive(Args, Debug)]
pub(crate) struct Reply {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The answer; several words become one, `-` reads it from stdin.
    #[arg(required = true, num_args = 1..)]
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// What to put beside a message.
#[derive(Args, Debug)]
pub(crate) struct React {
    #[command(flatten)]
    pub(crate) which: Which,
    /// An emoji, instead of the one you put there before.
    #[arg(required_unless_present = "none")]
    pub(crate) emoji: Option<String>,
    /// Takes yours back.
    #[arg(long, conflicts_with = "emoji")]
    pub(crate) none: bool,
}

/// What a message says from now on.
#[derive(Args, Debug)]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The new words; `-` reads them from stdin.
    #[arg(required = true, num_args = 1..)]
    pub(crate) text: Vec<String>,
}

/// What to take back.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// The beginnings of their ids, or `last`.
    #[arg(required = true, num_args = 1.., value_name = "MESSAGE")]
    pub(crate) messages: Vec<String>,
}

/// What others are told; what is not said stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Privacy {
    /// That you have read a message.
    #[arg(long)]
    pub(crate) read_receipts: Option<Switch>,
    /// That you are writing.
    #[arg(long)]
    pub(crate) typing: Option<Switch>,
    /// That you are there.
    #[arg(long)]
    pub(crate) presence: Option<Switch>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Others are told.
    On,
    /// They are not.
    Off,
}
