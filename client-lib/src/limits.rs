//! The SDK's own numbers, each with its unit and what happens at the bound.
//!
//! Knows numbers only. The protocol's limits are in `restante_spec::limits`.

use std::time::Duration;

use restante_spec::ids::Seconds;
use restante_spec::limits::{BLOB_PART_BYTES, BLOB_READS_IN_FLIGHT, SEGMENT_BYTES};
use restante_spec::message::{Credit, Rate};

/// Events an [`crate::EventStream`] holds; one more drops the oldest and becomes `Resync`.
pub(crate) const EVENT_QUEUE: usize = 1_024;
/// Requests waiting for the driver; one more makes the caller wait.
pub(crate) const REQUEST_QUEUE: usize = 64;
/// How long opening a home waits for another process, unless told otherwise; then `Locked`.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often a held home is tried again.
pub(crate) const LOCK_POLL: Duration = Duration::from_millis(50);

/// Memory of Argon2id for a passphrase, KiB (RFC 9106 section 4, second choice).
pub(crate) const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Passes of Argon2id over it.
pub(crate) const ARGON2_PASSES: u32 = 3;
/// Lanes of Argon2id.
pub(crate) const ARGON2_LANES: u32 = 4;

/// Silence after which a relay may close a link: traffic keeps it open.
pub(crate) const IDLE: Seconds = Seconds::new(120);
/// How long making a link may take: connecting, TLS and `hello` together.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// First pause before a link or a refused request is tried again; doubles from there.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
pub(crate) const RETRY_CAP: Duration = Duration::from_secs(60);
/// How often the driver looks around although nothing happens: expiry of messages.
pub(crate) const IDLE_TICK: Duration = Duration::from_secs(60);
/// How long a closing client tries to send the receipts it owes.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(3);

/// Envelopes worked off in one transaction; what is beyond waits for the next.
pub(crate) const DELIVERY_BATCH: usize = 64;
/// What a relay may deliver before it is granted more.
pub(crate) const DELIVERY_CREDIT: Credit = Credit { envelopes: 256, bytes: 1024 * 1024 };
/// Appends of one conversation without an answer; the next one waits.
pub(crate) const SEND_WINDOW: usize = 32;

/// Contents waiting for one contact; one more is `too_many`.
pub(crate) const OUTBOX: usize = 10_000;
/// Conversations of an account; one more is `too_many`.
pub(crate) const CONVERSATIONS: usize = 2_000;
/// Rooms of an account; one more is `too_many`.
pub(crate) const ROOMS: usize = 256;
/// Accounts of a room of which the name is known; of one more it is not.
pub(crate) const ROOM_PEOPLE: usize = 4_096;
/// Devices of a room of which the last counter is remembered (ROM-15); of one more it is not.
pub(crate) const ROOM_DEVICES: usize = 4_096;
/// After a rotation that was posted, the key before it still reads for so long: whoever was away
/// finds the post. Then the new link is needed.
pub(crate) const ROOM_OLD_KEY: Seconds = Seconds::new(30 * 86_400);
/// Accounts in a conversation up to which leaves are renewed by themselves: in a larger one too
/// many would ask for the same commit.
pub(crate) const UPDATE_MEMBERS: usize = 8;
/// After somebody has left, the others wait so long for the leftmost member to commit it, and a
/// restored device until it removes devices of its account that the list has not ...
pub(crate) const LEAVE_DELAY: Seconds = Seconds::new(30);
/// ... and up to so much longer, at random.
pub(crate) const LEAVE_SPREAD: Seconds = Seconds::new(60);
/// What is said in a conversation on another relay waits so long at most until the own devices
/// that are not in it can be added; after that they miss it.
pub(crate) const OWN_DEVICES_WAIT: Seconds = Seconds::new(10);
/// Contacts of an account: each has a key in the inbox, and the relay keeps 1,024 of them. One
/// more is `too_many`; one more letter of a stranger is dropped.
pub(crate) const CONTACTS: u64 = 900;
/// How long an invite holds when its maker names no time.
pub(crate) const INVITE_TTL: Seconds = Seconds::new(7 * 86_400);
/// Invites that are open at once; one more is `too_many`.
pub(crate) const INVITES: usize = 100;

/// How long a link code holds; then a new one is needed.
pub(crate) const LINK_TTL: Seconds = Seconds::new(600);
/// Bytes of records that are told to the own devices at once; what is beyond goes in a next one.
pub(crate) const SYNC_CHUNK: usize = 60_000;
/// Settings and drafts of an account together; one more is `too_many`.
pub(crate) const NOTES: usize = 10_000;
/// After a device has said that it makes a conversation, the others wait so long for it.
pub(crate) const CLAIM_WAIT: Seconds = Seconds::new(600);

/// Prekeys stored at once.
pub(crate) const PREKEYS_PUT: usize = 4;
/// With fewer prekeys left, more are stored.
pub(crate) const PREKEYS_LOW: u32 = 2;
/// The prekey of last resort, which may be used many times, is replaced after so long.
pub(crate) const LAST_RESORT_EVERY: Seconds = Seconds::new(14 * 86_400);
/// The key letters to this device are sealed to is replaced after so long ...
pub(crate) const LETTER_KEY_EVERY: Seconds = Seconds::new(30 * 86_400);
/// ... and kept for so much longer: letters to it may lie in the inbox still, and who answers late,
/// or was away, knows no other.
pub(crate) const LETTER_KEY_KEPT: Seconds = Seconds::new(180 * 86_400);
/// Letters a contact may write; more is refused by the relay.
pub(crate) const LETTER_RATE: Rate = Rate { count: 60, per: Seconds::new(3_600) };

/// A receipt is sent no sooner than this after its message ...
pub(crate) const RECEIPT_DELAY: Seconds = Seconds::new(5);
/// ... and up to so much later, at random.
pub(crate) const RECEIPT_SPREAD: Seconds = Seconds::new(10);
/// In a group the spread grows by this for each other member, so that not everybody answers each
/// message ...
pub(crate) const RECEIPT_SPREAD_PER_MEMBER: Seconds = Seconds::new(1);
/// ... up to this.
pub(crate) const RECEIPT_SPREAD_MAX: Seconds = Seconds::new(55);
/// Who has received a message is remembered for so long after the last sign of it; then it is not
/// known any more. Above the longest time a relay keeps a message.
pub(crate) const RECIPIENTS_KEPT: Seconds = Seconds::new(90 * 86_400);
/// Different reactions shown beside one message; further ones are not shown.
pub(crate) const REACTIONS_SHOWN: usize = 32;
/// Reactions, edits and deletes of one conversation that wait for a message that is not here; with
/// one more the oldest is dropped.
pub(crate) const ACTS_WAITING: u32 = 1_024;
/// Earlier states of a conversation that are remembered for what is taken behind its time; with
/// one more the oldest is dropped, and what is older still is judged by the oldest that is left.
pub(crate) const STATES: u32 = 256;
/// Positions of an epoch whose log hash is remembered (CNT-7); with one more the oldest is dropped
/// and not compared any more.
pub(crate) const LOG_HASHES: u32 = 1_024;
/// Somebody who is writing is not any more when nothing was heard of it for so long.
pub(crate) const TYPING_ENDS: Seconds = Seconds::new(10);
/// That somebody is writing is told again after so long; sooner it is not sent.
pub(crate) const TYPING_AGAIN: Seconds = Seconds::new(4);
/// People writing at once that are remembered; one more is not shown.
pub(crate) const TYPING_PEOPLE: usize = 256;
/// Live contents waiting for the next step of the driver; one more is not sent.
pub(crate) const LIVE_QUEUE: usize = 64;
/// How often expired messages and letters are looked for.
pub(crate) const TIDY_EVERY: Seconds = Seconds::new(30);

/// Requests waiting to be sent on a link; one more is not sent and says so.
pub(crate) const LINK_REQUESTS: usize = 1_024;
/// Events of a link waiting to be worked off; at the bound the link stops reading.
pub(crate) const LINK_EVENTS: usize = 256;
/// Bytes waiting to be written to a link; at the bound no more requests are taken.
pub(crate) const LINK_OUTPUT_BYTES: usize = 256 * 1024;
/// Bytes read from a link at once, at least.
pub(crate) const LINK_READ_BYTES: usize = 16 * 1024;
/// How long an answer may be owed with nothing heard at all; then the link is dead.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// How long one address of a relay's name is tried.
pub(crate) const CONNECT_ATTEMPT: Duration = Duration::from_secs(5);
/// How long a link that is given back may take to send its last words.
pub(crate) const LINK_CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Messages after which a leaf is renewed by a commit: by whoever did not make the last commit
/// after so many, by either after twice as many.
pub(crate) const UPDATE_EVERY: u32 = 100;
/// Of several that would do so each waits so long at most, at random ...
pub(crate) const RENEW_SPREAD: Seconds = Seconds::new(4);
/// ... and so much longer behind a commit of another: the relay takes no more than one each second.
pub(crate) const RENEW_PAUSE: Seconds = Seconds::new(10);

/// Contents that are found missing are asked for no sooner than this ...
pub(crate) const REPAIR_DELAY: Seconds = Seconds::new(5);
/// ... and up to so much later, at random.
pub(crate) const REPAIR_SPREAD: Seconds = Seconds::new(10);
/// How long an answer is waited for, one after the other; then they are shown as lost.
pub(crate) const REPAIR_WAITS: [Seconds; 4] =
    [Seconds::new(180), Seconds::new(3_600), Seconds::new(86_400), Seconds::new(86_400)];
/// With a content that own devices hand on go so many of those that were done with it, the newest.
pub(crate) const HANDED_ON_ACTS: u32 = 64;
/// Whoever may answer waits so long for each of those whose turn is before.
pub(crate) const REPAIR_TURN: Seconds = Seconds::new(10);
/// Turns of a request; who would come later does not answer.
pub(crate) const REPAIR_TURNS: usize = 8;
/// Devices of a group, the first in its tree, that tell how far they have counted the others.
pub(crate) const COUNT_TELLERS: usize = 3;
/// Contents of each of those they tell of, the newest.
pub(crate) const COUNTED_BACK: u32 = 4_096;
/// Between two repairs of this device in a conversation.
pub(crate) const REPAIR_PAUSE: Seconds = Seconds::new(2);
/// Repairs an account is given in a conversation in [`REPAIR_RATE_TIME`]; more waits.
pub(crate) const REPAIR_RATE: u32 = 256;
/// See [`REPAIR_RATE`].
pub(crate) const REPAIR_RATE_TIME: Seconds = Seconds::new(3_600);
/// People one roster tells of: so many fit a content whatever their relays are called. Of more
/// another one tells.
pub(crate) const ROSTER_TOLD: usize = 100;
/// Bytes of one repair; with more another one follows.
pub(crate) const REPAIR_BYTES: usize = 63_400;
/// Ranges that others have asked for in a conversation and were not given yet; with one more the
/// oldest of the account that has asked for the most goes.
pub(crate) const REPAIRS_OWED: usize = 256;
/// Contents of the own conversation that are kept for the other devices; with one more the oldest
/// goes. A device that misses more is told everything when it is added again.
pub(crate) const OWN_KEPT: u32 = 1_024;
/// Gaps of a conversation; with one more the oldest of the account that has the most is no longer
/// shown.
pub(crate) const GAPS: usize = 1_024;
/// Gaps of a conversation that one other device has told of; one more is not noted.
pub(crate) const HEARSAY_GAPS: usize = 256;

/// A device that cannot read a conversation on asks no sooner than this to be added again ...
pub(crate) const RETURN_DELAY: Seconds = Seconds::new(2);
/// ... and up to so much later, at random.
pub(crate) const RETURN_SPREAD: Seconds = Seconds::new(8);
/// How long each of those it asks is waited for: so long in the first round, and so on; after the
/// last round it is shown as broken.
pub(crate) const RETURN_WAITS: [Seconds; 3] =
    [Seconds::new(120), Seconds::new(3_600), Seconds::new(86_400)];
/// A new device that nobody has let in says after so long that it is ready once more.
pub(crate) const LINKED_AGAIN: Seconds = Seconds::new(86_400);
/// How often other devices of the account are asked for a conversation this one has no log of, with
/// the same waits, the last again and again; then it is shown as broken.
pub(crate) const AWAITED_ASKS: u32 = 12;
/// Of those a restored device could ask to be let in, itself not known to them, so many are asked:
/// each is a person. The others are not.
pub(crate) const RESTORED_HELPERS: usize = 8;
/// Welcomes from somebody this device does not know yet; one more lets go of those before it.
pub(crate) const EARLY_WELCOMES: usize = 32;
/// Device lists that are kept in memory, so that their signatures are not checked again; with one
/// more all are let go.
pub(crate) const LISTS_KEPT: usize = 512;
/// Devices that wait for a person's consent in a conversation; one more is not noted.
pub(crate) const CALLERS: usize = 64;

/// A conversation that cannot go on is begun anew by itself no sooner than this ...
pub(crate) const RESTART_DELAY: Seconds = Seconds::new(5);
/// ... and up to so much later, at random: whoever comes second sees that it was done.
pub(crate) const RESTART_SPREAD: Seconds = Seconds::new(60);
/// Between two such beginnings of a conversation.
pub(crate) const RESTART_EVERY: Seconds = Seconds::new(86_400);
/// So many moves of a group a device has missed at most; a generation that is further ahead is not
/// gone along with: with the highest one nobody could move the group any more.
pub(crate) const MOVES_MISSED: u32 = 1_024;
/// A log that a conversation has left is closed after so long: until then others may write there.
pub(crate) const MOVED_CLOSE: Seconds = Seconds::new(14 * 86_400);
/// A Welcome that goes into its letter, bytes; a larger one lies in a blob (CNT-6). A letter has
/// 64,800 bytes, of which the slots take 9,400 and the device list up to 12,500.
pub(crate) const WELCOME_BYTES: usize = 36_000;
/// A commit or Welcome in a blob, bytes; what claims to be larger is not fetched. 1,000 leaves need
/// about 440,000.
pub(crate) const LARGE_MESSAGE_BYTES: u64 = 4 * 1024 * 1024;
/// After a blob could not be stored its commit is made anew so much later.
pub(crate) const LARGE_RETRY: Seconds = Seconds::new(600);
/// Transfers that have not ended; one more is `too_many`.
pub(crate) const TRANSFERS: usize = 64;
/// Transfers that have ended and are still listed; with one more the oldest is forgotten.
pub(crate) const TRANSFERS_ENDED: usize = 64;
/// A file's name, bytes; one more is `bad_file_name`.
pub(crate) const FILE_NAME_BYTES: usize = 128;
/// Parts of blobs under way on a link, all transfers and both directions together (194,400
/// bytes); the next one waits. A message behind them waits for no more than these: about a second
/// and a half with 1 Mbit/s; with 50 ms to the relay and back they still bring 3.8 MB a second.
pub(crate) const TRANSFER_WINDOW: usize = 3;
/// Bytes of a blob from one sync of the file and note in the store to the next: 16 parts. After a
/// crash so much is fetched again at most.
pub(crate) const TRANSFER_SYNC_BYTES: u64 = 16 * BLOB_PART_BYTES as u64;

const _: () = {
    // LIM-25: at the relay's bound it would read nothing more of this link, messages neither.
    assert!(TRANSFER_WINDOW < BLOB_READS_IN_FLIGHT);
    // At the link's bound no message would be taken behind the parts.
    assert!(TRANSFER_WINDOW * BLOB_PART_BYTES < LINK_OUTPUT_BYTES);
};
/// An attachment up to so many bytes is fetched by itself, unless the app names another number; a
/// larger one waits until it is asked for.
pub(crate) const ATTACHMENT_FETCH_BYTES: u64 = 256 * 1024;
/// Downloads under way up to which attachments are fetched by themselves; the next one waits.
pub(crate) const ATTACHMENT_FETCHES: usize = 4;
/// Bytes of a picture whose metadata is taken out: all of it is in memory meanwhile. A larger one
/// is `bad_picture`, unless it is to be sent as it is.
pub(crate) const PICTURE_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of a segment of history or of a recovery file; the record that reaches it is its last one.
/// So much is in memory, and taken in one transaction: about 2,000 messages.
pub(crate) const SEGMENT_GOAL_BYTES: usize = 512 * 1024;
/// Segments of history that are at the relay for a device; the next one waits until it has one.
pub(crate) const HISTORY_AHEAD: u32 = 8;
/// Segments of history that are fetched at once; the next one waits.
pub(crate) const HISTORY_FETCHES: usize = 2;
/// Records of an archive that are looked up at once.
pub(crate) const HISTORY_PAGE: u32 = 64;
/// A new device is given other history while it is not in a conversation after so long.
pub(crate) const HISTORY_WAIT: Seconds = Seconds::new(60);
/// Receipts of messages that are not here, on a device that is given history; with one more the
/// oldest is dropped.
pub(crate) const EARLY_RECEIPTS: u32 = 10_000;
/// After a segment of history could not be stored, or kept, it is tried again so much later.
pub(crate) const HISTORY_RETRY: Seconds = Seconds::new(600);

/// A restored device has a number so far above those its recovery file knows: others may have been
/// given since ...
pub(crate) const RESTORED_NUMBER_GAP: u32 = 64;
/// ... and up to so much further, at random: of two restored from one file each has its own.
pub(crate) const RESTORED_NUMBER_SPREAD: u32 = 192;

/// Pixels of a picture that is decoded for its thumbnail (FIL-6); one with more gets none.
pub(crate) const PICTURE_PIXELS: u64 = 50_000_000;
/// Bytes a decoder may take for it; a picture that needs more gets no thumbnail.
pub(crate) const PICTURE_BYTES: u64 = 512 * 1024 * 1024;
/// Pixels on each side of a thumbnail, at most, and the quality of its JPEG: the first that fits.
pub(crate) const THUMBNAIL_TRIES: [(u32, u8); 5] =
    [(160, 75), (160, 50), (160, 25), (80, 50), (80, 25)];
const _: () = {
    assert!(SEGMENT_GOAL_BYTES + restante_spec::limits::RECORD_BYTES < SEGMENT_BYTES);
    assert!((HISTORY_AHEAD as usize) < restante_spec::limits::BLOBS);
    assert!(HISTORY_AHEAD as usize <= restante_spec::limits::MANIFEST_SEGMENTS);
    assert!(RECIPIENTS_KEPT.get() > restante_spec::limits::TTL_MAX.get());
    assert!(ROSTER_TOLD <= restante_spec::limits::ROSTER_PEOPLE);
    assert!(RECEIPT_DELAY.get() + RECEIPT_SPREAD_MAX.get() <= 60);
};
