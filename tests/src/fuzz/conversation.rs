//! What is sealed, by strangers and by members who mean no good: letters, records, live ones,
//! welcomes, and what stands in rooms.

use restante_crypto::{
    AccountKey, Conversation, DeviceCertificate, DeviceKey, DeviceNumber, GeneratedKeyPackage,
    KemSecret, KeyPackage, Letter, LetterKeys, LetterPlace, OpenedLetter, OwnDevice, PostBody,
    Processed, Recipient, RecordPlace, RoomCard, RoomInfo, RoomLink, Suite, generate_reader, pad,
    reader_hash, unpad,
};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId, UnixTime};
use restante_spec::limits::PADDING_LADDER;
use restante_spec::message::EnvelopeClass;
use rusqlite::Connection;

use super::{Target, vectors, with_heads};
use crate::groups::{prepare, provider};

pub(super) const SEALED: Target = Target { name: "sealed", run, seeds, changes: 100 };

const MAILBOX: MailboxId = MailboxId::new([7; 16]);
const ENVELOPE: EnvelopeId = EnvelopeId::new([8; 16]);

/// The first byte says which of them the rest is.
fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 8 {
        0 => letter(data),
        1 => letter_within(data),
        2 => padding(data),
        3 => PAIR.with(|pair| pair.bob_reads(data)),
        4 => PAIR.with(|pair| pair.alice_says(data)),
        5 => PAIR.with(|pair| pair.bob_is_welcomed(data)),
        6 => PAIR.with(|pair| pair.alice_passes(data)),
        _ => room(data),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = with_heads(&[0], vectors("letter", "letter"));
    seeds.extend(with_heads(&[2], vectors("padding", "padded")));
    seeds.extend(with_heads(&[3], vectors("record", "record")));
    seeds.extend(with_heads(&[6], vectors("live", "record")));
    seeds.extend(with_heads(&[7], vectors("room", "post")));
    seeds.extend(with_heads(&[7], vectors("room", "card")));
    seeds.push(b"\x01a first letter".to_vec());
    PAIR.with(|pair| {
        let record = pair.record();
        let opened = pair.alice.conversation.record_key().expect("a key");
        let opened = opened.open(&place(), &record).expect("a record of hers");
        seeds.push([&[3], record.as_slice()].concat());
        seeds.push([&[4], opened.message()].concat());
        seeds.push([&[5], pair.welcome.as_slice()].concat());
    });
    seeds
}

/// A stranger's letter.
fn letter(data: &[u8]) {
    let (secret, place) = (KemSecret::from_seed(&[3; 32]), letter_place());
    let account = AccountKey::from_seed(&[1; 32]).id();
    let _ = OpenedLetter::open(data, LetterKeys::Account(account, &[&secret]), &place);
    let _ = OpenedLetter::open(data, LetterKeys::Invite(&secret), &place);
}

/// A letter of somebody who may write one.
fn letter_within(content: &[u8]) {
    let secret = KemSecret::from_seed(&[3; 32]);
    let (sender, certificate) = device(5);
    let recipient = Recipient::Invite(&secret.public());
    let place = letter_place();
    let letter =
        Letter { sender: &sender, certificate: &certificate, number: 1, recipient, place, content };
    let Ok(sealed) = letter.seal() else { return };
    let opened = OpenedLetter::open(&sealed, LetterKeys::Invite(&secret), &place);
    assert_eq!(opened.expect("LET-1: what was sealed opens").content.as_slice(), content);
}

/// A stranger's card and post, and those of somebody who has the link.
fn room(data: &[u8]) {
    let (key, certificate) = device(5);
    let relay = RelayAddress::new(*certificate.device(), "relay.example.org", 7443);
    let (link, salt) = RoomLink::generate(relay.expect("an address"), certificate.account())
        .expect("a short host name");
    let posts = link.key().expect("a key");
    let _ = (link.open_card(data), RoomCard::parse(link.room(), data), posts.open(&ENVELOPE, data));
    let said = PostBody::Content(data.to_vec().into());
    if let Ok(post) = posts.seal(&ENVELOPE, &key, &certificate, &said) {
        let opened = posts.open(&ENVELOPE, &post).expect("ROM-7: what was sealed opens");
        assert_eq!(opened.body, said, "ROM-8");
    }
    let (name, hosts) = (String::from_utf8_lossy(data).into_owned(), vec![certificate.account()]);
    let info = RoomInfo { version: 1, name, hosts, audience_writes: true };
    if let Ok(card) = RoomCard::sign(&key, &certificate, salt, info) {
        let sealed = link.seal_card(&card).expect("ROM-5: what was signed fits");
        assert_eq!(link.open_card(&sealed), Ok(card), "ROM-5");
    }
}

/// REC-3: what is padded comes back, and nothing else is taken for it.
fn padding(data: &[u8]) {
    if let Ok(padded) = pad(data, 0) {
        assert!(PADDING_LADDER.contains(&padded.len()), "REC-3");
        assert_eq!(unpad(&padded, padded.len()), Ok(data), "REC-3");
    }
    if let Ok(content) = unpad(data, data.len()) {
        let again = pad(content, 0).expect("REC-3: it has been a step of the ladder");
        assert_eq!(again, data, "REC-3: it has one form");
    }
}

const fn letter_place() -> LetterPlace {
    LetterPlace { inbox: MAILBOX, envelope: ENVELOPE }
}

const fn place() -> RecordPlace {
    let epoch = Epoch::new([0; 8]);
    RecordPlace { mailbox: MAILBOX, epoch, envelope: ENVELOPE, class: EnvelopeClass::Normal }
}

const fn live_place() -> RecordPlace {
    RecordPlace { class: EnvelopeClass::Live, ..place() }
}

fn device(seed: u8) -> (DeviceKey, DeviceCertificate) {
    let (key, account) = (DeviceKey::from_seed(&[seed; 32]), AccountKey::from_seed(&[seed; 32]));
    let certificate =
        account.certify(&key.public(), DeviceNumber::new(1), UnixTime::new(1), "device");
    (key, certificate.expect("a short label"))
}

thread_local! {
    static PAIR: Pair = Pair::new();
}

/// Two people in a conversation, which is never changed.
struct Pair {
    alice: Member,
    bob: Member,
    welcome: Vec<u8>,
}

struct Member {
    key: DeviceKey,
    store: Connection,
    conversation: Conversation,
}

impl Pair {
    fn new() -> Self {
        let ((alice, her), (bob, his)) = (device(10), device(11));
        let (ours, theirs) = (store(), store());
        let reader = reader_hash(&generate_reader().expect("randomness"));
        let (own, suite) = (OwnDevice { key: &alice, certificate: &her }, Suite::Hybrid);
        let mut a = Conversation::create(&provider(&ours), &own, MAILBOX, suite, &reader, b"state")
            .expect("a conversation");
        let his = OwnDevice { key: &bob, certificate: &his };
        let made = GeneratedKeyPackage::make(&provider(&theirs), &his, suite, true).expect("made");
        let package = KeyPackage::parse(&made.bytes).expect("CNV-3: what was made is read");
        let pending = a.add(&provider(&ours), &own, &place(), &[package]).expect("added");
        a.merge_pending(&provider(&ours)).expect("merged");
        let welcome = pending.welcome.expect("somebody was added").to_vec();
        let b = Conversation::join(&provider(&theirs), MAILBOX, &welcome).expect("joined");
        let alice = Member { key: alice, store: ours, conversation: a };
        Self { alice, bob: Member { key: bob, store: theirs, conversation: b }, welcome }
    }

    /// Something that Alice says; she forgets it at once.
    fn record(&self) -> Vec<u8> {
        let Member { key, store, .. } = &self.alice;
        let (_, certificate) = device(10);
        let own = OwnDevice { key, certificate: &certificate };
        let undone = store.unchecked_transaction().expect("begun");
        let mut conversation = loaded(store);
        let record = conversation.encrypt(&provider(store), &own, &place(), b"hello");
        drop(undone);
        record.expect("sealed")
    }

    /// Bob is given a record.
    fn bob_reads(&self, record: &[u8]) {
        let Member { store, conversation, .. } = &self.bob;
        let undone = store.unchecked_transaction().expect("begun");
        let mut bob = loaded(store);
        let before = (conversation.generation(), conversation.authenticator());
        let read = bob.process(&provider(store), &place(), record);
        drop(undone);
        if matches!(read.expect("a bad record is no error"), Processed::Refused(_)) {
            assert_eq!((bob.generation(), bob.authenticator()), before, "it has changed something");
        }
    }

    /// Alice seals something that need not be a message.
    fn alice_says(&self, message: &[u8]) {
        let Member { key, conversation, .. } = &self.alice;
        let sealer = conversation.record_key().expect("a key");
        let Ok(record) = sealer.seal(&place(), conversation.own_leaf(), key, message) else {
            return;
        };
        let opened = sealer.open(&place(), &record).expect("REC-1: what was sealed opens");
        assert_eq!(opened.message(), message, "REC-1");
        self.bob_reads(&record);
    }

    /// Alice passes something on that is stored nowhere; Bob is given it, and something else.
    fn alice_passes(&self, content: &[u8]) {
        let (place, (_, certificate)) = (live_place(), device(10));
        let own = OwnDevice { key: &self.alice.key, certificate: &certificate };
        let mut bob = loaded(&self.bob.store);
        assert!(bob.open_live(&place, content).is_err(), "LIV-2: a stranger's record");
        if let Ok(record) = self.alice.conversation.seal_live(&own, &place, 1, content) {
            let live = bob.open_live(&place, &record).expect("LIV-1: what was sealed opens");
            assert_eq!(live.content.as_slice(), content, "LIV-1");
        }
    }

    /// Bob is welcomed to a conversation, or to something else.
    fn bob_is_welcomed(&self, welcome: &[u8]) {
        let undone = self.bob.store.unchecked_transaction().expect("begun");
        let _ = Conversation::join(&provider(&self.bob.store), MailboxId::new([9; 16]), welcome);
        drop(undone);
    }
}

fn loaded(store: &Connection) -> Conversation {
    Conversation::load(&provider(store), MAILBOX).expect("it loads").expect("it is there")
}

fn store() -> Connection {
    let mut store = Connection::open_in_memory().expect("a store");
    prepare(&mut store);
    store
}
