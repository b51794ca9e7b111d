//! Linking: the code a new device shows, its card, and the number both screens show (DEV-2 to
//! DEV-5).
//!
//! Until it is linked, a new device is the only one of a passing account of its own. A link code
//! is an invite of that account under another mark; its card holds that account's device list.
//! Card: nonce (24), then sealed under the link card key with associated data label, inbox id: the
//! list, padded to one size.

use std::fmt;

use restante_spec::limits::SEALED_CARD_BYTES;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::link::Invite;
use crate::aead::{NONCE, SealKey, TAG};
use crate::codec::Cursor;
use crate::error::Error;
use crate::identity::{AccountId, DeviceList, Fingerprint};
use crate::labels::Label;
use crate::padding::{pad_to, unpad_any};
use crate::random::random_bytes;

const WHAT: &str = "link card";
/// What stands in an invite's link where a link code has its own mark.
const INVITE_MARK: &str = "/i1#";
/// Between the relay's address and the bytes; the digit is the version.
const MARK: &str = "/d1#";
/// Part of the number's layout: rounds make a search for another account 5,200 times dearer.
const ROUNDS: usize = 5_200;
/// Groups of six digits in the layout.
const GROUPS: usize = 2;
/// Bytes of the hash behind a group of the layout.
const GROUP_BYTES: usize = 5;

/// A link code, as both devices know it.
pub struct LinkCode(Invite);

impl LinkCode {
    /// The code of a passing account: an invite to its inbox.
    #[must_use]
    pub const fn new(invite: Invite) -> Self {
        Self(invite)
    }

    /// Reads a code (DEV-3): exactly the form of an invite, with its own mark.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        // DEV-3
        if !text.contains(MARK) {
            return Err(Error::Malformed { what: "link code" });
        }
        Invite::parse(&Zeroizing::new(text.replacen(MARK, INVITE_MARK, 1))).map(Self)
    }

    /// The text to show. A secret: wiped when dropped.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.link().replacen(INVITE_MARK, MARK, 1))
    }

    /// The invite it is in other respects: relay, inbox, write key, fingerprint.
    #[must_use]
    pub const fn invite(&self) -> &Invite {
        &self.0
    }

    /// Seals the card that goes to the relay with the write key (DEV-3).
    ///
    /// # Errors
    /// [`Error::WrongAccount`] if the list is not of the account the code names,
    /// [`Error::TooLarge`] for a list of several devices, [`Error::Randomness`].
    pub fn seal_card(&self, list: &DeviceList) -> Result<Vec<u8>, Error> {
        if list.account().fingerprint() != *self.0.account() {
            return Err(Error::WrongAccount);
        }
        let (plain, max) = (list.as_bytes(), SEALED_CARD_BYTES - NONCE - TAG);
        let size = plain.len();
        let padded = pad_to(plain, max).ok_or(Error::TooLarge { what: WHAT, size, max })?;
        let nonce = random_bytes()?;
        let sealed = self.card_key()?.seal(&nonce, &self.associated(), &padded)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens the card a relay gave: the list of the device that shows the code (DEV-3).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Undecryptable`], [`Error::BadPadding`], those of
    /// [`DeviceList::parse`]; [`Error::WrongAccount`] if it is not what the code names.
    pub fn open_card(&self, sealed: &[u8]) -> Result<DeviceList, Error> {
        if sealed.len() != SEALED_CARD_BYTES {
            return Err(Error::Malformed { what: WHAT });
        }
        let mut cursor = Cursor::new(WHAT, sealed);
        let nonce = cursor.array()?;
        let padded = self.card_key()?.open(&nonce, &self.associated(), cursor.rest())?;
        let list = DeviceList::parse(unpad_any(&padded)?)?;
        // DEV-3
        if list.account().fingerprint() != *self.0.account() || list.devices().len() != 1 {
            return Err(Error::WrongAccount);
        }
        Ok(list)
    }

    fn card_key(&self) -> Result<SealKey, Error> {
        SealKey::derive(&self.0.seed(), Label::LINK_CARD, &[self.0.inbox().as_bytes()])
    }

    fn associated(&self) -> Vec<u8> {
        [Label::LINK_CARD.as_bytes(), self.0.inbox().as_bytes()].concat()
    }
}

/// The number both screens show: twelve digits of the new device and the account (DEV-5).
#[must_use]
pub fn link_check(device: &Fingerprint, account: AccountId) -> String {
    // DEV-5
    let (device, account) = (device.as_bytes(), account);
    let first = Sha512::new().chain_update(Label::LINK_CHECK.as_bytes());
    let mut hash = first.chain_update(device).chain_update(account.as_bytes()).finalize();
    for _ in 0..ROUNDS {
        let next = Sha512::new().chain_update(hash).chain_update(device);
        hash = next.chain_update(account.as_bytes()).finalize();
    }
    let groups = hash.chunks(GROUP_BYTES).take(GROUPS).map(|group| {
        let number = group.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("{:06}", number % 1_000_000)
    });
    groups.collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountKey, DeviceKey, DeviceNumber};
    use crate::xwing::KemSecret;
    use restante_spec::address::RelayAddress;
    use restante_spec::ids::{MailboxId, PublicKey, UnixTime};

    fn list(seed: u8) -> DeviceList {
        let (account, device) =
            (AccountKey::from_seed(&[seed; 32]), DeviceKey::from_seed(&[seed + 1; 32]));
        let (at, number) = (UnixTime::new(1), DeviceNumber::new(1));
        let certificate = account.certify(&device.public(), number, at, "phone").unwrap();
        let key = device.sign_letter_key(&KemSecret::from_seed(&[seed; 32]).public(), at);
        account.sign_list(1, &[(certificate, key)]).unwrap()
    }

    fn code() -> LinkCode {
        let relay = RelayAddress::new(PublicKey::new([1; 32]), "relay.example.org", 7443).unwrap();
        LinkCode::new(Invite::generate(relay, MailboxId::new([2; 16]), list(1).account()).unwrap())
    }

    /// DEV-3: a code and its card come back as they were, a code is no invite and no invite a
    /// code, and it has fewer than 200 characters.
    #[test]
    fn code_and_card_come_back() {
        let code = code();
        let read = LinkCode::parse(&code.text()).unwrap();
        assert_eq!(read.open_card(&code.seal_card(&list(1)).unwrap()), Ok(list(1)));
        assert!(Invite::parse(&code.text()).is_err());
        assert!(LinkCode::parse(&code.invite().link()).is_err());
        assert!(code.text().len() < 200);
    }

    /// DEV-3: a card of another device, and one that was changed, are refused.
    #[test]
    fn foreign_card_is_refused() {
        let code = code();
        assert_eq!(code.seal_card(&list(3)), Err(Error::WrongAccount));
        let mut card = code.seal_card(&list(1)).unwrap();
        card[100] ^= 1;
        assert_eq!(code.open_card(&card), Err(Error::Undecryptable));
        assert!(code.open_card(&card[1..]).is_err());
    }

    /// DEV-5: the number is twelve digits, equal for equal keys, and another for another account.
    #[test]
    fn check_number_is_of_both() {
        let (device, account) = (list(1).account().fingerprint(), list(5).account());
        let number = link_check(&device, account);
        assert_eq!(number.len(), 13);
        assert!(number.chars().all(|c| c.is_ascii_digit() || c == ' '));
        assert_eq!(number, link_check(&device, account));
        assert_ne!(number, link_check(&device, list(7).account()));
        assert_ne!(number, link_check(&list(7).account().fingerprint(), account));
    }
}
