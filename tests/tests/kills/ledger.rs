//! What was sent to one mailbox, what was said of it, and what came back: judged by that alone.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Epoch, Seq};
use restante_spec::message::{Appended, MailboxClass};
use restante_tests::wire::{Owner, Wire};

use super::post::Traffic;

/// A conversation with one sender.
pub(crate) struct Log {
    pub(crate) traffic: Traffic,
    pub(crate) owner: Owner,
    pub(crate) epoch: Option<Epoch>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// In the order of sending.
    sent: Vec<Sent>,
    accepted: HashMap<EnvelopeId, (Seq, u64)>,
    /// In the order of arrival.
    seen: Vec<(Seq, EnvelopeId)>,
    /// The last one that is sent at all.
    last: Option<EnvelopeId>,
}

#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) id: EnvelopeId,
    pub(crate) is_short: bool,
}

impl Log {
    pub(crate) async fn begin(address: &RelayAddress, traffic: Traffic) -> Self {
        let mut wire = Wire::connect(address).await;
        let owner = Owner::new();
        let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
        Self { traffic, owner, epoch, known: Mutex::default() }
    }

    pub(crate) fn sending(&self, sent: Sent, is_last: bool) {
        let mut known = self.known.lock().unwrap();
        known.sent.push(sent);
        known.last = is_last.then_some(sent.id);
    }

    /// Whether nothing more is sent.
    pub(crate) fn is_ended(&self) -> bool {
        self.known.lock().unwrap().last.is_some()
    }

    /// Whether everything was sent and accepted.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_ended() && self.open().is_empty()
    }

    /// Whether the last one has come.
    pub(crate) fn is_seen(&self) -> bool {
        let known = self.known.lock().unwrap();
        known.last.is_some() && known.seen.last().map(|(_, id)| *id) == known.last
    }

    /// What was sent and not answered with `appended` yet.
    pub(crate) fn open(&self) -> Vec<Sent> {
        let known = self.known.lock().unwrap();
        let is_open = |sent: &&Sent| !known.accepted.contains_key(&sent.id);
        known.sent.iter().filter(is_open).copied().collect()
    }

    pub(crate) fn answered(&self, id: EnvelopeId, answer: &Appended) {
        let told = (answer.seq, answer.expires_at.get());
        let before = self.known.lock().unwrap().accepted.insert(id, told);
        assert!(before.is_none_or(|before| before == told), "MBX-5: {before:?}, then {told:?}");
    }

    pub(crate) fn delivered(&self, seq: Seq, id: EnvelopeId) {
        self.known.lock().unwrap().seen.push((seq, id));
    }

    pub(crate) fn last_seen(&self) -> Seq {
        self.known.lock().unwrap().seen.last().map_or(Seq::START, |(seq, _)| *seq)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.known.lock().unwrap().accepted.len()
    }

    /// The long-lived ones that were accepted, in the order of sending.
    pub(crate) fn long_lived(&self) -> Vec<(EnvelopeId, Seq)> {
        let known = self.known.lock().unwrap();
        let long = known.sent.iter().filter(|sent| !sent.is_short);
        long.filter_map(|sent| Some((sent.id, known.accepted.get(&sent.id)?.0))).collect()
    }

    /// When the last short-lived one is over, seconds since 1970.
    pub(crate) fn last_short_expiry(&self) -> u64 {
        let known = self.known.lock().unwrap();
        let short = known.sent.iter().filter(|sent| sent.is_short);
        short.filter_map(|sent| known.accepted.get(&sent.id)).map(|told| told.1).max().unwrap_or(0)
    }

    /// What came is what was sent, in its order, once, under the numbers that were promised; what
    /// was accepted and does not expire soon has come.
    pub(crate) fn check_seen(&self) {
        let known = self.known.lock().unwrap();
        assert!(known.seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "numbers rise");
        let seen: HashSet<_> = known.seen.iter().map(|(_, id)| *id).collect();
        assert_eq!(seen.len(), known.seen.len(), "nothing twice");
        assert!(known.seen.iter().all(|(seq, id)| known.accepted[id].0 == *seq), "as promised");
        let order = known.sent.iter().map(|sent| sent.id).filter(|id| seen.contains(id));
        assert!(order.eq(known.seen.iter().map(|(_, id)| *id)), "in the sender's order");
        assert_eq!(known.accepted.len(), known.sent.len(), "everything was accepted in the end");
        let lost = known.sent.iter().filter(|sent| !sent.is_short && !seen.contains(&sent.id));
        assert_eq!(lost.count(), 0, "accepted and lost");
    }

    /// A restored mailbox holds the first `holds` long-lived ones and maybe more, in their order
    /// and once, and nothing that was not sent.
    pub(crate) fn check_restored(&self, found: &[(Seq, EnvelopeId)], holds: usize) {
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "numbers rise");
        let known = self.known.lock().unwrap();
        let found: HashSet<_> = found.iter().map(|(_, id)| *id).collect();
        let long = known.sent.iter().filter(|sent| !sent.is_short);
        let missing = long.take(holds).filter(|sent| !found.contains(&sent.id)).count();
        assert_eq!(missing, 0, "accepted before the backup, and not in it");
        let sent: HashSet<_> = known.sent.iter().map(|sent| sent.id).collect();
        assert!(found.is_subset(&sent), "only what was sent");
    }
}
