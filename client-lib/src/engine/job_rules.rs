//! Jobs: what a relay is asked for each, and what its answer changes.
//!
//! Every job can be repeated without harm: ids and keys were chosen before the first try, sealed
//! letters are kept as they are, and prekeys are made anew each time, so that none is given twice.

use restante_crypto::{SigningKey, Suite, prove_possession, random_bytes, reader_hash};
use restante_spec::codes::Code;
use restante_spec::ids::{
    ChainNumber, EnvelopeId, Handle, PublicKey, RequestId, Seq, Slot, UnixTime,
};
use restante_spec::limits::PREKEYS_PER_SLOT;
use restante_spec::message::{
    Allow, Append, Appended, Command, Create, EnvelopeClass, MailboxClass, PrekeyCount, PutPrekeys,
    Reply, Rights, Terms,
};

use super::{Engine, Work};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{LAST_RESORT_EVERY, PREKEYS_LOW, PREKEYS_PUT};
use crate::store::{Job, JobKind, LogState, Meta, NewJob, Place};
use crate::types::{ContactState, ConversationId, MessageId};

/// A request and its body.
type Request = (Command, Vec<u8>);

impl Engine {
    /// What the relay is asked; `None`: the job turned out to be void.
    pub(crate) fn job_request(
        &mut self,
        job: &Job,
        handle: Handle,
        card: &[u8],
    ) -> Result<Option<Request>, Error> {
        self.transact(|work| match job.what.kind {
            JobKind::CreateInbox => work.create_inbox(job).map(Some),
            JobKind::CreateConversation => work.create_conversation(job).map(Some),
            JobKind::CreateRoom => work.create_room_mailbox(job).map(Some),
            JobKind::AllowRoomRead | JobKind::AllowRoomWrite => {
                work.allow_in_room(job, handle).map(Some)
            }
            JobKind::AllowInvite
            | JobKind::AllowContact
            | JobKind::AllowMembers
            | JobKind::AllowDevice => work.allow(job, handle).map(Some),
            JobKind::AddReader => {
                let reader = reader_hash(&work.account.reader);
                Ok(Some((Command::AddReader { handle, reader }, Vec::new())))
            }
            JobKind::DeleteInbox => Ok(Some((Command::Delete(handle), Vec::new()))),
            JobKind::Link | JobKind::SayLinked => work.linking_letter(job, handle, card),
            JobKind::Revoke => {
                let key = *work.key_of(job)?;
                Ok(Some((Command::Revoke { handle, key: PublicKey::new(key) }, Vec::new())))
            }
            JobKind::PutPrekeys => work.put_prekeys(job, handle, PREKEYS_PUT, false).map(Some),
            JobKind::PutLastResort => work.put_prekeys(job, handle, 1, true).map(Some),
            JobKind::TakePrekey => {
                let id = job.what.envelope.ok_or(Error::Damaged("a request without id"))?;
                let (slot, request) = (job.what.slot, RequestId::new(*id.as_bytes()));
                Ok(Some((Command::TakePrekeys { handle, slot, request }, Vec::new())))
            }
            JobKind::FirstLetter => work.first_letter(job, handle, card),
            JobKind::Letter | JobKind::Readd => {
                let body = job.what.body.clone().ok_or(Error::Damaged("a letter without body"))?;
                Ok(Some((append_letter(job, handle)?, body)))
            }
        })
    }

    /// The relay has done it, and gave `body`.
    pub(crate) fn job_done(&mut self, job: &Job, reply: &Reply, body: &[u8]) -> Result<(), Error> {
        self.transact(|work| {
            match (job.what.kind, reply) {
                (JobKind::CreateConversation | JobKind::CreateRoom, Reply::Created(created)) => {
                    let mut row = work.db.need_log(&job.what.mailbox)?;
                    row.epoch = created.epoch;
                    row.state = LogState::Live;
                    work.db.put_log(&row)?;
                    work.tell_room(&job.what.mailbox)?;
                }
                (JobKind::FirstLetter, Reply::Appended(appended)) => {
                    work.first_letter_sent(job, appended)?;
                }
                (JobKind::TakePrekey, Reply::Prekey { .. }) => {
                    work.prekey_taken(job, Some(body))?
                }
                (JobKind::Link, Reply::Appended(_)) => work.link_sent(job)?,
                (JobKind::SayLinked, Reply::Appended(_)) => work.linked_said()?,
                (JobKind::AllowMembers, _) => {
                    let id = job.what.conversation.ok_or(Error::Damaged("a job without group"))?;
                    work.members_allowed(id)?;
                }
                _ => {}
            }
            work.db.finish_job(job.id)
        })
    }

    /// The relay will not do it.
    pub(crate) fn job_refused(&mut self, job: &Job, code: Code) -> Result<(), Error> {
        self.transact(|work| {
            work.db.finish_job(job.id)?;
            match job.what.kind {
                JobKind::FirstLetter => work.first_letter_refused(job, code),
                JobKind::Letter => work.letter_refused(job, code),
                JobKind::CreateConversation | JobKind::CreateRoom => {
                    work.end_log(&job.what.mailbox, LogState::Lost, code)
                }
                JobKind::TakePrekey => work.prekey_taken(job, None),
                JobKind::Readd => match job.what.conversation {
                    Some(of) => work.db.hasten_return(of, work.now),
                    None => Ok(()),
                },
                JobKind::Link => work.link_refused(job),
                // What is to be struck, or could not be stored, is not there: that is all there is.
                JobKind::CreateInbox
                | JobKind::AllowInvite
                | JobKind::AllowContact
                | JobKind::AllowMembers
                | JobKind::AllowDevice
                | JobKind::AddReader
                | JobKind::DeleteInbox
                | JobKind::SayLinked
                | JobKind::AllowRoomRead
                | JobKind::AllowRoomWrite
                | JobKind::Revoke
                | JobKind::PutPrekeys
                | JobKind::PutLastResort => Ok(()),
            }
        })
    }

    /// Refills the prekeys when few are left, and replaces those of last resort when they are old.
    /// All of a relay that was restored are replaced.
    pub(crate) fn prekeys_left(&mut self, counts: &[PrekeyCount]) -> Result<(), Error> {
        let slots = self.account.prekey_slots()?;
        self.transact(|work| {
            let laid = UnixTime::new(work.db.meta_number(Meta::LastResortAt)?);
            // CNV-4
            let is_old = laid.after(LAST_RESORT_EVERY) <= work.now;
            if is_old {
                work.db.set_meta_number(Meta::LastResortAt, work.now.get())?;
            }
            let is_stale = work.db.meta(Meta::StalePrekeys)?.is_some();
            work.db.drop_meta(Meta::StalePrekeys)?;
            for slot in slots {
                let count = counts.iter().find(|count| count.slot == slot);
                if is_stale {
                    work.take_away(slot, count.map_or(0, |count| count.count))?;
                }
                let few = is_stale || count.is_none_or(|count| count.count < PREKEYS_LOW);
                let no_last = is_stale || is_old || count.is_none_or(|count| !count.last_resort);
                let jobs = [(no_last, JobKind::PutLastResort), (few, JobKind::PutPrekeys)];
                for (_, kind) in jobs.into_iter().filter(|(wanted, _)| *wanted) {
                    if !work.db.has_slot_job(slot, kind)? {
                        work.db.put_job(&NewJob { slot, ..work.own_job(kind) })?;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Work<'_> {
    fn create_inbox(&self, job: &Job) -> Result<Request, Error> {
        let account = self.account;
        let create = Create {
            mailbox: account.inbox,
            class: MailboxClass::Inbox,
            key: account.manage.public(),
            possession: prove_possession(&account.manage, &account.inbox),
            reader: reader_hash(&account.reader),
            token: self.db.token(&job.what.relay)?,
            ttl: None,
            memory_first: false,
        };
        Ok((Command::Create(create), Vec::new()))
    }

    fn create_conversation(&mut self, job: &Job) -> Result<Request, Error> {
        let mailbox = job.what.mailbox;
        let row = self.db.need_log(&mailbox)?;
        let key = self.epoch_key(&mailbox)?;
        let create = Create {
            mailbox,
            class: MailboxClass::Conversation,
            key: key.public(),
            possession: prove_possession(&key, &mailbox),
            reader: reader_hash(&row.reader),
            token: self.db.token(&job.what.relay)?,
            ttl: None,
            memory_first: false,
        };
        Ok((Command::Create(create), Vec::new()))
    }

    fn allow(&self, job: &Job, handle: Handle) -> Result<Request, Error> {
        let key = SigningKey::from_seed(self.key_of(job)?);
        // Whoever it is, letters may be written and packages taken; a stranger only writes.
        let contact = job.what.kind != JobKind::AllowInvite;
        let own = job.what.kind == JobKind::AllowDevice;
        // DEV-4: of this account's own devices each has a key that may do everything.
        let rights = Rights { read: own, write: true, take: contact, manage: own };
        let terms = Terms {
            rights,
            expires_at: (!contact).then_some(job.what.expires_at),
            uses: (!contact).then_some(job.what.uses),
            rate: (contact && !own).then_some(crate::limits::LETTER_RATE),
        };
        let possession = prove_possession(&key, &job.what.mailbox);
        let allow = Allow { handle, key: key.public(), possession, terms };
        Ok((Command::Allow(allow), job.what.body.clone().unwrap_or_default()))
    }

    fn put_prekeys(
        &mut self,
        job: &Job,
        handle: Handle,
        count: usize,
        last_resort: bool,
    ) -> Result<Request, Error> {
        let slot = job.what.slot;
        let suite = Suite::from_number(slot.get() as u16)?;
        let (mut sizes, mut body) = (Vec::with_capacity(count), Vec::new());
        for _ in 0..count {
            let package = self.make_key_package(suite, last_resort)?;
            sizes.push(u32::try_from(package.len()).unwrap_or(u32::MAX));
            body.extend_from_slice(&package);
        }
        Ok((Command::PutPrekeys(PutPrekeys { handle, slot, sizes, last_resort }), body))
    }

    /// Takes this device's own prekeys, as many as are left in a slot: they may have been given
    /// before, and whoever is given one again is not heard.
    fn take_away(&mut self, slot: Slot, left: u32) -> Result<(), Error> {
        // MBX-20
        (0..PREKEYS_PER_SLOT.min(left as usize)).try_for_each(|_| self.take_own_prekey(slot, None))
    }

    /// Takes a prekey of a device of this account, for a conversation or for nothing.
    pub(super) fn take_own_prekey(
        &mut self,
        slot: Slot,
        conversation: Option<ConversationId>,
    ) -> Result<(), Error> {
        let key = Some(self.account.need_own_key()?.seed());
        let envelope = Some(EnvelopeId::new(random_bytes()?));
        let job = self.own_job(JobKind::TakePrekey);
        self.db.put_job(&NewJob { conversation, slot, key, envelope, ..job })?;
        Ok(())
    }

    /// Seals the first letter once the card is here; from then on the same bytes are sent.
    fn first_letter(
        &mut self,
        job: &Job,
        handle: Handle,
        card: &[u8],
    ) -> Result<Option<Request>, Error> {
        let body = match &job.what.body {
            Some(body) => body.clone(),
            None => match self.seal_first_letter(job, card) {
                Ok(body) => {
                    self.db.set_job_body(job.id, &body)?;
                    body
                }
                Err(Error::Crypto(_) | Error::WrongState { .. }) => {
                    // The card is not what the link promises: nothing is written to its maker.
                    self.db.finish_job(job.id)?;
                    self.first_letter_refused(job, Code::Denied)?;
                    return Ok(None);
                }
                Err(other) => return Err(other),
            },
        };
        Ok(Some((append_letter(job, handle)?, body)))
    }

    /// The same for the two letters of linking.
    fn linking_letter(
        &mut self,
        job: &Job,
        handle: Handle,
        card: &[u8],
    ) -> Result<Option<Request>, Error> {
        if let Some(body) = &job.what.body {
            return Ok(Some((append_letter(job, handle)?, body.clone())));
        }
        let sealed = match job.what.kind {
            JobKind::Link => self.attempt(|work| work.seal_link(job, card))?,
            _ => Some(self.seal_linked(job)?),
        };
        let Some(body) = sealed else {
            // The card is not what the code promises.
            self.db.finish_job(job.id)?;
            self.link_refused(job)?;
            return Ok(None);
        };
        self.db.set_job_body(job.id, &body)?;
        Ok(Some((append_letter(job, handle)?, body)))
    }

    fn first_letter_sent(&mut self, job: &Job, appended: &Appended) -> Result<(), Error> {
        let Some(mut contact) = self.contact_of(job)? else { return Ok(()) };
        if matches!(contact.state, ContactState::Invited | ContactState::Active) {
            if contact.state == ContactState::Invited {
                contact.state = ContactState::Requested;
            }
            contact.invite = None;
            self.put_contact(&contact)?;
        }
        // The first message has the place before all others.
        let place = Place {
            mailbox: None,
            generation: 0,
            seq: Seq::START,
            expires_at: appended.expires_at,
        };
        if let Some(first) = job.what.first_message {
            self.place_own(contact.id.into(), &first, &place)?;
        }
        Ok(())
    }

    fn first_letter_refused(&mut self, job: &Job, code: Code) -> Result<(), Error> {
        let Some(mut contact) = self.contact_of(job)? else { return Ok(()) };
        if let Some(first) = job.what.first_message {
            let id = MessageId::new(*first.as_bytes());
            if self.db.refuse_message(contact.id.into(), &id, code)? {
                self.tell_fate(contact.id.into(), &first)?;
            }
        }
        if matches!(contact.state, ContactState::Invited | ContactState::Requested) {
            contact.state = ContactState::Declined;
            contact.invite = None;
            contact.ended_at = self.now;
            self.revoke_contact_key(&mut contact)?;
            self.refuse_outbox(contact.id.into(), code)?;
            self.put_contact(&contact)?;
        } else if contact.state == ContactState::Active {
            (contact.invite, contact.joins) = (None, None);
            self.put_contact(&contact)?;
            self.notice(Notice::LinkRefused { nickname: contact.nickname });
        }
        Ok(())
    }

    fn letter_refused(&mut self, job: &Job, code: Code) -> Result<(), Error> {
        // A letter to another device of this account names none.
        let Some(id) = job.what.conversation else { return Ok(()) };
        let row = self.db.need_conversation(id)?;
        match row.log {
            // Nobody will come into the conversation this letter is the way into.
            Some(mailbox) if !row.is_group() => self.end_log(&mailbox, LogState::Closed, code),
            _ => Ok(()),
        }
    }

    pub(super) fn key_of<'j>(&self, job: &'j Job) -> Result<&'j [u8; 32], Error> {
        job.what.key.as_deref().ok_or(Error::Damaged("a job without its key"))
    }

    fn contact_of(&self, job: &Job) -> Result<Option<crate::store::ContactRow>, Error> {
        job.what.contact.map_or(Ok(None), |id| self.db.contact(id))
    }
}

fn append_letter(job: &Job, handle: Handle) -> Result<Command, Error> {
    let id: EnvelopeId = job.what.envelope.ok_or(Error::Damaged("a letter without id"))?;
    Ok(Command::Append(Append {
        handle,
        chain: ChainNumber::new(1),
        id,
        class: EnvelopeClass::Normal,
        ttl: None,
        epoch: None,
        commit: None,
    }))
}
