//! The rules of a client: what a letter, an envelope, an answer or a wish changes in the store.
//!
//! ```text
//!  wishes (commands) --\                            /--> rows: contacts, messages, outbox, jobs
//!  letters (inbox)   ---+--> one transaction each --+--> state of the groups
//!  envelopes, echoes --/                            \--> events, told once it is durable
//! ```
//!
//! Sans-IO: time is told by `set_now`; knows the store, the crypto and the home's files, must not
//! know links.

mod account;
mod answers;
mod asked;
mod attachments;
mod authors;
mod commands;
mod commits;
mod contents;
mod counts;
mod devices;
mod endings;
mod finding;
mod first_contact;
mod giving;
mod group_acts;
mod groups;
mod history;
mod inbox;
mod job_rules;
mod joining;
mod kinds;
mod large;
mod letter_keys;
mod letting;
mod linking;
mod lists;
mod membership;
mod moving;
mod outbox;
mod own;
mod own_records;
mod parts;
mod plan;
mod policy;
mod readd;
mod reboot;
mod receipts;
mod records;
mod repair;
mod rooms;
mod taking;
mod transfers;

use std::fmt;
use std::path::Path;

use restante_spec::ids::{EnvelopeId, UnixTime};
use restante_spec::token::{AdmissionToken, Entrance};

pub(crate) use self::inbox::is_theirs;
pub(crate) use self::moving::part_size;
pub(crate) use self::outbox::Outgoing;
pub(crate) use self::rooms::Writer;
pub(crate) use self::transfers::Ask;

use self::account::Account;
use self::groups::Groups;
use self::kinds::Live;
use self::lists::Lists;
use self::moving::Transfers;
use crate::error::Error;
use crate::events::{Event, Notice};
use crate::files::Files;
use crate::key::StoreKey;
use crate::store::{ContactRow, ConversationRow, Db, Meta, Store};
use crate::types::{ConversationId, MessageId};

/// One account, its store and its groups.
pub(crate) struct Engine {
    store: Store,
    account: Account,
    /// The address of the own relay.
    own_relay: String,
    groups: Groups,
    lists: Lists,
    live: Live,
    transfers: Transfers,
    events: Vec<Event>,
    now: UnixTime,
    /// When to look for what has expired.
    next_tidy: UnixTime,
    /// When something is due: a receipt, a wish that waits for its time, the end of a message.
    next_due: Option<UnixTime>,
}

/// One transaction at work: everything in it becomes durable together, or not at all.
pub(crate) struct Work<'a> {
    db: Db<'a>,
    account: &'a Account,
    groups: &'a mut Groups,
    lists: &'a mut Lists,
    files: &'a Files,
    events: &'a mut Vec<Event>,
    now: UnixTime,
    /// What `account` says has changed: it is read anew behind the transaction.
    stale: bool,
}

impl Engine {
    /// Makes the account of a home that has none.
    pub(crate) fn create(
        home: &Path,
        key: &StoreKey,
        entrance: &Entrance,
        nickname: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let nickname = commands::checked_nickname(nickname)?;
        Store::create(home, key, |db| Account::create(db, entrance, nickname, now))?;
        Self::open(home, key, now)
    }

    /// Makes the home of a device that is to be linked.
    pub(crate) fn create_linking(
        home: &Path,
        key: &StoreKey,
        entrance: &Entrance,
        now: UnixTime,
    ) -> Result<Self, Error> {
        Store::create(home, key, |db| Account::create_passing(db, entrance, now))?;
        Self::open(home, key, now)
    }

    /// Opens the account of a home.
    pub(crate) fn open(home: &Path, key: &StoreKey, now: UnixTime) -> Result<Self, Error> {
        let mut store = Store::open(home, key)?;
        store.write(|db| db.release_litter())?;
        let account = Account::load(store.read())?;
        let own_relay = account.relay.to_string();
        let (groups, lists) = (Groups::default(), Lists::default());
        let (live, events) = (Live::default(), Vec::new());
        let transfers = Transfers::of(Files::of(home));
        let (next_tidy, next_due) = (now, None);
        Ok(Self {
            store,
            account,
            own_relay,
            groups,
            lists,
            live,
            transfers,
            events,
            now,
            next_tidy,
            next_due,
        })
    }

    /// What admits this account at its own relay from now on.
    pub(crate) fn set_token(&mut self, token: &AdmissionToken) -> Result<(), Error> {
        let relay = self.own_relay.clone();
        self.transact(|work| work.db.set_token(&relay, token))
    }

    /// Whether there is something to show where the own relay asks for a token.
    pub(crate) fn has_token(&self) -> Result<bool, Error> {
        Ok(self.store.read().token(&self.own_relay)?.is_some())
    }

    /// The time of everything that follows.
    pub(crate) const fn set_now(&mut self, now: UnixTime) {
        self.now = now;
    }

    /// What happened since the last call, durable by now.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Something a person should know that changes nothing in the store.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.events.push(Event::Notice(notice));
    }

    /// Does `work` in one transaction. If it fails, what is in memory of the groups may be ahead of
    /// the store: it is dropped, and loaded again when it is needed.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut events = Vec::new();
        let (account, files, now) = (&self.account, &self.transfers.files, self.now);
        let (groups, lists) = (&mut self.groups, &mut self.lists);
        let done = self.store.write(|db| {
            let events = &mut events;
            let mut all = Work { db, account, groups, lists, files, events, now, stale: false };
            let done = work(&mut all)?;
            all.tell_own_devices()?;
            Ok((done, all.stale))
        });
        match done {
            Ok((done, stale)) => {
                self.events.append(&mut events);
                if stale {
                    self.account = Account::load(self.store.read())?;
                    self.own_relay = self.account.relay.to_string();
                }
                Ok(done)
            }
            Err(error) => {
                self.groups.forget_all();
                Err(error)
            }
        }
    }
}

impl Work<'_> {
    /// Writes a contact and tells that it has changed.
    fn put_contact(&mut self, contact: &ContactRow) -> Result<(), Error> {
        self.db.put_contact(contact)?;
        self.tell_contact(contact)
    }

    fn tell_contact(&mut self, contact: &ContactRow) -> Result<(), Error> {
        let shown = self.db.show(contact)?;
        self.events.push(Event::Contact(shown));
        Ok(())
    }

    /// Tells that a group is new or has changed.
    fn tell_conversation(&mut self, conversation: &ConversationRow) -> Result<(), Error> {
        let shown = self.show_conversation(conversation)?;
        self.events.push(Event::Conversation(shown));
        Ok(())
    }

    fn notice(&mut self, notice: Notice) {
        self.events.push(Event::Notice(notice));
    }

    /// Tells how far a message of this side is now.
    fn tell_fate(&mut self, conversation: ConversationId, id: &EnvelopeId) -> Result<(), Error> {
        let message = MessageId::new(*id.as_bytes());
        if let Some(shown) = self.db.message_of(conversation, &message)? {
            self.events.push(Event::Fate { conversation, message, fate: shown.fate });
        }
        Ok(())
    }

    /// Whether this home was copied or its device removed, so that it must not send.
    fn is_cloned(&self) -> Result<bool, Error> {
        Ok(self.db.meta(Meta::Cloned)?.is_some())
    }

    /// Refuses what needs an account this device belongs to and may speak for.
    fn check_may_act(&self) -> Result<(), Error> {
        if self.is_cloned()? {
            return Err(Error::Cloned);
        }
        // DEV-2
        if self.db.meta(Meta::LinkCode)?.is_some() {
            return Err(Error::NotLinked);
        }
        Ok(())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(..)")
    }
}

#[cfg(test)]
mod tests;
