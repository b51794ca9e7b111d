//! What was agreed on with a mailbox, and the tail of a room (MBX-18).

use restante_spec::ids::{EnvelopeId, Seconds, Seq};
use restante_spec::limits;
use restante_spec::message::MailboxClass;

use super::{Log, Moment, Record, next, short};
use crate::town::Mailbox;

/// What a mailbox was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// TTL as granted, seconds.
    pub(super) ttl: u64,
    pub(super) memory_first: bool,
    /// Rooms: how many envelopes are kept.
    pub(super) tail: Option<usize>,
}

impl Rule {
    /// Of a mailbox that was granted so long; a room would keep so much.
    pub(crate) fn of(mailbox: &Mailbox, ttl: Seconds, tail: usize) -> Self {
        let ttl = u64::from(ttl.get());
        let tail = (mailbox.class == MailboxClass::Room).then_some(tail);
        Self { ttl, memory_first: mailbox.memory_first, tail }
    }
}

impl Log {
    /// Whether what may have been stored behind an envelope makes the tail too long for it.
    pub(super) fn may_be_pushed_out(&self, id: &EnvelopeId) -> bool {
        let Some((tail, record)) = self.rule.tail.zip(self.records.get(id)) else { return false };
        let Some(stored) = record.stored else { return false };
        let is_newer = |it: &&Record| match it.stored {
            Some(newer) => newer.seq > stored.seq,
            None => it.open > 0,
        };
        let (mut count, mut bytes) = (0, record.sealed.body.len());
        for newer in self.records.values().filter(is_newer) {
            count += 1;
            bytes += newer.sealed.body.len();
        }
        // MBX-18
        count >= tail || bytes as u64 > limits::TAIL_BYTES
    }

    /// How many envelopes between two numbers, both excluded, may have been pushed out of the tail.
    pub(super) fn pushed_out_between(&self, after: Seq, before: Seq) -> u64 {
        let between = self.order.range(next(after)..before.max(next(after)));
        between.filter(|(_, id)| self.may_be_pushed_out(id)).count() as u64
    }

    /// Fails if an envelope is delivered that certainly had to go before the subscription began.
    pub(super) fn check_tail(&self, id: &EnvelopeId, subscribed: Moment, latest: u64) {
        let Some((tail, record)) = self.rule.tail.zip(self.records.get(id)) else { return };
        let Some(stored) = record.stored else { return };
        let is_kept = |it: &&Record| {
            let is_newer = |newer: super::Stored| {
                newer.seq > stored.seq && newer.expires_at > latest && it.known < subscribed.event
            };
            it.stored.is_some_and(is_newer)
        };
        let newer = self.records.values().filter(is_kept).count();
        assert!(newer < tail, "MBX-18: {} comes, though {newer} came behind it", short(id));
    }
}
