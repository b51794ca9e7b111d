//! Runs every vector of this crate: each file of the folders is one case, none is left out.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

use std::path::Path;

use restante_crypto::{
    AccountId, BlobChallenge, DeviceList, Error, FileKey, FileLayout, Invite, KemSecret,
    LetterKeys, LetterPlace, LiveKey, OpenChallenge, OpenedLetter, PostBody, RecordKey,
    RecordPlace, RecoveryHeader, RecoveryReader, RecoverySecret, RecoveryWords, RoomLink,
    SafetyNumber, unpad, verify_endorsement, verify_possession,
};
use restante_spec::archive::{Purpose, SegmentReader};
use restante_spec::ids::{
    BlobId, EnvelopeId, Epoch, MailboxId, Nonce, PublicKey, Signature, SpkiHash, UnixTime,
};
use restante_spec::message::{Endorsement, EnvelopeClass};
use restante_spec::vector::Vector;
use zeroize::Zeroizing;

/// Every case of the group, and that there are as many as files.
fn run(group: &str, at_least: usize, check: impl Fn(&Vector) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors").join(group);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
    let mut ran = 0;
    for file in &files {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let name = file.file_name().into_string().unwrap();
        let vector = Vector::parse(name.strip_suffix(".txt").unwrap(), &text).unwrap();
        let outcome = check(&vector).map_or_else(|class| class, |()| "ok".to_owned());
        assert_eq!(outcome, vector.expect, "{group}/{name}: {}", vector.comment);
        ran += 1;
    }
    assert_eq!(ran, files.len());
    assert!(ran >= at_least, "{group} has only {ran} cases");
}

/// The class of failure a vector names.
fn class(error: Error) -> String {
    match error {
        Error::BadKey => "bad_key",
        Error::BadSignature => "bad_signature",
        Error::EndorsementExpired { .. } => "expired",
        Error::EndorsementTooLong { .. } => "too_long",
        Error::Malformed { .. } => "malformed",
        Error::Unsupported { .. } => "unsupported",
        Error::BadPadding => "bad_padding",
        Error::Undecryptable => "undecryptable",
        Error::NotForUs => "not_for_us",
        Error::WrongAccount => "wrong_account",
        Error::OldRoomKey { .. } => "old_key",
        Error::TooLarge { .. } => "too_large",
        Error::WordCount { .. } => "word_count",
        Error::UnknownWord { .. } => "unknown_word",
        Error::WordsDiffer => "words_differ",
        Error::WrongSecret => "wrong_secret",
        other => panic!("{other}"),
    }
    .to_owned()
}

fn same<T: PartialEq>(found: T, named: T) -> Result<(), String> {
    if found == named { Ok(()) } else { Err("mismatch".to_owned()) }
}

fn field<'a>(vector: &'a Vector, name: &str) -> &'a [u8] {
    vector.field(name).unwrap_or_else(|| panic!("{} has no {name}", vector.name))
}

fn array<const N: usize>(vector: &Vector, name: &str) -> [u8; N] {
    field(vector, name).try_into().unwrap()
}

fn number(vector: &Vector, name: &str) -> u64 {
    u64::from_be_bytes(array(vector, name))
}

/// TRN-5, IDN-2.
#[test]
fn endorsements() {
    run("endorsement", 10, |v| {
        let endorsement = Endorsement {
            spki: SpkiHash::new(array(v, "spki")),
            not_after: UnixTime::new(number(v, "not_after")),
            signature: Signature::new(array(v, "signature")),
        };
        let identity = PublicKey::new(array(v, "identity"));
        verify_endorsement(&endorsement, &identity, UnixTime::new(number(v, "now"))).map_err(class)
    });
}

/// CMD-4, CMD-20, CMD-3.
#[test]
fn proofs() {
    run("open", 14, |v| {
        let key = PublicKey::new(array(v, "key"));
        let proof = Signature::new(array(v, "proof"));
        if v.rule == "CMD-20" {
            let (relay, nonce) = (PublicKey::new(array(v, "relay")), Nonce::new(array(v, "nonce")));
            let blob = BlobId::new(array(v, "blob"));
            return BlobChallenge { relay, nonce, blob }.verify(&key, &proof).map_err(class);
        }
        let mailbox = MailboxId::new(array(v, "mailbox"));
        if v.rule == "CMD-3" {
            return verify_possession(&key, &mailbox, &proof).map_err(class);
        }
        let (relay, nonce) = (PublicKey::new(array(v, "relay")), Nonce::new(array(v, "nonce")));
        OpenChallenge { relay, nonce, mailbox }.verify(&key, &proof).map_err(class)
    });
}

/// LET-1 to LET-5; IDN-3, IDN-5, IDN-8, IDN-9; INV-1, INV-3 to INV-6.
#[test]
fn letters() {
    run("letter", 20, |v| {
        if v.field("devices").is_some() {
            return device_list(v);
        }
        if v.field("card").is_some() {
            return card(v);
        }
        let secret = KemSecret::from_seed(&array(v, "secret"));
        let place = LetterPlace {
            inbox: MailboxId::new(array(v, "inbox")),
            envelope: EnvelopeId::new(array(v, "envelope")),
        };
        let secrets = [&secret];
        let keys = match v.field("account") {
            Some(_) => {
                let account = AccountId::new(PublicKey::new(array(v, "account")));
                LetterKeys::Account(account, &secrets)
            }
            None => LetterKeys::Invite(&secret),
        };
        let opened = OpenedLetter::open(field(v, "letter"), keys, &place).map_err(class)?;
        same(opened.sender.as_bytes(), field(v, "sender"))?;
        same(opened.number, number(v, "number"))?;
        same(opened.content.as_slice(), field(v, "content"))
    });
}

fn device_list(v: &Vector) -> Result<(), String> {
    let list = DeviceList::parse(field(v, "devices")).map_err(class)?;
    same(list.account().as_bytes(), &array(v, "account"))?;
    same(list.account().fingerprint().as_bytes(), &array(v, "fingerprint"))
}

fn card(v: &Vector) -> Result<(), String> {
    let link = std::str::from_utf8(field(v, "link")).unwrap();
    let invite = Invite::parse(link).map_err(class)?;
    let card = invite.open_card(field(v, "card")).map_err(class)?;
    let write_key = invite.write_key().map_err(class)?.public();
    same(write_key.as_bytes(), &array(v, "write_key"))?;
    same(&card.letter_key.as_bytes()[..], field(v, "letter_key"))?;
    same(card.nick.as_bytes(), field(v, "nick"))?;
    let group = card.group.map(|group| (group.id.to_vec(), group.name.into_bytes()));
    let named = |id: &[u8]| (id.to_vec(), field(v, "group_name").to_vec());
    same(group, v.field("group").map(named))
}

/// REC-1 to REC-4.
#[test]
fn records() {
    run("record", 14, |v| {
        let class_of = |byte: [u8; 1]| match byte {
            [1] => EnvelopeClass::Normal,
            [2] => EnvelopeClass::Quiet,
            _ => EnvelopeClass::Live,
        };
        let place = RecordPlace {
            mailbox: MailboxId::new(array(v, "mailbox")),
            epoch: Epoch::new(array(v, "epoch")),
            envelope: EnvelopeId::new(array(v, "envelope")),
            class: class_of(array(v, "class")),
        };
        let key = RecordKey::new(Zeroizing::new(array(v, "key")));
        let opened = key.open(&place, field(v, "record")).map_err(class)?;
        let device = PublicKey::new(array(v, "device"));
        opened.verify(&place, &device).map_err(class)?;
        same(opened.leaf().get(), u32::from_be_bytes(array(v, "leaf")))?;
        same(opened.message(), field(v, "message"))
    });
}

/// LIV-1 to LIV-3.
#[test]
fn live_records() {
    run("live", 10, |v| {
        let place = RecordPlace {
            mailbox: MailboxId::new(array(v, "mailbox")),
            epoch: Epoch::new(array(v, "epoch")),
            envelope: EnvelopeId::new(array(v, "envelope")),
            class: EnvelopeClass::Live,
        };
        let key = LiveKey::new(Zeroizing::new(array(v, "key")));
        let opened = key.open(&place, field(v, "record")).map_err(class)?;
        opened.verify(&place, &PublicKey::new(array(v, "device"))).map_err(class)?;
        same(opened.leaf().get(), u32::from_be_bytes(array(v, "leaf")))?;
        same(opened.counter(), number(v, "counter"))?;
        same(opened.content(), field(v, "content"))
    });
}

/// ROM-1, ROM-3 to ROM-11.
#[test]
fn rooms() {
    run("room", 18, |v| {
        let link = RoomLink::parse(std::str::from_utf8(field(v, "link")).unwrap()).unwrap();
        if let Some(card) = v.field("card") {
            return room_card(v, &link, card);
        }
        let envelope = EnvelopeId::new(array(v, "envelope"));
        let post = link.key().unwrap().open(&envelope, field(v, "post")).map_err(class)?;
        same(post.author.as_bytes(), field(v, "author"))?;
        let said = match post.body {
            PostBody::Content(content) => [&[1], content.as_slice()].concat(),
            PostBody::Next { number, seed } => {
                [&[2], &number.get().to_be_bytes()[..], seed.as_slice()].concat()
            }
            PostBody::Card(card) => [&[3], card.as_slice()].concat(),
        };
        same(said.as_slice(), field(v, "said"))
    });
}

fn room_card(v: &Vector, link: &RoomLink, card: &[u8]) -> Result<(), String> {
    let card = link.open_card(card).map_err(class)?;
    same(link.read_key().unwrap().public().as_bytes(), &array(v, "read_key"))?;
    same(link.write_key().unwrap().public().as_bytes(), &array(v, "write_key"))?;
    let info = card.info();
    same(info.version, number(v, "version"))?;
    same([u8::from(info.audience_writes)], array(v, "settings"))?;
    same(info.name.as_bytes(), field(v, "name"))?;
    let hosts: Vec<_> = info.hosts.iter().map(|host| *host.as_bytes()).collect();
    same(hosts.concat().as_slice(), field(v, "hosts"))
}

/// REC-3.
#[test]
fn paddings() {
    run("padding", 9, |v| {
        let overhead = u32::from_be_bytes(array(v, "overhead"));
        let padded = field(v, "padded");
        let sealed = padded.len() + usize::try_from(overhead).unwrap();
        same(unpad(padded, sealed).map_err(class)?, field(v, "content"))
    });
}

/// FIL-1 to FIL-4.
#[test]
fn files() {
    run("file", 14, |v| {
        let key = FileKey::new(Zeroizing::new(array(v, "key")));
        let content = match v.field("sealed") {
            Some(sealed) => key.open(sealed).map_err(class)?,
            None => {
                let layout = FileLayout::of_content(number(v, "size")).map_err(class)?;
                let chunk = u32::from_be_bytes(array(v, "number"));
                key.open_chunk(&layout, chunk, field(v, "chunk")).map_err(class)?
            }
        };
        same(content.as_slice(), field(v, "content"))
    });
}

/// REV-1 to REV-4, ARC-1, ARC-3.
#[test]
fn recovery_files() {
    run("recovery", 15, |v| {
        let text = |name| v.field(name).map(|bytes| std::str::from_utf8(bytes).unwrap());
        let words = text("words").map(RecoveryWords::parse).transpose().map_err(class)?;
        let passphrase = text("passphrase").unwrap_or_default();
        let secret =
            words.as_ref().map_or(RecoverySecret::Passphrase(passphrase), RecoverySecret::Words);
        let mut file = field(v, "file");
        let key = RecoveryHeader::read(&mut file).map_err(class)?.unlock(&secret);
        let mut reader = RecoveryReader::new(key.map_err(class)?, file).map_err(class)?;
        let mut segments = Vec::new();
        while let Some(segment) = reader.next_segment().map_err(class)? {
            segments.extend_from_slice(&segment);
        }
        let (_, records) = SegmentReader::first(Purpose::Recovery, &segments).unwrap();
        assert!(records.map(Result::unwrap).count() > 0);
        same(segments.as_slice(), field(v, "segments"))
    });
}

/// SAF-1, SAF-2.
#[test]
fn safety_numbers() {
    run("safety", 5, |v| {
        let account = |name| AccountId::new(PublicKey::new(array(v, name)));
        let number = SafetyNumber::of(account("ours"), account("theirs"));
        same(number.digits().as_bytes(), field(v, "digits"))?;
        same(number.qr(), field(v, "qr"))
    });
}
