//! JPEG (ITU-T T.81): segments, of which those stay that are needed to decode.

use image::metadata::Orientation;

use super::{Cleaned, turn};

// Layout: markers, the second byte of two.
const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const APP_JFIF: u8 = 0xe0;
const APP_EXIF: u8 = 0xe1;
const APP_ADOBE: u8 = 0xee;
/// Layout: a JFIF segment that says only that it is one: version 1.1, no density, no small picture.
const JFIF: &[u8] = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
/// Layout: what an EXIF segment begins with.
const EXIF: &[u8] = b"Exif\0\0";
/// Layout: an Adobe segment up to its last byte, which says what the colours are.
const ADOBE: &[u8] = b"Adobe\0\x64\0\0\0\0";

/// The picture without metadata and without what stands behind its end; `None` if it is none.
pub(super) fn clean(file: &[u8]) -> Option<Cleaned> {
    let mut rest = file.strip_prefix(&[0xff, START])?;
    let (mut kept, mut jfif, mut orientation) = (Vec::new(), false, None);
    loop {
        let (marker, behind) = next_marker(rest)?;
        if marker == END {
            break;
        }
        let (segment, behind) = cut_segment(behind)?;
        rest = behind;
        match marker {
            APP_JFIF if segment.starts_with(b"JFIF\0") => jfif = true,
            APP_EXIF if orientation.is_none() => {
                orientation = segment.strip_prefix(EXIF).map(turn::read);
            }
            APP_ADOBE if segment.starts_with(b"Adobe") => {
                let colours = [*segment.get(ADOBE.len())?];
                put(&mut kept, marker, &[ADOBE, &colours].concat())?;
            }
            // Frames, tables, scans, lines, restarts: what decoding needs.
            0xc0..=0xcf | SCAN | 0xdb..=0xdd => put(&mut kept, marker, segment)?,
            _ => {}
        }
        if marker == SCAN {
            let (scan, behind) = rest.split_at_checked(scan_size(rest))?;
            kept.extend_from_slice(scan);
            rest = behind;
        }
    }
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let mut bytes = vec![0xff, START];
    if jfif {
        put(&mut bytes, APP_JFIF, JFIF)?;
    }
    if let Some(exif) = turn::write(orientation) {
        put(&mut bytes, APP_EXIF, &[EXIF, &exif].concat())?;
    }
    bytes.extend(kept);
    bytes.extend([0xff, END]);
    Some(Cleaned { bytes, orientation })
}

/// The next marker, behind any number of fill bytes.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes.strip_prefix(&[0xff])?;
    while let Some(behind) = rest.strip_prefix(&[0xff]) {
        rest = behind;
    }
    rest.split_first().map(|(marker, behind)| (*marker, behind))
}

/// A segment behind its length, which counts itself.
fn cut_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)).checked_sub(2)?)
}

fn put(bytes: &mut Vec<u8>, marker: u8, segment: &[u8]) -> Option<()> {
    bytes.extend([0xff, marker]);
    bytes.extend(u16::try_from(segment.len() + 2).ok()?.to_be_bytes());
    bytes.extend_from_slice(segment);
    Some(())
}

/// Bytes of the coded picture up to the next marker: 0xff before a zero is a byte of it, and
/// restarts belong to it.
fn scan_size(bytes: &[u8]) -> usize {
    let is_marker = |pair: &[u8]| matches!(pair, [0xff, next] if !matches!(next, 0 | 0xd0..=0xd7));
    bytes.windows(2).position(is_marker).unwrap_or(bytes.len())
}
