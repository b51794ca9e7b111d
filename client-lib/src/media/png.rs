//! PNG (ISO/IEC 15948): chunks, of which those stay that are needed to show it, moving or not.

use image::metadata::Orientation;

use super::{Cleaned, turn};

/// Layout: what a file begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Chunks that stay: the picture, its palette and transparency, its being sRGB, its movement.
const KEPT: [&[u8; 4]; 8] =
    [b"IHDR", b"PLTE", b"tRNS", b"sRGB", b"IDAT", b"acTL", b"fcTL", b"fdAT"];

/// The picture without metadata and without what stands behind its end; `None` if it is none.
pub(super) fn clean(file: &[u8]) -> Option<Cleaned> {
    let mut rest = file.strip_prefix(SIGNATURE)?;
    let (mut header, mut kept, mut orientation) = (None, Vec::new(), Orientation::NoTransforms);
    loop {
        let (length, behind) = rest.split_first_chunk()?;
        let (kind, behind) = behind.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (data, behind) = behind.split_at_checked(length)?;
        // The checksum is made anew.
        (_, rest) = behind.split_first_chunk::<4>()?;
        match kind {
            b"IEND" => break,
            b"IHDR" if header.is_none() => header = Some(data),
            b"eXIf" => orientation = turn::read(data),
            kind if KEPT.contains(&kind) => put(&mut kept, kind, data)?,
            _ => {}
        }
    }
    let mut bytes = SIGNATURE.to_vec();
    put(&mut bytes, b"IHDR", header?)?;
    if let Some(exif) = turn::write(orientation) {
        put(&mut bytes, b"eXIf", &exif)?;
    }
    bytes.extend(kept);
    put(&mut bytes, b"IEND", &[])?;
    Some(Cleaned { bytes, orientation })
}

fn put(bytes: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Option<()> {
    bytes.extend(u32::try_from(data.len()).ok()?.to_be_bytes());
    let checked = [kind, data].concat();
    bytes.extend_from_slice(&checked);
    bytes.extend(crc32fast::hash(&checked).to_be_bytes());
    Some(())
}
