//! The subscriptions of one connection: fills its output from notices and from the buffer.

use std::sync::Arc;

use bytes::Bytes;
use litemap::LiteMap;
use restante_spec::codes::{Code, Retry};
use restante_spec::ids::{Handle, PublicKey, ReaderHash, Seq, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Credit, Deliver, EnvelopeClass, Push, Refusal};

use super::group::Seat;
use super::hub::{Hub, Registration};
use super::outlet::Outlet;
use super::subscription::{End, Subscription, Verdict};
use crate::mailbox::api::{
    Access, Envelope, Mailboxes, Notice, Origin, Page, Range, Reading, Span,
};

/// All subscriptions of a connection.
pub(crate) struct Subscriptions {
    hub: Arc<Hub>,
    outlet: Arc<Outlet>,
    origin: Origin,
    /// By their handles, each beside the map: most connections have one or a few.
    open: LiteMap<Handle, Box<Entry>>,
    /// Bytes the connection's output had room for when it was last asked (LIM-10).
    room: usize,
    /// Who used up the room last: whoever is behind it comes first, so that all have their turn.
    served: Handle,
}

/// What a `subscribe` asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) handle: Handle,
    pub(crate) access: Access,
    pub(crate) reader: ReaderHash,
    pub(crate) credit: Credit,
}

struct Entry {
    subscription: Subscription,
    key: PublicKey,
    reader: ReaderHash,
    /// Which notices are its own; the hub's entry goes with it.
    registration: Registration,
}

/// Where pushes go; says how many bytes there is still room for.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Push, Bytes) -> usize;

impl Subscriptions {
    /// None yet.
    pub(crate) fn new(hub: Arc<Hub>, outlet: Arc<Outlet>, origin: Origin) -> Self {
        let open = LiteMap::with_capacity(1);
        let (room, served) = (limits::PENDING_OUTPUT_BYTES, Handle::default());
        Self { hub, outlet, origin, open, room, served }
    }

    /// Begins a subscription; one on the same handle is replaced (DLV-7).
    pub(crate) fn begin(&mut self, wish: Wish, range: Range) {
        let Wish { handle, access, reader, credit } = wish;
        // Registered before the first read: nothing appended in between is missed.
        let registration = self.hub.register(access.mailbox, &self.outlet, handle);
        let subscription = Subscription::new(handle, range, credit);
        let entry = Entry { subscription, key: access.key, reader, registration };
        self.open.insert(handle, Box::new(entry));
    }

    /// Ends a subscription; none is fine.
    pub(crate) fn end(&mut self, handle: Handle) {
        self.open.remove(&handle);
    }

    /// Adds credit (CMD-17).
    ///
    /// # Errors
    /// `not_found` without a subscription.
    pub(crate) fn credit(&mut self, handle: Handle, credit: Credit) -> Result<(), Refusal> {
        let entry = self.open.get_mut(&handle).ok_or_else(none)?;
        entry.subscription.handle_credit(credit);
        Ok(())
    }

    /// Whose acknowledgement this is, if it may be made (DLV-3).
    ///
    /// # Errors
    /// `not_found` without a subscription, `ack_ahead` for what was not delivered.
    pub(crate) fn ack(&self, handle: Handle, upto: Seq) -> Result<(Access, ReaderHash), Refusal> {
        let entry = self.open.get(&handle).ok_or_else(none)?;
        entry
            .subscription
            .check_ack(upto)
            .map_err(|ahead| Refusal::new(Code::AckAhead, ahead.to_string()))?;
        Ok((entry.access(), entry.reader))
    }

    /// Readers with a subscription: being online is a sign of life (MBX-10).
    pub(crate) fn online(&self) -> impl Iterator<Item = (Access, ReaderHash)> + '_ {
        self.open.values().map(|entry| (entry.access(), entry.reader))
    }

    /// Some notices of this handle were not kept.
    pub(crate) fn missed(&mut self, handle: Handle) {
        if let Some(entry) = self.open.get_mut(&handle) {
            entry.subscription.handle_changed();
        }
    }

    /// Something happened to the mailbox of this subscription, if it is still there.
    pub(crate) fn notice(
        &mut self,
        seat: Seat,
        notice: Arc<Notice>,
        now: UnixTime,
        sink: Sink<'_>,
    ) {
        let handle = seat.handle;
        let found = self.open.get_mut(&handle);
        let Some(entry) = found.filter(|entry| entry.registration.seat() == seat) else { return };
        let Entry { subscription, key, .. } = &mut **entry;
        let code = match &*notice {
            // MBX-11: its time was over before it could be sent.
            Notice::Appended { envelope, .. }
                if !notice.is_live() && envelope.expires_at <= now =>
            {
                return;
            }
            Notice::Appended { envelope, origin, at } => {
                let own = *origin == self.origin;
                let Some(deliver) = announce(subscription, envelope, own, *at, self.room) else {
                    return;
                };
                let body = if own { Bytes::new() } else { envelope.body.clone() };
                self.room = sink(Push::Deliver(deliver), body);
                return;
            }
            Notice::Unknown => return subscription.handle_behind(),
            Notice::Changed { key: changed } if key == changed => {
                return subscription.handle_changed();
            }
            Notice::Struck { key: struck, code } if key == struck => *code,
            Notice::Changed { .. } | Notice::Struck { .. } => return,
            Notice::Deleted => Code::NotFound,
        };
        self.open.remove(&handle);
        self.room = sink(Push::Closed { handle, code, upto: Seq::START }, Bytes::new());
    }

    /// Reads on for whoever is behind, as far as there is room; ends what is over. Returns whether
    /// there is more to read once there is room again.
    pub(crate) fn fill(
        &mut self,
        mailboxes: &impl Mailboxes,
        now: UnixTime,
        mut room: usize,
        sink: Sink<'_>,
    ) -> bool {
        let mut over = Vec::new();
        let mut more = false;
        let served = self.served;
        for is_behind in [true, false] {
            let turn = self.open.iter_mut().filter(|(handle, _)| (**handle > served) == is_behind);
            for (handle, entry) in turn {
                let had_room = room > 0;
                match entry.read_on(*handle, mailboxes, now, &mut room, sink) {
                    Ok(has_more) => {
                        more |= has_more;
                        over.extend(entry.subscription.end(now).map(|end| (*handle, end)));
                    }
                    Err(code) => over.push((*handle, End { code, upto: Seq::START })),
                }
                if had_room && room == 0 {
                    self.served = *handle;
                }
            }
        }
        for (handle, End { code, upto }) in over {
            self.open.remove(&handle);
            room = sink(Push::Closed { handle, code, upto }, Bytes::new());
        }
        self.room = room;
        more
    }
}

impl Entry {
    /// By which it reads.
    const fn access(&self) -> Access {
        Access { mailbox: self.registration.mailbox(), key: self.key }
    }

    /// Delivers from the buffer while it is behind and there is room, and has the key judged if
    /// its terms are not known. Returns whether there is more.
    ///
    /// # Errors
    /// Why the key may not read any more (DLV-10).
    fn read_on(
        &mut self,
        handle: Handle,
        mailboxes: &impl Mailboxes,
        now: UnixTime,
        room: &mut usize,
        sink: Sink<'_>,
    ) -> Result<bool, Code> {
        while *room > 0 {
            let Some(mut span) = self.subscription.wants() else { break };
            span.max_bytes = span.max_bytes.min(*room);
            let Some(page) = self.page(mailboxes, span, now)? else { return Ok(true) };
            if page.more && page.envelopes.is_empty() {
                // Asked again at once it would say the same.
                return Ok(true);
            }
            let mut is_whole = !page.more;
            for envelope in page.envelopes {
                match self.subscription.handle_read(&envelope) {
                    Verdict::Send(deliver) => {
                        *room = sink(Push::Deliver(deliver), envelope.body);
                    }
                    Verdict::Never => {}
                    Verdict::Later => {
                        // DLV-2: the credit ended within the page.
                        is_whole = false;
                        break;
                    }
                }
            }
            if is_whole && self.subscription.handle_read_all() {
                let head = mailboxes.head(self.registration.mailbox(), now);
                *room = sink(Push::CaughtUp { handle, head }, Bytes::new());
            }
        }
        if !self.subscription.is_judged() {
            // DLV-10: without credit or room, too; nothing is read for it.
            let nothing = Span { after: Seq::START, upto: Seq::START, max: 0, max_bytes: 0 };
            if self.page(mailboxes, nothing, now)?.is_none() {
                return Ok(true);
            }
        }
        Ok(self.subscription.wants().is_some())
    }

    /// A page, with which the key is judged anew. `None`: the store is being reopened, it is tried
    /// again with the next wake-up.
    ///
    /// # Errors
    /// Why the key may not read any more (DLV-10).
    fn page(
        &mut self,
        mailboxes: &impl Mailboxes,
        span: Span,
        now: UnixTime,
    ) -> Result<Option<Page>, Code> {
        match mailboxes.page(self.access(), span, now) {
            Ok(Reading { page, expires_at }) => {
                self.subscription.handle_terms(expires_at);
                Ok(Some(page))
            }
            Err(refusal) if refusal.code.retry() == Retry::Later => Ok(None),
            Err(refusal) => Err(refusal.code),
        }
    }
}

/// An envelope that has just been accepted, as a delivery if it may be one now.
fn announce(
    subscription: &mut Subscription,
    envelope: &Envelope,
    own: bool,
    at: UnixTime,
    room: usize,
) -> Option<Deliver> {
    // DLV-10: accepted after the key's end.
    if subscription.end(at).is_some() {
        return None;
    }
    if envelope.class == EnvelopeClass::Live {
        // DLV-9, LIM-16: not back where it came from, nor into an output that is filling.
        let waiting = limits::PENDING_OUTPUT_BYTES.saturating_sub(room);
        let may_join = !own && waiting <= limits::LIVE_PENDING_BYTES;
        return if may_join { subscription.handle_live(envelope) } else { None };
    }
    if room == 0 {
        // LIM-10: read from the buffer when there is room again.
        subscription.handle_behind();
        return None;
    }
    match subscription.handle_appended(envelope, own) {
        Verdict::Send(deliver) => Some(deliver),
        Verdict::Later | Verdict::Never => None,
    }
}

fn none() -> Refusal {
    Refusal::new(Code::NotFound, "this handle has no subscription")
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
