//! Tests of content: round trips, bounds, and what is refused.

use zeroize::Zeroizing;

use super::*;
use crate::address::RelayAddress;
use crate::ids::{ContentHash, EnvelopeId, MailboxId, PublicKey, Seq};
use crate::limits::{CONTENT_BYTES, DEVICES, NICK_BYTES, RECEIPT_IDS, TEXT_BYTES};

fn content(body: Body) -> Content {
    Content {
        id: EnvelopeId::new([1; 16]),
        counter: 2,
        previous: Some(ContentHash::new([3; 32])),
        random: [4; 16],
        seen: LogPosition { generation: 0, seq: Seq::new(5) },
        at: UnixMillis::new(1_800_000_000_123),
        body,
    }
}

fn encode(body: Body) -> Result<Vec<u8>, ContentError> {
    content(body).encode()
}

fn receipts(count: usize) -> Body {
    let ids = vec![EnvelopeId::new([9; 16]); count];
    Body::Receipts(Receipts { delivered: ids, read: vec![] })
}

fn nick(nick: &str) -> Body {
    Body::Profile { nick: nick.to_owned(), devices: vec![1, 2, 3] }
}

fn grant() -> InboxGrant {
    let relay = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap();
    InboxGrant { relay, inbox: MailboxId::new([2; 16]), key: Zeroizing::new([3; 32]) }
}

fn first(key_packages: usize) -> LetterContent {
    LetterContent::First(FirstLetter {
        devices: vec![1; 1_500],
        nick: "bob".into(),
        key_packages: vec![vec![2; 2_700]; key_packages],
        inbox: grant(),
        message: Some(FirstMessage { id: EnvelopeId::new([4; 16]), content: vec![5; 100] }),
    })
}

fn welcome() -> LetterContent {
    LetterContent::Welcome(WelcomeLetter {
        devices: vec![1; 1_500],
        nick: "alice".into(),
        relay: grant().relay,
        mailbox: MailboxId::new([6; 16]),
        welcome: vec![8; 5_000],
        inbox: grant(),
    })
}

/// CNT-1: every kind is read as it was written; the first content of a device names none before it.
#[test]
fn every_kind_round_trips() {
    let read = vec![EnvelopeId::new([7; 16])];
    let bodies = [
        Body::Text("你好, hello".into()),
        Body::Receipts(Receipts { delivered: vec![EnvelopeId::new([8; 16]); 3], read }),
        nick("alice"),
        Body::Leave,
    ];
    for body in bodies {
        let content = content(body);
        assert_eq!(Content::decode(&content.encode().unwrap()), Ok(content));
    }
    let seen = LogPosition::default();
    let first = Content { previous: None, seen, counter: 1, ..content(Body::Leave) };
    assert_eq!(Content::decode(&first.encode().unwrap()), Ok(first));
}

/// CNT-2: a kind nobody knows yet is kept, byte for byte, in contents and in letters.
#[test]
fn unknown_kinds_are_kept() {
    let content = content(Body::Unknown { kind: 77, body: vec![0xff; 9] });
    assert_eq!(Content::decode(&content.encode().unwrap()), Ok(content));
    let letter = LetterContent::Unknown { kind: 77, body: vec![0xff; 9] };
    assert_eq!(LetterContent::decode(&letter.encode().unwrap()), Ok(letter));
    let passing_for_text = encode(Body::Unknown { kind: 1, body: vec![] });
    assert_eq!(passing_for_text, Err(ContentError::Malformed { what: "kind" }));
}

/// CNT-3, CNT-5: at each bound it is taken, one past it refused.
#[test]
fn bounds_hold() {
    let text = |size| Body::Text("x".repeat(size));
    let unknown = |size| Body::Unknown { kind: 9, body: vec![1; size] };
    let overhead = encode(unknown(50_000)).unwrap().len() - 50_000;
    let cases = [
        (text(TEXT_BYTES), text(TEXT_BYTES + 1)),
        (receipts(RECEIPT_IDS), receipts(RECEIPT_IDS + 1)),
        (nick(&"n".repeat(NICK_BYTES)), nick(&"n".repeat(NICK_BYTES + 1))),
        (unknown(CONTENT_BYTES - overhead), unknown(CONTENT_BYTES - overhead + 1)),
    ];
    for (at, past) in cases {
        assert!(Content::decode(&encode(at).unwrap()).is_ok());
        assert!(matches!(encode(past), Err(ContentError::TooLarge { .. })));
    }
    for empty in [text(0), receipts(0), nick("line\nbreak"), nick("\u{1b}[2J")] {
        assert!(matches!(encode(empty), Err(ContentError::Malformed { .. })));
    }
    let past = Content::decode(&vec![0; CONTENT_BYTES + 1]);
    assert!(matches!(past, Err(ContentError::TooLarge { .. })));
}

/// CNT-1: a content without counter, with an id of another size, or cut off is refused.
#[test]
fn malformed_contents_are_refused() {
    let zero = Content { counter: 0, ..content(Body::Leave) }.encode().unwrap();
    assert_eq!(Content::decode(&zero), Err(ContentError::Malformed { what: "counter" }));
    assert_eq!(Content::decode(&[]), Err(ContentError::Malformed { what: "counter" }));
    let good = encode(Body::Text("hello".into())).unwrap();
    let mut short_id = good.clone();
    short_id.splice(..18, [0x0a, 15].into_iter().chain([1; 15]));
    assert_eq!(Content::decode(&short_id), Err(ContentError::Malformed { what: "id" }));
    for size in 0..good.len() {
        assert!(Content::decode(&good[..size]).is_err(), "{size}");
    }
}

/// CNT-6: both letters are read as they were written.
#[test]
fn letters_round_trip() {
    for letter in [first(1), first(DEVICES), welcome()] {
        assert_eq!(LetterContent::decode(&letter.encode().unwrap()), Ok(letter));
    }
    for past in [first(0), first(DEVICES + 1)] {
        assert!(past.encode().is_err());
    }
    assert!(LetterContent::decode(&[]).is_err());
}

/// CNT-1, CNT-6: no bytes make the reader panic.
#[test]
fn changed_bytes_never_panic() {
    let content = encode(receipts(3)).unwrap();
    let letters = [first(1).encode().unwrap(), welcome().encode().unwrap()];
    for bytes in letters.iter().map(|letter| letter.as_slice()).chain([content.as_slice()]) {
        for bit in 0..bytes.len().min(400) * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (_, _) = (Content::decode(&changed), LetterContent::decode(&changed));
        }
    }
}

/// Nothing that people say or hold shows in `Debug` of letters.
#[test]
fn letters_do_not_show() {
    assert_eq!(format!("{:?}", grant()), "InboxGrant(..)");
    assert_eq!(format!("{:?}", first(1)), "First(FirstLetter(1 key packages))");
    assert_eq!(format!("{:?}", welcome()), "Welcome(WelcomeLetter(..))");
}
