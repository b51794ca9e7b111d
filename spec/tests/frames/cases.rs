//! The frames of `spec/vectors/frame/` as values: one for each command and each thing a relay says,
//! with a few variants, and bytes that are refused.
//!
//! Shared by the program that writes the vectors and the test that reads them. Keys, hashes and
//! signatures are patterns: a codec checks their sizes only.

mod bad;
mod client;
mod relay;

use restante_spec::codes::Code;
use restante_spec::ids::{
    EnvelopeId, Epoch, Handle, ReaderHash, Seconds, Signature, Slot, UnixTime,
};
use restante_spec::message::{ClientHeader, RelayHeader};

pub(crate) use bad::bad;

/// A frame that is read and written back as it was.
pub(crate) struct Good {
    /// The file's name, without `.txt`.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) rule: &'static str,
    /// In words.
    pub(crate) comment: &'static str,
    /// What the header says.
    pub(crate) header: Header,
    /// The body beside it.
    pub(crate) body: &'static [u8],
}

/// Whose header it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Of a client.
    Client(ClientHeader),
    /// Of a relay.
    Relay(RelayHeader),
}

/// Bytes from a client that are refused.
pub(crate) struct Bad {
    /// The file's name, without `.txt`.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) rule: &'static str,
    /// The code that is answered.
    pub(crate) expect: Code,
    /// In words.
    pub(crate) comment: &'static str,
    /// What arrives, maybe only the beginning of a frame.
    pub(crate) frame: Vec<u8>,
    /// The number the answer carries, 0 where it could not be read.
    pub(crate) number: u32,
    /// Whether the connection is closed.
    pub(crate) closes: bool,
}

/// Every frame that is read.
pub(crate) fn good() -> Vec<Good> {
    let mut all = client::all();
    all.extend(relay::all());
    all
}

const PROOF: Signature = Signature::new([0x33; 64]);
const READER: ReaderHash = ReaderHash::new([0x44; 32]);
const SECOND_READER: ReaderHash = ReaderHash::new([0x45; 32]);
const ENVELOPE: EnvelopeId = EnvelopeId::new([0x55; 16]);
const EPOCH: Epoch = Epoch::new([0, 0, 0, 0, 0, 0, 0, 7]);
const HANDLE: Handle = Handle::new(1);
const SLOT: Slot = Slot::new(0x0001_004e);
const DAY: Seconds = Seconds::new(86_400);
const NOW: UnixTime = UnixTime::new(1_800_000_000);

fn with_body(good: Good, body: &'static [u8]) -> Good {
    Good { body, ..good }
}

/// The text of a vector's file.
pub(crate) fn text(rule: &str, expect: &str, comment: &str, fields: &[(&str, String)]) -> String {
    let mut text = format!("rule: {rule}\nexpect: {expect}\ncomment: {comment}\n\n");
    for (name, hex) in fields {
        text.push_str(&format!("{name}: {hex}\n"));
    }
    text
}
