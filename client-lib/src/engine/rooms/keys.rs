//! What a room's founder changes: whether the audience may write, who the hosts are, and the key
//! (ROM-5, ROM-9). The relay is told first; then it is posted, and counts from its place on.

use restante_crypto::{RoomCard, RoomInfo, SigningKey};
use restante_spec::content::{Body, RoomGrant};
use restante_spec::ids::{PublicKey, UnixTime};
use restante_spec::limits::ROOM_HOSTS;

use super::{Link, card_of, link_of, next_of, room_of};
use crate::engine::commands::{account_of, id_of_key};
use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::limits::ROOM_OLD_KEY;
use crate::store::{Db, JobKind, PostKind, RoomRow};
use crate::types::{ContactId, ContactState, ConversationId, Standing};

impl Engine {
    pub(crate) fn set_room_audience(
        &mut self,
        id: ConversationId,
        may_write: bool,
    ) -> Result<(), Error> {
        self.transact(|work| work.set_room_audience(id, may_write))
    }

    pub(crate) fn rotate_room(&mut self, id: ConversationId, announce: bool) -> Result<(), Error> {
        self.transact(|work| work.rotate_room(id, announce))
    }

    pub(crate) fn add_host(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        self.transact(|work| work.add_host(id, who))
    }

    pub(crate) fn remove_host(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        self.transact(|work| work.remove_host(id, who))
    }
}

impl Work<'_> {
    fn set_room_audience(&mut self, id: ConversationId, may_write: bool) -> Result<(), Error> {
        let (mut room, card) = self.own_room(id)?;
        if card.info().audience_writes == may_write {
            return Ok(());
        }
        for link in links(self.db, &room)? {
            let key = link.write_key()?;
            if may_write {
                self.put_room_job(&link, JobKind::AllowRoomWrite, Some(key.seed()))?;
            } else {
                self.revoke_in_room(&link, &key.public())?;
            }
        }
        let info = RoomInfo { audience_writes: may_write, ..card.info().clone() };
        self.renew_card(&mut room, &card, info)
    }

    fn add_host(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        let (mut room, card) = self.own_room(id)?;
        let contact = self.db.need_contact(who)?;
        if contact.state != ContactState::Active {
            return Err(Error::WrongState { state: contact.state });
        }
        let account = account_of(&contact)?;
        if card.is_host(account) {
            return Ok(());
        }
        if card.info().hosts.len() >= ROOM_HOSTS {
            return Err(Error::TooMany { what: "hosts", max: ROOM_HOSTS });
        }
        let link = link_of(self.db, &room)?;
        let key = SigningKey::generate()?;
        self.put_room_job(&link, JobKind::AllowRoomWrite, Some(key.seed()))?;
        self.db.put_room_host(&room.mailbox, account.key(), &key.public())?;
        let mut info = card.info().clone();
        info.hosts.push(account);
        self.renew_card(&mut room, &card, info)?;
        // ROM-14
        let grant = RoomGrant { link: link.link(), key: Some(key.seed()) };
        self.queue_body(who.into(), &Body::Room(grant))?;
        Ok(())
    }

    fn remove_host(&mut self, id: ConversationId, who: ContactId) -> Result<(), Error> {
        let (mut room, card) = self.own_room(id)?;
        let mut info = card.info().clone();
        let is_meant = |account: &PublicKey| id_of_key(account) == who;
        let host = info.hosts.iter().copied().find(|host| is_meant(host.key()));
        let host = host.ok_or(Error::NotAMember)?;
        if host == self.account.id() {
            return Err(Error::NotAllowed);
        }
        if let Some(key) = self.db.take_room_host(&room.mailbox, host.key())? {
            self.revoke_in_room(&link_of(self.db, &room)?, &key)?;
        }
        info.hosts.retain(|other| *other != host);
        self.renew_card(&mut room, &card, info)
    }

    /// Another card: kept with the link, and with the next one if that is on its way; then posted.
    fn renew_card(
        &mut self,
        room: &mut RoomRow,
        before: &RoomCard,
        info: RoomInfo,
    ) -> Result<(), Error> {
        let account = self.account;
        let info = RoomInfo { version: before.info().version.saturating_add(1), ..info };
        let certificate = account.certificate()?;
        let card = RoomCard::sign(&account.device, certificate, before.salt(), info)?;
        for link in links(self.db, room)? {
            self.allow_reading(&link, &card, UnixTime::new(0))?;
        }
        (room.card, room.posts_card) = (Some(card.as_bytes().to_vec()), true);
        self.db.put_room(room)?;
        // One that is sealed says what holds no more.
        match self.db.post_of(&room.mailbox, PostKind::Card)? {
            Some(post) => self.db.drop_post(&post.envelope),
            None => Ok(()),
        }
    }

    /// Replaces the key (ROM-9). Announced, everybody who has the old one finds the next in a post;
    /// otherwise only who is handed the new link reads on.
    fn rotate_room(&mut self, id: ConversationId, announce: bool) -> Result<(), Error> {
        let (mut room, card) = self.own_room(id)?;
        if room.next_seed.is_some() {
            // It is under way, and would exclude nobody who reads.
            return if announce { Ok(()) } else { Err(Error::RotationUnderWay) };
        }
        let link = link_of(self.db, &room)?;
        let next = link.rotate()?;
        self.allow_link(&next, &card)?;
        if announce {
            room.next_seed = Some(next.seed());
            return self.db.put_room(&room);
        }
        self.revoke_in_room(&link, &link.read_key()?.public())?;
        self.revoke_in_room(&link, &link.write_key()?.public())?;
        if let Some(old) = room.old_key.take() {
            self.revoke_in_room(&link, &old)?;
        }
        self.change_link(&mut room, &next)?;
        // ROM-14
        for host in &card.info().hosts {
            let contact = self.db.contact(id_of_key(host.key()))?;
            let Some(contact) = contact.filter(|one| one.state == ContactState::Active) else {
                continue;
            };
            let grant = RoomGrant { link: next.link(), key: None };
            self.queue_body(contact.id.into(), &Body::Room(grant))?;
        }
        let row = self.db.need_conversation(id)?;
        self.tell_conversation(&row)
    }

    /// The room goes on with another key: what was sealed under the old one is sealed anew.
    pub(super) fn change_link(&mut self, room: &mut RoomRow, next: &Link) -> Result<(), Error> {
        (room.number, room.seed) = (next.number().get(), next.seed());
        room.next_seed = None;
        self.db.put_room(room)?;
        // ROM-10
        self.db.drop_posts(&room.mailbox)
    }

    /// The rotation of this account has its place: the old link writes no more, and reads on for
    /// those who were away.
    pub(super) fn retire_link(&mut self, room: &mut RoomRow, old: &Link) -> Result<(), Error> {
        let Some(card) = card_of(room)? else { return Ok(()) };
        if let Some(older) = room.old_key.take() {
            self.revoke_in_room(old, &older)?;
        }
        self.revoke_in_room(old, &old.write_key()?.public())?;
        self.allow_reading(old, &card, self.now.after(ROOM_OLD_KEY))?;
        room.old_key = Some(old.read_key()?.public());
        self.db.put_room(room)
    }

    /// A room this account administers, and its card.
    fn own_room(&self, id: ConversationId) -> Result<(RoomRow, RoomCard), Error> {
        let room = room_of(self.db, id)?;
        let standing = self.db.need_conversation(id)?.standing;
        if standing != Standing::Open {
            return Err(Error::WrongStanding { standing });
        }
        self.check_may_act()?;
        match card_of(&room)? {
            Some(card) if room.manage_key.is_some() => Ok((room, card)),
            _ => Err(Error::NotAllowed),
        }
    }
}

/// The link of a room, and the next one if it is on its way.
fn links(db: Db<'_>, room: &RoomRow) -> Result<Vec<Link>, Error> {
    let mut all = vec![link_of(db, room)?];
    all.extend(next_of(db, room)?);
    Ok(all)
}
