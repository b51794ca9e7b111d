//! Who a word may mean, who is in a group, and with which devices.

use std::fmt;

use restante_spec::content::Role;
use restante_spec::ids::UnixTime;

use super::ContactId;

/// One of several a word may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its id, whose beginning says which is meant.
    pub id: String,
    /// What it is called, as others chose it.
    pub name: String,
}

impl Match {
    pub(crate) fn new(id: impl fmt::Display, name: &str) -> Self {
        Self { id: id.to_string(), name: name.to_owned() }
    }
}

/// An account in a group, or one that was heard in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Who.
    pub id: ContactId,
    /// The name they gave themselves; empty until it is known.
    pub nickname: String,
    /// What they may.
    pub role: Role,
    /// How many of their devices are in the group; 0 in a room: nobody knows.
    pub devices: u32,
    /// It is this account.
    pub is_me: bool,
}

/// How far the history is that another device of the account gives to this one, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryProgress {
    /// Messages that are here.
    pub done: u64,
    /// Messages of all of it, as far as it is known.
    pub total: u64,
    /// Nothing is missing.
    pub is_complete: bool,
}

/// A device of this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Never given to another.
    pub number: u32,
    /// What it was called when it was linked; may be empty.
    pub label: String,
    /// When it was taken in.
    pub since: UnixTime,
    /// It is this one.
    pub is_this: bool,
}
