//! History for a new device, with a relay and processes that are really there: the app's program on
//! both sides is killed at random moments, and what comes of it is compared row by row.
//!
//! `RESTANTE_HISTORY` is how many messages there are, for more than CI's.

use std::time::Instant;

use restante_client::{
    Client, ContactId, ConversationId, Error, Message, MessageKind, RecoverySecret, Role, Standing,
    StoreKey,
};
use restante_tests::app::{KILLS, sync_amid_kills};
use restante_tests::people::{Person, WITHIN, introduce, row};
use restante_tests::proxy::Proxy;
use restante_tests::relay::{Process, client_program};
use restante_tests::until::{until, until_standing};
use restante_tests::wire::random;

/// Messages when nothing else is said.
const MESSAGES: usize = 4_000;
/// Messages that are sent before both sides take what is there.
const BATCH: usize = 400;

fn messages() -> usize {
    std::env::var("RESTANTE_HISTORY").map_or(MESSAGES, |text| text.parse().expect("a number"))
}

/// Lets two people say so much to each other, and do something with some of it.
async fn talk(alice: &Person, of_bob: ContactId, bob: &Person, of_alice: ContactId) {
    for batch in 0..messages().div_ceil(2 * BATCH) {
        for number in 0..BATCH {
            let text = format!("{batch} {number}: {}", "some words of it ".repeat(number % 12));
            alice.client.send(of_bob, &text).await.unwrap();
            bob.client.send(of_alice, &text).await.unwrap();
        }
        for person in [alice, bob, alice] {
            person.collect().await;
        }
        alice.act_on_the_newest(of_bob).await;
        for person in [alice, bob, alice] {
            person.collect().await;
        }
    }
}

/// Until nothing is queued: a relay that is asked too much takes the rest later.
async fn send_all(people: &[&Person]) {
    for person in people {
        while person.client.collect(WITHIN).await.unwrap().queued > 0 {}
    }
    for person in people {
        person.collect().await;
    }
}

/// What both must show of a message.
fn shown(message: &Message) -> impl PartialEq + std::fmt::Debug + use<> {
    // Of what is gone a device does not say how far it had come.
    (row(message), (!message.text.is_empty()).then_some(message.fate))
}

/// DEV-16, ARC-3 to ARC-6: killed at random moments on both sides, a new device comes to the same
/// history, row by row, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_has_the_same_history_whatever_is_killed() {
    client_program("restante");
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let proxy = Proxy::start(relay.address()).await;
    let alice = Person::new("Alice", proxy.address());
    let bob = Person::new("Bob", relay.address());
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let begun = Instant::now();
    talk(&alice, of_bob, &bob, of_alice).await;
    send_all(&[&alice, &bob]).await;
    println!("made in {:?}", begun.elapsed());

    let laptop = Person::linked(&alice, proxy.address()).await;
    for person in [&alice, &laptop] {
        person.leave_to_the_app().await;
    }
    let (begun, before) = (Instant::now(), proxy.carried());
    let (kills, amid) = sync_amid_kills(&alice, &laptop).await;
    let (took, after) = (begun.elapsed(), proxy.carried());

    let (mut alice, mut laptop) = (alice, laptop);
    // What Bob owes he sends with his last words; both devices hear it.
    bob.client.shutdown().await.unwrap();
    for device in [&mut alice, &mut laptop] {
        device.reopen();
        device.collect().await;
    }
    let (ours, theirs) = (alice.history(of_bob).await, laptop.history(of_bob).await);
    println!(
        "{} messages in {took:?} with {kills} kills, seen amid it {amid} times; up {} and down {} \
         bytes",
        ours.len(),
        after.0 - before.0,
        after.1 - before.1
    );
    assert_eq!(ours.len(), theirs.len());
    assert!(kills >= KILLS && ours.len() >= messages(), "{kills} kills");
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(shown(one), shown(other));
    }
    let unread = async |person: &Person| person.client.contact(of_bob).await.unwrap().unread;
    assert_eq!(unread(&alice).await, unread(&laptop).await);
    let found = async |person: &Person| person.client.search("edited", 10_000).await.unwrap().len();
    assert_eq!(found(&alice).await, found(&laptop).await);
    assert_eq!(relay.terminate(), Some(0));
}

/// What people wrote in a conversation.
async fn said(client: &Client, of: ConversationId) -> Vec<String> {
    let all = client.history(of, None, 100).await.unwrap().into_iter();
    all.filter(|message| message.kind == MessageKind::Text).map(|message| message.text).collect()
}

/// Until so much was said in a conversation, and nothing is missing.
async fn until_said(client: &Client, of: ConversationId, texts: &[&str]) {
    until(client, "what was said", async |client| {
        let whole = client.gaps(of).await.unwrap().is_empty();
        (whole && said(client, of).await == texts).then_some(())
    })
    .await;
}

/// Until somebody's device asks to be let in again; then agrees. A lost device may have been asked
/// before it was removed, and is waited for.
async fn agree(client: &Client, of: ConversationId, who: ContactId) {
    until(client, "a wish to come back", async |client| {
        (client.callers(of).await.unwrap() == [who]).then_some(())
    })
    .await;
    client.consent(of, who, true).await.unwrap();
}

/// A group of Alice's in which Bob may add devices, with a word in it.
async fn group(alice: &Person, of_bob: ContactId, bob: &Person) -> ConversationId {
    let group = alice.client.create_group("Tea", false).await.unwrap().id;
    alice.client.add_member(group, of_bob).await.unwrap();
    until_standing(&bob.client, group, Standing::Invited).await;
    bob.client.accept_group(group).await.unwrap();
    alice.client.set_role(group, of_bob, Role::Administrator).await.unwrap();
    alice.client.send(group, "before").await.unwrap();
    until_said(&bob.client, group, &["before"]).await;
    group
}

/// REV-5 to REV-7, CNV-19: on a clean machine the file brings back what was there. The new device
/// asks to be let into its conversations; until a person agrees they are read and not written in,
/// then both sides talk on, what was missed is given, and the history before is as it was. Letters
/// come to the inbox as before, and new conversations go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_account_is_reached_again() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let [alice, bob, carol] =
        ["Alice", "Bob", "Carol"].map(|name| Person::new(name, relay.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    alice.client.send(of_bob, "before").await.unwrap();
    alice.collect().await;
    let group = group(&alice, of_bob, &bob).await;
    let invite = alice.client.invite(restante_client::InviteOptions::default()).await.unwrap();
    alice.client.set_verified(of_bob, true).await.unwrap();
    alice.collect().await;
    let before = alice.history(of_bob).await;
    let file = place.path().join("drawer");
    let secret = RecoverySecret::new_words().unwrap();
    let words = secret.words().unwrap().unwrap();
    let messages = alice.client.write_recovery(&file, secret).await.unwrap();
    assert!(messages >= before.len() as u64);
    drop(alice);
    for of in [of_alice.into(), group] {
        bob.client.send(of, "missed").await.unwrap();
    }
    bob.collect().await;

    let home = tempfile::tempdir().unwrap();
    let key = StoreKey::from_bytes(random());
    let secret = RecoverySecret::from_words(&words).unwrap();
    let again = Client::builder(home.path()).store_key(key).restore(&file, &secret).unwrap();
    again.start().unwrap();
    // Those that are lost need not be asked.
    again.remove_device(1).await.unwrap();
    let contact = again.contact(of_bob).await.unwrap();
    assert_eq!((contact.nickname.as_str(), contact.verified), ("Bob", true));
    let after = again.history(of_bob, None, 100).await.unwrap();
    assert!(before.iter().map(shown).eq(after.iter().map(shown)));
    again.collect(WITHIN).await.unwrap();
    let refused = again.send(of_bob, "after").await;
    assert_eq!(refused, Err(Error::WrongStanding { standing: Standing::Restored }));

    carol.client.accept_invite(invite.as_str(), Some("by an old invite")).await.unwrap();
    carol.collect().await;
    again.collect(WITHIN).await.unwrap();
    let of_carol = again.find_contact("Carol").await.unwrap().id;
    again.accept_contact(of_carol).await.unwrap();
    again.collect(WITHIN).await.unwrap();
    carol.collect().await;
    again.send(of_carol, "as before").await.unwrap();
    again.collect(WITHIN).await.unwrap();
    carol.collect().await;
    assert_eq!(carol.texts(of_alice).await, ["by an old invite", "as before"]);

    again.connect().await.unwrap();
    bob.client.connect().await.unwrap();
    for (mine, theirs) in [(of_bob.into(), of_alice.into()), (group, group)] {
        agree(&bob.client, theirs, of_alice).await;
        until_standing(&again, mine, Standing::Open).await;
        again.send(mine, "here again").await.unwrap();
        until_said(&bob.client, theirs, &["before", "missed", "here again"]).await;
        bob.client.send(theirs, "welcome").await.unwrap();
        for (client, of) in [(&again, mine), (&bob.client, theirs)] {
            until_said(client, of, &["before", "missed", "here again", "welcome"]).await;
        }
    }
    let after = again.history(of_bob, None, 100).await.unwrap();
    let kept = |message: &Message| (message.id, message.text.clone(), message.seq);
    assert!(before.iter().zip(&after).all(|(then, now)| kept(then) == kept(now)));
    assert_eq!(relay.terminate(), Some(0));
}
