//! What an archive says: the history another device gives, and what a recovery file holds.

use restante_spec::address::RelayAddress;
use restante_spec::archive::{
    Account, Conversation, Head, KeptAct, KeptFate, KeptKind, KeptMessage, KeptReach, Log,
    Manifest, ManifestSegment, Member, Purpose, Reached, Record, SegmentReader, SegmentWriter,
    Tombstone,
};
use restante_spec::codes::Code;
use restante_spec::content::{InboxGrant, LogPosition, StateRecord, UnixMillis};
use restante_spec::ids::{
    ArchiveId, BlobId, BlobSize, ContactName, ConversationId, EnvelopeId, MailboxId, PublicKey,
    Seconds, Seq,
};

use super::{Target, vectors, with_heads};

pub(super) const ARCHIVES: Target = Target { name: "archives", run, seeds, changes: 60 };

const ACCOUNT: PublicKey = PublicKey::new([4; 32]);
const AT: UnixMillis = UnixMillis::new(1_800_000_000_123);
const CONTACT: ContactName = ContactName::new([6; 16]);
const CONVERSATION: ConversationId = ConversationId::new([14; 16]);
const MAILBOX: MailboxId = MailboxId::new([13; 16]);
const MESSAGE: EnvelopeId = EnvelopeId::new([17; 16]);
const PLACE: LogPosition = LogPosition { generation: 1, seq: Seq::new(77) };

/// The first byte says which of them the rest is.
fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 5 {
        0 => segment(Purpose::History, true, data),
        1 => segment(Purpose::Recovery, true, data),
        2 => segment(Purpose::History, false, data),
        3 => segment(Purpose::Recovery, false, data),
        _ => manifest(data),
    }
}

/// What can be read of a segment can be written, is no more than there was, and is read the same.
fn segment(purpose: Purpose, is_first: bool, data: &[u8]) {
    let Some((head, records)) = read(purpose, is_first, data) else { return };
    let writer = match &head {
        Some(head) => SegmentWriter::first(head),
        None if records.is_empty() => return,
        None => SegmentWriter::following(purpose),
    };
    let bytes = written(writer, &records);
    assert!(bytes.len() <= data.len(), "ARC-1: {} bytes of {}", bytes.len(), data.len());
    assert_eq!(read(purpose, is_first, &bytes), Some((head, records)), "ARC-1");
}

/// The head of a first segment, and the records that are none of them refused.
fn read(purpose: Purpose, is_first: bool, bytes: &[u8]) -> Option<(Option<Head>, Vec<Record>)> {
    let (head, mut reader) = if is_first {
        let (head, reader) = SegmentReader::first(purpose, bytes).ok()?;
        (Some(head), reader)
    } else {
        (None, SegmentReader::following(purpose, bytes).ok()?)
    };
    let found: Vec<_> = reader.by_ref().collect();
    let count = found.len() as u64 + reader.unknown();
    assert!(count <= bytes.len() as u64 / 4 + 1, "ARC-1: {count} records of {}", bytes.len());
    Some((head, found.into_iter().filter_map(Result::ok).collect()))
}

fn written(mut writer: SegmentWriter, records: &[Record]) -> Vec<u8> {
    for record in records {
        assert_eq!(writer.push(record), Ok(true), "ARC-2: what was read can be written");
    }
    writer.finish().to_vec()
}

/// What is read of a manifest can be written, and is read the same.
fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::decode(data) {
        assert!(!manifest.follows(&manifest), "ARC-6: it follows itself");
        let bytes = manifest.encode().expect("ARC-6: what was read can be written");
        assert_eq!(Manifest::decode(&bytes), Ok(manifest), "ARC-6");
    }
}

/// Segments of both kinds with each kind of record, and a manifest.
fn seeds() -> Vec<Vec<u8>> {
    let head =
        |purpose| Head { purpose, account: ACCOUNT, made: AT, conversations: 1, messages: 2 };
    let first =
        |purpose, records: &[Record]| vec![written(SegmentWriter::first(&head(purpose)), records)];
    let mut seeds = with_heads(&[1], vectors("recovery", "segments"));
    seeds.extend(with_heads(&[0], first(Purpose::History, &records())));
    seeds.extend(with_heads(&[1, 0], first(Purpose::Recovery, &[account()])));
    let next = written(SegmentWriter::following(Purpose::History), &records());
    seeds.extend(with_heads(&[2, 3], vec![next]));
    let manifest = a_manifest().encode().expect("a manifest");
    seeds.extend(with_heads(&[4], vec![manifest.to_vec()]));
    seeds
}

fn account() -> Record {
    Record::Account(Box::new(Account {
        seed: [5; 32].into(),
        nick: "alice".into(),
        devices: vec![6; 20],
        next_device: 3,
        relay: relay(),
        inbox: MAILBOX,
        manage_key: [8; 32].into(),
    }))
}

/// Each kind but the account, which stands in a recovery file only.
fn records() -> Vec<Record> {
    let draft = StateRecord::Draft([9; 16], "see you".into()).to_record();
    let logs = vec![Log { generation: 0, relay: relay(), mailbox: MAILBOX }];
    let inbox = InboxGrant { relay: relay(), inbox: MAILBOX, key: [3; 32].into() };
    let member = Member {
        conversation: CONVERSATION,
        account: ACCOUNT,
        nick: "carol".into(),
        devices: vec![11; 20],
        inbox: Some(inbox),
    };
    let tombstone = Tombstone {
        conversation: CONVERSATION,
        id: MESSAGE,
        position: PLACE,
        author: None,
        by: Some(CONTACT),
        at: AT,
    };
    let refused = KeptMessage { fate: KeptFate::Refused(Code::Quota), ..message() };
    vec![
        Record::State(draft.expect("a draft")),
        Record::Conversation(Conversation { id: CONVERSATION, state: vec![15; 20], logs }),
        Record::Member(Box::new(member)),
        Record::Tombstone(tombstone),
        Record::Message(Box::new(message())),
        Record::Message(Box::new(refused)),
    ]
}

fn message() -> KeptMessage {
    KeptMessage {
        conversation: CONVERSATION,
        id: MESSAGE,
        position: PLACE,
        author: Some(CONTACT),
        kind: KeptKind::Text,
        text: "hello".into(),
        content: vec![21; 10],
        at: AT,
        fate: KeptFate::Delivered,
        relay_until: Some(AT),
        reply_to: Some(MESSAGE),
        edited: true,
        timer: Some(Seconds::new(60)),
        expires: Some(AT),
        reached: vec![Reached { account: CONTACT, how: KeptReach::Read, at: AT }],
        acts: vec![KeptAct {
            id: MESSAGE,
            author: CONTACT,
            is_edit: false,
            text: "+".into(),
            position: PLACE,
        }],
    }
}

fn a_manifest() -> Manifest {
    let segment = |number| ManifestSegment {
        number,
        blob: BlobId::new([23; 16]),
        read_key: [24; 32].into(),
        file_key: [25; 32].into(),
        size: BlobSize::new(1_040),
        messages: 2,
        newest: AT,
        oldest: AT,
    };
    Manifest {
        archive: ArchiveId::new([26; 16]),
        number: 1,
        last: false,
        messages: 9,
        relay: relay(),
        segments: vec![segment(3), segment(4)],
    }
}

fn relay() -> RelayAddress {
    let relay = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443);
    relay.expect("an address")
}
