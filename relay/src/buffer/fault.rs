//! Disks that fail when told to, and forget what was not synced: what is accepted survives them.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::{Database, StorageBackend};
use zeroize::Zeroizing;

use super::conformance::{NOW, QUOTA, Rig, append, id, mailbox};
use super::keys::KeyFile;
use super::redb::RedbBuffer;
use super::{Act, AppendAct, Buffer, BufferError, Outcome, Quota, Settings};

/// The disk, which outlives the processes that open it.
#[derive(Default, Debug)]
struct Disk {
    /// What a crash leaves for certain.
    synced: Vec<u8>,
    /// What the running process sees.
    current: Vec<u8>,
    /// Writes since the last sync: a crash leaves any of them, and any part.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Calls until one fails; `None`: none does.
    fuse: Option<u32>,
    /// Once the fuse has burnt, everything fails.
    dies: bool,
    /// The next read fails.
    fails_to_read: bool,
    failures: u32,
    /// The file of the keys beside the store: never torn, but forgotten when it was not synced.
    keys: Vec<u8>,
    synced_keys: Vec<u8>,
}

/// A process's view of a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty(Arc<Mutex<Disk>>);

impl Faulty {
    /// The disk as a machine finds it that starts after a crash; the old one's process may go on
    /// writing to the old one. Of what was not synced a part is there, chosen by `seed`.
    pub(super) fn after_crash(&self, seed: u64) -> Self {
        let disk = self.0.lock().unwrap();
        let mut found = disk.synced.clone();
        let mut state = seed;
        for (offset, data) in &disk.unsynced {
            // SplitMix64's step: which writes came through is any pattern, the same each time.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let part = match mixed >> 62 {
                0 => 0,
                1 => data.len() / 2,
                _ => data.len(),
            };
            if found.len() < offset + part {
                found.resize(offset + part, 0);
            }
            found[*offset..offset + part].copy_from_slice(&data[..part]);
        }
        // The length is written with the first sync after it changed.
        found.resize(disk.current.len().max(disk.synced.len()), 0);
        Self(Arc::new(Mutex::new(Disk {
            current: found.clone(),
            synced: found,
            keys: disk.synced_keys.clone(),
            synced_keys: disk.synced_keys.clone(),
            ..Disk::default()
        })))
    }

    /// A process begins: it finds what was synced.
    fn reopened(&self) -> Self {
        let mut disk = self.0.lock().unwrap();
        disk.current = disk.synced.clone();
        disk.unsynced.clear();
        disk.keys = disk.synced_keys.clone();
        drop(disk);
        self.clone()
    }

    fn burn(disk: &mut Disk) -> Result<(), Error> {
        match &mut disk.fuse {
            Some(0) => {
                if !disk.dies {
                    disk.fuse = None;
                }
                disk.failures += 1;
                Err(Error::new(ErrorKind::StorageFull, "the disk fails here"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The disk works for so many calls more.
    pub(super) fn dies_after(&self, calls: u32) {
        self.set(|disk| {
            disk.dies = true;
            disk.fuse = Some(calls);
        });
    }

    /// Whether a crash now would find writes half done.
    pub(super) fn has_unsynced(&self) -> bool {
        !self.0.lock().unwrap().unsynced.is_empty()
    }

    fn set(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.0.lock().unwrap());
    }
}

impl KeyFile for Faulty {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(self.0.lock().unwrap().keys.clone()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        let begin = usize::try_from(offset).unwrap();
        let size = disk.keys.len().max(begin + bytes.len());
        disk.keys.resize(size, 0);
        disk.keys[begin..begin + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        disk.synced_keys = disk.keys.clone();
        Ok(())
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        if std::mem::take(&mut disk.fails_to_read) || (disk.dies && disk.fuse == Some(0)) {
            return Err(Error::other("the disk cannot be read here"));
        }
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&disk.current[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        disk.current.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        disk.synced = disk.current.clone();
        disk.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        let start = usize::try_from(offset).unwrap();
        disk.current[start..start + data.len()].copy_from_slice(data);
        disk.unsynced.push((start, data.to_vec()));
        Ok(())
    }
}

/// A process that opens the disk.
pub(super) fn start(disk: &Faulty) -> (Arc<RedbBuffer>, std::thread::JoinHandle<()>) {
    let (disk, keys) = (disk.clone(), Box::new(disk.clone()));
    let opener = Box::new(move || {
        // A small cache, so that reads and writes reach the disk early.
        Database::builder().set_cache_size(64 * 1024).create_with_backend(disk.reopened())
    });
    let (buffer, writer) = RedbBuffer::open_with(opener, keys, Settings::default()).unwrap();
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

/// MBX-4: whichever call of the disk fails, what was answered as stored is stored after it, what
/// was refused as not done is not, and the buffer serves on by itself.
#[test]
fn accepted_envelopes_survive_any_failing_call() {
    let (mut failures, mut unavailable, mut unknown) = (0, 0, 0);
    for fuse in 0..120 {
        let disk = Faulty::default();
        let (buffer, thread) = start(&disk);
        let rig = Rig::new(buffer.clone());
        disk.set(|disk| disk.fuse = Some(fuse));
        let mut answers = Vec::new();
        for number in 1..=5 {
            answers.push((number, rig.act(1, Act::Append(append(number)))));
        }
        disk.set(|disk| {
            failures += disk.failures;
            disk.fuse = None;
        });
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
        buffer.stop();
        thread.join().unwrap();
    }
    assert!(failures > 20, "the fuse has burnt {failures} times");
    assert!(unknown > 20, "{unknown} outcomes were unknown, {unavailable} refused");
}

/// MBX-4: a failure while expired chunks go takes nothing that lives.
#[test]
fn a_failing_expiry_takes_nothing_that_lives() {
    let mut failures = 0;
    for fuse in 0..40 {
        let disk = Faulty::default();
        let (buffer, thread) = start(&disk);
        let rig = Rig::new(buffer.clone());
        let gone = rig.store(1, append(1));
        let kept = rig.store(1, append(2));
        rig.act(1, Act::Write { rows: Vec::new(), trim: Some(gone.seq) }).unwrap();
        disk.set(|disk| disk.fuse = Some(fuse));
        let later = restante_spec::ids::UnixTime::new(NOW.get() + 500);
        buffer.tick(later);
        let stored = until_stored(&rig, 3);
        disk.set(|disk| {
            failures += disk.failures;
            disk.fuse = None;
        });
        assert_eq!(stored.prev, kept.seq, "call {fuse}");
        // The expiry that failed may have come behind the append: the store is on its way back.
        let page = loop {
            match buffer.read(mailbox(1), super::conformance::ALL, later) {
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

/// A failed read is told, and the store is opened anew by itself: redb reads nothing more after it.
#[test]
fn reading_goes_on_after_a_failed_read() {
    let disk = Faulty::default();
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    let quota = Quota { entries: 100, bytes: 10_000_000, ..QUOTA };
    let body = Bytes::from(vec![7; 40_000]);
    for number in 1..=20 {
        rig.store(1, AppendAct { quota, body: body.clone(), ..append(number) });
    }
    disk.set(|disk| disk.fails_to_read = true);
    let read = || {
        let page = buffer.read(mailbox(1), super::conformance::ALL, NOW)?;
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
    let disk = Faulty::default();
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
    let opener = || Box::new(|| Database::builder().create_with_backend(Faulty::default()));
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
    let (buffer, _writer) =
        RedbBuffer::open_with(opener(), Box::new(Faulty::default()), settings).unwrap();
    for _ in 0..3 {
        assert!(submit(&buffer, 1).is_ok());
    }
    assert!(submit(&buffer, 1).is_err());
    let settings = Settings { queue_bytes: 100, ..Settings::default() };
    let (buffer, writer) =
        RedbBuffer::open_with(opener(), Box::new(Faulty::default()), settings).unwrap();
    assert!(submit(&buffer, 60).is_ok());
    assert!(submit(&buffer, 40).is_ok());
    assert!(submit(&buffer, 1).is_err());
    buffer.stop();
    writer.run();
    let (buffer, _writer) =
        RedbBuffer::open_with(opener(), Box::new(Faulty::default()), settings).unwrap();
    assert!(submit(&buffer, 101).is_ok());
}
