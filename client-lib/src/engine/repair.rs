//! What is missing here is shown, and asked for (CNV-17).

use std::collections::BTreeMap;

use restante_spec::content::{Body, GroupKind, RepairRange, RepairRequest};
use restante_spec::ids::{MailboxId, PublicKey, Seconds, Seq};
use restante_spec::limits::{REPAIR_RANGE_CONTENTS, REPAIR_RANGES};

use super::commands::id_of_key;
use super::{Engine, Work};
use crate::error::Error;
use crate::events::Event;
use crate::limits::{REPAIR_DELAY, REPAIR_SPREAD, REPAIR_WAITS};
use crate::store::{GapRow, LogRow, LogState};
use crate::types::{ConversationId, Gap, GapState, Position};

impl Engine {
    pub(crate) fn gaps(&self, of: ConversationId) -> Result<Vec<Gap>, Error> {
        let db = self.store.read();
        db.need_conversation(of)?;
        let own = *self.account.id().key();
        let show = |gap: GapRow| Gap {
            conversation: of,
            author: (gap.account != own).then(|| id_of_key(&gap.account)),
            count: gap.last - gap.first + 1,
            before: Position { generation: gap.generation, seq: gap.before.get(), row: 0 },
            seq: gap.before,
            state: if gap.lost { GapState::Lost } else { GapState::Asked },
        };
        Ok(db.gaps(of)?.into_iter().map(show).collect())
    }

    /// Asks once more for everything that is missing.
    pub(crate) fn ask_again(&mut self, of: ConversationId) -> Result<(), Error> {
        self.transact(|work| {
            work.db.need_conversation(of)?;
            for gap in work.db.gaps(of)? {
                work.db.put_gap(&GapRow { asks: 0, lost: false, due: work.now, ..gap })?;
                work.tell_gaps(of);
            }
            Ok(())
        })
    }

    /// Asks for what is missing, and gives what others miss, if it is time.
    pub(crate) fn repairs(&mut self) -> Result<(), Error> {
        let (db, now) = (self.store.read(), self.now);
        if db.next_repair()?.is_none_or(|due| due > now) {
            return Ok(());
        }
        self.transact(|work| {
            work.ask_what_is_due()?;
            work.give_what_is_due()
        })
    }
}

impl Work<'_> {
    fn ask_what_is_due(&mut self) -> Result<(), Error> {
        let mut due: BTreeMap<(ConversationId, MailboxId), Vec<GapRow>> = BTreeMap::new();
        for gap in self.db.gaps_due(self.now)? {
            due.entry((gap.conversation, gap.mailbox)).or_default().push(gap);
        }
        for ((of, mailbox), gaps) in due {
            let (asked, given_up): (Vec<_>, Vec<_>) =
                gaps.into_iter().partition(|gap| wait(gap.asks).is_some());
            for gap in given_up {
                self.db.put_gap(&GapRow { lost: true, ..gap })?;
                self.tell_gaps(of);
            }
            // What all are asked for, and what the own devices are asked for first.
            let (first, again): (Vec<_>, Vec<_>) = asked.into_iter().partition(|g| g.asks == 0);
            let own = self.own_devices()?;
            self.ask(own.unwrap_or(of), mailbox, first)?;
            self.ask(of, mailbox, again)?;
        }
        Ok(())
    }

    /// Asks in a conversation for what is missing of a log, if it can be written to.
    fn ask(&mut self, of: ConversationId, log: MailboxId, gaps: Vec<GapRow>) -> Result<(), Error> {
        let may = self.can_ask(of)?;
        for some in gaps.chunks(REPAIR_RANGES) {
            if may {
                let ranges = some.iter().map(range_of).collect();
                let request = RepairRequest { conversation: log, ranges, behind: Seq::START };
                self.queue_body(of, &Body::RepairRequest(request))?;
            }
            for gap in some {
                let mut gap = gap.clone();
                let pause = wait(if may { gap.asks } else { 0 });
                gap.due = self.later(pause.unwrap_or(REPAIR_DELAY), REPAIR_SPREAD)?;
                gap.asks += u32::from(may);
                self.db.put_gap(&gap)?;
            }
        }
        Ok(())
    }

    /// Somebody leaves: what is missed of theirs is asked for soon, in the conversation; says
    /// whether anything is.
    pub(super) fn hasten_repairs(&mut self, log: &LogRow, who: &PublicKey) -> Result<bool, Error> {
        let mut gaps = self.db.gaps(log.conversation)?;
        gaps.retain(|gap| gap.mailbox == log.mailbox && gap.account == *who && !gap.lost);
        for gap in &gaps {
            // CNV-17: the own devices are not waited for.
            let due = self.later(Seconds::default(), REPAIR_SPREAD)?;
            self.db.put_gap(&GapRow { asks: gap.asks.max(1), due, ..gap.clone() })?;
        }
        Ok(!gaps.is_empty())
    }

    /// Whether something can be asked in a conversation, and is not being asked already.
    fn can_ask(&self, of: ConversationId) -> Result<bool, Error> {
        Ok(self.may_ask(of)? && !self.db.waits_in_outbox(of, Body::REPAIR_REQUEST)?)
    }

    /// Whether this device can say something in a conversation.
    pub(super) fn may_ask(&self, of: ConversationId) -> Result<bool, Error> {
        let row = self.db.need_conversation(of)?;
        let Some(mailbox) = row.log.filter(|_| row.standing.is_in()) else {
            return Ok(false);
        };
        let live = self.db.need_log(&mailbox)?.state == LogState::Live;
        Ok(live && !self.is_cloned()?)
    }

    /// The conversation of the own devices, if there are others to ask.
    pub(super) fn own_devices(&self) -> Result<Option<ConversationId>, Error> {
        if self.account.list.devices().len() < 2 {
            return Ok(None);
        }
        let own = |row: &&crate::store::ConversationRow| row.state.kind == GroupKind::Own;
        Ok(self.db.conversations()?.iter().find(own).map(|row| row.id))
    }

    pub(super) fn tell_gaps(&mut self, of: ConversationId) {
        let event = Event::Gaps(of);
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }
}

/// How long an answer is waited for after so many requests; `None`: it was asked for often enough.
fn wait(asks: u32) -> Option<restante_spec::ids::Seconds> {
    REPAIR_WAITS.get(asks as usize).copied()
}

/// The newest of a gap, as many as one range may name: their hashes lead to those before.
fn range_of(gap: &GapRow) -> RepairRange {
    let from = gap.first.max((gap.last + 1).saturating_sub(REPAIR_RANGE_CONTENTS));
    RepairRange { generation: gap.generation, device: gap.device, from, to: gap.last }
}
