//! What strangers may send to a relay: HTTP, WebSocket, and a connection as a whole.

use std::time::Instant;

use bytes::{BufMut, BytesMut};
use restante_relay::simulation::{Connection, Disk, Now, Relay, Setup, Socket, http};
use restante_spec::frame::{self, FRAME_BYTES};
use restante_spec::ids::{Nonce, UnixTime};
use restante_spec::limits::HTTP_REQUEST_BYTES;
use restante_spec::message::RelayHeader;

use super::{Target, pieces, vectors, with_heads};

pub(super) const HTTP: Target =
    Target { name: "http", run: run_http, seeds: http_seeds, changes: 5000 };
pub(super) const WEBSOCKET: Target =
    Target { name: "websocket", run: run_websocket, seeds: websocket_seeds, changes: 2000 };
pub(super) const CONNECTION: Target =
    Target { name: "connection", run: run_connection, seeds: connection_seeds, changes: 100 };

/// A request comes to the same however it arrives, and no more is kept than a request may have.
fn run_http(data: &[u8]) {
    let mut whole = BytesMut::from(data.get(1..).unwrap_or_default());
    let expected = http(&mut whole);
    let (mut input, mut read) = (BytesMut::new(), None);
    for piece in pieces(data) {
        input.extend_from_slice(piece);
        if read.is_none() {
            read = http(&mut input);
            assert!(read.is_some() || input.len() < HTTP_REQUEST_BYTES, "LIM-18: more is kept");
        }
    }
    assert_eq!(read, expected, "read in pieces");
    let is_taken = read.is_some_and(|read| !read.starts_with("Refused"));
    assert!(!is_taken || input == whole, "what is behind a request belongs to the WebSocket");
}

fn http_seeds() -> Vec<Vec<u8>> {
    let upgrade = "GET /v1 HTTP/1.1\r\nhost: x\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\nrest";
    let seeds = [
        upgrade,
        "GET / HTTP/1.1\r\nhost: relay.example.org\r\n\r\n",
        "HEAD /?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "POST /v2 HTTP/1.0\r\nhost: x\r\nhost: y\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    with_heads(&[0, 2, 7], seeds.map(|seed| seed.as_bytes().to_vec()).to_vec())
}

/// The same frames and the same end come of a WebSocket's bytes however they arrive.
fn run_websocket(data: &[u8]) {
    let whole = websocket(data.get(1..).into_iter());
    assert_eq!(websocket(pieces(data).into_iter()), whole, "read in pieces");
}

/// What is read, and with which code it ends.
fn websocket<'a>(input: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, bool, Vec<u8>) {
    let (mut socket, mut read, mut is_refused) = (Socket::default(), Vec::new(), false);
    for piece in input {
        socket.receive(piece);
        let messages = piece.len() / 6 + 2;
        assert!(socket.frames.len() <= piece.len() + 2 * FRAME_BYTES, "LIM-19: more is kept");
        for _ in 0..messages {
            match frame::decode_client(&mut socket.frames) {
                Ok(None) => break,
                Ok(Some(frame)) => read.push(format!("{frame:?}")),
                // TRN-13: behind what closes nothing counts.
                Err(error) if error.closes() => {
                    read.push(error.code().name().to_owned());
                    is_refused = true;
                    break;
                }
                Err(error) => read.push(error.to_string()),
            }
        }
        if is_refused {
            break;
        }
    }
    if is_refused {
        return (read, is_refused, Vec::new());
    }
    let said = socket.say(BytesMut::new());
    // The last four bytes: a close with its code. Before it may stand pongs.
    let close = said.len().checked_sub(4).and_then(|at| said.get(at..)).unwrap_or_default();
    assert_eq!(close.first_chunk(), Some(&[0x88, 2]), "TRN-13: it does not say why it ends");
    (read, socket.is_ended(), close.to_vec())
}

fn websocket_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for frame in vectors("frame", "frame") {
        seeds.push(message(&[&frame]));
        let (first, second) = frame.split_at(frame.len() / 2);
        seeds.push(message(&[first, second]));
    }
    seeds.push([part(0x89, b"ping"), part(0x8a, b""), part(0x88, &[3, 232, b'x'])].concat());
    with_heads(&[0, 1, 7], seeds)
}

/// A masked message in these parts, with a ping behind each.
fn message(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, payload) in parts.iter().enumerate() {
        let opcode = if index == 0 { 2 } else { 0 };
        let last = if index + 1 == parts.len() { 0x80 } else { 0 };
        bytes.extend(part(opcode | last, payload));
        bytes.extend(part(0x89, b"are you there"));
    }
    bytes
}

fn part(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => bytes.put_u8(0x80 | short),
        (_, Ok(length)) => {
            bytes.put_u8(0x80 | 126);
            bytes.put_u16(length);
        }
        _ => {
            bytes.put_u8(0x80 | 127);
            bytes.put_u64(payload.len() as u64);
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Whatever a stranger sends, the relay says whole frames, keeps a bounded amount, and still
/// answers somebody else.
fn run_connection(data: &[u8]) {
    let now = Now { time: UnixTime::new(1_800_000_000), instant: Instant::now() };
    let mut relay = relay(now);
    let mut stranger = relay.connect(Nonce::new([1; 32]), now);
    for piece in pieces(data) {
        if stranger.reads() {
            stranger.receive(piece, now);
        }
        heard(&mut relay, &mut stranger, now);
    }
    drop(stranger);
    let mut other = relay.connect(Nonce::new([2; 32]), now);
    other.receive(&vectors_hello(), now);
    let said = heard(&mut relay, &mut other, now);
    assert!(
        matches!(said.as_slice(), [RelayHeader::Reply(..)]),
        "others are not answered: {said:?}"
    );
    drop(other);
    for _ in 0..2 {
        relay.step_writer();
    }
    assert_eq!(relay.held(), restante_relay::simulation::Held::default(), "something stays");
}

/// A relay on an empty disk.
fn relay(now: Now) -> Relay {
    let setup = Setup {
        identity: [1; 32],
        mailbox_entries: 100,
        queue_acts: 1_000,
        batch_acts: 100,
        cache_bytes: 64 * 1024,
        reserve: 1_000,
        blobs: None,
    };
    Relay::start(&setup, &Disk::default(), now).expect("an empty disk")
}

/// Lets the relay work until nothing happens any more; what it says.
fn heard(relay: &mut Relay, connection: &mut Connection, now: Now) -> Vec<RelayHeader> {
    let mut said = Vec::new();
    for _ in 0..3 {
        connection.work(now);
        relay.step_writer();
        connection.work(now);
        let mut bytes = BytesMut::from(&*connection.send(usize::MAX));
        while let Some(frame) = frame::decode_relay(&mut bytes).expect("FRM-1: a frame of a relay")
        {
            said.push(frame.header);
        }
        assert!(bytes.is_empty(), "FRM-1: half a frame");
    }
    said
}

fn vectors_hello() -> Vec<u8> {
    b"\0\0\0\x0c\0\x0a\x08\x05\x12\x06\x0a\x01\x01\x10\xac\x02".to_vec()
}

fn connection_seeds() -> Vec<Vec<u8>> {
    let hello = vectors_hello();
    let with = |frame: &Vec<u8>| [&hello, frame, frame].map(|part| part.as_slice()).concat();
    with_heads(&[0, 3, 7], vectors("frame", "frame").iter().map(with).collect())
}
