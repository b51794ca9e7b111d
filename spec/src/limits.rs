//! The numbers of the protocol, each with its unit and what happens at the bound.
//!
//! Knows numbers only. Operators may go below the maxima (relay settings), never above.

use crate::ids::Seconds;

/// Protobuf header of a frame, bytes (LIM-1): one more is `too_large`, the connection closes.
pub const HEADER_BYTES: usize = 1_024;
/// Opaque body of a frame, bytes (LIM-1): one more is `too_large`, the connection closes.
pub const BODY_BYTES: usize = 64_800;
/// Sizes a sealed envelope is padded to, bytes (REC-3): the client's duty.
pub const PADDING_LADDER: [usize; 5] = [256, 1_024, 5_120, 16_200, 64_800];

/// How long an envelope is kept when its sender names no time (LIM-2): 14 days.
pub const TTL_DEFAULT: Seconds = Seconds::new(14 * 86_400);
/// The longest an envelope is kept (LIM-2): 30 days; longer wishes are clamped and told so.
pub const TTL_MAX: Seconds = Seconds::new(30 * 86_400);

/// Stored envelopes of a mailbox (LIM-3): one more is `quota`.
pub const MAILBOX_ENTRIES: u32 = 10_000;
/// Stored bytes of a mailbox's bodies (LIM-3): one more is `quota`.
pub const MAILBOX_BYTES: u64 = 64 * 1024 * 1024;
/// Of the entries, those kept free for commits (LIM-3).
pub const COMMIT_RESERVE_ENTRIES: u32 = 64;
/// Of the bytes, those kept free for commits (LIM-3).
pub const COMMIT_RESERVE_BYTES: u64 = 1024 * 1024;

/// Keys with rights of a mailbox (LIM-4): one more is `quota`.
pub const KEYS: usize = 1_024;
/// Readers of a mailbox (LIM-4): one more is `quota`.
pub const READERS: usize = 4_096;
/// Replaced epoch keys of a mailbox (LIM-4): one more is `quota`.
pub const REPLACED_KEYS: usize = 4_096;
/// Reader hashes a commit adds and strikes together (LIM-5): one more is `too_large`.
pub const COMMIT_READERS: usize = 16;
/// Blobs a commit names (LIM-5): one more is `too_large`.
pub const COMMIT_BLOBS: usize = 4;
/// Card kept with a key, bytes (LIM-6): one more is `too_large`.
pub const CARD_BYTES: usize = 4_096;
/// Prekeys of one slot, without the last resort (LIM-7): one more is `quota`.
pub const PREKEYS_PER_SLOT: usize = 100;
/// Prekey slots of a mailbox (LIM-7): one more is `quota`.
pub const PREKEY_SLOTS: usize = 16;
/// One prekey package, bytes (LIM-7): one more is `too_large`.
pub const PREKEY_BYTES: usize = 16_200;
/// Answers to `take_prekeys` a mailbox remembers for repeating (LIM-7): one more is `rate`.
pub const TAKES_REMEMBERED: usize = 256;

/// Open handles of a connection (LIM-8): one more is `quota`.
pub const HANDLES: usize = 1_024;
/// Requests of a connection not yet answered (LIM-8): at the bound the relay stops reading.
pub const REQUESTS_IN_FLIGHT: usize = 256;
/// Envelopes a reader may have granted and not yet received (LIM-9): more is clamped.
pub const CREDIT_ENVELOPES: u32 = 1_024;
/// Bytes a reader may have granted and not yet received (LIM-9): more is clamped.
pub const CREDIT_BYTES: u32 = 1024 * 1024;
/// Bytes waiting to be sent on a connection (LIM-10): at the bound delivery pauses.
pub const PENDING_OUTPUT_BYTES: usize = 256 * 1024;

/// Time to `hello`, and again to the first `open` or `create` (LIM-11): then closed.
pub const HELLO_TIMEOUT: Seconds = Seconds::new(10);
/// Shortest silence a client may choose before the connection is closed (LIM-11).
pub const IDLE_MIN: Seconds = Seconds::new(30);
/// Longest silence a client may choose before the connection is closed (LIM-11).
pub const IDLE_MAX: Seconds = Seconds::new(900);

/// Connections of a relay (LIM-12): one more is refused before TLS.
pub const CONNECTIONS: usize = 50_000;
/// Connections of one address prefix, IPv4 /32 or IPv6 /64 (LIM-12): refused before TLS.
pub const CONNECTIONS_PER_PREFIX: usize = 256;
/// TLS handshakes under way (LIM-12): one more is refused before TLS.
pub const HANDSHAKES_IN_FLIGHT: usize = 256;
/// Of these, TLS handshakes of one address prefix (LIM-12): one more waits for its turn.
pub const HANDSHAKES_OF_A_PREFIX: usize = 32;

/// Bytes that all connections hold together, beyond what each may hold anyway (LIM-29): at the
/// bound nothing is delivered to, or read from, those that hold most.
pub const HELD_BYTES: usize = 256 * 1024 * 1024;
/// Envelopes a relay remembers (LIM-30): one more is `unavailable`.
pub const ENVELOPES: u64 = 10_000_000;

/// Request line and header lines of an HTTP request, bytes (LIM-18): one more is 431, then closed.
pub const HTTP_REQUEST_BYTES: usize = 8_192;
/// Header lines of an HTTP request (LIM-18): one more is 431, then closed.
pub const HTTP_HEADERS: usize = 64;
/// Answers to pings that wait on a WebSocket, bytes (LIM-31): of more, the latest is kept.
pub const PONGS_BYTES: usize = 2_048;

/// New connections of one address prefix in a minute (LIM-20): more are refused before TLS.
pub const CONNECTS_PER_MINUTE: u32 = 4_096;
/// Failed handshakes and `open`s of one address prefix in a minute (LIM-20): with more, connections
/// are refused before TLS and `open` is `rate`.
pub const FAILURES_PER_MINUTE: u32 = 1_024;
/// `create`s of one address prefix in a minute (LIM-20): more are `rate`.
pub const CREATES_PER_MINUTE: u32 = 1_024;

/// Commits of a mailbox per second in the long run (LIM-13): more is `rate`.
pub const COMMITS_PER_SECOND: u32 = 1;
/// Commits of a mailbox at once (LIM-13): one more is `rate`.
pub const COMMIT_BURST: u32 = 16;
/// Mailboxes of a relay (LIM-14): one more is `admission`.
pub const MAILBOXES: u64 = 1_000_000;
/// Live envelopes of a mailbox per second in the long run (LIM-15): more is `rate`.
pub const LIVE_PER_SECOND: u32 = 16;
/// Live envelopes of a mailbox at once (LIM-15): one more is `rate`.
pub const LIVE_BURST: u32 = 64;
/// Envelopes a room keeps for who joins later (LIM-17): with one more the oldest goes.
pub const TAIL_ENTRIES: u32 = 1_024;
/// Bytes of bodies a room keeps for who joins later (LIM-17): with one more the oldest go.
pub const TAIL_BYTES: u64 = 1024 * 1024;
/// Bytes waiting to be sent on a connection up to which a live envelope still joins them (LIM-16):
/// with more it is dropped for that reader.
pub const LIVE_PENDING_BYTES: usize = PENDING_OUTPUT_BYTES / 2;
/// The largest blob, bytes (LIM-22): one more is `too_large`, and so is a blob of none.
pub const BLOB_BYTES: u64 = 64 * 1024 * 1024;
/// A part of a blob, bytes (LIM-22, BLB-1): all but the last have exactly so many.
pub const BLOB_PART_BYTES: usize = BODY_BYTES;
/// Blobs of a mailbox (LIM-23): one more is `quota`.
pub const BLOBS: usize = 64;
/// Bytes of a mailbox's blobs (LIM-23): one more is `quota`.
pub const MAILBOX_BLOB_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of all blobs of a relay, unless its operator says otherwise (LIM-24): one more is `quota`.
pub const RELAY_BLOB_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Parts written to a mailbox's blobs per second in the long run (LIM-25): more is `rate`.
pub const BLOB_WRITES_PER_SECOND: u32 = 128;
/// Parts written to a mailbox's blobs at once (LIM-25): one more is `rate`.
pub const BLOB_WRITE_BURST: u32 = 512;
/// Unanswered `blob_read`s of a connection (LIM-25): at the bound the relay stops reading.
pub const BLOB_READS_IN_FLIGHT: usize = 4;
/// So much longer than its mailbox's TTL a blob may live (BLB-5): a day to be written in before
/// the commit that needs it.
pub const BLOB_TTL_MORE: Seconds = Seconds::new(86_400);
/// A conversation nobody opened for so long is deleted (MBX-13): 400 days.
pub const IDLE_CONVERSATION: Seconds = Seconds::new(400 * 86_400);
/// Tokens a relay keeps (LIM-27): its operator can make no more then.
pub const TOKENS: usize = 10_000;
/// Conversations and rooms that a use of a token pays for, beside its inbox (LIM-28): one more is
/// `admission`.
pub const MAILBOXES_PER_USE: u32 = 1_000;

/// An envelope's id is remembered at least so long after it left the buffer (MBX-5).
pub const DEDUP_WINDOW: Seconds = Seconds::new(120);
/// The answer to `take_prekeys` is repeated to the same request id for so long (CMD-14).
pub const TAKE_REPEAT: Seconds = Seconds::new(120);
/// An endorsement of a TLS key is valid at most so long (TRN-5): 7 days.
pub const ENDORSEMENT_MAX: Seconds = Seconds::new(7 * 86_400);
/// Operator's text in `hello`, bytes of UTF-8 (CMD-1): longer is cut by the relay.
pub const OPERATOR_TEXT_BYTES: usize = 1_024;
/// Reader hashes named in `quota` and `open` (ERR-4): the furthest behind come first.
pub const LAGGING_READERS: usize = 16;

// End to end: the relay knows none of these.

/// Devices of an account (IDN-6): a list with more is refused.
pub const DEVICES: usize = 8;
/// The name a person gives a device, bytes of UTF-8 (IDN-3): longer is refused.
pub const DEVICE_LABEL_BYTES: usize = 64;
/// A nickname, bytes of UTF-8 (CNT-5): longer is refused.
pub const NICK_BYTES: usize = 64;
/// An invite's link, characters (INV-2): a relay address that needs more cannot be in one.
pub const INVITE_CHARS: usize = 199;
/// A sealed card, bytes (INV-4): always this size, below [`CARD_BYTES`].
pub const SEALED_CARD_BYTES: usize = 2_048;
/// A room's link, characters (ROM-2): a relay address that needs more cannot be in one.
pub const ROOM_LINK_CHARS: usize = 199;
/// A room's name, bytes of UTF-8 (ROM-5): longer is refused.
pub const ROOM_NAME_BYTES: usize = 128;
/// Hosts of a room, its founder among them (ROM-5): one more is refused.
pub const ROOM_HOSTS: usize = 16;
/// Places for recipients in a letter to an account (LET-2).
pub const LETTER_SLOTS: usize = DEVICES;
/// Leaves of a conversation with a hybrid suite (CNV-10): one more is refused.
pub const HYBRID_LEAVES: usize = 64;
/// Leaves of a conversation with a classical suite (CNV-10): one more is refused.
pub const CLASSICAL_LEAVES: usize = 1_000;
/// Messages of one sender in one epoch that may be missing before one that is read (CNV-8): behind
/// a larger hole nothing of that sender can be read until the next commit.
pub const RATCHET_FORWARD: u32 = 4_096;
/// How far behind a sender's newest message an older one can still be read (CNV-8).
pub const RATCHET_BACKWARD: u32 = 32;
/// Name of a group, bytes of UTF-8 (CNV-13): one more is refused.
pub const GROUP_NAME_BYTES: usize = 128;
/// Picture of a group, bytes (CNV-13): one more is refused.
pub const GROUP_PICTURE_BYTES: usize = 8_192;
/// Accounts with a role in a group (CNV-13): one more is refused.
pub const GROUP_OFFICERS: usize = 64;
/// Encoded content of one message, bytes (CNT-3): one more is refused, as it fits no envelope.
pub const CONTENT_BYTES: usize = 64_000;
/// Encoded content of a kept kind, bytes (CNT-3): one more is refused, as it fits no repair.
pub const KEPT_BYTES: usize = 63_000;
/// A text or a caption, bytes of UTF-8 (CNT-3): one more is refused.
pub const TEXT_BYTES: usize = 32_768;
/// Message ids one receipt names (CNT-3): one more is refused.
pub const RECEIPT_IDS: usize = 1_024;
/// Name of an attached file, bytes of UTF-8 (CNT-8): one more is refused.
pub const FILE_NAME_BYTES: usize = 255;
/// Media type of an attached file, bytes of ASCII (CNT-8): one more is refused.
pub const MEDIA_TYPE_BYTES: usize = 127;
/// The small picture of an attached file, bytes (CNT-8): one more is refused.
pub const THUMBNAIL_BYTES: usize = 8_192;
/// A reaction, bytes of UTF-8 (CNT-9): one more is refused.
pub const EMOJI_BYTES: usize = 64;
/// Messages one content takes back (CNT-9): one more is refused.
pub const DELETE_IDS: usize = 64;
/// Devices a Welcome names that are heard no more in logs its conversation has left (CNT-6): one
/// more is refused.
pub const WELCOME_UNHEARD: usize = 64;
/// People of one roster (CNT-10): one more is refused.
pub const ROSTER_PEOPLE: usize = 200;
/// Records of one content between own devices (CNT-11): one more is refused.
pub const SYNC_RECORDS: usize = 256;
/// Key of such a record, bytes (CNT-11): one more is refused.
pub const SYNC_KEY_BYTES: usize = 128;
/// Value of such a record, bytes (CNT-11): one more is refused.
pub const SYNC_VALUE_BYTES: usize = 32_768;
/// Ranges one repair or its request names (CNT-12): one more is refused.
pub const REPAIR_RANGES: usize = 64;
/// Contents of one such range (CNT-12): one more is refused.
pub const REPAIR_RANGE_CONTENTS: u64 = 1_024;
/// Contents of one repair (CNT-12): one more is refused.
pub const REPAIR_ENTRIES: usize = 64;
/// Devices of which one content tells how far they were counted (CNT-12): one more is refused.
pub const COUNTS: usize = 256;
/// A chunk of a sealed file, bytes (FIL-3): a blob's part, so that what came whole can be opened.
pub const FILE_CHUNK_BYTES: usize = BLOB_PART_BYTES;
/// The stream of a sealed file, bytes (FIL-2): shorter ones are padded to it.
pub const FILE_STREAM_MIN: u64 = 1_024;
/// The smallest sealed file, bytes (FIL-3): the shortest stream, in one chunk.
pub const SEALED_FILE_MIN: u64 = FILE_STREAM_MIN + 16;
/// Content of a sealed file, bytes (FIL-2): one more is refused, as it fits no blob.
pub const FILE_BYTES: u64 = 63 * 1024 * 1024 - 8;
/// Content of a segment of an archive, bytes (ARC-1): what does not fit begins the next one.
pub const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Encoded record of an archive, bytes (ARC-2): one more is refused.
pub const RECORD_BYTES: usize = 384 * 1024;
/// Device list or state in a record, bytes (ARC-2): one more is refused.
pub const RECORD_PART_BYTES: usize = 65_536;
/// Reactions and edits on one message in an archive (ARC-2): one more is refused.
pub const RECORD_ACTS: usize = 1_024;
/// Generations of one conversation in an archive (ARC-2): one more is refused.
pub const RECORD_LOGS: usize = 256;
/// Segments of an archive (ARC-6): of a history that needs more the oldest messages are left out.
pub const SEGMENTS: u32 = 4_096;
/// Segments one manifest names (ARC-6): what is beyond stands in the next one.
pub const MANIFEST_SEGMENTS: usize = 128;
/// Encoded manifest, bytes (ARC-6): one more is refused, as it is the value of a record (CNT-11).
pub const MANIFEST_BYTES: usize = SYNC_VALUE_BYTES;
/// Memory of Argon2id for a recovery file's passphrase, KiB (REV-3; RFC 9106 section 4).
pub const RECOVERY_MEMORY_KIB: u32 = 64 * 1024;
/// Passes over it (REV-3).
pub const RECOVERY_PASSES: u32 = 3;
/// Lanes of it (REV-3).
pub const RECOVERY_LANES: u32 = 4;
/// The most memory a recovery file may ask for, KiB (REV-3): one with more is refused.
pub const RECOVERY_MEMORY_MAX_KIB: u32 = 256 * 1024;
/// The most passes and lanes a recovery file may ask for (REV-3): one with more is refused.
pub const RECOVERY_PASSES_MAX: u32 = 16;
/// A passphrase, bytes of UTF-8 (REV-3): one more is refused, and so is none.
pub const PASSPHRASE_BYTES: usize = 1_024;

const _: () = {
    assert!(PADDING_LADDER[4] == BODY_BYTES);
    assert!(COMMIT_RESERVE_ENTRIES < MAILBOX_ENTRIES);
    assert!(COMMIT_RESERVE_BYTES < MAILBOX_BYTES);
    assert!(CREDIT_BYTES as usize >= BODY_BYTES);
    assert!(PENDING_OUTPUT_BYTES > HEADER_BYTES + BODY_BYTES);
    assert!(LIVE_PENDING_BYTES > HEADER_BYTES + BODY_BYTES);
    assert!(TAIL_BYTES > BODY_BYTES as u64 && TAIL_BYTES < MAILBOX_BYTES);
    assert!(LIVE_BURST.is_multiple_of(LIVE_PER_SECOND));
    assert!(BLOB_BYTES <= MAILBOX_BLOB_BYTES && MAILBOX_BLOB_BYTES <= RELAY_BLOB_BYTES);
    assert!(BLOB_WRITE_BURST.is_multiple_of(BLOB_WRITES_PER_SECOND));
    assert!(TTL_DEFAULT.get() <= TTL_MAX.get());
    assert!(IDLE_MIN.get() <= IDLE_MAX.get());
    assert!(SEALED_CARD_BYTES <= CARD_BYTES);
    assert!(TEXT_BYTES + THUMBNAIL_BYTES < KEPT_BYTES && SYNC_VALUE_BYTES < KEPT_BYTES);
    assert!(KEPT_BYTES < CONTENT_BYTES && RECEIPT_IDS * 16 < CONTENT_BYTES);
    assert!(CONTENT_BYTES < BODY_BYTES);
    assert!(FILE_STREAM_MIN < FILE_CHUNK_BYTES as u64 && FILE_BYTES < BLOB_BYTES);
    assert!(SEGMENT_BYTES as u64 <= FILE_BYTES && RECORD_BYTES < SEGMENT_BYTES);
    assert!(CONTENT_BYTES + TEXT_BYTES + CLASSICAL_LEAVES * 40 + RECORD_ACTS * 128 < RECORD_BYTES);
    assert!(RECORD_PART_BYTES < RECORD_BYTES && MANIFEST_BYTES < CONTENT_BYTES);
};
