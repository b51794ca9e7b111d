//! Records of an account's state: their bytes and their bounds (DEV-8).

use zeroize::Zeroizing;

use super::{
    Part, at_most, check_nick, exact, key_bytes, maybe_secret, optional, secret, seed_bytes, wire,
};
use crate::archive::Manifest;
use crate::content::error::ContentError;
use crate::content::kept::SyncRecord;
use crate::content::letter::InboxGrant;
use crate::content::message::LogPosition;
use crate::content::state::{
    AccountState, ContactState, ConversationState, HistoryTaken, HistoryWanted, InviteState,
    RoomHost, RoomState, StateRecord,
};
use crate::ids::{ArchiveId, PublicKey, Seq, UnixTime};
use crate::limits::{
    GROUP_NAME_BYTES, ROOM_HOSTS, ROOM_LINK_CHARS, SEALED_CARD_BYTES, SYNC_VALUE_BYTES,
};
use crate::text::misleads;

/// The largest number of a contact's state in the layout.
const CONTACT_STATES: u32 = 7;
/// The largest number of a standing in the layout.
const STANDINGS: u32 = 6;

impl StateRecord {
    /// The record as it travels (CNT-11). It may hold secrets.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn to_record(&self) -> Result<SyncRecord, ContentError> {
        let empty = || Zeroizing::new(Vec::new());
        let (kind, key, value) = match self {
            Self::Account(account) => (Self::ACCOUNT, Vec::new(), account.write()?),
            Self::Contact(id, contact) => (Self::CONTACT, id.to_vec(), contact.write()?),
            Self::Invite(key, invite) => (Self::INVITE, key.as_bytes().to_vec(), invite.write()?),
            Self::Conversation(id, state) => (Self::CONVERSATION, id.to_vec(), state.write()?),
            Self::Read(id, upto) => (Self::READ, id.to_vec(), position(*upto)),
            Self::Setting(name, value) => {
                let value = value.clone().map_or_else(empty, Zeroizing::new);
                (Self::SETTING, name.as_bytes().to_vec(), value)
            }
            Self::Draft(id, text) => {
                (Self::DRAFT, id.to_vec(), Zeroizing::new(text.as_bytes().to_vec()))
            }
            Self::Accepted(id, device) => {
                (Self::ACCEPTED, id.to_vec(), Zeroizing::new(device.as_bytes().to_vec()))
            }
            Self::History(device, manifest) => {
                let value = manifest.encode().map_err(|_| NO_MANIFEST)?;
                (Self::HISTORY, device.as_bytes().to_vec(), value)
            }
            Self::Taken(archive, taken) => {
                (Self::TAKEN, archive.as_bytes().to_vec(), taken_bytes(*taken))
            }
            Self::Room(id, room) => (Self::ROOM, id.to_vec(), room.write()?),
            Self::Wanted(id, wanted) => (Self::WANTED, id.to_vec(), wanted_bytes(wanted)),
        };
        at_most("sync value", value.len(), SYNC_VALUE_BYTES)?;
        Ok(SyncRecord { kind, key, value })
    }

    /// Reads a record; `None` for a kind of a newer version (DEV-8).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn from_record(record: &SyncRecord) -> Result<Option<Self>, ContentError> {
        let (key, value) = (record.key.as_slice(), record.value.as_slice());
        let id = || exact("id of a record", <[u8; 16]>::try_from(key).ok());
        let text = |bytes: &[u8]| exact("text", String::from_utf8(bytes.to_vec()).ok());
        // DEV-8
        Ok(Some(match record.kind {
            Self::ACCOUNT => Self::Account(Part::read(value)?),
            Self::CONTACT => Self::Contact(id()?, Box::new(Part::read(value)?)),
            Self::INVITE => {
                Self::Invite(exact("key", PublicKey::from_slice(key))?, Part::read(value)?)
            }
            Self::CONVERSATION => Self::Conversation(id()?, Part::read(value)?),
            Self::READ => Self::Read(id()?, place(value)?),
            Self::SETTING => Self::Setting(text(key)?, (!value.is_empty()).then(|| value.to_vec())),
            Self::DRAFT => Self::Draft(id()?, text(value)?),
            Self::ACCEPTED => Self::Accepted(id()?, exact("device", PublicKey::from_slice(value))?),
            Self::HISTORY => {
                let manifest = Manifest::decode(value).map_err(|_| NO_MANIFEST)?;
                Self::History(exact("device", PublicKey::from_slice(key))?, Box::new(manifest))
            }
            Self::TAKEN => {
                Self::Taken(exact("archive", ArchiveId::from_slice(key))?, taken_of(value)?)
            }
            Self::ROOM => Self::Room(id()?, Box::new(Part::read(value)?)),
            Self::WANTED => Self::Wanted(id()?, wanted_of(value)?),
            _ => return Ok(None),
        }))
    }
}

/// Layout: generation (4 bytes), sequence number (8).
fn position(upto: LogPosition) -> Zeroizing<Vec<u8>> {
    let (generation, seq) = (upto.generation.to_be_bytes(), upto.seq.get().to_be_bytes());
    Zeroizing::new([&generation[..], &seq].concat())
}

fn place(bytes: &[u8]) -> Result<LogPosition, ContentError> {
    let read = bytes.split_first_chunk::<4>().and_then(|(generation, seq)| {
        let seq = Seq::new(u64::from_be_bytes(seq.try_into().ok()?));
        Some(LogPosition { generation: u32::from_be_bytes(*generation), seq })
    });
    exact("position", read)
}

/// The error for a manifest that is none.
const NO_MANIFEST: ContentError = ContentError::Malformed { what: "manifest" };

/// Layout: segments (4 bytes), 1 if the rest is to be given anew, else 0 (1).
fn taken_bytes(taken: HistoryTaken) -> Zeroizing<Vec<u8>> {
    let segments = taken.segments.to_be_bytes();
    Zeroizing::new([&segments[..], &[u8::from(taken.anew)]].concat())
}

fn taken_of(bytes: &[u8]) -> Result<HistoryTaken, ContentError> {
    let read = bytes.split_first_chunk::<4>().and_then(|(segments, anew)| {
        let anew = match anew {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(HistoryTaken { segments: u32::from_be_bytes(*segments), anew })
    });
    exact("segments taken", read)
}

/// Layout: key of the device that is asked (32 bytes), generation (4), sequence number (8).
fn wanted_bytes(wanted: &HistoryWanted) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&wanted.of.as_bytes()[..], &position(wanted.behind)].concat())
}

fn wanted_of(bytes: &[u8]) -> Result<HistoryWanted, ContentError> {
    let (of, behind) = exact("history wanted", bytes.split_first_chunk::<32>())?;
    Ok(HistoryWanted { of: PublicKey::new(*of), behind: place(behind)? })
}

fn number(what: &'static str, number: u32, max: u32) -> Result<(), ContentError> {
    if (1..=max).contains(&number) { Ok(()) } else { Err(ContentError::Malformed { what }) }
}

impl Part for AccountState {
    type Wire = wire::AccountState;
    const WHAT: &'static str = "state of the account";

    fn to_wire(&self) -> wire::AccountState {
        let (nick, devices) = (self.nick.clone(), self.devices.clone());
        wire::AccountState { nick, devices, next_number: self.next_number }
    }

    fn from_wire(read: wire::AccountState) -> Result<Self, ContentError> {
        Ok(Self { nick: read.nick, devices: read.devices, next_number: read.next_number })
    }

    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)
    }
}

impl Part for ContactState {
    type Wire = wire::ContactState;
    const WHAT: &'static str = "state of a contact";

    fn to_wire(&self) -> wire::ContactState {
        wire::ContactState {
            account: key_bytes(self.account.as_ref()),
            nick: self.nick.clone(),
            state: self.state,
            verified: self.verified,
            devices: self.devices.clone(),
            inbox: self.inbox.as_ref().map(InboxGrant::to_wire),
            own_key: seed_bytes(self.own_key.as_ref()),
            invite: self.invite.to_string(),
            came_by: key_bytes(self.came_by.as_ref()),
            request: self.request.clone(),
            ended_at: self.ended_at.get(),
        }
    }

    fn from_wire(mut read: wire::ContactState) -> Result<Self, ContentError> {
        Ok(Self {
            account: optional("account", &read.account, PublicKey::from_slice)?,
            nick: std::mem::take(&mut read.nick),
            state: read.state,
            verified: read.verified,
            devices: std::mem::take(&mut read.devices),
            inbox: read.inbox.take().map(InboxGrant::from_wire).transpose()?,
            own_key: maybe_secret("own key", &read.own_key)?,
            invite: Zeroizing::new(std::mem::take(&mut read.invite)),
            came_by: optional("came by", &read.came_by, PublicKey::from_slice)?,
            request: std::mem::take(&mut read.request),
            ended_at: UnixTime::new(read.ended_at),
        })
    }

    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)?;
        number("state of a contact", self.state, CONTACT_STATES)
    }
}

impl Part for InviteState {
    type Wire = wire::InviteState;
    const WHAT: &'static str = "state of an invite";

    fn to_wire(&self) -> wire::InviteState {
        wire::InviteState {
            link: self.link.to_string(),
            secret: self.secret.to_vec(),
            uses: self.uses,
            expires_at: self.expires_at.get(),
            created_at: self.created_at.get(),
            group: self.group.map_or_else(Vec::new, Vec::from),
            accepts: self.accepts,
        }
    }

    fn from_wire(mut read: wire::InviteState) -> Result<Self, ContentError> {
        Ok(Self {
            link: Zeroizing::new(std::mem::take(&mut read.link)),
            secret: secret("key of an invite", &read.secret)?,
            uses: read.uses,
            expires_at: UnixTime::new(read.expires_at),
            created_at: UnixTime::new(read.created_at),
            group: optional("group of an invite", &read.group, |bytes| bytes.try_into().ok())?,
            accepts: read.accepts,
        })
    }

    fn check(&self) -> Result<(), ContentError> {
        at_most("link", self.link.len(), crate::limits::INVITE_CHARS)
    }
}

impl Part for ConversationState {
    type Wire = wire::ConversationState;
    const WHAT: &'static str = "state of a conversation";

    fn to_wire(&self) -> wire::ConversationState {
        wire::ConversationState {
            kind: if self.group { 2 } else { 1 },
            standing: self.standing,
            name: self.name.clone(),
            own_key: seed_bytes(self.own_key.as_ref()),
        }
    }

    fn from_wire(mut read: wire::ConversationState) -> Result<Self, ContentError> {
        number("kind of a conversation", read.kind, 2)?;
        Ok(Self {
            group: read.kind == 2,
            standing: read.standing,
            name: std::mem::take(&mut read.name),
            own_key: maybe_secret("own key", &read.own_key)?,
        })
    }

    fn check(&self) -> Result<(), ContentError> {
        at_most("name of a group", self.name.len(), GROUP_NAME_BYTES)?;
        // CNT-5
        if misleads(&self.name) {
            return Err(ContentError::Malformed { what: "name of a group" });
        }
        number("standing", self.standing, STANDINGS)
    }
}

impl Part for RoomState {
    type Wire = wire::RoomState;
    const WHAT: &'static str = "state of a room";

    fn to_wire(&self) -> wire::RoomState {
        let hosts = self.hosts.iter().map(|host| wire::RoomHost {
            account: host.account.as_bytes().to_vec(),
            key: host.key.as_bytes().to_vec(),
        });
        wire::RoomState {
            standing: self.standing,
            link: self.link.to_string(),
            card: self.card.clone(),
            host_key: seed_bytes(self.host_key.as_ref()),
            manage_key: seed_bytes(self.manage_key.as_ref()),
            old_key: key_bytes(self.old_key.as_ref()),
            hosts: hosts.collect(),
        }
    }

    fn from_wire(mut read: wire::RoomState) -> Result<Self, ContentError> {
        let host = |host: &wire::RoomHost| {
            let account = exact("account", PublicKey::from_slice(&host.account))?;
            Ok(RoomHost { account, key: exact("key", PublicKey::from_slice(&host.key))? })
        };
        Ok(Self {
            standing: read.standing,
            link: Zeroizing::new(std::mem::take(&mut read.link)),
            card: std::mem::take(&mut read.card),
            host_key: maybe_secret("key of a host", &read.host_key)?,
            manage_key: maybe_secret("manage key", &read.manage_key)?,
            old_key: optional("old key", &read.old_key, PublicKey::from_slice)?,
            hosts: read.hosts.iter().map(host).collect::<Result<_, _>>()?,
        })
    }

    fn check(&self) -> Result<(), ContentError> {
        at_most("link", self.link.len(), ROOM_LINK_CHARS)?;
        at_most("card", self.card.len(), SEALED_CARD_BYTES)?;
        at_most("hosts", self.hosts.len(), ROOM_HOSTS)?;
        number("standing", self.standing, STANDINGS)
    }
}
