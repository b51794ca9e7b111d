//! The way from everywhere to one connection: answers and notices, bounded, with a wake-up.
//!
//! Answers are bounded by the requests in flight. Notices are bounded in bytes: what does not fit
//! is not kept, the subscription is marked as behind and reads from the buffer later.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use restante_spec::ids::{Handle, RequestNumber};
use restante_spec::limits;
use restante_spec::message::Refusal;

use super::group::Seat;
use crate::mailbox::api::{Answer, Notice};

/// What others leave for a connection.
#[derive(Default)]
pub(crate) struct Outlet {
    /// Nothing, most of the time.
    waiting: Mutex<Option<Box<Received>>>,
    /// The connection's task.
    waker: AtomicWaker,
}

/// What was left since the connection last looked.
#[derive(Default)]
pub(crate) struct Received {
    /// Answers to its calls.
    pub(crate) answers: VecDeque<(RequestNumber, Result<Answer, Refusal>)>,
    /// What happened to mailboxes it is subscribed to.
    pub(crate) notices: VecDeque<(Seat, Arc<Notice>)>,
    /// Subscriptions that missed a notice.
    pub(crate) behind: HashSet<Handle>,
    /// Bytes of stored envelopes in `notices`.
    bytes: usize,
    /// Bytes of live ones.
    live_bytes: usize,
}

impl Outlet {
    /// Leaves an answer.
    pub(crate) fn answer(&self, number: RequestNumber, answer: Result<Answer, Refusal>) {
        self.waiting().get_or_insert_default().answers.push_back((number, answer));
        self.waker.wake();
    }

    /// Leaves a notice, or the mark that one was missed (LIM-10). Live envelopes take no room from
    /// others; one that finds none is dropped (DLV-9, LIM-16).
    pub(super) fn notice(&self, seat: Seat, notice: &Arc<Notice>) {
        if self.waiting().get_or_insert_default().add(seat, notice) {
            self.waker.wake();
        }
    }

    /// Leaves the mark that a notice was missed.
    pub(super) fn missed(&self, handle: Handle) {
        self.waiting().get_or_insert_default().behind.insert(handle);
        self.waker.wake();
    }

    /// Waits until something is there; only the connection does. Safe to cancel.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> {
        std::future::poll_fn(|cx| {
            // Before the look: what comes behind it wakes.
            self.waker.register(cx.waker());
            if self.has_some() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// Whether something is there.
    pub(crate) fn has_some(&self) -> bool {
        self.waiting().is_some()
    }

    /// Takes everything, if something is there.
    pub(crate) fn take(&self) -> Option<Box<Received>> {
        self.waiting().take()
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Box<Received>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Received {
    /// Adds a notice, or the mark that one was missed. Returns whether there is something new.
    fn add(&mut self, seat: Seat, notice: &Arc<Notice>) -> bool {
        if self.behind.contains(&seat.handle) {
            // Nothing may come before what was missed: it may have been the end (DLV-10).
            return false;
        }
        let size = notice.size();
        if notice.is_live() {
            if self.live_bytes + size > limits::LIVE_PENDING_BYTES {
                return false;
            }
            self.live_bytes += size;
        } else if self.bytes + size > limits::PENDING_OUTPUT_BYTES {
            return self.behind.insert(seat.handle);
        } else {
            self.bytes += size;
        }
        self.notices.push_back((seat, Arc::clone(notice)));
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use restante_spec::ids::{EnvelopeId, Seq, UnixTime};
    use restante_spec::message::EnvelopeClass;

    use super::*;
    use crate::mailbox::api::{Envelope, Origin};

    fn seat(handle: u32) -> Seat {
        Seat { number: u64::from(handle), handle: Handle::new(handle) }
    }

    fn appended(size: usize) -> Arc<Notice> {
        notice(EnvelopeClass::Normal, size)
    }

    fn notice(class: EnvelopeClass, size: usize) -> Arc<Notice> {
        let envelope = Envelope {
            seq: Seq::new(1),
            prev: Seq::START,
            epoch: Seq::START,
            id: EnvelopeId::new([1; 16]),
            class,
            expires_at: UnixTime::new(9),
            commit: false,
            body: Bytes::from(vec![0; size]),
        };
        Arc::new(Notice::Appended { envelope, origin: Origin(1), at: UnixTime::new(1) })
    }

    /// LIM-10: at the bound notices are kept, one past it the subscription is marked as behind;
    /// taking what is there makes room.
    #[test]
    fn notices_are_bounded_in_bytes() {
        let outlet = Outlet::default();
        let size = limits::PENDING_OUTPUT_BYTES / 4 - limits::HEADER_BYTES;
        for handle in 1..=5 {
            outlet.notice(seat(handle), &appended(size));
        }
        let received = outlet.take().unwrap();
        assert_eq!(received.notices.len(), 4);
        assert_eq!(received.behind.into_iter().collect::<Vec<_>>(), [Handle::new(5)]);
        outlet.notice(seat(5), &appended(size));
        assert_eq!(outlet.take().unwrap().notices.len(), 1);
    }

    /// DLV-10: behind a missed notice nothing is told, live ones included, until it was looked at.
    #[test]
    fn nothing_is_told_past_a_missed_notice() {
        let outlet = Outlet::default();
        outlet.notice(seat(1), &appended(1));
        outlet.missed(Handle::new(1));
        outlet.notice(seat(1), &appended(1));
        outlet.notice(seat(1), &notice(EnvelopeClass::Live, 1));
        outlet.notice(seat(2), &appended(1));
        let received = outlet.take().unwrap();
        let told: Vec<_> = received.notices.iter().map(|(seat, _)| seat.number).collect();
        assert_eq!((told, received.behind.len()), (vec![1, 2], 1));
        outlet.notice(seat(1), &appended(1));
        assert_eq!(outlet.take().unwrap().notices.len(), 1);
    }

    /// LIM-16, DLV-9: at the bound live ones are kept, one past it they are dropped without a mark,
    /// and stored ones still have all their room.
    #[test]
    fn live_notices_are_dropped_at_their_bound() {
        let outlet = Outlet::default();
        let size = limits::LIVE_PENDING_BYTES / 2 - limits::HEADER_BYTES;
        for _ in 0..3 {
            outlet.notice(seat(1), &notice(EnvelopeClass::Live, size));
        }
        for _ in 0..4 {
            outlet.notice(seat(1), &appended(size));
        }
        let received = outlet.take().unwrap();
        let live = received.notices.iter().filter(|(_, notice)| notice.is_live()).count();
        assert_eq!((live, received.notices.len(), received.behind.len()), (2, 6, 0));
    }
}
