//! Who may do what: the only place where an [`Authorised`] is made (MBX-12).
//!
//! Sans-IO. Knows keys, rights and the proofs that show a key; must not change anything.

use restante_crypto::OpenChallenge;
use restante_spec::codes::Code;
use restante_spec::ids::{PublicKey, Seq, UnixTime};
use restante_spec::message::{MailboxClass, Refusal, Rights};

use super::state::{Mailbox, Replaced};
use crate::limits::STORE_RETRY;

/// The right a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
    Take,
    Manage,
}

/// A command whose key has the right it needs, at this moment.
pub(super) struct Authorised<C> {
    command: C,
    key: PublicKey,
    grant: Grant,
}

/// By what right.
#[derive(Clone, Copy)]
pub(super) enum Grant {
    /// A key with terms.
    Terms { over: bool, expires_at: Option<UnixTime> },
    /// The current epoch's key (MBX-7).
    Epoch { number: Seq },
    /// A replaced epoch key, for reading (MBX-9).
    Replaced(Replaced),
}

impl<C> Authorised<C> {
    /// Whether an epoch's key allows it, which has no uses and no pace.
    pub(super) const fn is_of_epoch(&self) -> bool {
        matches!(self.grant, Grant::Epoch { .. } | Grant::Replaced(_))
    }

    /// The command, the key and by what right.
    pub(super) fn into_parts(self) -> (C, PublicKey, Grant) {
        (self.command, self.key, self.grant)
    }
}

/// Judges a command sent with an opened key. A key whose time or epoch is over still passes for
/// `Write`, marked as such, since it may repeat what it once appended (MBX-5).
///
/// # Errors
/// `revoked`, `denied`, `expired`; `unavailable` while the state is not to be used.
pub(super) fn authorise<C>(
    mailbox: &Mailbox,
    key: PublicKey,
    need: Need,
    command: C,
    now: UnixTime,
) -> Result<Authorised<C>, Refusal> {
    if !mailbox.is_current() {
        // It was when it was found; another call has ended it since.
        return Err(not_now());
    }
    let grant = grant(mailbox, &key, now)
        .ok_or_else(|| Refusal::new(Code::Revoked, "this key was struck"))?;
    let allowed = match (grant, need) {
        (Grant::Terms { over: true, .. }, Need::Read | Need::Take | Need::Manage) => {
            return Err(Refusal::new(Code::Expired, "this key's time is over"));
        }
        (Grant::Terms { .. }, _) => {
            mailbox.keys.get(&key).is_some_and(|found| has(found.terms.rights, need))
        }
        (Grant::Epoch { .. }, need) => matches!(need, Need::Read | Need::Write),
        // To repeat what it once appended (MBX-5); what is new is refused as stale (MBX-7).
        (Grant::Replaced(_), need) => matches!(need, Need::Read | Need::Write),
    };
    if !allowed {
        return Err(Refusal::new(Code::Denied, "this key has no right to do so"));
    }
    Ok(Authorised { command, key, grant })
}

/// Judges the proof of a key (CMD-4). Unknown mailbox, unknown key and wrong signature are one
/// answer, and each goes through the same steps (MBX-15).
///
/// # Errors
/// `not_found`; `unavailable` to who has the key while the state is not to be used.
pub(super) fn authorise_open(
    mailbox: Option<&Mailbox>,
    challenge: &OpenChallenge,
    key: PublicKey,
    proof: &restante_spec::ids::Signature,
    now: UnixTime,
) -> Result<Authorised<()>, Refusal> {
    let proven = challenge.verify(&key, proof).is_ok();
    let granted = mailbox.and_then(|mailbox| Some((mailbox, grant(mailbox, &key, now)?)));
    match granted {
        Some((mailbox, _)) if proven && !mailbox.is_current() => Err(not_now()),
        Some((_, grant)) if proven => Ok(Authorised { command: (), key, grant }),
        _ => Err(not_found()),
    }
}

/// The one answer to what does not exist or may not be known to exist (MBX-15).
pub(super) fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "no such mailbox or key")
}

/// MBX-20: an old state may have given a removed member his key back. Up to `restored` everything
/// is of before the restore.
///
/// # Errors
/// `restored`.
pub(super) fn not_restored(mailbox: &Mailbox, restored: Seq) -> Result<(), Refusal> {
    if mailbox.created > restored {
        return Ok(());
    }
    Err(Refusal::new(Code::Restored, "this relay was restored: begin a new conversation"))
}

/// The answer while nothing can be said of a mailbox: certainly not done.
pub(super) fn not_now() -> Refusal {
    Refusal::new(Code::Unavailable, "the store is busy, nothing was accepted")
        .retry_after(STORE_RETRY)
}

fn grant(mailbox: &Mailbox, key: &PublicKey, now: UnixTime) -> Option<Grant> {
    match mailbox.class {
        MailboxClass::Conversation => match &mailbox.epoch {
            Some(epoch) if epoch.key == *key => Some(Grant::Epoch { number: epoch.number }),
            _ => {
                let kept = mailbox.replaced.get(key).filter(|found| found.expires_at > now);
                kept.map(|found| Grant::Replaced(*found))
            }
        },
        MailboxClass::Inbox | MailboxClass::Room => mailbox.keys.get(key).map(|found| {
            let expires_at = found.terms.expires_at;
            Grant::Terms { over: expires_at.is_some_and(|end| end <= now), expires_at }
        }),
    }
}

const fn has(rights: Rights, need: Need) -> bool {
    match need {
        Need::Read => rights.read,
        Need::Write => rights.write,
        Need::Take => rights.take,
        Need::Manage => rights.manage,
    }
}
