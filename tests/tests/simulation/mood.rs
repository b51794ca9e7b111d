//! How rough a run is, and what it has met.

use super::random::Random;

/// How rough a run is, each in thousandths of its events.
#[derive(Default)]
pub(crate) struct Mood {
    pub(crate) crash: u64,
    pub(crate) cut: u64,
    pub(crate) disk: u64,
    pub(crate) stop: u64,
    pub(crate) jump: u64,
    pub(crate) stall: u64,
    pub(crate) folder: u64,
}

/// How often faults happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crashes: u64,
    pub(crate) torn: u64,
    pub(crate) cuts: u64,
    pub(crate) stops: u64,
    pub(crate) disk: u64,
    pub(crate) jumps: u64,
    pub(crate) folder: u64,
}

impl Mood {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let scale = random.weighted(&[(1, 0), (2, 1), (2, 3)]);
        Self {
            crash: random.within(0, 3) * scale,
            cut: random.within(0, 8) * scale,
            disk: random.within(0, 3) * scale,
            stop: random.within(0, 1) * scale,
            jump: random.within(0, 3) * scale,
            stall: random.within(0, 3) * scale,
            folder: random.within(0, 2) * scale,
        }
    }

    /// A tenth of it, for a long run.
    pub(crate) fn soften(&mut self) {
        let Self { crash, cut, disk, stop, jump, stall, folder } = self;
        for often in [crash, cut, disk, stop, jump, stall, folder] {
            *often = often.div_ceil(10);
        }
    }
}
