//! The one error type of the SDK, by what went wrong; no message holds a secret or a person.

use restante_spec::codes::{Code, Retry};

use crate::types::{ContactState, Match};

/// Why something was not done. [`Error::kind`] says where to look, [`Error::is_retryable`]
/// whether the same call may succeed later, [`Error::code`] is stable for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has this home open. Wait, or end it.
    #[error("the home is in use by process {pid}")]
    Locked {
        /// The process that holds it; 0 if it cannot be told.
        pid: u32,
    },
    /// There is nothing in this home yet: create first.
    #[error("there is no store in this home; create one first")]
    NoStore,
    /// There is a store in this home already: open it.
    #[error("there is a store in this home already")]
    StoreExists,
    /// The store does not open with this key. Nothing was changed.
    #[error("the store does not open with this key")]
    WrongKey,
    /// The store was written by a newer version. Update.
    #[error("the store has version {found}, this program knows up to {known}")]
    StoreTooNew {
        /// Version of the file.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// The store or the home's folder failed. Nothing half-done was kept.
    #[error("the store failed: {0}")]
    Storage(String),
    /// The store holds what it cannot hold. Nothing was changed.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// No contact has this name or id.
    #[error("no contact is called that")]
    NoSuchContact,
    /// No conversation has this name or id.
    #[error("no conversation is called that")]
    NoSuchConversation,
    /// The account is not in this group.
    #[error("this account is not in the group")]
    NotAMember,
    /// The conversation is no group.
    #[error("this is possible in groups only")]
    NotAGroup,
    /// The conversation is no room.
    #[error("this is possible in rooms only")]
    NotARoom,
    /// A rotation of this room is to be posted: what is asked for must wait until it has its place.
    #[error("a rotation of this room is under way")]
    RotationUnderWay,
    /// The text is no room's link.
    #[error("this is not the link of a room")]
    BadRoomLink,
    /// The room has a newer key: the link is of one that was replaced, or is not the room's.
    #[error("the key of this link was replaced; ask for the new link")]
    OldRoomLink,
    /// The role of this account in the group or room does not allow it.
    #[error("your role here does not allow it")]
    NotAllowed,
    /// The standing of this account in the conversation does not allow it.
    #[error("this conversation is {}", standing.name())]
    WrongStanding {
        /// How it stands.
        standing: crate::types::Standing,
    },
    /// A group's name is one line of at most `max` bytes; its picture has at most so many.
    #[error("the {what} has {bytes} bytes, at most {max} fit")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most that fits.
        max: usize,
    },
    /// Several fit. Name one by its id.
    #[error("{} fit that name", matches.len())]
    Ambiguous {
        /// Those that fit.
        matches: Vec<Match>,
    },
    /// A reaction is one line of at most `max` bytes.
    #[error("a reaction is one line of at most {max} bytes")]
    BadReaction {
        /// The most that fits.
        max: usize,
    },
    /// No message has this id.
    #[error("there is no such message")]
    NoSuchMessage,
    /// No transfer has this id (any more).
    #[error("there is no such transfer")]
    NoSuchTransfer,
    /// There is no file of this name, or none in this message.
    #[error("there is no such file")]
    NoSuchFile,
    /// The folder a file is to be written into is not there. Make it, or name another.
    #[error("there is no such folder")]
    NoSuchFolder,
    /// There is a file of this name already, or one is on its way. Choose another name.
    #[error("there is a file of this name already")]
    FileExists,
    /// A file's name is 1 to `max` letters of ASCII, digits, `.`, `-` and `_`; it does not begin
    /// with a dot and does not end as an unfinished download's does.
    #[error("a file's name is 1 to {max} letters, digits, dots, hyphens and underscores")]
    BadFileName {
        /// The most that fits.
        max: usize,
    },
    /// What is sent has 1 to `max` bytes. Split the file.
    #[error("the file has {bytes} bytes; 1 to {max} can be sent")]
    BadFileSize {
        /// Its size.
        bytes: u64,
        /// The most that fits.
        max: u64,
    },
    /// The file is a picture that cannot be cleaned. Ask whether to send it as it is.
    #[error("{0}")]
    BadPicture(#[from] crate::media::PictureError),
    /// What is to be shown to others has signs in it that no reader takes: they break the line, or
    /// turn the direction of writing. Choose another.
    #[error("the {what} has signs in it that would mislead its reader")]
    Misleading {
        /// What it is.
        what: &'static str,
    },
    /// The file is not on this device. Fetch it first.
    #[error("the file is not on this device yet")]
    NotHere,
    /// The message names a place its conversation has nothing to do with, or no file.
    #[error("the message names no file that is fetched")]
    Unfetchable,
    /// The text is no id.
    #[error("an id is 32 hexadecimal digits")]
    BadId,
    /// The text is no relay's address.
    #[error("not a relay's address: {0}")]
    BadAddress(#[from] restante_spec::address::AddressError),
    /// The text is no invite.
    #[error("this is not an invite link")]
    BadInvite,
    /// The invite is this account's own.
    #[error("this invite is your own")]
    OwnInvite,
    /// The contact's state does not allow it.
    #[error("this contact is {state}")]
    WrongState {
        /// What it is.
        state: ContactState,
    },
    /// There is nothing to send.
    #[error("the text is empty")]
    EmptyText,
    /// The text does not fit into one message. Split it.
    #[error("the text has {bytes} bytes, at most {max} fit")]
    TextTooLong {
        /// Its size in UTF-8.
        bytes: usize,
        /// The most that fits.
        max: usize,
    },
    /// A nickname is 1 to `max` bytes of one line, without signs that would mislead its reader.
    #[error("a nickname is one line of 1 to {max} bytes, without signs that mislead")]
    BadNickname {
        /// The most that fits.
        max: usize,
    },
    /// A search needs at least one letter or digit.
    #[error("there is nothing to search for")]
    EmptySearch,
    /// An own bound was reached; what is bounded is named. Wait until some of it is done.
    #[error("too many {what}: at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The time given has passed; what was begun goes on.
    #[error("the time given has passed")]
    Deadline,
    /// No connection with the relay. It is tried again by itself while connected.
    #[error("the relay cannot be reached: {0}")]
    Unreachable(String),
    /// The relay is not the one its address names. Nothing was sent to it.
    #[error("the relay proved another identity than its address names")]
    WrongRelay,
    /// The relay takes new mailboxes only with a token of its operator's, and there is none here.
    /// Ask the operator for one, and give it with [`crate::Client::set_token`].
    #[error("the relay admits only those who have a token of its operator")]
    TokenNeeded,
    /// The relay does not take the token: it is not known there, used up, over or revoked. Ask the
    /// operator for another one, and give it with [`crate::Client::set_token`].
    #[error("the relay does not take the token: it may be used up, over or revoked")]
    TokenRefused,
    /// The text is no token.
    #[error("not a token: {0}")]
    BadToken(#[from] restante_spec::token::TokenError),
    /// The relay refused; the code says why.
    #[error("the relay refused: {}", .0.name())]
    Refused(Code),
    /// This home was copied and is used elsewhere, or its device was removed from the account; it
    /// does not send any more. [`crate::Client::relink`] begins anew.
    #[error("this device was copied or removed; it does not send any more and must be linked anew")]
    Cloned,
    /// The text is no link code.
    #[error("this is not the code of a new device")]
    BadLinkCode,
    /// Only the account's first device can do this: it has the account's key.
    #[error("only the account's first device can do this")]
    NotFirstDevice,
    /// The account's first device cannot be linked anew: it has the account's key.
    #[error("the account's first device cannot be linked anew: it has the account's key")]
    FirstDevice,
    /// This device belongs to no account yet: it waits to be linked.
    #[error("this device is not linked to an account yet")]
    NotLinked,
    /// There is nothing to link: no letter of an account has come, or it is linked already.
    #[error("no account has taken this device in yet")]
    NoLink,
    /// The account has no device of this number.
    #[error("the account has no such device")]
    NoSuchDevice,
    /// The client was not started, or has been shut down.
    #[error("the client is not running")]
    Stopped,
    /// An archive or recovery file holds what it cannot hold, or is of a newer version. Nothing of
    /// it was taken.
    #[error("{0}")]
    Archive(#[from] restante_spec::archive::ArchiveError),
    /// A cryptographic step was refused.
    #[error("{0}")]
    Crypto(#[from] restante_crypto::Error),
}

/// Where to look when something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked cannot be: ask differently.
    Usage,
    /// What was named is not there.
    NotFound,
    /// Not in this state.
    State,
    /// A bound was reached.
    Limit,
    /// No connection.
    Network,
    /// The relay said no.
    Relay,
    /// The home or its store.
    Storage,
    /// Keys, signatures, sealed bytes.
    Crypto,
}

impl Error {
    /// Where to look.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::BadId
            | Self::BadAddress(_)
            | Self::BadToken(_)
            | Self::BadInvite
            | Self::BadLinkCode
            | Self::BadRoomLink
            | Self::OwnInvite
            | Self::EmptyText
            | Self::TextTooLong { .. }
            | Self::BadNickname { .. }
            | Self::BadReaction { .. }
            | Self::EmptySearch
            | Self::TooLong { .. }
            | Self::BadFileName { .. }
            | Self::BadFileSize { .. }
            | Self::BadPicture(_)
            | Self::Misleading { .. }
            | Self::Ambiguous { .. } => ErrorKind::Usage,
            Self::NoSuchContact
            | Self::NoSuchConversation
            | Self::NoSuchMessage
            | Self::NoSuchDevice
            | Self::NotAMember
            | Self::NoSuchTransfer
            | Self::NoSuchFile
            | Self::NoSuchFolder
            | Self::NoStore => ErrorKind::NotFound,
            Self::NotAGroup
            | Self::NotARoom
            | Self::RotationUnderWay
            | Self::OldRoomLink
            | Self::NotAllowed
            | Self::WrongStanding { .. }
            | Self::WrongState { .. }
            | Self::StoreExists
            | Self::FileExists
            | Self::NotHere
            | Self::Unfetchable
            | Self::Cloned
            | Self::NotFirstDevice
            | Self::FirstDevice
            | Self::NotLinked
            | Self::NoLink
            | Self::Stopped => ErrorKind::State,
            Self::TooMany { .. } => ErrorKind::Limit,
            Self::Deadline | Self::Unreachable(_) | Self::WrongRelay => ErrorKind::Network,
            Self::Refused(_) | Self::TokenNeeded | Self::TokenRefused => ErrorKind::Relay,
            Self::Locked { .. }
            | Self::WrongKey
            | Self::StoreTooNew { .. }
            | Self::Storage(_)
            | Self::Damaged(_) => ErrorKind::Storage,
            Self::Archive(_) | Self::Crypto(_) => ErrorKind::Crypto,
        }
    }

    /// Whether the same call may succeed later without anything else being done.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::TooMany { .. }
            | Self::RotationUnderWay
            | Self::Deadline
            | Self::Unreachable(_)
            | Self::Storage(_) => true,
            Self::Refused(code) => !matches!(code.retry(), Retry::Never),
            Self::NoStore
            | Self::StoreExists
            | Self::WrongKey
            | Self::StoreTooNew { .. }
            | Self::Damaged(_)
            | Self::NoSuchContact
            | Self::NoSuchConversation
            | Self::NotAMember
            | Self::NotAGroup
            | Self::NotARoom
            | Self::BadRoomLink
            | Self::OldRoomLink
            | Self::NotAllowed
            | Self::WrongStanding { .. }
            | Self::TooLong { .. }
            | Self::Ambiguous { .. }
            | Self::NoSuchMessage
            | Self::NoSuchTransfer
            | Self::NoSuchFile
            | Self::NoSuchFolder
            | Self::FileExists
            | Self::BadFileName { .. }
            | Self::BadFileSize { .. }
            | Self::BadPicture(_)
            | Self::Misleading { .. }
            | Self::NotHere
            | Self::Unfetchable
            | Self::BadId
            | Self::BadAddress(_)
            | Self::BadToken(_)
            | Self::TokenNeeded
            | Self::TokenRefused
            | Self::BadInvite
            | Self::OwnInvite
            | Self::WrongState { .. }
            | Self::EmptyText
            | Self::TextTooLong { .. }
            | Self::BadReaction { .. }
            | Self::BadNickname { .. }
            | Self::EmptySearch
            | Self::WrongRelay
            | Self::Cloned
            | Self::BadLinkCode
            | Self::NotFirstDevice
            | Self::FirstDevice
            | Self::NotLinked
            | Self::NoLink
            | Self::NoSuchDevice
            | Self::Stopped
            | Self::Archive(_)
            | Self::Crypto(_) => false,
        }
    }

    /// Whether another token is all that is missing.
    #[must_use]
    pub const fn is_about_a_token(&self) -> bool {
        matches!(self, Self::TokenNeeded | Self::TokenRefused)
    }

    /// A stable name for programs; for what a relay refused, the name in its table.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::NoStore => "no_store",
            Self::StoreExists => "store_exists",
            Self::WrongKey => "wrong_key",
            Self::StoreTooNew { .. } => "store_too_new",
            Self::Storage(_) => "storage",
            Self::Damaged(_) => "damaged",
            Self::NoSuchContact => "no_such_contact",
            Self::NoSuchConversation => "no_such_conversation",
            Self::NotAMember => "not_a_member",
            Self::NotAGroup => "not_a_group",
            Self::NotARoom => "not_a_room",
            Self::RotationUnderWay => "rotation_under_way",
            Self::BadRoomLink => "bad_room_link",
            Self::OldRoomLink => "old_room_link",
            Self::NotAllowed => "not_allowed",
            Self::WrongStanding { .. } => "wrong_standing",
            Self::TooLong { .. } => "too_long",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NoSuchMessage => "no_such_message",
            Self::NoSuchTransfer => "no_such_transfer",
            Self::NoSuchFile => "no_such_file",
            Self::NoSuchFolder => "no_such_folder",
            Self::FileExists => "file_exists",
            Self::BadFileName { .. } => "bad_file_name",
            Self::BadFileSize { .. } => "bad_file_size",
            Self::BadPicture(_) => "bad_picture",
            Self::Misleading { .. } => "misleading",
            Self::NotHere => "not_here",
            Self::Unfetchable => "unfetchable",
            Self::BadId => "bad_id",
            Self::BadAddress(_) => "bad_address",
            Self::BadToken(_) => "bad_token",
            Self::TokenNeeded => "token_needed",
            Self::TokenRefused => "token_refused",
            Self::BadInvite => "bad_invite",
            Self::OwnInvite => "own_invite",
            Self::WrongState { .. } => "wrong_state",
            Self::EmptyText => "empty_text",
            Self::TextTooLong { .. } => "text_too_long",
            Self::BadNickname { .. } => "bad_nickname",
            Self::BadReaction { .. } => "bad_reaction",
            Self::EmptySearch => "empty_search",
            Self::TooMany { .. } => "too_many",
            Self::Deadline => "deadline",
            Self::Unreachable(_) => "unreachable",
            Self::WrongRelay => "wrong_relay",
            Self::Refused(code) => code.name(),
            Self::Cloned => "cloned",
            Self::BadLinkCode => "bad_link_code",
            Self::NotFirstDevice => "not_first_device",
            Self::FirstDevice => "first_device",
            Self::NotLinked => "not_linked",
            Self::NoLink => "no_link",
            Self::NoSuchDevice => "no_such_device",
            Self::Stopped => "stopped",
            Self::Archive(_) => "archive",
            Self::Crypto(_) => "crypto",
        }
    }
}
