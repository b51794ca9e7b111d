//! Waiting for what comes about by itself at a client that is connected; its events say when to
//! look again.

use restante_client::{Client, ContactId, ContactState, ConversationId, Standing};

use crate::people::WITHIN;

/// Waits until something is so.
pub async fn until<T>(client: &Client, what: &str, is_so: impl AsyncFn(&Client) -> Option<T>) -> T {
    let mut events = client.events();
    let wait = async {
        loop {
            if let Some(found) = is_so(client).await {
                return found;
            }
            events.next().await.expect("events");
        }
    };
    tokio::time::timeout(WITHIN * 5, wait).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

/// Until the client knows of a conversation and stands so in it.
pub async fn until_standing(client: &Client, of: ConversationId, standing: Standing) {
    until(client, "standing", async |client| {
        let found = client.conversation(of).await.ok()?;
        (found.standing == standing).then_some(())
    })
    .await;
}

/// Until the client knows a contact as its own, and by name.
pub async fn until_contact(client: &Client, contact: ContactId) {
    until(client, "a contact", async |client| {
        let found = client.contact(contact).await.ok()?;
        (found.state == ContactState::Active && !found.nickname.is_empty()).then_some(())
    })
    .await;
}

/// Until the accounts in a group have so many devices in it.
pub async fn until_devices(client: &Client, of: ConversationId, devices: &[u32]) {
    until(client, "devices", async |client| {
        let members = client.members(of).await.ok()?;
        (members.iter().map(|m| m.devices).collect::<Vec<_>>() == devices).then_some(())
    })
    .await;
}
