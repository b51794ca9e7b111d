//! TLS as links speak it: 1.3 only, the hybrid key exchange first, no tickets (TRN-1, TRN-2).
//!
//! Knows how to shake hands and which key was presented. Must not decide whether that key is
//! trusted: the relay's identity vouches for it in `welcome` (TRN-5, `pinning.rs`), and until that
//! was checked nothing but `hello` is said. So a certificate's names, dates and issuers mean
//! nothing here, and only the proof that its key is present is looked at.

use std::sync::Arc;

use restante_spec::ALPN;
use restante_spec::ids::SpkiHash;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::LinkError;

/// Shakes hands and gives the hash of the key that was presented and shown to be there.
pub(super) async fn shake_hands(
    socket: TcpStream,
    host: &str,
) -> Result<(TlsStream<TcpStream>, SpkiHash), LinkError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| LinkError::Unreachable("the address has no valid host name".to_owned()))?;
    let config = config().map_err(|error| LinkError::NotTls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, socket).await.map_err(|error| handshake_error(&error))?;
    let (_, session) = stream.get_ref();
    // TRN-2: one that does not choose our protocol is no relay.
    if session.alpn_protocol() != Some(ALPN) {
        return Err(LinkError::WrongProtocol);
    }
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let presented = certificate.and_then(spki_of).ok_or(LinkError::WrongCertificate)?;
    Ok((stream, presented))
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(provider());
    let verifier = Arc::new(KeyIsPresent { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A ticket would let an observer link two connections of one device.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// TRN-1: hybrid first; the classical ones for relays behind old middle boxes.
fn provider() -> CryptoProvider {
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

fn spki_of(certificate: &CertificateDer<'_>) -> Option<SpkiHash> {
    let (_, parsed) = X509Certificate::from_der(certificate.as_ref()).ok()?;
    Some(restante_crypto::spki_hash(parsed.tbs_certificate.subject_pki.raw))
}

/// What failed, told apart where a person can do something about it.
fn handshake_error(error: &std::io::Error) -> LinkError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            LinkError::WrongProtocol
        }
        Some(tls) => LinkError::NotTls(tls.to_string()),
        // Closed or reset while shaking hands: a relay that is full, or something else.
        None => LinkError::Unreachable(format!("the connection was closed ({})", error.kind())),
    }
}

/// Checks that the other side has the key of its certificate; whose key it is, is asked later.
#[derive(Debug)]
struct KeyIsPresent {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for KeyIsPresent {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match spki_of(end_entity) {
            Some(_) => Ok(ServerCertVerified::assertion()),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    /// TRN-1: the hybrid key exchange comes first, and plain X25519 is spoken too.
    #[test]
    fn hybrid_key_exchange_comes_first() {
        let groups: Vec<NamedGroup> =
            provider().kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups[0], NamedGroup::X25519MLKEM768);
        assert!(groups.contains(&NamedGroup::X25519));
    }

    /// TRN-2: our name is the only one offered.
    #[test]
    fn only_our_protocol_is_offered() {
        assert_eq!(config().unwrap().alpn_protocols, [ALPN.to_vec()]);
    }

    /// A certificate that cannot be read has no key to trust.
    #[test]
    fn unreadable_certificate_has_no_key() {
        assert!(spki_of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])).is_none());
    }
}
