//! The frame codec's own cases; golden bytes are the vectors' (`spec/vectors/frame/`).

use super::*;
use crate::ids::Handle;
use crate::message::{Command, Push, Reply};

fn ping(number: u32) -> ClientHeader {
    ClientHeader { number: RequestNumber::new(number), command: Command::Ping }
}

/// FRM-1: frames come out as they went in, one after another from one buffer.
#[test]
fn frames_round_trip_back_to_back() {
    let mut bytes = BytesMut::new();
    encode_client(&ping(1), b"", &mut bytes).unwrap();
    encode_client(&ping(2), b"body", &mut bytes).unwrap();
    let first = decode_client(&mut bytes).unwrap().unwrap();
    let second = decode_client(&mut bytes).unwrap().unwrap();
    assert_eq!((first.header, first.body.as_ref()), (ping(1), &b""[..]));
    assert_eq!((second.header, second.body.as_ref()), (ping(2), &b"body"[..]));
    assert_eq!(decode_client(&mut bytes), Ok(None));
}

/// FRM-1: a frame that arrives byte by byte is the same frame.
#[test]
fn frames_arrive_byte_by_byte() {
    let mut whole = BytesMut::new();
    encode_client(&ping(7), b"abc", &mut whole).unwrap();
    let mut bytes = BytesMut::new();
    for (place, byte) in whole.iter().enumerate() {
        bytes.put_u8(*byte);
        let frame = decode_client(&mut bytes).unwrap();
        assert_eq!(frame.is_some(), place + 1 == whole.len());
    }
}

/// LIM-1: header and body at the bound pass, one byte more does not.
#[test]
fn the_largest_body_passes_and_one_byte_more_does_not() {
    let mut bytes = BytesMut::new();
    encode_client(&ping(1), &vec![0; limits::BODY_BYTES], &mut bytes).unwrap();
    assert_eq!(decode_client(&mut bytes).unwrap().unwrap().body.len(), limits::BODY_BYTES);
    let refused = encode_client(&ping(1), &vec![0; limits::BODY_BYTES + 1], &mut bytes);
    assert!(matches!(refused, Err(FrameError::TooLarge { .. })));
    assert!(bytes.is_empty());
}

/// FRM-2: lengths are judged before what they announce has arrived, and close the connection.
#[test]
fn lengths_are_judged_on_their_own_bytes() {
    let largest = 2 + limits::HEADER_BYTES + limits::BODY_BYTES;
    let at = u32::try_from(largest).unwrap().to_be_bytes();
    assert_eq!(decode_client(&mut BytesMut::from(&at[..])), Ok(None));
    let past = u32::try_from(largest + 1).unwrap().to_be_bytes();
    let error = decode_client(&mut BytesMut::from(&past[..])).unwrap_err();
    assert_eq!((error.code(), error.closes()), (Code::TooLarge, true));
    for (length, header) in [(1_u32, 0_u16), (10, 9), (70, 1_025)] {
        let mut bytes = BytesMut::new();
        bytes.put_u32(length);
        bytes.put_u16(header);
        assert!(decode_client(&mut bytes).unwrap_err().closes());
    }
    let mut bytes = BytesMut::new();
    bytes.put_u32(2 + 1_025);
    bytes.put_u16(1_025);
    assert_eq!(decode_client(&mut bytes).unwrap_err().code(), Code::TooLarge);
}

/// FRM-5: a command of a later version is `unsupported`, with its number, and closes nothing.
#[test]
fn unknown_commands_are_unsupported_and_close_nothing() {
    let mut bytes = BytesMut::new();
    join(&[0x08, 0x05, 0xfa, 0x07, 0x00], b"", &mut bytes).unwrap();
    let error = decode_client(&mut bytes).unwrap_err();
    assert_eq!((error.code(), error.number().get()), (Code::Unsupported, 5));
    assert!(!error.closes());
}

/// FRM-4: a header that is no message, or has number 0, is `malformed` and closes.
#[test]
fn headers_that_are_no_message_close() {
    for header in [&[0xff_u8, 0xff][..], &[0x1a, 0x00]] {
        let mut bytes = BytesMut::new();
        join(header, b"", &mut bytes).unwrap();
        let error = decode_client(&mut bytes).unwrap_err();
        assert_eq!((error.code(), error.closes()), (Code::Malformed, true));
    }
}

/// FRM-1, LIM-19: a frame announces its size in its first four bytes, the largest too.
#[test]
fn frames_announce_their_size() {
    let mut bytes = BytesMut::new();
    join(&[0; limits::HEADER_BYTES], &[0; limits::BODY_BYTES], &mut bytes).unwrap();
    assert_eq!((announced(&bytes), bytes.len()), (Some(FRAME_BYTES), FRAME_BYTES));
    assert_eq!((announced(&bytes[..4]), announced(&bytes[..3])), (Some(FRAME_BYTES), None));
    assert_eq!(announced(&[0xff; 4]), Some(u32::MAX as usize + 4));
}

/// FRM-1: what a relay says round trips as well.
#[test]
fn relay_frames_round_trip() {
    let headers = [
        RelayHeader::Reply(RequestNumber::new(3), Reply::Done),
        RelayHeader::Push(Push::Goaway { after_ms: 10, jitter_ms: 20 }),
        RelayHeader::Push(Push::CaughtUp { handle: Handle::new(4), head: crate::ids::Seq::new(9) }),
    ];
    let mut bytes = BytesMut::new();
    for header in &headers {
        encode_relay(header, b"x", &mut bytes).unwrap();
    }
    for header in headers {
        assert_eq!(decode_relay(&mut bytes).unwrap().unwrap().header, header);
    }
}
