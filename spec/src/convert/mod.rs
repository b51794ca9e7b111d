//! The only way from generated wire types to domain types and back.
//!
//! Knows both shapes; must not know frames, sockets or rules of mailboxes. What does not convert
//! is `malformed` (or `too_large`, `unsupported` where the table says so), with the request's
//! number when it could be read.

mod client;
mod relay;

pub(crate) use client::{decode_client, encode_client};
pub(crate) use relay::{decode_relay, encode_relay};

use crate::codes::Code;
use crate::ids::{ReaderHash, RequestNumber, Seconds, Seq, UnixTime};

/// The generated types, named nowhere else.
#[expect(unreachable_pub, reason = "generated code is `pub` throughout")]
pub(crate) mod wire {
    include!(concat!(env!("OUT_DIR"), "/restante.wire.v1.rs"));
}

/// A header that is no valid message (FRM-4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct HeaderError {
    /// The request's number, 0 when it could not be read.
    pub number: RequestNumber,
    /// `malformed`, `too_large` or `unsupported`.
    pub code: Code,
    /// What was wrong, in English, for the developer.
    pub detail: &'static str,
}

/// An error of one field; the caller adds the number.
#[derive(Clone, Copy, Debug)]
struct FieldError(Code, &'static str);

const fn malformed(detail: &'static str) -> FieldError {
    FieldError(Code::Malformed, detail)
}

/// Reads an id, key, hash or signature of exactly its size.
macro_rules! exact {
    ($type:ty, $bytes:expr) => {
        <$type>::from_slice(&$bytes)
            .ok_or(malformed(concat!(stringify!($type), " has the wrong size")))
    };
}
pub(crate) use exact;

/// Reads a field that may be left out.
macro_rules! optional {
    ($type:ty, $bytes:expr) => {
        if $bytes.is_empty() { Ok(None) } else { exact!($type, $bytes).map(Some) }
    };
}
pub(crate) use optional;

fn seconds_or_none(seconds: u32) -> Option<Seconds> {
    (seconds != 0).then(|| Seconds::new(seconds))
}

fn time_or_none(time: u64) -> Option<UnixTime> {
    (time != 0).then(|| UnixTime::new(time))
}

fn seq_or_none(seq: u64) -> Option<Seq> {
    (seq != 0).then(|| Seq::new(seq))
}

fn readers(list: &[bytes::Bytes]) -> Result<Vec<ReaderHash>, FieldError> {
    list.iter().map(|bytes| exact!(ReaderHash, bytes)).collect()
}

fn to_bytes<const N: usize>(array: &[u8; N]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(array)
}
