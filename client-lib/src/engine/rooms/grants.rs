//! Rooms this account is given: by a founder who makes it a host (ROM-14), and by another device of
//! this account (DEV-8).

use restante_spec::content::{GroupKind, RoomGrant, RoomHost, RoomState, StateRecord};
use restante_spec::ids::{MailboxId, PublicKey};

use super::{Link, card_of, link_of};
use crate::engine::Work;
use crate::engine::own_records::{standing_number, standing_of};
use crate::error::Error;
use crate::events::Notice;
use crate::store::{LogRow, LogState, RecordName, RoomRow};
use crate::types::Standing;

impl Work<'_> {
    /// A contact makes this account a host of a room, or gives a host the next link (ROM-14).
    pub(in crate::engine) fn take_room_grant(
        &mut self,
        log: &LogRow,
        author: &PublicKey,
        grant: &RoomGrant,
    ) -> Result<(), Error> {
        let kind = self.db.need_conversation(log.conversation)?.state.kind;
        // ROM-14
        if kind != GroupKind::Direct || author == self.account.id().key() {
            return Ok(());
        }
        let Ok(link) = Link::parse(&grant.link) else {
            self.notice(Notice::Junk { conversation: Some(log.conversation) });
            return Ok(());
        };
        match self.db.room(link.room())? {
            Some(room) => self.take_known_grant(room, author, &link, grant),
            None if grant.key.is_none() => Ok(()),
            None if self.is_no_room(link.room())? || self.check_room_count().is_err() => {
                self.notice(Notice::Junk { conversation: Some(log.conversation) });
                Ok(())
            }
            None => {
                let mut room = RoomRow::new(*link.room(), link.number().get(), link.seed());
                room.host_key.clone_from(&grant.key);
                let (standing, log) = (Standing::Invited, LogState::Invited);
                let row = self.put_new_room(&room, &link, standing, log)?;
                self.tell_conversation(&row)
            }
        }
    }

    /// The same for a room that is known: its founder is believed, and until the card names one
    /// nobody's link is. A key counts only while the card names this account a host.
    fn take_known_grant(
        &mut self,
        mut room: RoomRow,
        author: &PublicKey,
        link: &Link,
        grant: &RoomGrant,
    ) -> Result<(), Error> {
        let card = card_of(&room)?;
        let founder = card.map(|card| *card.founder().account().key());
        // ROM-14
        if founder.is_some_and(|founder| founder != *author) {
            return Ok(());
        }
        if grant.key.is_some() {
            room.host_key.clone_from(&grant.key);
            self.db.put_room(&room)?;
        }
        let known = link_of(self.db, &room)?;
        let newer = link.number() > known.number() && link.relay() == known.relay();
        let log = self.db.need_log(&room.mailbox)?;
        let standing = self.db.need_conversation(log.conversation)?.standing;
        if founder.is_none() || !newer {
            return Ok(());
        }
        self.change_link(&mut room, link)?;
        if matches!(standing, Standing::Open | Standing::Broken) {
            self.read_room(&room.mailbox)?;
        }
        Ok(())
    }

    /// A room was made: the other devices are told from now on.
    pub(in crate::engine) fn tell_room(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        if !self.db.is_room(mailbox)? {
            return Ok(());
        }
        let key = mailbox.as_bytes().to_vec();
        self.db.mark_dirty(&RecordName { kind: StateRecord::ROOM, key })
    }

    /// What the account's other devices are told of a room; nothing before the relay has made it.
    pub(in crate::engine) fn room_record(
        &self,
        mailbox: &MailboxId,
    ) -> Result<Option<StateRecord>, Error> {
        let (Some(room), Some(log)) = (self.db.room(mailbox)?, self.db.log(mailbox)?) else {
            return Ok(None);
        };
        if log.state == LogState::Creating {
            return Ok(None);
        }
        let standing = self.db.need_conversation(log.conversation)?.standing;
        let hosts = self.db.room_hosts(mailbox)?.into_iter();
        let link = link_of(self.db, &room)?.link();
        let state = RoomState {
            standing: standing_number(standing),
            link,
            card: room.card.unwrap_or_default(),
            host_key: room.host_key,
            manage_key: room.manage_key,
            old_key: room.old_key,
            hosts: hosts.map(|(account, key)| RoomHost { account, key }).collect(),
        };
        Ok(Some(StateRecord::Room(*mailbox.as_bytes(), Box::new(state))))
    }

    /// Takes over what another device has told of a room.
    pub(in crate::engine) fn apply_room(
        &mut self,
        mailbox: &MailboxId,
        state: RoomState,
    ) -> Result<(), Error> {
        let link = Link::parse(&state.link).ok().filter(|link| link.room() == mailbox);
        let Some(link) = link else { return Ok(()) };
        let standing = standing_of(state.standing);
        let mut room = match self.db.room(mailbox)? {
            Some(room) => room,
            None if self.is_no_room(mailbox)? => return Ok(()),
            None => {
                let room = RoomRow::new(*mailbox, link.number().get(), link.seed());
                self.put_new_room(&room, &link, standing, log_state(standing))?;
                room
            }
        };
        if link.number() > link_of(self.db, &room)?.number() {
            self.change_link(&mut room, &link)?;
        }
        room.host_key = state.host_key.or(room.host_key);
        room.manage_key = state.manage_key.or(room.manage_key);
        room.old_key = state.old_key.or(room.old_key);
        self.db.put_room(&room)?;
        for host in &state.hosts {
            self.db.put_room_host(mailbox, &host.account, &host.key)?;
        }
        // A card that was replaced, or is none, is left alone.
        self.attempt(|work| {
            let card = restante_crypto::RoomCard::parse(mailbox, &state.card)?;
            work.take_card(&mut room, &card, None)
        })?;
        self.apply_room_standing(mailbox, standing)
    }

    /// A person has decided elsewhere. That a device cannot read on is no decision.
    fn apply_room_standing(
        &mut self,
        mailbox: &MailboxId,
        standing: Standing,
    ) -> Result<(), Error> {
        let mut log = self.db.need_log(mailbox)?;
        let mut row = self.db.need_conversation(log.conversation)?;
        if !matches!(standing, Standing::Open | Standing::Left) || row.standing == standing {
            return self.tell_conversation(&row);
        }
        if log.state != LogState::Creating {
            log.state = log_state(standing);
            self.db.put_log(&log)?;
        }
        row.standing = standing;
        self.db.put_conversation(&row)?;
        self.tell_conversation(&row)
    }
}

/// Whether the log of a room is read.
const fn log_state(standing: Standing) -> LogState {
    match standing {
        Standing::Open => LogState::Live,
        Standing::Invited => LogState::Invited,
        Standing::Leaving
        | Standing::Left
        | Standing::Removed
        | Standing::Broken
        | Standing::Restored => LogState::Closed,
    }
}
