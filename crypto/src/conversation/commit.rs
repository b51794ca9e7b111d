//! Commits of our own: prepared, sent, and merged or cleared when the log has decided (CNV-9).

use openmls::prelude::{LeafNodeIndex, StagedCommit};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use restante_spec::ids::{BlobId, ReaderHash};
use restante_spec::limits::COMMIT_READERS;
use zeroize::Zeroizing;

use super::group::{Conversation, OwnDevice, exported};
use super::leaf::index;
use super::package::KeyPackage;
use super::provider::{self, MlsSigner, Provider, Storage, refused};
use crate::error::Error;
use crate::file::FileKey;
use crate::identity::AccountId;
use crate::labels::EXPORT_EPOCH_KEY;
use crate::random::random_bytes;
use crate::record::{LargeMessage, LeafNumber, RecordPlace};
use crate::signing::SigningKey;

/// What a commit changes, besides the committer's own key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Devices to add.
    pub add: &'a [KeyPackage],
    /// Leaves to remove; not the own.
    pub remove: &'a [LeafNumber],
    /// What members agree on from then on (CNV-13); `None`: as before.
    pub state: Option<&'a [u8]>,
}

/// A commit that is ready to be sent; it waits in the store until merged or cleared.
#[derive(Debug)]
pub struct PendingCommit {
    /// The record to append, sealed under the current epoch.
    pub record: Vec<u8>,
    /// What must lie in a blob before the record is appended, if the commit fits no record (REC-6).
    pub large: Option<LargeCommit>,
    /// For the added devices, by letter, once the commit is accepted.
    pub welcome: Option<Vec<u8>>,
    /// The key of the epoch this commit begins: goes with it, with proof of possession.
    pub next_key: SigningKey,
    /// Readers the relay registers with this commit.
    pub add_readers: Vec<ReaderHash>,
    /// Readers the relay strikes with it.
    pub strike_readers: Vec<ReaderHash>,
}

/// A commit that fits no record: the file for its blob, and the blob the record names.
#[derive(Debug)]
pub struct LargeCommit {
    /// The sealed file (FIL-1), byte for byte the blob.
    pub file: Vec<u8>,
    /// Where the record says it lies.
    pub at: LargeMessage,
}

impl Conversation {
    /// Adds devices.
    ///
    /// # Errors
    /// As for [`Conversation::commit`].
    pub fn add<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        packages: &[KeyPackage],
    ) -> Result<PendingCommit, Error> {
        self.commit(storage, own, place, Change { add: packages, ..Change::default() })
    }

    /// Removes every leaf of an account.
    ///
    /// # Errors
    /// As for [`Conversation::commit`]; [`Error::NotAMember`] if the account has no leaf.
    pub fn remove_account<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        account: AccountId,
    ) -> Result<PendingCommit, Error> {
        let leaves: Vec<_> = self.members_of(account).iter().map(|member| member.leaf).collect();
        if leaves.is_empty() {
            return Err(Error::NotAMember);
        }
        self.commit(storage, own, place, Change { remove: &leaves, ..Change::default() })
    }

    /// Renews the own leaf's key, so that what an intruder knew is of no more use.
    ///
    /// # Errors
    /// As for [`Conversation::commit`].
    pub fn update<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
    ) -> Result<PendingCommit, Error> {
        self.commit(storage, own, place, Change::default())
    }

    /// Prepares a commit; every commit also renews the own key. Only one can be pending.
    ///
    /// # Errors
    /// [`Error::CommitPending`], [`Error::Removed`], [`Error::TooLarge`] (CNV-9, CNV-10),
    /// [`Error::Unsupported`] for a key package of another suite,
    /// [`Error::NotAMember`] for a leaf that is none, [`Error::Refused`], [`Error::Storage`].
    pub fn commit<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        change: Change<'_>,
    ) -> Result<PendingCommit, Error> {
        if !self.is_member() {
            return Err(Error::Removed);
        }
        if self.group.pending_commit().is_some() {
            return Err(Error::CommitPending);
        }
        let (add_readers, strike_readers) = self.readers(change)?;
        let (message, welcome) = self.stage(storage, own, change)?;
        let sealed = self.seal_commit(own, place, &message).and_then(|(record, large)| {
            let next_key = self.pending_epoch_key()?.ok_or(Error::NoCommitPending)?;
            Ok(PendingCommit { record, large, welcome, next_key, add_readers, strike_readers })
        });
        if sealed.is_err() {
            self.clear_pending(storage)?;
        }
        sealed
    }

    /// The record of a commit; what fits none goes into a blob (REC-6).
    fn seal_commit(
        &self,
        own: &OwnDevice<'_>,
        place: &RecordPlace,
        message: &[u8],
    ) -> Result<(Vec<u8>, Option<LargeCommit>), Error> {
        match self.seal(own, place, message) {
            Ok(record) => return Ok((record, None)),
            Err(Error::TooLarge { .. }) => {}
            Err(other) => return Err(other),
        }
        let key = FileKey::generate()?;
        let file = key.seal(message)?;
        let at = LargeMessage {
            blob: BlobId::new(random_bytes()?),
            read_key: SigningKey::generate()?.seed(),
            key: Zeroizing::new(*key.as_bytes()),
            size: file.len() as u64,
        };
        let record = self.record_key()?;
        let record = record.seal_large(place, self.own_leaf(), own.key, message, &at)?;
        Ok((record, Some(LargeCommit { file, at })))
    }

    /// The key of the epoch a pending commit begins (CNV-6); `None` if none is pending.
    ///
    /// # Errors
    /// [`Error::Internal`] if the exporter fails.
    pub fn pending_epoch_key(&self) -> Result<Option<SigningKey>, Error> {
        self.group.pending_commit().map(|staged| self.staged_epoch_key(staged)).transpose()
    }

    /// Merges the pending commit, because the log shows it was accepted.
    ///
    /// # Errors
    /// [`Error::NoCommitPending`], [`Error::Storage`].
    pub fn merge_pending<S: Storage>(&mut self, storage: &S) -> Result<(), Error> {
        if self.group.pending_commit().is_none() {
            return Err(Error::NoCommitPending);
        }
        self.group.merge_pending_commit(&Provider::new(storage)).map_err(provider::merging_pending)
    }

    /// Drops the pending commit, because the log shows that another was accepted, or the relay that
    /// this one was refused. Without one it does nothing.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn clear_pending<S: Storage>(&mut self, storage: &S) -> Result<(), Error> {
        self.group.clear_pending_commit(storage).map_err(provider::storage)
    }

    pub(super) fn staged_epoch_key(&self, staged: &StagedCommit) -> Result<SigningKey, Error> {
        // CNV-6
        let secret = staged
            .export_secret(&RustCrypto::default(), EXPORT_EPOCH_KEY, self.mailbox().as_bytes(), 32)
            .map_err(|_| Error::Removed)?;
        Ok(SigningKey::from_seed(&*exported(secret)?))
    }

    /// The readers the change adds and strikes (CNV-9), after checking that it can be made.
    fn readers(&self, change: Change<'_>) -> Result<(Vec<ReaderHash>, Vec<ReaderHash>), Error> {
        if change.add.iter().any(|package| package.suite() != self.suite()) {
            return Err(Error::Unsupported { what: "key package of another suite" });
        }
        let mut strike = Vec::new();
        for &leaf in change.remove {
            let member = self.member(leaf).ok_or(Error::NotAMember)?;
            strike.extend(member.reader);
        }
        // CNV-9
        let add: Vec<_> = change.add.iter().map(|package| *package.reader()).collect();
        let size = add.len() + strike.len();
        if size > COMMIT_READERS {
            let max = COMMIT_READERS;
            return Err(Error::TooLarge { what: "the commit's readers", size, max });
        }
        // CNV-10
        let max = self.suite().max_leaves();
        let size = (self.members().len() + add.len()).saturating_sub(change.remove.len());
        if size > max {
            return Err(Error::TooLarge { what: "the conversation", size, max });
        }
        Ok((add, strike))
    }

    /// Commit and Welcome as MLS messages; the commit is pending then.
    pub(super) fn stage<S: Storage>(
        &mut self,
        storage: &S,
        own: &OwnDevice<'_>,
        change: Change<'_>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        let provider = Provider::new(storage);
        let removed: Vec<LeafNodeIndex> = change.remove.iter().map(|&leaf| index(leaf)).collect();
        let refused = refused("the commit");
        let mut builder = self
            .group
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .propose_adds(change.add.iter().map(|package| package.mls.clone()))
            .propose_removals(removed);
        if let Some(state) = change.state {
            builder = builder
                .propose_group_context_extensions(super::leaf::context(state)?)
                .map_err(|error| refused(&error))?;
        }
        let bundle = builder
            .load_psks(storage)
            .map_err(|error| refused(&error))?
            .build(provider.rand(), provider.crypto(), &MlsSigner(own.key), |_| true)
            .map_err(|error| refused(&error))?
            .stage_commit(&provider)
            .map_err(provider::staging)?;
        let not_encoded = |_| Error::Internal { what: "a commit was not encoded" };
        let (commit, welcome, _) = bundle.into_messages();
        let welcome = welcome.map(|welcome| welcome.to_bytes()).transpose();
        Ok((commit.to_bytes().map_err(not_encoded)?, welcome.map_err(not_encoded)?))
    }
}
