//! Tests of attachments: blobs carried by hand, homes that end at every step, messages that lie.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use restante_spec::content::{Attachment as Said, Body};
use restante_spec::ids::{BlobId, BlobSize, Handle, MailboxId, Nonce, PublicKey};
use restante_spec::limits::{BLOB_PART_BYTES, FILE_BYTES, TEXT_BYTES};
use restante_spec::message::{BlobPart, BlobState, Command};

use super::super::Ask;
use super::post::{EXPIRES, Person, events};
use super::{Code, Error, Event, Fate, friends};
use crate::attachment::{AttachOptions, AttachmentState};
use crate::limits::{ATTACHMENT_FETCH_BYTES, ATTACHMENT_FETCHES, TRANSFERS};
use crate::sealing;
use crate::store::{Errand, TransferRow};
use crate::transfer::TransferFailure;
use crate::types::{ConversationId, Message, MessageId, MessageKind};

const NONCE: Nonce = Nonce::new([9; 32]);
const HANDLE: Handle = Handle::new(1);

/// The blobs of a relay, as far as parts were brought there.
#[derive(Default)]
pub(super) struct Shelf(pub(super) BTreeMap<BlobId, Vec<u8>>);

impl Shelf {
    /// Does one step of a transfer; says whether it was the last one.
    pub(super) fn step(&mut self, person: &mut Person, row: &TransferRow) -> bool {
        let engine = &mut person.engine;
        let blob = self.0.entry(row.blob).or_default();
        match row.errand() {
            Errand::Withdraw => {
                self.0.remove(&row.blob);
                engine.transfer_withdrawn(&row.id).unwrap();
            }
            Errand::Upload => {
                let told = |stored: usize| BlobState {
                    stored: BlobSize::new(stored as u64),
                    complete: stored as u64 == row.size,
                    expires_at: EXPIRES,
                };
                let Some(at) = engine.upload_stored(&row.id, &told(blob.len())).unwrap() else {
                    return true;
                };
                let asked = engine.transfer_request(row, Ask::Write(at), HANDLE, &NONCE).unwrap();
                let Some((_, part)) = asked else { return true };
                blob.extend(part);
                engine.upload_stored(&row.id, &told(blob.len())).unwrap();
            }
            Errand::Download => {
                let Some(at) = engine.resume_download(row).unwrap() else { return true };
                let asked = engine.transfer_request(row, Ask::Read(at), HANDLE, &NONCE).unwrap();
                assert!(matches!(asked, Some((Command::BlobRead(_), _))));
                let (from, size) = (usize::try_from(at).unwrap(), BlobSize::new(row.size));
                let bytes = &blob[from..blob.len().min(from + BLOB_PART_BYTES)];
                let part = BlobPart { size, expires_at: EXPIRES };
                engine.part_arrived(&row.id, at, &part, bytes).unwrap();
            }
        }
        person.engine.owed_transfers().unwrap().iter().all(|owed| owed.id != row.id)
    }

    /// Does all that is owed, and what follows from it.
    pub(super) fn carry(&mut self, person: &mut Person) {
        loop {
            person.engine.fetch_wanted().unwrap();
            let owed = person.engine.owed_transfers().unwrap();
            let Some(row) = owed.first() else { return person.engine.remove_litter().unwrap() };
            while !self.step(person, row) {}
        }
    }
}

/// A file outside of the home, each byte known by its place.
pub(super) fn source(person: &Person, size: usize) -> (PathBuf, Vec<u8>) {
    let bytes: Vec<u8> = b"known words ".iter().copied().cycle().take(size).collect();
    let path = person.home.path().join("notes.txt");
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

/// What the client does with a file.
pub(super) fn attach_with(
    person: &mut Person,
    path: &std::path::Path,
    options: AttachOptions,
) -> Result<Message, Error> {
    attach_to(person, person.talk(), path, options)
}

pub(super) fn attach_to(
    person: &mut Person,
    to: ConversationId,
    path: &std::path::Path,
    options: AttachOptions,
) -> Result<Message, Error> {
    let (files, file) = person.engine.begin_attachment(to)?;
    let sealed = sealing::seal(path, options.keep_metadata, &files, &file);
    let sent = sealed.and_then(|sealed| person.engine.attach(to, &file, sealed, options));
    if sent.is_err() {
        person.engine.drop_file(&file).unwrap();
    }
    sent
}

pub(super) fn attach(person: &mut Person, size: usize) -> (Message, Vec<u8>) {
    let (path, bytes) = source(person, size);
    (attach_with(person, &path, AttachOptions::default()).unwrap(), bytes)
}

fn state_of(person: &Person, id: MessageId) -> AttachmentState {
    person.engine.message(id).unwrap().attachment.unwrap().state
}

pub(super) fn content(person: &Person, id: MessageId) -> Vec<u8> {
    let mut bytes = Vec::new();
    person.engine.open_attachment(id).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The names and bytes of the home's files.
pub(super) fn files(person: &Person) -> Vec<Vec<u8>> {
    let folder = person.home.path().join("files");
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    found.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// CNT-8, FIL-1: the message is there at once and leaves when its file is at the relay; the other
/// side has its description first, the file when it is fetched, and nothing of it lies open.
#[test]
fn a_message_leaves_behind_its_file() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (path, bytes) = source(&alice, 300_000);
    let caption = "to be read".to_owned();
    let options = AttachOptions { caption, ..AttachOptions::default() };
    let sent = attach_with(&mut alice, &path, options).unwrap();
    assert_eq!((sent.kind, sent.fate, sent.text.as_str()), {
        (MessageKind::Attachment, Fate::Queued, "to be read")
    });
    assert!(matches!(sent.attachment.unwrap().state, AttachmentState::Moving(_)));
    post.round(&mut alice);
    post.round(&mut bob);
    assert!(bob.history().is_empty(), "the file comes first");
    shelf.carry(&mut alice);
    assert_eq!(state_of(&alice, sent.id), AttachmentState::Here);
    post.round(&mut alice);
    assert_eq!(alice.history()[0].fate, Fate::Accepted);
    post.round(&mut bob);
    let got = bob.history().remove(0);
    let file = got.attachment.unwrap();
    assert_eq!((file.name.as_str(), file.size, file.state), {
        ("notes.txt", 300_000, AttachmentState::AtRelay)
    });
    shelf.carry(&mut bob);
    assert_eq!(bob.engine.open_attachment(got.id).unwrap_err(), Error::NotHere);
    bob.engine.fetch(got.id).unwrap();
    shelf.carry(&mut bob);
    assert_eq!(state_of(&bob, got.id), AttachmentState::Here);
    assert!(content(&bob, got.id) == bytes && content(&alice, sent.id) == bytes);
    let blob = shelf.0.into_values().next().unwrap();
    assert_eq!((files(&alice), files(&bob)), (vec![blob.clone()], vec![blob.clone()]));
    assert!(!blob.windows(11).any(|part| part == b"known words"));
    assert_eq!(
        bob.engine.search("read", 10).unwrap()[0].attachment.as_ref().unwrap().size,
        300_000
    );
}

/// What is here is read from any place, and written out once.
#[test]
fn files_are_read_from_any_place() {
    let (_post, mut alice, _bob) = friends();
    let (sent, bytes) = attach(&mut alice, 200_000);
    let mut reader = alice.engine.open_attachment(sent.id).unwrap();
    assert_eq!(reader.size(), 200_000);
    reader.seek(SeekFrom::Start(150_003)).unwrap();
    let mut part = [0; 100];
    reader.read_exact(&mut part).unwrap();
    assert_eq!(part[..], bytes[150_003..150_103]);
    reader.seek(SeekFrom::Start(0)).unwrap();
    let out = alice.home.path().join("out");
    reader.export(&out).unwrap();
    assert!(fs::read(&out).unwrap() == bytes);
    assert_eq!(reader.export(&out), Err(Error::FileExists));
}

/// A process that ends at any step, between sealing, each part, the message and each part of the
/// download, loses nothing and sends nothing twice.
#[test]
fn attachments_outlive_their_process() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (sent, bytes) = attach(&mut alice, 300_000);
    alice = ended_again_and_again(alice, &mut shelf);
    post.round(&mut alice);
    post.round(&mut bob);
    assert_eq!(bob.history().len(), 1);
    bob.engine.fetch(sent.id).unwrap();
    bob = ended_again_and_again(bob, &mut shelf);
    assert!(content(&bob, sent.id) == bytes);
}

/// Each process does a step more than the one before it, until nothing is owed.
fn ended_again_and_again(mut person: Person, shelf: &mut Shelf) -> Person {
    for steps in 1..20 {
        person = person.restart();
        for _ in 0..steps {
            if let Some(row) = person.engine.owed_transfers().unwrap().first() {
                shelf.step(&mut person, row);
            }
        }
    }
    assert!(person.engine.owed_transfers().unwrap().is_empty());
    person
}

/// A process that ends amid sealing leaves nothing: what it sealed is removed by the next one, and
/// not before.
#[test]
fn what_was_sealed_for_nothing_is_removed() {
    let (_post, mut alice, _bob) = friends();
    let (path, _) = source(&alice, 1_000);
    let to = alice.talk();
    let (home, file) = alice.engine.begin_attachment(to).unwrap();
    sealing::seal(&path, false, &home, &file).unwrap();
    alice.engine.remove_litter().unwrap();
    assert_eq!(files(&alice).len(), 1, "it is being sealed");
    let mut alice = alice.restart();
    alice.engine.remove_litter().unwrap();
    assert!(files(&alice).is_empty() && alice.history().is_empty());
    // What is refused behind it leaves nothing either.
    let caption = "x".repeat(TEXT_BYTES + 1);
    let options = AttachOptions { caption, ..AttachOptions::default() };
    let refused = attach_with(&mut alice, &path, options);
    assert!(matches!(refused, Err(Error::TooLong { max: TEXT_BYTES, .. })), "{refused:?}");
    let misleading = alice.home.path().join("gpj.\u{202e}exe.txt");
    fs::copy(&path, &misleading).unwrap();
    let refused = attach_with(&mut alice, &misleading, AttachOptions::default());
    assert_eq!(refused.unwrap_err(), Error::Misleading { what: "file name" });
    alice.engine.remove_litter().unwrap();
    assert!(files(&alice).is_empty() && alice.engine.owed_transfers().unwrap().is_empty());
}

/// CMD-21: a message that is cancelled amid its upload is gone, with file and blob; a download that
/// is cancelled can be begun anew.
#[test]
fn cancelled_attachments_leave_nothing() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (sent, _) = attach(&mut alice, 300_000);
    let row = alice.engine.owed_transfers().unwrap().remove(0);
    shelf.step(&mut alice, &row);
    events(&mut alice);
    alice.engine.cancel_attachment(sent.id).unwrap();
    let told = events(&mut alice);
    let gone = |event: &Event| matches!(event, Event::Changed(message) if message.is_gone());
    assert!(told.iter().any(gone), "{told:?}");
    shelf.carry(&mut alice);
    assert!(files(&alice).is_empty() && shelf.0.is_empty());
    assert_eq!(alice.engine.message(sent.id).unwrap().kind, MessageKind::Deleted);
    post.round(&mut alice);

    let (sent, bytes) = attach(&mut alice, 300_000);
    shelf.carry(&mut alice);
    alice.engine.cancel_attachment(sent.id).unwrap();
    assert_eq!(state_of(&alice, sent.id), AttachmentState::Here, "it has ended");
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.fetch(sent.id).unwrap();
    let row = bob.engine.owed_transfers().unwrap().remove(0);
    shelf.step(&mut bob, &row);
    bob.engine.cancel_attachment(sent.id).unwrap();
    assert!(files(&bob).is_empty());
    assert_eq!(state_of(&bob, sent.id), AttachmentState::AtRelay);
    bob.engine.fetch(sent.id).unwrap();
    shelf.carry(&mut bob);
    assert!(content(&bob, sent.id) == bytes);
}

/// A file the relay does not take: its message is refused and says why, and the file stays readable
/// here. A download that fails can be begun anew.
#[test]
fn failures_are_told() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (full, bytes) = attach(&mut alice, 1_000);
    let row = alice.engine.owed_transfers().unwrap().remove(0);
    alice.engine.transfer_refused(&row.id, Code::Quota).unwrap();
    let shown = alice.engine.message(full.id).unwrap();
    assert_eq!(shown.fate, Fate::Refused(Code::Quota));
    let failed = AttachmentState::Failed(TransferFailure::Full);
    assert_eq!(state_of(&alice, full.id), failed);
    assert!(content(&alice, full.id) == bytes);
    post.round(&mut alice);
    post.round(&mut bob);
    assert!(bob.history().is_empty());

    let (sent, _) = attach(&mut alice, 300_000);
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.fetch(sent.id).unwrap();
    let row = bob.engine.owed_transfers().unwrap().remove(0);
    bob.engine.transfer_refused(&row.id, Code::NotFound).unwrap();
    let failed = AttachmentState::Failed(TransferFailure::Gone);
    assert_eq!(state_of(&bob, sent.id), failed);
    bob.engine.fetch(sent.id).unwrap();
    shelf.carry(&mut bob);
    assert_eq!(state_of(&bob, sent.id), AttachmentState::Here);
}

/// Small files are fetched by themselves, at the bound and not one past it, a few at once; with
/// another bound, or none, as was said.
#[test]
fn small_files_are_fetched_by_themselves() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let bound = usize::try_from(ATTACHMENT_FETCH_BYTES).unwrap();
    let mut sent = Vec::new();
    for size in [bound, bound + 1] {
        sent.push(attach(&mut alice, size).0.id);
    }
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    shelf.carry(&mut bob);
    let states: Vec<_> = sent.iter().map(|id| state_of(&bob, *id)).collect();
    assert_eq!(states, [AttachmentState::Here, AttachmentState::AtRelay]);
    for (bytes, state) in [(0, AttachmentState::AtRelay), (1_000, AttachmentState::Here)] {
        bob.engine.set_fetch_bytes(bytes).unwrap();
        let (sent, _) = attach(&mut alice, 1_000);
        shelf.carry(&mut alice);
        post.round(&mut alice);
        post.round(&mut bob);
        shelf.carry(&mut bob);
        assert_eq!(state_of(&bob, sent.id), state, "{bytes}");
    }
    for _ in 0..=ATTACHMENT_FETCHES {
        attach(&mut alice, 1);
    }
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    bob.engine.fetch_wanted().unwrap();
    assert_eq!(bob.engine.owed_transfers().unwrap().len(), ATTACHMENT_FETCHES);
}

/// CNT-8: what names a relay or a mailbox its conversation has nothing to do with, or a size no
/// file has, is shown and never fetched; nothing connects there.
#[test]
fn strange_places_are_not_fetched() {
    let (mut post, mut alice, mut bob) = friends();
    let (relay, mailbox) = (bob.engine.account.relay.clone(), bob.log());
    let stranger = PublicKey::new([8; 32]);
    let elsewhere =
        restante_spec::address::RelayAddress::new(stranger, "evil.example.org", 7443).unwrap();
    let moved =
        restante_spec::address::RelayAddress::new(*relay.identity(), "other.example.org", 1);
    let said = |change: &dyn Fn(&mut Said)| {
        let mut said = Said {
            relay: relay.clone(),
            mailbox,
            blob: BlobId::new([1; 16]),
            read_key: [2; 32].into(),
            file_key: [3; 32].into(),
            size: 1_000,
            name: String::new(),
            media_type: String::new(),
            width: 0,
            height: 0,
            duration_ms: 0,
            thumbnail: Vec::new(),
            caption: String::new(),
            reply_to: None,
        };
        change(&mut said);
        Body::Attachment(Box::new(said))
    };
    let moved = moved.unwrap();
    let bodies = [
        (said(&|said| said.relay = elsewhere.clone()), false),
        (said(&|said| said.mailbox = MailboxId::new([9; 16])), false),
        (said(&|said| said.size = 0), false),
        (said(&|said| said.size = FILE_BYTES + 1), false),
        (said(&|said| said.size = FILE_BYTES), true),
        (said(&|said| said.relay = moved.clone()), true),
    ];
    bob.engine.set_fetch_bytes(0).unwrap();
    for (body, good) in bodies {
        let to = alice.talk();
        alice.engine.transact(|work| work.queue_body(to, &body)).unwrap();
        post.round(&mut alice);
        post.round(&mut bob);
        let got = bob.history().pop().unwrap();
        let fetched = bob.engine.fetch(got.id);
        assert_eq!(fetched.is_ok(), good, "{body:?}");
        if !good {
            assert_eq!(fetched, Err(Error::Unfetchable));
            assert_eq!(state_of(&bob, got.id), AttachmentState::Unfetchable);
            assert_eq!(bob.engine.open_attachment(got.id).unwrap_err(), Error::Unfetchable);
        }
    }
    let relays = bob.engine.wanted_relays().unwrap();
    assert_eq!(relays.into_iter().collect::<Vec<_>>(), [relay.to_string()]);
}

/// FIL-4: what was fetched and is not the file the message names is not read.
#[test]
fn another_file_is_not_read() {
    let (mut post, mut alice, mut bob) = friends();
    let mut shelf = Shelf::default();
    let (sent, _) = attach(&mut alice, 1_000);
    shelf.carry(&mut alice);
    post.round(&mut alice);
    post.round(&mut bob);
    shelf.0.values_mut().for_each(|blob| blob[500] ^= 1);
    shelf.carry(&mut bob);
    let opened = bob.engine.open_attachment(sent.id);
    assert!(matches!(opened, Err(Error::Crypto(_))), "{opened:?}");
}

/// Uploads that wait are bounded, at the bound and one past it.
#[test]
fn waiting_uploads_are_bounded() {
    let (_post, mut alice, _bob) = friends();
    for _ in 0..TRANSFERS {
        attach(&mut alice, 1);
    }
    let (path, _) = source(&alice, 1);
    let refused = attach_with(&mut alice, &path, AttachOptions::default());
    assert_eq!(refused.unwrap_err(), Error::TooMany { what: "transfers", max: TRANSFERS });
    alice.engine.remove_litter().unwrap();
    assert_eq!(files(&alice).len(), TRANSFERS);
}
