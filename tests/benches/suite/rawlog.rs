//! The physical limit: a raw log over pre-written, recycled blocks, one write and one sync a batch.
//!
//! No index, no expiry, no answers: nothing durable can be faster on this disk. It is the
//! denominator of every goal about storing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// Bytes of the segment that is written over and over.
const SEGMENT: usize = 64 * 1024 * 1024;

/// Entries of `size` bytes per second, `batch` to a sync, `count` in all.
pub fn rate(folder: &Path, size: usize, batch: usize, count: usize) -> f64 {
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(folder.join("segment"))
        .expect("a segment");
    file.write_all_at(&vec![1; SEGMENT], 0).expect("pre-written");
    file.sync_all().expect("synced");
    let block = vec![0x5a; (size + 32) * batch];
    let places = SEGMENT / block.len();
    assert!(places > 0, "a batch fits into the segment");
    let begun = Instant::now();
    for round in 0..count / batch {
        file.write_all_at(&block, ((round % places) * block.len()) as u64).expect("written");
        file.sync_data().expect("synced");
    }
    (count / batch * batch) as f64 / begun.elapsed().as_secs_f64()
}
