//! The account, contacts, conversations and members.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::wire;
use super::{
    at_most, check_name, check_nick, exact, grant_from_wire, grant_to_wire, protobuf, secret, wipe,
};
use crate::archive::error::ArchiveError;
use crate::archive::people::{
    Account, Contact, Conversation, ConversationKind, Log, Member, Standing,
};
use crate::ids::{ContactName, ConversationId, MailboxId, PublicKey, Seconds};
use crate::limits::{RECORD_LOGS, RECORD_NAME_BYTES, RECORD_PART_BYTES};

impl Account {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let mut account = wire::Account {
            seed: self.seed.to_vec(),
            nick: self.nick.clone(),
            devices: self.devices.clone(),
            next_device: self.next_device,
            relay: self.relay.to_string(),
            inbox: self.inbox.as_bytes().to_vec(),
            manage_key: self.manage_key.to_vec(),
        };
        let bytes = Zeroizing::new(account.encode_to_vec());
        account.seed.zeroize();
        account.manage_key.zeroize();
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Account = protobuf("account", body)?;
        // Both before anything can be refused, so that neither stays behind.
        let (seed, manage_key) =
            (secret("account seed", read.seed), secret("manage key", read.manage_key));
        let account = Self {
            seed: seed?,
            manage_key: manage_key?,
            nick: read.nick,
            devices: read.devices,
            next_device: read.next_device,
            relay: exact("relay", read.relay.parse().ok())?,
            inbox: exact("inbox", MailboxId::from_slice(&read.inbox))?,
        };
        account.check()?;
        Ok(account)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        check_nick(&self.nick)?;
        at_most("the device list", self.devices.len(), RECORD_PART_BYTES)
    }
}

impl Contact {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let mut contact = wire::Contact {
            id: self.id.as_bytes().to_vec(),
            account: self.account.as_bytes().to_vec(),
            nick: self.nick.clone(),
            state: self.standing.number(),
            verified: self.verified,
            devices: self.devices.clone(),
            inbox: self.inbox.as_ref().map(grant_to_wire),
            own_key: self.own_key.as_ref().map(|key| key.to_vec()).unwrap_or_default(),
        };
        let bytes = Zeroizing::new(contact.encode_to_vec());
        contact.own_key.zeroize();
        wipe(&mut contact.inbox);
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Contact = protobuf("contact", body)?;
        let own_key = (!read.own_key.is_empty()).then(|| secret("own key", read.own_key));
        let contact = Self {
            own_key: own_key.transpose()?,
            inbox: grant_from_wire(read.inbox)?,
            id: exact("contact id", ContactName::from_slice(&read.id))?,
            account: exact("account", PublicKey::from_slice(&read.account))?,
            nick: read.nick,
            standing: exact("contact state", Standing::from_number(read.state))?,
            verified: read.verified,
            devices: read.devices,
        };
        contact.check()?;
        Ok(contact)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        check_nick(&self.nick)?;
        at_most("the device list", self.devices.len(), RECORD_PART_BYTES)
    }
}

impl Standing {
    const fn number(self) -> u32 {
        match self {
            Self::Invited => 1,
            Self::Requested => 2,
            Self::Incoming => 3,
            Self::Active => 4,
            Self::Declined => 5,
            Self::Blocked => 6,
            Self::Ended => 7,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Invited,
            2 => Self::Requested,
            3 => Self::Incoming,
            4 => Self::Active,
            5 => Self::Declined,
            6 => Self::Blocked,
            7 => Self::Ended,
            _ => return None,
        })
    }
}

impl Conversation {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let logs = self.logs.iter().map(|log| wire::Log {
            generation: log.generation,
            relay: log.relay.to_string(),
            mailbox: log.mailbox.as_bytes().to_vec(),
        });
        let conversation = wire::Conversation {
            id: self.id.as_bytes().to_vec(),
            kind: match self.kind {
                ConversationKind::Direct => 1,
                ConversationKind::Group => 2,
                ConversationKind::Own => 3,
            },
            name: self.name.clone(),
            state: self.state.clone(),
            logs: logs.collect(),
            timer: self.timer.get(),
        };
        Ok(Zeroizing::new(conversation.encode_to_vec()))
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Conversation = protobuf("conversation", body)?;
        let kind = match read.kind {
            1 => Some(ConversationKind::Direct),
            2 => Some(ConversationKind::Group),
            3 => Some(ConversationKind::Own),
            _ => None,
        };
        at_most("the generations", read.logs.len(), RECORD_LOGS)?;
        let logs = read.logs.into_iter().map(|log| {
            Ok(Log {
                generation: log.generation,
                relay: exact("relay", log.relay.parse().ok())?,
                mailbox: exact("mailbox", MailboxId::from_slice(&log.mailbox))?,
            })
        });
        let conversation = Self {
            id: exact("conversation", ConversationId::from_slice(&read.id))?,
            kind: exact("kind of conversation", kind)?,
            name: read.name,
            state: read.state,
            logs: logs.collect::<Result<_, _>>()?,
            timer: Seconds::new(read.timer),
        };
        conversation.check()?;
        Ok(conversation)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        check_name("the name", &self.name, RECORD_NAME_BYTES)?;
        at_most("the state", self.state.len(), RECORD_PART_BYTES)?;
        at_most("the generations", self.logs.len(), RECORD_LOGS)?;
        let ascending = self.logs.is_sorted_by(|one, next| one.generation < next.generation);
        exact("generations", ascending.then_some(()))
    }
}

impl Member {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        check_nick(&self.nick)?;
        let mut member = wire::Member {
            conversation: self.conversation.as_bytes().to_vec(),
            account: self.account.as_bytes().to_vec(),
            nick: self.nick.clone(),
            inbox: self.inbox.as_ref().map(grant_to_wire),
        };
        let bytes = Zeroizing::new(member.encode_to_vec());
        wipe(&mut member.inbox);
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Member = protobuf("member", body)?;
        check_nick(&read.nick)?;
        Ok(Self {
            inbox: grant_from_wire(read.inbox)?,
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            account: exact("account", PublicKey::from_slice(&read.account))?,
            nick: read.nick,
        })
    }
}
