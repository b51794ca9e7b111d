//! Tests of transfers: requests answered by hand, homes that end at every step.

use std::fs;
use std::path::PathBuf;

use restante_spec::codes::Code;
use restante_spec::ids::{BlobSize, Handle, Nonce};
use restante_spec::limits::{BLOB_BYTES, BLOB_PART_BYTES};
use restante_spec::message::{BlobPart, BlobState, Command};

use super::post::{EXPIRES, Person, events};
use super::{Engine, Error, Event, friends};
use crate::limits::{FILE_NAME_BYTES, TRANSFER_SYNC_BYTES, TRANSFERS, TRANSFERS_ENDED};
use crate::store::{Errand, TransferRow};
use crate::transfer::{BlobAddress, Transfer, TransferFailure, TransferState};
use crate::types::TransferId;

use super::super::Ask;

const PART: u64 = BLOB_PART_BYTES as u64;
const NONCE: Nonce = Nonce::new([9; 32]);

/// Where a file of this person is.
fn path(person: &Person, name: &str) -> PathBuf {
    person.home.path().join("files").join(name)
}

/// A file with so many bytes, each known by its place.
fn put_file(person: &Person, name: &str, size: u64) -> Vec<u8> {
    let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    fs::create_dir_all(person.home.path().join("files")).unwrap();
    fs::write(path(person, name), &bytes).unwrap();
    bytes
}

fn upload(person: &mut Person, name: &str) -> (TransferId, BlobAddress) {
    let contact = person.contact().id;
    person.engine.upload_file(contact.into(), name).unwrap()
}

fn only(engine: &mut Engine) -> TransferRow {
    let mut rows = engine.owed_transfers().unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn shown(engine: &Engine, id: TransferId) -> Transfer {
    let all = engine.transfers().unwrap();
    all.into_iter().find(|transfer| transfer.id == id).unwrap()
}

fn ask(engine: &mut Engine, row: &TransferRow, ask: Ask) -> Option<(Command, Vec<u8>)> {
    engine.transfer_request(row, ask, Handle::new(1), &NONCE).unwrap()
}

fn state(stored: u64, size: u64) -> BlobState {
    BlobState { stored: BlobSize::new(stored), complete: stored == size, expires_at: EXPIRES }
}

/// Gives a download one part of these bytes.
fn give(engine: &mut Engine, id: &TransferId, bytes: &[u8], offset: u64) {
    let part = BlobPart { size: BlobSize::new(bytes.len() as u64), expires_at: EXPIRES };
    let end = (bytes.len() as u64).min(offset + PART);
    let body = &bytes[usize::try_from(offset).unwrap()..usize::try_from(end).unwrap()];
    engine.part_arrived(id, offset, &part, body).unwrap();
}

/// BLB-1, BLB-3: an upload creates the blob, writes its parts, and ends when all is safe; repeated
/// after a restart, it is the same creation.
#[test]
fn uploads_end_when_all_is_safe() {
    let (_post, mut alice, _bob) = friends();
    let bytes = put_file(&alice, "f", PART + 5);
    let (id, address) = upload(&mut alice, "f");
    assert_eq!((address.size(), format!("{address:?}")), (PART + 5, "BlobAddress(..)".to_owned()));
    let row = only(&mut alice.engine);
    let (first, _) = ask(&mut alice.engine, &row, Ask::Create).unwrap();
    assert_eq!(alice.engine.upload_stored(&id, &state(0, PART + 5)).unwrap(), Some(0));
    let mut alice = alice.restart();
    let row = only(&mut alice.engine);
    assert_eq!(row.state, TransferState::Running);
    let (again, _) = ask(&mut alice.engine, &row, Ask::Create).unwrap();
    assert_eq!(first, again);
    assert_eq!(alice.engine.upload_stored(&id, &state(PART, PART + 5)).unwrap(), Some(PART));
    assert_eq!(shown(&alice.engine, id).done, PART);
    let (_, part) = ask(&mut alice.engine, &row, Ask::Write(PART)).unwrap();
    assert_eq!(part, bytes[BLOB_PART_BYTES..]);
    assert_eq!(alice.engine.upload_stored(&id, &state(PART + 5, PART + 5)).unwrap(), None);
    assert!(alice.engine.owed_transfers().unwrap().is_empty());
    let transfer = shown(&alice.engine, id);
    assert_eq!((transfer.state, transfer.done), (TransferState::Done, PART + 5));
    assert_eq!(transfer.expires_at, Some(EXPIRES));
    let kept = alice.engine.store.read().transfer(&id).unwrap().unwrap();
    assert!(kept.key.is_none(), "the key is forgotten");
    let told: Vec<_> = events(&mut alice)
        .into_iter()
        .filter_map(|event| match event {
            Event::Transfer { done, state, .. } => Some((done, state)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(PART + 5, TransferState::Done)]);
}

/// BLB-4, CMD-20: a download asks with the key of its address, grows under another name, and gets
/// its own when it is whole; each part is told once.
#[test]
fn downloads_get_their_name_when_they_are_whole() {
    let (_post, mut alice, mut bob) = friends();
    let bytes = put_file(&alice, "f", 2 * PART + 5);
    let (_, address) = upload(&mut alice, "f");
    let id = bob.engine.download_file(&address, "g").unwrap();
    assert_eq!(bob.engine.download_file(&address, "g"), Err(Error::FileExists));
    events(&mut bob);
    let row = only(&mut bob.engine);
    assert_eq!(bob.engine.resume_download(&row).unwrap(), Some(0));
    let (asked, _) = ask(&mut bob.engine, &row, Ask::Read(PART)).unwrap();
    let Command::BlobRead(read) = asked else { panic!("{asked:?}") };
    assert_eq!((read.offset.get(), read.length.get()), (PART, PART));
    for offset in [PART, 0, 0] {
        give(&mut bob.engine, &id, &bytes, offset);
    }
    assert!(!path(&bob, "g").exists() && path(&bob, "g.part").exists());
    give(&mut bob.engine, &id, &bytes, 2 * PART);
    assert!(fs::read(path(&bob, "g")).unwrap() == bytes && !path(&bob, "g.part").exists());
    assert_eq!(bob.engine.download_file(&address, "g"), Err(Error::FileExists));
    let told: Vec<_> = events(&mut bob)
        .into_iter()
        .filter_map(|event| match event {
            Event::Transfer { done, .. } => Some(done),
            _ => None,
        })
        .collect();
    assert_eq!(told, [2 * PART, 2 * PART + 5]);
}

/// A process that ends anywhere in a download goes on behind what was noted, which was synced; what
/// stands in the file behind it is not trusted.
#[test]
fn downloads_outlive_their_process() {
    let (_post, mut alice, mut bob) = friends();
    let size = TRANSFER_SYNC_BYTES + 3 * PART + 7;
    let bytes = put_file(&alice, "f", size);
    let (_, address) = upload(&mut alice, "f");
    let id = bob.engine.download_file(&address, "g").unwrap();
    let (mut offset, mut restarts) = (0, 0);
    let mut given = 0;
    while offset < size {
        let row = only(&mut bob.engine);
        offset = bob.engine.resume_download(&row).unwrap().unwrap();
        for _ in 0..TRANSFER_SYNC_BYTES / PART + 2 {
            if offset < size {
                give(&mut bob.engine, &id, &bytes, offset);
                (offset, given) = ((offset + PART).min(size), given + 1);
            }
        }
        bob = bob.restart();
        restarts += 1;
        let noted = bob.engine.store.read().transfer(&id).unwrap().unwrap().done;
        assert!(offset - noted < TRANSFER_SYNC_BYTES, "{offset} {noted}");
        if offset < size {
            let mut torn = fs::read(path(&bob, "g.part")).unwrap();
            let kept = usize::try_from(noted).unwrap();
            torn[kept..].fill(0xff);
            fs::write(path(&bob, "g.part"), torn).unwrap();
        }
    }
    assert!(restarts > 1 && given <= size / PART + 1 + restarts * (TRANSFER_SYNC_BYTES / PART));
    assert!(fs::read(path(&bob, "g")).unwrap() == bytes);
    assert_eq!(shown(&bob.engine, id).state, TransferState::Done);
}

/// A process that ends between the file's name and the note of it finds the whole file.
#[test]
fn named_files_are_found_done() {
    let (_post, mut alice, mut bob) = friends();
    let bytes = put_file(&alice, "f", 9);
    let (_, address) = upload(&mut alice, "f");
    let id = bob.engine.download_file(&address, "g").unwrap();
    let row = only(&mut bob.engine);
    bob.engine.resume_download(&row).unwrap();
    fs::write(path(&bob, "g.part"), &bytes).unwrap();
    fs::rename(path(&bob, "g.part"), path(&bob, "g")).unwrap();
    let mut bob = bob.restart();
    assert_eq!(bob.engine.resume_download(&row).unwrap(), None);
    assert_eq!(shown(&bob.engine, id).state, TransferState::Done);
    assert!(fs::read(path(&bob, "g")).unwrap() == bytes);
}

/// What is not the blob its address names is not kept.
#[test]
fn other_bytes_are_a_mismatch() {
    let (_post, mut alice, mut bob) = friends();
    put_file(&alice, "f", PART + 5);
    let (_, address) = upload(&mut alice, "f");
    for (size, body) in [(PART + 4, PART), (PART + 5, PART - 1), (PART + 5, PART + 1)] {
        let id = bob.engine.download_file(&address, "g").unwrap();
        let row = only(&mut bob.engine);
        bob.engine.resume_download(&row).unwrap();
        let part = BlobPart { size: BlobSize::new(size), expires_at: EXPIRES };
        let body = vec![0; usize::try_from(body).unwrap()];
        bob.engine.part_arrived(&id, 0, &part, &body).unwrap();
        let state = TransferState::Failed(TransferFailure::Mismatch);
        assert_eq!(shown(&bob.engine, id).state, state);
        assert!(!path(&bob, "g").exists() && !path(&bob, "g.part").exists());
    }
}

/// BLB-4, LIM-23, LIM-24: refusals are told apart, and what was refused is not asked for again;
/// what is there of an upload for which there is no more room is withdrawn.
#[test]
fn refusals_are_told_apart() {
    let (_post, mut alice, _bob) = friends();
    put_file(&alice, "f", 9);
    for (code, failure) in [
        (Code::NotFound, TransferFailure::Gone),
        (Code::Quota, TransferFailure::Full),
        (Code::Denied, TransferFailure::Refused(Code::Denied)),
    ] {
        let (id, _) = upload(&mut alice, "f");
        alice.engine.transfer_refused(&id, code).unwrap();
        assert_eq!(shown(&alice.engine, id).state, TransferState::Failed(failure));
        if code == Code::Quota {
            assert_eq!(only(&mut alice.engine).errand(), Errand::Withdraw);
            alice.engine.transfer_withdrawn(&id).unwrap();
        }
        assert!(alice.engine.owed_transfers().unwrap().is_empty());
    }
}

/// A file that cannot be written, cannot be read or became shorter fails its transfer and nothing
/// else; the blob of an upload is withdrawn.
#[test]
fn disk_errors_are_failures() {
    let (_post, mut alice, mut bob) = friends();
    put_file(&alice, "f", PART + 5);
    let (id, address) = upload(&mut alice, "f");
    let row = only(&mut alice.engine);
    alice.engine.upload_stored(&id, &state(0, PART + 5)).unwrap();
    fs::File::options().write(true).open(path(&alice, "f")).unwrap().set_len(PART).unwrap();
    assert!(ask(&mut alice.engine, &row, Ask::Write(0)).is_some());
    assert!(ask(&mut alice.engine, &row, Ask::Write(PART)).is_none());
    let failed = TransferState::Failed(TransferFailure::File);
    assert_eq!(shown(&alice.engine, id).state, failed);
    assert_eq!(only(&mut alice.engine).errand(), Errand::Withdraw);
    // A folder is where the unfinished file should be.
    fs::create_dir_all(path(&bob, "g.part")).unwrap();
    let id = bob.engine.download_file(&address, "g").unwrap();
    let row = only(&mut bob.engine);
    assert_eq!(bob.engine.resume_download(&row).unwrap(), None);
    assert_eq!(shown(&bob.engine, id).state, failed);
    assert!(bob.engine.owed_transfers().unwrap().is_empty());
}

/// A full disk is told apart from others.
#[test]
fn full_disks_are_told_apart() {
    let (_post, mut alice, mut bob) = friends();
    let bytes = put_file(&alice, "f", 9);
    let (_, address) = upload(&mut alice, "f");
    let id = bob.engine.download_file(&address, "g").unwrap();
    let row = only(&mut bob.engine);
    let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
    bob.engine.disk_failed(row, &error).unwrap();
    let state = TransferState::Failed(TransferFailure::DiskFull);
    assert_eq!(shown(&bob.engine, id).state, state);
    give(&mut bob.engine, &id, &bytes, 0);
    assert_eq!(shown(&bob.engine, id).state, state);
}

/// CMD-21: a cancelled download leaves nothing, a cancelled upload asks the relay to forget the
/// blob, also after a restart, until it has answered; who is late changes nothing.
#[test]
fn cancelled_transfers_leave_nothing() {
    let (_post, mut alice, mut bob) = friends();
    let bytes = put_file(&alice, "f", 2 * PART);
    let (up, address) = upload(&mut alice, "f");
    let down = bob.engine.download_file(&address, "g").unwrap();
    let row = only(&mut bob.engine);
    bob.engine.resume_download(&row).unwrap();
    give(&mut bob.engine, &down, &bytes, 0);
    bob.engine.cancel_transfer(down).unwrap();
    give(&mut bob.engine, &down, &bytes, PART);
    assert!(!path(&bob, "g").exists() && !path(&bob, "g.part").exists());
    assert!(bob.engine.owed_transfers().unwrap().is_empty());

    alice.engine.upload_stored(&up, &state(PART, 2 * PART)).unwrap();
    alice.engine.cancel_transfer(up).unwrap();
    let mut alice = alice.restart();
    assert_eq!(alice.engine.upload_stored(&up, &state(2 * PART, 2 * PART)).unwrap(), None);
    let row = only(&mut alice.engine);
    assert_eq!(row.errand(), Errand::Withdraw);
    let (asked, _) = ask(&mut alice.engine, &row, Ask::Delete).unwrap();
    assert_eq!(asked, Command::BlobDelete { handle: Handle::new(1), blob: address.blob });
    alice.engine.transfer_withdrawn(&up).unwrap();
    assert!(alice.engine.owed_transfers().unwrap().is_empty());
    assert_eq!(shown(&alice.engine, up).state, TransferState::Cancelled);
    assert!(path(&alice, "f").exists());
    alice.engine.cancel_transfer(up).unwrap();
    let unknown = TransferId::new([0; 16]);
    assert_eq!(alice.engine.cancel_transfer(unknown), Err(Error::NoSuchTransfer));
}

/// An upload beside a conversation that has ended fails; where there is none it does not begin.
#[test]
fn ended_conversations_take_no_uploads() {
    let (mut post, mut alice, _bob) = friends();
    put_file(&alice, "f", 9);
    let (id, _) = upload(&mut alice, "f");
    let contact = alice.contact().id;
    alice.engine.block(contact).unwrap();
    for _ in 0..2 {
        post.round(&mut alice);
    }
    assert!(alice.engine.owed_transfers().unwrap().is_empty());
    let state = TransferState::Failed(TransferFailure::Ended);
    assert_eq!(shown(&alice.engine, id).state, state);
    assert!(matches!(alice.engine.upload_file(contact.into(), "f"), Err(Error::WrongState { .. })));
}

/// LIM-22: files of no bytes and of one too many are refused before anything is asked; so are
/// names that leave the folder, and files that are not there.
#[test]
fn what_cannot_be_a_blob_is_refused() {
    let (_post, mut alice, _bob) = friends();
    put_file(&alice, "f", 0);
    let contact = alice.contact().id;
    let file = fs::File::options().write(true).open(path(&alice, "f")).unwrap();
    for bytes in [0, BLOB_BYTES + 1] {
        file.set_len(bytes).unwrap();
        let refused = alice.engine.upload_file(contact.into(), "f").unwrap_err();
        assert_eq!(refused, Error::BadFileSize { bytes, max: BLOB_BYTES });
    }
    file.set_len(BLOB_BYTES).unwrap();
    upload(&mut alice, "f");
    let refused = alice.engine.upload_file(contact.into(), "../store").unwrap_err();
    assert_eq!(refused, Error::BadFileName { max: FILE_NAME_BYTES });
    assert_eq!(alice.engine.upload_file(contact.into(), "g").unwrap_err(), Error::NoSuchFile);
}

/// Transfers are bounded, and so are those that are remembered.
#[test]
fn transfers_are_bounded() {
    let (_post, mut alice, _bob) = friends();
    put_file(&alice, "f", 1);
    let contact = alice.contact().id;
    let mut all: Vec<_> = (0..TRANSFERS).map(|_| upload(&mut alice, "f").0).collect();
    let refused = alice.engine.upload_file(contact.into(), "f").unwrap_err();
    assert_eq!(refused, Error::TooMany { what: "transfers", max: TRANSFERS });
    for id in &all {
        alice.engine.upload_stored(id, &state(1, 1)).unwrap();
    }
    assert_eq!(alice.engine.transfers().unwrap().len(), TRANSFERS_ENDED);
    all.push(upload(&mut alice, "f").0);
    alice.engine.upload_stored(&all[TRANSFERS], &state(1, 1)).unwrap();
    let kept: Vec<_> = alice.engine.transfers().unwrap().iter().map(|shown| shown.id).collect();
    assert_eq!(kept, all[1..]);
}
