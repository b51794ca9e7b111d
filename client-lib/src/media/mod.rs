//! Pictures before they are sent: what they say about their maker is taken out, and a small picture
//! is made (FIL-5, FIL-6).
//!
//! Knows JPEG, PNG, WebP and GIF as far as their metadata goes; must not know messages or files.
//! Pixels are never compressed anew: metadata is cut out of the file as it is.
//!
//! Colour profiles go too: they name screens and cameras. What was made for a wide gamut looks a
//! little paler without. How the picture is to be turned stays, as the one tag of a new EXIF block,
//! since turning the pixels would cost quality.

mod gif;
mod jpeg;
mod png;
mod thumbnail;
mod turn;
mod webp;

use std::fmt;

use image::ImageFormat;
use image::metadata::Orientation;

/// A picture as it may be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// The file, without metadata.
    pub bytes: Vec<u8>,
    /// Its media type (RFC 6838).
    pub media_type: &'static str,
    /// Pixels from left to right, as it is shown.
    pub width: u32,
    /// Pixels from top to bottom, as it is shown.
    pub height: u32,
    /// A JPEG of at most 160 pixels on each side and 8,192 bytes; `None` for a picture that is too
    /// large to be decoded, or cannot be.
    pub thumbnail: Option<Vec<u8>>,
}

/// Nothing can be taken out of the picture: it is damaged, of a kind that is not known here, or too
/// large to be held in memory. Ask the person whether to send it as a file, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what the picture says about its maker cannot be taken out: it is damaged, too large, or no \
     JPEG, PNG, WebP or GIF"
)]
pub struct PictureError;

/// A picture without metadata, and how it is to be turned.
#[derive(Debug)]
struct Cleaned {
    bytes: Vec<u8>,
    orientation: Orientation,
}

/// Prepares a JPEG, PNG, WebP or GIF to be sent; `None` for a file that is no picture, in which
/// nothing is changed.
///
/// # Errors
/// [`PictureError`] for a picture that is damaged or cut off, and for HEIF, AVIF, JPEG XL, TIFF and
/// the raw pictures of cameras.
pub fn prepare_image(file: &[u8]) -> Result<Option<PreparedImage>, PictureError> {
    let (format, cleaned) = match file {
        [0xff, 0xd8, 0xff, ..] => (ImageFormat::Jpeg, jpeg::clean(file)),
        [0x89, b'P', b'N', b'G', ..] => (ImageFormat::Png, png::clean(file)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            (ImageFormat::WebP, webp::clean(file))
        }
        [b'G', b'I', b'F', b'8', ..] => (ImageFormat::Gif, gif::clean(file)),
        // FIL-5: places and cameras stand in these too, and nothing here takes them out.
        _ if is_of_unknown_kind(file) => return Err(PictureError),
        _ => return Ok(None),
    };
    // FIL-5
    let Cleaned { bytes, orientation } = cleaned.ok_or(PictureError)?;
    let size = thumbnail::size_of(&bytes, format).ok_or(PictureError)?;
    let (width, height) = turn::turned(orientation, size);
    let thumbnail = thumbnail::make(&bytes, format, orientation);
    let media_type = format.to_mime_type();
    Ok(Some(PreparedImage { bytes, media_type, width, height, thumbnail }))
}

/// What other pictures begin with that name places and cameras: TIFF of both orders and sizes, the
/// raw pictures of some cameras, JPEG XL in its container.
const OTHERS: [&[u8]; 10] = [
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"FUJIFILM",
    b"\0\0\0\x0cJXL ",
];
/// What the brand begins with behind `ftyp`, of HEIF, AVIF and the raw pictures of Canon; films
/// have other brands.
const BRANDS: [&[u8]; 6] = [b"hei", b"hev", b"mif", b"msf", b"avi", b"crx"];

/// Whether the file is a picture that cannot be cleaned.
fn is_of_unknown_kind(file: &[u8]) -> bool {
    let brand = file.get(4..).and_then(|rest| rest.strip_prefix(b"ftyp"));
    OTHERS.iter().any(|head| file.starts_with(head))
        || brand.is_some_and(|brand| BRANDS.iter().any(|begin| brand.starts_with(begin)))
}

impl fmt::Debug for PreparedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedImage({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
