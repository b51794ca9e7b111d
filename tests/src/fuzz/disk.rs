//! What a relay finds on its disk, and what an operator gives it to restore.

use restante_crypto::spki_hash;
use restante_relay::simulation::{StoredRow, chunk, chunk_of, key_slot, keys, rows};
use restante_relay::{Cli, Error, Serve, restore, verify};
use restante_spec::ids::UnixTime;

use super::Target;

pub(super) const CHUNKS: Target =
    Target { name: "chunks", run: chunks, seeds: chunk_seeds, changes: 3000 };
pub(super) const KEYS: Target =
    Target { name: "keys", run: run_keys, seeds: key_seeds, changes: 200 };
pub(super) const ROWS: Target =
    Target { name: "rows", run: run_rows, seeds: row_seeds, changes: 3000 };
pub(super) const BACKUPS: Target =
    Target { name: "backups", run: backups, seeds: backup_seeds, changes: 30 };

/// Chunks as they are, and chunks whose checksums are right.
fn chunks(data: &[u8]) {
    let _ = chunk(data);
    let entries: Vec<&[u8]> = records(data).map(|(_, bytes)| bytes).collect();
    if let Some(found) = chunk(&chunk_of(&entries)) {
        assert_eq!(found, entries.len(), "entries are lost");
    }
}

fn chunk_seeds() -> Vec<Vec<u8>> {
    let mut entry = vec![0, 0, 94];
    entry.extend([1; 48]);
    entry.extend([2, 1]);
    entry.extend([3; 44]);
    vec![chunk_of(&[entry.get(3..).unwrap_or_default()]), entry]
}

/// Files of keys as they are, and ones whose checksums are right.
fn run_keys(data: &[u8]) {
    let now = UnixTime::new(1_800_000_000);
    let (mut file, mut rest) = (Vec::new(), data);
    while let Some((slot, behind)) = rest.split_first_chunk::<40>() {
        let (bucket, key) = slot.split_first_chunk().expect("40 bytes");
        file.extend(key_slot(u64::from_be_bytes(*bucket), key.try_into().expect("32 bytes")));
        rest = behind;
    }
    for mut file in [data.to_vec(), file] {
        // A whole file, as it always is; a shorter one is refused where nothing can be added.
        let _ = keys(&file, now);
        file.resize(file.len().max(KEYS_BYTES), 0);
        assert!(keys(&file, now) || !data.is_empty(), "an empty file of keys is one");
    }
}

fn key_seeds() -> Vec<Vec<u8>> {
    vec![
        key_slot(2_000_000, &[7; 32]),
        [[0, 0, 0, 0, 0, 0x1e, 0x84, 0x80].as_slice(), &[7; 32]].concat(),
    ]
}

/// The rows of a mailbox: tag, key, number, value, with their sizes in front.
fn run_rows(data: &[u8]) {
    let (mut stored, mut rest) = (Vec::<StoredRow<'_>>::new(), data);
    while let Some(([tag, key_size, value_size], behind)) = rest.split_first_chunk() {
        let Some((revision, behind)) = behind.split_first_chunk() else { break };
        let (key, behind) = behind.split_at(behind.len().min(usize::from(*key_size)));
        let (value, behind) = behind.split_at(behind.len().min(usize::from(*value_size)));
        stored.push((*tag, key, u64::from_be_bytes(*revision), value));
        rest = behind;
    }
    for now in [0, 1_800_000_000, u64::MAX] {
        if let Some(readers) = rows(&stored, UnixTime::new(now)) {
            assert!(readers <= stored.len(), "readers without rows");
        }
    }
}

/// A conversation with a row of each kind.
fn row_seeds() -> Vec<Vec<u8>> {
    let row = |tag: u8, key: &[u8], value: &[u8]| {
        let size = |of: &[u8]| u8::try_from(of.len()).expect("short");
        let head = [tag, size(key), size(value), 0, 0, 0, 0, 0, 0, 1, tag];
        [&head[..], key, value].concat()
    };
    let key = [7; 32];
    let control = row(0, &[], &[&[2, 0x80, 0xf5, 0x24][..], &key, &[1]].concat());
    let terms = [3, 0, 5, 1, 10, 60];
    let seen = [0, 0x80, 0xa6, 0xa7, 0xda, 0x06];
    let blob = |size: &[u8]| [&[8; 32][..], &[9; 32], &[5; 16], size, &[200, 1, 1, 1]].concat();
    let huge = blob(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    let more = [
        row(1, &[], &key),
        row(2, &key, &terms),
        row(3, &key, &[4, 100]),
        row(4, &key, &seen),
        row(4, &[9; 32], &[1, 4, 0]),
        row(5, &[], &[100]),
        row(6, &[6; 16], &blob(&[100])),
        // LIM-23: two whose sum has no room in a number.
        [row(6, &[7; 16], &huge), row(6, &[8; 16], &huge)].concat(),
        row(0x81, &[0, 0, 0, 1, 0, 0, 0, 2], &[1; 20]),
        row(0x82, &[0, 0, 0, 1], &[2; 20]),
        row(0x83, &[3; 16], &[1, 100, 0, 2, 4, 4]),
    ];
    let each = more.iter().map(|row| [control.as_slice(), row].concat());
    each.chain([[control.clone(), more.concat()].concat()]).collect()
}

/// A backup that is damaged is refused with a word to the operator, and leaves nothing.
fn backups(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, home) = (folder.path().join("backup"), folder.path().join("home"));
    for bytes in [data.to_vec(), backup_of(data)] {
        std::fs::write(&file, bytes).expect("written");
        let verified = verify(&file);
        let words = ["restante-relay", "serve", "--data", home.to_str().expect("a path")];
        let serve = Cli::read(words.map(Into::into)).expect("settings");
        let restored = restore(serve_of(&serve), &file);
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        match restored {
            Ok(_) => {
                assert!(verified.is_ok(), "it was restored and is damaged");
                assert!(home.join("identity.key").exists(), "a relay without identity");
                assert!(home.join("buffer.keys").exists(), "a relay without keys");
                std::fs::remove_dir_all(&home).expect("removed");
            }
            Err(Error::Backup { .. }) => assert_eq!(left, 1, "it leaves something behind"),
            Err(other) => panic!("another error: {other}"),
        }
    }
}

fn serve_of(cli: &Cli) -> &Serve {
    match &cli.command {
        restante_relay::Command::Serve(serve) => serve,
        other => panic!("another command: {other:?}"),
    }
}

/// A backup with these records: beginning and hash are right, whatever is in them.
fn backup_of(data: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for (kind, bytes) in records(data) {
        let mut bytes = bytes.to_vec();
        if kind == OF_KEYS {
            bytes.resize(KEYS_BYTES, 0);
        }
        put(&mut file, kind, &bytes);
    }
    let hash = spki_hash(&file);
    put(&mut file, END, hash.as_bytes());
    file
}

/// How a backup begins, and the kind of its last record.
const MAGIC: &[u8] = b"restante-relay backup 1\n";
const END: u8 = 0;
/// The kind of the record that is a whole file of keys, and its size.
const OF_KEYS: u8 = 2;
const KEYS_BYTES: usize = 4_096 * 48;

fn put(file: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    file.push(kind);
    file.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
    file.extend(bytes);
}

/// Records of the form kind, length (2), bytes; the last one may be cut.
fn records(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([kind, high, low], rest) = data.split_first_chunk()?;
        let size = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (bytes, behind) = rest.split_at(size);
        data = behind;
        Some((*kind, bytes))
    })
}

/// A sound one, and ones in which something is missing that every backup has.
fn backup_seeds() -> Vec<Vec<u8>> {
    let record = |kind: u8, bytes: &[u8]| {
        let size = u16::try_from(bytes.len()).expect("short").to_be_bytes();
        [&[kind], &size[..], bytes].concat()
    };
    let (identity, reserved) = (record(16, &[5; 32]), record(1, &7_u64.to_be_bytes()));
    let keys = record(OF_KEYS, &[0; 48]);
    let rest = [record(3, &[1; 48]), record(4, &[0, 2, 1, 2, 3])].concat();
    let all = [identity.clone(), reserved.clone(), keys.clone(), rest.clone()].concat();
    vec![
        backup_of(&all),
        all,
        [reserved.clone(), keys.clone(), rest.clone()].concat(),
        [identity.clone(), keys, rest.clone()].concat(),
        [identity, reserved, rest].concat(),
    ]
}
