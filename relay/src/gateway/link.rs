//! What carries a connection's frames: TLS alone, or WebSocket on it.
//!
//! The first costs nothing beside the stream; what a WebSocket needs lies beside it.

use std::io;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::BytesMut;

use super::stream::Stream;
use super::websocket::{CloseCode, WebSocket};

/// Frames in both directions.
pub(super) struct Link {
    stream: Stream,
    websocket: Option<Box<WebSocket>>,
}

impl Link {
    /// Frames one after another (ALPN `restante/1`).
    pub(super) const fn frames(stream: Stream) -> Self {
        Self { stream, websocket: None }
    }

    /// Frames as messages of a WebSocket whose handshake is made; `incoming` came with it, and
    /// what frames are in it go to `frames`.
    pub(super) fn websocket(stream: Stream, incoming: BytesMut, frames: &mut BytesMut) -> Self {
        let mut websocket = Box::new(WebSocket::new(incoming));
        websocket.receive(frames);
        Self { stream, websocket: Some(websocket) }
    }

    /// Whether bytes wait for the socket.
    pub(super) const fn is_stuck(&self) -> bool {
        self.stream.is_stuck()
    }

    /// Whether the line has ended: nothing comes, and nobody listens.
    pub(super) const fn is_ended(&self) -> bool {
        self.stream.is_ended()
    }

    /// Whether no more frames will come, and the other side waits for a good-bye.
    pub(super) fn is_closing(&self) -> bool {
        self.websocket.as_ref().is_some_and(|websocket| websocket.is_ended())
    }

    /// Whether there is something to send beside `frames`.
    pub(super) fn has_output(&self) -> bool {
        self.websocket.as_ref().is_some_and(|websocket| websocket.has_output())
    }

    /// Bytes under way in it (LIM-29).
    pub(super) fn held(&self) -> usize {
        self.stream.held() + self.websocket.as_ref().map_or(0, |websocket| websocket.held())
    }

    /// Waits until what was stuck is sent (`false`) or, if `reads`, something has arrived (`true`),
    /// of which the whole frames lie in `frames`. Safe to cancel.
    ///
    /// # Errors
    /// The socket's, or what rustls refuses of what came.
    pub(super) fn ready(
        &mut self,
        reads: bool,
        frames: &mut BytesMut,
    ) -> impl Future<Output = io::Result<bool>> {
        // Polled by hand: the task of a connection has room for this future for life.
        std::future::poll_fn(move |cx| {
            let Some(websocket) = &mut self.websocket else {
                return self.stream.poll_ready(cx, reads, frames);
            };
            let arrived = ready!(self.stream.poll_ready(cx, reads, &mut websocket.incoming))?;
            websocket.receive(frames);
            Poll::Ready(Ok(arrived))
        })
    }

    /// Sends what is in `frames` as far as the socket takes it. Never waits.
    ///
    /// # Errors
    /// The socket's, or rustls'.
    pub(super) fn send(&mut self, frames: &mut BytesMut) -> io::Result<()> {
        let Some(websocket) = &mut self.websocket else { return self.stream.send(frames) };
        while !self.stream.is_stuck() {
            websocket.wrap(frames);
            if websocket.outgoing.is_empty() {
                *frames = BytesMut::new();
                break;
            }
            self.stream.send(&mut websocket.outgoing)?;
        }
        Ok(())
    }

    /// Says that nothing more will be sent, to a WebSocket with `code`, and waits until that is
    /// with the system. Everything before must be sent.
    ///
    /// # Errors
    /// The socket's, or rustls'.
    pub(super) async fn close(&mut self, code: CloseCode) -> io::Result<()> {
        if let Some(websocket) = &mut self.websocket {
            websocket.close(code);
            self.stream.send(&mut websocket.outgoing)?;
        }
        self.stream.close().await
    }

    /// Behind [`Link::close`]: drops what still comes, so that the other side gets what was sent.
    pub(super) fn linger(&mut self, end: Instant) -> impl Future<Output = ()> {
        self.stream.linger(end)
    }
}
