//! What a client finds in its home.

use std::time::Duration;

use restante_client::{Client, Error, StoreKey};

use super::Target;

pub(super) const HOME: Target = Target { name: "home", run, seeds, changes: 30 };

/// A store, a salt or a lock that is anything at all: the home does not open, and says so.
fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let home = tempfile::tempdir().expect("a folder");
    let name = ["store", "lock", "store-wal"][usize::from(kind % 3)];
    std::fs::write(home.path().join(name), data).expect("written");
    let builder = Client::builder(home.path()).store_key(StoreKey::from_bytes([7; 32]));
    match builder.lock_wait(Duration::ZERO).open() {
        Ok(_) => panic!("an account out of nothing"),
        Err(Error::NoStore | Error::WrongKey | Error::Storage(_) | Error::Damaged(_)) => {}
        Err(other) => panic!("another error: {other}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0; 4_097], b"\x0112345".to_vec(), b"\x02\x37\x7f\x06\x82".to_vec()]
}
