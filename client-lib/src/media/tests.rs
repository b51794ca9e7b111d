//! Tests of pictures: nothing that tells of a place, a time or a camera is left in what is sent.

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbImage};

use super::*;
use restante_spec::limits::THUMBNAIL_BYTES;

use crate::limits::PICTURE_PIXELS;

/// 52 degrees 31' 12.34" and 13 degrees 24' 17.89", as EXIF writes them.
const LATITUDE: [u32; 6] = [52, 1, 31, 1, 1_234, 100];
const LONGITUDE: [u32; 6] = [13, 1, 24, 1, 1_789, 100];

/// What must not be found in anything that is sent.
const TELLING: [&[u8]; 8] = [
    b"GPSLatitude",
    b"Restante Camera",
    b"2026:01:02 03:04:05",
    b"x:xmpmeta",
    b"Photoshop",
    b"a comment",
    b"a profile of my screen",
    b"behind the end",
];

fn numbers(values: [u32; 6]) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// An EXIF block with orientation, camera, time and place.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        let head = [tag.to_be_bytes(), kind.to_be_bytes()].concat();
        [&head[..], &count.to_be_bytes(), &value].concat()
    };
    let at = |place: u32| place.to_be_bytes();
    // The directory has 4 entries and ends at 62, that of the place has 4 and ends at 116.
    let camera = b"Restante Camera\0";
    let time = b"2026:01:02 03:04:05\0";
    [
        &b"MM\0\x2a\0\0\0\x08\0\x04"[..],
        &entry(0x010f, 2, 16, at(116)),
        &entry(0x0112, 3, 1, [0, orientation, 0, 0]),
        &entry(0x0132, 2, 20, at(132)),
        &entry(0x8825, 4, 1, at(62)),
        &[0; 4],
        b"\0\x04",
        &entry(1, 2, 2, *b"N\0\0\0"),
        &entry(2, 5, 3, at(152)),
        &entry(3, 2, 2, *b"E\0\0\0"),
        &entry(4, 5, 3, at(176)),
        &[0; 4],
        camera,
        time,
        &numbers(LATITUDE),
        &numbers(LONGITUDE),
    ]
    .concat()
}

/// An XMP block that names the place too.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta exif:GPSLatitude=\"52,31.2N\"/>";

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]))
}

/// A picture that nothing compresses.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    RgbImage::from_fn(width, height, |_, _| image::Rgb([next(), next(), next()]))
}

fn encoded(picture: &RgbImage, encoder: impl ImageEncoder) {
    let (width, height) = picture.dimensions();
    encoder.write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
}

fn jpeg_of(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoded(picture, JpegEncoder::new_with_quality(&mut bytes, 90));
    bytes
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let size = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &size[..], data].concat()
}

/// A JPEG with everything that a camera and an editor put into one.
fn telling_jpeg(orientation: u8, picture: &RgbImage) -> Vec<u8> {
    let plain = jpeg_of(picture);
    [
        &plain[..2],
        &segment(0xe1, &[b"Exif\0\0", &exif(orientation)[..]].concat()),
        &segment(0xe1, XMP),
        &segment(0xe2, b"ICC_PROFILE\0\x01\x01a profile of my screen"),
        &segment(0xe5, b"2026:01:02 03:04:05"),
        &segment(0xed, b"Photoshop 3.0\08BIM GPSLatitude"),
        &segment(0xfe, b"a comment"),
        &[0xff, 0xff],
        &plain[2..],
        b"behind the end",
        &jpeg_of(picture),
    ]
    .concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checked = [kind, data].concat();
    let size = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&size[..], &checked, &crc32fast::hash(&checked).to_be_bytes()].concat()
}

fn telling_png(orientation: u8, picture: &RgbImage) -> Vec<u8> {
    let mut plain = Vec::new();
    encoded(picture, PngEncoder::new(&mut plain));
    let (head, rest) = plain.split_at(33);
    [
        head,
        &chunk(b"iCCP", b"a profile of my screen\0\0x"),
        &chunk(b"eXIf", &exif(orientation)),
        &chunk(b"tEXt", b"Comment\0a comment"),
        &chunk(b"iTXt", XMP),
        &chunk(b"tIME", b"\x07\xea\x01\x02\x03\x04\x05"),
        &chunk(b"prVt", b"Restante Camera"),
        rest,
        b"behind the end",
    ]
    .concat()
}

fn riff(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap().to_le_bytes();
    [kind, &size[..], data, &[0][..data.len() % 2]].concat()
}

fn telling_webp(orientation: u8, picture: &RgbImage) -> Vec<u8> {
    let mut plain = Vec::new();
    encoded(picture, WebPEncoder::new_lossless(&mut plain));
    let (width, height) = picture.dimensions();
    let place = |side: u32| (side - 1).to_le_bytes();
    let size = [&place(width)[..3], &place(height)[..3]].concat();
    let body = [
        &b"WEBP"[..],
        &riff(b"VP8X", &[&[0x2c, 0, 0, 0], &size[..]].concat()),
        &riff(b"ICCP", b"a profile of my screen"),
        &plain[12..],
        &riff(b"EXIF", &exif(orientation)),
        &riff(b"XMP ", XMP),
        &riff(b"prVt", b"Restante Camera"),
    ]
    .concat();
    let size = u32::try_from(body.len()).unwrap().to_le_bytes();
    [b"RIFF", &size[..], &body, b"behind the end"].concat()
}

/// A GIF, which says nothing about its being turned.
fn telling_gif(_: u8, picture: &RgbImage) -> Vec<u8> {
    let mut plain = Vec::new();
    let (width, height) = picture.dimensions();
    let mut encoder = GifEncoder::new(&mut plain);
    encoder.encode(picture.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
    drop(encoder);
    let blocks = |parts: &[&[u8]]| {
        let sized = parts.iter().map(|part| [&[part.len() as u8], *part].concat());
        [sized.collect::<Vec<_>>().concat(), vec![0]].concat()
    };
    let extension = |label: u8, parts: &[&[u8]]| [&[b'!', label], &blocks(parts)[..]].concat();
    let colours = 13 + if plain[10] & 0x80 == 0 { 0 } else { 3 << ((plain[10] & 7) + 1) };
    [
        &plain[..colours],
        &extension(0xfe, &[b"a comment", b"2026:01:02 03:04:05"]),
        &extension(0xff, &[b"XMP DataXMP", XMP, &exif(1)]),
        &extension(0xff, &[b"NETSCAPE2.0", &[1, 7, 0], b"Restante Camera"]),
        &extension(0x01, &[&[0; 12], b"Photoshop"]),
        &extension(0xff, &[b"ICCRGBG1012", b"a profile of my screen"]),
        &plain[colours..],
        b"behind the end",
    ]
    .concat()
}

type Maker = fn(u8, &RgbImage) -> Vec<u8>;
const MAKERS: [(Maker, &str); 4] = [
    (telling_jpeg, "image/jpeg"),
    (telling_png, "image/png"),
    (telling_webp, "image/webp"),
    (telling_gif, "image/gif"),
];

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn prepared(file: &[u8]) -> PreparedImage {
    prepare_image(file).unwrap().unwrap()
}

fn decoded(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
}

/// FIL-5: neither place nor time nor camera nor words are left, and the pixels are the same.
#[test]
fn pictures_tell_nothing_but_themselves() {
    for (make, media_type) in MAKERS {
        for orientation in [1, 6] {
            let file = make(orientation, &picture(37, 21));
            assert!(contains(&file, &numbers(LATITUDE)) && contains(&file, TELLING[0]));
            let sent = prepared(&file);
            assert_eq!(sent.media_type, media_type);
            for part in TELLING.into_iter().chain([&numbers(LATITUDE)[..], &numbers(LONGITUDE)]) {
                assert!(!contains(&sent.bytes, part), "{media_type} {part:?}");
                assert!(!contains(sent.thumbnail.as_ref().unwrap(), part));
            }
            assert_eq!(decoded(&sent.bytes).to_rgb8(), decoded(&file).to_rgb8());
            assert_eq!(prepared(&sent.bytes), sent, "what is clean stays as it is");
        }
    }
}

/// FIL-5: a picture is shown turned as its maker saw it, and its size is told so.
#[test]
fn turning_is_kept() {
    for (make, media_type) in MAKERS.into_iter().filter(|(_, kind)| *kind != "image/gif") {
        for orientation in 1..=8 {
            let sent = prepared(&make(orientation, &picture(37, 21)));
            let size = if orientation < 5 { (37, 21) } else { (21, 37) };
            assert_eq!((sent.width, sent.height), size, "{media_type} {orientation}");
            let small = decoded(sent.thumbnail.as_ref().unwrap());
            assert_eq!((small.width(), small.height()), size);
            let expected = Orientation::from_exif(orientation).unwrap();
            let exif = turn::write(expected).unwrap_or_default();
            assert_eq!(contains(&sent.bytes, b"\x01\x12\0\x03"), orientation != 1);
            assert!(exif.is_empty() || contains(&sent.bytes, &exif));
            assert_eq!(turn::read(&exif), expected);
        }
    }
}

/// FIL-6: a thumbnail is within its bounds, whatever the picture, and never larger than it.
#[test]
fn thumbnails_are_small() {
    for (width, height) in [(1, 1), (159, 160), (160, 161), (1_000, 600), (3, 2_000)] {
        for picture in [picture(width, height), noise(width, height)] {
            let sent = prepared(&telling_jpeg(1, &picture));
            let small = sent.thumbnail.unwrap();
            assert!(small.len() <= THUMBNAIL_BYTES, "{width}x{height}: {}", small.len());
            let small = decoded(&small);
            assert!(small.width() <= width.min(160) && small.height() <= height.min(160));
        }
    }
}

/// FIL-6: what is seen through is white in the thumbnail, not black.
#[test]
fn transparency_is_white() {
    let clear = image::RgbaImage::from_pixel(20, 20, image::Rgba([0, 0, 0, 0]));
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    encoder.write_image(clear.as_raw(), 20, 20, ExtendedColorType::Rgba8).unwrap();
    let small = decoded(&prepared(&file).thumbnail.unwrap()).to_rgb8();
    assert!(small.pixels().all(|pixel| pixel.0.iter().all(|&colour| colour > 250)));
}

/// FIL-6: a picture that says it has more pixels than are decoded is cleaned, and gets no
/// thumbnail: no memory is taken for it.
#[test]
fn huge_pictures_get_no_thumbnail() {
    let (width, height) = (u32::try_from(PICTURE_PIXELS / 1_000).unwrap() + 1, 1_000_u32);
    let mut file = telling_png(1, &picture(37, 21));
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &file[24..29]].concat();
    file.splice(8..33, chunk(b"IHDR", &header));
    let sent = prepared(&file);
    assert_eq!((sent.width, sent.height, sent.thumbnail), (width, height, None));
    assert!(!contains(&sent.bytes, &numbers(LATITUDE)));
}

/// FIL-5: several scans, restarts and fill bytes are kept as they are; a small picture in the JFIF
/// segment is not.
#[test]
fn scans_are_kept_as_they_are() {
    let scan = [0x11, 0xff, 0x00, 0x22, 0xff, 0xd0, 0x33];
    let file = [
        &[0xff, 0xd8][..],
        &segment(0xe0, b"JFIF\0\x01\x02\x01\0\x48\0\x48\x01\x01abc"),
        &segment(0xee, b"Adobe\0\x65\x12\x34\x56\x78\x02"),
        &segment(0xc2, b"frame"),
        &segment(0xda, b"one"),
        &scan,
        &[0xff, 0xff],
        &segment(0xc4, b"table")[1..],
        &segment(0xda, b"two"),
        &scan,
        &[0xff, 0xd9, 1, 2, 3],
    ]
    .concat();
    let expected = [
        &[0xff, 0xd8][..],
        &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        &segment(0xee, b"Adobe\0\x64\0\0\0\0\x02"),
        &segment(0xc2, b"frame"),
        &segment(0xda, b"one"),
        &scan,
        &segment(0xc4, b"table"),
        &segment(0xda, b"two"),
        &scan,
        &[0xff, 0xd9],
    ]
    .concat();
    assert_eq!(jpeg::clean(&file).unwrap().bytes, expected);
}

/// FIL-5: the frames of a moving WebP are cleaned one by one.
#[test]
fn moving_pictures_are_cleaned() {
    let frame = |extra: &[u8]| [&[7; 16], &riff(b"VP8L", b"pixels")[..], extra].concat();
    let file = |frame: &[u8], flags| {
        let size = [flags, 0, 0, 0, 9, 0, 0, 9, 0, 0];
        let parts = [riff(b"VP8X", &size), riff(b"ANIM", &[0; 6]), riff(b"ANMF", frame)].concat();
        riff(b"RIFF", &[b"WEBP", &parts[..]].concat())
    };
    let telling = file(&frame(&riff(b"note", b"Restante Camera")), 0xfe);
    assert_eq!(webp::clean(&telling).unwrap().bytes, file(&frame(&[]), 0x12));
}

/// FIL-5: a picture that is cut off or damaged is refused, not passed on with what it tells; no
/// bytes make it panic.
#[test]
fn damaged_pictures_are_refused() {
    for (make, media_type) in MAKERS {
        let file = make(6, &picture(37, 21));
        let end = prepared(&file).bytes.len();
        for size in 12..end - 20 {
            if let Ok(Some(sent)) = prepare_image(&file[..size]) {
                panic!("{media_type} cut at {size} gives {sent:?}");
            }
        }
        for at in 0..file.len().min(500) {
            let mut changed = file.clone();
            changed[at] ^= 0x55;
            let _ = prepare_image(&changed);
        }
    }
}

/// FIL-5: pictures of kinds that cannot be cleaned are no files like others.
#[test]
fn pictures_of_unknown_kinds_are_refused() {
    let heads = [
        &b"\0\0\0\x18ftypheic"[..],
        b"\0\0\0\x1cftypmif1",
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"FUJIFILMCCD-RAW ",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
    ];
    for head in heads {
        assert_eq!(prepare_image(&[head, &exif(1)].concat()), Err(PictureError), "{head:?}");
    }
}

/// FIL-5: how a GIF moves stays: how long each frame is shown, and that it begins anew.
#[test]
fn gifs_move_on() {
    let screen = b"GIF89a\x02\0\x02\0\0\0\0";
    let control = b"!\xf9\x04\x04\x0a\0\0\0";
    let frame = b",\0\0\0\0\x02\0\x02\0\0\x02\x01\x44\0";
    let repeating = b"!\xff\x0bNETSCAPE2.0\x03\x01\x07\0\0";
    let expected = [&screen[..], repeating, control, frame, control, frame, b";"].concat();
    let hidden = [&screen[..], b"!\xf9\x04\x04\x0a\0\0\x06camera\0", frame, b";"].concat();
    assert!(gif::clean(&hidden).is_none());
    let words = b"!\xf9\x04\0\x63\0\0\0!\x01\x01a\0";
    let note = b"!\xfe\x09a comment\0";
    let file = [&screen[..], note, repeating, words, control, note, frame, control, frame, b";"];
    assert_eq!(
        gif::clean(&[&file.concat()[..], b"behind the end"].concat()).unwrap().bytes,
        expected
    );
}

/// Other files are told apart from pictures, and left alone.
#[test]
fn other_files_are_left_alone() {
    for file in [&b""[..], b"%PDF-1.7", b"\0\0\0\x18ftypisom", b"RIFF\x04\0\0\0WAVE", &[0xff, 0xd8]]
    {
        assert_eq!(prepare_image(file), Ok(None));
    }
    assert_eq!(format!("{:?}", prepared(&jpeg_of(&picture(8, 8)))).find("image/jpeg"), Some(14));
}
