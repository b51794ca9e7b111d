//! Letters: their bytes and their bounds (CNT-6).

use prost::Message;
use zeroize::Zeroizing;

use super::{Part, at_most, check_nick, exact, one_to, protobuf, secret, wire};
use crate::content::error::ContentError;
use crate::content::letter::{
    BlobRef, FirstLetter, FirstMessage, InboxGrant, JoinLetter, LetterContent, LinkLetter,
    LinkedLetter, ReaddLetter, RemovedLetter, WelcomeLetter, WelcomePart,
};
use crate::content::message::LogPosition;
use crate::ids::{BlobId, EnvelopeId, LinkToken, MailboxId, PublicKey};
use crate::limits::{BLOB_BYTES, BODY_BYTES, DEVICES, SEALED_FILE_MIN, WELCOME_UNHEARD};

/// A kind in the layout of letters (CNT-6).
const FIRST: u32 = 1;
/// A kind in the layout of letters (CNT-6).
const WELCOME: u32 = 2;
/// A kind in the layout of letters (CNT-6).
const READD: u32 = 3;
/// A kind in the layout of letters (CNT-6).
const JOIN: u32 = 4;
/// A kind in the layout of letters (DEV-4).
const LINK: u32 = 5;
/// A kind in the layout of letters (DEV-6).
const LINKED: u32 = 6;
/// A kind in the layout of letters (CNT-6).
const REMOVED: u32 = 7;

impl LetterContent {
    /// The bytes a letter is sealed over. They hold a secret: wiped when dropped.
    ///
    /// # Errors
    /// [`ContentError`] for what no reader would take.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ContentError> {
        let (kind, mut body) = match self {
            Self::First(first) => (FIRST, first.write()?),
            Self::Welcome(welcome) => (WELCOME, welcome.write()?),
            Self::Readd(readd) => (READD, readd.write()?),
            Self::Join(join) => (JOIN, join.write()?),
            Self::Link(link) => (LINK, link.write()?),
            Self::Linked(linked) => (LINKED, linked.write()?),
            Self::Removed(removed) => (REMOVED, removed.write()?),
            Self::Unknown { kind: 0..=REMOVED, .. } => {
                return Err(ContentError::Malformed { what: "kind" });
            }
            Self::Unknown { kind, body } => (*kind, Zeroizing::new(body.clone())),
        };
        let letter = wire::Letter { kind, body: std::mem::take(&mut *body) };
        Ok(Zeroizing::new(letter.encode_to_vec()))
    }

    /// Reads what a letter says (CNT-6).
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        at_most("the letter", bytes.len(), BODY_BYTES)?;
        let letter: wire::Letter = protobuf("letter", bytes)?;
        let body = letter.body.as_slice();
        match letter.kind {
            0 => Err(ContentError::Malformed { what: "kind" }),
            FIRST => Part::read(body).map(Self::First),
            WELCOME => Part::read(body).map(Self::Welcome),
            READD => Part::read(body).map(Self::Readd),
            JOIN => Part::read(body).map(Self::Join),
            LINK => Part::read(body).map(Self::Link),
            LINKED => Part::read(body).map(Self::Linked),
            REMOVED => Part::read(body).map(Self::Removed),
            // CNT-2
            kind => Ok(Self::Unknown { kind, body: body.to_vec() }),
        }
    }
}

impl Part for FirstLetter {
    type Wire = wire::First;
    const WHAT: &'static str = "first letter";

    fn to_wire(&self) -> wire::First {
        wire::First {
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            key_packages: self.key_packages.clone(),
            inbox: Some(self.inbox.to_wire()),
            message: self.message.as_ref().map(|message| wire::FirstMessage {
                id: message.id.as_bytes().to_vec(),
                content: message.content.clone(),
            }),
        }
    }

    fn from_wire(read: wire::First) -> Result<Self, ContentError> {
        let message = read.message.map(|message| {
            let id = exact("id", EnvelopeId::from_slice(&message.id))?;
            Ok(FirstMessage { id, content: message.content })
        });
        Ok(Self {
            devices: read.devices,
            nick: read.nick,
            key_packages: read.key_packages,
            inbox: grant(read.inbox)?,
            message: message.transpose()?,
        })
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)?;
        one_to("key packages", self.key_packages.len(), DEVICES)
    }
}

impl Part for WelcomeLetter {
    type Wire = wire::Welcome;
    const WHAT: &'static str = "welcome letter";

    fn to_wire(&self) -> wire::Welcome {
        let (welcome, blob) = match &self.welcome {
            WelcomePart::Here(welcome) => (welcome.clone(), None),
            WelcomePart::Blob(blob) => (Vec::new(), Some(blob.to_wire())),
        };
        wire::Welcome {
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            relay: self.relay.to_string(),
            mailbox: self.mailbox.as_bytes().to_vec(),
            welcome,
            inbox: Some(self.inbox.to_wire()),
            blob,
            unheard: self.unheard.iter().map(|device| device.as_bytes().to_vec()).collect(),
        }
    }

    fn from_wire(read: wire::Welcome) -> Result<Self, ContentError> {
        let welcome = match read.blob {
            None => WelcomePart::Here(read.welcome),
            Some(blob) if read.welcome.is_empty() => WelcomePart::Blob(BlobRef::from_wire(blob)?),
            Some(_) => return Err(ContentError::Malformed { what: "welcome" }),
        };
        let unheard = read.unheard.iter().map(|it| exact("device", PublicKey::from_slice(it)));
        Ok(Self {
            devices: read.devices,
            nick: read.nick,
            relay: exact("relay", read.relay.parse().ok())?,
            mailbox: exact("mailbox", MailboxId::from_slice(&read.mailbox))?,
            welcome,
            inbox: grant(read.inbox)?,
            unheard: unheard.collect::<Result<_, _>>()?,
        })
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)?;
        at_most("devices", self.unheard.len(), WELCOME_UNHEARD)?;
        match &self.welcome {
            WelcomePart::Here(welcome) => one_to("welcome", welcome.len(), BODY_BYTES),
            WelcomePart::Blob(blob) => {
                // FIL-4: of none no part would ever come.
                let fits = (SEALED_FILE_MIN..=BLOB_BYTES).contains(&blob.size);
                exact("size", fits.then_some(()))
            }
        }
    }
}

impl Part for ReaddLetter {
    type Wire = wire::Readd;
    const WHAT: &'static str = "readd letter";

    fn to_wire(&self) -> wire::Readd {
        wire::Readd {
            mailbox: self.mailbox.as_bytes().to_vec(),
            devices: self.devices.clone(),
            key_packages: self.key_packages.clone(),
            after: self.after.to_wire(),
            inbox: self.inbox.as_ref().map(InboxGrant::to_wire),
        }
    }

    fn from_wire(read: wire::Readd) -> Result<Self, ContentError> {
        Ok(Self {
            mailbox: exact("mailbox", MailboxId::from_slice(&read.mailbox))?,
            devices: read.devices,
            key_packages: read.key_packages,
            after: LogPosition::from_wire(read.after.as_ref()),
            inbox: read.inbox.map(InboxGrant::from_wire).transpose()?,
        })
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        one_to("key packages", self.key_packages.len(), DEVICES)
    }
}

impl Part for JoinLetter {
    type Wire = wire::Join;
    const WHAT: &'static str = "join letter";

    fn to_wire(&self) -> wire::Join {
        wire::Join {
            token: self.token.as_bytes().to_vec(),
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            key_packages: self.key_packages.clone(),
            inbox: Some(self.inbox.to_wire()),
        }
    }

    fn from_wire(read: wire::Join) -> Result<Self, ContentError> {
        Ok(Self {
            token: exact("token", LinkToken::from_slice(&read.token))?,
            devices: read.devices,
            nick: read.nick,
            key_packages: read.key_packages,
            inbox: grant(read.inbox)?,
        })
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)?;
        one_to("key packages", self.key_packages.len(), DEVICES)
    }
}

impl Part for LinkLetter {
    type Wire = wire::Link;
    const WHAT: &'static str = "link letter";

    fn to_wire(&self) -> wire::Link {
        wire::Link {
            devices: self.devices.clone(),
            nick: self.nick.clone(),
            inbox: Some(self.inbox.to_wire()),
        }
    }

    fn from_wire(read: wire::Link) -> Result<Self, ContentError> {
        Ok(Self { devices: read.devices, nick: read.nick, inbox: grant(read.inbox)? })
    }

    // DEV-4
    fn check(&self) -> Result<(), ContentError> {
        check_nick(&self.nick)
    }
}

impl Part for LinkedLetter {
    type Wire = wire::Linked;
    const WHAT: &'static str = "linked letter";

    fn to_wire(&self) -> wire::Linked {
        wire::Linked { devices: self.devices.clone(), key_packages: self.key_packages.clone() }
    }

    fn from_wire(read: wire::Linked) -> Result<Self, ContentError> {
        Ok(Self { devices: read.devices, key_packages: read.key_packages })
    }

    // DEV-6
    fn check(&self) -> Result<(), ContentError> {
        one_to("key packages", self.key_packages.len(), DEVICES)
    }
}

impl Part for RemovedLetter {
    type Wire = wire::Removed;
    const WHAT: &'static str = "removed letter";

    fn to_wire(&self) -> wire::Removed {
        wire::Removed { mailbox: self.mailbox.as_bytes().to_vec() }
    }

    fn from_wire(read: wire::Removed) -> Result<Self, ContentError> {
        Ok(Self { mailbox: exact("mailbox", MailboxId::from_slice(&read.mailbox))? })
    }

    // CNT-6
    fn check(&self) -> Result<(), ContentError> {
        Ok(())
    }
}

impl BlobRef {
    fn to_wire(&self) -> wire::BlobRef {
        wire::BlobRef {
            blob: self.blob.as_bytes().to_vec(),
            read_key: self.read_key.to_vec(),
            key: self.key.to_vec(),
            size: self.size,
        }
    }

    fn from_wire(read: wire::BlobRef) -> Result<Self, ContentError> {
        Ok(Self {
            blob: exact("blob", BlobId::from_slice(&read.blob))?,
            read_key: secret("read key", &read.read_key)?,
            key: secret("key", &read.key)?,
            size: read.size,
        })
    }
}

impl InboxGrant {
    pub(super) fn to_wire(&self) -> wire::InboxGrant {
        wire::InboxGrant {
            relay: self.relay.to_string(),
            inbox: self.inbox.as_bytes().to_vec(),
            key: self.key.to_vec(),
        }
    }

    pub(super) fn from_wire(read: wire::InboxGrant) -> Result<Self, ContentError> {
        Ok(Self {
            relay: exact("inbox relay", read.relay.parse().ok())?,
            inbox: exact("inbox id", MailboxId::from_slice(&read.inbox))?,
            key: secret("inbox key", &read.key)?,
        })
    }
}

/// A grant that must be there.
fn grant(read: Option<wire::InboxGrant>) -> Result<InboxGrant, ContentError> {
    InboxGrant::from_wire(exact("inbox", read)?)
}
