//! Lists of devices: which is an account's newest, and who is in it. The signatures of a list are
//! checked when it is first read, and not again with every message.
//!
//! What is kept in memory follows from a list's bytes alone, so that it is never out of date.

use std::collections::HashMap;
use std::sync::Arc;

use restante_crypto::{DeviceCertificate, DeviceList};
use restante_spec::ids::PublicKey;

use super::Work;
use super::commands::id_of_key;
use crate::error::Error;
use crate::limits::LISTS_KEPT;
use crate::store::Meta;
use crate::types::ConversationId;

/// Lists that were read, by their bytes.
#[derive(Default)]
pub(super) struct Lists(HashMap<Vec<u8>, Arc<DeviceList>>);

impl Lists {
    /// Reads a list.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Arc<DeviceList>, Error> {
        if let Some(known) = self.0.get(bytes) {
            return Ok(Arc::clone(known));
        }
        let list = Arc::new(DeviceList::parse(bytes)?);
        if self.0.len() >= LISTS_KEPT {
            self.0.clear();
        }
        self.0.insert(bytes.to_vec(), Arc::clone(&list));
        Ok(list)
    }

    /// Of two lists of one account the one with the higher version; what cannot be read is none.
    pub(super) fn newest(
        &mut self,
        a: Option<Vec<u8>>,
        b: Option<Vec<u8>>,
    ) -> Option<Arc<DeviceList>> {
        let readable = [a, b].into_iter().flatten().filter_map(|bytes| self.read(&bytes).ok());
        readable.max_by_key(|list| list.version())
    }
}

impl Work<'_> {
    /// Whether a device is still one of its account's, as far as this device knows (DEV-14). One
    /// with a number above all that are known is newer than the list.
    pub(super) fn is_listed(
        &mut self,
        of: ConversationId,
        certificate: &DeviceCertificate,
    ) -> Result<bool, Error> {
        if self.db.is_struck(certificate)? {
            return Ok(false);
        }
        let Some(list) = self.list_of(of, certificate.account().key())? else { return Ok(true) };
        let last = list.devices().last().map(|listed| listed.certificate.number());
        Ok(list.device(certificate.device()).is_some() || Some(certificate.number()) > last)
    }

    /// The newest list of an account's devices that is known.
    pub(super) fn list_of(
        &mut self,
        of: ConversationId,
        account: &PublicKey,
    ) -> Result<Option<Arc<DeviceList>>, Error> {
        if account == self.account.id().key() {
            let own = self.db.need_meta(Meta::DeviceList)?;
            return self.lists.read(&own).map(Some);
        }
        let known = self.db.contact(id_of_key(account))?.and_then(|known| known.devices);
        let told = self.db.member(of, account)?.devices;
        Ok(self.lists.newest(known, told))
    }
}

#[cfg(test)]
mod tests {
    use restante_crypto::{AccountKey, DeviceKey, DeviceNumber, KemSecret};
    use restante_spec::ids::UnixTime;

    use super::*;

    /// What was read is found again; when there is no room all is read anew.
    #[test]
    fn lists_are_bounded() {
        let (key, device, now) =
            (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]), UnixTime::new(1));
        let number = DeviceNumber::new(1);
        let certificate = key.certify(&device.public(), number, now, "phone").unwrap();
        let letters = device.sign_letter_key(&KemSecret::generate().unwrap().public(), now);
        let entries = [(certificate, letters)];
        let list = |version| key.sign_list(version, &entries).unwrap().as_bytes().to_vec();
        let mut lists = Lists::default();
        let first = lists.read(&list(0)).unwrap();
        for version in 1..LISTS_KEPT as u64 {
            lists.read(&list(version)).unwrap();
        }
        assert!(Arc::ptr_eq(&first, &lists.read(&list(0)).unwrap()));
        assert_eq!(lists.0.len(), LISTS_KEPT);
        lists.read(&list(LISTS_KEPT as u64)).unwrap();
        assert_eq!(lists.0.len(), 1);
        assert!(!Arc::ptr_eq(&first, &lists.read(&list(0)).unwrap()));
        assert!(lists.read(b"no list").is_err());
        assert_eq!(lists.newest(Some(list(3)), Some(list(2))).unwrap().version(), 3);
        assert!(lists.newest(Some(b"no list".to_vec()), None).is_none());
    }
}
