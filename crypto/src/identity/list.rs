//! The list of an account's devices: signed by the account, its version only rises.
//!
//! Layout (IDN-5): version of the layout 1 (1 byte), account (32), version (8), count (1); for each
//! device the length of its certificate (2), certificate, letter key (1,288); then the account's
//! signature (64) over label and all bytes before it.

use std::fmt;

use restante_spec::ids::{PublicKey, Signature};
use restante_spec::limits::DEVICES;

use super::account::AccountId;
use super::certificate::DeviceCertificate;
use super::device::SignedLetterKey;
use crate::codec::Cursor;
use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};

/// A list whose signatures were all checked; kept as the exact bytes that were signed.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceList {
    bytes: Vec<u8>,
    account: AccountId,
    version: u64,
    devices: Vec<ListedDevice>,
}

/// One device of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// The account's word for it.
    pub certificate: DeviceCertificate,
    /// Where letters to it are sealed.
    pub letter_key: SignedLetterKey,
}

const VERSION: u8 = 1;
const WHAT: &str = "device list";

impl DeviceList {
    pub(super) fn sign(
        account: &SigningKey,
        version: u64,
        devices: &[(DeviceCertificate, SignedLetterKey)],
    ) -> Result<Self, Error> {
        let account_key = account.public();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(account_key.as_bytes());
        bytes.extend_from_slice(&version.to_be_bytes());
        let too_large = Error::TooLarge { what: WHAT, size: devices.len(), max: DEVICES };
        bytes.push(u8::try_from(devices.len()).map_err(|_| too_large)?);
        for (certificate, letter_key) in devices {
            let size = u16::try_from(certificate.as_bytes().len())
                .map_err(|_| Error::Malformed { what: WHAT })?;
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(certificate.as_bytes());
            letter_key.put(&mut bytes);
        }
        let signature = account.sign(Label::DEVICE_LIST, &[&bytes]);
        bytes.extend_from_slice(signature.as_bytes());
        // Whoever signs holds to what a reader will check.
        Self::parse(&bytes)
    }

    /// Reads a list and checks every signature in it (IDN-5).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`], [`Error::TooLarge`] (IDN-6),
    /// [`Error::BadKey`], [`Error::BadSignature`], [`Error::WrongAccount`] for a device of another
    /// account.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(WHAT, bytes);
        if cursor.u8()? != VERSION {
            return Err(Error::Unsupported { what: WHAT });
        }
        let account = AccountId::new(PublicKey::new(cursor.array()?));
        let version = cursor.u64()?;
        let count = usize::from(cursor.u8()?);
        // IDN-6
        if count > DEVICES {
            return Err(Error::TooLarge { what: WHAT, size: count, max: DEVICES });
        }
        let mut devices: Vec<ListedDevice> = Vec::with_capacity(count);
        for _ in 0..count {
            let size = usize::from(cursor.u16()?);
            let certificate = DeviceCertificate::parse(cursor.slice(size)?)?;
            let letter_key = cursor.slice(SignedLetterKey::SIZE)?;
            let letter_key = SignedLetterKey::parse(certificate.device(), letter_key)?;
            if certificate.account() != account {
                return Err(Error::WrongAccount);
            }
            // IDN-4
            if devices.last().is_some_and(|d| d.certificate.number() >= certificate.number()) {
                return Err(Error::Malformed { what: WHAT });
            }
            devices.push(ListedDevice { certificate, letter_key });
        }
        let body = bytes.get(..bytes.len() - cursor.rest().len()).unwrap_or_default();
        let signature = Signature::new(cursor.array()?);
        cursor.finish()?;
        if devices.is_empty() {
            return Err(Error::Malformed { what: WHAT });
        }
        // IDN-5
        verify(account.key(), Label::DEVICE_LIST, &[body], &signature)?;
        Ok(Self { bytes: bytes.to_vec(), account, version, devices })
    }

    /// Checks that this list may follow the one known of the same account (IDN-7): the same bytes,
    /// or a higher version.
    ///
    /// # Errors
    /// [`Error::WrongAccount`], [`Error::OldDeviceList`].
    pub fn may_follow(&self, known: &Self) -> Result<(), Error> {
        if self.account != known.account {
            return Err(Error::WrongAccount);
        }
        // IDN-7
        if self.version > known.version || self.bytes == known.bytes {
            return Ok(());
        }
        Err(Error::OldDeviceList { version: self.version, known: known.version })
    }

    /// The bytes as they were signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose devices they are.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The devices, by rising number; at least one.
    #[must_use]
    pub fn devices(&self) -> &[ListedDevice] {
        &self.devices
    }

    /// The device with this key, if it is in the list.
    #[must_use]
    pub fn device(&self, key: &PublicKey) -> Option<&ListedDevice> {
        self.devices.iter().find(|listed| listed.certificate.device() == key)
    }
}

impl fmt::Debug for DeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceList(version {}, {} devices)", self.version, self.devices.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AccountKey, DeviceKey, DeviceNumber};
    use crate::xwing::KemSecret;
    use restante_spec::ids::UnixTime;

    fn entry(account: &AccountKey, number: u8) -> (DeviceCertificate, SignedLetterKey) {
        let device = DeviceKey::from_seed(&[number + 100; 32]);
        let (at, number32) = (UnixTime::new(1), DeviceNumber::new(number.into()));
        let certificate = account.certify(&device.public(), number32, at, "phone").unwrap();
        (certificate, device.sign_letter_key(&KemSecret::from_seed(&[number; 32]).public(), at))
    }

    fn list(version: u64, numbers: &[u8]) -> Result<DeviceList, Error> {
        let account = AccountKey::from_seed(&[1; 32]);
        let entries: Vec<_> = numbers.iter().map(|&n| entry(&account, n)).collect();
        account.sign_list(version, &entries)
    }

    /// IDN-5: what was signed is read back; IDN-6: eight devices are the most, one the least.
    #[test]
    fn list_holds_one_to_eight_devices() {
        for count in [1_u8, 8] {
            let signed = list(7, &(1..=count).collect::<Vec<_>>()).unwrap();
            assert_eq!(DeviceList::parse(signed.as_bytes()), Ok(signed.clone()));
            assert_eq!(signed.devices().len(), usize::from(count));
        }
        assert_eq!(list(7, &[]), Err(Error::Malformed { what: WHAT }));
        let too_many = list(7, &(1..=9).collect::<Vec<_>>());
        assert_eq!(too_many, Err(Error::TooLarge { what: WHAT, size: 9, max: 8 }));
    }

    /// IDN-4: two devices with one number, or numbers out of order, are no list.
    #[test]
    fn numbers_rise() {
        assert_eq!(list(1, &[2, 2]), Err(Error::Malformed { what: WHAT }));
        assert_eq!(list(1, &[2, 1]), Err(Error::Malformed { what: WHAT }));
    }

    /// IDN-5, IDN-8: a flipped bit anywhere makes some signature wrong.
    #[test]
    fn any_change_is_refused() {
        let signed = list(1, &[1, 2]).unwrap();
        for at in (0..signed.as_bytes().len()).step_by(7) {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] ^= 0x10;
            assert!(DeviceList::parse(&bytes).is_err(), "byte {at}");
        }
    }

    /// IDN-8: a letter key the account put there itself is refused.
    #[test]
    fn letter_key_needs_the_devices_signature() {
        let account = AccountKey::from_seed(&[1; 32]);
        let (certificate, _) = entry(&account, 1);
        let (_, foreign) = entry(&account, 2);
        assert_eq!(account.sign_list(1, &[(certificate, foreign)]), Err(Error::BadSignature));
    }

    /// IDN-7: a lower version is refused, and so is another list with the same version.
    #[test]
    fn version_only_rises() {
        let known = list(5, &[1]).unwrap();
        assert_eq!(known.may_follow(&known), Ok(()));
        assert_eq!(list(6, &[1, 2]).unwrap().may_follow(&known), Ok(()));
        for (version, numbers) in [(4, &[1, 2][..]), (5, &[1, 2])] {
            let refused = list(version, numbers).unwrap().may_follow(&known);
            assert_eq!(refused, Err(Error::OldDeviceList { version, known: 5 }));
        }
    }

    /// IDN-5: a device of another account cannot be listed.
    #[test]
    fn foreign_device_is_refused() {
        let entry = entry(&AccountKey::from_seed(&[9; 32]), 1);
        let signed = AccountKey::from_seed(&[1; 32]).sign_list(1, &[entry]);
        assert_eq!(signed, Err(Error::WrongAccount));
    }
}
