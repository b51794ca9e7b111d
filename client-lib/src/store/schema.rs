//! The tables, and how an older file becomes a newer one: forward only, by `user_version`.

use rusqlite::{Connection, TransactionBehavior};

use super::mls;
use crate::error::Error;

/// Each step brings the file from its index to the next version.
const STEPS: &[&[&str]] = &[&[VERSION_1, VERSION_1_TRIGGERS]];

/// Layout of version 1. Whatever belongs to a conversation names it; a direct one is named as its
/// contact. What belongs to one of its logs names the log's mailbox.
const VERSION_1: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE relays (address TEXT PRIMARY KEY, incarnation BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (relay TEXT PRIMARY KEY, token BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE contacts (
    id BLOB PRIMARY KEY, account BLOB, nickname TEXT NOT NULL, state INTEGER NOT NULL,
    verified INTEGER NOT NULL DEFAULT 0, devices BLOB, inbox_relay TEXT, inbox BLOB,
    inbox_key BLOB, own_key BLOB, invite TEXT, came_by BLOB,
    request BLOB, ended_at INTEGER NOT NULL DEFAULT 0,
    joins BLOB, joins_name TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE conversations (
    id BLOB PRIMARY KEY, kind INTEGER NOT NULL, standing INTEGER NOT NULL, log BLOB,
    state BLOB NOT NULL, own_key BLOB
) WITHOUT ROWID;

CREATE TABLE members (
    conversation BLOB NOT NULL, account BLOB NOT NULL, nickname TEXT NOT NULL DEFAULT '',
    devices BLOB, inbox_relay TEXT, inbox BLOB, inbox_key BLOB,
    leaves INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, account)
) WITHOUT ROWID;

CREATE TABLE logs (
    mailbox BLOB PRIMARY KEY, conversation BLOB NOT NULL, relay TEXT NOT NULL,
    generation INTEGER NOT NULL, state INTEGER NOT NULL, reader BLOB NOT NULL,
    cursor INTEGER NOT NULL DEFAULT 0, epoch BLOB,
    commit_id BLOB, commit_body BLOB, commit_next BLOB, commit_add BLOB, commit_strike BLOB,
    commit_wishes BLOB, commit_blobs BLOB, waits BLOB, since_update INTEGER NOT NULL DEFAULT 0,
    counter INTEGER NOT NULL DEFAULT 0, previous BLOB,
    chain BLOB, forked INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX logs_of_conversation ON logs (conversation);

CREATE TABLE muted (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (mailbox, device)
) WITHOUT ROWID;

CREATE TABLE welcomes (
    mailbox BLOB PRIMARY KEY, contact BLOB NOT NULL, letter BLOB NOT NULL
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
    reply_to BLOB, edited INTEGER NOT NULL DEFAULT 0, deleted_by BLOB,
    timer INTEGER NOT NULL DEFAULT 0, gone_at INTEGER NOT NULL DEFAULT 0,
    UNIQUE (conversation, id)
);
CREATE INDEX messages_to_go ON messages (gone_at) WHERE gone_at > 0;
CREATE INDEX messages_in_order ON messages (conversation, generation, seq, row);
CREATE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_unread ON messages (conversation) WHERE unread = 1;
CREATE INDEX messages_queued ON messages (conversation) WHERE fate = 0;
CREATE INDEX messages_to_expire ON messages (expires_at) WHERE fate = 1;
CREATE VIRTUAL TABLE search USING fts5 (
    words, content = '', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);

CREATE TABLE acts (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, conversation BLOB NOT NULL,
    target BLOB NOT NULL, author BLOB NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL,
    officer INTEGER NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
    waits INTEGER NOT NULL DEFAULT 0, UNIQUE (conversation, id, target)
);
CREATE INDEX acts_on ON acts (conversation, target);
CREATE INDEX acts_waiting ON acts (conversation, row) WHERE waits = 1;

CREATE TABLE rooms (
    mailbox BLOB PRIMARY KEY, number INTEGER NOT NULL, seed BLOB NOT NULL, card BLOB,
    host_key BLOB, manage_key BLOB, old_key BLOB, next_seed BLOB,
    shown BLOB, posts_card INTEGER NOT NULL DEFAULT 0, introduced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE room_hosts (
    mailbox BLOB NOT NULL, account BLOB NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (mailbox, account)
) WITHOUT ROWID;
CREATE TABLE room_counters (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, counter INTEGER NOT NULL,
    PRIMARY KEY (mailbox, device)
) WITHOUT ROWID;
CREATE TABLE posts (
    envelope BLOB PRIMARY KEY, mailbox BLOB NOT NULL, kind INTEGER NOT NULL, id BLOB,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX posts_of_room ON posts (mailbox, kind, id);

CREATE TABLE states (
    conversation BLOB NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
    state BLOB NOT NULL, PRIMARY KEY (conversation, generation, seq)
) WITHOUT ROWID;

CREATE TABLE reached (
    conversation BLOB NOT NULL, id BLOB NOT NULL, account BLOB NOT NULL,
    how INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (conversation, id, account)
) WITHOUT ROWID;
CREATE INDEX reached_of ON reached (conversation, account) WHERE how = 0;
CREATE INDEX reached_at ON reached (at);
CREATE TABLE early_receipts (
    row INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, id BLOB NOT NULL,
    account BLOB NOT NULL, read INTEGER NOT NULL, UNIQUE (conversation, id, account)
);

CREATE TABLE log_hashes (
    mailbox BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (mailbox, seq)
) WITHOUT ROWID;

CREATE TABLE authors (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, account BLOB NOT NULL,
    counter INTEGER NOT NULL, hash BLOB, seq INTEGER NOT NULL, PRIMARY KEY (mailbox, device)
) WITHOUT ROWID;

CREATE TABLE kept (
    mailbox BLOB NOT NULL, device BLOB NOT NULL, counter INTEGER NOT NULL,
    conversation BLOB NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, content BLOB NOT NULL,
    about BLOB, PRIMARY KEY (mailbox, device, counter)
);
CREATE INDEX kept_by_id ON kept (conversation, id);
CREATE INDEX kept_about ON kept (conversation, about) WHERE about IS NOT NULL;

CREATE TABLE joined (
    mailbox BLOB NOT NULL, account BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (mailbox, account)
) WITHOUT ROWID;
CREATE TABLE absences (
    mailbox BLOB PRIMARY KEY, since INTEGER NOT NULL, answered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, mailbox BLOB NOT NULL,
    generation INTEGER NOT NULL, device BLOB NOT NULL, account BLOB NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, hash BLOB NOT NULL,
    after INTEGER NOT NULL, before INTEGER NOT NULL,
    asks INTEGER NOT NULL, due INTEGER NOT NULL, lost INTEGER NOT NULL,
    teller BLOB
);
CREATE INDEX gaps_of_device ON gaps (mailbox, device);
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
    mailbox BLOB PRIMARY KEY, asked INTEGER NOT NULL, due INTEGER NOT NULL, denied INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE awaited (
    conversation BLOB PRIMARY KEY, asked INTEGER NOT NULL, due INTEGER NOT NULL,
    mailbox BLOB, relay TEXT, generation INTEGER
) WITHOUT ROWID;
CREATE TABLE callers (
    conversation BLOB NOT NULL, device BLOB NOT NULL, account BLOB NOT NULL,
    letter BLOB NOT NULL, PRIMARY KEY (conversation, device)
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
    conversation BLOB NOT NULL, id BLOB NOT NULL, due INTEGER NOT NULL, read INTEGER NOT NULL,
    PRIMARY KEY (conversation, id)
) WITHOUT ROWID;

CREATE TABLE own_ids (
    mailbox BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (mailbox, id)
) WITHOUT ROWID;

CREATE TABLE letters (id BLOB PRIMARY KEY, forget_at INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE letter_numbers (
    device BLOB PRIMARY KEY, taken BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE links (
    envelope BLOB PRIMARY KEY, code TEXT NOT NULL, label TEXT NOT NULL, key BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE device_keys (device BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE struck_devices (
    account BLOB NOT NULL, device BLOB NOT NULL, PRIMARY KEY (account, device)
) WITHOUT ROWID;
CREATE TABLE claims (
    contact BLOB PRIMARY KEY, device BLOB NOT NULL, seq INTEGER NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE notes (
    kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE read_marks (
    conversation BLOB PRIMARY KEY, generation INTEGER NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE synced (
    kind INTEGER NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
    is_foreign INTEGER NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE dirty (
    kind INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE invites (
    key BLOB PRIMARY KEY, invite BLOB NOT NULL, secret BLOB NOT NULL, uses INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL, leads_to BLOB,
    accepts INTEGER NOT NULL
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

CREATE TABLE transfers (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, direction INTEGER NOT NULL,
    relay TEXT NOT NULL, mailbox BLOB, blob BLOB NOT NULL, key BLOB, name TEXT NOT NULL,
    size INTEGER NOT NULL, done INTEGER NOT NULL, state INTEGER NOT NULL,
    failure INTEGER NOT NULL, code INTEGER NOT NULL, owed INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX transfers_to_do ON transfers (row) WHERE owed = 1;

CREATE TABLE attachments (
    conversation BLOB NOT NULL, message BLOB NOT NULL, body BLOB NOT NULL, relay TEXT,
    file TEXT NOT NULL, whole INTEGER NOT NULL, wanted INTEGER NOT NULL, transfer BLOB,
    failure INTEGER, code INTEGER NOT NULL, PRIMARY KEY (conversation, message)
) WITHOUT ROWID;
CREATE INDEX attachments_moving ON attachments (transfer) WHERE transfer IS NOT NULL;
CREATE INDEX attachments_wanted ON attachments (conversation) WHERE wanted = 1;

CREATE TABLE litter (file TEXT PRIMARY KEY, held INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE shares (
    device BLOB NOT NULL, conversation BLOB NOT NULL, generation INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0, since INTEGER NOT NULL, archive BLOB,
    given INTEGER NOT NULL DEFAULT 0, next_generation INTEGER, next_seq INTEGER,
    PRIMARY KEY (device, conversation)
) WITHOUT ROWID;
CREATE TABLE archives (
    id BLOB PRIMARY KEY, device BLOB NOT NULL, taken_from INTEGER NOT NULL, relay TEXT NOT NULL,
    messages INTEGER NOT NULL, done INTEGER NOT NULL, manifests INTEGER NOT NULL,
    segments INTEGER NOT NULL, taken INTEGER NOT NULL, whole INTEGER NOT NULL, rest BLOB,
    due INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE segments (
    archive BLOB NOT NULL, number INTEGER NOT NULL, blob BLOB NOT NULL, read_key BLOB NOT NULL,
    file_key BLOB NOT NULL, size INTEGER NOT NULL, messages INTEGER NOT NULL,
    newest INTEGER NOT NULL, oldest INTEGER NOT NULL, begins BLOB, told INTEGER NOT NULL,
    PRIMARY KEY (archive, number)
) WITHOUT ROWID;
";

/// Layout of version 1, what follows by itself: the account's other devices are told of whatever
/// changes in these columns, whoever changes it (DEV-8), and what comes before a read mark is read.
/// (What a trigger does about conflicts, the statement that fires it decides: so it asks first.)
const VERSION_1_TRIGGERS: &str = "
CREATE TRIGGER meta_told AFTER INSERT ON meta
WHEN new.name IN ('nickname', 'device_list', 'next_device')
BEGIN INSERT INTO dirty SELECT 1, x'' WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 1 AND key = x''); END;

CREATE TRIGGER contact_made AFTER INSERT ON contacts
BEGIN INSERT INTO dirty SELECT 2, new.id WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 2 AND key = new.id); END;
CREATE TRIGGER contact_changed AFTER UPDATE ON contacts
WHEN (old.account, old.nickname, old.state, old.verified, old.devices, old.inbox, old.inbox_key,
      old.own_key, old.invite, old.came_by, old.request, old.ended_at)
  IS NOT (new.account, new.nickname, new.state, new.verified, new.devices, new.inbox, new.inbox_key,
      new.own_key, new.invite, new.came_by, new.request, new.ended_at)
BEGIN INSERT INTO dirty SELECT 2, new.id WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 2 AND key = new.id); END;

CREATE TRIGGER invite_made AFTER INSERT ON invites
BEGIN INSERT INTO dirty SELECT 3, new.key WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 3 AND key = new.key); END;

CREATE TRIGGER conversation_made AFTER INSERT ON conversations WHEN new.kind < 3
BEGIN INSERT INTO dirty SELECT 4, new.id WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 4 AND key = new.id); END;
CREATE TRIGGER conversation_changed AFTER UPDATE ON conversations
WHEN new.kind < 3 AND (old.standing, old.own_key) IS NOT (new.standing, new.own_key)
BEGIN INSERT INTO dirty SELECT 4, new.id WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 4 AND key = new.id); END;

CREATE TRIGGER room_made AFTER INSERT ON rooms
BEGIN INSERT INTO dirty SELECT 11, new.mailbox WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 11 AND key = new.mailbox); END;
CREATE TRIGGER room_changed AFTER UPDATE ON rooms
WHEN (old.number, old.seed, old.card, old.host_key, old.manage_key, old.old_key)
  IS NOT (new.number, new.seed, new.card, new.host_key, new.manage_key, new.old_key)
BEGIN INSERT INTO dirty SELECT 11, new.mailbox WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 11 AND key = new.mailbox); END;
CREATE TRIGGER room_stands AFTER UPDATE ON conversations
WHEN new.kind = 4 AND old.standing IS NOT new.standing
BEGIN INSERT INTO dirty SELECT 11, new.log WHERE NOT EXISTS (
    SELECT 1 FROM dirty WHERE kind = 11 AND key = new.log); END;

CREATE TRIGGER message_read AFTER INSERT ON messages
WHEN new.unread = 1 AND EXISTS (SELECT 1 FROM read_marks WHERE conversation = new.conversation
    AND (generation, seq) >= (new.generation, new.seq))
BEGIN UPDATE messages SET unread = 0 WHERE row = new.row; END;
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
        for part in *step {
            transaction.execute_batch(part)?;
        }
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
