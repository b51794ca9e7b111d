//! Appends to conversations: what is sealed leaves in order, and its answer decides its fate.

use bytes::Bytes;
use restante_spec::codes::{Code, Retry};
use restante_spec::ids::{ChainNumber, EnvelopeId, Handle, MailboxId};
use restante_spec::message::{Append, Command, Refusal, Reply};

use super::channel::{Channel, Phase};
use super::pump::Desk;
use super::relay::Purpose;
use crate::engine::{Outgoing, Writer};
use crate::error::Error;
use crate::limits::SEND_WINDOW;

impl Desk<'_> {
    /// Sends of a conversation what its channel has room for: a commit alone, contents in a row.
    pub(super) fn send_what_can_be_sent(&mut self, mailbox: MailboxId) -> Result<(), Error> {
        if self.relay.is_paused(&mailbox) || !self.may_write(&mailbox)? {
            return Ok(());
        }
        let Some(channel) = self.outlet(&mailbox) else { return Ok(()) };
        let (room, quiet, sent) = (channel.room(SEND_WINDOW), channel.is_quiet(), channel.sent());
        if room == 0 {
            return Ok(());
        }
        if self.engine.wants_commit(&mailbox)? {
            if quiet && let Some(commit) = self.engine.commit(&mailbox)? {
                self.append(mailbox, commit);
            }
            // What was wished may have been pointless: then contents need not wait.
            if !quiet || self.engine.wants_commit(&mailbox)? {
                return Ok(());
            }
        }
        for outgoing in self.engine.outgoing(&mailbox, sent, room)? {
            self.append(mailbox, outgoing);
        }
        Ok(())
    }

    /// Sends what is live, if this device is up to date there.
    pub(super) fn send_live(&mut self, mailbox: MailboxId) -> Result<(), Error> {
        let channel = self.relay.up().and_then(|up| up.channels.get(&mailbox));
        let Some(channel) = channel.filter(|channel| channel.phase == Phase::Current) else {
            return Ok(());
        };
        let (handle, chain) = (channel.handle, channel.chain());
        for what in self.engine.outgoing_live(&mailbox)? {
            self.request_append(handle, chain, Purpose::Live, what);
        }
        Ok(())
    }

    /// Whether a mailbox is open to be written to. A room is read and written with different keys:
    /// it is opened a second time when there is something to write.
    pub(super) fn may_write(&mut self, mailbox: &MailboxId) -> Result<bool, Error> {
        let key = match self.engine.writer(mailbox)? {
            Writer::Reader => return Ok(true),
            Writer::Nobody => return Ok(false),
            Writer::Key(key) => key,
        };
        if self.phase(mailbox) != Some(Phase::Current) {
            return Ok(false);
        }
        let open = self.relay.up().and_then(|up| up.writers.get(mailbox));
        if let Some(channel) = open.filter(|channel| channel.key == key.public()) {
            return Ok(channel.phase != Phase::Opening);
        }
        if self.engine.has_outgoing(mailbox)? || self.engine.has_uploads(mailbox)? {
            self.relay.open_writer(self.pending, *mailbox, &key);
        }
        Ok(false)
    }

    /// The channel a mailbox is written through.
    pub(super) fn outlet(&mut self, mailbox: &MailboxId) -> Option<&mut Channel> {
        let up = self.relay.up()?;
        let writer = up.writers.get_mut(mailbox);
        writer.or_else(|| up.channels.get_mut(mailbox))
    }

    fn append(&mut self, mailbox: MailboxId, what: Outgoing) {
        let Some(channel) = self.outlet(&mailbox) else { return };
        channel.handle_sent(what.id, what.row);
        let (handle, chain) = (channel.handle, channel.chain());
        let purpose = Purpose::Append(mailbox, handle, what.id);
        self.request_append(handle, chain, purpose, what);
    }

    fn request_append(
        &mut self,
        handle: Handle,
        chain: ChainNumber,
        purpose: Purpose,
        what: Outgoing,
    ) {
        let (id, class) = (what.id, what.class);
        let (ttl, epoch, commit) = (None, what.epoch, what.commit);
        let append = Append { handle, chain, id, class, ttl, epoch, commit };
        self.relay.request(self.pending, purpose, Command::Append(append), Bytes::from(what.body));
    }

    pub(super) fn take_appended(
        &mut self,
        mailbox: MailboxId,
        handle: Handle,
        id: EnvelopeId,
        reply: Reply,
    ) -> Result<(), Error> {
        match reply {
            Reply::Appended(appended) => {
                self.engine.accepted(&mailbox, &id, &appended)?;
                self.relay.end_pause(&mailbox);
                self.settle(&mailbox, handle, |channel| channel.handle_stored(&id));
                Ok(())
            }
            Reply::Error(refusal) => self.take_append_refused(mailbox, handle, id, &refusal),
            Reply::Welcome(_)
            | Reply::Done
            | Reply::Created(_)
            | Reply::Opened(_)
            | Reply::Prekey { .. }
            | Reply::PrekeyCounts(_)
            | Reply::BlobState(_)
            | Reply::BlobPart(_) => Ok(()),
        }
    }

    fn take_append_refused(
        &mut self,
        mailbox: MailboxId,
        handle: Handle,
        id: EnvelopeId,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        match (refusal.code, refusal.code.retry()) {
            // Not stored, and nothing wrong with it.
            (Code::Aborted, _) => {}
            // The commit that ended the epoch is on its way to this reader.
            (_, Retry::AfterCatchUp) => {
                self.settle(&mailbox, handle, Channel::handle_stale);
            }
            (_, Retry::Later | Retry::Reconnect) => {
                self.relay.pause(mailbox, refusal.retry_after);
            }
            (code, Retry::Never) => {
                self.engine.refused(&mailbox, &id, code)?;
                // If it is the key that is refused, opening the room with it says so.
                self.close_writer(&mailbox);
            }
        }
        self.settle(&mailbox, handle, |channel| channel.handle_failed(&id));
        Ok(())
    }

    /// Changes the channel an append left on, if it is still the one that is open.
    fn settle(&mut self, mailbox: &MailboxId, handle: Handle, change: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.relay.up().and_then(|up| up.channel(mailbox, handle)) {
            change(channel);
        }
    }
}
