//! A post: one envelope of a room, sealed under the key all share and signed by its author
//! (ROM-7 to ROM-10).
//!
//! Layout: number of the key (4), nonce (24), then sealed and padded to the ladder: length of the
//! certificate (2), the author's certificate, the device's signature (64), kind (1), body.

use std::fmt;

use restante_spec::ids::{EnvelopeId, MailboxId, Signature};
use zeroize::Zeroizing;

use super::card::RoomCard;
use super::link::{RoomKeyNumber, RoomLink};
use crate::aead::{NONCE, SealKey, TAG};
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::{DeviceCertificate, DeviceKey};
use crate::labels::Label;
use crate::padding::{pad, unpad};
use crate::random::random_bytes;
use crate::signing::{sha256, verify};

/// The key a room's posts are sealed with. Wiped when dropped.
pub struct RoomKey {
    room: MailboxId,
    number: RoomKeyNumber,
    key: SealKey,
}

/// What a post says.
#[derive(Clone, PartialEq, Eq)]
pub enum PostBody {
    /// An encoded content, exact bytes. Wiped when dropped.
    Content(Zeroizing<Vec<u8>>),
    /// A host replaces the room's key (ROM-9).
    Next {
        /// The number of the next key.
        number: RoomKeyNumber,
        /// The seed of the next link. Wiped when dropped.
        seed: Zeroizing<[u8; 32]>,
    },
    /// The room has another card: the bytes as they were signed (ROM-11).
    Card(Vec<u8>),
}

/// A post whose author was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedPost {
    /// Who wrote it. Whether the device is still one of its account's, the device list tells.
    pub author: DeviceCertificate,
    /// What it says.
    pub body: PostBody,
}

const WHAT: &str = "post";
/// Bytes of the layout before the nonce: the number of the key.
const HEADER: usize = 4;
/// Layout: the kind of a content (ROM-8).
const CONTENT: u8 = 1;
/// Layout: the kind of a rotation (ROM-8).
const NEXT: u8 = 2;
/// Layout: the kind of a card (ROM-8).
const CARD: u8 = 3;

impl RoomKey {
    pub(super) const fn new(room: MailboxId, number: RoomKeyNumber, key: SealKey) -> Self {
        Self { room, number, key }
    }

    /// Seals a post (ROM-7, ROM-8). A retry sends the same bytes; sealing again needs another
    /// envelope id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above the largest step of the ladder, [`Error::Randomness`].
    pub fn seal(
        &self,
        envelope: &EnvelopeId,
        device: &DeviceKey,
        certificate: &DeviceCertificate,
        body: &PostBody,
    ) -> Result<Vec<u8>, Error> {
        self.seal_with(envelope, device, certificate, body, &random_bytes()?)
    }

    pub(crate) fn seal_with(
        &self,
        envelope: &EnvelopeId,
        device: &DeviceKey,
        certificate: &DeviceCertificate,
        body: &PostBody,
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        let said = body.encode();
        let place = self.place(envelope);
        let signature =
            device.signing().sign(Label::ROOM_SENDER, &[&place, &sha256(&[said.as_slice()])]);
        let certificate = certificate.as_bytes();
        let size = u16::try_from(certificate.len()).map_err(|_| Error::Malformed { what: WHAT })?;
        let parts: [&[u8]; 4] = [&size.to_be_bytes(), certificate, signature.as_bytes(), &said];
        let inner = Zeroizing::new(parts.concat());
        // ROM-7
        let padded = Zeroizing::new(pad(&inner, HEADER + NONCE + TAG)?);
        let sealed = self.key.seal(nonce, &associated(&place), &padded)?;
        Ok([&self.number.get().to_be_bytes()[..], nonce, &sealed].concat())
    }

    /// Opens a post that stood in the room as this envelope (ROM-7, ROM-8).
    ///
    /// # Errors
    /// [`Error::OldRoomKey`] for a post under a key that was replaced, [`Error::NotForUs`] for one
    /// under a later key; [`Error::Malformed`], [`Error::Undecryptable`], [`Error::BadPadding`],
    /// [`Error::Unsupported`], [`Error::BadSignature`], [`Error::BadKey`].
    pub fn open(&self, envelope: &EnvelopeId, post: &[u8]) -> Result<OpenedPost, Error> {
        let mut cursor = Cursor::new(WHAT, post);
        let (number, known) = (cursor.u32()?, self.number.get());
        // ROM-10
        if number < known {
            return Err(Error::OldRoomKey { number, known });
        }
        if number > known {
            return Err(Error::NotForUs);
        }
        let nonce = cursor.array()?;
        let place = self.place(envelope);
        let padded = self.key.open(&nonce, &associated(&place), cursor.rest())?;
        let mut cursor = Cursor::new(WHAT, unpad(&padded, post.len())?);
        let size = usize::from(cursor.u16()?);
        let author = DeviceCertificate::parse(cursor.slice(size)?)?;
        let signature = Signature::new(cursor.array()?);
        let said = cursor.rest();
        // ROM-8
        verify(author.device(), Label::ROOM_SENDER, &[&place, &sha256(&[said])], &signature)?;
        Ok(OpenedPost { author, body: PostBody::decode(said)? })
    }

    /// Room, envelope and number: what a post is bound to (ROM-7).
    fn place(&self, envelope: &EnvelopeId) -> Vec<u8> {
        let number = self.number.get().to_be_bytes();
        [&self.room.as_bytes()[..], envelope.as_bytes(), &number].concat()
    }
}

impl PostBody {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Content(content) => [&[CONTENT], content.as_slice()].concat(),
            Self::Next { number, seed } => {
                [&[NEXT], &number.get().to_be_bytes()[..], seed.as_slice()].concat()
            }
            Self::Card(card) => [&[CARD], card.as_slice()].concat(),
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(WHAT, bytes);
        match cursor.u8()? {
            CONTENT => Ok(Self::Content(Zeroizing::new(cursor.rest().to_vec()))),
            NEXT => {
                let number = cursor.u32()?;
                let number = RoomKeyNumber::new(number).ok_or_else(|| cursor.malformed())?;
                let seed = Zeroizing::new(cursor.array()?);
                cursor.finish()?;
                Ok(Self::Next { number, seed })
            }
            CARD => Ok(Self::Card(cursor.rest().to_vec())),
            _ => Err(Error::Unsupported { what: WHAT }),
        }
    }
}

impl RoomLink {
    /// The post that gives everybody who reads with the link before this one the next (ROM-9).
    #[must_use]
    pub fn announcement(&self) -> PostBody {
        PostBody::Next { number: self.number(), seed: self.seed() }
    }

    /// The link to go on with after a post; `None` if it replaces nothing (ROM-9, ROM-10).
    ///
    /// # Errors
    /// [`Error::WrongAccount`] if the author is no host; [`Error::OldRoomKey`] if the number does
    /// not rise; [`Error::Malformed`] if it is not the next.
    pub fn follow(&self, card: &RoomCard, post: &OpenedPost) -> Result<Option<Self>, Error> {
        let PostBody::Next { number, seed } = &post.body else { return Ok(None) };
        // ROM-9
        if !card.is_host(post.author.account()) {
            return Err(Error::WrongAccount);
        }
        let (relay, room) = (self.relay().clone(), *self.room());
        let next = Self::from_parts(relay, room, *number, seed.clone())?;
        next.may_follow(self)?;
        // ROM-9
        if self.number().get().checked_add(1) != Some(number.get()) {
            return Err(Error::Malformed { what: "rotation" });
        }
        Ok(Some(next))
    }
}

fn associated(place: &[u8]) -> Vec<u8> {
    [Label::ROOM_POST.as_bytes(), place].concat()
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomKey({})", self.number.get())
    }
}

impl fmt::Debug for PostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Self::Next { number, .. } => write!(f, "Next({})", number.get()),
            Self::Card(card) => write!(f, "Card({} bytes)", card.len()),
        }
    }
}

impl fmt::Debug for OpenedPost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedPost({:?})", self.body)
    }
}
