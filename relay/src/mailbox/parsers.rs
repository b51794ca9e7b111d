//! What reads rows of the store here, for fuzzing: thin, and only with the feature `simulation`.

use bytes::Bytes;
use restante_spec::ids::{MailboxId, ReaderHash, Seq, UnixTime};

use super::blobs::registry::Registry;
use super::rows::{self, BLOB, BadRow, LAST_RESORT, PREKEY, TAKEN, TakenRow};
use super::state::Mailbox;
use crate::buffer::{Part, Row};

/// A row: tag, key, the number of the act that wrote it, value.
pub type StoredRow<'a> = (u8, &'a [u8], u64, &'a [u8]);

/// Reads the rows of a mailbox; how many readers it has if they are sound. What is renewed of the
/// readers then is read as it was written.
#[must_use]
pub fn rows(stored: &[StoredRow<'_>], now: UnixTime) -> Option<usize> {
    let row = |&(tag, key, revision, value): &StoredRow<'_>| Row {
        part: Part { tag, key: key.to_vec() },
        revision: Seq::new(revision),
        value: Bytes::copy_from_slice(value),
    };
    let mut rows: Vec<Row> = stored.iter().map(row).collect();
    beside(&rows).ok()?;
    let found = read(&rows)?;
    let renewal = found.renewal(now).ok()?;
    let is_due = !renewal.is_empty();
    for write in renewal {
        let same = rows.iter_mut().filter(|row| row.part == write.part);
        same.for_each(|row| row.value = write.value.clone().unwrap_or_default());
    }
    let again = read(&rows)?;
    let cursors = |of: &Mailbox| -> Vec<(ReaderHash, Seq)> {
        of.readers.iter().map(|(hash, reader)| (*hash, reader.cursor)).collect()
    };
    assert_eq!(cursors(&again), cursors(&found), "renewed otherwise");
    assert!(!is_due || again.readers.values().all(|reader| reader.seen == now), "not renewed");
    Some(found.readers.len())
}

fn read(rows: &[Row]) -> Option<Mailbox> {
    Mailbox::from_rows(MailboxId::new([0; MailboxId::SIZE]), rows).ok().flatten()
}

/// Reads the rows that are no part of the state: prekeys, what was given for requests, blobs.
fn beside(rows: &[Row]) -> Result<(), BadRow> {
    let mut registry = Registry::default();
    for row in rows {
        match row.part.tag {
            PREKEY => {
                let (slot, number) = rows::prekey_of(&row.part)?;
                assert_eq!(rows::of_prekey(slot, number), row.part, "another prekey");
            }
            LAST_RESORT => {
                let slot = rows::slot_of(&row.part)?;
                assert_eq!(rows::of_last_resort(slot), row.part, "another slot");
            }
            TAKEN => drop(rows::decode::<TakenRow>(&row.value)?),
            BLOB => registry.load(MailboxId::new([0; MailboxId::SIZE]), row)?,
            _ => {}
        }
    }
    Ok(())
}
