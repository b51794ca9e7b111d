//! Tests of writing and reading letters together.

use restante_spec::ids::{EnvelopeId, MailboxId, UnixTime};
use restante_spec::limits::PADDING_LADDER;

use super::*;
use crate::error::Error;
use crate::identity::{AccountKey, DeviceCertificate, DeviceKey, DeviceList, DeviceNumber};
use crate::xwing::KemSecret;

struct Writer {
    device: DeviceKey,
    certificate: DeviceCertificate,
}

fn writer() -> Writer {
    let (account, device) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
    let number = DeviceNumber::new(1);
    let certificate = account.certify(&device.public(), number, UnixTime::new(1), "a").unwrap();
    Writer { device, certificate }
}

fn place() -> LetterPlace {
    LetterPlace { inbox: MailboxId::new([3; 16]), envelope: EnvelopeId::new([4; 16]) }
}

/// A recipient with `count` devices, and their letter keys.
fn reader(count: u8) -> (DeviceList, Vec<KemSecret>) {
    let account = AccountKey::from_seed(&[9; 32]);
    let mut entries = Vec::new();
    let mut secrets = Vec::new();
    for n in 1..=count {
        let (device, secret) =
            (DeviceKey::from_seed(&[n + 10; 32]), KemSecret::from_seed(&[n + 50; 32]));
        let (number, at) = (DeviceNumber::new(n.into()), UnixTime::new(1));
        let certificate = account.certify(&device.public(), number, at, "b").unwrap();
        entries.push((certificate, device.sign_letter_key(&secret.public(), at)));
        secrets.push(secret);
    }
    (account.sign_list(1, &entries).unwrap(), secrets)
}

fn seal(writer: &Writer, recipient: Recipient<'_>, content: &[u8]) -> Result<Vec<u8>, Error> {
    let Writer { device, certificate } = writer;
    Letter { sender: device, certificate, number: 7, recipient, place: place(), content }.seal()
}

/// LET-1, LET-3, LET-8: every device of the list reads the one letter.
#[test]
fn every_device_opens_it() {
    let writer = writer();
    for count in [1, 8] {
        let (list, secrets) = reader(count);
        let letter = seal(&writer, Recipient::Account(&list), b"hello").unwrap();
        assert!(PADDING_LADDER.contains(&letter.len()));
        for secret in &secrets {
            let keys = [secret];
            let opened =
                OpenedLetter::open(&letter, LetterKeys::Account(list.account(), &keys), &place());
            let opened = opened.unwrap();
            assert_eq!((opened.content.as_slice(), opened.number), (&b"hello"[..], 7));
            assert_eq!(opened.sender, writer.certificate);
        }
    }
}

/// LET-2: a letter to one device cannot be told from one to eight.
#[test]
fn number_of_devices_does_not_show() {
    let (one, eight) = (reader(1).0, reader(8).0);
    let one = seal(&writer(), Recipient::Account(&one), b"hello").unwrap();
    let eight = seal(&writer(), Recipient::Account(&eight), b"hello").unwrap();
    assert_eq!((one.len(), &one[..2]), (eight.len(), &eight[..2]));
}

/// LET-2, LET-3: sealed to an invite it opens with the invite's key only.
#[test]
fn letter_to_an_invite_has_one_slot() {
    let (secret, other) = (KemSecret::from_seed(&[1; 32]), KemSecret::from_seed(&[2; 32]));
    let letter = seal(&writer(), Recipient::Invite(&secret.public()), b"hi").unwrap();
    assert_eq!(letter[..2], [1, 1]);
    let opened = OpenedLetter::open(&letter, LetterKeys::Invite(&secret), &place()).unwrap();
    assert_eq!(opened.content.as_slice(), b"hi");
    let wrong = OpenedLetter::open(&letter, LetterKeys::Invite(&other), &place());
    assert_eq!(wrong, Err(Error::NotForUs));
}

/// LET-4: put into another inbox, under another id or before another account it does not open.
#[test]
fn letter_is_bound_to_its_place() {
    let (list, secrets) = reader(1);
    let letter = seal(&writer(), Recipient::Account(&list), b"hello").unwrap();
    let keys = [&secrets[0]];
    let ours = LetterKeys::Account(list.account(), &keys);
    for place in [
        LetterPlace { inbox: MailboxId::new([9; 16]), ..place() },
        LetterPlace { envelope: EnvelopeId::new([9; 16]), ..place() },
    ] {
        assert_eq!(OpenedLetter::open(&letter, ours, &place), Err(Error::NotForUs));
    }
    let other = LetterKeys::Account(AccountKey::from_seed(&[8; 32]).id(), &keys);
    assert_eq!(OpenedLetter::open(&letter, other, &place()), Err(Error::NotForUs));
}

/// LET-1, LET-4: no byte can be changed, no end cut off.
#[test]
fn changed_letter_is_refused() {
    let (list, secrets) = reader(1);
    let letter = seal(&writer(), Recipient::Account(&list), b"hello").unwrap();
    let keys = [&secrets[0]];
    let ours = LetterKeys::Account(list.account(), &keys);
    for at in [0, 1, 2, 1_200, 8 * slot::SLOT, 8 * slot::SLOT + 5, letter.len() - 1] {
        let mut changed = letter.clone();
        changed[at] ^= 1;
        assert!(OpenedLetter::open(&changed, ours, &place()).is_err(), "byte {at}");
    }
    for size in [0, 1, 2, 1_000, 9_000, letter.len() - 1] {
        assert!(OpenedLetter::open(&letter[..size], ours, &place()).is_err(), "{size}");
    }
}

/// LET-5: a letter under another device's certificate is refused.
#[test]
fn sender_must_have_signed() {
    let secret = KemSecret::from_seed(&[1; 32]);
    let forged =
        Writer { device: DeviceKey::from_seed(&[99; 32]), certificate: writer().certificate };
    let letter = seal(&forged, Recipient::Invite(&secret.public()), b"hi").unwrap();
    let opened = OpenedLetter::open(&letter, LetterKeys::Invite(&secret), &place());
    assert_eq!(opened, Err(Error::BadSignature));
}

/// LET-6: each number is taken once, in any order, unless it is 64 or more below the highest.
#[test]
fn each_number_is_taken_once() {
    let old = |number, last| Err(Error::OldLetter { number, last });
    let mut taken = LettersTaken::default();
    for number in [3, 1, 2, 64, 65] {
        taken = taken.take(number).unwrap();
        assert_eq!(taken.take(number), old(number, number.max(3)), "{number} again");
        assert_eq!(LettersTaken::from_bytes(taken.to_bytes()), taken);
    }
    for number in [1, 2, 3, 64] {
        assert_eq!(taken.take(number), old(number, 65));
    }
    let taken = taken.take(100).unwrap();
    assert!(taken.take(37).is_ok());
    assert_eq!(taken.take(36), old(36, 100));
    let taken = taken.take(u64::MAX).unwrap();
    assert_eq!(taken.take(101), old(101, u64::MAX));
}

/// LET-8: the largest letter fits an envelope, one byte more is refused.
#[test]
fn letter_is_bounded() {
    let secret = KemSecret::from_seed(&[1; 32]);
    let writer = writer();
    let overhead =
        HEADER + slot::SLOT + 24 + 16 + 4 + 2 + writer.certificate.as_bytes().len() + 8 + 64;
    let most = 64_800 - overhead;
    let key = secret.public();
    let letter = seal(&writer, Recipient::Invite(&key), &vec![1; most]).unwrap();
    assert_eq!(letter.len(), 64_800);
    let past = seal(&writer, Recipient::Invite(&key), &vec![1; most + 1]);
    assert!(matches!(past, Err(Error::TooLarge { .. })));
}
