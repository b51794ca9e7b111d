//! What blobs promise (BLB, CMD-18 to CMD-21), against a real relay.

use std::sync::Arc;

use restante_crypto::{BlobChallenge, SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, BlobSize, ChainNumber, Handle, Nonce, Seconds, Signature};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Append, BlobRead, BlobState, Command, MailboxClass, Rate, Reply, Rights, Terms,
};
use restante_tests::blobs::Blob;
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, Wire, commit, envelope, random};

use crate::TRANSPORT;

const PART: u64 = limits::BLOB_PART_BYTES as u64;
const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };

/// Random bytes.
fn content(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A relay, and a connection with an open conversation on handle 1.
struct Setup {
    relay: InProcess,
    wire: Wire,
    owner: Owner,
    epoch: Option<restante_spec::ids::Epoch>,
}

async fn conversation(flags: &[&str]) -> Setup {
    let relay = InProcess::start(flags).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    Setup { relay, wire, owner, epoch }
}

async fn refused(wire: &mut Wire, command: Command, body: &[u8]) -> Code {
    wire.blob_state(command, body).await.unwrap_err().code
}

/// CMD-18, CMD-19, CMD-20, BLB-1, BLB-4: what was written in parts is read in ranges, on another
/// connection, with the read key alone and no mailbox opened.
#[tokio::test]
async fn a_blob_is_written_in_parts_and_read_by_range() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let bytes = content(3 * PART + 7);
    let blob = Blob::new(owner.mailbox, bytes.len() as u64);
    let state = wire.upload(1, &blob, &bytes).await.unwrap();
    assert!(state.complete && state.stored.get() == blob.size);
    let mut other = Wire::over(TRANSPORT, relay.address()).await;
    assert_eq!(other.download(&blob).await.unwrap(), bytes);
    for (offset, length, end) in [
        (5, 10, 15),
        (PART - 1, 9, PART),
        (PART, PART, 2 * PART),
        (3 * PART, u64::MAX, blob.size),
        (blob.size - 1, 1, blob.size),
        (9, 0, 9),
    ] {
        let (part, got) = other.read(other.blob_read(&blob, offset, length)).await.unwrap();
        assert_eq!((part.size.get(), part.expires_at), (blob.size, state.expires_at));
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(end).unwrap());
        assert!(got == bytes[from..to], "{offset} {length}");
    }
    for offset in [blob.size, u64::MAX] {
        assert!(other.read(other.blob_read(&blob, offset, 1)).await.unwrap().1.is_empty());
    }
    relay.stop().await;
}

/// CMD-20, LIM-25: many reads at once are all answered, each with what it asked for.
#[tokio::test]
async fn reads_are_pipelined_beyond_what_is_read_at_once() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let bytes = content(2 * PART);
    let blob = Blob::new(owner.mailbox, bytes.len() as u64);
    wire.upload(1, &blob, &bytes).await.unwrap();
    let many = 8 * limits::BLOB_READS_IN_FLIGHT as u64;
    let numbers: Vec<_> = (0..many)
        .map(|n| wire.queue(Command::BlobRead(wire.blob_read(&blob, n * 1_000, 1_000)), b""))
        .collect();
    wire.flush().await;
    for (n, number) in numbers.into_iter().enumerate() {
        let (reply, got) = wire.reply(number).await;
        assert!(matches!(reply, Reply::BlobPart(_)), "{reply:?}");
        assert!(got == bytes[n * 1_000..(n + 1) * 1_000]);
    }
    relay.stop().await;
}

/// BLB-3: the same creation tells what is safe, parts may come in any order and again, and what
/// was written last before all was there counts; afterwards nothing changes it.
#[tokio::test]
async fn an_upload_goes_on_where_it_was() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let bytes = content(3 * PART);
    let part = |n: usize| &bytes[n * limits::BLOB_PART_BYTES..(n + 1) * limits::BLOB_PART_BYTES];
    let blob = Blob::new(owner.mailbox, 3 * PART);
    let stored = |state: BlobState| (state.stored.get(), state.complete);
    let state = wire.blob_state(blob.create(1), b"").await.unwrap();
    assert_eq!(stored(state), (0, false));
    let other = content(PART);
    for (offset, body, expected) in
        [(2, part(2), (0, false)), (0, &other[..], (PART, false)), (0, part(0), (PART, false))]
    {
        let state = wire.blob_state(blob.write(1, offset * PART), body).await.unwrap();
        assert_eq!(stored(state), expected);
    }
    // Another connection, where it was cut off.
    wire.cut();
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    assert_eq!(wire.read(wire.blob_read(&blob, 0, 1)).await.unwrap_err().code, Code::NotFound);
    wire.open(7, owner.mailbox, &owner.key).await;
    let state = wire.blob_state(blob.create(7), b"").await.unwrap();
    assert_eq!(stored(state), (PART, false));
    let state = wire.blob_state(blob.write(7, PART), part(1)).await.unwrap();
    assert_eq!(stored(state), (3 * PART, true));
    let state = wire.blob_state(blob.write(7, 0), &other).await.unwrap();
    assert_eq!(stored(state), (3 * PART, true));
    assert!(wire.download(&blob).await.unwrap() == bytes);
    relay.stop().await;
}

/// BLB-3: another size, key or mailbox under an id that is taken is a conflict.
#[tokio::test]
async fn an_id_stands_for_one_blob() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let blob = Blob::new(owner.mailbox, 10);
    wire.blob_state(blob.create(1), b"").await.unwrap();
    let larger = Blob { size: 11, ..blob.clone() };
    let other_key = Blob { key: Arc::new(SigningKey::generate().unwrap()), ..blob.clone() };
    let second = Owner::new();
    wire.create(MailboxClass::Conversation, &second).await;
    wire.open(2, second.mailbox, &second.key).await;
    let elsewhere = Blob { mailbox: second.mailbox, ..blob.clone() };
    for (command, what) in
        [(larger.create(1), "size"), (other_key.create(1), "key"), (elsewhere.create(2), "mailbox")]
    {
        assert_eq!(refused(&mut wire, command, b"").await, Code::Conflict, "{what}");
    }
    let Command::BlobCreate(mut forged) = Blob::new(owner.mailbox, 5).create(1) else { panic!() };
    forged.possession = Signature::new([3; 64]);
    assert_eq!(refused(&mut wire, Command::BlobCreate(forged), b"").await, Code::Denied);
    relay.stop().await;
}

/// BLB-1: a part of another size or at another place is malformed, which closes.
#[tokio::test]
async fn parts_have_their_places_and_sizes() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let blob = Blob::new(owner.mailbox, PART + 5);
    wire.blob_state(blob.create(1), b"").await.unwrap();
    for (offset, size) in [(0, PART - 1), (1, PART), (PART, 4), (PART, 6), (2 * PART, 0)] {
        let mut wire = Wire::over(TRANSPORT, relay.address()).await;
        wire.open(1, owner.mailbox, &owner.key).await;
        let body = content(size);
        assert_eq!(refused(&mut wire, blob.write(1, offset), &body).await, Code::Malformed);
        wire.closed().await;
    }
    assert!(wire.upload(1, &blob, &content(PART + 5)).await.unwrap().complete);
    relay.stop().await;
}

/// BLB-4, MBX-15, CMD-20: unknown, not complete, another key, a wrong or replayed proof: all alike.
#[tokio::test]
async fn who_may_not_read_learns_nothing() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let blob = Blob::new(owner.mailbox, 10);
    wire.upload(1, &blob, b"0123456789").await.unwrap();
    let half = Blob::new(owner.mailbox, 10);
    wire.blob_state(half.create(1), b"").await.unwrap();
    let good = wire.blob_read(&blob, 0, 10);
    let (relay_key, nonce) = (wire.welcome.identity, Nonce::new([1; 32]));
    let replayed = BlobChallenge { relay: relay_key, nonce, blob: blob.id }.prove(&blob.key);
    let stranger = Blob { key: Arc::new(SigningKey::generate().unwrap()), ..blob.clone() };
    let mut answers = Vec::new();
    for read in [
        wire.blob_read(&Blob::new(owner.mailbox, 10), 0, 10),
        wire.blob_read(&half, 0, 10),
        wire.blob_read(&stranger, 0, 10),
        BlobRead { proof: replayed, ..good.clone() },
        BlobRead { proof: Signature::new([7; 64]), ..good.clone() },
    ] {
        answers.push(wire.read(read).await.unwrap_err());
    }
    assert!(answers.iter().all(|answer| answer.code == Code::NotFound && *answer == answers[0]));
    // A proof that was good says nothing of another one.
    assert_eq!(wire.read(good.clone()).await.unwrap().1, &b"0123456789"[..]);
    assert_eq!(wire.read(good.clone()).await.unwrap().1, &b"0123456789"[..]);
    let forged = BlobRead { proof: Signature::new([7; 64]), ..good };
    assert_eq!(wire.read(forged).await.unwrap_err().code, Code::NotFound);
    relay.stop().await;
}

fn allow(owner: &Owner, key: &SigningKey, terms: Terms) -> Command {
    Command::Allow(Allow {
        handle: Handle::new(1),
        key: key.public(),
        possession: prove_possession(key, &owner.mailbox),
        terms,
    })
}

/// BLB-2: in an inbox a contact writes and deletes what it has created, who manages deletes, an
/// invite writes none.
#[tokio::test]
async fn in_an_inbox_a_blob_is_its_creators() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    wire.create(MailboxClass::Inbox, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let terms = Terms { rights: WRITE, expires_at: None, uses: None, rate: None };
    let uses = Terms { uses: Some(5), ..terms };
    let slow = Terms { rate: Some(Rate { count: 1, per: Seconds::new(60) }), ..terms };
    for (handle, terms) in [(2, terms), (3, slow), (4, uses)] {
        let key = SigningKey::generate().unwrap();
        wire.done(allow(&owner, &key, terms), b"").await.unwrap();
        wire.open(handle, owner.mailbox, &key).await;
    }
    let blob = Blob::new(owner.mailbox, 3);
    assert_eq!(refused(&mut wire, blob.create(4), b"").await, Code::Denied);
    assert_eq!(refused(&mut wire, blob.create(1), b"").await, Code::Denied);
    wire.blob_state(blob.create(2), b"").await.unwrap();
    assert_eq!(refused(&mut wire, blob.create(3), b"").await, Code::Conflict);
    assert_eq!(refused(&mut wire, blob.write(3, 0), b"abc").await, Code::NotFound);
    assert_eq!(wire.refused(blob.delete(3), b"").await, Code::NotFound);
    assert!(wire.blob_state(blob.write(2, 0), b"abc").await.unwrap().complete);
    for handle in [2, 1] {
        wire.upload(2, &blob, b"abc").await.unwrap();
        assert_eq!(wire.download(&blob).await.unwrap(), b"abc");
        wire.done(blob.delete(handle), b"").await.unwrap();
        // CMD-21
        assert_eq!(wire.download(&blob).await.unwrap_err().code, Code::NotFound);
        wire.done(blob.delete(handle), b"").await.unwrap();
    }
    relay.stop().await;
}

/// BLB-2, BLB-6: the blobs of a commit must be complete and of its mailbox and live as long; then
/// they cannot be deleted while it is stored. A replaced key writes no more, its successor goes on.
#[tokio::test]
async fn a_commit_keeps_what_it_needs() {
    let Setup { relay, mut wire, owner, epoch } = conversation(&[]).await;
    let next = SigningKey::generate().unwrap();
    let longest = Some(Seconds::new(u32::MAX));
    let new = |size| Blob { ttl: longest, ..Blob::new(owner.mailbox, size) };
    let (whole, half, short) = (new(4), new(2 * PART), Blob::new(owner.mailbox, 4));
    let short = Blob { ttl: Some(Seconds::new(60)), ..short };
    for blob in [&whole, &short] {
        wire.upload(1, blob, b"need").await.unwrap();
    }
    wire.blob_state(half.create(1), b"").await.unwrap();
    let mut chain = 1;
    let mut needing = |blobs: &[BlobId]| {
        chain += 1;
        let mut append = commit(1, epoch, owner.mailbox, &next);
        append.chain = ChainNumber::new(chain);
        append.commit.as_mut().unwrap().blobs = blobs.to_vec();
        append
    };
    let unknown = BlobId::new(random());
    for (blobs, code) in [
        (vec![whole.id, unknown], Code::NotFound),
        (vec![whole.id, short.id], Code::NotFound),
        (vec![whole.id, half.id], Code::Unavailable),
    ] {
        let refused = wire.append(needing(&blobs), b"no").await.unwrap_err();
        assert_eq!(refused.code, code);
    }
    // What a refused commit named is kept by nothing.
    wire.done(short.delete(1), b"").await.unwrap();
    let stored = wire.append(needing(&[whole.id]), b"a commit").await.unwrap();
    wire.open(2, owner.mailbox, &next).await;
    assert_eq!(wire.refused(whole.delete(2), b"").await, Code::Conflict);
    assert_eq!(wire.refused(whole.delete(1), b"").await, Code::StaleEpoch);
    assert_eq!(refused(&mut wire, half.write(1, 0), &content(PART)).await, Code::StaleEpoch);
    assert!(wire.upload(2, &half, &content(2 * PART)).await.unwrap().complete);
    assert_eq!(wire.download(&whole).await.unwrap(), b"need");
    // When the only reader has the commit it is let go, and what it needed is free.
    wire.subscribe(2, &owner.reader, stored.seq, restante_tests::wire::PLENTY).await.unwrap();
    let behind = Append { chain: ChainNumber::new(99), ..envelope(2, stored.epoch) };
    wire.append(behind, b"behind").await.unwrap();
    wire.done(whole.delete(2), b"").await.unwrap();
    relay.stop().await;
}

/// BLB-7: with its mailbox a blob is gone.
#[tokio::test]
async fn a_deleted_mailbox_takes_its_blobs_along() {
    let relay = InProcess::start(&[]).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let room = Owner::new();
    wire.create(MailboxClass::Room, &room).await;
    wire.open(1, room.mailbox, &room.key).await;
    let host = SigningKey::generate().unwrap();
    let terms = Terms { rights: WRITE, expires_at: None, uses: None, rate: None };
    wire.done(allow(&room, &host, terms), b"").await.unwrap();
    wire.open(2, room.mailbox, &host).await;
    let blob = Blob::new(room.mailbox, 4);
    wire.upload(2, &blob, b"gone").await.unwrap();
    wire.done(Command::Delete(Handle::new(1)), b"").await.unwrap();
    assert_eq!(wire.download(&blob).await.unwrap_err().code, Code::NotFound);
    relay.stop().await;
}

/// LIM-22, LIM-23: the largest blob, blobs and bytes of a mailbox; at each bound it is taken, one
/// past it not.
#[tokio::test]
async fn blobs_are_bounded_in_size_and_number() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let new = |size| Blob::new(owner.mailbox, size);
    for size in [0, limits::BLOB_BYTES + 1] {
        assert_eq!(refused(&mut wire, new(size).create(1), b"").await, Code::TooLarge);
    }
    let mut made = Vec::new();
    for _ in 0..limits::MAILBOX_BLOB_BYTES / limits::BLOB_BYTES {
        made.push(new(limits::BLOB_BYTES));
        wire.blob_state(made.last().unwrap().create(1), b"").await.unwrap();
    }
    assert_eq!(refused(&mut wire, new(1).create(1), b"").await, Code::Quota);
    for blob in made {
        wire.done(blob.delete(1), b"").await.unwrap();
    }
    for _ in 0..limits::BLOBS {
        wire.blob_state(new(1).create(1), b"").await.unwrap();
    }
    assert_eq!(refused(&mut wire, new(1).create(1), b"").await, Code::Quota);
    relay.stop().await;
}

/// LIM-24, BLB-7: bytes of a relay, with room for three parts. What is there counts, one part of
/// each blob at least, and not what is only announced.
#[tokio::test]
async fn blobs_of_a_relay_are_bounded() {
    let flag = (3 * PART).to_string();
    let Setup { relay, mut wire, owner, .. } = conversation(&["--blob-bytes", &flag]).await;
    let new = |size| Blob::new(owner.mailbox, size);
    let large = new(3 * PART);
    wire.blob_state(large.create(1), b"").await.unwrap();
    let small = [new(1), new(1)];
    for blob in &small {
        wire.blob_state(blob.create(1), b"").await.unwrap();
    }
    assert_eq!(refused(&mut wire, new(1).create(1), b"").await, Code::Quota);
    let part = vec![7; usize::try_from(PART).unwrap()];
    wire.blob_state(large.write(1, 0), &part).await.unwrap();
    assert_eq!(refused(&mut wire, large.write(1, PART), &part).await, Code::Quota);
    for blob in &small {
        wire.done(blob.delete(1), b"").await.unwrap();
    }
    for offset in [PART, PART, 2 * PART] {
        wire.blob_state(large.write(1, offset), &part).await.unwrap();
    }
    assert_eq!(wire.download(&large).await.unwrap().len() as u64, 3 * PART);
    assert_eq!(refused(&mut wire, new(1).create(1), b"").await, Code::Quota);
    relay.stop().await;
}

/// LIM-25: parts come as fast as the burst allows, one more waits and is told how long.
#[tokio::test]
async fn parts_are_paced() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let blob = Blob::new(owner.mailbox, PART + 1);
    wire.blob_state(blob.create(1), b"").await.unwrap();
    // Never complete, so that each is written.
    let burst = u64::from(limits::BLOB_WRITE_BURST);
    let numbers: Vec<_> = (0..8 * burst).map(|_| wire.queue(blob.write(1, PART), b"x")).collect();
    wire.flush().await;
    let (mut well, mut slow) = (0, 0);
    for number in numbers {
        match wire.reply(number).await.0 {
            Reply::BlobState(_) => well += 1,
            Reply::Error(refusal) => {
                assert_eq!(
                    (refusal.code, refusal.retry_after),
                    (Code::Rate, Some(Seconds::new(1)))
                );
                slow += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(well >= burst && slow > 0, "{well} written, {slow} too fast");
    relay.stop().await;
}

/// BLB-5: the time is the creator's wish, at most a day more than the mailbox's.
#[tokio::test]
async fn the_time_of_a_blob_is_told() {
    let Setup { relay, mut wire, owner, .. } = conversation(&[]).await;
    let ttl = u64::from(limits::TTL_DEFAULT.get());
    let more = u64::from(limits::BLOB_TTL_MORE.get());
    for (wish, seconds) in [(Some(60), 60), (None, ttl), (Some(u32::MAX), ttl + more)] {
        let blob = Blob { ttl: wish.map(Seconds::new), ..Blob::new(owner.mailbox, 1) };
        let state = wire.blob_state(blob.create(1), b"").await.unwrap();
        let told = state.expires_at.get() - wire.welcome.now.get();
        assert!((seconds..seconds + 60).contains(&told), "{wish:?}: {told}");
        assert_eq!(state.stored, BlobSize::new(0));
    }
    relay.stop().await;
}
