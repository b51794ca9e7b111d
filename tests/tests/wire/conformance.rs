//! RFC 6455 against a real relay, by a client made by hand that breaks its rules one at a time.

use bytes::{Buf, BytesMut};
use restante_spec::frame::{self, FRAME_BYTES};
use restante_spec::ids::{RequestNumber, Seconds};
use restante_spec::message::{ClientHeader, Command, Hello, MailboxClass, RelayHeader, Reply};
use restante_spec::{ALPN_HTTP, WEBSOCKET_PATH};
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, PATIENCE, Wire, random, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::TRANSPORT;

const LAST: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A WebSocket, byte by byte.
struct Raw {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
}

impl Raw {
    /// After the handshake, which takes none of the offers.
    async fn connect(relay: &InProcess) -> Self {
        Self::begin(relay, b"").await
    }

    /// The same; `behind` goes with the request.
    async fn begin(relay: &InProcess, behind: &[u8]) -> Self {
        let mut stream = tls(relay.address(), &[ALPN_HTTP]).await.unwrap();
        let ask = format!(
            "GET {WEBSOCKET_PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\
             \r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\
             Origin: https://elsewhere.example\r\n\r\n"
        );
        stream.write_all(&[ask.as_bytes(), behind].concat()).await.unwrap();
        let mut raw = Self { stream, input: BytesMut::new() };
        let end = loop {
            if let Some(end) = raw.input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(raw.read().await, "an answer");
        };
        let head = String::from_utf8(raw.input.split_to(end).to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(!head.contains("extensions") && !head.contains("protocol"), "{head}");
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn read(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
        matches!(read.expect("the relay says something in time"), Ok(1..))
    }

    /// The relay's next frame: its first byte and its payload.
    async fn frame(&mut self) -> Option<(u8, BytesMut)> {
        loop {
            let (header, length) = match self.input[..] {
                [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
                [_, short, ..] if short < 126 => (2, usize::from(short)),
                _ => (2, usize::MAX),
            };
            if length != usize::MAX && self.input.len() >= header + length {
                let first = self.input[0];
                self.input.advance(header);
                return Some((first, self.input.split_to(length)));
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Waits until the relay closes; the code it says.
    async fn closed(&mut self) -> u16 {
        loop {
            let (first, payload) = self.frame().await.expect("a good-bye");
            if first == LAST | CLOSE {
                assert!(self.frame().await.is_none(), "nothing comes behind it");
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }

    async fn answer(&mut self) -> RelayHeader {
        let (first, mut payload) = self.frame().await.expect("an answer");
        assert_eq!(first, LAST | BINARY);
        frame::decode_relay(&mut payload).unwrap().unwrap().header
    }

    async fn welcomed(&mut self) {
        let answer = self.answer().await;
        assert!(matches!(answer, RelayHeader::Reply(_, Reply::Welcome(_))), "{answer:?}");
    }
}

/// A client's frame.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask: [u8; 4] = random();
    let length = u16::try_from(payload.len()).unwrap();
    let mut bytes = match u8::try_from(length) {
        Ok(short) if short < 126 => vec![first, LAST | short],
        _ => vec![first, LAST | 126, length.to_be_bytes()[0], length.to_be_bytes()[1]],
    };
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn hello() -> BytesMut {
    let hello = Hello { versions: vec![restante_spec::VERSION], idle: Seconds::new(60) };
    said(1, Command::Hello(hello))
}

fn said(number: u32, command: Command) -> BytesMut {
    let header = ClientHeader { number: RequestNumber::new(number), command };
    let mut bytes = BytesMut::new();
    frame::encode_client(&header, b"", &mut bytes).unwrap();
    bytes
}

/// TRN-12, TRN-13, LIM-19: each broken rule ends the connection with its code.
#[tokio::test]
async fn broken_rules_are_named_by_their_code() {
    let relay = InProcess::start(&[]).await;
    let (hello, unmasked) = (hello(), [&[LAST | BINARY, 6][..], &[0; 6]].concat());
    let long = |length: u64| [&[LAST | BINARY, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    let mut cases = vec![
        ("a reserved bit", client(LAST | 0x40 | BINARY, &hello), 1002),
        ("no mask", unmasked, 1002),
        ("a continuation of nothing", client(LAST, &hello), 1002),
        ("a message within another", client(BINARY, b"\0").repeat(2), 1002),
        ("a ping in parts", client(PING, b""), 1002),
        ("a long ping", client(LAST | PING, &[0; 126]), 1002),
        ("a length in too many bytes", long(125), 1002),
        ("a length with the highest bit", long(1 << 63), 1002),
        ("a message above the limit", long(FRAME_BYTES as u64 + 1), 1009),
        ("a text", client(LAST | TEXT, "grüße".as_bytes()), 1003),
        ("a message without a frame", client(LAST | BINARY, b""), 1007),
        ("half a frame", client(LAST | BINARY, &hello[..7]), 1007),
        ("two frames", client(LAST | BINARY, &hello.repeat(2)), 1007),
        ("a close of one byte", client(LAST | CLOSE, b"\x03"), 1002),
        ("a close with a bad reason", client(LAST | CLOSE, b"\x03\xe8\xff"), 1007),
        ("a close without a code", client(LAST | CLOSE, b""), 1000),
        ("a close", client(LAST | CLOSE, b"\x03\xe9bye"), 1001),
        ("a close of an application", client(LAST | CLOSE, &4999_u16.to_be_bytes()), 4999),
        // What the protocol refuses is answered first, and then closed.
        ("a frame with too large a length", client(LAST | BINARY, &[0xff; 4]), 1009),
        ("a frame that is malformed", client(LAST | BINARY, &[0, 0, 0, 4, 0, 2, 0xff, 0xff]), 1008),
    ];
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        cases.push(("an unknown opcode", client(LAST | opcode, b""), 1002));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        cases.push(("a bad code", client(LAST | CLOSE, &code.to_be_bytes()), 1002));
    }
    for (what, bytes, code) in cases {
        let mut raw = Raw::connect(&relay).await;
        raw.send(&client(LAST | BINARY, &hello)).await;
        raw.welcomed().await;
        raw.send(&bytes).await;
        assert_eq!(raw.closed().await, code, "{what}");
    }
    relay.stop().await;
}

/// TRN-12: parts, pings between them, and single bytes come to the same message.
#[tokio::test]
async fn parts_and_pings_between_them_are_taken() {
    let relay = InProcess::start(&[]).await;
    let mut raw = Raw::connect(&relay).await;
    let hello = hello();
    raw.send(&client(BINARY, &hello[..5])).await;
    raw.send(&client(LAST | PING, b"between")).await;
    assert_eq!(raw.frame().await.unwrap(), (LAST | PONG, BytesMut::from("between")));
    raw.send(&client(0, b"")).await;
    raw.send(&client(LAST | PONG, b"unasked")).await;
    for byte in client(LAST, &hello[5..]) {
        raw.send(&[byte]).await;
    }
    raw.welcomed().await;
    relay.stop().await;
}

/// TRN-13: a close is answered after what was asked before it, even if all came with the handshake.
#[tokio::test]
async fn what_was_asked_is_answered_before_a_close() {
    let relay = InProcess::start(&[]).await;
    let create = Owner::new().create(MailboxClass::Inbox);
    let all = [
        client(LAST | BINARY, &hello()),
        client(LAST | BINARY, &said(2, create)),
        client(LAST | CLOSE, b"\x03\xe8bye"),
        client(LAST | BINARY, &said(3, Command::Ping)),
    ];
    let mut raw = Raw::begin(&relay, &all.concat()).await;
    raw.welcomed().await;
    let created = raw.answer().await;
    assert!(matches!(created, RelayHeader::Reply(_, Reply::Created(_))), "{created:?}");
    assert_eq!(raw.frame().await.unwrap(), (LAST | CLOSE, BytesMut::from(&[3, 0xe8][..])));
    assert!(raw.frame().await.is_none());
    relay.stop().await;
}

/// TRN-12, LIM-31: a client that pings without reading is answered in the order of its pings, and
/// its latest in any case.
#[tokio::test]
async fn a_flood_of_pings_is_survived() {
    let relay = InProcess::start(&[]).await;
    let mut raw = Raw::connect(&relay).await;
    let (pings, rest) = (20_000_u32, [7_u8; 100]);
    let mut flood = Vec::new();
    for number in 0..pings {
        flood.extend(client(LAST | PING, &[&number.to_be_bytes()[..], &rest].concat()));
    }
    raw.send(&flood).await;
    let mut next = 0;
    while next < pings {
        let (first, payload) = raw.frame().await.expect("a pong");
        assert_eq!((first, &payload[4..]), (LAST | PONG, &rest[..]));
        let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert!(number >= next, "{number} is answered behind {next}");
        next = number + 1;
    }
    relay.stop().await;
}

/// A line that breaks after any byte leaves nothing behind: its place is free for the next.
#[tokio::test]
async fn the_line_may_break_at_every_byte() {
    let relay = InProcess::start(&["--connections-per-prefix", "2"]).await;
    let bytes = [client(BINARY, &hello()[..4]), client(LAST | PING, b"x")].concat();
    for size in 0..bytes.len() {
        let mut raw = Raw::connect(&relay).await;
        raw.send(&bytes[..size]).await;
        drop(raw);
        while tls(relay.address(), &[ALPN_HTTP]).await.is_err() {}
    }
    Wire::over(TRANSPORT, relay.address()).await;
    relay.stop().await;
}

/// TRN-13, TRN-9: a relay that stops says so in both ways.
#[tokio::test]
async fn a_relay_that_stops_is_going_away() {
    let relay = InProcess::start(&[]).await;
    let mut raw = Raw::connect(&relay).await;
    raw.send(&client(LAST | BINARY, &hello())).await;
    raw.welcomed().await;
    let stopping = tokio::spawn(relay.stop());
    let (first, _goaway) = raw.frame().await.unwrap();
    assert_eq!(first, LAST | BINARY);
    assert_eq!(raw.closed().await, 1001);
    stopping.await.unwrap();
}
