//! Step 1, access: holds connections, speaks the protocol, and asks the mailboxes.
//!
//! ```text
//!  listener --(door: bounds)--> tls --> connection --bytes--> frame codec --> session
//!                                          |   ^                                |
//!                                          |   +---- outlet <---- answers ------+--> Call
//!                                          +---- delivery::Subscriptions
//! ```
//!
//! Knows connections, frames, handles and chains. Must not know what is in a mailbox or how it is
//! kept: it asks through `mailbox::api` and delivers through `delivery/`.

mod connection;
mod door;
mod endorser;
mod listener;
mod session;
mod settings;
mod tls;

pub(crate) use endorser::Endorser;
pub(crate) use listener::{Gateway, Listener};
pub(crate) use settings::Settings;
pub(crate) use tls::{TlsError, TlsIdentity};
