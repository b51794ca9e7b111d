//! The app's own numbers, each with its unit.
//!
//! Knows numbers only.

use std::time::Duration;

/// How long a relay that refuses connections is tried before a command says so.
pub(crate) const REACH_WAIT: Duration = Duration::from_secs(4);
/// How long a command waits for what the relay has.
pub(crate) const COLLECT_WAIT: Duration = Duration::from_secs(20);
/// How long files on their way are waited for without anything happening.
pub(crate) const TRANSFER_STALL: Duration = Duration::from_secs(30);
/// How long `send` waits for its goal unless told otherwise, seconds.
pub(crate) const SEND_WAIT_SECONDS: u64 = 30;
/// Messages `history` and `search` show unless told otherwise.
pub(crate) const PAGE: u32 = 50;
/// Messages `chat` shows before it waits for new ones.
pub(crate) const CHAT_BEFORE: u32 = 10;
/// Messages `chat` looks back for when events were missed.
pub(crate) const CHAT_RESYNC: u32 = 200;
/// Days an invite holds unless told otherwise.
pub(crate) const INVITE_DAYS: u32 = 7;
/// The most days an invite may hold.
pub(crate) const INVITE_DAYS_MAX: u32 = 365;
/// People a link to a group is for unless told otherwise.
pub(crate) const GROUP_LINK_USES: u32 = 100;
/// Seconds of a day, a ratio of two units.
pub(crate) const DAY_SECONDS: u32 = 86_400;
/// Characters of a message that its fate repeats.
pub(crate) const EXCERPT: usize = 40;
/// Bytes of a passphrase file; more is none.
pub(crate) const PASSPHRASE_BYTES: u64 = 4_096;
/// Columns of a terminal that does not tell its size.
pub(crate) const COLUMNS: usize = 80;
/// Bytes of a file a group's picture is made of; what stands behind them is not read, and a picture
/// that is cut off is none.
pub(crate) const PICTURE_BYTES: u64 = 33_554_432;
