//! Tells systemd, if that has started the relay, how it goes (sd_notify); elsewhere nothing
//! happens.

use sd_notify::NotifyState;
use tracing::debug;

/// It serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its certificate anew; [`ready`] ends this.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no monotonic clock for systemd"),
    }
}

/// It drains and ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It is alive; the watchdog starts it anew when this is not heard for long.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "systemd does not listen");
    }
}
