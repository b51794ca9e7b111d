//! Appending: every answer is the first one again, numbers never repeat, epochs have one end.

use bytes::Bytes;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, Epoch, PublicKey, Seq};
use restante_spec::limits;
use restante_spec::message::{Appended, EnvelopeClass};

use super::{Ledger, Moment, Place, Record, SLACK, Stored, short};

/// What a sender seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) body: Bytes,
    pub(crate) class: EnvelopeClass,
    pub(crate) ttl: Option<u64>,
    pub(crate) is_commit: bool,
}

/// One `append` on its way.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) place: Place,
    pub(crate) id: EnvelopeId,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) key: PublicKey,
    pub(crate) sent: Moment,
}

impl Ledger {
    /// An append is sent.
    pub(crate) fn appending(&mut self, attempt: &Attempt, sealed: &Sealed) {
        self.tell(|| format!("{attempt:?} {} {:?}", short(&attempt.id), sealed.is_commit));
        let log = self.log(attempt.place);
        let floor = log.order.last_key_value().map_or(Seq::START, |(seq, _)| *seq);
        let record = log.records.entry(attempt.id).or_insert_with(|| Record {
            sealed: sealed.clone(),
            epochs: Vec::new(),
            keys: Vec::new(),
            first_sent: attempt.sent,
            floor,
            open: 0,
            refused: 0,
            stored: None,
            known: 0,
            accepted: false,
        });
        assert_eq!(record.sealed, *sealed, "an id has one content");
        record.epochs.push(attempt.epoch);
        record.keys.push(attempt.key);
        record.open += 1;
    }

    /// An append is answered with success.
    pub(crate) fn appended(&mut self, attempt: &Attempt, said: &Appended, now: Moment) {
        self.tell(|| format!("{:?}: {} is {said:?}", attempt.place, short(&attempt.id)));
        let stored = Stored { seq: said.seq, expires_at: said.expires_at.get() };
        let latest = self.latest;
        let record = &self.log(attempt.place).records[&attempt.id];
        let known = record.stored;
        // MBX-5: after that it may be stored anew, and what was said first come last.
        let window = u64::from(limits::DEDUP_WINDOW.get());
        let is_over = latest >= record.first_sent.time + window;
        if said.already {
            self.seen.repeated += 1;
        } else {
            self.seen.accepted += 1;
            assert!(
                known.is_none_or(|known| known == stored || known.seq < said.seq || is_over),
                "MBX-3: {} has {known:?} and then {stored:?}",
                short(&attempt.id)
            );
            self.check_key(attempt, now);
        }
        let record = self.log(attempt.place).records.get_mut(&attempt.id).expect("it was sent");
        record.accepted = true;
        self.stored(attempt.place, attempt.id, stored, now);
        let record = &self.log(attempt.place).records[&attempt.id];
        let is_commit = record.sealed.is_commit;
        assert_eq!(said.epoch.is_some(), is_commit, "MBX-7: a commit begins an epoch");
        // MBX-11: the time named is the wish within the bounds, from the moment of acceptance.
        let (ttl, wish) = (self.log(attempt.place).rule.ttl, self.wish(attempt));
        let ttl = if is_commit { ttl } else { wish.unwrap_or(ttl).min(ttl) };
        if !said.already {
            let accepted = said.expires_at.get() - ttl;
            self.check_needs(attempt, said);
            let span = attempt.sent.time.saturating_sub(SLACK)..=self.latest + SLACK;
            assert!(span.contains(&accepted), "MBX-11: accepted at {accepted}, not in {span:?}");
            // MBX-12: a pace lasts as long as its mailbox is in memory.
            if attempt.sent.event > self.forgot {
                self.check_rate(attempt, accepted);
            }
        }
    }

    fn wish(&mut self, attempt: &Attempt) -> Option<u64> {
        self.log(attempt.place).records[&attempt.id].sealed.ttl
    }

    /// An append is answered with a refusal, which says whether it may be stored all the same.
    pub(crate) fn refused(&mut self, attempt: &Attempt, code: Code) {
        self.tell(|| format!("{:?}: {} is refused: {code:?}", attempt.place, short(&attempt.id)));
        assert!(!matches!(code, Code::Internal | Code::Malformed), "{code:?} to an append");
        self.seen.unknown += u64::from(code == Code::Unknown);
        self.seen.stale += u64::from(code == Code::StaleEpoch);
        self.seen.aborted += u64::from(code == Code::Aborted);
        if code == Code::Unknown {
            return;
        }
        let (latest, forgot, event) = (self.latest, self.forgot, self.event);
        let log = self.log(attempt.place);
        let (deleting, memory_first) = (log.deleting, log.rule.memory_first);
        let record = log.records.get_mut(&attempt.id).expect("it was sent");
        record.open -= 1;
        record.refused = event;
        // MBX-5: known ids come before everything but the key's right.
        let known = record.stored.is_some() && attempt.sent.event > record.known;
        let window = u64::from(limits::DEDUP_WINDOW.get());
        let over = latest >= record.first_sent.time + window;
        let no_right = matches!(code, Code::Revoked | Code::Denied | Code::NotFound);
        // MBX-21: what was never written is not remembered.
        let forgotten = memory_first && record.known <= forgot;
        let lawful = deleting || over || no_right || forgotten;
        assert!(
            !known || lawful || code == Code::Unavailable,
            "MBX-5: {} is accepted, and then refused as {code:?}",
            short(&attempt.id)
        );
    }

    /// An envelope is certainly stored, as an answer or a delivery shows that was given at `said`.
    pub(super) fn stored(&mut self, place: Place, id: EnvelopeId, stored: Stored, said: Moment) {
        let (latest, forgot) = (self.latest, self.forgot);
        let log = self.log(place);
        let memory_first = log.rule.memory_first;
        let record = log.records.get_mut(&id).expect("nobody sent what is stored");
        let name = short(&id);
        assert!(record.open > 0 || record.stored.is_some(), "{name} was refused, and is stored");
        let window = u64::from(limits::DEDUP_WINDOW.get());
        if let Some(known) = record.stored.filter(|known| *known != stored) {
            let again = latest >= record.first_sent.time + window && known.seq != stored.seq;
            // MBX-21: what was never written is not remembered, and sent again stands behind.
            let forgotten = memory_first && record.known <= forgot && known.seq < stored.seq;
            let is_late = known.seq > stored.seq;
            let was_held = memory_first && !record.sealed.is_commit;
            let lost = was_held && is_late && record.first_sent.event <= forgot;
            assert!(again || forgotten || lost, "MBX-5: {name} is {known:?} and then {stored:?}");
            // The news of it has come when it is stored anew already.
            if is_late {
                return self.given(place, id, stored.seq);
            }
        }
        assert!(
            stored.seq > record.floor,
            "MBX-3: {name} gets {}, but {} was given before it was sent",
            stored.seq,
            record.floor
        );
        // MBX-21: news of what was not accepted, and may have been lost in a failure; no commit is.
        let may_be_held = memory_first && !record.sealed.is_commit;
        if may_be_held && record.first_sent.event <= forgot && !record.accepted {
            return self.given(place, id, stored.seq);
        }
        if record.stored.replace(stored).is_none_or(|known| known.seq < stored.seq) {
            record.known = said.event;
        }
        let first_sent = record.first_sent;
        let (is_commit, epochs) = (record.sealed.is_commit, record.epochs.clone());
        log.order.insert(stored.seq, id);
        log.note_places(first_sent, stored.seq);
        if is_commit {
            // MBX-8: of all commits for one epoch exactly one.
            let [Some(epoch)] = epochs.as_slice() else {
                let first = epochs.first().copied().flatten();
                assert!(epochs.iter().all(|epoch| *epoch == first), "a commit is for one epoch");
                return self.ends(place, first.expect("a commit names its epoch"), id, stored.seq);
            };
            self.ends(place, *epoch, id, stored.seq);
        } else if let [Some(epoch)] = epochs.as_slice()
            && let Some((_, end)) = log.ended.get(epoch)
        {
            // MBX-7: a stale epoch does not write.
            assert!(stored.seq < *end, "MBX-7: {name} is {}, its epoch ended {end}", stored.seq);
        }
        self.given(place, id, stored.seq);
    }

    fn given(&mut self, place: Place, id: EnvelopeId, seq: Seq) {
        let before = self.numbers.insert(seq, (place, id));
        assert!(before.is_none_or(|before| before == (place, id)), "MBX-3: {seq} was given twice");
    }

    /// The store, or the process, fails: what was delivered and not accepted may be lost (MBX-21).
    pub(super) fn forget_held(&mut self) {
        for log in self.logs.values_mut().filter(|log| log.rule.memory_first) {
            for record in log.records.values_mut() {
                if let Some(stored) = record.stored.take_if(|_| !record.accepted) {
                    log.order.remove(&stored.seq);
                }
            }
        }
    }

    fn ends(&mut self, place: Place, epoch: Epoch, id: EnvelopeId, seq: Seq) {
        self.given(place, id, seq);
        let log = self.log(place);
        let first = log.ended.insert(epoch, (id, seq));
        let fresh = first.is_none();
        assert!(
            first.is_none_or(|first| first == (id, seq)),
            "MBX-8: two commits were accepted for one epoch"
        );
        let later = log.records.values().filter(|record| record.epochs.as_slice() == [Some(epoch)]);
        for stored in later.filter_map(|record| record.stored) {
            assert!(stored.seq <= seq, "MBX-7: {} is behind the end {seq}", stored.seq);
        }
        self.seen.commits += u64::from(fresh);
    }

    /// Whether some commit for an epoch may be accepted by now.
    pub(super) fn may_be_over(&mut self, place: Place, epoch: Epoch) -> bool {
        let records = self.log(place).records.values();
        records.filter(|record| record.sealed.is_commit).any(|it| it.epochs.contains(&Some(epoch)))
    }
}
