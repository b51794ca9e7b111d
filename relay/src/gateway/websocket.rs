//! WebSocket (RFC 6455) as the relay speaks it: messages in, frames of the protocol out, and back.
//!
//! A codec of our own: libraries read and write a stream through buffers that they keep, which an
//! idle connection here does not have; and what they would take off us, without the stream, is the
//! layout of a header. No extensions, no subprotocols.
//! Sans-IO: of the protocol's frames it knows the length; must not know sockets, TLS or HTTP.

use bytes::{Buf, BufMut, BytesMut};
use restante_spec::frame::{self, FRAME_BYTES};
use restante_spec::limits::PONGS_BYTES;

/// One WebSocket after its handshake. Without traffic it holds no buffers.
#[derive(Default)]
pub(super) struct WebSocket {
    /// What has arrived and was not handled: the beginning of a header or of a control frame.
    pub(super) incoming: BytesMut,
    /// What is to be sent, as it goes over the line.
    pub(super) outgoing: BytesMut,
    /// The message under way, as far as it has come.
    message: Option<BytesMut>,
    /// The frame of it under way.
    part: Option<Part>,
    /// Answers to pings, as they go over the line.
    pongs: BytesMut,
    /// Nothing more is read: the other side has closed, or broken a rule.
    end: Option<CloseCode>,
}

/// Why a WebSocket is closed (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseCode(u16);

impl CloseCode {
    /// All is said.
    const NORMAL: Self = Self(1000);
    /// The relay goes away.
    pub(super) const GOING_AWAY: Self = Self(1001);
    /// What came is no WebSocket.
    const PROTOCOL: Self = Self(1002);
    /// A text.
    const UNSUPPORTED: Self = Self(1003);
    /// A message that is not one frame.
    const INVALID: Self = Self(1007);
    /// A frame was answered with a code that closes.
    pub(super) const POLICY: Self = Self(1008);
    /// A message above the limit.
    const TOO_BIG: Self = Self(1009);

    /// Whether a peer may say it: registered, or in the ranges for libraries and applications.
    const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The data frame whose payload is arriving.
struct Part {
    is_last: bool,
    left: usize,
    mask: [u8; 4],
}

impl WebSocket {
    /// One whose handshake is made; `incoming` has come with it.
    pub(super) fn new(incoming: BytesMut) -> Self {
        Self { incoming, ..Self::default() }
    }

    /// Handles what has arrived: whole messages are added to `frames`.
    pub(super) fn receive(&mut self, frames: &mut BytesMut) {
        while self.end.is_none() {
            match self.step(frames) {
                Ok(true) => {}
                Ok(false) => break,
                Err(code) => self.end = Some(code),
            }
        }
        if self.end.is_some() {
            (self.message, self.part) = (None, None);
        }
        if self.incoming.is_empty() || self.end.is_some() {
            self.incoming = BytesMut::new();
        }
    }

    /// Whether nothing more is read.
    pub(super) const fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Bytes of messages that are not whole, or not sent.
    pub(super) fn held(&self) -> usize {
        let message = self.message.as_ref().map_or(0, BytesMut::len);
        self.incoming.len() + self.outgoing.len() + self.pongs.len() + message
    }

    /// Whether there is something to send beside frames.
    pub(super) fn has_output(&self) -> bool {
        !self.pongs.is_empty() || !self.outgoing.is_empty()
    }

    /// Makes messages of the frames in `frames`, some at a time: those in `outgoing` go first.
    pub(super) fn wrap(&mut self, frames: &mut BytesMut) {
        if !self.outgoing.is_empty() {
            return;
        }
        self.outgoing = std::mem::take(&mut self.pongs);
        // TRN-12: a message is a frame.
        while self.outgoing.len() < FRAME_BYTES
            && let Some(size) = frame::announced(frames)
        {
            put(BINARY, &frames.split_to(size.min(frames.len())), &mut self.outgoing);
        }
        if self.outgoing.is_empty() {
            // It has been sent; its memory is not needed again soon.
            self.outgoing = BytesMut::new();
        }
    }

    /// Says good-bye: with `code`, or as an answer to what has ended it (TRN-13).
    pub(super) fn close(&mut self, code: CloseCode) {
        let CloseCode(code) = self.end.unwrap_or(code);
        put(CLOSE, &code.to_be_bytes(), &mut self.outgoing);
    }

    /// Handles a frame, or a piece of one; `false`: more must arrive first.
    fn step(&mut self, frames: &mut BytesMut) -> Result<bool, CloseCode> {
        if let Some(part) = &mut self.part {
            let size = part.left.min(self.incoming.len());
            let mut piece = self.incoming.split_to(size);
            unmask(&mut piece, &mut part.mask);
            part.left -= size;
            let is_whole = part.left == 0;
            let is_last = is_whole && part.is_last;
            self.take(&piece, is_last, frames)?;
            if is_whole {
                self.part = None;
            }
            return Ok(is_whole);
        }
        let Some(Header { opcode, is_last, length, mask, size }) = Header::parse(&self.incoming)?
        else {
            return Ok(false);
        };
        if opcode >= CLOSE {
            if self.incoming.len() < size + length {
                return Ok(false);
            }
            let _ = self.incoming.split_to(size);
            let mut payload = self.incoming.split_to(length);
            unmask(&mut payload, &mut { mask });
            return self.control(opcode, &payload);
        }
        match (opcode, &self.message) {
            (BINARY, None) | (CONTINUATION, Some(_)) => {}
            (TEXT, None) => return Err(CloseCode::UNSUPPORTED),
            _ => return Err(CloseCode::PROTOCOL),
        }
        // LIM-19, FRM-2: judged before anything of it is kept.
        let message = self.message.get_or_insert_default();
        if message.len().saturating_add(length) > FRAME_BYTES {
            return Err(CloseCode::TOO_BIG);
        }
        let _ = self.incoming.split_to(size);
        self.part = Some(Part { is_last, left: length, mask });
        Ok(true)
    }

    /// Adds to the message under way; a whole one is handed on, if it is one frame.
    fn take(
        &mut self,
        piece: &[u8],
        is_last: bool,
        frames: &mut BytesMut,
    ) -> Result<(), CloseCode> {
        let message = self.message.get_or_insert_default();
        message.extend_from_slice(piece);
        let announced = frame::announced(message);
        if announced.is_some_and(|size| size > FRAME_BYTES) {
            // FRM-2, FRM-3: the session refuses it by its length, and nothing behind it counts.
            frames.extend_from_slice(message);
            return Err(CloseCode::TOO_BIG);
        }
        if is_last {
            // TRN-12
            if announced != Some(message.len()) {
                return Err(CloseCode::INVALID);
            }
            frames.extend_from_slice(message);
            self.message = None;
        }
        Ok(())
    }

    /// Answers a ping. TRN-12, LIM-31: those before it only if there is room for all; the latest is
    /// enough (RFC 6455, section 5.5.3).
    fn answer(&mut self, payload: &[u8]) {
        let before = self.pongs.len();
        put(PONG, payload, &mut self.pongs);
        if self.pongs.len() > PONGS_BYTES {
            self.pongs.advance(before);
        }
    }

    /// Handles a control frame.
    fn control(&mut self, opcode: u8, payload: &[u8]) -> Result<bool, CloseCode> {
        match opcode {
            PING => self.answer(payload),
            PONG => {}
            CLOSE => {
                let Some((code, reason)) = payload.split_first_chunk::<2>() else {
                    let is_empty = payload.is_empty();
                    return Err(if is_empty { CloseCode::NORMAL } else { CloseCode::PROTOCOL });
                };
                let code = CloseCode(u16::from_be_bytes(*code));
                return Err(if !code.may_be_sent() {
                    CloseCode::PROTOCOL
                } else if std::str::from_utf8(reason).is_err() {
                    CloseCode::INVALID
                } else {
                    code
                });
            }
            _ => return Err(CloseCode::PROTOCOL),
        }
        Ok(true)
    }
}

/// Opcodes (RFC 6455, section 5.2); from `CLOSE` on they are control frames.
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The first byte's bits beside the opcode: the message's end, and three that extensions would use.
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// The second byte's bit beside the length.
const MASKED: u8 = 0x80;
/// RFC 6455, section 5.5: the longest payload of a control frame, and of one whose length needs no
/// further bytes; the two values above say how many follow.
const SHORT: usize = 125;

/// What stands before a frame's payload.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    opcode: u8,
    is_last: bool,
    length: usize,
    mask: [u8; 4],
    /// Its own bytes.
    size: usize,
}

impl Header {
    /// Reads a client's header; `None`: it is not whole yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, CloseCode> {
        let Some(([first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let (opcode, is_last) = (first & 0x0f, first & LAST != 0);
        let short = usize::from(second & !MASKED);
        let is_control = opcode >= CLOSE;
        // No extension is agreed on, clients mask, control frames are whole and short.
        let is_wrong = first & RESERVED != 0
            || second & MASKED == 0
            || !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG)
            || (is_control && (!is_last || short > SHORT));
        if is_wrong {
            return Err(CloseCode::PROTOCOL);
        }
        let Some((length, rest)) = long_length(short, rest)? else { return Ok(None) };
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let size = bytes.len() - rest.len();
        Ok(Some(Self { opcode, is_last, length, mask: *mask, size }))
    }
}

/// The length that the seven bits stand for, and what is behind it; in as few bytes as it needs.
fn long_length(short: usize, bytes: &[u8]) -> Result<Option<(usize, &[u8])>, CloseCode> {
    let (length, rest, least) = match short {
        0..=SHORT => return Ok(Some((short, bytes))),
        126 => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), rest, SHORT as u64 + 1)
        }
        _ => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), rest, u64::from(u16::MAX) + 1)
        }
    };
    if length < least || length > u64::MAX / 2 {
        return Err(CloseCode::PROTOCOL);
    }
    // What this machine cannot count is above every limit.
    Ok(Some((usize::try_from(length).unwrap_or(usize::MAX), rest)))
}

/// Takes the mask off, and turns it so that it fits what follows.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let (fours, rest) = bytes.as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(*mask);
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(*mask) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len());
}

/// Adds an unmasked frame that is a whole message.
fn put(opcode: u8, payload: &[u8], out: &mut BytesMut) {
    out.reserve(2 + size_of::<u64>() + payload.len());
    out.put_u8(LAST | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if usize::from(short) <= SHORT => out.put_u8(short),
        (_, Ok(length)) => {
            out.put_u8(126);
            out.put_u16(length);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.put_slice(payload);
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
