//! One subscription: what its reader was sent, what it may be sent, when it ends.
//!
//! Spec: `spec/05-delivery.md`, rules DLV-1 to DLV-6 and DLV-9.
//! Sans-IO: knows numbers, sizes and the key's range; must not know sockets, the buffer or locks.
//! The transport is reliable: what was sent is not sent again, a reader that lost it subscribes
//! anew behind its durable position.

use restante_spec::codes::Code;
use restante_spec::ids::{Handle, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Credit, Deliver};

use crate::mailbox::api::{Envelope, Range, Span, epoch_name};

/// The relay's half of one subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    handle: Handle,
    range: Range,
    /// The last number sent, or the position it began behind.
    position: Seq,
    /// Envelopes still granted.
    envelopes: u32,
    /// Bytes still granted; one envelope may overdraw them (DLV-2).
    bytes: i64,
    /// Whether the buffer may hold more behind `position`.
    is_behind: bool,
    /// Whether the end of the backlog was told (DLV-4).
    told_caught_up: bool,
    /// Whether the key's terms are those last heard of (DLV-10).
    is_judged: bool,
}

/// What to do with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it.
    Send(Deliver),
    /// Not now: no credit, or something before it was not sent yet.
    Later,
    /// It was sent, or lies beyond the range.
    Never,
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: Code,
    pub(super) upto: Seq,
}

/// The reader acknowledged what it was never sent; answered with `ack_ahead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acknowledged envelope {acked}, but the last one sent is {sent}")]
pub(super) struct AckAhead {
    pub(super) acked: Seq,
    pub(super) sent: Seq,
}

impl Subscription {
    /// Begins behind the range's `after`.
    pub(super) fn new(handle: Handle, range: Range, credit: Credit) -> Self {
        let mut subscription = Self {
            handle,
            range,
            position: range.after,
            envelopes: 0,
            bytes: 0,
            is_behind: true,
            told_caught_up: false,
            is_judged: true,
        };
        subscription.handle_credit(credit);
        subscription
    }

    /// The reader grants more; above the bound it is clamped (DLV-2, LIM-9).
    pub(super) fn handle_credit(&mut self, credit: Credit) {
        let envelopes = self.envelopes.saturating_add(credit.envelopes);
        self.envelopes = envelopes.min(limits::CREDIT_ENVELOPES);
        let bytes = self.bytes.saturating_add(i64::from(credit.bytes));
        self.bytes = bytes.min(i64::from(limits::CREDIT_BYTES));
    }

    /// The reader has everything up to `upto`; whether it may say so (DLV-3).
    ///
    /// # Errors
    /// [`AckAhead`] if `upto` was never sent.
    pub(super) fn check_ack(&self, upto: Seq) -> Result<(), AckAhead> {
        if upto > self.position {
            return Err(AckAhead { acked: upto, sent: self.position });
        }
        Ok(())
    }

    /// There may be something that it was not told of.
    pub(super) const fn handle_behind(&mut self) {
        self.is_behind = true;
    }

    /// The key's terms have changed, or a notice was missed that may have said so.
    pub(super) const fn handle_changed(&mut self) {
        (self.is_behind, self.is_judged) = (true, false);
    }

    /// An envelope has just been appended. What cannot be sent now is read later.
    pub(super) fn handle_appended(&mut self, envelope: &Envelope, own: bool) -> Verdict {
        if self.is_behind {
            return Verdict::Later;
        }
        // DLV-1: in the order of the log; a hole before it is filled from the buffer first.
        if envelope.prev > self.position && envelope.seq > self.position {
            self.is_behind = true;
            return Verdict::Later;
        }
        let verdict = self.judge(envelope, own);
        if verdict == Verdict::Later {
            self.is_behind = true;
        }
        verdict
    }

    /// A live envelope came: only a reader that has everything stored and has credit gets it, and
    /// spends none (DLV-9). A replaced key's reader gets none of the epochs behind it.
    pub(super) fn handle_live(&self, envelope: &Envelope) -> Option<Deliver> {
        let current = self.range.upto.is_none() && envelope.epoch == self.range.epoch;
        let ready = current && !self.is_behind && self.has_credit();
        ready.then(|| self.deliver(envelope, false))
    }

    /// An envelope was read from the buffer, next behind `position`.
    pub(super) fn handle_read(&mut self, envelope: &Envelope) -> Verdict {
        self.judge(envelope, false)
    }

    /// The buffer had no more behind `position`. Returns whether this is to be told (DLV-4).
    pub(super) const fn handle_read_all(&mut self) -> bool {
        self.is_behind = false;
        let tell = !self.told_caught_up;
        self.told_caught_up = true;
        tell
    }

    /// The key's terms as they are now.
    pub(super) const fn handle_terms(&mut self, expires_at: Option<UnixTime>) {
        self.range.expires_at = expires_at;
        self.is_judged = true;
    }

    /// Whether the terms have to be asked for, whatever else is wanted (DLV-10).
    pub(super) const fn is_judged(&self) -> bool {
        self.is_judged
    }

    /// What to read from the buffer now: no more than may be delivered (DLV-2).
    pub(super) fn wants(&self) -> Option<Span> {
        let open = self.is_behind && self.has_credit() && !self.is_at_end();
        open.then_some(Span {
            after: self.position,
            upto: self.range.upto.unwrap_or(Seq::new(u64::MAX)),
            max: self.envelopes as usize,
            max_bytes: usize::try_from(self.bytes).unwrap_or(0),
        })
    }

    /// Why it is over, if it is (DLV-5); by time only if the time is known (DLV-10).
    pub(super) fn end(&self, now: UnixTime) -> Option<End> {
        if let Some(upto) = self.range.upto.filter(|_| self.is_at_end()) {
            return Some(End { code: Code::Superseded, upto });
        }
        let over = self.is_judged && self.range.expires_at.is_some_and(|end| end <= now);
        over.then_some(End { code: Code::Expired, upto: self.position })
    }

    fn is_at_end(&self) -> bool {
        self.range.upto.is_some_and(|upto| self.position >= upto)
    }

    const fn has_credit(&self) -> bool {
        self.envelopes > 0 && self.bytes > 0
    }

    fn judge(&mut self, envelope: &Envelope, own: bool) -> Verdict {
        let beyond = self.range.upto.is_some_and(|upto| envelope.seq > upto);
        if envelope.seq <= self.position || beyond {
            return Verdict::Never;
        }
        // DLV-5: of another epoch, so the commit that ended the key's was let go unread.
        if envelope.epoch != self.range.epoch {
            self.range.upto = Some(self.position);
            return Verdict::Never;
        }
        if !self.has_credit() {
            return Verdict::Later;
        }
        self.position = envelope.seq;
        self.envelopes -= 1;
        let size = if own { 0 } else { envelope.body.len() };
        self.bytes -= i64::try_from(size).unwrap_or(i64::MAX);
        // DLV-5: the commit that ends the key's epoch ends its range.
        if envelope.commit && envelope.epoch == self.range.epoch {
            self.range.upto = Some(envelope.seq);
        }
        Verdict::Send(self.deliver(envelope, own))
    }

    fn deliver(&self, envelope: &Envelope, own: bool) -> Deliver {
        Deliver {
            handle: self.handle,
            seq: envelope.seq,
            prev: envelope.prev,
            epoch: epoch_name(envelope.epoch),
            id: envelope.id,
            class: envelope.class,
            expires_at: envelope.expires_at,
            commit: envelope.commit,
            own,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use restante_spec::ids::EnvelopeId;
    use restante_spec::message::EnvelopeClass;

    use super::*;

    fn subscription(after: u64, upto: Option<u64>, credit: Credit) -> Subscription {
        let range = Range {
            after: Seq::new(after),
            upto: upto.map(Seq::new),
            epoch: Seq::new(3),
            expires_at: None,
        };
        Subscription::new(Handle::new(1), range, credit)
    }

    fn envelope(seq: u64, prev: u64, size: usize) -> Envelope {
        Envelope {
            seq: Seq::new(seq),
            prev: Seq::new(prev),
            epoch: Seq::new(3),
            id: EnvelopeId::new([0; 16]),
            class: EnvelopeClass::Normal,
            expires_at: UnixTime::new(u64::MAX),
            commit: false,
            body: Bytes::from(vec![0; size]),
        }
    }

    const fn credit(envelopes: u32, bytes: u32) -> Credit {
        Credit { envelopes, bytes }
    }

    fn is_sent(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Send(_))
    }

    /// DLV-2: deliveries spend credit, the last may overdraw the bytes, grants add.
    #[test]
    fn credit_is_spent_and_may_be_overdrawn_once() {
        let mut subscription = subscription(4, None, credit(10, 100));
        assert!(is_sent(subscription.handle_read(&envelope(5, 4, 99))));
        assert!(is_sent(subscription.handle_read(&envelope(6, 5, 64_800))));
        assert_eq!(subscription.handle_read(&envelope(7, 6, 1)), Verdict::Later);
        subscription.handle_credit(credit(0, 64_700));
        assert_eq!(subscription.handle_read(&envelope(7, 6, 1)), Verdict::Later);
        subscription.handle_credit(credit(0, 200));
        assert!(is_sent(subscription.handle_read(&envelope(7, 6, 1))));
    }

    /// DLV-2, LIM-9: at the bound credit is clamped, in envelopes and in bytes.
    #[test]
    fn credit_is_clamped_at_the_bound() {
        let mut subscription = subscription(0, None, credit(limits::CREDIT_ENVELOPES, 1 << 30));
        subscription.handle_credit(credit(1, 1));
        let Span { max, max_bytes, .. } = subscription.wants().unwrap();
        assert_eq!(max, limits::CREDIT_ENVELOPES as usize);
        assert_eq!(max_bytes, limits::CREDIT_BYTES as usize);
    }

    /// DLV-3: what was sent may be acknowledged, one number more may not.
    #[test]
    fn acknowledging_what_was_not_sent_is_refused() {
        let mut subscription = subscription(4, None, credit(8, 1_000));
        subscription.handle_read(&envelope(7, 4, 10));
        assert_eq!(subscription.check_ack(Seq::new(7)), Ok(()));
        assert_eq!(subscription.check_ack(Seq::new(2)), Ok(()));
        let ahead = AckAhead { acked: Seq::new(8), sent: Seq::new(7) };
        assert_eq!(subscription.check_ack(Seq::new(8)), Err(ahead));
    }

    /// DLV-1: a notice is sent on only when nothing is missing before it.
    #[test]
    fn a_hole_before_a_notice_sends_the_reader_to_the_buffer() {
        let mut subscription = subscription(4, None, credit(8, 1_000));
        assert_eq!(subscription.handle_appended(&envelope(5, 4, 1), false), Verdict::Later);
        assert!(subscription.handle_read_all());
        assert!(is_sent(subscription.handle_appended(&envelope(5, 4, 1), false)));
        assert_eq!(subscription.handle_appended(&envelope(5, 4, 1), false), Verdict::Never);
        assert_eq!(subscription.handle_appended(&envelope(9, 8, 1), false), Verdict::Later);
        assert_eq!(subscription.wants().unwrap().after, Seq::new(5));
        assert!(!subscription.handle_read_all());
    }

    /// DLV-9: a live one comes to a reader that has all and has credit, and spends none; a replaced
    /// key gets none.
    #[test]
    fn live_envelopes_wait_for_nobody_and_cost_nothing() {
        let mut live = envelope(0, 0, 900);
        live.class = EnvelopeClass::Live;
        let mut reader = subscription(4, None, credit(1, 10));
        assert!(reader.handle_live(&live).is_none(), "the backlog comes first");
        reader.handle_read_all();
        for _ in 0..3 {
            let deliver = reader.handle_live(&live).unwrap();
            assert_eq!((deliver.seq, deliver.prev), (Seq::START, Seq::START));
        }
        assert_eq!((reader.envelopes, reader.bytes, reader.position), (1, 10, Seq::new(4)));
        live.epoch = Seq::new(5);
        assert!(reader.handle_live(&live).is_none(), "another epoch");
        live.epoch = Seq::new(3);
        assert!(is_sent(reader.handle_appended(&envelope(5, 4, 1), false)));
        assert!(reader.handle_live(&live).is_none(), "no credit");
        let mut replaced = subscription(4, Some(9), credit(8, 1_000));
        replaced.handle_read_all();
        assert!(replaced.handle_live(&live).is_none(), "a replaced key");
    }

    /// DLV-6: the own echo costs no bytes.
    #[test]
    fn own_echo_is_free_of_bytes() {
        let mut subscription = subscription(4, None, credit(8, 10));
        subscription.handle_read_all();
        let Verdict::Send(deliver) = subscription.handle_appended(&envelope(5, 4, 900), true)
        else {
            panic!("sent");
        };
        assert!(deliver.own);
        assert_eq!(subscription.bytes, 10);
    }

    /// DLV-5: the commit of the key's own epoch is the last thing it reads.
    #[test]
    fn a_commit_ends_the_range_of_its_epoch() {
        let mut subscription = subscription(4, None, credit(8, 1_000));
        let mut commit = envelope(5, 4, 1);
        commit.commit = true;
        assert!(is_sent(subscription.handle_read(&commit)));
        assert_eq!(subscription.handle_read(&envelope(6, 5, 1)), Verdict::Never);
        let end = End { code: Code::Superseded, upto: Seq::new(5) };
        assert_eq!(subscription.end(UnixTime::new(0)), Some(end));
        assert!(subscription.wants().is_none());
    }

    /// DLV-5. Once who began behind its key's range was told the place where it began.
    #[test]
    fn the_end_that_is_told_is_that_of_the_range() {
        let subscription = subscription(9, Some(5), credit(8, 1_000));
        let end = End { code: Code::Superseded, upto: Seq::new(5) };
        assert_eq!(subscription.end(UnixTime::new(0)), Some(end));
    }

    /// DLV-5, MBX-9. Once a subscription whose key's last commit had expired before it was read
    /// went on into the epochs behind it.
    #[test]
    fn another_epoch_ends_the_range_whose_end_was_let_go() {
        let mut subscription = subscription(4, None, credit(8, 1_000));
        let mut next = envelope(9, 5, 1);
        next.epoch = Seq::new(5);
        assert_eq!(subscription.handle_read(&next), Verdict::Never);
        let end = End { code: Code::Superseded, upto: Seq::new(4) };
        assert_eq!(subscription.end(UnixTime::new(0)), Some(end));
        assert!(subscription.wants().is_none());
    }
}
