//! TLS: one version, one key exchange preferred, a certificate that anyone may have signed (TRN-1).
//!
//! Trust in the relay comes from its identity key, which endorses the certificate's public key
//! (TRN-5); so a self-signed certificate is as good as any.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use restante_crypto::spki_hash;
use restante_spec::ids::SpkiHash;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem};
use rustls::server::ParsedCertificate;
use rustls::version::TLS13;
use zeroize::Zeroizing;

/// What a handshake shows: a certificate whose key we hold.
#[derive(Debug)]
pub(crate) struct TlsIdentity {
    config: Arc<ServerConfig>,
    /// All connections made with it share it.
    spki: Arc<SpkiHash>,
}

/// Why there is no TLS identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The relay's own key cannot be read, or no certificate can be made with it.
    #[error("the TLS key cannot be used: {0}")]
    Own(#[from] rcgen::Error),
    /// What should be PEM is not.
    #[error("no certificate in PEM: {0}")]
    Certificate(pem::Error),
    /// What should be PEM is not.
    #[error("no private key in PEM: {0}")]
    Key(pem::Error),
    /// rustls refuses them, such as a certificate of another key.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

impl TlsIdentity {
    /// A new key: PKCS #8 in PEM.
    ///
    /// # Errors
    /// [`TlsError::Own`].
    pub(crate) fn generate_key() -> Result<Zeroizing<String>, TlsError> {
        Ok(Zeroizing::new(KeyPair::generate()?.serialize_pem()))
    }

    /// The key from PKCS #8 in PEM, with a certificate made for it. It names nobody: clients look
    /// at its key only.
    ///
    /// # Errors
    /// [`TlsError::Own`].
    pub(crate) fn self_signed(pem: &str) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(pem)?;
        let params = CertificateParams::new(vec!["restante.invalid".to_owned()])?;
        let certificate = params.self_signed(&key)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Self::new(vec![certificate], key)
    }

    /// A certificate, with those that lead to its issuer behind it, and its key; both in PEM.
    ///
    /// # Errors
    /// [`TlsError::Certificate`], [`TlsError::Key`], [`TlsError::Pair`].
    pub(crate) fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::Certificate(pem::Error::NoItemsFound));
        }
        Self::new(chain, PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?)
    }

    /// What the identity key endorses.
    pub(crate) fn spki(&self) -> Arc<SpkiHash> {
        Arc::clone(&self.spki)
    }

    /// What handshakes are done with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// TLS 1.3 with X25519MLKEM768 first (TRN-1), ALPN `restante/1` before HTTP (TRN-2), no session
    /// tickets: a resumed session would not show the certificate again.
    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let first = chain.first().ok_or(TlsError::Certificate(pem::Error::NoItemsFound))?;
        let spki = spki_hash(&ParsedCertificate::try_from(first)?.subject_public_key_info());
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols =
            vec![restante_spec::ALPN.to_vec(), restante_spec::ALPN_HTTP.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), spki: Arc::new(spki) })
    }
}
