//! What messages and letters hold, as bytes of strangers and of members.

use restante_spec::address::RelayAddress;
use restante_spec::content::{
    Attachment, BlobRef, Body, Content, InboxGrant, LetterContent, LogPosition, Person, Repair,
    RepairEntry, RepairRange, Roster, Sync, SyncRecord, UnixMillis, WelcomeLetter, WelcomePart,
};
use restante_spec::ids::{BlobId, ContentHash, EnvelopeId, LogHash, MailboxId, PublicKey, Seq};

use super::Target;

pub(super) const CONTENTS: Target = Target { name: "contents", run, seeds, changes: 5000 };

const ID: EnvelopeId = EnvelopeId::new([2; 16]);
const MAILBOX: MailboxId = MailboxId::new([3; 16]);

/// What is read can be written, and is read the same.
fn run(data: &[u8]) {
    if let Ok(content) = Content::decode(data) {
        let bytes = content.encode().expect("CNT-1: what was read can be written");
        assert_eq!(Content::decode(&bytes), Ok(content), "CNT-1");
    }
    if let Ok(content) = LetterContent::decode(data) {
        let bytes = content.encode().expect("CNT-6: what was read can be written");
        assert_eq!(LetterContent::decode(&bytes), Ok(content), "CNT-6");
    }
}

/// The contents that hold the most, and a letter.
fn seeds() -> Vec<Vec<u8>> {
    let device = PublicKey::new([11; 32]);
    let missing = vec![RepairRange { generation: 1, device, from: 1, to: 2 }];
    let entries = vec![RepairEntry {
        device,
        generation: 1,
        seq: Seq::new(3),
        content: vec![12],
        account: None,
    }];
    let people = vec![Person { account: device, nick: "bob".into(), inbox: Some(grant()) }];
    let records = vec![SyncRecord { kind: 1, key: vec![14; 16], value: vec![13; 16].into() }];
    let bodies = [
        Body::Attachment(Box::new(attachment())),
        Body::Roster(Roster { people }),
        Body::Sync(Sync { records }),
        Body::Repair(Repair { conversation: MAILBOX, entries, missing }),
    ];
    let contents = bodies.map(|body| content(body).encode().expect("a content"));
    let letter = welcome().encode().expect("a letter").to_vec();
    contents.into_iter().chain([letter, Vec::new()]).collect()
}

fn content(body: Body) -> Content {
    Content {
        id: ID,
        counter: 2,
        previous: Some(ContentHash::new([15; 32])),
        random: [16; 16],
        seen: LogPosition { generation: 1, seq: Seq::new(17) },
        log: Some(LogHash::new([18; 16])),
        at: UnixMillis::new(19),
        body,
    }
}

fn attachment() -> Attachment {
    Attachment {
        relay: relay(),
        mailbox: MAILBOX,
        blob: BlobId::new([5; 16]),
        read_key: [4; 32].into(),
        file_key: [4; 32].into(),
        size: 6,
        name: "us.jpg".into(),
        media_type: "image/jpeg".into(),
        width: 7,
        height: 8,
        duration_ms: 9,
        thumbnail: vec![10; 16],
        caption: "us".into(),
        reply_to: Some(ID),
    }
}

fn welcome() -> LetterContent {
    let blob = BlobRef {
        blob: BlobId::new([20; 16]),
        read_key: [4; 32].into(),
        key: [4; 32].into(),
        size: 2_100,
    };
    LetterContent::Welcome(WelcomeLetter {
        devices: vec![23; 16],
        nick: "alice".into(),
        relay: relay(),
        mailbox: MAILBOX,
        welcome: WelcomePart::Blob(blob),
        inbox: grant(),
        unheard: vec![PublicKey::new([7; 32])],
    })
}

fn grant() -> InboxGrant {
    InboxGrant { relay: relay(), inbox: MAILBOX, key: [4; 32].into() }
}

fn relay() -> RelayAddress {
    let relay = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443);
    relay.expect("an address")
}
