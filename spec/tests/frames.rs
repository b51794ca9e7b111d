//! Every frame vector, and the codec quartet for each kind of frame: golden bytes, round trip,
//! encoded length, and no panic on bytes that are flipped or cut off.
#![expect(clippy::expect_used, reason = "a test that cannot read its vectors has failed")]

#[path = "frames/cases.rs"]
mod cases;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use cases::{Bad, Good, Header};
use data_encoding::HEXLOWER;
use restante_spec::frame::{self, FrameError};
use restante_spec::limits;
use restante_spec::vector::Vector;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/frame")
}

fn read(name: &str) -> Vector {
    let text = fs::read_to_string(folder().join(format!("{name}.txt"))).expect("the vector");
    Vector::parse(name, &text).expect("a vector")
}

fn good(name: &str) -> Good {
    cases::good().into_iter().find(|case| case.name == name).expect("the case")
}

/// Reads one frame off the front.
fn decode(name: &str, input: &mut BytesMut) -> Result<Option<(Header, Bytes)>, FrameError> {
    if name.starts_with("relay") {
        let frame = frame::decode_relay(input)?;
        Ok(frame.map(|frame| (Header::Relay(frame.header), frame.body)))
    } else {
        let frame = frame::decode_client(input)?;
        Ok(frame.map(|frame| (Header::Client(frame.header), frame.body)))
    }
}

fn encode(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut output = BytesMut::new();
    let written = match header {
        Header::Client(header) => frame::encode_client(header, body, &mut output),
        Header::Relay(header) => frame::encode_relay(header, body, &mut output),
    };
    written.expect("within the limits");
    output.to_vec()
}

macro_rules! quartet {
    ($($name:ident),* $(,)?) => {
        /// The kinds of frame that have a quartet.
        const KINDS: &[&str] = &[$(stringify!($name)),*];

        $(
            mod $name {
                use super::*;

                const NAME: &str = stringify!($name);

                fn golden() -> Vec<u8> {
                    read(NAME).field("frame").expect("a frame").to_vec()
                }

                /// FRM-1: the golden bytes are read as the value they stand for.
                #[test]
                fn golden_bytes_are_read() {
                    let mut input = BytesMut::from(&golden()[..]);
                    let Good { header, body, .. } = good(NAME);
                    let read = decode(NAME, &mut input).unwrap().unwrap();
                    assert_eq!(read, (header, Bytes::from_static(body)));
                    assert!(input.is_empty(), "nothing is left over");
                }

                /// FRM-1: the value is written as the golden bytes.
                #[test]
                fn value_round_trips() {
                    let Good { header, body, .. } = good(NAME);
                    assert_eq!(encode(&header, body), golden());
                }

                /// FRM-1, LIM-1: both lengths are what they count, and within the limits.
                #[test]
                fn lengths_are_encoded() {
                    let (bytes, body) = (golden(), good(NAME).body);
                    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
                    let header = u16::from_be_bytes(bytes[4..6].try_into().unwrap()) as usize;
                    assert_eq!((length, 2 + header + body.len()), (bytes.len() - 4, length));
                    assert!(header <= limits::HEADER_BYTES && body.len() <= limits::BODY_BYTES);
                }

                /// FRM-2, FRM-4: a frame cut off anywhere waits for more; with any bit flipped it
                /// is refused, or is a frame that says what it is read as.
                #[test]
                fn damaged_bytes_neither_panic_nor_pass_for_the_frame() {
                    let bytes = golden();
                    for length in 0..bytes.len() {
                        let mut input = BytesMut::from(&bytes[..length]);
                        assert_eq!(decode(NAME, &mut input), Ok(None), "{length} bytes");
                    }
                    for place in 0..bytes.len() * 8 {
                        let mut flipped = BytesMut::from(&bytes[..]);
                        flipped[place / 8] ^= 1 << (place % 8);
                        let Ok(Some((header, body))) = decode(NAME, &mut flipped) else { continue };
                        let mut again = BytesMut::from(&encode(&header, &body)[..]);
                        let read = decode(NAME, &mut again).unwrap().unwrap();
                        assert_eq!(read, (header, body), "bit {place}");
                    }
                }
            }
        )*
    };
}

quartet! {
    client_ack, client_add_reader, client_allow, client_append, client_append_closing,
    client_append_commit, client_append_commit_with_blobs, client_append_letter,
    client_append_live, client_blob_create, client_blob_delete, client_blob_read,
    client_blob_write, client_close, client_count_prekeys, client_create,
    client_create_admitted, client_create_inbox, client_create_memory_first,
    client_create_room, client_credit, client_delete, client_hello, client_open,
    client_ping, client_put_prekeys, client_put_prekeys_last_resort, client_revoke,
    client_subscribe, client_take_prekeys, relay_appended, relay_appended_already,
    relay_appended_live, relay_blob_part, relay_blob_state, relay_blob_state_complete,
    relay_caught_up, relay_closed, relay_created, relay_deliver, relay_deliver_live,
    relay_deliver_own, relay_done, relay_error, relay_error_gone, relay_error_rate,
    relay_goaway, relay_opened, relay_opened_current, relay_opened_replaced, relay_prekey,
    relay_prekey_counts, relay_welcome,
}

/// FRM-2, FRM-3, FRM-4, FRM-5, LIM-1, LIM-5, ERR-2, ERR-3: bytes that are no frame get the code
/// they deserve, with the number that could be read, and close the connection only where they must.
#[test]
fn bytes_that_are_no_frame_are_refused_by_class() {
    for Bad { name, expect, frame, number, closes, .. } in cases::bad() {
        let vector = read(name);
        assert_eq!(vector.field("frame"), Some(&frame[..]), "{name}");
        let mut input = BytesMut::from(&frame[..]);
        let error = decode(name, &mut input).expect_err(name);
        assert_eq!((error.code(), error.code().name()), (expect, vector.expect.as_str()), "{name}");
        assert_eq!((error.number().get(), error.closes()), (number, closes), "{name}");
    }
}

/// FRM-5: after a good frame with a bad command the next frame is read.
#[test]
fn what_closes_nothing_leaves_the_stream_readable() {
    let ping = read("client_ping");
    for Bad { name, frame, closes, .. } in cases::bad().into_iter().filter(|case| !case.closes) {
        let mut input = BytesMut::from(&frame[..]);
        input.extend_from_slice(ping.field("frame").expect("a frame"));
        assert!(decode(name, &mut input).is_err() && !closes);
        let next = decode(name, &mut input).unwrap().unwrap();
        assert_eq!(next.0, good("client_ping").header, "{name}");
    }
}

/// Each file is a case that is run, each case a file, and its text is what the cases say.
#[test]
fn files_and_cases_are_the_same() {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        files.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let mut cases = BTreeSet::new();
    for Good { name, rule, comment, header, body } in cases::good() {
        assert!(KINDS.contains(&name), "{name} has a quartet");
        let fields = [("frame", HEXLOWER.encode(&encode(&header, body)))];
        check_text(name, &cases::text(rule, "ok", comment, &fields));
        cases.insert(format!("{name}.txt"));
    }
    for Bad { name, rule, expect, comment, frame, number, closes } in cases::bad() {
        let fields = [
            ("frame", HEXLOWER.encode(&frame)),
            ("number", HEXLOWER.encode(&number.to_be_bytes())),
            ("closes", HEXLOWER.encode(&[u8::from(closes)])),
        ];
        check_text(name, &cases::text(rule, expect.name(), comment, &fields));
        cases.insert(format!("{name}.txt"));
    }
    assert_eq!(files, cases);
}

fn check_text(name: &str, expected: &str) {
    let text = fs::read_to_string(folder().join(format!("{name}.txt"))).expect("the vector");
    assert_eq!(text, expected, "{name}: `cargo run -p restante-spec --example frames` writes it");
}
