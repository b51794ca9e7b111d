//! The kept kinds: their bytes and their bounds.

use zeroize::Zeroizing;

use super::{
    Part, at_most, check_nick, check_text, exact, ids, joined, one_to, optional, secret, wire,
};
use crate::content::error::ContentError;
use crate::content::kept::{
    Attachment, Delete, Edit, Person, Reaction, Roster, Sync, SyncRecord, Text, Verified,
};
use crate::content::letter::InboxGrant;
use crate::ids::{BlobId, EnvelopeId, MailboxId, PublicKey};
use crate::limits::{
    BLOB_BYTES, DELETE_IDS, EMOJI_BYTES, FILE_NAME_BYTES, MEDIA_TYPE_BYTES, ROSTER_PEOPLE,
    SYNC_KEY_BYTES, SYNC_RECORDS, SYNC_VALUE_BYTES, TEXT_BYTES, THUMBNAIL_BYTES,
};
use crate::text::misleads;

impl Part for Text {
    type Wire = wire::Text;
    const WHAT: &'static str = "text";

    fn to_wire(&self) -> wire::Text {
        wire::Text { text: self.text.clone(), reply_to: answered(self.reply_to) }
    }

    fn from_wire(read: wire::Text) -> Result<Self, ContentError> {
        let reply_to = optional("reply", &read.reply_to, EnvelopeId::from_slice)?;
        Ok(Self { text: read.text, reply_to })
    }

    fn check(&self) -> Result<(), ContentError> {
        check_text(&self.text)
    }
}

impl Part for Attachment {
    type Wire = wire::Attachment;
    const WHAT: &'static str = "attachment";

    fn to_wire(&self) -> wire::Attachment {
        wire::Attachment {
            relay: self.relay.to_string(),
            mailbox: self.mailbox.as_bytes().to_vec(),
            blob: self.blob.as_bytes().to_vec(),
            read_key: self.read_key.to_vec(),
            file_key: self.file_key.to_vec(),
            size: self.size,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            width: self.width,
            height: self.height,
            duration_ms: self.duration_ms,
            thumbnail: self.thumbnail.clone(),
            caption: self.caption.clone(),
            reply_to: answered(self.reply_to),
        }
    }

    fn from_wire(mut read: wire::Attachment) -> Result<Self, ContentError> {
        Ok(Self {
            relay: exact("relay", read.relay.parse().ok())?,
            mailbox: exact("mailbox", MailboxId::from_slice(&read.mailbox))?,
            blob: exact("blob", BlobId::from_slice(&read.blob))?,
            read_key: secret("read key", &read.read_key)?,
            file_key: secret("file key", &read.file_key)?,
            size: read.size,
            name: std::mem::take(&mut read.name),
            media_type: std::mem::take(&mut read.media_type),
            width: read.width,
            height: read.height,
            duration_ms: read.duration_ms,
            thumbnail: std::mem::take(&mut read.thumbnail),
            caption: std::mem::take(&mut read.caption),
            reply_to: optional("reply", &read.reply_to, EnvelopeId::from_slice)?,
        })
    }

    // CNT-8
    fn check(&self) -> Result<(), ContentError> {
        check_size(self.size)?;
        at_most("file name", self.name.len(), FILE_NAME_BYTES)?;
        let path = self.name.contains(['/', '\\']) || matches!(&*self.name, "." | "..");
        if path || misleads(&self.name) {
            return Err(ContentError::Malformed { what: "file name" });
        }
        at_most("media type", self.media_type.len(), MEDIA_TYPE_BYTES)?;
        if !self.media_type.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(ContentError::Malformed { what: "media type" });
        }
        at_most("thumbnail", self.thumbnail.len(), THUMBNAIL_BYTES)?;
        at_most("caption", self.caption.len(), TEXT_BYTES)
    }
}

impl Part for Reaction {
    type Wire = wire::Reaction;
    const WHAT: &'static str = "reaction";

    fn to_wire(&self) -> wire::Reaction {
        wire::Reaction { to: self.to.as_bytes().to_vec(), emoji: self.emoji.clone() }
    }

    fn from_wire(read: wire::Reaction) -> Result<Self, ContentError> {
        Ok(Self { to: exact("reaction", EnvelopeId::from_slice(&read.to))?, emoji: read.emoji })
    }

    // CNT-9
    fn check(&self) -> Result<(), ContentError> {
        at_most("reaction", self.emoji.len(), EMOJI_BYTES)?;
        if misleads(&self.emoji) {
            Err(ContentError::Malformed { what: "reaction" })
        } else {
            Ok(())
        }
    }
}

impl Part for Edit {
    type Wire = wire::Edit;
    const WHAT: &'static str = "edit";

    fn to_wire(&self) -> wire::Edit {
        wire::Edit { of: self.of.as_bytes().to_vec(), text: self.text.clone() }
    }

    fn from_wire(read: wire::Edit) -> Result<Self, ContentError> {
        Ok(Self { of: exact("edit", EnvelopeId::from_slice(&read.of))?, text: read.text })
    }

    fn check(&self) -> Result<(), ContentError> {
        check_text(&self.text)
    }
}

impl Part for Delete {
    type Wire = wire::Delete;
    const WHAT: &'static str = "delete";

    fn to_wire(&self) -> wire::Delete {
        wire::Delete { of: joined(&self.of) }
    }

    fn from_wire(read: wire::Delete) -> Result<Self, ContentError> {
        Ok(Self { of: ids("delete", &read.of)? })
    }

    // CNT-9
    fn check(&self) -> Result<(), ContentError> {
        one_to("delete", self.of.len(), DELETE_IDS)
    }
}

impl Part for Verified {
    type Wire = wire::Verified;
    const WHAT: &'static str = "verified";

    fn to_wire(&self) -> wire::Verified {
        wire::Verified { account: self.account.as_bytes().to_vec(), verified: self.verified }
    }

    fn from_wire(read: wire::Verified) -> Result<Self, ContentError> {
        let account = exact("account", PublicKey::from_slice(&read.account))?;
        Ok(Self { account, verified: read.verified })
    }

    fn check(&self) -> Result<(), ContentError> {
        Ok(())
    }
}

impl Part for Roster {
    type Wire = wire::Roster;
    const WHAT: &'static str = "roster";

    fn to_wire(&self) -> wire::Roster {
        let people = self.people.iter().map(|person| wire::Person {
            account: person.account.as_bytes().to_vec(),
            nick: person.nick.clone(),
            inbox: person.inbox.as_ref().map(InboxGrant::to_wire),
        });
        wire::Roster { people: people.collect() }
    }

    fn from_wire(read: wire::Roster) -> Result<Self, ContentError> {
        let people = read.people.into_iter().map(|person| {
            Ok(Person {
                account: exact("account", PublicKey::from_slice(&person.account))?,
                nick: person.nick,
                inbox: person.inbox.map(InboxGrant::from_wire).transpose()?,
            })
        });
        Ok(Self { people: people.collect::<Result<_, _>>()? })
    }

    // CNT-10
    fn check(&self) -> Result<(), ContentError> {
        one_to("roster", self.people.len(), ROSTER_PEOPLE)?;
        self.people.iter().try_for_each(|person| check_nick(&person.nick))
    }
}

impl Part for Sync {
    type Wire = wire::Sync;
    const WHAT: &'static str = "sync";

    fn to_wire(&self) -> wire::Sync {
        let records = self.records.iter().map(|record| wire::SyncRecord {
            kind: record.kind,
            key: record.key.clone(),
            value: record.value.to_vec(),
        });
        wire::Sync { records: records.collect() }
    }

    fn from_wire(read: wire::Sync) -> Result<Self, ContentError> {
        let records = read.records.into_iter().map(|mut record| SyncRecord {
            kind: record.kind,
            key: std::mem::take(&mut record.key),
            value: Zeroizing::new(std::mem::take(&mut record.value)),
        });
        Ok(Self { records: records.collect() })
    }

    // CNT-11
    fn check(&self) -> Result<(), ContentError> {
        one_to("sync", self.records.len(), SYNC_RECORDS)?;
        self.records.iter().try_for_each(|record| {
            at_most("sync key", record.key.len(), SYNC_KEY_BYTES)?;
            at_most("sync value", record.value.len(), SYNC_VALUE_BYTES)
        })
    }
}

/// What a blob holds is never more than a blob.
fn check_size(size: u64) -> Result<(), ContentError> {
    let fits = size <= BLOB_BYTES;
    if fits { Ok(()) } else { Err(ContentError::Malformed { what: "size" }) }
}

fn answered(id: Option<EnvelopeId>) -> Vec<u8> {
    id.map(|id| id.as_bytes().to_vec()).unwrap_or_default()
}
