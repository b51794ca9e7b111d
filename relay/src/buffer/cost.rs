//! What storing costs, in syncs and bytes: the same on every machine, so that a change that costs
//! more is seen when it is made.

use bytes::Bytes;
use restante_spec::ids::UnixTime;
use restante_spec::limits;

use super::conformance::{NOW, append, mailbox, row};
use super::disk::Disk;
use super::redb::{RedbBuffer, Writer};
use super::{Act, AppendAct, Buffer, Quota, Settings};

/// What a disk was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    syncs: u64,
    bytes: u64,
}

impl Cost {
    pub(super) const fn syncs(&mut self) {
        self.syncs += 1;
    }

    pub(super) const fn writes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

const BODY: usize = 1_024;
const QUOTA: Quota = Quota {
    entries: limits::MAILBOX_ENTRIES,
    bytes: limits::MAILBOX_BYTES,
    reserve_entries: 0,
    reserve_bytes: 0,
};

/// A store with ten mailboxes that has grown to its size.
fn store() -> (Disk, std::sync::Arc<RedbBuffer>, Writer) {
    let disk = Disk::default();
    let (buffer, mut writer) = RedbBuffer::open_on(&disk, Settings::default(), NOW).unwrap();
    for number in 1..=10 {
        let rows = vec![row(0, b"", Some(b"control"))];
        let act = Act::Create { rows, max_mailboxes: 10, toll: None };
        assert!(buffer.submit(mailbox(number), act, Box::new(|_| ())).is_ok());
    }
    writer.step();
    fill(&buffer, &mut writer, 0, 1_000, 100);
    (disk, buffer, writer)
}

/// Appends so many, so many at once.
fn fill(buffer: &RedbBuffer, writer: &mut Writer, first: u32, count: u32, batch: u32) {
    for number in first..first + count {
        let expires_at = UnixTime::new(NOW.get() + 1_000);
        let body = Bytes::from(vec![0x5a; BODY]);
        let append = AppendAct { body, quota: QUOTA, expires_at, ..append(number) };
        let done = Box::new(|outcome: Result<_, _>| assert!(outcome.is_ok(), "{outcome:?}"));
        let place = mailbox((number % 10) as u8 + 1);
        assert!(buffer.submit(place, Act::Append(append), done).is_ok());
        if (number + 1).is_multiple_of(batch) {
            writer.step();
        }
    }
}

/// A batch costs two syncs, one for each phase of its commit, however many are in it; and hundreds
/// of envelopes are written at little more than their own size.
#[test]
fn a_batch_costs_two_syncs_and_little_more_than_its_bytes() {
    for (batch, amplification) in [(100, 1.65), (500, 1.25)] {
        let (disk, buffer, mut writer) = store();
        let before = disk.cost();
        fill(&buffer, &mut writer, 1_000, 2_000, batch);
        let (syncs, bytes) = (disk.cost().syncs - before.syncs, disk.cost().bytes - before.bytes);
        let share = bytes as f64 / (2_000 * BODY) as f64;
        println!("batches of {batch}: {syncs} syncs, {share:.3} bytes for each");
        // A few more where the file grows.
        assert!(syncs <= u64::from(2 * 2_000 / batch) + 4, "{syncs} syncs");
        assert!(share <= amplification, "batches of {batch}: {share:.3} bytes for each");
    }
}

/// One alone costs the two syncs too, and a bounded number of pages.
#[test]
fn one_alone_costs_two_syncs_and_few_pages() {
    let (disk, buffer, mut writer) = store();
    let before = disk.cost();
    fill(&buffer, &mut writer, 1_000, 100, 1);
    let (syncs, bytes) = (disk.cost().syncs - before.syncs, disk.cost().bytes - before.bytes);
    println!("{syncs} syncs, {} bytes each", bytes / 100);
    assert_eq!(syncs, 200);
    assert!(bytes / 100 <= 64 * 1_024, "{} bytes", bytes / 100);
}
