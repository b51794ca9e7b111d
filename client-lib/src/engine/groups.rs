//! The groups of conversations: loaded when needed, kept in memory, never ahead of the store for
//! longer than one transaction.
//!
//! The only file that names the group's types of `restante-crypto`.

use std::collections::HashMap;
use std::fmt;

use restante_crypto::{
    AccountId, Conversation, GeneratedKeyPackage, KeyPackage, OwnDevice, PendingCommit, Processed,
    RecordPlace, SigningKey, Suite, reader_hash,
};
use restante_spec::content::{WelcomeLetter, WelcomePart};
use restante_spec::ids::{EnvelopeId, MailboxId};
use restante_spec::message::{Deliver, EnvelopeClass};

use super::Work;
use crate::error::Error;
use crate::store::{ConversationRow, Db};

/// The groups that are in memory.
#[derive(Default)]
pub(crate) struct Groups(HashMap<MailboxId, Conversation>);

/// The suite of the conversations made here.
pub(super) const SUITE: Suite = Suite::Hybrid;

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
    pub(super) fn make_key_package(&mut self, last_resort: bool) -> Result<Vec<u8>, Error> {
        let provider = self.db.provider();
        let made = GeneratedKeyPackage::make(&provider, &self.own_device()?, SUITE, last_resort)?;
        self.db.put_reader(&reader_hash(&made.reader), &made.reader, self.now)?;
        Ok(made.bytes)
    }

    /// Makes the group of a conversation with this device alone in it.
    pub(super) fn create_group(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let reader = reader_hash(&row.reader);
        let own = self.own_device()?;
        let group = Conversation::create(&self.db.provider(), &own, row.mailbox, SUITE, &reader)?;
        self.groups.0.insert(row.mailbox, group);
        Ok(())
    }

    /// Joins a group and finds the reader this device was added with.
    pub(super) fn join_group(
        &mut self,
        welcome: &WelcomeLetter,
    ) -> Result<restante_spec::ids::ReaderSecret, Error> {
        let WelcomePart::Here(bytes) = &welcome.welcome else {
            return Err(restante_crypto::Error::Malformed { what: "welcome" }.into());
        };
        let group = Conversation::join(&self.db.provider(), welcome.mailbox, bytes)?;
        let hash = group.own_reader();
        self.groups.0.insert(welcome.mailbox, group);
        let reader = hash.map(|hash| self.db.reader(&hash)).transpose()?.flatten();
        // A leaf with a reader nobody here made cannot be read with.
        Ok(reader.ok_or(restante_crypto::Error::NotAMember)?)
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
        row: &ConversationRow,
        id: &EnvelopeId,
        class: EnvelopeClass,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let place = place(row, id, class)?;
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.encrypt(&provider, &own, &place, content)?)
    }

    /// Opens a record that stood in the epoch the conversation is in.
    pub(super) fn open_record(
        &mut self,
        row: &ConversationRow,
        envelope: &Deliver,
        record: &[u8],
    ) -> Result<Processed, Error> {
        let place = place(row, &envelope.id, envelope.class)?;
        let provider = self.db.provider();
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.process(&provider, &place, record)?)
    }

    /// Prepares a commit that lets devices in.
    pub(super) fn commit_add(
        &mut self,
        row: &ConversationRow,
        id: &EnvelopeId,
        packages: &[Vec<u8>],
    ) -> Result<PendingCommit, Error> {
        let place = place(row, id, EnvelopeClass::Normal)?;
        let packages: Result<Vec<_>, _> =
            packages.iter().map(|package| KeyPackage::parse(package)).collect();
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.add(&provider, &own, &place, &packages?)?)
    }

    /// Prepares a commit that renews the own leaf.
    pub(super) fn commit_update(
        &mut self,
        row: &ConversationRow,
        id: &EnvelopeId,
    ) -> Result<PendingCommit, Error> {
        let place = place(row, id, EnvelopeClass::Normal)?;
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.update(&provider, &own, &place)?)
    }

    /// Prepares a commit that takes every device of the contact out.
    pub(super) fn commit_remove(
        &mut self,
        row: &ConversationRow,
        id: &EnvelopeId,
    ) -> Result<PendingCommit, Error> {
        let place = place(row, id, EnvelopeClass::Normal)?;
        let contact = self.db.need_contact(row.contact)?;
        let account = super::commands::account_of(&contact)?;
        let (own, provider) = (self.own_device()?, self.db.provider());
        let group = self.groups.get(self.db, &row.mailbox)?;
        Ok(group.remove_account(&provider, &own, &place, account)?)
    }

    /// Merges the commit of this device that the log has shown.
    pub(super) fn merge_pending(&mut self, mailbox: &MailboxId) -> Result<(), Error> {
        let provider = self.db.provider();
        Ok(self.groups.get(self.db, mailbox)?.merge_pending(&provider)?)
    }

    fn own_device(&self) -> Result<OwnDevice<'a>, Error> {
        let account = self.account;
        Ok(OwnDevice { key: &account.device, certificate: account.certificate()? })
    }
}

/// Where a record stands: all of it is bound to the record.
fn place(
    row: &ConversationRow,
    id: &EnvelopeId,
    class: EnvelopeClass,
) -> Result<RecordPlace, Error> {
    let epoch = row.epoch.ok_or(Error::Damaged("a record before its epoch is known"))?;
    Ok(RecordPlace { mailbox: row.mailbox, epoch, envelope: *id, class })
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Groups({})", self.0.len())
    }
}
