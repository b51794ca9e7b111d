//! People for tests: each with a home of their own, on a relay that is really there.

use std::path::Path;
use std::time::Duration;

use restante_client::{
    Client, Contact, ContactId, ContactState, ConversationId, Event, InviteOptions, Message,
    MessageKind, Notice, StoreKey, Transfer, TransferId,
};
use restante_spec::address::RelayAddress;
use tempfile::TempDir;

/// Nothing between people takes longer, or the test has failed.
pub const WITHIN: Duration = Duration::from_secs(60);

/// Someone with an account.
pub struct Person {
    /// The account's client, running.
    pub client: Client,
    home: TempDir,
    key: [u8; 32],
}

impl Person {
    /// A new account on this relay.
    pub fn new(nickname: &str, relay: &RelayAddress) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let key = crate::wire::random();
        let client = Client::builder(home.path())
            .store_key(StoreKey::from_bytes(key))
            .create(relay, nickname)
            .expect("an account");
        client.start().expect("started");
        Self { client, home, key }
    }

    /// A second device of somebody, linked: a code on one screen, a number on both. Both stay
    /// connected.
    pub async fn linked(first: &Self, relay: &RelayAddress) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let key = crate::wire::random();
        let client = Client::builder(home.path())
            .store_key(StoreKey::from_bytes(key))
            .link(relay)
            .expect("a new device");
        client.start().expect("started");
        client.collect(WITHIN).await.expect("its inbox is made");
        let mut events = client.events();
        let code = client.link_code().await.expect("asked").expect("a code");
        let check = first.client.link_device(&code, "second").await.expect("taken in");
        client.connect().await.expect("connects");
        first.client.connect().await.expect("connects");
        loop {
            if let Event::Notice(Notice::LinkOffered { check: shown }) =
                events.next().await.expect("events")
            {
                assert_eq!(shown, check, "both screens show one number");
                break;
            }
        }
        client.finish_link().await.expect("linked");
        Self { client, home, key }
    }

    /// Closes the client, so that the app can open the home.
    pub async fn leave_to_the_app(&self) {
        self.client.shutdown().await.expect("closed");
        let key = data_encoding::HEXLOWER.encode(&self.key);
        std::fs::write(self.home().join("key"), key).expect("written");
    }

    /// The folder the account lives in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The key of the account's store.
    pub fn key(&self) -> StoreKey {
        StoreKey::from_bytes(self.key)
    }

    /// Closes the client and opens the home again.
    pub async fn restart(&mut self) {
        self.client.shutdown().await.expect("closed");
        self.reopen();
    }

    /// Opens the home of a client that was shut down.
    pub fn reopen(&mut self) {
        self.client = Client::builder(self.home.path())
            .store_key(StoreKey::from_bytes(self.key))
            .open()
            .expect("opened again");
        self.client.start().expect("started");
    }

    /// The process ends without a word, and another opens the home.
    pub fn killed_and_reopened(self) -> Self {
        let Self { client, home, key } = self;
        // Its driver ends where it stands, and the home is free.
        drop(client);
        let client = Client::builder(home.path())
            .store_key(StoreKey::from_bytes(key))
            .open()
            .expect("opened again");
        client.start().expect("started");
        Self { client, home, key }
    }

    /// Fetches what is waiting and sends what can be sent.
    pub async fn collect(&self) {
        self.client.collect(WITHIN).await.expect("collected");
    }

    /// The only contact there is.
    pub async fn only_contact(&self) -> Contact {
        let mut contacts = self.client.contacts().await.expect("contacts");
        assert_eq!(contacts.len(), 1, "one contact");
        contacts.remove(0)
    }

    /// Waits, connected, until a contact has come to this state.
    pub async fn until(&self, state: ContactState) -> ContactId {
        let mut events = self.client.events();
        self.client.connect().await.expect("connects");
        let wait = async {
            loop {
                let contacts = self.client.contacts().await.expect("contacts");
                if let Some(found) = contacts.iter().find(|contact| contact.state == state) {
                    return found.id;
                }
                events.next().await.expect("events");
            }
        };
        tokio::time::timeout(WITHIN, wait).await.expect("in time")
    }

    /// Waits, connected, until so many messages of this contact have arrived.
    pub async fn until_received(&self, contact: ContactId, count: usize) -> Vec<Message> {
        let mut events = self.client.events();
        self.client.connect().await.expect("connects");
        let wait = async {
            loop {
                let all = self.history(contact).await;
                if all.iter().filter(|message| !message.from_me()).count() >= count {
                    return all;
                }
                while !matches!(
                    events.next().await.expect("events"),
                    Event::Message(_) | Event::Resync
                ) {}
            }
        };
        tokio::time::timeout(WITHIN * 5, wait).await.expect("in time")
    }

    /// A transfer as it stands.
    pub async fn transfer(&self, id: TransferId) -> Transfer {
        let all = self.client.transfers().await.expect("transfers");
        all.into_iter().find(|transfer| transfer.id == id).expect("listed")
    }

    /// Waits, connected, until this holds of a transfer.
    pub async fn until_transfer(
        &self,
        wanted: TransferId,
        holds: impl Fn(&Transfer) -> bool,
    ) -> Transfer {
        let mut events = self.client.events();
        self.client.connect().await.expect("connects");
        let wait = async {
            loop {
                let transfer = self.transfer(wanted).await;
                if holds(&transfer) {
                    return transfer;
                }
                let news = |event: &Event| match event {
                    Event::Transfer { id, .. } => *id == wanted,
                    event => *event == Event::Resync,
                };
                while !news(&events.next().await.expect("events")) {}
            }
        };
        tokio::time::timeout(WITHIN * 5, wait).await.expect("in time")
    }

    /// Reacts to, edits, takes back or answers each of the newest texts of a conversation.
    pub async fn act_on_the_newest(&self, of: impl Into<ConversationId>) {
        let (of, client) = (of.into(), &self.client);
        let mut newest = client.history(of, None, 8).await.expect("a page");
        newest.retain(|message| message.kind == MessageKind::Text && message.seq.is_some());
        for (number, Message { id, .. }) in newest.iter().enumerate() {
            let done = match (number % 4, newest[number].from_me()) {
                (0, _) => client.react(of, *id, Some("+")).await.map(drop),
                (1, true) => client.edit(of, *id, "edited").await.map(drop),
                (2, true) => client.delete(of, &[*id]).await,
                _ => client.send_reply(of, *id, "re").await.map(drop),
            };
            done.expect("done");
        }
    }

    /// The whole conversation, page by page, oldest first.
    pub async fn history(&self, of: impl Into<ConversationId>) -> Vec<Message> {
        let of = of.into();
        let mut all: Vec<Message> = Vec::new();
        loop {
            let before = all.first().map(|message| message.position);
            let page = self.client.history(of, before, 200).await.expect("a page");
            if page.is_empty() {
                return all;
            }
            all.splice(0..0, page);
        }
    }

    /// The texts of a conversation.
    pub async fn texts(&self, of: impl Into<ConversationId>) -> Vec<String> {
        self.history(of).await.into_iter().map(|message| message.text).collect()
    }
}

/// Lets two people meet: an invite, a letter, an agreement. Returns what each calls the other.
pub async fn introduce(alice: &Person, bob: &Person) -> (ContactId, ContactId) {
    let options = InviteOptions::default();
    let link = alice.client.invite(options).await.expect("an invite");
    alice.collect().await;
    bob.client.accept_invite(link.as_str(), None).await.expect("accepted");
    bob.collect().await;
    let of_bob = alice.until(ContactState::Incoming).await;
    alice.client.accept_contact(of_bob).await.expect("agreed");
    alice.until(ContactState::Active).await;
    let of_alice = bob.until(ContactState::Active).await;
    (of_bob, of_alice)
}

/// What every device of an account must show of a message, but for how far it has come.
#[must_use]
pub fn row(message: &Message) -> impl PartialEq + std::fmt::Debug + use<> {
    let Message { id, author, text, kind, changes, seq, .. } = message.clone();
    let Message { at, reply_to, edited, deleted_by, reactions, expires_at, .. } = message.clone();
    ((id, author, text, kind, changes, seq), (at, reply_to, edited), {
        (deleted_by, reactions, expires_at)
    })
}
