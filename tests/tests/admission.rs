//! Who may make mailboxes, what one address may try in a minute (LIM-20), and what is taken when
//! room is short: over the wire, at the bound, and one past it.

use std::time::{Duration, Instant};

use clap::Parser;
use restante_relay::{Cli, Command, Error, Relay, invite};
use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::ids::{MailboxId, Seconds, Seq};
use restante_spec::message::{
    Append, Command as Ask, Create, Credit, EnvelopeClass, MailboxClass, Refusal, Reply,
};
use restante_spec::token::{AdmissionToken, Entrance};
use restante_tests::blobs::Blob;
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::relay::{InProcess, Process, serve};
use restante_tests::wire::{Owner, Wire, envelope, tls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// LIM-20: connections, though each has left before the next comes.
#[tokio::test]
async fn connections_in_a_minute() {
    let relay = InProcess::start(&["--connects-per-minute", "2"]).await;
    for _ in 0..2 {
        Wire::connect(relay.address()).await.cut();
    }
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    relay.stop().await;
}

/// LIM-20: after failed opens nothing is opened and nobody comes in; the rest goes on.
#[tokio::test]
async fn failures_in_a_minute() {
    let relay = InProcess::start(&["--failures-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    let (owner, nobody) = (Owner::new(), Owner::new());
    wire.create(MailboxClass::Inbox, &owner).await;
    for _ in 0..2 {
        let open = wire.open_command(1, nobody.mailbox, &nobody.key);
        assert_eq!(wire.refused(open, b"").await, Code::NotFound);
    }
    let open = wire.open_command(1, owner.mailbox, &owner.key);
    let (reply, _) = wire.ask(open, b"").await;
    let Reply::Error(refusal) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(refusal.code, Code::Rate);
    assert!(refusal.retry_after.is_some());
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    wire.done(Ask::Ping, b"").await.unwrap();
    relay.stop().await;
}

/// LIM-20: reads of blobs that fail count as opens do, and are refused as they are.
#[tokio::test]
async fn failed_reads_in_a_minute() {
    let relay = InProcess::start(&["--failures-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    let nothing = Blob::new(Owner::new().mailbox, 1);
    for code in [Code::NotFound, Code::NotFound, Code::Rate] {
        let read = wire.blob_read(&nothing, 0, 1);
        assert_eq!(wire.read(read).await.unwrap_err().code, code);
    }
    assert!(tls(relay.address(), &[restante_spec::ALPN]).await.is_err());
    relay.stop().await;
}

/// LIM-20: mailboxes made; one past the bound is told when to come again.
#[tokio::test]
async fn mailboxes_made_in_a_minute() {
    let relay = InProcess::start(&["--creates-per-minute", "2"]).await;
    let mut wire = Wire::connect(relay.address()).await;
    for _ in 0..2 {
        wire.create(MailboxClass::Inbox, &Owner::new()).await;
    }
    let (reply, _) = wire.ask(Owner::new().create(MailboxClass::Inbox), b"").await;
    let Reply::Error(refusal) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(refusal.code, Code::Rate);
    assert!(refusal.retry_after.is_some());
    relay.stop().await;
}

/// A relay on a directory of its own, and its operator.
struct House {
    place: TempDir,
    relay: Relay,
}

impl House {
    async fn start(flags: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let relay = Relay::start(&serve(place.path(), flags)).await.unwrap();
        Self { place, relay }
    }

    /// The same data, with other settings.
    async fn again(self, flags: &[&str]) -> Self {
        self.relay.stop().await.unwrap();
        let relay = Relay::start(&serve(self.place.path(), flags)).await.unwrap();
        Self { place: self.place, relay }
    }

    fn address(&self) -> &RelayAddress {
        self.relay.address()
    }

    /// What `restante-relay invite` says.
    async fn invite(&self, words: &[&str]) -> Result<String, Error> {
        let data = self.place.path().to_str().unwrap();
        let (before, behind) = (["restante-relay", "invite"], ["--data", data]);
        let words = before.iter().chain(words).chain(&behind);
        let cli = Cli::try_parse_from(words)?;
        let Command::Invite(what) = cli.command else { panic!("invite") };
        tokio::task::spawn_blocking(move || invite(&what)).await.unwrap()
    }

    /// A new token, and its id.
    async fn token(&self, words: &[&str]) -> (AdmissionToken, String) {
        let words: Vec<&str> = ["new"].iter().chain(words).copied().collect();
        let said = self.invite(&words).await.unwrap();
        let entrance: Entrance = said.lines().next().unwrap().parse().unwrap();
        assert_eq!(&entrance.address, self.address());
        let id = said.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
        (entrance.token.unwrap(), id)
    }

    /// The columns of a token in the list.
    async fn listed(&self, id: &str) -> Vec<String> {
        let list = self.invite(&["list"]).await.unwrap();
        let line = list.lines().find(|line| line.starts_with(id)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }
}

/// A mailbox to be made with this token.
fn with(owner: &Owner, class: MailboxClass, token: Option<&AdmissionToken>) -> Ask {
    let Ask::Create(create) = owner.create(class) else { panic!("create") };
    Ask::Create(Create { token: token.cloned(), ..create })
}

/// What a `create` is answered with.
async fn create(
    wire: &mut Wire,
    owner: &Owner,
    class: MailboxClass,
    token: Option<&AdmissionToken>,
) -> Result<(), Refusal> {
    match wire.ask(with(owner, class, token), b"").await.0 {
        Reply::Created(_) => Ok(()),
        Reply::Error(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

const TOKEN: [&str; 2] = ["--admission", "token"];
const METRICS: [&str; 2] = ["--metrics-listen", "127.0.0.1:0"];
const RESERVE: &str = "--disk-reserve-mib";

/// ADM-1, ADM-2: no token, an unknown one and one that is used up are answered alike, and what was
/// paid for is not paid for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_needs_a_good_token() {
    let house = House::start(&TOKEN).await;
    let (token, id) = house.token(&["--uses", "1", "--note", "for a friend"]).await;
    let mut wire = Wire::connect(house.address()).await;
    assert!(wire.welcome.limits.token_needed);
    let (owner, other) = (Owner::new(), Owner::new());
    let unknown = AdmissionToken::new([7; 16]);
    let inbox = MailboxClass::Inbox;
    let none = create(&mut wire, &owner, inbox, None).await.unwrap_err();
    assert_eq!(none.code, Code::Admission);
    assert!(none.retry_after.is_some());
    let wrong = create(&mut wire, &owner, inbox, Some(&unknown)).await.unwrap_err();
    assert_eq!(wrong, none);
    // Without an inbox, it pays for nothing else either.
    let early = create(&mut wire, &owner, MailboxClass::Conversation, Some(&token)).await;
    assert_eq!(early.unwrap_err(), none);
    create(&mut wire, &owner, inbox, Some(&token)).await.unwrap();
    for repeated in [Some(&token), Some(&unknown), None] {
        create(&mut wire, &owner, inbox, repeated).await.unwrap();
    }
    let spent = create(&mut wire, &other, inbox, Some(&token)).await.unwrap_err();
    assert_eq!(spent, none);
    for class in [MailboxClass::Conversation, MailboxClass::Room] {
        create(&mut wire, &Owner::new(), class, Some(&token)).await.unwrap();
    }
    // Seven days, of which a second may be over: times are rounded down.
    let mut left = house.listed(&id).await;
    let expires = left.remove(3);
    assert!(["7d", "6d23h"].contains(&expires.as_str()), "{expires}");
    assert_eq!(left, [id.as_str(), "0", "998", "for", "a", "friend"]);
    house.relay.stop().await.unwrap();
}

/// ADM-3, ADM-4: what is left of a token outlives the process; a revoked one pays for nothing, and
/// what it paid for stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_outlive_the_process_and_end_when_revoked() {
    let house = House::start(&TOKEN).await;
    let (token, id) = house.token(&["--uses", "3"]).await;
    let (first, second) = (Owner::new(), Owner::new());
    let mut wire = Wire::connect(house.address()).await;
    create(&mut wire, &first, MailboxClass::Inbox, Some(&token)).await.unwrap();
    let house = house.again(&TOKEN).await;
    assert_eq!(house.listed(&id).await[..3], [id.as_str(), "2", "1000"]);
    let mut wire = Wire::connect(house.address()).await;
    create(&mut wire, &second, MailboxClass::Inbox, Some(&token)).await.unwrap();
    assert_eq!(house.invite(&["revoke", &id]).await.unwrap(), format!("{id} is revoked\n"));
    let again = house.invite(&["revoke", &id]).await.unwrap_err();
    assert!(matches!(&again, Error::Declined(why) if why.contains(&id)), "{again}");
    assert_eq!(house.invite(&["list"]).await.unwrap(), "no tokens\n");
    for class in [MailboxClass::Inbox, MailboxClass::Conversation] {
        let refused = create(&mut wire, &Owner::new(), class, Some(&token)).await.unwrap_err();
        assert_eq!(refused.code, Code::Admission);
    }
    wire.open(1, first.mailbox, &first.key).await;
    // ADM-1: who copies the disk is not admitted with it.
    house.token(&[]).await;
    house.relay.stop().await.unwrap();
    for entry in std::fs::read_dir(house.place.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Blobs, of which there are none.
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!has(token.as_bytes()) && !has(token.reveal().as_bytes()));
    }
}

/// ADM-3: the name under which the relay keeps tokens is nobody's mailbox, and cannot be opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_s_own_name_is_taken() {
    let house = House::start(&[]).await;
    house.token(&[]).await;
    let mut wire = Wire::connect(house.address()).await;
    let owner = Owner { mailbox: MailboxId::new([0; 16]), ..Owner::new() };
    assert_eq!(wire.refused(owner.create(MailboxClass::Inbox), b"").await, Code::Conflict);
    let open = wire.open_command(1, owner.mailbox, &owner.key);
    assert_eq!(wire.refused(open, b"").await, Code::NotFound);
    assert!(!wire.welcome.limits.token_needed);
    house.relay.stop().await.unwrap();
}

/// ADM-4: where no relay runs, that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_the_running_relay_s() {
    let house = House::start(&TOKEN).await;
    let place = house.place;
    house.relay.stop().await.unwrap();
    let data = place.path().to_str().unwrap();
    let cli = Cli::parse_from(["restante-relay", "invite", "list", "--data", data]);
    let Command::Invite(what) = cli.command else { panic!("invite") };
    let error = invite(&what).unwrap_err();
    assert!(matches!(&error, Error::NoRelay { .. }), "{error}");
}

/// ADM-1, ADM-2: an account is told at once what is missing, goes on when it has it, and its
/// conversations are paid for without anybody's care.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_admitted_by_its_token() {
    let house = House::start(&TOKEN).await;
    let (token, id) = house.token(&["--uses", "2"]).await;
    let alice = Person::new("Alice", house.address());
    let needed = alice.client.collect(WITHIN).await.unwrap_err();
    assert_eq!(needed, restante_client::Error::TokenNeeded);
    assert_eq!(alice.client.collect(WITHIN).await.unwrap_err(), needed, "and again, at once");
    alice.client.set_token(AdmissionToken::new([7; 16])).await.unwrap();
    let refused = alice.client.collect(WITHIN).await.unwrap_err();
    assert_eq!(refused, restante_client::Error::TokenRefused);
    alice.client.set_token(token.clone()).await.unwrap();
    alice.client.collect(WITHIN).await.unwrap();
    let bob = Person::new("Bob", house.address());
    bob.client.set_token(token).await.unwrap();
    introduce(&alice, &bob).await;
    assert_eq!(house.listed(&id).await[1..3], ["0", "1999"]);
    house.relay.stop().await.unwrap();
}

/// ADM-5, ADM-6, ADM-7: on a real disk that has less than should be free, the relay takes less and
/// less; it is not ready when it takes no envelopes, and gives what it has all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_sheds_in_order() {
    let mut house = House::start(&[METRICS[0], METRICS[1], RESERVE, "0"]).await;
    let owner = Owner::new();
    let mut wire = Wire::connect(house.address()).await;
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    let first = wire.append(envelope(1, epoch), b"sealed").await.unwrap();
    let free = free_mib(&house).await;
    // What should be free is so many halves of what is.
    for (halves, refused) in
        [(1, [false; 3]), (3, [true, false, false]), (6, [true, true, false]), (20, [true; 3])]
    {
        let mib = (free * halves / 2).to_string();
        house = house.again(&[METRICS[0], METRICS[1], RESERVE, &mib]).await;
        let mut wire = Wire::connect(house.address()).await;
        let made = create(&mut wire, &Owner::new(), MailboxClass::Inbox, None).await;
        wire.open(1, owner.mailbox, &owner.key).await;
        let live = Append { class: EnvelopeClass::Live, ..envelope(1, epoch) };
        let live = wire.append(live, b"typing").await.map(drop);
        let stored = wire.append(envelope(1, epoch), b"sealed").await.map(drop);
        for (answer, refused) in [made, live, stored].into_iter().zip(refused) {
            assert_eq!(answer.is_err(), refused, "{halves} halves of {free} MiB: {answer:?}");
            if let Err(refusal) = answer {
                assert_eq!(refusal.code, Code::Unavailable);
                assert_eq!(refusal.retry_after, Some(Seconds::new(60)));
            }
        }
        let ready = status(&house, "/readyz").await;
        assert_eq!(ready.starts_with("HTTP/1.1 200"), !refused[2], "{ready}");
        let credit = Credit { envelopes: 1, bytes: 1_024 };
        wire.subscribe(1, &owner.reader, Seq::START, credit).await.unwrap();
        assert_eq!(wire.deliver().await.0.seq, first.seq);
    }
    house.relay.stop().await.unwrap();
}

/// What the operator's port says.
async fn status(house: &House, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(house.relay.metrics().unwrap()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What is free where the relay's data lies.
async fn free_mib(house: &House) -> u64 {
    let metrics = status(house, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("restante_disk_free_bytes "));
    let bytes: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    bytes / (1024 * 1024)
}

/// ADM-7: a client that was told a time asks nothing before it, also when its person wants
/// everything at once, and then by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_waits_as_long_as_the_relay_says() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    // Of a process of its own, so that what it counts is of this test.
    let relay = Process::start_with(&data, &place.path().join("log"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--creates-per-minute", "10"]);
    });
    let received = || {
        let stats = restante_relay::stats(&serve(&data, &[])).unwrap();
        let name = "restante_frames_total{direction=\"received\"} ";
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    let mut wire = Wire::connect(relay.address()).await;
    let wait = loop {
        match create(&mut wire, &Owner::new(), MailboxClass::Inbox, None).await {
            Ok(()) => {}
            Err(refusal) => break refusal.retry_after.unwrap(),
        }
    };
    let told = Instant::now();
    assert!((4..=6).contains(&wait.get()), "ten in a minute: {wait}");
    let before = received();
    let alice = Person::new("Alice", relay.address());
    // `hello` and one `create`, however often she asks, until the time has come; then the rest.
    let refused = before + 2;
    let mut rounds = 0;
    let came_back = loop {
        alice.collect().await;
        rounds += 1;
        if received() > refused {
            break told.elapsed();
        }
        assert!(told.elapsed() < WITHIN, "she never comes back");
    };
    // The relay counts whole seconds, so that a part of one may be missing at either end.
    assert!(came_back > Duration::from_secs(u64::from(wait.get()) - 2), "{came_back:?} of {wait}");
    assert!(rounds > 2, "she was not refused");
    relay.kill();
}
