//! A bot that answers what it is told with the same words.
//!
//! ```sh
//! export BOT_PASSPHRASE="what opens the bot's home"
//! cargo run -p restante-client --example echo_bot -- HOME restante://KEY@host:port [NICK...]
//! ```
//!
//! HOME is made at the first start. The bot prints an invite: whoever takes it becomes a contact,
//! or only those called NICK, if any are named. Nicknames are chosen freely, so the link is what
//! keeps strangers away.

use std::error::Error as Failure;
use std::path::Path;
use std::time::Duration;

use restante_client::{
    Client, ContactId, ContactState, Error, Event, InviteOptions, Message, MessageKind,
    RelayAddress, StoreKey,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Failure>> {
    let mut words = std::env::args().skip(1);
    let (Some(home), Some(relay)) = (words.next(), words.next()) else {
        return Err("usage: echo_bot HOME ADDRESS [NICK...]".into());
    };
    let welcome: Vec<String> = words.collect();
    let client = open(Path::new(&home), &relay.parse()?)?;
    let mut events = client.events();
    client.start()?;
    let link = client.invite(InviteOptions { uses: 100, ..InviteOptions::default() }).await?;
    client.collect(Duration::from_secs(20)).await?;
    println!("{link}");
    // Who asked before this start is answered now, everybody else when they ask.
    for contact in client.contacts().await? {
        decide(&client, contact.id, &welcome).await?;
    }
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            Some(Event::Contact(contact)) => decide(&client, contact.id, &welcome).await?,
            Some(Event::Message(message)) => answer(&client, &message).await?,
            Some(_) => {}
            None => return Ok(client.shutdown().await?),
        }
    }
}

/// Opens the bot's account, or makes it.
fn open(home: &Path, relay: &RelayAddress) -> Result<Client, Box<dyn Failure>> {
    let passphrase = std::env::var("BOT_PASSPHRASE")?;
    let builder = || {
        let key = StoreKey::from_passphrase(home, &passphrase)?;
        Ok::<_, Error>(Client::builder(home).store_key(key))
    };
    match builder()?.open() {
        Err(Error::NoStore) => Ok(builder()?.create(relay, "Echo")?),
        opened => Ok(opened?),
    }
}

/// The rule for those who ask: all of them, or those who were named. Events may tell of a request
/// twice, so what counts is how it stands now.
async fn decide(client: &Client, who: ContactId, welcome: &[String]) -> Result<(), Error> {
    let contact = client.contact(who).await?;
    if contact.state != ContactState::Incoming {
        return Ok(());
    }
    if welcome.is_empty() || welcome.contains(&contact.nickname) {
        client.accept_contact(who).await?;
    } else {
        client.decline_contact(who).await?;
    }
    Ok(())
}

/// Says the same. Where nobody would hear it there is nothing to do.
async fn answer(client: &Client, message: &Message) -> Result<(), Error> {
    if message.from_me() || message.kind != MessageKind::Text {
        return Ok(());
    }
    match client.send(message.conversation, &message.text).await {
        Ok(_) | Err(Error::WrongState { .. } | Error::WrongStanding { .. }) => {}
        Err(error) => return Err(error),
    }
    client.mark_read(message.conversation).await
}
