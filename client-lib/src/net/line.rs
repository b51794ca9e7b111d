//! The task of one link: owns the connection, sends what is asked, hands out what arrives.
//!
//! Knows the stream, the queues and the clock; what belongs together is decided in `exchange.rs`,
//! when to speak in `keepalive.rs`. Must not know what requests mean.
//!
//! Bounded on both sides: with enough unsent bytes or unanswered requests no more is taken from
//! the queue, and while an event finds no room nothing is read, so that TCP holds the relay back.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante_spec::frame;
use restante_spec::ids::RequestNumber;
use restante_spec::message::{Command, Limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::error::LinkError;
use super::exchange::{Answer, Exchange, LinkEvent, Said};
use super::keepalive::{Due, KeepAlive};
use crate::limits::{ANSWER_WAIT, LINK_CLOSE_WAIT, LINK_OUTPUT_BYTES, LINK_READ_BYTES};

/// A request on its way to the relay.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) command: Command,
    pub(super) body: Bytes,
    /// Where the answer goes, if anybody waits.
    pub(super) reply: Option<oneshot::Sender<Answer>>,
}

/// The state of one connection; see the module's words.
pub(super) struct Line<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    /// Written and perhaps not flushed yet.
    unflushed: bool,
    exchange: Exchange<oneshot::Sender<Answer>>,
    alive: KeepAlive,
    /// Unanswered requests the relay takes.
    window: usize,
    asks: mpsc::Receiver<Ask>,
    events: mpsc::Sender<LinkEvent>,
    /// An event that found no room; while it waits nothing is read.
    held: Option<LinkEvent>,
}

impl<S: AsyncRead + AsyncWrite + Send> Line<S> {
    /// Continues behind `hello`, with what has arrived behind `welcome` already.
    pub(super) fn new(
        stream: S,
        input: BytesMut,
        hello: RequestNumber,
        limits: &Limits,
        asks: mpsc::Receiver<Ask>,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let idle = Duration::from_secs(u64::from(limits.idle.get()));
        let window = usize::try_from(limits.requests_in_flight).unwrap_or(usize::MAX).max(1);
        Self {
            reader,
            writer,
            input,
            output: BytesMut::new(),
            unflushed: false,
            exchange: Exchange::after(hello),
            alive: KeepAlive::new(idle, ANSWER_WAIT, now()),
            window,
            asks,
            events,
            held: None,
        }
    }

    /// Talks until one side ends it. Whoever still waits for an answer is told that it is lost.
    pub(super) async fn run(mut self, give_up: Arc<Notify>) {
        let ended = loop {
            if let Err(error) = self.step(&give_up).await {
                break error;
            }
        };
        match &ended {
            Some(error) => tracing::debug!(%error, "a link was lost"),
            None => tracing::debug!("a link was given back"),
        }
        if ended.is_none() {
            // What cannot be said in this time is said on the next link.
            let _ = tokio::time::timeout(LINK_CLOSE_WAIT, self.hang_up()).await;
        }
    }

    /// One thing after another; `Err(None)` when the owner has left.
    async fn step(&mut self, give_up: &Notify) -> Result<(), Option<LinkError>> {
        self.take_frames()?;
        self.mind_silence()?;
        let may_ask = self.output.len() < LINK_OUTPUT_BYTES && self.exchange.owed() < self.window;
        let wake = Instant::from_std(self.alive.wake());
        let Self { reader, writer, input, output, unflushed, asks, events, held, .. } = self;
        input.reserve(LINK_READ_BYTES);
        let has_output = !output.is_empty();
        tokio::select! {
            ask = asks.recv(), if may_ask => match ask {
                Some(ask) => self.send(ask),
                None => return Err(None),
            },
            read = reader.read_buf(input), if held.is_none() => match read {
                Ok(0) | Err(_) => return Err(Some(LinkError::Lost)),
                Ok(_) => self.alive.handle_heard(now()),
            },
            written = async {
                if has_output { writer.write_buf(output).await.map(|_| true) }
                else { writer.flush().await.map(|()| false) }
            }, if has_output || *unflushed => {
                *unflushed = written.map_err(|_| Some(LinkError::Lost))?;
            }
            () = make_room(events, held) => {}
            () = events.closed() => return Err(None),
            () = give_up.notified() => return Err(Some(LinkError::Busy)),
            () = tokio::time::sleep_until(wake) => {}
        }
        Ok(())
    }

    /// Puts a request, and those behind it that fit, into the output.
    fn send(&mut self, first: Ask) {
        let mut next = Some(first);
        while let Some(ask) = next {
            self.put(ask);
            let room = self.output.len() < LINK_OUTPUT_BYTES && self.exchange.owed() < self.window;
            next = if room { self.asks.try_recv().ok() } else { None };
        }
    }

    fn put(&mut self, ask: Ask) {
        let refused = self.exchange.ask(ask.command, &ask.body, ask.reply, &mut self.output);
        self.alive.handle_sent(now());
        if let Some((reply, answer)) = refused {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(answer);
        }
    }

    /// Hands out the frames that are whole, as far as there is room for events.
    fn take_frames(&mut self) -> Result<(), Option<LinkError>> {
        while self.held.is_none() {
            let frame = match frame::decode_relay(&mut self.input) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                // FRM-3: behind such lengths nothing can be read.
                Err(error) if error.closes() => return Err(Some(error.into())),
                // FRM-5: what a newer relay says is not for us.
                Err(_) => continue,
            };
            match self.exchange.handle_frame(frame) {
                // Whoever asked may have stopped waiting.
                Said::Answer(reply, answer) => drop(reply.send(answer)),
                Said::Event(event) => self.tell(event)?,
                Said::Nothing => {}
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: LinkEvent) -> Result<(), Option<LinkError>> {
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.held = Some(event);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(None),
        }
    }

    /// TRN-8
    fn mind_silence(&mut self) -> Result<(), Option<LinkError>> {
        match self.alive.poll(self.exchange.owed() > 0, self.held.is_none(), now()) {
            Due::Nothing => Ok(()),
            Due::Ping => {
                self.put(Ask { command: Command::Ping, body: Bytes::new(), reply: None });
                Ok(())
            }
            Due::Dead => Err(Some(LinkError::Timeout)),
        }
    }

    /// Sends what is left, then the end of the stream.
    async fn hang_up(&mut self) -> std::io::Result<()> {
        self.writer.write_all_buf(&mut self.output).await?;
        self.writer.shutdown().await
    }
}

/// The clock that wakes the line.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Waits until the held event finds room; for ever if there is none.
async fn make_room(events: &mpsc::Sender<LinkEvent>, held: &mut Option<LinkEvent>) {
    if held.is_some()
        && let Ok(room) = events.reserve().await
        && let Some(event) = held.take()
    {
        room.send(event);
    } else {
        pending::<()>().await;
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
