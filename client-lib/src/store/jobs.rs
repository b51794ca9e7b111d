//! The table of jobs: what a relay must still be told. In order for each mailbox, each repeatable
//! without harm, kept until it is answered.

use restante_spec::ids::{EnvelopeId, MailboxId, Slot, UnixTime};
use rusqlite::Row;
use zeroize::Zeroizing;

use super::{Db, fixed, from_sql, maybe, to_sql};
use crate::error::Error;
use crate::types::{ContactId, ConversationId};

/// A job's number: rising in the order they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(i64);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// Make the own inbox.
    CreateInbox,
    /// Give an invite's key its right in the own inbox; the body is the card.
    AllowInvite,
    /// Give a contact's key its rights in the own inbox.
    AllowContact,
    /// Strike a key of the own inbox; `key` is its public half.
    Revoke,
    /// Store prekeys; the body is empty until they are made.
    PutPrekeys,
    /// Store the prekey of last resort; the body is empty until it is made.
    PutLastResort,
    /// Write the first letter to the maker of an invite; sealed once the card was read.
    FirstLetter,
    /// Write a letter that is sealed.
    Letter,
    /// Make the mailbox of a conversation.
    CreateConversation,
    /// Give the members of a group their rights in the own inbox.
    AllowMembers,
    /// Take a key package of one device of an account that is to be added to a conversation;
    /// without a conversation: one of this device, so that nobody else is given it.
    TakePrekey,
    /// Write a letter that asks to be added again.
    Readd,
    /// Give a device of this account every right in the own inbox.
    AllowDevice,
    /// Register this device's reader at the own inbox.
    AddReader,
    /// Write to a new device the letter that links it; sealed once its card was read.
    Link,
    /// Write to the own inbox that this device is ready; sealed when it is.
    SayLinked,
    /// Delete an inbox that was needed for linking only.
    DeleteInbox,
    /// Make the mailbox of a room.
    CreateRoom,
    /// Give the audience's key the right to read a room; the body is the card, `expires_at` when
    /// it ends, 0: not.
    AllowRoomRead,
    /// Give a key the right to write in a room.
    AllowRoomWrite,
}

/// A job to be noted.
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    pub(crate) relay: String,
    pub(crate) mailbox: MailboxId,
    pub(crate) kind: JobKind,
    pub(crate) contact: Option<ContactId>,
    pub(crate) conversation: Option<ConversationId>,
    /// Where the key package lies that is to be taken.
    pub(crate) slot: Slot,
    /// The seed of the key it is about or done with; for `Revoke` the public key.
    pub(crate) key: Option<Zeroizing<[u8; 32]>>,
    pub(crate) envelope: Option<EnvelopeId>,
    /// The message a first letter brings.
    pub(crate) first_message: Option<EnvelopeId>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) uses: u32,
    pub(crate) expires_at: UnixTime,
    /// Not before this one is done.
    pub(crate) after: Option<JobId>,
    /// Not before the commit of this id was echoed; dropped if it lost.
    pub(crate) held_by: Option<EnvelopeId>,
}

/// A noted job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) what: NewJob,
}

impl NewJob {
    /// A job with nothing but its place and kind.
    pub(crate) const fn new(relay: String, mailbox: MailboxId, kind: JobKind) -> Self {
        Self {
            relay,
            mailbox,
            kind,
            contact: None,
            conversation: None,
            slot: Slot::new(0),
            key: None,
            envelope: None,
            first_message: None,
            body: None,
            uses: 0,
            expires_at: UnixTime::new(0),
            after: None,
            held_by: None,
        }
    }
}

impl Job {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let after = row.get::<_, i64>("after")?;
        let kind = kind_of(row.get("kind")?).ok_or(rusqlite::Error::InvalidQuery)?;
        Ok(Self {
            id: JobId(row.get("id")?),
            what: NewJob {
                relay: row.get("relay")?,
                mailbox: MailboxId::new(fixed(row, "mailbox")?),
                kind,
                contact: maybe(row, "contact")?.map(ContactId::new),
                conversation: maybe(row, "conversation")?.map(ConversationId::new),
                slot: Slot::new(row.get("slot")?),
                key: maybe(row, "key")?.map(Zeroizing::new),
                envelope: maybe(row, "envelope")?.map(EnvelopeId::new),
                first_message: maybe(row, "first_message")?.map(EnvelopeId::new),
                body: row.get("body")?,
                uses: row.get("uses")?,
                expires_at: UnixTime::new(from_sql(row.get("expires_at")?)),
                after: (after != 0).then_some(JobId(after)),
                held_by: maybe(row, "held_by")?.map(EnvelopeId::new),
            },
        })
    }
}

impl Db<'_> {
    /// Notes a job.
    pub(crate) fn put_job(self, job: &NewJob) -> Result<JobId, Error> {
        let sql = "INSERT INTO jobs (relay, mailbox, kind, contact, key, envelope,
                first_message, body, uses, expires_at, after, held_by, conversation, slot)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        self.sql.prepare_cached(sql)?.execute(rusqlite::params![
            job.relay,
            job.mailbox.as_bytes(),
            kind_number(job.kind),
            job.contact.as_ref().map(ContactId::as_bytes),
            job.key.as_deref(),
            job.envelope.as_ref().map(EnvelopeId::as_bytes),
            job.first_message.as_ref().map(EnvelopeId::as_bytes),
            job.body,
            job.uses,
            to_sql(job.expires_at.get()),
            job.after.map_or(0, |after| after.0),
            job.held_by.as_ref().map(EnvelopeId::as_bytes),
            job.conversation.as_ref().map(ConversationId::as_bytes),
            job.slot.get(),
        ])?;
        Ok(JobId(self.sql.last_insert_rowid()))
    }

    /// The first job of each mailbox that can be done now. What a commit holds is passed by: that
    /// commit may be long in coming, and only letters are held, which come in any order (LET-6).
    pub(crate) fn runnable_jobs(self) -> Result<Vec<Job>, Error> {
        let sql = "SELECT * FROM jobs AS job
            WHERE id = (SELECT min(id) FROM jobs AS first
                WHERE first.relay = job.relay AND first.mailbox = job.mailbox
                AND first.held_by IS NULL)
            AND (after = 0 OR NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.id = job.after))
            ORDER BY id";
        let mut query = self.sql.prepare_cached(sql)?;
        let rows = query.query_map([], Job::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a job of this kind is noted for this mailbox.
    pub(crate) fn has_job(self, mailbox: &MailboxId, kind: JobKind) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM jobs WHERE mailbox = ?1 AND kind = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        Ok(query.exists((mailbox.as_bytes(), kind_number(kind)))?)
    }

    /// Whether any job is noted for this mailbox.
    pub(crate) fn has_jobs(self, mailbox: &MailboxId) -> Result<bool, Error> {
        let mut query = self.sql.prepare_cached("SELECT 1 FROM jobs WHERE mailbox = ?1")?;
        Ok(query.exists([mailbox.as_bytes()])?)
    }

    /// Whether a job of this kind is noted for this slot of prekeys.
    pub(crate) fn has_slot_job(self, slot: Slot, kind: JobKind) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM jobs WHERE slot = ?1 AND kind = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((slot.get(), kind_number(kind)))?)
    }

    /// Whether a prekey of this slot is being taken for this conversation.
    pub(crate) fn takes_prekey(self, of: ConversationId, slot: Slot) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM jobs WHERE conversation = ?1 AND slot = ?2 AND kind = ?3";
        let kind = kind_number(JobKind::TakePrekey);
        Ok(self.sql.prepare_cached(sql)?.exists((of.as_bytes(), slot.get(), kind))?)
    }

    /// Whether a job of this kind is noted for this conversation.
    pub(crate) fn has_job_of(self, of: ConversationId, kind: JobKind) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM jobs WHERE conversation = ?1 AND kind = ?2";
        Ok(self.sql.prepare_cached(sql)?.exists((of.as_bytes(), kind_number(kind)))?)
    }

    /// The job of this kind for this contact, if one is noted.
    pub(crate) fn job_for(self, contact: ContactId, kind: JobKind) -> Result<Option<JobId>, Error> {
        let sql = "SELECT max(id) FROM jobs WHERE contact = ?1 AND kind = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let id = query.query_row((contact.as_bytes(), kind_number(kind)), |row| row.get(0))?;
        Ok(Option::map(id, JobId))
    }

    /// The job of this kind for this mailbox, if one is noted.
    pub(crate) fn job_in(self, mailbox: &MailboxId, kind: JobKind) -> Result<Option<JobId>, Error> {
        let sql = "SELECT max(id) FROM jobs WHERE mailbox = ?1 AND kind = ?2";
        let mut query = self.sql.prepare_cached(sql)?;
        let id = query.query_row((mailbox.as_bytes(), kind_number(kind)), |row| row.get(0))?;
        Ok(Option::map(id, JobId))
    }

    /// Gives a job the body it will be done with.
    pub(crate) fn set_job_body(self, id: JobId, body: &[u8]) -> Result<(), Error> {
        self.sql.execute("UPDATE jobs SET body = ?2 WHERE id = ?1", (id.0, body))?;
        Ok(())
    }

    /// The job is answered.
    pub(crate) fn finish_job(self, id: JobId) -> Result<(), Error> {
        self.sql.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// The commit was echoed: what waited for it may be done.
    pub(crate) fn release_jobs(self, commit: &EnvelopeId) -> Result<(), Error> {
        let sql = "UPDATE jobs SET held_by = NULL WHERE held_by = ?1";
        self.sql.execute(sql, [commit.as_bytes()])?;
        Ok(())
    }

    /// The commit lost: what waited for it will not be done.
    pub(crate) fn drop_held_jobs(self, commit: &EnvelopeId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM jobs WHERE held_by = ?1", [commit.as_bytes()])?;
        Ok(())
    }

    /// Nothing that was noted for this mailbox will be done.
    pub(crate) fn drop_jobs_of(self, mailbox: &MailboxId) -> Result<(), Error> {
        self.sql.execute("DELETE FROM jobs WHERE mailbox = ?1", [mailbox.as_bytes()])?;
        Ok(())
    }

    /// Letters to this contact will not be sent.
    pub(crate) fn drop_letters(self, contact: ContactId) -> Result<(), Error> {
        let sql = "DELETE FROM jobs WHERE contact = ?1 AND kind IN (?2, ?3)";
        let letters = (kind_number(JobKind::FirstLetter), kind_number(JobKind::Letter));
        self.sql.execute(sql, (contact.as_bytes(), letters.0, letters.1))?;
        Ok(())
    }
}

/// Layout: the number of each kind in the table.
const fn kind_number(kind: JobKind) -> u8 {
    match kind {
        JobKind::CreateInbox => 0,
        JobKind::AllowInvite => 1,
        JobKind::AllowContact => 2,
        JobKind::Revoke => 3,
        JobKind::PutPrekeys => 4,
        JobKind::PutLastResort => 5,
        JobKind::FirstLetter => 6,
        JobKind::Letter => 7,
        JobKind::CreateConversation => 8,
        JobKind::AllowMembers => 9,
        JobKind::TakePrekey => 10,
        JobKind::Readd => 30,
        JobKind::AllowDevice => 20,
        JobKind::AddReader => 21,
        JobKind::Link => 22,
        JobKind::DeleteInbox => 23,
        JobKind::SayLinked => 24,
        JobKind::CreateRoom => 40,
        JobKind::AllowRoomRead => 41,
        JobKind::AllowRoomWrite => 42,
    }
}

const fn kind_of(number: u8) -> Option<JobKind> {
    Some(match number {
        0 => JobKind::CreateInbox,
        1 => JobKind::AllowInvite,
        2 => JobKind::AllowContact,
        3 => JobKind::Revoke,
        4 => JobKind::PutPrekeys,
        5 => JobKind::PutLastResort,
        6 => JobKind::FirstLetter,
        7 => JobKind::Letter,
        8 => JobKind::CreateConversation,
        9 => JobKind::AllowMembers,
        10 => JobKind::TakePrekey,
        30 => JobKind::Readd,
        20 => JobKind::AllowDevice,
        21 => JobKind::AddReader,
        22 => JobKind::Link,
        23 => JobKind::DeleteInbox,
        24 => JobKind::SayLinked,
        40 => JobKind::CreateRoom,
        41 => JobKind::AllowRoomRead,
        42 => JobKind::AllowRoomWrite,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::StoreKey;
    use crate::store::Store;

    /// LET-6. Once a Welcome that a commit held, to the own inbox, kept everything back that was
    /// asked of that inbox later: with a conversation's relay gone, invites and revocations too.
    #[test]
    fn what_a_commit_holds_keeps_nothing_else_back() {
        let (home, key) = (tempfile::tempdir().unwrap(), StoreKey::from_bytes([7; 32]));
        let commit = EnvelopeId::new([9; 16]);
        let job = |kind| NewJob::new("relay".to_owned(), MailboxId::new([1; 16]), kind);
        let runnable = |db: Db<'_>| -> Result<Vec<JobKind>, Error> {
            Ok(db.runnable_jobs()?.iter().map(|job| job.what.kind).collect())
        };
        Store::create(home.path(), &key, |db| {
            db.put_job(&NewJob { held_by: Some(commit), ..job(JobKind::Letter) })?;
            let revoke = db.put_job(&job(JobKind::Revoke))?;
            db.put_job(&job(JobKind::AllowInvite))?;
            assert_eq!(runnable(db)?, [JobKind::Revoke]);
            db.finish_job(revoke)?;
            assert_eq!(runnable(db)?, [JobKind::AllowInvite]);
            db.release_jobs(&commit)?;
            assert_eq!(runnable(db)?, [JobKind::Letter]);
            Ok(())
        })
        .unwrap();
    }
}
