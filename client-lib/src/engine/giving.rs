//! What others miss is given to them: by its author, else by one after the other; and only what all
//! who hear it may have (CNV-18).

use std::collections::BTreeSet;

use restante_crypto::Member;
use restante_spec::content::{Body, Repair, RepairEntry, RepairRange, RepairRequest};
use restante_spec::ids::{MailboxId, PublicKey, Seconds, Seq, UnixTime};
use restante_spec::limits::{REPAIR_ENTRIES, REPAIR_RANGES};

use super::Work;
use super::contents::Speaker;
use super::membership::{account, accounts, member_of};
use crate::error::Error;
use crate::limits::{
    REPAIR_BYTES, REPAIR_PAUSE, REPAIR_RATE, REPAIR_RATE_TIME, REPAIR_SPREAD, REPAIR_TURN,
    REPAIR_TURNS, REPAIRS_OWED,
};
use crate::store::{KeptRow, LogRow, LogState, Meta, OwedRow};
use crate::types::ConversationId;

/// Layout: what a content given again takes beside its own bytes, at most.
pub(super) const ENTRY_BYTES: usize = 128;
/// Layout: what a range takes, at most.
const RANGE_BYTES: usize = 72;

impl Work<'_> {
    /// Somebody misses contents: noted until it is this device's turn.
    pub(super) fn take_repair_request(
        &mut self,
        log: &LogRow,
        asker: Speaker<'_>,
        request: &RepairRequest,
    ) -> Result<(), Error> {
        let Some(of) = self.repaired_log(log, &request.conversation)? else { return Ok(()) };
        if request.ranges.is_empty() {
            if self.count_given(log.conversation, asker.account)? > REPAIR_RATE {
                return Ok(());
            }
            if log.conversation == self.own_conversation_id() {
                self.tell_anew(log, asker.device)?;
            }
            return self.tell_how_far(log, asker, request.behind);
        }
        for range in request.ranges.iter().filter(|range| range.generation == of.generation) {
            let Some(turn) = self.turn(log, &of, &range.device)? else { continue };
            let due = match turn {
                0 => self.now,
                turn => self.later(Seconds::new(REPAIR_TURN.get() * turn), REPAIR_SPREAD)?,
            };
            self.db.owe(&OwedRow {
                id: 0,
                asked_in: log.mailbox,
                account: *asker.account,
                mailbox: of.mailbox,
                device: range.device,
                first: range.from,
                last: range.to,
                due,
            })?;
        }
        // CNV-17
        let owed = self.db.owed_in(&log.mailbox)?.len();
        for _ in REPAIRS_OWED..owed {
            self.db.owe_most_less(&log.mailbox)?;
        }
        Ok(())
    }

    /// A device has missed something of the own conversation.
    fn tell_anew(&mut self, log: &LogRow, asker: &PublicKey) -> Result<(), Error> {
        let members = self.members(&log.mailbox)?;
        let devices = members.iter().filter_map(|member| member.device.as_ref());
        let first = devices.map(|found| *found.device()).find(|device| device != asker);
        let is_whole = self.db.absent_since(&log.mailbox)?.is_none();
        if is_whole && first == Some(self.account.device.public()) {
            // DEV-9: what a device has told that was removed since, nobody repairs.
            self.db.set_meta(Meta::OwesStates, &[1])?;
        }
        self.resume_archives(asker)
    }

    /// When this device answers for contents of a device: that one first, then the others of its
    /// account, then everybody by leaf. `None`: enough others come before.
    fn turn(
        &mut self,
        log: &LogRow,
        of: &LogRow,
        device: &PublicKey,
    ) -> Result<Option<u32>, Error> {
        let own = self.account.device.public();
        if own == *device {
            return Ok(Some(0));
        }
        let members = self.members(&log.mailbox)?;
        let is = |m: &&Member, key: &PublicKey| {
            m.device.as_ref().is_some_and(|found| found.device() == key)
        };
        // It may be in the tree no more.
        let there = members.iter().find(|m| is(m, device));
        let counted = self.db.author(&of.mailbox, device)?.map(|counted| counted.account);
        let author = there.and_then(account).or(counted);
        let mut order: Vec<_> = members.iter().filter(|m| !is(m, device)).collect();
        order.sort_by_key(|m| author.is_none() || account(m) != author);
        // CNV-17
        let turn = order.iter().position(|m| is(m, &own));
        let before = usize::from(there.is_some());
        let turn = turn.map(|turn| turn + before).filter(|turn| *turn <= REPAIR_TURNS);
        Ok(turn.and_then(|turn| u32::try_from(turn).ok()))
    }

    /// Gives what is due: one repair in each conversation, the rest a little later.
    pub(super) fn give_what_is_due(&mut self) -> Result<(), Error> {
        let mut served: BTreeSet<MailboxId> = BTreeSet::new();
        for row in self.db.owed_due(self.now)? {
            if !served.insert(row.asked_in) {
                let due = self.now.after(REPAIR_PAUSE);
                self.db.change_owed(&OwedRow { due, ..row })?;
                continue;
            }
            let left = self.give(&row)?;
            self.db.change_owed(&left)?;
        }
        Ok(())
    }

    /// Gives of a range what fits into one repair; what is left is owed.
    fn give(&mut self, row: &OwedRow) -> Result<OwedRow, Error> {
        let nothing = OwedRow { first: 1, last: 0, ..row.clone() };
        let (here, of) = (self.db.log(&row.asked_in)?, self.db.log(&row.mailbox)?);
        let (Some(here), Some(of)) = (here.filter(|log| log.state == LogState::Live), of) else {
            return Ok(nothing);
        };
        if self.db.need_conversation(here.conversation)?.log != Some(here.mailbox) {
            return Ok(nothing);
        }
        let range = (row.first, row.last);
        let all = self.db.kept(&of.mailbox, &row.device, range, REPAIR_ENTRIES)?;
        let since = self.all_here_since(&here, &of, &row.account)?;
        // DEV-22: others of the own devices may miss it without their knowing.
        let is_own = here.conversation == self.own_conversation_id();
        let members = if is_own { self.members_if_in(&of.mailbox)? } else { Vec::new() };
        let counted = if is_own { self.db.author(&of.mailbox, &row.device)? } else { None };
        let account = member_of(&members, &row.device).and_then(account);
        let account = account.or(counted.map(|counted| counted.account));
        let (mut entries, mut bytes, mut lowest) = (Vec::new(), 0, row.last + 1);
        let is_for_all = |kept: &KeptRow| since.is_some_and(|since| kept.seq > since);
        for kept in all.into_iter().filter(is_for_all) {
            bytes += kept.content.len() + ENTRY_BYTES;
            if bytes > REPAIR_BYTES && !entries.is_empty() {
                break;
            }
            lowest = kept.counter;
            let (device, generation) = (kept.device, of.generation);
            entries.push((
                kept.counter,
                RepairEntry { device, generation, seq: kept.seq, content: kept.content, account },
            ));
        }
        // What was looked at: all, or down to where the repair was full.
        let full = entries.len() == REPAIR_ENTRIES || bytes > REPAIR_BYTES;
        let down_to = if full { lowest } else { row.first };
        let mine = self.account.device.public() == row.device;
        if entries.is_empty() && !mine {
            return Ok(nothing);
        }
        if self.count_given(here.conversation, &row.account)? > REPAIR_RATE {
            return Ok(OwedRow { due: self.now.after(REPAIR_RATE_TIME), ..row.clone() });
        }
        let room = REPAIR_BYTES.saturating_sub(bytes) / RANGE_BYTES;
        let given: BTreeSet<u64> = entries.iter().map(|(counter, _)| *counter).collect();
        let mut missing = holes(&given, down_to, row.last, of.generation, &row.device);
        missing.truncate(room.min(REPAIR_RANGES));
        let entries: Vec<RepairEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
        if entries.is_empty() && missing.is_empty() {
            return Ok(nothing);
        }
        let repair = Repair { conversation: of.mailbox, entries, missing };
        self.queue_body(here.conversation, &Body::Repair(repair))?;
        let due = self.now.after(REPAIR_PAUSE);
        Ok(OwedRow { last: down_to - 1, due, ..row.clone() })
    }

    /// The members of a log, if this device is in its group.
    pub(super) fn members_if_in(&mut self, mailbox: &MailboxId) -> Result<Vec<Member>, Error> {
        if self.has_group(mailbox)? { self.members(mailbox) } else { Ok(Vec::new()) }
    }

    /// How often an account was given something in a conversation of late, with this time.
    fn count_given(&self, of: ConversationId, to: &PublicKey) -> Result<u32, Error> {
        let since = UnixTime::new(self.now.get().saturating_sub(REPAIR_RATE_TIME.get().into()));
        self.db.count_given(of, to, since, self.now)
    }

    /// From where on in a log everybody was a member who reads what is given here, and who asked.
    /// `None`: one of them is none there.
    fn all_here_since(
        &mut self,
        here: &LogRow,
        of: &LogRow,
        asker: &PublicKey,
    ) -> Result<Option<Seq>, Error> {
        let readers = accounts(&self.members(&here.mailbox)?);
        let there = accounts(&self.members_if_in(&of.mailbox)?);
        let own = *self.account.id().key();
        let mut since = Seq::START;
        for account in readers.iter().chain([asker]) {
            // CNV-18: this account itself was there, as it has what is asked for.
            if *account != own && !there.contains(account) {
                return Ok(None);
            }
            since = since.max(self.db.joined(&of.mailbox, account)?);
        }
        Ok(Some(since))
    }

    /// Others have given something: this device need not any more.
    pub(super) fn owe_less(
        &mut self,
        here: &LogRow,
        of: &LogRow,
        given: &[(PublicKey, u64)],
    ) -> Result<(), Error> {
        for mut row in self.db.owed_in(&here.mailbox)? {
            if row.mailbox != of.mailbox {
                continue;
            }
            let is_given = |counter| given.contains(&(row.device, counter));
            let (mut first, mut last) = (row.first, row.last);
            while first <= last && is_given(last) {
                last -= 1;
            }
            while first <= last && is_given(first) {
                first += 1;
            }
            if (first, last) != (row.first, row.last) {
                (row.first, row.last) = (first, last);
                self.db.change_owed(&row)?;
            }
        }
        Ok(())
    }
}

/// What of `first` to `last` is not among `given`, in ranges.
fn holes(
    given: &BTreeSet<u64>,
    first: u64,
    last: u64,
    generation: u32,
    device: &PublicKey,
) -> Vec<RepairRange> {
    let (mut holes, mut from) = (Vec::new(), first);
    for end in given.iter().copied().chain([last + 1]) {
        if from < end {
            holes.push(RepairRange { generation, device: *device, from, to: end - 1 });
        }
        from = end + 1;
    }
    holes
}
