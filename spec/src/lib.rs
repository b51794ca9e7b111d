//! The Restante protocol as a crate: what `spec/*.md` says in words, as types, numbers and bytes.
//!
//! ```text
//!  bytes --frame--> header + body --convert--> message (domain types: ids, codes)
//!        <--------                <----------            within limits
//! ```
//!
//! No sockets, no clock, no randomness, no storage: a relay and a client are built on it alike.

pub mod address;
pub mod archive;
pub mod codes;
pub mod content;
mod convert;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod message;
pub mod text;
pub mod token;
pub mod vector;

pub use convert::HeaderError;

/// The version of the protocol this crate speaks (TRN-7).
pub const VERSION: u32 = 1;
/// The ALPN name of frames over TLS (TRN-2).
pub const ALPN: &[u8] = b"restante/1";
/// The ALPN name of HTTP/1.1, which carries frames over WebSocket (TRN-2, TRN-11; RFC 7301).
pub const ALPN_HTTP: &[u8] = b"http/1.1";
/// Where a WebSocket is asked for (TRN-11).
pub const WEBSOCKET_PATH: &str = "/v1";
