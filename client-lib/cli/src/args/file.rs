//! What can be said about files.

use std::path::PathBuf;

use clap::Args;

use super::{Waiting, Which};

/// What to send.
#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// To whom, or to which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) who: String,
    /// The file.
    pub(crate) file: PathBuf,
    /// Words that go with it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) caption: String,
    /// Sends a picture as it is, with place, time and camera if they stand in it.
    #[arg(long)]
    pub(crate) keep_metadata: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Which file to bring, and where to.
#[derive(Args, Debug)]
pub(crate) struct Fetch {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The folder it is written into, decrypted.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) to: PathBuf,
}
