//! What the operator sees and sets, and what every part needs: settings, metrics, clock, tasks,
//! identity.
//!
//! Knows the process and its files. Must not know mailboxes, frames or connections.

pub(crate) mod admin;
pub(crate) mod backup;
pub(crate) mod certificate;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod datadir;
pub(crate) mod descriptors;
pub(crate) mod file;
pub(crate) mod invite;
pub(crate) mod manual;
pub(crate) mod metrics;
#[cfg(feature = "simulation")]
pub(crate) mod parsers;
pub(crate) mod status;
pub(crate) mod systemd;
pub(crate) mod tasks;
