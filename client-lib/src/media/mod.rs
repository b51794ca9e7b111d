//! Pictures before they are sent: what they say about their maker is taken out, and a small picture
//! is made (FIL-5, FIL-6).
//!
//! Knows JPEG, PNG and WebP as far as their metadata goes; must not know messages or files. Pixels
//! are never compressed anew: metadata is cut out of the file as it is.
//!
//! Colour profiles go too: they name screens and cameras. What was made for a wide gamut looks a
//! little paler without. How the picture is to be turned stays, as the one tag of a new EXIF block,
//! since turning the pixels would cost quality.

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

/// The file says that it is a picture and cannot be read as one, so nothing can be taken out of it.
/// Ask the person whether to send it as a file, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the picture cannot be read, so what it says about its maker cannot be taken out")]
pub struct PictureError;

/// A picture without metadata, and how it is to be turned.
#[derive(Debug)]
struct Cleaned {
    bytes: Vec<u8>,
    orientation: Orientation,
}

/// Prepares a JPEG, PNG or WebP to be sent; `None` for any other file, in which nothing is changed.
///
/// # Errors
/// [`PictureError`] for a picture that is damaged or cut off.
pub fn prepare_image(file: &[u8]) -> Result<Option<PreparedImage>, PictureError> {
    let (format, cleaned) = match file {
        [0xff, 0xd8, 0xff, ..] => (ImageFormat::Jpeg, jpeg::clean(file)),
        [0x89, b'P', b'N', b'G', ..] => (ImageFormat::Png, png::clean(file)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            (ImageFormat::WebP, webp::clean(file))
        }
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

impl fmt::Debug for PreparedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedImage({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
