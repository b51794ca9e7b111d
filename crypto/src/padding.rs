//! The padding ladder: sealed sizes say little about what is sealed (REC-3).
//!
//! Layout of a padded plaintext: length of the content (4 bytes, big endian), content, zeros up to
//! the size the plaintext must have. Knows sizes only.

use restante_spec::limits::PADDING_LADDER;

use crate::codec::Cursor;
use crate::error::Error;

/// Bytes of the length before the content.
const LENGTH: usize = 4;

/// Pads so that plaintext plus `overhead` is the smallest step of the ladder that holds it (REC-3).
///
/// # Errors
/// [`Error::TooLarge`] if no step does.
pub fn pad(content: &[u8], overhead: usize) -> Result<Vec<u8>, Error> {
    let size = content.len() + LENGTH + overhead;
    let max = PADDING_LADDER.last().copied().unwrap_or(0);
    let too_large = Error::TooLarge { what: "the sealed envelope", size, max };
    // REC-3
    let step = PADDING_LADDER.into_iter().find(|&step| step >= size).ok_or(too_large.clone())?;
    pad_to(content, step - overhead).ok_or(too_large)
}

/// The content of a padded plaintext whose sealed size is `sealed` (REC-3).
///
/// # Errors
/// [`Error::BadPadding`] if the sealed size is none of the ladder's, the length is beyond the end,
/// or a byte behind the content is not zero.
pub fn unpad(padded: &[u8], sealed: usize) -> Result<&[u8], Error> {
    if !PADDING_LADDER.contains(&sealed) {
        return Err(Error::BadPadding);
    }
    unpad_any(padded)
}

/// Pads to exactly `size` bytes, for what has one size always; `None` if it is larger.
pub(crate) fn pad_to(content: &[u8], size: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len()).ok()?;
    let mut padded = Vec::with_capacity(size);
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(content);
    if padded.len() > size {
        return None;
    }
    padded.resize(size, 0);
    Some(padded)
}

/// The content of a padded plaintext of any size.
pub(crate) fn unpad_any(padded: &[u8]) -> Result<&[u8], Error> {
    let mut cursor = Cursor::new("padding", padded);
    let length = cursor.u32().map_err(|_| Error::BadPadding)?;
    let length = usize::try_from(length).map_err(|_| Error::BadPadding)?;
    let content = cursor.slice(length).map_err(|_| Error::BadPadding)?;
    if cursor.rest().iter().any(|&byte| byte != 0) {
        return Err(Error::BadPadding);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REC-3: each step is filled to its last byte before the next is taken; beyond is refused.
    #[test]
    fn smallest_step_that_holds_it_is_taken() {
        for step in PADDING_LADDER {
            let content = vec![7; step - 40 - LENGTH];
            let padded = pad(&content, 40).unwrap();
            assert_eq!(padded.len() + 40, step);
            assert_eq!(unpad(&padded, step), Ok(&content[..]));
            let one_more = pad(&vec![7; content.len() + 1], 40);
            match PADDING_LADDER.iter().find(|&&next| next > step) {
                Some(next) => assert_eq!(one_more.unwrap().len() + 40, *next),
                None => assert!(matches!(one_more, Err(Error::TooLarge { .. }))),
            }
        }
    }

    /// REC-3: what is behind the content is zeros, and the size is one of the ladder's.
    #[test]
    fn padding_is_checked() {
        let mut padded = pad(b"content", 0).unwrap();
        assert_eq!(unpad(&padded, 255), Err(Error::BadPadding));
        assert_eq!(unpad(&padded[..3], 256), Err(Error::BadPadding));
        *padded.last_mut().unwrap() = 1;
        assert_eq!(unpad(&padded, 256), Err(Error::BadPadding));
        assert_eq!(unpad(&[0, 0, 0, 9, 1, 2], 256), Err(Error::BadPadding));
    }
}
