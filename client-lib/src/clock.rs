//! The system's clock, for the shell; the engine is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use restante_spec::ids::UnixTime;

/// Now. A clock before 1970 reads as 1970.
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}
