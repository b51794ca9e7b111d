//! Twenty people and a relay that is killed again and again: every fate is true, every history is
//! the relay's order, nothing is lost and nothing is there twice.
//!
//! `RESTANTE_KILLS` and `RESTANTE_MESSAGES` make the loop longer than CI's.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use restante_client::{ContactId, Event, EventStream, Fate, Goal, Message};
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::relay::Process;

const PAIRS: usize = 10;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Messages given to a client and not accepted by the relay yet; and those that were.
#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    accepted: AtomicUsize,
}

/// MBX-3, MBX-4, MBX-5: with real clients on top.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_relays_lose_and_double_no_message() {
    let (kills, messages) = (setting("RESTANTE_KILLS", 10), setting("RESTANTE_MESSAGES", 2_000));
    let each = messages / (2 * PAIRS);
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let mut relay = Process::start(&data, "127.0.0.1:0", &log);
    let listen = format!("127.0.0.1:{}", relay.address().port());
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let alice = Arc::new(Person::new(&format!("Alice {pair}"), relay.address()));
        let bob = Arc::new(Person::new(&format!("Bob {pair}"), relay.address()));
        let (of_bob, of_alice) = introduce(&alice, &bob).await;
        pairs.push((alice, of_bob, bob, of_alice));
    }
    let mut hearing = Vec::new();
    for person in pairs.iter().flat_map(|(alice, _, bob, _)| [alice, bob]) {
        hearing.push(tokio::spawn(hear(person.client.events())));
    }
    let counts = Arc::new(Counts::default());
    let mut sending = Vec::new();
    for (alice, of_bob, bob, of_alice) in &pairs {
        for (person, contact) in [(alice, *of_bob), (bob, *of_alice)] {
            sending.push(tokio::spawn(send(
                Arc::clone(person),
                contact,
                each,
                Arc::clone(&counts),
            )));
        }
    }
    let total = each * 2 * PAIRS;
    for kill in 1..=kills {
        // Spread over the run, and only while something was sent and is not answered.
        while counts.accepted.load(Ordering::SeqCst) < total * kill / (kills + 1)
            || counts.waiting.load(Ordering::SeqCst) == 0
        {
            tokio::task::yield_now().await;
        }
        relay.kill();
        relay = Process::start(&data, &listen, &log);
    }
    for task in sending {
        task.await.unwrap();
    }
    for (alice, of_bob, bob, of_alice) in &pairs {
        alice.until_received(*of_bob, each).await;
        bob.until_received(*of_alice, each).await;
        check(&alice.history(*of_bob).await, &bob.history(*of_alice).await, each);
    }
    drop(pairs);
    for events in hearing {
        assert_eq!(events.await.unwrap(), each, "the app was told of each message once");
    }
    assert_eq!(relay.terminate(), Some(0));
    println!("{kills} kills, {total} messages between {} people: 0 lost, 0 doubled", 2 * PAIRS);
}

async fn send(person: Arc<Person>, contact: ContactId, count: usize, counts: Arc<Counts>) {
    person.client.connect().await.unwrap();
    let mut before: Option<Message> = None;
    for number in 0..count {
        let sent = person.client.send(contact, &format!("message {number}")).await.unwrap();
        counts.waiting.fetch_add(1, Ordering::SeqCst);
        // One is under way while the next is written.
        if let Some(before) = before.replace(sent) {
            settle(&person, &before, &counts).await;
        }
    }
    if let Some(last) = before {
        settle(&person, &last, &counts).await;
    }
}

/// Counts the messages an app is told of until its client ends; none is told twice, and the
/// stream never falls behind.
async fn hear(mut events: EventStream) -> usize {
    let mut told = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) => assert!(told.insert(message.id), "told twice"),
            Event::Resync => panic!("events were let go"),
            _ => {}
        }
    }
    told.len()
}

async fn settle(person: &Person, message: &Message, counts: &Counts) {
    let fate = person.client.wait_fate(message.id, Goal::Accepted, WITHIN * 5).await.unwrap();
    assert!(matches!(fate, Fate::Accepted | Fate::Delivered), "{fate}");
    counts.waiting.fetch_sub(1, Ordering::SeqCst);
    counts.accepted.fetch_add(1, Ordering::SeqCst);
}

/// Both histories are one: the same messages under the relay's numbers, each sender's in order.
fn check(ours: &[Message], theirs: &[Message], each: usize) {
    let key = |message: &Message| (message.seq, message.id, message.text.clone());
    let (mine, yours): (Vec<_>, Vec<_>) =
        (ours.iter().map(key).collect(), theirs.iter().map(key).collect());
    assert_eq!(mine, yours, "one order for both");
    assert_eq!(mine.len(), 2 * each, "nothing lost");
    assert_eq!(mine.iter().map(|key| key.1).collect::<HashSet<_>>().len(), mine.len());
    let seqs: Vec<_> = mine.iter().map(|key| key.0.expect("a number of the relay")).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "the relay's order");
    for from_me in [true, false] {
        let texts = ours.iter().filter(|m| m.from_me() == from_me).map(|m| m.text.clone());
        let expected = (0..each).map(|number| format!("message {number}"));
        assert!(texts.eq(expected), "the sender's order");
    }
}
