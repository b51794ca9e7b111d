//! The kinds that pass: their bytes and their bounds.

use zeroize::Zeroizing;

use super::{
    Part, at_most, check_nick, exact, ids, joined, key_bytes, maybe_secret, one_to, optional,
    seed_bytes, wire,
};
use crate::content::error::ContentError;
use crate::content::letter::InboxGrant;
use crate::content::passing::{
    Count, Counts, Profile, Receipts, Repair, RepairEntry, RepairRange, RepairRequest, RoomGrant,
};
use crate::ids::{ContentHash, MailboxId, PublicKey, Seq};
use crate::limits::{
    COUNTS, KEPT_BYTES, RECEIPT_IDS, REPAIR_ENTRIES, REPAIR_RANGE_CONTENTS, REPAIR_RANGES,
    ROOM_LINK_CHARS,
};

impl Part for Receipts {
    type Wire = wire::Receipts;
    const WHAT: &'static str = "receipts";

    fn to_wire(&self) -> wire::Receipts {
        wire::Receipts { delivered: joined(&self.delivered), read: joined(&self.read) }
    }

    fn from_wire(read: wire::Receipts) -> Result<Self, ContentError> {
        let delivered = ids("receipts", &read.delivered)?;
        Ok(Self { delivered, read: ids("receipts", &read.read)? })
    }

    // CNT-3
    fn check(&self) -> Result<(), ContentError> {
        one_to("receipts", self.delivered.len() + self.read.len(), RECEIPT_IDS)
    }
}

impl Part for Profile {
    type Wire = wire::Profile;
    const WHAT: &'static str = "profile";

    fn to_wire(&self) -> wire::Profile {
        wire::Profile {
            nick: self.nick.clone(),
            devices: self.devices.clone(),
            inbox: self.inbox.as_ref().map(InboxGrant::to_wire),
        }
    }

    fn from_wire(read: wire::Profile) -> Result<Self, ContentError> {
        let inbox = read.inbox.map(InboxGrant::from_wire).transpose()?;
        Ok(Self { nick: read.nick, devices: read.devices, inbox })
    }

    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)
    }
}

impl Part for RepairRequest {
    type Wire = wire::RepairRequest;
    const WHAT: &'static str = "repair request";

    fn to_wire(&self) -> wire::RepairRequest {
        wire::RepairRequest {
            conversation: self.conversation.as_bytes().to_vec(),
            ranges: self.ranges.iter().map(RepairRange::to_wire).collect(),
            behind: self.behind.get(),
        }
    }

    fn from_wire(read: wire::RepairRequest) -> Result<Self, ContentError> {
        Ok(Self {
            conversation: exact("conversation", MailboxId::from_slice(&read.conversation))?,
            ranges: ranges(read.ranges)?,
            behind: Seq::new(read.behind),
        })
    }

    // CNT-12
    fn check(&self) -> Result<(), ContentError> {
        at_most("repair ranges", self.ranges.len(), REPAIR_RANGES)?;
        self.ranges.iter().try_for_each(RepairRange::check)
    }
}

impl Part for Repair {
    type Wire = wire::Repair;
    const WHAT: &'static str = "repair";

    fn to_wire(&self) -> wire::Repair {
        wire::Repair {
            conversation: self.conversation.as_bytes().to_vec(),
            entries: self.entries.iter().map(RepairEntry::to_wire).collect(),
            missing: self.missing.iter().map(RepairRange::to_wire).collect(),
        }
    }

    fn from_wire(read: wire::Repair) -> Result<Self, ContentError> {
        let entries = read.entries.into_iter().map(RepairEntry::from_wire);
        Ok(Self {
            conversation: exact("conversation", MailboxId::from_slice(&read.conversation))?,
            entries: entries.collect::<Result<_, _>>()?,
            missing: ranges(read.missing)?,
        })
    }

    // CNT-12
    fn check(&self) -> Result<(), ContentError> {
        if self.entries.is_empty() && self.missing.is_empty() {
            return Err(ContentError::Malformed { what: Self::WHAT });
        }
        at_most("repair entries", self.entries.len(), REPAIR_ENTRIES)?;
        at_most("repair ranges", self.missing.len(), REPAIR_RANGES)?;
        for entry in &self.entries {
            one_to("repaired content", entry.content.len(), KEPT_BYTES)?;
        }
        self.missing.iter().try_for_each(RepairRange::check)
    }
}

impl Part for Counts {
    type Wire = wire::Counts;
    const WHAT: &'static str = "counts";

    fn to_wire(&self) -> wire::Counts {
        wire::Counts {
            asker: self.asker.as_bytes().to_vec(),
            counts: self.counts.iter().map(Count::to_wire).collect(),
        }
    }

    fn from_wire(read: wire::Counts) -> Result<Self, ContentError> {
        Ok(Self {
            asker: exact("asker", PublicKey::from_slice(&read.asker))?,
            counts: read.counts.into_iter().map(Count::from_wire).collect::<Result<_, _>>()?,
        })
    }

    // CNT-12
    fn check(&self) -> Result<(), ContentError> {
        one_to("counts", self.counts.len(), COUNTS)?;
        let counts = |count: &Count| count.first > 0 && count.first <= count.last;
        let good = self.counts.iter().all(counts);
        if good { Ok(()) } else { Err(ContentError::Malformed { what: Self::WHAT }) }
    }
}

impl Part for RoomGrant {
    type Wire = wire::RoomGrant;
    const WHAT: &'static str = "room grant";

    fn to_wire(&self) -> wire::RoomGrant {
        let (link, key) = (self.link.to_string(), seed_bytes(self.key.as_ref()));
        wire::RoomGrant { link, key }
    }

    fn from_wire(mut read: wire::RoomGrant) -> Result<Self, ContentError> {
        let link = Zeroizing::new(std::mem::take(&mut read.link));
        Ok(Self { link, key: maybe_secret("key of a host", &read.key)? })
    }

    // ROM-14
    fn check(&self) -> Result<(), ContentError> {
        at_most("link", self.link.len(), ROOM_LINK_CHARS)
    }
}

impl Count {
    fn to_wire(&self) -> wire::Count {
        wire::Count {
            device: self.device.as_bytes().to_vec(),
            account: self.account.as_bytes().to_vec(),
            first: self.first,
            last: self.last,
            hash: self.hash.as_bytes().to_vec(),
            seq: self.seq.get(),
        }
    }

    fn from_wire(read: wire::Count) -> Result<Self, ContentError> {
        Ok(Self {
            device: exact("device", PublicKey::from_slice(&read.device))?,
            account: exact("account", PublicKey::from_slice(&read.account))?,
            first: read.first,
            last: read.last,
            hash: exact("hash", ContentHash::from_slice(&read.hash))?,
            seq: Seq::new(read.seq),
        })
    }
}

impl RepairEntry {
    fn to_wire(&self) -> wire::RepairEntry {
        wire::RepairEntry {
            device: self.device.as_bytes().to_vec(),
            generation: self.generation,
            seq: self.seq.get(),
            content: self.content.clone(),
            account: key_bytes(self.account.as_ref()),
        }
    }

    fn from_wire(read: wire::RepairEntry) -> Result<Self, ContentError> {
        Ok(Self {
            device: exact("device", PublicKey::from_slice(&read.device))?,
            generation: read.generation,
            seq: Seq::new(read.seq),
            content: read.content,
            account: optional("account", &read.account, PublicKey::from_slice)?,
        })
    }
}

impl RepairRange {
    fn to_wire(&self) -> wire::RepairRange {
        wire::RepairRange {
            generation: self.generation,
            device: self.device.as_bytes().to_vec(),
            from: self.from,
            to: self.to,
        }
    }

    fn from_wire(read: wire::RepairRange) -> Result<Self, ContentError> {
        Ok(Self {
            generation: read.generation,
            device: exact("device", PublicKey::from_slice(&read.device))?,
            from: read.from,
            to: read.to,
        })
    }

    // CNT-12
    fn check(&self) -> Result<(), ContentError> {
        let counts = self.from > 0 && self.from <= self.to;
        let fits = counts && self.to - self.from < REPAIR_RANGE_CONTENTS;
        if fits { Ok(()) } else { Err(ContentError::Malformed { what: "repair range" }) }
    }
}

fn ranges(read: Vec<wire::RepairRange>) -> Result<Vec<RepairRange>, ContentError> {
    read.into_iter().map(RepairRange::from_wire).collect()
}
