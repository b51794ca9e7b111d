//! Rooms: a mailbox and a key that everybody in it shares; few write, very many read (ROM).
//!
//! Beside its own row a room has a conversation and a log, so that history, outbox and places are
//! those of every other conversation. There is no MLS, and nobody knows who reads.

mod duties;
mod grants;
mod keys;
mod posting;
mod reading;

pub(super) use self::duties::reading_key;
pub(crate) use self::posting::Writer;

use std::collections::BTreeSet;

use restante_crypto::{RoomCard, RoomInfo, RoomKeyNumber, SigningKey, generate_reader};
use restante_spec::codes::Code;
use restante_spec::content::{GroupKind, GroupState, Policy, Role, Who};
use restante_spec::ids::{MailboxId, PublicKey};
use restante_spec::limits::ROOM_NAME_BYTES;

use super::commands::{checked_name, id_of_key};
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{CONVERSATIONS, ROOMS};
use crate::store::{ConversationRow, Db, JobKind, LogRow, LogState, RoomRow};
use crate::types::{Conversation, ConversationId, GroupMember, RoomLink, Standing};

/// A link with its keys; to an app it is a text.
type Link = restante_crypto::RoomLink;

impl Engine {
    pub(crate) fn create_room(
        &mut self,
        name: &str,
        audience_writes: bool,
    ) -> Result<Conversation, Error> {
        let name = checked_name("name", name, ROOM_NAME_BYTES)?;
        self.transact(|work| {
            let row = work.create_room(name, audience_writes)?;
            work.show_conversation(&row)
        })
    }

    pub(crate) fn room_link(&self, id: ConversationId) -> Result<RoomLink, Error> {
        let db = self.store.read();
        let room = room_of(db, id)?;
        Ok(RoomLink::from_text(link_of(db, &room)?.link()))
    }

    pub(crate) fn join_room(&mut self, link: &str) -> Result<Conversation, Error> {
        let link = Link::parse(link.trim()).map_err(|_| Error::BadRoomLink)?;
        self.transact(|work| {
            let row = work.join_room(&link)?;
            work.show_conversation(&row)
        })
    }

    pub(crate) fn accept_room(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| {
            work.check_may_act()?;
            let room = room_of(work.db, id)?;
            let standing = work.db.need_conversation(id)?.standing;
            if standing != Standing::Invited {
                return Err(Error::WrongStanding { standing });
            }
            let row = work.read_room(&room.mailbox)?;
            work.show_conversation(&row)
        })
    }

    pub(crate) fn leave_room(&mut self, id: ConversationId) -> Result<Conversation, Error> {
        self.transact(|work| {
            let row = work.leave_room(id)?;
            work.show_conversation(&row)
        })
    }
}

impl Work<'_> {
    /// Makes a room on the own relay, with this account as its founder and only host (ROM-4).
    fn create_room(&mut self, name: &str, audience_writes: bool) -> Result<ConversationRow, Error> {
        self.check_may_act()?;
        self.check_room_count()?;
        let account = self.account;
        let (link, salt) = Link::generate(account.relay.clone(), account.id())?;
        let (name, hosts) = (name.to_owned(), vec![account.id()]);
        let info = RoomInfo { version: 1, name, hosts, audience_writes };
        let card = RoomCard::sign(&account.device, account.certificate()?, salt, info)?;
        let host_key = SigningKey::generate()?.seed();
        let mut room = RoomRow::new(*link.room(), link.number().get(), link.seed());
        room.manage_key = Some(SigningKey::generate()?.seed());
        room.host_key = Some(host_key.clone());
        room.card = Some(card.as_bytes().to_vec());
        let mut row = self.put_new_room(&room, &link, Standing::Open, LogState::Creating)?;
        apply_card(&mut row.state, &card);
        self.db.put_conversation(&row)?;
        self.put_room_job(&link, JobKind::CreateRoom, None)?;
        self.allow_link(&link, &card)?;
        self.put_room_job(&link, JobKind::AllowRoomWrite, Some(host_key))?;
        self.tell_conversation(&row)?;
        Ok(row)
    }

    /// Reads a room from now on. With a newer link of one that is known it goes on where it was.
    fn join_room(&mut self, link: &Link) -> Result<ConversationRow, Error> {
        self.check_may_act()?;
        let Some(mut room) = self.db.room(link.room())? else {
            self.check_room_count()?;
            let room = RoomRow::new(*link.room(), link.number().get(), link.seed());
            let row = self.put_new_room(&room, link, Standing::Open, LogState::Live)?;
            self.tell_conversation(&row)?;
            return Ok(row);
        };
        let known = link_of(self.db, &room)?;
        if link.relay() != known.relay() {
            return Err(Error::BadRoomLink);
        }
        // ROM-10
        link.may_follow(&known).map_err(|_| Error::OldRoomLink)?;
        if link.number() > known.number() {
            self.change_link(&mut room, link)?;
        }
        self.read_room(&room.mailbox)
    }

    /// A room that is known is read from now on.
    fn read_room(&mut self, mailbox: &MailboxId) -> Result<ConversationRow, Error> {
        let mut log = self.db.need_log(mailbox)?;
        if log.state != LogState::Creating {
            log.state = LogState::Live;
            self.db.put_log(&log)?;
        }
        let mut row = self.db.need_conversation(log.conversation)?;
        row.standing = Standing::Open;
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)?;
        Ok(row)
    }

    /// Ceases to read a room. Nobody is told.
    fn leave_room(&mut self, id: ConversationId) -> Result<ConversationRow, Error> {
        let mut row = self.db.need_conversation(id)?;
        let mut room = room_of(self.db, id)?;
        if row.standing == Standing::Left {
            return Err(Error::WrongStanding { standing: row.standing });
        }
        self.db.drop_jobs_of(&room.mailbox)?;
        self.db.drop_posts(&room.mailbox)?;
        (room.posts_card, room.next_seed) = (false, None);
        self.db.put_room(&room)?;
        let mut log = self.db.need_log(&room.mailbox)?;
        log.state = LogState::Closed;
        self.db.put_log(&log)?;
        self.refuse_outbox(id, Code::Revoked)?;
        row.standing = Standing::Left;
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)?;
        Ok(row)
    }

    /// Notes a room that was not known, with its conversation and its log.
    fn put_new_room(
        &mut self,
        room: &RoomRow,
        link: &Link,
        standing: Standing,
        log: LogState,
    ) -> Result<ConversationRow, Error> {
        if self.is_no_room(&room.mailbox)? {
            return Err(Error::BadRoomLink);
        }
        let id = ConversationId::new(*room.mailbox.as_bytes());
        let (relay, reader) = (link.relay().to_string(), generate_reader()?);
        let log = LogRow::new(room.mailbox, id, relay, 1, log, reader);
        let mut state = GroupState::new(GroupKind::Group(*id.as_bytes()), 1);
        // Until the card was read nobody knows who may write.
        state.policy = policy(false);
        let mut row = ConversationRow::new(id, state);
        (row.standing, row.is_room, row.log) = (standing, true, Some(room.mailbox));
        self.db.put_room(room)?;
        self.db.put_log(&log)?;
        self.db.put_conversation(&row)?;
        Ok(row)
    }

    /// Whether a room that is not known would take the place of something else: whoever makes a
    /// link may write any id into it.
    fn is_no_room(&self, mailbox: &MailboxId) -> Result<bool, Error> {
        let is_read = *mailbox == self.account.inbox || self.db.log(mailbox)?.is_some();
        // ROM-4
        Ok(is_read || self.is_taken(ConversationId::new(*mailbox.as_bytes()), true)?)
    }

    fn check_room_count(&self) -> Result<(), Error> {
        if self.db.conversations()?.len() >= CONVERSATIONS {
            return Err(Error::TooMany { what: "conversations", max: CONVERSATIONS });
        }
        if self.db.room_count()? >= ROOMS {
            return Err(Error::TooMany { what: "rooms", max: ROOMS });
        }
        Ok(())
    }

    /// A room cannot be read on.
    pub(super) fn end_room(
        &mut self,
        mut row: ConversationRow,
        room: &MailboxId,
        code: Code,
    ) -> Result<(), Error> {
        let conversation = row.id;
        let founder = self.db.room(room)?.is_some_and(|room| room.manage_key.is_some());
        self.notice(if founder {
            Notice::ConversationLost { conversation }
        } else {
            Notice::RoomLocked { conversation }
        });
        row.standing = Standing::Broken;
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)?;
        self.refuse_outbox(conversation, code)
    }

    /// Who speaks for a room, and who was heard there: nobody knows who else reads.
    pub(super) fn room_people(&self, row: &ConversationRow) -> Result<Vec<GroupMember>, Error> {
        let heard = self.db.members(row.id)?.into_iter().map(|member| member.account);
        let people: BTreeSet<PublicKey> = row.state.officers.keys().copied().chain(heard).collect();
        let mut shown = Vec::new();
        for account in people {
            shown.push(GroupMember {
                id: id_of_key(&account),
                nickname: self.nickname_of(row.id, &account)?,
                role: row.state.role(&account),
                devices: 0,
                is_me: account == *self.account.id().key(),
            });
        }
        Ok(shown)
    }
}

/// The room a conversation is.
fn room_of(db: Db<'_>, id: ConversationId) -> Result<RoomRow, Error> {
    let row = db.need_conversation(id)?;
    let mailbox = row.log.filter(|_| row.is_room).ok_or(Error::NotARoom)?;
    db.room(&mailbox)?.ok_or(Error::Damaged("a room is missing"))
}

/// The link a room is read with.
fn link_of(db: Db<'_>, room: &RoomRow) -> Result<Link, Error> {
    let relay = db.need_log(&room.mailbox)?.relay.parse()?;
    let number = RoomKeyNumber::new(room.number).ok_or(Error::Damaged("a room without a key"))?;
    Ok(Link::from_parts(relay, room.mailbox, number, room.seed.clone())?)
}

/// The next link of a room, if it is to be posted.
fn next_of(db: Db<'_>, room: &RoomRow) -> Result<Option<Link>, Error> {
    let Some(seed) = &room.next_seed else { return Ok(None) };
    let relay = db.need_log(&room.mailbox)?.relay.parse()?;
    let number = room.number.checked_add(1).and_then(RoomKeyNumber::new);
    let number = number.ok_or(Error::Damaged("a room without a next key"))?;
    Ok(Some(Link::from_parts(relay, room.mailbox, number, seed.clone())?))
}

/// The card of a room, if it is known.
fn card_of(room: &RoomRow) -> Result<Option<RoomCard>, Error> {
    let card = room.card.as_ref().map(|card| RoomCard::parse(&room.mailbox, card));
    Ok(card.transpose()?)
}

/// A card says what a group's members would have agreed on: the founder owns it, the other hosts
/// administer it, and nobody but the founder changes it.
fn apply_card(state: &mut GroupState, card: &RoomCard) {
    let info = card.info();
    state.name.clone_from(&info.name);
    state.policy = policy(info.audience_writes);
    let founder = card.founder().account();
    state.officers.clear();
    for host in &info.hosts {
        let role = if *host == founder { Role::Owner } else { Role::Administrator };
        state.set_role(*host.key(), role);
    }
}

/// Who may do what in a room.
const fn policy(audience_writes: bool) -> Policy {
    let hosts = Who::Administrators;
    let writers = if audience_writes { Who::Everybody } else { hosts };
    Policy { adders: hosts, writers, editors: hosts }
}
