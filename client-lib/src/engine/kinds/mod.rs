//! What members do with messages, beside writing them: answers, reactions, edits, deletes, reading,
//! and what passes on its own: their disappearing, typing, presence.
//!
//! One rule for all of it: the order of the log decides, never the order things came here in, and
//! never a clock. So every device shows the same, whatever it was told when.

mod acts;
mod chain;
mod gone;
mod live;
mod privacy;
mod rules;
mod wishes;

pub(super) use acts::Act;
pub(super) use live::Live;
