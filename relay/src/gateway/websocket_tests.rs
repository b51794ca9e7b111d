//! The codec against RFC 6455: what may come, what may not, and both in any pieces.

use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with this first byte.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut unmasked = BytesMut::new();
    put(0, payload, &mut unmasked);
    let header = unmasked.len() - payload.len();
    let mut bytes = vec![first];
    bytes.extend_from_slice(&unmasked[1..header]);
    bytes[1] |= MASKED;
    bytes.extend_from_slice(&MASK);
    let mut payload = payload.to_vec();
    unmask(&mut payload, &mut { MASK });
    bytes.extend(payload);
    bytes
}

fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    client(LAST | opcode, payload)
}

/// A frame of the protocol with so many bytes in all.
fn frame(size: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(size - 4).unwrap().to_be_bytes().to_vec();
    bytes.extend((4..size).map(|place| u8::try_from(place % 251).unwrap()));
    bytes
}

/// What comes of these bytes: frames, and how it ended.
fn received(bytes: &[u8]) -> (BytesMut, Option<CloseCode>) {
    let (socket, frames) = fed(&[bytes]);
    (frames, socket.end)
}

fn fed(pieces: &[&[u8]]) -> (WebSocket, BytesMut) {
    let (mut socket, mut frames) = (WebSocket::default(), BytesMut::new());
    for piece in pieces {
        socket.incoming.extend_from_slice(piece);
        socket.receive(&mut frames);
    }
    (socket, frames)
}

/// TRN-12: a message is a frame, in one part or in several, with control frames between.
#[test]
fn messages_are_frames() {
    let one = frame(300);
    assert_eq!(received(&whole(BINARY, &one)), (BytesMut::from(&one[..]), None));
    let parts = [
        client(BINARY, &one[..1]),
        client(CONTINUATION, b""),
        whole(PING, b"between"),
        client(CONTINUATION, &one[1..200]),
        whole(PONG, b"unasked"),
        whole(CONTINUATION, &one[200..]),
        whole(BINARY, &frame(6)),
    ]
    .concat();
    let expected = [one, frame(6)].concat();
    assert_eq!(received(&parts), (BytesMut::from(&expected[..]), None));
}

/// TRN-12: one byte too few, one too many, two frames, or none, are not one frame; nothing of such
/// a message is handled.
#[test]
fn a_message_that_is_not_one_frame_closes() {
    let six = frame(6);
    let invalid = (BytesMut::new(), Some(CloseCode::INVALID));
    for bytes in [&six[..5], &six[..3], &[][..], &[&six[..], &[0]].concat(), &six.repeat(2)] {
        assert_eq!(received(&whole(BINARY, bytes)), invalid, "{bytes:?}");
    }
    let parts = [client(BINARY, &six), whole(CONTINUATION, &[0])].concat();
    assert_eq!(received(&parts), invalid);
}

/// LIM-19: the largest frame passes, one more is refused before any of it has come, in one part or
/// in several.
#[test]
fn messages_are_bounded() {
    let largest = frame(FRAME_BYTES);
    assert_eq!(received(&whole(BINARY, &largest)).1, None);
    let parts = [client(BINARY, &largest[..1]), whole(CONTINUATION, &largest[1..])];
    assert_eq!(received(&parts.concat()), (BytesMut::from(&largest[..]), None));
    let too_big = (BytesMut::new(), Some(CloseCode::TOO_BIG));
    let one_more = whole(BINARY, &frame(FRAME_BYTES + 1));
    assert_eq!(received(&one_more[..14]), too_big);
    let one_more = whole(CONTINUATION, &frame(FRAME_BYTES));
    assert_eq!(received(&[client(BINARY, b"\0"), one_more[..14].to_vec()].concat()), too_big);
    let longest = [&[LAST | BINARY, 0xff][..], &(u64::MAX / 2).to_be_bytes(), &MASK].concat();
    assert_eq!(received(&longest), too_big);
}

/// FRM-2, FRM-3: a frame that announces too much is handed on, for its answer, and ends it.
#[test]
fn a_frame_that_announces_too_much_is_handed_on_at_once() {
    let length = u32::try_from(FRAME_BYTES - 4 + 1).unwrap().to_be_bytes();
    let passed = (BytesMut::from(&length[..]), Some(CloseCode::TOO_BIG));
    assert_eq!(received(&client(BINARY, &length)), passed);
    assert_eq!(received(&whole(BINARY, &length)), passed);
}

/// TRN-12, TRN-13: each rule of RFC 6455 that a client can break, and its code.
#[test]
fn broken_rules_close() {
    let six = frame(6);
    let unmasked = |bytes: &[u8]| bytes.to_vec();
    let protocol = [
        client(LAST | 0x40 | BINARY, &six),
        client(LAST | 0x20 | BINARY, &six),
        client(LAST | 0x10 | PING, b""),
        unmasked(&[LAST | BINARY, 6, 0, 0, 0, 2, 0, 0]),
        unmasked(&[LAST | PING, 0]),
        whole(CONTINUATION, &six),
        client(CONTINUATION, &six),
        [client(BINARY, b"\0"), whole(BINARY, &six)].concat(),
        [client(BINARY, b"\0"), whole(TEXT, b"x")].concat(),
        client(PING, b""),
        client(CLOSE, b""),
        whole(PING, &[0; SHORT + 1]),
        whole(CLOSE, &[0; SHORT + 1]),
        // Lengths in more bytes than they need, and with the highest bit.
        [&[LAST | BINARY, 0xfe, 0, 125][..], &MASK].concat(),
        [&[LAST | BINARY, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff][..], &MASK].concat(),
        [&[LAST | BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], &MASK].concat(),
        whole(CLOSE, &[3]),
    ];
    for bytes in protocol {
        assert_eq!(received(&bytes), (BytesMut::new(), Some(CloseCode::PROTOCOL)), "{bytes:?}");
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        assert_eq!(received(&whole(opcode, b"")).1, Some(CloseCode::PROTOCOL), "{opcode}");
    }
    for text in [whole(TEXT, b"hello"), whole(TEXT, &[0xff]), client(TEXT, b"")] {
        assert_eq!(received(&text).1, Some(CloseCode::UNSUPPORTED));
    }
}

/// TRN-13: a code that may be said is said back, any other is an error; reasons are UTF-8.
#[test]
fn closing_is_answered() {
    assert_eq!(received(&whole(CLOSE, b"")).1, Some(CloseCode::NORMAL));
    for code in 0..=u16::MAX {
        let good = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let expected = if good { CloseCode(code) } else { CloseCode::PROTOCOL };
        assert_eq!(received(&whole(CLOSE, &code.to_be_bytes())).1, Some(expected), "{code}");
    }
    let with = |reason: &[u8]| received(&whole(CLOSE, &[&[3, 232][..], reason].concat())).1;
    assert_eq!(with("bis später".as_bytes()), Some(CloseCode::NORMAL));
    assert_eq!(with(&[b'x'; SHORT - 2]), Some(CloseCode::NORMAL));
    assert_eq!(with(&[0xff]), Some(CloseCode::INVALID));
    let (mut socket, frames) = fed(&[&whole(CLOSE, &[0x0f, 0xa0]), &whole(BINARY, &frame(6))]);
    socket.close(CloseCode::GOING_AWAY);
    assert_eq!((&socket.outgoing[..], frames.len()), (&[LAST | CLOSE, 2, 0x0f, 0xa0][..], 0));
}

/// TRN-12, LIM-31: pings are answered in their order, as many as there is room for; with one byte
/// more it is the latest alone.
#[test]
fn pings_are_answered() {
    let pong = |payload: &Vec<u8>| [&[LAST | PONG, payload.len() as u8], &payload[..]].concat();
    let fits = PONGS_BYTES % (2 + SHORT) - 2;
    for last in [fits, fits + 1] {
        let mut payloads: Vec<_> = (0..16).map(|number| vec![number; SHORT]).collect();
        payloads.push(vec![16; last]);
        let pings: Vec<_> = payloads.iter().flat_map(|payload| whole(PING, payload)).collect();
        let (mut socket, mut frames) = fed(&[&pings]);
        assert!(socket.has_output());
        socket.wrap(&mut frames);
        let answered = if last == fits { &payloads[..] } else { &payloads[16..] };
        assert_eq!(socket.outgoing, answered.iter().map(pong).collect::<Vec<_>>().concat());
        socket.outgoing.clear();
        socket.wrap(&mut frames);
        assert!(socket.outgoing.is_empty() && !socket.has_output());
    }
}

/// TRN-12: each frame of ours is a message, its length in as few bytes as it needs; not many wait.
#[test]
fn frames_become_messages() {
    let sizes = [6, SHORT, SHORT + 1, 65_535, 65_536, FRAME_BYTES];
    for size in sizes {
        let (mut socket, one) = (WebSocket::default(), frame(size));
        let mut frames = BytesMut::from(&one[..]);
        socket.wrap(&mut frames);
        let header: &[u8] = match size {
            0..=125 => &[LAST | BINARY, u8::try_from(size).unwrap()],
            126..=65_535 => &[LAST | BINARY, 126, (size >> 8) as u8, (size & 0xff) as u8],
            _ => &[LAST | BINARY, 127, 0, 0, 0, 0, 0, 1, (size >> 8) as u8, (size & 0xff) as u8],
        };
        assert!(frames.is_empty());
        assert_eq!(socket.outgoing, [header, &one].concat(), "{size}");
    }
    let mut many = BytesMut::from(&frame(20_000).repeat(100)[..]);
    let mut socket = WebSocket::default();
    socket.wrap(&mut many);
    assert!(socket.outgoing.len() < 2 * FRAME_BYTES && many.len() > 90 * 20_000);
}

/// A line without traffic costs nothing beside the state itself.
#[test]
fn idle_websockets_hold_no_buffers() {
    let (socket, _) = fed(&[&whole(BINARY, &frame(FRAME_BYTES)), &whole(PONG, b"x")]);
    assert_eq!((socket.incoming.capacity(), socket.outgoing.capacity()), (0, 0));
    assert!(socket.message.is_none() && size_of::<WebSocket>() <= 256);
}

/// Whatever is cut off is no message, and asks for no more memory than what has come.
#[test]
fn a_stream_may_end_at_every_byte() {
    let bytes = [client(BINARY, &frame(200)[..100]), whole(PING, b"x")].concat();
    for size in 0..bytes.len() {
        assert_eq!(received(&bytes[..size]), (BytesMut::new(), None), "{size}");
    }
    let announces = whole(BINARY, &frame(FRAME_BYTES));
    let (socket, _) = fed(&[&announces[..20]]);
    assert!(socket.message.unwrap().capacity() < 1_024);
}

proptest! {
    /// Where the pieces are cut changes nothing.
    #[test]
    fn pieces_come_to_the_same(cuts in prop::collection::vec(0..700_usize, 0..20), end in 0..4) {
        let frames = [frame(6), frame(300), frame(130)];
        let mut bytes = [
            whole(BINARY, &frames[0]),
            client(BINARY, &frames[1][..7]),
            whole(PING, b"between"),
            whole(CONTINUATION, &frames[1][7..]),
            whole(BINARY, &frames[2]),
        ].concat();
        bytes.extend(match end {
            0 => whole(CLOSE, &[0x03, 0xe8]),
            1 => whole(TEXT, b""),
            2 => vec![LAST | BINARY, 0],
            _ => Vec::new(),
        });
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let (socket, received) = fed(&pieces);
        let (expected, code) = self::received(&bytes);
        prop_assert_eq!(&received, &expected);
        prop_assert_eq!(received, frames.concat());
        prop_assert_eq!(socket.end, code);
    }

    /// No bytes make it panic, or keep more than a message.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (socket, _) = fed(&bytes.chunks(7).collect::<Vec<_>>());
        prop_assert!(socket.incoming.len() < 8 + SHORT);
        prop_assert!(socket.message.is_none_or(|message| message.len() <= FRAME_BYTES));
    }
}
