//! Two clients and a relay that is really there: lines that break, homes that are copied or held,
//! invites that cross.

use std::time::Duration;

use restante_client::{
    Client, ContactState, Error, Event, Fate, Goal, InviteOptions, Message, Notice, StoreKey,
};
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::proxy::Proxy;
use restante_tests::relay::InProcess;

/// How often the line is cut.
const CUTS: usize = 20;

/// How often a round is begun while the line is there.
const ROUNDS: usize = 200;

/// MBX-5: a line that breaks between an append's arrival and its answer loses and doubles nothing:
/// the retry under the same id finds that it was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_lines_lose_and_double_nothing() {
    let relay = InProcess::start(&[]).await;
    let proxy = Proxy::start(relay.address()).await;
    let alice = Person::new("Alice", proxy.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let mut expected = Vec::new();
    for number in 0..CUTS {
        proxy.cut_before_the_next_answer();
        let text = format!("message {number}");
        let sent = alice.client.send(of_bob, &text).await.unwrap();
        let fate = alice.client.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
        assert!(fate.reached(Goal::Accepted), "{fate}");
        expected.push(text);
    }
    bob.until_received(of_alice, CUTS).await;
    assert_eq!(bob.texts(of_alice).await, expected);
    assert_eq!(alice.texts(of_bob).await, expected);
    assert!(proxy.cuts() >= CUTS, "{} cuts", proxy.cuts());
    relay.stop().await;
}

/// DLV-4: a round on a line that is there already brings all that the relay had when it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_round_brings_what_the_relay_had() {
    let relay = InProcess::start(&[]).await;
    let [alice, bob] = ["Alice", "Bob"].map(|name| Person::new(name, relay.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let mut expected = Vec::new();
    for number in 0..ROUNDS {
        let text = format!("message {number}");
        let sent = alice.client.send(of_bob, &text).await.unwrap();
        alice.client.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
        expected.push(text);
        bob.collect().await;
        assert_eq!(bob.texts(of_alice).await, expected);
    }
    relay.stop().await;
}

/// First contact over a line that breaks at every step ends as it would over a good one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_contact_outlives_a_breaking_line() {
    let relay = InProcess::start(&[]).await;
    let proxy = Proxy::start(relay.address()).await;
    let alice = Person::new("Alice", proxy.address());
    let bob = Person::new("Bob", proxy.address());
    let link = alice.client.invite(InviteOptions::default()).await.unwrap();
    proxy.cut_before_the_next_answer();
    alice.collect().await;
    proxy.cut_before_the_next_answer();
    bob.client.accept_invite(link.as_str(), Some("hello")).await.unwrap();
    bob.collect().await;
    proxy.cut_before_the_next_answer();
    let of_bob = alice.until(ContactState::Incoming).await;
    proxy.cut_before_the_next_answer();
    alice.client.accept_contact(of_bob).await.unwrap();
    let of_alice = bob.until(ContactState::Active).await;
    proxy.cut_before_the_next_answer();
    bob.client.send(of_alice, "and again").await.unwrap();
    alice.until_received(of_bob, 2).await;
    assert_eq!(alice.texts(of_bob).await, ["hello", "and again"]);
    relay.stop().await;
}

/// A person who acts offline from the first moment loses nothing: all of it goes out later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_offline_goes_out_later() {
    let relay = InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let mut bob = Person::new("Bob", relay.address());
    let link = alice.client.invite(InviteOptions::default()).await.unwrap();
    let of_alice = bob.client.accept_invite(link.as_str(), Some("first")).await.unwrap().id;
    bob.client.send(of_alice, "second").await.unwrap();
    bob.restart().await;
    let fates: Vec<_> = bob.history(of_alice).await.iter().map(|message| message.fate).collect();
    assert_eq!(fates, [Fate::Queued, Fate::Queued]);
    alice.collect().await;
    bob.collect().await;
    let of_bob = alice.until(ContactState::Incoming).await;
    alice.client.accept_contact(of_bob).await.unwrap();
    alice.until_received(of_bob, 1).await;
    bob.client.connect().await.unwrap();
    alice.until_received(of_bob, 2).await;
    assert_eq!(alice.texts(of_bob).await, ["first", "second"]);
    relay.stop().await;
}

/// Two people who invite each other at the same time end up in one conversation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_invites_become_one_conversation() {
    let relay = InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let of_alice = alice.client.invite(InviteOptions::default()).await.unwrap();
    let of_bob = bob.client.invite(InviteOptions::default()).await.unwrap();
    alice.collect().await;
    bob.collect().await;
    alice.client.disconnect().await.unwrap();
    bob.client.disconnect().await.unwrap();
    alice.client.accept_invite(of_bob.as_str(), None).await.unwrap();
    bob.client.accept_invite(of_alice.as_str(), None).await.unwrap();
    alice.client.connect().await.unwrap();
    bob.client.connect().await.unwrap();
    let (bobs, alices) =
        (alice.until(ContactState::Active).await, bob.until(ContactState::Active).await);
    for number in 0..5 {
        alice.client.send(bobs, &format!("from alice {number}")).await.unwrap();
        bob.client.send(alices, &format!("from bob {number}")).await.unwrap();
    }
    let (at_alice, at_bob) =
        (alice.until_received(bobs, 5).await, bob.until_received(alices, 5).await);
    let theirs = |all: &[Message]| -> Vec<String> {
        let received = all.iter().filter(|message| !message.from_me());
        received.map(|message| message.text.clone()).collect()
    };
    let expected = |who: &str| (0..5).map(|n| format!("from {who} {n}")).collect::<Vec<_>>();
    assert_eq!(theirs(&at_alice), expected("bob"));
    assert_eq!(theirs(&at_bob), expected("alice"));
    relay.stop().await;
}

/// A home and its copy at work together: what the copy wrote under the same device is found in the
/// log, and the home stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copied_homes_stop_sending() {
    let relay = InProcess::start(&[]).await;
    let mut alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    bob.client.send(of_alice, "behind every commit").await.unwrap();
    alice.until_received(of_bob, 1).await;
    alice.client.shutdown().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(alice.home()).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    alice.reopen();
    let mut events = alice.client.events();
    alice.collect().await;
    let twin = Client::builder(copy.path()).store_key(alice.key()).open().unwrap();
    twin.start().unwrap();
    let sent = twin.send(of_bob, "by the copy").await.unwrap();
    twin.connect().await.unwrap();
    twin.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
    while events.next().await.unwrap() != Event::Notice(Notice::Cloned) {}
    assert_eq!(alice.client.send(of_bob, "no").await, Err(Error::Cloned));
    relay.stop().await;
}

/// A home is held by one process; whoever comes second is told which.
#[tokio::test]
async fn held_homes_say_by_whom() {
    let relay = InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let second =
        Client::builder(alice.home()).store_key(alice.key()).lock_wait(Duration::ZERO).open();
    let pid = std::process::id();
    assert_eq!(second.unwrap_err(), Error::Locked { pid });
    alice.client.shutdown().await.unwrap();
    assert_eq!(alice.client.contacts().await, Err(Error::Stopped));
    let taken = Client::builder(alice.home()).store_key(alice.key()).open().unwrap();
    drop(taken);
    let again = Client::builder(alice.home())
        .store_key(StoreKey::from_bytes([0; 32]))
        .create(relay.address(), "Alice");
    assert_eq!(again.unwrap_err(), Error::StoreExists);
    relay.stop().await;
}

/// Once whoever asked a client that was not started waited for ever, and so did whoever heard one
/// that had ended.
#[tokio::test]
async fn a_client_that_does_not_run_says_so() {
    let relay = InProcess::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let key = StoreKey::from_bytes([1; 32]);
    let client =
        Client::builder(home.path()).store_key(key).create(relay.address(), "Alice").unwrap();
    let asked = tokio::time::timeout(WITHIN, client.contacts()).await;
    assert_eq!(asked, Ok(Err(Error::Stopped)));
    let ended = tokio::time::timeout(WITHIN, client.shutdown()).await;
    assert_eq!(ended, Ok(Err(Error::Stopped)));
    let mut events = client.events();
    client.start().unwrap();
    assert_eq!(client.contacts().await, Ok(Vec::new()));
    client.shutdown().await.unwrap();
    let heard = async { while events.next().await.is_some() {} };
    assert_eq!(tokio::time::timeout(WITHIN, heard).await, Ok(()));
    assert_eq!(client.events().next().await, None);
    relay.stop().await;
}

/// MBX-19: that somebody writes or is there reaches who is there, and stays nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_words_reach_who_is_there() {
    let relay = InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let sent = alice.client.send(of_bob, "are you there?").await.unwrap();
    bob.until_received(of_alice, 1).await;
    alice.client.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
    let mut events = bob.client.events();
    let hear = async {
        let (mut typing, mut online) = (false, false);
        while !(typing && online) {
            match events.next().await.unwrap() {
                Event::Typing { active: true, who, .. } if who == of_alice => typing = true,
                Event::Presence { online: true, who, .. } if who == of_alice => online = true,
                _ => {}
            }
        }
    };
    // What is live may be lost, so it is said again: typing too, after it has ceased.
    let say = async {
        let mut again = tokio::time::interval(Duration::from_millis(500));
        loop {
            again.tick().await;
            alice.client.presence(true).await.unwrap();
            alice.client.typing(of_bob, true).await.unwrap();
            again.tick().await;
            alice.client.typing(of_bob, false).await.unwrap();
        }
    };
    let heard = async {
        tokio::select! { () = hear => {}, () = say => {} }
    };
    tokio::time::timeout(WITHIN, heard).await.expect("heard in time");
    assert_eq!(bob.texts(of_alice).await, ["are you there?"]);
    relay.stop().await;
}
