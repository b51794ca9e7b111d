//! Hands that carry envelopes between engines, one by one and as a test wishes: not a relay, only
//! what a relay's answers look like.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use restante_crypto::reader_hash;
use restante_spec::address::RelayAddress;
use restante_spec::codes::Code;
use restante_spec::ids::{
    BlobId, EnvelopeId, Epoch, Handle, MailboxId, PublicKey, ReaderHash, Seconds, Seq, Slot,
    UnixTime,
};
use restante_spec::message::{
    Appended, Command, Created, Deliver, EnvelopeClass, MailboxClass, Opened, Refusal, Reply,
    Rights,
};
use restante_spec::token::Entrance;
use tempfile::TempDir;

use super::super::*;
use crate::store::{LogState, Wish};
use crate::transfer::{Direction, TransferState};
use crate::types::{Contact, ContactState, ConversationId, InviteOptions, Message};

pub(super) const NOW: UnixTime = UnixTime::new(1_800_000_000);
pub(super) const EXPIRES: UnixTime = UnixTime::new(1_800_600_000);

/// Somebody with a home.
pub(super) struct Person {
    pub(super) engine: Engine,
    pub(super) home: TempDir,
}

/// Prekeys that were taken away, and those of last resort.
pub(super) type Hidden = [BTreeMap<(MailboxId, Slot), Vec<Vec<u8>>>; 2];

/// What lies in mailboxes.
#[derive(Default)]
pub(super) struct Post {
    seq: u64,
    pub(super) cards: BTreeMap<PublicKey, Vec<u8>>,
    pub(super) boxes: BTreeMap<MailboxId, Vec<(Deliver, Vec<u8>)>>,
    /// The epoch of each log, counted.
    epochs: BTreeMap<MailboxId, u64>,
    /// Where each reader was added: the epoch behind that commit, and its number.
    added: BTreeMap<(MailboxId, ReaderHash), (Epoch, Seq)>,
    blobs: BTreeMap<BlobId, Vec<u8>>,
    /// Prekeys, by inbox and slot.
    prekeys: BTreeMap<(MailboxId, Slot), Vec<Vec<u8>>>,
    /// Prekeys of last resort.
    last_resorts: BTreeMap<(MailboxId, Slot), Vec<u8>>,
    /// Rights that were struck.
    pub(super) revoked: Vec<PublicKey>,
}

pub(super) fn key() -> StoreKey {
    StoreKey::from_bytes([7; 32])
}

pub(super) fn person(name: &str) -> Person {
    let home = tempfile::tempdir().unwrap();
    let address = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap();
    let entrance = Entrance { address, token: None };
    let engine = Engine::create(home.path(), &key(), &entrance, name, NOW).unwrap();
    Person { engine, home }
}

/// Somebody's new device, which is not linked yet.
pub(super) fn new_device() -> Person {
    let home = tempfile::tempdir().unwrap();
    let address = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap();
    let entrance = Entrance { address, token: None };
    let engine = Engine::create_linking(home.path(), &key(), &entrance, NOW).unwrap();
    Person { engine, home }
}

impl Person {
    /// The only contact there is.
    pub(super) fn contact(&self) -> Contact {
        let contacts = self.engine.contacts().unwrap();
        assert_eq!(contacts.len(), 1);
        contacts[0].clone()
    }

    /// The contact with this name.
    pub(super) fn knows(&self, name: &str) -> Contact {
        self.engine.find_contact(name).unwrap()
    }

    /// The mailbox messages to this contact go to.
    pub(super) fn log_with(&self, name: &str) -> MailboxId {
        let id = self.knows(name).id.into();
        self.engine.store.read().need_conversation(id).unwrap().log.unwrap()
    }

    /// The mailbox messages to the only contact go to.
    pub(super) fn log(&self) -> MailboxId {
        self.engine.store.read().need_conversation(self.talk()).unwrap().log.unwrap()
    }

    /// The conversation with the only contact.
    pub(super) fn talk(&self) -> ConversationId {
        self.contact().id.into()
    }

    /// Wants a fresh leaf.
    pub(super) fn wish_update(&mut self, log: &MailboxId) {
        self.engine.store.write(|db| db.put_wish(log, &Wish::Update, NOW)).unwrap();
    }

    pub(super) fn history(&self) -> Vec<Message> {
        self.engine.history(self.talk(), None, 1_000).unwrap()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.history().into_iter().map(|message| message.text).collect()
    }

    /// The relay of everybody.
    pub(super) fn entrance(&self) -> Entrance {
        Entrance { address: self.engine.own_address().parse().unwrap(), token: None }
    }

    /// Somebody copies the home and opens the copy.
    pub(super) fn copy(&self) -> Self {
        let home = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.home.path()).unwrap().flatten() {
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), home.path().join(file.file_name())).unwrap();
            }
        }
        let engine = Engine::open(home.path(), &key(), NOW).unwrap();
        Self { engine, home }
    }

    /// The process ends and another begins.
    pub(super) fn restart(self) -> Self {
        let home = self.home;
        drop(self.engine);
        let engine = Engine::open(home.path(), &key(), NOW).unwrap();
        Self { engine, home }
    }
}

impl Post {
    /// Does every job a person can do now.
    pub(super) fn do_jobs(&mut self, person: &mut Person) {
        loop {
            let jobs = person.engine.runnable_jobs().unwrap();
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let key = job.what.key.as_ref().map(|_| person.engine.writing_key(&job).unwrap());
                let card = key.and_then(|key| self.cards.get(&key.public()).cloned());
                let card = card.unwrap_or_default();
                let request = person.engine.job_request(&job, Handle::new(1), &card).unwrap();
                let Some((command, body)) = request else { continue };
                let (reply, body) = self.answer(job.what.mailbox, command, body);
                match reply {
                    Reply::Error(refusal) => person.engine.job_refused(&job, refusal.code),
                    reply => person.engine.job_done(&job, &reply, &body),
                }
                .unwrap();
            }
        }
    }

    fn answer(&mut self, mailbox: MailboxId, command: Command, body: Vec<u8>) -> (Reply, Vec<u8>) {
        let reply = match command {
            Command::Create(create) => {
                let is_log = create.class == MailboxClass::Conversation;
                self.cards.entry(create.key).or_default();
                let epoch = is_log.then(|| self.epoch(&mailbox));
                Reply::Created(Created { epoch, ttl: Seconds::new(60) })
            }
            Command::Allow(allow) => {
                self.cards.insert(allow.key, body);
                Reply::Done
            }
            Command::Revoke { key, .. } => {
                self.revoked.push(key);
                self.cards.remove(&key);
                Reply::Done
            }
            Command::Append(append) => {
                Reply::Appended(self.put(mailbox, append.id, append.class, None, false, body))
            }
            Command::PutPrekeys(put) if !put.last_resort => {
                let mut rest = body.as_slice();
                for size in put.sizes {
                    let (package, others) = rest.split_at(size as usize);
                    self.prekeys.entry((mailbox, put.slot)).or_default().push(package.to_vec());
                    rest = others;
                }
                Reply::Done
            }
            Command::PutPrekeys(put) => {
                self.last_resorts.insert((mailbox, put.slot), body);
                Reply::Done
            }
            Command::TakePrekeys { slot, .. } => {
                let left = self.prekeys.get_mut(&(mailbox, slot)).and_then(Vec::pop);
                let last = || self.last_resorts.get(&(mailbox, slot)).cloned();
                let Some(package) = left.or_else(last) else {
                    return (Reply::Error(Refusal::new(Code::NotFound, "")), Vec::new());
                };
                return (Reply::Prekey { last_resort: false }, package);
            }
            _ => Reply::Done,
        };
        (reply, Vec::new())
    }

    pub(super) fn epoch(&mut self, mailbox: &MailboxId) -> Epoch {
        Epoch::new(self.epochs.entry(*mailbox).or_default().to_be_bytes())
    }

    pub(super) fn put(
        &mut self,
        mailbox: MailboxId,
        id: EnvelopeId,
        class: EnvelopeClass,
        epoch: Option<Epoch>,
        commit: bool,
        body: Vec<u8>,
    ) -> Appended {
        self.seq += 1;
        let log = self.boxes.entry(mailbox).or_default();
        let prev = log.last().map_or(Seq::START, |(last, _)| last.seq);
        let seq = Seq::new(self.seq);
        let handle = Handle::new(1);
        let (expires_at, own) = (EXPIRES, false);
        let envelope = Deliver { handle, seq, prev, epoch, id, class, expires_at, commit, own };
        log.push((envelope, body));
        Appended { seq, expires_at, already: false, epoch: None }
    }

    /// Puts an envelope into a log as a relay would; `None`: its epoch is over.
    pub(super) fn append(&mut self, mailbox: MailboxId, what: Outgoing) -> Option<Appended> {
        let epoch = self.epoch(&mailbox);
        if what.epoch != Some(epoch) {
            return None;
        }
        let is_commit = what.commit.is_some();
        let appended = self.put(mailbox, what.id, what.class, Some(epoch), is_commit, what.body);
        if let Some(commit) = what.commit {
            *self.epochs.entry(mailbox).or_default() += 1;
            let place = (self.epoch(&mailbox), appended.seq);
            for reader in commit.add_readers {
                self.added.insert((mailbox, reader), place);
            }
        }
        Some(appended)
    }

    /// Lets Bob take an invite of Alice's.
    pub(super) fn ask(&mut self, alice: &mut Person, bob: &mut Person, text: Option<&str>) {
        let link = alice.engine.invite(InviteOptions::default()).unwrap();
        self.do_jobs(alice);
        bob.engine.accept_invite(link.as_str(), text).unwrap();
        self.do_jobs(bob);
        self.bring_letters(alice);
    }

    /// Every blob a person is about to store or to fetch is there in one go.
    pub(super) fn move_blobs(&mut self, person: &mut Person) {
        for mut row in person.engine.owed_transfers().unwrap() {
            if row.state.is_final() {
                // The relay forgets it.
                row.owed = false;
                person.engine.store.write(|db| db.set_transfer(&row)).unwrap();
                continue;
            }
            let folder = person.home.path().join("files");
            let path = folder.join(&row.name);
            match row.direction {
                Direction::Upload => {
                    self.blobs.insert(row.blob, std::fs::read(path).unwrap());
                }
                Direction::Download => {
                    std::fs::create_dir_all(folder).unwrap();
                    std::fs::write(path, &self.blobs[&row.blob]).unwrap();
                }
            }
            (row.state, row.owed) = (TransferState::Done, false);
            person.engine.store.write(|db| db.set_transfer(&row)).unwrap();
        }
    }

    /// Nobody has left a key package in this inbox.
    /// Takes the prekeys of one device away, until they are put back.
    pub(super) fn hide_prekeys(&mut self, device: u32) -> Hidden {
        let theirs = |(_, slot): &(MailboxId, Slot)| slot.get() >> 16 == device;
        let last = self.last_resorts.extract_if(.., |name, _| theirs(name));
        let last = last.map(|(name, package)| (name, vec![package])).collect();
        [self.prekeys.extract_if(.., |name, _| theirs(name)).collect(), last]
    }

    /// Puts them back.
    pub(super) fn show_prekeys(&mut self, [all, last]: Hidden) {
        self.prekeys.extend(all);
        self.last_resorts.extend(
            last.into_iter().filter_map(|(name, mut packages)| Some((name, packages.pop()?))),
        );
    }

    pub(super) fn forget_prekeys(&mut self, inbox: &MailboxId) {
        self.prekeys.retain(|(mailbox, _), _| mailbox != inbox);
        self.last_resorts.retain(|(mailbox, _), _| mailbox != inbox);
    }

    /// Takes an envelope out of a log, as if its time had passed.
    pub(super) fn lose(&mut self, mailbox: &MailboxId, seq: Seq) {
        self.boxes.get_mut(mailbox).unwrap().retain(|(envelope, _)| envelope.seq != seq);
    }

    /// The same with the one before the last.
    pub(super) fn lose_before_last(&mut self, mailbox: &MailboxId) {
        let log = self.boxes.get_mut(mailbox).unwrap();
        log.remove(log.len() - 2);
    }

    /// Takes everything out of a log that stands there now: its time has passed.
    pub(super) fn expire(&mut self, mailbox: &MailboxId) {
        self.boxes.get_mut(mailbox).unwrap().clear();
    }

    /// Puts something that is no letter into a person's inbox.
    pub(super) fn junk(&mut self, person: &Person) {
        let (id, class) = (EnvelopeId::new([0xEE; 16]), EnvelopeClass::Normal);
        self.put(person.engine.account.inbox, id, class, None, false, vec![1; 256]);
    }

    /// Puts something that is no record into a log.
    pub(super) fn noise(&mut self, mailbox: MailboxId) {
        let (id, class) = (EnvelopeId::new([0xEF; 16]), EnvelopeClass::Normal);
        let epoch = Some(self.epoch(&mailbox));
        self.put(mailbox, id, class, epoch, false, vec![1; 256]);
    }

    /// Puts a commit into a log that is none.
    pub(super) fn captured(&mut self, mailbox: MailboxId) {
        let (id, class) = (EnvelopeId::new([0xED; 16]), EnvelopeClass::Normal);
        let epoch = Some(self.epoch(&mailbox));
        self.put(mailbox, id, class, epoch, true, vec![1; 256]);
    }

    /// Brings a person everything that lies in his inbox.
    pub(super) fn bring_letters(&self, person: &mut Person) {
        let inbox = person.engine.account.inbox;
        let letters = self.boxes.get(&inbox).cloned().unwrap_or_default();
        let batch = letters.into_iter().map(|(head, body)| (head, Bytes::from(body)));
        person.engine.receive(&inbox, batch.collect()).unwrap();
    }

    /// Brings a person a conversation's log up to its end, epoch by epoch.
    pub(super) fn bring_log(&mut self, person: &mut Person, mailbox: MailboxId) {
        loop {
            let row = person.engine.store.read().need_log(&mailbox).unwrap();
            if row.state != LogState::Live {
                return;
            }
            if person.engine.store.read().is_room(&mailbox).unwrap() {
                return self.bring_room(person, mailbox);
            }
            let log = self.boxes.get(&mailbox).cloned().unwrap_or_default();
            let behind = |(envelope, _): &&(Deliver, Vec<u8>)| envelope.seq > row.cursor;
            let first = log.iter().find(behind).map(|(envelope, _)| envelope.epoch.unwrap());
            let epoch = first.unwrap_or_else(|| self.epoch(&mailbox));
            // Whoever joins stands at the commit that added its reader.
            let reader = reader_hash(&row.reader);
            let (epoch, from) = match self.added.get(&(mailbox, reader)) {
                Some((epoch, seq)) if row.cursor < *seq => (*epoch, *seq),
                _ => (epoch, Seq::START),
            };
            person.engine.reading_place(&mailbox, &opened(epoch, from)).unwrap();
            let here = log.into_iter().filter(|(envelope, _)| envelope.epoch == Some(epoch));
            let batch: Vec<_> = here.map(|(head, body)| (head, Bytes::from(body))).collect();
            if batch.is_empty() || !person.engine.receive(&mailbox, batch).unwrap().reopen {
                return;
            }
            if person.engine.waits_for_blobs(&row.relay).unwrap() {
                return;
            }
        }
    }

    /// Brings a person a few records of a log, of one epoch.
    pub(super) fn bring_some(&mut self, person: &mut Person, mailbox: MailboxId, most: usize) {
        let row = person.engine.store.read().need_log(&mailbox).unwrap();
        let mut log = self.boxes.get(&mailbox).cloned().unwrap_or_default();
        log.retain(|(envelope, _)| envelope.seq > row.cursor);
        let Some(epoch) = log.first().and_then(|(envelope, _)| envelope.epoch) else { return };
        log.retain(|(envelope, _)| envelope.epoch == Some(epoch));
        person.engine.reading_place(&mailbox, &opened(epoch, Seq::START)).unwrap();
        let batch = log.into_iter().take(most).map(|(head, body)| (head, Bytes::from(body)));
        person.engine.receive(&mailbox, batch.collect()).unwrap();
    }

    /// Shows two envelopes of a log in each other's place from now on.
    pub(super) fn exchange(&mut self, mailbox: &MailboxId, a: Seq, b: Seq) {
        let log = self.boxes.get_mut(mailbox).unwrap();
        let at = |seq| log.iter().position(|(envelope, _)| envelope.seq == seq).unwrap();
        let (a, b) = (at(a), at(b));
        log.swap(a, b);
        let (first, second) = (log[a].0, log[b].0);
        (log[a].0.seq, log[a].0.prev) = (second.seq, second.prev);
        (log[b].0.seq, log[b].0.prev) = (first.seq, first.prev);
    }

    /// Sends everything a person has to send in a conversation; the log answers.
    pub(super) fn send(&mut self, person: &mut Person, mailbox: MailboxId) {
        if person.engine.store.read().is_room(&mailbox).unwrap() {
            return self.send_in_room(person, mailbox);
        }
        loop {
            if person.engine.wants_commit(&mailbox).unwrap() {
                let Some(commit) = person.engine.commit(&mailbox).unwrap() else { return };
                if self.append(mailbox, commit).is_none() {
                    return;
                }
                self.bring_log(person, mailbox);
                continue;
            }
            let outgoing = person.engine.outgoing(&mailbox, 0, 100).unwrap();
            if outgoing.is_empty() {
                return;
            }
            for what in outgoing {
                let id = what.id;
                let Some(appended) = self.append(mailbox, what) else { return };
                person.engine.accepted(&mailbox, &id, &appended).unwrap();
            }
        }
    }

    /// Everything a person has to say and to hear, letters and the current conversation.
    pub(super) fn round(&mut self, person: &mut Person) {
        self.do_jobs(person);
        self.bring_letters(person);
        self.work(person);
    }

    /// The same without looking into the inbox.
    pub(super) fn work(&mut self, person: &mut Person) {
        self.do_jobs(person);
        for row in person.engine.store.read().live_logs().unwrap() {
            self.bring_log(person, row.mailbox);
            self.send(person, row.mailbox);
        }
        self.do_jobs(person);
    }

    /// Lets Bob take an invite of Alice's, and Alice agree.
    pub(super) fn introduce(&mut self, alice: &mut Person, bob: &mut Person, text: Option<&str>) {
        self.ask(alice, bob, text);
        let contacts = alice.engine.contacts().unwrap();
        let asks = contacts.iter().find(|contact| contact.state == ContactState::Incoming);
        alice.engine.accept_contact(asks.unwrap().id).unwrap();
        for _ in 0..2 {
            self.round(alice);
            self.round(bob);
        }
        self.round(alice);
        let name = |person: &Person| person.engine.nickname().unwrap();
        assert_eq!(alice.log_with(&name(bob)), bob.log_with(&name(alice)));
    }
}

pub(super) fn opened(epoch: Epoch, from: Seq) -> Opened {
    Opened {
        class: MailboxClass::Conversation,
        rights: Rights::default(),
        ttl: Seconds::new(60),
        epoch: Some(epoch),
        from,
        upto: None,
        expires_at: None,
        lagging: Vec::new(),
        memory_first: false,
    }
}

/// Events since the last look.
pub(super) fn events(person: &mut Person) -> Vec<Event> {
    person.engine.take_events()
}

/// Time passes.
pub(super) fn wait(person: &mut Person, time: Duration) {
    let now = person.engine.now.get() + time.as_secs();
    person.engine.set_now(UnixTime::new(now));
    person.engine.housekeeping(true).unwrap();
}
