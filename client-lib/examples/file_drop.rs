//! A box for files: whatever is sent to it is saved in a folder.
//!
//! ```sh
//! export BOT_PASSPHRASE="what opens the bot's home"
//! cargo run -p restante-client --example file_drop -- HOME restante://KEY@host:port FOLDER
//! ```
//!
//! HOME is made at the first start. The box prints an invite, and then the path of every file it
//! has saved. Whoever takes the invite becomes a contact, so give it to friends only. In FOLDER
//! files lie as they were sent, open; in HOME they stay encrypted.

use std::error::Error as Failure;
use std::path::{Path, PathBuf};
use std::time::Duration;

use restante_client::{
    AttachmentState, Client, ContactState, Error, Event, InviteOptions, Message, RelayAddress,
    StoreKey,
};

/// Files up to so many bytes come by themselves: more than any may have.
const EVERY_FILE: u64 = 1 << 30;
/// What stands beside a message once its file is safe.
const SAVED: &str = "📥";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Failure>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [home, relay, folder] = words.as_slice() else {
        return Err("usage: file_drop HOME ADDRESS FOLDER".into());
    };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    let client = open(Path::new(home), &relay.parse()?)?;
    let mut events = client.events();
    client.start()?;
    client.set_fetch_bytes(EVERY_FILE).await?;
    let link = client.invite(InviteOptions { uses: 100, ..InviteOptions::default() }).await?;
    client.collect(Duration::from_secs(20)).await?;
    println!("{link}");
    catch_up(&client, folder).await?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            Some(Event::Message(message) | Event::Changed(message)) => {
                save(&client, &message, folder).await?;
            }
            Some(Event::Contact(_) | Event::Resync) => catch_up(&client, folder).await?,
            Some(_) => {}
            None => return Ok(client.shutdown().await?),
        }
    }
}

/// Opens the box's account, or makes it.
fn open(home: &Path, relay: &RelayAddress) -> Result<Client, Box<dyn Failure>> {
    let passphrase = std::env::var("BOT_PASSPHRASE")?;
    let builder = || {
        let key = StoreKey::from_passphrase(home, &passphrase)?;
        Ok::<_, Error>(Client::builder(home).store_key(key))
    };
    match builder()?.open() {
        Err(Error::NoStore) => Ok(builder()?.create(relay, "Box")?),
        opened => Ok(opened?),
    }
}

/// Welcomes who has asked, and saves what has come while nobody looked.
async fn catch_up(client: &Client, folder: &Path) -> Result<(), Box<dyn Failure>> {
    for contact in client.contacts().await? {
        if contact.state == ContactState::Incoming {
            client.accept_contact(contact.id).await?;
        }
    }
    for conversation in client.conversations().await? {
        let mut before = None;
        loop {
            let page = client.history(conversation.id, before, 200).await?;
            let Some(first) = page.first() else { break };
            before = Some(first.position);
            for message in &page {
                save(client, message, folder).await?;
            }
        }
    }
    Ok(())
}

/// Saves the file of a message once it is here. Its name begins with the message's id, so that no
/// file takes the place of another, and one that is saved is known.
async fn save(client: &Client, message: &Message, folder: &Path) -> Result<(), Box<dyn Failure>> {
    let Some(file) = message.attachment.as_ref().filter(|_| !message.from_me()) else {
        return Ok(());
    };
    let path = folder.join(format!("{}-{}", message.id, file.file_name()));
    if file.state != AttachmentState::Here || path.exists() {
        return Ok(());
    }
    // It gets its name when all of it is there.
    let part: PathBuf = folder.join(format!(".{}", message.id));
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    match client.export_attachment(message.id, &part).await {
        Ok(()) => std::fs::rename(&part, &path)?,
        // Somebody sent what is no file, or has taken it back: theirs to know.
        Err(Error::Crypto(_) | Error::NoSuchFile | Error::NotHere) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    println!("{}", path.display());
    match client.react(message.conversation, message.id, Some(SAVED)).await {
        Ok(_) | Err(Error::WrongState { .. } | Error::WrongStanding { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(client.mark_read(message.conversation).await?)
}
