//! What a room's founder tells the relay: the mailbox, and which keys may read and write there.

use restante_crypto::{RoomCard, SigningKey, prove_possession, reader_hash};
use restante_spec::ids::{Handle, PublicKey, UnixTime};
use restante_spec::message::{Allow, Command, Create, MailboxClass, Rights, Terms};
use zeroize::Zeroizing;

use super::{Link, card_of, link_of};
use crate::engine::Work;
use crate::error::Error;
use crate::store::{Db, Job, JobKind, NewJob, RoomRow};

impl Work<'_> {
    /// Notes something the relay is to be told of a room; `key` is the seed of the key it is about.
    pub(super) fn put_room_job(
        &mut self,
        link: &Link,
        kind: JobKind,
        key: Option<Zeroizing<[u8; 32]>>,
    ) -> Result<(), Error> {
        let job = NewJob::new(link.relay().to_string(), *link.room(), kind);
        self.db.put_job(&NewJob { key, ..job })?;
        Ok(())
    }

    /// Notes that a key of a room is to be struck.
    pub(super) fn revoke_in_room(&mut self, link: &Link, key: &PublicKey) -> Result<(), Error> {
        self.put_room_job(link, JobKind::Revoke, Some(Zeroizing::new(*key.as_bytes())))
    }

    /// Whoever has this link may read, with this card, and write if the card says so (ROM-3).
    pub(super) fn allow_link(&mut self, link: &Link, card: &RoomCard) -> Result<(), Error> {
        self.allow_reading(link, card, UnixTime::new(0))?;
        if card.info().audience_writes {
            self.put_room_job(link, JobKind::AllowRoomWrite, Some(link.write_key()?.seed()))?;
        }
        Ok(())
    }

    /// Whoever has this link may read, with this card; until then, if that is not 0.
    pub(super) fn allow_reading(
        &mut self,
        link: &Link,
        card: &RoomCard,
        until: UnixTime,
    ) -> Result<(), Error> {
        self.db.put_job(&NewJob {
            key: Some(link.read_key()?.seed()),
            body: Some(link.seal_card(card)?),
            expires_at: until,
            ..NewJob::new(link.relay().to_string(), *link.room(), JobKind::AllowRoomRead)
        })?;
        Ok(())
    }

    /// A relay was restored and may have forgotten the keys: they are told again (MBX-20).
    pub(in crate::engine) fn allow_rooms_again(&mut self, relay: &str) -> Result<(), Error> {
        for log in self.db.live_logs()? {
            let Some(room) = self.db.room(&log.mailbox)?.filter(|_| log.relay == relay) else {
                continue;
            };
            let (Some(card), true) = (card_of(&room)?, room.manage_key.is_some()) else { continue };
            let link = link_of(self.db, &room)?;
            self.allow_link(&link, &card)?;
            self.put_room_job(&link, JobKind::AllowRoomWrite, room.host_key)?;
        }
        Ok(())
    }

    pub(in crate::engine) fn create_room_mailbox(
        &self,
        job: &Job,
    ) -> Result<(Command, Vec<u8>), Error> {
        let mailbox = job.what.mailbox;
        let room = self.db.room(&mailbox)?.ok_or(Error::Damaged("a room is missing"))?;
        let key = manage_key(&room)?;
        let create = Create {
            mailbox,
            class: MailboxClass::Room,
            key: key.public(),
            possession: prove_possession(&key, &mailbox),
            reader: reader_hash(&self.db.need_log(&mailbox)?.reader),
            token: self.db.token(&job.what.relay)?,
            ttl: None,
            memory_first: false,
        };
        Ok((Command::Create(create), Vec::new()))
    }

    pub(in crate::engine) fn allow_in_room(
        &self,
        job: &Job,
        handle: Handle,
    ) -> Result<(Command, Vec<u8>), Error> {
        let key = SigningKey::from_seed(self.key_of(job)?);
        let read = job.what.kind == JobKind::AllowRoomRead;
        let until = job.what.expires_at;
        let terms = Terms {
            // MBX-17
            rights: Rights { read, write: !read, take: false, manage: false },
            expires_at: (until > UnixTime::new(0)).then_some(until),
            uses: None,
            rate: None,
        };
        let possession = prove_possession(&key, &job.what.mailbox);
        let allow = Allow { handle, key: key.public(), possession, terms };
        Ok((Command::Allow(allow), job.what.body.clone().unwrap_or_default()))
    }
}

/// The key that opens a room to read: the founder's manages it too.
pub(in crate::engine) fn reading_key(db: Db<'_>, room: &RoomRow) -> Result<SigningKey, Error> {
    match &room.manage_key {
        Some(seed) => Ok(SigningKey::from_seed(seed)),
        None => Ok(link_of(db, room)?.read_key()?),
    }
}

fn manage_key(room: &RoomRow) -> Result<SigningKey, Error> {
    let seed = room.manage_key.as_ref().ok_or(Error::Damaged("a room without its manage key"))?;
    Ok(SigningKey::from_seed(seed))
}
