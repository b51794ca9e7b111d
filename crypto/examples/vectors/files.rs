//! Sealed files: whole ones of one chunk, and chunks of larger ones.

use restante_crypto::{Error, FileKey, FileLayout, hazmat};
use zeroize::Zeroizing;

use crate::cases::Case;

const KEY: [u8; 32] = [41; 32];
/// Its stream has a second chunk, of 752 bytes.
const SECOND: u64 = 65_000;

pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    Ok([whole()?, chunks()?].concat())
}

fn key() -> FileKey {
    FileKey::new(Zeroizing::new(KEY))
}

fn whole() -> Result<Vec<Case>, Error> {
    let make = |name, comment, size: usize| {
        let content = vec![42; size];
        key().seal(&content).map(|sealed| {
            Case::new("file", name, "FIL-2", comment)
                .with("key", &KEY)
                .with("sealed", &sealed)
                .with("content", &content)
        })
    };
    let stream = |size: u64, padding: u8, length| {
        let mut stream = size.to_be_bytes().to_vec();
        stream.resize(length, padding);
        hazmat::seal_file_stream(&key(), &stream)
    };
    let good = make("smallest-stream", "the most that fits the smallest stream", 1_016)?;
    let refused = |name, expect, comment, rule, sealed: &[u8]| {
        good.failing(name, expect, comment).rule(rule).set("sealed", sealed).without(&["content"])
    };
    let sealed = key().seal(&[42; 1_016])?;
    let cut = sealed.get(..1_039).unwrap_or_default();
    let as_another = [&sealed[..], &[0; 64]].concat();
    let bad = "bad_padding";
    Ok(vec![
        make("empty", "no content at all", 0)?,
        make("next-stream", "one byte more takes the next length", 1_017)?,
        refused("cut-off", "malformed", "one byte is missing", "FIL-4", cut),
        refused("longer", "undecryptable", "with the size of a longer file", "FIL-3", &as_another),
        refused(
            "no-stream",
            "malformed",
            "a length padding never gives",
            "FIL-4",
            &stream(9, 0, 1_030)?,
        ),
        refused("dirty-padding", bad, "the padding is not zero", "FIL-4", &stream(9, 1, 1_024)?),
        refused("other-size", bad, "padded more than it must be", "FIL-4", &stream(9, 0, 1_088)?),
        good.failing("flipped", "undecryptable", "one bit changed").rule("FIL-3").flip("sealed", 0),
        good.failing("other-key", "undecryptable", "the key of another file")
            .rule("FIL-1")
            .flip("key", 0),
        good,
    ])
}

fn chunks() -> Result<Vec<Case>, Error> {
    let layout = FileLayout::of_content(SECOND)?;
    let range = layout.content_range(1)?;
    let content = vec![43; usize::try_from(range.end - range.start).unwrap_or_default()];
    let chunk = key().seal_chunk(&layout, 1, &content)?;
    let good = Case::new("file", "second-chunk", "FIL-3", "a chunk opened without the others")
        .with("key", &KEY)
        .with("size", &SECOND.to_be_bytes())
        .with("number", &1_u32.to_be_bytes())
        .with("chunk", &chunk)
        .with("content", &content);
    let padding = FileLayout::of_content(2_097_150)?;
    let last = padding.chunks() - 1;
    let zeros = key().seal_chunk(&padding, last, &[])?;
    let bad = "undecryptable";
    Ok(vec![
        good.clone()
            .rule("FIL-2")
            .rename("chunk-of-padding", "the last chunk holds nothing but padding")
            .set("size", &2_097_150_u64.to_be_bytes())
            .set("number", &last.to_be_bytes())
            .set("chunk", &zeros)
            .set("content", &[]),
        good.failing("chunk-as-first", bad, "moved to another place")
            .set("number", &0_u32.to_be_bytes()),
        good.failing("chunk-of-longer", bad, "of a file that is longer, where it is not the last")
            .set("size", &200_000_u64.to_be_bytes()),
        good.failing("chunk-beyond", "malformed", "a file has no such chunk")
            .rule("FIL-4")
            .set("number", &2_u32.to_be_bytes()),
        good,
    ])
}
