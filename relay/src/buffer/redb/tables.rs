//! The tables of the store's file, and how keys and values stand in them.
//!
//! ```text
//!  chunks  chunk id                     -> packed envelopes (`chunk.rs`)
//!  rows    mailbox 16 | tag 1 | key     -> revision 8 | value
//!  marks   mailbox 16                   -> born 8 | floor 8 | head 8 | epoch 8
//!  meta    name                         -> number
//! ```

use bytes::{Buf, Bytes};
use redb::{ReadableTable, Table, TableDefinition};
use restante_spec::ids::{MailboxId, Seq};

use super::super::index::Mark;
use super::super::{Part, RELAY, Row, RowWrite, Toll};

pub(super) const CHUNKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("chunks");
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
pub(super) const MARKS: TableDefinition<'_, &[u8; 16], &[u8; 32]> = TableDefinition::new("marks");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// `meta`: the form of the tables.
pub(super) const FORMAT: &str = "format";
/// `meta`: numbers up to here may have been given (MBX-3).
pub(super) const RESERVED: &str = "reserved";
/// `meta`: what has this number or a lower one comes from a backup (MBX-20).
pub(super) const RESTORED: &str = "restored";

/// The key of a row.
pub(super) fn row_key(mailbox: MailboxId, part: &Part) -> Vec<u8> {
    let mut key = Vec::with_capacity(MailboxId::SIZE + 1 + part.key.len());
    key.extend_from_slice(mailbox.as_bytes());
    key.push(part.tag);
    key.extend_from_slice(&part.key);
    key
}

/// The first key of a mailbox's rows with this tag or a higher one.
pub(super) fn rows_from(mailbox: MailboxId, tag: u8) -> Vec<u8> {
    row_key(mailbox, &Part { tag, key: Vec::new() })
}

/// A row from its key and value; `None` when it has no form of a row.
pub(super) fn row(key: &[u8], value: &[u8]) -> Option<Row> {
    let (tag, key) = key.get(MailboxId::SIZE..)?.split_first()?;
    let (revision, value) = value.split_first_chunk::<8>()?;
    Some(Row {
        part: Part { tag: *tag, key: key.to_vec() },
        revision: Seq::new(u64::from_be_bytes(*revision)),
        value: Bytes::copy_from_slice(value),
    })
}

/// Writes or removes a row.
pub(super) fn write_row(
    rows: &mut Table<'_, &[u8], &[u8]>,
    mailbox: MailboxId,
    write: &RowWrite,
    revision: Seq,
) -> Result<(), redb::StorageError> {
    let key = row_key(mailbox, &write.part);
    match &write.value {
        None => drop(rows.remove(key.as_slice())?),
        Some(value) => {
            let mut stored = revision.get().to_be_bytes().to_vec();
            stored.extend_from_slice(value);
            rows.insert(key.as_slice(), stored.as_slice())?;
        }
    }
    Ok(())
}

/// The row that pays a toll as it is to be written; `None` if it is not there or has not enough.
pub(super) fn pay(
    rows: &Table<'_, &[u8], &[u8]>,
    toll: Toll,
) -> Result<Option<RowWrite>, redb::StorageError> {
    let key = row_key(RELAY, &toll.part);
    let stored = rows.get(key.as_slice())?;
    let found = stored.and_then(|stored| row(&key, stored.value()));
    let paid = found.and_then(|found| (toll.pay)(&found.value));
    Ok(paid.map(|value| RowWrite { part: toll.part, value: Some(value) }))
}

/// Removes all rows of a mailbox.
pub(super) fn remove_rows(
    rows: &mut Table<'_, &[u8], &[u8]>,
    mailbox: MailboxId,
) -> Result<(), redb::StorageError> {
    let first = rows_from(mailbox, 0);
    let mut keys = Vec::new();
    for entry in rows.range(first.as_slice()..)? {
        let (key, _) = entry?;
        if !key.value().starts_with(mailbox.as_bytes()) {
            break;
        }
        keys.push(key.value().to_vec());
    }
    for key in keys {
        rows.remove(key.as_slice())?;
    }
    Ok(())
}

/// A mark as it is stored.
pub(super) fn mark_bytes(mark: Mark) -> [u8; 32] {
    let mut bytes = [0; 32];
    let numbers = [mark.born, mark.floor, mark.head, mark.epoch];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.get().to_be_bytes());
    }
    bytes
}

/// A stored mark.
pub(super) fn mark_of(mut bytes: &[u8]) -> Mark {
    let mut next = || Seq::new(bytes.try_get_u64().unwrap_or(0));
    Mark { born: next(), floor: next(), head: next(), epoch: next() }
}
