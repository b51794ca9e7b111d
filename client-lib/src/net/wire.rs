//! The relay's end of a link as bytes, without a socket, a task or a clock: for simulations.
//!
//! Takes the place of `line.rs`: says `hello` and hands the link out when it is answered. Knows
//! frames; must not know how bytes travel, nor what requests mean.

use bytes::{Bytes, BytesMut};
use restante_spec::ids::Seconds;
use restante_spec::message::{ClientHeader, Command, Hello};
use restante_spec::{VERSION, frame};
use tokio::sync::{mpsc, oneshot};

use super::error::LinkError;
use super::exchange::{Answer, Exchange, LinkEvent, Said};
use super::link::{HELLO, Half, Link, LinkEvents, welcome_in};

/// Whoever wants the link.
type Caller = oneshot::Sender<Result<(Link, LinkEvents), LinkError>>;

/// One connection. Dropped, it is lost.
pub(crate) struct Wire {
    caller: Option<Caller>,
    half: Option<Half>,
    exchange: Exchange<oneshot::Sender<Answer>>,
    input: BytesMut,
    /// An event that found no room.
    held: Option<LinkEvent>,
}

impl Wire {
    /// Begins a connection; the bytes are its first words.
    pub(crate) fn begin(caller: Caller, idle: Seconds) -> Result<(Self, Bytes), LinkError> {
        let hello = Command::Hello(Hello { versions: vec![VERSION], idle });
        let mut output = BytesMut::new();
        frame::encode_client(&ClientHeader { number: HELLO, command: hello }, &[], &mut output)?;
        let wire = Self {
            caller: Some(caller),
            half: None,
            exchange: Exchange::after(HELLO),
            input: BytesMut::new(),
            held: None,
        };
        Ok((wire, output.freeze()))
    }

    /// What the client has asked since.
    pub(crate) fn output(&mut self) -> Bytes {
        let mut output = BytesMut::new();
        let asked = self.half.as_mut().map(|half| &mut half.asked);
        for ask in asked.into_iter().flat_map(|asked| std::iter::from_fn(|| asked.try_recv().ok()))
        {
            let refused = self.exchange.ask(ask.command, &ask.body, ask.reply, &mut output);
            if let Some((reply, answer)) = refused {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(answer);
            }
        }
        output.freeze()
    }

    /// The relay has said this. An error ends the connection.
    pub(crate) fn handle_heard(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.input.extend_from_slice(bytes);
        self.make_room();
        while self.held.is_none() {
            let Some(frame) = frame::decode_relay(&mut self.input)? else { break };
            if let Some(caller) = self.caller.take() {
                let (link, events, half) = Link::loose(welcome_in(frame.header)?);
                self.half = Some(half);
                // A client that has ended wants no link.
                let _ = caller.send(Ok((link, events)));
                continue;
            }
            match self.exchange.handle_frame(frame) {
                Said::Answer(reply, answer) => drop(reply.send(answer)),
                Said::Event(event) => {
                    self.held = Some(event);
                    self.make_room();
                }
                Said::Nothing => {}
            }
        }
        Ok(())
    }

    /// Whether the client has given the link back.
    pub(crate) fn is_given_back(&self) -> bool {
        self.half.as_ref().is_some_and(|half| half.events.is_closed())
            || self.caller.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn make_room(&mut self) {
        let (Some(half), Some(event)) = (&self.half, self.held.take()) else { return };
        if let Err(mpsc::error::TrySendError::Full(event)) = half.events.try_send(event) {
            self.held = Some(event);
        }
    }
}
