//! The link of a room and the keys that come from its seed (ROM-1 to ROM-4).
//!
//! Form: the relay's address, then `/r1#` and 70 characters of base64url without padding: room id
//! (16 bytes), number of the key (4), seed (32).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use restante_spec::address::RelayAddress;
use restante_spec::ids::MailboxId;
use restante_spec::limits::ROOM_LINK_CHARS;
use zeroize::{Zeroize, Zeroizing};

use super::post::RoomKey;
use crate::aead::SealKey;
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::AccountId;
use crate::labels::Label;
use crate::random::{random_bytes, random_secret};
use crate::signing::{SigningKey, sha256};

/// A room's link, as everybody in it knows it.
pub struct RoomLink {
    relay: RelayAddress,
    room: MailboxId,
    number: RoomKeyNumber,
    seed: Zeroizing<[u8; 32]>,
}

/// Counts the keys of a room, from 1: a higher one has replaced all below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKeyNumber(u32);

/// What makes a room's id its founder's (ROM-4): 16 random bytes, no secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoomSalt([u8; 16]);

const WHAT: &str = "room link";
/// Between the relay's address and the bytes; the digit is the version.
const MARK: &str = "/r1#";

impl RoomLink {
    /// The link of a new room that `founder` will make, with its first key.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the relay's host name is too long for a link (ROM-2),
    /// [`Error::Randomness`].
    pub fn generate(relay: RelayAddress, founder: AccountId) -> Result<(Self, RoomSalt), Error> {
        let salt = RoomSalt(random_bytes()?);
        let room = salt.room_of(founder);
        let link = Self::from_parts(relay, room, RoomKeyNumber::FIRST, random_secret()?)?;
        Ok((link, salt))
    }

    /// A link with a fresh seed and the next number, to be posted or handed out (ROM-9).
    ///
    /// # Errors
    /// [`Error::TooLarge`] at the end of the numbers, [`Error::Randomness`].
    pub fn rotate(&self) -> Result<Self, Error> {
        let (what, max) = ("the number of a room's key", u32::MAX as usize);
        let next = self.number.0.checked_add(1).map(RoomKeyNumber);
        let number = next.ok_or(Error::TooLarge { what, size: max, max })?;
        Self::from_parts(self.relay.clone(), self.room, number, random_secret()?)
    }

    /// A link known before, from its stored parts.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as for [`RoomLink::generate`].
    pub fn from_parts(
        relay: RelayAddress,
        room: MailboxId,
        number: RoomKeyNumber,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Self, Error> {
        let link = Self { relay, room, number, seed };
        let size = link.link().len();
        // ROM-2
        if size > ROOM_LINK_CHARS {
            return Err(Error::TooLarge { what: "the room's link", size, max: ROOM_LINK_CHARS });
        }
        Ok(link)
    }

    /// Reads a link (ROM-1): exactly this form, nothing before, behind or instead.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`].
    pub fn parse(link: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed { what: WHAT };
        // ROM-1
        let (relay, coded) = link.split_once(MARK).ok_or_else(malformed)?;
        let relay: RelayAddress = relay.parse().map_err(|_| malformed())?;
        let bytes = BASE64URL_NOPAD.decode(coded.as_bytes()).map_err(|_| malformed())?;
        let bytes = Zeroizing::new(bytes);
        let mut cursor = Cursor::new(WHAT, &bytes);
        let room = MailboxId::new(cursor.array()?);
        let number = RoomKeyNumber::new(cursor.u32()?).ok_or_else(malformed)?;
        let seed = Zeroizing::new(cursor.array()?);
        cursor.finish()?;
        let read = Self::from_parts(relay, room, number, seed)?;
        if *read.link() != link {
            return Err(malformed());
        }
        Ok(read)
    }

    /// The text to hand over. A secret of the audience: wiped when dropped.
    #[must_use]
    pub fn link(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(52));
        bytes.extend_from_slice(self.room.as_bytes());
        bytes.extend_from_slice(&self.number.0.to_be_bytes());
        bytes.extend_from_slice(self.seed.as_ref());
        let mut coded = BASE64URL_NOPAD.encode(&bytes);
        let link = format!("{}{MARK}{coded}", self.relay);
        coded.zeroize();
        Zeroizing::new(link)
    }

    /// Checks that this link may take the place of one known before (ROM-10).
    ///
    /// # Errors
    /// [`Error::WrongAccount`] for a link of another room; [`Error::OldRoomKey`] for a lower
    /// number, or another seed under the same.
    pub fn may_follow(&self, known: &Self) -> Result<(), Error> {
        if self.room != known.room {
            return Err(Error::WrongAccount);
        }
        let same = self.number == known.number && self.seed == known.seed;
        // ROM-10
        if same || self.number > known.number {
            return Ok(());
        }
        Err(Error::OldRoomKey { number: self.number.0, known: known.number.0 })
    }

    /// Where the room is.
    #[must_use]
    pub const fn relay(&self) -> &RelayAddress {
        &self.relay
    }

    /// The room's mailbox.
    #[must_use]
    pub const fn room(&self) -> &MailboxId {
        &self.room
    }

    /// Which of the room's keys it brings.
    #[must_use]
    pub const fn number(&self) -> RoomKeyNumber {
        self.number
    }

    /// The seed, for an encrypted store or a rotation. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The audience's key: it opens the mailbox to read, and its card is the room's (ROM-3).
    ///
    /// # Errors
    /// [`Error::Internal`] never happens with a seed of 32 bytes.
    pub fn read_key(&self) -> Result<SigningKey, Error> {
        Ok(SigningKey::from_seed(self.derive(Label::ROOM_READ)?.as_bytes()))
    }

    /// The key with which the audience writes while it may: struck to mute everybody (ROM-3).
    ///
    /// # Errors
    /// As for [`RoomLink::read_key`].
    pub fn write_key(&self) -> Result<SigningKey, Error> {
        Ok(SigningKey::from_seed(self.derive(Label::ROOM_WRITE)?.as_bytes()))
    }

    /// The key posts are sealed with (ROM-3).
    ///
    /// # Errors
    /// As for [`RoomLink::read_key`].
    pub fn key(&self) -> Result<RoomKey, Error> {
        Ok(RoomKey::new(self.room, self.number, self.derive(Label::ROOM_KEY)?))
    }

    /// The key the card is sealed with (ROM-3).
    pub(super) fn card_key(&self) -> Result<SealKey, Error> {
        self.derive(Label::ROOM_CARD_KEY)
    }

    fn derive(&self, label: Label) -> Result<SealKey, Error> {
        let number = self.number.0.to_be_bytes();
        // ROM-3
        SealKey::derive(&self.seed, label, &[self.room.as_bytes(), &number])
    }
}

impl RoomKeyNumber {
    /// That of a new room.
    pub const FIRST: Self = Self(1);

    /// Wraps the number; there is no key 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl RoomSalt {
    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of the room that an account makes with this salt (ROM-4).
    #[must_use]
    pub fn room_of(&self, founder: AccountId) -> MailboxId {
        // ROM-4
        let hash = sha256(&[Label::ROOM_ID.as_bytes(), founder.as_bytes(), &self.0]);
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
        MailboxId::new(id)
    }
}

impl fmt::Debug for RoomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomLink(..)")
    }
}

impl fmt::Debug for RoomSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSalt(..)")
    }
}
