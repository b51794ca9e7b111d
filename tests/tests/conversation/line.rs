//! One connection of a device: what is under way in both directions, and what both sides say.
//!
//! Knows bytes and frames; must not know what they mean.

use bytes::{Bytes, BytesMut};
use restante_relay::simulation::{Connection, Now};
use restante_spec::frame::{self, Frame};
use restante_spec::message::{ClientHeader, RelayHeader};

/// One connection.
pub(crate) struct Line {
    pub(crate) relay: Connection,
    up: BytesMut,
    down: BytesMut,
    /// The relay has more to deliver that it could not read.
    more: bool,
    /// What was said and is not whole yet, by the client and by the relay.
    said: (BytesMut, BytesMut),
}

/// The network holds so much of a connection in one direction, bytes.
const WINDOW: usize = 1 << 20;

impl Line {
    pub(crate) fn new(relay: Connection) -> Self {
        let (up, down, said) = Default::default();
        Self { relay, up, down, more: false, said }
    }

    /// The client says something. Gives back the commands that are whole by now.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Vec<Frame<ClientHeader>> {
        self.up.extend_from_slice(bytes);
        self.said.0.extend_from_slice(bytes);
        std::iter::from_fn(|| frame::decode_client(&mut self.said.0).expect("a client's")).collect()
    }

    /// Brings at most `max` bytes to the relay, if it reads. Returns whether any came.
    pub(crate) fn bring_up(&mut self, max: usize, now: Now) -> bool {
        let size = self.up.len().min(max);
        if size == 0 || !self.relay.reads() {
            return false;
        }
        self.relay.receive(&self.up.split_to(size), now);
        self.work(now);
        true
    }

    /// Whether the relay has a reason to look at the connection, as its task would be woken.
    pub(crate) fn is_awake(&self) -> bool {
        self.more || self.relay.is_woken()
    }

    /// The relay looks at the connection.
    pub(crate) fn work(&mut self, now: Now) {
        self.more = self.relay.work(now);
    }

    /// What the relay says leaves it. Gives back what is whole by now.
    pub(crate) fn hear(&mut self) -> Vec<Frame<RelayHeader>> {
        let bytes = self.relay.send(WINDOW.saturating_sub(self.down.len()));
        self.down.extend_from_slice(&bytes);
        self.said.1.extend_from_slice(&bytes);
        std::iter::from_fn(|| frame::decode_relay(&mut self.said.1).expect("a relay's")).collect()
    }

    /// Brings at most `max` bytes to the client.
    pub(crate) fn bring_down(&mut self, max: usize) -> Bytes {
        let size = self.down.len().min(max);
        self.down.split_to(size).freeze()
    }
}
