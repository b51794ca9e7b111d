//! The names of things: every id, number, key and hash of the protocol has its own type.
//!
//! Knows sizes and text forms; must not know what the things mean to a relay or a client.
//! What could identify a person or a mailbox prints as a placeholder, so that no log can hold it.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Declares an opaque name of `N` random or derived bytes whose `Debug` shows no content.
macro_rules! opaque_bytes {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;

            /// Wraps the bytes as they stand on the wire.
            #[must_use]
            pub const fn new(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The bytes as they stand on the wire.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// Reads exactly `SIZE` bytes; `None` for any other length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

opaque_bytes! {
    /// A mailbox, named by 16 random bytes chosen by its creator.
    MailboxId, 16
}
opaque_bytes! {
    /// An envelope, named by 16 random bytes chosen by its sender; the message's id too.
    EnvelopeId, 16
}
opaque_bytes! {
    /// A request whose answer is repeated for a while (`take_prekeys`): 16 random bytes.
    RequestId, 16
}
opaque_bytes! {
    /// A blob, named by 16 random bytes chosen by its creator.
    BlobId, 16
}
opaque_bytes! {
    /// An encrypted archive of history on its way to another device: 16 random bytes.
    ArchiveId, 16
}
opaque_bytes! {
    /// A conversation, as the devices of one account name it.
    ConversationId, 16
}
opaque_bytes! {
    /// A contact, as the devices of one account name it.
    ContactName, 16
}
opaque_bytes! {
    /// An Ed25519 public key (RFC 8032), 32 bytes.
    PublicKey, 32
}
opaque_bytes! {
    /// An Ed25519 signature (RFC 8032), 64 bytes.
    Signature, 64
}
opaque_bytes! {
    /// SHA-256 of a [`ReaderSecret`]: how the relay knows a reader.
    ReaderHash, 32
}
opaque_bytes! {
    /// Hash of an admission token: what a relay keeps of it (ADM-1).
    TokenHash, 32
}
opaque_bytes! {
    /// The name of an epoch, given by the relay; 8 opaque bytes that never change.
    Epoch, 8
}
opaque_bytes! {
    /// A relay's random number for one connection; proofs are bound to it.
    Nonce, 32
}
opaque_bytes! {
    /// Changes when a relay was restored from a backup: 16 random bytes.
    Incarnation, 16
}
opaque_bytes! {
    /// SHA-256 of the DER SubjectPublicKeyInfo of a TLS certificate (RFC 5280).
    SpkiHash, 32
}
opaque_bytes! {
    /// Hash of the exact bytes of a content (CNT-4).
    ContentHash, 32
}
opaque_bytes! {
    /// Hash of a conversation's log in one epoch up to a position, cut to 16 bytes (CNT-7).
    LogHash, 16
}
opaque_bytes! {
    /// Names one of a group's links to those who made it: 16 random bytes.
    LinkToken, 16
}

/// The secret of one reader of a mailbox: 16 random bytes of a device. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ReaderSecret([u8; 16]);

impl ReaderSecret {
    /// Size in bytes.
    pub const SIZE: usize = 16;

    /// Wraps 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the `subscribe` frame and for hashing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ReaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReaderSecret(..)")
    }
}

/// Declares a plain number with a meaning.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The place of an envelope in its mailbox: strictly increasing, never reused, with holes.
    Seq, u64
}
number! {
    /// A request on a connection; its reply carries the same number. 0 is no request.
    RequestNumber, u32
}
number! {
    /// An opened mailbox on a connection, chosen by the client; ends with the connection.
    Handle, u32
}
number! {
    /// A run of appends of one connection to one mailbox that must not overtake each other.
    ChainNumber, u32
}
number! {
    /// A place for prekeys of one kind: device number * 65,536 + MLS suite; opaque to the relay.
    Slot, u32
}
number! {
    /// How many bytes of a blob.
    BlobSize, u64
}
number! {
    /// The place of a byte in a blob, counted from 0.
    BlobOffset, u64
}
number! {
    /// A moment: seconds since 1970-01-01 UTC.
    UnixTime, u64
}
number! {
    /// A length of time in seconds.
    Seconds, u32
}

impl Seq {
    /// Before the first envelope of any mailbox.
    pub const START: Self = Self(0);
}

impl UnixTime {
    /// The moment `seconds` later.
    #[must_use]
    pub const fn after(self, seconds: Seconds) -> Self {
        Self(self.0.saturating_add(seconds.0 as u64))
    }
}
