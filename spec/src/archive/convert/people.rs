//! The account, conversations and members.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::wire;
use super::{at_most, check_nick, exact, grant_from_wire, grant_to_wire, protobuf, secret, wipe};
use crate::archive::error::ArchiveError;
use crate::archive::people::{Account, Conversation, Log, Member};
use crate::ids::{ConversationId, MailboxId, PublicKey};
use crate::limits::{RECORD_LOGS, RECORD_PART_BYTES};

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
            state: self.state.clone(),
            logs: logs.collect(),
        };
        Ok(Zeroizing::new(conversation.encode_to_vec()))
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Conversation = protobuf("conversation", body)?;
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
            state: read.state,
            logs: logs.collect::<Result<_, _>>()?,
        };
        conversation.check()?;
        Ok(conversation)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        at_most("the state", self.state.len(), RECORD_PART_BYTES)?;
        at_most("the generations", self.logs.len(), RECORD_LOGS)?;
        let ascending = self.logs.is_sorted_by(|one, next| one.generation < next.generation);
        exact("generations", ascending.then_some(()))
    }
}

impl Member {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        self.check()?;
        let mut member = wire::Member {
            conversation: self.conversation.as_bytes().to_vec(),
            account: self.account.as_bytes().to_vec(),
            nick: self.nick.clone(),
            devices: self.devices.clone(),
            inbox: self.inbox.as_ref().map(grant_to_wire),
        };
        let bytes = Zeroizing::new(member.encode_to_vec());
        wipe(&mut member.inbox);
        Ok(bytes)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, ArchiveError> {
        let read: wire::Member = protobuf("member", body)?;
        let member = Self {
            inbox: grant_from_wire(read.inbox)?,
            conversation: exact("conversation", ConversationId::from_slice(&read.conversation))?,
            account: exact("account", PublicKey::from_slice(&read.account))?,
            nick: read.nick,
            devices: read.devices,
        };
        member.check()?;
        Ok(member)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        check_nick(&self.nick)?;
        at_most("the device list", self.devices.len(), RECORD_PART_BYTES)
    }
}
