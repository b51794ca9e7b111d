//! Step 1, access: holds connections, speaks the protocol, and asks the mailboxes.
//!
//! ```text
//!  listener --(door: bounds)--> connection (task)
//!                                 |  stream: socket + tls_line --plaintext--> peer
//!                                 |  (link: websocket between them)            |
//!                                 |     frame codec --> session --> Call ------+--> mailbox::api
//!                                 +<--- outlet <--- answers, notices <---------+
//!                                       delivery::Subscriptions
//! ```
//!
//! Over HTTP the same port has the public page and the way to a WebSocket (`visit`, `http`,
//! `page`).
//!
//! Knows connections, frames, handles and chains. Must not know what is in a mailbox or how it is
//! kept: it asks through `mailbox::api` and delivers through `delivery/`.

mod connection;
mod door;
mod endorser;
mod http;
mod link;
mod listener;
mod page;
#[cfg(feature = "simulation")]
pub(crate) mod parsers;
mod peer;
mod pool;
mod session;
mod settings;
mod stream;
mod tls;
mod tls_line;
mod visit;
mod websocket;

pub(crate) use listener::{Gateway, Listener};
pub(crate) use page::Page;
#[cfg(feature = "simulation")]
pub(crate) use peer::{Now, Peer};
pub(crate) use settings::Settings;
pub(crate) use tls::{TlsError, TlsIdentity};
