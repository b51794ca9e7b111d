//! The Restante relay: a post office that keeps sealed letters until they are called for.
//!
//! ```text
//!  gateway/ --> mailbox/ --> buffer/          an envelope comes in and is kept
//!     ^            | notices
//!     +-- delivery/ <-+                       and goes out to whoever reads
//! ```
//!
//! `run` puts the parts together; `ops` is what the operator sees and sets.

mod buffer;
mod delivery;
mod error;
mod gateway;
mod limits;
mod mailbox;
mod ops;
mod rate;
mod run;
#[cfg(feature = "simulation")]
pub mod simulation;

pub use error::Error;
pub use ops::admin::{drain, stats};
pub use ops::backup::{backup, restore, verify};
pub use ops::check::{Finding, check};
pub use ops::config::{Cli, Command, Serve};
pub use ops::file::template;
pub use ops::invite::{Invite, New, Revoke, invite};
pub use ops::manual::manual;
pub use run::Relay;
