//! Every limit of `spec/07-limits.md` that shows on the wire: at the bound, and one past it.

use bytes::BytesMut;
use restante_crypto::{SigningKey, prove_possession};
use restante_spec::codes::Code;
use restante_spec::ids::{BlobId, Handle, ReaderHash, RequestId, RequestNumber, Slot};
use restante_spec::limits;
use restante_spec::message::{
    Allow, Append, Command, MailboxClass, PutPrekeys, Reply, Rights, Terms,
};
use restante_tests::line::Line;
use restante_tests::relay::InProcess;
use restante_tests::wire::{Owner, PATIENCE, Wire, commit, envelope, random, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::TRANSPORT;

const WRITE: Rights = Rights { read: false, write: true, take: false, manage: false };

async fn start(flags: &[&str], class: MailboxClass) -> Setup {
    let relay = InProcess::start(flags).await;
    let mut wire = Wire::over(TRANSPORT, relay.address()).await;
    let owner = Owner::new();
    let epoch = wire.create(class, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    Setup { relay, wire, owner, epoch }
}

struct Setup {
    relay: InProcess,
    wire: Wire,
    owner: Owner,
    epoch: Option<restante_spec::ids::Epoch>,
}

/// Sends many commands at once and returns the codes of those refused.
async fn all(wire: &mut Wire, commands: Vec<(Command, Vec<u8>)>) -> Vec<Code> {
    let mut codes = Vec::new();
    for part in commands.chunks(200) {
        let mut numbers = Vec::new();
        for (command, body) in part {
            numbers.push(wire.send(command.clone(), body).await);
        }
        for number in numbers {
            if let (Reply::Error(refusal), _) = wire.reply(number).await {
                codes.push(refusal.code);
            }
        }
    }
    codes
}

fn allow(owner: &Owner, key: &SigningKey) -> Command {
    let terms = Terms { rights: WRITE, expires_at: None, uses: None, rate: None };
    let possession = prove_possession(key, &owner.mailbox);
    Command::Allow(Allow { handle: Handle::new(1), key: key.public(), possession, terms })
}

/// LIM-3: entries; the last 64 are for commits, and who holds the mailbox full is named.
#[tokio::test]
async fn mailbox_entries() {
    let Setup { relay, mut wire, owner, epoch } =
        start(&["--mailbox-entries", "80"], MailboxClass::Conversation).await;
    let appends = (0..16).map(|_| (Command::Append(envelope(1, epoch)), Vec::new()));
    assert_eq!(all(&mut wire, appends.collect()).await, []);
    let full = wire.append(envelope(1, epoch), b"").await.unwrap_err();
    assert_eq!((full.code, full.lagging), (Code::Quota, vec![owner.reader_hash()]));
    let next = SigningKey::generate().unwrap();
    let committing = Append {
        chain: restante_spec::ids::ChainNumber::new(2),
        ..commit(1, epoch, owner.mailbox, &next)
    };
    wire.append(committing, b"").await.unwrap();
    relay.stop().await;
}

/// LIM-3: bytes; the last MiB is for commits.
#[tokio::test]
async fn mailbox_bytes() {
    let Setup { relay, mut wire, epoch, .. } = start(&[], MailboxClass::Conversation).await;
    let room = limits::MAILBOX_BYTES - limits::COMMIT_RESERVE_BYTES;
    let whole = usize::try_from(room).unwrap() / limits::BODY_BYTES;
    let rest = usize::try_from(room).unwrap() % limits::BODY_BYTES;
    let mut sizes = vec![limits::BODY_BYTES; whole];
    sizes.push(rest);
    let appends =
        sizes.into_iter().map(|size| (Command::Append(envelope(1, epoch)), vec![7; size]));
    assert_eq!(all(&mut wire, appends.collect()).await, []);
    let full = wire.append(envelope(1, epoch), b"x").await.unwrap_err();
    assert_eq!(full.code, Code::Quota);
    relay.stop().await;
}

/// LIM-4: keys.
#[tokio::test]
async fn keys() {
    let Setup { relay, mut wire, owner, .. } = start(&[], MailboxClass::Inbox).await;
    let mut commands = Vec::new();
    for _ in 1..limits::KEYS {
        commands.push((allow(&owner, &SigningKey::generate().unwrap()), Vec::new()));
    }
    assert_eq!(all(&mut wire, commands).await, []);
    let one_more = allow(&owner, &SigningKey::generate().unwrap());
    assert_eq!(wire.refused(one_more, b"").await, Code::Quota);
    relay.stop().await;
}

/// LIM-4: readers.
#[tokio::test]
async fn readers() {
    let Setup { relay, mut wire, .. } = start(&[], MailboxClass::Inbox).await;
    let add = || Command::AddReader { handle: Handle::new(1), reader: ReaderHash::new(random()) };
    let commands = (1..limits::READERS).map(|_| (add(), Vec::new())).collect();
    assert_eq!(all(&mut wire, commands).await, []);
    assert_eq!(wire.refused(add(), b"").await, Code::Quota);
    relay.stop().await;
}

/// LIM-5: readers and blobs of a commit; ERR-3: nothing is closed by it.
#[tokio::test]
async fn commit_lists() {
    let Setup { relay, mut wire, owner, epoch } = start(&[], MailboxClass::Conversation).await;
    let next = SigningKey::generate().unwrap();
    let with = |readers: usize, blobs: usize| {
        let mut append = commit(1, epoch, owner.mailbox, &next);
        append.chain = restante_spec::ids::ChainNumber::new(u32::from_be_bytes(random()));
        if let Some(commit) = &mut append.commit {
            commit.add_readers = (0..readers).map(|_| ReaderHash::new(random())).collect();
            commit.blobs = vec![BlobId::new([0; 16]); blobs];
        }
        Command::Append(append)
    };
    assert_eq!(wire.refused(with(17, 0), b"").await, Code::TooLarge);
    assert_eq!(wire.refused(with(0, 5), b"").await, Code::TooLarge);
    // At the bound it is looked at: there are no such blobs.
    assert_eq!(wire.refused(with(0, 4), b"").await, Code::NotFound);
    let (reply, _) = wire.ask(with(16, 0), b"").await;
    assert!(matches!(reply, Reply::Appended(_)), "{reply:?}");
    relay.stop().await;
}

/// LIM-6: cards.
#[tokio::test]
async fn cards() {
    let Setup { relay, mut wire, owner, .. } = start(&[], MailboxClass::Inbox).await;
    let key = SigningKey::generate().unwrap();
    wire.done(allow(&owner, &key), &[7; limits::CARD_BYTES]).await.unwrap();
    let too_large = wire.refused(allow(&owner, &key), &[7; limits::CARD_BYTES + 1]).await;
    assert_eq!(too_large, Code::TooLarge);
    let (_, card) = wire.try_open(2, owner.mailbox, &key).await.unwrap();
    assert_eq!(card.len(), limits::CARD_BYTES);
    relay.stop().await;
}

/// LIM-7: prekeys of a slot, slots, and the size of one.
#[tokio::test]
async fn prekeys() {
    let Setup { relay, mut wire, .. } = start(&[], MailboxClass::Inbox).await;
    let put = |slot, sizes| {
        let (handle, slot) = (Handle::new(1), Slot::new(slot));
        Command::PutPrekeys(PutPrekeys { handle, slot, sizes, last_resort: false })
    };
    wire.done(put(0, vec![1; limits::PREKEYS_PER_SLOT]), &[7; 100]).await.unwrap();
    assert_eq!(wire.refused(put(0, vec![1]), b"x").await, Code::Quota);
    for slot in 1..u32::try_from(limits::PREKEY_SLOTS).unwrap() {
        wire.done(put(slot, vec![1]), b"x").await.unwrap();
    }
    assert_eq!(wire.refused(put(99, vec![1]), b"x").await, Code::Quota);
    let largest = limits::PREKEY_BYTES;
    let size = u32::try_from(largest).unwrap();
    wire.done(put(1, vec![size]), &vec![7; largest]).await.unwrap();
    let past = wire.refused(put(1, vec![size + 1]), &vec![7; largest + 1]).await;
    assert_eq!(past, Code::TooLarge);
    relay.stop().await;
}

/// LIM-7: answers remembered for repeating.
#[tokio::test]
async fn remembered_takes() {
    let Setup { relay, mut wire, owner, .. } = start(&[], MailboxClass::Inbox).await;
    let (handle, slot) = (Handle::new(1), Slot::new(0));
    let last = PutPrekeys { handle, slot, sizes: vec![1], last_resort: true };
    wire.done(Command::PutPrekeys(last), b"x").await.unwrap();
    let key = SigningKey::generate().unwrap();
    let rights = Rights { take: true, ..Rights::default() };
    let terms = Terms { rights, expires_at: None, uses: None, rate: None };
    let possession = prove_possession(&key, &owner.mailbox);
    let allow = Allow { handle, key: key.public(), possession, terms };
    wire.done(Command::Allow(allow), b"").await.unwrap();
    wire.open(2, owner.mailbox, &key).await;
    let take =
        || Command::TakePrekeys { handle: Handle::new(2), slot, request: RequestId::new(random()) };
    let takes = (0..limits::TAKES_REMEMBERED).map(|_| (take(), Vec::new())).collect();
    assert_eq!(all(&mut wire, takes).await, []);
    let Reply::Error(refusal) = wire.ask(take(), b"").await.0 else { panic!("not refused") };
    assert_eq!(refusal.code, Code::Rate);
    // ADM-7: until the first of them is forgotten.
    let wait = refusal.retry_after.unwrap();
    assert!(wait <= limits::TAKE_REPEAT && wait.get() > limits::TAKE_REPEAT.get() - 60, "{wait}");
    relay.stop().await;
}

/// LIM-8: handles.
#[tokio::test]
async fn handles() {
    let Setup { relay, mut wire, owner, .. } = start(&[], MailboxClass::Inbox).await;
    let last = u32::try_from(limits::HANDLES).unwrap();
    let opens = (2..=last).map(|h| (wire.open_command(h, owner.mailbox, &owner.key), Vec::new()));
    let opens = opens.collect();
    assert_eq!(all(&mut wire, opens).await, []);
    let one_more = wire.open_command(last + 1, owner.mailbox, &owner.key);
    assert_eq!(wire.refused(one_more, b"").await, Code::Quota);
    relay.stop().await;
}

/// LIM-8: more requests at once than may be in flight are answered all the same, in their turn.
#[tokio::test]
async fn requests_in_flight() {
    let Setup { relay, mut wire, epoch, .. } = start(&[], MailboxClass::Conversation).await;
    let mut numbers = Vec::new();
    for _ in 0..=2 * limits::REQUESTS_IN_FLIGHT {
        numbers.push(wire.send(Command::Append(envelope(1, epoch)), b"x").await);
    }
    for number in numbers {
        wire.appended(number).await.unwrap();
    }
    relay.stop().await;
}

/// LIM-11: a connection that says nothing, says no hello, or opens nothing, is closed in time.
#[tokio::test]
async fn silence_at_the_door() {
    let relay = InProcess::start(&[]).await;
    let place = (relay.address().host().to_owned(), relay.address().port());
    let mut mute = tokio::net::TcpStream::connect(place).await.unwrap();
    let mut secret = Line::connect(TRANSPORT, relay.address()).await.unwrap();
    let mut idle = Wire::over(TRANSPORT, relay.address()).await;
    let before = std::time::Instant::now();
    let (mut one, mut two) = (Vec::new(), BytesMut::new());
    let all =
        async { tokio::join!(mute.read_to_end(&mut one), secret.receive(&mut two), idle.closed()) };
    let _ = tokio::time::timeout(PATIENCE, all).await.expect("all are closed");
    let bound = u64::from(limits::HELLO_TIMEOUT.get());
    assert!(before.elapsed().as_secs() >= bound - 1, "not before the time is over");
    relay.stop().await;
}

/// LIM-12: connections of one prefix are refused before TLS, and leaving makes room.
#[tokio::test]
async fn connections_of_a_prefix() {
    let relay = InProcess::start(&["--connections-per-prefix", "2"]).await;
    let first = Wire::over(TRANSPORT, relay.address()).await;
    let mut second = Wire::over(TRANSPORT, relay.address()).await;
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    first.cut();
    second.done(Command::Ping, b"").await.unwrap();
    while tls(relay.address(), &[restante_spec::ALPN]).await.is_err() {}
    relay.stop().await;
}

/// LIM-12: connections in all.
#[tokio::test]
async fn connections_in_all() {
    let relay = InProcess::start(&["--connections", "1"]).await;
    let _only = Wire::over(TRANSPORT, relay.address()).await;
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    relay.stop().await;
}

/// A connection from one of the addresses of this machine.
async fn from(address: [u8; 4], relay: &InProcess) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let place = (std::net::Ipv4Addr::LOCALHOST, relay.address().port());
    socket.connect(place.into()).await.unwrap()
}

/// The first byte of a record that does not come, from each.
async fn begin(streams: &mut [TcpStream]) {
    for stream in streams {
        stream.write_all(&[22]).await.unwrap();
    }
}

/// LIM-12: a connection that says nothing has no handshake under way; while as many have begun one,
/// others wait for their turn: once they were refused, and kept out by a few that said one byte.
#[tokio::test]
async fn handshakes_under_way() {
    let relay = InProcess::start(&[]).await;
    let mut begun = Vec::new();
    let share = limits::HANDSHAKES_IN_FLIGHT / limits::HANDSHAKES_OF_A_PREFIX;
    for number in 0..limits::HANDSHAKES_IN_FLIGHT {
        let last = 2 + u8::try_from(number % share).unwrap();
        begun.push(from([127, 0, 0, last], &relay).await);
    }
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_ok());
    begin(&mut begun).await;
    let waiting = (0..20).map(|_| tls(relay.address(), &[restante_spec::ALPN]));
    for let_in in futures_util::future::join_all(waiting).await {
        assert!(let_in.is_ok(), "when the time of those that have begun is over");
    }
    drop(begun);
    relay.stop().await;
}

/// LIM-12: of one prefix no more handshakes are under way than its share; the others of it wait for
/// their turn, and nobody else does.
#[tokio::test]
async fn handshakes_of_a_prefix() {
    let relay = InProcess::start(&[]).await;
    let mut begun = Vec::new();
    for _ in 0..limits::CONNECTIONS_PER_PREFIX {
        begun.push(from([127, 0, 0, 2], &relay).await);
    }
    begin(&mut begun).await;
    for _ in 0..20 {
        tls(relay.address(), &[restante_spec::ALPN]).await.unwrap();
    }
    drop(begun);
    relay.stop().await;
}

/// LIM-13: commits.
#[tokio::test]
async fn commits() {
    let Setup { relay, mut wire, owner, mut epoch } = start(&[], MailboxClass::Conversation).await;
    let mut refused = None;
    for handle in 1..=2 * limits::COMMIT_BURST {
        let next = SigningKey::generate().unwrap();
        match wire.append(commit(handle, epoch, owner.mailbox, &next), b"").await {
            Ok(appended) => epoch = appended.epoch,
            Err(refusal) => {
                refused = Some((handle, refusal));
                break;
            }
        }
        wire.open(handle + 1, owner.mailbox, &next).await;
    }
    let (at, refusal) = refused.expect("a bound");
    assert_eq!(refusal.code, Code::Rate);
    assert!(at > limits::COMMIT_BURST, "the burst passes, refused at {at}");
    assert!(refusal.retry_after.is_some());
    relay.stop().await;
}

/// LIM-14: mailboxes.
#[tokio::test]
async fn mailboxes() {
    let Setup { relay, mut wire, .. } = start(&["--mailboxes", "2"], MailboxClass::Inbox).await;
    wire.create(MailboxClass::Inbox, &Owner::new()).await;
    let one_more = Owner::new().create(MailboxClass::Inbox);
    assert_eq!(wire.refused(one_more, b"").await, Code::Admission);
    let number = wire.send(Command::Ping, b"").await;
    assert_ne!(number, RequestNumber::default());
    assert_eq!(wire.reply(number).await.0, Reply::Done);
    relay.stop().await;
}

/// LIM-30: envelopes of all mailboxes together; what is known is still answered as known.
#[tokio::test]
async fn envelopes_of_the_relay() {
    let Setup { relay, mut wire, owner: _owner, epoch } =
        start(&["--envelopes", "3"], MailboxClass::Conversation).await;
    let other = Owner::new();
    let other_epoch = wire.create(MailboxClass::Conversation, &other).await.epoch;
    wire.open(2, other.mailbox, &other.key).await;
    let first = envelope(1, epoch);
    wire.append(first.clone(), b"").await.unwrap();
    wire.append(envelope(1, epoch), b"").await.unwrap();
    wire.append(envelope(2, other_epoch), b"").await.unwrap();
    let refusal = wire.append(envelope(2, other_epoch), b"").await.unwrap_err();
    assert_eq!(refusal.code, Code::Unavailable);
    assert!(refusal.retry_after.is_some());
    assert!(wire.append(first, b"").await.unwrap().already);
    relay.stop().await;
}
