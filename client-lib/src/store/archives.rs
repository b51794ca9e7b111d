//! The tables of archives: history that is given to a device of the account or taken by this one,
//! segment by segment, and whose it still is to get.

use restante_spec::content::LogPosition;
use restante_spec::ids::{ArchiveId, BlobId, PublicKey, UnixTime};
use rusqlite::{OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, to_sql};
use crate::error::Error;
use crate::types::ConversationId;

/// An archive on its way. One that was taken whole is kept, for whoever asks how far it came.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveRow {
    pub(crate) id: ArchiveId,
    pub(crate) way: Way,
    /// The relay of its blobs.
    pub(crate) relay: String,
    /// Messages in all of it.
    pub(crate) messages: u64,
    /// Of these, those in the segments that the taker has.
    pub(crate) done: u64,
    /// Manifests that were told.
    pub(crate) manifests: u32,
    /// Segments that are written, or of which the manifest is here.
    pub(crate) segments: u32,
    /// Segments that the taker has.
    pub(crate) taken: u32,
    /// The last manifest was told.
    pub(crate) whole: bool,
    /// Where the next segment begins; `None`: all are written, or somebody else writes them.
    pub(crate) rest: Option<Mark>,
    /// Nothing is done before.
    pub(crate) due: UnixTime,
}

/// Between which devices an archive goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// This one gives it to another.
    To(PublicKey),
    /// This one takes it from another.
    From(PublicKey),
}

/// A segment that the taker does not have yet.
#[derive(Clone, Debug)]
pub(crate) struct SegmentRow {
    pub(crate) archive: ArchiveId,
    pub(crate) number: u32,
    pub(crate) blob: BlobId,
    pub(crate) read_key: Zeroizing<[u8; 32]>,
    pub(crate) file_key: Zeroizing<[u8; 32]>,
    /// Bytes of the sealed file.
    pub(crate) size: u64,
    pub(crate) messages: u32,
    pub(crate) newest: UnixTime,
    pub(crate) oldest: UnixTime,
    /// Where it begins in the giver's tables.
    pub(crate) begins: Option<Mark>,
    /// Its manifest was told.
    pub(crate) told: bool,
}

/// A place in the order in which an archive is written: behind this record of this stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) stage: Stage,
    /// The record's name in its table; empty: before the first.
    pub(crate) key: Vec<u8>,
}

/// What stands in an archive, in this order (ARC-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    States,
    Conversations,
    Members,
    Messages,
}

impl Stage {
    /// What stands behind it.
    pub(crate) const fn next(self) -> Option<Self> {
        match self {
            Self::States => Some(Self::Conversations),
            Self::Conversations => Some(Self::Members),
            Self::Members => Some(Self::Messages),
            Self::Messages => None,
        }
    }
}

impl Mark {
    /// Before the first record of a stage.
    pub(crate) const fn before(stage: Stage) -> Self {
        Self { stage, key: Vec::new() }
    }

    /// Layout: stage (1 byte), key.
    fn to_bytes(&self) -> Vec<u8> {
        let stage = match self.stage {
            Stage::States => 0,
            Stage::Conversations => 1,
            Stage::Members => 2,
            Stage::Messages => 3,
        };
        [&[stage], self.key.as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (stage, key) = bytes.split_first()?;
        let stage = match stage {
            0 => Stage::States,
            1 => Stage::Conversations,
            2 => Stage::Members,
            3 => Stage::Messages,
            _ => return None,
        };
        Some(Self { stage, key: key.to_vec() })
    }

    fn read(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Self>> {
        Ok(row.get::<_, Option<Vec<u8>>>(column)?.as_deref().and_then(Self::from_bytes))
    }
}

impl Way {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let device = PublicKey::new(fixed(row, "device")?);
        Ok(if row.get("taken_from")? { Self::From(device) } else { Self::To(device) })
    }
}

impl ArchiveRow {
    /// Whether this device takes it.
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self.way, Way::From(_))
    }

    /// Whether nothing is left to be done.
    pub(crate) const fn is_over(&self) -> bool {
        self.whole && self.taken == self.segments
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: ArchiveId::new(fixed(row, "id")?),
            way: Way::read(row)?,
            relay: row.get("relay")?,
            messages: from_sql(row.get("messages")?),
            done: from_sql(row.get("done")?),
            manifests: row.get("manifests")?,
            segments: row.get("segments")?,
            taken: row.get("taken")?,
            whole: row.get("whole")?,
            rest: Mark::read(row, "rest")?,
            due: UnixTime::new(from_sql(row.get("due")?)),
        })
    }
}

impl SegmentRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            archive: ArchiveId::new(fixed(row, "archive")?),
            number: row.get("number")?,
            blob: BlobId::new(fixed(row, "blob")?),
            read_key: Zeroizing::new(fixed(row, "read_key")?),
            file_key: Zeroizing::new(fixed(row, "file_key")?),
            size: from_sql(row.get("size")?),
            messages: row.get("messages")?,
            newest: UnixTime::new(from_sql(row.get("newest")?)),
            oldest: UnixTime::new(from_sql(row.get("oldest")?)),
            begins: Mark::read(row, "begins")?,
            told: row.get("told")?,
        })
    }
}

/// Of two places the earlier one counts: behind an archive that is on its way, or without one.
const PUT_SHARE_NEXT: &str = "UPDATE shares SET since = ?5, next_generation = ?3, next_seq = ?4
    WHERE device = ?1 AND conversation = ?2 AND archive IN (SELECT id FROM archives)
        AND (next_seq IS NULL OR (?3, ?4) < (next_generation, next_seq))";
const PUT_SHARE: &str = "INSERT INTO shares (device, conversation, generation, seq, since)
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (device, conversation)
    DO UPDATE SET since = ?5, given = 0, generation = ?3, seq = ?4
    WHERE (archive IS NULL OR archive NOT IN (SELECT id FROM archives))
        AND (given OR (?3, ?4) < (generation, seq))";

/// A conversation whose history a device does not have, and since when.
pub(crate) type Share = (ConversationId, UnixTime);

impl Db<'_> {
    /// A device is to get the history of every conversation.
    pub(crate) fn put_shares(self, device: &PublicKey, now: UnixTime) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO shares (device, conversation, since)
            SELECT ?1, id, ?2 FROM conversations WHERE kind <> 3";
        self.sql.execute(sql, (device.as_bytes(), to_sql(now.get())))?;
        Ok(())
    }

    /// A device is to get what stands behind a place of a conversation: where an archive is on its
    /// way, which may have been written earlier, behind that.
    pub(crate) fn put_share(
        self,
        device: &PublicKey,
        of: ConversationId,
        behind: LogPosition,
        now: UnixTime,
    ) -> Result<(), Error> {
        for sql in [PUT_SHARE_NEXT, PUT_SHARE] {
            self.sql.prepare_cached(sql)?.execute(params![
                device.as_bytes(),
                of.as_bytes(),
                behind.generation,
                to_sql(behind.seq.get()),
                to_sql(now.get())
            ])?;
        }
        Ok(())
    }

    /// The devices that do not have all history yet.
    pub(crate) fn sharing(self) -> Result<Vec<PublicKey>, Error> {
        let sql = "SELECT DISTINCT device FROM shares WHERE given = 0";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], |row| row.get(0).map(PublicKey::new))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The devices that got history of a conversation from this one, or are to; whether they have
    /// all of it by now.
    pub(crate) fn shared_with(self, of: ConversationId) -> Result<Vec<(PublicKey, bool)>, Error> {
        let sql = "SELECT device, given FROM shares WHERE conversation = ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query
            .query_map([of.as_bytes()], |row| Ok((PublicKey::new(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The conversations whose history a device does not have.
    pub(crate) fn shares(self, device: &PublicKey) -> Result<Vec<Share>, Error> {
        let sql = "SELECT * FROM shares WHERE device = ?1 AND given = 0 ORDER BY conversation";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([device.as_bytes()], |row| {
            let conversation = ConversationId::new(fixed(row, "conversation")?);
            Ok((conversation, UnixTime::new(from_sql(row.get("since")?))))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The history of a conversation goes to a device with this archive.
    pub(crate) fn set_share(
        self,
        device: &PublicKey,
        of: ConversationId,
        archive: &ArchiveId,
    ) -> Result<(), Error> {
        let sql = "UPDATE shares SET archive = ?3
            WHERE device = ?1 AND conversation = ?2 AND given = 0";
        let share = (device.as_bytes(), of.as_bytes(), archive.as_bytes());
        self.sql.prepare_cached(sql)?.execute(share)?;
        Ok(())
    }

    /// What was in one archive is in another now.
    pub(crate) fn move_shares(self, from: &ArchiveId, to: &ArchiveId) -> Result<(), Error> {
        let sql = "UPDATE shares SET archive = ?2 WHERE archive = ?1";
        self.sql.execute(sql, (from.as_bytes(), to.as_bytes()))?;
        Ok(())
    }

    /// A device has what was in this archive.
    pub(crate) fn note_given(self, archive: &ArchiveId) -> Result<(), Error> {
        let sql = "UPDATE shares SET given = next_seq IS NULL, archive = NULL,
                generation = coalesce(next_generation, generation),
                seq = coalesce(next_seq, seq), next_generation = NULL, next_seq = NULL
            WHERE archive = ?1";
        self.sql.execute(sql, [archive.as_bytes()])?;
        Ok(())
    }

    /// A device gets nothing more.
    pub(crate) fn drop_shares(self, device: &PublicKey) -> Result<(), Error> {
        self.sql.execute("DELETE FROM shares WHERE device = ?1", [device.as_bytes()])?;
        Ok(())
    }

    /// All archives.
    pub(crate) fn archives(self) -> Result<Vec<ArchiveRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM archives ORDER BY id")?;
        let rows = query.query_map([], ArchiveRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The archive of this id.
    pub(crate) fn archive(self, id: &ArchiveId) -> Result<Option<ArchiveRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM archives WHERE id = ?1")?;
        Ok(query.query_row([id.as_bytes()], ArchiveRow::read).optional()?)
    }

    /// Writes an archive, new or changed.
    pub(crate) fn put_archive(self, row: &ArchiveRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO archives (id, device, taken_from, relay, messages, done,
                manifests, segments, taken, whole, rest, due)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let (Way::To(device) | Way::From(device)) = row.way;
        self.sql.prepare_cached(sql)?.execute(params![
            row.id.as_bytes(),
            device.as_bytes(),
            row.is_taken(),
            row.relay,
            to_sql(row.messages),
            to_sql(row.done),
            row.manifests,
            row.segments,
            row.taken,
            row.whole,
            row.rest.as_ref().map(Mark::to_bytes),
            to_sql(row.due.get()),
        ])?;
        Ok(())
    }

    /// Forgets an archive and its segments.
    pub(crate) fn drop_archive(self, id: &ArchiveId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM segments WHERE archive = ?1", [id.as_bytes()])?;
        self.sql.execute("DELETE FROM archives WHERE id = ?1", [id.as_bytes()])?;
        Ok(())
    }

    /// The segments of an archive that its taker does not have, in their order.
    pub(crate) fn segments(self, of: &ArchiveId) -> Result<Vec<SegmentRow>, Error> {
        let sql = "SELECT * FROM segments WHERE archive = ?1 ORDER BY number";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([of.as_bytes()], SegmentRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a segment, new or changed.
    pub(crate) fn put_segment(self, row: &SegmentRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO segments (archive, number, blob, read_key, file_key,
                size, messages, newest, oldest, begins, told)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        self.sql.prepare_cached(sql)?.execute(params![
            row.archive.as_bytes(),
            row.number,
            row.blob.as_bytes(),
            *row.read_key,
            *row.file_key,
            to_sql(row.size),
            row.messages,
            to_sql(row.newest.get()),
            to_sql(row.oldest.get()),
            row.begins.as_ref().map(Mark::to_bytes),
            row.told,
        ])?;
        Ok(())
    }

    /// The taker has a segment.
    pub(crate) fn drop_segment(self, of: &ArchiveId, number: u32) -> Result<(), Error> {
        let sql = "DELETE FROM segments WHERE archive = ?1 AND number = ?2";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), number))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::Seq;

    use super::*;
    use crate::key::StoreKey;
    use crate::store::Store;

    const DEVICE: PublicKey = PublicKey::new([1; 32]);
    const OF: ConversationId = ConversationId::new([2; 16]);
    const ARCHIVE: ArchiveId = ArchiveId::new([3; 16]);

    /// Where a share begins, and whether an archive is to be begun for it.
    fn share(db: Db<'_>) -> Result<(u64, bool), Error> {
        let begins = db.sql.query_row("SELECT seq FROM shares", [], |row| row.get(0))?;
        Ok((from_sql(begins), !db.shares(&DEVICE)?.is_empty()))
    }

    fn put(db: Db<'_>, seq: u64) -> Result<(), Error> {
        let behind = LogPosition { generation: 1, seq: Seq::new(seq) };
        db.put_share(&DEVICE, OF, behind, UnixTime::new(9))
    }

    /// DEV-22: of several places the earliest counts; what is to be given while an archive is on
    /// its way is given behind that, which goes on.
    #[test]
    fn shares_wait_for_the_archive_that_is_on_its_way() {
        let (home, key) = (tempfile::tempdir().unwrap(), StoreKey::from_bytes([7; 32]));
        Store::create(home.path(), &key, |db| {
            for (seq, begins) in [(50, 50), (70, 50), (40, 40)] {
                put(db, seq)?;
                assert_eq!(share(db)?, (begins, true));
            }
            db.put_archive(&ArchiveRow {
                id: ARCHIVE,
                way: Way::To(DEVICE),
                relay: String::new(),
                messages: 0,
                done: 0,
                manifests: 0,
                segments: 1,
                taken: 0,
                whole: false,
                rest: None,
                due: UnixTime::new(0),
            })?;
            db.set_share(&DEVICE, OF, &ARCHIVE)?;
            for seq in [30, 60, 20] {
                put(db, seq)?;
                assert_eq!(share(db)?.0, 40);
            }
            for begins in [(20, true), (20, false)] {
                db.note_given(&ARCHIVE)?;
                assert_eq!(share(db)?, begins);
                db.set_share(&DEVICE, OF, &ARCHIVE)?;
            }
            db.drop_archive(&ARCHIVE)?;
            put(db, 90)?;
            assert_eq!(share(db)?, (90, true));
            Ok(())
        })
        .unwrap();
    }
}
