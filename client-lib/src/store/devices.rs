//! What belongs to the account's own devices: links under way, the keys each device was given, what
//! is to be told to the others, and what they told.

use restante_crypto::{DeviceCertificate, LettersTaken};
use restante_spec::ids::{EnvelopeId, PublicKey, Seq, UnixTime};
use rusqlite::{OptionalExtension, Row};
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId};

/// A new device that was agreed to, until its letter is with its relay.
#[derive(Clone, Debug)]
pub(crate) struct LinkRow {
    /// The envelope of that letter.
    pub(crate) envelope: EnvelopeId,
    pub(crate) code: Zeroizing<String>,
    pub(crate) label: String,
    /// The seed of the inbox key it is given.
    pub(crate) key: Zeroizing<[u8; 32]>,
}

/// A device, and the seed of the inbox key it was given.
type DeviceKeyRow = (PublicKey, Zeroizing<[u8; 32]>);

/// The name of a record of the account's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordName {
    pub(crate) kind: u32,
    pub(crate) key: Vec<u8>,
}

/// Whose word on a record was the last that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastWord {
    pub(crate) generation: u32,
    pub(crate) seq: Seq,
    /// Another device's.
    pub(crate) foreign: bool,
}

/// A device that would make the conversation with a contact; the first one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) contact: ContactId,
    pub(crate) device: PublicKey,
    /// Where it stands in the own conversation.
    pub(crate) seq: Seq,
    /// From then on the next may.
    pub(crate) until: UnixTime,
}

impl ClaimRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            contact: ContactId::new(fixed(row, "contact")?),
            device: PublicKey::new(fixed(row, "device")?),
            seq: Seq::new(from_sql(row.get("seq")?)),
            until: UnixTime::new(from_sql(row.get("until")?)),
        })
    }
}

impl Db<'_> {
    /// Forgets everything that belongs to this device and not to the account: what it reads with,
    /// what it was about to do, what it has told. What people have said stays.
    pub(crate) fn forget_device(self) -> Result<(), Error> {
        self.forget_groups()?;
        Ok(self.sql.execute_batch(
            "DELETE FROM jobs; DELETE FROM wishes; DELETE FROM logs; DELETE FROM muted;
             DELETE FROM readers; DELETE FROM own_ids; DELETE FROM receipts; DELETE FROM links;
             DELETE FROM device_keys; DELETE FROM claims; DELETE FROM synced; DELETE FROM letters;
             DELETE FROM dirty; DELETE FROM authors; DELETE FROM kept; DELETE FROM joined;
             DELETE FROM absences; DELETE FROM owed; DELETE FROM given; DELETE FROM returns;
             DELETE FROM restarts; DELETE FROM callers; DELETE FROM awaited; DELETE FROM shares;
             DELETE FROM archives; DELETE FROM segments; DELETE FROM rooms;
              DELETE FROM room_hosts; DELETE FROM posts; DELETE FROM room_counters;
              UPDATE conversations SET log = NULL;
             UPDATE outbox SET mailbox = NULL, content = NULL, sealed = NULL, sealed_epoch = NULL;
             DELETE FROM outbox WHERE kind = 9;",
        )?)
    }

    /// Keeps a link under way.
    pub(crate) fn put_link(self, link: &LinkRow) -> Result<(), Error> {
        let sql = "INSERT INTO links (envelope, code, label, key) VALUES (?1, ?2, ?3, ?4)";
        let row = (link.envelope.as_bytes(), link.code.as_str(), &link.label, *link.key);
        self.sql.execute(sql, row)?;
        Ok(())
    }

    /// The link whose letter is this envelope.
    pub(crate) fn link(self, envelope: &EnvelopeId) -> Result<Option<LinkRow>, Error> {
        let sql = "SELECT * FROM links WHERE envelope = ?1";
        let found = self.sql.query_row(sql, [envelope.as_bytes()], |row| {
            Ok(LinkRow {
                envelope: *envelope,
                code: Zeroizing::new(row.get("code")?),
                label: row.get("label")?,
                key: Zeroizing::new(fixed(row, "key")?),
            })
        });
        Ok(found.optional()?)
    }

    /// The letter is with its relay, or will not be.
    pub(crate) fn drop_link(self, envelope: &EnvelopeId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM links WHERE envelope = ?1", [envelope.as_bytes()])?;
        Ok(())
    }

    /// Notes the seed of the inbox key a device was given.
    pub(crate) fn put_device_key(self, device: &PublicKey, seed: &[u8; 32]) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO device_keys (device, key) VALUES (?1, ?2)";
        self.sql.execute(sql, (device.as_bytes(), seed))?;
        Ok(())
    }

    /// The inbox keys devices were given, by device.
    pub(crate) fn device_keys(self) -> Result<Vec<DeviceKeyRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT device, key FROM device_keys")?;
        let rows = query.query_map([], |row| {
            Ok((PublicKey::new(fixed(row, "device")?), Zeroizing::new(fixed(row, "key")?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A device is none of the account's any more.
    pub(crate) fn drop_device_key(self, device: &PublicKey) -> Result<(), Error> {
        self.sql.execute("DELETE FROM device_keys WHERE device = ?1", [device.as_bytes()])?;
        Ok(())
    }

    /// A device, of whichever account, is in the newest list no more. Only as that account's: any
    /// account can certify any device.
    pub(crate) fn note_struck(self, of: &DeviceCertificate) -> Result<(), Error> {
        let (account, device) = (of.account(), of.device());
        let sql = "INSERT OR IGNORE INTO struck_devices (account, device) VALUES (?1, ?2)";
        self.sql.execute(sql, (account.as_bytes(), device.as_bytes()))?;
        Ok(())
    }

    /// Whether a device was in a list of its account and is no more.
    pub(crate) fn is_struck(self, of: &DeviceCertificate) -> Result<bool, Error> {
        let (account, device) = (of.account(), of.device());
        let sql = "SELECT 1 FROM struck_devices WHERE account = ?1 AND device = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((account.as_bytes(), device.as_bytes()))?)
    }

    /// The letters taken from a device.
    pub(crate) fn letters_taken(self, device: &PublicKey) -> Result<LettersTaken, Error> {
        let sql = "SELECT taken FROM letter_numbers WHERE device = ?1";
        let taken = self.sql.query_row(sql, [device.as_bytes()], |row| row.get(0));
        Ok(taken.optional()?.map(LettersTaken::from_bytes).unwrap_or_default())
    }

    /// A letter of a device was taken.
    pub(crate) fn set_letters_taken(
        self,
        device: &PublicKey,
        taken: LettersTaken,
    ) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO letter_numbers (device, taken) VALUES (?1, ?2)";
        self.sql.execute(sql, (device.as_bytes(), taken.to_bytes()))?;
        Ok(())
    }

    /// The other devices are to be told what a record says now.
    pub(crate) fn mark_dirty(self, name: &RecordName) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO dirty (kind, key) VALUES (?1, ?2)";
        self.sql.execute(sql, (name.kind, &name.key))?;
        Ok(())
    }

    /// So they are of everything.
    pub(crate) fn mark_everything_dirty(self) -> Result<(), Error> {
        Ok(self.sql.execute_batch(
            "INSERT OR IGNORE INTO dirty VALUES (1, x'');
             INSERT OR IGNORE INTO dirty SELECT 2, id FROM contacts;
             INSERT OR IGNORE INTO dirty SELECT 3, key FROM invites;
             INSERT OR IGNORE INTO dirty SELECT 4, id FROM conversations WHERE kind < 3;
             INSERT OR IGNORE INTO dirty SELECT 5, conversation FROM read_marks;
             INSERT OR IGNORE INTO dirty SELECT kind, key FROM notes;
             INSERT OR IGNORE INTO dirty SELECT 11, mailbox FROM rooms;",
        )?)
    }

    /// The first records that are to be told.
    pub(crate) fn dirty(self, limit: usize) -> Result<Vec<RecordName>, Error> {
        let sql = "SELECT kind, key FROM dirty ORDER BY kind, key LIMIT ?1";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(RecordName { kind: row.get(0)?, key: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A record was told, or another device has told it.
    pub(crate) fn clear_dirty(self, name: &RecordName) -> Result<(), Error> {
        let sql = "DELETE FROM dirty WHERE kind = ?1 AND key = ?2";
        self.sql.prepare_cached(sql)?.execute((name.kind, &name.key))?;
        Ok(())
    }

    /// There is nobody to tell.
    pub(crate) fn clear_all_dirty(self) -> Result<(), Error> {
        self.sql.execute("DELETE FROM dirty", [])?;
        Ok(())
    }

    /// The last word on a record.
    pub(crate) fn last_word(self, name: &RecordName) -> Result<Option<LastWord>, Error> {
        let sql = "SELECT generation, seq, is_foreign FROM synced WHERE kind = ?1 AND key = ?2";
        let found = self.sql.query_row(sql, (name.kind, &name.key), |row| {
            let (generation, seq) = (row.get(0)?, Seq::new(from_sql(row.get(1)?)));
            Ok(LastWord { generation, seq, foreign: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Notes the last word on a record.
    pub(crate) fn set_last_word(self, name: &RecordName, word: LastWord) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO synced (kind, key, generation, seq, is_foreign)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let (generation, seq) = (word.generation, to_sql(word.seq.get()));
        self.sql.execute(sql, (name.kind, &name.key, generation, seq, word.foreign))?;
        Ok(())
    }

    /// Up to where a conversation was read.
    pub(crate) fn read_mark(self, of: ConversationId) -> Result<Option<(u32, Seq)>, Error> {
        let sql = "SELECT generation, seq FROM read_marks WHERE conversation = ?1";
        let found = self.sql.query_row(sql, [of.as_bytes()], |row| {
            Ok((row.get(0)?, Seq::new(from_sql(row.get(1)?))))
        });
        Ok(found.optional()?)
    }

    /// The last place of a conversation that the log has given to a message.
    pub(crate) fn last_place(self, of: ConversationId) -> Result<Option<(u32, Seq)>, Error> {
        let sql = "SELECT generation, seq FROM messages WHERE conversation = ?1 AND seq < ?2
            ORDER BY generation DESC, seq DESC LIMIT 1";
        let found = self.sql.query_row(sql, (of.as_bytes(), i64::MAX), |row| {
            Ok((row.get(0)?, Seq::new(from_sql(row.get(1)?))))
        });
        Ok(found.optional()?)
    }

    /// Everything up to here was read; says whether anything had not. A mark never goes back.
    pub(crate) fn set_read_mark(
        self,
        of: ConversationId,
        generation: u32,
        seq: Seq,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO read_marks (conversation, generation, seq) VALUES (?1, ?2, ?3)
            ON CONFLICT (conversation) DO UPDATE SET generation = ?2, seq = ?3
            WHERE (generation, seq) < (?2, ?3)";
        let mark = (of.as_bytes(), generation, to_sql(seq.get()));
        self.sql.execute(sql, mark)?;
        // CNT-18: read on one device is read on all.
        let sql = "UPDATE messages SET unread = 0,
                gone_at = CASE timer WHEN 0 THEN 0 ELSE timer + ?4 END
            WHERE conversation = ?1 AND unread = 1 AND (generation, seq) <= (?2, ?3)";
        let (generation, seq) = (generation, to_sql(seq.get()));
        let read = (of.as_bytes(), generation, seq, to_sql(now.get()));
        Ok(self.sql.execute(sql, read)? > 0)
    }

    /// A setting or draft; `None`: there is none.
    pub(crate) fn note(self, name: &RecordName) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT value FROM notes WHERE kind = ?1 AND key = ?2";
        Ok(self.sql.query_row(sql, (name.kind, &name.key), |row| row.get(0)).optional()?)
    }

    /// Writes a setting or draft; an empty one goes.
    pub(crate) fn set_note(self, name: &RecordName, value: &[u8]) -> Result<(), Error> {
        if value.is_empty() {
            let sql = "DELETE FROM notes WHERE kind = ?1 AND key = ?2";
            self.sql.execute(sql, (name.kind, &name.key))?;
        } else {
            let sql = "INSERT OR REPLACE INTO notes (kind, key, value) VALUES (?1, ?2, ?3)";
            self.sql.execute(sql, (name.kind, &name.key, value))?;
        }
        Ok(())
    }

    /// How many settings and drafts there are.
    pub(crate) fn note_count(self) -> Result<usize, Error> {
        Ok(self.sql.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?)
    }

    /// The device that would make the conversation with a contact.
    pub(crate) fn claim(self, contact: ContactId) -> Result<Option<ClaimRow>, Error> {
        let sql = "SELECT * FROM claims WHERE contact = ?1";
        Ok(self.sql.query_row(sql, [contact.as_bytes()], ClaimRow::read).optional()?)
    }

    /// All claims.
    pub(crate) fn claims(self) -> Result<Vec<ClaimRow>, Error> {
        let mut query = self.sql.prepare_cached("SELECT * FROM claims")?;
        let rows = query.query_map([], ClaimRow::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes who would make the conversation.
    pub(crate) fn put_claim(self, claim: &ClaimRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO claims (contact, device, seq, until)
            VALUES (?1, ?2, ?3, ?4)";
        let (seq, until) = (to_sql(claim.seq.get()), to_sql(claim.until.get()));
        let claim = (claim.contact.as_bytes(), claim.device.as_bytes(), seq, until);
        self.sql.execute(sql, claim)?;
        Ok(())
    }

    /// The conversation is there, or is not wanted any more.
    pub(crate) fn drop_claim(self, contact: ContactId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM claims WHERE contact = ?1", [contact.as_bytes()])?;
        Ok(())
    }
}
