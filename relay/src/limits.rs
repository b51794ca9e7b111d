//! The relay's own numbers, each with its unit and reason; what users may rely on is the protocol's
//! (`spec/src/limits.rs`), what operators may set is in `ops/config.rs`.

use std::time::Duration;

use restante_spec::ids::Seconds;

/// A connection reads so much at a time, bytes: several TLS records with one call of the system.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// A client that is told to leave may take so long (TRN-9).
pub(crate) const GOAWAY_JITTER: Duration = Duration::from_secs(5);
/// Connections that are told to leave have so long in all (TRN-9).
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Saying good-bye to a connection may take so long.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(5);
/// The store is being opened anew: deliveries look again after so long.
pub(crate) const DELIVERY_RETRY: Duration = Duration::from_millis(200);
/// The store was not available: what a client is told to wait.
pub(crate) const STORE_RETRY: Seconds = Seconds::new(1);
/// After the system gave no connection (no descriptors, no memory), accepting rests so long.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Being online is told to the mailboxes so often, with a ping (MBX-10).
pub(crate) const TOUCH_EVERY: Seconds = Seconds::new(3_600);
/// A reader's last sign of life is written down at most so often (MBX-10).
pub(crate) const SEEN_EVERY: Seconds = Seconds::new(3_600);
/// So much longer than its mailbox's TTL a reader holds back: what is written down of it may be
/// as old as both times above together (MBX-10).
pub(crate) const SEEN_GRACE: Seconds = Seconds::new(SEEN_EVERY.get() + TOUCH_EVERY.get());

/// The buffer lets go of what has expired so often.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Mailboxes nobody uses are taken out of memory so often, in ticks.
pub(crate) const SHRINK_EVERY: u64 = 60;
/// Mailboxes looked at in each tick for those that are over (MBX-13).
pub(crate) const SWEEP_STEP: usize = 256;
/// Mailboxes in memory are spread over so many locks.
pub(crate) const SHARDS: usize = 64;

/// The first wait before a failed store is opened anew; doubled each time.
pub(crate) const REOPEN_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before a failed store is opened anew.
pub(crate) const REOPEN_LAST: Duration = Duration::from_secs(5);
