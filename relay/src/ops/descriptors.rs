//! How many files the system lets the relay open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::config::Serve;
use crate::limits::OPEN_FILES;

/// Has the system allow as many as it may, and gives how many it allows; `None`: without bound.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What is not granted stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}

/// As many as the system may allow; `None`: without bound.
pub(super) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// As many as a relay with these settings may come to need.
pub(crate) const fn needed(serve: &Serve) -> u64 {
    serve.connections as u64 + OPEN_FILES
}
