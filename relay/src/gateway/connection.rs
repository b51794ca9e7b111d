//! The shell of one connection: a task that moves bytes between a link and its peer.
//!
//! What others leave for it is looked at one turn of the scheduler later, so that what comes
//! meanwhile goes with it: one record and one call of the system for many answers.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use restante_spec::ids::{Nonce, SpkiHash};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::door::Place;
use super::link::Link;
use super::listener::Gateway;
use super::peer::{Now, Peer};
use super::websocket::CloseCode;
use crate::limits::{CLOSE_TIME, DELIVERY_RETRY};
use crate::mailbox::api::{Mailboxes, Origin};
use crate::ops::clock::Clock;
use crate::ops::metrics;

/// A connection whose handshake is made: one piece of memory, so that its task holds a pointer.
pub(super) struct Connection<M> {
    link: Link,
    peer: Peer<M>,
    clock: Clock,
    /// Held for its drop: the door's place goes with the connection.
    _place: Place,
}

/// How a connection ends.
enum End {
    /// Everything is said.
    Said,
    /// The other side has gone, or says nothing.
    Gone,
}

/// What a connection does next.
enum Turn {
    /// There is room again.
    Again,
    /// Waits, and looks again at this time.
    Wait(Instant),
    Over(End),
}

impl<M: Mailboxes> Connection<M> {
    /// Over a link; `input` has come with the handshake, which was made with the key of hash
    /// `spki`.
    ///
    /// # Errors
    /// The system's, when it has no randomness.
    pub(super) fn new(
        link: Link,
        input: BytesMut,
        spki: Arc<SpkiHash>,
        origin: Origin,
        place: Place,
        gateway: Arc<Gateway<M>>,
    ) -> Result<Box<Self>, getrandom::Error> {
        let mut nonce = [0; Nonce::SIZE];
        getrandom::fill(&mut nonce)?;
        let clock = gateway.clock;
        let mut peer = Peer::new(gateway, Nonce::new(nonce), origin, spki, Instant::now());
        peer.input = input;
        Ok(Box::new(Self { link, peer, clock, _place: place }))
    }

    /// Serves until it ends, or is told to leave and everything is said.
    pub(super) async fn serve(mut self: Box<Self>, draining: CancellationToken) {
        let _present = metrics::CONNECTIONS_OPEN.enter();
        let ended = match self.run(draining).await {
            // Not within what serves: its task would be larger for life.
            Ok(End::Said) => self.close().await,
            Ok(End::Gone) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            debug!(kind = ?error.kind(), "a connection was lost");
        }
    }

    async fn run(&mut self, draining: CancellationToken) -> io::Result<End> {
        let outlet = self.peer.outlet();
        let mut drained = pin!(draining.cancelled());
        let mut is_leaving = draining.is_cancelled();
        if is_leaving {
            self.peer.leave(Instant::now());
        }
        let mut alarm = pin!(tokio::time::sleep_until(self.peer.deadline().into()));
        while !self.link.is_ended() {
            match self.turn()? {
                Turn::Again => continue,
                Turn::Over(end) => return Ok(end),
                Turn::Wait(until) => {
                    if Instant::from(alarm.deadline()) > until {
                        alarm.as_mut().reset(until.into());
                    }
                }
            }
            let reads = self.peer.reads() && !self.link.is_closing();
            let stuck = self.link.is_stuck();
            tokio::select! {
                biased;
                // Before the socket: one that is always ready must not keep it from being heard.
                () = &mut drained, if !is_leaving => {
                    is_leaving = true;
                    self.peer.leave(Instant::now());
                }
                arrived = self.link.ready(reads, &mut self.peer.input), if reads || stuck => {
                    if arrived? {
                        self.peer.handle_heard(Instant::now());
                    }
                }
                () = outlet.ready() => tokio::task::yield_now().await,
                () = &mut alarm => alarm.as_mut().reset(self.peer.deadline().into()),
            }
        }
        // What came before the end is still done.
        self.work(self.now());
        Ok(End::Gone)
    }

    /// Does what can be done without waiting.
    fn turn(&mut self) -> io::Result<Turn> {
        let now = self.now();
        let more = self.work(now);
        let has_output = !self.peer.output.bytes.is_empty() || self.link.has_output();
        if has_output && !self.link.is_stuck() {
            let was_short = self.peer.is_short();
            self.link.send(&mut self.peer.output.bytes)?;
            if was_short && !self.link.is_stuck() {
                return Ok(Turn::Again);
            }
        }
        let is_over = self.peer.is_over() || (self.link.is_closing() && self.peer.is_quiet());
        if is_over && !self.link.is_stuck() {
            return Ok(Turn::Over(End::Said));
        }
        // Not left to the alarm, which is not heard while the socket is always ready.
        let deadline = self.peer.deadline();
        if deadline <= now.instant {
            debug!("a connection has had its time");
            return Ok(Turn::Over(End::Gone));
        }
        Ok(Turn::Wait(if more { now.instant + DELIVERY_RETRY } else { deadline }))
    }

    /// The other side may be gone already; that it is told is a courtesy.
    async fn close(&mut self) -> io::Result<()> {
        // TRN-13
        let refused = self.peer.has_refused();
        let code = if refused { CloseCode::POLICY } else { CloseCode::GOING_AWAY };
        let end = Instant::now() + CLOSE_TIME;
        let close = tokio::time::timeout_at(end.into(), self.link.close(code));
        if let Ok(closed) = close.await {
            closed?;
            self.link.linger(end).await;
        }
        Ok(())
    }

    fn work(&mut self, now: Now) -> bool {
        self.peer.carried = self.link.held();
        self.peer.work(now)
    }

    fn now(&self) -> Now {
        Now { time: self.clock.now(), instant: Instant::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::redb::RedbBuffer;
    use crate::delivery::Hub;
    use crate::mailbox::Service;

    fn size_of_future<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// What a task holds for life is small: all else is in the connection's own memory, once.
    #[test]
    fn tasks_of_connections_are_small() {
        type All = Arc<Service<RedbBuffer, Hub>>;
        let task = size_of_future(Connection::<All>::serve);
        let memory = size_of::<Connection<All>>();
        // With what the runtime and the span add, the first is just below 640.
        assert!(task <= 416 && memory <= 1_680, "a task of {task} B, {memory} B beside it");
    }
}
