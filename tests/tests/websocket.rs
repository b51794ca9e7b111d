//! What goes over the wire, with frames as messages of a WebSocket; and what only HTTP has.

use restante_tests::line::Transport;

#[path = "wire/blobs.rs"]
mod blobs;
#[path = "wire/conformance.rs"]
mod conformance;
#[path = "wire/connection.rs"]
mod connection;
#[path = "wire/http.rs"]
mod http;
#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/mailbox.rs"]
mod mailbox;
#[path = "wire/rooms.rs"]
mod rooms;

const TRANSPORT: Transport = Transport::WebSocket;
