//! Tests of how a store comes to be: whole in the file that has its name.

use super::*;

/// Another handle of the same new file, as whoever keeps its log from going away has one.
fn look_at(file: &Path) -> Connection {
    let other = Connection::open(file).unwrap();
    other.execute_batch(&format!("PRAGMA key = \"x'{}'\";", "07".repeat(32))).unwrap();
    other.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).unwrap();
    other
}

/// Once a store got its name while part of it stood in a log that did not come along: closing says
/// nothing of a log it could not put in, and that store was never opened again.
#[test]
fn a_store_is_whole_when_it_has_its_name() {
    let (home, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = StoreKey::from_bytes([7; 32]);
    let mut other = None;
    let made = Store::create(home.path(), &key, |db| {
        // With this one open, closing the other puts nothing into the file.
        other = Some(look_at(&home.path().join(NEW_FILE)));
        db.set_meta(Meta::Nickname, b"whole")
    });
    assert_eq!(made, Ok(()));
    std::fs::copy(home.path().join(STORE_FILE), copy.path().join(STORE_FILE)).unwrap();
    drop(other);
    let store = Store::open(copy.path(), &key).unwrap();
    assert_eq!(store.read().need_meta(Meta::Nickname).unwrap().as_slice(), b"whole");
}
