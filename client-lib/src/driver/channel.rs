//! One opened mailbox of one link: how far it is, and what is under way on it.
//!
//! Sans-IO: knows handles, chains and ids; must not know the link or the store.

use std::collections::BTreeSet;

use bytes::Bytes;
use restante_spec::ids::{ChainNumber, EnvelopeId, Handle, PublicKey};

/// A mailbox that is opened, or about to be.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) handle: Handle,
    /// The key it is opened with.
    pub(super) key: PublicKey,
    pub(super) phase: Phase,
    /// What the relay keeps with the key.
    pub(super) card: Bytes,
    /// Appends without an answer.
    in_flight: BTreeSet<EnvelopeId>,
    chain: u32,
    /// The last row of the outbox that was sent on this chain.
    sent: i64,
    /// The commit that was sent last.
    commit: Option<EnvelopeId>,
    flow: Flow,
}

/// How far an opened mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `open` is under way.
    Opening,
    /// Open, nothing subscribed.
    Open,
    /// Subscribed, the backlog is coming.
    Reading,
    /// Subscribed, the backlog is done: this device is up to date.
    Current,
}

/// Whether appends can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// The chain goes on.
    Free,
    /// Something of the chain was not stored: no append before all are answered, then a new chain.
    Broken,
    /// The epoch is over: no append before the mailbox is opened with the next key.
    Stale,
}

impl Channel {
    /// A mailbox `open` was asked for.
    pub(super) const fn opening(handle: Handle, key: PublicKey) -> Self {
        Self {
            handle,
            key,
            phase: Phase::Opening,
            card: Bytes::new(),
            in_flight: BTreeSet::new(),
            chain: 1,
            sent: 0,
            commit: None,
            flow: Flow::Free,
        }
    }

    /// How many appends may be sent now, of at most `window` under way.
    pub(super) fn room(&self, window: usize) -> usize {
        match (self.phase, self.flow) {
            (Phase::Current, Flow::Free) => window.saturating_sub(self.in_flight.len()),
            _ => 0,
        }
    }

    /// Whether a commit may be sent now: everything before it is answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.room(1) == 1
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The chain the next append belongs to.
    pub(super) const fn chain(&self) -> ChainNumber {
        ChainNumber::new(self.chain)
    }

    /// The last row sent on this chain; what is behind it was not.
    pub(super) const fn sent(&self) -> i64 {
        self.sent
    }

    /// An append leaves; `row` is its row in the outbox; a commit has none.
    pub(super) fn handle_sent(&mut self, id: EnvelopeId, row: Option<i64>) {
        self.in_flight.insert(id);
        match row {
            Some(row) => self.sent = row,
            None => self.commit = Some(id),
        }
    }

    /// An append was stored. Behind a commit the epoch is over: its echo brings the next.
    pub(super) fn handle_stored(&mut self, id: &EnvelopeId) {
        self.in_flight.remove(id);
        self.renew();
        if self.commit.as_ref() == Some(id) {
            self.handle_stale();
        }
    }

    /// An append was not stored, or nobody knows: what is behind it is not stored either.
    pub(super) fn handle_failed(&mut self, id: &EnvelopeId) {
        self.in_flight.remove(id);
        if self.flow == Flow::Free {
            self.flow = Flow::Broken;
        }
        self.renew();
    }

    /// The epoch is over.
    pub(super) const fn handle_stale(&mut self) {
        self.flow = Flow::Stale;
    }

    /// After a break and with nothing under way, the next append begins a new chain, from the
    /// first row that is still there.
    fn renew(&mut self) {
        if self.flow == Flow::Broken && self.in_flight.is_empty() {
            self.flow = Flow::Free;
            self.chain = self.chain.wrapping_add(1);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> EnvelopeId {
        EnvelopeId::new([n; 16])
    }

    fn current() -> Channel {
        let mut channel = Channel::opening(Handle::new(1), PublicKey::new([1; 32]));
        channel.phase = Phase::Current;
        channel
    }

    /// Nothing is appended before the backlog is done, and never more than the window.
    #[test]
    fn sending_waits_for_the_backlog_and_keeps_the_window() {
        let mut channel = Channel::opening(Handle::new(1), PublicKey::new([1; 32]));
        for phase in [Phase::Opening, Phase::Open, Phase::Reading] {
            channel.phase = phase;
            assert_eq!(channel.room(2), 0);
        }
        channel.phase = Phase::Current;
        channel.handle_sent(id(1), Some(1));
        assert_eq!(channel.room(2), 1);
        assert!(!channel.is_quiet());
        channel.handle_stored(&id(1));
        assert!(channel.is_quiet());
    }

    /// MBX-6: after a refusal nothing is sent until all are answered; then a new chain begins with
    /// the first row that is left.
    #[test]
    fn refusal_begins_a_new_chain() {
        let mut channel = current();
        channel.handle_sent(id(1), Some(1));
        channel.handle_sent(id(2), Some(2));
        channel.handle_failed(&id(1));
        assert_eq!((channel.room(8), channel.chain().get(), channel.sent()), (0, 1, 2));
        channel.handle_failed(&id(2));
        assert_eq!((channel.room(8), channel.chain().get(), channel.sent()), (8, 2, 0));
    }

    /// CNV-9: a commit that was stored is not sent again while its echo is on its way.
    #[test]
    fn nothing_is_sent_behind_a_stored_commit() {
        let mut channel = current();
        channel.handle_sent(id(1), Some(1));
        channel.handle_stored(&id(1));
        channel.handle_sent(id(2), None);
        assert!(!channel.is_quiet());
        channel.handle_stored(&id(2));
        assert_eq!((channel.room(8), channel.is_idle()), (0, true));
    }

    /// A channel whose epoch is over never sends again.
    #[test]
    fn stale_channel_stays_silent() {
        let mut channel = current();
        channel.handle_sent(id(1), Some(1));
        channel.handle_stale();
        channel.handle_failed(&id(1));
        assert_eq!(channel.room(8), 0);
    }
}
