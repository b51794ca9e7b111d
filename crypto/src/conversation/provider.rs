//! Puts the caller's store and the primitives together as OpenMLS wants them, and turns its errors
//! into ours: the store's apart from a refusal, and both apart from a bug.

use std::fmt::Display;

use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::group::{
    CommitBuilderStageError, CreateMessageError, MergeCommitError, MergePendingCommitError,
    NewGroupError, ProcessMessageError, ValidationError, WelcomeError,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use openmls_traits::types::SignatureScheme;

use crate::error::Error;
use crate::identity::DeviceKey;

/// Where MLS keeps its state: any store that implements the trait of `openmls_traits`, over a
/// transaction the caller commits.
pub trait Storage: StorageProvider<CURRENT_VERSION> {}

impl<S: StorageProvider<CURRENT_VERSION>> Storage for S {}

/// The caller's store for the time of one operation.
pub(super) struct Provider<'a, S> {
    crypto: RustCrypto,
    storage: &'a S,
}

impl<'a, S: Storage> Provider<'a, S> {
    pub(super) fn new(storage: &'a S) -> Self {
        Self { crypto: RustCrypto::default(), storage }
    }
}

impl<S: Storage> OpenMlsProvider for Provider<'_, S> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = S;

    fn storage(&self) -> &S {
        self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

/// A device's key as MLS signs with it. MLS has labels of its own (RFC 9420 section 5.1.2), which
/// begin with a length byte and "MLS 1.0": no label of ours does.
pub(super) struct MlsSigner<'a>(pub(super) &'a DeviceKey);

impl Signer for MlsSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.signing().sign_unlabelled(payload).as_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// MLS refused something that came from elsewhere.
pub(super) fn refused(what: &'static str) -> impl Fn(&dyn Display) -> Error {
    move |reason| Error::Refused { what, reason: reason.to_string() }
}

/// The store failed.
pub(super) fn storage(reason: impl Display) -> Error {
    Error::Storage { reason: reason.to_string() }
}

/// Whatever is not the store's fault is the message's: a sender must not be able to make a reader
/// stop at it.
pub(super) fn processing<E: std::error::Error>(error: ProcessMessageError<E>) -> Error {
    match error {
        ProcessMessageError::StorageError(reason) => storage(reason),
        // CNV-8
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
            MessageDecryptionError::SecretTreeError(SecretTreeError::SecretReuseError),
        )) => Error::OldMessage,
        other => refused("the message")(&other),
    }
}

pub(super) fn welcome<E: std::error::Error>(error: WelcomeError<E>) -> Error {
    match error {
        WelcomeError::StorageError(reason) => storage(reason),
        other => refused("the welcome")(&other),
    }
}

pub(super) fn new_group<E: std::error::Error>(error: NewGroupError<E>) -> Error {
    match error {
        NewGroupError::StorageError(reason) => storage(reason),
        other => refused("the new group")(&other),
    }
}

/// OpenMLS reports a store that failed while it seals as a bug of its own; the cure is the same.
pub(super) fn sealing(error: CreateMessageError) -> Error {
    match error {
        CreateMessageError::LibraryError(_) => Error::Internal { what: "mls could not seal" },
        other @ CreateMessageError::GroupStateError(_) => refused("to seal the message")(&other),
    }
}

pub(super) fn staging<E: std::error::Error>(error: CommitBuilderStageError<E>) -> Error {
    match error {
        CommitBuilderStageError::KeyStoreError(reason) => storage(reason),
        other @ CommitBuilderStageError::LibraryError(_) => refused("the commit")(&other),
    }
}

pub(super) fn merging<E: std::error::Error>(error: MergeCommitError<E>) -> Error {
    match error {
        MergeCommitError::StorageError(reason) => storage(reason),
        other => refused("to merge the commit")(&other),
    }
}

pub(super) fn merging_pending<E: std::error::Error>(error: MergePendingCommitError<E>) -> Error {
    match error {
        MergePendingCommitError::MergeCommitError(inner) => merging(inner),
        other @ MergePendingCommitError::MlsGroupStateError(_) => {
            refused("to merge the commit")(&other)
        }
    }
}
