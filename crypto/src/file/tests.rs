//! Tests of sealed files: whole, in parts, cut, exchanged and changed.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use restante_spec::ids::BlobSize;
use restante_spec::limits::FILE_CHUNK_BYTES;
use zeroize::Zeroizing;

use super::*;
use crate::error::Error;

fn key(byte: u8) -> FileKey {
    FileKey::new(Zeroizing::new([byte; 32]))
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn pieces(sealed: &[u8]) -> Vec<&[u8]> {
    sealed.chunks(FILE_CHUNK_BYTES).collect()
}

/// Sizes at the bounds of padding and chunks: the smallest stream, one chunk, padding over several.
const SIZES: [usize; 9] = [0, 1, 1_016, 1_017, 63_480, 64_776, 64_777, 200_000, 1_100_000];

/// FIL-2, FIL-3: a file opens as it was sealed, whole and in any order of its chunks.
#[test]
fn files_round_trip() {
    for size in SIZES {
        let content = content(size);
        let sealed = key(1).seal(&content).unwrap();
        let layout = FileLayout::of_content(size as u64).unwrap();
        assert_eq!(sealed.len() as u64, layout.sealed_size().get());
        assert_eq!(key(1).open(&sealed).unwrap()[..], content[..]);
        for (chunk, piece) in pieces(&sealed).iter().enumerate().rev() {
            let chunk = u32::try_from(chunk).unwrap();
            let range = layout.content_range(chunk).unwrap();
            let opened = key(1).open_chunk(&layout, chunk, piece).unwrap();
            assert_eq!(opened[..], content[range.start as usize..range.end as usize]);
        }
    }
}

/// FIL-3: what a writer writes is what sealing at once gives, however the content comes.
#[test]
fn writer_seals_the_same_bytes() {
    for size in SIZES {
        let content = content(size);
        for step in [1_000, 64_776, size.max(1)] {
            let mut writer = SealedWriter::new(key(1), size as u64, Vec::new()).unwrap();
            content.chunks(step).for_each(|piece| writer.write_all(piece).unwrap());
            assert!(writer.finish().unwrap() == key(1).seal(&content).unwrap(), "{size} {step}");
        }
    }
}

/// A writer takes neither more nor less than was said, and says so.
#[test]
fn writer_holds_to_its_size() {
    for size in [0, 10, 64_776, 70_000] {
        let mut more = SealedWriter::new(key(1), size as u64, Vec::new()).unwrap();
        more.write_all(&content(size)).unwrap();
        let error = Error::from(more.write_all(b"x").unwrap_err());
        assert_eq!(error, Error::Malformed { what: "sealed file" });
        let mut less = SealedWriter::new(key(1), size as u64 + 1, Vec::new()).unwrap();
        less.write_all(&content(size)).unwrap();
        assert_eq!(less.finish().err(), Some(Error::Malformed { what: "sealed file" }));
    }
}

/// FIL-4: a reader gives the content from any place, and nothing behind its end.
#[test]
fn reader_reads_from_anywhere() {
    for size in SIZES {
        let content = content(size);
        let sealed = key(1).seal(&content).unwrap();
        let mut reader = SealedReader::open(key(1), Cursor::new(sealed)).unwrap();
        assert_eq!(reader.size(), size as u64);
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).unwrap();
        assert!(whole == content, "{size}");
        for start in [size, size / 2, size.saturating_sub(1), 64_776.min(size), 0] {
            reader.seek(SeekFrom::Start(start as u64)).unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert!(rest == content[start..], "{size} from {start}");
        }
        let place = reader.seek(SeekFrom::End(10)).unwrap();
        assert_eq!((place, reader.read(&mut [0; 4]).unwrap()), (size as u64 + 10, 0));
        assert!(reader.seek(SeekFrom::Current(-(place as i64) - 1)).is_err());
    }
}

/// FIL-4: a file that was cut, at a chunk or within one, or made longer, does not open, not even
/// its first chunk.
#[test]
fn cut_and_extended_files_are_refused() {
    let sealed = key(1).seal(&content(200_000)).unwrap();
    for size in [0, 1, 16, FILE_CHUNK_BYTES, FILE_CHUNK_BYTES * 3, sealed.len() - 1] {
        assert!(key(1).open(&sealed[..size]).is_err(), "{size}");
        assert!(SealedReader::open(key(1), Cursor::new(&sealed[..size])).is_err(), "{size}");
    }
    let longer = [&sealed[..], &[0; 16]].concat();
    assert!(key(1).open(&longer).is_err());
    // A size that is one of a sealed file, but not of this one.
    for other in [64_776, 300_000] {
        let layout = FileLayout::of_content(other).unwrap();
        let first = key(1).open_first(layout.sealed_size(), pieces(&sealed)[0]);
        assert_eq!(first.err(), Some(Error::Undecryptable));
    }
}

/// FIL-3: chunks cannot change places, nor come from another file, nor be changed.
#[test]
fn chunks_are_bound_to_their_place() {
    let layout = FileLayout::of_content(200_000).unwrap();
    let sealed = key(1).seal(&content(200_000)).unwrap();
    let other = key(2).seal(&content(200_000)).unwrap();
    let chunks = pieces(&sealed);
    for (at, piece) in chunks.iter().enumerate() {
        for place in 0..layout.chunks() {
            let opened = key(1).open_chunk(&layout, place, piece);
            assert_eq!(opened.is_ok(), place as usize == at, "{at} as {place}");
        }
        let mixed = key(1).open_chunk(&layout, at as u32, pieces(&other)[at]);
        assert_eq!(mixed, Err(Error::Undecryptable));
        for bit in [0, 7, piece.len() * 4, piece.len() * 8 - 1] {
            let mut changed = piece.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = key(1).open_chunk(&layout, at as u32, &changed);
            assert_eq!(opened, Err(Error::Undecryptable));
        }
    }
    let swapped = [chunks[1], chunks[0], chunks[2], chunks[3]].concat();
    assert_eq!(key(1).open(&swapped), Err(Error::Undecryptable));
    assert!(key(1).open_chunk(&layout, layout.chunks(), chunks[0]).is_err());
    // The last chunk of a file as the same chunk of a longer one.
    let longer = FileLayout::of_content(1_000_000).unwrap();
    assert!(key(1).open_chunk(&longer, 3, chunks[3]).is_err());
}

/// FIL-4: the holder of the key cannot hide anything in the padding, nor lie about the size.
#[test]
fn padding_and_size_are_checked() {
    let seal = |size: u64, padding: u8| {
        let mut stream = size.to_be_bytes().to_vec();
        stream.resize(1_024, padding);
        key(1).seal_stream(&stream).unwrap()
    };
    assert_eq!(key(1).open(&seal(9, 0)).unwrap()[..], [0; 9]);
    assert_eq!(key(1).open(&seal(9, 1)), Err(Error::BadPadding));
    assert_eq!(key(1).open(&seal(1_016, 1)).unwrap()[..], [1; 1_016]);
    for lie in [1_017, u64::from(u32::MAX), u64::MAX] {
        assert!(key(1).open(&seal(lie, 0)).is_err(), "{lie}");
    }
    let known = FileLayout::of_content(9).unwrap();
    assert_eq!(key(1).open_chunk(&known, 0, &seal(10, 0)), Err(Error::BadPadding));
}

/// FIL-1: every file has a key of its own, which shows nothing.
#[test]
fn keys_are_new_and_do_not_show() {
    let (a, b) = (FileKey::generate().unwrap(), FileKey::generate().unwrap());
    assert_ne!(a.as_bytes(), b.as_bytes());
    assert_eq!(format!("{a:?}"), "FileKey(SealKey(..))");
    let writer = SealedWriter::new(a, 3, Vec::new()).unwrap();
    assert!(!format!("{writer:?}").contains("[1"));
}

/// A content of another size than the chunk's is not sealed, and errors of the disk come through.
#[test]
fn misuse_is_refused() {
    let layout = FileLayout::of_content(9).unwrap();
    for size in [0, 8, 10] {
        assert!(key(1).seal_chunk(&layout, 0, &content(size)).is_err());
    }
    assert!(key(1).seal_chunk(&layout, 1, &[]).is_err());
    let mut disk = [0_u8; 100];
    let full = SealedWriter::new(key(1), 0, Cursor::new(disk.as_mut_slice())).unwrap();
    let kind = std::io::ErrorKind::WriteZero;
    assert_eq!(full.finish().err(), Some(Error::Io { kind }));
    assert!(key(1).open_first(BlobSize::new(7), &[0; 7]).is_err());
}
