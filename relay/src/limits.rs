//! The relay's own numbers, each with its unit and reason; what users may rely on is the protocol's
//! (`spec/src/limits.rs`), what operators may set is in `ops/config.rs`.

use std::time::Duration;

use restante_spec::ids::Seconds;

/// Address prefixes remembered for their pace (LIM-20): with one more, those without a connection
/// are forgotten. More than the connections there can be, so that this always makes room.
pub(crate) const PREFIXES: usize = 65_536;
/// The most an operator may let a prefix do in a minute (LIM-20): for tests of load.
pub(crate) const PER_MINUTE_MAX: u32 = 1_000_000;

const _: () = assert!(PREFIXES > restante_spec::limits::CONNECTIONS);

/// What a connection may hold whatever others do, bytes (LIM-29): a frame each way, and the records
/// they travel in.
pub(crate) const OWN_BYTES: usize = 192 * 1024;
/// What an open handle with its subscription counts for, bytes (LIM-29).
pub(crate) const HANDLE_BYTES: usize = 1_024;
/// What an unanswered request counts for, bytes (LIM-29): more than its answer takes, but for one
/// with a body, of which a connection has one at a time.
pub(crate) const CALL_BYTES: usize = restante_spec::limits::HEADER_BYTES;
/// A connection whose requests are all answered keeps room for so many.
pub(crate) const CALLS_KEPT: usize = 32;

const _: () = assert!(OWN_BYTES > 2 * restante_spec::frame::FRAME_BYTES + 33 * 1024);

/// Files the relay may have open beside its connections: the store's, parts of blobs, the
/// operator's ports.
pub(crate) const OPEN_FILES: u64 = 256;

/// Memory of a connection beside what it holds, bytes: its task, TLS, session and what it is told.
pub(crate) const CONNECTION_BYTES: usize = 8 * 1024;
/// Memory of a mailbox with a few keys and readers, bytes: its place in the index and its state.
pub(crate) const MAILBOX_BYTES: u64 = 2 * 1024;
/// Memory of a remembered envelope, bytes: the index's entry and chunk in growing tables, and both
/// a second time while the store is opened anew.
pub(crate) const ENVELOPE_BYTES: u64 = 512;
/// What is kept of an envelope that was never written, beside that (MBX-21): which it was, bytes.
pub(crate) const UNWRITTEN_BYTES: usize = 24;
/// Memory of an act that waits for the storage thread beside its body, bytes.
pub(crate) const ACT_BYTES: usize = 512;
/// Memory of an address prefix at the door, bytes.
pub(crate) const PREFIX_BYTES: usize = 256;
/// Memory for the work of the storage thread beside queue and cache: batches, cleaning, expiry.
pub(crate) const STORE_WORK_BYTES: usize = 96 * 1024 * 1024;
/// Memory of the program itself, with its threads and their buffers.
pub(crate) const PROGRAM_BYTES: usize = 64 * 1024 * 1024;
/// Unit: of memory in use the allocator keeps one part in so many more.
pub(crate) const ALLOCATOR_SHARE: u64 = 4;

/// A connection reads so much at a time, bytes: several TLS records with one call of the system.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// A client that is told to leave may take so long (TRN-9).
pub(crate) const GOAWAY_JITTER: Duration = Duration::from_secs(5);
/// Connections that are told to leave have so long in all (TRN-9).
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Saying good-bye to a connection may take so long (ERR-2, TRN-9).
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(5);
/// After the good-bye nothing more is awaited when nothing has come for so long: longer than most
/// round trips, after which whoever has heard it sends no more.
pub(crate) const CLOSE_QUIET: Duration = Duration::from_millis(500);
/// The store is being opened anew: deliveries look again after so long.
pub(crate) const DELIVERY_RETRY: Duration = Duration::from_millis(200);
/// The store was not available: what a client is told to wait.
pub(crate) const STORE_RETRY: Seconds = Seconds::new(1);
/// No mailbox may be made, for want of a token or of places: what a client is told to wait. Only
/// people can change that.
pub(crate) const ADMISSION_RETRY: Seconds = Seconds::new(600);
/// The disk is nearly full: what a client is told to wait.
pub(crate) const DISK_RETRY: Seconds = Seconds::new(60);
/// While the disk is nearly full, appends are refused for so long after the store has grown: what
/// fits into the room inside it, which expiry makes, is taken (ADM-6).
pub(crate) const DISK_GROWN: Seconds = Seconds::new(60);
/// Where each level of pressure begins, hundredths of the queue's bound (ADM-5): the last part is
/// for what lets go of something.
pub(crate) const QUEUE_LEVELS: [usize; 4] = [0, 50, 75, 88];
/// A handshake waits for its turn so many times as long as one may take (LIM-12).
pub(crate) const HANDSHAKE_WAITS: u32 = 2;
/// After the system gave no connection (no descriptors, no memory), accepting rests so long.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Being online is told to the mailboxes so often, with a ping (MBX-10).
pub(crate) const TOUCH_EVERY: Seconds = Seconds::new(3_600);
/// A reader's last sign of life is written down at most so often (MBX-10).
pub(crate) const SEEN_EVERY: Seconds = Seconds::new(3_600);
/// So much longer than its mailbox's TTL a reader holds back: what is written down of it may be
/// as old as both times above together (MBX-10).
pub(crate) const SEEN_GRACE: Seconds = Seconds::new(SEEN_EVERY.get() + TOUCH_EVERY.get());

/// So many readers of a mailbox are told of news by whoever brings it; more are told in steps, by a
/// task of its own: the bringer, often the buffer's thread, is held up for some microseconds.
/// Up to so many are kept as a list.
pub(crate) const FAN_OUT_AT_ONCE: usize = 32;
/// Readers told in one step; then others have their turn.
pub(crate) const FAN_OUT_STEP: usize = 64;
/// News of a mailbox waiting to be told, bytes; with more, its readers look into the buffer.
pub(crate) const FAN_OUT_BYTES: usize = 1024 * 1024;

/// Bytes of blobs' parts that may wait to be written: with more, `blob_write` is `unavailable`.
pub(crate) const BLOB_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Requests of parts that may wait or be worked on: with one more, `blob_write`, `blob_read` and
/// the first look at a blob are `unavailable`.
pub(crate) const BLOB_ASKED: usize = 4_096;
/// Tasks that read or write parts at once: enough for an object store that is far away.
pub(crate) const BLOB_TASKS: usize = 32;
/// A request to an object store may take so long, and is made again only within that time.
pub(crate) const BLOB_PLACE_TIME: Duration = Duration::from_secs(20);
/// A request to an object store is made again at most so often.
pub(crate) const BLOB_RETRIES: usize = 3;
/// Parts of one object that are looked at: more than a blob has.
pub(crate) const BLOB_LIST_MOST: usize = 2 * 1_036;
/// Blobs whose time is over, or whose mailbox is gone, that are let go in one tick.
pub(crate) const BLOB_EXPIRY_STEP: usize = 256;
/// Blobs that were not complete at the start and are looked at in one tick.
pub(crate) const BLOB_LOOK_STEP: usize = 64;
/// What is left over in the place of the blobs is looked for so often, in ticks.
pub(crate) const BLOB_SWEEP_EVERY: u64 = 3_600;
/// Objects that are left over and let go in one sweep.
pub(crate) const BLOB_SWEEP_STEP: usize = 4_096;
/// Proofs of read keys a connection remembers, so that reading on is cheap: one more, and the
/// oldest is checked again.
pub(crate) const BLOB_PROOFS: usize = 16;
/// A blob is being begun or ended: what a client is told to wait.
pub(crate) const BLOB_RETRY: Seconds = Seconds::new(1);

/// Records of a backup that are restored in one transaction.
pub(crate) const RESTORE_BATCH: usize = 4_096;
/// A restored relay goes on with the number of the seconds since 1970 times this (MBX-3): no relay
/// gives as many in a second, so that this is above all that was given, after other restores too.
/// Below 2^53 until 2242: who counts in floating point loses none.
pub(crate) const RESTORE_RATE: u64 = 1 << 20;
/// Where the clock is behind that, numbers that a relay may have given after a backup was taken.
/// More than a hundred million in each second of a day.
pub(crate) const RESTORE_RESERVE: u64 = 1 << 44;
/// The longest record of a backup, bytes: the file of bucket keys is the longest there is.
pub(crate) const BACKUP_RECORD_BYTES: usize = 1 << 20;

/// The buffer lets go of what has expired so often.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Mailboxes that are looked through for what has expired, in each tick.
pub(crate) const EXPIRY_MAILBOXES: usize = 4_096;
/// Mailboxes nobody uses are taken out of memory so often, in ticks.
pub(crate) const SHRINK_EVERY: u64 = 60;
/// Mailboxes looked at in each tick for those that are over (MBX-13).
pub(crate) const SWEEP_STEP: usize = 256;
/// Mailboxes in memory are spread over so many locks.
pub(crate) const SHARDS: usize = 64;

/// Chunks that are read ahead of those that are being indexed, when a store is opened.
pub(crate) const READ_AHEAD: usize = 64;

/// Chunks, a GiB, after which a start that reads the store tells how far it is.
pub(crate) const READING_TOLD: u64 = 16_384;

/// The first wait before a failed store is opened anew; doubled each time.
pub(crate) const REOPEN_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before a failed store is opened anew.
pub(crate) const REOPEN_LAST: Duration = Duration::from_secs(5);

/// A store that failed twice, and made nothing durable between, is only read for two ticks; then
/// for twice as many with each failure more, doubled so often at most.
pub(crate) const REST_DOUBLINGS: u32 = 3;

/// Connections to the status port at once; the next one waits.
pub(crate) const STATUS_CONNECTIONS: usize = 16;
/// A connection to the status port, or to the admin socket, may take so long.
pub(crate) const STATUS_TIME: Duration = Duration::from_secs(10);
/// A request on the admin socket, bytes: what is longer is cut, and not known.
pub(crate) const ADMIN_REQUEST_BYTES: u64 = 256;
/// Values of a metric's label at most: checked when the relay is built.
pub(crate) const LABEL_VALUES: usize = 32;

/// A note beside a token, bytes: one line of a list.
pub(crate) const NOTE_BYTES: usize = 100;
/// Accounts one token may admit.
pub(crate) const TOKEN_USES: u32 = 100_000;
/// A token's row is kept so long after its time (ADM-2): what it has just paid for may be queued.
pub(crate) const TOKEN_LINGERS: Seconds = Seconds::new(3_600);
