//! Letters, and what they need to be believed: device lists and cards.

use restante_crypto::{
    AccountKey, Card, CardGroup, DeviceCertificate, DeviceKey, DeviceList, DeviceNumber, Error,
    Invite, KemSecret, Letter, LetterPlace, Recipient, hazmat,
};
use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey, UnixTime};
use zeroize::Zeroizing;

use crate::cases::Case;

const OPENED: [&str; 3] = ["sender", "number", "content"];

pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    Ok([letters()?, lists()?, cards()?].concat())
}

fn device(account: u8, number: u8) -> Result<(DeviceKey, DeviceCertificate), Error> {
    let key = DeviceKey::from_seed(&[account * 16 + number; 32]);
    let (at, number) = (UnixTime::new(1_800_000_000), DeviceNumber::new(number.into()));
    let account = AccountKey::from_seed(&[account; 32]);
    let certificate = account.certify(&key.public(), number, at, "phone")?;
    Ok((key, certificate))
}

/// Account 2 with `count` devices; letter secrets are `[100 + number; 32]`.
fn list(count: u8) -> Result<DeviceList, Error> {
    let mut entries = Vec::new();
    for number in 1..=count {
        let (key, certificate) = device(2, number)?;
        let letter_key = KemSecret::from_seed(&[100 + number; 32]).public();
        entries.push((certificate, key.sign_letter_key(&letter_key, UnixTime::new(1))));
    }
    AccountKey::from_seed(&[2; 32]).sign_list(7, &entries)
}

fn letter(
    base: Case,
    recipient: Recipient<'_>,
    sender: &DeviceKey,
    content: &[u8],
) -> Result<Case, Error> {
    let (_, certificate) = device(1, 1)?;
    let certificate = &certificate;
    let place = LetterPlace { inbox: MailboxId::new([8; 16]), envelope: EnvelopeId::new([9; 16]) };
    let letter = Letter { sender, certificate, number: 42, recipient, place, content };
    Ok(base
        .with("inbox", place.inbox.as_bytes())
        .with("envelope", place.envelope.as_bytes())
        .with("letter", &hazmat::seal_letter(&letter, 11)?)
        .with("sender", certificate.as_bytes())
        .with("number", &letter.number.to_be_bytes())
        .with("content", content))
}

fn letters() -> Result<Vec<Case>, Error> {
    let (sender, _) = device(1, 1)?;
    let (one, eight) = (list(1)?, list(8)?);
    let account = *one.account().as_bytes();
    let to_account = |name, rule, comment, list: &DeviceList, secret: u8| {
        let base = Case::new("letter", name, rule, comment)
            .with("secret", &[secret; 32])
            .with("account", &account);
        letter(base, Recipient::Account(list), &sender, b"hello")
    };
    let good = to_account("one-device", "LET-1", "to an account with one device", &one, 101)?;
    let last = "to the eighth of eight devices";
    let last = to_account("eighth-device", "LET-3", last, &eight, 108)?;

    let invite = KemSecret::from_seed(&[120; 32]);
    let to_invite = |name, rule, comment, sender: &DeviceKey| {
        let base = Case::new("letter", name, rule, comment).with("secret", &[120; 32]);
        letter(base, Recipient::Invite(&invite.public()), sender, b"a first letter")
    };
    let first = to_invite("invite", "LET-2", "to the key of an invite", &sender)?;
    let forger = DeviceKey::from_seed(&[99; 32]);
    let forged = to_invite("forged", "LET-5", "another device signed", &forger)?;

    let slot = 1_168;
    let not_for_us = "not_for_us";
    let failing = vec![
        good.failing("other-secret", not_for_us, "no slot is sealed to this key")
            .set("secret", &[102; 32]),
        good.failing("other-account", not_for_us, "copied to another account's inbox")
            .rule("LET-4")
            .flip("account", 0),
        good.failing("other-inbox", not_for_us, "copied to another inbox")
            .rule("LET-4")
            .flip("inbox", 0),
        good.failing("other-envelope", not_for_us, "copied under another id")
            .rule("LET-4")
            .flip("envelope", 0),
        good.failing("flipped-slot", not_for_us, "the slot was changed").flip("letter", 50),
        good.failing("flipped-decoy", "undecryptable", "a slot of nobody was changed")
            .rule("LET-4")
            .flip("letter", 2 + slot + 50),
        good.failing("flipped-body", "undecryptable", "the body was changed")
            .flip("letter", 2 + 8 * slot + 24 + 100),
        good.failing("version", "unsupported", "a version that is not known").flip("letter", 0),
        good.failing("two-slots", "malformed", "a number of slots no letter has")
            .rule("LET-2")
            .set("letter", &[1, 2]),
        first
            .failing("invite-to-account", not_for_us, "an account's key opens no invite's letter")
            .with("account", &account),
        forged.failing("forged-sender", "bad_signature", "another device signed"),
    ];
    let mut cases: Vec<Case> = failing.into_iter().map(|case| case.without(&OPENED)).collect();
    cases.extend([good, last, first]);
    Ok(cases)
}

fn lists() -> Result<Vec<Case>, Error> {
    let list = list(2)?;
    let good = Case::new("letter", "device-list", "IDN-5", "two devices, version 7")
        .with("devices", list.as_bytes())
        .with("account", list.account().as_bytes())
        .with("fingerprint", list.account().fingerprint().as_bytes());
    let end = list.as_bytes().len() - 1;
    Ok(vec![
        good.failing("device-list-version", "bad_signature", "the version was changed")
            .flip("devices", 40),
        good.failing("device-list-certificate", "bad_signature", "a device's key was changed")
            .rule("IDN-3")
            .flip("devices", 42 + 2 + 1 + 32),
        good.failing("device-list-letter-key", "bad_signature", "a letter key was changed")
            .rule("IDN-8")
            .flip("devices", 42 + 2 + 147 + 8 + 1_200),
        good.failing("device-list-short", "malformed", "the last byte is missing")
            .set("devices", list.as_bytes().get(..end).unwrap_or_default()),
        good,
    ])
}

fn cards() -> Result<Vec<Case>, Error> {
    let (key, certificate) = device(1, 1)?;
    let relay = RelayAddress::new(PublicKey::new([12; 32]), "relay.example.org", 7443)
        .map_err(|_| Error::Internal { what: "the address" })?;
    let inbox = MailboxId::new([13; 16]);
    let make = |account: &DeviceCertificate| {
        let print = account.account().fingerprint();
        Invite::from_parts(relay.clone(), inbox, Zeroizing::new([14; 32]), print)
    };
    let invite = make(&certificate)?;
    let letter_key = KemSecret::from_seed(&[15; 32]).public();
    let said =
        Card { certificate, letter_key: letter_key.clone(), nick: "alice".to_owned(), group: None };
    let card = hazmat::seal_card(&invite, &key, &said, &[16; 24])?;
    let good = Case::new("letter", "card", "INV-4", "the card behind an invite's link")
        .with("link", invite.link().as_bytes())
        .with("card", &card)
        .with("write_key", invite.write_key()?.public().as_bytes())
        .with("letter_key", letter_key.as_bytes())
        .with("nick", b"alice");
    let opened = ["write_key", "letter_key", "nick"];
    let other = make(&device(2, 1)?.1)?;
    let stranger = DeviceKey::from_seed(&[99; 32]);
    let forged = hazmat::seal_card(&invite, &stranger, &said, &[16; 24])?;
    let (id, name) = ([17; 16], "friends".to_owned());
    let of_group = Card { group: Some(CardGroup { id, name }), ..said };
    let of_group = hazmat::seal_card(&invite, &key, &of_group, &[16; 24])?;
    Ok(vec![
        good.failing("card-changed", "undecryptable", "the relay changed the card")
            .flip("card", 100)
            .without(&opened),
        good.failing("card-of-another", "wrong_account", "the link names another account")
            .rule("INV-5")
            .set("link", other.link().as_bytes())
            .without(&opened),
        good.failing("card-forged", "bad_signature", "another device signed the letter key")
            .set("card", &forged)
            .without(&opened),
        good.clone()
            .rename("card-of-group", "the card behind a link to a group")
            .rule("INV-6")
            .set("card", &of_group)
            .with("group", &[17; 16])
            .with("group_name", b"friends"),
        good,
    ])
}
