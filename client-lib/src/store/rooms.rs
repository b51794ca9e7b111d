//! The tables of rooms: the link and the keys this account has of each, the keys its hosts were
//! given, and the posts that are sealed and have not been read in the log. What else there is to a
//! room stands in the tables of conversations and logs.

use restante_spec::ids::{EnvelopeId, MailboxId, PublicKey};
use rusqlite::{OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::{Db, fixed, maybe, to_sql};
use crate::error::Error;

/// What this account has of a room.
#[derive(Clone, Debug)]
pub(crate) struct RoomRow {
    pub(crate) mailbox: MailboxId,
    /// The number of the key, from 1.
    pub(crate) number: u32,
    /// The seed of the link.
    pub(crate) seed: Zeroizing<[u8; 32]>,
    /// As its founder signed it; `None` until it was read.
    pub(crate) card: Option<Vec<u8>>,
    /// A newer one the relay has shown: it holds once everything that was posted is read.
    pub(crate) shown: Option<Vec<u8>>,
    /// The seed of the key this account writes with as a host.
    pub(crate) host_key: Option<Zeroizing<[u8; 32]>>,
    /// The seed of the key that manages the mailbox: the founder's.
    pub(crate) manage_key: Option<Zeroizing<[u8; 32]>>,
    /// The key that read before the last rotation: it has an end, and goes with the next one.
    pub(crate) old_key: Option<PublicKey>,
    /// The seed of the next link, which is to be posted.
    pub(crate) next_seed: Option<Zeroizing<[u8; 32]>>,
    /// The card is to be posted.
    pub(crate) posts_card: bool,
    /// Those who read were told what this account is called.
    pub(crate) introduced: bool,
}

/// A post that is sealed: these very bytes are sent, until it is read in the log.
#[derive(Clone, Debug)]
pub(crate) struct PostRow {
    pub(crate) envelope: EnvelopeId,
    pub(crate) mailbox: MailboxId,
    pub(crate) kind: PostKind,
    pub(crate) body: Vec<u8>,
}

/// What a post of this device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostKind {
    /// The content of this id, which stands in the outbox.
    Content(EnvelopeId),
    /// The card.
    Card,
    /// The next link.
    Next,
}

impl RoomRow {
    /// A room of which only the link is known.
    pub(crate) const fn new(mailbox: MailboxId, number: u32, seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            mailbox,
            number,
            seed,
            card: None,
            shown: None,
            host_key: None,
            manage_key: None,
            old_key: None,
            next_seed: None,
            posts_card: false,
            introduced: false,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            number: row.get("number")?,
            seed: Zeroizing::new(fixed(row, "seed")?),
            card: row.get("card")?,
            shown: row.get("shown")?,
            host_key: maybe(row, "host_key")?.map(Zeroizing::new),
            manage_key: maybe(row, "manage_key")?.map(Zeroizing::new),
            old_key: maybe(row, "old_key")?.map(PublicKey::new),
            next_seed: maybe(row, "next_seed")?.map(Zeroizing::new),
            posts_card: row.get("posts_card")?,
            introduced: row.get("introduced")?,
        })
    }
}

impl PostKind {
    const fn parts(self) -> (u8, Option<EnvelopeId>) {
        match self {
            Self::Content(id) => (CONTENT, Some(id)),
            Self::Card => (CARD, None),
            Self::Next => (NEXT, None),
        }
    }
}

impl PostRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let kind = match (row.get("kind")?, maybe(row, "id")?) {
            (CONTENT, Some(id)) => PostKind::Content(EnvelopeId::new(id)),
            (CARD, None) => PostKind::Card,
            (NEXT, None) => PostKind::Next,
            _ => return Err(rusqlite::Error::InvalidQuery),
        };
        Ok(Self {
            envelope: EnvelopeId::new(fixed(row, "envelope")?),
            mailbox: MailboxId::new(fixed(row, "mailbox")?),
            kind,
            body: row.get("body")?,
        })
    }
}

impl Db<'_> {
    /// The room in this mailbox.
    pub(crate) fn room(self, mailbox: &MailboxId) -> Result<Option<RoomRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM rooms WHERE mailbox = ?1")?;
        Ok(query.query_row([mailbox.as_bytes()], RoomRow::read).optional()?)
    }

    /// Whether there is a room in this mailbox.
    pub(crate) fn is_room(self, mailbox: &MailboxId) -> Result<bool, Error> {
        let mut query = self.sql.prepare_cached("SELECT 1 FROM rooms WHERE mailbox = ?1")?;
        Ok(query.exists([mailbox.as_bytes()])?)
    }

    /// How many rooms there are.
    pub(crate) fn room_count(self) -> Result<usize, Error> {
        Ok(self.sql.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?)
    }

    /// Writes a room, new or changed.
    pub(crate) fn put_room(self, room: &RoomRow) -> Result<(), Error> {
        let sql = "INSERT INTO rooms (mailbox, number, seed, card, host_key, manage_key, old_key,
                next_seed, posts_card, introduced, shown)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
            ON CONFLICT (mailbox) DO UPDATE SET number = ?2, seed = ?3, card = ?4, host_key = ?5,
                manage_key = ?6, old_key = ?7, next_seed = ?8, posts_card = ?9, introduced = ?10,
                shown = ?11";
        self.sql.prepare_cached(sql)?.execute(params![
            room.mailbox.as_bytes(),
            room.number,
            room.seed.as_ref(),
            room.card,
            room.host_key.as_deref(),
            room.manage_key.as_deref(),
            room.old_key.as_ref().map(PublicKey::as_bytes),
            room.next_seed.as_deref(),
            room.posts_card,
            room.introduced,
            room.shown,
        ])?;
        Ok(())
    }

    /// Notes the key a host was given.
    pub(crate) fn put_room_host(
        self,
        room: &MailboxId,
        account: &PublicKey,
        key: &PublicKey,
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO room_hosts (mailbox, account, key) VALUES (?1, ?2, ?3)";
        self.sql.execute(sql, (room.as_bytes(), account.as_bytes(), key.as_bytes()))?;
        Ok(())
    }

    /// The key a host was given, which is noted no more.
    pub(crate) fn take_room_host(
        self,
        room: &MailboxId,
        account: &PublicKey,
    ) -> Result<Option<PublicKey>, Error> {
        let sql = "DELETE FROM room_hosts WHERE mailbox = ?1 AND account = ?2 RETURNING key";
        let place = (room.as_bytes(), account.as_bytes());
        let key = self.sql.query_row(sql, place, |row| row.get(0).map(PublicKey::new));
        Ok(key.optional()?)
    }

    /// The keys hosts were given, by account.
    pub(crate) fn room_hosts(self, room: &MailboxId) -> Result<Vec<(PublicKey, PublicKey)>, Error> {
        let sql = "SELECT account, key FROM room_hosts WHERE mailbox = ?1 ORDER BY account";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([room.as_bytes()], |row| {
            Ok((PublicKey::new(row.get(0)?), PublicKey::new(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes the counter of a content a device has posted, of no more than `most` devices; says
    /// whether it is above all before.
    pub(crate) fn note_counter(
        self,
        room: &MailboxId,
        device: &PublicKey,
        counter: u64,
        most: usize,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO room_counters (mailbox, device, counter) VALUES (?1, ?2, ?3)
            ON CONFLICT (mailbox, device) DO UPDATE SET counter = ?3 WHERE counter < ?3";
        let row = (room.as_bytes(), device.as_bytes(), to_sql(counter));
        if self.sql.prepare_cached(sql)?.execute(row)? == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM room_counters WHERE mailbox = ?1 AND device = ?2 AND ?3 <
            (SELECT count(*) FROM room_counters WHERE mailbox = ?1)";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let row = (room.as_bytes(), device.as_bytes(), most);
        self.sql.prepare_cached(sql)?.execute(row)?;
        Ok(true)
    }

    /// Keeps a post that is sealed.
    pub(crate) fn put_post(self, post: &PostRow) -> Result<(), Error> {
        let sql = "INSERT INTO posts (envelope, mailbox, kind, id, body)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let (kind, id) = post.kind.parts();
        self.sql.prepare_cached(sql)?.execute(params![
            post.envelope.as_bytes(),
            post.mailbox.as_bytes(),
            kind,
            id.as_ref().map(EnvelopeId::as_bytes),
            post.body,
        ])?;
        Ok(())
    }

    /// The sealed post in this envelope.
    pub(crate) fn post(self, envelope: &EnvelopeId) -> Result<Option<PostRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM posts WHERE envelope = ?1")?;
        Ok(query.query_row([envelope.as_bytes()], PostRow::read).optional()?)
    }

    /// The sealed post of a room that says this.
    pub(crate) fn post_of(
        self,
        room: &MailboxId,
        kind: PostKind,
    ) -> Result<Option<PostRow>, Error> {
        let sql = "SELECT * FROM posts WHERE mailbox = ?1 AND kind = ?2 AND id IS ?3";
        let (kind, id) = kind.parts();
        let id = id.as_ref().map(EnvelopeId::as_bytes);
        let mut query = self.sql.prepare_cached(sql)?;
        let row = query.query_row(params![room.as_bytes(), kind, id], PostRow::read);
        Ok(row.optional()?)
    }

    /// It was read in the log, or says what holds no more.
    pub(crate) fn drop_post(self, envelope: &EnvelopeId) -> Result<(), Error> {
        let sql = "DELETE FROM posts WHERE envelope = ?1";
        self.sql.prepare_cached(sql)?.execute([envelope.as_bytes()])?;
        Ok(())
    }

    /// The room has another key: what was sealed is sealed anew.
    pub(crate) fn drop_posts(self, room: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM posts WHERE mailbox = ?1", [room.as_bytes()])?;
        Ok(())
    }
}

/// Layout: the number of each kind of post in the table.
const CONTENT: u8 = 1;
/// Layout: likewise.
const NEXT: u8 = 2;
/// Layout: likewise.
const CARD: u8 = 3;
