//! Where OpenMLS keeps its state: in the open transaction, as MessagePack.
//!
//! Knows the provider's traits; must not know what a conversation is. Whatever MLS writes while a
//! batch is worked off becomes durable together with the batch's rows, or not at all.

use openmls_sqlite_storage::{Codec, SqliteStorageProvider};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Db;
use crate::error::Error;

/// What `restante-crypto` is handed as the place to keep MLS state.
pub(crate) type Provider<'a> = SqliteStorageProvider<MessagePack, &'a Connection>;

/// MessagePack with named fields: OpenMLS' state is only readable by a codec that describes itself.
#[derive(Debug, Default)]
pub(crate) struct MessagePack;

/// Either direction failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error(transparent)]
    Write(#[from] rmp_serde::encode::Error),
    #[error(transparent)]
    Read(#[from] rmp_serde::decode::Error),
}

impl Codec for MessagePack {
    type Error = PackError;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, PackError> {
        Ok(rmp_serde::to_vec_named(value)?)
    }

    fn from_slice<T: DeserializeOwned>(slice: &[u8]) -> Result<T, PackError> {
        Ok(rmp_serde::from_slice(slice)?)
    }
}

/// Makes or updates the provider's tables.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    SqliteStorageProvider::<MessagePack, &mut Connection>::new(connection)
        .run_migrations()
        .map_err(|_| Error::Storage("the tables of the group state".to_owned()))
}

impl<'a> Db<'a> {
    /// The place of MLS state within this transaction.
    pub(crate) fn provider(self) -> Provider<'a> {
        SqliteStorageProvider::new(self.sql)
    }

    /// Forgets every group and key package: the device they belong to is given up.
    pub(super) fn forget_groups(self) -> Result<(), Error> {
        Ok(self.sql.execute_batch(
            "DELETE FROM openmls_group_data; DELETE FROM openmls_own_leaf_nodes;
             DELETE FROM openmls_proposals; DELETE FROM openmls_epoch_keys_pairs;
             DELETE FROM openmls_encryption_keys; DELETE FROM openmls_key_packages;
             DELETE FROM openmls_psks; DELETE FROM openmls_signature_keys;",
        )?)
    }
}
