//! Recovery files with an archive in them, under 24 words and under a passphrase.

use std::error::Error;

use restante_crypto::{RecoverySecret, RecoveryWords, hazmat};
use restante_spec::archive::{Account, Head, Purpose, Record, SegmentWriter, Tombstone};
use restante_spec::content::{LogPosition, UnixMillis};
use restante_spec::ids::{ContactName, ConversationId, EnvelopeId, MailboxId, PublicKey, Seq};
use zeroize::Zeroizing;

use crate::cases::Case;

/// KiB, passes and lanes: far too low for people, so that checking takes no time.
const COST: (u32, u32, u32) = (64, 2, 1);
const SALT: [u8; 32] = [51; 32];
const PASSPHRASE: &str = "caf\u{e9} correct horse battery staple";
/// Layout: where the header ends and the first segment's size begins.
const HEADER: usize = 78;

/// What stands in a segment.
type Segment = Zeroizing<Vec<u8>>;

pub(crate) fn cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let words = RecoveryWords::parse(&format!("{}art", "abandon ".repeat(23)))?;
    let secret = RecoverySecret::Words(&words);
    let [first, second] = segments()?;
    let file = |salt| hazmat::recovery_file(&secret, COST, salt, &[&first, &second]);
    let good = file(SALT)?;
    let by_words = Case::new("recovery", "words", "REV-2", "an account in two segments, 24 words")
        .with("words", words.phrase()?.as_bytes())
        .with("file", &good)
        .with("segments", &[first.as_slice(), second.as_slice()].concat());
    let passphrase = RecoverySecret::Passphrase(PASSPHRASE);
    let by_passphrase =
        Case::new("recovery", "passphrase", "REV-3", "one segment, a passphrase that is composed")
            .with("passphrase", PASSPHRASE.replace('\u{e9}', "e\u{301}").as_bytes())
            .with("file", &hazmat::recovery_file(&passphrase, COST, SALT, &[&first])?)
            .with("segments", &first);
    let mut cases = damaged_files(&by_words, &good, &file([52; 32])?);
    cases.extend(wrong_words(&by_words));
    let too_much = resummed(&good, 9, &[2, 0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
    cases.push(
        by_passphrase
            .failing("too-much-memory", "too_large", "asks for a KiB more than a reader may spend")
            .set("file", &too_much)
            .without(&["segments"]),
    );
    cases.push(
        by_passphrase
            .failing("wrong-passphrase", "wrong_secret", "one letter is another")
            .rule("REV-4")
            .flip("passphrase", 9),
    );
    cases.extend([by_words, by_passphrase]);
    Ok(cases)
}

/// Files that are not whole, are two, or are none.
fn damaged_files(good: &Case, file: &[u8], other: &[u8]) -> Vec<Case> {
    let half = HEADER + (file.len() - HEADER) / 2;
    let part = |file: &[u8], range| file.get::<std::ops::Range<usize>>(range).map(<[u8]>::to_vec);
    let part = |file, range| part(file, range).unwrap_or_default();
    let header = part(file, 0..HEADER);
    let (one, two) = (part(file, HEADER..half), part(file, half..file.len()));
    let strange = part(other, half..other.len());
    let mut damaged = file.to_vec();
    damaged.splice(30..31, [0]);
    let bad = "undecryptable";
    let cut = [&header[..], &one].concat();
    [
        ("cut-behind-a-segment", bad, "the last segment is missing", "REV-4", cut.clone()),
        ("turned", bad, "segments changed places", "REV-4", [&header[..], &two, &one].concat()),
        ("mixed", bad, "the end of another file", "REV-4", [&cut[..], &strange].concat()),
        ("no-segment", "malformed", "only the header", "REV-1", header),
        ("damaged-header", "malformed", "a byte is another", "REV-1", damaged),
        ("newer", "unsupported", "version 2", "REV-1", resummed(file, 8, &[2])),
        ("another-file", "malformed", "begins otherwise", "REV-1", b"restaurant".to_vec()),
    ]
    .map(|(name, expect, comment, rule, file)| {
        good.failing(name, expect, comment).rule(rule).set("file", &file).without(&["segments"])
    })
    .to_vec()
}

/// Words that are not those of the file, or none at all.
fn wrong_words(good: &Case) -> Vec<Case> {
    let abandon = |count, end| format!("{}{end}", "abandon ".repeat(count));
    let others = format!("{}vote", "zoo ".repeat(23));
    [
        ("wrong-words", "wrong_secret", "the words of another file", "REV-4", others),
        (
            "exchanged-word",
            "words_differ",
            "the checksum does not fit",
            "REV-2",
            abandon(22, "ability art"),
        ),
        (
            "unknown-word",
            "unknown_word",
            "a word that is not in the list",
            "REV-2",
            abandon(22, "restante art"),
        ),
        ("23-words", "word_count", "one word is missing", "REV-2", abandon(22, "art")),
    ]
    .map(|(name, expect, comment, rule, words)| {
        good.failing(name, expect, comment).rule(rule).set("words", words.as_bytes())
    })
    .to_vec()
}

/// A file with other bytes in its header, and a checksum that fits them.
fn resummed(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file.splice(at..at + bytes.len(), bytes.iter().copied());
    let sum = hazmat::recovery_sum(file.get(..HEADER - 8).unwrap_or_default());
    file.splice(HEADER - 8..HEADER, sum);
    file
}

/// Two segments, whose sealed files are of one size: head and account, and a tombstone.
fn segments() -> Result<[Segment; 2], Box<dyn Error>> {
    let account = PublicKey::new([53; 32]);
    let head = Head {
        purpose: Purpose::Recovery,
        account,
        made: UnixMillis::new(1_800_000_000_000),
        conversations: 0,
        messages: 0,
    };
    let mut first = SegmentWriter::first(&head);
    let record = Record::Account(Box::new(Account {
        seed: Zeroizing::new([54; 32]),
        nick: "alice".into(),
        devices: vec![55; 8],
        next_device: 3,
        relay: "restante://NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY@relay.example.org:7443"
            .parse()?,
        inbox: MailboxId::new([56; 16]),
        manage_key: Zeroizing::new([57; 32]),
    }));
    first.push(&record)?;
    let mut second = SegmentWriter::following(Purpose::Recovery);
    second.push(&Record::Tombstone(Tombstone {
        conversation: ConversationId::new([58; 16]),
        id: EnvelopeId::new([59; 16]),
        position: LogPosition { generation: 1, seq: Seq::new(60) },
        author: Some(ContactName::new([61; 16])),
        by: None,
        at: UnixMillis::new(1_800_000_000_000),
    }))?;
    Ok([first.finish(), second.finish()])
}
