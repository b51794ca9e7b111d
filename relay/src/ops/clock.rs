//! The only clock of the relay: shells ask it and hand the time on as a value.

use std::time::{SystemTime, UNIX_EPOCH};

use restante_spec::ids::UnixTime;

/// The system's clock, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock;

impl Clock {
    /// Now. A clock before 1970 reads as 1970.
    #[expect(clippy::unused_self, reason = "whoever has no clock cannot ask for the time")]
    pub(crate) fn now(self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::new(since.as_secs())
    }
}
