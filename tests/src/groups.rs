//! The state of conversations in a database of its own, in the form the client keeps it in.

use openmls_sqlite_storage::{Codec, SqliteStorageProvider};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// MessagePack, as the client's store uses it.
#[derive(Default)]
pub struct MessagePack;

/// Either direction failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Writing did.
    #[error(transparent)]
    Write(#[from] rmp_serde::encode::Error),
    /// Reading did.
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

/// Makes the tables.
pub fn prepare(store: &mut Connection) {
    SqliteStorageProvider::<MessagePack, &mut Connection>::new(store)
        .run_migrations()
        .expect("tables");
}

/// The state that is kept there.
pub fn provider(store: &Connection) -> SqliteStorageProvider<MessagePack, &Connection> {
    SqliteStorageProvider::new(store)
}
