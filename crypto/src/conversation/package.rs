//! Key packages: how a device lets itself be added, and how an adder checks one (CNV-3, CNV-4).

use std::fmt;

use openmls::prelude::{KeyPackage as MlsKeyPackage, KeyPackageIn, LeafNodeIndex, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use restante_spec::ids::{ReaderHash, ReaderSecret};
use tls_codec::{Deserialize, Serialize};

use super::certificates::Certificates;
use super::group::OwnDevice;
use super::leaf::{Member, capabilities, credential, extensions};
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

/// A key package of another device that was checked: signatures, lifetime, certificate, reader.
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
        let mut builder = MlsKeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(extensions(&reader_hash(&reader))?);
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

impl KeyPackage {
    /// Reads and checks a key package.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`] for another suite, [`Error::Refused`] for a bad
    /// signature or one whose time is over, [`Error::BadKey`] if it has no certificate of its key
    /// or names no reader.
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
        Ok(Self { mls, device, reader, suite })
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
