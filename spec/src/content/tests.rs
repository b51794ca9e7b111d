//! Tests of contents: round trips, bounds, and what is refused. Letters have their own.

use zeroize::Zeroizing;

use super::*;
use crate::address::RelayAddress;
use crate::ids::{BlobId, ContentHash, EnvelopeId, LogHash, MailboxId, PublicKey, Seq};
use crate::limits::{
    BLOB_BYTES, CONTENT_BYTES, COUNTS, DELETE_IDS, EMOJI_BYTES, FILE_NAME_BYTES, KEPT_BYTES,
    MEDIA_TYPE_BYTES, NICK_BYTES, RECEIPT_IDS, REPAIR_ENTRIES, REPAIR_RANGE_CONTENTS,
    REPAIR_RANGES, ROOM_LINK_CHARS, ROSTER_PEOPLE, SYNC_KEY_BYTES, SYNC_RECORDS, SYNC_VALUE_BYTES,
    TEXT_BYTES, THUMBNAIL_BYTES,
};
use crate::message::EnvelopeClass;

#[path = "state_tests.rs"]
mod state_tests;

#[path = "letter_tests.rs"]
mod letters;

const ID: EnvelopeId = EnvelopeId::new([1; 16]);

fn content(body: Body) -> Content {
    Content {
        id: ID,
        counter: 2,
        previous: Some(ContentHash::new([3; 32])),
        random: [4; 16],
        seen: LogPosition { generation: 0, seq: Seq::new(5) },
        log: Some(LogHash::new([6; 16])),
        at: UnixMillis::new(1_800_000_000_123),
        body,
    }
}

fn encode(body: Body) -> Result<Vec<u8>, ContentError> {
    content(body).encode()
}

fn grant() -> InboxGrant {
    let relay = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap();
    InboxGrant { relay, inbox: MailboxId::new([2; 16]), key: Zeroizing::new([3; 32]) }
}

fn text(text: &str) -> Body {
    Body::Text(Text { text: text.to_owned(), reply_to: None })
}

/// An attachment with one thing changed.
fn file(change: impl FnOnce(&mut Attachment)) -> Body {
    let mut attachment = Attachment {
        relay: grant().relay,
        mailbox: MailboxId::new([1; 16]),
        blob: BlobId::new([2; 16]),
        read_key: Zeroizing::new([3; 32]),
        file_key: Zeroizing::new([4; 32]),
        size: 1_000_000,
        name: "写真 of us.jpg".into(),
        media_type: "image/jpeg".into(),
        width: 4_000,
        height: 3_000,
        duration_ms: 0,
        thumbnail: vec![5; 3_000],
        caption: "us".into(),
        reply_to: Some(ID),
    };
    change(&mut attachment);
    Body::Attachment(Box::new(attachment))
}

fn named(name: &str) -> Body {
    file(|file| file.name = name.to_owned())
}

fn reaction(emoji: &str) -> Body {
    Body::Reaction(Reaction { to: ID, emoji: emoji.to_owned() })
}

fn edit(text: &str) -> Body {
    Body::Edit(Edit { of: ID, text: text.to_owned() })
}

fn delete(count: usize) -> Body {
    Body::Delete(Delete { of: vec![ID; count] })
}

fn roster(count: usize, nick: &str) -> Body {
    let account = PublicKey::new([7; 32]);
    let person = Person { account, nick: nick.to_owned(), inbox: Some(grant()) };
    Body::Roster(Roster { people: vec![person; count] })
}

fn sync(count: usize, key: usize, value: usize) -> Body {
    let (key, value) = (vec![1; key], Zeroizing::new(vec![2; value]));
    Body::Sync(Sync { records: vec![SyncRecord { kind: 3, key, value }; count] })
}

fn receipts(count: usize) -> Body {
    Body::Receipts(Receipts { delivered: vec![ID; count], read: vec![] })
}

fn nick(nick: &str) -> Body {
    let devices = vec![1, 2, 3];
    Body::Profile(Profile { nick: nick.to_owned(), devices, inbox: Some(grant()) })
}

fn range(from: u64, to: u64) -> RepairRange {
    RepairRange { generation: 1, device: PublicKey::new([8; 32]), from, to }
}

fn request(count: usize, from: u64, to: u64) -> Body {
    let conversation = MailboxId::new([9; 16]);
    Body::RepairRequest(RepairRequest {
        conversation,
        ranges: vec![range(from, to); count],
        behind: Seq::new(5),
    })
}

fn counts(count: usize, first: u64, last: u64) -> Body {
    let (asker, account) = (PublicKey::new([8; 32]), PublicKey::new([7; 32]));
    let (hash, seq) = (ContentHash::new([3; 32]), Seq::new(u64::MAX));
    let one = Count { device: asker, account, first, last, hash, seq };
    Body::Counts(Counts { asker, counts: vec![one; count] })
}

fn repair(entries: usize, size: usize, missing: usize) -> Body {
    let entry = RepairEntry {
        device: PublicKey::new([u8::MAX; 32]),
        generation: u32::MAX,
        seq: Seq::new(u64::MAX),
        content: vec![1; size],
        account: Some(PublicKey::new([u8::MAX; 32])),
    };
    Body::Repair(Repair {
        conversation: MailboxId::new([9; 16]),
        entries: vec![entry; entries],
        missing: vec![range(1, 1); missing],
    })
}

fn room(link: usize, key: bool) -> Body {
    let key = key.then(|| Zeroizing::new([5; 32]));
    Body::Room(RoomGrant { link: Zeroizing::new("l".repeat(link)), key })
}

fn unknown(kind: u32, size: usize) -> Body {
    Body::Unknown { kind, body: vec![1; size] }
}

fn kept() -> Vec<Body> {
    let account = PublicKey::new([7; 32]);
    vec![
        text("你好, hello"),
        Body::Text(Text { text: "yes".into(), reply_to: Some(ID) }),
        file(|_| ()),
        reaction("👩‍🚀"),
        reaction(""),
        edit("hello!"),
        delete(2),
        Body::Leave,
        Body::Verified(Verified { account, verified: true }),
        roster(2, "bob"),
        sync(2, 16, 100),
        sync(1, 0, 0),
        unknown(63, 9),
    ]
}

fn passing() -> Vec<Body> {
    let both = Receipts { delivered: vec![ID; 3], read: vec![EnvelopeId::new([7; 16])] };
    vec![
        Body::Receipts(both),
        nick("alice"),
        Body::Typing { active: true },
        Body::Presence { online: false },
        request(2, 3, 9),
        repair(2, 100, 1),
        repair(0, 0, 1),
        room(90, true),
        room(90, false),
        counts(2, 1, 9),
        unknown(77, 9),
    ]
}

/// CNT-1: every kind is read as it was written, and so is a content without what may be left out.
#[test]
fn every_kind_round_trips() {
    for body in kept().into_iter().chain(passing()) {
        let content = content(body);
        assert_eq!(Content::decode(&content.encode().unwrap()), Ok(content));
    }
    let seen = LogPosition::default();
    let first = Content { previous: None, seen, log: None, counter: 1, ..content(Body::Leave) };
    assert_eq!(Content::decode(&first.encode().unwrap()), Ok(first));
}

/// CNT-2: a kind nobody knows yet is read byte for byte; below 64 it is kept, from 64 on it passes.
#[test]
fn kinds_below_64_are_kept() {
    assert!(kept().iter().all(Body::is_kept));
    assert!(!passing().iter().any(Body::is_kept));
    assert!(unknown(63, 1).is_kept() && !unknown(64, 1).is_kept());
    for known in [0, 1, 9, 64, 71] {
        assert_eq!(encode(unknown(known, 0)), Err(ContentError::Malformed { what: "kind" }));
    }
}

/// CNT-1: a kept content counts from 1 and names one before it from 2 on; what passes names the
/// last kept one, if there is one.
#[test]
fn counter_and_previous_agree() {
    let cases = [
        (Body::Leave, 0, false, false),
        (Body::Leave, 0, true, false),
        (Body::Leave, 1, false, true),
        (Body::Leave, 1, true, false),
        (Body::Leave, 2, false, false),
        (Body::Leave, u64::MAX, true, true),
        (receipts(1), 0, false, true),
        (receipts(1), 0, true, false),
        (receipts(1), 1, false, false),
        (receipts(1), 1, true, true),
    ];
    for (body, counter, named, good) in cases {
        let previous = named.then_some(ContentHash::new([3; 32]));
        let content = Content { counter, previous, ..content(body) };
        assert_eq!(content.encode().is_ok(), good, "{content:?}");
    }
}

/// CNT-3, CNT-5, CNT-8, CNT-9, CNT-10, CNT-11, CNT-12, ROM-14: at each bound it is taken, one past
/// it refused.
#[test]
fn bounds_hold() {
    let long = |size| "x".repeat(size);
    let overhead = |kind| encode(unknown(kind, 50_000)).unwrap().len() - 50_000;
    let filled = |kind, size| unknown(kind, size - overhead(kind));
    let wide = REPAIR_RANGE_CONTENTS;
    let cases = [
        (text(&long(TEXT_BYTES)), text(&long(TEXT_BYTES + 1))),
        (edit(&long(TEXT_BYTES)), edit(&long(TEXT_BYTES + 1))),
        (named(&long(FILE_NAME_BYTES)), named(&long(FILE_NAME_BYTES + 1))),
        (
            file(|file| file.media_type = long(MEDIA_TYPE_BYTES)),
            file(|file| file.media_type = long(MEDIA_TYPE_BYTES + 1)),
        ),
        (
            file(|file| file.thumbnail = vec![1; THUMBNAIL_BYTES]),
            file(|file| file.thumbnail = vec![1; THUMBNAIL_BYTES + 1]),
        ),
        (
            file(|file| file.caption = long(TEXT_BYTES)),
            file(|file| file.caption = long(TEXT_BYTES + 1)),
        ),
        (file(|file| file.size = BLOB_BYTES), file(|file| file.size = BLOB_BYTES + 1)),
        (reaction(&long(EMOJI_BYTES)), reaction(&long(EMOJI_BYTES + 1))),
        (delete(DELETE_IDS), delete(DELETE_IDS + 1)),
        (roster(ROSTER_PEOPLE, "bob"), roster(ROSTER_PEOPLE + 1, "bob")),
        (roster(1, &long(NICK_BYTES)), roster(1, &long(NICK_BYTES + 1))),
        (sync(SYNC_RECORDS, 16, 16), sync(SYNC_RECORDS + 1, 16, 16)),
        (sync(1, SYNC_KEY_BYTES, 16), sync(1, SYNC_KEY_BYTES + 1, 16)),
        (sync(1, 16, SYNC_VALUE_BYTES), sync(1, 16, SYNC_VALUE_BYTES + 1)),
        (receipts(RECEIPT_IDS), receipts(RECEIPT_IDS + 1)),
        (nick(&long(NICK_BYTES)), nick(&long(NICK_BYTES + 1))),
        (request(REPAIR_RANGES, 1, 1), request(REPAIR_RANGES + 1, 1, 1)),
        (request(0, 1, 1), request(1, 0, 0)),
        (request(1, 7, 6 + wide), request(1, 7, 7 + wide)),
        (request(1, u64::MAX, u64::MAX), request(1, 0, 0)),
        (repair(REPAIR_ENTRIES, 9, 0), repair(REPAIR_ENTRIES + 1, 9, 0)),
        (repair(1, KEPT_BYTES, 0), repair(1, KEPT_BYTES + 1, 0)),
        (repair(0, 0, REPAIR_RANGES), repair(0, 0, REPAIR_RANGES + 1)),
        (counts(COUNTS, u64::MAX, u64::MAX), counts(COUNTS + 1, u64::MAX, u64::MAX)),
        (counts(1, 1, 1), counts(1, 0, 1)),
        (room(ROOM_LINK_CHARS, true), room(ROOM_LINK_CHARS + 1, true)),
        (filled(63, KEPT_BYTES), filled(63, KEPT_BYTES + 1)),
        (filled(77, CONTENT_BYTES), filled(77, CONTENT_BYTES + 1)),
    ];
    for (at, past) in cases {
        assert!(Content::decode(&encode(at).unwrap()).is_ok());
        assert!(encode(past.clone()).is_err(), "{past:?}");
    }
    let past = Content::decode(&vec![0; CONTENT_BYTES + 1]);
    assert!(matches!(past, Err(ContentError::TooLarge { .. })));
}

/// CNT-3, CNT-5, CNT-8, CNT-9, CNT-10, CNT-11, CNT-12: what is empty and must not be, and what
/// would show as something else than it is, is refused.
#[test]
fn empty_and_misleading_parts_are_refused() {
    let empty = [text(""), edit(""), delete(0), roster(0, ""), sync(0, 0, 0), receipts(0)];
    let repairs = [request(1, 2, 1), repair(0, 0, 0), repair(1, 0, 0)];
    let counted = [counts(0, 1, 1), counts(1, 2, 1)];
    let nicks = ["line\nbreak", "\u{1b}[2J", "a\u{202e}b"].map(nick);
    let people = [roster(1, "\n"), roster(1, "\u{2066}")];
    let names = ["a/b", "a\\b", ".", "..", "a\nb", "exe.\u{202e}txt"].map(named);
    let types = ["image/jp\u{e9}g", "a\nb"].map(|kind| file(|file| file.media_type = kind.into()));
    let emoji = ["\u{7}", "\u{2066}", "\u{2028}"].map(reaction);
    let all = empty
        .into_iter()
        .chain(repairs)
        .chain(counted)
        .chain(nicks)
        .chain(people)
        .chain(names)
        .chain(types)
        .chain(emoji);
    for body in all {
        let refused = encode(body.clone());
        assert!(matches!(refused, Err(ContentError::Malformed { .. })), "{body:?}");
    }
    for joined in ["👩‍🚀", "❤\u{fe0f}", "🏴\u{e0067}\u{e0062}\u{e007f}"] {
        assert!(encode(reaction(joined)).is_ok());
    }
}

/// CNT-3: the largest content that is kept fits in a repair, whatever stands around it.
#[test]
fn every_kept_content_can_be_repaired() {
    let numbers = Content { counter: u64::MAX, ..content(repair(1, KEPT_BYTES, 0)) };
    let seen = LogPosition { generation: u32::MAX, seq: Seq::new(u64::MAX) };
    let largest = Content { seen, at: UnixMillis::new(u64::MAX), ..numbers };
    assert!(largest.encode().is_ok());
}

/// CNT-13: typing and presence stand in live envelopes alone, and nothing else does.
#[test]
fn live_kinds_stand_in_live_envelopes_alone() {
    for body in kept().into_iter().chain(passing()) {
        let live = matches!(body, Body::Typing { .. } | Body::Presence { .. });
        assert_eq!(body.may_stand_in(EnvelopeClass::Live), live, "{body:?}");
        assert_eq!(body.may_stand_in(EnvelopeClass::Normal), !live, "{body:?}");
        assert_eq!(body.may_stand_in(EnvelopeClass::Quiet), !live, "{body:?}");
    }
}

/// CNT-1: a content with an id or a hash of another size, or cut off, is refused.
#[test]
fn malformed_contents_are_refused() {
    assert!(Content::decode(&[]).is_err());
    let good = encode(text("hello")).unwrap();
    let mut short_id = good.clone();
    short_id.splice(..18, [0x0a, 15].into_iter().chain([1; 15]));
    assert_eq!(Content::decode(&short_id), Err(ContentError::Malformed { what: "id" }));
    let short_log = [&good[..good.len() - 17], &[15], &[6; 15]].concat();
    assert_eq!(Content::decode(&short_log), Err(ContentError::Malformed { what: "log" }));
    let without_log = good.len() - 18;
    for size in (0..good.len()).filter(|size| *size != without_log) {
        assert!(Content::decode(&good[..size]).is_err(), "{size}");
    }
}

/// CNT-1, CNT-6: no bytes make the reader panic, and what is read can be written.
#[test]
fn changed_bytes_never_panic() {
    let contents = kept().into_iter().chain(passing()).map(|body| encode(body).unwrap());
    let letters = letters::each().into_iter().map(|letter| letter.encode().unwrap().to_vec());
    for bytes in contents.chain(letters) {
        for bit in 0..bytes.len().min(400) * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(content) = Content::decode(&changed) {
                assert_eq!(Content::decode(&content.encode().unwrap()), Ok(content));
            }
            if let Ok(letter) = LetterContent::decode(&changed) {
                assert_eq!(LetterContent::decode(&letter.encode().unwrap()), Ok(letter));
            }
        }
    }
}

/// Nothing secret shows in `Debug` of contents.
#[test]
fn secrets_do_not_show() {
    let Body::Attachment(attachment) = file(|_| ()) else { unreachable!() };
    assert_eq!(format!("{attachment:?}"), "Attachment(1000000 bytes)");
    assert_eq!(format!("{:?}", roster(1, "bob")), "Roster(Roster { people: [Person(..)] })");
    assert_eq!(format!("{:?}", sync(1, 1, 1)), "Sync(Sync { records: [SyncRecord(kind 3)] })");
}
