//! The relay's program, killed and cut: what it said is safe is safe, and is there once.
//!
//! `RESTANTE_KILLS` and `RESTANTE_MESSAGES` make the loop longer than CI's.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::ids::{ChainNumber, EnvelopeId, Epoch, Handle, Seconds, Seq};
use restante_spec::message::{Append, Command, MailboxClass, Push, Reply};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{InProcess, Process};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope, random};
use tempfile::TempDir;
use tokio::sync::watch;

/// Who sends, and how many envelopes may be under way.
const SENDERS: usize = 20;
const WINDOW: usize = 16;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// A conversation with one sender and one reader.
struct Talk {
    owner: Owner,
    epoch: Option<Epoch>,
    ids: Vec<EnvelopeId>,
}

/// What all tasks of the loop share.
struct Shared {
    relay: watch::Receiver<RelayAddress>,
    unanswered: AtomicUsize,
    accepted: AtomicUsize,
}

/// MBX-3, MBX-4, MBX-5, MBX-6, DLV-1: across kills at moments when appends are unanswered, nothing
/// accepted is lost, nothing is there twice, and every reader sees the sender's order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_relays_lose_and_double_nothing() {
    let (kills, messages) = (setting("RESTANTE_KILLS", 10), setting("RESTANTE_MESSAGES", 2_000));
    let home = tempfile::tempdir().unwrap();
    let (data, log) = (home.path().join("data"), home.path().join("log"));
    let mut relay = Process::start(&data, "127.0.0.1:0", &log);
    let listen = format!("127.0.0.1:{}", relay.address().port());
    let (told, address) = watch::channel(relay.address().clone());
    let shared = Arc::new(Shared {
        relay: address,
        unanswered: AtomicUsize::new(0),
        accepted: AtomicUsize::new(0),
    });
    let mut tasks = Vec::new();
    for _ in 0..SENDERS {
        let talk = Arc::new(begin(relay.address(), messages / SENDERS).await);
        let sending = tokio::spawn(send(Arc::clone(&talk), Arc::clone(&shared)));
        let reading = tokio::spawn(read(Arc::clone(&talk), Arc::clone(&shared)));
        tasks.push((talk, sending, reading));
    }
    let total = messages / SENDERS * SENDERS;
    for kill in 1..=kills {
        // Spread over the run, and only while an answer is owed.
        while shared.accepted.load(Ordering::SeqCst) < total * kill / (kills + 1)
            || shared.unanswered.load(Ordering::SeqCst) == 0
        {
            tokio::task::yield_now().await;
        }
        relay.kill();
        relay = Process::start(&data, &listen, &log);
        told.send_replace(relay.address().clone());
    }
    for (talk, sending, reading) in tasks {
        let (accepted, seen) = (sending.await.unwrap(), reading.await.unwrap());
        check(&talk, &accepted, &seen);
    }
    assert_eq!(relay.terminate(), Some(0), "SIGTERM ends it in good order");
    println!("{kills} kills, {total} messages: 0 lost, 0 doubled");
}

async fn begin(address: &RelayAddress, count: usize) -> Talk {
    let mut wire = Wire::connect(address).await;
    let owner = Owner::new();
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    Talk { owner, epoch, ids: (0..count).map(|_| EnvelopeId::new(random())).collect() }
}

/// What was sent is what was stored, in its order, once, under the numbers that were promised.
fn check(talk: &Talk, accepted: &HashMap<EnvelopeId, Seq>, seen: &[(Seq, EnvelopeId)]) {
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "numbers rise");
    let ids: Vec<_> = seen.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "nothing twice");
    assert!(ids == talk.ids, "the reader's order is the sender's, and complete");
    assert_eq!(accepted.len(), talk.ids.len());
    assert!(seen.iter().all(|(seq, id)| accepted[id] == *seq), "the numbers that were promised");
}

/// Waits for a relay that may be just starting.
async fn connect(talk: &Talk, shared: &Shared) -> Wire {
    let mut relay = shared.relay.clone();
    loop {
        let address = relay.borrow_and_update().clone();
        if let Some(mut wire) = Wire::try_connect(&address).await {
            let open = wire.open_command(1, talk.owner.mailbox, &talk.owner.key);
            if let Some(number) = wire.try_send(open, b"").await
                && let Some((Reply::Opened(_), _)) = wire.try_reply(number).await
            {
                return wire;
            }
        }
        relay.changed().await.expect("the relay comes back");
    }
}

async fn send(talk: Arc<Talk>, shared: Arc<Shared>) -> HashMap<EnvelopeId, Seq> {
    let mut accepted = HashMap::new();
    for chain in 1.. {
        let mut wire = connect(&talk, &shared).await;
        let mut waiting = VecDeque::new();
        let mut todo = talk.ids.iter().filter(|id| !accepted.contains_key(*id)).copied();
        let mut todo: VecDeque<_> = todo.by_ref().collect();
        loop {
            while waiting.len() < WINDOW
                && let Some(id) = todo.pop_front()
            {
                let append =
                    Append { id, chain: ChainNumber::new(chain), ..envelope(1, talk.epoch) };
                shared.unanswered.fetch_add(1, Ordering::SeqCst);
                let Some(number) = wire.try_send(Command::Append(append), id.as_bytes()).await
                else {
                    shared.unanswered.fetch_sub(1, Ordering::SeqCst);
                    break;
                };
                waiting.push_back((id, number));
            }
            let Some((id, number)) = waiting.pop_front() else { return accepted };
            let reply = wire.try_reply(number).await;
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
            match reply {
                Some((Reply::Appended(appended), _)) => {
                    accepted.insert(id, appended.seq);
                    shared.accepted.fetch_add(1, Ordering::SeqCst);
                }
                Some((other, _)) => panic!("refused: {other:?}"),
                None => break,
            }
        }
        shared.unanswered.fetch_sub(waiting.len(), Ordering::SeqCst);
    }
    accepted
}

async fn read(talk: Arc<Talk>, shared: Arc<Shared>) -> Vec<(Seq, EnvelopeId)> {
    let mut seen: Vec<(Seq, EnvelopeId)> = Vec::new();
    while seen.len() < talk.ids.len() {
        let after = seen.last().map_or(Seq::START, |(seq, _)| *seq);
        let mut wire = connect(&talk, &shared).await;
        let subscribe = restante_spec::message::Subscribe {
            handle: Handle::new(1),
            reader: talk.owner.reader.clone(),
            after,
            credit: PLENTY,
        };
        if wire.try_send(Command::Subscribe(subscribe), b"").await.is_none() {
            continue;
        }
        while let Some((push, body)) = wire.try_push().await {
            let Push::Deliver(deliver) = push else { continue };
            assert_eq!(body.as_ref(), deliver.id.as_bytes(), "the body that was sent");
            seen.push((deliver.seq, deliver.id));
            if seen.len().is_multiple_of(10) {
                let ack = Command::Ack { handle: Handle::new(1), upto: deliver.seq };
                wire.try_send(ack, b"").await;
            }
            if seen.len() == talk.ids.len() {
                break;
            }
        }
    }
    seen
}

/// MBX-5: the line breaks after each append has reached the relay and before its answer returns;
/// every retry is answered `already`, and nothing is there twice.
#[tokio::test]
async fn appends_whose_answer_was_lost_are_there_once() {
    let relay = InProcess::start(&[]).await;
    let proxy = Proxy::start(relay.address()).await;
    let owner = Owner::new();
    let mut wire = Wire::connect(proxy.address()).await;
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    let mut ids = Vec::new();
    for count in 1..=25_u32 {
        wire.open(1, owner.mailbox, &owner.key).await;
        let append = Append { chain: ChainNumber::new(count), ..envelope(1, epoch) };
        proxy.cut_before_the_next_answer();
        let number = wire.send(Command::Append(append.clone()), b"once").await;
        assert_eq!(wire.try_reply(number).await, None);
        assert_eq!(proxy.cuts(), count as usize);
        wire = Wire::connect(proxy.address()).await;
        wire.open(2, owner.mailbox, &owner.key).await;
        let again = Append { handle: Handle::new(2), ..append.clone() };
        assert!(wire.append(again, b"once").await.unwrap().already);
        ids.push(append.id);
    }
    wire.open(1, owner.mailbox, &owner.key).await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
    let seen: Vec<_> = wire.backlog().await.iter().map(|(deliver, _)| deliver.id).collect();
    assert_eq!(seen, ids);
    relay.stop().await;
}

fn home() -> (TempDir, std::path::PathBuf, std::path::PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let (data, log) = (home.path().join("data"), home.path().join("log"));
    (home, data, log)
}

/// MBX-3: after everything was acknowledged and expired, a restarted relay gives higher numbers.
#[tokio::test]
async fn numbers_never_repeat_after_acknowledgement_expiry_and_restart() {
    let (_home, data, log) = home();
    let owner = Owner::new();
    let mut highest = Seq::START;
    let mut epoch = None;
    for round in 0..4 {
        let relay = Process::start(&data, "127.0.0.1:0", &log);
        let mut wire = Wire::connect(relay.address()).await;
        if round == 0 {
            epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
        }
        wire.open(1, owner.mailbox, &owner.key).await;
        let short = Append { ttl: Some(Seconds::new(1)), ..envelope(1, epoch) };
        for append in [envelope(1, epoch), short, envelope(1, epoch)] {
            let seq = wire.append(append, b"x").await.unwrap().seq;
            assert!(seq > highest, "{seq} after {highest}");
            highest = seq;
        }
        wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.unwrap();
        let last = wire.backlog().await.last().expect("the last is stored").0.seq;
        assert_eq!(last, highest);
        wire.ack(1, last).await;
        relay.kill();
    }
}

/// TRN-3: the address is the same after kill and restart; one directory serves one relay.
#[tokio::test]
async fn address_is_kept_and_the_directory_is_held() {
    let (_home, data, log) = home();
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let address = relay.address().clone();
    let second = std::process::Command::new(restante_tests::relay::program("restante-relay"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another relay has") && said.contains("--data"), "{said}");
    relay.kill();
    let listen = format!("127.0.0.1:{}", address.port());
    let again = Process::start(&data, &listen, &log);
    assert_eq!(*again.address(), address);
    assert_eq!(again.terminate(), Some(0));
}

/// MBX-12: a revocation holds across a kill right behind its answer.
#[tokio::test]
async fn a_revocation_survives_a_kill() {
    let (_home, data, log) = home();
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    let owner = Owner::new();
    wire.create(MailboxClass::Inbox, &owner).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    let contact = restante_crypto::SigningKey::generate().unwrap();
    let allow = restante_spec::message::Allow {
        handle: Handle::new(1),
        key: contact.public(),
        possession: restante_crypto::prove_possession(&contact, &owner.mailbox),
        terms: restante_spec::message::Terms {
            rights: restante_spec::message::Rights { write: true, ..Default::default() },
            expires_at: None,
            uses: None,
            rate: None,
        },
    };
    wire.done(Command::Allow(allow), b"").await.unwrap();
    wire.open(2, owner.mailbox, &contact).await;
    let revoke = Command::Revoke { handle: Handle::new(1), key: contact.public() };
    wire.done(revoke, b"").await.unwrap();
    relay.kill();
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let mut wire = Wire::connect(relay.address()).await;
    let refused = wire.try_open(1, owner.mailbox, &contact).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    wire.open(1, owner.mailbox, &owner.key).await;
}
