//! The store alone: appending while expiry runs, the file's size, letting go; beside a raw log.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use bytes::Bytes;
use restante_relay::simulation::Store;
use restante_spec::ids::{MailboxId, UnixTime};

use super::process::written_by_this;
use super::rawlog;
use super::report::{Report, median};

/// Bytes of a body.
const BODY: usize = 1_024;
/// Mailboxes.
const MAILBOXES: usize = 2_000;
/// Entries to a sync of the raw log.
const BATCH: usize = 1_000;
/// Appends in a second of the store's clock.
const PER_SECOND: usize = 200;
/// How long an envelope lives by that clock, seconds.
const TTL: usize = 600;
/// Appends that wait at once.
const WINDOW: usize = 4_000;

/// Runs the load and notes its figures.
pub fn run(quick: bool, report: &mut Report) {
    // Beyond what lives at once, so that as much expires as comes.
    let steady = PER_SECOND * (TTL + 200);
    let (count, rounds) = if quick { (steady / 4, 1) } else { (3 * steady, 5) };
    let mut figures: Vec<[f64; 5]> = Vec::new();
    for round in 1..=rounds {
        println!("store {round}/{rounds}: {count} x {BODY} B, {TTL} s at {PER_SECOND} a second");
        let folder = tempfile::tempdir().expect("a folder");
        let before = rawlog::rate(folder.path(), BODY, BATCH, count / 2);
        let [rate, written, size, on_disk, expired] = load(folder.path(), count, steady);
        let raw = (before + rawlog::rate(folder.path(), BODY, BATCH, count / 2)) / 2.0;
        figures.push([rate / raw, written, size, on_disk, expired / rate]);
    }
    let figure = |place: usize| median(figures.iter().map(|row| row[place]).collect());
    report.note("store.append_share_of_raw_log", figure(0), "ratio", Some(">= 0.60"));
    report.note("store.write_amplification", figure(1), "ratio", Some("<= 1.2"));
    report.note("store.file_vs_live_bytes", figure(2), "ratio", Some("<= 1.5"));
    report.note("store.disk_vs_live_bytes", figure(3), "ratio", None);
    report.note("store.expiry_vs_append", figure(4), "ratio", Some(">= 4"));
}

/// Appends a second once things expire; bytes written by bytes appended; the file's length, and
/// what it takes of the disk, by the bytes of all that is remembered; envelopes let go in a second
/// when all have expired. The length doubles as the file grows: what is beyond was never written.
fn load(folder: &Path, count: usize, steady: usize) -> [f64; 5] {
    let path = folder.join("buffer.redb");
    let begin = 1_800_000_000;
    let store = Store::open(&path, UnixTime::new(begin)).expect("a store");
    let (done, waiting) = sync_channel(WINDOW + MAILBOXES);
    let told = || {
        let done = done.clone();
        Box::new(move |stored| done.send(stored).expect("somebody waits"))
    };
    for number in 0..MAILBOXES {
        assert!(store.create(mailbox(number), told()), "the queue has room");
    }
    (0..MAILBOXES).for_each(|_| wait(&waiting));
    let body = Bytes::from(vec![0x5a; BODY]);
    let warm = steady.min(count / 2);
    let (mut since, mut written) = (Instant::now(), written_by_this());
    for number in 0..count {
        if number == warm {
            (since, written) = (Instant::now(), written_by_this());
        }
        if number >= WINDOW {
            wait(&waiting);
        }
        let now = begin + (number / PER_SECOND) as u64;
        let (now, expires_at) = (UnixTime::new(now), UnixTime::new(now + TTL as u64));
        if number % PER_SECOND == 0 {
            store.tick(now);
        }
        let place = mailbox(number % MAILBOXES);
        assert!(store.append(place, body.clone(), expires_at, now, told()), "room in the queue");
    }
    (0..WINDOW.min(count)).for_each(|_| wait(&waiting));
    let appended = (count - warm) as f64;
    let rate = appended / since.elapsed().as_secs_f64();
    let written = (written_by_this() - written) / (appended * BODY as f64);
    let remembered = store.remembered() as f64;
    let file = std::fs::metadata(&path).expect("a file");
    // stat(2): in units of 512 bytes.
    let [size, on_disk] = [file.len(), file.blocks() * 512].map(|bytes| bytes as f64);
    let far = UnixTime::new(begin + (count / PER_SECOND + 2 * TTL) as u64);
    let begun = Instant::now();
    while store.remembered() > 0 {
        store.tick(far);
        std::thread::yield_now();
    }
    let expired = remembered / begun.elapsed().as_secs_f64();
    let live = remembered * BODY as f64;
    [rate, written, size / live, on_disk / live, expired]
}

fn mailbox(number: usize) -> MailboxId {
    let mut id = [0; MailboxId::SIZE];
    id[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    MailboxId::new(id)
}

fn wait(done: &Receiver<bool>) {
    assert!(done.recv().expect("the store works"), "stored");
}
