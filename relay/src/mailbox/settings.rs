//! What an operator may set about mailboxes, within the protocol's limits.

use restante_spec::ids::Seconds;
use restante_spec::limits;
use restante_spec::message::MailboxClass;

use super::tail::TailBound;
use crate::buffer::Quota;

/// Bounds of mailboxes; the defaults are the protocol's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// TTL of a mailbox whose creator wishes none.
    pub(crate) ttl_default: Seconds,
    /// Longest TTL.
    pub(crate) ttl_max: Seconds,
    /// Mailboxes in all (LIM-14).
    pub(crate) mailboxes: u64,
    /// What one mailbox may hold (LIM-3).
    pub(crate) quota: Quota,
    /// A new mailbox needs a token (ADM-1).
    pub(crate) token_needed: bool,
    /// With less than so many bytes free on the disk, less is taken (ADM-6).
    pub(crate) disk_reserve: u64,
}

impl Settings {
    /// What a mailbox of this class may hold: without commits nothing is kept free for them.
    pub(super) const fn quota_of(&self, class: MailboxClass) -> Quota {
        match class {
            MailboxClass::Inbox | MailboxClass::Conversation => self.quota,
            MailboxClass::Room => Quota { reserve_entries: 0, reserve_bytes: 0, ..self.quota },
        }
    }

    /// What a room keeps (LIM-17); the rest of its quota is for what is about to go.
    pub(super) fn tail(&self) -> TailBound {
        let entries = limits::TAIL_ENTRIES.min(self.quota.entries / 2);
        TailBound { entries: entries as usize, bytes: limits::TAIL_BYTES }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl_default: limits::TTL_DEFAULT,
            ttl_max: limits::TTL_MAX,
            mailboxes: limits::MAILBOXES,
            token_needed: false,
            disk_reserve: 0,
            quota: Quota {
                entries: limits::MAILBOX_ENTRIES,
                bytes: limits::MAILBOX_BYTES,
                reserve_entries: limits::COMMIT_RESERVE_ENTRIES,
                reserve_bytes: limits::COMMIT_RESERVE_BYTES,
            },
        }
    }
}
