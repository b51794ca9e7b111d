//! Key packages: how a device lets itself be added, and how an adder checks one (CNV-3, CNV-4).

use std::fmt;

use openmls::prelude::{
    KeyPackage as MlsKeyPackage, KeyPackageBuilder, KeyPackageIn, LeafNodeIndex, Lifetime,
    ProtocolVersion,
};
use openmls_rust_crypto::RustCrypto;
use restante_spec::ids::{ReaderHash, ReaderSecret};
use tls_codec::{Deserialize, Serialize};

use super::certificates::Certificates;
use super::group::OwnDevice;
use super::leaf::{Member, capabilities, credential, extensions, is_capable};
use super::provider::{MlsSigner, Provider, Storage, refused};
use super::suite::Suite;
use crate::error::Error;
use crate::identity::DeviceCertificate;
use crate::proofs::{generate_reader, reader_hash};

/// A key package just made. Its private part is in the store.
#[derive(Debug)]
pub struct GeneratedKeyPackage {
    /// What is handed out.
    pub bytes: Vec<u8>,
    /// The reader made with it; the hash stands in its leaf. Keep it until the package is used.
    pub reader: ReaderSecret,
}

/// A key package of another device that was checked: signatures, lifetime, certificate, reader,
/// capabilities.
#[derive(Clone)]
pub struct KeyPackage {
    pub(super) mls: MlsKeyPackage,
    device: DeviceCertificate,
    reader: ReaderHash,
    suite: Suite,
}

impl GeneratedKeyPackage {
    /// Makes a key package with a fresh reader (CNV-4). One use, unless it is a last resort.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Randomness`], [`Error::BadKey`] if the certificate is of
    /// another device.
    pub fn make<S: Storage>(
        storage: &S,
        own: &OwnDevice<'_>,
        suite: Suite,
        last_resort: bool,
    ) -> Result<Self, Error> {
        let reader = generate_reader()?;
        let mut builder = builder(&reader_hash(&reader))?;
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let credential = credential(own.key, own.certificate)?;
        let bundle = builder
            .build(suite.mls(), &Provider::new(storage), &MlsSigner(own.key), credential)
            .map_err(|error| Error::Storage { reason: error.to_string() })?;
        let bytes = bundle
            .key_package()
            .tls_serialize_detached()
            .map_err(|_| Error::Internal { what: "a key package was not encoded" })?;
        Ok(Self { bytes, reader })
    }
}

/// All of time: MLS has everyone who reads the commit compare it with a clock, be it years later,
/// and nobody's clock may decide whether a commit holds. A package ends with its private part.
fn lifetime() -> Lifetime {
    // CNV-4
    Lifetime::init(0, u64::MAX)
}

/// What every key package of ours says of its device.
fn builder(reader: &ReaderHash) -> Result<KeyPackageBuilder, Error> {
    Ok(MlsKeyPackage::builder()
        .key_package_lifetime(lifetime())
        .leaf_node_capabilities(capabilities())
        .leaf_node_extensions(extensions(reader)?))
}

impl KeyPackage {
    /// Reads and checks a key package.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`] for another suite, a device that cannot do what
    /// groups require or a time that ends, [`Error::Refused`] for a bad signature or one whose time
    /// is over, [`Error::BadKey`] if it has no certificate of its key or names no reader.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let read = KeyPackageIn::tls_deserialize_exact(bytes)
            .map_err(|_| Error::Malformed { what: "key package" })?;
        let mls = read
            .validate(&RustCrypto::default(), ProtocolVersion::Mls10)
            .map_err(|error| refused("the key package")(&error))?;
        let suite = Suite::from_mls(mls.ciphersuite())?;
        let (nowhere, known) = (LeafNodeIndex::new(0), Certificates::default());
        let member = Member::read(nowhere, mls.leaf_node(), &known);
        // CNV-3, CNV-4
        let (Some(device), Some(reader)) = (member.device, member.reader) else {
            return Err(Error::BadKey);
        };
        if !is_capable(mls.leaf_node()) {
            return Err(Error::Unsupported { what: "key package without what groups require" });
        }
        if *mls.life_time() != lifetime() {
            return Err(Error::Unsupported { what: "key package with an end" });
        }
        Ok(Self { mls, device, reader, suite })
    }

    /// The same, for a group of this suite.
    ///
    /// # Errors
    /// As for [`KeyPackage::parse`]; [`Error::Unsupported`] for the other suite too.
    pub fn parse_for(bytes: &[u8], suite: Suite) -> Result<Self, Error> {
        let package = Self::parse(bytes)?;
        // CNV-2
        if package.suite != suite {
            return Err(Error::Unsupported { what: "key package of another suite" });
        }
        Ok(package)
    }

    /// Whose it is.
    #[must_use]
    pub const fn device(&self) -> &DeviceCertificate {
        &self.device
    }

    /// The reader that the commit adding it registers.
    #[must_use]
    pub const fn reader(&self) -> &ReaderHash {
        &self.reader
    }

    /// The suite it is for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

impl fmt::Debug for KeyPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPackage({:?})", self.suite)
    }
}

#[cfg(test)]
mod tests {
    use openmls::prelude::{Capabilities, Ciphersuite, ExtensionType};
    use openmls_memory_storage::MemoryStorage;
    use restante_spec::ids::UnixTime;

    use super::*;
    use crate::identity::{AccountKey, DeviceKey, DeviceNumber};

    /// What is read of a key package that says something else of itself than ours do.
    fn read(
        change: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder,
    ) -> Result<KeyPackage, Error> {
        let (account, key) = (AccountKey::from_seed(&[1; 32]), DeviceKey::from_seed(&[2; 32]));
        let (number, at) = (DeviceNumber::new(1), UnixTime::new(1));
        let certificate = account.certify(&key.public(), number, at, "device").unwrap();
        let credential = credential(&key, &certificate).unwrap();
        let storage = MemoryStorage::default();
        let made = change(builder(&reader_hash(&generate_reader().unwrap())).unwrap())
            .build(Suite::Classical.mls(), &Provider::new(&storage), &MlsSigner(&key), credential)
            .unwrap();
        KeyPackage::parse(&made.key_package().tls_serialize_detached().unwrap())
    }

    /// CNV-4, CNV-13, CNV-2. Once such a package was taken for good, and MLS refused the commit
    /// that was to add its device, each second anew.
    #[test]
    fn package_of_a_device_that_can_too_little_is_refused() {
        let suites = Suite::ALL.map(Suite::mls);
        let extensions = [0xF0A1, 0xF0A2].map(ExtensionType::Unknown);
        let able = |suites: &[Ciphersuite], extensions: &[ExtensionType]| {
            let can = Capabilities::new(None, Some(suites), Some(extensions), None, None);
            read(|builder| builder.leaf_node_capabilities(can))
        };
        assert!(able(&suites, &extensions).is_ok());
        for refused in [able(&suites[1..], &extensions), able(&suites, &extensions[..1])] {
            assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        }
    }

    /// CNV-4. Once packages ended after 84 days: of who was away for longer nobody could be added
    /// any more, and who read a commit later than that took its log for captured.
    #[test]
    fn packages_have_no_end() {
        let made = read(|builder| builder).unwrap();
        assert_eq!(*made.mls.life_time(), Lifetime::init(0, u64::MAX));
        for ends in [Lifetime::default(), Lifetime::init(0, u64::MAX - 1)] {
            let refused = read(|builder| builder.key_package_lifetime(ends));
            assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        }
    }
}
