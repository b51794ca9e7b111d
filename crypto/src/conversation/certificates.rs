//! The certificates of a conversation's leaves: the signature of each is checked once, not again
//! with every message and for everyone with every commit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::identity::DeviceCertificate;
use crate::record::LeafNumber;

/// What was read and found good, by leaf: at most one for each leaf that the tree has had.
#[derive(Default)]
pub(super) struct Certificates(Mutex<BTreeMap<LeafNumber, DeviceCertificate>>);

impl Certificates {
    /// The certificate a leaf shows, if it is one (IDN-3). Other bytes than before are judged anew.
    pub(super) fn read(&self, leaf: LeafNumber, bytes: &[u8]) -> Option<DeviceCertificate> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.get(&leaf).filter(|known| known.as_bytes() == bytes) {
            return Some(same.clone());
        }
        let read = DeviceCertificate::parse(bytes).ok()?;
        known.insert(leaf, read.clone());
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use restante_spec::ids::UnixTime;

    use super::*;
    use crate::identity::{AccountKey, DeviceKey, DeviceNumber};

    /// IDN-3: what was good once is no word for other bytes at the same leaf, nor the other way
    /// round.
    #[test]
    fn every_certificate_is_judged_by_its_own_bytes() {
        let (account, at) = (AccountKey::from_seed(&[1; 32]), UnixTime::new(4));
        let certify = |number: u8| {
            let device = DeviceKey::from_seed(&[number; 32]).public();
            account.certify(&device, DeviceNumber::new(number.into()), at, "device").unwrap()
        };
        let (first, second) = (certify(2), certify(3));
        let (known, leaf) = (Certificates::default(), LeafNumber::new(7));
        let read = |bytes: &[u8]| known.read(leaf, bytes);
        for _ in 0..2 {
            assert_eq!(read(first.as_bytes()).as_ref(), Some(&first));
            for place in 0..first.as_bytes().len() {
                let mut forged = first.as_bytes().to_vec();
                forged[place] ^= 1;
                assert_eq!(read(&forged), None, "byte {place}");
            }
            assert_eq!(read(first.as_bytes()).as_ref(), Some(&first));
            assert_eq!(read(second.as_bytes()).as_ref(), Some(&second));
        }
    }
}
