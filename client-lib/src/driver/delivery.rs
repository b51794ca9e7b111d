//! What comes from a relay: links that come and go, opened mailboxes, envelopes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use restante_spec::codes::{Code, Retry};
use restante_spec::ids::{Handle, MailboxId, PublicKey, Seq};
use restante_spec::message::{
    Command, Credit, Deliver, EnvelopeClass, Opened, Refusal, Reply, Subscribe,
};
use tokio::time::Instant;

use super::channel::Phase;
use super::pump::Desk;
use super::relay::{LinkNumber, LinkState, Purpose};
use super::{Driver, Outcome};
use crate::engine::{Writer, is_theirs};
use crate::error::Error;
use crate::events::Notice;
use crate::limits::{DELIVERY_BATCH, DELIVERY_CREDIT};
use crate::net::{Link, LinkError, LinkEvent, LinkEvents};
use crate::store::JobKind;

/// Envelopes of one mailbox, in their order.
type Batch = Vec<(Deliver, Bytes)>;

impl Driver {
    pub(super) fn take_connected(
        &mut self,
        name: &str,
        result: Result<(Link, LinkEvents), LinkError>,
    ) -> Result<(), Error> {
        let Some(relay) = self.relays.get_mut(name) else { return Ok(()) };
        let LinkState::Connecting(number) = relay.link else { return Ok(()) };
        match result {
            Ok((link, events)) => {
                let incarnation = link.welcome().incarnation;
                relay.handle_up(link, number);
                self.engine.note_incarnation(name, &incarnation)?;
                if self.engine.is_own_relay(name) {
                    self.clear_problem();
                }
                self.listen(name.to_owned(), number, events);
            }
            Err(error) => {
                relay.failed = true;
                relay.handle_lost(error.retry_after());
                let wrong = error.is_wrong_relay();
                self.note_link_problem(name, error);
                if wrong {
                    self.engine.notice(Notice::WrongRelay);
                }
            }
        }
        Ok(())
    }

    /// Waits for what the link says next, and takes with it what is there already.
    fn listen(&self, name: String, number: LinkNumber, mut events: LinkEvents) {
        self.pending.push(Box::pin(async move {
            let Some(first) = events.next().await else {
                return Outcome::Events(name, number, None);
            };
            let mut all = vec![first];
            while all.len() < DELIVERY_BATCH
                && let Some(Some(event)) = events.next().now_or_never()
            {
                all.push(event);
            }
            Outcome::Events(name, number, Some((all, events)))
        }));
    }

    pub(super) fn take_events(
        &mut self,
        name: &str,
        number: LinkNumber,
        events: Option<(Vec<LinkEvent>, LinkEvents)>,
    ) -> Result<(), Error> {
        let Some(mut desk) = self.desk(name).filter(|desk| desk.relay.is_link(number)) else {
            return Ok(());
        };
        let Some((events, source)) = events else {
            desk.relay.handle_lost(None);
            return Ok(());
        };
        let mut batches: BTreeMap<Handle, Batch> = BTreeMap::new();
        for event in events {
            match event {
                LinkEvent::Deliver(deliver, body) => {
                    batches.entry(deliver.handle).or_default().push((deliver, body));
                }
                LinkEvent::CaughtUp { handle, head } => {
                    desk.take_batch(handle, batches.remove(&handle))?;
                    desk.take_caught_up(handle, head)?;
                }
                LinkEvent::Closed { handle, code, .. } => {
                    desk.take_batch(handle, batches.remove(&handle))?;
                    desk.take_closed(handle, code)?;
                }
                LinkEvent::Goaway { after_ms, jitter_ms } => desk.take_goaway(after_ms, jitter_ms),
            }
        }
        for (handle, batch) in batches {
            desk.take_batch(handle, Some(batch))?;
        }
        self.listen(name.to_owned(), number, source);
        Ok(())
    }

    pub(super) fn take_reply(
        &mut self,
        name: &str,
        number: LinkNumber,
        purpose: Purpose,
        result: Result<(Reply, Bytes), LinkError>,
    ) -> Result<(), Error> {
        let Some(mut desk) = self.desk(name).filter(|desk| desk.relay.is_link(number)) else {
            return Ok(());
        };
        let (reply, body) = match result {
            Ok(answer) => answer,
            Err(LinkError::Refused(refusal)) => (Reply::Error(refusal), Bytes::new()),
            // It was not sent: the same as a relay that cannot at the moment.
            Err(LinkError::Busy) => {
                (Reply::Error(Refusal::new(Code::Unavailable, "")), Bytes::new())
            }
            // Without an answer nobody knows; the link's end is told by itself.
            Err(_) => return Ok(()),
        };
        match purpose {
            Purpose::Open(mailbox, handle) => {
                let taken = desk.take_opened(mailbox, handle, reply, body);
                desk.contain_taken(mailbox, taken)?;
            }
            Purpose::Subscribe(mailbox, handle) => desk.take_subscribed(mailbox, handle, &reply)?,
            Purpose::Append(mailbox, handle, id) => {
                let taken = desk.take_appended(mailbox, handle, id, reply);
                desk.contain_taken(mailbox, taken)?;
            }
            Purpose::Job(job) => match desk.take_job_reply(&job, reply, &body) {
                Ok(Some(refusal)) => self.note_refusal(name, job.what.kind, &refusal)?,
                Ok(None) if job.what.kind == JobKind::CreateInbox => self.clear_problem(),
                Ok(None) => {}
                Err(error) => desk.contain(job.what.mailbox, Err(error))?,
            },
            Purpose::Live => {}
            Purpose::Prekeys => desk.take_prekey_counts(&reply)?,
            Purpose::Transfer(id, flight, ask) => {
                desk.take_transferred(&id, flight, ask, reply, &body)?;
            }
        }
        Ok(())
    }
}

impl Desk<'_> {
    fn take_opened(
        &mut self,
        mailbox: MailboxId,
        handle: Handle,
        reply: Reply,
        card: Bytes,
    ) -> Result<(), Error> {
        let Some(up) = self.relay.up() else { return Ok(()) };
        let writes = up.writers.get(&mailbox).is_some_and(|channel| channel.handle == handle);
        let Some(channel) = up.channel(&mailbox, handle) else { return Ok(()) };
        match reply {
            Reply::Opened(_) if writes => {
                channel.phase = Phase::Current;
                Ok(())
            }
            Reply::Opened(opened) => {
                (channel.phase, channel.card) = (Phase::Open, card.clone());
                self.engine.card_shown(&mailbox, &card)?;
                self.subscribe(mailbox, handle, &opened)
            }
            Reply::Error(refusal) if writes => self.take_writer_refused(mailbox, refusal),
            Reply::Error(refusal) => self.take_open_refused(mailbox, refusal),
            Reply::Welcome(_)
            | Reply::Done
            | Reply::Created(_)
            | Reply::Appended(_)
            | Reply::Prekey { .. }
            | Reply::PrekeyCounts(_)
            | Reply::BlobState(_)
            | Reply::BlobPart(_) => Ok(()),
        }
    }

    /// Subscribes to what this device reads; an inbox of somebody else is only written to.
    fn subscribe(
        &mut self,
        mailbox: MailboxId,
        handle: Handle,
        opened: &Opened,
    ) -> Result<(), Error> {
        // What is read has succeeded when it is read to its end.
        let Some((reader, after)) = self.engine.reading_place(&mailbox, opened)? else {
            self.relay.end_pause(&mailbox);
            return Ok(());
        };
        let subscribe = Subscribe { handle, reader, after, credit: DELIVERY_CREDIT };
        let purpose = Purpose::Subscribe(mailbox, handle);
        self.relay.request(self.pending, purpose, Command::Subscribe(subscribe), Bytes::new());
        if let Some(channel) = self.relay.up().and_then(|up| up.channels.get_mut(&mailbox)) {
            channel.phase = Phase::Reading;
        }
        if self.engine.is_own_inbox(&mailbox) {
            let count = Command::CountPrekeys(handle);
            self.relay.request(self.pending, Purpose::Prekeys, count, Bytes::new());
        }
        Ok(())
    }

    fn take_open_refused(&mut self, mailbox: MailboxId, refusal: Refusal) -> Result<(), Error> {
        let channel = self.relay.up().and_then(|up| up.channels.remove(&mailbox));
        let key = channel.map(|channel| channel.key);
        if let Some(key) = key
            && self.engine.has_other_key(&mailbox, &key)?
        {
            return Ok(());
        }
        if refusal.code.retry() == Retry::Never {
            self.engine.open_refused(&self.relay.name, &mailbox, refusal.code)?;
        }
        self.relay.pause(mailbox, refusal.retry_after);
        Ok(())
    }

    /// The key this account writes with in a room is not let in.
    fn take_writer_refused(&mut self, mailbox: MailboxId, refusal: Refusal) -> Result<(), Error> {
        let channel = self.relay.up().and_then(|up| up.writers.remove(&mailbox));
        let key = channel.map(|channel| channel.key);
        if let Writer::Key(now) = self.engine.writer(&mailbox)?
            && key != Some(now.public())
        {
            return Ok(());
        }
        if refusal.code.retry() == Retry::Never {
            return self.engine.writing_refused(&mailbox);
        }
        self.relay.pause(mailbox, refusal.retry_after);
        Ok(())
    }

    fn take_subscribed(
        &mut self,
        mailbox: MailboxId,
        handle: Handle,
        reply: &Reply,
    ) -> Result<(), Error> {
        match reply {
            Reply::Error(refusal) => {
                self.take_closed(handle, refusal.code)?;
                self.relay.pause(mailbox, refusal.retry_after);
                Ok(())
            }
            Reply::Welcome(_)
            | Reply::Done
            | Reply::Created(_)
            | Reply::Opened(_)
            | Reply::Appended(_)
            | Reply::Prekey { .. }
            | Reply::PrekeyCounts(_)
            | Reply::BlobState(_)
            | Reply::BlobPart(_) => Ok(()),
        }
    }

    /// Works a batch off in one transaction; only then it is acknowledged.
    fn take_batch(&mut self, handle: Handle, batch: Option<Batch>) -> Result<(), Error> {
        let channel = self.relay.up().and_then(|up| up.channel_of(handle));
        let (Some((mailbox, _)), Some(batch)) = (channel, batch) else { return Ok(()) };
        // What is live spends no credit and is not acknowledged (DLV-9).
        let is_stored = |(head, _): &&(Deliver, Bytes)| head.class != EnvelopeClass::Live;
        let stored = || batch.iter().filter(is_stored);
        let spent = Credit {
            envelopes: u32::try_from(stored().count()).unwrap_or(u32::MAX),
            bytes: stored().map(|(_, body)| body.len() as u32).fold(0, u32::saturating_add),
        };
        let taken = match self.engine.receive(&mailbox, batch) {
            Ok(taken) => taken,
            Err(error) => return self.contain_taken(mailbox, Err(error)),
        };
        if spent.envelopes == 0 {
            return Ok(());
        }
        self.relay.tell(Command::Ack { handle, upto: taken.upto });
        if taken.reopen {
            // The epoch was left: its key reads nothing more, the next one reads on.
            self.reopen(&mailbox);
        } else {
            self.relay.tell(Command::Credit { handle, credit: spent });
        }
        Ok(())
    }

    fn take_caught_up(&mut self, handle: Handle, head: Seq) -> Result<(), Error> {
        if let Some((mailbox, channel)) = self.relay.up().and_then(|up| up.channel_of(handle)) {
            channel.phase = Phase::Current;
            self.relay.end_pause(&mailbox);
            let taken = self.engine.caught_up(&mailbox, head);
            self.contain_taken(mailbox, taken)?;
        }
        Ok(())
    }

    /// A mailbox of which something came that is wrong is given back too: what stands behind that
    /// would be taken as if it had not come.
    pub(super) fn contain_taken(
        &mut self,
        mailbox: MailboxId,
        taken: Result<(), Error>,
    ) -> Result<(), Error> {
        if taken.as_ref().is_err_and(is_theirs) {
            self.reopen(&mailbox);
        }
        self.contain(mailbox, taken)
    }

    /// A subscription has ended, by the relay.
    fn take_closed(&mut self, handle: Handle, code: Code) -> Result<(), Error> {
        let Some((mailbox, channel)) = self.relay.up().and_then(|up| up.channel_of(handle)) else {
            return Ok(());
        };
        let key = channel.key;
        self.reopen(&mailbox);
        let ended = self.end_reading(mailbox, &key, code);
        self.contain(mailbox, ended)
    }

    /// What the end of a subscription means for what is read there.
    fn end_reading(
        &mut self,
        mailbox: MailboxId,
        key: &PublicKey,
        code: Code,
    ) -> Result<(), Error> {
        if self.engine.has_other_key(&mailbox, key)? {
            return Ok(());
        }
        // After a commit this handle is no longer ours; so it ended without one: not at once again.
        self.relay.pause(mailbox, None);
        let code = match code {
            // The range has ended, and the commit that ends it never came: it is no longer kept.
            Code::Superseded => Code::Gone,
            other => other,
        };
        self.engine.reading_refused(&mailbox, code)
    }

    /// What is read to its end is opened anew, so that the relay says again when it is; not on a
    /// link that is about to be left.
    pub(super) fn reopen_current(&mut self) {
        let Some(up) = self.relay.up().filter(|up| up.leave_at.is_none()) else { return };
        let current = up.channels.iter().filter(|(_, channel)| channel.phase == Phase::Current);
        let current: Vec<MailboxId> = current.map(|(mailbox, _)| *mailbox).collect();
        current.iter().for_each(|mailbox| self.reopen(mailbox));
    }

    /// Gives the handle back; `pump` opens the mailbox again if it is still read.
    pub(super) fn reopen(&mut self, mailbox: &MailboxId) {
        self.close_writer(mailbox);
        let channel = self.relay.up().and_then(|up| up.channels.remove(mailbox));
        if let Some(channel) = channel {
            self.relay.tell(Command::Close(channel.handle));
        }
    }

    /// Gives back the handle a room is written to with.
    pub(super) fn close_writer(&mut self, mailbox: &MailboxId) {
        let channel = self.relay.up().and_then(|up| up.writers.remove(mailbox));
        if let Some(channel) = channel {
            self.relay.tell(Command::Close(channel.handle));
        }
    }

    fn take_goaway(&mut self, after_ms: u32, jitter_ms: u32) {
        let jitter = self.relay.backoff.jitter(Duration::from_millis(u64::from(jitter_ms)));
        let after = Duration::from_millis(u64::from(after_ms)) + jitter;
        if let Some(up) = self.relay.up() {
            up.leave_at = Some(Instant::now() + after);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use restante_spec::address::RelayAddress;
    use restante_spec::content::{Body, RoomState, StateRecord, Sync};
    use restante_spec::ids::{EnvelopeId, UnixTime};
    use restante_spec::message::Appended;
    use restante_spec::token::Entrance;
    use tokio::sync::mpsc;
    use zeroize::Zeroizing;

    use super::super::relay::Relay;
    use super::*;
    use crate::engine::Engine;
    use crate::events::EventHub;
    use crate::home::HomeLock;
    use crate::key::StoreKey;
    use crate::store::{LastWord, LogRow, RecordName, Store};

    const NOW: UnixTime = UnixTime::new(1_800_000_000);
    const SAID: EnvelopeId = EnvelopeId::new([5; 16]);

    fn address(host: &str) -> RelayAddress {
        RelayAddress::new(PublicKey::new([1; 32]), host, 7443).unwrap()
    }

    /// Makes a home in which something was said that cannot be taken: a word on a room whose relay
    /// has a name too long for a link. Gives the mailbox it was said in.
    fn make_damaged(home: &Path, key: &StoreKey) -> MailboxId {
        let entrance = Entrance { address: address("relay.example.org"), token: None };
        let mut engine = Engine::create(home, key, &entrance, "Alice", NOW).unwrap();
        let room = engine.create_room("room", true).unwrap().id;
        let group = engine.create_group("group", false).unwrap().id;
        let link = Zeroizing::new(engine.room_link(room).unwrap().as_str().to_owned());
        drop(engine);
        let mut store = Store::open(home, key).unwrap();
        let log_of = |id| store.read().need_conversation(id).unwrap().log.unwrap();
        let (room, log) = (log_of(room), log_of(group));
        let state = RoomState {
            standing: 2,
            link,
            card: Vec::new(),
            host_key: None,
            manage_key: None,
            old_key: None,
            hosts: Vec::new(),
        };
        let record = StateRecord::Room(*room.as_bytes(), Box::new(state)).to_record().unwrap();
        let name = RecordName { kind: record.kind, key: record.key.clone() };
        let body = Body::Sync(Sync { records: vec![record] });
        let relay = address(&"a".repeat(200)).to_string();
        let damage = store.write(|db| {
            db.put_log(&LogRow { relay, ..db.need_log(&room)? })?;
            db.set_last_word(&name, LastWord { generation: 0, seq: Seq::START, foreign: true })?;
            db.put_outbox(group, &SAID, body.kind(), &body.encode().unwrap(), NOW)
        });
        damage.unwrap();
        log
    }

    /// MBX-7. Once an answer that could not be taken ended all links, each second anew.
    #[test]
    fn answer_that_cannot_be_taken_holds_up_its_mailbox_alone() {
        let (home, key) = (tempfile::tempdir().unwrap(), StoreKey::from_bytes([7; 32]));
        let mailbox = make_damaged(home.path(), &key);
        let engine = Engine::open(home.path(), &key, NOW).unwrap();
        let lock = HomeLock::acquire(home.path(), Duration::ZERO).unwrap();
        let (_asks, requests) = mpsc::channel(1);
        let (mut driver, _, _) = Driver::new(engine, lock, requests, EventHub::new());
        let (name, number) = ("relay", LinkNumber(1));
        let mut relay = Relay::new(name.to_owned(), address("relay.example.org"));
        relay.link = LinkState::Connecting(number);
        driver.relays.insert(name.to_owned(), relay);
        let appended = Appended { seq: Seq::new(1), expires_at: NOW, already: false, epoch: None };
        let purpose = Purpose::Append(mailbox, Handle::new(1), SAID);
        let answer = Ok((Reply::Appended(appended), Bytes::new()));
        assert_eq!(driver.take_reply(name, number, purpose, answer), Ok(()));
        assert!(driver.relays[name].is_paused(&mailbox));
    }
}
