//! Files that are sealed: attachments at rest and on their way, and what brings an account back.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::LazyLock;

use restante_crypto::{
    Error, FileKey, RecoveryHeader, RecoveryKind, RecoveryReader, RecoverySecret, RecoveryWords,
    RecoveryWriter, SealedReader, SealedWriter, spki_hash,
};
use restante_spec::limits::{RECOVERY_MEMORY_MAX_KIB, RECOVERY_PASSES_MAX};

use super::{Target, pieces, vectors, with_heads};

pub(super) const FILES: Target =
    Target { name: "files", run: run_files, seeds: file_seeds, changes: 300 };
pub(super) const RECOVERIES: Target =
    Target { name: "recoveries", run: run_recoveries, seeds: recovery_seeds, changes: 500 };

/// A sealed file of somebody else, and one that is sealed here: a content that is so often repeated
/// that it may have several chunks.
fn run_files(data: &[u8]) {
    let Some((times, data)) = data.split_first() else { return };
    opened(data);
    if let Some((place, content)) = data.split_first_chunk::<2>() {
        let content = content.repeat(1 + usize::from(times % 64));
        sealed(&content, 3 * usize::from(u16::from_be_bytes(*place)));
    }
}

/// The key of the vectors.
fn key() -> FileKey {
    FileKey::new([0x29; 32].into())
}

/// FIL-4: what opens at once is read the same piece by piece.
fn opened(sealed: &[u8]) {
    if let Ok(whole) = key().open(sealed) {
        let (content, is_all) = read(sealed);
        assert!(is_all && content == *whole, "FIL-4: it is read otherwise");
    }
}

/// What a reader gives, and whether that is all.
fn read(sealed: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    let opened = SealedReader::open(key(), Cursor::new(sealed));
    let is_all = opened.is_ok_and(|mut reader| reader.read_to_end(&mut content).is_ok());
    (content, is_all)
}

/// What was sealed is read from any place; cut or changed there it does not open, and no byte is
/// given that was not in it.
fn sealed(content: &[u8], place: usize) {
    let sealed = key().seal(content).expect("FIL-2: a small file");
    let mut writer = SealedWriter::new(key(), content.len() as u64, Vec::new());
    for piece in content.chunks(1 + place) {
        let writer = writer.as_mut().expect("FIL-2: a small file");
        writer.write_all(piece).expect("FIL-2: its content");
    }
    let written = writer.and_then(SealedWriter::finish);
    assert!(written.as_ref() == Ok(&sealed), "FIL-3: the same content is other bytes");
    let at = place % (content.len() + 1);
    let reader = SealedReader::open(key(), Cursor::new(&sealed));
    let mut reader = reader.expect("FIL-4: what was sealed opens");
    reader.seek(SeekFrom::Start(at as u64)).expect("a place");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("FIL-4: it is read to its end");
    assert!(rest == content[at..], "FIL-4: it is read otherwise from {at}");
    let at = place % sealed.len();
    assert!(key().open(&sealed[..at]).is_err(), "FIL-4: cut at {at} it opens");
    let mut changed = sealed.clone();
    changed[at] ^= 1 << (place % 8);
    assert!(key().open(&changed).is_err(), "FIL-3: changed at {at} it opens");
    assert!(content.starts_with(&read(&changed).0), "FIL-3: a changed byte is given");
}

fn file_seeds() -> Vec<Vec<u8>> {
    with_heads(&[0, 63], vectors("file", "sealed"))
}

/// Layout (REV-1): a header, and what its checksum is over.
const HEADER: usize = 78;
const SUMMED: usize = 70;

/// A recovery file under `words`, of the vectors.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let found = vectors("recovery", "file").into_iter().find(|file| segments(file).is_ok());
    found.expect("a file under these words")
});

/// The first byte says what is right of a file, whatever the rest is.
fn run_recoveries(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => header(data),
        1 => {
            let (summed, rest) = data.split_at(SUMMED.min(data.len()));
            header(&[summed, &spki_hash(summed).as_bytes()[..8], rest].concat());
        }
        2 => {
            let file = [&SOUND[..HEADER], data].concat();
            let is_refused = segments(&file).is_err();
            assert!(is_refused || file == *SOUND, "REV-4: other segments under its header");
        }
        _ => written(data),
    }
}

/// A header that is read stands alone, shows each change, and asks for no more than it may.
fn header(file: &[u8]) {
    let Ok(read) = RecoveryHeader::read(file) else { return };
    let header = &file[..HEADER];
    assert_eq!(RecoveryHeader::read(header).as_ref(), Ok(&read), "REV-1: what follows counts");
    for at in 0..HEADER {
        let mut changed = header.to_vec();
        changed[at] ^= 1;
        assert!(RecoveryHeader::read(&changed[..]).is_err(), "REV-1: a change at {at}");
    }
    let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let (memory, passes, lanes) = (number(10), number(14), number(18));
    assert!(memory <= RECOVERY_MEMORY_MAX_KIB, "REV-3: it asks for {memory} KiB");
    assert!(passes.max(lanes) <= RECOVERY_PASSES_MAX, "REV-3: it asks for {passes}, {lanes}");
    if read.kind() == RecoveryKind::Words {
        assert_eq!((memory, passes, lanes), (0, 0, 0), "REV-1: words have no cost");
        let _ = segments(file);
    }
}

/// REV-4: the segments that were written are read, in their order.
fn written(data: &[u8]) {
    let given: Vec<_> = pieces(data).into_iter().take(8).map(<[u8]>::to_vec).collect();
    if given.is_empty() {
        return;
    }
    let words = words();
    let writer = RecoveryWriter::new(&RecoverySecret::Words(&words), Vec::new());
    let mut writer = writer.expect("randomness");
    for segment in &given {
        writer.push(segment.clone().into()).expect("a small segment");
    }
    let file = writer.finish().expect("a small file");
    assert_eq!(segments(&file), Ok(given), "REV-4: what was written is read");
}

/// The segments of a file under `words`.
fn segments(mut file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let words = words();
    let key = RecoveryHeader::read(&mut file)?.unlock(&RecoverySecret::Words(&words))?;
    let mut reader = RecoveryReader::new(key, file)?;
    let mut segments = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        segments.push(segment.to_vec());
    }
    Ok(segments)
}

fn words() -> RecoveryWords {
    let words = format!("{}art", "abandon ".repeat(23));
    RecoveryWords::parse(&words).expect("REV-2: words that belong together")
}

fn recovery_seeds() -> Vec<Vec<u8>> {
    let files = vectors("recovery", "file");
    let without_sum = |file: &Vec<u8>| Some([file.get(..SUMMED)?, file.get(HEADER..)?].concat());
    let behind = files.iter().filter_map(|file| Some(file.get(HEADER..)?.to_vec()));
    let mut seeds = with_heads(&[2], behind.collect());
    seeds.extend(with_heads(&[1], files.iter().filter_map(without_sum).collect()));
    seeds.extend(with_heads(&[0], files));
    seeds.extend(with_heads(&[3], vec![b"\x01an account in segments".to_vec()]));
    seeds
}
