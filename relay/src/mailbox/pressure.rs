//! What the relay takes when it is short of room: less and less, in one order (ADM-5 to ADM-7).
//!
//! Sans-IO: measures and the time come in. Memory is not measured, since all that may be in it is
//! bounded: what grows is the disk, and the queue before it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use restante_spec::codes::Code;
use restante_spec::ids::UnixTime;
use restante_spec::message::Refusal;

use super::api::Notices;
use super::service::Service;
use crate::buffer::Buffer;
use crate::limits::{DISK_GROWN, DISK_RETRY, QUEUE_LEVELS, STORE_RETRY};
use crate::ops::metrics::{self, Shed};

/// How far it has come: what is refused at a level is refused at all above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Everything is taken.
    Calm,
    /// No new mailboxes.
    Mailboxes,
    /// No live envelopes either.
    Live,
    /// No new appends either. What lets go, reads or takes rights away is done at every level.
    Appends,
}

/// What was measured of the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Bytes that are free.
    pub(crate) free: u64,
    /// Bytes that the store takes of it.
    pub(crate) taken: u64,
    /// Bytes that are free where parts of blobs are kept.
    pub(crate) for_parts: u64,
}

/// The level as it was last measured.
pub(super) struct Pressure {
    watch: Mutex<Watch>,
    /// Of the disk: a [`Level`].
    disk: AtomicU8,
    /// Of where parts of blobs are kept.
    parts: AtomicU8,
}

/// What is remembered from one measure to the next.
#[derive(Debug)]
struct Watch {
    level: Level,
    parts: Level,
    taken: u64,
    /// When the store was last seen to have taken more.
    grown_at: Option<UnixTime>,
}

impl Level {
    const ALL: [Self; 4] = [Self::Calm, Self::Mailboxes, Self::Live, Self::Appends];

    fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Calm)
    }

    /// Of the store's queue, by hundredths of its bound (ADM-5).
    fn of_queue(hundredths: usize) -> Self {
        let reached = |level: &&Self| {
            let over = QUEUE_LEVELS.get(usize::from(**level as u8)).copied();
            over.is_some_and(|bound| hundredths >= bound)
        };
        Self::ALL.iter().rev().find(reached).copied().unwrap_or(Self::Calm)
    }

    /// The level with so much free space, of which `reserve` bytes are to be left (ADM-6).
    fn next(self, free: u64, reserve: u64) -> Self {
        let bounds = [(Self::Appends, 4), (Self::Live, 2), (Self::Mailboxes, 1)];
        let reached = bounds.into_iter().find(|(level, part)| {
            let bound = reserve / part;
            // Left only with an eighth more, so that it does not come and go.
            let more = if self >= *level { bound / 8 } else { 0 };
            free < bound + more
        });
        reached.map_or(Self::Calm, |(level, _)| level)
    }

    /// From which level on this is refused (ADM-5).
    const fn that_sheds(what: Shed) -> Self {
        match what {
            Shed::Mailbox | Shed::Blob => Self::Mailboxes,
            Shed::Live => Self::Live,
            Shed::Append | Shed::Part => Self::Appends,
        }
    }
}

impl Watch {
    /// The level after a measure, where `reserve` bytes are to stay free (ADM-6).
    fn measure(&mut self, disk: Disk, reserve: u64, now: UnixTime) -> Level {
        // Time that was set back begins the minute anew.
        if self.grown_at.is_none_or(|at| at > now) || disk.taken > self.taken {
            self.grown_at = Some(now);
        }
        self.taken = disk.taken;
        let grows = self.grown_at.is_some_and(|at| now < at.after(DISK_GROWN));
        let most = if grows { Level::Appends } else { Level::Live };
        self.level = self.level.next(disk.free, reserve).min(most);
        // Parts never fit into the room inside the store.
        self.parts = self.parts.next(disk.for_parts, reserve);
        self.level
    }
}

impl Pressure {
    pub(super) const fn new() -> Self {
        let calm = Level::Calm;
        let watch = Watch { level: calm, parts: calm, taken: 0, grown_at: None };
        let [disk, parts] = [AtomicU8::new(calm as u8), AtomicU8::new(calm as u8)];
        Self { watch: Mutex::new(watch), disk, parts }
    }

    fn disk(&self) -> Level {
        Level::from_number(self.disk.load(Ordering::Relaxed))
    }

    /// Of the room for this.
    fn room_for(&self, what: Shed) -> Level {
        match what {
            Shed::Mailbox | Shed::Live | Shed::Append => self.disk(),
            Shed::Blob | Shed::Part => {
                self.disk().max(Level::from_number(self.parts.load(Ordering::Relaxed)))
            }
        }
    }
}

impl<B: Buffer, N: Notices> Service<B, N> {
    /// The disk was measured.
    pub(crate) fn measured(&self, disk: Disk, now: UnixTime) {
        let mut watch = self.pressure.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let level = watch.measure(disk, self.settings.disk_reserve, now);
        self.pressure.disk.store(level as u8, Ordering::Relaxed);
        self.pressure.parts.store(watch.parts as u8, Ordering::Relaxed);
        metrics::DISK_FREE_BYTES.set(disk.free);
        metrics::PRESSURE.set(self.level().max(watch.parts) as u64);
    }

    /// How far it has come.
    pub(crate) fn level(&self) -> Level {
        self.pressure.disk().max(Level::of_queue(self.buffer.queued()))
    }

    /// Whether this may be taken at the moment.
    ///
    /// # Errors
    /// `unavailable`, with when to come again (ADM-7).
    pub(super) fn take_in(&self, what: Shed) -> Result<(), Refusal> {
        let (sheds, room) = (Level::that_sheds(what), self.pressure.room_for(what));
        if self.level().max(room) < sheds {
            return Ok(());
        }
        metrics::SHED.count(what);
        let wait = if room >= sheds { DISK_RETRY } else { STORE_RETRY };
        let detail = match what {
            Shed::Mailbox => "the relay is short of room and takes no new mailboxes just now",
            Shed::Live => "the relay is short of room and takes no live envelopes just now",
            Shed::Append => "the relay is short of room and takes no envelopes just now",
            Shed::Blob | Shed::Part => "the relay is short of room and takes no blobs just now",
        };
        Err(Refusal::new(Code::Unavailable, detail).retry_after(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// The levels of these amounts of free space, one after another, a second apart.
    fn levels(free: &[u64]) -> Vec<Level> {
        let mut watch = Pressure::new().watch.into_inner().unwrap();
        let measure = |(second, free): (u64, &u64)| {
            let disk = Disk { free: *free, taken: second, for_parts: u64::MAX };
            watch.measure(disk, 256 * MIB, UnixTime::new(1_000 + second))
        };
        (0..).zip(free).map(measure).collect()
    }

    /// ADM-6: each level at its bound, and one byte below it.
    #[test]
    fn each_level_begins_below_its_bound() {
        for (bound, above, below) in [
            (256, Level::Calm, Level::Mailboxes),
            (128, Level::Mailboxes, Level::Live),
            (64, Level::Live, Level::Appends),
        ] {
            assert_eq!(levels(&[bound * MIB]), [above]);
            assert_eq!(levels(&[bound * MIB - 1]), [below]);
        }
        assert_eq!(levels(&[0]), [Level::Appends]);
    }

    /// ADM-6: it is left only with an eighth more than it was entered with.
    #[test]
    fn a_level_is_left_with_some_room_more() {
        let told = levels(&[64 * MIB - 1, 64 * MIB, 72 * MIB - 1, 72 * MIB]);
        assert_eq!(told, [Level::Appends, Level::Appends, Level::Appends, Level::Live]);
        let told = levels(&[255 * MIB, 288 * MIB - 1, 288 * MIB, 256 * MIB]);
        assert_eq!(told, [Level::Mailboxes, Level::Mailboxes, Level::Calm, Level::Calm]);
    }

    /// ADM-6: what fits into the room inside the store is taken; a minute after it has grown.
    #[test]
    fn a_store_that_does_not_grow_takes_appends() {
        let mut watch = Pressure::new().watch.into_inner().unwrap();
        let mut at = |second: u64, taken: u64| {
            let disk = Disk { free: MIB, taken, for_parts: u64::MAX };
            watch.measure(disk, 256 * MIB, UnixTime::new(1_000 + second))
        };
        assert_eq!(at(0, 7), Level::Appends);
        assert_eq!(at(59, 7), Level::Appends);
        assert_eq!(at(60, 7), Level::Live);
        assert_eq!(at(61, 8), Level::Appends);
        assert_eq!(at(120, 8), Level::Appends);
        assert_eq!(at(121, 8), Level::Live);
    }

    /// ADM-5: each level of the queue at its bound, and just below it.
    #[test]
    fn the_queue_keeps_its_last_part_for_what_lets_go() {
        let levels = [49, 50, 74, 75, 87, 88, 100].map(Level::of_queue);
        let (calm, mailboxes, live) = (Level::Calm, Level::Mailboxes, Level::Live);
        let appends = Level::Appends;
        assert_eq!(levels, [calm, mailboxes, mailboxes, live, live, appends, appends]);
    }
}
