//! Processes that end without a word, and what the next one finds.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use redb::{Database, ReadableTable, TableDefinition};
use restante_spec::ids::{Seq, UnixTime};

use super::conformance::{NOW, Rig, append, id, left, mailbox, paid_create, row};
use super::disk::Disk;
use super::fault::start;
use super::memory::MemoryBuffer;
use super::play::{play, steps};
use super::redb::{OpenError, RedbBuffer};
use super::{Act, AppendAct, Buffer, Outcome, Part, RowWrite, Settings};

const fn rig(buffer: Arc<dyn Buffer>) -> Rig {
    Rig { buffer, epoch: Seq::START }
}

const fn trim(upto: Seq) -> Act {
    Act::Write { rows: Vec::new(), trim: Some(upto) }
}

/// MBX-3, MBX-5: a process that just ends leaves everything accepted, its ids and its numbers.
#[test]
fn a_crash_keeps_what_was_accepted_and_repeats_no_number() {
    let mut disk = Disk::default();
    let mut highest = Seq::START;
    for round in 0..5_u32 {
        disk = disk.after_crash(u64::from(round));
        let (buffer, _thread) = start(&disk);
        if round == 0 {
            Rig::new(buffer.clone());
        }
        let rig = rig(buffer.clone());
        if let Some(before) = round.checked_sub(1) {
            let again = rig.act(1, Act::Append(append(before)));
            assert!(matches!(again, Ok(Outcome::Already(_))), "{again:?}");
        }
        let stored = rig.store(1, append(round));
        assert!(stored.seq > highest);
        highest = stored.seq;
        rig.act(1, trim(stored.seq)).unwrap();
        let level = buffer.level(mailbox(1), NOW);
        assert_eq!((level.entries, level.head), (0, stored.seq));
    }
}

/// MBX-3, MBX-5, MBX-10: chunks go when their ids need not be remembered; the newest number stays
/// known after all of them are gone, and no number comes again.
#[test]
fn chunks_go_and_the_head_stays() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let first = Rig::new(buffer.clone());
    first.create(2);
    let soon = UnixTime::new(NOW.get() - 1);
    let expired = first.store(2, AppendAct { expires_at: soon, ..append(1) });
    let stored = first.store(1, append(1));
    first.act(1, trim(stored.seq)).unwrap();
    let write = || Act::Write { rows: Vec::new(), trim: None };
    buffer.tick(UnixTime::new(NOW.get() + 119));
    first.act(1, write()).unwrap();
    first.act(1, write()).unwrap();
    assert!(buffer.lookup(mailbox(1), id(1)).is_some(), "remembered for 120 s");
    buffer.tick(UnixTime::new(NOW.get() + 120));
    first.act(1, write()).unwrap();
    first.act(1, write()).unwrap();
    assert_eq!(buffer.lookup(mailbox(1), id(1)), None, "then forgotten");
    buffer.stop();
    thread.join().unwrap();
    let (buffer, _thread) = start(&disk);
    assert_eq!(buffer.level(mailbox(1), UnixTime::new(NOW.get() + 200)).head, stored.seq);
    assert_eq!(buffer.lookup(mailbox(2), id(1)), None, "its chunk is gone too");
    let after = rig(buffer);
    let next = after.store(1, append(2));
    assert_eq!(next.prev, stored.seq);
    assert!(next.seq > stored.seq);
    assert_eq!(after.store(2, append(2)).prev, expired.seq, "also where nothing was trimmed");
}

/// ADM-3: whatever call of the disk fails, a mailbox is there exactly when it was paid for.
#[test]
fn a_crash_neither_loses_a_use_nor_gives_one_back() {
    let mut failed = 0;
    for calls in 0..40 {
        let disk = Disk::default();
        let (buffer, _thread) = start(&disk);
        let rows = vec![row(9, b"token", Some(b"*****"))];
        rig(buffer).act(0, Act::Write { rows, trim: None }).unwrap();
        let disk = disk.after_crash(calls);
        let (buffer, _thread) = start(&disk);
        disk.syncs_partly(calls);
        disk.dies_after(u32::try_from(calls).unwrap());
        let paying = rig(buffer);
        let answers = [1, 2, 3].map(|number| paying.submit(number, paid_create()));
        failed += answers.iter().filter(|answer| answer.recv().unwrap().is_err()).count();
        let (found, _thread) = start(&disk.after_crash(calls));
        let mailboxes = found.mailboxes(None, 10).unwrap().len();
        assert_eq!(left(&*found), Some(5 - mailboxes), "after {calls} calls");
    }
    assert!(failed > 0, "no call failed");
}

/// DLV-1, DLV-3. Once chunks were numbered from 1 again when the last one had gone, so that the
/// newest number of a mailbox was not written down with its chunk, and forgotten by the next start.
#[test]
fn the_head_outlives_chunks_that_came_after_all_had_gone() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let first = Rig::new(buffer.clone());
    let old = first.store(1, append(1));
    first.store(1, append(2));
    buffer.stop();
    thread.join().unwrap();
    let (buffer, thread) = start(&disk);
    let second = rig(buffer.clone());
    second.act(1, trim(Seq::new(u64::MAX))).unwrap();
    let pass = |time| {
        buffer.tick(UnixTime::new(NOW.get() + time));
        second.act(1, Act::Write { rows: Vec::new(), trim: None }).unwrap();
        second.act(1, Act::Write { rows: Vec::new(), trim: None }).unwrap();
    };
    pass(200);
    assert_eq!(buffer.lookup(mailbox(1), id(1)), None, "all chunks are gone");
    let now = UnixTime::new(NOW.get() + 200);
    let expires_at = UnixTime::new(now.get() + 10);
    let newest = second.store(1, AppendAct { now, expires_at, ..append(3) });
    assert!(newest.seq > old.seq);
    pass(500);
    assert_eq!(buffer.lookup(mailbox(1), id(3)), None, "this one too");
    buffer.stop();
    thread.join().unwrap();
    let (buffer, _thread) = start(&disk);
    assert_eq!(buffer.level(mailbox(1), UnixTime::new(NOW.get() + 600)).head, newest.seq);
}

/// MBX-4: cut the power in the middle of a commit, with any part of the unsynced writes on the
/// disk: everything accepted is there, and every act is whole or not there.
#[test]
fn a_power_cut_leaves_acts_whole_or_not_at_all() {
    let part = |number: u32| Part { tag: 9, key: number.to_be_bytes().to_vec() };
    let (mut torn, mut unanswered) = (0, 0);
    for fuse in 0..120_u32 {
        let disk = Disk::default();
        let (buffer, _thread) = start(&disk);
        let before = Rig::new(buffer);
        disk.dies_after(fuse);
        let answers: Vec<_> = (1..=6)
            .map(|number| {
                let value = Some(Bytes::from_static(b"row"));
                let rows = vec![RowWrite { part: part(number), value }];
                before.submit(1, Act::Append(AppendAct { rows, ..append(number) }))
            })
            .map(|answer| answer.recv().unwrap())
            .collect();
        torn += u32::from(disk.has_unsynced());
        for seed in 0..4 {
            let (buffer, thread) = start(&disk.after_crash(u64::from(fuse) * 7 + seed));
            let after = rig(buffer.clone());
            let ids = after.ids(1, NOW);
            for (number, answer) in (1..=6).zip(&answers) {
                let row = buffer.row(mailbox(1), &part(number)).unwrap();
                let stored = buffer.lookup(mailbox(1), id(number));
                assert_eq!(row.map(|row| row.revision), stored.map(|stored| stored.seq));
                assert_eq!(ids.contains(&id(number)), stored.is_some());
                match answer {
                    Ok(Outcome::Stored(said)) => assert_eq!(stored, Some(*said)),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => unanswered += 1,
                }
            }
            buffer.stop();
            thread.join().unwrap();
        }
    }
    assert!(torn > 10 && unanswered > 10, "{torn} cuts within a commit, {unanswered} unanswered");
}

/// Numbers by rank: a process that starts goes on above its reserved block, the model does not.
fn ranked(seen: &[String]) -> Vec<String> {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split("Seq(").skip(1);
        parts.filter_map(|part| part.split(')').next()?.parse().ok()).collect()
    };
    let mut all: Vec<u64> = seen.iter().flat_map(|text| numbers(text)).collect();
    all.sort_unstable();
    all.dedup();
    let rank = |number: u64| all.binary_search(&number).unwrap();
    let replaced = |text: &String| {
        numbers(text).iter().fold(text.clone(), |text, number| {
            text.replacen(&format!("Seq({number})"), &format!("Rank({})", rank(*number)), 1)
        })
    };
    seen.iter().map(replaced).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With crashes in between, the real buffer still does what the model does.
    #[test]
    fn redb_follows_the_model_through_crashes(steps in steps(), seed: u64) {
        let mut disk = Disk::default();
        let (first, _thread) = start(&disk);
        let real = play(Rig::new(first), &steps, || {
            disk = disk.after_crash(seed);
            Some(start(&disk).0)
        });
        let model = play(Rig::new(MemoryBuffer::start()), &steps, || None);
        prop_assert_eq!(ranked(&real), ranked(&model));
    }
}

/// A file that another has open is refused in words.
#[test]
fn a_store_in_use_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("buffer.redb");
    let (_first, _writer) = RedbBuffer::open(&path, Settings::default(), NOW).unwrap();
    let second = RedbBuffer::open(&path, Settings::default(), NOW);
    assert!(matches!(second.err(), Some(OpenError::Locked)));
}

/// Damage and other forms are named at the start, and nothing of the file is changed or dropped.
#[test]
fn damaged_and_newer_stores_are_refused() {
    const CHUNKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("chunks");
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("buffer.redb");
    let (buffer, writer) = RedbBuffer::open(&path, Settings::default(), NOW).unwrap();
    let thread = crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run());
    let first = Rig::new(buffer.clone());
    first.store(1, append(1));
    buffer.stop();
    thread.unwrap().join().unwrap();
    drop((buffer, first));
    let refused = || RedbBuffer::open(&path, Settings::default(), NOW).err();
    let change = |what: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        what(&transaction);
        transaction.commit().unwrap();
    };

    change(&|transaction| {
        let mut chunks = transaction.open_table(CHUNKS).unwrap();
        let (id, mut bytes) =
            chunks.last().unwrap().map(|(id, bytes)| (id.value(), bytes.value().to_vec())).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        chunks.insert(id, bytes.as_slice()).unwrap();
    });
    assert!(matches!(refused(), Some(OpenError::Damaged(_))));
    assert!(refused().unwrap().to_string().contains("restore it from a backup"));
    change(&|transaction| {
        transaction.open_table(META).unwrap().insert("format", 4).unwrap();
    });
    assert!(matches!(refused(), Some(OpenError::Format(4))));
}
