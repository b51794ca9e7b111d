//! WebP (RFC 9649): chunks in a RIFF file, of which those stay that are needed to show it.

use image::metadata::Orientation;

use super::{Cleaned, turn};

// Layout: the flags of a VP8X chunk.
const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
const MOVING: u8 = 0x02;
/// Layout: bytes of a frame before its chunks.
const FRAME: usize = 16;

/// The picture without metadata and without what stands behind its end; `None` if it is none.
pub(super) fn clean(file: &[u8]) -> Option<Cleaned> {
    let (size, rest) = file.strip_prefix(b"RIFF")?.split_first_chunk()?;
    let body = rest.get(..usize::try_from(u32::from_le_bytes(*size)).ok()?)?;
    let mut rest = body.strip_prefix(b"WEBP")?;
    let (mut extended, mut kept, mut orientation) = (None, Vec::new(), Orientation::NoTransforms);
    while !rest.is_empty() {
        let (kind, data, behind) = cut_chunk(rest)?;
        rest = behind;
        match kind {
            b"VP8X" if extended.is_none() => extended = Some(data.split_first_chunk::<10>()?.0),
            b"EXIF" => orientation = turn::read(data.strip_prefix(b"Exif\0\0").unwrap_or(data)),
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" => put(&mut kept, kind, data)?,
            b"ANMF" => put(&mut kept, kind, &clean_frame(data)?)?,
            _ => {}
        }
    }
    // Without VP8X there is no place for EXIF, so nothing to turn.
    let exif = extended.and_then(|_| turn::write(orientation));
    let mut bytes = b"WEBP".to_vec();
    if let Some([flags, _, _, _, size @ ..]) = extended {
        let told = if exif.is_some() { EXIF } else { 0 };
        let flags = (flags & (ALPHA | MOVING)) | told;
        put(&mut bytes, b"VP8X", &[&[flags, 0, 0, 0], &size[..]].concat())?;
    }
    bytes.extend(kept);
    if let Some(exif) = &exif {
        put(&mut bytes, b"EXIF", exif)?;
    }
    let size = u32::try_from(bytes.len()).ok()?.to_le_bytes();
    let orientation = if exif.is_some() { orientation } else { Orientation::NoTransforms };
    Some(Cleaned { bytes: [b"RIFF", &size[..], &bytes].concat(), orientation })
}

/// A frame of a moving picture, with the chunks of its picture only.
fn clean_frame(frame: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = frame.split_at_checked(FRAME)?;
    let mut kept = head.to_vec();
    while !rest.is_empty() {
        let (kind, data, behind) = cut_chunk(rest)?;
        rest = behind;
        if matches!(kind, b"VP8 " | b"VP8L" | b"ALPH") {
            put(&mut kept, kind, data)?;
        }
    }
    Some(kept)
}

/// Kind and data of a chunk, which is filled up to an even size.
fn cut_chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first_chunk::<4>()?;
    let (size, rest) = rest.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let (data, rest) = rest.split_at_checked(size)?;
    let rest = if size.is_multiple_of(2) { rest } else { rest.get(1..).unwrap_or_default() };
    Some((kind, data, rest))
}

fn put(bytes: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Option<()> {
    bytes.extend_from_slice(kind);
    bytes.extend(u32::try_from(data.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(data);
    if !data.len().is_multiple_of(2) {
        bytes.push(0);
    }
    Some(())
}
