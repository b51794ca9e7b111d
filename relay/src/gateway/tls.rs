//! TLS: one version, one key exchange preferred, a certificate that anyone may have signed (TRN-1).
//!
//! Trust in the relay comes from its identity key, which endorses the certificate's public key
//! (TRN-5); so a self-signed certificate is as good as any.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use restante_crypto::spki_hash;
use restante_spec::ids::SpkiHash;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;

/// The TLS key and its certificate.
pub(crate) struct TlsIdentity {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

/// Why there is no TLS identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The stored key cannot be read, or no certificate can be made with it.
    #[error("the TLS key cannot be used: {0}")]
    Key(#[from] rcgen::Error),
    /// rustls refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Config(#[from] rustls::Error),
}

impl TlsIdentity {
    /// A new key.
    ///
    /// # Errors
    /// [`TlsError::Key`].
    pub(crate) fn generate() -> Result<Self, TlsError> {
        Self::certify(KeyPair::generate()?)
    }

    /// The key from PKCS #8 in PEM, with a certificate made for it.
    ///
    /// # Errors
    /// [`TlsError::Key`].
    pub(crate) fn from_pem(pem: &str) -> Result<Self, TlsError> {
        Self::certify(KeyPair::from_pem(pem)?)
    }

    /// The key as PKCS #8 in PEM.
    pub(crate) fn to_pem(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(self.key.serialize_pem())
    }

    /// What the identity key endorses.
    pub(crate) fn spki(&self) -> SpkiHash {
        spki_hash(&self.key.subject_public_key_info())
    }

    /// The server's configuration: TLS 1.3 with X25519MLKEM768 first (TRN-1), ALPN `restante/1`
    /// (TRN-2), no session tickets: a resumed session would not show the certificate again.
    ///
    /// # Errors
    /// [`TlsError::Config`].
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)?;
        config.alpn_protocols = vec![restante_spec::ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// The certificate names nobody: clients look at its key only.
    fn certify(key: KeyPair) -> Result<Self, TlsError> {
        let params = CertificateParams::new(vec!["restante.invalid".to_owned()])?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { key, certificate })
    }
}
