//! Who people and their devices are: an account's key, its devices' certificates and their list.
//!
//! Spec: `spec/08-identity.md`. What is signed is the exact bytes that travel, never a re-encoding.

mod account;
mod certificate;
mod device;
mod list;
mod safety;

pub use account::{AccountId, AccountKey, Fingerprint};
pub use certificate::{DeviceCertificate, DeviceNumber};
pub use device::{DeviceKey, SignedLetterKey};
pub use list::{DeviceList, ListedDevice};
pub use safety::SafetyNumber;
