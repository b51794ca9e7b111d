//! What an operator may set about connections, within the protocol's limits.

use std::time::Duration;

use restante_spec::limits;

/// Bounds of connections; the defaults are the protocol's limits.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Connections in all (LIM-12).
    pub(crate) connections: usize,
    /// Connections of one address prefix (LIM-12).
    pub(crate) connections_per_prefix: usize,
    /// TLS handshakes under way (LIM-12).
    pub(crate) handshakes: usize,
    /// New connections of one address prefix in a minute (LIM-20).
    pub(crate) connects_per_minute: u32,
    /// Failed handshakes and `open`s of one address prefix in a minute (LIM-20).
    pub(crate) failures_per_minute: u32,
    /// `create`s of one address prefix in a minute (LIM-20).
    pub(crate) creates_per_minute: u32,
    /// Bytes that all connections hold together beyond their own (LIM-29).
    pub(crate) held_bytes: usize,
    /// Time for TLS and `hello`, and again to the first `open` or `create` (LIM-11).
    pub(crate) hello_timeout: Duration,
    /// The operator's words in `hello`.
    pub(crate) operator_text: String,
    /// On the public page: whom to write to; may be a link.
    pub(crate) contact: String,
    /// On the public page: where the relay's source code is.
    pub(crate) source: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            connections_per_prefix: limits::CONNECTIONS_PER_PREFIX,
            handshakes: limits::HANDSHAKES_IN_FLIGHT,
            connects_per_minute: limits::CONNECTS_PER_MINUTE,
            failures_per_minute: limits::FAILURES_PER_MINUTE,
            creates_per_minute: limits::CREATES_PER_MINUTE,
            held_bytes: limits::HELD_BYTES,
            hello_timeout: Duration::from_secs(u64::from(limits::HELLO_TIMEOUT.get())),
            operator_text: String::new(),
            contact: String::new(),
            source: String::new(),
        }
    }
}
