//! Writes `spec/vectors/frame/`: one file for each case of the frame codec, the same each time.
//!
//! Run it when a frame changes: `cargo run -p restante-spec --example frames`. It takes away
//! nothing: a file whose case is gone is found by the test that counts them.

#[path = "../tests/frames/cases.rs"]
mod cases;

use std::error::Error;
use std::path::Path;

use bytes::BytesMut;
use cases::{Bad, Good, Header, text};
use data_encoding::HEXLOWER;
use restante_spec::frame;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/frame");
    std::fs::create_dir_all(&folder)?;
    for Good { name, rule, comment, header, body } in cases::good() {
        let mut bytes = BytesMut::new();
        match &header {
            Header::Client(header) => frame::encode_client(header, body, &mut bytes)?,
            Header::Relay(header) => frame::encode_relay(header, body, &mut bytes)?,
        }
        let fields = [("frame", HEXLOWER.encode(&bytes))];
        std::fs::write(folder.join(format!("{name}.txt")), text(rule, "ok", comment, &fields))?;
    }
    for Bad { name, rule, expect, comment, frame, number, closes } in cases::bad() {
        let fields = [
            ("frame", HEXLOWER.encode(&frame)),
            ("number", HEXLOWER.encode(&number.to_be_bytes())),
            ("closes", HEXLOWER.encode(&[u8::from(closes)])),
        ];
        let text = text(rule, expect.name(), comment, &fields);
        std::fs::write(folder.join(format!("{name}.txt")), text)?;
    }
    Ok(())
}
