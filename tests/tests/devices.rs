//! Two people with two devices each, on a relay that is really there.

use restante_client::{Client, ConversationId, Error, Message, MessageKind, Standing};
use restante_tests::people::{Person, introduce};
use restante_tests::relay::Process;
use restante_tests::until::{until, until_contact, until_devices, until_standing};

async fn until_texts(client: &Client, of: ConversationId, count: usize) -> Vec<Message> {
    until(client, "texts", async |client| {
        let all = client.history(of, None, 1_000).await.ok()?;
        // One that has no place yet is on its way.
        let placed = |m: &Message| m.kind == MessageKind::Text && m.seq.is_some();
        let all: Vec<_> = all.into_iter().filter(placed).collect();
        (all.len() >= count).then_some(all)
    })
    .await
}

/// DEV-7, DEV-8, DEV-12, DEV-13: two people with two devices each and one group: all four show the
/// same messages in the same order, contacts and read marks are shared, and a removed device is
/// out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_devices_show_one_order() {
    let place = tempfile::tempdir().unwrap();
    let relay =
        Process::start(&place.path().join("data"), "127.0.0.1:0", &place.path().join("log"));
    let (alice, bob) = (Person::new("Alice", relay.address()), Person::new("Bob", relay.address()));
    let (of_bob, of_alice) = introduce(&alice, &bob).await;
    let laptop = Person::linked(&alice, relay.address()).await;
    let tablet = Person::linked(&bob, relay.address()).await;
    until_contact(&laptop.client, of_bob).await;
    until_contact(&tablet.client, of_alice).await;

    let group = laptop.client.create_group("Four", false).await.unwrap().id;
    until_standing(&alice.client, group, Standing::Open).await;
    // Its standing is told among the own devices; it is in the group once its Welcome has come.
    until_devices(&alice.client, group, &[2]).await;
    alice.client.add_member(group, of_bob).await.unwrap();
    until_standing(&tablet.client, group, Standing::Invited).await;
    tablet.client.accept_group(group).await.unwrap();
    let all = [&alice.client, &laptop.client, &bob.client, &tablet.client];
    for client in all {
        until_standing(client, group, Standing::Open).await;
        until_devices(client, group, &[2, 2]).await;
    }
    for round in 0..5 {
        for (number, client) in all.iter().enumerate() {
            client.send(group, &format!("{round} from {number}")).await.unwrap();
        }
    }
    let seen = until_texts(&alice.client, group, 20).await;
    let key = |message: &Message| (message.seq, message.id, message.text.clone());
    for client in &all[1..] {
        let others = until_texts(client, group, 20).await;
        assert!(seen.iter().map(key).eq(others.iter().map(key)), "one order for all");
    }
    let own = seen.iter().filter(|message| message.from_me()).count();
    assert_eq!(own, 10, "what the other device wrote is this account's");

    laptop.client.mark_read(group).await.unwrap();
    until(&alice.client, "read", async |client| {
        (client.conversation(group).await.ok()?.unread == 0).then_some(())
    })
    .await;

    alice.client.remove_device(2).await.unwrap();
    until_devices(&bob.client, group, &[1, 2]).await;
    until(&laptop.client, "removed", async |client| {
        matches!(client.send(group, "still here").await, Err(Error::Cloned)).then_some(())
    })
    .await;
    bob.client.send(group, "without it").await.unwrap();
    assert_eq!(until_texts(&alice.client, group, 21).await[20].text, "without it");
    let left = laptop.client.history(group, None, 1_000).await.unwrap();
    assert!(left.iter().all(|message| message.text != "without it"));
}
