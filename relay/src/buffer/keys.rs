//! The keys of the expiry buckets: a small file beside the store, written in place.
//!
//! ```text
//!  file = slot ...            the slot of bucket b is number b modulo the slots there are
//!  slot = bucket 8 | key 32 | crc32 of both 4 | 0 4           all zero: free
//! ```
//!
//! A key is synced before anything sealed with it is, and overwritten and synced when its bucket
//! is over. A copy-on-write store would keep old pages: that is why the keys are not in it.
//!
//! What is read of the file may be in the system's cache only: after a failed sync the system takes
//! it for written, and a process that was killed has not synced it. So a file is *settled* before
//! it is trusted: written anew as a whole, and synced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut};
use restante_spec::ids::UnixTime;
use zeroize::Zeroizing;

use super::files::sync_name;
use super::seal::{Bucket, BucketKey, Salt};

/// Where the keys are kept.
pub(crate) trait KeyFile: Send + Sync {
    /// Everything in it.
    fn read(&self) -> io::Result<Zeroizing<Vec<u8>>>;
    /// Writes in place.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// What was written is on the medium when this returns.
    fn sync(&self) -> io::Result<()>;
}

/// The keys there are.
pub(super) struct Keys {
    file: Box<dyn KeyFile>,
    /// The earliest bucket first.
    keys: BTreeMap<Bucket, BucketKey>,
    salt: Salt,
    /// Those that were made since the last sync.
    fresh: Vec<Bucket>,
}

/// Layout: bucket, key, checksum, and zeros. Some slots stand in two sectors, and may be torn.
const SLOT_BYTES: usize = 8 + 32 + 4 + 4;
/// Layout: a ring that holds the buckets of the longest TTL and more, as one preallocated file.
const SLOTS: usize = 4_096;
/// Layout: the whole file.
pub(super) const FILE_BYTES: usize = SLOTS * SLOT_BYTES;

impl Keys {
    /// Settles the file, and makes its slots at first.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn load(file: Box<dyn KeyFile>, now: UnixTime) -> io::Result<Self> {
        let mut keys = Self { file, keys: BTreeMap::new(), salt: Salt(0), fresh: Vec::new() };
        keys.reload(now)?;
        Ok(keys)
    }

    /// The keys of a backup: they are only read. `None` where a part of the file is missing.
    pub(super) fn of_backup(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        if bytes.len() < FILE_BYTES {
            return None;
        }
        let keys = bytes.chunks_exact(SLOT_BYTES).filter_map(read_slot).collect();
        Some(Self { file: Box::new(Fixed(bytes)), keys, salt: Salt(0), fresh: Vec::new() })
    }

    /// Settles the file, and takes over what is on the medium then: after a failure too. What is
    /// over goes, and so does what a torn slot holds of a key: it may be one that was not
    /// overwritten to its end.
    ///
    /// # Errors
    /// The system's; what was there before stays in force, and may not be on the medium.
    pub(super) fn reload(&mut self, now: UnixTime) -> io::Result<()> {
        let found = self.file.read()?;
        let mut settled = Zeroizing::new(vec![0; found.len().max(FILE_BYTES)]);
        let mut keys = BTreeMap::new();
        for (slot, place) in found.chunks_exact(SLOT_BYTES).zip(settled.chunks_mut(SLOT_BYTES)) {
            let living = read_slot(slot).filter(|(bucket, _)| !bucket.is_over(now));
            if let Some((bucket, key)) = living {
                place.copy_from_slice(slot);
                keys.insert(bucket, key);
            }
        }
        // A batch that failed may have left bytes sealed under numbers that come again.
        let mut salt = [0; 4];
        getrandom::fill(&mut salt)?;
        // MBX-16
        self.file.write(0, &settled)?;
        self.file.sync()?;
        (self.keys, self.salt) = (keys, Salt(u32::from_be_bytes(salt)));
        self.fresh.clear();
        Ok(())
    }

    /// The whole file, for a backup.
    pub(super) fn bytes(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        self.file.read()
    }

    /// The salt of this start, or of the last reload.
    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    /// The key of what expires then, if it is not gone.
    pub(super) fn get(&self, expires_at: UnixTime) -> Option<&BucketKey> {
        self.keys.get(&Bucket::of(expires_at))
    }

    /// Whether what expires then may be sealed now: its key is not to go at once, and no other is
    /// in its slot, as after a clock that was ahead for weeks.
    pub(super) fn admits(&self, expires_at: UnixTime, now: UnixTime) -> bool {
        let bucket = Bucket::of(expires_at);
        let is_free = || self.keys.keys().all(|other| slot_of(*other) != slot_of(bucket));
        !bucket.is_over(now) && (self.keys.contains_key(&bucket) || is_free())
    }

    /// Makes the key of what expires then, if there is none; it is safe after [`Keys::sync`].
    pub(super) fn prepare(&mut self, expires_at: UnixTime) -> io::Result<()> {
        let bucket = Bucket::of(expires_at);
        if self.keys.contains_key(&bucket) {
            return Ok(());
        }
        if self.keys.keys().any(|other| slot_of(*other) == slot_of(bucket)) {
            return Err(io::Error::other("two living keys would share a slot"));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        let key = BucketKey::new(&bytes).ok_or_else(|| io::Error::other("no key of 32 bytes"))?;
        self.file.write(slot_of(bucket), &write_slot(bucket, &bytes))?;
        self.keys.insert(bucket, key);
        self.fresh.push(bucket);
        Ok(())
    }

    /// Keys that were made are on the medium when this returns.
    ///
    /// # Errors
    /// The system's; those keys are gone then: [`Keys::prepare`] makes and writes them anew.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.fresh.is_empty() { Ok(()) } else { self.sync_all() }
    }

    /// Whether some key's time is over.
    pub(super) fn has_over(&self, now: UnixTime) -> bool {
        self.keys.first_key_value().is_some_and(|(bucket, _)| bucket.is_over(now))
    }

    /// Overwrites the keys whose time is over: what they sealed cannot be read any more.
    pub(super) fn destroy_over(&mut self, now: UnixTime) -> io::Result<()> {
        let over: Vec<_> = self.keys.keys().copied().filter(|key| key.is_over(now)).collect();
        for bucket in &over {
            self.file.write(slot_of(*bucket), &[0; SLOT_BYTES])?;
        }
        self.sync_all()?;
        for bucket in over {
            self.keys.remove(&bucket);
        }
        Ok(())
    }

    /// A sync that failed is not asked for again: it would say that all is well, and write nothing.
    fn sync_all(&mut self) -> io::Result<()> {
        let synced = self.file.sync();
        for bucket in self.fresh.drain(..).filter(|_| synced.is_err()) {
            self.keys.remove(&bucket);
        }
        synced
    }
}

/// Where a bucket's slot begins.
const fn slot_of(bucket: Bucket) -> u64 {
    bucket.0 % SLOTS as u64 * SLOT_BYTES as u64
}

pub(super) fn write_slot(bucket: Bucket, key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
    slot.put_u64(bucket.0);
    slot.put_slice(key);
    let checksum = crc32fast::hash(&slot);
    slot.put_u32(checksum);
    slot.resize(SLOT_BYTES, 0);
    slot
}

/// A slot that was torn by a crash holds a part of a key that nothing was sealed with, or that was
/// being overwritten: it reads as free.
fn read_slot(slot: &[u8]) -> Option<(Bucket, BucketKey)> {
    let (named, mut rest) = slot.split_at_checked(8 + 32)?;
    if rest.try_get_u32().ok()? != crc32fast::hash(named) {
        return None;
    }
    let (mut bucket, key) = named.split_at_checked(8)?;
    Some((Bucket(bucket.try_get_u64().ok()?), BucketKey::new(key.try_into().ok()?)?))
}

/// The file in the data directory.
pub(crate) struct OnDisk(File);

impl OnDisk {
    /// Opens the file, or makes it; only its owner may read it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        // A new file's name must outlive a power cut as well as its content.
        sync_name(path)?;
        Ok(Self(file))
    }
}

impl KeyFile for OnDisk {
    /// By its place, not the file's own: backups read beside each other.
    fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let size = usize::try_from(self.0.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = Zeroizing::new(vec![0; size]);
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Keys of a backup: only read.
struct Fixed(Zeroizing<Vec<u8>>);

impl KeyFile for Fixed {
    fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        Ok(self.0.clone())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Keys that end with the test.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct InMemory(pub(super) std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl KeyFile for InMemory {
    fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        Ok(Zeroizing::new(self.0.lock().unwrap().clone()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let begin = usize::try_from(offset).unwrap();
        let size = file.len().max(begin + bytes.len());
        file.resize(size, 0);
        file[begin..begin + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::Disk;
    use super::*;

    const LATER: UnixTime = UnixTime::new(1_800_000_000);

    /// As a process begins that finds this file.
    fn load(file: &(impl KeyFile + Clone + 'static), now: UnixTime) -> Keys {
        Keys::load(Box::new(file.clone()), now).unwrap()
    }

    /// Whether what `keys` seals now opens after a power cut.
    fn outlives_a_power_cut(keys: &Keys, disk: &Disk) -> bool {
        let mut body = *b"a sealed body";
        let tag = keys.get(LATER).unwrap().seal(Salt(1), SEQ, b"", &mut body).unwrap();
        opens(&load(&disk.after_crash(0), LATER), LATER, &body, &tag)
    }

    fn opens(keys: &Keys, at: UnixTime, sealed: &[u8], tag: &[u8]) -> bool {
        let mut bytes = [sealed, tag].concat();
        let key = keys.get(at);
        key.is_some_and(|key| key.open(Salt(1), SEQ, b"", &mut bytes).is_ok())
    }

    const SEQ: restante_spec::ids::Seq = restante_spec::ids::Seq::new(5);

    /// A key outlives its process, and not its bucket: afterwards no byte of it is in the file.
    #[test]
    fn keys_live_as_long_as_their_bucket() {
        let file = InMemory::default();
        let mut keys = load(&file, LATER);
        keys.prepare(LATER).unwrap();
        keys.sync().unwrap();
        let mut body = *b"a sealed body";
        let tag = keys.get(LATER).unwrap().seal(Salt(1), SEQ, b"", &mut body).unwrap();
        let mut keys = load(&file, LATER);
        assert!(opens(&keys, LATER, &body, &tag));
        let slot = file.0.lock().unwrap().clone();
        let key = slot.chunks_exact(SLOT_BYTES).find(|slot| slot[0..8] != [0; 8]).unwrap();
        let key = key[8..40].to_vec();
        assert!(!keys.has_over(LATER));
        let over = LATER.after(restante_spec::ids::Seconds::new(900));
        assert!(keys.has_over(over));
        keys.destroy_over(over).unwrap();
        assert!(keys.get(LATER).is_none());
        assert!(!file.0.lock().unwrap().windows(32).any(|window| window == key));
        let again = load(&file, LATER);
        assert!(!opens(&again, LATER, &body, &tag));
    }

    /// The longest TTL has room in the ring; two keys that live never share a slot.
    #[test]
    fn the_ring_holds_the_longest_ttl() {
        let file = InMemory::default();
        let mut keys = load(&file, LATER);
        keys.prepare(LATER).unwrap();
        keys.prepare(LATER.after(restante_spec::limits::TTL_MAX)).unwrap();
        let round = 900 * SLOTS as u64;
        let same_slot = UnixTime::new(LATER.get() + round);
        assert!(keys.prepare(same_slot).is_err());
        keys.destroy_over(UnixTime::new(LATER.get() + 900)).unwrap();
        keys.prepare(same_slot).unwrap();
    }

    /// A slot that a crash has torn is free, its neighbours are whole, the rest of its key goes.
    #[test]
    fn torn_slots_are_free() {
        let file = InMemory::default();
        let mut keys = load(&file, LATER);
        keys.prepare(LATER).unwrap();
        keys.prepare(UnixTime::new(LATER.get() + 900)).unwrap();
        let place = usize::try_from(slot_of(Bucket::of(LATER))).unwrap();
        file.0.lock().unwrap()[place + 20..place + 40].fill(0);
        let keys = load(&file, LATER);
        assert!(keys.get(LATER).is_none());
        assert!(keys.get(UnixTime::new(LATER.get() + 900)).is_some());
        assert_eq!(file.0.lock().unwrap()[place..place + SLOT_BYTES], [0; SLOT_BYTES]);
    }

    /// MBX-16. Once a key that was read from the system's cache counted as one on the medium: after
    /// a sync that failed, and after a process that was killed before its sync.
    #[test]
    fn a_key_is_trusted_once_it_is_on_the_medium() {
        let disk = Disk::default();
        let mut keys = load(&disk, LATER);
        keys.prepare(LATER).unwrap();
        disk.fails_at(0);
        assert!(keys.sync().is_err());
        keys.reload(LATER).unwrap();
        assert!(outlives_a_power_cut(&keys, &disk), "after a failed sync");
        let disk = Disk::default();
        load(&disk, LATER).prepare(LATER).unwrap();
        assert!(outlives_a_power_cut(&load(&disk, LATER), &disk), "after a kill");
    }

    /// Once a sync was asked for a second time, and said that all was well.
    #[test]
    fn a_key_whose_sync_failed_is_written_anew() {
        for destroys in [false, true] {
            let disk = Disk::default();
            let mut keys = load(&disk, LATER);
            keys.prepare(LATER).unwrap();
            disk.fails_at(0);
            assert!(if destroys { keys.destroy_over(LATER) } else { keys.sync() }.is_err());
            keys.prepare(LATER).unwrap();
            keys.sync().unwrap();
            assert!(outlives_a_power_cut(&keys, &disk));
        }
    }

    /// Once zeros whose sync had failed were read back from the cache, and never written again.
    #[test]
    fn a_key_that_is_over_goes_though_a_sync_fails() {
        let is_free = |disk: &Disk| {
            let bytes = KeyFile::read(&disk.after_crash(0)).unwrap();
            bytes.iter().all(|byte| *byte == 0)
        };
        let over = UnixTime::new(LATER.get() + 900);
        for reloads in [false, true] {
            let disk = Disk::default();
            let mut keys = load(&disk, LATER);
            keys.prepare(LATER).unwrap();
            keys.sync().unwrap();
            disk.fails_at(1);
            assert!(keys.destroy_over(over).is_err());
            assert!(!is_free(&disk), "not yet");
            if reloads { keys.reload(over) } else { keys.destroy_over(over) }.unwrap();
            assert!(is_free(&disk));
        }
    }

    /// Once a relay that had stood still for long found a key of before in the slot of a new one.
    #[test]
    fn keys_that_are_over_are_not_loaded() {
        let file = InMemory::default();
        load(&file, LATER).prepare(LATER).unwrap();
        let same_slot = UnixTime::new(LATER.get() + 900 * SLOTS as u64);
        let mut keys = load(&file, same_slot);
        assert!(keys.get(LATER).is_none());
        keys.prepare(same_slot).unwrap();
    }

    /// Once backups that were taken at the same time read each other's rest of the file, and one of
    /// them had no keys.
    #[test]
    fn a_file_is_read_whole_by_many_at_once() {
        let place = tempfile::tempdir().unwrap();
        let file = OnDisk::open(&place.path().join("keys")).unwrap();
        let whole: Vec<u8> = (0..=255).cycle().take(FILE_BYTES).collect();
        file.write(0, &whole).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|_| assert!(*file.read().unwrap() == whole)));
            }
        });
    }

    /// A backup without all of the file is not whole, though every part of it may read.
    #[test]
    fn a_backup_has_every_slot() {
        let of = |bytes| Keys::of_backup(Zeroizing::new(vec![0; bytes])).is_some();
        assert_eq!([0, FILE_BYTES - 1, FILE_BYTES].map(of), [false, false, true]);
    }

    /// Numbers come again after a batch that failed: they never meet the same salt.
    #[test]
    fn each_reload_draws_a_salt() {
        let mut keys = load(&InMemory::default(), LATER);
        let before = keys.salt();
        keys.reload(LATER).unwrap();
        assert_ne!(keys.salt(), before);
    }
}
