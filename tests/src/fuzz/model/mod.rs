//! Rows of operations against a model of the relay that is made from the specification alone: it
//! says which answers there may be to each request, and what every subscription is delivered.
//!
//! One request after the other, but for appends, which come several at a time too. Knows the
//! relay's simulation; must not know how a relay does anything.

mod judge;
mod ops;
mod reading;
mod state;
mod world;

use super::Target;
pub use ops::{Act, Op};
use world::World;

pub(super) const OPERATIONS: Target =
    Target { name: "operations", run: |data| run(&Op::read(data)), seeds, changes: 100 };

/// Operations of a run at most.
const OPS: usize = 150;

/// Runs operations; fails where the relay does not do what the model says.
pub fn run(ops: &[Op]) {
    let mut world = World::new();
    for op in Op::prelude().iter().chain(ops.iter().take(OPS)) {
        world.step(*op);
    }
}

/// Somebody makes a mailbox, opens it, reads and writes, of each class; and prekeys are taken
/// before and after a crash.
fn seeds() -> Vec<Vec<u8>> {
    let of = |class: u8| {
        [
            [0, 0, 0, class, 0, 0, 0, 0],
            [3, 0, 0, 0, 0, 0, 0, 0],
            [9, 0, 0, 1, 6, 0, 0, 0],
            [3, 1, 0, 0, class % 2 * 255, 0, 0, 0],
            [13, 1, 0, 0, 1, 0, 0, 0],
            [20, 0, 0, 0, 0, 4, 4, 0],
            [13, 1, 0, 0, 2, 0, 0, 4],
            [24, 0, 0, 0, 0, 0, 0, 0],
            [18, 0, 0, 0, 3, 1, 1, 0],
            [26, 0, 0, 0, 3, 1, 0, 0],
            [30, 0, 1, 0, 0, 0, 0, 0],
        ]
        .concat()
    };
    let prekeys = [
        [26, 0, 0, 0, 1, 1, 0, 0],
        [27, 1, 0, 1, 0, 0, 0, 0],
        [31, 0, 0, 0, 0, 0, 0, 0],
        [27, 1, 0, 1, 0, 0, 0, 0],
        [27, 1, 0, 1, 1, 0, 0, 0],
    ];
    [of(0), of(1), of(2), prekeys.concat()].to_vec()
}
