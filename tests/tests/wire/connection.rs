//! The connection as the spec has it (TRN, FRM), against a real relay.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use restante_crypto::SigningKey;
use restante_spec::codes::Code;
use restante_spec::frame;
use restante_spec::ids::{Handle, RequestNumber, Seconds};
use restante_spec::limits;
use restante_spec::message::{ClientHeader, Command, Hello, MailboxClass, Push, Reply};
use restante_spec::{ALPN, ALPN_HTTP};
use restante_tests::line::Line;
use restante_tests::relay::InProcess;
use restante_tests::socket;
use restante_tests::wire::{Owner, PATIENCE, PLENTY, Wire, envelope, tls};
use rustls::NamedGroup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::TRANSPORT;

/// TRN-1: the post-quantum group is what both agree on.
#[tokio::test]
async fn hybrid_key_exchange_is_negotiated() {
    let relay = InProcess::start(&[]).await;
    let wire = Wire::over(TRANSPORT, relay.address()).await;
    assert_eq!(wire.group(), Some(NamedGroup::X25519MLKEM768));
    relay.stop().await;
}

/// TRN-5, TRN-6, TRN-14: the address' key vouches for the certificate of this very handshake.
#[tokio::test]
async fn hello_endorses_the_certificate_of_the_handshake() {
    let relay = InProcess::start(&[]).await;
    let wire = Wire::over(TRANSPORT, relay.address()).await;
    let welcome = &wire.welcome;
    assert_eq!(welcome.identity, *relay.address().identity());
    let identity = relay.address().identity();
    restante_crypto::verify_endorsement(&welcome.endorsement, identity, welcome.now).unwrap();
    assert_eq!(welcome.endorsement.spki, wire.spki());
    relay.stop().await;
}

/// TRN-2: a client that offers another protocol, or none, gets no connection; of both known ones,
/// frames are chosen.
#[tokio::test]
async fn other_protocols_are_refused() {
    let relay = InProcess::start(&[]).await;
    for other in [&b"h2"[..], b"http/1.0", b"restante/2"] {
        assert!(tls(relay.address(), &[other]).await.is_err());
    }
    let both = tls(relay.address(), &[ALPN_HTTP, ALPN]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(ALPN));
    let mut stream = tls(relay.address(), &[]).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok() && rest.is_empty(), "the relay closes without a word");
    relay.stop().await;
}

/// TRN-1: bytes that are no TLS end the connection, and the relay serves on.
#[tokio::test]
async fn garbage_instead_of_tls_ends_the_connection() {
    let relay = InProcess::start(&[]).await;
    let place = (relay.address().host().to_owned(), relay.address().port());
    let mut stream = TcpStream::connect(place).await.unwrap();
    stream.write_all(&[0x47; 4_000]).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the relay closes");
    Wire::over(TRANSPORT, relay.address()).await;
    relay.stop().await;
}

/// TRN-4: whatever comes before hello is malformed, and a second hello too; both close.
#[tokio::test]
async fn hello_comes_first_and_once() {
    let relay = InProcess::start(&[]).await;
    let mut line = Line::connect(TRANSPORT, relay.address()).await.unwrap();
    let header = ClientHeader { number: RequestNumber::new(7), command: Command::Ping };
    let mut bytes = BytesMut::new();
    frame::encode_client(&header, b"", &mut bytes).unwrap();
    line.send(&bytes).await.unwrap();
    let mut answer = BytesMut::new();
    while line.receive(&mut answer).await {}
    let answer = frame::decode_relay(&mut answer).unwrap().unwrap();
    assert!(format!("{:?}", answer.header).contains("Malformed"));

    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let hello = Hello { versions: vec![1], idle: Seconds::new(60) };
    assert_eq!(wire.refused(Command::Hello(hello), b"").await, Code::Malformed);
    wire.closed().await;
    relay.stop().await;
}

/// TRN-7: a client without a common version is told so.
#[tokio::test]
async fn unknown_versions_are_unsupported() {
    let relay = InProcess::start(&[]).await;
    let mut line = Line::connect(TRANSPORT, relay.address()).await.unwrap();
    let hello = Hello { versions: vec![2, 9], idle: Seconds::new(60) };
    let header = ClientHeader { number: RequestNumber::new(1), command: Command::Hello(hello) };
    let mut bytes = BytesMut::new();
    frame::encode_client(&header, b"", &mut bytes).unwrap();
    line.send(&bytes).await.unwrap();
    let mut input = BytesMut::new();
    let answer = loop {
        if let Some(frame) = frame::decode_relay(&mut input).unwrap() {
            break frame;
        }
        assert!(line.receive(&mut input).await);
    };
    assert!(format!("{:?}", answer.header).contains("Unsupported"));
    relay.stop().await;
}

/// TRN-8: the silence a client chooses is kept within its bounds, and told.
#[tokio::test]
async fn idle_time_is_clamped_and_told() {
    let relay = InProcess::start(&[]).await;
    let wire = Wire::over(TRANSPORT, relay.address()).await;
    assert_eq!(wire.welcome.limits.idle, Seconds::new(60));
    relay.stop().await;
}

/// CMD-1: the operator's words reach every client, cut at their bound.
#[tokio::test]
async fn operator_text_is_told_and_cut() {
    let long = "x".repeat(limits::OPERATOR_TEXT_BYTES + 1);
    for (text, told) in [("run by the reading circle", 25), (long.as_str(), 1_024)] {
        let relay = InProcess::start(&["--operator-text", text]).await;
        let wire = Wire::over(TRANSPORT, relay.address()).await;
        assert_eq!(wire.operator_text.as_ref(), &text.as_bytes()[..told]);
        relay.stop().await;
    }
}

/// FRM-2, FRM-3, LIM-1: a frame announced too large is refused before it arrives, and closes.
#[tokio::test]
async fn oversized_frames_close_the_connection() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let mut bytes = BytesMut::new();
    bytes.put_u32(u32::try_from(2 + limits::HEADER_BYTES + limits::BODY_BYTES + 1).unwrap());
    wire.send_raw(&bytes).await;
    let (reply, _) = wire.reply(RequestNumber::default()).await;
    let Reply::Error(refusal) = reply else { panic!("{reply:?}") };
    assert_eq!(refusal.code, Code::TooLarge);
    wire.closed().await;
    relay.stop().await;
}

/// ERR-2, FRM-3. Once what was owed before the answer that closes, and was on its way, was taken
/// back when the client had sent something behind the frame that was refused.
#[tokio::test]
async fn what_was_owed_arrives_whatever_was_sent_behind_a_frame_that_closes() {
    let relay = InProcess::start(&[]).await;
    let address = relay.address();
    let tcp = socket::connect(Ipv4Addr::LOCALHOST, Some(4_096), address).await.unwrap();
    let line = Line::on(tcp, TRANSPORT, address).await.unwrap();
    let mut wire = Wire::hello(line).await.unwrap();
    let owner = Owner::new();
    let created = wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    for _ in 0..3 {
        let append = envelope(1, created.epoch);
        wire.append(append, &vec![0; limits::BODY_BYTES]).await.unwrap();
    }
    wire.subscribe(1, &owner.reader, created_at(&created), PLENTY).await.unwrap();
    let ping = wire.send(Command::Ping, b"").await;
    wire.send_raw(&[0, 0, 0, 4, 0, 2, 0xff, 0xff]).await;
    // More than the relay reads at once.
    for _ in 0..4 {
        wire.send_raw(&[0; 32 * 1_024]).await;
    }
    for _ in 0..3 {
        assert_eq!(wire.deliver().await.1.len(), limits::BODY_BYTES);
    }
    assert_eq!(wire.reply(ping).await.0, Reply::Done);
    let (reply, _) = wire.reply(RequestNumber::default()).await;
    let Reply::Error(refusal) = reply else { panic!("{reply:?}") };
    assert_eq!(refusal.code, Code::Malformed);
    wire.closed().await;
    relay.stop().await;
}

/// FRM-4: a header that is no message is malformed, and closes.
#[tokio::test]
async fn malformed_headers_close_the_connection() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    wire.send_raw(&[0, 0, 0, 4, 0, 2, 0xff, 0xff]).await;
    let (reply, _) = wire.reply(RequestNumber::default()).await;
    let Reply::Error(refusal) = reply else { panic!("{reply:?}") };
    assert_eq!(refusal.code, Code::Malformed);
    wire.closed().await;
    relay.stop().await;
}

/// FRM-5: an unknown command is unsupported, and the connection lives on.
#[tokio::test]
async fn unknown_commands_leave_the_connection_open() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    wire.send_raw(&[0, 0, 0, 7, 0, 5, 0x08, 0x63, 0xfa, 0x07, 0x00]).await;
    let (reply, _) = wire.reply(RequestNumber::new(0x63)).await;
    let Reply::Error(refusal) = reply else { panic!("{reply:?}") };
    assert_eq!(refusal.code, Code::Unsupported);
    wire.done(Command::Ping, b"").await.unwrap();
    relay.stop().await;
}

/// CMD-4, MBX-15: a proof made for one connection opens nothing on another, and the answer is the
/// one for an unknown key, an unknown mailbox and a wrong signature.
#[tokio::test]
async fn proofs_are_bound_to_their_connection_and_refusals_are_alike() {
    let relay = InProcess::start(&[]).await;
    let mut first = Wire::over(TRANSPORT, relay.address()).await;
    let mut second = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    first.create(MailboxClass::Inbox, &owner).await;
    let replayed = first.open_command(1, owner.mailbox, &owner.key);
    let (replayed, _) = second.ask(replayed, b"").await;
    let unknown_key = second.open_command(1, owner.mailbox, &SigningKey::generate().unwrap());
    let (unknown_key, _) = second.ask(unknown_key, b"").await;
    let elsewhere = Owner::new();
    let unknown_mailbox = second.open_command(1, elsewhere.mailbox, &elsewhere.key);
    let (unknown_mailbox, _) = second.ask(unknown_mailbox, b"").await;
    let Command::Open(mut wrong) = second.open_command(1, owner.mailbox, &owner.key) else {
        unreachable!()
    };
    wrong.proof = restante_spec::ids::Signature::new([1; 64]);
    let (wrong, _) = second.ask(Command::Open(wrong), b"").await;
    let Reply::Error(refusal) = &replayed else { panic!("{replayed:?}") };
    assert_eq!(refusal.code, Code::NotFound);
    assert_eq!(replayed, unknown_key);
    assert_eq!(replayed, unknown_mailbox);
    assert_eq!(replayed, wrong);
    second.open(1, owner.mailbox, &owner.key).await;
    relay.stop().await;
}

/// CMD-7: a closed handle is not found, and its number is free again.
#[tokio::test]
async fn handles_are_closed_and_used_again() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    wire.create(MailboxClass::Inbox, &owner).await;
    wire.open(5, owner.mailbox, &owner.key).await;
    let again = wire.open_command(5, owner.mailbox, &owner.key);
    assert_eq!(wire.refused(again, b"").await, Code::Conflict);
    wire.done(Command::Close(Handle::new(5)), b"").await.unwrap();
    assert_eq!(wire.refused(Command::Close(Handle::new(5)), b"").await, Code::NotFound);
    assert_eq!(wire.refused(Command::CountPrekeys(Handle::new(5)), b"").await, Code::NotFound);
    wire.open(5, owner.mailbox, &owner.key).await;
    relay.stop().await;
}

/// TRN-10: requests are answered by number, whatever else is under way; pings count nothing.
#[tokio::test]
async fn requests_are_pipelined() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let created = wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let mut numbers = Vec::new();
    for _ in 0..100 {
        let append = envelope(1, created.epoch);
        numbers.push(wire.send(Command::Append(append), b"sealed").await);
    }
    let mut before = None;
    for number in numbers {
        let seq = wire.appended(number).await.unwrap().seq;
        assert!(before < Some(seq), "MBX-3: rising");
        before = Some(seq);
    }
    relay.stop().await;
}

/// TRN-9: a relay that stops says goaway, answers what was asked, and then closes.
#[tokio::test]
async fn draining_says_goaway_and_answers_first() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let created = wire.create(MailboxClass::Conversation, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire.subscribe(1, &owner.reader, created_at(&created), PLENTY).await.unwrap();
    let number = wire.send(Command::Append(envelope(1, created.epoch)), b"x").await;
    wire.appended(number).await.unwrap();
    let stopping = tokio::spawn(relay.stop());
    loop {
        if let (Push::Goaway { .. }, _) = wire.push().await {
            break;
        }
    }
    wire.closed().await;
    stopping.await.unwrap();
}

/// TRN-9. Once a connection that had said nothing, not even TLS, was waited for as long as it had
/// time for that.
#[tokio::test]
async fn who_has_said_nothing_does_not_hold_up_the_end() {
    let relay = InProcess::start(&[]).await;
    let (host, port) = (relay.address().host(), relay.address().port());
    let _silent = TcpStream::connect((host, port)).await.unwrap();
    // Taken in behind the other one.
    Wire::over(TRANSPORT, relay.address()).await.cut();
    let handshake = Duration::from_secs(u64::from(limits::HELLO_TIMEOUT.get()));
    tokio::time::timeout(handshake / 2, relay.stop()).await.expect("well within its time");
}

fn created_at(created: &restante_spec::message::Created) -> restante_spec::ids::Seq {
    let epoch = created.epoch.expect("a conversation has an epoch");
    restante_spec::ids::Seq::new(u64::from_be_bytes(*epoch.as_bytes()))
}
