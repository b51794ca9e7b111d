//! One connection without its socket: bytes and answers in, bytes out.
//!
//! Back-pressure is decided here: nothing is read while 256 KiB wait to be written or 256 calls
//! are unanswered, and nothing is taken from the buffer that there is no room for (LIM-8, LIM-10,
//! LIM-29).
//! Sans-IO: time is an argument; knows frames and mailboxes, must not know sockets or TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use restante_spec::codes::Code;
use restante_spec::frame::{self, FrameError};
use restante_spec::ids::{Nonce, RequestNumber, Seconds, Seq, SpkiHash, UnixTime};
use restante_spec::limits;
use restante_spec::message::{Push, Refusal, RelayHeader, Reply, Welcome};
use tracing::error;

use super::listener::Gateway;
use super::pool::Share;
use super::session::{Phase, Said, Session, Step};
use crate::delivery::{Outlet, Received, Subscriptions};
use crate::limits::{GOAWAY_JITTER, TOUCH_EVERY};
use crate::mailbox::api::{Answer, Ask, Call, Mailboxes, Origin};
use crate::ops::metrics;

/// The relay's half of a connection.
pub(crate) struct Peer<M> {
    gateway: Arc<Gateway<M>>,
    session: Session,
    /// The TLS key of its handshake (TRN-5).
    spki: Arc<SpkiHash>,
    subscriptions: Subscriptions,
    outlet: Arc<Outlet>,
    /// Plaintext that has arrived and was not handled yet.
    pub(crate) input: BytesMut,
    pub(crate) output: Output,
    /// What this connection holds of what all may hold (LIM-29).
    share: Share,
    /// Bytes under way in what carries it.
    pub(crate) carried: usize,
    /// Told to leave: nothing new is taken.
    is_leaving: bool,
    /// The silence the client chose (TRN-8).
    idle: Seconds,
    begun: Instant,
    heard: Instant,
    /// When the mailboxes were last told, by the clock they judge by: it may jump.
    touched: UnixTime,
}

/// What is to be sent.
pub(crate) struct Output {
    /// Plaintext.
    pub(crate) bytes: BytesMut,
    /// After these bytes the connection is closed.
    is_last: bool,
    /// How much of it deliveries may make (LIM-10).
    bound: usize,
}

/// One moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For what is kept and told.
    pub(crate) time: UnixTime,
    /// For how long something has lasted.
    pub(crate) instant: Instant,
}

impl<M: Mailboxes> Peer<M> {
    /// A connection whose handshake is made.
    pub(crate) fn new(
        gateway: Arc<Gateway<M>>,
        nonce: Nonce,
        origin: Origin,
        spki: Arc<SpkiHash>,
        now: Instant,
    ) -> Self {
        let outlet = Arc::new(Outlet::default());
        let hub = Arc::clone(&gateway.hub);
        Self {
            session: Session::new(nonce, origin),
            spki,
            subscriptions: Subscriptions::new(hub, Arc::clone(&outlet), origin),
            outlet,
            input: BytesMut::new(),
            output: Output {
                bytes: BytesMut::new(),
                is_last: false,
                bound: limits::PENDING_OUTPUT_BYTES,
            },
            share: gateway.pool.join(),
            carried: 0,
            is_leaving: false,
            idle: limits::IDLE_MIN,
            begun: now,
            heard: now,
            touched: UnixTime::default(),
            gateway,
        }
    }

    /// Where others leave what is for this connection.
    pub(crate) fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }

    /// Whether more bytes may be taken in.
    pub(crate) fn reads(&self) -> bool {
        !self.is_leaving
            && !self.output.is_last
            && self.session.is_ready()
            && self.output.room() > 0
            && self.share.allows(self.held())
    }

    /// Calls that are not answered yet.
    #[cfg(feature = "simulation")]
    pub(crate) fn in_flight(&self) -> usize {
        self.session.in_flight()
    }

    /// Whether nothing is left to be said, and the connection may be closed.
    pub(crate) fn is_over(&self) -> bool {
        let is_done = self.is_leaving && self.session.in_flight() == 0;
        (is_done || self.output.is_last) && self.output.bytes.is_empty()
    }

    /// Whether what waits to be sent holds something up, here or elsewhere.
    pub(super) fn is_short(&self) -> bool {
        self.output.room() == 0 || self.share.is_over()
    }

    /// Whether what has arrived is handled and answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.session.in_flight() == 0 && self.output.bytes.is_empty()
    }

    /// Whether an answer was given that closes the connection (ERR-2).
    pub(super) const fn has_refused(&self) -> bool {
        self.output.is_last
    }

    /// Something has arrived: the other side lives (TRN-8).
    pub(crate) const fn handle_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Does what can be done: takes what others have left, handles the frames that have arrived,
    /// and delivers as far as there is room. Returns whether there is more to do that could not be
    /// done just now.
    pub(crate) fn work(&mut self, now: Now) -> bool {
        let held = self.held();
        self.share.holds(held);
        self.share.look();
        self.output.bound = self.share.output_bytes(held);
        self.handle_received(now.time);
        while self.reads() {
            match frame::decode_client(&mut self.input) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    metrics::FRAMES.count(metrics::Direction::Received);
                    let step = self.session.handle_frame(frame);
                    self.take_step(step, now);
                    if !self.session.is_ready() {
                        // What is answered at once lets it go on.
                        self.handle_received(now.time);
                    }
                }
                Err(error) => self.refuse_frame(&error),
            }
        }
        if self.input.is_empty() {
            // An idle connection holds no memory.
            self.input = BytesMut::new();
        }
        // LIM-29: nobody tells it when others give back, so it looks again by itself.
        let was_held_up = self.output.bound == 0 || !self.share.allows(self.held());
        self.handle_received(now.time);
        let more = self.fill(now.time);
        let held = self.held();
        self.share.holds(held);
        more || was_held_up || !self.share.allows(held)
    }

    /// What this connection holds, bytes (LIM-29).
    fn held(&self) -> usize {
        self.input.len() + self.output.bytes.len() + self.carried + self.session.held()
    }

    /// TRN-9: told to leave; what was asked before is still answered.
    pub(crate) fn leave(&mut self, now: Instant) {
        if !self.is_leaving {
            let jitter_ms = u32::try_from(GOAWAY_JITTER.as_millis()).unwrap_or(u32::MAX);
            self.output.push(Push::Goaway { after_ms: 0, jitter_ms }, &[]);
            (self.is_leaving, self.begun) = (true, now);
        }
    }

    /// When the connection ends if nothing happens (LIM-11, TRN-8).
    pub(crate) fn deadline(&self) -> Instant {
        if self.is_leaving {
            return self.begun + GOAWAY_JITTER;
        }
        match self.session.phase() {
            Phase::Hello | Phase::Idle => self.begun + self.gateway.settings.hello_timeout,
            Phase::Active => self.heard + Duration::from_secs(u64::from(self.idle.get())),
        }
    }

    fn take_step(&mut self, step: Step, now: Now) {
        match step {
            Step::Reply(number, reply, body) => self.reply(number, reply, &body),
            Step::Greet(number, idle) => self.greet(number, idle, now),
            Step::Ping(number) => {
                self.touch(now);
                self.reply(number, Reply::Done, &[]);
            }
            Step::Call(number, call) => {
                self.call(number, call, now.time);
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
                    self.take_step(step, now);
                }
            },
            Step::Unsubscribe(number, handle) => {
                self.subscriptions.end(handle);
                self.reply(number, Reply::Done, &[]);
            }
        }
    }

    /// Asks the mailboxes, unless the door finds that too much is asked from there (LIM-20).
    fn call(&self, number: RequestNumber, call: Call, now: UnixTime) {
        let (outlet, origin) = (Arc::clone(&self.outlet), self.session.origin());
        if let Err(refusal) = self.gateway.door.admit(origin, &call, now) {
            return outlet.answer(number, Err(refusal));
        }
        let opens = matches!(call, Call::Open { .. } | Call::BlobRead { .. })
            .then(|| Arc::clone(&self.gateway.door));
        let is_append = matches!(call, Call::With(_, Ask::Append(_)));
        let respond = Box::new(move |answer: Result<_, Refusal>| {
            if is_append {
                count_append(&answer);
            }
            if let (Some(door), Err(refusal)) = (opens, &answer)
                && refusal.code == Code::NotFound
            {
                door.fail(origin, now);
            }
            outlet.answer(number, answer);
        });
        self.gateway.mailboxes.call(call, now, respond);
    }

    /// Handles what others have left: answers, notices, and that some were missed.
    fn handle_received(&mut self, now: UnixTime) {
        let Some(received) = self.outlet.take() else { return };
        let Received { answers, notices, behind, .. } = *received;
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
        if self.is_leaving {
            return;
        }
        for (handle, notice) in notices {
            let output = &mut self.output;
            let mut sink = |push, body: Bytes| output.push(push, &body);
            self.subscriptions.notice(handle, notice, now, &mut sink);
        }
        for handle in behind {
            self.subscriptions.missed(handle);
        }
    }

    /// Delivers from the buffer as far as there is room. Returns whether there is more.
    fn fill(&mut self, now: UnixTime) -> bool {
        let output = &mut self.output;
        // TRN-9: what is owed gets smaller; the rest stays in the buffer.
        if output.is_last || self.is_leaving {
            return false;
        }
        let room = output.room();
        let mut sink = |push, body: Bytes| output.push(push, &body);
        self.subscriptions.fill(&self.gateway.mailboxes, now, room, &mut sink)
    }

    fn greet(&mut self, number: RequestNumber, idle: Seconds, now: Now) {
        (self.idle, self.begun) = (idle, now.instant);
        // TRN-14: over WebSocket the same is said.
        let welcome = Welcome {
            version: restante_spec::VERSION,
            identity: self.gateway.endorser.identity(),
            nonce: self.session.nonce(),
            incarnation: self.gateway.incarnation,
            endorsement: self.gateway.endorser.endorsement(*self.spki, now.time),
            limits: restante_spec::message::Limits { idle, ..self.gateway.limits },
            now: now.time,
        };
        let gateway = Arc::clone(&self.gateway);
        let text = gateway.settings.operator_text.as_bytes();
        self.reply(number, Reply::Welcome(Box::new(welcome)), text);
    }

    /// A reader that is online counts as seen, whether anything arrives for it or not.
    fn touch(&mut self, now: Now) {
        if (self.touched..self.touched.after(TOUCH_EVERY)).contains(&now.time) {
            return;
        }
        self.touched = now.time;
        for (access, reader) in self.subscriptions.online() {
            let ask = Ask::Ack { reader, upto: Seq::START };
            self.gateway.mailboxes.call(Call::With(access, ask), now.time, Box::new(|_| ()));
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
}

/// Counts what an append is answered with.
fn count_append(answer: &Result<Answer, Refusal>) {
    match answer {
        Ok(_) => metrics::APPENDS_ACCEPTED.count(),
        Err(refusal) => metrics::APPENDS_REFUSED.count(refusal.code),
    }
}

impl Output {
    /// Bytes that may still be added by deliveries (LIM-10).
    fn room(&self) -> usize {
        self.bound.saturating_sub(self.bytes.len())
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
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
