//! Tests of what is sealed and what is not: sizes, pictures, people who do not hear.

use std::fs;

use restante_spec::limits::FILE_BYTES;

use super::attachments::{attach_with, content};
use super::{Error, friends};
use crate::attachment::AttachOptions;
use crate::limits::PICTURE_FILE_BYTES;
use crate::media::PictureError;

/// FIL-2: the largest file is sealed; one byte more, none at all, or no file is refused.
#[test]
fn sizes_are_bounded() {
    let (_post, mut alice, _bob) = friends();
    let path = alice.home.path().join("large");
    let sized = |size: u64| fs::File::create(&path).unwrap().set_len(size).unwrap();
    for size in [0, FILE_BYTES + 1] {
        sized(size);
        let refused = attach_with(&mut alice, &path, AttachOptions::default()).unwrap_err();
        assert_eq!(refused, Error::BadFileSize { bytes: size, max: FILE_BYTES });
    }
    sized(FILE_BYTES);
    let sent = attach_with(&mut alice, &path, AttachOptions::default()).unwrap();
    assert_eq!(alice.engine.open_attachment(sent.id).unwrap().size(), FILE_BYTES);
    for path in [path.join("no"), path.with_file_name("nothing")] {
        let refused = attach_with(&mut alice, &path, AttachOptions::default()).unwrap_err();
        assert!(matches!(refused, Error::NoSuchFile | Error::Storage(_)), "{refused:?}");
    }
    let folder = alice.home.path().to_owned();
    let refused = attach_with(&mut alice, &folder, AttachOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::NoSuchFile | Error::Storage(_)), "{refused:?}");
}

/// Where nobody hears this account nothing is sealed.
#[test]
fn nothing_is_sealed_for_nobody() {
    let (_post, mut alice, _bob) = friends();
    let (id, to) = (alice.contact().id, alice.talk());
    alice.engine.block(id).unwrap();
    let refused = alice.engine.begin_attachment(to);
    assert!(matches!(refused, Err(Error::WrongState { .. })), "{refused:?}");
}

fn jpeg() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let picture = image::RgbImage::from_fn(200, 100, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    picture.write_with_encoder(encoder).unwrap();
    jpeg
}

/// FIL-5: a picture is cleaned, or sent as it is if that was said; one that cannot be read is not
/// sent unless it was.
#[test]
fn pictures_are_cleaned_unless_said() {
    let (_post, mut alice, _bob) = friends();
    let jpeg = jpeg();
    let comment = [&[0xff, 0xfe, 0, 13][..], b"my old home"].concat();
    let telling = [&jpeg[..2], &comment, &jpeg[2..]].concat();
    let path = alice.home.path().join("p.jpg");
    fs::write(&path, &telling).unwrap();
    for keep_metadata in [false, true] {
        let options = AttachOptions { keep_metadata, ..AttachOptions::default() };
        let sent = attach_with(&mut alice, &path, options).unwrap();
        let file = sent.attachment.unwrap();
        assert_eq!((file.media_type.as_str(), file.width, file.height), ("image/jpeg", 200, 100));
        assert!(!file.thumbnail.is_empty());
        let told = content(&alice, sent.id).windows(11).any(|part| part == b"my old home");
        assert_eq!(told, keep_metadata);
    }
    fs::write(&path, &telling[..40]).unwrap();
    let refused = attach_with(&mut alice, &path, AttachOptions::default()).unwrap_err();
    assert!(matches!(refused, Error::BadPicture(_)), "{refused:?}");
    let options = AttachOptions { keep_metadata: true, ..AttachOptions::default() };
    let sent = attach_with(&mut alice, &path, options).unwrap();
    assert_eq!(sent.attachment.unwrap().media_type, "");
}

/// FIL-5: a picture at the bound is read and cleaned; one byte more, and it is not even read. One
/// of a kind that cannot be cleaned is told so, whatever its size.
#[test]
fn large_pictures_are_not_held_in_memory() {
    let (_post, mut alice, _bob) = friends();
    let path = alice.home.path().join("p.jpg");
    let bound = PICTURE_FILE_BYTES;
    for (head, size, good) in
        [(jpeg(), bound, true), (jpeg(), bound + 1, false), (b"II*\0".to_vec(), 1_000, false)]
    {
        fs::write(&path, head).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        let sent = attach_with(&mut alice, &path, AttachOptions::default());
        assert_eq!(sent.err(), (!good).then_some(Error::BadPicture(PictureError)), "{size}");
        let options = AttachOptions { keep_metadata: true, ..AttachOptions::default() };
        attach_with(&mut alice, &path, options).unwrap();
    }
}
