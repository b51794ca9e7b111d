//! Rooms as people use them: a founder, two hosts and an audience on a real relay over TLS.

use std::io::Read;

use restante_client::{
    AttachOptions, AttachmentState, ConversationId, Error, Event, EventStream, Fate, Goal,
    GroupChange, Message, MessageId, MessageKind, Notice, Role, Standing, Who,
};
use restante_tests::people::{Person, WITHIN, introduce};
use restante_tests::relay::InProcess;
use restante_tests::until::until_standing;

const READERS: usize = 20;

/// A room with everybody in it connected.
struct Hall {
    relay: InProcess,
    id: ConversationId,
    founder: Person,
    hosts: Vec<Person>,
    readers: Vec<Person>,
}

impl Hall {
    async fn open() -> Self {
        let relay = InProcess::start(&[]).await;
        let founder = Person::new("Founder", relay.address());
        let id = founder.client.create_room("Agora", false).await.unwrap().id;
        founder.collect().await;
        let mut hall = Self { relay, id, founder, hosts: Vec::new(), readers: Vec::new() };
        for name in ["Hera", "Hermes"] {
            hall.add_host(name).await;
        }
        for n in 0..READERS {
            let reader = hall.enter(&format!("Reader {n}")).await;
            hall.readers.push(reader);
        }
        hall
    }

    async fn add_host(&mut self, name: &str) {
        let host = Person::new(name, self.relay.address());
        let (of_host, _) = introduce(&self.founder, &host).await;
        self.founder.client.add_host(self.id, of_host).await.unwrap();
        until_standing(&host.client, self.id, Standing::Invited).await;
        let mut events = host.client.events();
        host.client.accept_room(self.id).await.unwrap();
        while host.client.conversation(self.id).await.unwrap().role != Role::Administrator {
            next(&mut events).await;
        }
        self.hosts.push(host);
    }

    /// Somebody comes in with the link and stays connected.
    async fn enter(&self, name: &str) -> Person {
        let link = self.founder.client.room_link(self.id).await.unwrap();
        let reader = Person::new(name, self.relay.address());
        reader.client.join_room(link.as_str()).await.unwrap();
        reader.client.connect().await.unwrap();
        reader
    }

    /// Somebody says something, and it counts.
    async fn say(&self, who: &Person, text: &str) {
        let said = who.client.send(self.id, text).await.unwrap();
        let fate = who.client.wait_fate(said.id, Goal::Accepted, WITHIN).await;
        assert_eq!(fate, Ok(Fate::Accepted), "{text}");
    }

    /// Everybody reads this, in this order, at the same places.
    async fn all_read(&self, texts: &[&str]) {
        let founder = self.read(&self.founder, texts).await;
        for person in self.hosts.iter().chain(&self.readers) {
            assert_eq!(self.read(person, texts).await, founder);
        }
    }

    /// Somebody reads this; gives the ids and places.
    async fn read(&self, person: &Person, texts: &[&str]) -> Vec<(String, Option<u64>)> {
        let mut events = person.client.events();
        loop {
            let history = said(person, self.id).await;
            if history.iter().map(|one| one.text.as_str()).eq(texts.iter().copied()) {
                let place = |one: &Message| (one.id.to_string(), one.seq.map(|seq| seq.get()));
                return history.iter().map(place).collect();
            }
            next(&mut events).await;
        }
    }

    /// Everybody knows whether the audience may write.
    async fn all_know(&self, writers: Who) {
        for person in self.hosts.iter().chain(&self.readers) {
            let mut events = person.client.events();
            while person.client.conversation(self.id).await.unwrap().policy.writers != writers {
                next(&mut events).await;
            }
        }
    }
}

/// Texts of a room.
async fn said(person: &Person, id: ConversationId) -> Vec<Message> {
    let mut history = person.client.history(id, None, 1_000).await.unwrap();
    history.retain(|one| one.kind == MessageKind::Text);
    history
}

async fn next(events: &mut EventStream) -> Event {
    let event = tokio::time::timeout(WITHIN, events.next()).await;
    event.expect("something happens in time").expect("it runs")
}

/// ROM-5, ROM-9, ROM-11, ROM-14: hosts write and everybody reads one order; who comes later finds
/// what is kept; the audience is unmuted and muted again; an announced rotation takes everybody
/// along, and one that is not announced nobody who was not handed the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_serves_its_audience() {
    let mut hall = Hall::open().await;
    hall.say(&hall.founder, "welcome").await;
    hall.say(&hall.hosts[0], "from Hera").await;
    hall.say(&hall.hosts[1], "from Hermes").await;
    hall.all_read(&["welcome", "from Hera", "from Hermes"]).await;
    let refused = hall.readers[0].client.send(hall.id, "may I?").await;
    assert_eq!(refused.unwrap_err(), Error::NotAllowed);
    let late = hall.enter("Late").await;
    hall.readers.push(late);
    hall.all_read(&["welcome", "from Hera", "from Hermes"]).await;

    hall.founder.client.set_room_audience(hall.id, true).await.unwrap();
    hall.all_know(Who::Everybody).await;
    hall.say(&hall.readers[3], "a question").await;
    hall.founder.client.set_room_audience(hall.id, false).await.unwrap();
    hall.all_know(Who::Administrators).await;
    let refused = hall.readers[3].client.send(hall.id, "another").await;
    assert_eq!(refused.unwrap_err(), Error::NotAllowed);
    hall.say(&hall.hosts[0], "an answer").await;
    let so_far = ["welcome", "from Hera", "from Hermes", "a question", "an answer"];
    hall.all_read(&so_far).await;

    let link = hall.founder.client.room_link(hall.id).await.unwrap();
    hall.founder.client.rotate_room(hall.id, true).await.unwrap();
    let away = hall.readers.pop().unwrap();
    away.client.disconnect().await.unwrap();
    for person in hall.hosts.iter().chain(&hall.readers) {
        let mut events = person.client.events();
        while person.client.room_link(hall.id).await.unwrap() == link {
            next(&mut events).await;
        }
    }
    hall.say(&hall.hosts[1], "under the next key").await;
    away.client.connect().await.unwrap();
    hall.readers.push(away);
    hall.all_read(&[&so_far[..], &["under the next key"]].concat()).await;
    let history = hall.readers[0].client.history(hall.id, None, 1_000).await.unwrap();
    let changes: Vec<_> = history.into_iter().flat_map(|one| one.changes).collect();
    let told = [GroupChange::Audience(true), GroupChange::Audience(false), GroupChange::Key];
    assert_eq!(changes, told);

    let outside = hall.readers.pop().unwrap();
    let mut events = outside.client.events();
    hall.founder.client.rotate_room(hall.id, false).await.unwrap();
    let locked = Event::Notice(Notice::RoomLocked { conversation: hall.id });
    while next(&mut events).await != locked {}
    let link = hall.founder.client.room_link(hall.id).await.unwrap();
    for reader in &hall.readers {
        reader.client.join_room(link.as_str()).await.unwrap();
    }
    for host in &hall.hosts {
        let mut events = host.client.events();
        while host.client.room_link(hall.id).await.unwrap() != link {
            next(&mut events).await;
        }
    }
    hall.say(&hall.hosts[0], "among us").await;
    for reader in hall.readers.iter().chain(&hall.hosts) {
        let mut events = reader.client.events();
        while said(reader, hall.id).await.last().is_none_or(|one| one.text != "among us") {
            next(&mut events).await;
        }
    }
    let seen = said(&outside, hall.id).await;
    assert_eq!(seen.last().unwrap().text, "under the next key");
    for person in hall.hosts.iter().chain(&hall.readers).chain([&hall.founder, &outside]) {
        person.client.shutdown().await.unwrap();
    }
    hall.relay.stop().await;
}

/// CNT-8, ROM-3: a host shows a file, and everybody who reads has it, also who comes later; one of
/// an audience that may not write shows none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_shows_files() {
    let mut hall = Hall::open().await;
    let place = tempfile::tempdir().unwrap();
    let (path, bytes) = (place.path().join("map"), b"known words ".repeat(15_000));
    std::fs::write(&path, &bytes).unwrap();
    let attach = async |who: &Person| {
        who.client.attach(hall.id, &path, AttachOptions::default()).await.map(|sent| sent.id)
    };
    assert_eq!(attach(&hall.readers[0]).await.unwrap_err(), Error::NotAllowed);
    let sent = attach(&hall.hosts[0]).await.unwrap();
    let fate = hall.hosts[0].client.wait_fate(sent, Goal::Accepted, WITHIN).await;
    assert_eq!(fate, Ok(Fate::Accepted));
    let late = hall.enter("Late").await;
    hall.readers.push(late);
    for reader in [&hall.founder, &hall.hosts[1]].into_iter().chain(&hall.readers) {
        let mut events = reader.client.events();
        while !is_here(reader, sent).await {
            next(&mut events).await;
        }
        let mut read = Vec::new();
        reader.client.open_attachment(sent).await.unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
    }
    hall.relay.stop().await;
}

/// Whether a message has come, and its file with it.
async fn is_here(person: &Person, id: MessageId) -> bool {
    let message = person.client.message(id).await.ok();
    let file = message.and_then(|message| message.attachment);
    file.is_some_and(|file| file.state == AttachmentState::Here)
}
