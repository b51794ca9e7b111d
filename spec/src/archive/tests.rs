//! Tests of archives: round trips, bounds, segments, manifests, and what is refused.

use zeroize::Zeroizing;

use super::*;
use crate::address::RelayAddress;
use crate::codes::Code;
use crate::content::{AccountState, InboxGrant, LogPosition, StateRecord, SyncRecord, UnixMillis};
use crate::ids::{
    ArchiveId, BlobId, BlobSize, ContactName, ConversationId, EnvelopeId, MailboxId, PublicKey,
    Seconds, Seq,
};
use crate::limits::{
    BLOB_BYTES, CLASSICAL_LEAVES, CONTENT_BYTES, EMOJI_BYTES, MANIFEST_BYTES, MANIFEST_SEGMENTS,
    NICK_BYTES, RECORD_ACTS, RECORD_BYTES, RECORD_LOGS, RECORD_PART_BYTES, SEGMENT_BYTES, SEGMENTS,
    TEXT_BYTES,
};

fn relay() -> RelayAddress {
    RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap()
}

fn grant() -> InboxGrant {
    InboxGrant { relay: relay(), inbox: MailboxId::new([2; 16]), key: Zeroizing::new([3; 32]) }
}

fn head(purpose: Purpose) -> Head {
    Head {
        purpose,
        account: PublicKey::new([4; 32]),
        made: UnixMillis::new(1_800_000_000_123),
        conversations: 2,
        messages: 3,
    }
}

fn account() -> Account {
    Account {
        seed: Zeroizing::new([5; 32]),
        nick: "alice".into(),
        devices: vec![6; 1_500],
        next_device: 3,
        relay: relay(),
        inbox: MailboxId::new([7; 16]),
        manage_key: Zeroizing::new([8; 32]),
    }
}

/// A draft of so many bytes.
fn state(draft: usize) -> SyncRecord {
    StateRecord::Draft([9; 16], "d".repeat(draft)).to_record().unwrap()
}

fn conversation(logs: usize) -> Conversation {
    let log = |generation| Log { generation, relay: relay(), mailbox: MailboxId::new([13; 16]) };
    Conversation {
        id: ConversationId::new([14; 16]),
        state: vec![15; 40],
        logs: (0..u32::try_from(logs).unwrap()).map(log).collect(),
    }
}

fn member() -> Member {
    Member {
        conversation: ConversationId::new([14; 16]),
        account: PublicKey::new([16; 32]),
        nick: "carol".into(),
        devices: vec![11; 1_500],
        inbox: Some(grant()),
    }
}

fn tombstone() -> Tombstone {
    Tombstone {
        conversation: ConversationId::new([14; 16]),
        id: EnvelopeId::new([18; 16]),
        position: LogPosition { generation: 1, seq: Seq::new(76) },
        author: None,
        by: Some(ContactName::new([19; 16])),
        at: UnixMillis::new(1_800_000_000_000),
    }
}

fn act(text: usize) -> KeptAct {
    KeptAct {
        id: EnvelopeId::new([27; 16]),
        author: ContactName::new([28; 16]),
        is_edit: false,
        text: "+".repeat(text),
        position: LogPosition { generation: 1, seq: Seq::new(78) },
    }
}

fn message(content: usize, reached: usize) -> KeptMessage {
    let reach = |how| Reached { account: ContactName::new([22; 16]), how, at: UnixMillis::new(9) };
    let reaches = [KeptReach::Sent, KeptReach::Delivered, KeptReach::Read].map(reach);
    KeptMessage {
        conversation: ConversationId::new([14; 16]),
        id: EnvelopeId::new([17; 16]),
        position: LogPosition { generation: 1, seq: Seq::new(77) },
        author: Some(ContactName::new([19; 16])),
        kind: KeptKind::Text,
        text: String::new(),
        content: vec![21; content],
        at: UnixMillis::new(1_800_000_000_000),
        fate: KeptFate::Delivered,
        relay_until: Some(UnixMillis::new(1_801_000_000_000)),
        reply_to: Some(EnvelopeId::new([16; 16])),
        edited: false,
        timer: Some(Seconds::new(60)),
        expires: Some(UnixMillis::new(1_850_000_000_000)),
        reached: reaches.into_iter().cycle().take(reached).collect(),
        acts: vec![act(5)],
    }
}

fn records() -> Vec<Record> {
    let fates = [
        KeptFate::Received,
        KeptFate::ReceivedRead,
        KeptFate::Accepted,
        KeptFate::Delivered,
        KeptFate::Read,
        KeptFate::Expired,
        KeptFate::Refused(Code::Quota),
    ];
    let kinds =
        [KeptKind::Text, KeptKind::Unknown, KeptKind::Unreadable, KeptKind::Event, KeptKind::File];
    let mut records = vec![Record::Account(Box::new(account()))];
    records.push(Record::State(state(5)));
    records.push(Record::Conversation(conversation(2)));
    records.push(Record::Member(Box::new(member())));
    records.push(Record::Member(Box::new(Member { inbox: None, ..member() })));
    let gone = Tombstone { author: Some(ContactName::new([20; 16])), by: None, ..tombstone() };
    records.extend([tombstone(), gone].map(Record::Tombstone));
    let fated = |fate| Record::Message(Box::new(KeptMessage { fate, ..message(100, 2) }));
    records.extend(fates.map(fated));
    let of_kind = |kind| Record::Message(Box::new(KeptMessage { kind, ..message(100, 3) }));
    records.extend(kinds.map(of_kind));
    records.push(Record::Message(Box::new(KeptMessage {
        author: None,
        text: "said anew".into(),
        content: Vec::new(),
        relay_until: None,
        reply_to: None,
        edited: true,
        timer: None,
        expires: None,
        acts: vec![KeptAct { is_edit: true, ..act(0) }],
        ..message(0, 0)
    })));
    records
}

fn segment(records: &[Record]) -> Zeroizing<Vec<u8>> {
    let mut writer = SegmentWriter::first(&head(Purpose::Recovery));
    for record in records {
        assert!(writer.push(record).unwrap());
    }
    writer.finish()
}

/// Adds bytes as a record, whatever they are.
fn with_raw(mut segment: Vec<u8>, record: &[u8]) -> Vec<u8> {
    segment.extend_from_slice(&u32::try_from(record.len()).unwrap().to_be_bytes());
    segment.extend_from_slice(record);
    segment
}

/// ARC-1, ARC-3, ARC-4: every record is read as it was written, behind the head.
#[test]
fn every_record_round_trips() {
    let bytes = segment(&records());
    let (found, reader) = SegmentReader::first(Purpose::Recovery, &bytes).unwrap();
    assert_eq!(found, head(Purpose::Recovery));
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), records());
}

/// ARC-4: the same records are the same bytes, so that two devices can be compared.
#[test]
fn encoding_has_one_form() {
    let bytes = segment(&records());
    let (_, reader) = SegmentReader::first(Purpose::Recovery, &bytes).unwrap();
    let again: Vec<Record> = reader.map(Result::unwrap).collect();
    assert!(segment(&again) == bytes);
}

/// ARC-1: a segment is filled to its bound; the record that does not fit begins the next.
#[test]
fn segments_end_at_their_bound() {
    let mut writer = SegmentWriter::following(Purpose::History);
    let record = |content| Record::Message(Box::new(message(content, 0)));
    let overhead = {
        let mut alone = SegmentWriter::following(Purpose::History);
        assert!(alone.push(&record(57_000)).unwrap());
        alone.finish().len() - 57_000
    };
    let whole = 57_000 + overhead;
    let (count, rest) = (SEGMENT_BYTES / whole, SEGMENT_BYTES % whole);
    for _ in 0..count {
        assert!(writer.push(&record(57_000)).unwrap());
    }
    assert!(!writer.push(&record(rest - overhead + 1)).unwrap());
    assert!(writer.push(&record(rest - overhead)).unwrap());
    let bytes = writer.finish();
    assert_eq!(bytes.len(), SEGMENT_BYTES);
    let reader = SegmentReader::following(Purpose::History, &bytes).unwrap();
    assert_eq!(reader.map(Result::unwrap).count(), count + 1);
    let past = SegmentReader::following(Purpose::History, &[&bytes[..], &[0]].concat()).err();
    assert!(matches!(past, Some(ArchiveError::TooLarge { what: "the segment", .. })));
}

/// ARC-2: at each bound a record is taken, one past it refused by writer and reader.
#[test]
fn bounds_hold() {
    let nick = |size| Record::Account(Box::new(Account { nick: "n".repeat(size), ..account() }));
    let devices = |size| Record::Member(Box::new(Member { devices: vec![1; size], ..member() }));
    let state =
        |size| Record::Conversation(Conversation { state: vec![1; size], ..conversation(1) });
    let logs = |count| Record::Conversation(conversation(count));
    let content = |size| Record::Message(Box::new(message(size, 0)));
    let reached = |count| Record::Message(Box::new(message(CONTENT_BYTES, count)));
    let text = |size| {
        let text = "t".repeat(size);
        Record::Message(Box::new(KeptMessage { text, ..message(CONTENT_BYTES, CLASSICAL_LEAVES) }))
    };
    let acts = |count, size| {
        let acts = vec![act(size); count];
        Record::Message(Box::new(KeptMessage { acts, ..message(CONTENT_BYTES, CLASSICAL_LEAVES) }))
    };
    let cases = [
        (nick(NICK_BYTES), nick(NICK_BYTES + 1)),
        (devices(RECORD_PART_BYTES), devices(RECORD_PART_BYTES + 1)),
        (state(RECORD_PART_BYTES), state(RECORD_PART_BYTES + 1)),
        (logs(RECORD_LOGS), logs(RECORD_LOGS + 1)),
        (content(CONTENT_BYTES), content(CONTENT_BYTES + 1)),
        (reached(CLASSICAL_LEAVES), reached(CLASSICAL_LEAVES + 1)),
        (text(TEXT_BYTES), text(TEXT_BYTES + 1)),
        (acts(RECORD_ACTS, EMOJI_BYTES), acts(RECORD_ACTS + 1, EMOJI_BYTES)),
        (acts(1, EMOJI_BYTES), acts(1, EMOJI_BYTES + 1)),
    ];
    for (at, past) in cases {
        let bytes = segment(std::slice::from_ref(&at));
        let (_, mut reader) = SegmentReader::first(Purpose::Recovery, &bytes).unwrap();
        assert_eq!(reader.next(), Some(Ok(at)));
        let mut writer = SegmentWriter::following(Purpose::Recovery);
        assert!(matches!(writer.push(&past), Err(ArchiveError::TooLarge { .. })), "{past:?}");
    }
    for size in [RECORD_BYTES, RECORD_BYTES + 1] {
        let bytes = with_raw(Vec::new(), &vec![0; size]);
        let mut reader = SegmentReader::following(Purpose::History, &bytes).unwrap();
        let error = reader.next().unwrap().unwrap_err();
        let too_large = matches!(error, ArchiveError::TooLarge { what: "the record", .. });
        assert_eq!(too_large, size > RECORD_BYTES);
    }
}

/// ARC-2: what no device would write is refused: names of several lines, generations out of order,
/// a state that is none, or that has a record of its own.
#[test]
fn senseless_records_are_refused() {
    let mut turned = conversation(3);
    turned.logs.reverse();
    let account = AccountState { nick: "alice".into(), devices: vec![], next_number: 3 };
    let bad = [
        Record::Member(Box::new(Member { nick: "\u{1b}[2J".into(), ..member() })),
        Record::Member(Box::new(Member { nick: "a\u{202e}b".into(), ..member() })),
        Record::Conversation(turned),
        Record::State(StateRecord::Account(account).to_record().unwrap()),
        Record::State(SyncRecord { kind: StateRecord::HISTORY, ..state(3) }),
        Record::State(SyncRecord { kind: StateRecord::TAKEN, ..state(3) }),
        Record::State(SyncRecord { key: vec![1], ..state(3) }),
    ];
    for record in bad {
        let refused = SegmentWriter::following(Purpose::History).push(&record);
        assert!(matches!(refused, Err(ArchiveError::Malformed { .. })), "{record:?}");
    }
}

/// ARC-2: behind a record that is refused, or of a newer version, reading goes on.
#[test]
fn reading_goes_on_behind_a_bad_record() {
    let newer = [0x08, 77, 0x12, 2, 0xff, 0xff];
    let bytes = with_raw(segment(&[]).to_vec(), &newer);
    let bytes = with_raw(bytes, &[0xff; 9]);
    let bytes = [&bytes[..], &segment(&[])[..], &{
        let mut writer = SegmentWriter::following(Purpose::History);
        assert!(writer.push(&Record::Tombstone(tombstone())).unwrap());
        writer.finish()
    }]
    .concat();
    let (_, mut reader) = SegmentReader::first(Purpose::Recovery, &bytes).unwrap();
    assert_eq!(reader.next(), Some(Err(ArchiveError::Malformed { what: "record" })));
    assert_eq!(reader.unknown(), 1);
    assert_eq!(reader.next(), Some(Err(ArchiveError::Malformed { what: "kind" })));
    assert_eq!(reader.next(), Some(Ok(Record::Tombstone(tombstone()))));
    assert_eq!((reader.next(), reader.unknown()), (None, 1));
}

/// ARC-1: a length that leads beyond the end ends the segment with an error.
#[test]
fn cut_segments_end_with_an_error() {
    let bytes = segment(&[Record::Tombstone(tombstone())]);
    let whole = SegmentReader::first(Purpose::Recovery, &bytes).unwrap().1.count();
    assert_eq!(whole, 1);
    for size in 0..bytes.len() {
        if let Ok((_, reader)) = SegmentReader::first(Purpose::Recovery, &bytes[..size]) {
            assert!(reader.filter_map(Result::ok).count() == 0, "{size}");
        }
    }
}

/// ARC-3: an archive begins with a head of a version and purpose that is known and expected.
#[test]
fn head_comes_first() {
    let history = SegmentWriter::first(&head(Purpose::History)).finish();
    let found = SegmentReader::first(Purpose::Recovery, &history).err();
    assert_eq!(found, Some(ArchiveError::Misplaced { what: "the head" }));
    let mut other = SegmentWriter::following(Purpose::History);
    assert!(other.push(&Record::State(state(3))).unwrap());
    assert!(SegmentReader::first(Purpose::History, &other.finish()).is_err());
    assert!(SegmentReader::first(Purpose::History, &[]).is_err());
    let mut newer = history.to_vec();
    // Length (4), kind (2), length of the head (2), field of the version (1), version.
    assert_eq!(newer[9], 1);
    newer[9] = 2;
    let found = SegmentReader::first(Purpose::History, &newer).err();
    assert_eq!(found, Some(ArchiveError::TooNew { found: 2, known: 1 }));
}

/// REV-5: the account's seed goes into a recovery file and nowhere else.
#[test]
fn account_stands_in_a_recovery_file_only() {
    let account = Record::Account(Box::new(account()));
    let misplaced = Err(ArchiveError::Misplaced { what: "the account" });
    let mut writer = SegmentWriter::first(&head(Purpose::History));
    assert_eq!(writer.push(&account), misplaced);
    let mut writer = SegmentWriter::following(Purpose::Recovery);
    assert!(writer.push(&account).unwrap());
    let bytes = writer.finish();
    let mut reader = SegmentReader::following(Purpose::History, &bytes).unwrap();
    assert_eq!(reader.next(), Some(Err(ArchiveError::Misplaced { what: "the account" })));
}

/// ARC-5: what disappeared or was taken back is neither given nor taken; at the very moment it is
/// over.
#[test]
fn timers_and_tombstones_hold() {
    let expires = UnixMillis::new(1_850_000_000_000);
    let before = UnixMillis::new(expires.get() - 1);
    let timed = message(9, 0);
    assert!(timed.may_be_kept(before, false));
    assert!(!timed.may_be_kept(expires, false));
    assert!(!timed.may_be_kept(before, true));
    let lasting = KeptMessage { expires: None, ..message(9, 0) };
    assert!(lasting.may_be_kept(UnixMillis::new(u64::MAX), false));
}

fn manifest(number: u32, first: u32, count: usize) -> Manifest {
    let segment = |number| ManifestSegment {
        number,
        blob: BlobId::new([23; 16]),
        read_key: Zeroizing::new([24; 32]),
        file_key: Zeroizing::new([25; 32]),
        size: BlobSize::new(BLOB_BYTES),
        messages: u32::MAX,
        newest: UnixMillis::new(u64::MAX),
        oldest: UnixMillis::new(u64::MAX),
    };
    Manifest {
        archive: ArchiveId::new([26; 16]),
        number,
        last: false,
        messages: u64::MAX,
        relay: RelayAddress::new(PublicKey::new([1; 32]), &"h".repeat(253), 65_535).unwrap(),
        segments: (first..).take(count).map(segment).collect(),
    }
}

/// ARC-6: the largest manifest fits a content; one segment more, or none, is refused.
#[test]
fn manifests_are_bounded() {
    let largest = manifest(1, SEGMENTS - 128, MANIFEST_SEGMENTS);
    let bytes = largest.encode().unwrap();
    assert!(bytes.len() <= MANIFEST_BYTES, "{}", bytes.len());
    assert_eq!(Manifest::decode(&bytes), Ok(largest));
    assert!(manifest(0, 0, MANIFEST_SEGMENTS).encode().is_ok());
    let past = manifest(0, 0, MANIFEST_SEGMENTS + 1).encode();
    assert!(matches!(past, Err(ArchiveError::TooLarge { what: "the segments", .. })));
    let too_long = Manifest::decode(&[0; MANIFEST_BYTES + 1]);
    assert!(matches!(too_long, Err(ArchiveError::TooLarge { what: "the manifest", .. })));
    for bad in [manifest(0, 0, 0), manifest(1, SEGMENTS - 127, 128), manifest(0, 5, 2)] {
        assert!(matches!(bad.encode(), Err(ArchiveError::Malformed { what: "segments" })));
    }
    assert!(manifest(1, 0, 2).encode().is_err());
}

/// ARC-6: segments stand in order, have a size a blob has, and newest is not before oldest.
#[test]
fn manifests_are_in_order() {
    let mut bad = [manifest(0, 0, 3), manifest(0, 0, 3), manifest(0, 0, 3), manifest(0, 0, 3)];
    bad[0].segments.swap(0, 1);
    bad[1].segments[2].size = BlobSize::new(BLOB_BYTES + 1);
    bad[2].segments[2].size = BlobSize::new(0);
    bad[3].segments[1].newest = UnixMillis::new(0);
    for manifest in bad {
        assert!(manifest.encode().is_err());
    }
}

/// ARC-6: a manifest follows the one before it, in the same archive and without a hole.
#[test]
fn manifests_form_a_chain() {
    let first = manifest(0, 0, 3);
    assert!(manifest(1, 3, 5).follows(&first));
    let other = Manifest { archive: ArchiveId::new([9; 16]), ..manifest(1, 3, 5) };
    for stranger in [manifest(1, 4, 5), manifest(2, 3, 5), manifest(0, 0, 3), other] {
        assert!(!stranger.follows(&first));
    }
    assert!(!manifest(1, 3, 5).follows(&Manifest { last: true, ..first }));
}

/// ARC-2: no bytes make a reader panic.
#[test]
fn changed_bytes_never_panic() {
    let segment = segment(&records());
    let manifest = manifest(0, 0, 2).encode().unwrap();
    for bit in 0..segment.len().min(6_000) * 8 {
        let mut changed = segment.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok((_, reader)) = SegmentReader::first(Purpose::Recovery, &changed) {
            assert!(reader.count() <= records().len() + 1);
        }
    }
    for bit in 0..manifest.len() * 8 {
        let mut changed = manifest.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let _ = Manifest::decode(&changed);
    }
}

/// Nothing that people say or hold shows in `Debug`.
#[test]
fn archives_do_not_show() {
    let records = [
        Record::Account(Box::new(account())),
        Record::State(state(4)),
        Record::Message(Box::new(message(4, 1))),
    ];
    let shown = records.map(|record| format!("{record:?}"));
    let expected =
        ["Account(Account(..))", "State(SyncRecord(kind 7))", "Message(KeptMessage(4 bytes))"];
    assert_eq!(shown, expected);
    assert!(format!("{:?}", manifest(0, 0, 1)).contains("[ManifestSegment(0)]"));
}
