//! The denominators that need a process of their own: the same bytes with nothing around them.
//!
//! Started as `suite --role NAME`; prints its port, and serves until it is killed.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves as one of: `forwarder`, `handshakes`, `sender`.
pub async fn serve(role: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("its address").port());
    match role {
        "forwarder" => forward_pairs(listener).await,
        "handshakes" => make_handshakes(listener).await,
        "sender" => send_to_all(listener).await,
        other => panic!("no role {other}"),
    }
}

/// Two connections that come one after the other are a pair: what one says the other hears.
async fn forward_pairs(listener: TcpListener) {
    loop {
        let (Ok((one, _)), Ok((other, _))) = (listener.accept().await, listener.accept().await)
        else {
            return;
        };
        for stream in [&one, &other] {
            stream.set_nodelay(true).expect("no delay");
        }
        let ((one_in, one_out), (other_in, other_out)) = (one.into_split(), other.into_split());
        tokio::spawn(forward(one_in, other_out));
        tokio::spawn(forward(other_in, one_out));
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(size @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..size]).await.is_err() {
            return;
        }
    }
}

/// TLS as the relay has it, and then silence.
async fn make_handshakes(listener: TcpListener) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["bare.invalid".to_owned()]).expect("params");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![restante_spec::ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                // Until the other side goes.
                let _ = stream.read_u8().await;
            }
        });
    }
}

/// The first connection says how many others come, and then, byte by byte, when each of them gets
/// the same bytes.
async fn send_to_all(listener: TcpListener) {
    let (mut trigger, _) = listener.accept().await.expect("a trigger");
    let mut readers: Vec<TcpStream> = Vec::new();
    for _ in 0..trigger.read_u32().await.expect("how many") {
        let (stream, _) = listener.accept().await.expect("a reader");
        stream.set_nodelay(true).expect("no delay");
        readers.push(stream);
    }
    let body = vec![0x5a; super::w4::BODY];
    while trigger.read_u8().await.is_ok() {
        for reader in &mut readers {
            reader.write_all(&body).await.expect("sent");
        }
    }
}
