//! Disks that fail when told to, and forget what was not synced: what is accepted survives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::conformance::{ALL, NOW, QUOTA, Rig, append, id, mailbox};
use super::disk::Disk;
use super::redb::RedbBuffer;
use super::{Act, AppendAct, Buffer, BufferError, Outcome, Quota, Settings};

/// A process that opens the disk.
pub(super) fn start(disk: &Disk) -> (Arc<RedbBuffer>, std::thread::JoinHandle<()>) {
    // A small cache, so that reads and writes reach the disk early.
    let settings = Settings { cache_bytes: 64 * 1024, ..Settings::default() };
    let (buffer, writer) = RedbBuffer::open_on(disk, settings, NOW).unwrap();
    (buffer, crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap())
}

/// Asks until the store is back.
fn until_stored(rig: &Rig, number: u32) -> super::Stored {
    loop {
        match rig.act(1, Act::Append(append(number))) {
            Ok(Outcome::Stored(stored) | Outcome::Already(stored)) => return stored,
            Err(BufferError::Unavailable | BufferError::Unknown) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// MBX-4: whichever call of the disk fails, what was answered as stored is stored after it, and
/// opens after a power cut too, what was refused as not done is not, and the buffer serves on by
/// itself.
#[test]
fn accepted_envelopes_survive_any_failing_call() {
    let (mut failures, mut unavailable, mut unknown) = (0, 0, 0);
    for fuse in 0..120 {
        let disk = Disk::default();
        let (buffer, thread) = start(&disk);
        let rig = Rig::new(buffer.clone());
        disk.fails_at(fuse);
        let mut answers = Vec::new();
        for number in 1..=5 {
            answers.push((number, rig.act(1, Act::Append(append(number)))));
        }
        failures += disk.failures();
        disk.heal();
        until_stored(&rig, 6);
        // What was not stored is asked for again with the same id.
        for (number, answer) in &answers {
            let found = buffer.lookup(mailbox(1), id(*number));
            let stored = until_stored(&rig, *number);
            match answer {
                Ok(Outcome::Stored(before)) => {
                    assert_eq!(found, Some(*before), "call {fuse}: accepted stays accepted");
                    assert_eq!(stored, *before, "call {fuse}: and gets its answer again");
                }
                Err(BufferError::Unavailable) => {
                    assert_eq!(found, None, "call {fuse}: certainly not done");
                    unavailable += 1;
                }
                Err(BufferError::Unknown) => unknown += 1,
                other => panic!("call {fuse}: {other:?}"),
            }
        }
        let mut ids = rig.ids(1, NOW);
        ids.sort();
        assert_eq!(ids, (1..=6).map(id).collect::<Vec<_>>(), "call {fuse}: each once");
        let (found, cut) = start(&disk.after_crash(u64::from(fuse)));
        let mut kept = Rig { buffer: found.clone(), ..rig }.ids(1, NOW);
        kept.sort();
        assert_eq!(kept, ids, "call {fuse}: the power is cut");
        for (buffer, thread) in [(buffer, thread), (found, cut)] {
            buffer.stop();
            thread.join().unwrap();
        }
    }
    assert!(failures > 20, "the fuse has burnt {failures} times");
    assert!(unknown > 20, "{unknown} outcomes were unknown, {unavailable} refused");
}

/// MBX-4: a failure while expired chunks go takes nothing that lives.
#[test]
fn a_failing_expiry_takes_nothing_that_lives() {
    let mut failures = 0;
    for fuse in 0..40 {
        let disk = Disk::default();
        let (buffer, thread) = start(&disk);
        let rig = Rig::new(buffer.clone());
        let gone = rig.store(1, append(1));
        let kept = rig.store(1, append(2));
        rig.act(1, Act::Write { rows: Vec::new(), trim: Some(gone.seq) }).unwrap();
        disk.fails_at(fuse);
        let later = restante_spec::ids::UnixTime::new(NOW.get() + 500);
        buffer.tick(later);
        let stored = until_stored(&rig, 3);
        failures += disk.failures();
        disk.heal();
        assert_eq!(stored.prev, kept.seq, "call {fuse}");
        // The expiry that failed may have come behind the append: the store is on its way back.
        let page = loop {
            match buffer.read(mailbox(1), ALL, later) {
                Ok(page) => break page,
                Err(error) => assert_eq!(error, BufferError::Unavailable),
            }
        };
        let ids: Vec<_> = page.envelopes.iter().map(|envelope| envelope.id).collect();
        assert_eq!(ids, [id(2), id(3)], "call {fuse}");
        buffer.stop();
        thread.join().unwrap();
    }
    assert!(failures > 5, "the fuse has burnt {failures} times");
}

/// MBX-4: a full disk refuses, keeps what it has, and takes more once there is room again.
#[test]
fn a_full_disk_keeps_what_it_has() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    let quota = Quota { entries: 1_000, bytes: 100_000_000, ..QUOTA };
    let body = Bytes::from(vec![7; 60_000]);
    disk.fills_up(0);
    let mut stored = Vec::new();
    let refused = (1..1_000).find(|number| {
        let act = AppendAct { quota, body: body.clone(), ..append(*number) };
        let answer = rig.act(1, Act::Append(act));
        stored.extend(answer.is_ok().then_some(id(*number)));
        answer.is_err()
    });
    assert!(refused.is_some(), "the disk is never full");
    assert!(disk.failures() > 0);
    disk.heal();
    while rig.act(1, Act::Write { rows: Vec::new(), trim: None }).is_err() {}
    let ids = rig.ids(1, NOW);
    assert!(stored.iter().all(|id| ids.contains(id)));
    buffer.stop();
    thread.join().unwrap();
}

/// MBX-4: while a disk stays full, the store is opened anew now and then, not with every append;
/// readers have what there is, and once there is room all is taken again.
#[test]
fn a_disk_that_stays_full_is_not_tried_with_every_append() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    let quota = Quota { entries: 1_000, bytes: 100_000_000, ..QUOTA };
    let large = |number| AppendAct { quota, body: vec![7; 60_000].into(), ..append(number) };
    disk.fills_up(0);
    let fits = |number: &u32| rig.act(1, Act::Append(large(*number))).is_ok();
    let stored = (1..1_000).take_while(fits).count();
    // What comes while it is being opened anew is refused at once.
    while disk.failures() < 2 {
        rig.act(1, Act::Append(large(1_000))).unwrap_err();
    }
    for number in 1_001..1_201 {
        rig.act(1, Act::Append(large(number))).unwrap_err();
    }
    assert_eq!(disk.failures(), 2, "it was tried once more");
    // All of them may have been refused before it is opened anew.
    while buffer.read(mailbox(1), ALL, NOW).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(rig.ids(1, NOW).len(), stored);
    disk.heal();
    rig.act(1, Act::Append(large(1))).unwrap_err();
    (0..2).for_each(|_| buffer.tick(NOW));
    rig.store(1, large(2_000));
    buffer.stop();
    thread.join().unwrap();
}

/// Once every act that came while the store was closed had it tried, and scanned, once more.
#[test]
fn a_dead_disk_is_not_tried_with_every_act() {
    let disk = Disk::default();
    let tried = Arc::new(AtomicU32::new(0));
    let (found, count) = (disk.clone(), Arc::clone(&tried));
    let opener = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        redb::Database::builder().create_with_backend(found.reopened())
    });
    let keys = Box::new(disk.clone());
    let (buffer, writer) = RedbBuffer::open_with(opener, keys, Settings::default(), NOW).unwrap();
    let thread = crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run());
    let rig = Rig::new(buffer.clone());
    disk.dies_after(0);
    for number in 1..=2_000 {
        rig.act(1, Act::Append(append(number))).unwrap_err();
    }
    // Waits are doubled: as many take more than a minute.
    let tried = tried.load(Ordering::SeqCst);
    assert!(tried < 20, "it was tried {tried} times");
    disk.heal();
    buffer.stop();
    thread.unwrap().join().unwrap();
}

/// A failed read is told, and the store is opened anew by itself: redb reads nothing more after it.
#[test]
fn reading_goes_on_after_a_failed_read() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    let quota = Quota { entries: 100, bytes: 10_000_000, ..QUOTA };
    let body = Bytes::from(vec![7; 40_000]);
    for number in 1..=20 {
        rig.store(1, AppendAct { quota, body: body.clone(), ..append(number) });
    }
    disk.fails_to_read();
    let read = || {
        let page = buffer.read(mailbox(1), ALL, NOW)?;
        Ok(page.envelopes.len())
    };
    assert_eq!(read(), Err(BufferError::Unavailable));
    let found = loop {
        match read() {
            Ok(found) => break found,
            Err(error) => assert_eq!(error, BufferError::Unavailable),
        }
    };
    assert_eq!(found, 20);
    buffer.stop();
    thread.join().unwrap();
}

/// The relay ends in good order even while its disk is gone; nobody is left without an answer.
#[test]
fn stopping_ends_a_writer_whose_disk_is_gone() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    disk.dies_after(0);
    let lost = rig.act(1, Act::Append(append(1)));
    assert!(matches!(lost, Err(BufferError::Unavailable | BufferError::Unknown)));
    // From here on the writer tries to open the store again.
    let refused: Vec<_> =
        (2..=9).map(|number| rig.submit(1, Act::Append(append(number)))).collect();
    buffer.stop();
    for answer in refused {
        assert_eq!(answer.recv().unwrap(), Err(BufferError::Unavailable));
    }
    thread.join().unwrap();
    let refused = buffer.submit(mailbox(1), Act::Delete, Box::new(|_| ()));
    assert!(refused.is_err(), "behind the end nothing is taken");
}

/// What waits behind the end is answered: not done.
#[test]
fn acts_behind_the_end_are_refused() {
    let (buffer, writer) = RedbBuffer::in_memory();
    let rig = Rig { buffer: buffer.clone(), epoch: restante_spec::ids::Seq::START };
    let before = rig.submit(1, Act::Delete);
    buffer.stop();
    let behind = rig.submit(1, Act::Delete);
    writer.run();
    assert_eq!(before.recv().unwrap(), Err(BufferError::NoMailbox));
    assert_eq!(behind.recv().unwrap(), Err(BufferError::Unavailable));
}

/// A thread that ends without a word leaves nobody waiting.
#[test]
fn a_lost_writer_answers_unknown() {
    let (buffer, writer) = RedbBuffer::in_memory();
    let rig = Rig { buffer, epoch: restante_spec::ids::Seq::START };
    let waiting = rig.submit(1, Act::Delete);
    drop(writer);
    assert_eq!(waiting.recv().unwrap(), Err(BufferError::Unknown));
}

/// The queue is bounded by acts and by bytes of bodies and rows; what is refused comes back
/// uncalled, and an act that waits alone is taken whatever its size.
#[test]
fn the_queue_ends_at_its_bounds() {
    let open = |settings| RedbBuffer::open_on(&Disk::default(), settings, NOW).unwrap();
    let submit = |buffer: &RedbBuffer, size: usize| {
        let row = super::RowWrite {
            part: super::Part { tag: 9, key: Vec::new() },
            value: Some(Bytes::from(vec![0; size / 2])),
        };
        let body = Bytes::from(vec![0; size - size / 2]);
        let act = AppendAct { body, rows: vec![row], ..append(1) };
        buffer.submit(mailbox(1), Act::Append(act), Box::new(|_| ()))
    };
    let settings = Settings { queue_acts: 3, ..Settings::default() };
    let (buffer, _writer) = open(settings);
    for _ in 0..3 {
        assert!(submit(&buffer, 1).is_ok());
    }
    assert!(submit(&buffer, 1).is_err());
    let settings = Settings { queue_bytes: 100, ..Settings::default() };
    let (buffer, writer) = open(settings);
    assert!(submit(&buffer, 60).is_ok());
    assert!(submit(&buffer, 40).is_ok());
    assert!(submit(&buffer, 1).is_err());
    buffer.stop();
    writer.run();
    let (buffer, _writer) = open(settings);
    assert!(submit(&buffer, 101).is_ok());
}
