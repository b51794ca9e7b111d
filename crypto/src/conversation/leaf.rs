//! What a leaf of the group says about its device: the certificate as credential, the reader's hash
//! as extension (CNV-3, CNV-4); and what the group's context says (CNV-13).

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, GroupContext, LeafNode, LeafNodeIndex, ProtocolVersion,
    RequiredCapabilitiesExtension, SignaturePublicKey, UnknownExtension, VerifiableCiphersuite,
};
use restante_spec::ids::{PublicKey, ReaderHash};

use super::certificates::Certificates;
use super::suite::Suite;
use crate::error::Error;
use crate::identity::{DeviceCertificate, DeviceKey};
use crate::record::LeafNumber;

/// A member of the conversation: one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its leaf.
    pub leaf: LeafNumber,
    /// Who it is; `None` if the credential is no valid certificate of the leaf's key (CNV-3): such
    /// a member is muted, shown and removed, never obeyed.
    pub device: Option<DeviceCertificate>,
    /// Its reader at the relay, as the leaf states it (CNV-4).
    pub reader: Option<ReaderHash>,
    /// The leaf's signature key.
    pub(super) key: Option<PublicKey>,
}

/// The leaf extension that holds the reader's hash: a number of RFC 9420's private range.
const READER_EXTENSION: u16 = 0xF0A1;
/// The extension of the group's context that holds what members agreed on, of RFC 9420's range.
const STATE_EXTENSION: u16 = 0xF0A2;
/// What the group's context requires of all (CNV-13).
const REQUIRED: [ExtensionType; 2] =
    [ExtensionType::Unknown(READER_EXTENSION), ExtensionType::Unknown(STATE_EXTENSION)];

impl Member {
    /// A member as it is told of elsewhere than in a group's tree.
    #[must_use]
    pub fn new(leaf: LeafNumber, device: Option<DeviceCertificate>) -> Self {
        let key = device.as_ref().map(|device| *device.device());
        Self { leaf, device, reader: None, key }
    }

    pub(super) fn read(index: LeafNodeIndex, node: &LeafNode, known: &Certificates) -> Self {
        let leaf = LeafNumber::new(index.u32());
        let key = PublicKey::from_slice(node.signature_key().as_slice());
        let certificate = BasicCredential::try_from(node.credential().clone())
            .ok()
            .and_then(|credential| known.read(leaf, credential.identity()));
        // CNV-3: it is of the leaf's own key.
        let device = certificate.filter(|certificate| Some(certificate.device()) == key.as_ref());
        Self { leaf, device, reader: reader(node), key }
    }
}

pub(super) fn index(leaf: LeafNumber) -> LeafNodeIndex {
    LeafNodeIndex::new(leaf.get())
}

/// The reader's hash a leaf states.
fn reader(node: &LeafNode) -> Option<ReaderHash> {
    let extension = node.extensions().unknown(READER_EXTENSION)?;
    ReaderHash::from_slice(&extension.0)
}

pub(super) fn credential(
    device: &DeviceKey,
    certificate: &DeviceCertificate,
) -> Result<CredentialWithKey, Error> {
    // CNV-3
    if device.public() != *certificate.device() {
        return Err(Error::BadKey);
    }
    Ok(CredentialWithKey {
        credential: BasicCredential::new(certificate.as_bytes().to_vec()).into(),
        signature_key: SignaturePublicKey::from(device.public().as_bytes().as_slice()),
    })
}

pub(super) fn extensions(reader: &ReaderHash) -> Result<Extensions<LeafNode>, Error> {
    // CNV-4
    let extension = UnknownExtension(reader.as_bytes().to_vec());
    Extensions::single(Extension::Unknown(READER_EXTENSION, extension))
        .map_err(|_| Error::Internal { what: "the leaf's extension is not allowed" })
}

/// The group's context with the members' state in it.
pub(super) fn context(state: &[u8]) -> Result<Extensions<GroupContext>, Error> {
    // CNV-13
    let required = RequiredCapabilitiesExtension::new(&REQUIRED, &[], &[]);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::Unknown(STATE_EXTENSION, UnknownExtension(state.to_vec())),
    ])
    .map_err(|_| Error::Internal { what: "the group's extension is not allowed" })
}

/// The members' state in a group's context.
pub(super) fn state(context: &Extensions<GroupContext>) -> Option<&[u8]> {
    context.unknown(STATE_EXTENSION).map(|extension| extension.0.as_slice())
}

pub(super) fn capabilities() -> Capabilities {
    let suites: [Ciphersuite; 2] = Suite::ALL.map(Suite::mls);
    let [reader, state] = REQUIRED;
    let extensions = [reader, state, ExtensionType::LastResort];
    Capabilities::new(None, Some(&suites), Some(&extensions), None, None)
}

/// Whether a leaf says that it can do what every group asks of its members: MLS takes no other into
/// a group.
pub(super) fn is_capable(leaf: &LeafNode) -> bool {
    // CNV-4, CNV-13
    let can = leaf.capabilities();
    let suites = Suite::ALL.map(|suite| VerifiableCiphersuite::from(suite.mls()));
    suites.iter().all(|suite| can.ciphersuites().contains(suite))
        && REQUIRED.iter().all(|extension| can.extensions().contains(extension))
        && can.credentials().contains(&CredentialType::Basic)
        && can.versions().contains(&ProtocolVersion::Mls10)
}
