//! Who sends and who reads while the relay is killed: each goes on where it stood.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use restante_spec::address::RelayAddress;
use restante_spec::ids::{ChainNumber, EnvelopeId, Handle, Seconds, Seq};
use restante_spec::message::{Append, Command, Push, Reply, Subscribe};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope, random};
use tokio::sync::watch;

use super::ledger::{Log, Sent};

/// Appends that may be under way.
const WINDOW: usize = 16;
/// Envelopes sent to a mailbox that nobody reads between two kills at most.
const PER_KILL: usize = 160;
/// Envelopes sent to one that is read, for each of those: more than a kill waits for.
const READ_SHARE: usize = 40;
/// How long a short-lived envelope lives.
const SHORT: Seconds = Seconds::new(1);

/// What happens with what is sent to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// It is read and acknowledged; a quarter is short-lived.
    Read,
    /// Nobody reads it; seven in eight are short-lived.
    Absent,
}

impl Traffic {
    const fn share(self) -> usize {
        match self {
            Self::Read => READ_SHARE,
            Self::Absent => 1,
        }
    }
}

/// What all tasks share.
pub(crate) struct Shared {
    pub(crate) relay: watch::Receiver<RelayAddress>,
    /// Things that have happened.
    events: AtomicUsize,
    /// Envelopes that may have been sent to a mailbox of [`Traffic::Absent`] by now; to one of
    /// [`Traffic::Read`] so many times more.
    allowed: watch::Sender<usize>,
    pub(crate) is_ending: AtomicBool,
}

impl Shared {
    pub(crate) fn new(relay: watch::Receiver<RelayAddress>) -> Self {
        let (allowed, _) = watch::channel(0);
        Self { relay, events: AtomicUsize::new(0), allowed, is_ending: AtomicBool::new(false) }
    }

    pub(crate) fn may_send_more(&self) {
        self.may_send(PER_KILL);
    }

    pub(crate) fn may_send(&self, more: usize) {
        self.allowed.send_modify(|allowed| *allowed += more);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    fn happened(&self) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until so many things have happened, or all is ending.
    pub(crate) async fn until_more(&self, count: usize) {
        let until = self.events.load(Ordering::SeqCst) + count;
        while self.events.load(Ordering::SeqCst) < until && !self.is_ending() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for a relay that may be just starting, and opens the mailbox.
    pub(crate) async fn connect(&self, owner: &Owner) -> Wire {
        let mut relay = self.relay.clone();
        loop {
            let address = relay.borrow_and_update().clone();
            if let Some(mut wire) = Wire::try_connect(&address).await {
                let open = wire.open_command(1, owner.mailbox, &owner.key);
                if let Some(number) = wire.try_send(open, b"").await
                    && let Some((Reply::Opened(_), _)) = wire.try_reply(number).await
                {
                    return wire;
                }
            }
            relay.changed().await.expect("the relay comes back");
        }
    }
}

/// What is in an envelope, of many sizes.
pub(crate) fn body(id: &EnvelopeId) -> Vec<u8> {
    id.as_bytes().repeat(1 + usize::from(id.as_bytes()[0]))
}

/// Sends until the end, and again what was not answered.
pub(crate) async fn send(log: Arc<Log>, shared: Arc<Shared>) {
    let mut allowed = shared.allowed.subscribe();
    let mut count = 0;
    for chain in 1.. {
        let mut wire = shared.connect(&log.owner).await;
        let (mut again, mut waiting) = (VecDeque::from(log.open()), VecDeque::new());
        loop {
            while waiting.len() < WINDOW {
                let is_first = again.is_empty();
                let next = again.pop_front().or_else(|| new(&log, count, &shared, &allowed));
                let Some(sent) = next else { break };
                count += usize::from(is_first);
                let append = Append {
                    id: sent.id,
                    chain: ChainNumber::new(chain),
                    ttl: sent.is_short.then_some(SHORT),
                    ..envelope(1, log.epoch)
                };
                let command = Command::Append(append);
                let Some(number) = wire.try_send(command, &body(&sent.id)).await else { break };
                shared.happened();
                waiting.push_back((sent.id, number));
            }
            let Some((id, number)) = waiting.pop_front() else {
                if log.is_finished() {
                    return;
                }
                // More may not be sent yet, or the line is broken.
                let is_over = count >= log.traffic.share() * *allowed.borrow_and_update();
                if is_over && !shared.is_ending() {
                    allowed.changed().await.expect("more may be sent");
                }
                if is_broken(&mut wire).await { break } else { continue }
            };
            match wire.try_reply(number).await {
                Some((Reply::Appended(appended), _)) => {
                    log.answered(id, &appended);
                    shared.happened();
                }
                Some((other, _)) => panic!("refused: {other:?}"),
                None => break,
            }
        }
    }
}

/// Another one, if it may be sent now; the last one of all is long-lived.
fn new(log: &Log, count: usize, shared: &Shared, allowed: &watch::Receiver<usize>) -> Option<Sent> {
    let is_last = shared.is_ending();
    let may = count < log.traffic.share() * *allowed.borrow();
    if log.is_ended() || !(may || is_last) {
        return None;
    }
    let is_short = if log.traffic == Traffic::Absent {
        !count.is_multiple_of(8)
    } else {
        count.is_multiple_of(4)
    };
    let sent = Sent { id: EnvelopeId::new(random()), is_short: is_short && !is_last };
    log.sending(sent, is_last);
    Some(sent)
}

async fn is_broken(wire: &mut Wire) -> bool {
    match wire.try_send(Command::Ping, b"").await {
        Some(number) => wire.try_reply(number).await.is_none(),
        None => true,
    }
}

/// Reads and acknowledges until the end, from where it stood.
pub(crate) async fn read(log: Arc<Log>, shared: Arc<Shared>) {
    while !log.is_seen() {
        let mut wire = shared.connect(&log.owner).await;
        let subscribe = Subscribe {
            handle: Handle::new(1),
            reader: log.owner.reader.clone(),
            after: log.last_seen(),
            credit: PLENTY,
        };
        if wire.try_send(Command::Subscribe(subscribe), b"").await.is_none() {
            continue;
        }
        let mut count = 0;
        while !log.is_seen() {
            let Some((push, bytes)) = wire.try_push().await else { break };
            let Push::Deliver(deliver) = push else { continue };
            assert_eq!(bytes, body(&deliver.id), "the body that was sent");
            log.delivered(deliver.seq, deliver.id);
            shared.happened();
            count += 1;
            if count % 7 == 0 {
                let ack = Command::Ack { handle: Handle::new(1), upto: deliver.seq };
                let credit = Command::Credit { handle: Handle::new(1), credit: PLENTY };
                for command in [ack, credit] {
                    wire.try_send(command, b"").await;
                }
            }
        }
    }
}

/// Everything a mailbox holds, read from its beginning.
pub(crate) async fn drain(wire: &mut Wire, handle: u32, owner: &Owner) -> Vec<(Seq, EnvelopeId)> {
    wire.subscribe(handle, &owner.reader, Seq::START, PLENTY).await.unwrap();
    let mut found = Vec::new();
    loop {
        match wire.push().await {
            (Push::Deliver(deliver), bytes) => {
                assert_eq!(bytes, body(&deliver.id), "the body that was sent");
                found.push((deliver.seq, deliver.id));
                let credit = Command::Credit { handle: Handle::new(handle), credit: PLENTY };
                if found.len().is_multiple_of(100) {
                    wire.send(credit, b"").await;
                }
            }
            (Push::CaughtUp { .. }, _) => return found,
            (other, _) => panic!("unexpected push: {other:?}"),
        }
    }
}
