//! The posts of a room in their order: contents, cards, and the next key. What does not hold what
//! it claims is passed over and told, and reading goes on.

use bytes::Bytes;
use restante_crypto::{DeviceCertificate, OpenedPost, PostBody, RoomCard};
use restante_spec::codes::Code;
use restante_spec::content::{Body, Content, GroupState, Profile, Role};
use restante_spec::ids::{MailboxId, PublicKey, Seq};
use restante_spec::message::Deliver;

use super::{Link, apply_card, card_of, link_of, next_of, reading_key};
use crate::engine::asked::Taken;
use crate::engine::commands::id_of_key;
use crate::engine::contents::Speaker;
use crate::engine::inbox::is_theirs;
use crate::engine::records::place_of;
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{ROOM_DEVICES, ROOM_PEOPLE};
use crate::store::{LogRow, LogState, PostKind, PostRow, RoomRow};
use crate::types::GroupChange;

/// Whether reading goes on with the same handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    On,
    Reopen,
}

impl Engine {
    /// A relay has opened a room and shown the card it keeps with the key (ROM-5).
    pub(crate) fn card_shown(&mut self, mailbox: &MailboxId, sealed: &[u8]) -> Result<(), Error> {
        match self.store.read().room(mailbox)? {
            Some(room) => self.transact(|work| work.take_shown_card(room, sealed)),
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Whether a room is read with another key than this by now: somebody gave the new link.
    pub(crate) fn has_other_key(
        &self,
        mailbox: &MailboxId,
        opened_with: &PublicKey,
    ) -> Result<bool, Error> {
        let db = self.store.read();
        match db.room(mailbox)? {
            Some(room) => Ok(reading_key(db, &room)?.public() != *opened_with),
            None => Ok(false),
        }
    }

    /// Everything of a room is read: the card that was shown holds, though its post may have been
    /// let go (ROM-11).
    pub(in crate::engine) fn settle_shown_card(&mut self, mut room: RoomRow) -> Result<(), Error> {
        let Some(shown) = room.shown.take() else { return Ok(()) };
        self.transact(|work| {
            work.db.put_room(&room)?;
            // An older one, if the post was read meanwhile.
            work.attempt(|work| {
                let card = RoomCard::parse(&room.mailbox, &shown)?;
                work.take_card(&mut room, &card, None)
            })?;
            Ok(())
        })
    }
}

impl Work<'_> {
    /// Takes a batch of a room, in its order, up to the end of its key.
    pub(in crate::engine) fn receive_posts(
        &mut self,
        mut room: RoomRow,
        batch: Vec<(Deliver, Bytes)>,
    ) -> Result<Taken, Error> {
        let mut log = self.db.need_log(&room.mailbox)?;
        let mut reopen = log.state != LogState::Live;
        for (envelope, body) in batch {
            if reopen {
                break;
            }
            // What is live has no place, and nothing live stands in a room (ROM-13).
            if envelope.seq <= log.cursor {
                continue;
            }
            if envelope.prev > log.cursor && log.cursor > Seq::START {
                let (after, before) = (log.cursor, envelope.seq);
                let conversation = Some(log.conversation);
                self.notice(Notice::Gap { conversation, after, before });
            }
            reopen = self.take_post(&mut room, &mut log, &envelope, &body)? == Step::Reopen;
            log.cursor = envelope.seq;
        }
        self.db.put_log(&log)?;
        Ok(Taken { upto: log.cursor, reopen })
    }

    fn take_post(
        &mut self,
        room: &mut RoomRow,
        log: &mut LogRow,
        envelope: &Deliver,
        body: &[u8],
    ) -> Result<Step, Error> {
        if let Some(post) = self.db.post(&envelope.id)? {
            return self.take_own_post(room, log, envelope, &post);
        }
        if envelope.own {
            // It was sealed under a key that was replaced, or a card that was: it is posted again.
            return Ok(Step::Reopen);
        }
        let link = link_of(self.db, room)?;
        let opened = match link.key()?.open(&envelope.id, body) {
            Ok(opened) => opened,
            // ROM-10: its author posts it again. ROM-8: a newer version's.
            Err(
                restante_crypto::Error::OldRoomKey { .. }
                | restante_crypto::Error::Unsupported { .. },
            ) => return Ok(Step::On),
            Err(error) => return self.pass_over(log, error.into()),
        };
        // ROM-8
        if !self.is_listed(log.conversation, &opened.author)? {
            self.notice(Notice::Junk { conversation: Some(log.conversation) });
            return Ok(Step::On);
        }
        let taken = self.attempt(|work| work.take_opened_post(room, log, envelope, &link, &opened));
        match taken? {
            Some(step) => Ok(step),
            None => {
                self.notice(Notice::Junk { conversation: Some(log.conversation) });
                Ok(Step::On)
            }
        }
    }

    /// What came does not hold what it claims.
    fn pass_over(&mut self, log: &LogRow, error: Error) -> Result<Step, Error> {
        if !is_theirs(&error) {
            return Err(error);
        }
        self.notice(Notice::Junk { conversation: Some(log.conversation) });
        Ok(Step::On)
    }

    fn take_opened_post(
        &mut self,
        room: &mut RoomRow,
        log: &mut LogRow,
        envelope: &Deliver,
        link: &Link,
        opened: &OpenedPost,
    ) -> Result<Step, Error> {
        let author = *opened.author.account().key();
        match &opened.body {
            PostBody::Content(content) => {
                self.take_post_content(log, envelope, &opened.author, content)?;
                Ok(Step::On)
            }
            PostBody::Card(card) => {
                let card = RoomCard::parse(&room.mailbox, card)?;
                self.take_card(room, &card, Some((log, envelope)))?;
                Ok(Step::On)
            }
            PostBody::Next { .. } => {
                let card = card_of(room)?.ok_or(restante_crypto::Error::WrongAccount)?;
                // ROM-9, ROM-10
                let Some(next) = link.follow(&card, opened)? else { return Ok(Step::On) };
                self.change_link(room, &next)?;
                self.put_event(log, envelope, Some(author), &[GroupChange::Key])?;
                Ok(Step::Reopen)
            }
        }
    }

    /// A content: its own id names it, so that it stays the same when it is posted again (ROM-12).
    fn take_post_content(
        &mut self,
        log: &mut LogRow,
        envelope: &Deliver,
        by: &DeviceCertificate,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let account = by.account();
        let author = account.key();
        let malformed = |_| restante_crypto::Error::Malformed { what: "content" };
        let content = Content::decode(bytes).map_err(malformed)?;
        // ROM-13
        match &content.body {
            Body::Text(_)
            | Body::Attachment(_)
            | Body::Reaction(_)
            | Body::Edit(_)
            | Body::Delete(_) => {}
            Body::Unknown { kind, .. } if *kind < Body::PASSING => {}
            Body::Profile(profile) => {
                let profile = Profile { inbox: None, ..profile.clone() };
                return self.take_name(log, author, &profile);
            }
            _ => return Ok(()),
        }
        let (room, counter) = (&log.mailbox, content.counter);
        // ROM-15
        if !self.db.note_counter(room, by.device(), counter, ROOM_DEVICES)? {
            return Ok(());
        }
        if author == self.account.id().key() {
            // One of this device whose bytes were given up since: it stands all the same.
            self.take_own(log.conversation, &content.id, &place_of(log, envelope))?;
        }
        // ROM-12
        let named = Deliver { id: content.id, ..*envelope };
        let speaker = Speaker { account: author, device: by.device(), told: None };
        self.take_said(log, speaker, &named, &content, bytes)
    }

    /// Somebody says what they are called.
    fn take_name(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        profile: &Profile,
    ) -> Result<(), Error> {
        let known = self.db.has_member(log.conversation, author)?;
        if !known && self.db.member_count(log.conversation)? >= ROOM_PEOPLE {
            return Ok(());
        }
        self.take_profile(log, author, profile)
    }

    /// A post of this device was read in the log: it counts (ROM-12).
    fn take_own_post(
        &mut self,
        room: &mut RoomRow,
        log: &LogRow,
        envelope: &Deliver,
        post: &PostRow,
    ) -> Result<Step, Error> {
        self.db.drop_post(&post.envelope)?;
        match post.kind {
            PostKind::Content(id) => {
                self.take_own(log.conversation, &id, &place_of(log, envelope))?;
                return Ok(Step::On);
            }
            PostKind::Card => {
                room.posts_card = false;
                let card = card_of(room)?.ok_or(Error::Damaged("a room without its card"))?;
                self.settle_card(room, &card, Some((log, envelope)))?;
            }
            PostKind::Next => {
                let old = link_of(self.db, room)?;
                let next = next_of(self.db, room)?;
                let next = next.ok_or(Error::Damaged("a rotation without its key"))?;
                self.change_link(room, &next)?;
                self.retire_link(room, &old)?;
                let own = *self.account.id().key();
                self.put_event(log, envelope, Some(own), &[GroupChange::Key])?;
            }
        }
        Ok(Step::Reopen)
    }

    /// The card the relay keeps with the key a room was opened with. The founder opens with a key
    /// that has none.
    fn take_shown_card(&mut self, mut room: RoomRow, sealed: &[u8]) -> Result<(), Error> {
        if sealed.is_empty() && room.manage_key.is_some() {
            return Ok(());
        }
        let id = self.db.need_log(&room.mailbox)?.conversation;
        let taken = self.attempt(|work| {
            let card = link_of(work.db, &room)?.open_card(sealed)?;
            if !work.is_listed(id, card.founder())? {
                return Err(restante_crypto::Error::WrongAccount.into());
            }
            let Some(known) = card_of(&room)? else {
                return work.take_card(&mut room, &card, None);
            };
            // ROM-6
            card.may_follow(&known)?;
            // ROM-11
            room.shown = (card != known).then(|| card.as_bytes().to_vec());
            work.db.put_room(&room)
        })?;
        match taken {
            Some(()) => Ok(()),
            // It is not the room the link promises.
            None if room.card.is_none() => {
                self.end_log(&room.mailbox, LogState::Lost, Code::Malformed)
            }
            None => {
                self.notice(Notice::Junk { conversation: Some(id) });
                Ok(())
            }
        }
    }

    /// Takes a card over, unless a newer one is known (ROM-6).
    pub(super) fn take_card(
        &mut self,
        room: &mut RoomRow,
        card: &RoomCard,
        at: Option<(&LogRow, &Deliver)>,
    ) -> Result<(), Error> {
        if let Some(known) = card_of(room)? {
            // ROM-6
            card.may_follow(&known)?;
            if known == *card && !room.posts_card {
                return Ok(());
            }
        }
        room.card = Some(card.as_bytes().to_vec());
        self.settle_card(room, card, at)
    }

    /// What a card says holds from here on.
    fn settle_card(
        &mut self,
        room: &mut RoomRow,
        card: &RoomCard,
        at: Option<(&LogRow, &Deliver)>,
    ) -> Result<(), Error> {
        let log = self.db.need_log(&room.mailbox)?;
        let mut row = self.db.need_conversation(log.conversation)?;
        let (before, own) = (row.state.clone(), *self.account.id().key());
        apply_card(&mut row.state, card);
        if before.role(&own) > Role::Member && row.state.role(&own) == Role::Member {
            room.host_key = None;
        }
        self.db.put_room(room)?;
        self.db.put_conversation(&row)?;
        if let Some((log, envelope)) = at {
            let founder = *card.founder().account().key();
            let changes = changes(&before, &row.state);
            self.put_event(log, envelope, Some(founder), &changes)?;
        }
        if self.check_room_writable(&row).is_err() {
            self.refuse_outbox(row.id, Code::Revoked)?;
            self.db.drop_posts(&room.mailbox)?;
        }
        self.tell_conversation(&row)
    }
}

/// What another card changes, as a person is told.
fn changes(before: &GroupState, now: &GroupState) -> Vec<GroupChange> {
    let mut changes = Vec::new();
    if before.name != now.name {
        changes.push(GroupChange::Named(now.name.clone()));
    }
    if before.policy.writers != now.policy.writers {
        let everybody = now.policy.writers.includes(Role::Member);
        changes.push(GroupChange::Audience(everybody));
    }
    let accounts = before.officers.keys().chain(now.officers.keys());
    let mut accounts: Vec<&PublicKey> = accounts.collect();
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        let (was, is) = (before.role(account), now.role(account));
        if was != is {
            let is_host = is > Role::Member;
            changes.push(GroupChange::Host(id_of_key(account), is_host));
        }
    }
    changes
}
