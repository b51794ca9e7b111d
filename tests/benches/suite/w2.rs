//! W2, offline: many small envelopes to absent readers, who then all return and drain.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Epoch, Handle, RequestNumber, Seq};
use restante_spec::message::{Append, Command, MailboxClass, Push, Reply};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope, random};

use super::process::Server;
use super::rawlog;
use super::report::{Report, median};

/// Bytes of a body.
const BODY: usize = 1_024;
/// Connections that send, then connections that read.
const CONNECTIONS: usize = 20;
/// Requests of a connection under way.
const WINDOW: usize = 200;
/// Entries to a sync of the raw log.
const BATCH: usize = 1_000;

/// One mailbox of the load.
struct Talk {
    owner: Owner,
    epoch: Option<Epoch>,
}

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let (count, mailboxes) = if quick { (20_000, 200) } else { (200_000, 2_000) };
    let rounds = if quick { 1 } else { 5 };
    let mut figures: Vec<[f64; 6]> = Vec::new();
    let (mut lost, mut doubled) = (0, 0);
    for round in 1..=rounds {
        println!("W2 {round}/{rounds}: {count} x {BODY} B to {mailboxes} absent readers");
        let folder = tempfile::tempdir().expect("a folder");
        let before = rawlog::rate(folder.path(), BODY, BATCH, count / 2);
        let server = Server::start(&folder.path().join("data"));
        let (accepted_per_s, cpu_s, written, ids, talks) = fill(&server, count, mailboxes).await;
        let begun = Instant::now();
        let seen = drain(&server.address, talks, count / mailboxes).await;
        let drained_per_s = seen.len() as f64 / begun.elapsed().as_secs_f64();
        let unique: HashSet<_> = seen.iter().collect();
        lost += ids.iter().filter(|id| !unique.contains(id)).count();
        doubled += seen.len() - unique.len();
        let raw = (before + rawlog::rate(folder.path(), BODY, BATCH, count / 2)) / 2.0;
        let million = count as f64 / 1e6;
        let amplification = written / (count * BODY) as f64;
        let share = accepted_per_s / raw;
        figures.push([share, cpu_s / million, amplification, accepted_per_s, drained_per_s, raw]);
    }
    let figure = |place: usize| median(figures.iter().map(|row| row[place]).collect());
    report.note("w2.append_share_of_raw_log", figure(0), "ratio", Some(">= 0.60"));
    report.note("w2.server_cpu_s_per_million", figure(1), "s", None);
    report.note("w2.write_amplification", figure(2), "ratio", Some("<= 1.2"));
    report.note("w2.accepted_per_s", figure(3), "1/s", None);
    report.note("w2.drained_per_s", figure(4), "1/s", None);
    report.note("w2.raw_log_per_s", figure(5), "1/s", None);
    report.note("w2.lost", lost as f64, "envelopes", Some("0"));
    report.note("w2.duplicated", doubled as f64, "envelopes", Some("0"));
}

/// All appends; rate, CPU seconds and bytes written of the server, and what was sent.
async fn fill(
    server: &Server,
    count: usize,
    mailboxes: usize,
) -> (f64, f64, f64, Vec<EnvelopeId>, Vec<Vec<Talk>>) {
    let mut talks = Vec::new();
    for _ in 0..CONNECTIONS {
        talks.push(create(&server.address, mailboxes / CONNECTIONS).await);
    }
    let body = Arc::new(vec![0x5a; BODY]);
    let before = server.usage();
    let begun = Instant::now();
    let each = count / CONNECTIONS;
    let sending: Vec<_> = talks
        .into_iter()
        .map(|talks| tokio::spawn(send(server.address.clone(), talks, each, Arc::clone(&body))))
        .collect();
    let (mut ids, mut back) = (Vec::new(), Vec::new());
    for task in sending {
        let (sent, talks) = task.await.expect("sent");
        ids.extend(sent);
        back.push(talks);
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    let after = server.usage();
    (rate, after.cpu_s - before.cpu_s, after.written - before.written, ids, back)
}

async fn create(address: &RelayAddress, count: usize) -> Vec<Talk> {
    let mut wire = Wire::connect(address).await;
    let mut talks = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..count {
        let owner = Owner::new();
        let number = wire.send(owner.create(MailboxClass::Conversation), b"").await;
        waiting.push((owner, number));
    }
    for (owner, number) in waiting {
        let (Reply::Created(created), _) = wire.reply(number).await else { panic!("not created") };
        talks.push(Talk { owner, epoch: created.epoch });
    }
    talks
}

async fn open_all(wire: &mut Wire, talks: &[Talk]) {
    let mut numbers = Vec::new();
    for (handle, talk) in (1..).zip(talks) {
        let open = wire.open_command(handle, talk.owner.mailbox, &talk.owner.key);
        numbers.push(wire.send(open, b"").await);
    }
    for number in numbers {
        assert!(matches!(wire.reply(number).await.0, Reply::Opened(_)));
    }
}

async fn send(
    address: RelayAddress,
    talks: Vec<Talk>,
    count: usize,
    body: Arc<Vec<u8>>,
) -> (Vec<EnvelopeId>, Vec<Talk>) {
    let mut wire = Wire::connect(&address).await;
    open_all(&mut wire, &talks).await;
    let mut ids = Vec::with_capacity(count);
    let mut waiting = std::collections::VecDeque::new();
    for place in 0..count {
        let talk = place % talks.len();
        let handle = u32::try_from(talk + 1).expect("few mailboxes");
        let append =
            Append { id: EnvelopeId::new(random()), ..envelope(handle, talks[talk].epoch) };
        ids.push(append.id);
        waiting.push_back(wire.queue(Command::Append(append), &body));
        if waiting.len() >= WINDOW {
            wire.flush().await;
            while waiting.len() > WINDOW / 2 {
                settle(&mut wire, waiting.pop_front()).await;
            }
        }
    }
    wire.flush().await;
    while let Some(number) = waiting.pop_front() {
        settle(&mut wire, Some(number)).await;
    }
    (ids, talks)
}

async fn settle(wire: &mut Wire, number: Option<RequestNumber>) {
    if let Some(number) = number {
        wire.appended(number).await.expect("accepted");
    }
}

/// All readers return and drain; every id as often as it was delivered.
async fn drain(address: &RelayAddress, talks: Vec<Vec<Talk>>, each: usize) -> Vec<EnvelopeId> {
    let reading: Vec<_> =
        talks.into_iter().map(|talks| tokio::spawn(read(address.clone(), talks, each))).collect();
    let mut seen = Vec::new();
    for task in reading {
        seen.extend(task.await.expect("read"));
    }
    seen
}

async fn read(address: RelayAddress, talks: Vec<Talk>, each: usize) -> Vec<EnvelopeId> {
    let mut wire = Wire::connect(&address).await;
    open_all(&mut wire, &talks).await;
    for (handle, talk) in (1..).zip(&talks) {
        let reader = talk.owner.reader.clone();
        wire.subscribe(handle, &reader, Seq::START, PLENTY).await.expect("subscribed");
    }
    let mut seen = Vec::new();
    let mut last = vec![Seq::START; talks.len() + 1];
    while seen.len() < talks.len() * each {
        if let (Push::Deliver(deliver), _) = wire.push().await {
            seen.push(deliver.id);
            last[deliver.handle.get() as usize] = deliver.seq;
        }
    }
    for (handle, seq) in (0..).zip(last).skip(1) {
        wire.send(Command::Ack { handle: Handle::new(handle), upto: seq }, b"").await;
    }
    wire.done(Command::Ping, b"").await.expect("acknowledged");
    seen
}
