//! Sparse chunks are packed together, and nobody notices but the file.

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use restante_spec::ids::{Seconds, UnixTime};
use restante_spec::limits::DEDUP_WINDOW;

use super::conformance::{ALL, NOW, Rig, append, id, mailbox};
use super::disk::Disk;
use super::fault::start;
use super::redb::RedbBuffer;
use super::{Act, AppendAct, Buffer, BufferError, Outcome, Quota, Settings, Span, Stored};

const CHUNKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("chunks");
/// Rounds of one envelope that stays and nine that go.
const ROUNDS: u32 = 60;

fn roomy(number: u32) -> AppendAct {
    let quota = Quota { entries: 10_000, bytes: 1 << 30, reserve_entries: 0, reserve_bytes: 0 };
    let expires_at = UnixTime::new(NOW.get() + 100_000);
    AppendAct { quota, expires_at, ..append(number) }
}

/// One of ten envelopes stays in mailbox 1, the others go from mailbox 2; they come at once, so
/// that they share chunks. Returns what stays.
fn fill(rig: &Rig) -> Vec<Stored> {
    let to = |number: u32| if number.is_multiple_of(10) { 1 } else { 2 };
    let submit = |number| rig.submit(to(number), Act::Append(roomy(number)));
    let answers: Vec<_> = (0..ROUNDS * 10).map(submit).collect();
    let (mut kept, mut last) = (Vec::new(), None);
    for (number, answer) in (0..).zip(answers) {
        let Ok(Outcome::Stored(stored)) = answer.recv().unwrap() else { panic!("stored") };
        match to(number) {
            1 => kept.push(stored),
            _ => last = Some(stored.seq),
        }
    }
    rig.act(2, Act::Write { rows: Vec::new(), trim: last }).unwrap();
    kept
}

fn chunks_on(disk: &Disk) -> u64 {
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_read().unwrap();
    transaction.open_table(CHUNKS).unwrap().len().unwrap()
}

/// Everything that stays is read as it was stored, by number and by id.
fn check(rig: &Rig, kept: &[Stored], now: UnixTime) {
    let page = rig.buffer.read(mailbox(1), ALL, now).unwrap();
    let seqs: Vec<_> = page.envelopes.iter().map(|envelope| envelope.seq).collect();
    assert_eq!(seqs, kept.iter().map(|stored| stored.seq).collect::<Vec<_>>());
    for (round, stored) in (0..ROUNDS).zip(kept) {
        assert_eq!(rig.buffer.lookup(mailbox(1), id(round * 10)), Some(*stored));
        let span = Span { after: stored.prev, upto: stored.seq, ..ALL };
        let page = rig.buffer.read(mailbox(1), span, now).unwrap();
        assert_eq!(page.envelopes.len(), 1);
        assert_eq!(page.envelopes[0].body, roomy(0).body);
    }
}

/// Ticks, and waits for what the tick began.
fn tick(rig: &Rig, now: UnixTime) {
    rig.buffer.tick(now);
    rig.act(1, Act::Write { rows: Vec::new(), trim: None }).unwrap();
    rig.act(1, Act::Write { rows: Vec::new(), trim: None }).unwrap();
}

/// After the time in which ids are remembered (MBX-5), and not before, few live envelopes take few
/// chunks; they are there under the same numbers and ids, also after a restart.
#[test]
fn sparse_chunks_are_packed_together() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    rig.create(2);
    let kept = fill(&rig);
    tick(&rig, NOW.after(Seconds::new(DEDUP_WINDOW.get() - 1)));
    assert!(rig.buffer.lookup(mailbox(2), id(1)).is_some(), "remembered");
    let later = NOW.after(DEDUP_WINDOW);
    tick(&rig, later);
    assert!(rig.buffer.lookup(mailbox(2), id(1)).is_none(), "its chunk is gone");
    check(&rig, &kept, later);
    buffer.stop();
    thread.join().unwrap();
    assert!(chunks_on(&disk) <= 4, "{} chunks", chunks_on(&disk));
    let (buffer, thread) = start(&disk);
    let again = Rig { buffer: buffer.clone(), epoch: rig.epoch };
    check(&again, &kept, later);
    buffer.stop();
    thread.join().unwrap();
}

/// What has expired in a mailbox that nobody uses makes room as well: a chunk does not stay because
/// one of its envelopes lives long.
#[test]
fn what_expires_unused_makes_room() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    rig.create(2);
    let short = NOW.after(Seconds::new(60));
    let submit = |number: u32| {
        let kept = number.is_multiple_of(10);
        let act = roomy(number);
        let expires_at = if kept { act.expires_at } else { short };
        rig.submit(if kept { 1 } else { 2 }, Act::Append(AppendAct { expires_at, ..act }))
    };
    let answers: Vec<_> = (0..ROUNDS * 10).map(submit).collect();
    let mut kept = Vec::new();
    for (number, answer) in (0_u32..).zip(answers) {
        let Ok(Outcome::Stored(stored)) = answer.recv().unwrap() else { panic!("stored") };
        kept.extend(number.is_multiple_of(10).then_some(stored));
    }
    tick(&rig, short);
    assert!(rig.buffer.lookup(mailbox(2), id(1)).is_some(), "remembered");
    let later = short.after(DEDUP_WINDOW);
    tick(&rig, later);
    assert!(rig.buffer.lookup(mailbox(2), id(1)).is_none(), "its chunk is gone");
    check(&rig, &kept, later);
    buffer.stop();
    thread.join().unwrap();
}

/// Readers who read all the time never miss what moves under them.
#[test]
fn readers_do_not_notice() {
    let disk = Disk::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    rig.create(2);
    let kept = fill(&rig);
    let later = NOW.after(DEDUP_WINDOW);
    let reading = buffer.clone();
    let expected = kept.len();
    let reader = crate::ops::tasks::Tasks::new().spawn_thread("reader", move || {
        for _ in 0..2_000 {
            let page = reading.read(mailbox(1), ALL, later).unwrap();
            assert_eq!(page.envelopes.len(), expected);
        }
    });
    for _ in 0..20 {
        tick(&rig, later);
    }
    reader.unwrap().join().unwrap();
    buffer.stop();
    thread.join().unwrap();
}

/// A disk that fails, or a power cut, at any call of the cleaning: everything that stays is there.
#[test]
fn cleaning_that_breaks_off_loses_nothing() {
    for fuse in 0..40 {
        let disk = Disk::default();
        let (buffer, _thread) = start(&disk);
        let rig = Rig::new(buffer);
        rig.create(2);
        let kept = fill(&rig);
        disk.dies_after(fuse);
        rig.buffer.tick(NOW.after(DEDUP_WINDOW));
        // Answered or refused: the tick is behind it.
        let _ = rig.submit(1, Act::Write { rows: Vec::new(), trim: None }).recv();
        let (buffer, thread) = start(&disk.after_crash(u64::from(fuse)));
        let after = Rig { buffer: buffer.clone(), epoch: rig.epoch };
        check(&after, &kept, NOW.after(DEDUP_WINDOW));
        buffer.stop();
        thread.join().unwrap();
    }
}

/// LIM-30: at the bound, one more is refused, whichever mailbox it is for; what is cleaned away
/// makes room.
#[test]
fn what_is_forgotten_makes_room() {
    let settings = Settings { envelopes: u64::from(ROUNDS) * 10, ..Settings::default() };
    let (buffer, writer) = RedbBuffer::open_on(&Disk::default(), settings, NOW).unwrap();
    let tasks = crate::ops::tasks::Tasks::new();
    let thread = tasks.spawn_thread("buffer", move || writer.run()).unwrap();
    let rig = Rig::new(buffer.clone());
    rig.create(2);
    let kept = fill(&rig);
    let more = || rig.act(1, Act::Append(roomy(ROUNDS * 10)));
    assert_eq!(more(), Err(BufferError::TooManyEnvelopes));
    assert_eq!(rig.act(1, Act::Append(roomy(0))), Ok(Outcome::Already(kept[0])));
    tick(&rig, NOW.after(DEDUP_WINDOW));
    assert!(matches!(more(), Ok(Outcome::Stored(_))));
    buffer.stop();
    thread.join().unwrap();
}
