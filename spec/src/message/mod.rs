//! What a client may say and what a relay may answer, in domain types.
//!
//! Spec: `spec/04-commands.md`. Knows meanings and shapes; must not know bytes on the wire
//! (`convert/`, `frame.rs`), sockets or storage. Bodies travel beside these, never inside.

mod answer;
mod command;

pub use answer::{
    Appended, BlobPart, BlobState, Created, Deliver, Endorsement, Limits, Opened, PrekeyCount,
    Push, Refusal, Reply, Welcome,
};
pub use command::{
    Allow, Append, BlobCreate, BlobRead, Command, Commit, Create, Credit, EnvelopeClass, Hello,
    MailboxClass, NextKey, Open, PutPrekeys, Rate, Rights, Subscribe, Terms,
};

use crate::ids::RequestNumber;

/// A command with the number its reply will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHeader {
    /// Rising, never 0.
    pub number: RequestNumber,
    /// What is asked.
    pub command: Command,
}

/// What a relay says: the reply to a request, or something by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayHeader {
    /// To the request of this number.
    Reply(RequestNumber, Reply),
    /// By itself.
    Push(Push),
}
