//! GIF (89a): blocks, of which those stay that are needed to show it, moving or not.

use image::metadata::Orientation;

use super::Cleaned;

/// Layout: bytes of the screen, before its colours.
const SCREEN: usize = 7;
/// Layout: bytes of a frame, before its colours.
const FRAME: usize = 9;
/// Layout: what says that the frames begin anew behind the last.
const REPEATING: [&[u8]; 2] = [b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0"];
/// Layout: such a block up to how often, which are two bytes.
const TIMES: &[u8] = b"\x03\x01";

/// The picture without metadata and without what stands behind its end; `None` if it is none.
pub(super) fn clean(file: &[u8]) -> Option<Cleaned> {
    let version = file.get(..6).filter(|version| matches!(*version, b"GIF87a" | b"GIF89a"))?;
    let (screen, mut rest) = cut_coloured(file.get(6..)?, SCREEN, 4)?;
    let mut bytes = [version, screen].concat();
    // How the next frame is shown.
    let mut control: &[u8] = &[];
    loop {
        let (&kind, behind) = rest.split_first()?;
        match kind {
            b';' => break,
            b',' => {
                let (head, behind) = cut_coloured(behind, FRAME, 8)?;
                let (code_size, behind) = behind.split_at_checked(1)?;
                let (pixels, behind) = cut_blocks(behind)?;
                bytes.extend([control, b",", head, code_size, pixels].concat());
                (control, rest) = (&[], behind);
            }
            b'!' => {
                let (&label, behind) = behind.split_first()?;
                let (blocks, behind) = cut_blocks(behind)?;
                match label {
                    0xf9 if matches!(blocks, [4, _, _, _, _, 0]) => {
                        control = rest.get(..2 + blocks.len())?;
                    }
                    0xf9 => return None,
                    0xff => bytes.extend(repeating(blocks).unwrap_or_default()),
                    // Words laid over the picture, which hardly anything shows, use it up.
                    0x01 => control = &[],
                    _ => {}
                }
                rest = behind;
            }
            _ => return None,
        }
    }
    bytes.push(b';');
    Some(Cleaned { bytes, orientation: Orientation::NoTransforms })
}

/// So many bytes and the table of colours behind them, if the flags in one of them say so.
fn cut_coloured(bytes: &[u8], size: usize, flags: usize) -> Option<(&[u8], &[u8])> {
    let flags = *bytes.get(..size)?.get(flags)?;
    let colours = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    bytes.split_at_checked(size + colours)
}

/// Blocks of up to 255 bytes, each behind its size, up to the empty one that ends them.
fn cut_blocks(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        let size = usize::from(*bytes.get(end)?);
        end += 1 + size;
        if size == 0 {
            return bytes.split_at_checked(end);
        }
    }
}

/// That the frames begin anew, and how often, written anew; `None` if the blocks say anything else.
fn repeating(blocks: &[u8]) -> Option<Vec<u8>> {
    let name = REPEATING.into_iter().find(|name| blocks.starts_with(name))?;
    let times = blocks.get(name.len()..)?.strip_prefix(TIMES)?.get(..2)?;
    Some([b"!\xff", name, TIMES, times, b"\0"].concat())
}
