//! The groups of conversations: loaded when needed, kept in memory, never ahead of the store for
//! longer than one transaction.
//!
//! The only file that names the group's types of `restante-crypto`.

use std::collections::HashMap;
use std::fmt;

use restante_crypto::{
    AccountId, Change, Conversation, GeneratedKeyPackage, LeafNumber, LogChain, Member, OwnDevice,
    PendingCommit, Processed, RecordPlace, SigningKey, Suite, reader_hash,
};
use restante_spec::content::{GroupState, WelcomeLetter, WelcomePart};
use restante_spec::ids::{EnvelopeId, MailboxId};
use restante_spec::message::{Deliver, EnvelopeClass};
use zeroize::Zeroizing;

use super::Work;
use super::plan::Changes;
use crate::error::Error;
use crate::store::{Db, LogRow};

/// The groups that are in memory.
#[derive(Default)]
pub(crate) struct Groups(HashMap<MailboxId, Conversation>);

impl Groups {
    /// Memory may be ahead of the store: everything is loaded again when it is needed.
    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }

    fn get(&mut self, db: Db<'_>, mailbox: &MailboxId) -> Result<&mut Conversation, Error> {
        // One look-up for the borrow checker's sake would be two for the reader's.
        if !self.0.contains_key(mailbox) {
            let loaded = Conversation::load(&db.provider(), *mailbox)?;
            let loaded = loaded.ok_or(Error::Damaged("a conversation without its group"))?;
            self.0.insert(*mailbox, loaded);
        }
        self.0.get_mut(mailbox).ok_or(Error::Damaged("a conversation without its group"))
    }
}

impl<'a> Work<'a> {
    /// The key that opens the conversation's mailbox in the group's epoch.
    pub(super) fn epoch_key(&mut self, mailbox: &MailboxId) -> Result<SigningKey, Error> {
        Ok(self.groups.get(self.db, mailbox)?.epoch_key()?)
    }

    /// A key package of this device; its reader is kept until a Welcome names it.
    pub(super) fn make_key_package(
        &mut self,
        suite: Suite,
        last_resort: bool,
    ) -> Result<Vec<u8>, Error> {
        let provider = self.db.provider();
        let made = GeneratedKeyPackage::make(&provider, &self.own_device()?, suite, last_resort)?;
        self.db.put_reader(&reader_hash(&made.reader), &made.reader, self.now)?;
        Ok(made.bytes)
    }

    /// Makes the group of a log with this device alone in it.
    pub(super) fn create_mls_group(
        &mut self,
        log: &LogRow,
        suite: Suite,
        state: &GroupState,
    ) -> Result<(), Error> {
        let (reader, own) = (reader_hash(&log.reader), self.own_device()?);
        let state = state.encode().map_err(|_| Error::Damaged("the state of a group"))?;
        let provider = self.db.provider();
        let group = Conversation::create(&provider, &own, log.mailbox, suite, &reader, &state)?;
        self.groups.0.insert(log.mailbox, group);
        Ok(())
    }

    /// Whether this device is in the group of a log: it is in none of a recovery file's.
    pub(super) fn has_group(&mut self, mailbox: &MailboxId) -> Result<bool, Error> {
        if !self.groups.0.contains_key(mailbox)
            && let Some(loaded) = Conversation::load(&self.db.provider(), *mailbox)?
        {
            self.groups.0.insert(*mailbox, loaded);
        }
        Ok(self.groups.0.contains_key(mailbox))
    }

    /// Whether no commit has removed this device from a group it knows.
    pub(super) fn is_in_group(&mut self, mailbox: &MailboxId) -> Result<bool, Error> {
        Ok(self.groups.get(self.db, mailbox)?.is_member())
    }

    /// The devices in a group, by leaf.
    pub(super) fn members(&mut self, mailbox: &MailboxId) -> Result<Vec<Member>, Error> {
        Ok(self.groups.get(self.db, mailbox)?.members())
    }

    /// What the group's context says.
    pub(super) fn group_context(&mut self, mailbox: &MailboxId) -> Result<Vec<u8>, Error> {
        Ok(self.groups.get(self.db, mailbox)?.state().to_vec())
    }

    /// This device's leaf.
    pub(super) fn own_leaf(&mut self, mailbox: &MailboxId) -> Result<LeafNumber, Error> {
        Ok(self.groups.get(self.db, mailbox)?.own_leaf())
    }

    /// The suite of a group.
    pub(super) fn suite_of(&mut self, mailbox: &MailboxId) -> Result<Suite, Error> {
        Ok(self.groups.get(self.db, mailbox)?.suite())
    }

    /// How many devices may still be added to a group (CNV-10).
    pub(super) fn leaves_left(&mut self, mailbox: &MailboxId) -> Result<usize, Error> {
        let group = self.groups.get(self.db, mailbox)?;
        Ok(group.suite().max_leaves().saturating_sub(group.members().len()))
    }

    /// Joins a group and finds the reader this device was added with.
    pub(super) fn join_group(
        &mut self,
        welcome: &WelcomeLetter,
    ) -> Result<restante_spec::ids::ReaderSecret, Error> {
        let WelcomePart::Here(bytes) = &welcome.welcome else {
            return Err(Error::Damaged("a welcome that was not fetched"));
        };
        let group = Conversation::join(&self.db.provider(), welcome.mailbox, bytes)?;
        let hash = group.own_reader();
        self.groups.0.insert(welcome.mailbox, group);
        let reader = hash.map(|hash| self.db.reader(&hash)).transpose()?.flatten();
        // A leaf with a reader nobody here made cannot be read with.
        Ok(reader.ok_or(restante_crypto::Error::NotAMember)?)
    }

    /// The group of a log is over for this device: what MLS has of it goes.
    pub(super) fn forget_group(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let group = self.groups.0.remove(mailbox);
        let group = match group {
            Some(group) => Some(group),
            None => Conversation::load(&self.db.provider(), *mailbox)?,
        };
        match group {
            Some(group) => Ok(group.delete(&self.db.provider())?),
            None => Ok(()),
        }
    }

    /// Whether an account is in the group of this conversation.
    pub(super) fn has_member(
        &mut self,
        mailbox: &MailboxId,
        account: AccountId,
    ) -> Result<bool, Error> {
        Ok(!self.groups.get(self.db, mailbox)?.members_of(account).is_empty())
    }

    /// Whether nobody but this account is in the group.
    pub(super) fn is_alone(&mut self, mailbox: &MailboxId) -> Result<bool, Error> {
        let own = self.account.id();
        let group = self.groups.get(self.db, mailbox)?;
        Ok(group.members().len() == group.members_of(own).len())
    }

    /// Encrypts and seals a content for the epoch the conversation is in.
    pub(super) fn seal_record(
        &mut self,
        row: &LogRow,
        id: &EnvelopeId,
        class: EnvelopeClass,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let place = place(row, id, class)?;
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.encrypt(&provider, &own, &place, content)?)
    }

    /// Opens a record that stood in the epoch the conversation is in, with its blob if it has one.
    pub(super) fn open_record(
        &mut self,
        row: &LogRow,
        envelope: &Deliver,
        record: &[u8],
        blob: Option<&[u8]>,
    ) -> Result<Processed, Error> {
        let place = place(row, &envelope.id, envelope.class)?;
        let provider = self.db.provider();
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(match blob {
            Some(blob) => group.process_large(&provider, &place, record, blob)?,
            None => group.process(&provider, &place, record)?,
        })
    }

    /// Seals a content that passes, for whoever is there.
    pub(super) fn seal_live_record(
        &mut self,
        row: &LogRow,
        id: &EnvelopeId,
        counter: u64,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let place = place(row, id, EnvelopeClass::Live)?;
        let own = self.own_device()?;
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.seal_live(&own, &place, counter, content)?)
    }

    /// Opens what passes.
    pub(super) fn open_live_record(
        &mut self,
        row: &LogRow,
        envelope: &Deliver,
        record: &[u8],
    ) -> Result<(Member, Zeroizing<Vec<u8>>), Error> {
        let place = place(row, &envelope.id, envelope.class)?;
        let live = self.groups.get(self.db, &row.mailbox)?.open_live(&place, record)?;
        Ok((live.sender, live.content))
    }

    /// The log's hash at the beginning of the epoch the group is in (CNT-7).
    pub(super) fn begun_chain(&mut self, mailbox: &MailboxId) -> Result<[u8; 32], Error> {
        let group = self.groups.get(self.db, mailbox)?;
        Ok(*LogChain::begin(&group.authenticator()).as_bytes())
    }

    /// Prepares a commit; every one also renews the own leaf.
    pub(super) fn commit_change(
        &mut self,
        log: &LogRow,
        id: &EnvelopeId,
        changes: &Changes,
    ) -> Result<PendingCommit, Error> {
        let place = place(log, id, EnvelopeClass::Normal)?;
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &log.mailbox)?;
        let Changes { add, remove, state } = changes;
        let change = Change { add, remove, state: state.as_deref() };
        Ok(group.commit(&provider, &own, &place, change)?)
    }

    /// Merges the commit of this device that the log has shown.
    pub(super) fn merge_pending(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let provider = self.db.provider();
        Ok(self.groups.get(self.db, mailbox)?.merge_pending(&provider)?)
    }

    /// Drops the commit of this device that will not be sent.
    pub(super) fn clear_pending(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let provider = self.db.provider();
        Ok(self.groups.get(self.db, mailbox)?.clear_pending(&provider)?)
    }

    fn own_device(&self) -> Result<OwnDevice<'a>, Error> {
        let account = self.account;
        Ok(OwnDevice { key: &account.device, certificate: account.certificate()? })
    }
}

/// Where a record stands: all of it is bound to the record.
fn place(row: &LogRow, id: &EnvelopeId, class: EnvelopeClass) -> Result<RecordPlace, Error> {
    // MBX-7: nothing is sealed before it is known; so what came has none, as its relay gave none.
    let unnamed = restante_crypto::Error::Malformed { what: "record without an epoch" };
    let epoch = row.epoch.ok_or(unnamed)?;
    Ok(RecordPlace { mailbox: row.mailbox, epoch, envelope: *id, class })
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Groups({})", self.0.len())
    }
}
