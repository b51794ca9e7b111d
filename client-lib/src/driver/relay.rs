//! One relay: its link, the mailboxes opened on it, and the pauses before something is tried again.
//!
//! Knows handles and times; must not know what is decided over the mailboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use restante_crypto::{OpenChallenge, SigningKey};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Handle, MailboxId, Seconds};
use restante_spec::message::{Command, Open};
use tokio::time::Instant;

use super::channel::Channel;
use super::flight::{Flight, FlightNumber};
use super::pause::Pauses;
use super::{Outcome, Pending};
use crate::engine::Ask;
use crate::limits::{RETRY_CAP, RETRY_FIRST};
use crate::net::{Backoff, Link};
use crate::store::Job;
use crate::types::TransferId;

/// Links are numbered, so that what comes late from one that is gone is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkNumber(pub(super) u64);

/// What a request was for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// `open` of a mailbox.
    Open(MailboxId, Handle),
    /// `subscribe` of a mailbox.
    Subscribe(MailboxId, Handle),
    /// An append to a conversation.
    Append(MailboxId, Handle, EnvelopeId),
    /// An append of something live: whatever its answer is, nothing follows.
    Live,
    /// A job.
    Job(Box<Job>),
    /// How many prekeys are left.
    Prekeys,
    /// A request of a transfer.
    Transfer(TransferId, FlightNumber, Ask),
}

/// A relay this client has something to do with.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: RelayAddress,
    pub(super) name: String,
    pub(super) link: LinkState,
    /// Before a new link is tried.
    pub(super) backoff: Backoff,
    /// It was tried in this round and could not be reached.
    pub(super) failed: bool,
    /// The relay does not want a link before this.
    not_before: Option<Instant>,
    pauses: Pauses<MailboxId>,
    pub(super) transfer_pauses: Pauses<TransferId>,
}

/// The link of a relay.
#[derive(Debug)]
pub(super) enum LinkState {
    /// None; not tried before this.
    Away(Instant),
    /// On its way.
    Connecting(LinkNumber),
    /// There.
    Up(Box<Up>),
}

/// A link that is there.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) link: Link,
    pub(super) number: LinkNumber,
    pub(super) channels: BTreeMap<MailboxId, Channel>,
    /// Rooms opened a second time, with the key this account writes there with.
    pub(super) writers: BTreeMap<MailboxId, Channel>,
    /// Mailboxes a job is under way for.
    pub(super) busy: BTreeSet<MailboxId>,
    /// Transfers something was asked for on this link.
    pub(super) flights: BTreeMap<TransferId, Flight>,
    pub(super) next_flight: u64,
    /// The relay asked to leave: when this client does.
    pub(super) leave_at: Option<Instant>,
    next_handle: u32,
}

impl Relay {
    pub(super) fn new(name: String, address: RelayAddress) -> Self {
        Self {
            address,
            name,
            link: LinkState::Away(Instant::now()),
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
            failed: false,
            not_before: None,
            pauses: Pauses::new(),
            transfer_pauses: Pauses::new(),
        }
    }

    pub(super) fn up(&mut self) -> Option<&mut Up> {
        match &mut self.link {
            LinkState::Up(up) => Some(up),
            LinkState::Away(_) | LinkState::Connecting(_) => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, LinkState::Up(_))
    }

    /// Whether this is the link that is there now.
    pub(super) fn is_link(&self, number: LinkNumber) -> bool {
        match &self.link {
            LinkState::Up(up) => up.number == number,
            LinkState::Connecting(connecting) => *connecting == number,
            LinkState::Away(_) => false,
        }
    }

    /// A link is there.
    pub(super) fn handle_up(&mut self, link: Link, number: LinkNumber) {
        self.backoff.reset();
        self.failed = false;
        self.link = LinkState::Up(Box::new(Up {
            link,
            number,
            channels: BTreeMap::new(),
            writers: BTreeMap::new(),
            busy: BTreeSet::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            leave_at: None,
            next_handle: 1,
        }));
    }

    /// The link is gone, or could not be made; tried again after a while, never sooner than the
    /// relay has named.
    pub(super) fn handle_lost(&mut self, named: Option<Duration>) {
        let now = Instant::now();
        let until = now + self.backoff.next_delay_after(named);
        self.not_before = named.map(|_| until);
        self.link = LinkState::Away(until);
    }

    /// Gives the link back.
    pub(super) fn drop_link(&mut self, until: Instant) {
        if self.is_up() {
            self.link = LinkState::Away(until);
        }
    }

    /// Everything is tried at once, but what the relay wants later (ADM-7).
    pub(super) fn forget_pauses(&mut self) {
        let now = Instant::now();
        self.failed = false;
        self.pauses.shorten(now.into_std());
        self.transfer_pauses.shorten(now.into_std());
        if matches!(self.link, LinkState::Away(_)) {
            let not_before = self.not_before.unwrap_or(now);
            self.link = LinkState::Away(not_before.max(now));
        }
    }

    /// What was refused is asked anew, with something else to show.
    pub(super) fn ask_anew(&mut self) {
        self.pauses.clear();
        self.transfer_pauses.clear();
    }

    /// Nothing is asked of this mailbox for a while, or for as long as the relay said.
    pub(super) fn pause(&mut self, mailbox: MailboxId, retry_after: Option<Seconds>) {
        self.pauses.begin(mailbox, retry_after, Instant::now().into_std());
    }

    /// Something of this mailbox succeeded.
    pub(super) fn end_pause(&mut self, mailbox: &MailboxId) {
        self.pauses.end(mailbox);
    }

    /// Whether this mailbox is to be left alone for now.
    pub(super) fn is_paused(&self, mailbox: &MailboxId) -> bool {
        self.pauses.has(mailbox, Instant::now().into_std())
    }

    /// When something may be tried again that could not be at this time.
    pub(super) fn next_wake(&self, looked_at: Instant) -> Option<Instant> {
        match &self.link {
            LinkState::Away(until) => Some(*until),
            LinkState::Connecting(_) => None,
            LinkState::Up(up) => {
                let then = looked_at.into_std();
                let ends = [self.pauses.next_end(then), self.transfer_pauses.next_end(then)];
                ends.into_iter().flatten().map(Instant::from_std).chain(up.leave_at).min()
            }
        }
    }

    /// Whether new mailboxes need a token there.
    pub(super) fn needs_token(&mut self) -> bool {
        self.up().is_some_and(|up| up.link.welcome().limits.token_needed)
    }

    /// Sends a request whose answer matters. Without a link nothing happens: `pump` comes again.
    pub(super) fn request(
        &mut self,
        pending: &FuturesUnordered<Pending>,
        purpose: Purpose,
        command: Command,
        body: Bytes,
    ) {
        let name = self.name.clone();
        if let Some(up) = self.up() {
            let (number, reply) = (up.number, up.link.request(command, body));
            pending
                .push(Box::pin(async move { Outcome::Reply(name, number, purpose, reply.await) }));
        }
    }

    /// Sends what is answered only when it is refused, and then says nothing new.
    pub(super) fn tell(&mut self, command: Command) {
        if let Some(up) = self.up() {
            up.link.tell(command);
        }
    }

    /// Opens a mailbox with a key, giving back what was open there.
    pub(super) fn open(
        &mut self,
        pending: &FuturesUnordered<Pending>,
        mailbox: MailboxId,
        key: &SigningKey,
    ) {
        self.open_among(pending, mailbox, key, |up| &mut up.channels);
    }

    /// Opens a room a second time, to write there.
    pub(super) fn open_writer(
        &mut self,
        pending: &FuturesUnordered<Pending>,
        mailbox: MailboxId,
        key: &SigningKey,
    ) {
        self.open_among(pending, mailbox, key, |up| &mut up.writers);
    }

    fn open_among(
        &mut self,
        pending: &FuturesUnordered<Pending>,
        mailbox: MailboxId,
        key: &SigningKey,
        among: impl Fn(&mut Up) -> &mut BTreeMap<MailboxId, Channel>,
    ) {
        let relay = *self.address.identity();
        let Some(up) = self.up() else { return };
        let handle = Handle::new(up.next_handle);
        up.next_handle = up.next_handle.wrapping_add(1);
        let public = key.public();
        let challenge = OpenChallenge { relay, nonce: up.link.welcome().nonce, mailbox };
        let open = Open { handle, mailbox, key: public, proof: challenge.prove(key) };
        let before = among(up).insert(mailbox, Channel::opening(handle, public));
        if let Some(before) = before {
            self.tell(Command::Close(before.handle));
        }
        self.request(pending, Purpose::Open(mailbox, handle), Command::Open(open), Bytes::new());
    }
}

impl Up {
    /// The channel of a mailbox with this handle, to read or to write.
    pub(super) fn channel(&mut self, mailbox: &MailboxId, handle: Handle) -> Option<&mut Channel> {
        let both = [self.channels.get_mut(mailbox), self.writers.get_mut(mailbox)];
        both.into_iter().flatten().find(|channel| channel.handle == handle)
    }

    /// The mailbox opened as this handle.
    pub(super) fn channel_of(&mut self, handle: Handle) -> Option<(MailboxId, &mut Channel)> {
        let mut channels = self.channels.iter_mut();
        channels.find(|(_, channel)| channel.handle == handle).map(|(id, channel)| (*id, channel))
    }
}
