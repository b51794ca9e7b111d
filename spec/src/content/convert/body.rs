//! Which kind a body is: its number, and the message it stands for.

use prost::Message;
use zeroize::Zeroizing;

use super::{Part, protobuf, wire};
use crate::content::error::ContentError;
use crate::content::message::Body;

/// Numbers of the kinds (CNT-2): those below [`Body::PASSING`] are kept.
mod kind {
    /// A kind in the layout of contents.
    pub(super) const TEXT: u32 = 1;
    /// A kind in the layout of contents.
    pub(super) const ATTACHMENT: u32 = 2;
    /// A kind in the layout of contents.
    pub(super) const REACTION: u32 = 3;
    /// A kind in the layout of contents.
    pub(super) const EDIT: u32 = 4;
    /// A kind in the layout of contents.
    pub(super) const DELETE: u32 = 5;
    /// A kind in the layout of contents.
    pub(super) const LEAVE: u32 = 6;
    /// A kind in the layout of contents.
    pub(super) const VERIFIED: u32 = 7;
    /// A kind in the layout of contents.
    pub(super) const ROSTER: u32 = 8;
    /// A kind in the layout of contents.
    pub(super) const SYNC: u32 = 9;
    /// A kind in the layout of contents.
    pub(super) const RECEIPTS: u32 = 64;
    /// A kind in the layout of contents.
    pub(super) const PROFILE: u32 = 65;
    /// A kind in the layout of contents.
    pub(super) const TYPING: u32 = 66;
    /// A kind in the layout of contents.
    pub(super) const PRESENCE: u32 = 67;
    /// A kind in the layout of contents.
    pub(super) const REPAIR_REQUEST: u32 = 68;
    /// A kind in the layout of contents.
    pub(super) const REPAIR: u32 = 69;
    /// A kind in the layout of contents.
    pub(super) const ROOM: u32 = 70;
    /// A kind in the layout of contents.
    pub(super) const COUNTS: u32 = 71;
}

impl Body {
    /// The number of an attachment on the wire (CNT-2).
    pub const ATTACHMENT: u32 = kind::ATTACHMENT;
    /// The kind of a [`Body::Profile`].
    pub const PROFILE: u32 = kind::PROFILE;
    /// The kind of a [`Body::RepairRequest`].
    pub const REPAIR_REQUEST: u32 = kind::REPAIR_REQUEST;

    /// Its number on the wire (CNT-2).
    #[must_use]
    pub const fn kind(&self) -> u32 {
        match self {
            Self::Text(_) => kind::TEXT,
            Self::Attachment(_) => kind::ATTACHMENT,
            Self::Reaction(_) => kind::REACTION,
            Self::Edit(_) => kind::EDIT,
            Self::Delete(_) => kind::DELETE,
            Self::Leave => kind::LEAVE,
            Self::Verified(_) => kind::VERIFIED,
            Self::Roster(_) => kind::ROSTER,
            Self::Sync(_) => kind::SYNC,
            Self::Receipts(_) => kind::RECEIPTS,
            Self::Profile(_) => kind::PROFILE,
            Self::Typing { .. } => kind::TYPING,
            Self::Presence { .. } => kind::PRESENCE,
            Self::RepairRequest(_) => kind::REPAIR_REQUEST,
            Self::Repair(_) => kind::REPAIR,
            Self::Room(_) => kind::ROOM,
            Self::Counts(_) => kind::COUNTS,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Whether a content of this kind wakes a sleeping device: it is what a person has written.
    #[must_use]
    pub const fn wakes(kind: u32) -> bool {
        matches!(kind, kind::TEXT | kind::ATTACHMENT)
    }

    /// Its bytes, as they stand in a content (CNT-2).
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        match self {
            Self::Text(text) => text.write(),
            Self::Attachment(attachment) => attachment.write(),
            Self::Reaction(reaction) => reaction.write(),
            Self::Edit(edit) => edit.write(),
            Self::Delete(delete) => delete.write(),
            Self::Leave => Ok(Zeroizing::new(wire::Leave {}.encode_to_vec())),
            Self::Verified(verified) => verified.write(),
            Self::Roster(roster) => roster.write(),
            Self::Sync(sync) => sync.write(),
            Self::Receipts(receipts) => receipts.write(),
            Self::Profile(profile) => profile.write(),
            Self::Typing { active } => {
                Ok(Zeroizing::new(wire::Typing { active: *active }.encode_to_vec()))
            }
            Self::Presence { online } => {
                Ok(Zeroizing::new(wire::Presence { online: *online }.encode_to_vec()))
            }
            Self::RepairRequest(request) => request.write(),
            Self::Repair(repair) => repair.write(),
            Self::Room(grant) => grant.write(),
            Self::Counts(counts) => counts.write(),
            Self::Unknown { kind: 0..=kind::SYNC | kind::RECEIPTS..=kind::COUNTS, .. } => {
                Err(ContentError::Malformed { what: "kind" })
            }
            Self::Unknown { body, .. } => Ok(Zeroizing::new(body.clone())),
        }
    }

    /// Reads the bytes of a kind.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(kind: u32, body: &[u8]) -> Result<Self, ContentError> {
        match kind {
            0 => Err(ContentError::Malformed { what: "kind" }),
            kind::TEXT => Part::read(body).map(Self::Text),
            kind::ATTACHMENT => Part::read(body).map(|read| Self::Attachment(Box::new(read))),
            kind::REACTION => Part::read(body).map(Self::Reaction),
            kind::EDIT => Part::read(body).map(Self::Edit),
            kind::DELETE => Part::read(body).map(Self::Delete),
            kind::LEAVE => protobuf("leave", body).map(|wire::Leave {}| Self::Leave),
            kind::VERIFIED => Part::read(body).map(Self::Verified),
            kind::ROSTER => Part::read(body).map(Self::Roster),
            kind::SYNC => Part::read(body).map(Self::Sync),
            kind::RECEIPTS => Part::read(body).map(Self::Receipts),
            kind::PROFILE => Part::read(body).map(Self::Profile),
            kind::TYPING => {
                protobuf("typing", body).map(|wire::Typing { active }| Self::Typing { active })
            }
            kind::PRESENCE => protobuf("presence", body)
                .map(|wire::Presence { online }| Self::Presence { online }),
            kind::REPAIR_REQUEST => Part::read(body).map(Self::RepairRequest),
            kind::REPAIR => Part::read(body).map(Self::Repair),
            kind::ROOM => Part::read(body).map(Self::Room),
            kind::COUNTS => Part::read(body).map(Self::Counts),
            // CNT-2
            _ => Ok(Self::Unknown { kind, body: body.to_vec() }),
        }
    }
}
