//! The table of states: what members had agreed on at earlier positions of a log, for what is taken
//! behind its time. What holds now stands in the table of conversations.

use restante_spec::content::{GroupState, LogPosition};
use rusqlite::OptionalExtension;

use super::{Db, to_sql};
use crate::error::Error;
use crate::types::ConversationId;

impl Db<'_> {
    /// Keeps what holds from a position on, and no more than `most` of a conversation.
    pub(crate) fn put_state(
        self,
        of: ConversationId,
        from: LogPosition,
        state: &GroupState,
        most: u32,
    ) -> Result<(), Error> {
        // A picture would be kept once for each state.
        let state = GroupState { picture: Vec::new(), ..state.clone() };
        let state = state.encode().map_err(|_| Error::Damaged("the state of a group"))?;
        let sql = "INSERT OR REPLACE INTO states (conversation, generation, seq, state)
            VALUES (?1, ?2, ?3, ?4)";
        let row = (of.as_bytes(), from.generation, to_sql(from.seq.get()), state);
        self.sql.prepare_cached(sql)?.execute(row)?;
        let sql = "DELETE FROM states WHERE conversation = ?1 AND (generation, seq) <=
            (SELECT generation, seq FROM states WHERE conversation = ?1
                ORDER BY generation DESC, seq DESC LIMIT 1 OFFSET ?2)";
        self.sql.prepare_cached(sql)?.execute((of.as_bytes(), most))?;
        Ok(())
    }

    /// What held at a position; the oldest that is known, if it is before that.
    pub(crate) fn state_at(
        self,
        of: ConversationId,
        at: LogPosition,
    ) -> Result<Option<GroupState>, Error> {
        let sql = "SELECT state FROM states WHERE conversation = ?1
            ORDER BY (generation, seq) <= (?2, ?3) DESC,
                CASE WHEN (generation, seq) <= (?2, ?3) THEN -generation ELSE generation END,
                CASE WHEN (generation, seq) <= (?2, ?3) THEN -seq ELSE seq END LIMIT 1";
        let mut query = self.sql.prepare_cached(sql)?;
        let place = (of.as_bytes(), at.generation, to_sql(at.seq.get()));
        let found: Option<Vec<u8>> = query.query_row(place, |row| row.get(0)).optional()?;
        let state = found.map(|state| GroupState::decode(&state)).transpose();
        state.map_err(|_| Error::Damaged("the state of a group"))
    }
}
