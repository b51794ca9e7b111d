//! The card of an invite: who invites, and the fresh key a first letter is sealed to (INV-4).
//!
//! The relay keeps it with the invite's write key and cannot read it. Layout: nonce (24), then
//! sealed under the card key with associated data label, inbox id: padded to one size, the length
//! of the certificate (2), certificate, X-Wing key (1,216), the device's signature (64) over label,
//! inbox id and X-Wing key, length of the nickname (1), nickname; of a link to a group also the
//! group's id (16), length of its name (1), name.

use std::fmt;

use restante_spec::ids::{MailboxId, Signature};
use restante_spec::limits::{GROUP_NAME_BYTES, NICK_BYTES, SEALED_CARD_BYTES};

use super::link::Invite;
use crate::aead::{NONCE, TAG};
use crate::codec::{Cursor, put_name};
use crate::error::Error;
use crate::identity::{DeviceCertificate, DeviceKey};
use crate::labels::Label;
use crate::padding::{pad_to, unpad_any};
use crate::random::random_bytes;
use crate::signing::verify;
use crate::xwing::KemPublic;

/// A card whose signatures were checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// The device that made the invite; its account is the one the link names.
    pub certificate: DeviceCertificate,
    /// Where the first letter is sealed to.
    pub letter_key: KemPublic,
    /// What the inviter calls herself; may be empty.
    pub nick: String,
    /// The group the link leads to, if it does.
    pub group: Option<CardGroup>,
}

/// A group, as a card names it (INV-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardGroup {
    /// Its id.
    pub id: [u8; 16],
    /// What it was called when the link was made.
    pub name: String,
}

const WHAT: &str = "card";

impl Invite {
    /// Seals the card that goes to the relay with the write key (INV-4).
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a name above its limit, [`Error::Malformed`] for one that misleads
    /// (CNT-5), [`Error::WrongAccount`] if the certificate is not of the account the link names,
    /// [`Error::Randomness`].
    pub fn seal_card(&self, device: &DeviceKey, card: &Card) -> Result<Vec<u8>, Error> {
        self.seal_card_with(device, card, &random_bytes()?)
    }

    pub(crate) fn seal_card_with(
        &self,
        device: &DeviceKey,
        card: &Card,
        nonce: &[u8; NONCE],
    ) -> Result<Vec<u8>, Error> {
        let Card { certificate, letter_key, nick, group } = card;
        if certificate.account().fingerprint() != *self.account() {
            return Err(Error::WrongAccount);
        }
        let mut plain = Vec::new();
        let size = u16::try_from(certificate.as_bytes().len())
            .map_err(|_| Error::Malformed { what: WHAT })?;
        plain.extend_from_slice(&size.to_be_bytes());
        plain.extend_from_slice(certificate.as_bytes());
        plain.extend_from_slice(letter_key.as_bytes());
        let parts: [&[u8]; 2] = [self.inbox().as_bytes(), letter_key.as_bytes()];
        let signature = device.signing().sign(Label::INVITE_KEY, &parts);
        plain.extend_from_slice(signature.as_bytes());
        put_name(&mut plain, "nickname", nick, NICK_BYTES)?;
        if let Some(CardGroup { id, name }) = group {
            plain.extend_from_slice(id);
            put_name(&mut plain, "group's name", name, GROUP_NAME_BYTES)?;
        }
        let max = SEALED_CARD_BYTES - NONCE - TAG;
        let padded = pad_to(&plain, max).ok_or(Error::TooLarge {
            what: "the card",
            size: plain.len(),
            max,
        })?;
        let sealed = self.card_key()?.seal(nonce, &associated(self.inbox()), &padded)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens the card a relay gave and checks who made it (INV-4, INV-5).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Undecryptable`], [`Error::BadPadding`],
    /// [`Error::BadSignature`], [`Error::BadKey`]; [`Error::WrongAccount`] if the account is not
    /// the one the link names.
    pub fn open_card(&self, sealed: &[u8]) -> Result<Card, Error> {
        if sealed.len() != SEALED_CARD_BYTES {
            return Err(Error::Malformed { what: WHAT });
        }
        let mut cursor = Cursor::new(WHAT, sealed);
        let nonce = cursor.array()?;
        let padded = self.card_key()?.open(&nonce, &associated(self.inbox()), cursor.rest())?;
        let mut cursor = Cursor::new(WHAT, unpad_any(&padded)?);
        let size = usize::from(cursor.u16()?);
        let certificate = DeviceCertificate::parse(cursor.slice(size)?)?;
        let letter_key = cursor.slice(KemPublic::SIZE)?;
        let signature = Signature::new(cursor.array()?);
        let nick = cursor.name(NICK_BYTES)?.to_owned();
        // INV-6
        let group = if cursor.rest().is_empty() {
            None
        } else {
            let (id, name) = (cursor.array()?, cursor.name(GROUP_NAME_BYTES)?.to_owned());
            Some(CardGroup { id, name })
        };
        cursor.finish()?;
        // INV-5
        if certificate.account().fingerprint() != *self.account() {
            return Err(Error::WrongAccount);
        }
        // INV-4
        let parts: [&[u8]; 2] = [self.inbox().as_bytes(), letter_key];
        verify(certificate.device(), Label::INVITE_KEY, &parts, &signature)?;
        Ok(Card { certificate, letter_key: KemPublic::from_slice(letter_key)?, nick, group })
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(..)")
    }
}

fn associated(inbox: &MailboxId) -> Vec<u8> {
    [Label::CARD.as_bytes(), inbox.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountKey, DeviceNumber};
    use crate::xwing::KemSecret;
    use restante_spec::address::RelayAddress;
    use restante_spec::ids::{PublicKey, UnixTime};

    struct Inviter {
        device: DeviceKey,
        certificate: DeviceCertificate,
        invite: Invite,
    }

    fn inviter() -> Inviter {
        let (account, device) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
        let (number, at) = (DeviceNumber::new(1), UnixTime::new(1));
        let certificate = account.certify(&device.public(), number, at, &"l".repeat(64)).unwrap();
        let relay = RelayAddress::new(PublicKey::new([3; 32]), "h", 1).unwrap();
        let invite = Invite::generate(relay, MailboxId::new([4; 16]), account.id()).unwrap();
        Inviter { device, certificate, invite }
    }

    fn card(certificate: &DeviceCertificate, nick: &str) -> Card {
        let letter_key = KemSecret::from_seed(&[5; 32]).public();
        Card { certificate: certificate.clone(), letter_key, nick: nick.to_owned(), group: None }
    }

    /// INV-4: with the longest names the card has its one size, and opens with the link alone.
    #[test]
    fn card_opens_with_the_link() {
        let Inviter { device, certificate, invite } = inviter();
        for nick in ["", &"n".repeat(NICK_BYTES)] {
            let card = card(&certificate, nick);
            let sealed = invite.seal_card(&device, &card).unwrap();
            assert_eq!(sealed.len(), SEALED_CARD_BYTES);
            assert_eq!(Invite::parse(&invite.link()).unwrap().open_card(&sealed), Ok(card));
        }
        let long = card(&certificate, &"n".repeat(NICK_BYTES + 1));
        assert!(matches!(invite.seal_card(&device, &long), Err(Error::TooLarge { .. })));
    }

    /// INV-6: the card of a link to a group names it, with the longest names too.
    #[test]
    fn card_names_the_group() {
        let Inviter { device, certificate, invite } = inviter();
        let named = |size: usize| Card {
            group: Some(CardGroup { id: [6; 16], name: "g".repeat(size) }),
            ..card(&certificate, &"n".repeat(NICK_BYTES))
        };
        let sealed = invite.seal_card(&device, &named(GROUP_NAME_BYTES)).unwrap();
        assert_eq!(sealed.len(), SEALED_CARD_BYTES);
        assert_eq!(invite.open_card(&sealed), Ok(named(GROUP_NAME_BYTES)));
        let long = invite.seal_card(&device, &named(GROUP_NAME_BYTES + 1));
        assert!(matches!(long, Err(Error::TooLarge { .. })));
    }

    /// INV-4: a changed card, or one of another invite, does not open.
    #[test]
    fn changed_card_is_refused() {
        let Inviter { device, certificate, invite } = inviter();
        let sealed = invite.seal_card(&device, &card(&certificate, "n")).unwrap();
        for at in [0, 30, SEALED_CARD_BYTES - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(invite.open_card(&changed), Err(Error::Undecryptable));
        }
        assert_eq!(inviter().invite.open_card(&sealed), Err(Error::Undecryptable));
        let short = invite.open_card(&sealed[1..]);
        assert_eq!(short, Err(Error::Malformed { what: WHAT }));
    }

    /// INV-4: a key another device signed is refused. INV-5: so is a card of another account.
    #[test]
    fn card_is_of_the_device_and_the_account() {
        let Inviter { device, certificate, invite } = inviter();
        let stranger = DeviceKey::from_seed(&[9; 32]);
        let forged = invite.seal_card(&stranger, &card(&certificate, "n")).unwrap();
        assert_eq!(invite.open_card(&forged), Err(Error::BadSignature));
        let other = AccountKey::from_seed(&[8; 32]);
        let (number, at) = (DeviceNumber::new(1), UnixTime::new(1));
        let foreign = other.certify(&device.public(), number, at, "l").unwrap();
        let foreign = card(&foreign, "n");
        let refused = invite.seal_card(&device, &foreign);
        assert_eq!(refused, Err(Error::WrongAccount));
        let relay = invite.relay().clone();
        let theirs =
            Invite::from_parts(relay, *invite.inbox(), invite.seed(), other.id().fingerprint());
        let sealed = theirs.unwrap().seal_card(&device, &foreign).unwrap();
        assert_eq!(invite.open_card(&sealed), Err(Error::WrongAccount));
    }
}
