//! The card of a room: what it is called, who its hosts are, what holds there (ROM-5, ROM-6).
//!
//! The relay keeps it with the audience's read key and cannot read it. The founder signs it once;
//! it is sealed anew under each seed. Layout: length of the certificate (2), certificate, version
//! (8), salt (16), settings (1), length of the name (1), name, number of hosts (1), hosts (32
//! each), signature of the founder's device (64) over label, room id and all bytes before it.

use std::fmt;

use restante_spec::ids::{MailboxId, PublicKey, Signature};
use restante_spec::limits::{ROOM_HOSTS, ROOM_NAME_BYTES, SEALED_CARD_BYTES};

use super::link::{RoomLink, RoomSalt};
use crate::aead::{NONCE, TAG};
use crate::codec::{Cursor, put_name};
use crate::error::Error;
use crate::identity::{AccountId, DeviceCertificate, DeviceKey};
use crate::labels::Label;
use crate::padding::{pad_to, unpad_any};
use crate::random::random_bytes;
use crate::signing::verify;

/// What a founder says of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Rises with each change.
    pub version: u64,
    /// What the room is called; may be empty.
    pub name: String,
    /// Who speaks for it, the founder among them.
    pub hosts: Vec<AccountId>,
    /// Whether the audience may write.
    pub audience_writes: bool,
}

/// A card whose signature was checked, kept as the exact bytes that were signed.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomCard {
    bytes: Vec<u8>,
    founder: DeviceCertificate,
    salt: RoomSalt,
    info: RoomInfo,
}

const WHAT: &str = "room card";
/// The bit of the settings that says that the audience may write; the others say nothing yet.
const AUDIENCE_WRITES: u8 = 1;

impl RoomCard {
    /// Signs a card as the room's founder (ROM-5).
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a name or hosts above their limit, [`Error::Malformed`] for a name
    /// that misleads, or hosts without the founder.
    pub fn sign(
        device: &DeviceKey,
        certificate: &DeviceCertificate,
        salt: RoomSalt,
        info: RoomInfo,
    ) -> Result<Self, Error> {
        let founder = certificate.account();
        check(founder, &info)?;
        let malformed = |_| Error::Malformed { what: WHAT };
        let size = u16::try_from(certificate.as_bytes().len()).map_err(malformed)?;
        let mut bytes = [&size.to_be_bytes(), certificate.as_bytes()].concat();
        bytes.extend_from_slice(&info.version.to_be_bytes());
        bytes.extend_from_slice(salt.as_bytes());
        bytes.push(if info.audience_writes { AUDIENCE_WRITES } else { 0 });
        put_name(&mut bytes, "room's name", &info.name, ROOM_NAME_BYTES)?;
        bytes.push(u8::try_from(info.hosts.len()).map_err(malformed)?);
        info.hosts.iter().for_each(|host| bytes.extend_from_slice(host.as_bytes()));
        let room = salt.room_of(founder);
        let signature = device.signing().sign(Label::ROOM_CARD, &[room.as_bytes(), &bytes]);
        bytes.extend_from_slice(signature.as_bytes());
        Ok(Self { bytes, founder: certificate.clone(), salt, info })
    }

    /// Reads a card of this room and checks that its founder signed it (ROM-5, ROM-6).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`], [`Error::BadSignature`], [`Error::BadKey`];
    /// [`Error::WrongAccount`] if the account is not the one that made this room.
    pub fn parse(room: &MailboxId, bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let size = usize::from(cursor.u16()?);
        let founder = DeviceCertificate::parse(cursor.slice(size)?)?;
        let version = cursor.u64()?;
        let salt = RoomSalt::new(cursor.array()?);
        let audience_writes = cursor.u8()? & AUDIENCE_WRITES != 0;
        let name = cursor.name(ROOM_NAME_BYTES)?.to_owned();
        let mut hosts = Vec::new();
        for _ in 0..cursor.u8()? {
            hosts.push(AccountId::new(PublicKey::new(cursor.array()?)));
        }
        let signed = bytes.get(..bytes.len() - cursor.rest().len()).unwrap_or_default();
        let signature = Signature::new(cursor.array()?);
        cursor.finish()?;
        // ROM-6
        if salt.room_of(founder.account()) != *room {
            return Err(Error::WrongAccount);
        }
        verify(founder.device(), Label::ROOM_CARD, &[room.as_bytes(), signed], &signature)?;
        let info = RoomInfo { version, name, hosts, audience_writes };
        check(founder.account(), &info)?;
        Ok(Self { bytes: bytes.to_vec(), founder, salt, info })
    }

    /// Checks that this card may take the place of one known before (ROM-6).
    ///
    /// # Errors
    /// [`Error::OldRoomCard`] for a lower version, or another card with the same.
    pub fn may_follow(&self, known: &Self) -> Result<(), Error> {
        let (version, known_version) = (self.info.version, known.info.version);
        // ROM-6
        if version > known_version || self.bytes == known.bytes {
            return Ok(());
        }
        Err(Error::OldRoomCard { version, known: known_version })
    }

    /// The bytes as they were signed, for an encrypted store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the founder says.
    #[must_use]
    pub const fn info(&self) -> &RoomInfo {
        &self.info
    }

    /// The device that signed; its account made the room. Whether the device is still one of its
    /// account's, the device list tells.
    #[must_use]
    pub const fn founder(&self) -> &DeviceCertificate {
        &self.founder
    }

    /// What makes the room's id the founder's.
    #[must_use]
    pub const fn salt(&self) -> RoomSalt {
        self.salt
    }

    /// Whether an account speaks for the room.
    #[must_use]
    pub fn is_host(&self, account: AccountId) -> bool {
        self.info.hosts.contains(&account)
    }
}

impl RoomLink {
    /// Seals a card for whoever has this link, to go to the relay with the read key (ROM-5).
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Randomness`]; [`Error::WrongAccount`] for the card of another
    /// room.
    pub fn seal_card(&self, card: &RoomCard) -> Result<Vec<u8>, Error> {
        if card.salt.room_of(card.founder.account()) != *self.room() {
            return Err(Error::WrongAccount);
        }
        self.seal_card_with(card, &random_bytes()?)
    }

    /// Seals without looking whose the card is.
    pub(crate) fn seal_card_with(
        &self,
        card: &RoomCard,
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        let (what, size, max) = (WHAT, card.bytes.len(), SEALED_CARD_BYTES - NONCE - TAG);
        let padded = pad_to(&card.bytes, max).ok_or(Error::TooLarge { what, size, max })?;
        let sealed = self.card_key()?.seal(nonce, &self.associated(), &padded)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens the card a relay gave and checks whose it is (ROM-5, ROM-6).
    ///
    /// # Errors
    /// [`Error::Undecryptable`], [`Error::BadPadding`], and as [`RoomCard::parse`].
    pub fn open_card(&self, sealed: &[u8]) -> Result<RoomCard, Error> {
        // ROM-5
        if sealed.len() != SEALED_CARD_BYTES {
            return Err(Error::Malformed { what: WHAT });
        }
        let mut cursor = Cursor::new(WHAT, sealed);
        let nonce = cursor.array()?;
        let padded = self.card_key()?.open(&nonce, &self.associated(), cursor.rest())?;
        RoomCard::parse(self.room(), unpad_any(&padded)?)
    }

    fn associated(&self) -> Vec<u8> {
        let number = self.number().get().to_be_bytes();
        [Label::ROOM_CARD_SEAL.as_bytes(), self.room().as_bytes(), &number].concat()
    }
}

/// What holds for founders and readers alike (ROM-5).
fn check(founder: AccountId, info: &RoomInfo) -> Result<(), Error> {
    let (size, max) = (info.hosts.len(), ROOM_HOSTS);
    // ROM-5
    if size > max {
        return Err(Error::TooLarge { what: "the hosts", size, max });
    }
    if !info.hosts.contains(&founder) {
        return Err(Error::Malformed { what: WHAT });
    }
    Ok(())
}

impl fmt::Debug for RoomCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomCard(version {})", self.info.version)
    }
}
