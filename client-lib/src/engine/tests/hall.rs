//! A room with people in it, carried by hand as `post.rs` carries everything else.

use bytes::Bytes;
use restante_crypto::{PostBody, RoomLink};
use restante_spec::content::{Body, Content, ContentHash, LogPosition, Role, Text};
use restante_spec::ids::{EnvelopeId, MailboxId, Seconds, Seq};
use restante_spec::message::{EnvelopeClass, MailboxClass, Opened, Rights};

use super::post::{NOW, Person, Post, events, person};
use super::*;
use crate::events::Notice;
use crate::store::RoomRow;
use crate::types::{ContactId, GroupChange, GroupMember, Message, MessageKind};

/// A room, and what lies in its mailbox.
pub(super) struct Hall {
    pub(super) post: Post,
    pub(super) people: Vec<Person>,
    pub(super) id: ConversationId,
}

pub(super) const ALICE: usize = 0;
pub(super) const BOB: usize = 1;
pub(super) const CAROL: usize = 2;

impl Hall {
    /// Alice has made it; Bob and Carol have its link.
    pub(super) fn new(audience_writes: bool) -> Self {
        let (mut post, mut alice) = (Post::default(), person("Alice"));
        let id = alice.engine.create_room("Agora", audience_writes).unwrap().id;
        post.do_jobs(&mut alice);
        let mut hall = Self { post, people: vec![alice], id };
        for name in ["Bob", "Carol"] {
            hall.enter(name);
        }
        hall.settle();
        hall.people.iter_mut().for_each(|person| drop(events(person)));
        hall
    }

    /// Somebody comes in with the link.
    pub(super) fn enter(&mut self, name: &str) -> usize {
        let mut guest = person(name);
        let link = self.link();
        guest.engine.join_room(&link).unwrap();
        self.post.round(&mut guest);
        self.people.push(guest);
        self.people.len() - 1
    }

    pub(super) fn link(&self) -> String {
        self.people[ALICE].engine.room_link(self.id).unwrap().to_string()
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..2 {
            self.people.iter_mut().for_each(|person| self.post.round(person));
        }
    }

    pub(super) fn say(&mut self, who: usize, text: &str) -> Message {
        self.people[who].engine.send(self.id, text).unwrap()
    }

    pub(super) fn history(&self, who: usize) -> Vec<Message> {
        self.people[who].engine.history(self.id, None, 1_000).unwrap()
    }

    pub(super) fn reads(&self, who: usize) -> Vec<String> {
        let texts = self.history(who).into_iter().filter(|one| one.kind == MessageKind::Text);
        texts.map(|message| message.text).collect()
    }

    pub(super) fn changes(&self, who: usize) -> Vec<GroupChange> {
        self.history(who).into_iter().flat_map(|message| message.changes).collect()
    }

    pub(super) fn shown(&mut self, who: usize) -> crate::types::Conversation {
        self.people[who].engine.conversation(self.id).unwrap()
    }

    pub(super) fn hosts(&mut self, who: usize) -> Vec<GroupMember> {
        let mut people = self.people[who].engine.group_members(self.id).unwrap();
        people.retain(|one| one.role > Role::Member);
        people
    }

    pub(super) fn account(&self, who: usize) -> ContactId {
        self.people[who].engine.own_id().unwrap()
    }

    pub(super) fn room(&self, who: usize) -> RoomRow {
        self.people[who].engine.store.read().room(&self.mailbox()).unwrap().unwrap()
    }

    pub(super) fn mailbox(&self) -> MailboxId {
        MailboxId::new(*self.id.as_bytes())
    }

    /// Lets somebody post what this client would not.
    pub(super) fn force(&mut self, who: usize, body: &PostBody) {
        let link =
            RoomLink::parse(&self.people[who].engine.room_link(self.id).unwrap().to_string());
        let (id, account) = (EnvelopeId::new(rand()), &self.people[who].engine.account);
        let certificate = account.certificate().unwrap();
        let key = link.unwrap().key().unwrap();
        let sealed = key.seal(&id, &account.device, certificate, body).unwrap();
        self.put(id, sealed);
    }

    pub(super) fn put(&mut self, id: EnvelopeId, body: Vec<u8>) {
        let mailbox = self.mailbox();
        self.post.put(mailbox, id, EnvelopeClass::Normal, None, false, body);
    }

    /// Notices since the last look.
    pub(super) fn notices(&mut self, who: usize) -> Vec<Notice> {
        let told = events(&mut self.people[who]).into_iter();
        told.filter_map(|event| if let Event::Notice(it) = event { Some(it) } else { None })
            .collect()
    }
}

/// A content as a device would have written it.
pub(super) fn content(id: EnvelopeId, counter: u64, text: &str) -> Vec<u8> {
    let body = Body::Text(Text { text: text.to_owned(), reply_to: None });
    let previous = (counter > 1).then_some(ContentHash::new([3; 32]));
    let (seen, random, at) = (LogPosition::default(), rand(), NOW.into());
    Content { id, counter, previous, random, seen, log: None, at, body }.encode().unwrap()
}

pub(super) fn rand() -> [u8; 16] {
    restante_crypto::random_bytes().unwrap()
}

impl Post {
    /// Brings a person a room up to its end, key by key, as a relay would let him read it.
    pub(super) fn bring_room(&self, person: &mut Person, room: MailboxId) {
        loop {
            let key = person.engine.reading_key(&room).unwrap().public();
            let relay = person.engine.own_address().to_owned();
            let Some(card) = self.cards.get(&key) else {
                return person.engine.open_refused(&relay, &room, Code::NotFound).unwrap();
            };
            person.engine.card_shown(&room, card).unwrap();
            let opened = Opened {
                class: MailboxClass::Room,
                rights: Rights::default(),
                ttl: Seconds::new(60),
                epoch: None,
                from: Seq::START,
                upto: None,
                expires_at: None,
                lagging: Vec::new(),
                memory_first: false,
            };
            let (_, cursor) = person.engine.reading_place(&room, &opened).unwrap().unwrap();
            let posts = self.boxes.get(&room).cloned().unwrap_or_default();
            let behind = posts.into_iter().filter(|(envelope, _)| envelope.seq > cursor);
            let batch: Vec<_> = behind.map(|(head, body)| (head, Bytes::from(body))).collect();
            let head = batch.last().map_or(cursor, |(last, _)| last.seq);
            if batch.is_empty() || !person.engine.receive(&room, batch).unwrap().reopen {
                return person.engine.caught_up(&room, head).unwrap();
            }
        }
    }

    /// Posts everything a person has to post in a room, if the relay lets him.
    pub(super) fn send_in_room(&mut self, person: &mut Person, room: MailboxId) {
        loop {
            if !person.engine.has_outgoing(&room).unwrap() {
                return;
            }
            let Writer::Key(key) = person.engine.writer(&room).unwrap() else { return };
            if !self.cards.contains_key(&key.public()) {
                person.engine.writing_refused(&room).unwrap();
                continue;
            }
            let change = person.engine.wants_commit(&room).unwrap();
            let posts = if change {
                person.engine.commit(&room).unwrap().into_iter().collect()
            } else {
                person.engine.outgoing(&room, 0, 100).unwrap()
            };
            if posts.is_empty() {
                return;
            }
            for what in posts {
                let appended = self.put(room, what.id, what.class, None, false, what.body);
                person.engine.accepted(&room, &what.id, &appended).unwrap();
            }
            self.bring_room(person, room);
            self.do_jobs(person);
        }
    }
}
