//! Who is online: which connections are subscribed to which mailbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use restante_spec::ids::{Handle, MailboxId};

use super::outlet::Outlet;
use crate::mailbox::api::{Notice, Notices};

/// Every subscription of this process, by mailbox.
#[derive(Default)]
pub(crate) struct Hub {
    online: Mutex<HashMap<MailboxId, Vec<Place>>>,
}

/// Where notices of a subscription go.
struct Place {
    outlet: Arc<Outlet>,
    handle: Handle,
}

/// A subscription's entry; dropped, the entry goes.
pub(super) struct Registration {
    hub: Arc<Hub>,
    mailbox: MailboxId,
    outlet: Arc<Outlet>,
    handle: Handle,
}

impl Hub {
    /// Sends the mailbox's notices to the outlet from now on.
    pub(super) fn register(
        self: &Arc<Self>,
        mailbox: MailboxId,
        outlet: &Arc<Outlet>,
        handle: Handle,
    ) -> Registration {
        let place = Place { outlet: Arc::clone(outlet), handle };
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        online.entry(mailbox).or_default().push(place);
        Registration { hub: Arc::clone(self), mailbox, outlet: Arc::clone(outlet), handle }
    }
}

#[cfg(feature = "simulation")]
impl Hub {
    /// How many subscriptions are online.
    pub(crate) fn online(&self) -> usize {
        let online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        online.values().map(Vec::len).sum()
    }
}

impl Notices for Hub {
    fn notice(&self, mailbox: MailboxId, notice: Notice) {
        let online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        for place in online.get(&mailbox).into_iter().flatten() {
            place.outlet.notice(place.handle, notice.clone());
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut online = self.hub.online.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(places) = online.get_mut(&self.mailbox) else { return };
        let own =
            |place: &Place| place.handle == self.handle && Arc::ptr_eq(&place.outlet, &self.outlet);
        if let Some(found) = places.iter().position(own) {
            places.swap_remove(found);
        }
        if places.is_empty() {
            online.remove(&self.mailbox);
        }
    }
}
