//! Live envelopes: passed on at once or never, and nothing else is to be seen of them (MBX-19).

use bytes::Bytes;
use restante_spec::ids::{Seq, UnixTime};
use restante_spec::message::{Deliver, Refusal, Reply};

use super::append::Attempt;
use super::{Ledger, Moment, Reading, Stored, short};

/// What is known of a live envelope.
pub(super) struct Live {
    attempt: Attempt,
    /// The connection it came from.
    line: u64,
    body: Bytes,
    /// When its acceptance was said; `None`: that is not known.
    taken: Option<Moment>,
    refused: bool,
    /// When its first delivery was said.
    delivered: Option<Moment>,
}

impl Live {
    /// Fails if it was passed on before that it was taken was said, or though it was refused.
    fn check_order(&self) {
        let Some(delivered) = self.delivered else { return };
        let name = short(&self.attempt.id);
        assert!(!self.refused, "MBX-19: {name} was refused, and is passed on");
        let in_order = self.taken.is_none_or(|taken| taken.event <= delivered.event);
        assert!(in_order, "MBX-19: {name} is passed on before it is answered");
    }
}

impl Ledger {
    /// A live envelope is sent.
    pub(crate) fn live_sent(&mut self, attempt: &Attempt, line: u64, body: &Bytes) {
        self.tell(|| format!("{attempt:?} {} live", short(&attempt.id)));
        let (attempt, body) = (attempt.clone(), body.clone());
        let id = attempt.id;
        let live = Live { attempt, line, body, taken: None, refused: false, delivered: None };
        self.log(live.attempt.place).lives.insert(id, live);
    }

    /// It is answered.
    pub(crate) fn live_answered(
        &mut self,
        attempt: &Attempt,
        answer: Result<Reply, Refusal>,
        said: Moment,
    ) {
        self.tell(|| format!("{:?}: live {} is {answer:?}", attempt.place, short(&attempt.id)));
        let is_taken = match answer {
            Ok(Reply::Appended(appended)) => {
                let is_bare = appended.seq == Seq::START
                    && appended.expires_at == UnixTime::new(0)
                    && !appended.already
                    && appended.epoch.is_none();
                assert!(is_bare, "MBX-19: a live envelope is answered with {appended:?}");
                self.check_live_right(attempt, said);
                true
            }
            Ok(other) => panic!("{other:?} to a live envelope"),
            Err(_) => false,
        };
        let log = self.log(attempt.place);
        let was_over = log.was_over(attempt.epoch, attempt.sent);
        assert!(!is_taken || !was_over, "MBX-7: a live envelope is taken in an ended epoch");
        let live = log.lives.get_mut(&attempt.id).expect("it was sent");
        live.taken = is_taken.then_some(said);
        live.refused = !is_taken;
        live.check_order();
    }

    /// It is passed on to somebody.
    pub(crate) fn live_delivered(
        &mut self,
        reading: &mut Reading,
        deliver: &Deliver,
        body: &Bytes,
        said: Moment,
    ) {
        self.seen.live += 1;
        let name = short(&deliver.id);
        self.tell(|| format!("{:?}: live {name} is brought", reading.place));
        let zero = (Seq::START, Seq::START, UnixTime::new(0));
        assert_eq!((deliver.seq, deliver.prev, deliver.expires_at), zero, "DLV-9: {name}");
        assert!(!deliver.commit && !deliver.own, "DLV-9: {name} is {deliver:?}");
        assert!(reading.lives.insert(deliver.id), "DLV-9: {name} comes twice");
        assert!(reading.caught_up, "DLV-9: {name} comes before the backlog is delivered");
        assert!(reading.has_credit(), "DLV-9: {name} comes without credit");
        let latest = self.latest;
        let log = self.log(reading.place);
        let live = log.lives.get_mut(&deliver.id).expect("nobody sent what is passed on");
        live.delivered.get_or_insert(said);
        live.check_order();
        assert_ne!(live.line, reading.line, "DLV-9: {name} comes back");
        assert_eq!(*body, live.body, "{name} is not what was sealed");
        let epochs = (deliver.epoch, reading.epoch);
        assert_eq!(epochs, (live.attempt.epoch, live.attempt.epoch), "DLV-9: {name}");
        let sent = live.attempt.sent;
        log.check_nothing_owed(reading, sent, latest);
        let is_revoked = self.is_revoked(reading.place, reading.key, sent);
        assert!(!is_revoked, "DLV-10: {name} was sent after the key that hears it was revoked");
    }
}

impl super::Log {
    /// Fails if a reader was not brought what was certainly stored when something live was sent.
    fn check_nothing_owed(&self, reading: &Reading, sent: Moment, latest: u64) {
        // MBX-21: until it is written, it is not stored.
        if self.rule.memory_first {
            return;
        }
        let is_behind = |stored: Stored| stored.seq > reading.position;
        let owed = self.records.iter().find(|(id, record)| {
            let was_known = record.known < sent.event && record.epochs.contains(&reading.epoch);
            was_known && record.stored.is_some_and(is_behind) && !self.may_be_gone(id, latest)
        });
        let owed = owed.map(|(id, _)| short(id));
        assert!(owed.is_none(), "DLV-9: something live comes, and {owed:?} does not");
    }
}
