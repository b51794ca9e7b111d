//! Invites, and what they lead to.

use std::fmt;

use restante_spec::ids::Seconds;

use super::ConversationId;

/// How an invite may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InviteOptions {
    /// How many people may use it.
    pub uses: u32,
    /// How long it holds, in seconds from now.
    pub expires_in: Seconds,
    /// The group it is a link to (INV-6): whoever takes it asks to be in that group, and accepting
    /// the request adds them.
    pub group: Option<ConversationId>,
    /// Whether whoever takes it is accepted without asking: with a group, added to it.
    pub accepts: bool,
}

impl Default for InviteOptions {
    /// For one person, for a week.
    fn default() -> Self {
        Self { uses: 1, expires_in: crate::limits::INVITE_TTL, group: None, accepts: false }
    }
}

/// An invite as text: a link that is also short enough for a QR code. Whoever has it may write
/// one first letter; it shows nothing in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink(String);

impl InviteLink {
    pub(crate) const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteLink(..)")
    }
}

/// A group somebody asks to be in, by a link to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joins {
    /// Which.
    pub group: ConversationId,
    /// What it was called when the link was made.
    pub name: String,
}
