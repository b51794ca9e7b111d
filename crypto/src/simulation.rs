//! Randomness that repeats, for simulations: with the feature `simulation` only, and only on a
//! thread that has asked for it.
//!
//! Ids and keys of this crate follow from the number then. Those that OpenMLS draws do not.

use std::cell::RefCell;

use sha2::{Digest, Sha256};

use crate::error::Error;

thread_local! {
    /// The number of this thread, and how often something was drawn.
    static DRAWN: RefCell<Option<(u64, u64)>> = const { RefCell::new(None) };
}

/// What is drawn on this thread follows from this number from now on; `None`: from the system.
pub fn set_seed(seed: Option<u64>) {
    DRAWN.set(seed.map(|seed| (seed, 0)));
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    for part in bytes.chunks_mut(32) {
        let Some((seed, count)) = DRAWN.with_borrow(|drawn| *drawn) else {
            getrandom::fill(part).map_err(|_| Error::Randomness)?;
            continue;
        };
        DRAWN.set(Some((seed, count + 1)));
        let drawn =
            Sha256::new().chain_update(seed.to_le_bytes()).chain_update(count.to_le_bytes());
        for (byte, drawn) in part.iter_mut().zip(drawn.finalize()) {
            *byte = drawn;
        }
    }
    Ok(())
}
