//! The driver without its task: somebody else lets it take one step after the other.
//!
//! For simulations only. Does what `run` does between two waits; must not decide anything itself.

use futures_util::{FutureExt, StreamExt};
use restante_spec::ids::UnixTime;

use super::relay::Relay;
use super::{Dial, Driver};
use crate::error::Error;

impl Driver {
    /// Links are made so from now on.
    pub(crate) fn set_dial(&mut self, dial: Dial) {
        self.dial = dial;
    }

    /// Begins what can be begun, then takes one thing that has come. Returns whether one had.
    ///
    /// # Errors
    /// The error of a step, which `run` would only report.
    pub(crate) fn step(&mut self, now: UnixTime) -> Result<bool, Error> {
        self.engine.set_now(now);
        self.pump()?;
        self.publish();
        let Some(Some(outcome)) = self.pending.next().now_or_never() else { return Ok(false) };
        self.take_outcome(outcome)?;
        Ok(true)
    }

    /// Takes a request of a handle, if there is one.
    pub(crate) fn step_request(&mut self, now: UnixTime) -> bool {
        self.engine.set_now(now);
        let request = self.requests.try_recv();
        request.map(|request| self.take_request(request)).is_ok()
    }

    /// So much time has passed that everything that waits for its time is tried again.
    pub(crate) fn end_pauses(&mut self) {
        for relay in self.relays.values_mut() {
            Relay::ask_anew(relay);
            relay.forget_pauses();
        }
    }
}
