//! The link of an invite and the keys that come from its seed (INV-1, INV-3).
//!
//! Form: the relay's address, then `/i1#` and 86 characters of base64url without padding: inbox id
//! (16 bytes), seed (32), fingerprint of the inviter's account (16).

use std::fmt;

use restante_spec::address::RelayAddress;
use restante_spec::ids::MailboxId;
use restante_spec::limits::INVITE_CHARS;
use zeroize::Zeroizing;

use crate::aead::SealKey;
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::{AccountId, Fingerprint};
use crate::labels::Label;
use crate::link::LinkForm;
use crate::random::random_secret;
use crate::signing::SigningKey;

/// An invite, as both sides know it.
pub struct Invite {
    relay: RelayAddress,
    inbox: MailboxId,
    seed: Zeroizing<[u8; 32]>,
    account: Fingerprint,
}

// INV-1, INV-2
const FORM: LinkForm = LinkForm { what: "invite", mark: "/i1#", max: INVITE_CHARS };

impl Invite {
    /// A new invite to an inbox, with a fresh seed.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the relay's host name is too long for a link (INV-2),
    /// [`Error::Randomness`].
    pub fn generate(
        relay: RelayAddress,
        inbox: MailboxId,
        account: AccountId,
    ) -> Result<Self, Error> {
        Self::from_parts(relay, inbox, random_secret()?, account.fingerprint())
    }

    /// An invite made before, from its stored parts.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as for [`Invite::generate`].
    pub fn from_parts(
        relay: RelayAddress,
        inbox: MailboxId,
        seed: Zeroizing<[u8; 32]>,
        account: Fingerprint,
    ) -> Result<Self, Error> {
        let invite = Self { relay, inbox, seed, account };
        // INV-2
        FORM.check_size(&invite.link())?;
        Ok(invite)
    }

    /// Reads a link (INV-1): exactly this form, nothing before, behind or instead.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`].
    pub fn parse(link: &str) -> Result<Self, Error> {
        // INV-1
        let (relay, bytes) = FORM.read(link)?;
        let mut cursor = Cursor::new(FORM.what, &bytes);
        let inbox = MailboxId::new(cursor.array()?);
        let seed = Zeroizing::new(cursor.array()?);
        let account = Fingerprint::new(cursor.array()?);
        cursor.finish()?;
        let invite = Self::from_parts(relay, inbox, seed, account)?;
        FORM.check(link, &invite.link())?;
        Ok(invite)
    }

    /// The text to hand over. A secret: wiped when dropped.
    #[must_use]
    pub fn link(&self) -> Zeroizing<String> {
        let parts = [&self.inbox.as_bytes()[..], self.seed.as_ref(), self.account.as_bytes()];
        FORM.write(&self.relay, &parts)
    }

    /// Where the inbox is.
    #[must_use]
    pub const fn relay(&self) -> &RelayAddress {
        &self.relay
    }

    /// The inviter's inbox.
    #[must_use]
    pub const fn inbox(&self) -> &MailboxId {
        &self.inbox
    }

    /// The seed, for an encrypted store. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// By what the inviter's account is recognised.
    #[must_use]
    pub const fn account(&self) -> &Fingerprint {
        &self.account
    }

    /// The key that may write to the inbox: allowed by the inviter with one use and an expiry, and
    /// opened by whoever has the link (INV-3).
    ///
    /// # Errors
    /// [`Error::Internal`] never happens with a seed of 32 bytes.
    pub fn write_key(&self) -> Result<SigningKey, Error> {
        // INV-3
        let key = SealKey::derive(&self.seed, Label::INVITE_WRITE, &[self.inbox.as_bytes()])?;
        Ok(SigningKey::from_seed(key.as_bytes()))
    }

    /// The key the card is sealed with (INV-3).
    pub(super) fn card_key(&self) -> Result<SealKey, Error> {
        SealKey::derive(&self.seed, Label::INVITE_CARD, &[self.inbox.as_bytes()])
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_spec::ids::PublicKey;

    fn invite(host: &str) -> Result<Invite, Error> {
        let relay = RelayAddress::new(PublicKey::new([1; 32]), host, 7443).unwrap();
        let account = Fingerprint::new([4; 16]);
        Invite::from_parts(relay, MailboxId::new([2; 16]), Zeroizing::new([3; 32]), account)
    }

    /// INV-1: what was handed over is read back, keys included.
    #[test]
    fn link_round_trips() {
        for host in ["relay.example.org", "192.0.2.7", "2001:db8::1"] {
            let ours = invite(host).unwrap();
            let theirs = Invite::parse(&ours.link()).unwrap();
            assert_eq!(theirs.link(), ours.link());
            assert_eq!(theirs.seed(), ours.seed());
            assert_eq!((theirs.inbox(), theirs.account()), (ours.inbox(), ours.account()));
            let keys = (theirs.write_key().unwrap(), ours.write_key().unwrap());
            assert_eq!(keys.0.public(), keys.1.public());
        }
        assert_eq!(format!("{:?}", invite("h").unwrap()), "Invite(..)");
    }

    /// INV-1: anything beside the one form is refused.
    #[test]
    fn other_forms_are_refused() {
        let link = invite("h").unwrap().link().to_string();
        let others = [
            link.replace("/i1#", "/i2#"),
            link.replace("/i1#", "#"),
            link.replace("restante:", "https:"),
            format!("{link}A"),
            format!("{link}="),
            format!(" {link}"),
            link[..link.len() - 4].to_owned(),
            String::new(),
        ];
        for other in others {
            assert!(Invite::parse(&other).is_err(), "{other}");
        }
    }

    /// INV-2: a link stays below 200 characters; a host name that needs more is refused.
    #[test]
    fn link_is_bounded() {
        let longest = INVITE_CHARS - invite("h").unwrap().link().len() + 1;
        assert_eq!(invite(&"h".repeat(longest)).unwrap().link().len(), INVITE_CHARS);
        assert!(matches!(invite(&"h".repeat(longest + 1)), Err(Error::TooLarge { .. })));
    }

    /// INV-3: keys are derived for this inbox; another inbox has others.
    #[test]
    fn keys_depend_on_the_inbox() {
        let (a, b) = (invite("h").unwrap(), invite("h").unwrap());
        let b = Invite { inbox: MailboxId::new([9; 16]), ..b };
        assert_ne!(a.write_key().unwrap().public(), b.write_key().unwrap().public());
    }
}
