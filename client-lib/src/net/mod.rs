//! Links to relays: one TLS connection, its `hello`, requests and what the relay says by itself.
//!
//! ```text
//!  Link::request --> queue --> the link's task --> TLS --> relay
//!  PendingReply  <-- oneshot <-- exchange  <------ TLS <--
//!  LinkEvents    <-- queue   <--/
//! ```
//!
//! Knows frames and who must be at the other end; must not know mailboxes, keys or the store.

mod backoff;
mod error;
mod exchange;
mod keepalive;
mod line;
mod link;
mod pinning;
mod tls;
#[cfg(feature = "simulation")]
mod wire;

pub(crate) use backoff::Backoff;
pub(crate) use error::LinkError;
pub(crate) use exchange::LinkEvent;
pub(crate) use link::{Link, LinkEvents};
#[cfg(feature = "simulation")]
pub(crate) use wire::Wire;
