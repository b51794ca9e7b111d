//! What members had agreed on at a position of a log: it judges what stands there.

use restante_spec::content::{GroupState, LogPosition};
use restante_spec::ids::Seq;

use crate::engine::Work;
use crate::error::Error;
use crate::limits::STATES;
use crate::store::LogRow;

impl Work<'_> {
    /// What held at a position of a log (CNT-18).
    pub(in crate::engine) fn state_at(&self, log: &LogRow, seq: Seq) -> Result<GroupState, Error> {
        let conversation = self.db.need_conversation(log.conversation)?;
        // What comes in its order is judged by what holds now.
        if conversation.log == Some(log.mailbox) && seq > log.cursor {
            return Ok(conversation.state);
        }
        let at = LogPosition { generation: log.generation, seq };
        Ok(self.db.state_at(conversation.id, at)?.unwrap_or(conversation.state))
    }

    /// A commit has changed what holds: what held before is remembered where it matters for what
    /// was said until then.
    pub(in crate::engine) fn note_state(
        &self,
        log: &LogRow,
        seq: Seq,
        before: &GroupState,
        now: &GroupState,
    ) -> Result<(), Error> {
        let same = (before.timer, before.policy) == (now.timer, now.policy)
            && before.officers == now.officers;
        if same {
            return Ok(());
        }
        self.hold_from(log, seq, before, now)
    }

    /// This device was let in again and has not seen what was agreed on in between: of what was
    /// said there the shorter timer holds.
    pub(in crate::engine) fn note_unseen(
        &self,
        log: &LogRow,
        before: &GroupState,
        now: &GroupState,
    ) -> Result<(), Error> {
        let timer = before.timer.into_iter().chain(now.timer).min();
        let between = GroupState { timer, ..now.clone() };
        self.hold_from(log, Seq::new(log.cursor.get() + 1), before, &between)
    }

    /// Behind a hole in a log holds what holds now.
    pub(in crate::engine) fn note_seen(&self, log: &LogRow, seq: Seq) -> Result<(), Error> {
        let now = self.db.need_conversation(log.conversation)?.state;
        let at = LogPosition { generation: log.generation, seq };
        match self.db.state_at(log.conversation, at)? {
            Some(held) => self.note_state(log, seq, &held, &now),
            None => Ok(()),
        }
    }

    fn hold_from(
        &self,
        log: &LogRow,
        seq: Seq,
        before: &GroupState,
        now: &GroupState,
    ) -> Result<(), Error> {
        let at = LogPosition { generation: log.generation, seq };
        if self.db.state_at(log.conversation, at)?.is_none() {
            let begin = LogPosition { seq: Seq::START, ..at };
            self.db.put_state(log.conversation, begin, before, STATES)?;
        }
        self.db.put_state(log.conversation, at, now, STATES)
    }
}
