//! What can be said about groups.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use restante_client::{Role, Who};

use crate::durations::Timer;
use crate::limits::{GROUP_LINK_USES, INVITE_DAYS, INVITE_DAYS_MAX};

/// What to do with a group.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Makes a group, with you as its owner.
    New(NewGroup),
    /// Lists your groups, and those you were added to.
    List,
    /// Shows a group: who is in it, and what was agreed on.
    Show {
        /// Which.
        group: String,
    },
    /// Adds contacts; they are asked whether they agree.
    Add {
        /// To which.
        group: String,
        /// Whom.
        #[arg(required = true, num_args = 1..)]
        who: Vec<String>,
    },
    /// Makes a link to a group: whoever takes it asks to be in it, and is when you accept them.
    Link(GroupLink),
    /// Removes members: they can read nothing that comes after.
    Remove {
        /// From which.
        group: String,
        /// Whom.
        #[arg(required = true, num_args = 1..)]
        who: Vec<String>,
    },
    /// Gives a member a role, or yourself a smaller one.
    Role {
        /// In which.
        group: String,
        /// Whom.
        who: String,
        /// Which role.
        role: RoleWord,
    },
    /// Gives a group another name.
    Name {
        /// Which.
        group: String,
        /// What it is called from now on.
        name: String,
    },
    /// Gives a group a picture: a small one is made of the file.
    Picture(GroupPicture),
    /// Sets who may do what.
    Policy(GroupPolicy),
    /// Sets how long messages are kept after they were read, by everybody.
    Timer {
        /// A group, or a contact.
        #[arg(value_name = "GROUP|WHO")]
        of: String,
        /// Such as 3600, 90m, 1h, 7d, 2w; or `off`.
        time: Timer,
    },
    /// Leaves a group.
    Leave {
        /// Which.
        group: String,
    },
    /// Agrees to be in a group a contact has added you to.
    Accept {
        /// Which.
        group: String,
    },
    /// Does not agree; nobody is told.
    Decline {
        /// Which.
        group: String,
    },
}

/// Which group to make.
#[derive(Args, Debug)]
pub(crate) struct NewGroup {
    /// What it is called.
    pub(crate) name: String,
    /// Contacts to add at once.
    pub(crate) who: Vec<String>,
    /// Up to 1,000 devices instead of 64, but not safe from the quantum computers of the future.
    #[arg(long)]
    pub(crate) large: bool,
}

/// Which picture a group gets.
#[derive(Args, Debug)]
pub(crate) struct GroupPicture {
    /// Which group.
    pub(crate) group: String,
    /// A JPEG, PNG, WebP or GIF.
    #[arg(required_unless_present = "none")]
    pub(crate) file: Option<PathBuf>,
    /// No picture from now on.
    #[arg(long, conflicts_with = "file")]
    pub(crate) none: bool,
}

/// How a link to a group may be used.
#[derive(Args, Debug)]
pub(crate) struct GroupLink {
    /// To which.
    pub(crate) group: String,
    /// How many people may use it.
    #[arg(long, value_name = "N", default_value_t = GROUP_LINK_USES)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How many days it holds.
    #[arg(long, value_name = "DAYS", default_value_t = INVITE_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(INVITE_DAYS_MAX)))]
    pub(crate) days: u32,
    /// Whoever takes it is accepted and added without asking you.
    #[arg(long)]
    pub(crate) open: bool,
}

/// Who may do what; what is not said stays as it is.
#[derive(Args, Debug)]
pub(crate) struct GroupPolicy {
    /// Which group.
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) rules: PolicyRules,
}

/// The rules that can be set, at least one at a time.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct PolicyRules {
    /// Who may add people.
    #[arg(long)]
    pub(crate) add: Option<WhoWord>,
    /// Who may write.
    #[arg(long)]
    pub(crate) write: Option<WhoWord>,
    /// Who may change name, picture and timer.
    #[arg(long)]
    pub(crate) edit: Option<WhoWord>,
}

/// A role, by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleWord {
    /// May what everybody may.
    Member,
    /// May also remove members, name further administrators, and do what the policy leaves to them.
    Administrator,
    /// May everything.
    Owner,
}

/// Those who may, by their name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WhoWord {
    /// Every member.
    Everybody,
    /// Administrators and owners.
    Administrators,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Member => Self::Member,
            RoleWord::Administrator => Self::Administrator,
            RoleWord::Owner => Self::Owner,
        }
    }
}

impl From<WhoWord> for Who {
    fn from(word: WhoWord) -> Self {
        match word {
            WhoWord::Everybody => Self::Everybody,
            WhoWord::Administrators => Self::Administrators,
        }
    }
}
