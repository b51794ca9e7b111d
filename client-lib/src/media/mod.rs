//! Pictures before they are sent: what they say about their maker is taken out, and a small picture
//! is made (FIL-5, FIL-6).
//!
//! Knows JPEG, PNG, WebP and GIF as far as their metadata goes; must not know messages or files. Pixels
//! are never compressed anew: metadata is cut out of the file as it is.
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

/// The file says that it is a picture and cannot be read as one, so nothing can be taken out of it:
/// it is damaged, or of a kind that is not known here. Ask the person whether to send it as a file,
/// as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the picture cannot be read, so what it says about its maker cannot be taken out; \
     JPEG, PNG, WebP and GIF can be"
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
/// [`PictureError`] for a picture that is damaged or cut off, and for HEIF, AVIF, JPEG XL and TIFF
/// with the raw pictures of cameras.
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

/// Whether the file is a picture that cannot be cleaned: HEIF or AVIF by the brands that begin so,
/// JPEG XL in its container, TIFF of either order and size.
fn is_of_unknown_kind(file: &[u8]) -> bool {
    match file {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            [&b"hei"[..], b"hev", b"mif", b"msf", b"avi", b"crx"]
                .iter()
                .any(|b| brand.starts_with(b))
        }
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => true,
        [b'I', b'I', 0x2a | 0x2b, 0, ..] | [b'M', b'M', 0, 0x2a | 0x2b, ..] => true,
        _ => false,
    }
}

impl fmt::Debug for PreparedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedImage({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
