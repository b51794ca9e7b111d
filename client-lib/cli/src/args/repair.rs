//! What can be said about conversations in which something is missing, or that cannot go on.

use clap::Args;
use restante_client::RelayAddress;

/// Where something is missing.
#[derive(Args, Debug)]
pub(crate) struct Gaps {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// Asks the others for it once more.
    #[arg(long)]
    pub(crate) ask: bool,
}

/// What to begin anew.
#[derive(Args, Debug)]
pub(crate) struct Reboot {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// A group: up to 1,000 devices instead of 64, but not safe from the quantum computers of the
    /// future; each member is asked whether they agree.
    #[arg(long)]
    pub(crate) large: bool,
}

/// What to move, and where.
#[derive(Args, Debug)]
pub(crate) struct Move {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// The other relay: restante://KEY@host:port.
    #[arg(value_name = "ADDRESS")]
    pub(crate) relay: RelayAddress,
}

/// Whose device to let in again.
#[derive(Args, Debug)]
pub(crate) struct Readmit {
    /// With whom, or in which group.
    #[arg(value_name = "WHO|GROUP")]
    pub(crate) place: String,
    /// Whose; without it those who ask are listed.
    pub(crate) who: Option<String>,
    /// Lets it stand outside.
    #[arg(long, requires = "who")]
    pub(crate) refuse: bool,
}
