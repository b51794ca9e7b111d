//! The small picture of a picture (FIL-6), decoded within bounds.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbImage};

use restante_spec::limits::THUMBNAIL_BYTES;

use crate::limits::{PICTURE_BYTES, PICTURE_PIXELS, THUMBNAIL_TRIES};

/// Width and height as they are stored; `None` if it is no picture.
pub(super) fn size_of(bytes: &[u8], format: ImageFormat) -> Option<(u32, u32)> {
    ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().ok()
}

/// A JPEG for those who see the message before they fetch the picture; `None` if the picture is too
/// large to be decoded here, or damaged behind its header.
pub(super) fn make(bytes: &[u8], format: ImageFormat, turn: Orientation) -> Option<Vec<u8>> {
    let (width, height) = size_of(bytes, format)?;
    // FIL-6
    if u64::from(width) * u64::from(height) > PICTURE_PIXELS {
        return None;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(PICTURE_BYTES);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    THUMBNAIL_TRIES.into_iter().find_map(|(pixels, quality)| {
        let mut small = shrink(&picture, pixels);
        small.apply_orientation(turn);
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, quality);
        on_white(&small).write_with_encoder(encoder).ok()?;
        (jpeg.len() <= THUMBNAIL_BYTES).then_some(jpeg)
    })
}

/// At most so many pixels on each side, and never larger than it was.
fn shrink(picture: &DynamicImage, pixels: u32) -> DynamicImage {
    if picture.width() <= pixels && picture.height() <= pixels {
        return picture.clone();
    }
    picture.thumbnail(pixels, pixels)
}

/// JPEG has no transparency: what is seen through is white.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let rgba = picture.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u32::from);
        let blend = |colour| (colour * alpha + 255 * (255 - alpha)) / 255;
        to.0 = [red, green, blue].map(|colour| u8::try_from(blend(colour)).unwrap_or(u8::MAX));
    }
    rgb
}
