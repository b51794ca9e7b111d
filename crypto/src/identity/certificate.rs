//! A device's certificate: the account vouches for a device's key (IDN-3).
//!
//! Layout: version 1 (1 byte), account (32), device key (32), number (4), created (8), length of
//! the label (1), label; then the account's signature (64) over label and all bytes before it.

use std::fmt;

use restante_spec::ids::{PublicKey, Signature, UnixTime};
use restante_spec::limits::DEVICE_LABEL_BYTES;

use super::account::AccountId;
use crate::codec::{Cursor, put_name};
use crate::error::Error;
use crate::labels::Label;
use crate::signing::{SigningKey, verify};

/// A certificate whose signature was checked; kept as the exact bytes that were signed.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    bytes: Vec<u8>,
    account: AccountId,
    device: PublicKey,
    number: DeviceNumber,
    created: UnixTime,
    label: String,
}

/// The number of a device within its account; a number is never given twice (IDN-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber(u32);

const VERSION: u8 = 1;
const WHAT: &str = "device certificate";

impl DeviceCertificate {
    pub(super) fn sign(
        account: &SigningKey,
        device: &PublicKey,
        number: DeviceNumber,
        created: UnixTime,
        label: &str,
    ) -> Result<Self, Error> {
        let mut bytes = vec![VERSION];
        let account_key = account.public();
        bytes.extend_from_slice(account_key.as_bytes());
        bytes.extend_from_slice(device.as_bytes());
        bytes.extend_from_slice(&number.get().to_be_bytes());
        bytes.extend_from_slice(&created.get().to_be_bytes());
        put_name(&mut bytes, "device's label", label, DEVICE_LABEL_BYTES)?;
        let signature = account.sign(Label::CERTIFICATE, &[&bytes]);
        bytes.extend_from_slice(signature.as_bytes());
        let account = AccountId::new(account_key);
        Ok(Self { bytes, account, device: *device, number, created, label: label.to_owned() })
    }

    /// Reads a certificate and checks the account's signature (IDN-3).
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`], [`Error::BadKey`], [`Error::BadSignature`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(WHAT, bytes);
        if cursor.u8()? != VERSION {
            return Err(Error::Unsupported { what: WHAT });
        }
        let account = AccountId::new(PublicKey::new(cursor.array()?));
        let device = PublicKey::new(cursor.array()?);
        let number = DeviceNumber(cursor.u32()?);
        let created = UnixTime::new(cursor.u64()?);
        let label = cursor.name(DEVICE_LABEL_BYTES)?.to_owned();
        let body = bytes.get(..bytes.len() - cursor.rest().len()).unwrap_or_default();
        let signature = Signature::new(cursor.array()?);
        cursor.finish()?;
        // IDN-3
        verify(account.key(), Label::CERTIFICATE, &[body], &signature)?;
        Ok(Self { bytes: bytes.to_vec(), account, device, number, created, label })
    }

    /// The bytes as they were signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The account that vouches.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The device's key.
    #[must_use]
    pub const fn device(&self) -> &PublicKey {
        &self.device
    }

    /// The device's number.
    #[must_use]
    pub const fn number(&self) -> DeviceNumber {
        self.number
    }

    /// When it was made, by the account's clock.
    #[must_use]
    pub const fn created(&self) -> UnixTime {
        self.created
    }

    /// The name its owner gave the device.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl DeviceNumber {
    /// Wraps the number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for DeviceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceCertificate({})", self.number.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> DeviceCertificate {
        let account = SigningKey::from_seed(&[1; 32]);
        let device = SigningKey::from_seed(&[2; 32]).public();
        let number = DeviceNumber::new(3);
        DeviceCertificate::sign(&account, &device, number, UnixTime::new(4), "my laptop").unwrap()
    }

    /// IDN-3: what was signed is read back, from the same bytes.
    #[test]
    fn certificate_round_trips() {
        let signed = certificate();
        let read = DeviceCertificate::parse(signed.as_bytes()).unwrap();
        assert_eq!(read, signed);
        assert_eq!((read.number().get(), read.label()), (3, "my laptop"));
    }

    /// IDN-3: no bit can be changed, nothing added, nothing cut off.
    #[test]
    fn any_change_is_refused() {
        let signed = certificate();
        for bit in 0..signed.as_bytes().len() * 8 {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(DeviceCertificate::parse(&bytes).is_err(), "bit {bit}");
        }
        for size in 0..signed.as_bytes().len() {
            assert!(DeviceCertificate::parse(&signed.as_bytes()[..size]).is_err(), "{size}");
        }
        let longer = [signed.as_bytes(), &[0]].concat();
        assert!(DeviceCertificate::parse(&longer).is_err());
    }

    /// IDN-3: a label is as long as its limit, not longer.
    #[test]
    fn label_is_bounded() {
        let account = SigningKey::from_seed(&[1; 32]);
        let sign = |label: &str| {
            let (key, number) = (account.public(), DeviceNumber::new(1));
            DeviceCertificate::sign(&account, &key, number, UnixTime::new(1), label)
        };
        let at = sign(&"a".repeat(DEVICE_LABEL_BYTES)).unwrap();
        assert!(DeviceCertificate::parse(at.as_bytes()).is_ok());
        let past = sign(&"a".repeat(DEVICE_LABEL_BYTES + 1));
        assert!(matches!(past, Err(Error::TooLarge { .. })));
    }
}
