//! W5, crash: killed while appends come in, and started again.

use std::collections::HashSet;
use std::time::Instant;

use restante_spec::ids::{EnvelopeId, Handle, Seq};
use restante_spec::message::{Append, Command, Credit, MailboxClass, Push};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope, random};

use super::process::Server;
use super::report::Report;

/// Bytes of a body.
const BODY: usize = 1_024;
/// Envelopes of a mailbox.
const EACH: usize = 1_000;
/// Appends under way.
const WINDOW: usize = 64;

/// Runs the load and notes its figures.
pub async fn run(quick: bool, report: &mut Report) {
    let wished = std::env::var("W5_MAILBOXES").map(|text| text.parse().expect("a number"));
    let mailboxes = wished.unwrap_or(if quick { 4 } else { 800 });
    println!("W5: {} x {BODY} B, killed meanwhile", mailboxes * EACH);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let mut talks = Vec::new();
    for _ in 0..mailboxes {
        talks.push(fill(&server, EACH).await);
    }
    // The last one is cut off in the middle.
    let (owner, accepted) = cut_off(server).await;
    talks.push((owner, accepted));
    let log = folder.path().join("log");
    let begun = Instant::now();
    let server = Server::start_logging(&data, &log);
    let mut wire = Wire::connect(&server.address).await;
    wire.done(Command::Ping, b"").await.expect("served");
    let ready = begun.elapsed().as_secs_f64();
    let log = std::fs::read_to_string(&log).expect("its log");
    let (mut lost, mut stored) = (0, 0);
    for (owner, accepted) in &talks {
        lost += missing(&server, owner, accepted).await;
        stored += accepted.len() * BODY;
    }
    report.note("w5.lost", lost as f64, "envelopes", Some("0"));
    report.note("w5.open_ms", told(&log, "opening_ms="), "ms", Some("<= 100"));
    report.note("w5.ready_s", ready, "s", None);
    report.note("w5.ready_s_per_gb", ready / (stored as f64 / 1e9), "s/GB", Some("<= 1"));
}

/// A number of the relay's log.
fn told(log: &str, name: &str) -> f64 {
    let (_, rest) = log.split_once(name).expect("the relay tells how it opened its store");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().expect("a number")
}

async fn fill(server: &Server, count: usize) -> (Owner, Vec<EnvelopeId>) {
    let (mut wire, owner, epoch) = begin(server).await;
    let body = vec![0x5a; BODY];
    let mut ids = Vec::new();
    for _ in 0..count / WINDOW + 1 {
        let mut numbers = Vec::new();
        for _ in 0..WINDOW.min(count - ids.len()) {
            let id = EnvelopeId::new(random());
            ids.push(id);
            let append = Append { id, ..envelope(1, epoch) };
            numbers.push(wire.queue(Command::Append(append), &body));
        }
        wire.flush().await;
        for number in numbers {
            wire.appended(number).await.expect("accepted");
        }
    }
    (owner, ids)
}

async fn begin(server: &Server) -> (Wire, Owner, Option<restante_spec::ids::Epoch>) {
    let mut wire = Wire::connect(&server.address).await;
    let owner = Owner::new();
    let epoch = wire.create(MailboxClass::Conversation, &owner).await.epoch;
    wire.open(1, owner.mailbox, &owner.key).await;
    (wire, owner, epoch)
}

/// Sends until the relay is killed; what was accepted by then.
async fn cut_off(server: Server) -> (Owner, Vec<EnvelopeId>) {
    let (mut wire, owner, epoch) = begin(&server).await;
    let body = vec![0x5a; BODY];
    let mut waiting = std::collections::VecDeque::new();
    let mut accepted = Vec::new();
    let mut server = Some(server);
    loop {
        let id = EnvelopeId::new(random());
        let append = Append { id, ..envelope(1, epoch) };
        let Some(number) = wire.try_send(Command::Append(append), &body).await else { break };
        waiting.push_back((id, number));
        if waiting.len() < WINDOW {
            continue;
        }
        if accepted.len() >= EACH / 2
            && let Some(server) = server.take()
        {
            server.kill();
        }
        let Some((id, number)) = waiting.pop_front() else { break };
        if wire.try_reply(number).await.is_none() {
            break;
        }
        accepted.push(id);
    }
    (owner, accepted)
}

async fn missing(server: &Server, owner: &Owner, accepted: &[EnvelopeId]) -> usize {
    let mut wire = Wire::connect(&server.address).await;
    wire.open(1, owner.mailbox, &owner.key).await;
    wire.subscribe(1, &owner.reader, Seq::START, PLENTY).await.expect("subscribed");
    let mut seen = HashSet::new();
    while let Push::Deliver(deliver) = wire.push().await.0 {
        seen.insert(deliver.id);
        if seen.len().is_multiple_of(WINDOW) {
            let (handle, envelopes) = (Handle::new(1), u32::try_from(WINDOW).expect("few"));
            let credit = Credit { envelopes, bytes: envelopes * BODY as u32 };
            wire.send(Command::Credit { handle, credit }, b"").await;
        }
    }
    accepted.iter().filter(|id| !seen.contains(id)).count()
}
