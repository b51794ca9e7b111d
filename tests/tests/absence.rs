//! A device that was away for longer than the relay keeps anything comes back: it is let in again
//! by itself, what it missed is given to it, and everybody has the same history.

use std::time::{Duration, Instant};

use restante_client::{ConversationId, MessageKind, Standing};
use restante_tests::people::{Person, introduce};
use restante_tests::relay::Process;
use restante_tests::until::{until, until_standing};

/// Seconds this relay keeps what it is given.
const TTL: u64 = 3;

/// Position and words of everything people wrote.
async fn said(person: &Person, of: ConversationId) -> Vec<(Option<u64>, String)> {
    let all = person.client.history(of, None, 200).await.unwrap().into_iter();
    let texts = all.filter(|message| message.kind == MessageKind::Text);
    texts.map(|message| (message.seq.map(|seq| seq.get()), message.text)).collect()
}

async fn until_said(person: &Person, of: ConversationId, count: usize) {
    until(&person.client, "said", async |_| (said(person, of).await.len() >= count).then_some(()))
        .await;
}

/// CNV-16, CNV-17, CNV-19: with a relay that has forgotten everything the device would need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_device_returns_and_misses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let relay = Process::start_with(&place.path().join("data"), &place.path().join("log"), |c| {
        c.args(["--listen", "127.0.0.1:0", "--ttl", &TTL.to_string()]);
    });
    let alice = Person::new("Alice", relay.address());
    let mut bob = Person::new("Bob", relay.address());
    let carol = Person::new("Carol", relay.address());
    for person in [&alice, &bob, &carol] {
        person.client.connect().await.unwrap();
    }
    let (of_bob, _) = introduce(&alice, &bob).await;
    let group = alice.client.create_group("Group", false).await.unwrap().id;
    alice.client.add_member(group, of_bob).await.unwrap();
    until_standing(&bob.client, group, Standing::Invited).await;
    bob.client.accept_group(group).await.unwrap();
    alice.client.send(group, "before").await.unwrap();
    until_said(&bob, group, 1).await;
    bob.collect().await;
    bob.client.shutdown().await.unwrap();

    for text in ["missed", "missed too"] {
        alice.client.send(group, text).await.unwrap();
    }
    alice.collect().await;
    alice.client.set_group_name(group, "Another name").await.unwrap();
    alice.collect().await;
    let gone = Instant::now() + Duration::from_secs(TTL + 1);
    while Instant::now() < gone {
        carol.collect().await;
    }
    alice.client.send(group, "after").await.unwrap();

    bob.reopen();
    bob.client.connect().await.unwrap();
    bob.client.send(group, "back").await.unwrap();
    until_said(&alice, group, 5).await;
    until_said(&bob, group, 5).await;
    bob.collect().await;
    let all = said(&alice, group).await;
    assert_eq!(said(&bob, group).await, all, "one order for both");
    let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["before", "missed", "missed too", "after", "back"]);
    assert_eq!(bob.client.gaps(group).await.unwrap(), []);
    let shown = bob.client.conversation(group).await.unwrap();
    assert_eq!((shown.standing, shown.name.as_str()), (Standing::Open, "Another name"));
    assert_eq!(relay.terminate(), Some(0));
}
