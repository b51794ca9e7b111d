//! The shell of one connection: a task that moves bytes between a stream and its peer.
//!
//! What is said is sent one turn of the scheduler later, so that what comes meanwhile goes with
//! it: one record and one call of the system for many answers.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use restante_spec::ids::{Nonce, SpkiHash};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::door::Place;
use super::listener::Gateway;
use super::peer::{Now, Peer};
use super::stream::Stream;
use crate::limits::{CLOSE_TIME, DELIVERY_RETRY};
use crate::mailbox::api::{Mailboxes, Origin};
use crate::ops::clock::Clock;
use crate::ops::metrics;

/// A connection whose handshake is made: one piece of memory, so that its task holds a pointer.
pub(super) struct Connection<M> {
    stream: Stream,
    peer: Peer<M>,
    clock: Clock,
    /// Held for its drop: the door's place goes with the connection.
    _place: Place,
}

impl<M: Mailboxes> Connection<M> {
    /// Over a stream; `input` has come with the handshake, which was made with the key of hash
    /// `spki`.
    ///
    /// # Errors
    /// The system's, when it has no randomness.
    pub(super) fn new(
        stream: Stream,
        input: BytesMut,
        spki: SpkiHash,
        origin: Origin,
        place: Place,
        gateway: Arc<Gateway<M>>,
    ) -> Result<Box<Self>, getrandom::Error> {
        let mut nonce = [0; Nonce::SIZE];
        getrandom::fill(&mut nonce)?;
        let clock = gateway.clock;
        let mut peer = Peer::new(gateway, Nonce::new(nonce), origin, spki, Instant::now());
        peer.input = input;
        Ok(Box::new(Self { stream, peer, clock, _place: place }))
    }

    /// Serves until it ends, or is told to leave and everything is said.
    pub(super) async fn serve(mut self: Box<Self>, draining: CancellationToken) {
        let _present = metrics::CONNECTIONS_OPEN.enter();
        if let Err(error) = self.run(draining).await {
            debug!(kind = ?error.kind(), "a connection was lost");
        }
    }

    async fn run(&mut self, draining: CancellationToken) -> io::Result<()> {
        let outlet = self.peer.outlet();
        let mut drained = pin!(draining.cancelled());
        let mut is_leaving = false;
        let mut alarm = pin!(tokio::time::sleep_until(self.peer.deadline().into()));
        while !self.stream.is_ended() {
            let mut more = self.work();
            if !self.peer.output.bytes.is_empty() && !self.stream.is_stuck() {
                tokio::task::yield_now().await;
                more = self.work();
                self.stream.send(&mut self.peer.output.bytes)?;
                if !self.stream.is_stuck() {
                    // There is room again.
                    continue;
                }
            }
            if self.peer.is_over() && !self.stream.is_stuck() {
                // The other side may be gone already; that it is told is a courtesy.
                let close = tokio::time::timeout(CLOSE_TIME, self.stream.close());
                return close.await.unwrap_or(Ok(()));
            }
            let deadline = self.peer.deadline();
            let until = if more { Instant::now() + DELIVERY_RETRY } else { deadline };
            if Instant::from(alarm.deadline()) > until {
                alarm.as_mut().reset(until.into());
            }
            let (reads, stuck) = (self.peer.reads(), self.stream.is_stuck());
            tokio::select! {
                biased;
                arrived = self.stream.ready(reads, &mut self.peer.input), if reads || stuck => {
                    if arrived? {
                        self.peer.handle_heard(Instant::now());
                    }
                }
                () = outlet.ready() => {}
                () = &mut drained, if !is_leaving => {
                    is_leaving = true;
                    self.peer.leave(Instant::now());
                }
                () = &mut alarm => {
                    if deadline <= Instant::now() {
                        debug!("a connection was silent for too long");
                        return Ok(());
                    }
                    alarm.as_mut().reset(deadline.into());
                }
            }
        }
        // What came before the end is still done.
        self.work();
        Ok(())
    }

    fn work(&mut self) -> bool {
        self.peer.work(Now { time: self.clock.now(), instant: Instant::now() })
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
        assert!(task <= 640 && memory <= 2_048, "a task of {task} B, {memory} B beside it");
    }
}
