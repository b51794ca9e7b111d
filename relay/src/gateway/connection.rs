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
use tracing::{debug, warn};

use super::listener::Gateway;
use super::peer::{Now, Peer};
use super::stream::Stream;
use crate::limits::{CLOSE_TIME, DELIVERY_RETRY};
use crate::mailbox::api::{Mailboxes, Origin};
use crate::ops::clock::Clock;

/// Serves a connection until it ends; `input` has come with the handshake.
pub(super) async fn serve<M: Mailboxes>(
    stream: Stream,
    input: BytesMut,
    origin: Origin,
    spki: SpkiHash,
    gateway: Arc<Gateway<M>>,
    draining: CancellationToken,
) {
    let mut nonce = [0; Nonce::SIZE];
    if let Err(error) = getrandom::fill(&mut nonce) {
        return warn!(%error, "no randomness for a connection");
    }
    let clock = gateway.clock;
    let mut peer = Peer::new(gateway, Nonce::new(nonce), origin, spki, Instant::now());
    peer.input = input;
    if let Err(error) = run(stream, peer, clock, draining).await {
        debug!(kind = ?error.kind(), "a connection was lost");
    }
}

async fn run<M: Mailboxes>(
    mut stream: Stream,
    mut peer: Peer<M>,
    clock: Clock,
    draining: CancellationToken,
) -> io::Result<()> {
    let now = || Now { time: clock.now(), instant: Instant::now() };
    let outlet = peer.outlet();
    let mut drained = pin!(draining.cancelled());
    let mut is_leaving = false;
    let mut alarm = pin!(tokio::time::sleep_until(peer.deadline().into()));
    while !stream.is_ended() {
        let mut more = peer.work(now());
        if !peer.output.bytes.is_empty() && !stream.is_stuck() {
            tokio::task::yield_now().await;
            more = peer.work(now());
            stream.send(&mut peer.output.bytes)?;
            if !stream.is_stuck() {
                // There is room again.
                continue;
            }
        }
        if peer.is_over() && !stream.is_stuck() {
            let close = tokio::time::timeout(CLOSE_TIME, stream.close());
            // The other side may be gone already; that it is told is a courtesy.
            return close.await.unwrap_or(Ok(()));
        }
        let until = if more { Instant::now() + DELIVERY_RETRY } else { peer.deadline() };
        if Instant::from(alarm.deadline()) > until {
            alarm.as_mut().reset(until.into());
        }
        let reads = peer.reads();
        tokio::select! {
            biased;
            arrived = stream.ready(reads, &mut peer.input), if reads || stream.is_stuck() => {
                if arrived? {
                    peer.handle_heard(Instant::now());
                }
            }
            () = outlet.ready() => {}
            () = &mut drained, if !is_leaving => {
                is_leaving = true;
                peer.leave(Instant::now());
            }
            () = &mut alarm => {
                if peer.deadline() <= Instant::now() {
                    debug!("a connection was silent for too long");
                    return Ok(());
                }
                alarm.as_mut().reset(peer.deadline().into());
            }
        }
    }
    // What came before the end is still done.
    peer.work(now());
    Ok(())
}
