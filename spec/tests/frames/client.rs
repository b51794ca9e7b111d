//! What a client may say: a frame for each command, and variants where fields may be missing.

use restante_spec::ids::{
    BlobId, BlobOffset, BlobSize, ChainNumber, MailboxId, PublicKey, ReaderSecret, RequestId,
    RequestNumber, Seconds, Seq,
};
use restante_spec::message::{
    Allow, Append, BlobCreate, BlobRead, ClientHeader, Command, Commit, Create, Credit,
    EnvelopeClass, Hello, MailboxClass, NextKey, Open, PutPrekeys, Rate, Rights, Subscribe, Terms,
};
use restante_spec::token::AdmissionToken;

use super::{
    DAY, ENVELOPE, EPOCH, Good, HANDLE, Header, NOW, PROOF, READER, SECOND_READER, SLOT, with_body,
};

/// Every command.
pub(super) fn all() -> Vec<Good> {
    let mut all = connection();
    all.extend(keys());
    all.extend(envelopes());
    all.extend(rooms());
    all.extend(readers());
    all.extend(prekeys());
    all.extend(blobs());
    all
}

const MAILBOX: MailboxId = MailboxId::new([0x11; 16]);
const KEY: PublicKey = PublicKey::new([0x22; 32]);
const NEXT_KEY: PublicKey = PublicKey::new([0x23; 32]);
/// Of every request here.
const NUMBER: RequestNumber = RequestNumber::new(5);
const BLOB: BlobId = BlobId::new([0x88; 16]);
const HOUR: Seconds = Seconds::new(3_600);
const CONTACT: Rights = Rights { read: false, write: true, take: true, manage: false };

fn client(name: &'static str, rule: &'static str, comment: &'static str, command: Command) -> Good {
    let header = Header::Client(ClientHeader { number: NUMBER, command });
    Good { name, rule, comment, header, body: b"" }
}

fn connection() -> Vec<Good> {
    let hello = Hello { versions: vec![1], idle: Seconds::new(300) };
    let create = Create {
        mailbox: MAILBOX,
        class: MailboxClass::Conversation,
        key: KEY,
        possession: PROOF,
        reader: READER,
        token: None,
        ttl: Some(DAY),
        memory_first: false,
    };
    let inbox = Create { class: MailboxClass::Inbox, ttl: None, ..create.clone() };
    let memory_first = Create { memory_first: true, ..create.clone() };
    let token = Some(AdmissionToken::new([0x77; 16]));
    let admitted = Create { token, ..inbox.clone() };
    let open = Open { handle: HANDLE, mailbox: MAILBOX, key: KEY, proof: PROOF };
    vec![
        client(
            "client_hello",
            "FRM-1, CMD-1",
            "version 1, at most 300 s of silence",
            Command::Hello(hello),
        ),
        client("client_ping", "FRM-1, CMD-2", "the shortest frame", Command::Ping),
        client(
            "client_create",
            "FRM-1, CMD-5",
            "a conversation with a TTL of one day",
            Command::Create(create),
        ),
        client(
            "client_create_inbox",
            "FRM-1, CMD-5, MBX-1",
            "an inbox with the relay's default TTL, which is written by leaving it out",
            Command::Create(inbox),
        ),
        client(
            "client_create_memory_first",
            "FRM-1, CMD-5, MBX-21",
            "a conversation that is kept in memory while all its readers are online",
            Command::Create(memory_first),
        ),
        client(
            "client_create_admitted",
            "FRM-1, CMD-5, ADM-1",
            "an inbox with the token that admits it",
            Command::Create(admitted),
        ),
        client("client_open", "FRM-1, CMD-6", "as handle 1", Command::Open(open)),
        client("client_close", "FRM-1, CMD-7", "handle 1", Command::Close(HANDLE)),
        client(
            "client_delete",
            "FRM-1, CMD-16",
            "the mailbox of handle 1",
            Command::Delete(HANDLE),
        ),
    ]
}

fn keys() -> Vec<Good> {
    let terms = Terms {
        rights: CONTACT,
        expires_at: Some(NOW),
        uses: Some(1),
        rate: Some(Rate { count: 60, per: Seconds::new(60) }),
    };
    let allow = Allow { handle: HANDLE, key: KEY, possession: PROOF, terms };
    vec![
        with_body(
            client(
                "client_allow",
                "FRM-1, CMD-8, MBX-12",
                "write and take, once, until a time, sixty a minute; the body is the card",
                Command::Allow(allow),
            ),
            b"card",
        ),
        client(
            "client_revoke",
            "FRM-1, CMD-9",
            "strikes a key",
            Command::Revoke { handle: HANDLE, key: KEY },
        ),
        client(
            "client_add_reader",
            "FRM-1, CMD-10",
            "the hash of a reader's secret",
            Command::AddReader { handle: HANDLE, reader: READER },
        ),
    ]
}

fn envelopes() -> Vec<Good> {
    let append = Append {
        handle: HANDLE,
        chain: ChainNumber::new(1),
        id: ENVELOPE,
        class: EnvelopeClass::Normal,
        ttl: Some(HOUR),
        epoch: Some(EPOCH),
        commit: None,
    };
    let commit = Commit {
        next: Some(NextKey { key: NEXT_KEY, possession: PROOF }),
        add_readers: vec![READER],
        strike_readers: vec![SECOND_READER],
        blobs: Vec::new(),
    };
    let closing = Commit {
        next: None,
        add_readers: Vec::new(),
        strike_readers: Vec::new(),
        blobs: Vec::new(),
    };
    let committing = |commit| Append { commit: Some(commit), ..append.clone() };
    let letter =
        Append { epoch: None, ttl: Some(DAY), class: EnvelopeClass::Quiet, ..append.clone() };
    vec![
        with_body(
            client(
                "client_append",
                "FRM-1, CMD-11, MBX-7",
                "a message in the epoch it names, kept for one hour",
                Command::Append(append.clone()),
            ),
            b"sealed",
        ),
        with_body(
            client(
                "client_append_letter",
                "FRM-1, CMD-11, MBX-2",
                "to an inbox: no epoch; quiet, kept for one day",
                Command::Append(letter),
            ),
            b"sealed",
        ),
        with_body(
            client(
                "client_append_commit",
                "FRM-1, CMD-11, MBX-8",
                "a commit: the next key, one reader added, one struck",
                Command::Append(committing(commit)),
            ),
            b"sealed",
        ),
        with_body(
            client(
                "client_append_closing",
                "FRM-1, CMD-11, MBX-13",
                "a closing commit: present and empty, so two bytes of the header",
                Command::Append(committing(closing)),
            ),
            b"sealed",
        ),
    ]
}

fn rooms() -> Vec<Good> {
    let create = Create {
        mailbox: MAILBOX,
        class: MailboxClass::Room,
        key: KEY,
        possession: PROOF,
        reader: READER,
        token: None,
        ttl: Some(HOUR),
        memory_first: false,
    };
    let live = Append {
        handle: HANDLE,
        chain: ChainNumber::new(1),
        id: ENVELOPE,
        class: EnvelopeClass::Live,
        ttl: None,
        epoch: None,
        commit: None,
    };
    vec![
        client(
            "client_create_room",
            "FRM-1, CMD-5, MBX-17",
            "a room with a TTL of one hour; the reader is there and means nothing",
            Command::Create(create),
        ),
        with_body(
            client(
                "client_append_live",
                "FRM-1, CMD-11, MBX-19",
                "to a room, passed on and not stored: no epoch, no TTL",
                Command::Append(live),
            ),
            b"sealed",
        ),
    ]
}

fn readers() -> Vec<Good> {
    let subscribe = Subscribe {
        handle: HANDLE,
        reader: ReaderSecret::new([0x77; 16]),
        after: Seq::new(7),
        credit: Credit { envelopes: 64, bytes: 262_144 },
    };
    let more = Credit { envelopes: 64, bytes: 262_144 };
    vec![
        client(
            "client_subscribe",
            "FRM-1, CMD-12",
            "behind 7, with credit",
            Command::Subscribe(subscribe),
        ),
        client(
            "client_credit",
            "FRM-1, CMD-17, DLV-2",
            "sixty-four envelopes and 256 KiB more",
            Command::Credit { handle: HANDLE, credit: more },
        ),
        client(
            "client_ack",
            "FRM-1, CMD-17, DLV-3",
            "everything up to 9",
            Command::Ack { handle: HANDLE, upto: Seq::new(9) },
        ),
    ]
}

fn prekeys() -> Vec<Good> {
    let put = PutPrekeys { handle: HANDLE, slot: SLOT, sizes: vec![3, 4], last_resort: false };
    let last = PutPrekeys { sizes: vec![4], last_resort: true, ..put.clone() };
    vec![
        with_body(
            client(
                "client_put_prekeys",
                "FRM-1, CMD-13",
                "packages of 3 and 4 bytes, one after another in the body",
                Command::PutPrekeys(put),
            ),
            b"onetwo2",
        ),
        with_body(
            client(
                "client_put_prekeys_last_resort",
                "FRM-1, CMD-13",
                "the slot's last resort",
                Command::PutPrekeys(last),
            ),
            b"last",
        ),
        client(
            "client_take_prekeys",
            "FRM-1, CMD-14",
            "one package of a slot",
            Command::TakePrekeys {
                handle: HANDLE,
                slot: SLOT,
                request: RequestId::new([0x66; 16]),
            },
        ),
        client(
            "client_count_prekeys",
            "FRM-1, CMD-15",
            "of every slot",
            Command::CountPrekeys(HANDLE),
        ),
    ]
}

fn blobs() -> Vec<Good> {
    let create = BlobCreate {
        handle: HANDLE,
        blob: BLOB,
        key: KEY,
        possession: PROOF,
        size: BlobSize::new(100_000),
        ttl: Some(DAY),
    };
    let read = BlobRead {
        blob: BLOB,
        key: KEY,
        proof: PROOF,
        offset: BlobOffset::new(64_800),
        length: BlobSize::new(35_200),
    };
    let commit = Commit {
        next: Some(NextKey { key: NEXT_KEY, possession: PROOF }),
        add_readers: vec![READER],
        strike_readers: vec![SECOND_READER],
        blobs: vec![BLOB, BlobId::new([0x89; 16])],
    };
    let needing = Append {
        handle: HANDLE,
        chain: ChainNumber::new(1),
        id: ENVELOPE,
        class: EnvelopeClass::Normal,
        ttl: Some(HOUR),
        epoch: Some(EPOCH),
        commit: Some(commit),
    };
    vec![
        with_body(
            client(
                "client_append_commit_with_blobs",
                "FRM-1, CMD-11, BLB-6",
                "a commit that needs two blobs",
                Command::Append(needing),
            ),
            b"sealed",
        ),
        client(
            "client_blob_create",
            "FRM-1, CMD-18",
            "100,000 bytes, for a day",
            Command::BlobCreate(create),
        ),
        with_body(
            client(
                "client_blob_write",
                "FRM-1, CMD-19",
                "the second part; its body is not of its size here",
                Command::BlobWrite { handle: HANDLE, blob: BLOB, offset: BlobOffset::new(64_800) },
            ),
            b"sealed",
        ),
        client(
            "client_blob_read",
            "FRM-1, CMD-20",
            "the second part, without a handle",
            Command::BlobRead(read),
        ),
        client(
            "client_blob_delete",
            "FRM-1, CMD-21",
            "with its handle",
            Command::BlobDelete { handle: HANDLE, blob: BLOB },
        ),
    ]
}
