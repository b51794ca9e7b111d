//! Three people who know each other and share a group.

use restante_spec::ids::MailboxId;

use super::post::{Person, Post, events, person};
use crate::types::{
    ContactState, ConversationId, InviteOptions, Message, MessageId, MessageKind, Standing,
};

/// Alice owns the group, Bob and Carol are members; Alice knows both.
pub(super) struct Trio {
    pub(super) post: Post,
    pub(super) people: [Person; 3],
    pub(super) group: ConversationId,
}

pub(super) const ALICE: usize = 0;
pub(super) const BOB: usize = 1;
pub(super) const CAROL: usize = 2;

impl Trio {
    pub(super) fn new() -> Self {
        let mut post = Post::default();
        let mut people = ["Alice", "Bob", "Carol"].map(person);
        let [alice, bob, carol] = &mut people;
        let group = alice.engine.create_group("trip", false).unwrap().id;
        post.round(alice);
        for other in [bob, carol] {
            befriend(&mut post, alice, other);
            let id = other.engine.own_id().unwrap();
            alice.engine.add_member(group, id).unwrap();
            for _ in 0..2 {
                post.round(alice);
            }
            post.bring_letters(other);
            let invited = other.engine.conversation(group).unwrap();
            assert_eq!(invited.standing, Standing::Invited);
            other.engine.accept_group(group).unwrap();
            for _ in 0..2 {
                post.round(other);
                post.round(alice);
            }
        }
        let mut trio = Self { post, people, group };
        trio.rounds();
        for person in &mut trio.people {
            assert_eq!(person.engine.group_members(group).unwrap().len(), 3);
            events(person);
        }
        trio
    }

    /// Everybody says and hears everything, until nothing is left.
    pub(super) fn rounds(&mut self) {
        for _ in 0..3 {
            for person in &mut self.people {
                self.post.round(person);
            }
        }
    }

    pub(super) fn log(&self) -> MailboxId {
        let db = self.people[ALICE].engine.store.read();
        db.need_conversation(self.group).unwrap().log.unwrap()
    }

    /// Says something and lets everybody hear it.
    pub(super) fn says(&mut self, who: usize, text: &str) -> MessageId {
        let id = self.people[who].engine.send(self.group, text).unwrap().id;
        self.rounds();
        id
    }

    /// What people wrote, as one of them sees it.
    pub(super) fn history(&self, who: usize) -> Vec<Message> {
        let all = self.people[who].engine.history(self.group, None, 1_000).unwrap();
        all.into_iter().filter(|message| message.kind != MessageKind::Event).collect()
    }

    pub(super) fn message(&self, who: usize, id: MessageId) -> Message {
        self.people[who].engine.store.read().message_of(self.group, &id).unwrap().unwrap()
    }

    /// What everybody shows is the same for all; given back as the first sees it.
    pub(super) fn agreed(&self) -> Vec<Seen> {
        let [first, second, third] = [ALICE, BOB, CAROL].map(|who| self.seen(who));
        assert_eq!(first, second);
        assert_eq!(first, third);
        first
    }

    fn seen(&self, who: usize) -> Vec<Seen> {
        let own = self.people[who].engine.own_id().unwrap();
        let seen = |message: Message| {
            let author = message.author.unwrap_or(own);
            let reactions = message.reactions.into_iter().map(|found| (found.emoji, found.by));
            Seen {
                id: message.id,
                author,
                text: message.text,
                kind: message.kind,
                seq: message.seq.map(|seq| seq.get()),
                edited: message.edited,
                deleted_by: message.deleted_by,
                reactions: reactions.collect(),
            }
        };
        self.history(who).into_iter().map(seen).collect()
    }
}

/// What a person sees of a message, but for whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: MessageId,
    pub(super) author: crate::types::ContactId,
    pub(super) text: String,
    pub(super) kind: MessageKind,
    pub(super) seq: Option<u64>,
    pub(super) edited: bool,
    pub(super) deleted_by: Option<crate::types::ContactId>,
    pub(super) reactions: Vec<(String, Vec<crate::types::ContactId>)>,
}

/// Lets one take an invite of the other's, whoever else they know.
fn befriend(post: &mut Post, inviter: &mut Person, taker: &mut Person) {
    let link = inviter.engine.invite(InviteOptions::default()).unwrap();
    post.do_jobs(inviter);
    taker.engine.accept_invite(link.as_str(), None).unwrap();
    post.do_jobs(taker);
    post.bring_letters(inviter);
    let contacts = inviter.engine.contacts().unwrap();
    let asks = contacts.iter().find(|contact| contact.state == ContactState::Incoming).unwrap();
    inviter.engine.accept_contact(asks.id).unwrap();
    for _ in 0..3 {
        post.round(inviter);
        post.round(taker);
    }
}
