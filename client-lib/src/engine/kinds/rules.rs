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
        let at = LogPosition { generation: log.generation, seq };
        if self.db.state_at(log.conversation, at)?.is_none() {
            let begin = LogPosition { seq: Seq::START, ..at };
            self.db.put_state(log.conversation, begin, before, STATES)?;
        }
        self.db.put_state(log.conversation, at, now, STATES)
    }
}
