//! Jobs: one at a time for each mailbox, repeated until they are answered.

use bytes::Bytes;
use restante_spec::codes::Retry;
use restante_spec::ids::Handle;
use restante_spec::message::{Refusal, Reply};

use super::channel::Phase;
use super::pump::Desk;
use super::relay::Purpose;
use crate::error::Error;
use crate::store::{Job, JobKind};

/// What a job is done on.
enum Place {
    /// No mailbox need be open.
    Link,
    /// A mailbox that is open, and what the relay keeps with its key.
    Channel(Handle, Bytes),
    /// Not yet.
    Nowhere,
}

impl Desk<'_> {
    /// Sends a job's request if nothing stands in its way.
    pub(super) fn work_on_job(&mut self, job: &Job) -> Result<(), Error> {
        let mailbox = job.what.mailbox;
        let busy = self.relay.up().is_none_or(|up| up.busy.contains(&mailbox));
        if busy || self.relay.is_paused(&mailbox) {
            return Ok(());
        }
        let (handle, card) = match self.place_of(job)? {
            Place::Nowhere => return Ok(()),
            Place::Link => (Handle::new(0), Bytes::new()),
            Place::Channel(handle, card) => (handle, card),
        };
        let Some((command, body)) = self.engine.job_request(job, handle, &card)? else {
            return Ok(());
        };
        if let Some(up) = self.relay.up() {
            up.busy.insert(mailbox);
        }
        let purpose = Purpose::Job(Box::new(job.clone()));
        self.relay.request(self.pending, purpose, command, Bytes::from(body));
        Ok(())
    }

    fn place_of(&mut self, job: &Job) -> Result<Place, Error> {
        let mailbox = job.what.mailbox;
        match job.what.kind {
            JobKind::CreateInbox | JobKind::CreateConversation | JobKind::CreateRoom => {
                return Ok(Place::Link);
            }
            JobKind::FirstLetter
            | JobKind::Letter
            | JobKind::Readd
            | JobKind::TakePrekey
            | JobKind::AddReader
            | JobKind::Link
            | JobKind::SayLinked
            | JobKind::DeleteInbox => {
                let key = self.engine.writing_key(job)?;
                let channel = self.relay.up().and_then(|up| up.channels.get(&mailbox));
                if channel.is_none_or(|channel| channel.key != key.public()) {
                    self.relay.open(self.pending, mailbox, &key);
                    return Ok(Place::Nowhere);
                }
            }
            JobKind::AllowInvite
            | JobKind::AllowContact
            | JobKind::AllowMembers
            | JobKind::AllowDevice
            | JobKind::AllowRoomRead
            | JobKind::AllowRoomWrite
            | JobKind::Revoke
            | JobKind::PutPrekeys
            | JobKind::PutLastResort => {}
        }
        let channel = self.relay.up().and_then(|up| up.channels.get(&mailbox));
        Ok(match channel.filter(|channel| channel.phase != Phase::Opening) {
            Some(channel) => Place::Channel(channel.handle, channel.card.clone()),
            None => Place::Nowhere,
        })
    }

    /// A job is answered; gives the refusal back if it is to be tried again.
    pub(super) fn take_job_reply(
        &mut self,
        job: &Job,
        reply: Reply,
        body: &[u8],
    ) -> Result<Option<Refusal>, Error> {
        let mailbox = job.what.mailbox;
        if let Some(up) = self.relay.up() {
            up.busy.remove(&mailbox);
        }
        let refusal = match reply {
            Reply::Error(refusal) if refusal.code.retry() == Retry::Never => {
                self.engine.job_refused(job, refusal.code)?;
                None
            }
            Reply::Error(refusal) => {
                self.relay.pause(mailbox, refusal.retry_after);
                return Ok(Some(refusal));
            }
            Reply::Created(_)
            | Reply::Appended(_)
            | Reply::Done
            | Reply::Welcome(_)
            | Reply::Opened(_)
            | Reply::Prekey { .. }
            | Reply::PrekeyCounts(_)
            | Reply::BlobState(_)
            | Reply::BlobPart(_) => {
                self.engine.job_done(job, &reply, body)?;
                self.relay.end_pause(&mailbox);
                None
            }
        };
        let elsewhere = matches!(
            job.what.kind,
            JobKind::FirstLetter
                | JobKind::Letter
                | JobKind::Readd
                | JobKind::TakePrekey
                | JobKind::Link
        ) && !self.engine.is_own_inbox(&mailbox);
        if elsewhere || matches!(job.what.kind, JobKind::AddReader | JobKind::DeleteInbox) {
            // An inbox of somebody else is open for as long as there is a letter to it.
            self.reopen(&mailbox);
        }
        Ok(refusal)
    }

    /// The owner is told how many prekeys are left, and refills.
    pub(super) fn take_prekey_counts(&mut self, reply: &Reply) -> Result<(), Error> {
        match reply {
            Reply::PrekeyCounts(counts) => self.engine.prekeys_left(counts),
            Reply::Error(_)
            | Reply::BlobState(_)
            | Reply::BlobPart(_)
            | Reply::Created(_)
            | Reply::Appended(_)
            | Reply::Done
            | Reply::Welcome(_)
            | Reply::Opened(_)
            | Reply::Prekey { .. } => Ok(()),
        }
    }
}
