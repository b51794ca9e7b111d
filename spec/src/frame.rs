//! The frame codec: `u32 length | u16 header length | protobuf header | opaque body`.
//!
//! Spec: `spec/01-frames.md`, rules FRM-1 to FRM-5.
//! Sans-IO: bytes in, frames out; must not know sockets or what a body holds. A body is sliced
//! from the received bytes, never decoded or copied.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codes::Code;
use crate::convert::{self, HeaderError};
use crate::ids::RequestNumber;
use crate::limits;
use crate::message::{ClientHeader, RelayHeader};

/// `u32` length of all that follows, big-endian (FRM-1).
const LENGTH_BYTES: usize = 4;
/// `u16` length of the header, big-endian (FRM-1).
const HEADER_LENGTH_BYTES: usize = 2;

/// The longest frame, lengths included (LIM-1, LIM-19).
pub const FRAME_BYTES: usize =
    LENGTH_BYTES + HEADER_LENGTH_BYTES + limits::HEADER_BYTES + limits::BODY_BYTES;

/// A header and the body beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<H> {
    /// What is said.
    pub header: H,
    /// Opaque bytes, at most [`limits::BODY_BYTES`].
    pub body: Bytes,
}

/// Bytes that cannot be framed or read as a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Header or body above its limit (LIM-1); the stream cannot be read on.
    #[error(
        "a frame with a header of {header} and a body of {body} bytes, at most {} and {} are \
             allowed",
        limits::HEADER_BYTES,
        limits::BODY_BYTES
    )]
    TooLarge {
        /// Bytes of the header as named.
        header: usize,
        /// Bytes of the body as named.
        body: usize,
    },
    /// The lengths contradict each other; the stream cannot be read on.
    #[error("a frame of {length} bytes cannot hold a header of {header}")]
    Lengths {
        /// Bytes of the frame as named.
        length: usize,
        /// Bytes of the header as named.
        header: usize,
    },
    /// The frame is whole, its header is not valid; the stream can be read on.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl FrameError {
    /// The code the relay answers with.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Lengths { .. } => Code::Malformed,
            Self::Header(error) => error.code,
        }
    }

    /// The request's number, 0 when it could not be read.
    #[must_use]
    pub fn number(&self) -> RequestNumber {
        match self {
            Self::TooLarge { .. } | Self::Lengths { .. } => RequestNumber::default(),
            Self::Header(error) => error.number,
        }
    }

    /// Whether the connection has to be closed (FRM-3).
    #[must_use]
    pub const fn closes(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::Lengths { .. } => true,
            Self::Header(error) => error.code.closes(),
        }
    }
}

/// Takes the next whole client frame off the front of `input`; `None`: more bytes are needed.
///
/// # Errors
/// [`FrameError`]; lengths are judged before anything behind them has arrived (FRM-2).
pub fn decode_client(input: &mut BytesMut) -> Result<Option<Frame<ClientHeader>>, FrameError> {
    let Some((header, body)) = split(input)? else { return Ok(None) };
    Ok(Some(Frame { header: convert::decode_client(header)?, body }))
}

/// Takes the next whole relay frame off the front of `input`; `None`: more bytes are needed.
///
/// # Errors
/// [`FrameError`]; lengths are judged before anything behind them has arrived (FRM-2).
pub fn decode_relay(input: &mut BytesMut) -> Result<Option<Frame<RelayHeader>>, FrameError> {
    let Some((header, body)) = split(input)? else { return Ok(None) };
    Ok(Some(Frame { header: convert::decode_relay(header)?, body }))
}

/// Appends a client frame to `output`.
///
/// # Errors
/// [`FrameError::TooLarge`] above the limits; `output` is then unchanged.
pub fn encode_client(
    header: &ClientHeader,
    body: &[u8],
    output: &mut BytesMut,
) -> Result<(), FrameError> {
    join(&convert::encode_client(header), body, output)
}

/// Appends a relay frame to `output`.
///
/// # Errors
/// [`FrameError::TooLarge`] above the limits; `output` is then unchanged.
pub fn encode_relay(
    header: &RelayHeader,
    body: &[u8],
    output: &mut BytesMut,
) -> Result<(), FrameError> {
    join(&convert::encode_relay(header), body, output)
}

/// How many bytes the frame at the front of `bytes` has in all, as it says itself (FRM-1); `None`:
/// its length is not there yet.
#[must_use]
pub fn announced(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<LENGTH_BYTES>()?);
    Some(LENGTH_BYTES.saturating_add(length as usize))
}

/// Splits one frame off, header and body still as bytes.
fn split(input: &mut BytesMut) -> Result<Option<(Bytes, Bytes)>, FrameError> {
    let mut peek = input.as_ref();
    if peek.len() < LENGTH_BYTES {
        return Ok(None);
    }
    let length = peek.get_u32() as usize;
    // FRM-2: the bound on the whole is judged on its four bytes.
    if length > HEADER_LENGTH_BYTES + limits::HEADER_BYTES + limits::BODY_BYTES {
        return Err(FrameError::TooLarge { header: 0, body: length - HEADER_LENGTH_BYTES });
    }
    if length < HEADER_LENGTH_BYTES {
        return Err(FrameError::Lengths { length, header: 0 });
    }
    if peek.len() < HEADER_LENGTH_BYTES {
        return Ok(None);
    }
    let header = peek.get_u16() as usize;
    let Some(body) = (length - HEADER_LENGTH_BYTES).checked_sub(header) else {
        return Err(FrameError::Lengths { length, header });
    };
    check(header, body)?;
    if peek.len() < header + body {
        input.reserve(header + body - peek.len());
        return Ok(None);
    }
    input.advance(LENGTH_BYTES + HEADER_LENGTH_BYTES);
    let header = input.split_to(header).freeze();
    let body = input.split_to(body).freeze();
    Ok(Some((header, body)))
}

fn join(header: &[u8], body: &[u8], output: &mut BytesMut) -> Result<(), FrameError> {
    check(header.len(), body.len())?;
    let too_large = FrameError::TooLarge { header: header.len(), body: body.len() };
    let (Ok(length), Ok(header_length)) = (
        u32::try_from(HEADER_LENGTH_BYTES + header.len() + body.len()),
        u16::try_from(header.len()),
    ) else {
        return Err(too_large);
    };
    output.reserve(LENGTH_BYTES + HEADER_LENGTH_BYTES + header.len() + body.len());
    output.put_u32(length);
    output.put_u16(header_length);
    output.put_slice(header);
    output.put_slice(body);
    Ok(())
}

/// LIM-1: header and body each within its limit.
const fn check(header: usize, body: usize) -> Result<(), FrameError> {
    if header > limits::HEADER_BYTES || body > limits::BODY_BYTES {
        return Err(FrameError::TooLarge { header, body });
    }
    Ok(())
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
