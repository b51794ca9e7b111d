//! Step 1, access: holds connections, speaks the protocol, and asks the mailboxes.
//!
//! ```text
//!  listener --(door: bounds)--> connection (task)
//!                                 |  stream: socket + tls_line --plaintext--> peer
//!                                 |                                            |
//!                                 |     frame codec --> session --> Call ------+--> mailbox::api
//!                                 +<--- outlet <--- answers, notices <---------+
//!                                       delivery::Subscriptions
//! ```
//!
//! Knows connections, frames, handles and chains. Must not know what is in a mailbox or how it is
//! kept: it asks through `mailbox::api` and delivers through `delivery/`.

mod connection;
mod door;
mod endorser;
mod listener;
mod peer;
mod session;
mod settings;
mod stream;
mod tls;
mod tls_line;

pub(crate) use door::Door;
pub(crate) use endorser::Endorser;
pub(crate) use listener::{Gateway, Listener};
pub(crate) use settings::Settings;
pub(crate) use tls::{TlsError, TlsIdentity};
