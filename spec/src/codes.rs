//! The one table of errors: code, name, whose fault, retry, and whether the connection closes.
//!
//! Spec: `spec/06-errors.md`, rule ERR-1. Knows the table only.

/// Whose fault an error is, so that a program knows where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender of the frame broke a rule.
    Peer,
    /// The sender may not do this (any more).
    Rights,
    /// Something has changed meanwhile: look, then try again.
    State,
    /// A bound was reached.
    Bound,
    /// The relay cannot at the moment.
    Relay,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request gets the same answer.
    Never,
    /// After the named time, or with back-off when none is named.
    Later,
    /// After catching up with the mailbox.
    AfterCatchUp,
    /// On a new connection.
    Reconnect,
}

macro_rules! codes {
    ($(
        $(#[$doc:meta])*
        $variant:ident =
            $code:literal, $name:literal, $fault:ident, $retry:ident, $closes:literal;
    )*) => {
        /// Why a request was not done (ERR-1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The name in the specification.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// What to do.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// Whether the relay closes the connection behind the answer (ERR-2).
            #[must_use]
            pub const fn closes(self) -> bool {
                match self { $(Self::$variant => $closes,)* }
            }

            /// The code with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    /// The bytes do not form what they should; the connection cannot be read on.
    Malformed = 1, "malformed", Peer, Never, true;
    /// A frame, list or card above its limit. A frame too large closes the connection,
    /// anything else within a good frame does not (ERR-3).
    TooLarge = 2, "too_large", Peer, Never, false;
    /// A version, class or option this relay does not have.
    Unsupported = 3, "unsupported", Peer, Never, false;
    /// No such thing, or nothing you may know of.
    NotFound = 4, "not_found", Rights, Never, false;
    /// This key has not the right for it.
    Denied = 5, "denied", Rights, Never, false;
    /// The key was struck while its handle was open.
    Revoked = 6, "revoked", Rights, Never, false;
    /// The epoch named is not the current one.
    StaleEpoch = 7, "stale_epoch", State, AfterCatchUp, false;
    /// The key was replaced; its range ends with the commit named.
    Superseded = 8, "superseded", State, AfterCatchUp, false;
    /// What this reader would need is no longer kept; it must be added again.
    Gone = 9, "gone", State, Never, false;
    /// An append before it in the chain was not stored, so neither was this.
    Aborted = 10, "aborted", State, AfterCatchUp, false;
    /// An acknowledgement beyond what was delivered.
    AckAhead = 11, "ack_ahead", Peer, Never, false;
    /// The mailbox, or this connection, is full.
    Quota = 12, "quota", Bound, Later, false;
    /// Too fast.
    Rate = 13, "rate", Bound, Later, false;
    /// The key's time or uses are over.
    Expired = 14, "expired", Rights, Never, false;
    /// The relay takes no new mailboxes, or not from you.
    Admission = 15, "admission", Bound, Later, false;
    /// The name is taken by something else.
    Conflict = 16, "conflict", State, Never, false;
    /// Not now; nothing was accepted.
    Unavailable = 17, "unavailable", Relay, Later, false;
    /// It may be accepted or not: ask again with the same id.
    Unknown = 18, "unknown", Relay, Later, false;
    /// The relay is about to stop.
    Draining = 19, "draining", Relay, Reconnect, false;
    /// The relay was restored from a backup; this conversation can only be read.
    Restored = 20, "restored", State, Never, false;
    /// The relay's own fault.
    Internal = 21, "internal", Relay, Later, true;
}
