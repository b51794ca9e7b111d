//! A disk that fails when told to, and forgets what was not synced: what is accepted survives it.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use redb::{Database, StorageBackend};
use restante_spec::ids::UnixTime;

use super::conformance::{Rig, append, id, mailbox};
use super::redb::RedbBuffer;
use super::{Act, Buffer, BufferError, Outcome, Settings};

/// The disk, which outlives the processes that open it.
#[derive(Default, Debug)]
struct Disk {
    /// What a crash leaves.
    synced: Vec<u8>,
    /// What the running process sees.
    current: Vec<u8>,
    /// Calls until one fails; `None`: none does.
    fuse: Option<u32>,
    failures: u32,
}

#[derive(Clone, Debug)]
struct Faulty(Arc<Mutex<Disk>>);

impl Faulty {
    /// The disk as a machine finds it that starts after a crash; the old one's process may go on
    /// writing to the old one.
    fn after_crash(&self) -> Self {
        let synced = self.0.lock().unwrap().synced.clone();
        Self(Arc::new(Mutex::new(Disk { current: synced.clone(), synced, ..Disk::default() })))
    }

    /// A process begins: it finds what was synced.
    fn reopened(&self) -> Self {
        let mut disk = self.0.lock().unwrap();
        disk.current = disk.synced.clone();
        drop(disk);
        self.clone()
    }

    fn burn(disk: &mut Disk) -> Result<(), Error> {
        match &mut disk.fuse {
            Some(0) => {
                disk.fuse = None;
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
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let disk = self.0.lock().unwrap();
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
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        Self::burn(&mut disk)?;
        let start = usize::try_from(offset).unwrap();
        disk.current[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn start(disk: &Faulty) -> (Arc<RedbBuffer>, std::thread::JoinHandle<()>) {
    let disk = disk.clone();
    let opener = Box::new(move || Database::builder().create_with_backend(disk.reopened()));
    // A small cache, so that writes reach the disk early.
    let settings = Settings { cache_bytes: 64 * 1024, ..Settings::default() };
    let (buffer, writer) = RedbBuffer::open_with(opener, settings).unwrap();
    (buffer, crate::ops::tasks::Tasks::new().spawn_thread("buffer", move || writer.run()).unwrap())
}

/// MBX-4: whichever call of the disk fails, what was answered as stored is stored after it, what
/// was refused as not done is not, and the buffer serves on by itself.
#[test]
fn accepted_envelopes_survive_any_failing_call() {
    let mut failures = 0;
    for fuse in 0..120 {
        let disk = Faulty(Arc::default());
        let (buffer, thread) = start(&disk);
        let rig = Rig::new(buffer.clone());
        disk.0.lock().unwrap().fuse = Some(fuse);
        let mut answers = Vec::new();
        for number in 1..=6 {
            answers.push((number, rig.act(1, Act::Append(append(number)))));
        }
        failures += disk.0.lock().unwrap().failures;
        disk.0.lock().unwrap().fuse = None;
        // What was not stored is asked for again with the same id, until the store is back.
        for (number, answer) in &answers {
            let stored = loop {
                match rig.act(1, Act::Append(append(*number))) {
                    Ok(Outcome::Stored(stored) | Outcome::Already(stored)) => break stored,
                    Err(BufferError::Unavailable | BufferError::Unknown) => {}
                    other => panic!("{other:?}"),
                }
            };
            if let Ok(Outcome::Stored(before) | Outcome::Already(before)) = answer {
                assert_eq!(stored, *before, "call {fuse}: accepted stays accepted");
            }
        }
        let mut ids = rig.ids(1, UnixTime::new(1_000));
        ids.sort();
        assert_eq!(ids, (1..=6).map(id).collect::<Vec<_>>(), "call {fuse}: each once");
        buffer.stop();
        thread.join().unwrap();
    }
    assert!(failures > 20, "the fuse has burnt {failures} times");
}

/// MBX-3, MBX-5: a process that just ends leaves everything accepted, its ids and its numbers.
#[test]
fn a_crash_keeps_what_was_accepted_and_repeats_no_number() {
    let mut disk = Faulty(Arc::default());
    let mut highest = restante_spec::ids::Seq::START;
    for round in 0..5_u32 {
        disk = disk.after_crash();
        let (buffer, _thread) = start(&disk);
        if round == 0 {
            Rig::new(buffer.clone());
        }
        let rig = Rig { buffer: buffer.clone(), epoch: restante_spec::ids::Seq::START };
        if let Some(before) = round.checked_sub(1) {
            let again = rig.act(1, Act::Append(append(before)));
            assert!(matches!(again, Ok(Outcome::Already(_))), "{again:?}");
        }
        let stored = rig.store(1, append(round));
        assert!(stored.seq > highest);
        highest = stored.seq;
        let trim = Act::Write { rows: Vec::new(), trim: Some(stored.seq) };
        rig.act(1, trim).unwrap();
        let level = buffer.level(mailbox(1), UnixTime::new(1_000));
        assert_eq!((level.entries, level.head), (0, stored.seq));
    }
}

/// MBX-5, MBX-10: chunks go when their ids need not be remembered, and the newest number stays
/// known after all of them are gone.
#[test]
fn chunks_go_and_the_head_stays() {
    let disk = Faulty(Arc::default());
    let (buffer, thread) = start(&disk);
    let rig = Rig::new(buffer.clone());
    let stored = rig.store(1, append(1));
    let trim = Act::Write { rows: Vec::new(), trim: Some(stored.seq) };
    rig.act(1, trim).unwrap();
    let write = || Act::Write { rows: Vec::new(), trim: None };
    buffer.tick(UnixTime::new(1_000 + 119));
    rig.act(1, write()).unwrap();
    rig.act(1, write()).unwrap();
    assert!(buffer.lookup(mailbox(1), id(1)).is_some(), "remembered for 120 s");
    buffer.tick(UnixTime::new(1_000 + 120));
    rig.act(1, write()).unwrap();
    rig.act(1, write()).unwrap();
    assert_eq!(buffer.lookup(mailbox(1), id(1)), None, "then forgotten");
    buffer.stop();
    thread.join().unwrap();
    let (buffer, _thread) = start(&disk);
    assert_eq!(buffer.level(mailbox(1), UnixTime::new(1_200)).head, stored.seq);
    let rig = Rig { buffer, epoch: restante_spec::ids::Seq::START };
    assert_eq!(rig.store(1, append(2)).prev, stored.seq);
}

/// A file of another form, or one that another has open, is refused in words.
#[test]
fn a_store_in_use_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("buffer.redb");
    let (_first, _writer) = RedbBuffer::open(&path, Settings::default()).unwrap();
    let second = RedbBuffer::open(&path, Settings::default());
    let said = second.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("another process"), "{said}");
}
