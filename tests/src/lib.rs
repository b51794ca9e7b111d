//! Helpers shared by the tests that need more than one crate, a process or a socket.
//!
//! Knows every crate of the workspace from its public side; must not know their insides. Nothing
//! here is used by a crate that is shipped.

pub mod app;
pub mod blobs;
pub mod fuzz;
pub mod groups;
pub mod line;
pub mod memory;
pub mod mount;
pub mod people;
pub mod proxy;
pub mod relay;
pub mod socket;
pub mod tls;
pub mod until;
pub mod wire;
