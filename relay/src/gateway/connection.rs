//! One connection: a task that reads frames, asks, delivers, and writes, until it ends.
//!
//! Back-pressure is decided here: nothing is read while 256 KiB wait to be written or 256 calls
//! are unanswered, and nothing is taken from the buffer that there is no room for (LIM-8, LIM-10).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use restante_spec::frame::{self, FrameError};
use restante_spec::ids::{Nonce, RequestNumber, Seconds, Seq, SpkiHash};
use restante_spec::limits;
use restante_spec::message::{Push, Refusal, RelayHeader, Reply, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::listener::Gateway;
use super::session::{Phase, Said, Session, Step};
use crate::delivery::{Outlet, Received, Subscriptions};
use crate::limits::{DELIVERY_RETRY, GOAWAY_JITTER, READ_BYTES, TOUCH_EVERY};
use crate::mailbox::api::{Ask, Call, Mailboxes, Origin};
use crate::ops::metrics;

/// Serves a connection until it ends.
pub(super) async fn serve<M: Mailboxes>(
    stream: TlsStream<TcpStream>,
    origin: Origin,
    spki: SpkiHash,
    gateway: Arc<Gateway<M>>,
    draining: CancellationToken,
) {
    let mut nonce = [0; Nonce::SIZE];
    if let Err(error) = getrandom::fill(&mut nonce) {
        return warn!(%error, "no randomness for a connection");
    }
    let (reader, writer) = tokio::io::split(stream);
    let outlet = Arc::new(Outlet::default());
    let hub = Arc::clone(&gateway.hub);
    let subscriptions = Subscriptions::new(hub, Arc::clone(&outlet), origin);
    let now = Instant::now();
    let nonce = Nonce::new(nonce);
    let connection = Connection {
        session: Session::new(nonce, origin),
        nonce,
        spki,
        subscriptions,
        outlet,
        input: BytesMut::new(),
        output: Output::default(),
        idle: Duration::from_secs(u64::from(limits::IDLE_MIN.get())),
        begun: now,
        heard: now,
        touched: now,
        gateway,
    };
    connection.run(reader, writer, draining).await;
}

struct Connection<M> {
    gateway: Arc<Gateway<M>>,
    session: Session,
    nonce: Nonce,
    /// The TLS key of its handshake (TRN-5).
    spki: SpkiHash,
    subscriptions: Subscriptions,
    outlet: Arc<Outlet>,
    input: BytesMut,
    output: Output,
    /// The silence the client chose (TRN-8).
    idle: Duration,
    begun: Instant,
    heard: Instant,
    touched: Instant,
}

/// Bytes waiting to be written.
#[derive(Default)]
struct Output {
    bytes: BytesMut,
    is_unflushed: bool,
    /// After these bytes the connection is closed.
    is_last: bool,
}

/// What woke the connection.
enum Woken {
    Received,
    Read(std::io::Result<usize>),
    Written(std::io::Result<()>),
    Draining,
    Late,
    Retry,
}

impl<M: Mailboxes> Connection<M> {
    async fn run(
        mut self,
        mut reader: ReadHalf<TlsStream<TcpStream>>,
        mut writer: WriteHalf<TlsStream<TcpStream>>,
        draining: CancellationToken,
    ) {
        let mut is_leaving = false;
        loop {
            if !is_leaving {
                self.handle_input();
            }
            let more = self.fill();
            let is_done = is_leaving && self.session.in_flight() == 0;
            if (is_done || self.output.is_last) && self.output.is_empty() {
                break;
            }
            let reads = !is_leaving
                && !self.output.is_last
                && self.session.is_ready()
                && self.output.room() > 0;
            let retries = more && self.output.room() > 0;
            let outlet = Arc::clone(&self.outlet);
            let deadline = self.deadline(is_leaving);
            let woken = tokio::select! {
                () = outlet.ready() => Woken::Received,
                read = read(&mut reader, &mut self.input), if reads => Woken::Read(read),
                written = self.output.write(&mut writer), if !self.output.is_empty() =>
                    Woken::Written(written),
                () = draining.cancelled(), if !is_leaving => Woken::Draining,
                () = tokio::time::sleep_until(deadline) => Woken::Late,
                () = tokio::time::sleep(DELIVERY_RETRY), if retries => Woken::Retry,
            };
            match woken {
                Woken::Received => self.handle_received(),
                Woken::Read(Ok(0)) => return,
                Woken::Read(Ok(_)) => self.heard = Instant::now(),
                Woken::Written(Ok(())) | Woken::Retry => {}
                Woken::Read(Err(error)) | Woken::Written(Err(error)) => {
                    return debug!(kind = ?error.kind(), "a connection was lost");
                }
                Woken::Draining => {
                    is_leaving = true;
                    self.say_goaway();
                }
                Woken::Late => return debug!("a connection was silent for too long"),
            }
        }
        // The other side may be gone already; that it is told is a courtesy.
        let _ = tokio::time::timeout(self.gateway.settings.hello_timeout, writer.shutdown()).await;
    }

    /// Handles the frames that have arrived, as far as they may be now.
    fn handle_input(&mut self) {
        while self.session.is_ready() && self.output.room() > 0 && !self.output.is_last {
            match frame::decode_client(&mut self.input) {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    metrics::FRAMES.count(metrics::Direction::Received);
                    let step = self.session.handle_frame(frame);
                    self.take_step(step);
                    self.handle_received();
                }
                Err(error) => self.refuse_frame(&error),
            }
        }
    }

    fn take_step(&mut self, step: Step) {
        let now = self.gateway.clock.now();
        match step {
            Step::Reply(number, reply, body) => self.reply(number, reply, &body),
            Step::Greet(number, idle) => self.greet(number, idle),
            Step::Ping(number) => {
                self.touch();
                self.reply(number, Reply::Done, &[]);
            }
            Step::Call(number, call) => {
                let outlet = Arc::clone(&self.outlet);
                let respond = Box::new(move |answer| outlet.answer(number, answer));
                self.gateway.mailboxes.call(call, now, respond);
            }
            Step::Credit(number, handle, credit) => {
                if let Err(refusal) = self.subscriptions.credit(handle, credit) {
                    self.reply(number, Reply::Error(refusal), &[]);
                }
            }
            Step::Ack(number, handle, upto) => match self.subscriptions.ack(handle, upto) {
                Err(refusal) => self.reply(number, Reply::Error(refusal), &[]),
                Ok((access, reader)) => {
                    let step = self.session.acknowledge(number, access, reader, upto);
                    self.take_step(step);
                }
            },
            Step::Unsubscribe(number, handle) => {
                self.subscriptions.end(handle);
                self.reply(number, Reply::Done, &[]);
            }
        }
    }

    /// Handles what others have left: answers, notices, and that some were missed.
    fn handle_received(&mut self) {
        let Received { answers, notices, behind, .. } = self.outlet.take();
        for (number, answer) in answers {
            match self.session.handle_answer(number, answer) {
                Some(Said::Reply(reply, body)) => self.reply(number, reply, &body),
                Some(Said::Subscribed(wish, range)) => {
                    self.reply(number, Reply::Done, &[]);
                    self.subscriptions.begin(wish, range);
                }
                None => {}
            }
        }
        for (handle, notice) in notices {
            let output = &mut self.output;
            self.subscriptions.notice(handle, notice, &mut |push, body| output.push(push, &body));
        }
        for handle in behind {
            self.subscriptions.missed(handle);
        }
    }

    /// Delivers from the buffer as far as there is room. Returns whether there is more.
    fn fill(&mut self) -> bool {
        let (output, now) = (&mut self.output, self.gateway.clock.now());
        if output.is_last {
            return false;
        }
        let room = output.room();
        let mut sink = |push, body: Bytes| output.push(push, &body);
        self.subscriptions.fill(&self.gateway.mailboxes, now, room, &mut sink)
    }

    fn greet(&mut self, number: RequestNumber, idle: Seconds) {
        let now = self.gateway.clock.now();
        self.idle = Duration::from_secs(u64::from(idle.get()));
        self.begun = Instant::now();
        let welcome = Welcome {
            version: restante_spec::VERSION,
            identity: self.gateway.endorser.identity(),
            nonce: self.nonce,
            incarnation: self.gateway.incarnation,
            endorsement: self.gateway.endorser.endorsement(self.spki, now),
            limits: restante_spec::message::Limits { idle, ..self.gateway.limits },
            now,
        };
        let gateway = Arc::clone(&self.gateway);
        let text = gateway.settings.operator_text.as_bytes();
        self.reply(number, Reply::Welcome(Box::new(welcome)), text);
    }

    /// A reader that is online counts as seen, whether anything arrives for it or not.
    fn touch(&mut self) {
        if self.touched.elapsed() < TOUCH_EVERY {
            return;
        }
        self.touched = Instant::now();
        let now = self.gateway.clock.now();
        for (access, reader) in self.subscriptions.online() {
            let ask = Ask::Ack { reader, upto: Seq::START };
            self.gateway.mailboxes.call(Call::With(access, ask), now, Box::new(|_| ()));
        }
    }

    /// Answers a frame that cannot be handled; the table says whether the connection ends (FRM-3).
    fn refuse_frame(&mut self, error: &FrameError) {
        let refusal = Refusal::new(error.code(), error.to_string());
        self.reply(error.number(), Reply::Error(refusal), &[]);
        self.output.is_last |= error.closes();
    }

    fn reply(&mut self, number: RequestNumber, reply: Reply, body: &[u8]) {
        // ERR-2
        self.output.is_last |= matches!(&reply, Reply::Error(refusal) if refusal.code.closes());
        self.output.frame(&RelayHeader::Reply(number, reply), body);
    }

    /// TRN-9: told to leave; what was asked before is still answered.
    fn say_goaway(&mut self) {
        let jitter_ms = u32::try_from(GOAWAY_JITTER.as_millis()).unwrap_or(u32::MAX);
        self.output.push(Push::Goaway { after_ms: 0, jitter_ms }, &[]);
        self.begun = Instant::now();
    }

    /// When the connection ends if nothing happens (LIM-11, TRN-8).
    fn deadline(&self, is_leaving: bool) -> Instant {
        if is_leaving {
            return self.begun + GOAWAY_JITTER;
        }
        match self.session.phase() {
            Phase::Hello | Phase::Idle => self.begun + self.gateway.settings.hello_timeout,
            Phase::Active => self.heard + self.idle,
        }
    }
}

impl Output {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_unflushed
    }

    /// Bytes that may still be added by deliveries (LIM-10).
    fn room(&self) -> usize {
        limits::PENDING_OUTPUT_BYTES.saturating_sub(self.bytes.len())
    }

    fn push(&mut self, push: Push, body: &[u8]) -> usize {
        if matches!(push, Push::Deliver(_)) {
            metrics::DELIVERIES.count();
        }
        self.frame(&RelayHeader::Push(push), body);
        self.room()
    }

    fn frame(&mut self, header: &RelayHeader, body: &[u8]) {
        metrics::FRAMES.count(metrics::Direction::Sent);
        if let Err(error) = frame::encode_relay(header, body, &mut self.bytes) {
            // Nothing the relay says is larger than a frame: this is its own fault.
            error!(%error, "a frame of ours is too large");
            self.is_last = true;
        }
    }

    /// Writes everything. Safe to cancel: what is written is taken off the front.
    async fn write(&mut self, writer: &mut WriteHalf<TlsStream<TcpStream>>) -> std::io::Result<()> {
        self.is_unflushed = true;
        writer.write_all_buf(&mut self.bytes).await?;
        writer.flush().await?;
        self.is_unflushed = false;
        Ok(())
    }
}

/// Reads what there is. Safe to cancel.
async fn read(
    reader: &mut ReadHalf<TlsStream<TcpStream>>,
    input: &mut BytesMut,
) -> std::io::Result<usize> {
    input.reserve(READ_BYTES);
    reader.read_buf(input).await
}
