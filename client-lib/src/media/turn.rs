//! How a picture is to be turned: the one thing of its EXIF that is kept.

use image::metadata::Orientation;

/// Reads the orientation of an EXIF block (a TIFF file).
pub(super) fn read(exif: &[u8]) -> Orientation {
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// An EXIF block that says how to turn and nothing else; `None` if there is nothing to turn.
///
/// Layout (TIFF 6.0): "MM", 42, place of the directory; one entry: tag 0x0112, of type SHORT, one
/// value; no other directory.
pub(super) fn write(orientation: Orientation) -> Option<Vec<u8>> {
    if orientation == Orientation::NoTransforms {
        return None;
    }
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.push(orientation.to_exif());
    exif.extend_from_slice(&[0; 6]);
    Some(exif)
}

/// Width and height after turning.
pub(super) const fn turned(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}
