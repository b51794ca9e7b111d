//! What goes over the wire, with frames over TLS alone; `websocket.rs` says the same of WebSocket.

use restante_tests::line::Transport;

#[path = "wire/blobs.rs"]
mod blobs;
#[path = "wire/connection.rs"]
mod connection;
#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/mailbox.rs"]
mod mailbox;
#[path = "wire/rooms.rs"]
mod rooms;

const TRANSPORT: Transport = Transport::Frames;
