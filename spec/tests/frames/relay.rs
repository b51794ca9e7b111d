//! What a relay may say: replies, refusals, and what it says by itself.

use restante_spec::codes::Code;
use restante_spec::ids::{
    BlobSize, Epoch, Incarnation, Nonce, PublicKey, RequestNumber, Seconds, Seq, Slot, SpkiHash,
    UnixTime,
};
use restante_spec::limits;
use restante_spec::message::{
    Appended, BlobPart, BlobState, Created, Credit, Deliver, Endorsement, EnvelopeClass, Limits,
    MailboxClass, Opened, PrekeyCount, Push, Refusal, RelayHeader, Reply, Rights, Welcome,
};

use super::{
    DAY, ENVELOPE, EPOCH, Good, HANDLE, Header, NOW, PROOF, READER, SECOND_READER, SLOT, with_body,
};

/// Everything a relay says.
pub(super) fn all() -> Vec<Good> {
    let mut all = replies();
    all.extend(stored());
    all.extend(blobs());
    all.extend(refusals());
    all.extend(pushes());
    all
}

const NEXT_EPOCH: Epoch = Epoch::new([0, 0, 0, 0, 0, 0, 0, 42]);
const LATER: UnixTime = UnixTime::new(1_801_209_600);
const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };
const MEMBER: Rights = Rights { read: true, write: true, take: false, manage: false };

fn relay(
    name: &'static str,
    rule: &'static str,
    comment: &'static str,
    header: RelayHeader,
) -> Good {
    Good { name, rule, comment, header: Header::Relay(header), body: b"" }
}

fn reply(number: u32, reply: Reply) -> RelayHeader {
    RelayHeader::Reply(RequestNumber::new(number), reply)
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        identity: PublicKey::new([0x99; 32]),
        nonce: Nonce::new([0xaa; 32]),
        incarnation: Incarnation::new([0xbb; 16]),
        endorsement: Endorsement {
            spki: SpkiHash::new([0xcc; 32]),
            not_after: UnixTime::new(1_800_604_740),
            signature: PROOF,
        },
        limits: Limits {
            body_bytes: 64_800,
            mailbox_entries: limits::MAILBOX_ENTRIES,
            mailbox_bytes: limits::MAILBOX_BYTES,
            ttl_default: limits::TTL_DEFAULT,
            ttl_max: limits::TTL_MAX,
            idle: Seconds::new(300),
            handles: 1_024,
            requests_in_flight: 256,
            credit: Credit { envelopes: limits::CREDIT_ENVELOPES, bytes: limits::CREDIT_BYTES },
            token_needed: false,
        },
        now: NOW,
    }
}

fn opened() -> Opened {
    Opened {
        class: MailboxClass::Conversation,
        rights: MEMBER,
        ttl: limits::TTL_DEFAULT,
        epoch: Some(EPOCH),
        from: Seq::new(7),
        upto: None,
        expires_at: None,
        lagging: vec![READER, SECOND_READER],
        memory_first: false,
    }
}

fn replies() -> Vec<Good> {
    let replaced = Opened {
        rights: Rights { write: false, ..MEMBER },
        upto: Some(Seq::new(42)),
        lagging: Vec::new(),
        ..opened()
    };
    let inbox = Opened {
        class: MailboxClass::Inbox,
        rights: WRITE,
        epoch: None,
        from: Seq::START,
        expires_at: Some(LATER),
        lagging: Vec::new(),
        memory_first: true,
        ..opened()
    };
    let created = Created { epoch: Some(EPOCH), ttl: DAY };
    vec![
        with_body(
            relay(
                "relay_welcome",
                "FRM-1, CMD-1",
                "the body is the operator's text",
                reply(1, Reply::Welcome(Box::new(welcome()))),
            ),
            b"run by nobody",
        ),
        relay("relay_done", "FRM-1, CMD-2", "nothing to tell", reply(2, Reply::Done)),
        relay(
            "relay_created",
            "FRM-1, CMD-5",
            "a conversation with its first epoch",
            reply(3, Reply::Created(created)),
        ),
        with_body(
            relay(
                "relay_opened",
                "FRM-1, CMD-6",
                "with a contact's key; the body is its card",
                reply(4, Reply::Opened(inbox)),
            ),
            b"card",
        ),
        relay(
            "relay_opened_current",
            "FRM-1, CMD-6, ERR-4",
            "with the current epoch's key; the readers furthest behind are named",
            reply(4, Reply::Opened(opened())),
        ),
        relay(
            "relay_opened_replaced",
            "FRM-1, CMD-6, MBX-9",
            "with a replaced key, up to 42",
            reply(4, Reply::Opened(replaced)),
        ),
    ]
}

fn stored() -> Vec<Good> {
    let appended = Appended { seq: Seq::new(42), expires_at: LATER, already: false, epoch: None };
    let committed = Appended { epoch: Some(NEXT_EPOCH), already: true, ..appended };
    let live = Appended { seq: Seq::START, expires_at: UnixTime::default(), ..appended };
    let count = |slot, count, last_resort| PrekeyCount { slot, count, last_resort };
    let counts = vec![count(SLOT, 98, true), count(Slot::new(0x0002_0003), 0, false)];
    vec![
        relay(
            "relay_appended",
            "FRM-1, CMD-11",
            "stored as 42",
            reply(9, Reply::Appended(appended)),
        ),
        relay(
            "relay_appended_live",
            "FRM-1, CMD-11, MBX-19",
            "taken to be passed on: an empty message",
            reply(12, Reply::Appended(live)),
        ),
        relay(
            "relay_appended_already",
            "FRM-1, CMD-11, MBX-5",
            "the first answer to a commit again, with the epoch it began",
            reply(10, Reply::Appended(committed)),
        ),
        with_body(
            relay(
                "relay_prekey",
                "FRM-1, CMD-14",
                "the slot's last resort",
                reply(15, Reply::Prekey { last_resort: true }),
            ),
            b"last",
        ),
        relay(
            "relay_prekey_counts",
            "FRM-1, CMD-15",
            "two slots, one with a last resort only",
            reply(16, Reply::PrekeyCounts(counts)),
        ),
    ]
}

fn blobs() -> Vec<Good> {
    let size = BlobSize::new(100_000);
    let state = BlobState { stored: BlobSize::new(64_800), complete: false, expires_at: LATER };
    let complete = BlobState { stored: size, complete: true, ..state };
    vec![
        relay(
            "relay_blob_state",
            "FRM-1, CMD-18, BLB-3",
            "the first part is safe, the second is not yet",
            reply(17, Reply::BlobState(state)),
        ),
        relay(
            "relay_blob_state_complete",
            "FRM-1, CMD-19, BLB-3",
            "all of it is safe",
            reply(18, Reply::BlobState(complete)),
        ),
        with_body(
            relay(
                "relay_blob_part",
                "FRM-1, CMD-20",
                "some bytes of a blob",
                reply(19, Reply::BlobPart(BlobPart { size, expires_at: LATER })),
            ),
            b"sealed",
        ),
    ]
}

fn refusals() -> Vec<Good> {
    let full = Refusal::new(Code::Quota, "the mailbox is full").lagging(vec![READER]);
    let slow = Refusal::new(Code::Rate, "commits come too fast").retry_after(Seconds::new(1));
    let gone = Refusal::new(Code::Gone, "not kept any more").upto(Seq::new(42));
    vec![
        relay(
            "relay_error",
            "FRM-1, ERR-1, ERR-4",
            "full, and who holds it full",
            reply(9, Reply::Error(full)),
        ),
        relay(
            "relay_error_rate",
            "FRM-1, ERR-1, LIM-13",
            "with the time to wait",
            reply(10, Reply::Error(slow)),
        ),
        relay(
            "relay_error_gone",
            "FRM-1, ERR-1, MBX-9",
            "with the end of the range",
            reply(11, Reply::Error(gone)),
        ),
    ]
}

fn pushes() -> Vec<Good> {
    let deliver = Deliver {
        handle: HANDLE,
        seq: Seq::new(42),
        prev: Seq::new(41),
        epoch: Some(EPOCH),
        id: ENVELOPE,
        class: EnvelopeClass::Normal,
        expires_at: LATER,
        commit: true,
        own: false,
    };
    let echo = Deliver { own: true, commit: false, ..deliver };
    let live = Deliver {
        seq: Seq::START,
        prev: Seq::START,
        class: EnvelopeClass::Live,
        expires_at: UnixTime::default(),
        commit: false,
        ..deliver
    };
    let push = RelayHeader::Push;
    vec![
        with_body(
            relay("relay_deliver", "FRM-1, DLV-1", "a commit", push(Push::Deliver(deliver))),
            b"sealed",
        ),
        relay(
            "relay_deliver_own",
            "FRM-1, DLV-6",
            "the echo, without body",
            push(Push::Deliver(echo)),
        ),
        with_body(
            relay(
                "relay_deliver_live",
                "FRM-1, DLV-9",
                "a live one: without number, the one before it, and expiry",
                push(Push::Deliver(live)),
            ),
            b"sealed",
        ),
        relay(
            "relay_caught_up",
            "FRM-1, DLV-4",
            "the backlog ended at 42",
            push(Push::CaughtUp { handle: HANDLE, head: Seq::new(42) }),
        ),
        relay(
            "relay_goaway",
            "FRM-1, TRN-9",
            "leave within five seconds",
            push(Push::Goaway { after_ms: 0, jitter_ms: 5_000 }),
        ),
        relay(
            "relay_closed",
            "FRM-1, DLV-5",
            "superseded by the commit 42",
            push(Push::Closed { handle: HANDLE, code: Code::Superseded, upto: Seq::new(42) }),
        ),
    ]
}
