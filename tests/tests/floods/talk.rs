//! Well-behaved clients in pairs: what one sends the other gets, acknowledges, and answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use restante_spec::address::RelayAddress;
use restante_spec::ids::{EnvelopeId, Epoch, Handle, Seq};
use restante_spec::message::{Command, MailboxClass, Push};
use restante_tests::wire::{Owner, PLENTY, Wire, envelope};
use tokio::sync::watch;

use super::milliseconds;

/// How far the well-behaved have come, for those who keep pace with them.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) messages: watch::Sender<usize>,
    pub(crate) is_over: AtomicBool,
}

/// Two clients with a conversation each way.
pub(crate) struct Pair {
    one: Client,
    other: Client,
    progress: Arc<Progress>,
}

struct Client {
    wire: Wire,
    /// Where it writes, under handle 1; what it reads is under handle 2.
    epoch: Option<Epoch>,
}

/// Times from sending to having, of all messages.
pub(crate) struct Latencies(Vec<Duration>);

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |share: usize| milliseconds(self.0[(self.0.len() - 1) * share / 1_000]);
        let [half, most, all] = [500, 990, 1_000].map(at);
        write!(f, "{} messages, p50 {half}, p99 {most}, max {all}", self.0.len())
    }
}

impl Pair {
    pub(crate) async fn meet(relay: &RelayAddress, progress: Arc<Progress>) -> Self {
        let mut wires = [Wire::connect(relay).await, Wire::connect(relay).await];
        let owners = [Owner::new(), Owner::new()];
        let mut epochs = [None, None];
        for number in 0..2 {
            let created = wires[number].create(MailboxClass::Conversation, &owners[number]).await;
            epochs[number] = created.epoch;
        }
        for number in 0..2 {
            let (own, other) = (&owners[number], &owners[1 - number]);
            let wire = &mut wires[number];
            wire.open(1, own.mailbox, &own.key).await;
            wire.open(2, other.mailbox, &other.key).await;
            wire.subscribe(2, &other.reader, Seq::START, PLENTY).await.unwrap();
            assert!(wire.backlog().await.is_empty());
        }
        let [one, other] = wires;
        let [of_one, of_other] = epochs;
        let one = Client { wire: one, epoch: of_one };
        let other = Client { wire: other, epoch: of_other };
        Self { one, other, progress }
    }

    /// So many messages each way, one after another.
    async fn talk(&mut self, count: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(say(&mut self.one, &mut self.other).await);
            times.push(say(&mut self.other, &mut self.one).await);
            self.progress.messages.send_modify(|messages| *messages += 2);
        }
        times
    }

    /// Neither was closed.
    pub(crate) async fn still_lives(mut self) {
        for client in [&mut self.one, &mut self.other] {
            client.wire.done(Command::Ping, b"").await.expect("its connection lives");
            assert_eq!(client.wire.pushed(), 0, "nothing came that was not expected");
        }
    }
}

/// One says something, the other gets it.
async fn say(one: &mut Client, other: &mut Client) -> Duration {
    let begun = Instant::now();
    let append = envelope(1, one.epoch);
    let (id, body) = (append.id, append.id.as_bytes().repeat(16));
    let number = one.wire.send(Command::Append(append), &body).await;
    let accepted = async { one.wire.appended(number).await.expect("accepted") };
    let arrived = async {
        got(other, id, &body).await;
        begun.elapsed()
    };
    tokio::join!(accepted, arrived).1
}

async fn got(client: &mut Client, id: EnvelopeId, body: &[u8]) {
    let (push, bytes) = client.wire.push().await;
    let Push::Deliver(deliver) = push else { panic!("closed or told to go: {push:?}") };
    assert!(deliver.id == id && bytes == body, "what was said, once and in its order");
    let handle = Handle::new(2);
    client.wire.queue(Command::Ack { handle, upto: deliver.seq }, b"");
    client.wire.queue(Command::Credit { handle, credit: PLENTY }, b"");
    client.wire.flush().await;
}

/// All pairs talk at once; `look` is called again and again meanwhile.
pub(crate) async fn all(
    pairs: Vec<Pair>,
    count: usize,
    mut look: impl FnMut(),
) -> (Vec<Pair>, Latencies) {
    let mut news = pairs[0].progress.messages.subscribe();
    let mut talking = Vec::new();
    for mut pair in pairs {
        talking.push(tokio::spawn(async move {
            let times = pair.talk(count).await;
            (pair, times)
        }));
    }
    let (mut pairs, mut times) = (Vec::new(), Vec::new());
    for mut one in talking {
        let (pair, its) = loop {
            tokio::select! {
                done = &mut one => break done.unwrap(),
                _ = news.changed() => look(),
            }
        };
        pairs.push(pair);
        times.extend(its);
    }
    times.sort_unstable();
    (pairs, Latencies(times))
}
