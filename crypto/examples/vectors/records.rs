//! Records, live ones too, and the padding ladder.

use restante_crypto::{
    DeviceKey, Error, LeafNumber, LiveKey, LiveSender, RecordKey, RecordPlace, hazmat, pad,
};
use restante_spec::ids::{EnvelopeId, Epoch, MailboxId};
use restante_spec::message::EnvelopeClass;
use zeroize::Zeroizing;

use crate::cases::Case;

const KEY: [u8; 32] = [21; 32];
const NONCE: [u8; 24] = [22; 24];

pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    Ok([records()?, live()?, paddings()?].concat())
}

fn place(class: EnvelopeClass) -> RecordPlace {
    RecordPlace {
        mailbox: MailboxId::new([23; 16]),
        epoch: Epoch::new([24; 8]),
        envelope: EnvelopeId::new([25; 16]),
        class,
    }
}

fn case(
    name: &'static str,
    comment: &'static str,
    class: u8,
    record: &[u8],
    device: &DeviceKey,
) -> Case {
    let place = place(EnvelopeClass::Normal);
    Case::new("record", name, "REC-1", comment)
        .with("key", &KEY)
        .with("mailbox", place.mailbox.as_bytes())
        .with("epoch", place.epoch.as_bytes())
        .with("envelope", place.envelope.as_bytes())
        .with("class", &[class])
        .with("device", device.public().as_bytes())
        .with("record", record)
}

fn records() -> Result<Vec<Case>, Error> {
    let device = DeviceKey::from_seed(&[26; 32]);
    let key = RecordKey::new(Zeroizing::new(KEY));
    let sealed = |class, message: &[u8]| {
        let leaf = LeafNumber::new(3);
        hazmat::seal_record(&key, &place(class), leaf, &device, message, &NONCE)
    };
    let opened = |case: Case, message: &[u8]| {
        case.with("leaf", &3_u32.to_be_bytes()).with("message", message)
    };
    let message = [27; 145];
    let record = sealed(EnvelopeClass::Normal, &message)?;
    let base = case("normal", "an MLS message in the second step", 1, &record, &device);
    let mut cases = Vec::new();
    for (name, comment, size) in [
        ("first-step", "the most that fits 256 bytes", 144),
        ("third-step", "the least that needs 5,120 bytes", 913),
    ] {
        let message = vec![28; size];
        let record = sealed(EnvelopeClass::Normal, &message)?;
        cases.push(opened(case(name, comment, 1, &record, &device), &message).rule("REC-3"));
    }
    let quiet = sealed(EnvelopeClass::Quiet, &message)?;
    cases.push(opened(case("quiet", "of the class quiet", 2, &quiet, &device), &message));

    let bad = "undecryptable";
    for (name, comment, field) in [
        ("other-mailbox", "copied to another conversation", "mailbox"),
        ("other-epoch", "named under another epoch", "epoch"),
        ("other-envelope", "copied under another id", "envelope"),
        ("other-class", "marked as another class", "class"),
        ("other-key", "opened with another key", "key"),
        ("flipped-record", "one bit of the record changed", "record"),
    ] {
        cases.push(base.failing(name, bad, comment).rule("REC-2").flip(field, 0));
    }
    let stranger = DeviceKey::from_seed(&[29; 32]).public();
    cases.push(
        base.failing("other-device", "bad_signature", "signed by another member's device")
            .rule("REC-4")
            .set("device", stranger.as_bytes()),
    );
    let class = EnvelopeClass::Normal;
    let mut padded = pad(&[0; 68], 40)?;
    if let Some(last) = padded.last_mut() {
        *last = 1;
    }
    let dirty = hazmat::seal_padded_record(&KEY, &place(class), &padded, &NONCE)?;
    let short = pad(&[0; 68], 40)?;
    let short = short.get(..100).unwrap_or_default();
    let off = hazmat::seal_padded_record(&KEY, &place(class), short, &NONCE)?;
    cases.push(
        base.failing("dirty-padding", "bad_padding", "a byte of the padding is not zero")
            .rule("REC-3")
            .set("record", &dirty),
    );
    cases.push(
        base.failing("no-step", "bad_padding", "a size that is no step of the ladder")
            .rule("REC-3")
            .set("record", &off),
    );
    cases.push(
        base.failing("too-short", "malformed", "shorter than its nonce").set("record", &[1; 23]),
    );
    cases.push(opened(base, &message));
    Ok(cases)
}

fn live() -> Result<Vec<Case>, Error> {
    let device = DeviceKey::from_seed(&[26; 32]);
    let key = LiveKey::new(Zeroizing::new(KEY));
    let place = place(EnvelopeClass::Live);
    let sender = LiveSender { leaf: LeafNumber::new(3), device: &device, counter: 9 };
    let sealed = |content: &[u8]| hazmat::seal_live(&key, &place, &sender, content, &NONCE);
    let case = |name, comment, content: &[u8]| {
        let case = Case::new("live", name, "LIV-1", comment)
            .with("key", &KEY)
            .with("mailbox", place.mailbox.as_bytes())
            .with("epoch", place.epoch.as_bytes())
            .with("envelope", place.envelope.as_bytes())
            .with("device", device.public().as_bytes())
            .with("record", &sealed(content)?);
        Ok::<_, Error>(case)
    };
    let opened = |case: Case, content: &[u8]| {
        case.with("leaf", &3_u32.to_be_bytes())
            .with("counter", &9_u64.to_be_bytes())
            .with("content", content)
    };
    let base = case("first-step", "the most that fits 256 bytes", &[27; 136])?;
    let second = case("second-step", "one byte more", &[27; 137])?;
    let mut cases = vec![opened(second, &[27; 137])];
    for (name, comment, field) in [
        ("other-mailbox", "copied to another conversation", "mailbox"),
        ("other-epoch", "named under another epoch", "epoch"),
        ("other-envelope", "copied under another id", "envelope"),
        ("other-key", "opened with the key of another epoch", "key"),
        ("flipped-record", "one bit of the record changed", "record"),
    ] {
        cases.push(base.failing(name, "undecryptable", comment).rule("LIV-2").flip(field, 0));
    }
    let stranger = DeviceKey::from_seed(&[29; 32]).public();
    cases.push(
        base.failing("other-device", "bad_signature", "signed by another member's device")
            .rule("LIV-3")
            .set("device", stranger.as_bytes()),
    );
    let stored = RecordKey::new(Zeroizing::new(KEY));
    let record = hazmat::seal_record(&stored, &place, sender.leaf, &device, &[27; 8], &NONCE)?;
    cases.push(
        base.failing("stored-as-live", "undecryptable", "a record of the log is no live one")
            .rule("LIV-2")
            .set("record", &record),
    );
    cases.push(
        base.failing("too-short", "malformed", "shorter than its nonce").set("record", &[1; 23]),
    );
    cases.push(opened(base, &[27; 136]));
    Ok(cases)
}

fn paddings() -> Result<Vec<Case>, Error> {
    let make = |name, comment, size: usize| {
        let content = vec![31; size];
        pad(&content, 40).map(|padded| {
            Case::new("padding", name, "REC-3", comment)
                .with("overhead", &40_u32.to_be_bytes())
                .with("padded", &padded)
                .with("content", &content)
        })
    };
    let good = make("short", "five bytes in the first step", 5)?;
    let bad = "bad_padding";
    let mut beyond = pad(&[31; 5], 40)?;
    beyond.splice(..4, [0, 0, 1, 0]);
    Ok(vec![
        make("empty", "no content at all", 0)?,
        make("first-step-full", "the first step to its last byte", 212)?,
        make("second-step", "one byte more takes the second step", 213)?,
        make("third-step", "one byte more than the second step", 981)?,
        good.failing("dirty", bad, "a byte behind the content is not zero")
            .flip("padded", 215)
            .without(&["content"]),
        good.failing("beyond", bad, "the length points behind the end")
            .set("padded", &beyond)
            .without(&["content"]),
        good.failing("no-step", bad, "the sealed size is no step")
            .set("overhead", &41_u32.to_be_bytes())
            .without(&["content"]),
        good.failing("no-length", bad, "shorter than the length itself")
            .set("padded", &[0; 3])
            .set("overhead", &253_u32.to_be_bytes())
            .without(&["content"]),
        good,
    ])
}
