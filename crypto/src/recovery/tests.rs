//! Tests of recovery files: opened, refused, cut and put together from others.

use std::io::Cursor;

use restante_spec::limits::{
    PASSPHRASE_BYTES, RECOVERY_MEMORY_MAX_KIB, RECOVERY_PASSES_MAX, SEGMENT_BYTES, SEGMENTS,
};
use zeroize::Zeroizing;

use super::header::HEADER;
use super::*;
use crate::error::Error;
use crate::signing::sha256;

/// Argon2id that takes no time.
const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

fn words(byte: u8) -> RecoveryWords {
    let entropy = bip39::Mnemonic::from_entropy(&[byte; 32]).unwrap();
    RecoveryWords::parse(&entropy.to_string()).unwrap()
}

fn file_of(secret: &RecoverySecret<'_>, salt: u8, segments: &[&[u8]]) -> Vec<u8> {
    let created = RecoveryHeader::create_with(secret, CHEAP, [salt; 32]).unwrap();
    let mut writer = RecoveryWriter::begin(created, Vec::new()).unwrap();
    for segment in segments {
        writer.push(Zeroizing::new(segment.to_vec())).unwrap();
    }
    writer.finish().unwrap()
}

fn read(file: &[u8], secret: &RecoverySecret<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut file = Cursor::new(file);
    let key = RecoveryHeader::read(&mut file)?.unlock(secret)?;
    let mut reader = RecoveryReader::new(key, file)?;
    let mut segments = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        segments.push(segment.to_vec());
    }
    Ok(segments)
}

/// REV-1, REV-4: what was put in comes out, with words and with a passphrase.
#[test]
fn files_round_trip() {
    let words = words(1);
    for secret in [RecoverySecret::Words(&words), RecoverySecret::Passphrase("correct horse")] {
        for segments in [&[&b"one"[..]][..], &[b"one", b"", &[7; 70_000]], &[b""]] {
            let file = file_of(&secret, 2, segments);
            assert_eq!(RecoveryHeader::read(&file[..]).unwrap().kind(), secret.kind());
            assert_eq!(read(&file, &secret).unwrap(), segments);
        }
    }
}

/// REV-2, REV-3: the program's own words and cost open what they made, and a file has a new salt.
#[test]
fn new_files_open() {
    let words = RecoveryWords::generate().unwrap();
    let mut files = Vec::new();
    for secret in [
        RecoverySecret::Words(&words),
        RecoverySecret::Words(&words),
        RecoverySecret::Passphrase("correct horse"),
    ] {
        let mut writer = RecoveryWriter::new(&secret, Vec::new()).unwrap();
        writer.push(Zeroizing::new(b"segment".to_vec())).unwrap();
        let file = writer.finish().unwrap();
        assert_eq!(read(&file, &secret).unwrap(), [b"segment"]);
        files.push(file);
    }
    assert_ne!(files[0], files[1]);
}

/// REV-4: another secret is told from a damaged file, whichever kind it is.
#[test]
fn wrong_secrets_are_told() {
    let (ours, theirs) = (words(1), words(2));
    let phrase = ours.phrase().unwrap();
    let by_words = file_of(&RecoverySecret::Words(&ours), 2, &[b"one"]);
    let by_passphrase = file_of(&RecoverySecret::Passphrase("correct horse"), 2, &[b"one"]);
    let cases = [
        (&by_words, RecoverySecret::Words(&theirs)),
        (&by_words, RecoverySecret::Passphrase(phrase.as_str())),
        (&by_passphrase, RecoverySecret::Passphrase("correct horses")),
        (&by_passphrase, RecoverySecret::Words(&ours)),
    ];
    for (file, secret) in cases {
        assert_eq!(read(file, &secret), Err(Error::WrongSecret));
    }
}

/// REV-3: a passphrase is the same however the keyboard composes its letters.
#[test]
fn passphrases_have_one_form() {
    let file = file_of(&RecoverySecret::Passphrase("caf\u{e9} \u{212b}"), 2, &[b"one"]);
    assert!(read(&file, &RecoverySecret::Passphrase("cafe\u{301} A\u{30a}")).is_ok());
}

/// REV-3: a passphrase of no size, or above its bound, is refused; at the bound it is taken, even
/// if it grows by being normalised.
#[test]
fn passphrases_are_bounded() {
    let create =
        |text: &str| RecoveryHeader::create_with(&RecoverySecret::Passphrase(text), CHEAP, [1; 32]);
    assert!(matches!(create(""), Err(Error::Malformed { what: "the passphrase" })));
    assert!(create(&"x".repeat(PASSPHRASE_BYTES)).is_ok());
    assert!(create(&"\u{fdfa}".repeat(PASSPHRASE_BYTES / 3)).is_ok());
    let past = create(&"x".repeat(PASSPHRASE_BYTES + 1));
    assert!(matches!(past, Err(Error::TooLarge { what: "the passphrase", .. })));
}

/// A header whose checksum is right although a byte of it is another.
fn with_header(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = sha256(&[&file[..HEADER - 8]]);
    file[HEADER - 8..HEADER].copy_from_slice(&sum[..8]);
    file
}

/// REV-3: a file cannot make its reader spend more than the bound; at the bound it may.
#[test]
fn hostile_costs_are_refused() {
    let secret = RecoverySecret::Passphrase("correct horse");
    let file = file_of(&secret, 2, &[b"one"]);
    for (at, max) in
        [(10, RECOVERY_MEMORY_MAX_KIB), (14, RECOVERY_PASSES_MAX), (18, RECOVERY_PASSES_MAX)]
    {
        let asked =
            |cost: u32| RecoveryHeader::read(&with_header(&file, at, &cost.to_be_bytes())[..]);
        assert!(asked(max).is_ok());
        for past in [max + 1, u32::MAX] {
            assert!(matches!(asked(past), Err(Error::TooLarge { .. })), "{at}");
        }
    }
    for at in [10, 14, 18] {
        let none = with_header(&file, at, &[0; 4]);
        let what = "cost of a recovery file";
        assert_eq!(read(&none, &secret), Err(Error::Malformed { what }), "{at}");
    }
}

/// REV-1: another file, a newer version, another kind and a damaged header are told apart.
#[test]
fn headers_are_checked() {
    let words = words(1);
    let secret = RecoverySecret::Words(&words);
    let file = file_of(&secret, 2, &[b"one"]);
    let found = |file: &[u8]| RecoveryHeader::read(file).err();
    assert_eq!(found(b"GIF89a"), Some(Error::Malformed { what: "recovery file" }));
    assert_eq!(
        found(&with_header(&file, 0, b"R")),
        Some(Error::Malformed { what: "recovery file" })
    );
    let what = "version of the recovery file";
    assert_eq!(found(&with_header(&file, 8, &[2])), Some(Error::Unsupported { what }));
    let what = "kind of recovery file";
    assert_eq!(found(&with_header(&file, 9, &[3])), Some(Error::Unsupported { what }));
    assert!(found(&with_header(&file, 13, &[1])).is_some(), "words have no cost");
    for at in 9..HEADER {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let what = "header of the recovery file";
        assert_eq!(found(&damaged), Some(Error::Malformed { what }), "{at}");
    }
    for size in 0..HEADER {
        assert!(found(&file[..size]).is_some());
    }
    // A header that was made anew: the keys are bound to it.
    assert_eq!(read(&with_header(&file, 22, &[9]), &secret), Err(Error::WrongSecret));
}

/// REV-4: no segment can be left out, moved, repeated, changed or taken from another file of the
/// same words, and a file cut behind any of them does not read to its end.
#[test]
fn segments_are_bound_to_file_and_place() {
    let words = words(1);
    let secret = RecoverySecret::Words(&words);
    let segments: [&[u8]; 3] = [b"one", b"two", b"three"];
    let file = file_of(&secret, 2, &segments);
    let other = file_of(&secret, 3, &segments);
    let (head, one, two, three) =
        (&file[..HEADER], segment(&file, 0), segment(&file, 1), segment(&file, 2));
    let put = |parts: &[&[u8]]| read(&parts.concat(), &secret);
    assert_eq!(put(&[head, one, two, three]).unwrap(), segments);
    let bad: [&[&[u8]]; 8] = [
        &[head, one, two],
        &[head, one],
        &[head, two, one, three],
        &[head, one, three],
        &[head, one, two, three, three],
        &[head, one, two, two, three],
        &[head, one, two, segment(&other, 2)],
        &[&other[..HEADER], one, two, three],
    ];
    for parts in bad {
        assert_eq!(put(parts), Err(Error::Undecryptable));
    }
    assert_eq!(put(&[head]), Err(Error::Malformed { what: "recovery file" }));
    for size in [HEADER + 1, HEADER + 3, HEADER + 500, file.len() - 1] {
        assert!(read(&file[..size], &secret).is_err(), "{size}");
    }
    for at in [HEADER, HEADER + 4, file.len() - 1] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(read(&changed, &secret).is_err(), "{at}");
    }
}

/// One of the three segments, with its size.
fn segment(file: &[u8], number: usize) -> &[u8] {
    let size = (file.len() - HEADER) / 3;
    &file[HEADER + number * size..HEADER + (number + 1) * size]
}

/// REV-1: a size no segment has is refused before anything is read for it.
#[test]
fn sizes_of_segments_are_bounded() {
    let words = words(1);
    let secret = RecoverySecret::Words(&words);
    let largest = vec![7; SEGMENT_BYTES];
    assert_eq!(read(&file_of(&secret, 2, &[&largest]), &secret).unwrap()[0], largest);
    let mut file = file_of(&secret, 2, &[b"one"]);
    file[HEADER..HEADER + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(read(&file, &secret), Err(Error::Malformed { what: "recovery file" }));
}

/// REV-1: a file has as many segments as an archive may have, and not one more, nor none.
#[test]
fn segments_are_counted() {
    let words = words(1);
    let secret = RecoverySecret::Words(&words);
    let mut writer = RecoveryWriter::new(&secret, std::io::sink()).unwrap();
    for _ in 0..SEGMENTS {
        writer.push(Zeroizing::new(Vec::new())).unwrap();
    }
    writer.push(Zeroizing::new(Vec::new())).unwrap();
    let past = writer.finish().err();
    assert!(matches!(past, Some(Error::TooLarge { what: "the recovery file", .. })), "{past:?}");
    let empty = RecoveryWriter::new(&secret, Vec::new()).unwrap().finish();
    assert_eq!(empty.err(), Some(Error::Malformed { what: "recovery file" }));
}

/// A full disk is told.
#[test]
fn failing_disks_are_told() {
    let words = words(1);
    let mut disk = [0; 100];
    let mut writer =
        RecoveryWriter::new(&RecoverySecret::Words(&words), disk.as_mut_slice()).unwrap();
    writer.push(Zeroizing::new(b"segment".to_vec())).unwrap();
    let kind = std::io::ErrorKind::WriteZero;
    assert_eq!(writer.finish().err(), Some(Error::Io { kind }));
}

/// Neither secrets nor keys show.
#[test]
fn secrets_do_not_show() {
    let words = words(1);
    assert_eq!(format!("{:?}", RecoverySecret::Words(&words)), "RecoverySecret(Words)");
    let passphrase = RecoverySecret::Passphrase("correct horse");
    assert_eq!(format!("{passphrase:?}"), "RecoverySecret(Passphrase)");
    let (_, key) = RecoveryHeader::create_with(&passphrase, CHEAP, [1; 32]).unwrap();
    assert!(format!("{key:?}").contains("SealKey(..)"));
}
