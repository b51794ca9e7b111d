//! The journey of two people, as a tutorial tells it: they meet, they write, one is away, the relay
//! dies, and nothing is missing. Real programs, real sockets, real TLS.

use restante_client::{Client, ContactState, Error, Fate, Goal, InviteOptions, StoreKey};
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::relay::Process;

/// From nothing to a conversation that survives everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_meet_write_and_lose_nothing() {
    // Someone starts a relay.
    let place = tempfile::tempdir().unwrap();
    let (data, log) = (place.path().join("data"), place.path().join("log"));
    let relay = Process::start(&data, "127.0.0.1:0", &log);
    let address = relay.address().clone();

    // Two people make accounts; Alice makes an invite and gives it to Bob.
    let mut alice = Person::new("Alice", &address);
    let mut bob = Person::new("Bob", &address);
    let link = alice.client.invite(InviteOptions::default()).await.unwrap();
    alice.collect().await;
    assert!(link.as_str().len() < 200, "an invite fits into a small QR code");

    // Bob takes it, with a first message.
    bob.client.accept_invite(link.as_str(), Some("Hello Alice, Bob here")).await.unwrap();
    bob.collect().await;
    assert_eq!(bob.only_contact().await.state, ContactState::Requested);

    // Alice finds the request, and agrees.
    let of_bob = alice.until(ContactState::Incoming).await;
    assert_eq!(alice.only_contact().await.nickname, "Bob");
    alice.client.accept_contact(of_bob).await.unwrap();
    alice.until(ContactState::Active).await;
    let of_alice = bob.until(ContactState::Active).await;
    assert_eq!(bob.only_contact().await.nickname, "Alice");
    assert_eq!(alice.texts(of_bob).await, ["Hello Alice, Bob here"]);

    // Both directions, to the end: delivered is said by the other's device, not by the relay.
    let hi = alice.client.send(of_bob, "Hi Bob").await.unwrap();
    bob.until_received(of_alice, 1).await;
    let fate = alice.client.wait_fate(hi.id, Goal::Delivered, WITHIN).await.unwrap();
    assert_eq!(fate, Fate::Delivered);
    let lunch = bob.client.send(of_alice, "Lunch? 一起吃午饭吗").await.unwrap();
    bob.client.wait_fate(lunch.id, Goal::Accepted, WITHIN).await.unwrap();
    alice.until_received(of_bob, 2).await;

    // The same number on both sides says that nobody stands between them.
    let numbers = (
        alice.client.safety_number(of_bob).await.unwrap().to_string(),
        bob.client.safety_number(of_alice).await.unwrap().to_string(),
    );
    assert_eq!(numbers.0, numbers.1);

    // Bob goes away. Alice writes on, the relay is killed, and comes back.
    bob.client.disconnect().await.unwrap();
    for text in ["first", "second", "third"] {
        let sent = alice.client.send(of_bob, text).await.unwrap();
        let fate = alice.client.wait_fate(sent.id, Goal::Accepted, WITHIN).await.unwrap();
        assert_eq!(fate, Fate::Accepted);
    }
    relay.kill();
    let waiting = alice.client.send(of_bob, "written while the relay was down").await.unwrap();
    assert_eq!(waiting.fate, Fate::Queued);
    let listen = format!("127.0.0.1:{}", address.port());
    let relay = Process::start(&data, &listen, &log);
    alice.client.wait_fate(waiting.id, Goal::Accepted, WITHIN).await.unwrap();

    // Bob restarts his device and finds everything, once, in order.
    bob.restart().await;
    bob.collect().await;
    let seen = bob.texts(of_alice).await;
    let expected = [
        "Hello Alice, Bob here",
        "Hi Bob",
        "Lunch? 一起吃午饭吗",
        "first",
        "second",
        "third",
        "written while the relay was down",
    ];
    assert_eq!(seen, expected);
    assert_eq!(bob.client.contact(of_alice).await.unwrap().unread, 5);
    bob.client.mark_read(of_alice).await.unwrap();
    assert_eq!(bob.client.unread().await.unwrap(), 0);

    // The clients remember: history is searched at home, also in Chinese.
    for (words, found) in [("lunch", 1), ("午饭", 1), ("relay down", 1), ("breakfast", 0)] {
        assert_eq!(bob.client.search(words, 10).await.unwrap().len(), found, "{words}");
    }
    alice.restart().await;
    assert_eq!(alice.texts(of_bob).await, expected);

    alice.client.shutdown().await.unwrap();
    bob.client.shutdown().await.unwrap();
    assert_eq!(relay.terminate(), Some(0));
}

/// People on different relays talk like people on one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_on_two_relays_talk() {
    let (one, two) = (
        restante_tests::relay::InProcess::start(&[]).await,
        restante_tests::relay::InProcess::start(&[]).await,
    );
    let (alice, bob) = (Person::new("Alice", one.address()), Person::new("Bob", two.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    alice.client.send(of_bob, "from one").await.unwrap();
    bob.until_received(of_alice, 1).await;
    bob.client.send(of_alice, "from two").await.unwrap();
    alice.until_received(of_bob, 1).await;
    assert_eq!(alice.texts(of_bob).await, bob.texts(of_alice).await);
    one.stop().await;
    two.stop().await;
}

/// A declined request leads nowhere, and the invite it came with is used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declined_requests_and_used_up_invites() {
    let relay = restante_tests::relay::InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let mallory = Person::new("Mallory", relay.address());
    let late = Person::new("Late", relay.address());
    let link = alice.client.invite(InviteOptions::default()).await.unwrap();
    alice.collect().await;
    mallory.client.accept_invite(link.as_str(), Some("let me in")).await.unwrap();
    mallory.collect().await;
    let request = alice.until(ContactState::Incoming).await;
    alice.client.decline_contact(request).await.unwrap();
    alice.collect().await;
    let refused = alice.client.send(request, "no").await;
    assert!(matches!(refused, Err(Error::WrongState { .. })), "{refused:?}");

    late.client.accept_invite(link.as_str(), Some("me too")).await.unwrap();
    late.client.collect(WITHIN).await.ok();
    let contact = late.only_contact().await;
    let first = late.history(contact.id).await;
    assert!(
        first.iter().all(|message| matches!(message.fate, Fate::Refused(_))),
        "a used-up invite is said: {first:?}"
    );
    relay.stop().await;
}

/// Who is blocked reaches nobody: his letters and his messages are refused by the relay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_blocked_reach_nobody() {
    let relay = restante_tests::relay::InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    bob.client.send(of_alice, "before").await.unwrap();
    alice.until_received(of_bob, 1).await;
    alice.client.block(of_bob).await.unwrap();
    alice.collect().await;
    bob.until(ContactState::Ended).await;
    let after = bob.client.send(of_alice, "after").await;
    assert_eq!(after, Err(Error::WrongState { state: ContactState::Ended }));
    alice.collect().await;
    assert_eq!(alice.texts(of_bob).await, ["before"]);
    relay.stop().await;
}

/// TRN-6: a relay at the right place with another identity is refused before anything is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_relay_at_the_same_place_is_refused() {
    let relay = restante_tests::relay::InProcess::start(&[]).await;
    let other = restante_tests::relay::InProcess::start(&[]).await;
    let address = restante_client::RelayAddress::new(
        *relay.address().identity(),
        other.address().host(),
        other.address().port(),
    );
    let alice = Person::new("Alice", &address.unwrap());
    let refused = alice.client.collect(WITHIN).await;
    assert_eq!(refused, Err(Error::WrongRelay));
    relay.stop().await;
    other.stop().await;
}

/// A home opened with another key says so, and is not touched.
#[tokio::test]
async fn a_wrong_key_is_said() {
    let relay = restante_tests::relay::InProcess::start(&[]).await;
    let alice = Person::new("Alice", relay.address());
    alice.client.shutdown().await.unwrap();
    let wrong = Client::builder(alice.home()).store_key(StoreKey::from_bytes([1; 32])).open();
    assert!(matches!(wrong, Err(Error::WrongKey)), "{wrong:?}");
    Client::builder(alice.home()).store_key(alice.key()).open().unwrap();
    relay.stop().await;
}
