//! The tables, and how an older file becomes a newer one: forward only, by `user_version`.

use rusqlite::{Connection, TransactionBehavior};

use super::mls;
use crate::error::Error;

/// Each step brings the file from its index to the next version.
const STEPS: &[&str] = &[VERSION_1];

/// Layout of version 1. Whatever belongs to a conversation names it; a direct one is named as its
/// contact. What belongs to one of its logs names the log's mailbox. The trigger: of a message
/// that was taken back or has disappeared nothing is kept for others either.
const VERSION_1: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE relays (address TEXT PRIMARY KEY, incarnation BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (relay TEXT PRIMARY KEY, token BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE contacts (
    id BLOB PRIMARY KEY, account BLOB, nickname TEXT NOT NULL, state INTEGER NOT NULL,
    verified INTEGER NOT NULL DEFAULT 0, devices BLOB, letter_number INTEGER NOT NULL DEFAULT 0,
    inbox_relay TEXT, inbox BLOB, inbox_key BLOB, own_key BLOB, invite TEXT, came_by BLOB,
    request BLOB, ended_at INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE conversations (
    id BLOB PRIMARY KEY, kind INTEGER NOT NULL, standing INTEGER NOT NULL, log BLOB,
    state BLOB NOT NULL, own_key BLOB
) WITHOUT ROWID;

CREATE TABLE members (
    conversation BLOB NOT NULL, account BLOB NOT NULL, nickname TEXT NOT NULL DEFAULT '',
    devices BLOB, inbox_relay TEXT, inbox BLOB, inbox_key BLOB,
    letter_number INTEGER NOT NULL DEFAULT 0, leaves INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, account)
) WITHOUT ROWID;

CREATE TABLE logs (
    mailbox BLOB PRIMARY KEY, conversation BLOB NOT NULL, relay TEXT NOT NULL,
    generation INTEGER NOT NULL, state INTEGER NOT NULL, reader BLOB NOT NULL,
    cursor INTEGER NOT NULL DEFAULT 0, epoch BLOB,
    commit_id BLOB, commit_body BLOB, commit_next BLOB, commit_add BLOB, commit_strike BLOB,
    commit_wishes BLOB, since_update INTEGER NOT NULL DEFAULT 0,
    counter INTEGER NOT NULL DEFAULT 0, previous BLOB
) WITHOUT ROWID;
CREATE INDEX logs_of_conversation ON logs (conversation);

CREATE TABLE muted (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, PRIMARY KEY (mailbox, device)
) WITHOUT ROWID;

CREATE TABLE wishes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, mailbox BLOB NOT NULL, not_before INTEGER NOT NULL,
    what BLOB NOT NULL
);
CREATE INDEX wishes_of_mailbox ON wishes (mailbox, id);

CREATE TABLE messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, conversation BLOB NOT NULL,
    mailbox BLOB, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
    author BLOB, kind INTEGER NOT NULL, text TEXT NOT NULL, content BLOB,
    at INTEGER NOT NULL, fate INTEGER NOT NULL, code INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0,
    unconfirmed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (conversation, id)
);
CREATE INDEX messages_in_order ON messages (conversation, generation, seq, row);
CREATE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_unread ON messages (conversation) WHERE unread = 1;
CREATE INDEX messages_queued ON messages (conversation) WHERE fate = 0;
CREATE INDEX messages_to_expire ON messages (expires_at) WHERE fate = 1;
CREATE VIRTUAL TABLE search USING fts5 (
    words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TABLE authors (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, counter INTEGER NOT NULL, hash BLOB,
    seq INTEGER NOT NULL, PRIMARY KEY (mailbox, device)
) WITHOUT ROWID;

CREATE TABLE kept (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, counter INTEGER NOT NULL,
    conversation BLOB NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (mailbox, device, counter)
);
CREATE INDEX kept_by_id ON kept (conversation, id);
CREATE TRIGGER kept_goes_with_its_message AFTER UPDATE OF content ON messages
    WHEN new.content IS NULL AND new.text = ''
BEGIN
    DELETE FROM kept WHERE conversation = new.conversation AND id = new.id;
END;

CREATE TABLE joined (
    mailbox BLOB NOT NULL, account BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (mailbox, account)
) WITHOUT ROWID;
CREATE TABLE absences (mailbox BLOB PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, mailbox BLOB NOT NULL,
    generation INTEGER NOT NULL, device BLOB NOT NULL, account BLOB NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, hash BLOB NOT NULL,
    after INTEGER NOT NULL, before INTEGER NOT NULL,
    asks INTEGER NOT NULL, due INTEGER NOT NULL, lost INTEGER NOT NULL
);
CREATE INDEX gaps_of_conversation ON gaps (conversation, generation, before);
CREATE INDEX gaps_due ON gaps (due) WHERE lost = 0;

CREATE TABLE owed (
    id INTEGER PRIMARY KEY AUTOINCREMENT, asked_in BLOB NOT NULL, account BLOB NOT NULL,
    mailbox BLOB NOT NULL, device BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    due INTEGER NOT NULL, UNIQUE (asked_in, account, mailbox, device, first, last)
);
CREATE TABLE given (
    conversation BLOB NOT NULL, account BLOB NOT NULL, since INTEGER NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (conversation, account)
) WITHOUT ROWID;

CREATE TABLE returns (
    mailbox BLOB PRIMARY KEY, asked INTEGER NOT NULL, due INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE callers (
    conversation BLOB NOT NULL, device BLOB NOT NULL, account BLOB NOT NULL,
    package BLOB NOT NULL, PRIMARY KEY (conversation, device)
) WITHOUT ROWID;

CREATE TABLE restarts (
    conversation BLOB PRIMARY KEY, due INTEGER, last INTEGER
) WITHOUT ROWID;

CREATE TABLE outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, id BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL, mailbox BLOB,
    counter INTEGER NOT NULL DEFAULT 0, previous BLOB, content BLOB, sealed BLOB,
    sealed_epoch BLOB
);
CREATE INDEX outbox_of_conversation ON outbox (conversation, row);

CREATE TABLE receipts (
    conversation BLOB NOT NULL, id BLOB NOT NULL, due INTEGER NOT NULL,
    PRIMARY KEY (conversation, id)
) WITHOUT ROWID;

CREATE TABLE own_ids (
    mailbox BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (mailbox, id)
) WITHOUT ROWID;

CREATE TABLE letters (id BLOB PRIMARY KEY, forget_at INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE invites (
    key BLOB PRIMARY KEY, invite BLOB NOT NULL, secret BLOB NOT NULL, uses INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE readers (
    hash BLOB PRIMARY KEY, secret BLOB NOT NULL, created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, relay TEXT NOT NULL, mailbox BLOB NOT NULL,
    kind INTEGER NOT NULL, contact BLOB, conversation BLOB, slot INTEGER NOT NULL DEFAULT 0,
    key BLOB, envelope BLOB, first_message BLOB, body BLOB,
    uses INTEGER NOT NULL DEFAULT 0, expires_at INTEGER NOT NULL DEFAULT 0,
    after INTEGER NOT NULL DEFAULT 0, held_by BLOB
);
CREATE INDEX jobs_of_mailbox ON jobs (relay, mailbox, id);
";

/// Brings the file to the newest version, step by step, each step whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(Error::StoreTooNew { found, known });
    }
    // OpenMLS keeps its own version in its own table.
    mls::migrate(connection)?;
    for (version, step) in (found.saturating_add(1)..=known).zip(STEPS.iter().skip(found as usize))
    {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
