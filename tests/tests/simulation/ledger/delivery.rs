//! Delivery: in order, each once, within the key's range, within the credit, before its time is
//! over, and with nothing left out.

use std::collections::BTreeSet;

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, Epoch, PublicKey, ReaderHash, Seq};
use restante_spec::message::{Credit, Deliver};

use super::{Ledger, Moment, Place, SLACK, Stored, short, tag};

/// A subscription as its client sees it.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) place: Place,
    pub(crate) reader: ReaderHash,
    pub(crate) key: PublicKey,
    /// The connection.
    pub(crate) line: u64,
    pub(crate) epoch: Option<Epoch>,
    /// Where its key's range begins and, if it was replaced, ends.
    pub(crate) range: (Seq, Option<Seq>),
    /// The last number delivered, or where it began.
    pub(crate) position: Seq,
    pub(crate) sent: Moment,
    /// All that was granted and not used up.
    pub(crate) envelopes: i64,
    pub(crate) bytes: i64,
    pub(crate) caught_up: bool,
    /// What was passed on live.
    pub(crate) lives: BTreeSet<EnvelopeId>,
}

impl Reading {
    /// More credit is sent.
    pub(crate) fn grant(&mut self, credit: Credit) {
        self.envelopes += i64::from(credit.envelopes);
        self.bytes += i64::from(credit.bytes);
    }

    /// Whether it is to be delivered more.
    pub(crate) const fn has_credit(&self) -> bool {
        self.envelopes > 0 && self.bytes > 0
    }
}

impl Ledger {
    /// A subscription is answered with success.
    pub(crate) fn subscribed(&mut self, reading: &Reading, now: Moment) {
        self.tell(|| format!("{:?}: {} begins {reading:?}", reading.place, tag(&reading.reader)));
        let Reading { place, reader, key, sent, .. } = *reading;
        self.saw(place, reader, now);
        assert!(!self.is_revoked(place, key, sent), "CMD-9: a revoked key subscribes");
        let Some(epoch) = reading.epoch else { return };
        if self.is_struck(place, reader, sent.event) && !self.may_be_over(place, epoch) {
            panic!("DLV-8: a struck reader subscribes with the current key");
        }
    }

    /// Something is delivered.
    pub(crate) fn delivered(
        &mut self,
        reading: &mut Reading,
        deliver: &Deliver,
        body: &Bytes,
        now: Moment,
    ) {
        self.seen.delivered += 1;
        self.tell(|| {
            let reader = tag(&reading.reader);
            format!("{:?}: {reader} is brought {deliver:?}", reading.place)
        });
        let latest = self.latest;
        let name = short(&deliver.id);
        let (place, seq) = (reading.place, deliver.seq);
        assert!(seq > reading.position, "DLV-1: {seq} comes behind {}", reading.position);
        assert!(reading.has_credit(), "DLV-2: {name} comes without credit");
        assert!(deliver.prev < seq, "DLV-1: prev is {} of {seq}", deliver.prev);
        let time = deliver.expires_at.get();
        assert!(time > now.time, "MBX-11: {name} ended at {time}, delivered at {}", now.time);
        assert_eq!(deliver.epoch, reading.epoch, "MBX-9: {name} is not of this key's epoch");
        let (from, upto) = reading.range;
        assert!(seq > from && upto.is_none_or(|upto| seq <= upto), "MBX-9: {seq} out of range");
        let stored = Stored { seq, expires_at: time };
        self.stored(place, deliver.id, stored, now);
        self.check_content(deliver, body);
        let revoked = self.first_sent(place, deliver);
        assert!(
            !self.is_revoked(place, reading.key, revoked),
            "MBX-12: {name} was sent after the key that reads it was revoked"
        );
        let log = self.log(place);
        log.check_tail(&deliver.id, reading.sent, latest);
        log.check_complete(reading.epoch, reading.position, seq, latest);
        let let_go = log.pushed_out_between(reading.position, seq);
        // MBX-21: what was never written is not remembered as the one before, by who has it.
        let prev =
            if log.rule.memory_first { deliver.prev.max(reading.position) } else { deliver.prev };
        let between = log.order.range(Seq::new(prev.get() + 1)..seq).next();
        assert!(
            between.is_none(),
            "DLV-1: {seq} names {} before it, not {between:?}",
            deliver.prev
        );
        self.seen.let_go += let_go;
        reading.position = seq;
        reading.envelopes -= 1;
        reading.bytes -= i64::try_from(body.len()).unwrap();
    }

    fn first_sent(&mut self, place: Place, deliver: &Deliver) -> Moment {
        self.log(place).records[&deliver.id].first_sent
    }

    fn check_content(&mut self, deliver: &Deliver, body: &Bytes) {
        let (place, _) = self.numbers[&deliver.seq];
        let record = &self.log(place).records[&deliver.id];
        let name = short(&deliver.id);
        let sealed = &record.sealed;
        if deliver.own {
            assert!(body.is_empty(), "DLV-6: the echo of {name} has a body");
        } else {
            assert_eq!(*body, sealed.body, "{name} is not what was sealed");
        }
        assert_eq!((deliver.class, deliver.commit), (sealed.class, sealed.is_commit), "{name}");
        assert!(record.epochs.contains(&deliver.epoch), "{name} is delivered in another epoch");
    }

    /// The backlog is delivered (DLV-4).
    pub(crate) fn caught_up(&mut self, reading: &mut Reading, head: Seq) {
        self.tell(|| format!("{:?}: {} is at {head}", reading.place, tag(&reading.reader)));
        assert!(!reading.caught_up, "DLV-4: caught_up comes twice");
        reading.caught_up = true;
        let latest = self.latest;
        let behind = Seq::new(head.get() + 1);
        let log = self.log(reading.place);
        log.check_complete(reading.epoch, reading.position, behind, latest);
    }

    /// A subscription is closed by the relay (DLV-5).
    pub(crate) fn closed(&mut self, reading: &Reading, code: Code, upto: Seq) {
        self.tell(|| {
            let reader = tag(&reading.reader);
            format!("{:?}: {reader} is closed at {upto}: {code:?}", reading.place)
        });
        let latest = self.latest;
        match code {
            Code::Superseded => {
                let epoch = reading.epoch.expect("only epochs are superseded");
                let log = self.log(reading.place);
                if let Some((id, end)) = log.ended.get(&epoch).copied() {
                    let lawful = upto >= end || log.may_be_gone(&id, latest);
                    assert!(lawful, "DLV-5: closed at {upto}, the epoch ends at {end}");
                }
                assert!(reading.position >= upto, "DLV-5: closed before its end");
            }
            Code::NotFound => {
                let log = self.log(reading.place);
                assert!(log.deleting || log.closing, "closed as deleted for nothing");
            }
            Code::Revoked => {
                let log = self.log(reading.place);
                assert!(log.keys.contains_key(&reading.key), "closed as revoked for nothing");
            }
            Code::Expired => assert!(latest > 0),
            // DLV-10: the key is not known any more.
            Code::Gone => self.gone(reading.place, reading.epoch, reading.reader),
            other => panic!("closed with {other:?}"),
        }
    }

    /// A reader of a replaced key is told that its range's end is not kept, or the key not known.
    pub(crate) fn gone(&mut self, place: Place, epoch: Option<Epoch>, reader: ReaderHash) {
        self.tell(|| format!("{place:?}: {} is gone", tag(&reader)));
        self.seen.gone += 1;
        let latest = self.latest;
        let log = self.log(place);
        let is_room = log.rule.tail.is_some();
        assert!(!is_room || log.deleting, "MBX-17: a room has no readers that could be gone");
        let striking = log.readers.get(&reader).is_none_or(|reader| reader.is_leaving());
        let end = epoch.and_then(|epoch| log.ended.get(&epoch).copied());
        let lawful = match end {
            Some((id, _)) => log.may_be_gone(&id, latest),
            // A commit that nobody has seen may have ended the epoch, and may have expired, or was
            // not held back by a reader that was absent for too long.
            None => log.records.values().any(|record| {
                let of_this = record.sealed.is_commit && record.epochs.contains(&epoch);
                let over = record.first_sent.time + log.rule.ttl <= latest + SLACK;
                of_this && epoch.is_some() && (over || log.is_absent(reader, latest))
            }),
        };
        let deleting = log.deleting;
        assert!(striking || lawful || deleting, "MBX-10: a registered reader is told `gone`");
    }

    /// At the end of a run: nothing accepted is left that this subscription was not delivered.
    pub(crate) fn read_all(&mut self, reading: &Reading) {
        let latest = self.latest;
        let log = self.log(reading.place);
        let all = Seq::new(u64::MAX);
        log.check_complete(reading.epoch, reading.position, all, latest);
    }
}
