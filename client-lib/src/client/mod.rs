//! The handle an app holds: builds or opens a home, starts the driver, asks it. What it asks of
//! groups and does with messages stands beside.
//!
//! Knows the requests and how to wait for their answers; must not know SQL, keys or frames.

mod attachments;
mod devices;
mod groups;
mod messages;
mod recovery;
mod repair;
mod rooms;
mod transfers;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use restante_crypto::SafetyNumber;
use restante_spec::address::RelayAddress;
use restante_spec::token::{AdmissionToken, Entrance};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::driver::{self, Driver, Progress, Request};
use crate::engine::Engine;
use crate::error::Error;
use crate::events::{EventHub, EventSource, EventStream};
use crate::home::HomeLock;
use crate::key::StoreKey;
use crate::limits::{LOCK_WAIT, REQUEST_QUEUE};
use crate::types::{
    Collected, ConnectionState, Contact, ContactId, ConversationId, Fate, Goal, InviteLink,
    InviteOptions, Message, MessageId, Position,
};

/// Makes or opens a home; see [`Client::builder`].
#[derive(Debug)]
pub struct Builder {
    home: PathBuf,
    key: Option<StoreKey>,
    token: Option<AdmissionToken>,
    lock_wait: Duration,
}

impl Builder {
    /// The key the store is encrypted with. Without one, `create` and `open` say `wrong_key`.
    #[must_use]
    pub fn store_key(mut self, key: StoreKey) -> Self {
        self.key = Some(key);
        self
    }

    /// What the relay's operator gave to be admitted there, for `create`.
    #[must_use]
    pub fn token(mut self, token: AdmissionToken) -> Self {
        self.token = Some(token);
        self
    }

    /// How long to wait for another process that has the home open; 5 seconds if not said.
    #[must_use]
    pub const fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Makes a new account on this device, with its inbox on `relay`. Works without a network:
    /// the relay hears of it when the client first connects.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::BadNickname`], [`Error::Locked`], [`Error::Storage`].
    pub fn create(self, relay: &RelayAddress, nickname: &str) -> Result<Client, Error> {
        let lock = HomeLock::acquire(&self.home, self.lock_wait)?;
        let key = self.key.ok_or(Error::WrongKey)?;
        let entrance = Entrance { address: relay.clone(), token: self.token };
        let engine = Engine::create(&self.home, &key, &entrance, nickname, clock::now())?;
        Ok(Client::new(engine, lock))
    }

    /// Makes the home of a device that is to be linked to an account: it has an inbox on `relay`
    /// for as long as that takes. [`Client::link_code`] is what the account's first device needs.
    ///
    /// # Errors
    /// As for [`Builder::create`].
    pub fn link(self, relay: &RelayAddress) -> Result<Client, Error> {
        let lock = HomeLock::acquire(&self.home, self.lock_wait)?;
        let key = self.key.ok_or(Error::WrongKey)?;
        let entrance = Entrance { address: relay.clone(), token: self.token };
        let engine = Engine::create_linking(&self.home, &key, &entrance, clock::now())?;
        Ok(Client::new(engine, lock))
    }

    /// Opens the account of this home. Blocks while another process holds the home, at most for
    /// the time of [`Builder::lock_wait`].
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::WrongKey`], [`Error::Locked`], [`Error::StoreTooNew`],
    /// [`Error::Storage`].
    pub fn open(self) -> Result<Client, Error> {
        let lock = HomeLock::acquire(&self.home, self.lock_wait)?;
        let key = self.key.ok_or(Error::WrongKey)?;
        let engine = Engine::open(&self.home, &key, clock::now())?;
        Ok(Client::new(engine, lock))
    }
}

/// One account on this device. Cheap to clone; all clones speak to the same driver.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: mpsc::Sender<Request>,
    /// What the driver will own; taken by `start`.
    driver: Mutex<Option<Driver>>,
    events: EventSource,
    progress: watch::Receiver<Progress>,
    state: watch::Receiver<ConnectionState>,
}

impl Client {
    /// Begins with the folder the account lives in; it is made when it is not there.
    #[must_use]
    pub fn builder(home: impl Into<PathBuf>) -> Builder {
        Builder { home: home.into(), key: None, token: None, lock_wait: LOCK_WAIT }
    }

    pub(crate) fn new(engine: Engine, lock: HomeLock) -> Self {
        let (requests, inbox) = mpsc::channel(REQUEST_QUEUE);
        let hub = EventHub::new();
        let events = hub.source();
        let (driver, progress, state) = Driver::new(engine, lock, inbox, hub);
        let driver = Mutex::new(Some(driver));
        Self { shared: Arc::new(Shared { requests, driver, events, progress, state }) }
    }

    /// What the driver will own.
    #[cfg(feature = "simulation")]
    pub(crate) fn driver(&self) -> &Mutex<Option<Driver>> {
        &self.shared.driver
    }

    /// Starts the driver task on the current runtime. It opens no connection before
    /// [`Client::connect`] or [`Client::collect`].
    ///
    /// # Errors
    /// [`Error::Stopped`] if it was started before, or if there is no runtime.
    pub fn start(&self) -> Result<(), Error> {
        driver::start(&mut self.slot())
    }

    /// Where the driver stands until it is started.
    fn slot(&self) -> MutexGuard<'_, Option<Driver>> {
        self.shared.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What admits this account at its relay from now on, kept in its store: after
    /// [`Error::TokenNeeded`] or [`Error::TokenRefused`]. What was refused for want of it is tried
    /// again at once.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn set_token(&self, token: AdmissionToken) -> Result<(), Error> {
        let (reply, kept) = oneshot::channel();
        self.request(Request::Token(token, reply)).await?;
        kept.await.map_err(|_| Error::Stopped)?
    }

    /// Stays connected from now on, reconnecting by itself, until [`Client::disconnect`].
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn connect(&self) -> Result<(), Error> {
        self.request(Request::Online(true)).await
    }

    /// Gives the connections back; what is queued waits on this device.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.request(Request::Online(false)).await
    }

    /// Connects, collects everything that is waiting and sends everything that can be sent; stays
    /// connected afterwards. Returns when nothing is left to do.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::WrongRelay`] or [`Error::Refused`] if the own relay was
    /// not reached in that time; [`Error::Deadline`] if it was and there is more to do.
    pub async fn collect(&self, within: Duration) -> Result<Collected, Error> {
        let (reply, begun) = oneshot::channel();
        self.request(Request::Collect(reply)).await?;
        let before = begun.await.map_err(|_| Error::Stopped)?;
        let mut progress = self.shared.progress.clone();
        let settled = progress.wait_for(|now| now.round >= before.round && now.is_over());
        match tokio::time::timeout(within, settled).await {
            Ok(Ok(now)) => now.outcome(&before),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(self.shared.progress.borrow().problem.clone().unwrap_or(Error::Deadline)),
        }
    }

    /// Makes an invite: whoever has the link may write one first letter to this account. The
    /// relay must hear of it before it works; [`Client::collect`] sees to that.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Storage`].
    pub async fn invite(&self, options: InviteOptions) -> Result<InviteLink, Error> {
        self.ask(move |engine| engine.invite(options)).await
    }

    /// Takes an invite: queues the first letter, with a first message if there is one. Of a contact
    /// it can be a link to a group; if it is none, [`crate::Notice::LinkRefused`] tells.
    ///
    /// # Errors
    /// [`Error::BadInvite`], [`Error::OwnInvite`], [`Error::TextTooLong`], and
    /// [`Error::WrongState`] while another link of theirs is being taken.
    pub async fn accept_invite(
        &self,
        link: &str,
        first_message: Option<&str>,
    ) -> Result<Contact, Error> {
        let (link, text) = (link.to_owned(), first_message.map(str::to_owned));
        self.ask(move |engine| engine.accept_invite(&link, text.as_deref())).await
    }

    /// Every contact, by nickname.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Stopped`].
    pub async fn contacts(&self) -> Result<Vec<Contact>, Error> {
        self.ask(|engine| engine.contacts()).await
    }

    /// One contact.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`].
    pub async fn contact(&self, contact: ContactId) -> Result<Contact, Error> {
        self.ask(move |engine| engine.contact(contact)).await
    }

    /// The contact with this nickname (any case) or an id that begins so.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`], [`Error::Ambiguous`].
    pub async fn find_contact(&self, who: &str) -> Result<Contact, Error> {
        let who = who.to_owned();
        self.ask(move |engine| engine.find_contact(&who)).await
    }

    /// Agrees to a contact request: queues the conversation and the letter that says so. Of a
    /// contact who asks to be in a group ([`crate::Contact::joins`]) it adds them there.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`]; [`Error::WrongState`] unless the contact is incoming.
    pub async fn accept_contact(&self, contact: ContactId) -> Result<Contact, Error> {
        self.ask(move |engine| engine.accept_contact(contact)).await
    }

    /// Refuses a contact request: the key it came with is struck, nobody is told.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`]; [`Error::WrongState`] unless the contact is incoming.
    pub async fn decline_contact(&self, contact: ContactId) -> Result<Contact, Error> {
        self.ask(move |engine| engine.decline_contact(contact)).await
    }

    /// Blocks a contact: the relay refuses them from then on, and nothing of theirs is taken.
    /// The way back is a new invite.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`].
    pub async fn block(&self, contact: ContactId) -> Result<Contact, Error> {
        self.ask(move |engine| engine.block(contact)).await
    }

    /// Puts a text into the outbox. When this returns, it is durable on this device and has its
    /// id; it is sent when it can be, also after a restart. If the conversation has ended, its fate
    /// is `refused` from the beginning, with the reason.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::TextTooLong`], [`Error::TooMany`],
    /// [`Error::NoSuchConversation`]; [`Error::WrongState`] for a contact that was declined,
    /// blocked or not yet accepted; [`Error::WrongStanding`] and [`Error::NotAllowed`] in a group.
    pub async fn send(&self, to: impl Into<ConversationId>, text: &str) -> Result<Message, Error> {
        let (to, text) = (to.into(), text.to_owned());
        self.ask(move |engine| engine.send(to, &text)).await
    }

    /// Waits until the message has come as far as `goal`, or will not come further, and says how
    /// far it is.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`]; [`Error::Deadline`] if the time passed first.
    pub async fn wait_fate(
        &self,
        message: MessageId,
        goal: Goal,
        within: Duration,
    ) -> Result<Fate, Error> {
        let mut progress = self.shared.progress.clone();
        let wait = async {
            loop {
                progress.mark_unchanged();
                let fate = self.message(message).await?.fate;
                if fate.reached(goal) || fate.is_final() {
                    return Ok(fate);
                }
                progress.changed().await.map_err(|_| Error::Stopped)?;
            }
        };
        tokio::time::timeout(within, wait).await.unwrap_or(Err(Error::Deadline))
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::NoSuchMessage`].
    pub async fn message(&self, message: MessageId) -> Result<Message, Error> {
        self.ask(move |engine| engine.message(message)).await
    }

    /// A page of a conversation in its order, oldest first: the `limit` messages before `before`,
    /// or the newest.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`], [`Error::Storage`].
    pub async fn history(
        &self,
        of: impl Into<ConversationId>,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let of = of.into();
        self.ask(move |engine| engine.history(of, before, limit)).await
    }

    /// Messages of all conversations that hold all the words, newest first. Words of Chinese,
    /// Japanese and Korean are found inside sentences.
    ///
    /// # Errors
    /// [`Error::EmptySearch`], [`Error::Storage`].
    pub async fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>, Error> {
        let words = words.to_owned();
        self.ask(move |engine| engine.search(&words, limit)).await
    }

    /// Everything of this conversation that is here has been read: those who wrote it are told,
    /// unless [`Client::set_privacy`] says otherwise, and the time of what disappears begins.
    ///
    /// # Errors
    /// [`Error::NoSuchConversation`].
    pub async fn mark_read(&self, of: impl Into<ConversationId>) -> Result<(), Error> {
        let of = of.into();
        self.ask(move |engine| engine.mark_read(of)).await
    }

    /// Messages received and not read, of all conversations together.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn unread(&self) -> Result<u32, Error> {
        self.ask(|engine| engine.unread()).await
    }

    /// The own nickname.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn nickname(&self) -> Result<String, Error> {
        self.ask(|engine| engine.nickname()).await
    }

    /// Changes the own nickname and tells the contacts.
    ///
    /// # Errors
    /// [`Error::BadNickname`].
    pub async fn set_nickname(&self, nickname: &str) -> Result<(), Error> {
        let nickname = nickname.to_owned();
        self.ask(move |engine| engine.set_nickname(&nickname)).await
    }

    /// The own account as others know it.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn own_id(&self) -> Result<ContactId, Error> {
        self.ask(|engine| engine.own_id()).await
    }

    /// The number to compare with this contact.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`]; [`Error::WrongState`] while their account is not yet known.
    pub async fn safety_number(&self, contact: ContactId) -> Result<SafetyNumber, Error> {
        self.ask(move |engine| engine.safety_number(contact)).await
    }

    /// Notes whether the safety number was compared and found equal, and tells the contact.
    ///
    /// # Errors
    /// [`Error::NoSuchContact`]; [`Error::WrongState`] while their account is not yet known.
    pub async fn set_verified(&self, contact: ContactId, verified: bool) -> Result<(), Error> {
        self.ask(move |engine| engine.set_verified(contact, verified)).await
    }

    /// What happens from now on, until the client has ended.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.shared.events.subscribe()
    }

    /// How this client stands with its own relay; always offers the current state.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.shared.state.clone()
    }

    /// Sends what a closing client owes (receipts), closes the connections and frees the home.
    ///
    /// # Errors
    /// [`Error::Stopped`] if it was not running.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let (reply, done) = oneshot::channel();
        self.request(Request::Shutdown(reply)).await?;
        done.await.map_err(|_| Error::Stopped)
    }

    async fn request(&self, request: Request) -> Result<(), Error> {
        // One that was not started takes nothing, and nobody would answer.
        let stands_still = self.slot().is_some();
        if stands_still {
            return Err(Error::Stopped);
        }
        self.shared.requests.send(request).await.map_err(|_| Error::Stopped)
    }

    /// Runs `work` in the driver, between two of its steps, and brings back what it gives.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |engine: &mut Engine| {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(work(engine));
        });
        self.request(Request::Do(work)).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }
}
