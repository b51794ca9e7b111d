//! Tests of what is done with messages in a group of three: each shows the same to everybody.

use restante_crypto::content_hash;
use restante_spec::content::{
    Body, Content, Delete, Edit, LogPosition, Reaction, Repair, RepairEntry, Role, Text, Verified,
};
use restante_spec::ids::{EnvelopeId, Seq};
use restante_spec::limits::{DELETE_IDS, EMOJI_BYTES, TEXT_BYTES};
use restante_spec::message::{Deliver, EnvelopeClass};

use super::post::{EXPIRES, events};
use super::trio::{ALICE, BOB, CAROL, Trio};
use crate::engine::authors::Missed;
use crate::engine::contents::Speaker;
use crate::engine::{Event, Notice};
use crate::error::Error;
use crate::limits::ACTS_WAITING;
use crate::types::{Fate, MessageId, MessageKind, ReplyTo};

fn envelope(id: MessageId) -> EnvelopeId {
    EnvelopeId::new(*id.as_bytes())
}

impl Trio {
    /// Gives a person a content of another at a position of the log, as a repair would.
    pub(super) fn repair(
        &mut self,
        who: usize,
        author: usize,
        seq: u64,
        id: u8,
        body: Body,
    ) -> MessageId {
        let log = self.log();
        let account = &self.people[author].engine.account;
        let (author, device) = (*account.id().key(), account.device.public());
        let id = EnvelopeId::new([id; 16]);
        let content = Content {
            id,
            counter: u64::from(body.is_kept()),
            previous: None,
            random: [0; 16],
            seen: LogPosition::default(),
            log: None,
            at: super::post::NOW.into(),
            body,
        };
        let head = Deliver {
            handle: restante_spec::ids::Handle::new(1),
            seq: Seq::new(seq),
            prev: Seq::START,
            epoch: None,
            id,
            class: EnvelopeClass::Normal,
            expires_at: EXPIRES,
            commit: false,
            own: false,
        };
        let bytes = content.encode().unwrap();
        let engine = &mut self.people[who].engine;
        engine
            .transact(|work| {
                let mut log = work.db.need_log(&log)?;
                let speaker = Speaker { account: &author, device: &device, told: None };
                work.take_content(&mut log, speaker, &head, &bytes)
            })
            .unwrap();
        MessageId::new(*id.as_bytes())
    }

    fn own_id(&self, who: usize) -> crate::types::ContactId {
        self.people[who].engine.own_id().unwrap()
    }
}

fn text(text: &str) -> Body {
    Body::Text(Text { text: text.to_owned(), reply_to: None })
}

/// An answer names its message on every device, and says whether that is there.
#[test]
fn reply_names_its_message() {
    let mut trio = Trio::new();
    let question = trio.says(ALICE, "who comes?");
    let engine = &mut trio.people[BOB].engine;
    let answer = engine.send_reply(trio.group, question, "I do").unwrap();
    assert_eq!(answer.reply_to, Some(ReplyTo { message: question, is_here: true }));
    trio.rounds();
    for who in [ALICE, BOB, CAROL] {
        let shown = trio.message(who, answer.id).reply_to;
        assert_eq!(shown, Some(ReplyTo { message: question, is_here: true }));
    }
    let nothing = MessageId::new([9; 16]);
    let refused = trio.people[BOB].engine.send_reply(trio.group, nothing, "?");
    assert_eq!(refused, Err(Error::NoSuchMessage));
}

/// An answer to a message that is not here says so, until it is; it keeps its place in the log.
#[test]
fn reply_to_what_is_missing_says_so() {
    let mut trio = Trio::new();
    let missing = EnvelopeId::new([7; 16]);
    let body = Body::Text(Text { text: "yes".to_owned(), reply_to: Some(missing) });
    let answer = trio.repair(CAROL, BOB, 1_001, 8, body);
    let message = MessageId::new([7; 16]);
    let shown = trio.message(CAROL, answer).reply_to;
    assert_eq!(shown, Some(ReplyTo { message, is_here: false }));
    trio.repair(CAROL, ALICE, 1_000, 7, text("coming?"));
    let shown = trio.message(CAROL, answer).reply_to;
    assert_eq!(shown, Some(ReplyTo { message, is_here: true }));
    let texts: Vec<_> = trio.history(CAROL).into_iter().map(|found| found.text).collect();
    assert_eq!(texts, ["coming?", "yes"]);
}

/// CNT-14: one reaction for each account and message; the last one in the log stands, and can be
/// taken back.
#[test]
fn each_account_has_one_reaction() {
    let mut trio = Trio::new();
    let id = trio.says(ALICE, "cake");
    let group = trio.group;
    for (who, emoji) in [(BOB, "👍"), (CAROL, "👍"), (BOB, "🎂"), (ALICE, "🎂")] {
        trio.people[who].engine.react(group, id, Some(emoji)).unwrap();
        trio.rounds();
    }
    let [alice, bob, carol] = [ALICE, BOB, CAROL].map(|who| trio.own_id(who));
    let both = [("👍".to_owned(), vec![carol]), ("🎂".to_owned(), vec![bob, alice])];
    assert_eq!(trio.agreed()[0].reactions, both);
    let message = trio.people[CAROL].engine.react(group, id, None).unwrap();
    assert_eq!(message.reactions.len(), 1);
    trio.rounds();
    assert_eq!(trio.agreed()[0].reactions, [both[1].clone()]);
}

/// CNT-9: a reaction of 64 bytes is taken, one byte more is refused before it is written.
#[test]
fn reaction_has_a_bound() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(ALICE, "cake"), trio.group);
    let engine = &mut trio.people[BOB].engine;
    assert!(engine.react(group, id, Some(&"x".repeat(EMOJI_BYTES))).is_ok());
    let refused = engine.react(group, id, Some(&"x".repeat(EMOJI_BYTES + 1)));
    assert_eq!(refused, Err(Error::BadReaction { max: EMOJI_BYTES }));
    let many = Error::TooMany { what: "messages to delete at once", max: DELETE_IDS };
    assert_eq!(engine.delete(group, &vec![id; DELETE_IDS + 1]), Err(many));
    let long = engine.edit(group, id, &"x".repeat(TEXT_BYTES + 1));
    assert!(matches!(long, Err(Error::TextTooLong { .. })));
}

/// CNT-14: an edit changes the own message everywhere, is shown as one, and search follows it; of
/// somebody else's message it changes nothing.
#[test]
fn edit_changes_the_own_message() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(ALICE, "at eihgt"), trio.group);
    assert_eq!(trio.people[BOB].engine.edit(group, id, "no"), Err(Error::NotAllowed));
    let shown = trio.people[ALICE].engine.edit(group, id, "at eight").unwrap();
    assert_eq!((shown.text.as_str(), shown.edited), ("at eight", true));
    trio.rounds();
    let agreed = trio.agreed();
    assert_eq!((agreed[0].text.as_str(), agreed[0].edited), ("at eight", true));
    let engine = &trio.people[CAROL].engine;
    assert_eq!(engine.search("eight", 9).unwrap().len(), 1);
    assert!(engine.search("eihgt", 9).unwrap().is_empty());
    let body = Body::Edit(Edit { of: envelope(id), text: "forged".to_owned() });
    trio.repair(CAROL, BOB, 1_000, 9, body);
    assert_eq!(trio.message(CAROL, id).text, "at eight");
}

/// CNT-14: of two edits that cross the one later in the log holds, in whatever order they come.
#[test]
fn last_edit_in_the_log_holds() {
    let mut trio = Trio::new();
    let id = trio.says(ALICE, "first");
    let edit = |text: &str| Body::Edit(Edit { of: envelope(id), text: text.to_owned() });
    trio.repair(BOB, ALICE, 1_002, 12, edit("last"));
    trio.repair(BOB, ALICE, 1_001, 11, edit("between"));
    trio.repair(CAROL, ALICE, 1_001, 11, edit("between"));
    trio.repair(CAROL, ALICE, 1_002, 12, edit("last"));
    for who in [BOB, CAROL] {
        assert_eq!(trio.message(who, id).text, "last");
    }
}

/// CNT-15, CNT-16: a deleted message leaves a tombstone everywhere: who wrote it and who took it
/// back; search forgets it, and nothing that comes late changes it.
#[test]
fn deleted_message_leaves_a_tombstone() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(BOB, "secret"), trio.group);
    trio.people[CAROL].engine.react(group, id, Some("😮")).unwrap();
    trio.rounds();
    trio.people[BOB].engine.delete(group, &[id]).unwrap();
    assert_eq!(trio.message(BOB, id).kind, MessageKind::Deleted);
    trio.rounds();
    let bob = trio.own_id(BOB);
    let check = |trio: &Trio| {
        let agreed = trio.agreed();
        assert_eq!((agreed[0].id, agreed[0].author), (id, bob));
        assert_eq!((agreed[0].kind, agreed[0].deleted_by), (MessageKind::Deleted, Some(bob)));
        assert!(agreed[0].text.is_empty() && agreed[0].reactions.is_empty());
        for person in &trio.people {
            assert!(person.engine.search("secret", 9).unwrap().is_empty());
        }
    };
    check(&trio);
    let react = trio.people[ALICE].engine.react(group, id, Some("👍"));
    assert_eq!(react, Err(Error::NoSuchMessage));
    for who in [ALICE, BOB, CAROL] {
        let edit = Body::Edit(Edit { of: envelope(id), text: "secret again".to_owned() });
        trio.repair(who, BOB, 1_001, 21, edit);
        let emoji = "👍".to_owned();
        trio.repair(who, ALICE, 1_002, 22, Body::Reaction(Reaction { to: envelope(id), emoji }));
    }
    check(&trio);
}

/// CNT-16: a copy of a deleted message does not bring it back.
#[test]
fn copy_of_a_deleted_message_changes_nothing() {
    let mut trio = Trio::new();
    let id = trio.repair(CAROL, BOB, 1_000, 5, text("secret"));
    trio.repair(CAROL, BOB, 1_001, 6, Body::Delete(Delete { of: vec![envelope(id)] }));
    trio.repair(CAROL, BOB, 1_000, 5, text("secret"));
    let message = trio.message(CAROL, id);
    assert_eq!((message.kind, message.text.as_str()), (MessageKind::Deleted, ""));
}

/// CNT-15: administrators and owners take back what others wrote, members do not, whatever they
/// send.
#[test]
fn officers_delete_what_others_wrote() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(CAROL, "rude"), trio.group);
    assert_eq!(trio.people[BOB].engine.delete(group, &[id]), Err(Error::NotAllowed));
    for who in [ALICE, BOB, CAROL] {
        let delete = Body::Delete(Delete { of: vec![envelope(id)] });
        trio.repair(who, BOB, 1_000, 9, delete);
    }
    assert_eq!(trio.agreed()[0].text, "rude");
    trio.people[ALICE].engine.delete(group, &[id]).unwrap();
    trio.rounds();
    let agreed = trio.agreed();
    assert_eq!(agreed[0].deleted_by, Some(trio.own_id(ALICE)));
    assert_eq!(agreed[0].author, trio.own_id(CAROL));
}

/// Once who was no administrator any more took back what others had written, by a delete that he
/// let be missed and gave at a place where he had been one (CNV-17, CNT-15).
#[test]
fn lost_rights_do_not_come_back_with_a_repair() {
    let mut trio = Trio::new();
    let (group, log, bob) = (trio.group, trio.log(), trio.own_id(BOB));
    trio.people[ALICE].engine.set_role(group, bob, Role::Administrator).unwrap();
    trio.rounds();
    let id = trio.says(ALICE, "stays");
    let seq = Seq::new(trio.message(CAROL, id).seq.unwrap().get());
    trio.people[ALICE].engine.set_role(group, bob, Role::Member).unwrap();
    trio.rounds();
    trio.says(BOB, "a member");
    let account = &trio.people[BOB].engine.account;
    let (author, device) = (*account.id().key(), account.device.public());
    let content = Content {
        id: EnvelopeId::new([9; 16]),
        counter: 1,
        previous: None,
        random: [0; 16],
        seen: LogPosition::default(),
        log: None,
        at: super::post::NOW.into(),
        body: Body::Delete(Delete { of: vec![envelope(id)] }),
    };
    let content = content.encode().unwrap();
    let hash = *content_hash(&content).as_bytes();
    let taken = trio.people[CAROL].engine.transact(|work| {
        let row = work.db.need_log(&log)?;
        let missed = Missed { first: 1, last: 1, hash, after: Seq::START, before: row.cursor };
        work.note_gap(&row, (&device, &author), missed, None)?;
        let (generation, content, account) = (row.generation, content.clone(), None);
        let entries = vec![RepairEntry { device, generation, seq, content, account }];
        let repair = Repair { conversation: log, entries, missing: Vec::new() };
        work.take_repair(&row, &author, &repair)
    });
    taken.unwrap();
    assert!(trio.people[CAROL].engine.gaps(group).unwrap().is_empty());
    assert_eq!(trio.message(CAROL, id).text, "stays");
}

/// CNT-14, CNV-15: who may not write may neither edit nor react, as of the place in the log, but
/// may take back what is his.
#[test]
fn who_may_not_write_may_take_back() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(BOB, "loud"), trio.group);
    let writers = crate::Who::Administrators;
    let policy = crate::Policy { writers, ..crate::Policy::default() };
    trio.people[ALICE].engine.set_policy(group, policy).unwrap();
    trio.rounds();
    let engine = &mut trio.people[BOB].engine;
    assert_eq!(engine.edit(group, id, "louder"), Err(Error::NotAllowed));
    assert_eq!(engine.react(group, id, Some("👍")), Err(Error::NotAllowed));
    let edit = |text: &str| Body::Edit(Edit { of: envelope(id), text: text.to_owned() });
    let said = trio.message(CAROL, id).seq.unwrap().get();
    events(&mut trio.people[CAROL]);
    trio.repair(CAROL, BOB, 1_000, 9, edit("louder"));
    let junk = Event::Notice(Notice::Junk { conversation: Some(group) });
    assert_eq!(events(&mut trio.people[CAROL]), [junk]);
    assert_eq!(trio.message(CAROL, id).text, "loud");
    trio.repair(CAROL, BOB, said, 10, edit("while he might"));
    assert_eq!(trio.message(CAROL, id).text, "while he might");
    trio.people[BOB].engine.delete(group, &[id]).unwrap();
    trio.rounds();
    assert_eq!(trio.agreed()[0].kind, MessageKind::Deleted);
}

/// Once who may not write wrote all the same, that he had compared safety numbers (CNV-15).
#[test]
fn who_may_not_write_tells_of_no_safety_numbers() {
    let mut trio = Trio::new();
    let group = trio.group;
    let account = *trio.people[ALICE].engine.account.id().key();
    let said = || Body::Verified(Verified { account, verified: true });
    let shown = |trio: &Trio| trio.people[CAROL].engine.history(group, None, 99).unwrap().len();
    let before = shown(&trio);
    trio.repair(CAROL, BOB, 1_000, 9, said());
    assert_eq!(shown(&trio), before + 1);
    let writers = crate::Who::Administrators;
    let policy = crate::Policy { writers, ..crate::Policy::default() };
    trio.people[ALICE].engine.set_policy(group, policy).unwrap();
    trio.rounds();
    let before = shown(&trio);
    events(&mut trio.people[CAROL]);
    trio.repair(CAROL, BOB, 1_001, 10, said());
    let junk = Event::Notice(Notice::Junk { conversation: Some(group) });
    assert_eq!(events(&mut trio.people[CAROL]), [junk]);
    assert_eq!(shown(&trio), before);
}

/// A message that never left this device is taken back without a word, and what was done to it too.
#[test]
fn unsent_message_is_taken_back_here() {
    let mut trio = Trio::new();
    let group = trio.group;
    let id = trio.people[BOB].engine.send(group, "never mind").unwrap().id;
    trio.people[BOB].engine.edit(group, id, "forget it").unwrap();
    trio.people[BOB].engine.delete(group, &[id]).unwrap();
    assert_eq!(trio.message(BOB, id).kind, MessageKind::Deleted);
    let log = trio.log();
    assert!(trio.people[BOB].engine.outgoing(&log, 0, 9).unwrap().is_empty());
}

/// CNT-17: what comes before its message waits for it, and is then done in the log's order.
#[test]
fn acts_wait_for_their_message() {
    let mut trio = Trio::new();
    let to = EnvelopeId::new([7; 16]);
    let edit = |text: &str| Body::Edit(Edit { of: to, text: text.to_owned() });
    trio.repair(CAROL, BOB, 1_003, 13, edit("third"));
    trio.repair(CAROL, BOB, 1_002, 12, edit("second"));
    trio.repair(CAROL, ALICE, 1_004, 14, edit("not hers"));
    let emoji = "👍".to_owned();
    trio.repair(CAROL, ALICE, 1_005, 15, Body::Reaction(Reaction { to, emoji }));
    let id = trio.repair(CAROL, BOB, 1_001, 7, text("first"));
    let message = trio.message(CAROL, id);
    assert_eq!((message.text.as_str(), message.edited), ("third", true));
    assert_eq!(message.reactions.len(), 1);
    let gone = EnvelopeId::new([8; 16]);
    trio.repair(CAROL, BOB, 1_007, 17, Body::Delete(Delete { of: vec![gone] }));
    let id = trio.repair(CAROL, BOB, 1_006, 8, text("secret"));
    assert_eq!(trio.message(CAROL, id).kind, MessageKind::Deleted);
    assert!(trio.people[CAROL].engine.search("secret", 9).unwrap().is_empty());
}

/// CNT-17: so many acts wait; with one more the oldest is dropped.
#[test]
fn waiting_acts_have_a_bound() {
    let mut trio = Trio::new();
    let to = |n: u32| {
        let mut id = [0xAA; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        EnvelopeId::new(id)
    };
    let group = trio.group;
    let engine = &mut trio.people[CAROL].engine;
    engine
        .transact(|work| {
            for n in 0..=ACTS_WAITING {
                work.db.put_act(&crate::store::ActRow {
                    id: to(n),
                    conversation: group,
                    target: MessageId::new(*to(n).as_bytes()),
                    author: work.own_contact(),
                    kind: crate::store::ActKind::Reaction,
                    text: "👍".to_owned(),
                    officer: false,
                    at: Some(LogPosition::default()),
                })?;
                work.settle_acts(group, &MessageId::new(*to(n).as_bytes()))?;
            }
            Ok(())
        })
        .unwrap();
    let waits = |n| {
        let db = trio.people[CAROL].engine.store.read();
        db.acts_on(group, &MessageId::new(*to(n).as_bytes())).unwrap().len()
    };
    assert_eq!((waits(0), waits(1), waits(ACTS_WAITING)), (0, 1, 1));
}

/// What was done and will not be sent is undone here.
#[test]
fn refused_act_is_undone() {
    let mut trio = Trio::new();
    let (id, group, log) = (trio.says(BOB, "as it was"), trio.group, trio.log());
    trio.people[BOB].engine.edit(group, id, "changed").unwrap();
    let sealed = trio.people[BOB].engine.outgoing(&log, 0, 9).unwrap();
    let code = restante_spec::codes::Code::TooLarge;
    trio.people[BOB].engine.refused(&log, &sealed[0].id, code).unwrap();
    let message = trio.message(BOB, id);
    assert_eq!((message.text.as_str(), message.edited), ("as it was", false));
    assert!(matches!(message.fate, Fate::Accepted | Fate::Delivered));
}

/// What looks different is told, with what it looks like.
#[test]
fn changes_are_told() {
    let mut trio = Trio::new();
    let (id, group) = (trio.says(ALICE, "cake"), trio.group);
    events(&mut trio.people[CAROL]);
    trio.people[BOB].engine.react(group, id, Some("🎂")).unwrap();
    trio.rounds();
    let told = events(&mut trio.people[CAROL]);
    let changed = told.iter().any(|event| match event {
        Event::Changed(message) => message.id == id && message.reactions.len() == 1,
        _ => false,
    });
    assert!(changed, "{told:?}");
    let junk = |event: &Event| matches!(event, Event::Notice(Notice::Junk { .. }));
    assert!(!told.iter().any(junk));
}

/// CNT-2: a kind below 64 that is not known is kept, shown as one, and receipted.
#[test]
fn unknown_kinds_are_kept() {
    let mut trio = Trio::new();
    let body = Body::Unknown { kind: 63, body: vec![1, 2, 3] };
    let id = trio.repair(CAROL, BOB, 1_000, 9, body);
    assert_eq!(trio.message(CAROL, id).kind, MessageKind::Unknown);
    let body = Body::Unknown { kind: 99, body: vec![1, 2, 3] };
    trio.repair(CAROL, BOB, 1_001, 10, body);
    assert_eq!(trio.history(CAROL).len(), 1);
}
