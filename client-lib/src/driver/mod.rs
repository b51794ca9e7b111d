//! The driver: the one task that owns the engine and the links, and lets them meet.
//!
//! ```text
//!  requests of handles ---\
//!  events of links ------- +--> react --> pump: what can be sent now is sent
//!  replies, timers -------/
//! ```
//!
//! Nothing is remembered here that matters: what must be done stands in the store, and after every
//! step `pump` looks at it anew. So a lost link, or a lost process, costs nothing but time.

mod channel;
mod delivery;
mod flight;
mod jobs;
mod pause;
mod progress;
mod pump;
mod relay;
mod sending;
#[cfg(feature = "simulation")]
mod steps;
mod transfers;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use restante_spec::address::RelayAddress;
use restante_spec::message::Reply;
use restante_spec::token::AdmissionToken;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(crate) use progress::Progress;

use self::relay::{LinkNumber, Purpose, Relay};
use crate::clock;
use crate::engine::Engine;
use crate::error::Error;
use crate::events::EventHub;
use crate::home::HomeLock;
use crate::limits::{CONNECT_DEADLINE, IDLE, IDLE_TICK, SHUTDOWN_WAIT};
use crate::net::{Link, LinkError, LinkEvent, LinkEvents};
use crate::tasks;
use crate::types::ConnectionState;

/// What a handle asks of the driver.
pub(crate) enum Request {
    /// Something the engine answers.
    Do(Box<dyn FnOnce(&mut Engine) + Send>),
    /// To be connected or not.
    Online(bool),
    /// To connect and look at everything anew; answered with where things stood.
    Collect(oneshot::Sender<Progress>),
    /// To ask with this token from now on; answered when it is durable.
    Token(AdmissionToken, oneshot::Sender<Result<(), Error>>),
    /// To end; answered when it has.
    Shutdown(oneshot::Sender<()>),
}

/// What comes back from the network, and what it belongs to.
enum Outcome {
    /// A link is there, or is not.
    Connected(String, Result<(Link, LinkEvents), LinkError>),
    /// A link says something; `None`: it has ended.
    Events(String, LinkNumber, Option<(Vec<LinkEvent>, LinkEvents)>),
    /// A request is answered.
    Reply(String, LinkNumber, Purpose, Result<(Reply, Bytes), LinkError>),
}

type Pending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A link on its way.
pub(crate) type Dialling =
    Pin<Box<dyn Future<Output = Result<(Link, LinkEvents), LinkError>> + Send>>;

/// How links are made.
pub(crate) type Dial = Box<dyn Fn(RelayAddress) -> Dialling + Send>;

/// The driver; see the module's words.
pub(crate) struct Driver {
    engine: Engine,
    _lock: HomeLock,
    requests: mpsc::Receiver<Request>,
    events: EventHub,
    progress: watch::Sender<Progress>,
    state: watch::Sender<ConnectionState>,
    dial: Dial,
    /// By address.
    relays: BTreeMap<String, Relay>,
    pending: FuturesUnordered<Pending>,
    online: bool,
    /// Set when the driver is to end: whom to tell, and when to end in any case.
    ending: Option<(oneshot::Sender<()>, Instant)>,
    next_link: u64,
}

/// Starts the driver that stands in the slot.
pub(crate) fn start(slot: &mut Option<Driver>) -> Result<(), Error> {
    let spawner = tasks::Spawner::here()?;
    let driver = slot.take().ok_or(Error::Stopped)?;
    spawner.spawn(driver.run());
    Ok(())
}

impl Driver {
    /// A driver that stands still, and where to watch it.
    pub(crate) fn new(
        engine: Engine,
        lock: HomeLock,
        requests: mpsc::Receiver<Request>,
        events: EventHub,
    ) -> (Self, watch::Receiver<Progress>, watch::Receiver<ConnectionState>) {
        let (progress, see_progress) = watch::channel(Progress::default());
        let (state, see_state) = watch::channel(ConnectionState::Offline);
        let driver = Self {
            engine,
            _lock: lock,
            requests,
            events,
            progress,
            state,
            dial: Box::new(|address| {
                Box::pin(async move { Link::connect(&address, IDLE, CONNECT_DEADLINE).await })
            }),
            relays: BTreeMap::new(),
            pending: FuturesUnordered::new(),
            online: false,
            ending: None,
            next_link: 0,
        };
        (driver, see_progress, see_state)
    }

    async fn run(mut self) {
        loop {
            let looked_at = Instant::now();
            self.engine.set_now(clock::now());
            if let Err(error) = self.pump() {
                self.report(error);
            }
            self.publish();
            if self.is_over() {
                break;
            }
            let wake = self.next_wake(looked_at);
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => {
                        self.engine.set_now(clock::now());
                        self.take_request(request);
                    }
                    // No handle is left: nobody can ask for anything any more.
                    None => break,
                },
                Some(outcome) = self.pending.next() => {
                    self.engine.set_now(clock::now());
                    if let Err(error) = self.take_outcome(outcome) {
                        self.report(error);
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        self.end();
    }

    fn take_request(&mut self, request: Request) {
        match request {
            Request::Do(work) => work(&mut self.engine),
            Request::Online(online) => self.set_online(online),
            Request::Collect(reply) => {
                self.set_online(true);
                self.begin_round();
                // Whoever asked may have stopped waiting.
                let _ = reply.send(self.progress.borrow().clone());
            }
            Request::Token(token, reply) => {
                let kept = self.engine.set_token(&token);
                if kept.is_ok() {
                    let own = self.engine.own_address().to_owned();
                    self.relays.get_mut(&own).into_iter().for_each(Relay::ask_anew);
                    self.clear_problem();
                }
                // Whoever asked may have stopped waiting.
                let _ = reply.send(kept);
            }
            Request::Shutdown(reply) => {
                if self.online
                    && let Err(error) = self.engine.hasten_receipts()
                {
                    self.report(error);
                }
                self.ending = Some((reply, Instant::now() + SHUTDOWN_WAIT));
            }
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Connected(relay, result) => self.take_connected(&relay, result),
            Outcome::Events(relay, link, events) => self.take_events(&relay, link, events),
            Outcome::Reply(relay, link, purpose, result) => {
                self.take_reply(&relay, link, purpose, result)
            }
        }
    }

    fn set_online(&mut self, online: bool) {
        self.online = online;
        if !online {
            self.relays.clear();
        }
    }

    /// Something failed on this side: the store, or a state that cannot be. The links are given
    /// back, so that everything starts again from what is durable.
    fn report(&mut self, error: Error) {
        tracing::error!(code = error.code(), %error, "a step failed and is tried again");
        let pause = Instant::now() + Duration::from_secs(1);
        for relay in self.relays.values_mut() {
            relay.drop_link(pause);
        }
        self.note_problem(error);
    }

    /// When to look again although nothing happened: what has ended since the last look began may
    /// have been seen as waiting still.
    fn next_wake(&self, looked_at: Instant) -> Instant {
        let mut wake = Instant::now() + IDLE_TICK;
        if let Some((_, until)) = &self.ending {
            wake = wake.min(*until);
        }
        if self.online {
            let waits = self.relays.values().filter_map(|relay| relay.next_wake(looked_at));
            wake = waits.fold(wake, Instant::min);
        }
        if let Some(pause) = self.engine.until_next_due() {
            wake = wake.min(Instant::now() + pause);
        }
        wake
    }

    /// Whether the driver was told to end and owes nothing that it can still give.
    fn is_over(&self) -> bool {
        self.ending.as_ref().is_some_and(|(_, until)| {
            !self.online || self.progress.borrow().settled || Instant::now() >= *until
        })
    }

    fn end(mut self) {
        self.relays.clear();
        self.state.send_replace(ConnectionState::Offline);
        let ending = self.ending.take();
        // The store is closed and the home is free before anybody is told so.
        drop(self);
        if let Some((reply, _)) = ending {
            let _ = reply.send(());
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driver(..)")
    }
}
