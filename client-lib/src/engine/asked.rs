//! What the driver asks: what is to be read and written, with which keys, and from where on.

use std::collections::BTreeSet;

use bytes::Bytes;
use restante_crypto::SigningKey;
use restante_spec::codes::Code;
use restante_spec::ids::{EnvelopeId, Incarnation, MailboxId, ReaderSecret, Seq, UnixTime};
use restante_spec::message::{Deliver, EnvelopeClass, Opened};

use super::{Engine, Work, Writer, rooms};
use crate::error::Error;
use crate::events::Notice;
use crate::store::{Db, Job, JobKind, LogRow, LogState, Meta, NewJob, Wish};
use crate::types::Standing;

/// What a batch came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Everything up to here is durable.
    pub(crate) upto: Seq,
    /// The mailbox must be opened with another key, or not at all.
    pub(crate) reopen: bool,
}

impl Engine {
    /// The own relay, as relays are named here.
    pub(crate) fn own_address(&self) -> &str {
        &self.own_relay
    }

    pub(crate) fn is_own_relay(&self, relay: &str) -> bool {
        relay == self.own_relay
    }

    pub(crate) fn is_own_inbox(&self, mailbox: &MailboxId) -> bool {
        *mailbox == self.account.inbox
    }

    /// The own inbox, if it is on this relay and the relay has heard of it.
    pub(crate) fn own_inbox(&self, relay: &str) -> Result<Option<MailboxId>, Error> {
        let inbox = self.account.inbox;
        let db = self.store.read();
        let unknown =
            db.has_job(&inbox, JobKind::CreateInbox)? || db.has_job(&inbox, JobKind::AddReader)?;
        Ok((self.is_own_relay(relay) && !unknown).then_some(inbox))
    }

    /// Jobs that may be done now.
    pub(crate) fn runnable_jobs(&self) -> Result<Vec<Job>, Error> {
        self.store.read().runnable_jobs()
    }

    /// The relays there is something to do with: the own one, those of conversations, those a
    /// person's decision sends a letter to, and those of transfers. No other is ever connected to.
    pub(crate) fn wanted_relays(&self) -> Result<BTreeSet<String>, Error> {
        let db = self.store.read();
        let mut relays = BTreeSet::from([self.own_relay.clone()]);
        relays.extend(db.live_logs()?.into_iter().map(|row| row.relay));
        relays.extend(db.runnable_jobs()?.into_iter().map(|job| job.what.relay));
        relays.extend(db.owed_transfers()?.into_iter().map(|row| row.relay));
        Ok(relays)
    }

    /// The conversations this device reads on a relay.
    pub(crate) fn conversations_on(&self, relay: &str) -> Result<BTreeSet<MailboxId>, Error> {
        let db = self.store.read();
        let mut there = BTreeSet::new();
        for log in db.live_logs()? {
            if log.relay == relay && !is_waiting(db, &log)? {
                there.insert(log.mailbox);
            }
        }
        Ok(there)
    }

    /// Whether a log on this relay can only be read on when a blob is here (REC-6).
    pub(crate) fn waits_for_blobs(&self, relay: &str) -> Result<bool, Error> {
        let db = self.store.read();
        for log in db.live_logs()? {
            if log.relay == relay && is_waiting(db, &log)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key that opens what this device reads.
    pub(crate) fn reading_key(&mut self, mailbox: &MailboxId) -> Result<SigningKey, Error> {
        if self.is_own_inbox(mailbox) {
            let allowed = !self.store.read().has_job(mailbox, JobKind::AllowDevice)?;
            let own = self.account.own_key.as_ref().filter(|_| allowed);
            return Ok(SigningKey::from_seed(&own.unwrap_or(&self.account.manage).seed()));
        }
        if let Some(room) = self.store.read().room(mailbox)? {
            return rooms::reading_key(self.store.read(), &room);
        }
        self.transact(|work| work.epoch_key(mailbox))
    }

    /// The key that writes a letter.
    pub(crate) fn writing_key(&self, job: &Job) -> Result<SigningKey, Error> {
        let seed = job.what.key.as_ref().ok_or(Error::Damaged("a letter without a key"))?;
        Ok(SigningKey::from_seed(seed))
    }

    /// The reader of a mailbox that was just opened, and where to go on; `None` if it is somebody
    /// else's inbox.
    pub(crate) fn reading_place(
        &mut self,
        mailbox: &MailboxId,
        opened: &Opened,
    ) -> Result<Option<(ReaderSecret, Seq)>, Error> {
        if self.is_own_inbox(mailbox) {
            if self.store.read().has_job(mailbox, JobKind::AddReader)? {
                // Opened only to be made a reader of.
                return Ok(None);
            }
            if self.store.read().meta(Meta::ShutOut)?.is_some() {
                self.transact(|work| work.db.drop_meta(Meta::ShutOut))?;
            }
            let cursor = self.store.read().meta_number(Meta::InboxCursor)?;
            return Ok(Some((self.account.reader.clone(), Seq::new(cursor))));
        }
        self.transact(|work| {
            let Some(mut row) = work.db.log(mailbox)? else { return Ok(None) };
            // The key that was opened is that of the group's epoch: this is the epoch's name.
            row.epoch = opened.epoch.or(row.epoch);
            // Whoever joined stands at the commit that added it.
            if opened.from > row.cursor {
                row.cursor = opened.from;
                work.note_seen(&row, opened.from)?;
            }
            work.db.put_log(&row)?;
            Ok(Some((row.reader, row.cursor)))
        })
    }

    /// Works a batch of envelopes off.
    pub(crate) fn receive(
        &mut self,
        mailbox: &MailboxId,
        batch: Vec<(Deliver, Bytes)>,
    ) -> Result<Taken, Error> {
        if self.is_own_inbox(mailbox) {
            return self.transact(|work| work.receive_letters(batch));
        }
        if self.store.read().log(mailbox)?.is_none() {
            // An inbox that was needed for linking only.
            let upto = batch.last().map_or(Seq::START, |(envelope, _)| envelope.seq);
            return Ok(Taken { upto, reopen: true });
        }
        if let Some(room) = self.store.read().room(mailbox)? {
            return self.transact(|work| work.receive_posts(room, batch));
        }
        let is_live = |(envelope, _): &(Deliver, Bytes)| envelope.class == EnvelopeClass::Live;
        let (live, stored) = batch.into_iter().partition(is_live);
        let stored: Vec<(Deliver, Bytes)> = stored;
        let taken = if stored.is_empty() {
            Taken { upto: self.store.read().need_log(mailbox)?.cursor, reopen: false }
        } else {
            self.transact(|work| work.receive_records(mailbox, stored))?
        };
        self.take_live(mailbox, live)?;
        Ok(taken)
    }

    /// Everything the relay has for this reader is here. If it has given a higher number than the
    /// last one that came, something was let go that this device never saw: its time has passed, or
    /// a copy of this home acknowledged it, after sending from the very ratchet this one stands at.
    /// So nothing is sent before a commit has given this device fresh keys.
    pub(crate) fn caught_up(&mut self, mailbox: &MailboxId, head: Seq) -> Result<(), Error> {
        let Some(log) = self.store.read().log(mailbox)? else { return Ok(()) };
        if let Some(room) = self.store.read().room(mailbox)? {
            return self.settle_shown_card(room);
        }
        if head <= log.cursor {
            return Ok(());
        }
        self.transact(|work| work.db.put_wish(&log.mailbox, &Wish::Update, work.now))
    }

    /// A relay said who it is since when.
    pub(crate) fn note_incarnation(
        &mut self,
        relay: &str,
        incarnation: &Incarnation,
    ) -> Result<(), Error> {
        let own = self.is_own_relay(relay);
        self.transact(|work| {
            if work.db.note_incarnation(relay, incarnation)?.is_some() {
                work.notice(Notice::RelayRestored);
                work.allow_rooms_again(relay)?;
                if own {
                    work.make_own_key()?;
                    work.allow_contacts_again()?;
                    work.db.set_meta(Meta::StalePrekeys, &[1])?;
                }
            }
            Ok(())
        })
    }

    /// A relay does not let this device in any more.
    pub(crate) fn open_refused(
        &mut self,
        relay: &str,
        mailbox: &MailboxId,
        code: Code,
    ) -> Result<(), Error> {
        if self.is_own_inbox(mailbox) {
            return self.transact(|work| work.make_inbox_again());
        }
        if self.store.read().log(mailbox)?.is_some() {
            return self.reading_refused(mailbox, code);
        }
        let jobs = self.store.read().runnable_jobs()?;
        let there = |job: &&Job| job.what.relay == relay && job.what.mailbox == *mailbox;
        match jobs.iter().find(there) {
            Some(job) => self.job_refused(job, code),
            None => Ok(()),
        }
    }

    /// A relay does not deliver what this device would read next.
    pub(crate) fn reading_refused(&mut self, mailbox: &MailboxId, code: Code) -> Result<(), Error> {
        if self.store.read().log(mailbox)?.is_none() {
            // The own inbox, which says when it is opened what became of it; or one that is gone.
            return Ok(());
        }
        match code {
            // Of a key that was replaced longer ago than envelopes are kept the relay knows
            // nothing: that is the same as knowing nothing of the conversation.
            Code::NotFound | Code::Denied | Code::Revoked | Code::Gone => {
                self.transact(|work| work.lose_track(mailbox, code))
            }
            Code::AckAhead => self.transact(|work| work.end_log(mailbox, LogState::Lost, code)),
            // Of a room: its link was for so long.
            Code::Expired if self.store.read().is_room(mailbox)? => {
                self.transact(|work| work.end_log(mailbox, LogState::Lost, code))
            }
            _ => Ok(()),
        }
    }

    /// Whether a commit must go out before anything else.
    pub(crate) fn wants_commit(&self, mailbox: &MailboxId) -> Result<bool, Error> {
        let db = self.store.read();
        if let Some(room) = db.room(mailbox)? {
            return self.wants_room_change(&room);
        }
        Ok(db.need_log(mailbox)?.commit.is_some() || has_wish(db, mailbox, self.now)?)
    }

    /// Whether something of this conversation has not been accepted.
    pub(crate) fn has_outgoing(&self, mailbox: &MailboxId) -> Result<bool, Error> {
        let db = self.store.read();
        let log = db.need_log(mailbox)?;
        if db.meta(Meta::Cloned)?.is_some() {
            return Ok(false);
        }
        if let Some(room) = db.room(mailbox)? {
            let may = !matches!(self.writer(mailbox)?, Writer::Nobody);
            let waits = db.outbox_count(log.conversation)? > 0;
            return Ok(self.wants_room_change(&room)? || (waits && may));
        }
        let current = db.need_conversation(log.conversation)?.log == Some(*mailbox);
        Ok(log.commit.is_some()
            || has_wish(db, mailbox, self.now)?
            || (current && (db.outbox_count(log.conversation)? > 0 || self.owes_states(&log)?)))
    }

    /// A relay refused an append for good.
    pub(crate) fn refused(
        &mut self,
        mailbox: &MailboxId,
        id: &EnvelopeId,
        code: Code,
    ) -> Result<(), Error> {
        self.transact(|work| work.append_refused(mailbox, id, code))
    }

    /// Messages of this side that are still queued; 0 if that cannot be told.
    pub(crate) fn queued(&self) -> u32 {
        self.store.read().queued().unwrap_or(0)
    }
}

impl Work<'_> {
    /// The relay does not know the inbox: it is made again, with the keys given to contacts.
    fn make_inbox_again(&mut self) -> Result<(), Error> {
        let (relay, inbox) = (self.account.relay.to_string(), self.account.inbox);
        if self.db.has_job(&inbox, JobKind::CreateInbox)? || self.is_cloned()? {
            return Ok(());
        }
        if self.account.key.is_none() {
            // The first device makes it again; this one can only wait, if it was not removed.
            if self.db.meta(Meta::ShutOut)?.is_none() {
                self.db.set_meta(Meta::ShutOut, &[1])?;
                self.notice(Notice::ShutOut);
            }
            return Ok(());
        }
        self.notice(Notice::InboxLost);
        self.db.set_meta_number(Meta::InboxCursor, 0)?;
        self.db.drop_jobs_of(&inbox)?;
        self.db.put_job(&NewJob::new(relay, inbox, JobKind::CreateInbox))?;
        self.account.note_prekeys(self.db)?;
        self.allow_contacts_again()
    }

    /// Gives the keys of contacts and open invites their rights again: a restored relay may have
    /// forgotten them.
    fn allow_contacts_again(&mut self) -> Result<(), Error> {
        if let Some(own) = self.account.key.as_ref().and(self.account.own_key.as_ref()) {
            self.allow_device(own.seed())?;
        }
        for (_, seed) in self.db.device_keys()? {
            self.allow_device(seed)?;
        }
        for contact in self.db.contacts()? {
            if let Some(seed) = contact.own_key {
                self.allow_contact_key(contact.id, seed)?;
            }
        }
        for group in self.db.conversations()? {
            if let (Some(seed), Standing::Open) = (group.own_key, group.standing) {
                self.allow_members_key(group.id, seed)?;
            }
        }
        for invite in self.db.invites()? {
            self.allow_invite(&invite)?;
        }
        Ok(())
    }
}

/// Whether the blob a log waits for is still on its way.
fn is_waiting(db: Db<'_>, log: &LogRow) -> Result<bool, Error> {
    let Some(blob) = &log.waits else { return Ok(false) };
    Ok(db.transfer_of(blob)?.is_some_and(|transfer| !transfer.state.is_final()))
}

/// Whether something is wished of a log that a commit can do now.
fn has_wish(db: Db<'_>, mailbox: &MailboxId, now: UnixTime) -> Result<bool, Error> {
    let wishes = db.wishes(mailbox)?;
    Ok(wishes.iter().any(|wish| wish.what.is_ready() && wish.not_before <= now))
}
