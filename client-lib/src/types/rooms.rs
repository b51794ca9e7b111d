//! What an app sees of rooms, beside what they share with other conversations.

use std::fmt;

use zeroize::Zeroizing;

/// The link of a room as text, short enough for a QR code. Whoever has it reads the room; it shows
/// nothing in `Debug` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomLink(Zeroizing<String>);

impl RoomLink {
    pub(crate) const fn from_text(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomLink(..)")
    }
}
