//! Keys of an inbox or a room: what they may at a moment, as far as the outside can be sure of it.

use restante_spec::codes::Code;
use restante_spec::ids::PublicKey;
use restante_spec::message::Terms;

use super::append::Attempt;
use super::{Ledger, Moment, Place, SLACK};

/// What an owner changes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Allow(Terms),
    Revoke,
}

impl Change {
    /// Whether it may give the right to write something that is answered now.
    fn lets_write(self, attempt: &Attempt, now: Moment) -> bool {
        let earliest = attempt.sent.time.min(now.time).saturating_sub(SLACK);
        match self {
            Self::Allow(terms) => {
                let lives = terms.expires_at.is_none_or(|end| end.get() > earliest);
                terms.rights.write && lives
            }
            Self::Revoke => false,
        }
    }
}

/// All changes of a key, in the order in which they were sent.
#[derive(Default)]
pub(super) struct History {
    steps: Vec<Step>,
    /// When something was accepted under the present terms and by the present process, seconds.
    accepted: Vec<u64>,
}

struct Step {
    change: Change,
    /// When its success was told.
    done: Option<Moment>,
    /// When its refusal was told: until then it may have been in force, though not for long.
    refused: Option<Moment>,
}

impl History {
    /// The changes that may be in force for what is asked at `sent` and decided in memory.
    fn in_force(&self, sent: Moment) -> impl Iterator<Item = Change> + '_ {
        let may_be = move |step: &&Step| step.refused.is_none_or(|told| told.event >= sent.event);
        self.last(sent).iter().filter(may_be).map(|step| step.change)
    }

    /// The same for what is stored: what was refused has never been in force for that.
    fn in_force_stored(&self, sent: Moment) -> impl Iterator<Item = Change> + '_ {
        self.last(sent).iter().filter(|step| step.refused.is_none()).map(|step| step.change)
    }

    /// The last change that was certainly made before `sent`, and those behind it.
    fn last(&self, sent: Moment) -> &[Step] {
        let done = |step: &Step| step.done.is_some_and(|done| done.event < sent.event);
        &self.steps[self.steps.iter().rposition(done).unwrap_or(0)..]
    }
}

impl Ledger {
    /// A change of a key is sent; its number.
    pub(crate) fn changing(&mut self, place: Place, key: PublicKey, change: Change) -> usize {
        self.tell(|| format!("{place:?}: key {} is to be {change:?}", name(&key)));
        let history = self.log(place).keys.entry(key).or_default();
        history.accepted.clear();
        history.steps.push(Step { change, done: None, refused: None });
        history.steps.len() - 1
    }

    /// A change of a key is answered.
    pub(crate) fn changed(
        &mut self,
        place: Place,
        key: PublicKey,
        number: usize,
        answer: Result<(), Code>,
        now: Moment,
    ) {
        self.tell(|| format!("{place:?}: change {number} of key {}: {answer:?}", name(&key)));
        let history = self.log(place).keys.get_mut(&key).expect("a change that was sent");
        history.accepted.clear();
        let step = &mut history.steps[number];
        match answer {
            Ok(()) => step.done = Some(now),
            Err(Code::Unknown) => {}
            Err(_) => step.refused = Some(now),
        }
        let revoked = step.change == Change::Revoke && answer.is_ok();
        self.seen.revoked += u64::from(revoked);
    }

    /// Fails if a key may certainly not open its mailbox, which was asked at `sent`.
    pub(crate) fn opened(&mut self, place: Place, key: PublicKey, sent: Moment) {
        let Some(history) = self.log(place).keys.get(&key) else { return };
        let allowed = history.in_force(sent).any(|change| matches!(change, Change::Allow(_)));
        assert!(allowed, "CMD-9: a revoked key opens its mailbox");
    }

    /// Whether a key was certainly revoked when something was sent.
    pub(super) fn is_revoked(&mut self, place: Place, key: PublicKey, sent: Moment) -> bool {
        let history = self.log(place).keys.get(&key);
        history.is_some_and(|it| it.in_force(sent).all(|change| change == Change::Revoke))
    }

    /// Fails if a key appends faster than it may (MBX-12): what was accepted at `time` is one more.
    pub(super) fn check_rate(&mut self, attempt: &Attempt, time: u64) {
        let Some(history) = self.log(attempt.place).keys.get_mut(&attempt.key) else { return };
        let mut in_force = history.in_force_stored(attempt.sent);
        let (Some(Change::Allow(terms)), None) = (in_force.next(), in_force.next()) else { return };
        drop(in_force);
        history.accepted.push(time);
        history.accepted.sort_unstable();
        let Some(rate) = terms.rate else { return };
        let (count, per) = (u64::from(rate.count), u64::from(rate.per.get()));
        let accepted = &history.accepted;
        for (first, begin) in accepted.iter().enumerate() {
            for (last, end) in accepted.iter().enumerate().skip(first) {
                let most = count + (end - begin + 1) * count / per + 1;
                let found = (last - first + 1) as u64;
                assert!(found <= most, "MBX-12: {found} appends in {} s", end - begin);
            }
        }
    }

    /// A process has ended, or the store has failed: paces are not kept.
    pub(super) fn forget_paces(&mut self) {
        for history in self.logs.values_mut().flat_map(|log| log.keys.values_mut()) {
            history.accepted.clear();
        }
    }

    /// Fails if a key had certainly no right to say something live (MBX-12), which is decided in
    /// memory.
    pub(super) fn check_live_right(&mut self, attempt: &Attempt, now: Moment) {
        let Some(history) = self.log(attempt.place).keys.get(&attempt.key) else { return };
        let may_write = history.in_force(attempt.sent).any(|it| it.lets_write(attempt, now));
        assert!(may_write, "MBX-12: a key writes live that has no right to");
    }

    /// Fails if a key had certainly no right to what is newly stored, or uses it too often
    /// (MBX-12).
    pub(super) fn check_key(&mut self, attempt: &Attempt, now: Moment) {
        let Some(history) = self.log(attempt.place).keys.get(&attempt.key) else { return };
        let may_write = history.in_force_stored(attempt.sent).any(|it| it.lets_write(attempt, now));
        assert!(may_write, "MBX-12: a key writes that has no right to");
        // A revocation and another `allow` begin the count anew.
        let uses: Option<u64> = history
            .steps
            .iter()
            .try_fold((0, 0), |(sum, best), step| match step.change {
                Change::Revoke => Some((sum + best, 0)),
                Change::Allow(terms) => Some((sum, best.max(u64::from(terms.uses?)))),
            })
            .map(|(sum, best)| sum + best);
        let key = attempt.key;
        let log = self.log(attempt.place);
        let used = log.records.iter().filter(|(id, record)| {
            let stored = record.stored.is_some() || **id == attempt.id;
            stored && record.keys.iter().all(|used| *used == key)
        });
        let used = used.count() as u64;
        assert!(uses.is_none_or(|uses| used <= uses), "MBX-12: {used} uses of {uses:?}");
    }
}

fn name(key: &PublicKey) -> String {
    let [a, b, ..] = key.as_bytes();
    format!("{a:02x}{b:02x}")
}
