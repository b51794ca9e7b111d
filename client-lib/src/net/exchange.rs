//! Which answer belongs to which request, and what a relay says by itself (TRN-10).
//!
//! Sans-IO: commands in, frames out; frames in, answers and events out. Must not know sockets,
//! the clock or what waits for an answer.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use restante_spec::codes::Code;
use restante_spec::frame::{self, Frame};
use restante_spec::ids::{Handle, RequestNumber, Seq};
use restante_spec::message::{ClientHeader, Command, Deliver, Push, Refusal, RelayHeader, Reply};

use super::error::LinkError;

/// What a request comes to: the reply and the body beside it.
pub(super) type Answer = Result<(Reply, Bytes), LinkError>;

/// What a relay says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// An envelope.
    Deliver(Deliver, Bytes),
    /// The backlog of this handle is delivered.
    CaughtUp {
        /// The subscribed handle.
        handle: Handle,
        /// The last number that was there.
        head: Seq,
    },
    /// The subscription of this handle has ended.
    Closed {
        /// The handle; it stays open.
        handle: Handle,
        /// Why.
        code: Code,
        /// The end of the range, for `superseded` and `gone`.
        upto: Seq,
    },
    /// The relay drains: leave after so long, plus a random part of the jitter.
    Goaway {
        /// Milliseconds.
        after_ms: u32,
        /// Milliseconds.
        jitter_ms: u32,
    },
}

/// What a frame of the relay was.
#[derive(Debug)]
pub(super) enum Said<T> {
    /// The answer to the request that left this behind.
    Answer(T, Answer),
    /// Something by itself.
    Event(LinkEvent),
    /// Nothing anybody waits for.
    Nothing,
}

/// The requests of one connection that are not answered yet.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    last: RequestNumber,
    /// Who waits for which number; `None`: nobody, but an answer comes.
    waiting: BTreeMap<RequestNumber, Option<T>>,
}

impl<T> Exchange<T> {
    /// Begins behind `hello`, which had this number.
    pub(super) const fn after(hello: RequestNumber) -> Self {
        Self { last: hello, waiting: BTreeMap::new() }
    }

    /// How many answers the relay owes.
    pub(super) fn owed(&self) -> usize {
        self.waiting.len()
    }

    /// Appends the frame of a command to `output`. `Some`: it cannot be sent, and whoever waits
    /// for the answer gets this one.
    pub(super) fn ask(
        &mut self,
        command: Command,
        body: &[u8],
        waiter: Option<T>,
        output: &mut BytesMut,
    ) -> Option<(T, Answer)> {
        let number = self.next_number();
        let answered = is_answered(&command);
        if frame::encode_client(&ClientHeader { number, command }, body, output).is_err() {
            // LIM-1: the relay would say the same, and close the connection.
            let refusal = Refusal::new(Code::TooLarge, "the request does not fit into a frame");
            return waiter.map(|waiter| (waiter, Err(LinkError::Refused(refusal))));
        }
        if answered {
            self.waiting.insert(number, waiter);
        }
        None
    }

    /// Takes what the relay said.
    pub(super) fn handle_frame(&mut self, frame: Frame<RelayHeader>) -> Said<T> {
        let Frame { header, body } = frame;
        match header {
            RelayHeader::Reply(number, reply) => {
                let waiter = self.waiting.remove(&number).flatten();
                let answer = match reply {
                    Reply::Error(refusal) => Err(LinkError::Refused(refusal)),
                    reply => Ok((reply, body)),
                };
                waiter.map_or(Said::Nothing, |waiter| Said::Answer(waiter, answer))
            }
            RelayHeader::Push(push) => Said::Event(event(push, body)),
        }
    }

    /// TRN-10: a number that no unanswered request has, never 0.
    fn next_number(&mut self) -> RequestNumber {
        loop {
            self.last = RequestNumber::new(self.last.get().wrapping_add(1));
            if self.last.get() != 0 && !self.waiting.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

/// TRN-10: `credit` and `ack` are answered only when they are refused.
const fn is_answered(command: &Command) -> bool {
    !matches!(command, Command::Credit { .. } | Command::Ack { .. })
}

fn event(push: Push, body: Bytes) -> LinkEvent {
    match push {
        Push::Deliver(deliver) => LinkEvent::Deliver(deliver, body),
        Push::CaughtUp { handle, head } => LinkEvent::CaughtUp { handle, head },
        Push::Closed { handle, code, upto } => LinkEvent::Closed { handle, code, upto },
        Push::Goaway { after_ms, jitter_ms } => LinkEvent::Goaway { after_ms, jitter_ms },
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::{EnvelopeId, UnixTime};
    use restante_spec::limits::BODY_BYTES;
    use restante_spec::message::EnvelopeClass;

    use super::*;

    fn exchange(last: u32) -> Exchange<&'static str> {
        Exchange::after(RequestNumber::new(last))
    }

    fn numbers(output: &mut BytesMut) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some(frame) = frame::decode_client(output).unwrap() {
            numbers.push(frame.header.number.get());
        }
        numbers
    }

    fn reply(number: u32, reply: Reply) -> Frame<RelayHeader> {
        let header = RelayHeader::Reply(RequestNumber::new(number), reply);
        Frame { header, body: Bytes::from_static(b"body") }
    }

    /// TRN-10: answers may come in any order; each finds its request, once.
    #[test]
    fn answers_find_their_requests_in_any_order() {
        let (mut exchange, mut output) = (exchange(1), BytesMut::new());
        assert!(exchange.ask(Command::Ping, &[], Some("first"), &mut output).is_none());
        assert!(exchange.ask(Command::Ping, &[], Some("second"), &mut output).is_none());
        assert_eq!(numbers(&mut output), [2, 3]);
        let denied = Refusal::new(Code::Denied, "no");
        match exchange.handle_frame(reply(3, Reply::Error(denied.clone()))) {
            Said::Answer("second", answer) => assert_eq!(answer, Err(LinkError::Refused(denied))),
            other => panic!("{other:?}"),
        }
        match exchange.handle_frame(reply(2, Reply::Done)) {
            Said::Answer("first", answer) => {
                assert_eq!(answer, Ok((Reply::Done, Bytes::from_static(b"body"))));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(exchange.handle_frame(reply(2, Reply::Done)), Said::Nothing));
        assert_eq!(exchange.owed(), 0);
    }

    /// TRN-10: `credit` and `ack` wait for nothing.
    #[test]
    fn credit_and_ack_owe_no_answer() {
        let (mut exchange, mut output) = (exchange(1), BytesMut::new());
        let ack = Command::Ack { handle: Handle::new(1), upto: Seq::new(9) };
        assert!(exchange.ask(ack, &[], None, &mut output).is_none());
        assert_eq!(exchange.owed(), 0);
        let ahead = Refusal::new(Code::AckAhead, "");
        let refused = exchange.handle_frame(reply(2, Reply::Error(ahead)));
        assert!(matches!(refused, Said::Nothing));
    }

    /// DLV-9: live envelopes are told as stored ones are.
    #[test]
    fn live_envelopes_are_told() {
        let mut exchange = exchange(1);
        let deliver = |class| Deliver {
            handle: Handle::new(1),
            seq: Seq::START,
            prev: Seq::START,
            epoch: None,
            id: EnvelopeId::new([1; 16]),
            class,
            expires_at: UnixTime::default(),
            commit: false,
            own: false,
        };
        let mut said = |class| {
            let header = RelayHeader::Push(Push::Deliver(deliver(class)));
            exchange.handle_frame(Frame { header, body: Bytes::from_static(b"typing") })
        };
        for class in [EnvelopeClass::Live, EnvelopeClass::Quiet] {
            assert!(matches!(said(class), Said::Event(LinkEvent::Deliver(..))));
        }
    }

    /// TRN-10: after 2^32 requests the numbers begin anew, past 0 and past those in use.
    #[test]
    fn numbers_wrap_around_what_is_in_use() {
        let (mut exchange, mut output) = (exchange(0), BytesMut::new());
        assert!(exchange.ask(Command::Ping, &[], Some("old"), &mut output).is_none());
        exchange.last = RequestNumber::new(u32::MAX - 1);
        for _ in 0..2 {
            assert!(exchange.ask(Command::Ping, &[], None, &mut output).is_none());
        }
        assert_eq!(numbers(&mut output), [1, u32::MAX, 2]);
    }

    /// LIM-1: what does not fit into a frame is answered here and never sent.
    #[test]
    fn oversized_request_is_refused_before_it_is_sent() {
        let (mut exchange, mut output) = (exchange(1), BytesMut::new());
        let body = vec![0; BODY_BYTES + 1];
        let refused = exchange.ask(Command::Ping, &body, Some("large"), &mut output);
        assert!(matches!(
            refused,
            Some(("large", Err(LinkError::Refused(refusal)))) if refusal.code == Code::TooLarge
        ));
        assert!(output.is_empty());
        assert_eq!(exchange.owed(), 0);
    }
}
