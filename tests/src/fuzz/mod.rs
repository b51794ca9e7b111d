//! What reads bytes from outside, as functions of arbitrary bytes that must never fail.
//!
//! `tests/fuzz` feeds them for as long as one likes, and `tests/tests/fuzz.rs` with what was found
//! worth keeping and a bounded number of changed inputs. Knows public sides only.

mod archives;
mod client;
mod contents;
mod conversation;
mod disk;
mod files;
mod frames;
pub mod model;
mod people;
mod pictures;
mod relay;
mod settings;

use std::path::{Path, PathBuf};

use restante_spec::vector::Vector;

/// Something that reads bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of it and of its corpus.
    pub name: &'static str,
    /// Fails if a property does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with, beside the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many changed inputs an ordinary test makes of it: at most a second's.
    pub changes: u32,
}

/// All of them.
pub const TARGETS: [Target; 21] = [
    frames::CLIENT,
    frames::RELAY,
    people::TEXTS,
    contents::CONTENTS,
    archives::ARCHIVES,
    people::IDENTITIES,
    conversation::SEALED,
    files::FILES,
    files::RECOVERIES,
    pictures::PICTURES,
    relay::HTTP,
    relay::WEBSOCKET,
    relay::CONNECTION,
    disk::CHUNKS,
    disk::KEYS,
    disk::ROWS,
    disk::BACKUPS,
    settings::CONFIG,
    settings::ADMIN,
    client::HOME,
    model::OPERATIONS,
];

/// The folder with the corpus of a target.
#[must_use]
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// The inputs kept for a target, in the order of their names.
#[must_use]
pub fn kept(target: &Target) -> Vec<Vec<u8>> {
    files(&corpus(target)).iter().map(|path| std::fs::read(path).expect("it is there")).collect()
}

/// The bytes of one field of all vectors of a group.
fn vectors(group: &str, field: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors").join(group);
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("it is there");
        let vector = Vector::parse("a vector", &text).expect("a vector");
        vector.field(field).map(<[u8]>::to_vec)
    };
    files(&folder).iter().filter_map(read).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The input but its first byte, in pieces whose sizes that byte decides.
fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let Some((seed, mut rest)) = data.split_first() else { return Vec::new() };
    let mut state = u32::from(*seed);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        // Any generator does; the seed's low bits decide how small the pieces are.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 1 + (state >> 16) as usize % (1 << (2 * (seed % 8)));
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// A seed with each of these in front of it.
fn with_heads(heads: &[u8], seeds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let with = |seed: &Vec<u8>, head: &u8| [&[*head], seed.as_slice()].concat();
    seeds.iter().flat_map(|seed| heads.iter().map(|head| with(seed, head))).collect()
}
