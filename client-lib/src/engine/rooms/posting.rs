//! What this device posts in a room: contents of the outbox, and before them the card or the next
//! key. Each is sealed once under a key, durable before the first byte leaves, and counts when it
//! is read in the log (ROM-12).

use restante_crypto::{PostBody, SigningKey, random_bytes};
use restante_spec::codes::Code;
use restante_spec::content::{Body, Role};
use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey};
use restante_spec::message::EnvelopeClass;

use super::{link_of, next_of};
use crate::engine::outbox::class_of;
use crate::engine::{Engine, Outgoing, Work};
use crate::error::Error;
use crate::store::{
    ConversationRow, Db, JobKind, LogRow, LogState, Meta, OutboxRow, PostKind, PostRow, RoomRow,
};
use crate::types::ConversationId;

/// With what a mailbox is written to.
#[derive(Debug)]
pub(crate) enum Writer {
    /// With the key that reads it.
    Reader,
    /// With a key of its own: a room.
    Key(Box<SigningKey>),
    /// This account may not.
    Nobody,
}

impl Engine {
    /// With what a mailbox is written to.
    pub(crate) fn writer(&self, mailbox: &MailboxId) -> Result<Writer, Error> {
        let db = self.store.read();
        let Some(room) = db.room(mailbox)? else { return Ok(Writer::Reader) };
        let row = db.need_conversation(db.need_log(mailbox)?.conversation)?;
        let key = posting_key(db, self.account.id().key(), &room, &row)?;
        Ok(key.map_or(Writer::Nobody, |key| Writer::Key(Box::new(key))))
    }

    /// Whether a room is to be told of a card or a key; the relay is told first.
    pub(in crate::engine) fn wants_room_change(&self, room: &RoomRow) -> Result<bool, Error> {
        let db = self.store.read();
        let wants = room.posts_card || room.next_seed.is_some();
        Ok(wants && may_post(db, room)?)
    }

    /// The next contents of a room behind a row, sealed; durable when this returns.
    pub(in crate::engine) fn outgoing_posts(
        &mut self,
        mailbox: &MailboxId,
        behind: i64,
        limit: usize,
    ) -> Result<Vec<Outgoing>, Error> {
        let db = self.store.read();
        let log = db.need_log(mailbox)?;
        let Some(room) = db.room(mailbox)? else { return Ok(Vec::new()) };
        let waiting = db.outbox(log.conversation, behind, limit)?;
        if waiting.is_empty() || !may_post(db, &room)? {
            return Ok(Vec::new());
        }
        self.transact(|work| work.seal_posts(&room, log, waiting))
    }

    /// The relay does not let this device write in a room any more.
    pub(crate) fn writing_refused(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        match self.store.read().room(mailbox)? {
            Some(room) => self.transact(|work| work.lose_writing(room)),
            None => Ok(()),
        }
    }
}

/// Whether something may leave: the relay knows of every key.
fn may_post(db: Db<'_>, room: &RoomRow) -> Result<bool, Error> {
    let live = db.need_log(&room.mailbox)?.state == LogState::Live;
    Ok(live && !db.has_jobs(&room.mailbox)? && db.meta(Meta::Cloned)?.is_none())
}

/// The key this account writes with: a host's, or the audience's while it may (ROM-3).
fn posting_key(
    db: Db<'_>,
    own: &PublicKey,
    room: &RoomRow,
    row: &ConversationRow,
) -> Result<Option<SigningKey>, Error> {
    let is_host = row.state.role(own) > Role::Member;
    if let Some(seed) = room.host_key.as_ref().filter(|_| is_host) {
        return Ok(Some(SigningKey::from_seed(seed)));
    }
    let may = row.state.policy.writers.includes(Role::Member);
    may.then(|| Ok(link_of(db, room)?.write_key()?)).transpose()
}

impl Work<'_> {
    /// Refuses what nobody would take.
    pub(in crate::engine) fn check_room_writable(
        &self,
        row: &ConversationRow,
    ) -> Result<(), Error> {
        let room = super::room_of(self.db, row.id)?;
        match posting_key(self.db, self.account.id().key(), &room, row)? {
            Some(_) => Ok(()),
            None => Err(Error::NotAllowed),
        }
    }

    /// Before its first word in a room this account says what it is called (ROM-13).
    pub(in crate::engine) fn introduce_in_room(
        &mut self,
        to: ConversationId,
        kind: u32,
    ) -> Result<(), Error> {
        let row = self.db.conversation(to)?.filter(|row| row.is_room);
        if row.is_none() || kind == Body::PROFILE {
            return Ok(());
        }
        let mut room = super::room_of(self.db, to)?;
        if room.introduced {
            return Ok(());
        }
        room.introduced = true;
        self.db.put_room(&room)?;
        self.queue_profile_to(to)
    }

    /// Whether those in a room were told what this account is called, and can be told again.
    pub(in crate::engine) fn is_introduced(&self, row: &ConversationRow) -> Result<bool, Error> {
        let told = row.is_room && super::room_of(self.db, row.id)?.introduced;
        Ok(told && self.check_room_writable(row).is_ok())
    }

    /// The card or the next key, sealed; `None`: there is nothing to change.
    pub(in crate::engine) fn room_change(
        &mut self,
        room: &RoomRow,
    ) -> Result<Option<Outgoing>, Error> {
        let (kind, body) = match (&room.card, next_of(self.db, room)?) {
            (Some(card), _) if room.posts_card => (PostKind::Card, PostBody::Card(card.clone())),
            (_, Some(next)) => (PostKind::Next, next.announcement()),
            _ => return Ok(None),
        };
        let post = self.sealed(room, kind, &body)?;
        Ok(Some(outgoing(post, None, EnvelopeClass::Normal)))
    }

    fn seal_posts(
        &mut self,
        room: &RoomRow,
        mut log: LogRow,
        rows: Vec<OutboxRow>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut sealed = Vec::with_capacity(rows.len());
        for mut row in rows {
            let content = match row.content.take() {
                Some(content) if row.mailbox == Some(log.mailbox) => content,
                Some(_) | None => self.chain(&mut log, &mut row)?,
            };
            row.content = Some(content.clone());
            self.db.set_content(&row)?;
            let body = PostBody::Content(content.into());
            let post = self.sealed(room, PostKind::Content(row.id), &body)?;
            sealed.push(outgoing(post, Some(row.row), class_of(row.kind)));
        }
        self.db.put_log(&log)?;
        Ok(sealed)
    }

    /// The sealed post that says this: the one there is, or another in an envelope of its own.
    fn sealed(
        &mut self,
        room: &RoomRow,
        kind: PostKind,
        body: &PostBody,
    ) -> Result<PostRow, Error> {
        if let Some(post) = self.db.post_of(&room.mailbox, kind)? {
            return Ok(post);
        }
        // ROM-12
        let envelope = EnvelopeId::new(random_bytes()?);
        let (device, key) = (&self.account.device, link_of(self.db, room)?.key()?);
        let body = key.seal(&envelope, device, self.account.certificate()?, body)?;
        let post = PostRow { envelope, mailbox: room.mailbox, kind, body };
        self.db.put_post(&post)?;
        Ok(post)
    }

    /// A relay refused a post for good. If not this one but the key is refused, the next opening
    /// says so.
    pub(in crate::engine) fn post_refused(
        &mut self,
        mailbox: &MailboxId,
        envelope: &EnvelopeId,
        code: Code,
    ) -> Result<(), Error> {
        let Some(post) = self.db.post(envelope)? else { return Ok(()) };
        match (post.kind, code) {
            (PostKind::Content(id), Code::TooLarge | Code::Unsupported | Code::Malformed) => {
                self.db.drop_post(envelope)?;
                let log = self.db.need_log(mailbox)?;
                self.refuse_content(log.conversation, &id, code)
            }
            _ => Ok(()),
        }
    }

    /// The key this device writes with is none any more. The founder gives its own back; whoever
    /// was a host may still be one of an audience that writes.
    fn lose_writing(&mut self, mut room: RoomRow) -> Result<(), Error> {
        let log = self.db.need_log(&room.mailbox)?;
        let row = self.db.need_conversation(log.conversation)?;
        let hosts = row.state.role(self.account.id().key()) > Role::Member;
        if let Some(seed) = room.host_key.clone().filter(|_| hosts) {
            if room.manage_key.is_some() {
                let link = link_of(self.db, &room)?;
                return self.put_room_job(&link, JobKind::AllowRoomWrite, Some(seed));
            }
            room.host_key = None;
            self.db.put_room(&room)?;
            if row.state.policy.writers.includes(Role::Member) {
                return Ok(());
            }
        }
        self.db.drop_posts(&room.mailbox)?;
        self.refuse_outbox(log.conversation, Code::Revoked)
    }
}

fn outgoing(post: PostRow, row: Option<i64>, class: EnvelopeClass) -> Outgoing {
    let PostRow { envelope: id, body, .. } = post;
    Outgoing { id, row, class, epoch: None, body, commit: None }
}
