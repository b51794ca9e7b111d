//! A device without sockets, tasks and clocks, for simulations that repeat.
//!
//! Only with the feature `simulation`, which the released library does not have. What runs is the
//! real driver, engine and store; who uses it is network, clock and scheduler, and asks through
//! the same [`Client`] as an app. Dropped, the process has ended where it stood.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use restante_spec::address::RelayAddress;
use restante_spec::ids::UnixTime;
use restante_spec::token::Entrance;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::HomeLock;
use crate::key::StoreKey;
use crate::limits::IDLE;
use crate::net::{Link, LinkError, LinkEvents, Wire};

/// Unit: calls to relays that wait to be answered; one more is not answered.
const CALLS: usize = 64;

type Call = oneshot::Sender<Result<(Link, LinkEvents), LinkError>>;

/// One device of an account, connected with one relay at most.
pub struct Device {
    client: Client,
    driver: Driver,
    /// Links the driver waits for.
    calls: Receiver<Call>,
    call: Option<Call>,
    wire: Option<Wire>,
}

impl Device {
    /// Makes an account in an empty home.
    ///
    /// # Errors
    /// As [`crate::Builder::create`].
    pub fn create(
        home: &Path,
        key: &StoreKey,
        relay: &RelayAddress,
        nickname: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let lock = HomeLock::acquire(home, Duration::ZERO)?;
        let entrance = Entrance { address: relay.clone(), token: None };
        Self::begin(Engine::create(home, key, &entrance, nickname, now)?, lock)
    }

    /// Makes the home of a device that is to be linked.
    ///
    /// # Errors
    /// As [`crate::Builder::link`].
    pub fn link(
        home: &Path,
        key: &StoreKey,
        relay: &RelayAddress,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let lock = HomeLock::acquire(home, Duration::ZERO)?;
        let entrance = Entrance { address: relay.clone(), token: None };
        Self::begin(Engine::create_linking(home, key, &entrance, now)?, lock)
    }

    /// Opens a home.
    ///
    /// # Errors
    /// As [`crate::Builder::open`].
    pub fn open(home: &Path, key: &StoreKey, now: UnixTime) -> Result<Self, Error> {
        let lock = HomeLock::acquire(home, Duration::ZERO)?;
        Self::begin(Engine::open(home, key, now)?, lock)
    }

    fn begin(engine: Engine, lock: HomeLock) -> Result<Self, Error> {
        let client = Client::new(engine, lock);
        let mut slot = client.driver().lock().unwrap_or_else(PoisonError::into_inner);
        let driver = slot.take().ok_or(Error::Stopped);
        drop(slot);
        let (caller, calls) = sync_channel(CALLS);
        let mut device = Self { client, driver: driver?, calls, call: None, wire: None };
        device.driver.set_dial(Box::new(move |_| {
            let (call, answer) = oneshot::channel();
            // Nobody listens any more when the device is dropped.
            let _ = caller.try_send(call);
            Box::pin(async move { answer.await.unwrap_or(Err(LinkError::Lost)) })
        }));
        Ok(device)
    }

    /// Asks the client something, and lets the driver answer.
    pub fn ask<T, A: Future<Output = T>>(
        &mut self,
        now: UnixTime,
        what: impl FnOnce(Client) -> A,
    ) -> T {
        let mut asked = pin!(what(self.client.clone()));
        loop {
            let answer = asked.as_mut().now_or_never();
            // What was asked without waiting for an answer is done as well.
            while self.driver.step_request(now) {}
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// The driver does one thing. Returns whether there was one.
    ///
    /// # Errors
    /// What the driver would report: the store failed, or a state that cannot be.
    pub fn step(&mut self, now: UnixTime) -> Result<bool, Error> {
        let moved = self.driver.step(now)?;
        if self.wire.as_ref().is_some_and(Wire::is_given_back) {
            self.wire = None;
        }
        while let Ok(call) = self.calls.try_recv() {
            self.call = Some(call);
        }
        Ok(moved)
    }

    /// So much time has passed that everything that waits for its time is tried again.
    pub fn end_pauses(&mut self) {
        self.driver.end_pauses();
    }

    /// Whether it waits for a connection.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !call.is_closed())
    }

    /// Whether it has a connection.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.wire.is_some()
    }

    /// The connection it waits for is there. Gives the first bytes to the relay.
    pub fn connect(&mut self) -> Option<Bytes> {
        let (wire, hello) = Wire::begin(self.call.take()?, IDLE).ok()?;
        self.wire = Some(wire);
        Some(hello)
    }

    /// The connection is lost, or cannot be made.
    pub fn cut(&mut self) {
        (self.wire, self.call) = (None, None);
    }

    /// Bytes to the relay.
    pub fn output(&mut self) -> Bytes {
        self.wire.as_mut().map(Wire::output).unwrap_or_default()
    }

    /// Bytes of the relay.
    pub fn receive(&mut self, bytes: &[u8]) {
        if let Some(wire) = &mut self.wire
            && wire.handle_heard(bytes).is_err()
        {
            self.wire = None;
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(..)")
    }
}
