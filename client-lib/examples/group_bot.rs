//! A bot for groups: it greets who is added, and answers `!count` with the number of messages.
//!
//! ```sh
//! restante --home HOME init --relay restante://KEY@host:port --name Counter
//! restante --home HOME invite      # for somebody who will add the bot to groups
//! cargo run -p restante-client --example group_bot -- HOME
//! ```
//!
//! The account is one that the app has made, with its key in the home's file `key`. The bot agrees
//! to every contact and to every group it is added to, so give the invite to friends only.

use std::error::Error as Failure;
use std::path::Path;

use data_encoding::HEXLOWER;
use restante_client::{
    Client, ContactState, ConversationId, ConversationKind, Error, Event, GroupChange, Message,
    MessageKind, Standing, StoreKey,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Failure>> {
    let home = std::env::args().nth(1).ok_or("usage: group_bot HOME")?;
    let key = std::fs::read_to_string(Path::new(&home).join("key"))?;
    let key = HEXLOWER.decode(key.trim().as_bytes())?;
    let key = StoreKey::from_bytes(key.try_into().map_err(|_| "the key file holds no key")?);
    let client = Client::builder(&home).store_key(key).open()?;
    let mut events = client.events();
    client.start()?;
    client.connect().await?;
    agree(&client).await?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            Some(Event::Message(message)) => hear(&client, &message).await?,
            Some(Event::Contact(_) | Event::Conversation(_)) => agree(&client).await?,
            Some(_) => {}
            None => return Ok(client.shutdown().await?),
        }
    }
}

/// Agrees to what was asked: to be a contact, to be in a group.
async fn agree(client: &Client) -> Result<(), Error> {
    for contact in client.contacts().await? {
        if contact.state == ContactState::Incoming {
            client.accept_contact(contact.id).await?;
        }
    }
    for conversation in client.conversations().await? {
        let is_group = conversation.kind == ConversationKind::Group;
        if is_group && conversation.standing == Standing::Invited {
            client.accept_group(conversation.id).await?;
        }
    }
    Ok(())
}

/// Greets those an event says were added, and answers the one command.
async fn hear(client: &Client, message: &Message) -> Result<(), Error> {
    let (group, me) = (message.conversation, client.own_id().await?);
    for change in &message.changes {
        if let GroupChange::Added(who) = change
            && *who != me
        {
            let members = client.members(group).await?;
            let known = members.iter().find(|one| one.id == *who && !one.nickname.is_empty());
            let name = known.map_or(String::new(), |one| format!(", {}", one.nickname));
            say(client, group, &format!("Welcome{name}!")).await?;
        }
    }
    if !message.from_me() && message.kind == MessageKind::Text && message.text.trim() == "!count" {
        let number = count(client, group).await?;
        say(client, group, &format!("{number} messages up to here")).await?;
    }
    Ok(())
}

/// Counts the texts of a group, page by page from the end.
async fn count(client: &Client, group: ConversationId) -> Result<usize, Error> {
    let (mut number, mut before) = (0, None);
    loop {
        let page = client.history(group, before, 200).await?;
        let Some(first) = page.first() else { return Ok(number) };
        before = Some(first.position);
        number += page.iter().filter(|message| message.kind == MessageKind::Text).count();
    }
}

/// Says something, where the bot may.
async fn say(client: &Client, group: ConversationId, text: &str) -> Result<(), Error> {
    match client.send(group, text).await {
        Ok(_) | Err(Error::WrongStanding { .. } | Error::NotAllowed) => Ok(()),
        Err(error) => Err(error),
    }
}
