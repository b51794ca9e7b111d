//! What is missing in a conversation, as an app is told.

use restante_spec::ids::Seq;

use super::{ContactId, ConversationId, Position};

/// Messages of a member that are missing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where.
    pub conversation: ConversationId,
    /// Who wrote them; `None`: another device of this account.
    pub author: Option<ContactId>,
    /// How many.
    pub count: u64,
    /// They stand before the messages from here on ...
    pub before: Position,
    /// ... which is this place of the log.
    pub seq: Seq,
    /// What is done about it.
    pub state: GapState,
}

/// What is done about messages that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapState {
    /// The others are asked for them.
    Asked,
    /// Nobody who was there has them any more, or may give them: they may have been taken back, or
    /// have disappeared.
    Lost,
}

impl GapState {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Lost => "lost",
        }
    }
}
