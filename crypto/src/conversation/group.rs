//! A conversation's life: made, joined, loaded; its members, its keys, its sealing.

use std::fmt;

use openmls::prelude::{
    GroupId, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, SenderRatchetConfiguration, StagedWelcome,
};
use openmls_rust_crypto::RustCrypto;
use restante_spec::ids::{MailboxId, ReaderHash};
use restante_spec::limits::{RATCHET_BACKWARD, RATCHET_FORWARD};
use tls_codec::Deserialize;
use zeroize::Zeroizing;

use super::certificates::Certificates;
use super::leaf::{Member, capabilities, context, credential, extensions};
use super::provider::{self, MlsSigner, Provider, Storage};
use super::suite::Suite;
use crate::error::Error;
use crate::identity::{AccountId, DeviceCertificate, DeviceKey};
use crate::labels::{EXPORT_EPOCH_KEY, EXPORT_RECORD_KEY};
use crate::live::LiveSeen;
use crate::record::{LeafNumber, RecordKey, RecordPlace};
use crate::signing::SigningKey;

/// The device that acts.
#[derive(Clone, Copy, Debug)]
pub struct OwnDevice<'a> {
    /// Its key.
    pub key: &'a DeviceKey,
    /// Its certificate.
    pub certificate: &'a DeviceCertificate,
}

/// A conversation this device is in: the MLS group of one mailbox.
pub struct Conversation {
    pub(super) group: MlsGroup,
    mailbox: MailboxId,
    suite: Suite,
    pub(super) live: LiveSeen,
    pub(super) known: Certificates,
}

impl Conversation {
    /// Makes a conversation with this device as its only member (CNV-1). `reader` is the reader the
    /// mailbox was created with, `state` what the members agree on (CNV-13). The first thing in the
    /// log is the commit that adds the others.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Refused`] if one with this mailbox exists in the store;
    /// [`Error::BadKey`] if the certificate is of another device.
    pub fn create<S: Storage>(
        storage: &S,
        own: &OwnDevice<'_>,
        mailbox: MailboxId,
        suite: Suite,
        reader: &ReaderHash,
        state: &[u8],
    ) -> Result<Self, Error> {
        let builder = MlsGroup::builder()
            // CNV-1
            .with_group_id(GroupId::from_slice(mailbox.as_bytes()))
            .ciphersuite(suite.mls())
            .with_capabilities(capabilities())
            .with_group_context_extensions(context(state)?)
            .with_leaf_node_extensions(extensions(reader)?)
            .map_err(|_| Error::Internal { what: "the leaf's extension is not allowed" })?;
        let builder = builder
            // CNV-5
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            // CNV-7
            .max_past_epochs(0)
            .sender_ratchet_configuration(ratchet())
            .use_ratchet_tree_extension(true);
        let credential = credential(own.key, own.certificate)?;
        let group = builder
            .build(&Provider::new(storage), &MlsSigner(own.key), credential)
            .map_err(provider::new_group)?;
        Ok(Self::of(group, mailbox, suite))
    }

    /// Joins with a Welcome that names this mailbox. Uses up the key package, unless it was a last
    /// resort.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::Refused`] for a Welcome to a key package that is not in the
    /// store, or a group MLS finds fault with; [`Error::Unsupported`]; [`Error::Storage`].
    pub fn join<S: Storage>(
        storage: &S,
        mailbox: MailboxId,
        welcome: &[u8],
    ) -> Result<Self, Error> {
        let malformed = Error::Malformed { what: "welcome" };
        let message =
            MlsMessageIn::tls_deserialize_exact(welcome).map_err(|_| malformed.clone())?;
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            return Err(malformed);
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(0)
            .sender_ratchet_configuration(ratchet())
            .use_ratchet_tree_extension(true)
            .build();
        let provider = Provider::new(storage);
        let staged = StagedWelcome::build_from_welcome(&provider, &config, welcome)
            .map_err(provider::welcome)?
            // Leaves that never committed may be older than their key packages lived; whether they
            // are still welcome is the members' policy, not a reason to be unable to join.
            .skip_lifetime_validation()
            .build()
            .map_err(provider::welcome)?;
        // CNV-1
        if staged.group_context().group_id().as_slice() != mailbox.as_bytes() {
            return Err(malformed);
        }
        let suite = Suite::from_mls(staged.group_context().ciphersuite())?;
        let group = staged.into_group(&provider).map_err(provider::welcome)?;
        Ok(Self::of(group, mailbox, suite))
    }

    /// Loads a conversation, with its pending commit if there is one; `None` if the store has none.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Unsupported`].
    pub fn load<S: Storage>(storage: &S, mailbox: MailboxId) -> Result<Option<Self>, Error> {
        let id = GroupId::from_slice(mailbox.as_bytes());
        let Some(group) = MlsGroup::load(storage, &id).map_err(provider::storage)? else {
            return Ok(None);
        };
        let suite = Suite::from_mls(group.ciphersuite())?;
        Ok(Some(Self::of(group, mailbox, suite)))
    }

    /// Of a group: what is kept in memory only begins empty.
    fn of(group: MlsGroup, mailbox: MailboxId, suite: Suite) -> Self {
        let (live, known) = (LiveSeen::default(), Certificates::default());
        Self { group, mailbox, suite, live, known }
    }

    /// Deletes the conversation's MLS state from the store.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn delete<S: Storage>(mut self, storage: &S) -> Result<(), Error> {
        self.group.delete(storage).map_err(provider::storage)
    }

    /// The mailbox, which is also the group's id.
    #[must_use]
    pub const fn mailbox(&self) -> &MailboxId {
        &self.mailbox
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// MLS' own count of commits; the relay's name of the epoch is another thing.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// Equal for all members of an epoch, and for nobody else: to find out that two members were
    /// shown different logs.
    #[must_use]
    pub fn authenticator(&self) -> Vec<u8> {
        self.group.epoch_authenticator().as_slice().to_vec()
    }

    /// What the members have agreed on, as the group's context has it (CNV-13); empty if nothing.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        super::leaf::state(self.group.extensions()).unwrap_or_default()
    }

    /// Whether this device is still a member.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.group.is_active()
    }

    /// This device's leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafNumber {
        LeafNumber::new(self.group.own_leaf_index().u32())
    }

    /// The hash of the reader this device was added with.
    #[must_use]
    pub fn own_reader(&self) -> Option<ReaderHash> {
        self.member(self.own_leaf()).and_then(|member| member.reader)
    }

    /// All members, by leaf.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let leaves = self.group.treesync().full_leaves();
        leaves.map(|(index, node)| Member::read(index, node, &self.known)).collect()
    }

    /// The members that are devices of an account.
    #[must_use]
    pub fn members_of(&self, account: AccountId) -> Vec<Member> {
        let mut members = self.members();
        members.retain(|m| m.device.as_ref().is_some_and(|d| d.account() == account));
        members
    }

    /// The member at a leaf.
    #[must_use]
    pub fn member(&self, leaf: LeafNumber) -> Option<Member> {
        let index = super::leaf::index(leaf);
        self.group.public_group().leaf(index).map(|node| Member::read(index, node, &self.known))
    }

    /// The key that opens the log in this epoch (CNV-6).
    ///
    /// # Errors
    /// [`Error::Removed`] once this device is no member.
    pub fn epoch_key(&self) -> Result<SigningKey, Error> {
        // CNV-6
        Ok(SigningKey::from_seed(&*self.export(EXPORT_EPOCH_KEY)?))
    }

    /// The key of this epoch's records (REC-2).
    ///
    /// # Errors
    /// [`Error::Removed`] once this device is no member.
    pub fn record_key(&self) -> Result<RecordKey, Error> {
        Ok(RecordKey::new(self.export(EXPORT_RECORD_KEY)?))
    }

    /// Encrypts a content and seals it as a record. The store holds the ratchet's next state:
    /// commit it before the record leaves, and send the same record again rather than sealing
    /// again.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::CommitPending`], [`Error::Removed`], [`Error::Storage`].
    pub fn encrypt<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if !self.is_member() {
            return Err(Error::Removed);
        }
        if self.group.pending_commit().is_some() {
            return Err(Error::CommitPending);
        }
        let message = self
            .group
            .create_message(&Provider::new(storage), &MlsSigner(own.key), content)
            .map_err(provider::sealing)?
            .to_bytes()
            .map_err(|_| Error::Internal { what: "a message was not encoded" })?;
        self.seal(own, place, &message)
    }

    /// Seals an MLS message as a record of this epoch (REC-1).
    pub(super) fn seal(
        &self,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if place.mailbox != self.mailbox {
            return Err(Error::Internal { what: "a record for another mailbox" });
        }
        self.record_key()?.seal(place, self.own_leaf(), own.key, message)
    }

    pub(super) fn export(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        let crypto = RustCrypto::default();
        // CNV-1
        let secret = self
            .group
            .export_secret(&crypto, label, self.mailbox.as_bytes(), 32)
            .map_err(|_| Error::Removed)?;
        exported(secret)
    }
}

/// A secret of the exporter in its fixed size.
pub(super) fn exported(secret: Vec<u8>) -> Result<Zeroizing<[u8; 32]>, Error> {
    let secret = Zeroizing::new(secret);
    let bytes = secret
        .as_slice()
        .try_into()
        .map_err(|_| Error::Internal { what: "the exporter gave another size" })?;
    Ok(Zeroizing::new(bytes))
}

/// How far a sender's messages may be apart (CNV-8).
fn ratchet() -> SenderRatchetConfiguration {
    // CNV-8
    SenderRatchetConfiguration::new(RATCHET_BACKWARD, RATCHET_FORWARD)
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conversation({:?}, generation {})", self.suite, self.generation())
    }
}
