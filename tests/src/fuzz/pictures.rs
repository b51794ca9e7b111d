//! Pictures that are to be sent: whatever they say about their maker is taken out.

use std::io::Cursor;
use std::sync::LazyLock;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use restante_client::prepare_image;
use restante_spec::limits::THUMBNAIL_BYTES;

use super::{Target, with_heads};

pub(super) const PICTURES: Target = Target { name: "pictures", run, seeds, changes: 200 };

/// How something is said in a picture that is not seen: in several places, and behind its end.
type Tell = fn(&[u8], &[u8]) -> Vec<u8>;
static FORMS: [(ImageFormat, Tell); 4] = [
    (ImageFormat::Jpeg, in_jpeg),
    (ImageFormat::Png, in_png),
    (ImageFormat::WebP, in_webp),
    (ImageFormat::Gif, in_gif),
];

/// A picture in each form, in which nothing is said.
static PLAIN: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| FORMS.map(|(format, _)| plain(format)));

/// The first byte says in which form of picture the rest is said; the last one is the rest itself.
fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let form = usize::from(kind % 5);
    let Some((_, tell)) = FORMS.get(form) else { return anything(data) };
    let plain = &PLAIN[form];
    let told = tell(plain, data);
    assert_eq!(prepare_image(&told), prepare_image(plain), "FIL-5: something is left of it");
}

/// What was made clean is not much larger, and is not changed by being made clean again.
fn anything(file: &[u8]) {
    let Ok(Some(picture)) = prepare_image(file) else { return };
    // What is written anew has its longest form, and odd chunks are filled up.
    assert!(picture.bytes.len() <= 2 * file.len() + 64, "FIL-5: {} bytes", picture.bytes.len());
    if let Some(thumbnail) = &picture.thumbnail {
        assert!(thumbnail.len() <= THUMBNAIL_BYTES, "FIL-6: {} bytes", thumbnail.len());
        let small = prepare_image(thumbnail).expect("FIL-6: a picture").expect("FIL-6: a picture");
        assert!(small.width.max(small.height) <= 160, "FIL-6: {small:?}");
    }
    assert_eq!(prepare_image(&picture.bytes), Ok(Some(picture)), "FIL-5: it was not clean");
}

/// Plain pictures, those that say something, and what is said.
fn seeds() -> Vec<Vec<u8>> {
    let place = b"52 31 12 N, 13 24 17 E";
    let mut seeds = with_heads(&[0, 1, 2, 3], vec![place.to_vec(), Vec::new()]);
    seeds.extend(with_heads(&[4], PLAIN.to_vec()));
    let told = FORMS.iter().zip(PLAIN.iter()).map(|((_, tell), plain)| tell(plain, place));
    seeds.extend(with_heads(&[4], told.collect()));
    seeds
}

fn plain(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(6, 5, |x, y| Rgb([40 * x as u8, 50 * y as u8, 7]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut file, format).expect("a picture");
    let file = file.into_inner();
    assert!(matches!(prepare_image(&file), Ok(Some(_))), "{format:?}");
    file
}

fn in_jpeg(plain: &[u8], said: &[u8]) -> Vec<u8> {
    let size = u16::try_from(said.len() + 2).expect("short").to_be_bytes();
    let segment = |marker: u8| [&[0xff, marker], &size[..], said].concat();
    let (head, rest) = plain.split_at(2);
    [head, &segment(0xe2), &segment(0xed), &segment(0xfe), rest, said].concat()
}

/// Checksums are made anew, and not looked at before.
fn in_png(plain: &[u8], said: &[u8]) -> Vec<u8> {
    let size = u32::try_from(said.len()).expect("short").to_be_bytes();
    let chunk = |kind: &[u8; 4]| [&size[..], kind, said, &[0; 4]].concat();
    let (head, rest) = plain.split_at(33);
    [head, &chunk(b"iCCP"), &chunk(b"tEXt"), &chunk(b"tIME"), rest, said].concat()
}

/// Without `VP8X` an EXIF block does not say how to turn either.
fn in_webp(plain: &[u8], said: &[u8]) -> Vec<u8> {
    let size = u32::try_from(said.len()).expect("short").to_le_bytes();
    let chunk = |kind: &[u8; 4]| [kind, &size[..], said, &[0][..said.len() % 2]].concat();
    let body = [&plain[8..], &chunk(b"EXIF"), &chunk(b"XMP "), &chunk(b"ICCP")].concat();
    let size = u32::try_from(body.len()).expect("short").to_le_bytes();
    [b"RIFF", &size[..], &body, said].concat()
}

fn in_gif(plain: &[u8], said: &[u8]) -> Vec<u8> {
    let colours = 13 + if plain[10] & 0x80 == 0 { 0 } else { 3 << ((plain[10] & 7) + 1) };
    let sized = said.chunks(255).map(|part| [&[part.len() as u8], part].concat());
    let blocks = [sized.collect::<Vec<_>>().concat(), vec![0]].concat();
    let (head, rest) = plain.split_at(colours);
    [head, b"!\xfe", &blocks, b"!\xff\x0bXMP DataXMP", &blocks, rest, said].concat()
}
