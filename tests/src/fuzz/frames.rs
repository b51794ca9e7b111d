//! Frames and headers, in both directions, in pieces of any size.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use restante_spec::frame::{self, Frame, FrameError};

use super::{Target, pieces, vectors, with_heads};

pub(super) const CLIENT: Target = Target {
    name: "client_frames",
    run: |data| run(data, frame::decode_client, frame::encode_client),
    seeds,
    changes: 3000,
};
pub(super) const RELAY: Target = Target {
    name: "relay_frames",
    run: |data| run(data, frame::decode_relay, frame::encode_relay),
    seeds,
    changes: 3000,
};

type Decode<H> = fn(&mut BytesMut) -> Result<Option<Frame<H>>, FrameError>;
type Encode<H> = fn(&H, &[u8], &mut BytesMut) -> Result<(), FrameError>;

fn seeds() -> Vec<Vec<u8>> {
    with_heads(&[0, 7], vectors("frame", "frame"))
}

fn run<H: PartialEq + Debug>(data: &[u8], decode: Decode<H>, encode: Encode<H>) {
    let whole = read(data.get(1..).into_iter(), decode);
    assert_eq!(read(pieces(data).into_iter(), decode), whole, "FRM-2: read in pieces");
    for frame in whole.0.iter().flatten() {
        let mut bytes = BytesMut::new();
        encode(&frame.header, &frame.body, &mut bytes).expect("what was read can be written");
        assert!(bytes.len() <= frame::FRAME_BYTES, "LIM-1");
        assert_eq!(frame::announced(&bytes), Some(bytes.len()), "FRM-1");
        let again = decode(&mut bytes).expect("what was written can be read").expect("whole");
        assert_eq!((&again, &*bytes), (frame, &[][..]), "another header");
        assert_eq!(again.body, Bytes::copy_from_slice(&frame.body), "another body");
    }
}

/// What comes out, up to the frame behind which nothing is read, and the rest.
fn read<'a, H>(
    input: impl Iterator<Item = &'a [u8]>,
    decode: Decode<H>,
) -> (Vec<Result<Frame<H>, FrameError>>, BytesMut) {
    let (mut read, mut bytes) = (Vec::new(), BytesMut::new());
    for piece in input {
        bytes.extend_from_slice(piece);
        loop {
            let before = bytes.len();
            match decode(&mut bytes) {
                Ok(None) => break,
                Ok(Some(frame)) => read.push(Ok(frame)),
                Err(error) => {
                    let ends =
                        matches!(error, FrameError::TooLarge { .. } | FrameError::Lengths { .. });
                    assert!(ends || bytes.len() < before, "FRM-5: it goes on behind the frame");
                    read.push(Err(error));
                    if ends {
                        return (read, BytesMut::new());
                    }
                }
            }
        }
        assert!(bytes.len() <= frame::FRAME_BYTES, "FRM-2: more is kept than a frame");
    }
    (read, bytes)
}
