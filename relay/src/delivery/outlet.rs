//! The way from everywhere to one connection: answers and notices, bounded, with a wake-up.
//!
//! Answers are bounded by the requests in flight. Notices are bounded in bytes: what does not fit
//! is not kept, the subscription is marked as behind and reads from the buffer later.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use restante_spec::ids::{Handle, RequestNumber};
use restante_spec::limits;
use restante_spec::message::Refusal;
use tokio::sync::Notify;

use crate::mailbox::api::{Answer, Notice};

/// What others leave for a connection.
#[derive(Default)]
pub(crate) struct Outlet {
    waiting: Mutex<Received>,
    wake: Notify,
}

/// What was left since the connection last looked.
#[derive(Default)]
pub(crate) struct Received {
    /// Answers to its calls.
    pub(crate) answers: VecDeque<(RequestNumber, Result<Answer, Refusal>)>,
    /// What happened to mailboxes it is subscribed to.
    pub(crate) notices: VecDeque<(Handle, Notice)>,
    /// Subscriptions that missed a notice.
    pub(crate) behind: HashSet<Handle>,
    /// Bytes of bodies in `notices`.
    bytes: usize,
}

impl Outlet {
    /// Leaves an answer.
    pub(crate) fn answer(&self, number: RequestNumber, answer: Result<Answer, Refusal>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.answers.push_back((number, answer));
        drop(waiting);
        self.wake.notify_one();
    }

    /// Leaves a notice, or the mark that one was missed (LIM-10).
    pub(crate) fn notice(&self, handle: Handle, notice: Notice) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let size = match &notice {
            Notice::Appended { envelope, .. } => envelope.body.len() + limits::HEADER_BYTES,
            Notice::Unknown | Notice::Struck { .. } | Notice::Deleted => 0,
        };
        if waiting.bytes + size > limits::PENDING_OUTPUT_BYTES {
            waiting.behind.insert(handle);
        } else {
            waiting.bytes += size;
            waiting.notices.push_back((handle, notice));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Waits until something is there. Safe to cancel.
    pub(crate) async fn ready(&self) {
        self.wake.notified().await;
    }

    /// Whether something is there.
    #[cfg(feature = "simulation")]
    pub(crate) fn has_some(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        !(waiting.answers.is_empty() && waiting.notices.is_empty() && waiting.behind.is_empty())
    }

    /// Takes everything.
    pub(crate) fn take(&self) -> Received {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use restante_spec::ids::{EnvelopeId, Seq, UnixTime};
    use restante_spec::message::EnvelopeClass;

    use super::*;
    use crate::mailbox::api::{Envelope, Origin};

    fn appended(size: usize) -> Notice {
        let envelope = Envelope {
            seq: Seq::new(1),
            prev: Seq::START,
            epoch: Seq::START,
            id: EnvelopeId::new([1; 16]),
            class: EnvelopeClass::Normal,
            expires_at: UnixTime::new(9),
            commit: false,
            body: Bytes::from(vec![0; size]),
        };
        Notice::Appended { envelope, origin: Origin(1) }
    }

    /// LIM-10: at the bound notices are kept, one past it the subscription is marked as behind;
    /// taking what is there makes room.
    #[test]
    fn notices_are_bounded_in_bytes() {
        let outlet = Outlet::default();
        let size = limits::PENDING_OUTPUT_BYTES / 4 - limits::HEADER_BYTES;
        for handle in 1..=5 {
            outlet.notice(Handle::new(handle), appended(size));
        }
        let received = outlet.take();
        assert_eq!(received.notices.len(), 4);
        assert_eq!(received.behind.into_iter().collect::<Vec<_>>(), [Handle::new(5)]);
        outlet.notice(Handle::new(5), appended(size));
        assert_eq!(outlet.take().notices.len(), 1);
    }
}
