//! TLS as a client speaks it that looks at no certificate: tests compare it themselves.

use std::sync::Arc;

use restante_spec::address::RelayAddress;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wire::PATIENCE;

/// A TLS connection that offers these protocols.
///
/// # Errors
/// What TCP or TLS say.
pub async fn tls(address: &RelayAddress, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let connecting = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        tcp.set_nodelay(true)?;
        tls_on(tcp, address, alpn).await
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("connected in time")
}

/// TLS on a TCP connection that is made.
///
/// # Errors
/// What TLS says.
pub async fn tls_on(
    tcp: TcpStream,
    address: &RelayAddress,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(aws_lc_rs::default_provider())))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(address.host().to_owned()).expect("a host name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Takes any certificate: tests compare it themselves.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: TlsTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
