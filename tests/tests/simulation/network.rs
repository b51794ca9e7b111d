//! Connections that delay, deliver in pieces, are cut, and then lose what was under way.
//!
//! Knows bytes and when the relay made them; must not know frames.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use restante_relay::simulation::{Connection, Now};

use super::ledger::Moment;

/// One connection, with what is under way in both directions.
pub(crate) struct Line {
    pub(crate) relay: Connection,
    /// From the client.
    pub(crate) up: BytesMut,
    /// From the relay.
    down: BytesMut,
    /// The relay has more to deliver that it could not read.
    pub(crate) more: bool,
    /// Bytes that have left the relay.
    left: u64,
    /// Up to which byte the relay had said what, and when.
    said: VecDeque<(u64, Moment)>,
}

/// The network holds so much of a connection in one direction, bytes.
const WINDOW: usize = 64 * 1024;

impl Line {
    pub(crate) fn new(relay: Connection) -> Self {
        Self {
            relay,
            up: BytesMut::new(),
            down: BytesMut::new(),
            more: false,
            left: 0,
            said: VecDeque::new(),
        }
    }

    /// Whether the relay has a reason to look at the connection, as its task would be woken.
    pub(crate) fn is_awake(&self) -> bool {
        self.more || self.relay.is_woken()
    }

    /// The relay looks at the connection.
    pub(crate) fn work(&mut self, now: Now, moment: Moment) {
        self.more = self.relay.work(now);
        let said = self.left + self.relay.waiting() as u64;
        if self.said.back().is_none_or(|(before, _)| *before < said) {
            self.said.push_back((said, moment));
        }
    }

    /// Brings at most `max` bytes to the relay, if it reads. Returns whether any came.
    pub(crate) fn bring_up(&mut self, max: usize, now: Now) -> bool {
        let size = self.up.len().min(max);
        if size == 0 || !self.relay.reads() {
            return false;
        }
        self.relay.receive(&self.up.split_to(size), now);
        true
    }

    /// Takes what the relay says into the network. Returns whether anything left.
    pub(crate) fn take_down(&mut self) -> bool {
        let bytes = self.relay.send(WINDOW.saturating_sub(self.down.len()));
        self.left += bytes.len() as u64;
        self.down.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    /// Brings at most `max` bytes to the client.
    pub(crate) fn bring_down(&mut self, max: usize) -> Bytes {
        let size = self.down.len().min(max);
        self.down.split_to(size).freeze()
    }

    /// When the relay said what ends with this byte.
    pub(crate) fn said_at(&mut self, byte: u64) -> Moment {
        while self.said.front().is_some_and(|(upto, _)| *upto < byte) {
            self.said.pop_front();
        }
        self.said.front().expect("what has come was said").1
    }
}
