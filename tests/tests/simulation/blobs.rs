//! What clients do with blobs: they begin them, write their parts, read and delete them.
//!
//! Knows what its creator knows of a blob, which is durable and outlives connections; judges
//! nothing.

use std::rc::Rc;

use bytes::Bytes;
use restante_crypto::{BlobChallenge, SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, BlobOffset, BlobSize, Epoch, Handle, Seconds};
use restante_spec::limits;
use restante_spec::message::{BlobCreate, BlobRead, Command, Refusal, Reply};

use super::client::{Request, Scene, Session};
use super::ledger::{Announced, Asked, Look, Moment, PART, Place, Work, content};
use super::town::{Role, Town, key};
use super::workload::desk_of;

/// A blob as everybody knows it who was told of it.
pub(crate) struct Upload {
    id: BlobId,
    /// The read key.
    key: Rc<SigningKey>,
    /// The seat that began it.
    seat: usize,
    announced: Announced,
    /// Bytes that are safe; `None`: it is not begun, as far as its creator knows.
    stored: Option<u64>,
    complete: bool,
    /// Deletions that were asked for and not certainly refused.
    deletions: u32,
}

/// Blobs that a seat has at most.
const BLOBS_OF_A_SEAT: usize = 4;

/// Does something with blobs, if the relay has any.
pub(super) fn blobs(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    if scene.town.blobs.is_none() {
        return;
    }
    match scene.random.below(10) {
        0 | 1 => delete(session, number, scene),
        2..=6 => upload(session, number, scene),
        _ => download(session, scene),
    }
}

/// Blobs of this conversation that a commit may need.
pub(super) fn needed(place: Place, scene: &Scene<'_>) -> Vec<BlobId> {
    let uploads = uploads_of(scene.town);
    let whole = uploads.iter().filter(|it| it.announced.place == place && it.complete);
    whole.filter(|it| it.deletions == 0).map(|it| it.id).take(limits::COMMIT_BLOBS).collect()
}

/// Begins a blob, or goes on with one: with what is missing, and sometimes with what is not.
fn upload(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some((handle, epoch)) = writes(session, number, scene.town) else { return };
    let uploads = scene.town.blobs.iter().flatten().enumerate();
    let own = uploads.filter(|(_, it)| it.seat == number && it.deletions == 0);
    let own: Vec<_> = own.map(|(at, _)| at).collect();
    let goes_on = |at: &usize| {
        let upload = &uploads_of(scene.town)[*at];
        !upload.complete || scene.random.permille(100)
    };
    let at = match own.iter().copied().find(goes_on) {
        Some(at) => at,
        None if own.len() < BLOBS_OF_A_SEAT => begin(number, scene),
        None => return,
    };
    let is_begun = uploads_of(scene.town)[at].stored.is_some();
    if is_begun && !scene.random.permille(150) {
        return write(session, at, (handle, epoch), scene);
    }
    let upload = &uploads_of(scene.town)[at];
    let mailbox = scene.town.mailbox(upload.announced.place).id;
    let create = BlobCreate {
        handle: Handle::new(handle),
        blob: upload.id,
        key: upload.key.public(),
        possession: prove_possession(&upload.key, &mailbox),
        size: BlobSize::new(upload.announced.size),
        ttl: upload.announced.ttl.map(Seconds::new),
    };
    let asked = ask(number, upload.id, epoch, Work::Create, scene);
    session.send(Request::Blob(asked), Command::BlobCreate(create), b"");
}

/// A new blob of some size, in up to three parts.
fn begin(number: usize, scene: &mut Scene<'_>) -> usize {
    let random = &mut *scene.random;
    let place = scene.town.seats[number].place;
    let most = scene.town.mailboxes[place.0].ttl + limits::BLOB_TTL_MORE.get();
    let (whole, rest) =
        random.weighted(&[(5, (0, 3_000)), (2, (1, 0)), (3, (1, 900)), (1, (2, 9))]);
    let size = whole * PART + random.within(u64::from(whole == 0), rest);
    let ttl = random.weighted(&[(2, None), (4, Some(most)), (1, Some(60)), (1, Some(u32::MAX))]);
    let announced = Announced { place, size, ttl };
    let (id, key) = (BlobId::new(random.bytes()), key(random));
    let upload =
        Upload { id, key, seat: number, announced, stored: None, complete: false, deletions: 0 };
    scene.ledger.announcing(id, announced, scene.now);
    let uploads = scene.town.blobs.get_or_insert_default();
    uploads.push(upload);
    uploads.len() - 1
}

/// Writes some parts, pipelined: mostly the next ones, sometimes any.
fn write(
    session: &mut Session,
    at: usize,
    (handle, epoch): (u32, Option<Epoch>),
    scene: &mut Scene<'_>,
) {
    let Upload { id, seat, announced, stored, .. } = uploads_of(scene.town)[at];
    let mut part = usize::try_from(stored.unwrap_or(0) / PART).unwrap();
    for _ in 0..scene.random.within(1, 3) {
        if part >= announced.parts() || scene.random.permille(300) {
            part = scene.random.index(announced.parts());
        }
        let fill = scene.random.next();
        let number = scene.ledger.writing(id, part, fill, scene.now);
        let asked = ask(seat, id, epoch, Work::Write { part, number }, scene);
        let offset = BlobOffset::new(part as u64 * PART);
        let command = Command::BlobWrite { handle: Handle::new(handle), blob: id, offset };
        let body = content(fill, 0, announced.part_bytes(part));
        session.send(Request::Blob(asked), command, &body);
        part += 1;
    }
}

fn delete(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    let Some((handle, epoch)) = writes(session, number, scene.town) else { return };
    // Sometimes once more: there may be none any more.
    let uploads = scene.town.blobs.iter_mut().flatten();
    let has_some = |it: &&mut Upload| it.seat == number && it.stored.is_some() && it.deletions < 2;
    let mut begun: Vec<_> = uploads.filter(has_some).collect();
    if begun.is_empty() {
        return;
    }
    let upload = begun.swap_remove(scene.random.index(begun.len()));
    upload.deletions += 1;
    let id = upload.id;
    scene.ledger.ending(id);
    let asked = ask(number, id, epoch, Work::Delete, scene);
    let command = Command::BlobDelete { handle: Handle::new(handle), blob: id };
    session.send(Request::Blob(asked), command, b"");
}

/// Reads some bytes of any blob, whole or not, sometimes with another key.
fn download(session: &mut Session, scene: &mut Scene<'_>) {
    let uploads = uploads_of(scene.town);
    if uploads.is_empty() {
        return;
    }
    let at = scene.random.index(uploads.len());
    let size = uploads[at].announced.size;
    let any = scene.random.within(0, size);
    let offset = scene.random.weighted(&[(3, 0), (2, PART), (4, any)]);
    let length = scene.random.weighted(&[(4, u64::MAX), (1, 0), (1, 3), (3, 5_000)]);
    let is_lawful = !scene.random.permille(100);
    read(session, at, (offset, length), is_lawful, scene);
}

fn read(
    session: &mut Session,
    at: usize,
    (offset, length): (u64, u64),
    is_lawful: bool,
    scene: &mut Scene<'_>,
) {
    let Some(nonce) = session.nonce else { return };
    let Upload { id, key: own, .. } = &uploads_of(scene.town)[at];
    let key = if is_lawful { Rc::clone(own) } else { key(scene.random) };
    let challenge = BlobChallenge { relay: scene.relay, nonce, blob: *id };
    let read = BlobRead {
        blob: *id,
        key: key.public(),
        proof: challenge.prove(&key),
        offset: BlobOffset::new(offset),
        length: BlobSize::new(length),
    };
    let look = Look { blob: *id, is_lawful, offset, length, sent: scene.now };
    session.send(Request::Look(look), Command::BlobRead(read), b"");
}

/// Everything complete that a seat has begun is read once more, until the relay has answered.
pub(super) fn read_all(session: &mut Session, number: usize, scene: &mut Scene<'_>) {
    for at in 0..uploads_of(scene.town).len() {
        let upload = &uploads_of(scene.town)[at];
        let waits = session.pending.values().any(|it| matches!(it, Request::Look(_)));
        let is_due = upload.seat == number && upload.complete && !session.read.contains(&upload.id);
        if is_due && !waits {
            read(session, at, (0, u64::MAX), true, scene);
        }
    }
}

/// What was asked of a blob is answered.
pub(super) fn answered(
    asked: &Asked,
    answer: Result<Reply, Refusal>,
    said: Moment,
    scene: &mut Scene<'_>,
) {
    let mut uploads = scene.town.blobs.iter_mut().flatten();
    let upload = uploads.find(|it| it.id == asked.blob).expect("a blob that was begun");
    match answer {
        Ok(Reply::BlobState(state)) => {
            (upload.stored, upload.complete) = (Some(state.stored.get()), state.complete);
            scene.ledger.blob_told(asked, &state, said);
        }
        Ok(Reply::Done) if asked.what == Work::Delete => scene.ledger.blob_deleted(asked, said),
        Ok(other) => panic!("{other:?} to {asked:?}"),
        Err(refusal) => {
            if asked.what == Work::Delete && refusal.code != Code::Unknown {
                upload.deletions -= 1;
            }
            scene.ledger.blob_refused(asked, refusal.code, said);
        }
    }
}

/// Bytes of a blob have come, or not.
pub(super) fn looked(
    session: &mut Session,
    look: &Look,
    (answer, bytes): (Result<Reply, Refusal>, &Bytes),
    said: Moment,
    scene: &mut Scene<'_>,
) {
    match answer {
        Ok(Reply::BlobPart(part)) => {
            session.read.insert(look.blob);
            scene.ledger.blob_read(look, &part, bytes, said);
        }
        Ok(other) => panic!("{other:?} to {look:?}"),
        Err(refusal) => {
            if look.is_lawful && refusal.code == Code::NotFound {
                session.read.insert(look.blob);
            }
            scene.ledger.blob_not_read(look, refusal.code);
        }
    }
}

/// The handle and the epoch with which a seat writes, if it does.
fn writes(session: &Session, number: usize, town: &Town) -> Option<(u32, Option<Epoch>)> {
    let is_writer = matches!(town.seats[number].role, Role::Member | Role::Writer);
    let handle = desk_of(session, number, town).filter(|_| is_writer)?;
    let opened = session.desks[&handle].opened.as_ref()?;
    opened.upto.is_none().then_some((handle, opened.epoch))
}

fn ask(number: usize, blob: BlobId, epoch: Option<Epoch>, what: Work, scene: &Scene<'_>) -> Asked {
    let key = scene.town.seats[number].key.public();
    Asked { blob, key, epoch, sent: scene.now, what }
}

fn uploads_of(town: &Town) -> &[Upload] {
    town.blobs.as_deref().unwrap_or_default()
}
