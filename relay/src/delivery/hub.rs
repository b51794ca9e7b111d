//! Who is online: which connections are subscribed to which mailbox, and how they are told.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use restante_spec::ids::{Handle, MailboxId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::group::{Group, Seat};
use super::outlet::Outlet;
use crate::limits::SHARDS;
use crate::mailbox::api::{Notice, Notices};

/// Every subscription of this process, by mailbox.
pub(crate) struct Hub {
    /// A lock for each part of the mailboxes, held for a look-up only.
    shards: [Mutex<Groups>; SHARDS],
    /// The next seat's number.
    seats: AtomicU64,
    /// Groups with somebody to be told, each once.
    due: Mutex<VecDeque<Arc<Group>>>,
    wake: Notify,
}

type Groups = HashMap<MailboxId, Arc<Group>>;

/// A subscription's entry; dropped, the entry goes.
pub(super) struct Registration {
    hub: Arc<Hub>,
    mailbox: MailboxId,
    seat: Seat,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            seats: AtomicU64::new(0),
            due: Mutex::default(),
            wake: Notify::new(),
        }
    }
}

impl Hub {
    /// Sends the mailbox's notices to the outlet from now on.
    pub(super) fn register(
        self: &Arc<Self>,
        mailbox: MailboxId,
        outlet: &Arc<Outlet>,
        handle: Handle,
    ) -> Registration {
        let mut groups = self.shard(mailbox);
        let number = self.seats.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { number, handle };
        groups.entry(mailbox).or_default().join(seat, outlet);
        Registration { hub: Arc::clone(self), mailbox, seat }
    }

    /// Tells those of large mailboxes, a few of each in turn, until `closing`.
    pub(crate) async fn spread(self: Arc<Self>, closing: CancellationToken) {
        while !closing.is_cancelled() {
            if self.spread_once() {
                // Those who were told write now.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.wake.notified() => {}
            }
        }
    }

    /// Tells the next few of one mailbox. Returns whether there was somebody to tell.
    pub(crate) fn spread_once(&self) -> bool {
        let Some(group) = self.due().pop_front() else { return false };
        if group.spread() {
            self.due().push_back(group);
        }
        true
    }

    fn due(&self) -> MutexGuard<'_, VecDeque<Arc<Group>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of the array's length")]
    fn shard(&self, mailbox: MailboxId) -> MutexGuard<'_, Groups> {
        let [first, ..] = *mailbox.as_bytes();
        self.shards[usize::from(first) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "simulation")]
impl Hub {
    /// How many subscriptions are online.
    pub(crate) fn online(&self) -> usize {
        let lock = |shard: &Mutex<Groups>| {
            let groups = shard.lock().unwrap_or_else(PoisonError::into_inner);
            groups.values().map(|group| group.len()).sum::<usize>()
        };
        self.shards.iter().map(lock).sum()
    }
}

impl Notices for Hub {
    fn notice(&self, mailbox: MailboxId, notice: Notice) {
        let group = self.shard(mailbox).get(&mailbox).map(Arc::clone);
        if let Some(group) = group.filter(|group| group.notice(notice)) {
            self.due().push_back(group);
            self.wake.notify_one();
        }
    }
}

impl Registration {
    /// Of what it is told.
    pub(super) const fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// Whose notices are this subscription's.
    pub(super) const fn seat(&self) -> Seat {
        self.seat
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Not under the shard's lock, which the storage thread takes for other mailboxes.
        let group = self.hub.shard(self.mailbox).get(&self.mailbox).map(Arc::clone);
        if group.is_some_and(|group| group.leave(self.seat)) {
            let mut groups = self.hub.shard(self.mailbox);
            // Somebody may have come meanwhile; under this lock nobody does.
            if groups.get(&self.mailbox).is_some_and(|group| group.is_empty()) {
                groups.remove(&self.mailbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ops::tasks::Tasks;

    /// Once whoever left a large group, or waited to, kept the storage thread from telling the
    /// readers of other mailboxes.
    #[test]
    fn who_leaves_waits_for_the_group_without_its_shard() {
        let (hub, outlet) = (Arc::new(Hub::default()), Arc::new(Outlet::default()));
        let mailbox = MailboxId::new([1; 16]);
        let seats = [1, 2].map(|handle| hub.register(mailbox, &outlet, Handle::new(handle)));
        let group = Arc::clone(hub.shard(mailbox).get(&mailbox).unwrap());
        let held = group.hold();
        let leaving = Tasks::new().spawn_thread("leaving", move || drop(seats)).unwrap();
        let begun = Instant::now();
        // The hub's, that of this test, and that of who leaves.
        while Arc::strong_count(&group) < 3 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it waits elsewhere");
            std::thread::yield_now();
        }
        assert_eq!(hub.shard(mailbox).len(), 1);
        drop(held);
        leaving.join().unwrap();
        assert!(hub.shard(mailbox).is_empty(), "the last takes the group with it");
    }
}
